//! What is kept of the alerts: their state, and the messages that wait for the webhook. Both change in the
//! transaction that keeps the batch that changed them, so that a process that is killed forgets neither,
//! and raises nothing twice.
//!
//! With SQLite they are where the timeline is, so that whoever writes to it knows the same; what the
//! timeline could not take waits in the spool, and they with it. With PostgreSQL they are in the spool.
//!
//! States have a revision. Whoever judged by an older one than is kept is refused
//! ([`Error::AlertsChanged`](super::Error::AlertsChanged)), and judges again.

mod outbox;
mod sources;
mod state;
pub(super) mod tables;
#[cfg(test)]
mod tests;

pub use outbox::{Outbox, OutboxMessage};
pub use sources::stored_alerts;
pub use state::{AlertRecord, StoredAlertState, StoredAlerts};
