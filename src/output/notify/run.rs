//! Delivery beside the cycles: a handle that never waits, and the future that does.

use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::DeliveryError;
use super::post::{REPEAT_EVERY, Webhook};
use super::render::MAX_IN_MESSAGE;
use super::retry::{EndpointState, Outbox, QueuedMessage};
use crate::alert::Transition;
use crate::support::error::Diagnose;

/// Time limit of the last messages when the daemon stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Interval at which the outbox is read without being woken: another process may use it too.
const OUTBOX_POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Says that messages may wait.
#[derive(Debug)]
pub struct NotifierHandle {
    firing: watch::Sender<Vec<Transition>>,
    must_repeat: bool,
}

impl NotifierHandle {
    /// Messages may wait. `firing`, all raised alerts, is called where they must be repeated. Never waits.
    pub fn wake(&self, firing: impl FnOnce() -> Vec<Transition>) {
        self.firing.send_replace(if self.must_repeat { firing() } else { Vec::new() });
    }
}

/// Delivers what waits in an outbox.
#[derive(Debug)]
pub struct Notifier<O> {
    webhook: Webhook,
    outbox: O,
    endpoint_state: EndpointState,
    firing: watch::Receiver<Vec<Transition>>,
}

/// A notifier and its handle. `firing` were raised before the start; Alertmanager has to be told them again.
pub fn notifier<O: Outbox>(
    webhook: Webhook,
    outbox: O,
    firing: Vec<Transition>,
) -> (NotifierHandle, Notifier<O>) {
    let must_repeat = webhook.must_repeat();
    let (sender, firing) = watch::channel(firing);
    let notifier = Notifier { webhook, outbox, endpoint_state: EndpointState::default(), firing };
    (NotifierHandle { firing: sender, must_repeat }, notifier)
}

impl<O: Outbox> Notifier<O> {
    /// Delivers until `shutdown` is over, then tries once more for a few seconds.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut repeat = repetitions();
        loop {
            // What a dropped branch was doing is still in the outbox or among what fires.
            tokio::select! {
                () = &mut shutdown => break,
                () = self.next(&mut repeat) => (),
            }
        }
        self.drain().await;
    }

    /// Delivers what waits, or repeats what fires.
    async fn next(&mut self, repeat: &mut Interval) {
        // Before the look, so that what comes after it wakes us.
        let must_repeat = self.webhook.must_repeat() && !self.firing.borrow_and_update().is_empty();
        let waiting = self.outbox.oldest(MAX_IN_MESSAGE).await;
        if !waiting.is_empty() {
            let give_up_at = Instant::now() + self.webhook.retry_policy.give_up_after;
            self.deliver(waiting, give_up_at, true).await;
            return;
        }
        tokio::select! {
            changed = self.firing.changed() => if changed.is_err() {
                // Nobody is left who could say something: the end is near.
                pending::<()>().await;
            },
            _ = repeat.tick(), if must_repeat => self.repeat().await,
            () = sleep(OUTBOX_POLL_INTERVAL) => (),
        }
    }

    /// Delivers a message by `deadline`; says whether it is done with. If `gives_up`, one that the webhook
    /// answers and does not take until then is dropped; one that is away gets it when it is back.
    async fn deliver(&mut self, waiting: Vec<QueuedMessage>, deadline: Instant, gives_up: bool) -> bool {
        let (ids, transitions) = QueuedMessage::apart(waiting);
        match self.webhook.deliver(&transitions, deadline, &mut self.endpoint_state).await {
            Ok(()) => (),
            Err(error) if !error.is_transient() => (),
            Err(error @ DeliveryError::Status(..)) if gives_up => {
                let n_given_up = transitions.len();
                tracing::error!(%error, n_given_up, "webhook took these alerts for too long not: they are given up");
            }
            Err(_) => return false,
        }
        self.outbox.remove(ids).await;
        true
    }

    /// Tells again what fires. Not for long: the next time is near.
    async fn repeat(&mut self) {
        let firing = self.firing.borrow().clone();
        for chunk in firing.chunks(MAX_IN_MESSAGE) {
            let deadline = Instant::now() + REPEAT_EVERY / 2;
            if self.webhook.deliver(chunk, deadline, &mut self.endpoint_state).await.is_err() {
                return;
            }
        }
    }

    async fn drain(mut self) {
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        loop {
            let waiting = self.outbox.oldest(MAX_IN_MESSAGE).await;
            if waiting.is_empty() || !self.deliver(waiting, deadline, false).await {
                return;
            }
        }
    }
}

fn repetitions() -> Interval {
    let mut repeat = interval(REPEAT_EVERY);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    repeat
}
