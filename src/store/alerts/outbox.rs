//! The messages that wait for the webhook, as whoever delivers them sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{Source, close, sources};
use crate::reading::error_chain;
use crate::store::{Error, StoreUrl};

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
    /// What is done with, and could not be removed yet.
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
    ///
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
            close(connection).await;
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
    ///
    /// A file cannot be written.
    pub async fn remove(&mut self, ids: impl IntoIterator<Item = String> + Send) -> Result<(), Error> {
        self.done.extend(ids);
        for source in &self.sources {
            let Some(mut connection) = source.open(true).await? else { continue };
            let done = remove_from(&mut connection, source, &self.done).await;
            close(connection).await;
            done.map_err(|error| source.failed(error))?;
        }
        self.done.clear();
        Ok(())
    }
}

async fn remove_from(
    connection: &mut sqlx::SqliteConnection,
    source: &Source,
    ids: &BTreeSet<String>,
) -> sqlx::Result<()> {
    use sqlx::Connection;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for id in ids {
        let sql = source.tables.sql("DELETE FROM {outbox} WHERE message_id = ?");
        sqlx::query(sql).bind(id).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
