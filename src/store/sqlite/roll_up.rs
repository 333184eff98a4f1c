//! Old quarters of a file's ledger become local days.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::{Sqlite, energy};
use crate::ledger::{Entry, Method, rolled_up};
use crate::reading::{Quarter, Timestamp};
use crate::store::Error;
use crate::store::file::NOW;
use crate::store::ledger_types::{SUMS, all_added};
use crate::store::roll_up::{QUARTERS_A_SERIES, ROWS_A_STEP, RollUp, SERIES_A_STEP, TakenRow, taken};

impl Sqlite {
    /// Rolls up old quarters of some series; says how many rows there were.
    pub(in crate::store) async fn roll_up_step(&self, rule: &RollUp) -> Result<usize, Error> {
        let failed = |source| Error::from_sqlite(&self.path, "roll up old quarter-hours", source);
        let connection = &mut self.opened.lock().await.connection;
        step(connection, rule).await.map_err(failed)
    }
}

async fn step(connection: &mut SqliteConnection, rule: &RollUp) -> sqlx::Result<usize> {
    let cutoff = rule.cutoff(time_of(connection, NOW).await?);
    let candidates = candidates(connection, cutoff).await?;
    if candidates.is_empty() {
        return Ok(0);
    }
    // The newest quarter: a clock that is far ahead for once rolls up nothing too early.
    let newest = format!(
        "min({NOW}, coalesce(max((SELECT max(quarter) FROM fleetwatt_energy WHERE series = s.id)), 0)) \
         FROM fleetwatt_series AS s"
    );
    let cutoff = rule.cutoff(time_of(connection, &newest).await?);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut n_rows = 0;
    for (series, first) in candidates.into_iter().filter(|(_, first)| *first < cutoff) {
        let end = first.plus(QUARTERS_A_SERIES).min(cutoff);
        n_rows += roll_up(&mut transaction, series, (first, end), rule).await?;
        if n_rows > ROWS_A_STEP {
            break;
        }
    }
    transaction.commit().await?;
    Ok(n_rows)
}

async fn time_of(connection: &mut SqliteConnection, expression: &str) -> sqlx::Result<Timestamp> {
    let sql = format!("SELECT {expression}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.map(Timestamp::from_micros)
}

/// Some series that are drawn by lot, of those that have old quarters, and the first of these.
async fn candidates(connection: &mut SqliteConnection, cutoff: Quarter) -> sqlx::Result<Vec<(i64, Quarter)>> {
    let sql = format!(
        "SELECT id, first FROM (SELECT s.id, (SELECT min(quarter) FROM fleetwatt_energy WHERE series = s.id \
         AND quarter < ? AND method & {day} = 0) AS first FROM (SELECT id FROM fleetwatt_series WHERE id > \
         (SELECT abs(random() % (max(id) + {SERIES_A_STEP})) FROM fleetwatt_series) - {SERIES_A_STEP} \
         ORDER BY id LIMIT {SERIES_A_STEP}) AS s) WHERE first IS NOT NULL",
        day = Method::DAY.bits()
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(cutoff.start().micros());
    let found: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(found.into_iter().map(|(series, at)| (series, Quarter::at(Timestamp::from_micros(at)))).collect())
}

/// Takes quarters of a series out and adds them to their days; says how many rows there were.
async fn roll_up(
    connection: &mut SqliteConnection,
    series: i64,
    (first, end): (Quarter, Quarter),
    rule: &RollUp,
) -> sqlx::Result<usize> {
    let sql = format!(
        "DELETE FROM fleetwatt_energy WHERE series = ? AND quarter >= ? AND quarter < ? AND method & {} = 0 \
         RETURNING node, quarter, {SUMS}",
        Method::DAY.bits()
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(series);
    let query = query.bind(first.start().micros()).bind(end.start().micros());
    let rows: Vec<TakenRow> = query.fetch_all(&mut *connection).await?;
    let n_rows = rows.len();
    let rows = rows.into_iter().map(taken).collect::<sqlx::Result<Vec<_>>>()?;
    for ((day, node), entry) in rolled_up(rows, &rule.zone) {
        add(connection, series, (day, node), &entry).await?;
    }
    Ok(n_rows)
}

async fn add(
    connection: &mut SqliteConnection,
    series: i64,
    (day, node): (Quarter, i64),
    entry: &Entry,
) -> sqlx::Result<()> {
    let query = sqlx::query(AssertSqlSafe(energy::adding("fleetwatt_energy")))
        .bind(series)
        .bind(node)
        .bind(day.start().micros());
    let query = query.bind(entry.energy_mj).bind(entry.covered_ms).bind(entry.samples);
    let query = query.bind(entry.min_mw).bind(entry.max_mw).bind(entry.variance_mj2).bind(entry.busy_ms);
    let added = query.bind(i64::from(entry.method.bits())).execute(connection).await?;
    Ok(all_added(added.rows_affected(), 1)?)
}
