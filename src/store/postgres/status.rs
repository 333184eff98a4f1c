//! What the server says of itself and of the table. What the role may not see stays unsaid.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::delivery_log::owner_sql;
use super::failure::Context;
use super::init::{index_by_source, index_by_time};
use super::table_mapping::TableMapping;
use super::transaction;
use crate::reading::Timestamp;
use crate::store::{Error, Guarantee, Status};

const FACTS: &str = "\
SELECT current_setting('server_version'), inet_client_addr() IS NOT NULL,
  (SELECT CASE WHEN s.ssl THEN concat_ws(' ', s.version, s.cipher) END FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()),
  coalesce((SELECT sum(pg_total_relation_size(p.relid))::int8 FROM pg_partition_tree($1::oid::regclass) p),
    pg_total_relation_size($1::oid::regclass))";

const INDEXES: &str = "\
SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.place)
FROM pg_index i WHERE i.indrelid = $1::oid AND i.indisvalid";

/// Two transactions, so that a slow count does not cost the facts.
pub(super) async fn ask(
    connection: &mut PgConnection,
    table: &TableMapping,
    guarantee: Guarantee,
    context: &Context<'_>,
    store_url: String,
) -> Result<Status, Error> {
    let failed = |error| context.classify(error);
    let mut transaction = transaction::begin(connection, context).await?;
    let facts = sqlx::query(FACTS)
        .bind(table.oid)
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let indexes =
        sqlx::query_scalar(INDEXES).bind(table.oid).persistent(false).fetch_all(&mut *transaction).await;
    let hints = hints(table, &indexes.map_err(failed)?);
    transaction.rollback().await.map_err(failed)?;
    let over_network: bool = facts.try_get(1).map_err(failed)?;
    let tls: Option<String> = facts.try_get(2).map_err(failed)?;
    let size: Option<i64> = facts.try_get(3).map_err(failed)?;
    let counts = if table.may_select { counts(connection, table, context).await? } else { None };
    let (recent, newest) = counts.map_or((None, None), |(recent, newest)| (Some(recent), newest));
    Ok(Status {
        kind: "PostgreSQL",
        store_url,
        version: facts.try_get(0).map_err(failed)?,
        table: table.name.clone(),
        table_kind: table.kind,
        columns: table.columns.clone(),
        recent,
        newest,
        may_select: table.may_select,
        // The table would not have fitted otherwise.
        may_insert: true,
        tls: over_network.then_some(tls),
        size_bytes: size.and_then(|size| u64::try_from(size).ok()),
        guarantee,
        hints,
        owner_sql: match guarantee {
            Guarantee::DeliveryLog => Vec::new(),
            Guarantee::Lookup | Guarantee::AtLeastOnce => owner_sql(&table.role),
        },
    })
}

type Counts = (Vec<(String, u64)>, Option<Timestamp>);

/// `None` if the server refuses, or takes longer than its statement timeout.
async fn counts(
    connection: &mut PgConnection,
    table: &TableMapping,
    context: &Context<'_>,
) -> Result<Option<Counts>, Error> {
    let now = if table.is_zoned { "now()" } else { "(now() AT TIME ZONE 'UTC')" };
    let name = &table.name;
    let recent = format!(
        "SELECT event_type::text, count(*) FROM {name} WHERE created_at >= {now} - interval '24 hours' GROUP BY 1 ORDER BY 1"
    );
    let newest = format!("SELECT (EXTRACT(epoch FROM max(created_at)) * 1000000)::int8 FROM {name}");
    let mut transaction = transaction::begin(connection, context).await?;
    let recent: sqlx::Result<Vec<(String, i64)>> =
        sqlx::query_as(AssertSqlSafe(recent)).persistent(false).fetch_all(&mut *transaction).await;
    let Ok(recent) = recent else {
        transaction.rollback().await.map_err(|error| context.classify(error))?;
        return Ok(None);
    };
    let newest: sqlx::Result<Option<i64>> =
        sqlx::query_scalar(AssertSqlSafe(newest)).persistent(false).fetch_one(&mut *transaction).await;
    transaction.rollback().await.map_err(|error| context.classify(error))?;
    let recent = recent.into_iter().map(|(name, n)| (name, u64::try_from(n).unwrap_or(0))).collect();
    Ok(Some((recent, newest.ok().flatten().map(Timestamp::from_micros))))
}

fn hints(table: &TableMapping, indexes: &[Vec<String>]) -> Vec<String> {
    let mut hints = Vec::new();
    if table.kind == "view" || table.kind == "foreign table" {
        return hints;
    }
    let begins_with = |wanted: &[&str]| {
        indexes
            .iter()
            .any(|columns| columns.iter().zip(wanted).filter(|(a, b)| a == *b).count() == wanted.len())
    };
    if !begins_with(&["event_type", "source", "created_at"]) {
        hints.push(format!("panels of one source are slow without: {};", index_by_source(&table.name)));
    }
    if !begins_with(&["created_at"]) {
        hints.push(format!("panels of the whole fleet are slow without: {};", index_by_time(&table.name)));
    }
    hints
}
