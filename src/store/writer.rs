//! The writer: it makes a batch durable, and delivers what waits.
//!
//! Constraints: a batch that was kept is in the spool or in the timeline, whole, whatever happens afterwards; batches
//! are delivered in their order; after an error of the disk under the spool nothing is kept any more, since what such
//! a disk reports as durable may not be.
//!
//! PostgreSQL is always written through the spool, also while it is available, so that the way is in use every minute.
//! A SQLite timeline is as durable as the spool and is written directly; its spool has only what the file could not
//! take, such as during the lock of another program.
//!
//! Life cycle: [`Writer::open`] opens the spool and needs no database. [`Writer::keep`] appends a batch and delivers
//! within the bounds of a cycle; it connects when it first has to. A damaged spool is repaired and a moved one is
//! opened again, once for each call. [`Writer::close`] closes the connections.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::AlertRecord;
use super::receipt::{Backlog, Bound, Progress, Receipt};
use super::record::{EventRow, Record, events};
use super::spool::{Dropped, Spool, SpoolLimits, SpoolStatus};
use super::table::TableName;
use super::{Error, FileTrouble, RollUp, StoreUrl, Timeline, failpoint};
use crate::batch::{BatchId, Metadata};
use crate::reading::error_chain;

/// The event that says that batches were dropped; its value is how many.
const DROPPED_EVENT: &str = "spool_dropped";

/// Keeps batches, and delivers them in their order.
#[derive(Debug)]
pub struct Writer {
    state_dir: PathBuf,
    pub(super) store_url: StoreUrl,
    table: String,
    limits: SpoolLimits,
    /// `None` until a SQLite timeline needs it.
    spool: Option<Spool>,
    timeline: Option<Timeline>,
    /// The error that [`Self::connect`] met; the next delivery does not wait for the same again.
    pub(super) connect_error: Option<Error>,
    has_failing_disk: bool,
    /// Whether the last batch had to be written directly.
    pub(super) written_directly: bool,
    /// Whether the database swallowed rows of the last batch.
    pub(super) swallows: bool,
    /// Rows of a SQLite timeline that are older are removed by and by.
    keep: Option<Duration>,
    /// Old quarters of the ledger become days by and by.
    roll_up: Option<RollUp>,
    /// The rows of the last batch.
    pub(super) n_new: u64,
    /// Another program works with the same spool, and delivers what is in it.
    pub(super) is_shared: bool,
}

impl Writer {
    /// Opens the spool of a state directory. The database is not needed yet.
    ///
    /// # Errors
    /// The table's name cannot be used, or the spool cannot be opened. A damaged spool is no error: it is
    /// set aside.
    pub async fn open(
        state_dir: &Path,
        store_url: &StoreUrl,
        table: &str,
        limits: SpoolLimits,
    ) -> Result<Self, Error> {
        let mut writer = Self::new(state_dir, store_url, table, limits)?;
        if !store_url.is_file() || Spool::is_there(state_dir) {
            match Spool::open(state_dir).await {
                // What can be delivered without it is, and there may be room later.
                Err(error) if error.is_full_spool() => {
                    tracing::error!(error = error_chain(&error), "spool cannot be opened");
                }
                spool => writer.spool = Some(spool?),
            }
        }
        Ok(writer)
    }

    /// Opens the spool that another fleetwatt works with: it is not mended, and not delivered. `None` where there
    /// is none.
    ///
    /// # Errors
    /// The table's name cannot be used, or the spool cannot be opened.
    pub async fn join(
        state_dir: &Path,
        store_url: &StoreUrl,
        table: &str,
        limits: SpoolLimits,
    ) -> Result<Option<Self>, Error> {
        let writer = Self::new(state_dir, store_url, table, limits)?;
        let spool = Spool::open_existing(state_dir).await?;
        Ok(spool.map(|spool| Self { spool: Some(spool), is_shared: true, ..writer }))
    }

    fn new(state_dir: &Path, store_url: &StoreUrl, table: &str, limits: SpoolLimits) -> Result<Self, Error> {
        TableName::parse(table)?;
        Ok(Self {
            state_dir: state_dir.to_owned(),
            store_url: store_url.clone(),
            table: table.to_owned(),
            limits,
            spool: None,
            timeline: None,
            connect_error: None,
            has_failing_disk: false,
            written_directly: false,
            swallows: false,
            keep: None,
            roll_up: None,
            n_new: 0,
            is_shared: false,
        })
    }

    /// Connects to the database, so that the next call need not. An error is that call's to tell.
    pub async fn connect(&mut self) {
        if self.timeline.is_none() {
            match Timeline::open(&self.store_url, &self.table).await {
                Ok(timeline) => self.timeline = Some(timeline),
                Err(error) => self.connect_error = Some(error),
            }
        }
    }

    /// Whether [`Self::connect`] met an error: the database takes nothing now.
    pub const fn is_away(&self) -> bool {
        self.connect_error.is_some()
    }

    /// Keeps a batch, and delivers what waits, the oldest first, within bounds of number and time. When
    /// this returns without an error, the batch is durable: in the timeline, or in the spool, and so is
    /// what it says of the alerts, in the same transaction.
    ///
    /// # Errors
    /// The batch could not be kept. After [`Error::is_failing_disk`] nothing is kept any more. After
    /// [`Error::AlertsChanged`] the alerts are to be judged again.
    pub async fn keep(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Receipt, Error> {
        let records = &with_alerts(records, alerts);
        let done = match self.keep_records(id, records, alerts).await {
            // What was done before is safe to do again: a batch has an id.
            Err(error) if error.is_damaged_spool() => {
                self.repair().await?;
                self.keep_records(id, records, alerts).await
            }
            Err(error) if error.is_moved_spool() => self.keep_records(id, records, alerts).await,
            done => done,
        };
        let mut receipt = self.note_failing_disk(done)?;
        receipt.rescued = self.spool.as_mut().and_then(|spool| spool.rescued.take());
        receipt.kept_rows = events(records).len();
        Ok(receipt)
    }

    /// A side of its own that takes batches while this one delivers. `None` with SQLite, whose batches
    /// need no spool, and while the disk is full.
    ///
    /// # Errors
    /// The spool cannot be opened.
    pub async fn appender(&self) -> Result<Option<SpoolAppender>, Error> {
        let has_room = self.spool.as_ref().is_some_and(|spool| !spool.is_on_reserve);
        if self.store_url.is_file() || !has_room {
            return Ok(None);
        }
        Ok(Some(SpoolAppender { spool: Spool::open(&self.state_dir).await?, limits: self.limits }))
    }

    /// Delivers what waits, the oldest first, within bounds of number and time.
    ///
    /// # Errors
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn deliver_some(&mut self) -> Result<Receipt, Error> {
        let mut receipt = Receipt::default();
        let done = self.deliver(Bound::CYCLE, &mut receipt, &mut |_| ()).await;
        self.note_failing_disk(done.map(|()| receipt))
    }

    /// Delivers everything that waits, as far as the database takes it.
    ///
    /// # Errors
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn replay(&mut self, mut progress: impl FnMut(Progress) + Send) -> Result<Receipt, Error> {
        let mut receipt = Receipt::default();
        if self.spool.is_none() && self.store_url.is_file() {
            return Ok(receipt);
        }
        let done = match self.deliver(Bound::ALL, &mut receipt, &mut progress).await {
            Err(error) if error.is_damaged_spool() => {
                self.repair().await?;
                self.deliver(Bound::ALL, &mut receipt, &mut progress).await
            }
            done => done,
        };
        receipt.rescued = self.spool.as_mut().and_then(|spool| spool.rescued.take());
        self.note_failing_disk(done.map(|()| receipt))
    }

    /// The status of the spool.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn spool_status(&mut self) -> Result<SpoolStatus, Error> {
        self.spool().await?.status().await
    }

    /// Does what is not to keep a batch waiting: call it when nobody waits.
    pub async fn maintain(&mut self) {
        if let Some(timeline) = &self.timeline
            && let Err(error) = timeline.maintain().await
        {
            tracing::warn!(error = error_chain(&error), "timeline is not tidied");
        }
        let Some(timeline) = &self.timeline else { return };
        if let Some(rule) = &self.roll_up {
            match timeline.roll_up_step(rule).await {
                Ok(0) => {}
                Ok(rows) => tracing::debug!(rows, "old quarter-hours rolled up to days"),
                Err(error) => {
                    tracing::warn!(error = error_chain(&error), "old quarter-hours are not rolled up");
                }
            }
        }
        let Some(keep) = self.keep else { return };
        match timeline.prune_step(keep, self.n_new).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "old rows removed"),
            Err(error) => tracing::warn!(error = error_chain(&error), "old rows are not removed"),
        }
    }

    /// The same, and old quarters of the ledger are rolled up to days by and by.
    #[must_use]
    pub fn with_roll_up(mut self, rule: RollUp) -> Self {
        self.roll_up = Some(rule);
        self
    }

    /// The same, and rows that are older than this are removed by and by from a timeline in SQLite.
    #[must_use]
    pub const fn with_retention(mut self, keep: Option<Duration>) -> Self {
        self.keep = keep;
        self
    }

    /// Closes the connections. All that was kept is durable already.
    pub async fn close(self) {
        if let Some(timeline) = self.timeline {
            timeline.close().await;
        }
        if let Some(spool) = self.spool {
            spool.close().await;
        }
    }

    async fn keep_records(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Receipt, Error> {
        if self.has_failing_disk {
            return Err(Error::spool(&self.state_dir, FileTrouble::DiskFails));
        }
        let mut receipt = Receipt::default();
        if self.store_url.is_file() && self.is_empty(&mut receipt).await? {
            match self.deliver_rows(id, records, alerts, &mut receipt).await {
                Ok(()) => return Ok(receipt),
                Err(error @ Error::AlertsChanged(_)) => return Err(error),
                // It goes the long way, which has an answer to this.
                Err(error) if error.is_data_error() => {}
                Err(error) => self.connect_error = Some(error),
            }
        }
        match self.append(id, records, alerts).await {
            Err(error) if error.is_full_spool() => {
                return Box::pin(self.keep_on_full_disk(id, records, alerts, error)).await;
            }
            done => receipt.dropped = done?,
        }
        self.written_directly = false;
        match self.deliver(Bound::CYCLE, &mut receipt, &mut |_| ()).await {
            Err(error) if error.is_damaged_spool() || error.is_failing_disk() => return Err(error),
            // The batch is durable, and what is wrong with the spool now, a full disk, does not change that.
            Err(error) => {
                receipt.backlog = Some(Backlog { batches: 1, oldest: Duration::ZERO, error: Some(error) });
            }
            Ok(()) => {}
        }
        Ok(receipt)
    }

    pub(super) async fn append(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Dropped, Error> {
        let limits = self.limits;
        append(self.spool().await?, limits, id, records, alerts).await
    }

    pub(super) async fn timeline(&mut self) -> Result<&Timeline, Error> {
        let timeline = match self.timeline.take() {
            Some(timeline) => timeline,
            None => Timeline::open(&self.store_url, &self.table).await?,
        };
        Ok(self.timeline.insert(timeline))
    }

    /// The spool that is there, or a new one in place of one that was moved away.
    pub(super) async fn spool(&mut self) -> Result<&mut Spool, Error> {
        let spool = match self.spool.take() {
            Some(spool) if spool.is_in_place() => spool,
            Some(spool) => {
                spool.abandon().await;
                Spool::open(&self.state_dir).await?
            }
            None => Spool::open(&self.state_dir).await?,
        };
        Ok(self.spool.insert(spool))
    }

    async fn repair(&mut self) -> Result<(), Error> {
        if let Some(spool) = self.spool.take() {
            self.spool = Some(spool.repair().await?);
        }
        Ok(())
    }

    /// Whether nothing waits before the next batch.
    async fn is_empty(&mut self, receipt: &mut Receipt) -> Result<bool, Error> {
        let Some(spool) = &mut self.spool else {
            receipt.dropped_total = Some(0);
            return Ok(true);
        };
        let status = spool.status().await?;
        receipt.note_totals(&status);
        Ok(status.batches == 0)
    }

    /// Takes note of a failing disk: what it said was durable may not be, and a second try would not find that out.
    fn note_failing_disk(&mut self, done: Result<Receipt, Error>) -> Result<Receipt, Error> {
        if let Err(error) = &done
            && error.is_failing_disk()
        {
            tracing::error!(error = error_chain(&error), "disk of the spool fails, nothing is kept any more");
            self.has_failing_disk = true;
        }
        done
    }
}

/// Appends batches to the spool, beside a [`Writer`] that delivers, so that a slow database delays no cycle.
#[derive(Debug)]
pub struct SpoolAppender {
    spool: Spool,
    limits: SpoolLimits,
}

impl SpoolAppender {
    /// Appends a batch. When this returns without an error, the batch is durable, and so is what it says of
    /// the alerts.
    ///
    /// # Errors
    /// It is not: the disk is full or fails, or the spool is damaged.
    pub async fn append(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Receipt, Error> {
        let records = with_alerts(records, alerts);
        let dropped = append(&mut self.spool, self.limits, id, &records, alerts).await?;
        Ok(Receipt { dropped, kept_rows: events(&records).len(), ..Receipt::default() })
    }

    /// Closes the spool. All that was appended is durable already.
    pub async fn close(self) {
        self.spool.close().await;
    }
}

/// Appends a batch, whose records are complete, and says in it and in the log what had to be dropped for it.
async fn append(
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
fn with_alerts<'a>(records: &'a [Record], alerts: Option<&AlertRecord>) -> Cow<'a, [Record]> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_failing_disk_nothing_is_kept_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let store_url = StoreUrl::sqlite(folder.path().join("f.db"));
        let limits = SpoolLimits { bytes: 1 << 20, age: Duration::from_secs(3_600) };
        let mut writer = Writer::open(folder.path(), &store_url, "unified_timeline", limits).await.unwrap();
        let id = BatchId(uuid::Uuid::now_v7());
        assert!(writer.keep(id, &[], None).await.is_ok());
        let fails = Error::spool("s".as_ref(), FileTrouble::DiskFails);
        assert!(writer.note_failing_disk(Err(fails)).unwrap_err().is_failing_disk());
        assert!(writer.keep(id, &[], None).await.unwrap_err().is_failing_disk());
    }
}
