//! The files that hold what is kept of the alerts, and the messages in them that wait for the webhook, as whoever
//! delivers them sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};

use super::StoredAlerts;
use super::tables::{Tables, are_there, state_of};
use crate::reading::error_chain;
use crate::store::counts::from_length;
use crate::store::spool::Spool;
use crate::store::store_url::{Backend, StoreUrl};
use crate::store::{Error, file};

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
        // A reader in WAL mode leaves files beside a database, unless it is told that nobody writes it. Who does
        // has such a file there.
        let is_at_rest = !file::with(&self.path, "-wal").exists();
        let options = file::options(&self.path).read_only(!may_write).immutable(!may_write && is_at_rest);
        let mut connection = options.connect().await.map_err(|source| self.failed(source))?;
        if are_there(&mut connection, self.tables).await.map_err(|source| self.failed(source))? {
            return Ok(Some(connection));
        }
        self.close(connection).await;
        Ok(None)
    }

    async fn close(&self, connection: SqliteConnection) {
        file::close(connection, &self.path).await;
    }

    async fn remove(&self, connection: &mut SqliteConnection, ids: &BTreeSet<String>) -> sqlx::Result<()> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for id in ids {
            let sql = self.tables.sql("DELETE FROM {outbox} WHERE message_id = ?");
            sqlx::query(sql).bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    fn failed(&self, source: sqlx::Error) -> Error {
        Error::from_sqlite(&self.path, "read what is kept of the alerts", source)
    }
}

/// The memory of the alerts beside a state directory and a timeline. Changes nothing, and works beside a fleetwatt
/// that runs.
///
/// # Errors
/// A file that is there cannot be read.
pub async fn stored_alerts(state_dir: &Path, store_url: &StoreUrl) -> Result<StoredAlerts, Error> {
    let mut kept = StoredAlerts::default();
    let mut waiting = BTreeSet::new();
    for source in sources(state_dir, store_url) {
        let Some(mut connection) = source.open(false).await? else { continue };
        let state = state_of(&mut connection, source.tables).await;
        let sql = source.tables.sql("SELECT message_id FROM {outbox}");
        let ids: sqlx::Result<Vec<String>> = sqlx::query_scalar(sql).fetch_all(&mut connection).await;
        source.close(connection).await;
        let state = state.map_err(|error| source.failed(error))?;
        waiting.extend(ids.map_err(|error| source.failed(error))?);
        kept.state = kept.state.into_iter().chain(state).max_by_key(|state| state.revision);
    }
    kept.n_waiting = from_length(waiting.len());
    Ok(kept)
}

/// A message that waits for the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its id, which is of no other message. They sort as the messages came.
    pub id: String,
    /// The message, as it was given.
    pub text: String,
}

/// The messages of all files that hold some. Files are opened for each call, since one may be set aside
/// meanwhile, and calls are rare.
#[derive(Debug)]
pub struct Outbox {
    sources: Vec<Source>,
    /// The ids of messages that are done with, and could not be removed yet.
    done: BTreeSet<String>,
}

impl Outbox {
    /// The outbox beside a state directory and a timeline. Opens nothing.
    pub fn new(state_dir: &Path, store_url: &StoreUrl) -> Self {
        Self { sources: sources(state_dir, store_url), done: BTreeSet::new() }
    }

    /// The oldest messages, at most so many.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn oldest(&mut self, n_most: usize) -> Result<Vec<OutboxMessage>, Error> {
        if !self.done.is_empty()
            && let Err(error) = self.remove(Vec::new()).await
        {
            tracing::debug!(error = error_chain(&error), "alerts that were told cannot be removed yet");
        }
        let mut found = BTreeMap::new();
        for source in &self.sources {
            let Some(mut connection) = source.open(false).await? else { continue };
            let sql = source.tables.sql("SELECT message_id, message FROM {outbox} ORDER BY seq LIMIT ?");
            let n_most = i64::try_from(n_most.saturating_add(self.done.len())).unwrap_or(i64::MAX);
            let rows: sqlx::Result<Vec<(String, String)>> =
                sqlx::query_as(sql).bind(n_most).fetch_all(&mut connection).await;
            source.close(connection).await;
            found.extend(rows.map_err(|error| source.failed(error))?);
        }
        let message = |(id, text)| OutboxMessage { id, text };
        found.retain(|id, _| !self.done.contains(id));
        Ok(found.into_iter().take(n_most).map(message).collect())
    }

    /// Removes messages that need not wait any longer: taken, refused for good, or given up. What cannot
    /// be removed now is not given again by this outbox, and is removed later.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn remove(&mut self, ids: impl IntoIterator<Item = String> + Send) -> Result<(), Error> {
        self.done.extend(ids);
        for source in &self.sources {
            let Some(mut connection) = source.open(true).await? else { continue };
            let done = source.remove(&mut connection, &self.done).await;
            source.close(connection).await;
            done.map_err(|error| source.failed(error))?;
        }
        self.done.clear();
        Ok(())
    }
}
