//! Reads the ledger and the timeline of a server. The rows of the ledger come by binary COPY.

use std::ops::Range;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::binary_copy::{Fields, copy};
use super::connect::{self, begin, connect};
use super::failure::Target;
use super::readable_table::ReadableTable;
use super::time::{micros, timestamptz, within};
use super::{energy, events, table_schema};
use crate::batch::TimelineRow;
use crate::ledger::{Entry, Method, Names, NumberedRow, SeriesName};
use crate::reading::{Quarter, Timestamp};
use crate::store::Error;
use crate::store::derivation::Derivation;
use crate::store::event_pages::EventPages;
use crate::store::ledger_types::{
    ALERT, AlertRow, CYCLE, ChargeSpan, CountedTwiceRow, Derived, GPU_FACTS, GPU_POWER, LastSeen,
    LedgerAccess, LedgerSize, MAX_ALERTS, MAX_ATTEMPTS, MAX_CHARGES, NODE_UP, SUMS, SizeRow, counting,
    counting_twice,
};
use crate::store::store_url::Server;
use crate::store::table::TableName;

const BYTES: &str = "\
SELECT sum(pg_total_relation_size(c.oid))::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'fleetwatt' AND c.relname = ANY($1)";

const LEDGER_STEP: &str = "read the ledger";
const TIMELINE_STEP: &str = "read the timeline";

/// A connection that only reads.
#[derive(Debug)]
pub(in crate::store) struct PostgresReader {
    target: Target,
    connection: PgConnection,
    timeline: ReadableTable,
    pub(in crate::store) access: LedgerAccess,
}

impl PostgresReader {
    pub(in crate::store) async fn open(server: &Server, table: TableName) -> Result<Self, Error> {
        let target = Target { server: server.clone(), table };
        let mut connection = connect(server).await?;
        let lookup = table_schema::table(&mut connection, &target.table);
        let timeline = ReadableTable::of(&target.run("look up the table", lookup).await?);
        let access = target.run("look for the ledger", energy::access(&mut connection)).await?;
        Ok(Self { target, connection, timeline, access })
    }

    pub(in crate::store) async fn names(&mut self) -> Result<Names, Error> {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let series = "SELECT id::int8, key, model FROM fleetwatt.series";
            let series: Vec<(i64, String, String)> =
                sqlx::query_as(series).persistent(false).fetch_all(&mut *transaction).await?;
            let nodes = "SELECT id::int8, name FROM fleetwatt.node";
            let nodes: Vec<(i64, String)> =
                sqlx::query_as(nodes).persistent(false).fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            let named = |(id, key, model)| (id, SeriesName { key, model });
            Ok(Names { series: series.into_iter().map(named).collect(), nodes: nodes.into_iter().collect() })
        };
        self.target.run("read the ledger's names", work).await
    }

    pub(in crate::store) async fn span(&mut self) -> Result<Option<Range<Quarter>>, Error> {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let query = sqlx::query_as(AssertSqlSafe(ends_of_ledger())).persistent(false);
            let ends: (Option<i64>, Option<i64>) = query.fetch_one(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(ends.0.zip(ends.1).map(|(first, last)| quarter(first)..quarter(last).next()))
        };
        self.target.run(LEDGER_STEP, work).await
    }

    pub(in crate::store) async fn totals(
        &mut self,
        series: &[String],
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let sql = "SELECT s.key, sum(greatest(e.energy_mj, 0))::int8, sum(e.covered_ms)::int8 \
                FROM fleetwatt.series s JOIN fleetwatt.energy e ON e.series = s.id WHERE s.key = ANY($1) GROUP BY 1";
            let rows =
                sqlx::query_as(sql).bind(series).persistent(false).fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(rows)
        };
        self.target.run(LEDGER_STEP, work).await
    }

    pub(in crate::store) async fn size(&mut self) -> Result<LedgerSize, Error> {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let query = sqlx::query_as(AssertSqlSafe(counting("fleetwatt."))).persistent(false);
            let counts: SizeRow = query.fetch_one(&mut *transaction).await?;
            let query = sqlx::query_scalar(BYTES).bind(energy::NAMES).persistent(false);
            let bytes: Option<i64> = query.fetch_one(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(LedgerSize::of(counts, bytes))
        };
        self.target.run(LEDGER_STEP, work).await
    }

    pub(in crate::store) async fn counted_twice(&mut self) -> Result<CountedTwiceRow, Error> {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let sql = counting_twice("fleetwatt.", micros);
            let found =
                sqlx::query_as(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(found)
        };
        self.target.run(LEDGER_STEP, work).await
    }

    pub(in crate::store) async fn rows(
        &mut self,
        quarters: Range<Quarter>,
        on_row: &mut (impl FnMut(NumberedRow) + Send),
    ) -> Result<(), Error> {
        // COPY takes no parameters; these are numbers.
        let sql = format!(
            "COPY (SELECT series, node, quarter, {SUMS} FROM fleetwatt.energy WHERE {}) TO STDOUT (FORMAT binary)",
            within(&quarters)
        );
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            copy(&mut transaction, &sql, |fields| numbered(fields).map(&mut *on_row)).await?;
            Ok(transaction.rollback().await?)
        };
        self.target.run(LEDGER_STEP, work).await
    }

    /// The rows that follow from the timeline.
    pub(in crate::store) async fn derive(
        &mut self,
        mut derivation: Derivation,
        on_row: &mut (impl FnMut(NumberedRow) + Send),
    ) -> Result<Derived, Error> {
        self.timeline()?;
        self.look_back(&mut derivation).await?;
        let (types, mut pages) = (derivation.event_types(), EventPages::new(&derivation.time()));
        while let Some(page) = pages.page() {
            let connection = &mut self.connection;
            let sql = events::page(&self.timeline, &types, &page);
            let (noted, taken) = (&mut pages, &mut derivation);
            let work = async {
                let mut transaction = begin(connection).await?;
                let each = |event: &TimelineRow<'_>| {
                    noted.note_row(event.at);
                    taken.take(event, &mut *on_row);
                };
                events::each(&mut transaction, &sql, each).await?;
                Ok(transaction.rollback().await?)
            };
            self.target.run(TIMELINE_STEP, work).await?;
            pages.next_page();
        }
        Ok(derivation.finish(on_row))
    }

    /// Hands over the last rows of boards from before the time of the others.
    async fn look_back(&mut self, derivation: &mut Derivation) -> Result<(), Error> {
        for event_type in [GPU_FACTS, GPU_POWER] {
            let rows = self.last_rows(event_type, derivation.look_back()).await?;
            for (source, at, value, metadata) in rows {
                derivation.take_earlier(&TimelineRow {
                    event_type,
                    source: &source,
                    value: value.unwrap_or(f64::NAN),
                    metadata: metadata.as_deref().unwrap_or_default(),
                    at: Timestamp::from_micros(at),
                });
            }
        }
        Ok(())
    }

    /// The last row of each source in a time: its source, time, value and metadata.
    async fn last_rows(&mut self, event_type: &str, time: Range<Timestamp>) -> Result<Vec<LastRow>, Error> {
        let columns =
            format!("t.source::text, {}, t.value::float8, t.metadata::text", micros("t.created_at"));
        let sql = self.timeline()?.last_of_each_source(&columns);
        self.select(sql, event_type, time, None).await
    }

    /// The metadata of the last power of each source in a time.
    pub(in crate::store) async fn last_power(
        &mut self,
        time: Range<Timestamp>,
    ) -> Result<Vec<String>, Error> {
        let rows = self.last_rows(GPU_POWER, time).await?;
        Ok(rows.into_iter().filter_map(|(.., metadata)| metadata).collect())
    }

    /// The times of the first and the last row of some event types.
    pub(in crate::store) async fn timeline_ends(
        &mut self,
        event_types: &[&str],
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let sql = events::ends(self.timeline()?, event_types);
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
            let ends: (Option<i64>, Option<i64>) = query.fetch_one(&mut *transaction).await?;
            transaction.rollback().await?;
            let at = Timestamp::from_micros;
            Ok(ends.0.zip(ends.1).map(|(first, last)| (at(first), at(last))))
        };
        self.target.run(TIMELINE_STEP, work).await
    }

    pub(in crate::store) async fn last_seen(&mut self, before: Quarter) -> Result<Vec<LastSeen>, Error> {
        let sql = format!(
            "SELECT s.id::int8, l.node::int8, {} FROM fleetwatt.series s CROSS JOIN LATERAL (SELECT e.node, e.quarter \
             FROM fleetwatt.energy e WHERE e.series = s.id AND e.quarter < {} \
             ORDER BY e.quarter DESC, e.node DESC LIMIT 1) l",
            micros("l.quarter"),
            timestamptz("$1")
        );
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(before.start().micros()).persistent(false);
            let rows: Vec<(i64, i64, i64)> = query.fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            let seen = |(series, node, at)| LastSeen { series, node, quarter: quarter(at) };
            Ok(rows.into_iter().map(seen).collect())
        };
        self.target.run(LEDGER_STEP, work).await
    }

    pub(in crate::store) async fn first_failure(
        &mut self,
        source: &str,
        time: Range<Timestamp>,
    ) -> Result<Option<(Timestamp, String)>, Error> {
        let table = self.timeline()?;
        let sql = format!(
            "SELECT {}, metadata FROM (SELECT created_at, metadata::text, value FROM {} WHERE event_type = $1 \
             AND source = $4 AND created_at >= {} AND created_at < {} ORDER BY created_at LIMIT {MAX_ATTEMPTS}) u \
             WHERE value = 0 LIMIT 1",
            micros("created_at"),
            table.name,
            table.time("$2"),
            table.time("$3"),
        );
        let rows: Vec<(i64, Option<String>)> =
            self.select(sql, NODE_UP, time, Some(Parameter::Text(source))).await?;
        let found = rows.into_iter().next();
        Ok(found.map(|(at, metadata)| (Timestamp::from_micros(at), metadata.unwrap_or_default())))
    }

    /// The longest part of a time without a cycle, in microseconds.
    pub(in crate::store) async fn longest_pause(&mut self, time: Range<Timestamp>) -> Result<i64, Error> {
        let table = self.timeline()?;
        let (event_type, source) = CYCLE;
        let sql = format!(
            "SELECT max(next - at) FROM (SELECT at, lead(at, 1, $3::int8) OVER (ORDER BY at) AS next \
             FROM (SELECT $2::int8 AS at UNION ALL SELECT {} FROM {} WHERE event_type = $1 AND source = $4 \
             AND created_at >= {} AND created_at < {}) u) v",
            micros("created_at"),
            table.name,
            table.time("$2"),
            table.time("$3"),
        );
        let rows: Vec<(Option<i64>,)> =
            self.select(sql, event_type, time, Some(Parameter::Text(source))).await?;
        Ok(rows.first().and_then(|row| row.0).unwrap_or_default())
    }

    pub(in crate::store) async fn charges(
        &mut self,
        event_type: &str,
        time: Range<Timestamp>,
        step_micros: i64,
    ) -> Result<Vec<ChargeSpan>, Error> {
        let columns = format!(
            "t.source::text, {} / $4 * $4, min(t.value)::float8, max(t.value)::float8, avg(t.value)::float8",
            micros("t.created_at")
        );
        let sql = format!(
            "{} AND t.value IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {MAX_CHARGES}",
            self.timeline()?.of_each_source(&columns)
        );
        let rows: Vec<(String, i64, f64, f64, f64)> =
            self.select(sql, event_type, time, Some(Parameter::Number(step_micros))).await?;
        let span =
            |(source, from, min, max, mean)| ChargeSpan { source, from: quarter(from), min, max, mean };
        Ok(rows.into_iter().map(span).collect())
    }

    pub(in crate::store) async fn alerts(&mut self, time: Range<Timestamp>) -> Result<Vec<AlertRow>, Error> {
        let columns =
            format!("{}, t.source::text, t.value::float8, t.metadata::text", micros("t.created_at"));
        let sql = format!("{} ORDER BY 1 LIMIT {MAX_ALERTS}", self.timeline()?.of_each_source(&columns));
        let rows: Vec<(i64, String, Option<f64>, Option<String>)> =
            self.select(sql, ALERT, time, None).await?;
        let row = |(at, source, value, metadata): (i64, _, _, Option<String>)| AlertRow {
            at: Timestamp::from_micros(at),
            source,
            value,
            metadata: metadata.unwrap_or_default(),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    pub(in crate::store) async fn close(self) {
        connect::close(self.connection).await;
    }

    /// The timeline, if this role may read it.
    fn timeline(&self) -> Result<&ReadableTable, Error> {
        if self.timeline.may_select {
            return Ok(&self.timeline);
        }
        let grant = self.target.grant("SELECT ON", &self.timeline.name);
        Err(Error::Permission(TIMELINE_STEP, vec![grant], None))
    }

    /// The rows of a statement about an event type (`$1`) in a time (`$2` to `$3`).
    async fn select<T>(
        &mut self,
        sql: String,
        event_type: &str,
        time: Range<Timestamp>,
        more: Option<Parameter<'_>>,
    ) -> Result<Vec<T>, Error>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        let connection = &mut self.connection;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let query = sqlx::query_as(AssertSqlSafe(sql)).bind(event_type);
            let query = query.bind(time.start.micros()).bind(time.end.micros());
            let query = match more {
                Some(Parameter::Text(text)) => query.bind(text),
                Some(Parameter::Number(number)) => query.bind(number),
                None => query,
            };
            let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(rows)
        };
        self.target.run(TIMELINE_STEP, work).await
    }
}

/// Source, time in microseconds since 1970, value and metadata of an event.
type LastRow = (String, i64, Option<f64>, Option<String>);

/// A fourth parameter.
enum Parameter<'a> {
    Text(&'a str),
    Number(i64),
}

/// Looks up the two ends of each series by the primary key.
fn ends_of_ledger() -> String {
    format!(
        "SELECT {}, {} FROM fleetwatt.series s CROSS JOIN LATERAL (SELECT \
         (SELECT min(quarter) FROM fleetwatt.energy WHERE series = s.id) AS first, \
         (SELECT max(quarter) FROM fleetwatt.energy WHERE series = s.id) AS last) e",
        micros("min(e.first)"),
        micros("max(e.last)")
    )
}

fn numbered(fields: &mut Fields<'_>) -> Option<NumberedRow> {
    let (series, node) = (i64::from(fields.int4()?), i64::from(fields.int4()?));
    let quarter = Quarter::at(fields.timestamptz()?);
    let entry = Entry {
        energy_mj: fields.int8()?,
        covered_ms: i64::from(fields.int4()?),
        samples: i64::from(fields.int4()?),
        min_mw: fields.nullable_int4()?.map(i64::from),
        max_mw: fields.nullable_int4()?.map(i64::from),
        variance_mj2: f64::from(fields.float4()?),
        busy_ms: fields.nullable_int4()?.map(i64::from),
        method: Method::from_bits(u8::try_from(fields.int2()?).ok()?),
    };
    Some(NumberedRow { series, node, quarter, entry })
}

const fn quarter(micros: i64) -> Quarter {
    Quarter::at(Timestamp::from_micros(micros))
}
