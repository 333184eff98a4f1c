//! The ledger beside the timeline, in the schema that is fleetwatt's own: the energy of each series by quarter-hour.
//! Where this role may not write it, a batch is written without.

use std::collections::BTreeMap;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{AssertSqlSafe, Postgres as Dialect};

use super::connect::begin;
use super::delivery_log;
use super::failure::Fault;
use super::time::timestamptz;
use crate::ledger::Entry;
use crate::reading::Quarter;
use crate::store::LedgerAccess;
use crate::store::counts::from_length;
use crate::store::ledger_types::{ENERGY_COLUMNS, SUMS, all_added};
use crate::store::named::{Named, NewNames};
use crate::store::record::EnergyRecord;

/// The names of the tables, in the order in which a batch comes to them.
pub(super) const NAMES: [&str; 3] = ["series", "node", "energy"];

/// The rights that this role needs on each of them.
pub(super) const RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE";

/// The number of the ledger's tables, of those that may be read, and of those that may be written.
const ACCESS: &str = "\
WITH t AS (SELECT c.oid, has_schema_privilege(n.oid, 'USAGE') AS may_use FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'fleetwatt' AND c.relname = ANY($1))
SELECT count(*), count(*) FILTER (WHERE may_use AND has_table_privilege(oid, 'SELECT')),
  count(*) FILTER (WHERE may_use AND has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE')) FROM t";

/// Gives a number to each series that has none. `ON CONFLICT` alone would use up a number each time.
const NAME_SERIES: &str = "\
INSERT INTO fleetwatt.series (key, model)
SELECT DISTINCT ON (v.key) v.key, v.model FROM unnest($1::text[], $2::text[]) AS v (key, model)
WHERE NOT EXISTS (SELECT FROM fleetwatt.series s WHERE s.key = v.key) ORDER BY v.key ON CONFLICT (key) DO NOTHING";

/// Notes the models that are known by now.
const NAME_MODELS: &str = "\
UPDATE fleetwatt.series s SET model = v.model FROM (SELECT DISTINCT ON (u.key) u.key, u.model
FROM unnest($1::text[], $2::text[]) AS u (key, model) WHERE u.model <> '' ORDER BY u.key) AS v
WHERE s.key = v.key AND s.model <> v.model";

const NAME_NODES: &str = "\
INSERT INTO fleetwatt.node (name) SELECT DISTINCT v.name FROM unnest($1::text[]) AS v (name)
WHERE NOT EXISTS (SELECT FROM fleetwatt.node n WHERE n.name = v.name) ORDER BY v.name ON CONFLICT (name) DO NOTHING";

/// Adds what is there to what comes. NULL is what is not known, and stays so.
const ON_CONFLICT: &str = "\
ON CONFLICT (series, quarter, node) DO UPDATE SET energy_mj = e.energy_mj + excluded.energy_mj,
  covered_ms = e.covered_ms + excluded.covered_ms, samples = e.samples + excluded.samples,
  min_mw = least(e.min_mw, excluded.min_mw), max_mw = greatest(e.max_mw, excluded.max_mw),
  variance_mj2 = e.variance_mj2 + excluded.variance_mj2, busy_ms = e.busy_ms + excluded.busy_ms,
  method = e.method | excluded.method";

/// The types of the figures, each a column, as [`bind_figures`] binds them behind three others.
const FIGURES: &str =
    "$4::int8[], $5::int4[], $6::int4[], $7::int4[], $8::int4[], $9::float4[], $10::int4[], $11::int2[]";

type Statement<'q> = sqlx::query::Query<'q, Dialect, PgArguments>;

/// Rows in a statement.
const ROWS_PER_INSERT: usize = 5_000;

/// The statements that create the tables. Names of series and nodes stand once, and rows have numbers: of 800 GPUs a month
/// is 257 MB so, and 750 MB with the names in each row.
pub(super) fn tables() -> [(&'static str, String); 3] {
    let table =
        |name, columns: &str| (name, format!("CREATE TABLE IF NOT EXISTS fleetwatt.{name} ({columns})"));
    let energy = format!(
        "series int NOT NULL, quarter timestamptz NOT NULL, node int NOT NULL, {ENERGY_COLUMNS}, \
         PRIMARY KEY (series, quarter, node)"
    );
    [
        table(
            "series",
            "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, model text NOT NULL",
        ),
        table("node", "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE"),
        table("energy", &energy),
    ]
}

/// All of them as SQL, such as after `ON`.
pub(super) fn all_tables() -> String {
    NAMES.map(|name| format!("fleetwatt.{name}")).join(", ")
}

/// Whether the tables are there, and what this role may do with them by its rights.
pub(super) async fn access(connection: &mut PgConnection) -> Result<LedgerAccess, Fault> {
    let mut transaction = begin(connection).await?;
    let counts: (i64, i64, i64) =
        sqlx::query_as(ACCESS).bind(NAMES).persistent(false).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    let has_delivery_log = delivery_log::is_usable(connection).await?;
    Ok(match counts {
        (3, 3, 3) if has_delivery_log => LedgerAccess::ReadWrite,
        (3, 3, 3) => LedgerAccess::NotKept,
        (3, 3, _) => LedgerAccess::ReadOnly,
        (3, ..) => LedgerAccess::Forbidden,
        _ => LedgerAccess::Missing,
    })
}

/// Whether this role may also replace rows, and roll them up to days.
pub(super) async fn may_delete(connection: &mut PgConnection) -> Result<bool, Fault> {
    let sql = "SELECT coalesce(has_table_privilege(to_regclass('fleetwatt.energy'), 'DELETE'), false)";
    let mut transaction = begin(connection).await?;
    let may_delete = sqlx::query_scalar(sql).persistent(false).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(may_delete)
}

/// Gives a number to each series and node that has none, and notes the models that became known.
async fn name(connection: &mut PgConnection, names: &NewNames<'_>) -> sqlx::Result<()> {
    if !names.series.is_empty() {
        let (series, models): (Vec<&str>, Vec<&str>) = names.series.iter().copied().unzip();
        for sql in [NAME_SERIES, NAME_MODELS] {
            let query = sqlx::query(sql).bind(&series).bind(&models).persistent(false);
            query.execute(&mut *connection).await?;
        }
    }
    if !names.nodes.is_empty() {
        let nodes: Vec<&str> = names.nodes.iter().copied().collect();
        sqlx::query(NAME_NODES).bind(nodes).persistent(false).execute(connection).await?;
    }
    Ok(())
}

/// Adds energies to the ledger, within the transaction that is open. `named` holds if that is committed.
pub(super) async fn add(
    connection: &mut PgConnection,
    rows: &[&EnergyRecord],
    named: &mut Named,
) -> sqlx::Result<()> {
    let new_names = named.missing(rows);
    name(connection, &new_names).await?;
    named.note(&new_names);
    // In the order of the key, so that two who write the same rows do not wait for each other in a circle.
    let sql = format!(
        "INSERT INTO fleetwatt.energy AS e (series, quarter, node, {SUMS}) SELECT s.id, {}, n.id, {SUMS} \
         FROM unnest($1::text[], $2::int8[], $3::text[], {FIGURES}) AS v (series, quarter, node, {SUMS}) \
         JOIN fleetwatt.series s ON s.key = v.series JOIN fleetwatt.node n ON n.name = v.node \
         ORDER BY s.id, v.quarter, n.id {ON_CONFLICT}",
        timestamptz("v.quarter")
    );
    let rows = rows.iter().map(|row| ((row.series.as_str(), row.quarter, row.node.as_str()), row.entry));
    for chunk in added_up(rows).chunks(ROWS_PER_INSERT) {
        let query = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(chunk.iter().map(|((series, ..), _)| *series).collect::<Vec<_>>())
            .bind(chunk.iter().map(|((_, quarter, _), _)| *quarter).collect::<Vec<_>>())
            .bind(chunk.iter().map(|((.., node), _)| *node).collect::<Vec<_>>());
        let added = bind_figures(query, chunk).persistent(false).execute(&mut *connection).await?;
        // If somebody removed a name, a new connection names it again; nothing of this batch is kept before.
        all_added(added.rows_affected(), from_length(chunk.len()))?;
    }
    Ok(())
}

/// The key of a row by numbers: series, quarter and node.
pub(super) type NumberedKey = (i64, Quarter, i64);

/// Adds rows to the ledger or to a table of its layout, within the transaction that is open.
pub(super) async fn add_numbered(
    connection: &mut PgConnection,
    table: &'static str,
    rows: impl Iterator<Item = (NumberedKey, Entry)>,
) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO {table} AS e (series, quarter, node, {SUMS}) SELECT series, {}, node, {SUMS} \
         FROM unnest($1::int8[], $2::int8[], $3::int8[], {FIGURES}) AS v (series, quarter, node, {SUMS}) {ON_CONFLICT}",
        timestamptz("quarter")
    );
    for chunk in added_up(rows).chunks(ROWS_PER_INSERT) {
        let query = sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(chunk.iter().map(|((series, ..), _)| *series).collect::<Vec<_>>())
            .bind(chunk.iter().map(|((_, quarter, _), _)| quarter.start().micros()).collect::<Vec<_>>())
            .bind(chunk.iter().map(|((.., node), _)| *node).collect::<Vec<_>>());
        let added = bind_figures(query, chunk).persistent(false).execute(&mut *connection).await?;
        all_added(added.rows_affected(), from_length(chunk.len()))?;
    }
    Ok(())
}

/// One row for each key, in their order: a statement may bring none twice.
fn added_up<K: Ord>(rows: impl Iterator<Item = (K, Entry)>) -> Vec<(K, Entry)> {
    let mut sums: BTreeMap<K, Entry> = BTreeMap::new();
    for (key, entry) in rows {
        sums.entry(key).and_modify(|sum| *sum = sum.plus(entry)).or_insert(entry);
    }
    sums.into_iter().collect()
}

/// Binds the figures of rows to [`FIGURES`].
fn bind_figures<'q, K>(query: Statement<'q>, rows: &[(K, Entry)]) -> Statement<'q> {
    let entries = || rows.iter().map(|(_, entry)| entry);
    let int = |of: fn(&Entry) -> i64| entries().map(|entry| int_of(of(entry))).collect::<Vec<i32>>();
    let maybe = |of: fn(&Entry) -> Option<i64>| {
        entries().map(|entry| of(entry).map(int_of)).collect::<Vec<Option<i32>>>()
    };
    query
        .bind(entries().map(|entry| entry.energy_mj).collect::<Vec<_>>())
        .bind(int(|entry| entry.covered_ms))
        .bind(int(|entry| entry.samples))
        .bind(maybe(|entry| entry.min_mw))
        .bind(maybe(|entry| entry.max_mw))
        .bind(entries().map(|entry| single(entry.variance_mj2)).collect::<Vec<_>>())
        .bind(maybe(|entry| entry.busy_ms))
        .bind(entries().map(|entry| i16::from(entry.method.bits())).collect::<Vec<_>>())
}

/// A figure in the range of its column: 24 days, or 2.1 MW, which no board and no station reaches.
fn int_of(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// A variance in the precision of its column, and what a `real` can hold.
#[allow(clippy::cast_possible_truncation, reason = "the range is bounded")]
fn single(variance: f64) -> f32 {
    variance.clamp(0.0, 1e30) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Method;

    #[test]
    fn a_row_that_comes_twice_is_one_with_both_energies() {
        let entry = |energy_mj| Entry {
            energy_mj,
            covered_ms: 10,
            samples: 1,
            min_mw: None,
            max_mw: None,
            variance_mj2: 0.0,
            busy_ms: None,
            method: Method::READINGS,
        };
        let rows = [(("a", 1), entry(3)), (("a", 2), entry(5)), (("a", 1), entry(4)), (("b", 1), entry(9))];
        let sums = added_up(rows.into_iter()).into_iter();
        let figures: Vec<_> = sums.map(|(key, entry)| (key, entry.energy_mj, entry.covered_ms)).collect();
        assert_eq!(figures, [(("a", 1), 7, 20), (("a", 2), 5, 10), (("b", 1), 9, 10)]);
    }
}
