//! Finds the rows that a table refuses, in a transaction that is rolled back.

use sqlx::postgres::{PgConnection, PgTransaction};

use super::failure::Context;
use super::insert;
use super::table_mapping::TableMapping;
use super::transaction;
use crate::store::Error;
use crate::store::bisect::Bisect;
use crate::store::receipt::RejectedRow;
use crate::store::record::Record;

/// After so many ranges were taken the transaction begins anew: each keeps a lock until its end, and all
/// transactions together have some thousands.
const SAVEPOINTS: usize = 256;

/// The rows that are refused, in their order. Rows are tried on top of those that were taken, so that
/// what is left is taken together.
pub(super) async fn refused(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableMapping,
    records: &[Record],
) -> Result<Vec<RejectedRow>, Error> {
    let failed = |error| context.classify(error);
    let mut transaction = begin(&mut *connection, context).await?;
    let mut refused = Vec::new();
    let mut taken: Vec<Record> = Vec::new();
    let mut n_savepoints = 0;
    let mut bisect = Bisect::of(records.len());
    while let Some(range) = bisect.next() {
        if n_savepoints == SAVEPOINTS {
            transaction.rollback().await.map_err(failed)?;
            transaction = begin(&mut *connection, context).await?;
            insert::all(&mut transaction, table, &taken).await.map_err(failed)?;
            n_savepoints = 0;
        }
        let some = records.get(range.clone()).unwrap_or_default();
        match attempt(&mut transaction, context, table, some).await {
            Ok(()) => {
                taken.extend_from_slice(some);
                n_savepoints += 1;
            }
            Err(error) if error.is_data_error() => {
                if bisect.refuse(range.clone()) {
                    refused.push(RejectedRow { row: range.start, error });
                }
            }
            Err(error) => return Err(error),
        }
    }
    transaction.rollback().await.map_err(failed)?;
    Ok(refused)
}

async fn begin<'c>(
    connection: &'c mut PgConnection,
    context: &Context<'_>,
) -> Result<PgTransaction<'c>, Error> {
    let mut transaction = transaction::begin(connection, context).await?;
    // What is only checked at the commit has to be checked at each try.
    let done = sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *transaction).await;
    done.map(|_| transaction).map_err(|error| context.classify(error))
}

/// In a savepoint, since a refused statement would end the whole transaction. It is given up either way: those that
/// are only rolled back to would pile up.
async fn attempt(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableMapping,
    records: &[Record],
) -> Result<(), Error> {
    let failed = |error| context.classify(error);
    table.check_lengths(records)?;
    sqlx::raw_sql("SAVEPOINT fleetwatt").execute(&mut *connection).await.map_err(failed)?;
    let done = insert::all(&mut *connection, table, records).await.map_err(failed);
    let end = match &done {
        Ok(_) => "RELEASE SAVEPOINT fleetwatt",
        Err(_) => "ROLLBACK TO SAVEPOINT fleetwatt; RELEASE SAVEPOINT fleetwatt",
    };
    let ended = sqlx::raw_sql(end).execute(connection).await.map_err(failed);
    done.and_then(|_| ended.map(|_| ()))
}
