//! What a service manager is told: that we are ready, alive, and what we are doing.

use sd_notify::NotifyState;
use tokio::time::Interval;

use crate::output::{Snapshots, status_line};

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// When a sign of life is due, if it wants any.
    signs_of_life: Option<Interval>,
}

impl Supervisor {
    pub(super) fn from_environment() -> Self {
        // Twice as often as it wants them, as sd_watchdog_enabled(3) advises.
        let every = sd_notify::watchdog_enabled().map(|patience| patience / 2);
        Self { signs_of_life: every.filter(|every| !every.is_zero()).map(tokio::time::interval) }
    }

    /// Waits until a sign of life is due.
    pub(super) async fn due(&mut self) {
        match &mut self.signs_of_life {
            Some(interval) => drop(interval.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Up, or done with reloading.
    pub(super) fn ready(&self) {
        notify_systemd(&[NotifyState::Ready]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify_systemd(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
        }
    }

    pub(super) fn stopping(&self) {
        notify_systemd(&[NotifyState::Stopping]);
    }

    /// A sign of life. Comes from the loop that opens cycles, since a daemon whose loop is stuck is not alive.
    pub(super) fn alive(&self) {
        notify_systemd(&[NotifyState::Watchdog]);
    }
}

/// Shows the line of `systemctl status` for each snapshot.
pub(super) async fn show_status(mut snapshots: Snapshots) {
    while let Some(snapshot) = snapshots.next().await {
        let line = status_line(&snapshot);
        tracing::debug!(status = line, "cycle closed");
        notify_systemd(&[NotifyState::Status(&line)]);
    }
}

fn notify_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
