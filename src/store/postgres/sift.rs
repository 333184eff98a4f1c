//! Finds the rows that a table refuses, in a transaction that is rolled back.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::failure::Context;
use super::fit::Fitted;
use super::insert;
use crate::store::halves::Halves;
use crate::store::rows::Row;
use crate::store::{Error, Refusal};

/// The rows that are refused, in their order. Rows are tried on top of those that were taken, so that
/// what is left is taken together.
pub(super) async fn refused(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &Fitted,
    rows: &[Row],
) -> Result<Vec<Refusal>, Error> {
    let failed = |error| context.sort(error);
    let mut transaction = super::begin(connection, context).await?;
    // What is only checked at the commit has to be checked at each try.
    sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *transaction).await.map_err(failed)?;
    let mut refused = Vec::new();
    let mut halves = Halves::of(rows.len());
    while let Some(range) = halves.next() {
        let some = rows.get(range.clone()).unwrap_or_default();
        let tried = match some.iter().try_for_each(|row| table.check_lengths(row)) {
            Ok(()) => {
                // A savepoint: a refused statement would end the whole transaction.
                let mut attempt = transaction.begin().await.map_err(failed)?;
                match insert::all(&mut attempt, table, some).await {
                    Ok(_) => attempt.commit().await.map_err(failed),
                    Err(error) => {
                        attempt.rollback().await.map_err(failed)?;
                        Err(failed(error))
                    }
                }
            }
            Err(error) => Err(error),
        };
        match tried {
            Ok(()) => {}
            Err(error) if error.is_of_the_rows() => {
                if halves.refuse(range.clone()) {
                    refused.push(Refusal { row: range.start, error });
                }
            }
            Err(error) => return Err(error),
        }
    }
    transaction.rollback().await.map_err(failed)?;
    Ok(refused)
}
