//! What waits to be delivered: bounded, and never in anybody's way.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::render::MAX_IN_MESSAGE;
use crate::alert::Transition;

/// The most transitions that wait. A hall of a thousand nodes that goes dark while the webhook is away is a
/// thousand of them; at about 300 bytes each that is 300 kB. The oldest go first: how things are now matters
/// most.
pub(super) const CAPACITY: usize = 1_024;

/// What became of transitions so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Waiting at present.
    pub waiting: usize,
    /// Taken by the webhook.
    pub delivered: u64,
    /// Dropped: the queue was full, or the webhook was away for too long.
    pub dropped: u64,
    /// Refused by the webhook in a way that trying again does not change.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Transition>,
    counts: Counts,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nobody can panic between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, and drops the oldest where there is no room; gives how many.
    pub(super) fn push(&self, transitions: impl IntoIterator<Item = Transition>) -> usize {
        let n_over = {
            let mut inner = self.lock();
            inner.waiting.extend(transitions);
            let n_over = inner.waiting.len().saturating_sub(CAPACITY);
            inner.waiting.drain(..n_over);
            inner.counts.dropped += u64::try_from(n_over).unwrap_or(u64::MAX);
            n_over
        };
        self.filled.notify_one();
        n_over
    }

    /// The oldest, as many as a message takes.
    pub(super) fn take(&self) -> Vec<Transition> {
        let mut inner = self.lock();
        let n_taken = inner.waiting.len().min(MAX_IN_MESSAGE);
        inner.waiting.drain(..n_taken).collect()
    }

    /// Ends when something was pushed since the last call; at once if something was before it.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(super) fn counts(&self) -> Counts {
        let inner = self.lock();
        Counts { waiting: inner.waiting.len(), ..inner.counts }
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.lock().counts);
    }
}
