//! The files that hold the state of the alerts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::state::StoredAlerts;
use super::tables::{Tables, are_there, state_of};
use crate::store::spool::Spool;
use crate::store::store_url::{Backend, StoreUrl};
use crate::store::{Error, file};

/// A file that may hold what is kept of the alerts.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
    pub(super) tables: Tables,
}

/// The files that hold what is kept of the alerts: the spool, and a timeline that is a file.
pub(super) fn sources(state_dir: &Path, store_url: &StoreUrl) -> Vec<Source> {
    let spool = Source { path: Spool::path_in(state_dir), tables: Tables::OfSpool };
    match store_url.backend() {
        Backend::Sqlite(path) => vec![Source { path: path.clone(), tables: Tables::OfTimeline }, spool],
        Backend::Postgres(_) => vec![spool],
    }
}

impl Source {
    /// Opens the file, if it is there and has the tables.
    pub(super) async fn open(&self, may_write: bool) -> Result<Option<SqliteConnection>, Error> {
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
        // A reader in WAL mode leaves files beside a database, unless it is told that nobody writes it. Who does
        // has such a file there.
        let is_at_rest = !file::with(&self.path, "-wal").exists();
        file::options(&self.path).read_only(!may_write).immutable(!may_write && is_at_rest)
    }

    pub(super) fn failed(&self, source: sqlx::Error) -> Error {
        Error::from_sqlite(&self.path, "read what is kept of the alerts", source)
    }
}

/// Closes a file. Whatever was committed is durable.
pub(super) async fn close(connection: SqliteConnection) {
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
    let mut waiting = BTreeSet::new();
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
