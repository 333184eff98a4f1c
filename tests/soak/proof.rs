//! Whether the promise was kept, from what the program acknowledged and what the databases have.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::{ConnectOptions, PgConnection, Row, SqliteConnection};

use super::stage::Result;

/// One thing that has to be so, and what was found.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) words: &'static str,
    pub(crate) found: String,
    pub(crate) holds: bool,
}

impl Check {
    pub(crate) fn new(words: &'static str, found: impl ToString, holds: bool) -> Self {
        Self { words, found: found.to_string(), holds }
    }

    /// Holds if there is nothing in the list.
    pub(crate) fn none(words: &'static str, of: usize, wrong: &[String]) -> Self {
        let few: Vec<&str> = wrong.iter().take(3).map(String::as_str).collect();
        let found = if wrong.is_empty() {
            format!("{of} looked at")
        } else {
            format!("{} of {of} are not: {}", wrong.len(), few.join(" | "))
        };
        Self { words, found, holds: wrong.is_empty() }
    }
}

/// What the timeline has of one batch.
#[derive(Debug)]
struct Arrived {
    batch: String,
    n_rows: i64,
    n_different: i64,
    n_hosts: i64,
    n_expected: i64,
    n_totals: i64,
    in_ledger: Option<i64>,
}

/// In the order in which they came.
const ARRIVED: &str = "
SELECT t.batch, t.n_rows, t.n_different, t.n_hosts, coalesce(t.n_expected, -1), t.n_totals, l.rows::bigint
FROM (
  SELECT metadata ->> 'batch' AS batch, min(id) AS first, count(*) AS n_rows,
    count(DISTINCT (event_type, source, created_at)) AS n_different,
    count(*) FILTER (WHERE event_type = 'node_up') AS n_hosts,
    max((metadata ->> 'nodes_expected')::bigint) FILTER (WHERE event_type = 'cluster_gpu_power_total') AS n_expected,
    count(*) FILTER (WHERE event_type = 'cluster_gpu_power_total') AS n_totals
  FROM unified_timeline GROUP BY 1) t
LEFT JOIN fleetwatt.delivered_batch l ON l.batch_id::text = t.batch
ORDER BY t.first";

/// Compares the timeline with what was acknowledged.
pub(crate) async fn timeline(
    database: &mut PgConnection,
    acknowledged: &BTreeMap<String, i64>,
) -> Result<Vec<Check>> {
    let arrived: Vec<Arrived> = sqlx::query(ARRIVED)
        .map(|row: sqlx::postgres::PgRow| Arrived {
            batch: row.get(0),
            n_rows: row.get(1),
            n_different: row.get(2),
            n_hosts: row.get(3),
            n_expected: row.get(4),
            n_totals: row.get(5),
            in_ledger: row.get(6),
        })
        .fetch_all(&mut *database)
        .await?;
    let by_id: BTreeMap<&str, &Arrived> = arrived.iter().map(|batch| (batch.batch.as_str(), batch)).collect();
    let lost = acknowledged.keys().filter(|batch| !by_id.contains_key(batch.as_str())).cloned();
    let lost: Vec<String> = lost.collect();
    let other_rows = acknowledged.iter().filter_map(|(batch, n_rows)| {
        let n_there = by_id.get(batch.as_str())?.n_rows;
        (n_there != *n_rows).then(|| format!("{batch}: {n_there} rows of {n_rows}"))
    });
    let other_rows: Vec<String> = other_rows.collect();
    let which = |is_wrong: fn(&Arrived) -> bool| -> Vec<String> {
        arrived.iter().filter(|batch| is_wrong(batch)).map(|batch| format!("{batch:?}")).collect()
    };
    let out_of_order = arrived.windows(2).filter_map(|pair| match pair {
        [earlier, later] if later.batch < earlier.batch => {
            Some(format!("{} after {}", later.batch, earlier.batch))
        }
        _ => None,
    });
    let out_of_order: Vec<String> = out_of_order.collect();
    let unlisted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM fleetwatt.delivered_batch WHERE batch_id::text NOT IN \
         (SELECT metadata ->> 'batch' FROM unified_timeline)",
    )
    .fetch_one(&mut *database)
    .await?;
    let n_arrived = arrived.len();
    Ok(vec![
        Check::none("acknowledged batches are in the timeline", acknowledged.len(), &lost),
        Check::none("they have as many rows as were acknowledged", acknowledged.len(), &other_rows),
        Check::none("no row is there twice", n_arrived, &which(|batch| batch.n_rows != batch.n_different)),
        Check::none(
            "each batch is whole: every host, one total",
            n_arrived,
            &which(|batch| batch.n_hosts != batch.n_expected || batch.n_totals != 1),
        ),
        Check::none(
            "each has the rows that were committed with its id",
            n_arrived,
            &which(|batch| batch.in_ledger != Some(batch.n_rows)),
        ),
        Check::new("every delivered id has its rows", format!("{unlisted} without"), unlisted == 0),
        Check::none("batches came in the order of their cycles", n_arrived, &out_of_order),
    ])
}

/// Looks into the spool that is left.
pub(crate) async fn spool(state_dir: &Path) -> Result<Vec<Check>> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(state_dir.join("spool.db"));
    let mut spool = options.connect().await?;
    let waiting = count(&mut spool, "SELECT count(*) FROM batch").await?;
    let dead = count(&mut spool, "SELECT count(*) FROM dead_letter").await?;
    let gone =
        count(&mut spool, "SELECT sum(value) FROM meta WHERE key IN ('dropped_total', 'lost_total')").await?;
    let entries = std::fs::read_dir(state_dir)?.flatten();
    let damaged = entries.filter(|entry| entry.file_name().to_string_lossy().contains("corrupt")).count();
    Ok(vec![
        Check::new("nothing waits any more", waiting, waiting == 0),
        Check::new("no row was laid aside", dead, dead == 0),
        Check::new("no batch was dropped, and no spool damaged", gone, gone == 0 && damaged == 0),
    ])
}

async fn count(spool: &mut SqliteConnection, query: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(query).fetch_one(spool).await?)
}
