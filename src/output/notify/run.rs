//! Delivery beside the cycles: a handle that never waits, and the future that does.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::post::{REPEAT_EVERY, Webhook};
use super::queue::Queue;
use super::render::MAX_IN_MESSAGE;
use super::retry::Pace;
use super::{Counts, DeliveryError};
use crate::alert::{MAX_STANDING, Transition};

/// How long the last messages may take when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Takes transitions for delivery. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NotifierHandle(Arc<Queue>);

impl NotifierHandle {
    /// Hands transitions over. Never waits: where too many wait, the oldest are dropped and counted.
    pub fn push(&self, transitions: impl IntoIterator<Item = Transition>) {
        let n_dropped = self.0.push(transitions);
        if 0 < n_dropped {
            tracing::error!(n_dropped, "alerts are lost: too many wait for the webhook");
        }
    }

    /// What became of transitions so far.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }
}

/// Delivers what its handle is given.
#[derive(Debug)]
pub struct Notifier {
    webhook: Webhook,
    queue: Arc<Queue>,
    pace: Pace,
    /// What is being delivered. Stays here until it is, so that stopping in between loses nothing.
    current: Vec<Transition>,
    /// What is raised, as far as it was handed over. Only kept where it must be repeated.
    firing: BTreeMap<String, Transition>,
}

/// A notifier and its handle. `firing` are the alerts that were raised before the start, which Alertmanager
/// has to be told again.
pub fn notifier(webhook: Webhook, firing: Vec<Transition>) -> (NotifierHandle, Notifier) {
    let queue = Arc::new(Queue::default());
    let mut notifier = Notifier {
        webhook,
        queue: Arc::clone(&queue),
        pace: Pace::default(),
        current: Vec::new(),
        firing: BTreeMap::new(),
    };
    notifier.remember(&firing);
    (NotifierHandle(queue), notifier)
}

impl Notifier {
    /// Delivers until `shutdown` is over, then tries once more for a few seconds. Gives back what is left, for
    /// [`State::keep_undelivered`](crate::alert::State::keep_undelivered).
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Vec<Transition> {
        let mut shutdown = pin!(shutdown);
        let mut repeat = repetitions();
        loop {
            // What a dropped branch was doing is still in `current`, in the queue or in `firing`.
            tokio::select! {
                () = &mut shutdown => break,
                () = self.next(&mut repeat) => (),
            }
        }
        self.take_leave().await
    }

    /// Delivers what waits, or repeats what fires.
    async fn next(&mut self, repeat: &mut Interval) {
        if self.current.is_empty() {
            self.take();
        }
        if !self.current.is_empty() {
            let give_up_at = Instant::now() + self.webhook.patience().give_up_after;
            let delivered = self.webhook.deliver(&self.current, give_up_at, &mut self.pace).await;
            self.settle(delivered);
            return;
        }
        let must_repeat = self.webhook.must_repeat() && !self.firing.is_empty();
        tokio::select! {
            () = self.queue.filled() => (),
            _ = repeat.tick(), if must_repeat => self.repeat().await,
        }
    }

    fn take(&mut self) {
        self.current = self.queue.take();
        let taken = self.current.clone();
        self.remember(&taken);
    }

    fn remember(&mut self, transitions: &[Transition]) {
        if !self.webhook.must_repeat() {
            return;
        }
        for transition in transitions {
            if !transition.raised {
                self.firing.remove(&transition.key);
            } else if self.firing.len() < MAX_STANDING {
                self.firing.insert(transition.key.clone(), transition.clone());
            }
        }
    }

    /// Counts what became of the current message, and is done with it.
    fn settle(&mut self, delivered: Result<(), DeliveryError>) {
        let n = u64::try_from(self.current.len()).unwrap_or(u64::MAX);
        self.current.clear();
        match delivered {
            Ok(()) => self.queue.count(|counts| counts.delivered += n),
            Err(error) if error.is_lasting() => self.queue.count(|counts| counts.refused += n),
            Err(error) => {
                self.queue.count(|counts| counts.dropped += n);
                tracing::error!(%error, n_dropped = n, "alerts are lost: the webhook was away for too long");
            }
        }
    }

    /// Tells again what fires. Not for long: the next time is near.
    async fn repeat(&mut self) {
        let firing: Vec<Transition> = self.firing.values().cloned().collect();
        for chunk in firing.chunks(MAX_IN_MESSAGE) {
            let deadline = Instant::now() + REPEAT_EVERY / 2;
            if self.webhook.deliver(chunk, deadline, &mut self.pace).await.is_err() {
                return;
            }
        }
    }

    async fn take_leave(mut self) -> Vec<Transition> {
        let deadline = Instant::now() + FAREWELL;
        let mut left = Vec::new();
        loop {
            if self.current.is_empty() {
                self.take();
            }
            if self.current.is_empty() {
                return left;
            }
            let chunk = self.current.clone();
            match self.webhook.deliver(&chunk, deadline, &mut self.pace).await {
                Err(error) if !error.is_lasting() => {
                    left.extend(chunk);
                    self.current.clear();
                }
                settled @ (Ok(()) | Err(_)) => self.settle(settled),
            }
        }
    }
}

fn repetitions() -> Interval {
    let mut repeat = interval(REPEAT_EVERY);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    repeat
}
