//! Alerts of a cycle: the rules judged, their events for the batch, and whom to tell.

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Environment, Error, Settings};
use crate::alert::{Facts, Rules, Scope, SpoolFacts, State, Transition, evaluate};
use crate::batch::{Batch, alert_rules};
use crate::cycle::Clock;
use crate::inventory::Inventory;
use crate::output::notify::{NotifierHandle, Webhook, notifier};
use crate::reading::Timestamp;

/// The rules and what is known of the alerts.
#[derive(Debug)]
pub(super) struct Alerting {
    rules: Rules,
    state: State,
}

/// What the rules are to know beside the cycle itself.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// How many batches wait, and since when the oldest does.
    pub(super) waiting: Option<(u64, Timestamp)>,
    /// Since when the database takes nothing.
    pub(super) away_since: Option<Timestamp>,
    /// How many rows lie aside, since the database refused them.
    pub(super) rows_aside: u64,
    /// Why the last edit of the inventory could not be taken.
    pub(super) reload_failed: Option<String>,
}

impl Alerting {
    pub(super) fn new(settings: &Settings, state: State) -> Self {
        Self { rules: alert_rules(&settings.inventory.alerts.rules), state }
    }

    /// Takes the rules of another inventory; what is raised stays so until they say otherwise.
    pub(super) fn adopt(&mut self, settings: &Settings) {
        self.rules = alert_rules(&settings.inventory.alerts.rules);
    }

    /// Judges a cycle. What changed is to be written with it, and told when it is kept; only then is the
    /// state that comes with it to be [taken over](Self::accept).
    pub(super) fn judge(
        &self,
        batch: &Batch,
        scope: Scope,
        around: Surroundings,
    ) -> (Vec<Transition>, State) {
        let facts = Facts {
            spool: around.waiting.map(|(n_batches, oldest_at)| SpoolFacts { n_batches, oldest_at }),
            store_away_since: around.away_since,
            rows_aside: around.rows_aside,
            reload_failed: around.reload_failed,
            ..batch.alert_facts(scope)
        };
        let mut state = self.state.clone();
        let transitions = evaluate(&self.rules, &mut state, &facts);
        (transitions, state)
    }

    /// The batch is kept, so its alerts are what is known from now on.
    pub(super) fn accept(&mut self, state: State) {
        self.state = state;
    }

    /// Tells what changed, and what an earlier run could not tell. What is left is kept for the next one.
    pub(super) async fn tell(&mut self, webhook: &Webhook, transitions: Vec<Transition>, deadline: Instant) {
        let mut tell = self.state.take_undelivered();
        tell.extend(transitions);
        let told = webhook.deliver_all(&tell, &self.state.firing(), deadline).await;
        self.state.keep_undelivered(told.undelivered);
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// Whoever tells people, in a task of its own.
#[derive(Debug)]
pub(super) struct Teller {
    handle: NotifierHandle,
    stop: oneshot::Sender<()>,
    task: JoinSet<Vec<Transition>>,
}

impl Teller {
    /// Begins with what could not be told before.
    pub(super) fn start(webhook: Webhook, state: &mut State) -> Self {
        let (handle, notifier) = notifier(webhook, state.firing());
        handle.push(state.take_undelivered());
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(notifier.run(async {
            // Dropped or sent, it is the end.
            drop(stopped.await);
        }));
        Self { handle, stop, task }
    }

    /// Never waits.
    pub(super) fn tell(&self, transitions: Vec<Transition>) {
        self.handle.push(transitions);
    }

    /// Tells the rest, and gives back what could not be told by `deadline`.
    pub(super) async fn end(self, deadline: Instant) -> Vec<Transition> {
        let Self { stop, mut task, .. } = self;
        drop(stop);
        match timeout_at(deadline, task.join_next()).await {
            Ok(Some(Ok(left))) => left,
            Ok(Some(Err(_)) | None) | Err(_) => {
                tracing::error!("alerts that were not told yet are lost");
                Vec::new()
            }
        }
    }
}

/// The webhook of an inventory, if it names one.
///
/// # Errors
/// Its URL cannot be read or is not one.
pub(super) fn webhook(inventory: &Inventory, environment: Environment) -> Result<Option<Webhook>, Error> {
    let Some(written) = &inventory.alerts.webhook else { return Ok(None) };
    let url = environment.secret("webhook's URL", &written.url)?;
    let interval = inventory.cycle.interval;
    let webhook = Webhook::new(&url, written, interval, || Clock.now()).map_err(Error::Webhook)?;
    Ok(Some(webhook))
}
