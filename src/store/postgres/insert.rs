//! The rows of a batch, by arrays.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::fit::Fitted;
use crate::batch::Event;
use crate::store::rows::Rows;

/// Rows per INSERT: two round trips each. Measured: more is not faster, and this bounds the memory.
const ROWS_PER_INSERT: usize = 5_000;

/// Inserts all events within the transaction that is open; says how many rows came.
pub(super) async fn all(
    connection: &mut PgConnection,
    table: &Fitted,
    events: &[Event],
) -> sqlx::Result<u64> {
    let mut n_rows = 0;
    for chunk in events.chunks(ROWS_PER_INSERT) {
        let rows = Rows::of(chunk);
        // Only quoted identifiers of the catalog and constants are in this text.
        let done = sqlx::query(AssertSqlSafe(table.insert.as_str()))
            .bind(&rows.event_types)
            .bind(&rows.sources)
            .bind(&rows.values)
            .bind(&rows.metadata)
            .bind(&rows.created_at)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        n_rows += done.rows_affected();
    }
    Ok(n_rows)
}
