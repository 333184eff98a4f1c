//! Old quarters of a server's ledger become local days, where this role may take rows out.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Postgres;
use super::connect::begin;
use super::energy::{self, int_of, single};
use super::failure::Fault;
use crate::ledger::{Entry, Method, rolled_up};
use crate::reading::{Quarter, Timestamp};
use crate::store::Error;
use crate::store::ledger_types::SUMS;
use crate::store::roll_up::{QUARTERS_A_SERIES, ROWS_A_STEP, RollUp, SERIES_A_STEP, TakenRow, taken};

const STEP: &str = "roll up old quarter-hours";

const NOW: &str = "SELECT (extract(epoch FROM now()) * 1000000)::int8";

/// The newest quarter: a clock that is far ahead for once rolls up nothing too early.
const NEWEST: &str = "\
SELECT (extract(epoch FROM least(now(), coalesce(max(l.quarter), 'epoch'))) * 1000000)::int8
FROM fleetwatt.series s CROSS JOIN LATERAL (SELECT max(quarter) AS quarter FROM fleetwatt.energy WHERE series = s.id) l";

impl Postgres {
    /// Rolls up old quarters of some series; says how many rows there were.
    pub(in crate::store) async fn roll_up_step(&self, rule: &RollUp) -> Result<usize, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let n_rows = if session.has_ledger {
            self.target.run(STEP, step(&mut session.connection, rule)).await?
        } else {
            0
        };
        *slot = Some(session);
        Ok(n_rows)
    }
}

async fn step(connection: &mut PgConnection, rule: &RollUp) -> Result<usize, Fault> {
    if !energy::may_delete(connection).await? {
        return Ok(0);
    }
    let mut transaction = begin(connection).await?;
    let now: i64 = sqlx::query_scalar(NOW).persistent(false).fetch_one(&mut *transaction).await?;
    let has_some = !candidates(&mut transaction, rule.cutoff(Timestamp::from_micros(now))).await?.is_empty();
    if !has_some {
        transaction.rollback().await?;
        return Ok(0);
    }
    let newest: i64 = sqlx::query_scalar(NEWEST).persistent(false).fetch_one(&mut *transaction).await?;
    let cutoff = rule.cutoff(Timestamp::from_micros(newest));
    let mut n_rows = 0;
    for (series, first) in candidates(&mut transaction, cutoff).await? {
        let first = Quarter::at(Timestamp::from_micros(first));
        let end = first.plus(QUARTERS_A_SERIES).min(cutoff);
        n_rows += roll_up(&mut transaction, series, (first, end), rule).await?;
        if n_rows > ROWS_A_STEP {
            break;
        }
    }
    transaction.commit().await?;
    Ok(n_rows)
}

/// Some series that are drawn by lot, of those that have old quarters, and the first of these.
async fn candidates(connection: &mut PgConnection, cutoff: Quarter) -> sqlx::Result<Vec<(i32, i64)>> {
    let sql = format!(
        "SELECT s.id, (extract(epoch FROM f.quarter) * 1000000)::int8 FROM (SELECT id FROM fleetwatt.series WHERE id > \
         (SELECT floor(random() * (max(id) + {SERIES_A_STEP}))::int8 FROM fleetwatt.series) - {SERIES_A_STEP} \
         ORDER BY id LIMIT {SERIES_A_STEP}) s CROSS JOIN LATERAL (SELECT e.quarter FROM fleetwatt.energy e \
         WHERE e.series = s.id AND e.quarter < timestamptz 'epoch' + $1 * interval '1 microsecond' \
         AND e.method & {day} = 0 ORDER BY e.quarter LIMIT 1) f",
        day = Method::DAY.bits()
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(cutoff.start().micros()).persistent(false);
    query.fetch_all(connection).await
}

/// Takes quarters of a series out and adds them to their days; says how many rows there were.
async fn roll_up(
    connection: &mut PgConnection,
    series: i32,
    (first, end): (Quarter, Quarter),
    rule: &RollUp,
) -> sqlx::Result<usize> {
    let sql = format!(
        "DELETE FROM fleetwatt.energy WHERE series = $1 AND quarter >= timestamptz 'epoch' + $2 * interval '1 microsecond' \
         AND quarter < timestamptz 'epoch' + $3 * interval '1 microsecond' AND method & {} = 0 \
         RETURNING node::int8, (extract(epoch FROM quarter) * 1000000)::int8, energy_mj, covered_ms::int8, samples::int8, \
         min_mw::int8, max_mw::int8, variance_mj2::float8, busy_ms::int8, method::int8",
        Method::DAY.bits()
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(series);
    let query = query.bind(first.start().micros()).bind(end.start().micros()).persistent(false);
    let rows: Vec<TakenRow> = query.fetch_all(&mut *connection).await?;
    let n_rows = rows.len();
    for ((day, node), entry) in rolled_up(rows.into_iter().map(taken), &rule.zone) {
        add(connection, series, (day, node), &entry).await?;
    }
    Ok(n_rows)
}

async fn add(
    connection: &mut PgConnection,
    series: i32,
    (day, node): (Quarter, i64),
    entry: &Entry,
) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO fleetwatt.energy AS e (series, node, quarter, {SUMS}) VALUES ($1, $2::int8::int4, \
         timestamptz 'epoch' + $3 * interval '1 microsecond', $4, $5, $6, $7, $8, $9, $10, $11) {}",
        energy::ON_CONFLICT
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(series).bind(node).bind(day.start().micros());
    let query = query.bind(entry.energy_mj).bind(int_of(entry.covered_ms)).bind(int_of(entry.samples));
    let query = query.bind(entry.min_mw.map(int_of)).bind(entry.max_mw.map(int_of));
    let query = query.bind(single(entry.variance_mj2)).bind(entry.busy_ms.map(int_of));
    query.bind(i16::from(entry.method.bits())).persistent(false).execute(connection).await.map(drop)
}
