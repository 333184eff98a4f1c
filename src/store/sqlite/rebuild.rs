//! Computes the ledger of a file again.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row, Statement, Transaction, TransactionBehavior, params};

use super::energy;
use super::events::{each_event, ends};
use super::reader::blocking;
use crate::ledger::{Method, Names, NumberedRow};
use crate::reading::{Quarter, Timestamp};
use crate::store::counts::{from_database, from_length};
use crate::store::derivation::Derivation;
use crate::store::ledger_types::all_added;
use crate::store::rebuild::{
    DifferenceRow, Plan, PlanFacts, RebuildReport, RebuildRequest, RebuildSql, TotalsRow, tables_of_session,
};
use crate::store::table::TableName;
use crate::store::{Error, file};

/// The wait for another's transaction: a batch of many hosts, or the roll-up of some days.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Rows of the timeline between two notes of how far it has come.
const ROWS_A_NOTE: u64 = 10_000;

const STEP: &str = "compute the ledger";

/// Computes a ledger that is there. `progress` is given how many quarters are done, of how many.
pub(in crate::store) async fn rebuild(
    path: &Path,
    table: TableName,
    request: RebuildRequest,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> Result<RebuildReport, Error> {
    super::refuse_schema(&table)?;
    let at = path.to_owned();
    let work = move || {
        let mut connection =
            if request.dry_run { file::open_to_read(&at)? } else { file::open_to_write(&at, BUSY_TIMEOUT)? };
        // A dry run sees one state of the file, and holds up nobody.
        let behavior =
            if request.dry_run { TransactionBehavior::Deferred } else { TransactionBehavior::Immediate };
        let transaction = connection.transaction_with_behavior(behavior)?;
        let report = in_transaction(&transaction, &table, &request, progress)?;
        if request.dry_run {
            transaction.rollback()?
        } else {
            transaction.commit()?
        }
        Ok(report)
    };
    blocking(path, STEP, work).await
}

fn in_transaction(
    transaction: &Transaction<'_>,
    table: &TableName,
    request: &RebuildRequest,
    progress: impl FnMut(u64, u64),
) -> rusqlite::Result<RebuildReport> {
    let facts = plan_facts(transaction, table, &request.rules.reading_types())?;
    let plan = Plan::of(request, &facts);
    let Some(quarters) = plan.quarters.clone() else { return Ok(RebuildReport::empty(plan)) };
    for statement in tables_of_session("bigint", "") {
        transaction.execute_batch(&statement)?;
    }
    let derivation = Derivation::new(quarters.clone(), &request.rules, true);
    let names = stage(transaction, table, derivation, &quarters, progress)?;
    name(transaction, &names)?;
    let sql = RebuildSql {
        prefix: "fleetwatt_",
        day: "quarter / 86400000000",
        in_range: format!(
            "quarter >= {} AND quarter < {}",
            quarters.start.start().micros(),
            quarters.end.start().micros()
        ),
    };
    let totals: TotalsRow = transaction.query_row(&sql.totals(), [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    let differences = differences(transaction, &sql)?;
    let report = RebuildReport::new(plan, totals, differences);
    if !request.dry_run {
        let mut n_added = 0;
        for statement in sql.replace() {
            n_added = transaction.execute(&statement, [])?;
        }
        all_added(from_length(n_added), report.after.rows)?;
    }
    Ok(report)
}

fn plan_facts(
    connection: &Connection,
    table: &TableName,
    event_types: &[&str],
) -> rusqlite::Result<PlanFacts> {
    let quarter = |micros: Option<i64>| micros.map(|micros| Quarter::at(Timestamp::from_micros(micros)));
    let sql = format!(
        "SELECT min(quarter), max(quarter) FILTER (WHERE method & {0} = {0}) FROM fleetwatt_energy",
        Method::DAY.bits()
    );
    let (first, last_day) = connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(PlanFacts {
        timeline: ends(connection, table, event_types)?,
        first: quarter(first),
        last_day: quarter(last_day),
    })
}

/// Computes the rows into the table of the session; gives the names.
fn stage(
    connection: &Connection,
    table: &TableName,
    mut derivation: Derivation,
    quarters: &Range<Quarter>,
    mut progress: impl FnMut(u64, u64),
) -> rusqlite::Result<Names> {
    let mut statement = connection.prepare(&energy::adding("rebuilt"))?;
    let mut staged = Ok(());
    let mut keep = |staged: &mut rusqlite::Result<()>, row: NumberedRow| {
        if staged.is_ok() {
            *staged = insert(&mut statement, &row);
        }
    };
    let n_quarters = from_database(quarters.end.since(quarters.start));
    let (types, time) = (derivation.event_types(), derivation.time());
    let mut n_rows: u64 = 0;
    each_event(connection, table, &types, &time, |event| {
        derivation.take(event, |row| keep(&mut staged, row));
        n_rows += 1;
        if n_rows.is_multiple_of(ROWS_A_NOTE) {
            let done = from_database(Quarter::at(event.at).since(quarters.start));
            progress(done.min(n_quarters), n_quarters);
        }
        staged.is_ok()
    })?;
    let names = derivation.finish(|row| keep(&mut staged, row)).names;
    progress(n_quarters, n_quarters);
    staged.map(|()| names)
}

fn insert(statement: &mut Statement<'_>, row: &NumberedRow) -> rusqlite::Result<()> {
    let NumberedRow { series, node, quarter, entry } = row;
    let values = params![
        series,
        node,
        quarter.start().micros(),
        entry.energy_mj,
        entry.covered_ms,
        entry.samples,
        entry.min_mw,
        entry.max_mw,
        entry.variance_mj2,
        entry.busy_ms,
        entry.method.bits(),
    ];
    statement.execute(values).map(drop)
}

fn name(connection: &Connection, names: &Names) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("INSERT INTO rebuilt_series VALUES (?1, ?2, ?3)")?;
    for (own, name) in &names.series {
        statement.execute(params![own, name.key, name.model])?;
    }
    let mut statement = connection.prepare("INSERT INTO rebuilt_node VALUES (?1, ?2)")?;
    for (own, name) in &names.nodes {
        statement.execute(params![own, name])?;
    }
    Ok(())
}

fn differences(connection: &Connection, sql: &RebuildSql) -> rusqlite::Result<Vec<DifferenceRow>> {
    let mut statement = connection.prepare(&sql.differences())?;
    let row =
        |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
    let found = statement.query_map([], row)?;
    found.collect()
}
