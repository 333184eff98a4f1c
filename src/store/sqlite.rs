//! The timeline in a SQLite file that fleetwatt creates and owns.
//!
//! WAL with `synchronous=FULL`: every commit is synced before it is reported. That costs one sync a
//! cycle; `NORMAL` could lose the last commits with the power.

mod energy;
mod events;
mod prune;
mod reader;
mod rebuild;
mod roll_up;

pub(super) use reader::SqliteReader;
pub(super) use rebuild::rebuild;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, QueryBuilder, Row, Sqlite as Dialect};
use tokio::sync::Mutex;

use super::alerts::AlertRecord;
use super::alerts::tables::{self as alerts, Tables};
use super::bisect::Bisect;
use super::counts::{from_database, from_length};
use super::file::{self, Identity, create_private, read_only};
use super::named::Named;
use super::receipt::{RejectedRow, WriteReport};
use super::record::{Record, energies, events};
use super::table::{COLUMNS, TableName, quoted};
use super::{ColumnFound, Error, FileTrouble, Guarantee, InitReport, LedgerAccess, Status, failpoint};
use crate::batch::BatchId;
use crate::reading::Timestamp;

/// `PRAGMA user_version` of the schema made here. A file with a higher one is left alone.
const SCHEMA_VERSION: i64 = 2;

/// A batch's pages stay in memory until it is committed, 32 MiB of them: with the default of 2 MB a batch of 256 hosts
/// was written out in the middle, read again and written again. What a statement needs to be undone alone is not
/// written to a file of its own. The log is folded into the file when it is closed, or has 64 MiB, not at the commit that
/// somebody waits for, and keeps 4 MiB of the disk when it begins anew.
const TUNING: &str = "PRAGMA cache_size = -32768; PRAGMA temp_store = memory; PRAGMA wal_autocheckpoint = 16384; \
    PRAGMA journal_size_limit = 4194304";

/// The pause between two folds of the log into the file.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Rows per INSERT. Measured: 100 to 1,000 is the fastest; SQLite takes at most 32,766 parameters.
const ROWS_PER_INSERT: usize = 500;

/// Keeps a batch from being written twice: its row goes in the same transaction.
const DELIVERY_LOG: &str = "CREATE TABLE delivered_batch (batch_id TEXT PRIMARY KEY, rows INTEGER NOT NULL, \
    committed_at INTEGER NOT NULL DEFAULT (unixepoch()) /* seconds since 1970, UTC */) WITHOUT ROWID";

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    table: TableName,
    opened: Mutex<Opened>,
}

/// An open connection, and which file it has.
#[derive(Debug)]
struct Opened {
    connection: SqliteConnection,
    identity: Identity,
    /// The ledger's names, as far as they came by this connection.
    named: Named,
    checkpointed_at: Instant,
}

impl Opened {
    fn of(path: &Path, connection: SqliteConnection) -> Self {
        let (identity, named) = (Identity::of(path), Named::default());
        Self { connection, identity, named, checkpointed_at: Instant::now() }
    }
}

impl Sqlite {
    /// The status; `None` where there is none, or no table in it. Creates nothing.
    pub(super) async fn inspect(path: &Path, table: TableName) -> Result<Option<Status>, Error> {
        refuse_schema(&table)?;
        if tokio::fs::metadata(path).await.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let failed = |source| Error::from_sqlite(path, "open", source);
        let mut connection = read_only(path).connect().await.map_err(failed)?;
        let (created, _) = missing(&mut connection, path, &table).await?;
        if !created.is_empty() {
            return Ok(None);
        }
        check_columns(&mut connection, path, &table).await?;
        let file = Self::of(path, table, connection);
        let status = file.status().await;
        file.close().await;
        status.map(Some)
    }

    /// Opens the file, creates it and its folder if they are not there, and the table if that is not.
    pub(super) async fn open(path: &Path, table: TableName) -> Result<(Self, InitReport), Error> {
        refuse_schema(&table)?;
        let (connection, report) = open_file(path, &table).await?;
        Ok((Self::of(path, table, connection), report))
    }

    fn of(path: &Path, table: TableName, connection: SqliteConnection) -> Self {
        Self { path: path.to_owned(), table, opened: Mutex::new(Opened::of(path, connection)) }
    }

    pub(super) async fn write(
        &self,
        id: BatchId,
        records: &[Record],
        record: Option<&AlertRecord>,
    ) -> Result<WriteReport, Error> {
        let mut opened = self.opened.lock().await;
        self.reopen_if_moved(&mut opened).await?;
        let written = self.write_to(&mut opened, id, records, record).await?;
        if opened.identity.is_in_place(&self.path) {
            return Ok(written);
        }
        // It went with the file that was moved away meanwhile.
        self.reopen_if_moved(&mut opened).await?;
        self.write_to(&mut opened, id, records, record).await
    }

    async fn write_to(
        &self,
        opened: &mut Opened,
        id: BatchId,
        records: &[Record],
        record: Option<&AlertRecord>,
    ) -> Result<WriteReport, Error> {
        // Names hold that are committed: of a call that fails or is dropped, none.
        let mut named = std::mem::take(&mut opened.named);
        let connection = &mut opened.connection;
        let failed = |step| move |source| Error::from_sqlite(&self.path, step, source);
        let started = Instant::now();
        // IMMEDIATE, so that a lock is waited for here and not met halfway.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))?;
        if !log_delivery(&mut transaction, id, events(records).len())
            .await
            .map_err(failed("look for delivered batches"))?
        {
            opened.named = named;
            tracing::info!(batch = %id, "batch was delivered before");
            return Ok(WriteReport { took: started.elapsed(), ..WriteReport::default() });
        }
        if let Some(record) = record {
            let moved = alerts::keep(&mut transaction, Tables::OfTimeline, id, record).await;
            if let Some(kept) = moved.map_err(failed("keep the alerts"))? {
                return Err(Error::AlertsChanged(kept));
            }
        }
        let n_rows = insert(&mut transaction, &self.table, records).await.map_err(failed("insert"))?;
        let added = energy::add(&mut transaction, &energies(records), &mut named).await;
        added.map_err(|source| Error::from_ledger_of_sqlite(&self.path, source))?;
        failpoint::reach(failpoint::BEFORE_COMMIT).await;
        transaction.commit().await.map_err(failed("commit"))?;
        opened.named = named;
        let swallowed = from_length(events(records).len()).saturating_sub(n_rows);
        Ok(WriteReport { rows: n_rows, swallowed, took: started.elapsed() })
    }

    /// Leaves a file that was moved, removed or replaced, and opens the one that is in its place, or a new one.
    async fn reopen_if_moved(&self, opened: &mut Opened) -> Result<(), Error> {
        if opened.identity.is_in_place(&self.path) {
            return Ok(());
        }
        tracing::error!(path = %self.path.display(), "database file was moved, removed or replaced; the one in its place, or a new one, is opened");
        file::leave(&mut opened.connection, opened.identity, &self.path).await;
        let (connection, _) = open_file(&self.path, &self.table).await?;
        let old = std::mem::replace(opened, Opened::of(&self.path, connection));
        old.connection.close().await.unwrap_or_default();
        Ok(())
    }

    /// Folds the log into the file now and then, so that it stays small and a copy of the file alone has nearly
    /// everything.
    pub(super) async fn maintain(&self) -> Result<(), Error> {
        let mut opened = self.opened.lock().await;
        if opened.checkpointed_at.elapsed() < CHECKPOINT_EVERY {
            return Ok(());
        }
        opened.checkpointed_at = Instant::now();
        let done = sqlx::raw_sql("PRAGMA wal_checkpoint").execute(&mut opened.connection).await;
        done.map(drop).map_err(|source| Error::from_sqlite(&self.path, "fold the log into the file", source))
    }

    /// The events that the table does not take. Writes nothing.
    pub(super) async fn find_rejected_rows(&self, records: &[Record]) -> Result<Vec<RejectedRow>, Error> {
        let failed = |source| Error::from_sqlite(&self.path, "find the rows that are refused", source);
        let mut opened = self.opened.lock().await;
        let mut transaction = opened.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let mut refused = Vec::new();
        let mut bisect = Bisect::of(records.len());
        while let Some(range) = bisect.next() {
            let some = records.get(range.clone()).unwrap_or_default();
            let mut attempt = transaction.begin().await.map_err(failed)?;
            match insert(&mut attempt, &self.table, some).await.map_err(failed) {
                Ok(_) => attempt.commit().await.map_err(failed)?,
                Err(error) if error.is_data_error() => {
                    attempt.rollback().await.map_err(failed)?;
                    if bisect.refuse(range.clone()) {
                        refused.push(RejectedRow { row: range.start, error });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        transaction.rollback().await.map_err(failed)?;
        Ok(refused)
    }

    pub(super) async fn status(&self) -> Result<Status, Error> {
        let mut opened = self.opened.lock().await;
        let status = self.ask(&mut opened.connection).await;
        status.map_err(|source| Error::from_sqlite(&self.path, "status", source))
    }

    async fn ask(&self, connection: &mut SqliteConnection) -> sqlx::Result<Status> {
        let table = &self.table;
        let version = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *connection).await?;
        let columns = columns_of(connection, table).await?;
        // By the database's clock, as in PostgreSQL.
        let recent = format!(
            "SELECT event_type, count(*) FROM {table} \
             WHERE created_at >= (CAST(strftime('%s', 'now') AS INTEGER) - 86400) * 1000000 GROUP BY 1 ORDER BY 1"
        );
        let recent: Vec<(String, i64)> =
            sqlx::query_as(AssertSqlSafe(recent)).fetch_all(&mut *connection).await?;
        let newest = format!("SELECT max(created_at) FROM {table}");
        let newest: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(newest)).fetch_one(&mut *connection).await?;
        let has_ledger = energy::is_there(connection).await?;
        let may_write = file::may_be_written(&self.path);
        Ok(Status {
            kind: "SQLite",
            store_url: format!("sqlite:{}", self.path.display()),
            version: Some(version),
            table: table.to_string(),
            table_kind: "table",
            columns,
            recent: Some(recent.into_iter().map(|(name, n)| (name, from_database(n))).collect()),
            newest: newest.map(Timestamp::from_micros),
            may_select: true,
            may_insert: may_write,
            tls: None,
            size_bytes: Some(prune::size(connection).await?),
            guarantee: Guarantee::DeliveryLog,
            ledger: LedgerAccess::of_file(has_ledger, may_write),
            hints: Vec::new(),
            owner_sql: Vec::new(),
        })
    }

    pub(super) async fn close(self) {
        file::close(self.opened.into_inner().connection, &self.path).await;
    }
}

/// Opens the file, and creates what is not there.
async fn open_file(path: &Path, table: &TableName) -> Result<(SqliteConnection, InitReport), Error> {
    create_folder_of(path).await?;
    // For this user alone, also where the folder is open to others. Where that cannot be, SQLite says why.
    create_private(path).unwrap_or_default();
    let failed = |source| Error::from_sqlite(path, "open", source);
    let mut connection = file::connect(path).await.map_err(failed)?;
    sqlx::raw_sql(TUNING).execute(&mut connection).await.map_err(failed)?;
    let report = ensure_schema(&mut connection, path, table).await?;
    check_columns(&mut connection, path, table).await?;
    Ok((connection, report))
}

fn refuse_schema(table: &TableName) -> Result<(), Error> {
    if table.schema.is_none() {
        return Ok(());
    }
    let reason = "a SQLite database has no schemas; give only the name";
    Err(Error::TableName(table.to_string(), reason))
}

async fn create_folder_of(path: &Path) -> Result<(), Error> {
    if tokio::fs::metadata(path).await.is_ok_and(|found| found.is_dir()) {
        return Err(Error::File(path.to_owned(), FileTrouble::Directory, None));
    }
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if tokio::fs::metadata(folder).await.is_ok() {
        return Ok(());
    }
    // Only for this user: labels and addresses of a fleet are nobody else's business.
    let created = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await;
    created.map_err(|source| Error::Folder(folder.to_owned(), source))
}

/// Inserts the events of some records within the transaction that is open; says how many came.
async fn insert(
    connection: &mut SqliteConnection,
    table: &TableName,
    records: &[Record],
) -> sqlx::Result<u64> {
    let insert = format!("INSERT INTO {table}({}) ", COLUMNS.join(", "));
    let mut n_rows = 0;
    for chunk in events(records).chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Dialect>::new(&insert);
        query.push_values(chunk, |mut tuple, row| {
            tuple.push_bind(row.event_type.clone()).push_bind(row.source.clone()).push_bind(row.value);
            tuple.push_bind(row.metadata.text().to_owned()).push_bind(row.created_at);
        });
        // A statement of 2,500 parameters is not worth a place in the cache of statements.
        n_rows += query.build().persistent(false).execute(&mut *connection).await?.rows_affected();
    }
    Ok(n_rows)
}

/// Enters a batch as delivered within the transaction that is open; says whether it was not yet.
async fn log_delivery(connection: &mut SqliteConnection, id: BatchId, n_rows: usize) -> sqlx::Result<bool> {
    // By the primary key, since ids begin with their time. A clock that is far ahead for once forgets nothing: what
    // the last batch saw counts too.
    let sql = "WITH cut (at) AS (SELECT min(unixepoch(), \
               coalesce((SELECT committed_at FROM delivered_batch ORDER BY batch_id DESC LIMIT 1), 0)) - 2592000) \
               DELETE FROM delivered_batch WHERE committed_at < (SELECT at FROM cut) AND batch_id < \
               (SELECT printf('%08x-%04x', at * 1000 >> 16, at * 1000 & 65535) FROM cut WHERE 0 < at)";
    sqlx::query(sql).execute(&mut *connection).await?;
    let entered =
        sqlx::query("INSERT INTO delivered_batch (batch_id, rows) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(id.to_string())
            .bind(i64::try_from(n_rows).unwrap_or(i64::MAX))
            .execute(connection)
            .await?;
    Ok(entered.rows_affected() == 1)
}

/// Creates what is not there; says what was created.
async fn ensure_schema(
    connection: &mut SqliteConnection,
    path: &Path,
    table: &TableName,
) -> Result<InitReport, Error> {
    let failed = |source| Error::from_sqlite(path, "create the table", source);
    let (mut created, mut delivery_log) = missing(connection, path, table).await?;
    let has_alerts = alerts::are_there(connection, Tables::OfTimeline).await.map_err(failed)?;
    let has_ledger = energy::is_there(connection).await.map_err(failed)?;
    if !created.is_empty() || !delivery_log.is_empty() || !has_alerts || !has_ledger {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Another process may have been faster.
        (created, delivery_log) = missing(&mut transaction, path, table).await?;
        create(&mut transaction, &created, &delivery_log).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(InitReport { table: table.to_string(), created, delivery_log, owner_sql: Vec::new() })
}

async fn create(
    connection: &mut SqliteConnection,
    timeline: &[String],
    delivery_log: &[String],
) -> sqlx::Result<()> {
    for statement in timeline.iter().chain(delivery_log) {
        sqlx::query(AssertSqlSafe(statement.as_str())).execute(&mut *connection).await?;
    }
    alerts::create(connection, Tables::OfTimeline).await?;
    energy::create(connection).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    // Version 0 with the table there is a file of somebody else's, whose version is not ours to say.
    if !timeline.is_empty() || version != 0 {
        let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::query(AssertSqlSafe(version)).execute(connection).await?;
    }
    Ok(())
}

/// The statements that create what is not there: the timeline, and the table of delivered batches, which
/// came with version 2.
async fn missing(
    connection: &mut SqliteConnection,
    path: &Path,
    table: &TableName,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let failed = |source| Error::from_sqlite(path, "read the schema version", source);
    let found: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(Error::Newer(path.to_owned(), found, SCHEMA_VERSION));
    }
    let sql = "SELECT count(*) FILTER (WHERE name = ?1 COLLATE NOCASE), \
               count(*) FILTER (WHERE name = 'delivered_batch' COLLATE NOCASE) FROM sqlite_schema";
    let (timeline, delivery_log): (i64, i64) =
        sqlx::query_as(sql).bind(table.name.clone()).fetch_one(&mut *connection).await.map_err(failed)?;
    Ok((
        if timeline == 0 { schema(table) } else { Vec::new() },
        if delivery_log == 0 { vec![DELIVERY_LOG.to_owned()] } else { Vec::new() },
    ))
}

/// The timeline. Plain text and integers, so that any old `sqlite3` can read the file.
fn schema(table: &TableName) -> Vec<String> {
    let index = quoted(&format!("{}_by_type_source_time", table.name));
    let view = quoted(&format!("{}_unix", table.name));
    vec![
        format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, source TEXT NOT NULL, value REAL, \
             metadata TEXT NOT NULL DEFAULT '{{}}', created_at INTEGER NOT NULL /* microseconds since 1970, UTC */)"
        ),
        format!("CREATE INDEX {index} ON {table} (event_type, source, created_at)"),
        format!(
            "CREATE VIEW {view} AS SELECT id, event_type, source, value, metadata, \
             created_at / 1000000 AS created_at FROM {table} /* seconds since 1970, for Grafana */"
        ),
    ]
}

async fn check_columns(
    connection: &mut SqliteConnection,
    path: &Path,
    table: &TableName,
) -> Result<(), Error> {
    let failed = |source| Error::from_sqlite(path, "look up the columns", source);
    let columns = columns_of(connection, table).await.map_err(failed)?;
    let missing = COLUMNS.iter().filter(|wanted| !columns.iter().any(|column| column.name == **wanted));
    let problems: Vec<_> = missing.map(|name| format!("there is no column `{name}`")).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::DoesNotFit(table.to_string(), problems))
}

async fn columns_of(connection: &mut SqliteConnection, table: &TableName) -> sqlx::Result<Vec<ColumnFound>> {
    let rows = sqlx::query("SELECT name, type, \"notnull\" FROM pragma_table_info(?) ORDER BY cid")
        .bind(table.name.clone())
        .fetch_all(connection)
        .await?;
    let column = |row: SqliteRow| {
        Ok(ColumnFound {
            name: row.try_get(0)?,
            sql_type: row.try_get(1)?,
            not_null: row.try_get::<i64, _>(2)? != 0,
        })
    };
    rows.into_iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::batch::{Event, Metadata};
    use crate::support::error::Diagnose;

    async fn opened(folder: &tempfile::TempDir) -> Sqlite {
        let table = TableName::parse("unified_timeline").unwrap();
        Sqlite::open(&folder.path().join("f.db"), table).await.unwrap().0
    }

    #[tokio::test]
    async fn every_commit_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = opened(&folder).await;
        let connection = &mut sqlite.opened.lock().await.connection;
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
        let busy: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&mut *connection).await.unwrap();
        assert_eq!((mode.as_str(), synchronous, busy), ("wal", 2, 5_000));
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = opened(&folder).await;
        // SQLite's own way to a full disk: the file may not grow beyond its present pages.
        sqlx::query("PRAGMA max_page_count = 1")
            .execute(&mut sqlite.opened.lock().await.connection)
            .await
            .unwrap();
        let event = Event {
            event_type: "node_up",
            source: "s".to_owned(),
            value: None,
            metadata: Metadata::of(&json!({"blob": "x".repeat(100_000)})),
            at: Timestamp::from_micros(0),
        };
        let records = Record::from_events(&[event]);
        let error = sqlite.write(BatchId(Uuid::nil()), &records, None).await.unwrap_err();
        assert!(matches!(error, Error::File(_, FileTrouble::Full, _)), "{error:?}");
        assert!(error.is_transient());
        assert_eq!(sqlite.status().await.unwrap().newest, None);
    }
}
