//! The way of a batch: into the spool, from there into the timeline, out of the spool.
//!
//! PostgreSQL is always written through the spool, also when it is there: one way, walked every minute.
//! A SQLite timeline is as durable as a spool, so it is written directly, and the spool has only what it
//! could not take: another program's lock, a full disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::intake::Intake;
use super::location::Place;
use super::rows::Row;
use super::spool::{Dropped, Spool, SpoolLimits, SpoolStatus, Waiting};
use super::table::TableName;
use super::{Error, FileTrouble, Location, Refusal, Timeline, failpoint};
use crate::batch::{BatchId, Event, Metadata};

/// What a cycle may spend on batches of the past: after an outage of a day there are 1,440, and at 30 ms
/// each they are delivered within ten cycles of a minute.
const BATCHES_A_CALL: u64 = 500;
const DELIVER_WITHIN: Duration = Duration::from_secs(5);

/// The event that says that batches were dropped; its value is how many.
const DROPPED_EVENT: &str = "spool_dropped";

/// Keeps batches, and delivers them in their order.
#[derive(Debug)]
pub struct Writer {
    state_dir: PathBuf,
    location: Location,
    table: String,
    limits: SpoolLimits,
    /// `None` until a SQLite timeline needs it.
    spool: Option<Spool>,
    timeline: Option<Timeline>,
    /// What [`Self::connect`] met; the next delivery does not wait for the same again.
    refused: Option<Error>,
    has_failing_disk: bool,
}

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
    pub left: Option<Left>,
    /// Rows that the database refused for what is in them; they are laid aside in the spool.
    pub dead_letters: u64,
    /// What no longer fitted into the spool. An event `spool_dropped` of the same batch says so too.
    pub dropped: Dropped,
}

/// What is left in the spool.
#[derive(Debug)]
pub struct Left {
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

/// Where a delivery stops.
#[derive(Debug, Clone, Copy)]
struct Bound {
    batches: u64,
    within: Duration,
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
        location: &Location,
        table: &str,
        limits: SpoolLimits,
    ) -> Result<Self, Error> {
        TableName::parse(table)?;
        let is_needed = matches!(location.place(), Place::Postgres(_)) || Spool::is_there(state_dir);
        Ok(Self {
            state_dir: state_dir.to_owned(),
            location: location.clone(),
            table: table.to_owned(),
            limits,
            spool: if is_needed { Some(Spool::open(state_dir).await?) } else { None },
            timeline: None,
            refused: None,
            has_failing_disk: false,
        })
    }

    /// Connects to the database, so that the next call need not. An error is that call's to tell.
    pub async fn connect(&mut self) {
        if self.timeline.is_none() {
            match Timeline::open(&self.location, &self.table).await {
                Ok(timeline) => self.timeline = Some(timeline),
                Err(error) => self.refused = Some(error),
            }
        }
    }

    /// Whether [`Self::connect`] met an error: the database takes nothing now.
    pub const fn is_away(&self) -> bool {
        self.refused.is_some()
    }

    /// Keeps a batch, and delivers what waits, the oldest first, within bounds of number and time. When
    /// this returns without an error, the batch is durable: in the timeline, or in the spool.
    ///
    /// # Errors
    ///
    /// The batch could not be kept. After [`Error::is_failing_disk`] nothing is kept any more.
    pub async fn keep(&mut self, id: BatchId, events: &[Event]) -> Result<Receipt, Error> {
        let rows = Row::all(events);
        let done = match self.keep_rows(id, &rows).await {
            // What was done before is safe to do again: a batch has an id.
            Err(error) if error.is_damaged_spool() => {
                self.mend().await?;
                self.keep_rows(id, &rows).await
            }
            done => done,
        };
        self.watch(done)
    }

    /// A side of its own that takes batches while this one delivers. `None` with SQLite, whose batches
    /// need no spool.
    ///
    /// # Errors
    ///
    /// The spool cannot be opened.
    pub async fn intake(&self) -> Result<Option<Intake>, Error> {
        match self.location.place() {
            Place::Postgres(_) => Ok(Some(Intake::new(Spool::open(&self.state_dir).await?, self.limits))),
            Place::Sqlite(_) => Ok(None),
        }
    }

    /// Delivers what waits, the oldest first, within bounds of number and time.
    ///
    /// # Errors
    ///
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn deliver_some(&mut self) -> Result<Receipt, Error> {
        let bound = Bound { batches: BATCHES_A_CALL, within: DELIVER_WITHIN };
        let mut receipt = Receipt::default();
        let done = self.deliver(bound, &mut receipt, &mut |_| ()).await;
        self.watch(done.map(|()| receipt))
    }

    /// Delivers everything that waits, as far as the database takes it.
    ///
    /// # Errors
    ///
    /// The spool cannot be read. That the database is away stands in the receipt.
    pub async fn replay(&mut self, mut progress: impl FnMut(Progress) + Send) -> Result<Receipt, Error> {
        let bound = Bound { batches: u64::MAX, within: Duration::MAX };
        let mut receipt = Receipt::default();
        if self.spool.is_none() {
            return Ok(receipt);
        }
        let done = match self.deliver(bound, &mut receipt, &mut progress).await {
            Err(error) if error.is_damaged_spool() => {
                self.mend().await?;
                self.deliver(bound, &mut receipt, &mut progress).await
            }
            done => done,
        };
        self.watch(done.map(|()| receipt))
    }

    /// What is in the spool.
    ///
    /// # Errors
    ///
    /// The spool cannot be read.
    pub async fn spool_status(&mut self) -> Result<SpoolStatus, Error> {
        self.spool().await?.status().await
    }

    /// Takes leave of the database and the spool. All that was kept is durable already.
    pub async fn close(self) {
        if let Some(timeline) = self.timeline {
            timeline.close().await;
        }
        if let Some(spool) = self.spool {
            spool.close().await;
        }
    }

    async fn keep_rows(&mut self, id: BatchId, rows: &[Row]) -> Result<Receipt, Error> {
        if self.has_failing_disk {
            let path = self.state_dir.clone();
            return Err(Error::Spool { path, trouble: Some(FileTrouble::DiskFails), source: None });
        }
        let mut receipt = Receipt::default();
        if matches!(self.location.place(), Place::Sqlite(_)) && self.is_empty().await? {
            match self.deliver_rows(id, rows, &mut receipt).await {
                Ok(()) => return Ok(receipt),
                // It goes the long way, which has an answer to this.
                Err(error) if error.is_of_the_rows() => {}
                Err(error) => self.refused = Some(error),
            }
        }
        let limits = self.limits;
        let note = |dropped: Dropped| dropped_row(id, rows, dropped);
        receipt.dropped = self.spool().await?.append(id, rows, limits, note).await?;
        if receipt.dropped != Dropped::default() {
            let Dropped { batches, rows } = receipt.dropped;
            tracing::error!(batches, rows, "spool is full or too old, the oldest batches are dropped");
        }
        failpoint::reach(failpoint::AFTER_SPOOL_APPEND).await;
        let bound = Bound { batches: BATCHES_A_CALL, within: DELIVER_WITHIN };
        match self.deliver(bound, &mut receipt, &mut |_| ()).await {
            Err(error) if error.is_damaged_spool() || error.is_failing_disk() => return Err(error),
            // The batch is durable, and what is wrong with the spool now, a full disk, does not change that.
            Err(error) => {
                receipt.left = Some(Left { batches: 1, oldest: Duration::ZERO, error: Some(error) });
            }
            Ok(()) => {}
        }
        Ok(receipt)
    }

    /// Delivers from the front of the spool until it is empty, the database refuses, or the bound is met.
    async fn deliver(
        &mut self,
        bound: Bound,
        receipt: &mut Receipt,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(), Error> {
        let started = Instant::now();
        let of = self.spool().await?.status().await?.batches;
        let mut stopped_by = None;
        while receipt.batches < bound.batches && started.elapsed() < bound.within {
            let Some(batch) = self.spool().await?.oldest().await? else {
                self.spool().await?.shrink().await?;
                receipt.left = None;
                return Ok(());
            };
            match self.deliver_rows(batch.id, &batch.rows, receipt).await {
                Ok(()) => {
                    failpoint::reach(failpoint::AFTER_COMMIT_BEFORE_DELETE).await;
                    self.spool().await?.delivered(batch.seq).await?;
                    progress(Progress { delivered: receipt.batches, of });
                }
                Err(error) if error.is_of_the_rows() => match self.bury(&batch, error).await? {
                    Ok(n_rows) => receipt.dead_letters += n_rows,
                    Err(error) => {
                        stopped_by = Some((batch.seq, error));
                        break;
                    }
                },
                Err(error) => {
                    stopped_by = Some((batch.seq, error));
                    break;
                }
            }
        }
        if let Some((seq, error)) = &stopped_by {
            self.spool().await?.failed(*seq, &error.with_causes()).await?;
        }
        let status = self.spool().await?.status().await?;
        let error = stopped_by.map(|(_, error)| error);
        receipt.left = status.oldest.map(|oldest| Left { batches: status.batches, oldest, error });
        Ok(())
    }

    /// One batch into the timeline.
    async fn deliver_rows(&mut self, id: BatchId, rows: &[Row], receipt: &mut Receipt) -> Result<(), Error> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        let written = self.timeline().await?.deliver(id, rows).await?;
        receipt.batches += 1;
        receipt.rows += written.rows;
        receipt.took += written.took;
        Ok(())
    }

    /// Lays the refused rows of a batch aside; says how many, or why the whole batch has to wait.
    async fn bury(&mut self, batch: &Waiting, error: Error) -> Result<Result<u64, Error>, Error> {
        let refused = match self.timeline().await {
            Ok(timeline) => timeline.sift(&batch.rows).await,
            Err(error) => Err(error),
        };
        let refused = match refused {
            Ok(refused) => refused,
            Err(error) => return Ok(Err(error)),
        };
        if is_of_the_table(&refused, batch.rows.len()) {
            return Ok(Err(error));
        }
        let mut refused: Vec<(usize, String)> =
            refused.iter().map(|Refusal { row, error }| (*row, error.with_causes())).collect();
        if refused.is_empty() {
            // Each row alone is taken and all together are not. Nobody else may have to wait behind them.
            let words = error.with_causes();
            refused = (0..batch.rows.len()).map(|row| (row, words.clone())).collect();
        }
        let n_rows = refused.len();
        let first = refused.first().map(|(_, error)| error.as_str()).unwrap_or_default();
        tracing::error!(batch = %batch.id, n_rows, first, "rows are refused and laid aside");
        self.spool().await?.bury(batch, &refused).await?;
        Ok(Ok(u64::try_from(refused.len()).unwrap_or(u64::MAX)))
    }

    async fn timeline(&mut self) -> Result<&Timeline, Error> {
        let timeline = match self.timeline.take() {
            Some(timeline) => timeline,
            None => Timeline::open(&self.location, &self.table).await?,
        };
        Ok(self.timeline.insert(timeline))
    }

    async fn spool(&mut self) -> Result<&mut Spool, Error> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => Spool::open(&self.state_dir).await?,
        };
        Ok(self.spool.insert(spool))
    }

    async fn mend(&mut self) -> Result<(), Error> {
        if let Some(spool) = self.spool.take() {
            self.spool = Some(spool.mend().await?);
        }
        Ok(())
    }

    /// Whether nothing waits before the next batch.
    async fn is_empty(&mut self) -> Result<bool, Error> {
        match &mut self.spool {
            Some(spool) => Ok(spool.status().await?.batches == 0),
            None => Ok(true),
        }
    }

    /// What a failing disk said was durable may not be, and a second try would not find that out.
    fn watch(&mut self, done: Result<Receipt, Error>) -> Result<Receipt, Error> {
        if let Err(error) = &done
            && error.is_failing_disk()
        {
            tracing::error!(error = error.with_causes(), "disk of the spool fails, nothing is kept any more");
            self.has_failing_disk = true;
        }
        done
    }
}

/// Whether it is the table that takes no rows now, such as one without a partition for this month: every
/// row is refused, and for the same reason. Laid aside, they would not come back by themselves.
fn is_of_the_table(refused: &[Refusal], n_rows: usize) -> bool {
    let mut words = refused.iter().map(|refusal| refusal.error.with_causes());
    let first = words.next();
    1 < n_rows
        && refused.len() == n_rows
        && refused.iter().all(|refusal| matches!(refusal.error, Error::Refused { .. }))
        && words.all(|words| Some(words) == first)
}

/// The row that says that batches were dropped, at the time of the batch that it goes with.
pub(super) fn dropped_row(id: BatchId, rows: &[Row], dropped: Dropped) -> Row {
    let metadata =
        serde_json::json!({"batch": id.to_string(), "batches": dropped.batches, "rows": dropped.rows});
    Row {
        event_type: DROPPED_EVENT.to_owned(),
        source: "fleetwatt".to_owned(),
        value: u32::try_from(dropped.batches).ok().map(f64::from),
        metadata: Metadata::of(&metadata),
        created_at: rows.iter().map(|row| row.created_at).max().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_failing_disk_nothing_is_kept_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::sqlite(folder.path().join("f.db"));
        let limits = SpoolLimits { bytes: 1 << 20, age: Duration::from_secs(3_600) };
        let mut writer = Writer::open(folder.path(), &location, "unified_timeline", limits).await.unwrap();
        let id = BatchId(uuid::Uuid::now_v7());
        assert!(writer.keep(id, &[]).await.is_ok());
        let fails = Error::Spool { path: "s".into(), trouble: Some(FileTrouble::DiskFails), source: None };
        assert!(writer.watch(Err(fails)).unwrap_err().is_failing_disk());
        assert!(writer.keep(id, &[]).await.unwrap_err().is_failing_disk());
    }
}
