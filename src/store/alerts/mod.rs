//! What is kept of the alerts: their state, and the messages that wait for the webhook. Both change in the
//! transaction that keeps the batch that changed them, so that a process that is killed forgets neither,
//! and raises nothing twice.
//!
//! With SQLite they are where the timeline is, so that whoever writes to it knows the same; what the
//! timeline could not take waits in the spool, and they with it. With PostgreSQL they are in the spool.
//!
//! States have a revision. Whoever judged by an older one than is kept is refused
//! ([`Error::AlertsChanged`](super::Error::AlertsChanged)), and judges again.

mod outbox;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::spool::Spool;
use super::store_url::Backend;
use super::{Error, StoreUrl};
use crate::batch::{BatchId, Event};

pub use outbox::{Outbox, OutboxMessage};

/// The most messages that wait for the webhook; the oldest go first, since how things are now matters most.
/// A hall of a thousand nodes that goes dark is a thousand of them; at 500 bytes each they are 2 MB.
const MAX_WAITING: i64 = 4_096;

/// What a batch says of the alerts.
#[derive(Debug, Clone, Default)]
pub struct AlertRecord {
    /// What was raised and cleared. Written with the batch's own events, or not at all where the rest of
    /// this cannot be kept.
    pub events: Vec<Event>,
    /// The revision that was judged by; 0 where there was none.
    pub judged_by: i64,
    /// The state that follows, as text; `None` if it is still that of `judged_by`. Its revision is one
    /// more.
    pub state: Option<String>,
    /// Messages for the webhook, as text, in their order.
    pub messages: Vec<String>,
}

/// The state of the alerts that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlertState {
    /// Which one it is: each is one more than the one before it.
    pub revision: i64,
    /// The state, as it was given.
    pub text: String,
}

/// What is kept of the alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredAlerts {
    /// The newest state; `None` if none was ever kept.
    pub state: Option<StoredAlertState>,
    /// Number of messages that wait for the webhook.
    pub n_waiting: u64,
}

/// The tables' names: in the spool, which is all ours, and in a timeline's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    OfSpool,
    OfTimeline,
}

impl Tables {
    /// A statement with the names in the places of `{state}` and `{outbox}`.
    fn sql(self, text: &str) -> AssertSqlSafe<String> {
        let prefix = match self {
            Self::OfSpool => "",
            Self::OfTimeline => "fleetwatt_",
        };
        let text = text.replace("{state}", &format!("{prefix}alert_state"));
        AssertSqlSafe(text.replace("{outbox}", &format!("{prefix}alert_outbox")))
    }
}

/// Creates the tables where there are none. To be called in a transaction.
pub(super) async fn create(connection: &mut SqliteConnection, tables: Tables) -> sqlx::Result<()> {
    let sql = "CREATE TABLE IF NOT EXISTS {state} (one INTEGER PRIMARY KEY CHECK (one = 1), \
               revision INTEGER NOT NULL, batch_id TEXT NOT NULL, state TEXT NOT NULL /* JSON */); \
               CREATE TABLE IF NOT EXISTS {outbox} (seq INTEGER PRIMARY KEY AUTOINCREMENT, \
               message_id TEXT NOT NULL UNIQUE, message TEXT NOT NULL /* JSON */);";
    sqlx::raw_sql(tables.sql(sql)).execute(connection).await.map(|_| ())
}

/// Whether the tables are there.
pub(super) async fn are_there(connection: &mut SqliteConnection, tables: Tables) -> sqlx::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('{state}', '{outbox}')";
    let n_tables: i64 = sqlx::query_scalar(tables.sql(sql)).fetch_one(connection).await?;
    Ok(n_tables == 2)
}

/// Keeps what a batch says of the alerts, in the transaction that keeps the batch. Gives the state that is
/// kept, if it is newer than the one that was judged by: then nothing was written, and nothing of the
/// batch may be.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    tables: Tables,
    id: BatchId,
    record: &AlertRecord,
) -> sqlx::Result<Option<StoredAlertState>> {
    let kept = state_of(connection, tables).await?;
    if let Some(newer) = kept.filter(|kept| record.judged_by < kept.revision) {
        return Ok(Some(newer));
    }
    if let Some(text) = &record.state {
        put_state(connection, tables, id, record.judged_by + 1, text).await?;
    }
    for (n, message) in record.messages.iter().enumerate() {
        let sql = "INSERT INTO {outbox} (message_id, message) VALUES (?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(tables.sql(sql)).bind(format!("{id}/{n:05}")).bind(message);
        query.execute(&mut *connection).await?;
    }
    if !record.messages.is_empty() {
        let sql =
            "DELETE FROM {outbox} WHERE seq <= (SELECT seq FROM {outbox} ORDER BY seq DESC LIMIT 1 OFFSET ?)";
        let dropped = sqlx::query(tables.sql(sql)).bind(MAX_WAITING).execute(connection).await?;
        if dropped.rows_affected() > 0 {
            let n_dropped = dropped.rows_affected();
            tracing::error!(n_dropped, "webhook is not told of the oldest alerts: too many wait for it");
        }
    }
    Ok(None)
}

async fn put_state(
    connection: &mut SqliteConnection,
    tables: Tables,
    id: BatchId,
    revision: i64,
    text: &str,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO {state} VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET \
               revision = excluded.revision, batch_id = excluded.batch_id, state = excluded.state";
    let query = sqlx::query(tables.sql(sql)).bind(revision).bind(id.to_string()).bind(text);
    query.execute(connection).await.map(|_| ())
}

async fn state_of(
    connection: &mut SqliteConnection,
    tables: Tables,
) -> sqlx::Result<Option<StoredAlertState>> {
    let sql = tables.sql("SELECT revision, state FROM {state}");
    let found: Option<(i64, String)> = sqlx::query_as(sql).fetch_optional(connection).await?;
    Ok(found.map(|(revision, text)| StoredAlertState { revision, text }))
}

/// Copies everything from a damaged file as far as it can be read; says how many messages.
pub(super) async fn rescue(into: &mut SqliteConnection, from: &mut SqliteConnection) -> sqlx::Result<()> {
    let tables = Tables::OfSpool;
    if !are_there(from, tables).await.unwrap_or(false) {
        return Ok(());
    }
    let sql = tables.sql("SELECT revision, batch_id, state FROM {state}");
    let found: sqlx::Result<Option<(i64, String, String)>> =
        sqlx::query_as(sql).fetch_optional(&mut *from).await;
    match found {
        Ok(Some((revision, batch_id, text))) => {
            let sql = tables.sql("INSERT INTO {state} VALUES (1, ?, ?, ?)");
            sqlx::query(sql).bind(revision).bind(batch_id).bind(text).execute(&mut *into).await?;
        }
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "state of the alerts is lost with the spool: what holds is raised anew");
        }
    }
    let mut after = i64::MIN;
    loop {
        let sql =
            tables.sql("SELECT seq, message_id, message FROM {outbox} WHERE seq > ? ORDER BY seq LIMIT 1");
        let next: sqlx::Result<Option<(i64, String, String)>> =
            sqlx::query_as(sql).bind(after).fetch_optional(&mut *from).await;
        match next {
            // A tree that is damaged may lead round in circles.
            Ok(Some((seq, id, message))) if after < seq => {
                after = seq;
                let sql = tables.sql("INSERT INTO {outbox} VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
                sqlx::query(sql).bind(seq).bind(id).bind(message).execute(&mut *into).await?;
            }
            Ok(None) => return Ok(()),
            Ok(Some(_)) | Err(_) => {
                tracing::error!("messages for the webhook are lost with the spool");
                return Ok(());
            }
        }
    }
}

/// A file that may hold what is kept of the alerts.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    tables: Tables,
}

/// The files that hold what is kept of the alerts: the spool, and a timeline that is a file.
fn sources(state_dir: &Path, store_url: &StoreUrl) -> Vec<Source> {
    let spool = Source { path: Spool::path_in(state_dir), tables: Tables::OfSpool };
    match store_url.backend() {
        Backend::Sqlite(path) => vec![Source { path: path.clone(), tables: Tables::OfTimeline }, spool],
        Backend::Postgres(_) => vec![spool],
    }
}

impl Source {
    /// Opens the file, if it is there and has the tables.
    async fn open(&self, may_write: bool) -> Result<Option<SqliteConnection>, Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        let mut connection = self.options(may_write).connect().await.map_err(|source| self.failed(source))?;
        if are_there(&mut connection, self.tables).await.map_err(|source| self.failed(source))? {
            return Ok(Some(connection));
        }
        close(connection).await;
        Ok(None)
    }

    fn options(&self, may_write: bool) -> SqliteConnectOptions {
        // `./-x` and `./file:x` are paths for SQLite, `file:x` is a URI.
        let file = if self.path.is_absolute() { self.path.clone() } else { Path::new(".").join(&self.path) };
        // A reader in WAL mode leaves files beside a database, unless it is told that nobody writes it. Who does
        // has such a file there.
        let is_at_rest = !log_of(&self.path).exists();
        let options = SqliteConnectOptions::new().filename(file).read_only(!may_write);
        options.immutable(!may_write && is_at_rest).disable_statement_logging()
    }

    fn failed(&self, source: sqlx::Error) -> Error {
        Error::from_sqlite(&self.path, "read what is kept of the alerts", source)
    }
}

/// The write-ahead log beside a database.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Takes leave of a file. Whatever was committed is durable.
async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a file with alerts did not close cleanly");
    }
}

/// What is kept of the alerts beside a state directory and a timeline. Changes nothing, and works beside a
/// fleetwatt that runs.
///
/// # Errors
///
/// A file that is there cannot be read.
pub async fn stored_alerts(state_dir: &Path, store_url: &StoreUrl) -> Result<StoredAlerts, Error> {
    let mut kept = StoredAlerts::default();
    let mut waiting = std::collections::BTreeSet::new();
    for source in sources(state_dir, store_url) {
        let Some(mut connection) = source.open(false).await? else { continue };
        let state = state_of(&mut connection, source.tables).await;
        let sql = source.tables.sql("SELECT message_id FROM {outbox}");
        let ids: sqlx::Result<Vec<String>> = sqlx::query_scalar(sql).fetch_all(&mut connection).await;
        close(connection).await;
        let state = state.map_err(|error| source.failed(error))?;
        waiting.extend(ids.map_err(|error| source.failed(error))?);
        kept.state = kept.state.into_iter().chain(state).max_by_key(|state| state.revision);
    }
    kept.n_waiting = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
    Ok(kept)
}
