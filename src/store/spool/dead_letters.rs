//! Rows that the timeline refused for what is in them, laid aside until a person brings them in or discards
//! them.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::payload::Packed;
use super::queue::{Spool, advance_clock, as_i64, count, insert};
use crate::batch::BatchId;
use crate::reading::Timestamp;
use crate::store::Error;
use crate::store::file::NOW;
use crate::store::record::{EventRow, Record};

/// As many refused rows are kept; each is about a kilobyte. What comes then drops the oldest, which is counted.
pub(in crate::store) const MAX_DEAD_LETTERS: u64 = 10_000;

/// A row that the timeline refused for what is in it. Its texts are as they are in the spool: clean them before they
/// are shown.
#[derive(Debug)]
pub struct DeadLetter {
    /// The number, to name it by.
    pub id: i64,
    /// The batch that it came with.
    pub batch: String,
    /// The row itself; `None` if it cannot be read, or a later version wrote it.
    pub row: Option<EventRow>,
    /// The database's words.
    pub error: String,
    /// When it was laid aside.
    pub refused_at: Timestamp,
}

impl Spool {
    /// Takes refused records out of a batch and keeps them as dead letters, with what the database said. The rest
    /// goes on waiting in its place. Gives the number of the oldest dead letters that were dropped, as there were too
    /// many.
    pub(in crate::store) async fn dead_letter(
        &mut self,
        (seq, id): (i64, BatchId),
        records: &[Record],
        refused: &[(usize, String)],
    ) -> Result<u64, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let places: BTreeSet<usize> = refused.iter().map(|(place, _)| *place).collect();
        let good = records.iter().enumerate().filter(|(place, _)| !places.contains(place));
        let good: Vec<Record> = good.map(|(_, record)| record.clone()).collect();
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for (place, error) in refused {
            let Some(record) = records.get(*place) else { continue };
            let json = serde_json::to_string(record);
            let json = json.map_err(|error| failed(sqlx::Error::Encode(Box::new(error))))?;
            let sql =
                format!("INSERT INTO dead_letter (batch_id, row_json, error, at_us) VALUES (?, ?, ?, {NOW})");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_string()).bind(json);
            query.bind(error.as_str()).execute(&mut *transaction).await.map_err(failed)?;
        }
        let n_dropped = drop_too_many(&mut transaction).await.map_err(failed)?;
        let query = if good.is_empty() {
            sqlx::query("DELETE FROM batch WHERE seq = ?").bind(seq)
        } else {
            let packed = Packed::of(id, &good);
            let sql = "UPDATE batch SET rows = ?, bytes = ?, crc32 = ?, payload = ? WHERE seq = ?";
            let query = sqlx::query(sql).bind(as_i64(good.len())).bind(packed.bytes());
            query.bind(i64::from(packed.crc32)).bind(packed.payload).bind(seq)
        };
        query.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(n_dropped)
    }

    /// At most `limit` of the rows that are laid aside, those after `id`, in their order.
    pub(in crate::store) async fn dead_letters_after(
        &mut self,
        id: i64,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let sql =
            "SELECT id, batch_id, row_json, error, at_us FROM dead_letter WHERE id > ? ORDER BY id LIMIT ?";
        let dead_letters: Vec<(i64, String, String, String, i64)> =
            sqlx::query_as(sql).bind(id).bind(limit).fetch_all(&mut self.connection).await.map_err(failed)?;
        let letter = |(id, batch, json, error, at_us): (_, _, String, _, _)| {
            let row = match Record::from_json(json.as_bytes()) {
                Ok(Record::Event(row)) => Some(row),
                Ok(Record::Energy(_)) | Err(_) => None,
            };
            DeadLetter { id, batch, row, error, refused_at: Timestamp::from_micros(at_us) }
        };
        Ok(dead_letters.into_iter().map(letter).collect())
    }

    /// Takes rows that were laid aside back into the queue, as a batch of their own: in one transaction, so that
    /// each is in one of the two places. Says whether it was done: not when somebody else took one of them.
    pub(in crate::store) async fn requeue(
        &mut self,
        id: BatchId,
        dead_letters: &[i64],
        records: &[Record],
    ) -> Result<bool, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let packed = Packed::of(id, records);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let now = advance_clock(&mut transaction).await.map_err(failed)?;
        insert(&mut transaction, now, id, records.len(), packed).await.map_err(failed)?;
        let n_there = delete(&mut transaction, dead_letters).await.map_err(failed)?;
        if usize::try_from(n_there) != Ok(dead_letters.len()) {
            transaction.rollback().await.map_err(failed)?;
            return Ok(false);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Removes rows that were laid aside for good, all of them without `dead_letters`; says how many.
    pub(in crate::store) async fn discard(&mut self, dead_letters: Option<&[i64]>) -> Result<u64, Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let n_rows = match dead_letters {
            Some(dead_letters) => delete(&mut transaction, dead_letters).await.map_err(failed)?,
            None => {
                let done = sqlx::query("DELETE FROM dead_letter").execute(&mut *transaction).await;
                done.map_err(failed)?.rows_affected()
            }
        };
        transaction.commit().await.map_err(failed)?;
        Ok(n_rows)
    }
}

async fn delete(connection: &mut SqliteConnection, dead_letters: &[i64]) -> sqlx::Result<u64> {
    let ids = serde_json::json!(dead_letters).to_string();
    let sql = "DELETE FROM dead_letter WHERE id IN (SELECT value FROM json_each(?))";
    Ok(sqlx::query(sql).bind(ids).execute(connection).await?.rows_affected())
}

async fn drop_too_many(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let sql = "DELETE FROM dead_letter WHERE id IN \
               (SELECT id FROM dead_letter ORDER BY id LIMIT max(0, (SELECT count(*) FROM dead_letter) - ?))";
    let most = i64::try_from(MAX_DEAD_LETTERS).unwrap_or(i64::MAX);
    let n_dropped = sqlx::query(sql).bind(most).execute(&mut *connection).await?.rows_affected();
    if n_dropped > 0 {
        count(connection, "dead_letters_dropped_total", i64::try_from(n_dropped).unwrap_or(i64::MAX)).await?;
    }
    Ok(n_dropped)
}
