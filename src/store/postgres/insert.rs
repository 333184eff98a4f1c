//! The records of a batch, by arrays, each kind into its own table.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::table_mapping::TableMapping;
use crate::store::record::{ByKind, EventRow, Record};

/// Rows per INSERT: two round trips each. Measured: more is not faster, and this bounds the memory.
const ROWS_PER_INSERT: usize = 5_000;

/// Inserts all records within the transaction that is open; says how many rows came.
pub(super) async fn all(
    connection: &mut PgConnection,
    table: &TableMapping,
    records: &[Record],
) -> sqlx::Result<u64> {
    let ByKind { events } = ByKind::new(records);
    let mut n_rows = 0;
    for chunk in events.chunks(ROWS_PER_INSERT) {
        let column = |of: fn(&EventRow) -> &str| chunk.iter().map(|row| of(row)).collect::<Vec<&str>>();
        // Only quoted identifiers of the catalog and constants are in this text.
        let done = sqlx::query(AssertSqlSafe(table.insert.as_str()))
            .bind(column(|row| &row.event_type))
            .bind(column(|row| &row.source))
            .bind(chunk.iter().map(|row| row.value).collect::<Vec<_>>())
            .bind(column(|row| row.metadata.text()))
            .bind(chunk.iter().map(|row| row.created_at).collect::<Vec<_>>())
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        n_rows += done.rows_affected();
    }
    Ok(n_rows)
}
