//! The interface to the queue of messages.

use std::future::Future;

use crate::alert::Transition;

/// Where messages wait until they are delivered. It is durable, so that a process that is killed forgets
/// none of them, and bounded.
pub trait Outbox: Send {
    /// The oldest messages, at most so many; never one that was removed. Where it cannot be read, that is
    /// for the implementor to say, and none are given.
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
