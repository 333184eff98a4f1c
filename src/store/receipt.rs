//! What a call to the writer did, for whoever made it.

use std::time::Duration;

use super::Error;
use super::spool::{Dropped, Rescued};

/// What one call kept and delivered.
#[derive(Debug, Default)]
pub struct Receipt {
    /// Batches that are in the timeline now.
    pub batches: u64,
    /// The rows that came with them.
    pub rows: u64,
    /// How long the timeline took.
    pub took: Duration,
    /// What is left in the spool.
    pub backlog: Option<Backlog>,
    /// Rows that the database refused for what is in them; they are laid aside in the spool.
    pub dead_letters: u64,
    /// The oldest rows of those that lay aside, dropped since there were too many.
    pub dead_letters_dropped: u64,
    /// All rows that lie aside in the spool by now.
    pub dead_letters_total: u64,
    /// Rows that the database took and of which it shows nothing: a trigger or a rule keeps them.
    pub swallowed: u64,
    /// What no longer fitted into the spool. An event `spool_dropped` of the same batch says so too.
    pub dropped: Dropped,
    /// The rows of the batch itself.
    pub kept_rows: usize,
    /// The spool could not take the batch, so it is in the timeline already, without its `alert` events: these are
    /// not told of yet.
    pub written_directly: bool,
    /// The spool was damaged and is set aside.
    pub rescued: Option<Rescued>,
}

impl Receipt {
    /// Whether the store took all else and something is missing in it that a person should see to.
    pub const fn cost_something(&self) -> bool {
        self.dead_letters > 0 || self.swallowed > 0 || self.rescued.is_some()
    }
}

/// What is left in the spool.
#[derive(Debug)]
pub struct Backlog {
    /// How many batches; at least.
    pub batches: u64,
    /// How long the oldest has been waiting.
    pub oldest: Duration,
    /// Why they wait; `None` if this call only had no more time.
    pub error: Option<Error>,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Batches delivered by now.
    pub delivered: u64,
    /// Batches that waited when it began.
    pub of: u64,
}
