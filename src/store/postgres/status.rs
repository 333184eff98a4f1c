//! The status of the server and of the table. What the role may not see stays unsaid.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Session;
use super::connect::begin;
use super::failure::Fault;
use super::init::{index_by_source, index_by_time, owner_sql};
use super::table_mapping::TableMapping;
use crate::reading::Timestamp;
use crate::store::counts::from_database;
use crate::store::table::quoted;
use crate::store::{Guarantee, LedgerAccess, Status};

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
pub(super) async fn ask(session: &mut Session, store_url: String) -> Result<Status, Fault> {
    let Session { connection, table, guarantee, ledger, may_delete, .. } = session;
    let (guarantee, ledger) = (*guarantee, *ledger);
    let mut transaction = begin(connection).await?;
    let query = sqlx::query_as(FACTS).bind(table.oid).persistent(false);
    let (version, is_over_network, tls, size): (_, bool, _, Option<i64>) =
        query.fetch_one(&mut *transaction).await?;
    let query = sqlx::query_scalar(INDEXES).bind(table.oid).persistent(false);
    let mut hints = hints(table, &query.fetch_all(&mut *transaction).await?);
    transaction.rollback().await?;
    let (recent, newest) = if table.may_select { counts(connection, table).await? } else { (None, None) };
    if ledger == LedgerAccess::ReadWrite && !*may_delete {
        let role = quoted(&table.role);
        hints.push(format!(
            "old quarter-hours of the ledger are not rolled up to days without: GRANT DELETE ON fleetwatt.energy TO {role};"
        ));
    }
    let is_complete = guarantee == Guarantee::DeliveryLog && ledger == LedgerAccess::ReadWrite;
    Ok(Status {
        kind: "PostgreSQL",
        store_url,
        version,
        table: table.name.clone(),
        table_kind: table.kind,
        columns: table.columns.clone(),
        recent,
        newest,
        may_select: table.may_select,
        // The table would not have fitted otherwise.
        may_insert: true,
        tls: is_over_network.then_some(tls),
        size_bytes: size.map(from_database),
        guarantee,
        ledger,
        hints,
        owner_sql: if is_complete { Vec::new() } else { owner_sql(&table.role) },
    })
}

type Counts = (Option<Vec<(String, u64)>>, Option<Timestamp>);

/// The rows of the last day by type, and the time of the newest one; `None` if the server refuses, or takes longer
/// than its statement timeout.
async fn counts(connection: &mut PgConnection, table: &TableMapping) -> sqlx::Result<Counts> {
    let now = if table.is_zoned { "now()" } else { "(now() AT TIME ZONE 'UTC')" };
    let name = &table.name;
    let recent = format!(
        "SELECT event_type::text, count(*) FROM {name} WHERE created_at >= {now} - interval '24 hours' GROUP BY 1 ORDER BY 1"
    );
    let newest = format!("SELECT (EXTRACT(epoch FROM max(created_at)) * 1000000)::int8 FROM {name}");
    let mut transaction = begin(connection).await?;
    let recent: sqlx::Result<Vec<(String, i64)>> =
        sqlx::query_as(AssertSqlSafe(recent)).persistent(false).fetch_all(&mut *transaction).await;
    // Fails at once in a transaction in which the other has failed.
    let newest: sqlx::Result<Option<i64>> =
        sqlx::query_scalar(AssertSqlSafe(newest)).persistent(false).fetch_one(&mut *transaction).await;
    transaction.rollback().await?;
    let counted = |(name, n)| (name, from_database(n));
    let recent = recent.ok().map(|recent| recent.into_iter().map(counted).collect());
    Ok((recent, newest.ok().flatten().map(Timestamp::from_micros)))
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
