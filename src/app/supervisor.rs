//! The service manager is told that we are ready, alive, and what we are doing.

use sd_notify::NotifyState;
use tokio::time::Interval;

use crate::output::{Snapshots, status_line};

/// When a sign of life is due, if the service manager wants any. It comes from the loop that opens cycles, since a
/// daemon whose loop is stuck is not alive.
pub(super) fn signs_of_life() -> Option<Interval> {
    // Twice as often as it wants them, as sd_watchdog_enabled(3) advises.
    let every = sd_notify::watchdog_enabled().map(|patience| patience / 2);
    every.filter(|every| !every.is_zero()).map(tokio::time::interval)
}

/// Waits until a sign of life is due.
pub(super) async fn due(signs_of_life: &mut Option<Interval>) {
    match signs_of_life {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// Shows the line of `systemctl status` for each snapshot.
pub(super) async fn show_status(mut snapshots: Snapshots) {
    while let Some(snapshot) = snapshots.next().await {
        let line = status_line(&snapshot);
        tracing::debug!(status = line, "cycle closed");
        tell(&[NotifyState::Status(&line)]);
    }
}
