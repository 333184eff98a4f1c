//! Tries what keeps a batch from being written twice, since rights alone do not tell: row-level security hides rows
//! from those who wrote them, triggers and rules change, move or drop them.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::connect::begin;
use super::delivery_log::{enter, is_absent};
use super::failure::{Fault, Target};
use super::table_mapping::TableMapping;
use crate::batch::{BatchId, Event, Metadata};
use crate::reading::{Timestamp, error_chain};
use crate::store::record::Record;
use crate::store::{Error, Guarantee};
use crate::support::error::Diagnose;

/// The step of all tries.
pub(super) const STEP: &str = "try what keeps batches from being doubled";

/// Tries in transactions that are rolled back what this role has the rights for. Gives the guarantee that holds, and
/// what is odd about the table, one sentence each.
pub(super) async fn guarantee(
    connection: &mut PgConnection,
    target: &Target,
    table: &TableMapping,
    by_rights: Guarantee,
) -> Result<(Guarantee, Vec<String>), Fault> {
    let (mut guarantee, mut warnings) = (by_rights, Vec::new());
    if by_rights == Guarantee::DeliveryLog
        && let Some(warning) = delivery_log_fails(connection, target).await?
    {
        warnings.push(warning);
        guarantee = if table.may_select { Guarantee::Lookup } else { Guarantee::AtLeastOnce };
    }
    match insert_one(connection, table).await.map_err(|fault| target.sort(STEP, fault)) {
        Ok((_, true)) => {}
        Ok(_) if table.may_select => {
            warnings.push(
                "a row that is inserted is not found by its batch afterwards: row-level security hides it from this \
                 role (there is no SELECT policy), or a trigger, a rule or a view changes, moves or drops it"
                    .to_owned(),
            );
            if guarantee == Guarantee::Lookup {
                guarantee = Guarantee::AtLeastOnce;
            }
        }
        Ok((0, _)) => warnings.push(
            "the database says of a row that is inserted that none was: a trigger or a rule moves or drops it"
                .to_owned(),
        ),
        Ok(_) => {}
        Err(error) if error.is_data_error() || matches!(error, Error::Permission(..) | Error::Other(..)) => {
            let message = error_chain(&error);
            warnings.push(format!("what keeps batches from being doubled could not be tried: {message}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok((guarantee, warnings))
}

/// A batch that is entered twice has to be new only once.
async fn delivery_log_fails(connection: &mut PgConnection, target: &Target) -> Result<Option<String>, Fault> {
    let (id, _) = probe();
    let mut transaction = begin(connection).await?;
    let tries = async {
        let first = enter(&mut transaction, id, 1).await?;
        Ok::<_, Fault>((first, enter(&mut transaction, id, 1).await?))
    };
    let tries = tries.await;
    transaction.rollback().await?;
    match tries.map_err(|fault| target.sort(STEP, fault)) {
        Ok((true, false)) => Ok(None),
        Ok(_) => Ok(Some(
            "fleetwatt.delivered_batch does not keep what is entered: a trigger, a rule or row-level security".to_owned(),
        )),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => Ok(Some(format!("fleetwatt.delivered_batch cannot be used: {}", error_chain(&error)))),
    }
}

/// The number of rows that the database says it took, and whether they are found afterwards.
async fn insert_one(connection: &mut PgConnection, table: &TableMapping) -> Result<(u64, bool), Fault> {
    let (id, records) = probe();
    table.check_lengths(&records)?;
    let mut transaction = begin(connection).await?;
    let n_rows = table.insert(&mut transaction, &records).await?;
    let is_found = table.may_select && !is_absent(&mut transaction, table, id, &records).await?;
    transaction.rollback().await?;
    Ok((n_rows, is_found))
}

/// A row like those that are written, of now.
fn probe() -> (BatchId, Vec<Record>) {
    let id = BatchId(Uuid::now_v7());
    // Ids of this version begin with the milliseconds since 1970.
    let millis = i64::try_from(id.0.as_u128() >> 80).unwrap_or(0);
    let event = Event {
        event_type: "node_up",
        source: "node_probe".to_owned(),
        value: Some(1.0),
        metadata: Metadata::of(&serde_json::json!({"batch": id.to_string(), "node": "probe"})),
        at: Timestamp::from_micros(millis * 1_000),
    };
    (id, Record::from_events(&[event]))
}
