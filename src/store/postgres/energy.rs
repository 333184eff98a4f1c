//! The ledger beside the timeline, in the schema that is fleetwatt's own: the energy of each series by quarter-hour.
//! Where this role may not write it, a batch is written without.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::connect::begin;
use super::delivery_log;
use super::failure::Fault;
use crate::ledger::Entry;
use crate::store::LedgerAccess;
use crate::store::ledger_types::all_added;
use crate::store::record::EnergyRecord;

/// The tables, and the statements that create them. Names of series and nodes stand once, and rows have numbers: of 800
/// GPUs a month is 257 MB so, and 750 MB with the names in each row.
pub(super) const TABLES: [(&str, &str); 3] = [
    (
        "series",
        "CREATE TABLE IF NOT EXISTS fleetwatt.series (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
         key text NOT NULL UNIQUE, model text NOT NULL)",
    ),
    (
        "node",
        "CREATE TABLE IF NOT EXISTS fleetwatt.node (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
         name text NOT NULL UNIQUE)",
    ),
    (
        "energy",
        "CREATE TABLE IF NOT EXISTS fleetwatt.energy (series int NOT NULL, quarter timestamptz NOT NULL, \
         node int NOT NULL, energy_mj bigint NOT NULL, covered_ms int NOT NULL, samples int NOT NULL, min_mw int, \
         max_mw int, variance_mj2 real NOT NULL, busy_ms int, method smallint NOT NULL, \
         PRIMARY KEY (series, quarter, node))",
    ),
];

/// The rights that this role needs on each of them.
pub(super) const RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE";

/// The number of the ledger's tables, of those that may be read, and of those that may be written.
const ACCESS: &str = "\
WITH t AS (SELECT c.oid, has_schema_privilege(n.oid, 'USAGE') AS may_use FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'fleetwatt' AND c.relname IN ('series', 'node', 'energy'))
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
pub(super) const ON_CONFLICT: &str = "\
ON CONFLICT (series, quarter, node) DO UPDATE SET energy_mj = e.energy_mj + excluded.energy_mj,
  covered_ms = e.covered_ms + excluded.covered_ms, samples = e.samples + excluded.samples,
  min_mw = least(e.min_mw, excluded.min_mw), max_mw = greatest(e.max_mw, excluded.max_mw),
  variance_mj2 = e.variance_mj2 + excluded.variance_mj2, busy_ms = e.busy_ms + excluded.busy_ms,
  method = e.method | excluded.method";

/// In the order of the key, so that two who write the same rows do not wait for each other in a circle.
const ADD: &str = "\
INSERT INTO fleetwatt.energy AS e (series, quarter, node, energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2,
  busy_ms, method)
SELECT s.id, timestamptz 'epoch' + v.quarter * interval '1 microsecond', n.id, v.energy_mj, v.covered_ms, v.samples,
  v.min_mw, v.max_mw, v.variance_mj2, v.busy_ms, v.method
FROM unnest($1::text[], $2::int8[], $3::text[], $4::int8[], $5::int4[], $6::int4[], $7::int4[], $8::int4[], $9::float4[],
  $10::int4[], $11::int2[])
  AS v (series, quarter, node, energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method)
JOIN fleetwatt.series s ON s.key = v.series JOIN fleetwatt.node n ON n.name = v.node
ORDER BY s.id, v.quarter, n.id ";

/// Rows in a statement.
pub(super) const ROWS_PER_INSERT: usize = 5_000;

/// Whether the tables are there, and what this role may do with them by its rights.
pub(super) async fn access(connection: &mut PgConnection) -> Result<LedgerAccess, Fault> {
    let mut transaction = begin(connection).await?;
    let counts: (i64, i64, i64) =
        sqlx::query_as(ACCESS).persistent(false).fetch_one(&mut *transaction).await?;
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

/// The names that the ledger has, so that a batch brings only those that are new.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The model of each series.
    series: HashMap<String, String>,
    nodes: HashSet<String>,
}

impl Named {
    /// Names the series and nodes that have no number yet, and the models that became known.
    async fn name(&mut self, connection: &mut PgConnection, rows: &[&EnergyRecord]) -> sqlx::Result<()> {
        let is_named = |row: &&&EnergyRecord| {
            let known = self.series.get(&row.series);
            known.is_some_and(|model| row.model.is_empty() || *model == row.model)
        };
        let new: Vec<&EnergyRecord> = rows.iter().filter(|row| !is_named(row)).copied().collect();
        if !new.is_empty() {
            let series: Vec<&str> = new.iter().map(|row| row.series.as_str()).collect();
            let models: Vec<&str> = new.iter().map(|row| row.model.as_str()).collect();
            for sql in [NAME_SERIES, NAME_MODELS] {
                let query = sqlx::query(sql).bind(&series).bind(&models).persistent(false);
                query.execute(&mut *connection).await?;
            }
            self.series.extend(new.iter().map(|row| (row.series.clone(), row.model.clone())));
        }
        let nodes = rows.iter().map(|row| row.node.as_str()).filter(|node| !self.nodes.contains(*node));
        let nodes: BTreeSet<&str> = nodes.collect();
        if !nodes.is_empty() {
            let nodes: Vec<&str> = nodes.into_iter().collect();
            sqlx::query(NAME_NODES).bind(&nodes).persistent(false).execute(connection).await?;
            self.nodes.extend(nodes.into_iter().map(str::to_owned));
        }
        Ok(())
    }
}

/// Adds energies to the ledger, within the transaction that is open. `named` holds if that is committed.
pub(super) async fn add(
    connection: &mut PgConnection,
    rows: &[&EnergyRecord],
    named: &mut Named,
) -> sqlx::Result<()> {
    for chunk in rows.chunks(ROWS_PER_INSERT) {
        named.name(connection, chunk).await?;
        let text = |of: fn(&EnergyRecord) -> &str| chunk.iter().map(|row| of(row)).collect::<Vec<&str>>();
        let int =
            |of: fn(&Entry) -> i64| chunk.iter().map(|row| int_of(of(&row.entry))).collect::<Vec<i32>>();
        let maybe = |of: fn(&Entry) -> Option<i64>| {
            chunk.iter().map(|row| of(&row.entry).map(int_of)).collect::<Vec<Option<i32>>>()
        };
        let (series, nodes) = (text(|row| &row.series), text(|row| &row.node));
        let query = sqlx::query(AssertSqlSafe([ADD, ON_CONFLICT].concat()))
            .bind(&series)
            .bind(chunk.iter().map(|row| row.quarter).collect::<Vec<_>>())
            .bind(&nodes)
            .bind(chunk.iter().map(|row| row.entry.energy_mj).collect::<Vec<_>>())
            .bind(int(|entry| entry.covered_ms))
            .bind(int(|entry| entry.samples))
            .bind(maybe(|entry| entry.min_mw))
            .bind(maybe(|entry| entry.max_mw))
            .bind(chunk.iter().map(|row| single(row.entry.variance_mj2)).collect::<Vec<_>>())
            .bind(maybe(|entry| entry.busy_ms))
            .bind(chunk.iter().map(|row| i16::from(row.entry.method.bits())).collect::<Vec<_>>());
        let added = query.persistent(false).execute(&mut *connection).await?.rows_affected();
        // If somebody removed a name, a new connection names it again; nothing of this batch is kept before.
        all_added(added, chunk.len())?;
    }
    Ok(())
}

pub(super) fn int_of(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// A variance in the precision of its column, and what a `real` can hold.
#[allow(clippy::cast_possible_truncation, reason = "the range is bounded")]
pub(super) fn single(variance: f64) -> f32 {
    variance.clamp(0.0, 1e30) as f32
}
