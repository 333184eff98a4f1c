//! Keeps a batch from being written twice, by what this role may do.
//!
//! A broken connection leaves it open whether a commit was made, so every batch is sent until the
//! database says yes. What makes that harmless is decided in the transaction that writes the rows.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::connect::begin;
use super::failure::Fault;
use super::table_mapping::TableMapping;
use super::time::time;
use crate::batch::BatchId;
use crate::store::Guarantee;
use crate::store::counts::from_database;
use crate::store::record::{Record, events};

/// The schema is fleetwatt's own, whoever the timeline belongs to.
pub(super) const SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS fleetwatt";
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS fleetwatt.delivered_batch \
    (batch_id uuid PRIMARY KEY, rows int NOT NULL, committed_at timestamptz NOT NULL DEFAULT now())";

/// The unique index is what decides, so a table of that name without one is no ledger.
const LOOKUP: &str = "\
SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT')
  AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = 'batch_id' AND a.atttypid = 'uuid'::regtype
WHERE n.nspname = 'fleetwatt' AND c.relname = 'delivered_batch' LIMIT 1";

/// Forgets what is long settled in the same round trip, by the database's own clock: found by the primary key, since
/// ids begin with their time, and only if it was also committed so long ago.
const ENTER: &str = "\
WITH forgotten AS (DELETE FROM fleetwatt.delivered_batch WHERE committed_at < now() - interval '30 days'
  AND batch_id < rpad(lpad(to_hex(((extract(epoch FROM now()) - 2592000) * 1000)::bigint), 12, '0'), 32, '0')::uuid)
INSERT INTO fleetwatt.delivered_batch (batch_id, rows) VALUES ($1::text::uuid, $2) ON CONFLICT DO NOTHING";

/// More sources do not make the look any surer, and each one costs a probe of the index.
const MAX_SOURCES: usize = 100;

/// A timestamp column may be rounded to whole seconds.
const ROUNDING_MICROS: i64 = 1_000_000;

/// The means of this role against doubles, by its rights.
pub(super) async fn find(connection: &mut PgConnection, may_select: bool) -> Result<Guarantee, Fault> {
    Ok(match (is_usable(connection).await?, may_select) {
        (true, _) => Guarantee::DeliveryLog,
        (false, true) => Guarantee::Lookup,
        (false, false) => Guarantee::AtLeastOnce,
    })
}

/// Whether the table of delivered batches is there, and this role may use it.
pub(super) async fn is_usable(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let mut transaction = begin(connection).await?;
    let is_usable: Option<bool> =
        sqlx::query_scalar(LOOKUP).persistent(false).fetch_optional(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(is_usable.unwrap_or(false))
}

/// Enters a batch as delivered within the transaction that is open; says whether it was not yet. Whoever else tries
/// the same batch waits here until we have ended.
pub(super) async fn enter(connection: &mut PgConnection, id: BatchId, n_rows: usize) -> sqlx::Result<bool> {
    let n_rows = i32::try_from(n_rows).unwrap_or(i32::MAX);
    let query = sqlx::query(ENTER).bind(id.to_string()).bind(n_rows).persistent(false);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}

/// Whether no row of the batch is there, within the transaction that is open, with the same wait. Two statements,
/// since each sees what was committed before it began: the second is to see the rows of whoever held the lock.
pub(super) async fn is_absent(
    connection: &mut PgConnection,
    table: &TableMapping,
    id: BatchId,
    records: &[Record],
) -> sqlx::Result<bool> {
    if records.is_empty() {
        return Ok(true);
    }
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_key(id.0)).persistent(false);
    lock.execute(&mut *connection).await?;
    Ok(count_events(connection, table, id, records, MAX_SOURCES, "LIMIT 1").await? == 0)
}

/// The number of events of a batch that are in the timeline, as far as this role sees them.
pub(super) async fn n_there(
    connection: &mut PgConnection,
    table: &TableMapping,
    id: BatchId,
    records: &[Record],
) -> sqlx::Result<u64> {
    count_events(connection, table, id, records, usize::MAX, "").await
}

/// Counts the events of a batch among the rows of its time and types, and of at most `n_sources` of its sources.
async fn count_events(
    connection: &mut PgConnection,
    table: &TableMapping,
    id: BatchId,
    records: &[Record],
    n_sources: usize,
    limit: &'static str,
) -> sqlx::Result<u64> {
    let events = events(records);
    let times = || events.iter().map(|row| row.created_at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(0) };
    let types: BTreeSet<&str> = events.iter().map(|row| row.event_type.as_str()).collect();
    let sources: BTreeSet<&str> = events.iter().map(|row| row.source.as_str()).collect();
    // Rows of others may hold anything in a text column, so that is not parsed.
    let (is_of_batch, needle) = if table.is_json {
        ("metadata ->> 'batch' = $5", id.to_string())
    } else {
        ("position($5 in metadata) > 0", format!("\"batch\":\"{id}\""))
    };
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {} \
         WHERE created_at BETWEEN {} AND {} AND event_type = ANY($3::text[]) \
         AND source = ANY($4::text[]) AND {is_of_batch} {limit}) AS found",
        table.name,
        time(table.time_type(), "$1::int8"),
        time(table.time_type(), "$2::int8"),
    );
    let n_rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(first.saturating_sub(ROUNDING_MICROS))
        .bind(last.saturating_add(ROUNDING_MICROS))
        .bind(types.into_iter().collect::<Vec<_>>())
        .bind(sources.into_iter().take(n_sources).collect::<Vec<_>>())
        .bind(needle)
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok(from_database(n_rows))
}

/// The random half of the id.
fn lock_key(id: Uuid) -> i64 {
    id.as_u64_pair().1.cast_signed()
}
