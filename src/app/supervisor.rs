//! What a service manager is told: that we are ready, alive, and what we are doing.

use sd_notify::NotifyState;
use tokio::time::Interval;

use super::writing::StoreState;
use crate::batch::Batch;
use crate::reading::{Presence, SolixReport};
use crate::support::counted;

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
        tell(&[NotifyState::Ready]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// A sign of life. Comes from the loop that opens cycles, since a daemon whose loop is stuck is not alive.
    pub(super) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The line that `systemctl status` shows.
    pub(super) fn status(&self, batch: &Batch, store: &StoreState) {
        let totals = batch.totals();
        let power = totals.power.map_or_else(|| "no power reading".to_owned(), |power| power.to_string());
        let line = format!(
            "{} of {} nodes, {}, {power}{}; {store}",
            totals.nodes_reporting,
            totals.nodes_expected,
            counted(totals.gpus_reporting, "GPU", "GPUs"),
            batch.solix.as_ref().map(stations).unwrap_or_default()
        );
        tracing::debug!(status = line, "cycle closed");
        tell(&[NotifyState::Status(&line)]);
    }
}

/// The stations in a few words: the last charge of each, or that it is not heard of.
fn stations(solix: &SolixReport) -> String {
    let message = solix.stations.iter().map(|status| {
        let soc = status.last.as_ref().and_then(|last| last.soc.as_ref().ok());
        let name = solix.name_of(&status.station);
        match soc.filter(|_| status.presence == Presence::Live) {
            Some(soc) => format!("; {name} at {soc}"),
            None => format!("; {name} {}", status.presence.label()),
        }
    });
    let message: String = message.collect();
    let trouble = solix.trouble.as_ref().map(|trouble| format!("; solix: {}", trouble.kind));
    format!("{message}{}", trouble.unwrap_or_default())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
