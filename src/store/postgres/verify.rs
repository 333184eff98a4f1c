//! Tries what keeps a batch from being written twice, since rights alone do not tell: row-level security hides rows
//! from those who wrote them, triggers and rules change, move or drop them.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::failure::Context;
use super::table_mapping::TableMapping;
use super::transaction::begin;
use super::{delivery_log, insert};
use crate::batch::{BatchId, Event, Metadata};
use crate::reading::{Timestamp, error_chain};
use crate::store::record::Record;
use crate::store::{Error, Guarantee};
use crate::support::error::Diagnose;

/// What was tried: what holds, and what is odd, one sentence each.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) guarantee: Guarantee,
    pub(super) warnings: Vec<String>,
}

/// Tries in transactions that are rolled back what this role has the rights for.
pub(super) async fn guarantee(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableMapping,
    by_rights: Guarantee,
) -> Result<Verdict, Error> {
    let mut tried = Verdict { guarantee: by_rights, warnings: Vec::new() };
    if by_rights == Guarantee::DeliveryLog
        && let Some(warning) = delivery_log_fails(connection, context, table).await?
    {
        tried.warnings.push(warning);
        tried.guarantee = if table.may_select { Guarantee::Lookup } else { Guarantee::AtLeastOnce };
    }
    match insert_one(connection, context, table).await {
        Ok(Probe { is_found: true, .. }) => {}
        Ok(_) if table.may_select => {
            tried.warnings.push(
                "a row that is inserted is not found by its batch afterwards: row-level security hides it from this \
                 role (there is no SELECT policy), or a trigger, a rule or a view changes, moves or drops it"
                    .to_owned(),
            );
            if tried.guarantee == Guarantee::Lookup {
                tried.guarantee = Guarantee::AtLeastOnce;
            }
        }
        Ok(Probe { n_rows: 0, .. }) => tried.warnings.push(
            "the database says of a row that is inserted that none was: a trigger or a rule moves or drops it"
                .to_owned(),
        ),
        Ok(_) => {}
        Err(error) if error.is_data_error() || matches!(error, Error::Permission(..) | Error::Other(..)) => {
            let message = error_chain(&error);
            tried.warnings.push(format!("what keeps batches from being doubled could not be tried: {message}"));
        }
        Err(error) => return Err(error),
    }
    Ok(tried)
}

#[derive(Debug)]
struct Probe {
    n_rows: u64,
    is_found: bool,
}

/// A batch that is entered twice has to be new only once.
async fn delivery_log_fails(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableMapping,
) -> Result<Option<String>, Error> {
    let (id, records) = probe();
    let mut transaction = begin(connection, context).await?;
    let mut is_new = Vec::new();
    let mut refused = None;
    for _ in 0..2 {
        match delivery_log::is_new(&mut transaction, Guarantee::DeliveryLog, table, id, &records).await {
            Ok(new) => is_new.push(new),
            Err(error) => {
                refused = Some(context.classify(error));
                break;
            }
        }
    }
    transaction.rollback().await.map_err(|error| context.classify(error))?;
    match refused {
        Some(error) if error.is_transient() => Err(error),
        Some(error) => Ok(Some(format!("fleetwatt.delivered_batch cannot be used: {}", error_chain(&error)))),
        None if is_new == [true, false] => Ok(None),
        None => Ok(Some(
            "fleetwatt.delivered_batch does not keep what is entered: a trigger, a rule or row-level security".to_owned(),
        )),
    }
}

async fn insert_one(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableMapping,
) -> Result<Probe, Error> {
    let failed = |error| context.classify(error);
    let (id, records) = probe();
    table.check_lengths(&records)?;
    let mut transaction = begin(connection, context).await?;
    let n_rows = insert::all(&mut transaction, table, &records).await.map_err(failed)?;
    let is_found = table.may_select
        && !delivery_log::is_new(&mut transaction, Guarantee::Lookup, table, id, &records)
            .await
            .map_err(failed)?;
    transaction.rollback().await.map_err(failed)?;
    Ok(Probe { n_rows, is_found })
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
