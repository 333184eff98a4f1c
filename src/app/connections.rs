//! The SSH connections that outlive a run: which there are, and ending them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::task::JoinSet;

use super::{Error, HostSelection, Settings, runtime};
use crate::transport::{KeptConnection, RuntimeDir};

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The hosts of the inventory that are read over it; none if the inventory has changed since.
    pub nodes: Vec<String>,
    /// Its socket.
    pub socket: PathBuf,
    /// Its master.
    pub kept: KeptConnection,
}

/// The connections of this user, in the order of the inventory; those that it does not have come last.
///
/// # Errors
/// The sockets' folder is not ours alone.
pub fn kept_connections(settings: &Settings) -> Result<Vec<Connection>, Error> {
    Ok(runtime::existing(settings)?.map(|runtime| found(settings, &runtime)).unwrap_or_default())
}

/// Ends the connections of the hosts that are selected, or all there are; gives back which.
///
/// # Errors
/// No host is selected, or the sockets' folder is not ours alone.
pub async fn close_connections(
    settings: &Settings,
    selection: &HostSelection,
) -> Result<Vec<Connection>, Error> {
    let wanted = if selection.is_whole() { None } else { Some(selection.of(&settings.inventory)?) };
    let Some(runtime) = runtime::existing(settings)? else { return Ok(Vec::new()) };
    let is_wanted = |connection: &Connection| {
        let Some(wanted) = &wanted else { return true };
        wanted.iter().any(|host| connection.nodes.contains(&host.name))
    };
    let closing: Vec<_> = found(settings, &runtime).into_iter().filter(is_wanted).collect();
    let mut ends = JoinSet::new();
    for connection in &closing {
        let (runtime, socket) = (runtime.clone(), connection.socket.clone());
        ends.spawn(async move { runtime.end(&socket).await });
    }
    ends.join_all().await;
    Ok(closing)
}

fn found(settings: &Settings, runtime: &RuntimeDir) -> Vec<Connection> {
    let mut kept = runtime.kept();
    let mut nodes: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for host in &settings.inventory.hosts {
        let Some(target) = host.ssh_target() else { continue };
        let socket = runtime.socket(target);
        if kept.contains_key(&socket) {
            let names = nodes.entry(socket.clone()).or_default();
            if names.is_empty() {
                order.push(socket);
            }
            names.push(host.name.clone());
        }
    }
    order.extend(kept.keys().filter(|socket| !nodes.contains_key(*socket)).cloned());
    let connection = |socket: PathBuf| {
        let kept = kept.remove(&socket)?;
        Some(Connection { nodes: nodes.remove(&socket).unwrap_or_default(), socket, kept })
    };
    order.into_iter().filter_map(connection).collect()
}
