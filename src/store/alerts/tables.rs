//! The tables of the alerts, in the spool or in a timeline's file.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::{AlertRecord, StoredAlertState};
use crate::batch::BatchId;

/// The most messages that wait for the webhook; the oldest go first, since how things are now matters most.
/// A hall of a thousand nodes that goes dark is a thousand of them; at 500 bytes each they are 2 MB.
pub(super) const MAX_WAITING: i64 = 4_096;

/// The tables' names: in the spool, which is all ours, and in a timeline's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Tables {
    OfSpool,
    OfTimeline,
}

impl Tables {
    /// A statement with the names in the places of `{state}` and `{outbox}`.
    pub(in crate::store) fn sql(self, text: &str) -> AssertSqlSafe<String> {
        let prefix = match self {
            Self::OfSpool => "",
            Self::OfTimeline => "fleetwatt_",
        };
        let text = text.replace("{state}", &format!("{prefix}alert_state"));
        AssertSqlSafe(text.replace("{outbox}", &format!("{prefix}alert_outbox")))
    }
}

/// Creates the tables where there are none. To be called in a transaction.
pub(in crate::store) async fn create(connection: &mut SqliteConnection, tables: Tables) -> sqlx::Result<()> {
    let sql = "CREATE TABLE IF NOT EXISTS {state} (one INTEGER PRIMARY KEY CHECK (one = 1), \
               revision INTEGER NOT NULL, batch_id TEXT NOT NULL, state TEXT NOT NULL /* JSON */); \
               CREATE TABLE IF NOT EXISTS {outbox} (seq INTEGER PRIMARY KEY AUTOINCREMENT, \
               message_id TEXT NOT NULL UNIQUE, message TEXT NOT NULL /* JSON */);";
    sqlx::raw_sql(tables.sql(sql)).execute(connection).await.map(|_| ())
}

/// Whether the tables are there.
pub(in crate::store) async fn are_there(
    connection: &mut SqliteConnection,
    tables: Tables,
) -> sqlx::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('{state}', '{outbox}')";
    let n_tables: i64 = sqlx::query_scalar(tables.sql(sql)).fetch_one(connection).await?;
    Ok(n_tables == 2)
}

/// Keeps what a batch says of the alerts, in the transaction that keeps the batch. Gives the state that is
/// kept, if it is newer than the one that was judged by: then nothing was written, and nothing of the
/// batch may be.
pub(in crate::store) async fn keep(
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
        let sql = "INSERT INTO {state} VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET \
                   revision = excluded.revision, batch_id = excluded.batch_id, state = excluded.state";
        let query = sqlx::query(tables.sql(sql)).bind(record.judged_by + 1).bind(id.to_string()).bind(text);
        query.execute(&mut *connection).await?;
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

pub(in crate::store) async fn state_of(
    connection: &mut SqliteConnection,
    tables: Tables,
) -> sqlx::Result<Option<StoredAlertState>> {
    let sql = tables.sql("SELECT revision, state FROM {state}");
    let found: Option<(i64, String)> = sqlx::query_as(sql).fetch_optional(connection).await?;
    Ok(found.map(|(revision, text)| StoredAlertState { revision, text }))
}

/// Copies everything from a damaged file as far as it can be read; says how many messages.
pub(in crate::store) async fn rescue(
    into: &mut SqliteConnection,
    from: &mut SqliteConnection,
) -> sqlx::Result<()> {
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
