//! The ledger in a timeline's file: the energy of each series by quarter-hour.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite as Dialect};

use crate::store::counts::from_length;
use crate::store::ledger_types::{SUMS, all_added};
use crate::store::named::{Named, NewNames};
use crate::store::record::EnergyRecord;

/// The names of series and nodes stand once, and rows have numbers: of 800 GPUs a month is 84 MB so.
const TABLES: &str = "CREATE TABLE IF NOT EXISTS fleetwatt_series (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, \
    model TEXT NOT NULL); \
    CREATE TABLE IF NOT EXISTS fleetwatt_node (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE); \
    CREATE TABLE IF NOT EXISTS fleetwatt_energy (series INTEGER NOT NULL, quarter INTEGER NOT NULL /* µs, UTC */, \
    node INTEGER NOT NULL, energy_mj INTEGER NOT NULL, covered_ms INTEGER NOT NULL, samples INTEGER NOT NULL, \
    min_mw INTEGER, max_mw INTEGER, variance_mj2 REAL NOT NULL, busy_ms INTEGER, method INTEGER NOT NULL, \
    PRIMARY KEY (series, quarter, node)) WITHOUT ROWID";

/// Their names, as SQL.
pub(super) const NAMES: &str = "('fleetwatt_series', 'fleetwatt_node', 'fleetwatt_energy')";

/// Rows in a statement, of 11 parameters each.
const ROWS_PER_INSERT: usize = 500;

/// Adds what is there to what comes. NULL is what is not known, and stays so.
const ADD: &str = " ON CONFLICT (series, quarter, node) DO UPDATE SET energy_mj = energy_mj + excluded.energy_mj, \
    covered_ms = covered_ms + excluded.covered_ms, samples = samples + excluded.samples, \
    min_mw = min(coalesce(min_mw, excluded.min_mw), coalesce(excluded.min_mw, min_mw)), \
    max_mw = max(coalesce(max_mw, excluded.max_mw), coalesce(excluded.max_mw, max_mw)), \
    variance_mj2 = variance_mj2 + excluded.variance_mj2, busy_ms = busy_ms + excluded.busy_ms, \
    method = method | excluded.method";

/// Adds a row to the ledger or to a table of its layout: series, node, quarter, and the figures.
pub(super) fn adding(table: &str) -> String {
    format!(
        "INSERT INTO {table} (series, node, quarter, {SUMS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11){ADD}"
    )
}

/// Creates the tables where there are none. To be called in a transaction.
pub(super) async fn create(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(TABLES).execute(connection).await.map(|_| ())
}

/// Asks whether the tables are there.
pub(super) fn asking() -> String {
    format!("SELECT count(*) = 3 FROM sqlite_schema WHERE type = 'table' AND name IN {NAMES}")
}

/// Whether the tables are there.
pub(super) async fn is_there(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar(AssertSqlSafe(asking())).fetch_one(connection).await
}

/// Adds energies to the ledger, within the transaction that is open. `named` holds if that is committed.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    rows: &[&EnergyRecord],
    named: &mut Named,
) -> sqlx::Result<()> {
    let new_names = named.missing(rows);
    name(connection, &new_names).await?;
    named.note(&new_names);
    for chunk in rows.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Dialect>::new(format!(
            "INSERT INTO fleetwatt_energy (series, quarter, node, {SUMS}) SELECT s.id, v.column2, n.id, \
             v.column4, v.column5, v.column6, v.column7, v.column8, v.column9, v.column10, v.column11 FROM ("
        ));
        query.push_values(chunk, |mut tuple, row| {
            let entry = &row.entry;
            tuple.push_bind(row.series.clone()).push_bind(row.quarter).push_bind(row.node.clone());
            tuple.push_bind(entry.energy_mj).push_bind(entry.covered_ms).push_bind(entry.samples);
            tuple.push_bind(entry.min_mw).push_bind(entry.max_mw).push_bind(entry.variance_mj2);
            tuple.push_bind(entry.busy_ms).push_bind(i64::from(entry.method.bits()));
        });
        query.push(
            ") AS v JOIN fleetwatt_series AS s ON s.key = v.column1 \
             JOIN fleetwatt_node AS n ON n.name = v.column3 WHERE true",
        );
        query.push(ADD);
        let added = query.build().persistent(false).execute(&mut *connection).await?.rows_affected();
        all_added(added, from_length(chunk.len()))?;
    }
    Ok(())
}

/// Gives a number to each series and node that has none, and notes the models that became known.
async fn name(connection: &mut SqliteConnection, names: &NewNames<'_>) -> sqlx::Result<()> {
    let series: Vec<_> = names.series.iter().collect();
    for chunk in series.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Dialect>::new("INSERT INTO fleetwatt_series (key, model) ");
        query.push_values(chunk, |mut tuple, (series, model)| {
            tuple.push_bind((*series).to_owned()).push_bind((*model).to_owned());
        });
        query.push(
            " ON CONFLICT (key) DO UPDATE SET model = excluded.model \
             WHERE excluded.model <> '' AND excluded.model <> model",
        );
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    let nodes: Vec<_> = names.nodes.iter().collect();
    for chunk in nodes.chunks(ROWS_PER_INSERT) {
        let mut query = QueryBuilder::<Dialect>::new("INSERT INTO fleetwatt_node (name) ");
        query.push_values(chunk, |mut tuple, node| {
            tuple.push_bind((**node).to_owned());
        });
        query.push(" ON CONFLICT DO NOTHING");
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}
