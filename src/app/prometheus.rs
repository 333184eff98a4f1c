//! Telling Prometheus: by the daemon's listener, and by the file for a textfile collector.

use std::path::PathBuf;

use super::{Error, Settings};
use crate::batch::Snapshot;
use crate::inventory::ListenAddress;
use crate::output::Snapshots;
use crate::output::prometheus::{Choice, Server, write_textfile};
use crate::reading::error_chain;

/// The listener of the daemon, where the call or the inventory has an address.
///
/// # Errors
/// The address is open to other machines and there is no token, the token cannot be read, or the address cannot be had.
pub(super) async fn listener(
    settings: &Settings,
    called: Option<&ListenAddress>,
) -> Result<Option<Server>, Error> {
    let prometheus = &settings.inventory.prometheus;
    let Some(address) = called.or(prometheus.listen.as_ref()) else { return Ok(None) };
    let token = settings.prometheus_token()?;
    if token.is_none() && !address.is_private() {
        return Err(Error::OpenToOthers(address.to_string()));
    }
    let server = Server::bind(address, token.as_ref(), prometheus.into()).await;
    let server = server.map_err(|source| Error::Listen(address.to_string(), source))?;
    let bound = server.local_address().map_or_else(|| address.to_string(), |address| address.to_string());
    tracing::info!("listening for Prometheus on {bound}");
    Ok(Some(server))
}

/// Writes the file for a textfile collector after each cycle. That it cannot be written is said once, as is that it can
/// again.
pub(super) async fn keep_textfile(path: PathBuf, choice: Choice, mut snapshots: Snapshots) {
    let mut has_failed = false;
    while let Some(snapshot) = snapshots.next().await {
        let (to, choice) = (path.clone(), choice.clone());
        let writing = tokio::task::spawn_blocking(move || write_textfile(&to, &snapshot, &choice));
        match writing.await {
            Ok(Ok(())) if has_failed => {
                has_failed = false;
                tracing::info!("`{}` is written again", path.display());
            }
            Ok(Err(error)) if !has_failed => {
                has_failed = true;
                tracing::warn!("Prometheus is not told: {}", error_chain(&error));
            }
            Ok(Ok(()) | Err(_)) => (),
            Err(error) => tracing::debug!(%error, "the textfile was not written"),
        }
    }
}

/// Writes the file for a textfile collector after a poll, if the inventory names one.
pub(super) async fn write_after_poll(settings: &Settings, snapshot: &Snapshot) {
    let prometheus = &settings.inventory.prometheus;
    let Some(path) = prometheus.textfile.clone() else { return };
    let (snapshot, choice) = (snapshot.clone(), Choice::from(prometheus));
    let writing = tokio::task::spawn_blocking(move || write_textfile(&path, &snapshot, &choice));
    if let Ok(Err(error)) = writing.await {
        tracing::warn!("Prometheus is not told: {}", error_chain(&error));
    }
}
