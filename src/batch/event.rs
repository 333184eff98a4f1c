//! The types of a cycle's product, and the last state of the fleet, of which every output is a function.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Metadata, Today};
use crate::alert::Transition;
use crate::ledger::EnergyTotal;
use crate::reading::{AccountReport, Device, Fault, Outcome, SampleCounts, Span, Timestamp};

/// A batch's identity: a UUID of version 7, so that ids sort by time. It stands in every row's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub Uuid);

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One host in one cycle: exactly one outcome, and what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReport {
    /// The node's name in the inventory.
    pub node: String,
    /// Where it was asked: address, alias or `localhost`.
    pub address: String,
    /// The jump host that it is asked through, if the inventory names one.
    pub jump: Option<String>,
    /// Labels of the inventory.
    pub labels: BTreeMap<String, String>,
    /// From the question to the complete answer.
    pub span: Span,
    /// The time that the probe itself took on the host's side of the session: its own cost.
    pub probe_time: Duration,
    /// The outcome of the attempt.
    pub outcome: Outcome,
    /// The GPUs that answered, in the order of their rows.
    pub gpus: Vec<Device>,
    /// Number of GPUs that the host should have: by the inventory, else as many as it ever showed.
    pub gpus_expected: Option<usize>,
    /// Faults although readings came, and remarks.
    pub faults: Vec<Fault>,
    /// The samples since the cycle before, of all GPUs; `None` where it was not sampled.
    pub samples: Option<SampleCounts>,
    /// Whether the inventory says that somebody works on it: what fails there is no alert and no failure of
    /// the fleet.
    pub maintenance: bool,
}

/// Everything that one cycle learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The batch's identity.
    pub id: BatchId,
    /// When the cycle began.
    pub started_at: Timestamp,
    /// One report per host of the inventory, in its order.
    pub reports: Vec<HostReport>,
    /// The news of a vendor's account since the last cycle; `None` where the inventory has none.
    pub account: Option<AccountReport>,
}

/// One row of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `gpu_power_draw`, `node_up`, …
    pub event_type: &'static str,
    /// Its subject: `gpu_<node>`, `node_<node>`, …
    pub source: String,
    /// The value in the event type's unit; `None` where there is none. Always finite.
    pub value: Option<f64>,
    /// Everything else. Holds the batch's id as `batch`.
    pub metadata: Metadata,
    /// The time of measurement.
    pub at: Timestamp,
}

/// Everything that a cycle left to be shown. Plain data, cheap to share.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last closed cycle.
    pub batch: Arc<Batch>,
    /// Every alert that is active after it, each as the transition that raised it.
    pub alerts: Vec<Transition>,
    /// The store after it took the batch.
    pub store: StoreState,
    /// The day so far; `None` where nobody adds it up.
    pub today: Option<Today>,
    /// All that was measured of each series, by its name, where that is known.
    pub energy: BTreeMap<String, EnergyTotal>,
    /// Whether the last edit of the inventory could not be taken.
    pub is_reload_failed: bool,
    /// From one cycle to the next; `None` where no other follows.
    pub interval: Option<Duration>,
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
    /// All batches that were ever dropped since the spool was full or they were too old, if that is known.
    pub dropped_batches: Option<u64>,
}

impl From<Batch> for Snapshot {
    /// A cycle of which no alert and nothing of the store is known.
    fn from(batch: Batch) -> Self {
        Self {
            batch: Arc::new(batch),
            alerts: Vec::new(),
            store: StoreState::default(),
            today: None,
            energy: BTreeMap::new(),
            is_reload_failed: false,
            interval: None,
        }
    }
}
