//! The last state of the fleet: every output is a function of it.

use std::sync::Arc;

use super::Batch;
use crate::alert::Transition;
use crate::reading::Timestamp;

/// Everything that a cycle left to be shown. Plain data, cheap to share.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last closed cycle.
    pub batch: Arc<Batch>,
    /// Every alert that is active after it, each as the transition that raised it.
    pub alerts: Vec<Transition>,
    /// The store after it took the batch.
    pub store: StoreState,
}

/// The state of the way into the timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreState {
    /// Number of batches that wait in the spool, and since when the oldest does.
    pub waiting: Option<(u64, Timestamp)>,
    /// Since when the database takes nothing, and why.
    pub away: Option<(Timestamp, String)>,
    /// Rows that the database refused, which lie aside in the spool.
    pub dead_letters: u64,
}

impl From<Batch> for Snapshot {
    /// A cycle of which no alert and nothing of the store is known.
    fn from(batch: Batch) -> Self {
        Self { batch: Arc::new(batch), alerts: Vec::new(), store: StoreState::default() }
    }
}
