//! Opening the file: made anew, as it is, rescued, or in the room that was set aside for a full disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::{Rescued, Spool, SpoolStatus, rescue, reserve, spool_error, spool_io_error};
use crate::store::alerts::{self, Tables};
use crate::store::file::{Identity, create_private};
use crate::store::inspect::read_only;
use crate::store::{Error, FileTrouble};

/// The file's name in the state directory.
const FILE_NAME: &str = "spool.db";

/// The version in `meta`. A file with a higher one is left alone.
const SCHEMA_VERSION: i64 = 1;

/// How long to wait for another program: `store status` looks, and an operator may.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Up to this many pages of 4 KiB the whole file is checked on opening, which takes some milliseconds.
const CHECKED_PAGES: i64 = 2_048;

/// Pages that the log may have before it is taken into the file: SQLite's default, and on a full disk.
const LOG_PAGES: u32 = 1_000;
const TIGHT_LOG_PAGES: u32 = 12;

/// SQLite's own bound.
const MAX_PAGES: u32 = u32::MAX - 1;

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

impl Spool {
    /// Where the spool of a state directory is.
    pub(in crate::store) fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join(FILE_NAME)
    }

    /// Whether a state directory has a spool, or what a rescue left of one.
    pub(in crate::store) fn is_there(state_dir: &Path) -> bool {
        state_dir.join(FILE_NAME).exists() || rescue::is_unfinished(state_dir)
    }

    /// Opens the spool of a state directory, and creates both if they are not there. A damaged one is
    /// set aside. On a full disk it is opened in the room that was set aside for that.
    pub(in crate::store) async fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(FILE_NAME);
        let folder = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).await;
        folder.map_err(|source| spool_io_error(&path, source))?;
        rescue::finish(&path)?;
        match Self::open_or_rescue(&path).await {
            Err(error) if error.is_full_spool() && reserve::release(&path) => {
                let mut spool = Self::open_or_rescue(&path).await?;
                spool.use_reserve().await?;
                Ok(spool)
            }
            done => {
                reserve::keep(&path);
                done
            }
        }
    }

    async fn open_or_rescue(path: &Path) -> Result<Self, Error> {
        match Self::open_file(path).await {
            Err(error) if error.is_damaged_spool() => {
                let rescued = rescue::set_aside(path).await?;
                Self::open_file(path).await.map(|spool| Self { rescued: Some(rescued), ..spool })
            }
            done => done,
        }
    }

    /// What is in the spool of a state directory, if there is one: creates nothing and mends nothing.
    pub(in crate::store) async fn inspect(state_dir: &Path) -> Result<Option<SpoolStatus>, Error> {
        let path = state_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let connection = read_only(&path).connect().await.map_err(|source| spool_error(&path, source))?;
        let mut spool = Self::of(&path, connection);
        let status = spool.status().await;
        spool.close().await;
        status.map(Some)
    }

    /// Opens the spool of a state directory that another program may work with: creates nothing and mends
    /// nothing.
    pub(in crate::store) async fn open_existing(state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(&path).await.map_err(|source| spool_error(&path, source))?;
        Ok(Some(Self::of(&path, connection)))
    }

    fn of(path: &Path, connection: SqliteConnection) -> Self {
        let identity = Identity::of(path);
        Self { path: path.to_owned(), connection, identity, rescued: None, is_on_reserve: false }
    }

    /// Sets the file aside, and goes on with what could be saved from it.
    pub(in crate::store) async fn repair(self) -> Result<Self, Error> {
        let path = self.path.clone();
        self.close().await;
        let rescued = rescue::set_aside(&path).await?;
        Self::open_file(&path).await.map(|spool| Self { rescued: Some(rescued), ..spool })
    }

    /// What became of a damaged file; said once.
    pub(in crate::store) const fn take_rescued(&mut self) -> Option<Rescued> {
        self.rescued.take()
    }

    /// Whether the file that is open is the one that others find. Costs a `stat`.
    pub(in crate::store) fn is_in_place(&self) -> bool {
        self.identity.is_in_place(&self.path)
    }

    /// Takes leave of a file that was moved, removed or replaced.
    pub(in crate::store) async fn abandon(mut self) {
        // All that was committed is to be in the file that was moved, and not in a log without it.
        let folded = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await;
        folded.map(drop).unwrap_or_else(|error| tracing::debug!(%error, "log of the spool is not in it"));
        let (path, identity) = (self.path.clone(), self.identity);
        tracing::error!(
            path = %path.display(),
            "spool was moved, removed or replaced; a new one is opened, and what waited stays in the other"
        );
        self.close().await;
        if let Err(error) = identity.rename_orphaned_wal(&path) {
            tracing::error!(%error, path = %path.display(), "log of the spool that was moved cannot be renamed");
        }
    }

    /// Whether it works in the room that was set aside for a full disk.
    pub(in crate::store) const fn is_on_reserve(&self) -> bool {
        self.is_on_reserve
    }

    /// The disk is full: gives the room that was set aside to what has to be removed, and to nothing else.
    pub(super) async fn use_reserve(&mut self) -> Result<(), Error> {
        let failed = |source| spool_error(&self.path, source);
        self.is_on_reserve = true;
        reserve::release(&self.path);
        let pages: i64 =
            sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.connection).await.map_err(failed)?;
        // The file keeps its size. The log begins anew once it is in the file, and then takes no more room either.
        let sql = format!(
            "PRAGMA max_page_count = {pages}; PRAGMA wal_autocheckpoint = {TIGHT_LOG_PAGES}; PRAGMA wal_checkpoint"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map(|_| ()).map_err(failed)
    }

    /// The disk has room again.
    pub(super) async fn restore_limits(&mut self) -> Result<(), Error> {
        let failed = |source| spool_error(&self.path, source);
        let sql = format!("PRAGMA max_page_count = {MAX_PAGES}; PRAGMA wal_autocheckpoint = {LOG_PAGES}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map_err(failed)?;
        reserve::keep(&self.path);
        self.is_on_reserve = false;
        Ok(())
    }

    pub(super) async fn open_file(path: &Path) -> Result<Self, Error> {
        let damaged =
            || Error::Spool { path: path.to_owned(), trouble: Some(FileTrouble::Corrupt), source: None };
        // Opening a FIFO would wait for its other side.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(damaged());
        }
        create_private(path).map_err(|source| spool_io_error(path, source))?;
        let mut connection = connect(path).await.map_err(|source| spool_error(path, source))?;
        let opened = match prepare(&mut connection).await {
            Ok(Some(found)) if found > SCHEMA_VERSION => {
                Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION })
            }
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(damaged()),
            Err(source) => Err(spool_error(path, source)),
        };
        let spool = Self::of(path, connection);
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

    pub(in crate::store) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            // Whatever was committed is durable, and SQLite takes up the WAL on the next opening.
            tracing::debug!(%error, path = %self.path.display(), "spool did not close cleanly");
        }
        if self.is_on_reserve {
            reserve::restore(&self.path);
        }
    }
}

/// Creates the tables if there are none. The schema's version; `None` if the file is damaged.
async fn prepare(connection: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE name IN ('batch', 'dead_letter', 'meta')) FROM sqlite_schema";
    let (there, ours): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
    if there > 0 && ours < 3 {
        return Ok(None);
    }
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

pub(super) async fn connect(path: &Path) -> sqlx::Result<SqliteConnection> {
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
