//! The results of calls to the writer.

use std::time::Duration;

use super::Error;
use super::spool::{Dropped, Rescued, SpoolStatus};
use crate::reading::Timestamp;

/// The result of a call: what it kept and delivered.
#[derive(Debug, Default)]
pub struct Receipt {
    /// Batches that are in the timeline now.
    pub batches: u64,
    /// The rows that came with them.
    pub rows: u64,
    /// The time that the timeline took.
    pub took: Duration,
    /// The rest in the spool.
    pub backlog: Option<Backlog>,
    /// Rows that the database refused for what is in them; they are laid aside in the spool.
    pub dead_letters: u64,
    /// Rows that the database refused while there was no room to lay them aside: they are lost.
    pub refused_rows_lost: u64,
    /// The oldest rows of those that lay aside, dropped since there were too many.
    pub dead_letters_dropped: u64,
    /// All rows that lie aside in the spool by now.
    pub dead_letters_total: u64,
    /// Rows that the database took and of which it shows nothing: a trigger or a rule keeps them.
    pub swallowed: u64,
    /// Energies that the ledger refused: their events are in the timeline, from which they can be computed.
    pub energies_refused: u64,
    /// The batches that no longer fitted into the spool. An event `spool_dropped` of the same batch says so too.
    pub dropped: Dropped,
    /// All batches that were ever dropped before this call; `None` if the spool was not looked at.
    pub dropped_total: Option<u64>,
    /// The rows of the batch itself.
    pub kept_rows: usize,
    /// The spool could not take the batch, so it is in the timeline already, without its `alert` events, which are not
    /// told of yet, and without its energies.
    pub written_directly: bool,
    /// The spool was damaged and is set aside.
    pub rescued: Option<Rescued>,
}

impl Receipt {
    /// Whether the store took all else and something is missing in it that a person should see to.
    pub const fn cost_something(&self) -> bool {
        self.refused_rows_lost > 0
            || self.dead_letters > 0
            || self.swallowed > 0
            || self.energies_refused > 0
            || self.rescued.is_some()
    }

    /// Takes over what the spool has counted.
    pub(super) const fn note_totals(&mut self, spool: &SpoolStatus) {
        self.dead_letters_total = spool.dead_letters;
        self.dropped_total = Some(spool.dropped_total);
    }
}

/// The rest in the spool.
#[derive(Debug)]
pub struct Backlog {
    /// The number of batches; at least.
    pub batches: u64,
    /// The age of the oldest.
    pub oldest: Duration,
    /// Why they wait; `None` if this call only had no more time.
    pub error: Option<Error>,
}

/// The progress of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Batches delivered by now.
    pub delivered: u64,
    /// Batches that waited when it began.
    pub of: u64,
}

/// The result of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Rows that are in the timeline now and were not before; none if the batch was there.
    pub rows: u64,
    /// Rows that the database took and of which it shows nothing: a trigger or a rule keeps them.
    pub swallowed: u64,
    /// From the first statement until the database said that it is durable.
    pub took: Duration,
}

/// The result of pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that were removed, or would be.
    pub rows: u64,
    /// They were measured before this.
    pub before: Timestamp,
    /// The size of the file, before.
    pub bytes_before: u64,
    /// And afterwards.
    pub bytes_after: u64,
}

/// A row that the table does not take, and what it said.
#[derive(Debug)]
pub(super) struct RejectedRow {
    /// Its place in the batch.
    pub(super) row: usize,
    pub(super) error: Error,
}

/// Where a delivery stops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) batches: u64,
    pub(super) within: Duration,
}

impl Bound {
    /// The part of a cycle for batches of the past: after an outage of a day there are 1,440, and at 30 ms
    /// each they are delivered within ten cycles of a minute.
    pub(super) const CYCLE: Self = Self { batches: 500, within: Duration::from_secs(5) };

    /// All that waits.
    pub(super) const ALL: Self = Self { batches: u64::MAX, within: Duration::MAX };
}
