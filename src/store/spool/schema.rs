//! The file and its tables: created, checked, or found to be damaged.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::store::alerts::tables::{self as alerts, Tables};
use crate::store::file::{connect, create_private};
use crate::store::{Error, FileTrouble};

/// The version in `meta`. A file with a higher one is left alone. Version 2 may have energies in its batches, which a
/// fleetwatt that only knows version 1 takes for damage.
const SCHEMA_VERSION: i64 = 2;

/// Up to this many pages of 4 KiB the whole file is checked on opening, which takes some milliseconds.
const CHECKED_PAGES: i64 = 2_048;

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
INSERT INTO meta VALUES ('schema_version', 2), ('dropped_total', 0), ('lost_total', 0);";

/// Opens the file, and creates it and its tables if they are not there.
pub(super) async fn open_file(path: &Path) -> Result<SqliteConnection, Error> {
    let damaged = || Error::spool(path, FileTrouble::Corrupt);
    // Opening a FIFO would wait for its other side.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(damaged());
    }
    create_private(path).map_err(|source| Error::from_spool_io(path, source))?;
    let mut connection = connect(path).await.map_err(|source| Error::from_spool(path, source))?;
    let error = match prepare(&mut connection).await {
        Ok(Some(found)) if found > SCHEMA_VERSION => Error::Newer(path.to_owned(), found, SCHEMA_VERSION),
        Ok(Some(_)) => return Ok(connection),
        Ok(None) => damaged(),
        Err(source) => Error::from_spool(path, source),
    };
    // Not left to its drop, which closes it some time later, and might then remove the write-ahead log of the file
    // that has come into its place.
    connection.close().await.unwrap_or_default();
    Err(error)
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
    let sql = "UPDATE meta SET value = ? WHERE key = 'schema_version' AND value < ?";
    let query = sqlx::query(sql).bind(SCHEMA_VERSION).bind(SCHEMA_VERSION);
    query.execute(&mut *connection).await?;
    let sql = "SELECT value FROM meta WHERE key = 'schema_version'";
    sqlx::query_scalar(sql).fetch_optional(connection).await
}
