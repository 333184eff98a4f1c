//! Forgets rows of a SQLite timeline that are older than `[store] keep`: a little with each batch, or all at once by
//! `store prune`. The room of what was removed is used again, so that the file stops growing.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::Sqlite;
use crate::reading::Timestamp;
use crate::store::Error;
use crate::store::counts::from_database;
use crate::store::file::NOW;
use crate::store::receipt::Pruned;
use crate::store::table::TableName;

/// Rows that are looked at in one transaction, so that nobody waits long for the lock.
const ROWS_A_STEP: i64 = 5_000;

/// At least so many rows are looked at with each batch.
const MIN_ROWS: u64 = 1_000;

/// Free pages that are given back to the disk in one transaction: 4 MiB.
const PAGES_A_STEP: u32 = 1_000;

impl Sqlite {
    /// Looks at the rows that were written first, twice as many as came with the last batch, and removes those that are
    /// too old; says how many.
    pub(in crate::store) async fn prune_step(&self, keep: Duration, n_new: u64) -> Result<u64, Error> {
        let failed = |source| Error::from_sqlite(&self.path, "remove old rows", source);
        let connection = &mut self.opened.lock().await.connection;
        let before = cutoff(connection, &self.table, keep, Some(n_new)).await.map_err(failed)?;
        let table = &self.table;
        // In the order in which they were written, which is nearly that of their times: no index is needed.
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM \
             (SELECT rowid, created_at FROM {table} ORDER BY rowid LIMIT ?) WHERE created_at < ?)"
        );
        let n_looked_at = i64::try_from(n_new.saturating_mul(2).max(MIN_ROWS)).unwrap_or(ROWS_A_STEP);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(n_looked_at).bind(before);
        Ok(query.execute(connection).await.map_err(failed)?.rows_affected())
    }

    /// Removes every row that is too old, and gives the room back to the disk. A dry run only counts.
    pub(in crate::store) async fn prune(&self, keep: Duration, dry_run: bool) -> Result<Pruned, Error> {
        let failed = |source| Error::from_sqlite(&self.path, "remove old rows", source);
        let connection = &mut self.opened.lock().await.connection;
        let before = cutoff(connection, &self.table, keep, None).await.map_err(failed)?;
        let bytes_before = size(connection).await.map_err(failed)?;
        let rows = if dry_run {
            count(connection, &self.table, before).await.map_err(failed)?
        } else {
            let rows = remove(connection, &self.table, before).await.map_err(failed)?;
            give_back(connection).await.map_err(failed)?;
            rows
        };
        let bytes_after = size(connection).await.map_err(failed)?;
        Ok(Pruned { rows, before: Timestamp::from_micros(before), bytes_before, bytes_after })
    }
}

/// The time before which rows go. By SQLite's clock, or by the newest of the rows that were there before the last
/// batch, if that is earlier: a clock that is far ahead for once removes nothing too early. `n_new` rows came
/// with that batch; without it, all rows are looked at.
async fn cutoff(
    connection: &mut SqliteConnection,
    table: &TableName,
    keep: Duration,
    n_new: Option<u64>,
) -> sqlx::Result<i64> {
    let newest = match n_new {
        Some(n_new) => format!(
            "SELECT created_at FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - {n_new} \
             ORDER BY rowid DESC LIMIT 1"
        ),
        None => format!("SELECT max(created_at) FROM {table}"),
    };
    let sql = format!("SELECT min({NOW}, coalesce(({newest}), 0))");
    let now: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(now.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)))
}

async fn count(connection: &mut SqliteConnection, table: &TableName, before: i64) -> sqlx::Result<u64> {
    let sql = format!("SELECT count(*) FROM {table} WHERE created_at < ?");
    let n_rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(before).fetch_one(connection).await?;
    Ok(from_database(n_rows))
}

async fn remove(connection: &mut SqliteConnection, table: &TableName, before: i64) -> sqlx::Result<u64> {
    let next = format!("SELECT min(rowid) FROM {table} WHERE rowid >= ?");
    let delete = format!("DELETE FROM {table} WHERE rowid BETWEEN ? AND ? AND created_at < ?");
    let (mut n_rows, mut at) = (0, i64::MIN);
    loop {
        let first: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(next.as_str())).bind(at).fetch_one(&mut *connection).await?;
        let Some(first) = first else { return Ok(n_rows) };
        let last = first.saturating_add(ROWS_A_STEP - 1);
        let query = sqlx::query(AssertSqlSafe(delete.as_str())).bind(first).bind(last).bind(before);
        n_rows += query.execute(&mut *connection).await?.rows_affected();
        if last == i64::MAX {
            return Ok(n_rows);
        }
        at = last + 1;
    }
}

/// Files of the program before cannot be made smaller; their room is used again all the same.
async fn give_back(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let kind: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut *connection).await?;
    let mut free: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut *connection).await?;
    // 2 is incremental.
    while kind == 2 && free > 0 {
        let sql = format!("PRAGMA incremental_vacuum({PAGES_A_STEP})");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        let left: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut *connection).await?;
        if left == free {
            break;
        }
        free = left;
    }
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await.map(|_| ())
}

pub(super) async fn size(connection: &mut SqliteConnection) -> sqlx::Result<u64> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let bytes: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok(from_database(bytes))
}
