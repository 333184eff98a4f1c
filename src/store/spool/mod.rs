//! Where batches wait until the timeline has them: a SQLite file in the state directory.
//!
//! One row a batch, compressed and with a checksum. Every change is synced before it returns (WAL with
//! `synchronous=FULL`), so what is appended survives the power. Batches leave in the order in which they
//! came. A damaged file is set aside with what can be saved from it, see [`rescue`].
//!
//! Its clock is SQLite's, since ages matter here only among themselves.

mod letters;
mod payload;
mod rescue;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use uuid::Uuid;

use super::alerts::{self, AlertRecord, Tables};
use super::rows::Row;
use super::{Error, FileTrouble};
use crate::batch::BatchId;
pub(super) use letters::{Letter, MAX_DEAD_LETTERS};
use payload::Packed;
pub use payload::n_rows_of_payload;

/// The file's name in the state directory.
const FILE_NAME: &str = "spool.db";

/// The version in `meta`. A file with a higher one is left alone.
const SCHEMA_VERSION: i64 = 1;

/// How long to wait for another program: `store status` looks, and an operator may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Up to this many pages of 4 KiB the whole file is checked on opening, which takes some milliseconds.
const CHECKED_PAGES: i64 = 2_048;

/// This many free pages are given back to the disk when the spool is empty again.
const FREE_PAGES: i64 = 4_096;

/// Microseconds since 1970.
const NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

const SCHEMA: &str = "\
CREATE TABLE batch (
  seq INTEGER PRIMARY KEY AUTOINCREMENT /* the order in which they came */,
  batch_id TEXT NOT NULL UNIQUE,
  created_us INTEGER NOT NULL /* microseconds since 1970, UTC */,
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  crc32 INTEGER NOT NULL,
  payload BLOB NOT NULL /* JSON lines, zlib */,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
);
-- So that counting a month of batches does not read the batches.
CREATE INDEX batch_facts ON batch (created_us, rows, bytes);
CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY,
  batch_id TEXT NOT NULL,
  row_json TEXT NOT NULL,
  error TEXT NOT NULL,
  at_us INTEGER NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES ('schema_version', 1), ('dropped_total', 0), ('lost_total', 0);";

/// How much may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of compressed batches. The newest batch is kept even if it alone has more.
    pub bytes: u64,
    /// The age of a batch.
    pub age: Duration,
}

/// What had to be dropped because the spool was full or a batch too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Batches, the oldest ones.
    pub batches: u64,
    /// The rows in them.
    pub rows: u64,
}

/// What is in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The file.
    pub path: PathBuf,
    /// How many batches wait.
    pub batches: u64,
    /// The rows in them.
    pub rows: u64,
    /// Their size as they wait, compressed.
    pub bytes: u64,
    /// How long the oldest has been waiting; `None` if none waits.
    pub oldest: Option<Duration>,
    /// How often the oldest was tried, and what the database said last.
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
pub(super) struct Waiting {
    pub(super) seq: i64,
    pub(super) id: BatchId,
    pub(super) rows: Vec<Row>,
}

/// An open spool.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    connection: SqliteConnection,
}

/// `batch_id, rows, crc32, payload` as they stand in the table.
type Stored = (String, i64, i64, Vec<u8>);

impl Spool {
    /// Where the spool of a state directory is.
    pub(super) fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join(FILE_NAME)
    }

    /// Whether a state directory has a spool, or what a rescue left of one.
    pub(super) fn is_there(state_dir: &Path) -> bool {
        state_dir.join(FILE_NAME).exists() || rescue::is_unfinished(state_dir)
    }

    /// Opens the spool of a state directory, and creates both if they are not there. A damaged one is
    /// set aside.
    pub(super) async fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(FILE_NAME);
        let folder = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).await;
        folder.map_err(|source| file_trouble(&path, source))?;
        rescue::finish(&path)?;
        match Self::open_file(&path).await {
            Err(error) if error.is_damaged_spool() => {
                rescue::set_aside(&path).await?;
                Self::open_file(&path).await
            }
            done => done,
        }
    }

    /// What is in the spool of a state directory, if there is one: creates nothing and mends nothing.
    pub(super) async fn look(state_dir: &Path) -> Result<Option<SpoolStatus>, Error> {
        let Some(mut spool) = Self::beside(state_dir).await? else { return Ok(None) };
        let status = spool.status().await;
        spool.close().await;
        status.map(Some)
    }

    /// Opens the spool of a state directory that another program may work with: creates nothing and mends
    /// nothing.
    pub(super) async fn beside(state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(&path).await.map_err(|source| trouble(&path, source))?;
        Ok(Some(Self { path, connection }))
    }

    /// Sets the file aside, and goes on with what could be saved from it.
    pub(super) async fn mend(self) -> Result<Self, Error> {
        let path = self.path.clone();
        self.close().await;
        rescue::set_aside(&path).await?;
        Self::open_file(&path).await
    }

    async fn open_file(path: &Path) -> Result<Self, Error> {
        create_private(path).map_err(|source| file_trouble(path, source))?;
        let mut connection = connect(path).await.map_err(|source| trouble(path, source))?;
        let damaged =
            || Error::Spool { path: path.to_owned(), trouble: Some(FileTrouble::Corrupt), source: None };
        let opened = match prepare(&mut connection).await {
            Ok(Some(found)) if found > SCHEMA_VERSION => {
                Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
            }
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(damaged()),
            Err(source) => Err(trouble(path, source)),
        };
        let spool = Self { path: path.to_owned(), connection };
        match opened {
            Ok(()) => Ok(spool),
            Err(error) => {
                // Not left to its drop, which closes it some time later, and might then remove the
                // write-ahead log of the file that has come into its place.
                spool.close().await;
                Err(error)
            }
        }
    }

    /// Appends a batch; it is durable when this returns. What no longer fits is dropped in the same
    /// transaction, the oldest first, and `note` makes the row that says so in the batch itself.
    pub(super) async fn append(
        &mut self,
        id: BatchId,
        rows: &[Row],
        limits: SpoolLimits,
        note: impl FnOnce(Dropped) -> Row + Send,
        record: Option<&AlertRecord>,
    ) -> Result<Dropped, Error> {
        let failed = |source| trouble(&self.path, source);
        let mut packed = Packed::of(id, rows);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        if let Some(record) = record
            && !is_there(&mut transaction, id).await.map_err(failed)?
        {
            let moved = alerts::keep(&mut transaction, Tables::OfSpool, id, record).await;
            if let Some(kept) = moved.map_err(failed)? {
                return Err(Error::AlertsMoved { kept });
            }
        }
        let dropped = make_room(&mut transaction, packed.bytes(), limits).await.map_err(failed)?;
        let mut n_rows = rows.len();
        if dropped != Dropped::default() {
            let mut rows = rows.to_vec();
            rows.push(note(dropped));
            (packed, n_rows) = (Packed::of(id, &rows), rows.len());
        }
        insert(&mut transaction, id, n_rows, packed).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(dropped)
    }

    /// The batch that is to be delivered next.
    pub(super) async fn oldest(&mut self) -> Result<Option<Waiting>, Error> {
        self.waiting("SELECT seq FROM batch WHERE seq > ? ORDER BY seq LIMIT 1", i64::MIN).await
    }

    /// The batch that came last, if it came after `seq`.
    pub(super) async fn newest_after(&mut self, seq: i64) -> Result<Option<Waiting>, Error> {
        self.waiting("SELECT seq FROM batch WHERE seq > ? ORDER BY seq DESC LIMIT 1", seq).await
    }

    async fn waiting(&mut self, sql: &'static str, after: i64) -> Result<Option<Waiting>, Error> {
        let failed = |source| trouble(&self.path, source);
        let seq: Option<i64> =
            sqlx::query_scalar(sql).bind(after).fetch_optional(&mut self.connection).await.map_err(failed)?;
        let Some(seq) = seq else { return Ok(None) };
        let stored = read(&mut self.connection, seq).await.map_err(failed)?;
        let damaged =
            || Error::Spool { path: self.path.clone(), trouble: Some(FileTrouble::Corrupt), source: None };
        let (id, rows) = stored.as_ref().and_then(unpack).ok_or_else(damaged)?;
        Ok(Some(Waiting { seq, id, rows }))
    }

    /// A batch is in the timeline, so it need not wait any longer.
    pub(super) async fn delivered(&mut self, seq: i64) -> Result<(), Error> {
        let failed = |source| trouble(&self.path, source);
        let sql = "DELETE FROM batch WHERE seq = ?";
        sqlx::query(sql).bind(seq).execute(&mut self.connection).await.map(|_| ()).map_err(failed)
    }

    /// A batch could not be delivered: noted for people.
    pub(super) async fn failed(&mut self, seq: i64, error: &str) -> Result<(), Error> {
        let failed = |source| trouble(&self.path, source);
        let sql = "UPDATE batch SET attempts = attempts + 1, last_error = ? WHERE seq = ?";
        let done = sqlx::query(sql).bind(error).bind(seq).execute(&mut self.connection).await;
        done.map(|_| ()).map_err(failed)
    }

    /// What is in it.
    pub(super) async fn status(&mut self) -> Result<SpoolStatus, Error> {
        let failed = |source| trouble(&self.path, source);
        let sql = format!(
            "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(bytes), 0), max(0, {NOW} - min(created_us)), \
             (SELECT count(*) FROM dead_letter), \
             (SELECT value FROM meta WHERE key = 'dropped_total'), (SELECT value FROM meta WHERE key = 'lost_total'), \
             (SELECT value FROM meta WHERE key = 'dead_letters_dropped_total') FROM batch"
        );
        type Counts = (i64, i64, i64, Option<i64>, i64, Option<i64>, Option<i64>, Option<i64>);
        let (batches, rows, bytes, oldest, dead_letters, dropped, lost, letters_dropped): Counts =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await.map_err(failed)?;
        let sql = "SELECT attempts, last_error FROM batch WHERE seq = (SELECT min(seq) FROM batch)";
        let error: Option<(i64, Option<String>)> =
            sqlx::query_as(sql).fetch_optional(&mut self.connection).await.map_err(failed)?;
        Ok(SpoolStatus {
            path: self.path.clone(),
            batches: as_u64(batches),
            rows: as_u64(rows),
            bytes: as_u64(bytes),
            oldest: oldest.map(|micros| Duration::from_micros(as_u64(micros))),
            last_error: error.and_then(|(attempts, error)| Some((as_u64(attempts), error?))),
            dead_letters: as_u64(dead_letters),
            dropped_total: as_u64(dropped.unwrap_or(0)),
            lost_total: as_u64(lost.unwrap_or(0)),
            dead_letters_dropped_total: as_u64(letters_dropped.unwrap_or(0)),
        })
    }

    /// Gives the room of a long outage back to the disk.
    pub(super) async fn shrink(&mut self) -> Result<(), Error> {
        let failed = |source| trouble(&self.path, source);
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        if free >= FREE_PAGES {
            sqlx::raw_sql("PRAGMA incremental_vacuum").execute(&mut self.connection).await.map_err(failed)?;
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            // Whatever was committed is durable, and SQLite takes up the WAL on the next opening.
            tracing::debug!(%error, path = %self.path.display(), "spool did not close cleanly");
        }
    }
}

/// Creates the tables if there are none. The schema's version; `None` if the file is damaged.
async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'";
    let there: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if there == 0 || !alerts::are_there(connection, Tables::OfSpool).await? {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if there == 0 {
            sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        }
        // They came later; an earlier fleetwatt takes no notice of them.
        alerts::create(&mut transaction, Tables::OfSpool).await?;
        transaction.commit().await?;
    }
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await?;
    if pages <= CHECKED_PAGES {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
        if found != "ok" {
            return Ok(None);
        }
    }
    let sql = "SELECT value FROM meta WHERE key = 'schema_version'";
    sqlx::query_scalar(sql).fetch_optional(connection).await
}

/// The same batch again is the same batch: whoever calls may not know what became of the first call.
async fn insert(
    connection: &mut SqliteConnection,
    id: BatchId,
    n_rows: usize,
    packed: Packed,
) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO batch (batch_id, created_us, rows, bytes, crc32, payload) VALUES (?, {NOW}, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING"
    );
    let query =
        sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(as_i64(n_rows)).bind(packed.bytes());
    let query = query.bind(i64::from(packed.crc32)).bind(packed.payload);
    query.execute(connection).await.map(|_| ())
}

/// Adds to one of the numbers in `meta`.
async fn count(connection: &mut SqliteConnection, key: &str, more: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value";
    sqlx::query(sql).bind(key).bind(more).execute(connection).await.map(|_| ())
}

/// Whether a batch waits already.
async fn is_there(connection: &mut SqliteConnection, id: BatchId) -> sqlx::Result<bool> {
    let sql = "SELECT count(*) FROM batch WHERE batch_id = ?";
    let n_there: i64 = sqlx::query_scalar(sql).bind(id.to_string()).fetch_one(connection).await?;
    Ok(0 < n_there)
}

/// Drops what is too old, and the oldest until `more` bytes fit.
async fn make_room(
    connection: &mut SqliteConnection,
    more: i64,
    limits: SpoolLimits,
) -> sqlx::Result<Dropped> {
    let age = i64::try_from(limits.age.as_micros()).unwrap_or(i64::MAX);
    let room = i64::try_from(limits.bytes).unwrap_or(i64::MAX).saturating_sub(more);
    // From the newest backwards: the last one that still fits is where the rest is cut off.
    let sql = format!(
        "DELETE FROM batch WHERE seq <= (SELECT max(seq) FROM \
         (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS total FROM batch) WHERE total > ?) \
         OR created_us < {NOW} - ? RETURNING rows"
    );
    let sum = "SELECT coalesce(sum(bytes), 0) > ?1 OR min(created_us) < \
               CAST(unixepoch('subsec') * 1000000 AS INTEGER) - ?2 FROM batch";
    let over: Option<bool> = sqlx::query_scalar(sum).bind(room).bind(age).fetch_one(&mut *connection).await?;
    if over != Some(true) {
        return Ok(Dropped::default());
    }
    let rows: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(room).bind(age).fetch_all(&mut *connection).await?;
    let dropped = Dropped {
        batches: u64::try_from(rows.len()).unwrap_or(0),
        rows: rows.iter().copied().map(as_u64).sum(),
    };
    count(connection, "dropped_total", as_i64(rows.len())).await?;
    Ok(dropped)
}

async fn read(connection: &mut SqliteConnection, seq: i64) -> sqlx::Result<Option<Stored>> {
    let sql = "SELECT batch_id, rows, crc32, payload FROM batch WHERE seq = ?";
    sqlx::query_as(sql).bind(seq).fetch_optional(connection).await
}

/// The batch, if it is as it was written.
fn unpack((id, n_rows, crc32, payload): &Stored) -> Option<(BatchId, Vec<Row>)> {
    let id = BatchId(Uuid::parse_str(id).ok()?);
    let rows = payload::unpack(id, payload, u32::try_from(*crc32).ok()?)?;
    (as_i64(rows.len()) == *n_rows).then_some((id, rows))
}

async fn connect(path: &Path) -> sqlx::Result<SqliteConnection> {
    // `./-x` and `./file:x` are paths for SQLite, `file:x` is a URI.
    let file = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    SqliteConnectOptions::new()
        .filename(file)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
}

/// An empty file for this user alone, unless there is one; SQLite gives its other files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => sync_folder(path),
    }
}

/// Makes durable what the folder of a file lists.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn trouble(path: &Path, source: sqlx::Error) -> Error {
    let code = source.as_database_error().and_then(|error| error.code());
    let trouble = code.and_then(|code| code.parse().ok()).and_then(FileTrouble::of_code);
    Error::Spool { path: path.to_owned(), trouble, source: Some(Box::new(source)) }
}

fn file_trouble(path: &Path, source: std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let troubles = [
        (StorageFull, FileTrouble::Full),
        (QuotaExceeded, FileTrouble::Full),
        (ReadOnlyFilesystem, FileTrouble::ReadOnly),
        (PermissionDenied, FileTrouble::ReadOnly),
    ];
    let trouble = troubles.iter().find(|(kind, _)| *kind == source.kind()).map(|(_, trouble)| *trouble);
    Error::Spool { path: path.to_owned(), trouble, source: Some(Box::new(source)) }
}

fn as_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn as_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
