//! For a daemon: the side of the spool that takes batches, apart from the side that delivers them, so that
//! a database that keeps us waiting delays no cycle.

use super::alerts::AlertRecord;
use super::spool::{Dropped, Spool, SpoolLimits};
use super::writer::{all_rows, dropped_row};
use super::{Error, failpoint};
use crate::batch::{BatchId, Event};

/// Takes batches into the spool.
#[derive(Debug)]
pub struct SpoolAppender {
    spool: Spool,
    limits: SpoolLimits,
}

impl SpoolAppender {
    pub(super) const fn new(spool: Spool, limits: SpoolLimits) -> Self {
        Self { spool, limits }
    }

    /// Takes a batch. When this returns without an error, the batch is durable, and so is what it says of
    /// the alerts.
    ///
    /// # Errors
    ///
    /// It is not: the disk is full or fails, or the spool is damaged.
    pub async fn take(
        &mut self,
        id: BatchId,
        events: &[Event],
        alerts: Option<&AlertRecord>,
    ) -> Result<Dropped, Error> {
        let rows = all_rows(events, alerts);
        let note = |dropped: Dropped| dropped_row(id, &rows, dropped);
        let dropped = self.spool.append(id, &rows, self.limits, note, alerts).await?;
        if dropped != Dropped::default() {
            let Dropped { batches, rows } = dropped;
            tracing::error!(batches, rows, "spool is full or too old, the oldest batches are dropped");
        }
        failpoint::reach(failpoint::AFTER_SPOOL_APPEND).await;
        Ok(dropped)
    }

    /// Takes leave of the spool. All that was taken is durable already.
    pub async fn close(self) {
        self.spool.close().await;
    }
}
