//! Old quarters of a server's ledger become local days, where this role may take rows out.

use std::ops::Range;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Postgres;
use super::connect::begin;
use super::energy;
use super::failure::Fault;
use super::time::{micros, timestamptz, within};
use crate::ledger::{Method, rolled_up};
use crate::reading::{Quarter, Timestamp};
use crate::store::roll_up::{QUARTERS_A_SERIES, ROWS_A_STEP, RollUp, SERIES_A_STEP, TakenRow, taken};
use crate::store::{Error, LedgerAccess};

const STEP: &str = "roll up old quarter-hours";

impl Postgres {
    /// Rolls up old quarters of some series; says how many rows there were.
    pub(in crate::store) async fn roll_up_step(&self, rule: &RollUp) -> Result<usize, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let n_rows = if session.ledger == LedgerAccess::ReadWrite && session.may_delete {
            self.target.run(STEP, step(&mut session.connection, rule)).await?
        } else {
            0
        };
        *slot = Some(session);
        Ok(n_rows)
    }
}

async fn step(connection: &mut PgConnection, rule: &RollUp) -> Result<usize, Fault> {
    let mut transaction = begin(connection).await?;
    let cutoff = rule.cutoff(time_of(&mut transaction, &micros("now()")).await?);
    let candidates = candidates(&mut transaction, cutoff).await?;
    if candidates.is_empty() {
        transaction.rollback().await?;
        return Ok(0);
    }
    let cutoff = rule.cutoff(time_of(&mut transaction, &newest()).await?);
    let mut n_rows = 0;
    for (series, first) in candidates.into_iter().filter(|(_, first)| *first < cutoff) {
        let end = first.plus(QUARTERS_A_SERIES).min(cutoff);
        n_rows += roll_up(&mut transaction, series, &(first..end), rule).await?;
        if n_rows > ROWS_A_STEP {
            break;
        }
    }
    transaction.commit().await?;
    Ok(n_rows)
}

async fn time_of(connection: &mut PgConnection, expression: &str) -> sqlx::Result<Timestamp> {
    let sql = format!("SELECT {expression}");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
    query.fetch_one(connection).await.map(Timestamp::from_micros)
}

/// The newest quarter: a clock that is far ahead for once rolls up nothing too early.
fn newest() -> String {
    let newest = micros("least(now(), coalesce(max(l.quarter), 'epoch'))");
    format!(
        "{newest} FROM fleetwatt.series s CROSS JOIN LATERAL \
         (SELECT max(quarter) AS quarter FROM fleetwatt.energy WHERE series = s.id) l"
    )
}

/// Some series that are drawn by lot, of those that have old quarters, and the first of these.
async fn candidates(connection: &mut PgConnection, cutoff: Quarter) -> sqlx::Result<Vec<(i64, Quarter)>> {
    let sql = format!(
        "SELECT s.id::int8, {} FROM (SELECT id FROM fleetwatt.series WHERE id > \
         (SELECT floor(random() * (max(id) + {SERIES_A_STEP}))::int8 FROM fleetwatt.series) - {SERIES_A_STEP} \
         ORDER BY id LIMIT {SERIES_A_STEP}) s CROSS JOIN LATERAL (SELECT e.quarter FROM fleetwatt.energy e \
         WHERE e.series = s.id AND e.quarter < {} AND e.method & {} = 0 ORDER BY e.quarter LIMIT 1) f",
        micros("f.quarter"),
        timestamptz("$1"),
        Method::DAY.bits()
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(cutoff.start().micros()).persistent(false);
    let found: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(found.into_iter().map(|(series, at)| (series, Quarter::at(Timestamp::from_micros(at)))).collect())
}

/// Takes quarters of a series out and adds them to their days; says how many rows there were.
async fn roll_up(
    connection: &mut PgConnection,
    series: i64,
    quarters: &Range<Quarter>,
    rule: &RollUp,
) -> sqlx::Result<usize> {
    let sql = format!(
        "DELETE FROM fleetwatt.energy WHERE series = $1 AND {} AND method & {} = 0 \
         RETURNING node::int8, {}, energy_mj, covered_ms::int8, samples::int8, \
         min_mw::int8, max_mw::int8, variance_mj2::float8, busy_ms::int8, method::int8",
        within(quarters),
        Method::DAY.bits(),
        micros("quarter")
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(series).persistent(false);
    let rows: Vec<TakenRow> = query.fetch_all(&mut *connection).await?;
    let n_rows = rows.len();
    let rows = rows.into_iter().map(taken).collect::<sqlx::Result<Vec<_>>>()?;
    let days = rolled_up(rows, &rule.zone).into_iter();
    let row = |((day, node), entry)| ((series, day, node), entry);
    energy::add_numbered(connection, "fleetwatt.energy", days.map(row)).await?;
    Ok(n_rows)
}
