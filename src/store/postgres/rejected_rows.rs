//! Finds the rows that a table refuses, in a transaction that is rolled back.

use sqlx::postgres::{PgConnection, PgTransaction};

use super::connect;
use super::failure::{Fault, Target};
use super::table_mapping::TableMapping;
use crate::store::Error;
use crate::store::bisect::Bisect;
use crate::store::receipt::RejectedRow;
use crate::store::record::Record;

pub(super) const STEP: &str = "find the rows that are refused";

/// After so many ranges were taken the transaction begins anew: each keeps a lock until its end, and all
/// transactions together have some thousands.
const SAVEPOINTS: usize = 256;

/// The rows that are refused, in their order. Rows are tried on top of those that were taken, so that
/// what is left is taken together.
pub(super) async fn refused(
    connection: &mut PgConnection,
    target: &Target,
    table: &TableMapping,
    records: &[Record],
) -> Result<Vec<RejectedRow>, Fault> {
    let mut transaction = begin(&mut *connection).await?;
    let mut refused = Vec::new();
    let mut taken: Vec<Record> = Vec::new();
    let mut n_savepoints = 0;
    let mut bisect = Bisect::of(records.len());
    while let Some(range) = bisect.next() {
        if n_savepoints == SAVEPOINTS {
            transaction.rollback().await?;
            transaction = begin(&mut *connection).await?;
            table.insert(&mut transaction, &taken).await?;
            n_savepoints = 0;
        }
        let some = records.get(range.clone()).unwrap_or_default();
        match attempt(&mut transaction, target, table, some).await? {
            Ok(()) => {
                taken.extend_from_slice(some);
                n_savepoints += 1;
            }
            Err(error) if bisect.refuse(range.clone()) => {
                refused.push(RejectedRow { row: range.start, error });
            }
            Err(_) => {}
        }
    }
    transaction.rollback().await?;
    Ok(refused)
}

async fn begin(connection: &mut PgConnection) -> sqlx::Result<PgTransaction<'_>> {
    let mut transaction = connect::begin(connection).await?;
    // What is only checked at the commit has to be checked at each try.
    sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *transaction).await?;
    Ok(transaction)
}

/// In a savepoint, since a refused statement would end the whole transaction. It is given up either way: those that
/// are only rolled back to would pile up. The inner error says why the records are refused.
async fn attempt(
    connection: &mut PgConnection,
    target: &Target,
    table: &TableMapping,
    records: &[Record],
) -> Result<Result<(), Error>, Fault> {
    if let Err(error) = table.check_lengths(records) {
        return Ok(Err(error));
    }
    sqlx::raw_sql("SAVEPOINT fleetwatt").execute(&mut *connection).await?;
    let done = table.insert(&mut *connection, records).await;
    let done = done.map_err(|error| target.sort(STEP, error.into()));
    let end = match &done {
        Ok(_) => "RELEASE SAVEPOINT fleetwatt",
        Err(_) => "ROLLBACK TO SAVEPOINT fleetwatt; RELEASE SAVEPOINT fleetwatt",
    };
    let ended = sqlx::raw_sql(end).execute(connection).await;
    match done {
        Err(error) if !error.is_data_error() => Err(error.into()),
        done => ended.map(|_| done.map(drop)).map_err(Fault::from),
    }
}
