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

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::AlertRecord;
use super::appender::{SpoolAppender, append, with_alerts};
use super::receipt::{Backlog, Bound, Progress, Receipt};
use super::record::Record;
use super::spool::{Dropped, Spool, SpoolLimits, SpoolStatus};
use super::store_url::Backend;
use super::table::TableName;
use super::{Error, FileTrouble, StoreUrl, Timeline};
use crate::batch::BatchId;
use crate::reading::error_chain;

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
    /// What [`Self::connect`] met; the next delivery does not wait for the same again.
    pub(super) connect_error: Option<Error>,
    has_failing_disk: bool,
    /// Whether the last batch had to be written directly.
    pub(super) written_directly: bool,
    /// Whether the database swallowed rows of the last batch.
    pub(super) swallows: bool,
    /// Rows of a SQLite timeline that are older are removed by and by.
    keep: Option<Duration>,
    /// The rows of the last batch.
    pub(super) n_new: u64,
    /// Another program works with the same spool, and delivers what is in it.
    is_shared: bool,
}

impl Writer {
    /// Opens the spool of a state directory. The database is not needed yet.
    ///
    /// # Errors
    ///
    /// The table's name cannot be used, or the spool cannot be opened. A damaged spool is no error: it is
    /// set aside.
    pub async fn open(
        state_dir: &Path,
        store_url: &StoreUrl,
        table: &str,
        limits: SpoolLimits,
    ) -> Result<Self, Error> {
        TableName::parse(table)?;
        let is_needed = matches!(store_url.backend(), Backend::Postgres(_)) || Spool::is_there(state_dir);
        let spool = match if is_needed { Some(Spool::open(state_dir).await) } else { None } {
            // What can be delivered without it is, and there may be room later.
            Some(Err(error)) if error.is_full_spool() => {
                tracing::error!(error = error_chain(&error), "spool cannot be opened");
                None
            }
            spool => spool.transpose()?,
        };
        Ok(Self::new(state_dir, store_url, table, limits, spool, false))
    }

    /// Opens the spool that another fleetwatt works with: it is not mended, and not delivered. `None` where there
    /// is none.
    ///
    /// # Errors
    ///
    /// The table's name cannot be used, or the spool cannot be opened.
    pub async fn join(
        state_dir: &Path,
        store_url: &StoreUrl,
        table: &str,
        limits: SpoolLimits,
    ) -> Result<Option<Self>, Error> {
        TableName::parse(table)?;
        let Some(spool) = Spool::open_existing(state_dir).await? else { return Ok(None) };
        Ok(Some(Self::new(state_dir, store_url, table, limits, Some(spool), true)))
    }

    fn new(
        state_dir: &Path,
        store_url: &StoreUrl,
        table: &str,
        limits: SpoolLimits,
        spool: Option<Spool>,
        is_shared: bool,
    ) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            store_url: store_url.clone(),
            table: table.to_owned(),
            limits,
            spool,
            timeline: None,
            connect_error: None,
            has_failing_disk: false,
            written_directly: false,
            swallows: false,
            keep: None,
            n_new: 0,
            is_shared,
        }
    }

    /// Whether what waits in the spool is this one's to deliver.
    pub(super) const fn delivers(&self) -> bool {
        !self.is_shared
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
    ///
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
        receipt.rescued = self.spool.as_mut().and_then(Spool::take_rescued);
        receipt.kept_rows = records.len();
        Ok(receipt)
    }

    /// A side of its own that takes batches while this one delivers. `None` with SQLite, whose batches
    /// need no spool, and while the disk is full.
    ///
    /// # Errors
    ///
    /// The spool cannot be opened.
    pub async fn appender(&self) -> Result<Option<SpoolAppender>, Error> {
        let has_room = self.spool.as_ref().is_some_and(|spool| !spool.is_on_reserve());
        match self.store_url.backend() {
            Backend::Postgres(_) if has_room => {
                Ok(Some(SpoolAppender::new(Spool::open(&self.state_dir).await?, self.limits)))
            }
            Backend::Postgres(_) | Backend::Sqlite(_) => Ok(None),
        }
    }

    /// Delivers what waits, the oldest first, within bounds of number and time.
    ///
    /// # Errors
    ///
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn deliver_some(&mut self) -> Result<Receipt, Error> {
        let mut receipt = Receipt::default();
        let done = self.deliver(Bound::CYCLE, &mut receipt, &mut |_| ()).await;
        self.note_failing_disk(done.map(|()| receipt))
    }

    /// Delivers everything that waits, as far as the database takes it.
    ///
    /// # Errors
    ///
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn replay(&mut self, mut progress: impl FnMut(Progress) + Send) -> Result<Receipt, Error> {
        let bound = Bound::ALL;
        let mut receipt = Receipt::default();
        if self.spool.is_none() && matches!(self.store_url.backend(), Backend::Sqlite(_)) {
            return Ok(receipt);
        }
        let done = match self.deliver(bound, &mut receipt, &mut progress).await {
            Err(error) if error.is_damaged_spool() => {
                self.repair().await?;
                self.deliver(bound, &mut receipt, &mut progress).await
            }
            done => done,
        };
        receipt.rescued = self.spool.as_mut().and_then(Spool::take_rescued);
        self.note_failing_disk(done.map(|()| receipt))
    }

    /// What is in the spool.
    ///
    /// # Errors
    ///
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
        self.prune().await;
    }

    /// The same, and rows that are older than this are removed by and by from a timeline in SQLite.
    #[must_use]
    pub const fn with_retention(mut self, keep: Option<Duration>) -> Self {
        self.keep = keep;
        self
    }

    async fn prune(&mut self) {
        let (Some(keep), Some(timeline)) = (self.keep, &self.timeline) else { return };
        match timeline.prune_step(keep, self.n_new).await {
            Ok(0) => {}
            Ok(rows) => tracing::debug!(rows, "old rows removed"),
            Err(error) => tracing::warn!(error = error_chain(&error), "old rows are not removed"),
        }
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
        if matches!(self.store_url.backend(), Backend::Sqlite(_)) && self.is_empty(&mut receipt).await? {
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
        let Some(spool) = &mut self.spool else { return Ok(true) };
        let status = spool.status().await?;
        receipt.dead_letters_total = status.dead_letters;
        Ok(status.batches == 0)
    }

    /// What a failing disk said was durable may not be, and a second try would not find that out.
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
