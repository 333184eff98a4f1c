//! The queue of messages, and retries of each.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::DeliveryError;
use super::post::{RetryPolicy, Webhook};
use super::render::{MAX_IN_MESSAGE, Message};
use crate::alert::Transition;
use crate::reading::error_chain;
use crate::support::backoff::Backoff;
use crate::support::error::Diagnose;
use crate::support::jitter;

/// The queue of messages until they are delivered: durable and bounded.
pub trait Outbox: Send {
    /// The oldest messages, at most so many; never one that was removed, none if it cannot be read.
    fn oldest(&mut self, n_most: usize) -> impl Future<Output = Vec<QueuedMessage>> + Send;

    /// These are done with: taken, refused for good, or given up.
    fn remove(&mut self, ids: Vec<String>) -> impl Future<Output = ()> + Send;
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its id in the outbox.
    pub id: String,
    /// Whether the alert is raised or cleared.
    pub transition: Transition,
}

impl QueuedMessage {
    pub(super) fn apart(waiting: Vec<Self>) -> (Vec<String>, Vec<Transition>) {
        waiting.into_iter().map(|Self { id, transition }| (id, transition)).unzip()
    }
}

/// The state of an endpoint between messages.
#[derive(Debug, Default)]
pub(super) struct EndpointState {
    /// Not to be asked before this instant.
    not_before: Option<Instant>,
    /// Whether the last attempt failed; only changes are logged.
    is_failing: bool,
}

impl Webhook {
    /// Delivers what waits in an outbox by `deadline`, for a run that ends then, and tries again in between;
    /// what is left stays there. `firing` are all alerts that are raised; only Alertmanager is told them,
    /// since it forgets an alert that is not repeated.
    ///
    /// To be called when the cycle's rows are kept, so that it delays none of them.
    ///
    /// # Errors
    /// The last thing that went wrong, which is logged already.
    pub async fn deliver_all(
        &self,
        outbox: &mut impl Outbox,
        firing: &[Transition],
        deadline: Instant,
    ) -> Result<(), DeliveryError> {
        let mut endpoint_state = EndpointState::default();
        let mut told = BTreeSet::new();
        let mut refused = Ok(());
        loop {
            let (ids, transitions) = QueuedMessage::apart(outbox.oldest(MAX_IN_MESSAGE).await);
            if transitions.is_empty() {
                break;
            }
            match self.deliver(&transitions, deadline, &mut endpoint_state).await {
                Ok(()) => (),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => refused = Err(error),
            }
            outbox.remove(ids).await;
            told.extend(transitions.into_iter().map(|transition| transition.key));
        }
        refused?;
        let is_rest = |one: &&Transition| self.must_repeat() && !told.contains(&one.key);
        let rest: Vec<Transition> = firing.iter().filter(is_rest).cloned().collect();
        for chunk in rest.chunks(MAX_IN_MESSAGE) {
            self.deliver(chunk, deadline, &mut endpoint_state).await?;
        }
        Ok(())
    }

    /// Tries one message until it is taken, refused for good, or `deadline` has come; the error is the last
    /// one.
    pub(super) async fn deliver(
        &self,
        transitions: &[Transition],
        deadline: Instant,
        endpoint_state: &mut EndpointState,
    ) -> Result<(), DeliveryError> {
        let mut last = DeliveryError::NoTime(self.endpoint().to_owned());
        let RetryPolicy { initial_backoff, max_backoff, .. } = self.retry_policy;
        let mut backoff = Backoff::new(initial_backoff, max_backoff);
        loop {
            if let Some(not_before) = endpoint_state.not_before {
                if deadline <= not_before {
                    return Err(last);
                }
                sleep_until(not_before).await;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(last);
            }
            // Rendered anew each time: how long it holds counts from when it is sent.
            let message = self.render(transitions);
            match self.attempt(&message, left, endpoint_state).await {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_transient() => {
                    let n_lost = transitions.len();
                    tracing::error!(
                        error = error_chain(&error),
                        n_lost,
                        hint = error.hint().as_ref(),
                        "alerts were refused, and are lost"
                    );
                    return Err(error);
                }
                Err(error) => {
                    let pause = backoff.fail();
                    let asked = if let DeliveryError::Status(_, _, asked) = &error { *asked } else { None };
                    let wait = asked.unwrap_or_else(|| jitter::half_to_whole(pause));
                    endpoint_state.not_before = Instant::now().checked_add(wait);
                    last = error;
                }
            }
        }
    }

    /// One attempt, logged where it changes how things are.
    async fn attempt(
        &self,
        message: &Message,
        left: Duration,
        endpoint_state: &mut EndpointState,
    ) -> Result<(), DeliveryError> {
        let sent = self.post(message, left).await.map(drop);
        match &sent {
            Ok(()) if endpoint_state.is_failing => {
                tracing::info!(endpoint = self.endpoint(), "the webhook takes alerts again");
            }
            // One that is lasting is told where it is known how many there are.
            Err(error) if error.is_transient() && !endpoint_state.is_failing => {
                tracing::warn!(error = error_chain(error), hint = error.hint().as_ref(), "alerts wait");
            }
            Ok(()) | Err(_) => (),
        }
        endpoint_state.is_failing = sent.is_err();
        endpoint_state.not_before = endpoint_state.not_before.filter(|_| sent.is_err());
        sent
    }
}
