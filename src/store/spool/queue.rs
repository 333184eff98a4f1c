//! The queue itself: batches come in at one end and leave at the other.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use super::payload::{self, Packed};
use super::reserve;
use crate::batch::BatchId;
use crate::store::alerts::AlertRecord;
use crate::store::alerts::tables::{self as alerts, Tables};
use crate::store::counts::{from_database, from_length};
use crate::store::file::{Identity, NOW};
use crate::store::record::{Record, Unreadable};
use crate::store::{Error, FileTrouble};

/// This many free pages are given back to the disk when the spool is empty again.
const FREE_PAGES: i64 = 4_096;

/// Bounds of what may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of compressed batches. The newest batch is kept even if it alone has more.
    pub bytes: u64,
    /// The age of a batch.
    pub age: Duration,
}

/// The loss because the spool was full or a batch too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Batches, the oldest ones.
    pub batches: u64,
    /// The rows in them.
    pub rows: u64,
}

/// The content of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The file.
    pub path: PathBuf,
    /// Batches that wait.
    pub batches: u64,
    /// The rows in them.
    pub rows: u64,
    /// Their size as they wait, compressed.
    pub bytes: u64,
    /// The age of the oldest; `None` if none waits.
    pub oldest: Option<Duration>,
    /// The tries of the oldest, and the last words of the database.
    pub last_error: Option<(u64, String)>,
    /// Rows that the database refused for what is in them.
    pub dead_letters: u64,
    /// Batches that were ever dropped because the spool was full or they were too old.
    pub dropped_total: u64,
    /// Batches that were ever lost because the file was damaged.
    pub lost_total: u64,
    /// Refused rows that were ever dropped because too many of them lay aside.
    pub dead_letters_dropped_total: u64,
}

/// A batch that waits.
#[derive(Debug)]
pub(in crate::store) struct SpooledBatch {
    pub(in crate::store) seq: i64,
    pub(in crate::store) id: BatchId,
    /// An error if a later version wrote it with records of a kind that this one does not know.
    pub(in crate::store) records: Result<Vec<Record>, Error>,
}

/// The fate of a spool that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescued {
    /// Batches that were saved.
    pub saved: u64,
    /// Batches that are known to be lost.
    pub lost: u64,
}

/// An open spool.
#[derive(Debug)]
pub(in crate::store) struct Spool {
    pub(super) path: PathBuf,
    pub(super) connection: SqliteConnection,
    pub(super) identity: Identity,
    /// The fate of the file that was here before, if it was damaged.
    pub(in crate::store) rescued: Option<Rescued>,
    /// Whether it works in the room that was set aside, as the disk is full: it does not grow.
    pub(in crate::store) is_on_reserve: bool,
}

/// `batch_id, rows, crc32, payload` as they stand in the table.
pub(super) type Stored = (String, i64, i64, Vec<u8>);

impl Spool {
    /// Appends a batch; it is durable when this returns. What no longer fits is dropped in the same
    /// transaction, the oldest first, and `note` makes the row that says so in the batch itself.
    pub(in crate::store) async fn append(
        &mut self,
        id: BatchId,
        records: &[Record],
        limits: SpoolLimits,
        note: impl FnOnce(Dropped) -> Record + Send,
        record: Option<&AlertRecord>,
    ) -> Result<Dropped, Error> {
        if self.is_on_reserve && reserve::is_roomy(&self.path) {
            self.restore_limits().await?;
        }
        let failed = |source| Error::from_spool(&self.path, source);
        let mut packed = Packed::of(id, records);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        if let Some(record) = record
            && !is_there(&mut transaction, id).await.map_err(failed)?
        {
            let moved = alerts::keep(&mut transaction, Tables::OfSpool, id, record).await;
            if let Some(kept) = moved.map_err(failed)? {
                return Err(Error::AlertsChanged(kept));
            }
        }
        let now = advance_clock(&mut transaction).await.map_err(failed)?;
        let dropped = make_room(&mut transaction, now, packed.bytes(), limits).await.map_err(failed)?;
        let mut n_rows = records.len();
        if dropped != Dropped::default() {
            let mut records = records.to_vec();
            records.push(note(dropped));
            (packed, n_rows) = (Packed::of(id, &records), records.len());
        }
        insert(&mut transaction, now, id, n_rows, packed).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        if !self.is_in_place() {
            return Err(Error::spool(&self.path, FileTrouble::Moved));
        }
        Ok(dropped)
    }

    /// The batch that is to be delivered next.
    pub(in crate::store) async fn oldest(&mut self) -> Result<Option<SpooledBatch>, Error> {
        self.waiting("SELECT seq FROM batch WHERE seq > ? ORDER BY seq LIMIT 1", i64::MIN).await
    }

    /// The batch that came last, if it came after `seq`.
    pub(in crate::store) async fn newest_after(&mut self, seq: i64) -> Result<Option<SpooledBatch>, Error> {
        self.waiting("SELECT seq FROM batch WHERE seq > ? ORDER BY seq DESC LIMIT 1", seq).await
    }

    async fn waiting(&mut self, sql: &'static str, after: i64) -> Result<Option<SpooledBatch>, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let seq: Option<i64> =
            sqlx::query_scalar(sql).bind(after).fetch_optional(&mut self.connection).await.map_err(failed)?;
        let Some(seq) = seq else { return Ok(None) };
        let stored = read(&mut self.connection, seq).await.map_err(failed)?;
        let damaged = || Error::spool(&self.path, FileTrouble::Corrupt);
        let stored = stored.ok_or_else(damaged)?;
        let id = BatchId(Uuid::parse_str(&stored.0).map_err(|_| damaged())?);
        let records = match unpack(&stored) {
            Ok(records) => Ok(records),
            Err(Unreadable::UnknownKind(kind)) => Err(Error::UnknownRecord(self.path.clone(), kind)),
            Err(Unreadable::Damaged) => return Err(damaged()),
        };
        Ok(Some(SpooledBatch { seq, id, records }))
    }

    /// A batch is in the timeline, so it need not wait any longer. That also works on a full disk.
    pub(in crate::store) async fn delivered(&mut self, seq: i64) -> Result<(), Error> {
        match self.remove(seq).await {
            Err(error) if error.is_full_spool() => {
                self.use_reserve().await?;
                self.remove(seq).await
            }
            done => done,
        }
    }

    async fn remove(&mut self, seq: i64) -> Result<(), Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let sql = "DELETE FROM batch WHERE seq = ?";
        sqlx::query(sql).bind(seq).execute(&mut self.connection).await.map(|_| ()).map_err(failed)
    }

    /// A batch could not be delivered: noted for people, if there is room for a note.
    pub(in crate::store) async fn failed(&mut self, seq: i64, error: &str) -> Result<(), Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let sql = "UPDATE batch SET attempts = attempts + 1, last_error = ? WHERE seq = ?";
        let done = sqlx::query(sql).bind(error).bind(seq).execute(&mut self.connection).await;
        match done.map(|_| ()).map_err(failed) {
            Err(error) if error.is_full_spool() => Ok(()),
            done => done,
        }
    }

    /// The content.
    pub(in crate::store) async fn status(&mut self) -> Result<SpoolStatus, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let sql = "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(bytes), 0), min(created_us), \
             (SELECT count(*) FROM dead_letter), \
             (SELECT value FROM meta WHERE key = 'dropped_total'), (SELECT value FROM meta WHERE key = 'lost_total'), \
             (SELECT value FROM meta WHERE key = 'dead_letters_dropped_total') FROM batch";
        type Counts = (i64, i64, i64, Option<i64>, i64, Option<i64>, Option<i64>, Option<i64>);
        let (batches, rows, bytes, oldest, dead_letters, dropped, lost, letters_dropped): Counts =
            sqlx::query_as(sql).fetch_one(&mut self.connection).await.map_err(failed)?;
        let now = clock_at(read_clock(&mut self.connection).await.map_err(failed)?);
        let sql = "SELECT attempts, last_error FROM batch WHERE seq = (SELECT min(seq) FROM batch)";
        let error: Option<(i64, Option<String>)> =
            sqlx::query_as(sql).fetch_optional(&mut self.connection).await.map_err(failed)?;
        Ok(SpoolStatus {
            path: self.path.clone(),
            batches: from_database(batches),
            rows: from_database(rows),
            bytes: from_database(bytes),
            oldest: oldest.map(|at| Duration::from_micros(from_database(now.saturating_sub(at)))),
            last_error: error.and_then(|(attempts, error)| Some((from_database(attempts), error?))),
            dead_letters: from_database(dead_letters),
            dropped_total: from_database(dropped.unwrap_or(0)),
            lost_total: from_database(lost.unwrap_or(0)),
            dead_letters_dropped_total: from_database(letters_dropped.unwrap_or(0)),
        })
    }

    /// Gives the room of a long outage back to the disk.
    pub(in crate::store) async fn shrink(&mut self) -> Result<(), Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        if free >= FREE_PAGES {
            sqlx::raw_sql("PRAGMA incremental_vacuum").execute(&mut self.connection).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// The same batch again is the same batch: whoever calls may not know what became of the first call.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    now: i64,
    id: BatchId,
    n_rows: usize,
    packed: Packed,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO batch (batch_id, created_us, rows, bytes, crc32, payload) VALUES (?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(id.to_string()).bind(now).bind(as_i64(n_rows)).bind(packed.bytes());
    let query = query.bind(i64::from(packed.crc32)).bind(packed.payload);
    query.execute(connection).await.map(|_| ())
}

/// The clock that the spool reads, that clock and its own as it noted them, and the time of its newest batch, in
/// microseconds.
type Clock = (i64, Option<i64>, Option<i64>, Option<i64>);

async fn read_clock(connection: &mut SqliteConnection) -> sqlx::Result<Clock> {
    let sql = format!(
        "SELECT {NOW}, (SELECT value FROM meta WHERE key = 'clock_us'), \
         (SELECT value FROM meta WHERE key = 'spool_us'), (SELECT max(created_us) FROM batch)"
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch_one(connection).await
}

/// The longest step of its clock.
const MAX_STEP_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The time that the spool has seen go by. A clock that is set back stands still. A spool of the program before had the
/// wall clock, so the newest batch says where it was.
pub(super) fn clock_at((now, clock, spool, newest): Clock) -> i64 {
    let (clock, spool) = match (clock, spool, newest) {
        (Some(clock), Some(spool), _) => (clock, spool),
        (_, _, newest) => (newest.unwrap_or(now), newest.unwrap_or(now)),
    };
    spool.saturating_add(now.saturating_sub(clock).clamp(0, MAX_STEP_MICROS))
}

/// Sets the spool's clock on, and says what it shows.
pub(super) async fn advance_clock(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    let clock = read_clock(connection).await?;
    let now = clock_at(clock);
    let sql = "INSERT OR REPLACE INTO meta VALUES ('clock_us', ?), ('spool_us', ?)";
    sqlx::query(sql).bind(clock.0).bind(now).execute(connection).await?;
    Ok(now)
}

/// Adds to one of the numbers in `meta`.
pub(super) async fn count(connection: &mut SqliteConnection, key: &str, more: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value";
    sqlx::query(sql).bind(key).bind(more).execute(connection).await.map(|_| ())
}

/// Whether a batch waits already.
async fn is_there(connection: &mut SqliteConnection, id: BatchId) -> sqlx::Result<bool> {
    let sql = "SELECT count(*) FROM batch WHERE batch_id = ?";
    let n_there: i64 = sqlx::query_scalar(sql).bind(id.to_string()).fetch_one(connection).await?;
    Ok(n_there > 0)
}

/// Drops what is too old, and the oldest until `more` bytes fit.
async fn make_room(
    connection: &mut SqliteConnection,
    now: i64,
    more: i64,
    limits: SpoolLimits,
) -> sqlx::Result<Dropped> {
    let oldest = now.saturating_sub(i64::try_from(limits.age.as_micros()).unwrap_or(i64::MAX));
    let room = i64::try_from(limits.bytes).unwrap_or(i64::MAX).saturating_sub(more);
    let sum = "SELECT coalesce(sum(bytes), 0) > ?1 OR min(created_us) < ?2 FROM batch";
    let over: Option<bool> =
        sqlx::query_scalar(sum).bind(room).bind(oldest).fetch_one(&mut *connection).await?;
    if over != Some(true) {
        return Ok(Dropped::default());
    }
    // From the newest backwards: the last one that still fits is where the rest is cut off.
    let sql = "DELETE FROM batch WHERE seq <= (SELECT max(seq) FROM \
               (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS total FROM batch) WHERE total > ?) \
               OR created_us < ? RETURNING rows";
    let rows: Vec<i64> = sqlx::query_scalar(sql).bind(room).bind(oldest).fetch_all(&mut *connection).await?;
    let dropped =
        Dropped { batches: from_length(rows.len()), rows: rows.iter().copied().map(from_database).sum() };
    count(connection, "dropped_total", as_i64(rows.len())).await?;
    Ok(dropped)
}

pub(super) async fn read(connection: &mut SqliteConnection, seq: i64) -> sqlx::Result<Option<Stored>> {
    let sql = "SELECT batch_id, rows, crc32, payload FROM batch WHERE seq = ?";
    sqlx::query_as(sql).bind(seq).fetch_optional(connection).await
}

/// The records of a batch, if it is as it was written.
pub(super) fn unpack((id, n_rows, crc32, payload): &Stored) -> Result<Vec<Record>, Unreadable> {
    let (Ok(id), Ok(crc32)) = (Uuid::parse_str(id), u32::try_from(*crc32)) else {
        return Err(Unreadable::Damaged);
    };
    let records = payload::unpack(BatchId(id), payload, crc32)?;
    if as_i64(records.len()) == *n_rows { Ok(records) } else { Err(Unreadable::Damaged) }
}

pub(super) fn as_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
