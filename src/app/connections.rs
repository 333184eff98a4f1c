//! The SSH connections that outlive a run: which there are, and ending them.

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
    let mut connections: Vec<Connection> = Vec::new();
    for host in &settings.inventory.hosts {
        let Some(socket) = host.ssh_target().map(|target| runtime.socket(target)) else { continue };
        let nodes = vec![host.name.clone()];
        if let Some(kept) = kept.remove(&socket) {
            connections.push(Connection { nodes, socket, kept });
        } else if let Some(shared) = connections.iter_mut().find(|known| known.socket == socket) {
            shared.nodes.extend(nodes);
        }
    }
    let others = kept.into_iter().map(|(socket, kept)| Connection { nodes: Vec::new(), socket, kept });
    connections.into_iter().chain(others).collect()
}
