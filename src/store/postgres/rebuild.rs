//! Computes the ledger of a server again.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::timeout;

use super::connect::{self, connect};
use super::failure::{Fault, Target};
use super::readable_table::ReadableTable;
use super::time::{micros, within};
use super::{energy, events, table_schema};
use crate::batch::TimelineRow;
use crate::ledger::{Method, Names, NumberedRow};
use crate::reading::{Quarter, Timestamp};
use crate::store::Error;
use crate::store::counts::from_database;
use crate::store::derivation::Derivation;
use crate::store::event_pages::EventPages;
use crate::store::ledger_types::all_added;
use crate::store::rebuild::{
    DifferenceRow, Plan, PlanFacts, RebuildReport, RebuildRequest, RebuildSql, TotalsRow, tables_of_session,
};
use crate::store::store_url::Server;
use crate::store::table::{TableName, quoted};

/// The time for all of it: ten million rows take less than a minute.
const WITHIN: Duration = Duration::from_secs(3_600);

/// One state of the timeline, which is that after the lock.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = '30s'; \
    SET LOCAL statement_timeout = '20min'";

/// The rows are computed into tables of the session.
const TEMP_RIGHT: &str =
    "SELECT has_database_privilege(current_database(), 'TEMPORARY'), current_database()::text";

const STEP: &str = "compute the ledger";

/// Computes a ledger that is there. `progress` is given how many quarters are done, of how many.
pub(in crate::store) async fn rebuild(
    server: &Server,
    table: TableName,
    request: RebuildRequest,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<RebuildReport, Error> {
    let target = Target { server: server.clone(), table };
    let mut connection = connect(server).await?;
    let work = compute(&mut connection, &target, &request, progress);
    let done = timeout(WITHIN, work).await.unwrap_or(Err(Error::Timeout(STEP, None).into()));
    let report = done.map_err(|fault| target.sort(STEP, fault));
    connect::close(connection).await;
    report
}

async fn compute(
    connection: &mut PgConnection,
    target: &Target,
    request: &RebuildRequest,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<RebuildReport, Fault> {
    let table = ReadableTable::of(&table_schema::table(connection, &target.table).await?);
    check_rights(connection, target, &table, request.dry_run).await?;
    let mut transaction = connection.begin_with(BEGIN).await?;
    if !request.dry_run {
        // Nobody adds to it meanwhile, and everybody may read it. In the order in which a batch comes to them.
        let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", energy::all_tables());
        run(&mut transaction, lock).await?;
    }
    let report = in_transaction(&mut transaction, &table, request, progress).await?;
    if request.dry_run {
        transaction.rollback().await?;
    } else {
        transaction.commit().await.map_err(|error| target.sort_commit(error))?;
    }
    Ok(report)
}

async fn check_rights(
    connection: &mut PgConnection,
    target: &Target,
    table: &ReadableTable,
    dry_run: bool,
) -> Result<(), Fault> {
    if !table.may_select {
        let grants = vec![target.grant("SELECT ON", &table.name)];
        return Err(Error::Permission(STEP, grants, None).into());
    }
    let access = energy::access(connection).await?;
    if !access.is_readable() {
        return Err(Error::NoLedger.into());
    }
    let (may_have_tables, database): (bool, String) =
        sqlx::query_as(TEMP_RIGHT).persistent(false).fetch_one(&mut *connection).await?;
    if !may_have_tables {
        let grants = vec![target.grant("TEMPORARY ON DATABASE", &quoted(&database))];
        return Err(Error::Permission(STEP, grants, None).into());
    }
    let may_write = dry_run || (access.is_writable() && energy::may_delete(connection).await?);
    if !may_write {
        let right = format!("{} ON", energy::RIGHTS);
        let grants = vec![target.grant(&right, &energy::all_tables())];
        return Err(Error::Permission(STEP, grants, None).into());
    }
    Ok(())
}

async fn in_transaction(
    transaction: &mut PgConnection,
    table: &ReadableTable,
    request: &RebuildRequest,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<RebuildReport, Fault> {
    let facts = plan_facts(transaction, table, &request.rules.reading_types()).await?;
    let plan = Plan::of(request, &facts);
    let Some(quarters) = plan.quarters.clone() else { return Ok(RebuildReport::empty(plan)) };
    for statement in tables_of_session("timestamptz", " ON COMMIT DROP") {
        run(transaction, statement).await?;
    }
    let mut derivation = Derivation::new(quarters.clone(), &request.rules, true);
    stage(transaction, table, &mut derivation, (quarters.start, quarters.end), progress).await?;
    let mut rest = Vec::new();
    let names = derivation.finish(|row| rest.push(row)).names;
    insert(transaction, &rest).await?;
    name(transaction, &names).await?;
    let sql = RebuildSql {
        prefix: "fleetwatt.",
        day: "CAST(floor(extract(epoch FROM quarter) / 86400) AS bigint)",
        in_range: within(&quarters),
    };
    let query = sqlx::query_as(AssertSqlSafe(sql.totals())).persistent(false);
    let totals: TotalsRow = query.fetch_one(&mut *transaction).await?;
    let query = sqlx::query_as(AssertSqlSafe(sql.differences())).persistent(false);
    let differences: Vec<DifferenceRow> = query.fetch_all(&mut *transaction).await?;
    let report = RebuildReport::new(plan, totals, differences);
    if !request.dry_run {
        let mut n_added = 0;
        for statement in sql.replace() {
            n_added = run(transaction, statement).await?;
        }
        all_added(n_added, report.after.rows).map_err(sqlx::Error::from)?;
    }
    Ok(report)
}

/// Runs a statement; says how many rows it was about.
async fn run(connection: &mut PgConnection, statement: String) -> sqlx::Result<u64> {
    Ok(sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?.rows_affected())
}

async fn plan_facts(
    connection: &mut PgConnection,
    table: &ReadableTable,
    event_types: &[&str],
) -> sqlx::Result<PlanFacts> {
    let sql = format!(
        "SELECT {}, {} FROM fleetwatt.energy",
        micros("min(quarter)"),
        micros(&format!("max(quarter) FILTER (WHERE method & {0} = {0})", Method::DAY.bits()))
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
    let (first, last_day): (Option<i64>, Option<i64>) = query.fetch_one(&mut *connection).await?;
    let query = sqlx::query_as(AssertSqlSafe(events::ends(table, event_types))).persistent(false);
    let ends: (Option<i64>, Option<i64>) = query.fetch_one(connection).await?;
    let at = Timestamp::from_micros;
    let quarter = |micros: Option<i64>| micros.map(|micros| Quarter::at(at(micros)));
    Ok(PlanFacts {
        timeline: ends.0.zip(ends.1).map(|(first, last)| (at(first), at(last))),
        first: quarter(first),
        last_day: quarter(last_day),
    })
}

/// Computes the rows into the table of the session, page by page.
async fn stage(
    connection: &mut PgConnection,
    table: &ReadableTable,
    derivation: &mut Derivation,
    (start, end): (Quarter, Quarter),
    mut progress: impl FnMut(u64, u64) + Send,
) -> sqlx::Result<()> {
    let n_quarters = from_database(end.since(start));
    let (types, mut pages) = (derivation.event_types(), EventPages::new(&derivation.time()));
    let mut rows = Vec::new();
    while let Some(page) = pages.page() {
        let sql = events::page(table, &types, &page);
        let each = |event: &TimelineRow<'_>| {
            pages.note_row(event.at);
            derivation.take(event, |row| rows.push(row));
        };
        events::each(connection, &sql, each).await?;
        insert(connection, &rows).await?;
        rows.clear();
        pages.next_page();
        let reached = Quarter::at(Timestamp::from_micros(page.time.end));
        progress(from_database(reached.since(start)).min(n_quarters), n_quarters);
    }
    Ok(())
}

async fn insert(connection: &mut PgConnection, rows: &[NumberedRow]) -> sqlx::Result<()> {
    let row = |row: &NumberedRow| ((row.series, row.quarter, row.node), row.entry);
    energy::add_numbered(connection, "rebuilt", rows.iter().map(row)).await
}

async fn name(connection: &mut PgConnection, names: &Names) -> sqlx::Result<()> {
    let sql = "INSERT INTO rebuilt_series SELECT * FROM unnest($1::int8[], $2::text[], $3::text[])";
    let query = sqlx::query(sql)
        .bind(names.series.keys().copied().collect::<Vec<_>>())
        .bind(names.series.values().map(|name| name.key.as_str()).collect::<Vec<_>>())
        .bind(names.series.values().map(|name| name.model.as_str()).collect::<Vec<_>>());
    query.persistent(false).execute(&mut *connection).await?;
    let sql = "INSERT INTO rebuilt_node SELECT * FROM unnest($1::int8[], $2::text[])";
    let query = sqlx::query(sql)
        .bind(names.nodes.keys().copied().collect::<Vec<_>>())
        .bind(names.nodes.values().map(String::as_str).collect::<Vec<_>>());
    query.persistent(false).execute(connection).await.map(drop)
}
