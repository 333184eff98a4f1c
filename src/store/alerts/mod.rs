//! The memory of the alerts: their state, and the messages that wait for the webhook. Both change in the
//! transaction that keeps the batch that changed them, so that a process that is killed forgets neither,
//! and raises nothing twice.
//!
//! With SQLite they are where the timeline is, so that whoever writes to it knows the same; what the
//! timeline could not take waits in the spool, and they with it. With PostgreSQL they are in the spool.
//!
//! States have a revision. Whoever judged by an older one than is kept is refused
//! ([`Error::AlertsChanged`](super::Error::AlertsChanged)), and judges again.

mod outbox;
pub(super) mod tables;
#[cfg(test)]
mod tests;

pub use outbox::{Outbox, OutboxMessage, stored_alerts};

use crate::batch::Event;

/// The part of a batch about the alerts.
#[derive(Debug, Clone, Default)]
pub struct AlertRecord {
    /// The alerts that were raised and cleared. Written with the batch's own events, or not at all where the rest of
    /// this cannot be kept.
    pub events: Vec<Event>,
    /// The revision that was judged by; 0 where there was none.
    pub judged_by: i64,
    /// The state that follows, as text; `None` if it is still that of `judged_by`. Its revision is one
    /// more.
    pub state: Option<String>,
    /// Messages for the webhook, as text, in their order.
    pub messages: Vec<String>,
}

/// The state of the alerts that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlertState {
    /// Which one it is: each is one more than the one before it.
    pub revision: i64,
    /// The state, as it was given.
    pub text: String,
}

/// The memory of the alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredAlerts {
    /// The newest state; `None` if none was ever kept.
    pub state: Option<StoredAlertState>,
    /// Number of messages that wait for the webhook.
    pub n_waiting: u64,
}
