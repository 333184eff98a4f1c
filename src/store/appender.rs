//! Appends batches to the spool. A daemon has an appender of its own beside the [`Writer`](super::Writer) that
//! delivers, so that a slow database delays no cycle.

use std::borrow::Cow;

use super::alerts::AlertRecord;
use super::record::{EventRow, Record};
use super::spool::{Dropped, Spool, SpoolLimits};
use super::{Error, failpoint};
use crate::batch::{BatchId, Metadata};

/// The event that says that batches were dropped; its value is how many.
const DROPPED_EVENT: &str = "spool_dropped";

/// Appends batches to the spool.
#[derive(Debug)]
pub struct SpoolAppender {
    spool: Spool,
    limits: SpoolLimits,
}

impl SpoolAppender {
    pub(super) const fn new(spool: Spool, limits: SpoolLimits) -> Self {
        Self { spool, limits }
    }

    /// Appends a batch. When this returns without an error, the batch is durable, and so is what it says of
    /// the alerts.
    ///
    /// # Errors
    ///
    /// It is not: the disk is full or fails, or the spool is damaged.
    pub async fn append(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Dropped, Error> {
        append(&mut self.spool, self.limits, id, &with_alerts(records, alerts), alerts).await
    }

    /// Closes the spool. All that was appended is durable already.
    pub async fn close(self) {
        self.spool.close().await;
    }
}

/// Appends a batch, whose records are complete, and says in it and in the log what had to be dropped for it.
pub(super) async fn append(
    spool: &mut Spool,
    limits: SpoolLimits,
    id: BatchId,
    records: &[Record],
    alerts: Option<&AlertRecord>,
) -> Result<Dropped, Error> {
    let note = |dropped: Dropped| dropped_record(id, records, dropped);
    let dropped = spool.append(id, records, limits, note, alerts).await?;
    if dropped != Dropped::default() {
        let Dropped { batches, rows } = dropped;
        tracing::error!(batches, rows, "spool is full or too old, the oldest batches are dropped");
    }
    failpoint::reach(failpoint::AFTER_SPOOL_APPEND).await;
    Ok(dropped)
}

/// The records of a batch, those of its alerts last.
pub(super) fn with_alerts<'a>(records: &'a [Record], alerts: Option<&AlertRecord>) -> Cow<'a, [Record]> {
    match alerts.map(|alerts| Record::from_events(&alerts.events)) {
        Some(of_alerts) if !of_alerts.is_empty() => Cow::Owned([records, &of_alerts].concat()),
        Some(_) | None => Cow::Borrowed(records),
    }
}

/// The event that says that batches were dropped, at the time of the batch that it goes with.
fn dropped_record(id: BatchId, records: &[Record], dropped: Dropped) -> Record {
    let metadata =
        serde_json::json!({"batch": id.to_string(), "batches": dropped.batches, "rows": dropped.rows});
    Record::Event(EventRow {
        event_type: DROPPED_EVENT.to_owned(),
        source: "fleetwatt".to_owned(),
        value: u32::try_from(dropped.batches).ok().map(f64::from),
        metadata: Metadata::of(&metadata),
        created_at: records.iter().map(Record::created_at).max().unwrap_or_default(),
    })
}
