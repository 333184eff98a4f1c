//! Reads the ledger and the timeline of a file, by `rusqlite`: rows come without a channel and an allocation for each
//! value.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::energy;
use super::events::{each_event, ends, last_of_each_source};
use crate::batch::TimelineRow;
use crate::ledger::{Entry, Method, Names, NumberedRow, SeriesName};
use crate::reading::{Quarter, Timestamp};
use crate::store::derivation::Derivation;
use crate::store::ledger_types::{
    ALERT, AlertRow, CYCLE, ChargeSpan, CountedTwiceRow, Derived, GPU_FACTS, GPU_POWER, LastSeen,
    LedgerAccess, LedgerSize, MAX_ALERTS, MAX_ATTEMPTS, MAX_CHARGES, NODE_UP, SUMS, counting, counting_twice,
};
use crate::store::table::TableName;
use crate::store::{Error, file};

/// Rows that are handed over at once; they stay in the processor's cache.
const ROWS_A_CHUNK: usize = 1_024;

/// Chunks that may wait.
const MAX_CHUNKS: usize = 8;

const LAST_SEEN: &str = "SELECT node, quarter FROM fleetwatt_energy WHERE series = ?1 AND quarter < ?2 \
    ORDER BY quarter DESC, node DESC LIMIT 1";

/// Looks up the two ends of each series by the primary key.
const SPAN: &str = "SELECT \
    min((SELECT min(quarter) FROM fleetwatt_energy WHERE series = s.id)), \
    max((SELECT max(quarter) FROM fleetwatt_energy WHERE series = s.id)) FROM fleetwatt_series AS s";

/// A file that is open.
#[derive(Debug)]
pub(in crate::store) struct SqliteReader {
    path: PathBuf,
    table: TableName,
    connection: Arc<Mutex<Connection>>,
    pub(in crate::store) access: LedgerAccess,
}

impl SqliteReader {
    /// `None` where there is no file, or no timeline in it.
    pub(in crate::store) async fn open(path: &Path, table: TableName) -> Result<Option<Self>, Error> {
        super::refuse_schema(&table)?;
        if tokio::fs::metadata(path).await.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let (path, name) = (path.to_owned(), table.name.clone());
        let at = path.clone();
        let opened = blocking(&path, "open", move || {
            let connection = file::open_to_read(&at)?;
            connection.execute_batch("PRAGMA cache_size = -16384")?;
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE";
            let has_timeline: i64 = connection.query_row(sql, [name], |row| row.get(0))?;
            let has_ledger: bool = connection.query_row(&energy::asking(), [], |row| row.get(0))?;
            Ok((has_timeline > 0).then_some((connection, has_ledger)))
        });
        Ok(opened.await?.map(|(connection, has_ledger)| Self {
            access: LedgerAccess::of_file(has_ledger, file::may_be_written(&path)),
            path,
            table,
            connection: Arc::new(Mutex::new(connection)),
        }))
    }

    pub(in crate::store) async fn names(&mut self) -> Result<Names, Error> {
        self.read("read the ledger's names", |connection| {
            let mut names = Names::default();
            let mut series = connection.prepare("SELECT id, key, model FROM fleetwatt_series")?;
            let mut rows = series.query([])?;
            while let Some(row) = rows.next()? {
                names.series.insert(row.get(0)?, SeriesName { key: row.get(1)?, model: row.get(2)? });
            }
            let mut nodes = connection.prepare("SELECT id, name FROM fleetwatt_node")?;
            let mut rows = nodes.query([])?;
            while let Some(row) = rows.next()? {
                names.nodes.insert(row.get(0)?, row.get(1)?);
            }
            Ok(names)
        })
        .await
    }

    pub(in crate::store) async fn span(&mut self) -> Result<Option<Range<Quarter>>, Error> {
        self.read("read the ledger", |connection| {
            let ends: (Option<i64>, Option<i64>) =
                connection.query_row(SPAN, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(ends.0.zip(ends.1).map(|(first, last)| quarter(first)..quarter(last).next()))
        })
        .await
    }

    pub(in crate::store) async fn totals(
        &mut self,
        series: &[String],
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        let series = serde_json::json!(series).to_string();
        self.read("read the ledger", move |connection| {
            let sql = "SELECT s.key, sum(max(e.energy_mj, 0)), sum(e.covered_ms) FROM fleetwatt_series s \
                JOIN fleetwatt_energy e ON e.series = s.id WHERE s.key IN (SELECT value FROM json_each(?1)) \
                GROUP BY s.id";
            let mut query = connection.prepare(sql)?;
            let rows = query.query_map([&series], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })
        .await
    }

    pub(in crate::store) async fn size(&mut self) -> Result<LedgerSize, Error> {
        self.read("read the ledger", |connection| {
            let counts = connection.query_row(&counting("fleetwatt_"), [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?;
            // The pages of the tables and their indexes. A SQLite of another make may not say it.
            let sql = format!(
                "SELECT sum(pgsize) FROM dbstat WHERE aggregate = 1 AND name IN (SELECT name FROM sqlite_schema \
                 WHERE tbl_name IN {})",
                energy::NAMES
            );
            let bytes = connection.query_row(&sql, [], |row| row.get(0)).unwrap_or_default();
            Ok(LedgerSize::of(counts, bytes))
        })
        .await
    }

    pub(in crate::store) async fn counted_twice(&mut self) -> Result<CountedTwiceRow, Error> {
        self.read("read the ledger", |connection| {
            let sql = counting_twice("fleetwatt_", str::to_owned);
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        })
        .await
    }

    pub(in crate::store) async fn rows(
        &mut self,
        quarters: Range<Quarter>,
        on_row: &mut (impl FnMut(NumberedRow) + Send),
    ) -> Result<(), Error> {
        self.stream("read the ledger", on_row, |connection, rows| each_row(connection, quarters, rows)).await
    }

    /// The rows that follow from the timeline.
    pub(in crate::store) async fn derive(
        &mut self,
        mut derivation: Derivation,
        on_row: &mut (impl FnMut(NumberedRow) + Send),
    ) -> Result<Derived, Error> {
        let table = self.table.clone();
        self.stream("read the timeline", on_row, move |connection, rows| {
            let look_back = derivation.look_back();
            for event_type in [GPU_FACTS, GPU_POWER] {
                let each = |event: &TimelineRow<'_>| derivation.take_earlier(event);
                last_of_each_source(connection, &table, event_type, &look_back, each)?;
            }
            let (types, time) = (derivation.event_types(), derivation.time());
            each_event(connection, &table, &types, &time, |event| {
                derivation.take(event, |row| rows.push(row));
                rows.are_wanted
            })?;
            Ok(derivation.finish(|row| rows.push(row)))
        })
        .await
    }

    /// From the time of the first row of some event types to that of the last one.
    pub(in crate::store) async fn timeline_ends(
        &mut self,
        event_types: Vec<&'static str>,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let table = self.table.clone();
        self.read("read the timeline", move |connection| ends(connection, &table, &event_types)).await
    }

    /// The metadata of the last power of each source in a time.
    pub(in crate::store) async fn last_power(
        &mut self,
        time: Range<Timestamp>,
    ) -> Result<Vec<String>, Error> {
        let table = self.table.clone();
        self.read("read the timeline", move |connection| {
            let mut found = Vec::new();
            let each = |event: &TimelineRow<'_>| found.push(event.metadata.to_owned());
            last_of_each_source(connection, &table, GPU_POWER, &time, each)?;
            Ok(found)
        })
        .await
    }

    pub(in crate::store) async fn last_seen(&mut self, before: Quarter) -> Result<Vec<LastSeen>, Error> {
        self.read("read the ledger", move |connection| {
            let mut found = Vec::new();
            let mut statement = connection.prepare(LAST_SEEN)?;
            for series in all_series(connection)? {
                let seen =
                    |row: &Row<'_>| Ok(LastSeen { series, node: row.get(0)?, quarter: quarter(row.get(1)?) });
                let last = statement.query_row(params![series, before.start().micros()], seen).optional()?;
                found.extend(last);
            }
            Ok(found)
        })
        .await
    }

    pub(in crate::store) async fn first_failure(
        &mut self,
        source: String,
        time: Range<Timestamp>,
    ) -> Result<Option<(Timestamp, String)>, Error> {
        let sql = format!(
            "SELECT created_at, metadata FROM (SELECT created_at, metadata, value FROM {} WHERE event_type = '{NODE_UP}' \
             AND source = ?1 AND created_at >= ?2 AND created_at < ?3 ORDER BY created_at LIMIT {MAX_ATTEMPTS}) \
             WHERE value = 0 LIMIT 1",
            self.table
        );
        self.read("read the timeline", move |connection| {
            let found = |row: &Row<'_>| Ok((Timestamp::from_micros(row.get(0)?), row.get(1)?));
            let bounds = params![source, time.start.micros(), time.end.micros()];
            connection.query_row(&sql, bounds, found).optional()
        })
        .await
    }

    /// The longest part of a time without a cycle, in microseconds.
    pub(in crate::store) async fn longest_pause(&mut self, time: Range<Timestamp>) -> Result<i64, Error> {
        let (event_type, source) = CYCLE;
        let sql = format!(
            "SELECT max(next - at) FROM (SELECT at, lead(at, 1, ?2) OVER (ORDER BY at) AS next FROM (SELECT ?1 AS at \
             UNION ALL SELECT created_at FROM {} WHERE event_type = '{event_type}' AND source = '{source}' \
             AND created_at >= ?1 AND created_at < ?2))",
            self.table
        );
        self.read("read the timeline", move |connection| {
            connection.query_row(&sql, [time.start.micros(), time.end.micros()], |row| row.get(0))
        })
        .await
    }

    pub(in crate::store) async fn charges(
        &mut self,
        event_type: &'static str,
        time: Range<Timestamp>,
        step_micros: i64,
    ) -> Result<Vec<ChargeSpan>, Error> {
        let sql = format!(
            "{} AND t.value IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {MAX_CHARGES}",
            self.of_each_source("t.source, t.created_at / ?4 * ?4, min(t.value), max(t.value), avg(t.value)"),
        );
        self.read("read the timeline", move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let bounds = params![event_type, time.start.micros(), time.end.micros(), step_micros];
            let found = statement.query_map(bounds, |row| {
                Ok(ChargeSpan {
                    source: row.get(0)?,
                    from: quarter(row.get(1)?),
                    min: row.get(2)?,
                    max: row.get(3)?,
                    mean: row.get(4)?,
                })
            })?;
            found.collect()
        })
        .await
    }

    pub(in crate::store) async fn alerts(&mut self, time: Range<Timestamp>) -> Result<Vec<AlertRow>, Error> {
        let sql = format!(
            "{} ORDER BY t.created_at LIMIT {MAX_ALERTS}",
            self.of_each_source("t.created_at, t.source, t.value, t.metadata"),
        );
        self.read("read the timeline", move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let found =
                statement.query_map(params![ALERT, time.start.micros(), time.end.micros()], |row| {
                    Ok(AlertRow {
                        at: Timestamp::from_micros(row.get(0)?),
                        source: row.get(1)?,
                        value: row.get(2)?,
                        metadata: row.get(3)?,
                    })
                })?;
            found.collect()
        })
        .await
    }

    /// Selects from the rows of an event type (`?1`) in a time (`?2` to `?3`): the sources are found one after the other
    /// in the index, and the time of each as well.
    fn of_each_source(&self, columns: &str) -> String {
        let table = &self.table;
        format!(
            "WITH RECURSIVE s (source) AS (SELECT min(source) FROM {table} WHERE event_type = ?1 UNION ALL \
             SELECT (SELECT min(source) FROM {table} WHERE event_type = ?1 AND source > s.source) FROM s \
             WHERE s.source IS NOT NULL) \
             SELECT {columns} FROM s CROSS JOIN {table} AS t WHERE t.event_type = ?1 AND t.source = s.source \
             AND t.created_at >= ?2 AND t.created_at < ?3"
        )
    }

    /// Hands over the rows that some reading gives.
    async fn stream<T: Send + 'static>(
        &self,
        step: &'static str,
        on_row: &mut (impl FnMut(NumberedRow) + Send),
        work: impl FnOnce(&Connection, &mut RowSender) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, mut chunks) = mpsc::channel(MAX_CHUNKS);
        let reading = self.read(step, move |connection| {
            let mut rows = RowSender { chunk: Vec::with_capacity(ROWS_A_CHUNK), sender, are_wanted: true };
            let done = work(connection, &mut rows)?;
            rows.send();
            Ok(done)
        });
        let taking = async {
            while let Some(chunk) = chunks.recv().await {
                chunk.into_iter().for_each(&mut *on_row);
            }
        };
        tokio::join!(reading, taking).0
    }

    /// Does some reading on a thread on which it may wait.
    async fn read<T: Send + 'static>(
        &self,
        step: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let connection = Arc::clone(&self.connection);
        blocking(&self.path, step, move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
    }
}

/// Does some work with a file on a thread on which it may wait.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    step: &'static str,
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|source| Error::from_rusqlite(path, step, source)),
        Err(error) => Err(Error::Other(step, sqlx::Error::AnyDriverError(Box::new(error)))),
    }
}

/// Rows on their way out of the thread that reads them.
struct RowSender {
    chunk: Vec<NumberedRow>,
    sender: mpsc::Sender<Vec<NumberedRow>>,
    /// Not any more, if the call was given up.
    are_wanted: bool,
}

impl RowSender {
    fn push(&mut self, row: NumberedRow) {
        self.chunk.push(row);
        if self.chunk.len() == ROWS_A_CHUNK {
            self.send();
        }
    }

    fn send(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(ROWS_A_CHUNK));
        self.are_wanted &= self.sender.blocking_send(chunk).is_ok();
    }
}

/// Gives each row of some quarters, series by series.
fn each_row(connection: &Connection, quarters: Range<Quarter>, to: &mut RowSender) -> rusqlite::Result<()> {
    let (from, until) = (quarters.start.start().micros(), quarters.end.start().micros());
    let sql = format!(
        "SELECT node, quarter, {SUMS} FROM fleetwatt_energy WHERE series = ?1 AND quarter >= ?2 AND quarter < ?3"
    );
    let mut statement = connection.prepare(&sql)?;
    for series in all_series(connection)? {
        let mut rows = statement.query([series, from, until])?;
        while let Some(row) = rows.next()? {
            to.push(numbered(series, row)?);
        }
        if !to.are_wanted {
            break;
        }
    }
    Ok(())
}

fn all_series(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare("SELECT id FROM fleetwatt_series")?;
    let numbers = statement.query_map([], |row| row.get(0))?;
    numbers.collect()
}

/// A row of [`each_row`].
fn numbered(series: i64, row: &Row<'_>) -> rusqlite::Result<NumberedRow> {
    let entry = Entry {
        energy_mj: row.get(2)?,
        covered_ms: row.get(3)?,
        samples: row.get(4)?,
        min_mw: row.get(5)?,
        max_mw: row.get(6)?,
        variance_mj2: row.get(7)?,
        busy_ms: row.get(8)?,
        method: Method::from_bits(row.get(9)?),
    };
    Ok(NumberedRow { series, node: row.get(0)?, quarter: quarter(row.get(1)?), entry })
}

const fn quarter(micros: i64) -> Quarter {
    Quarter::at(Timestamp::from_micros(micros))
}
