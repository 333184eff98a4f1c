//! Reads the ledger, and from the timeline what a report says beside it. Changes nothing, and needs no right but to read.
//!
//! Rows of the ledger come quickly and in bounded memory: a month of 800 GPUs is 2.3 million of them. From SQLite they
//! are read by `rusqlite`, which is the same SQLite that sqlx has, without a channel and an allocation for each value;
//! from PostgreSQL by binary COPY.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use super::counts::from_database;
use super::derivation::{Derivation, DerivationRules};
use super::ledger_types::{
    AlertEvent, AlertRow, ChargeSpan, CountedTwice, Derived, LOOK_BACK, LastSeen, LedgerAccess, LedgerSize,
    NodeFailure,
};
use super::postgres::PostgresReader;
use super::sqlite::SqliteReader;
use super::store_url::Backend;
use super::table::TableName;
use super::{Error, StoreUrl};
use crate::ledger::{EnergyTotal, Names, NumberedRow};
use crate::reading::{Quarter, SafeText, Timestamp};

/// A timeline and its ledger, opened to be read.
#[derive(Debug)]
pub struct LedgerReader(Reader);

#[derive(Debug)]
enum Reader {
    Sqlite(SqliteReader),
    Postgres(Box<PostgresReader>),
}

impl LedgerReader {
    /// Opens a timeline and its ledger to be read. `None` where a SQLite file is not there, or has no timeline.
    ///
    /// # Errors
    /// The database does not answer, or has no such table.
    pub async fn open(store_url: &StoreUrl, table: &str) -> Result<Option<Self>, Error> {
        let table = TableName::parse(table)?;
        Ok(match store_url.backend() {
            Backend::Sqlite(path) => SqliteReader::open(path, table).await?.map(Reader::Sqlite),
            Backend::Postgres(server) => {
                Some(Reader::Postgres(Box::new(PostgresReader::open(server, table).await?)))
            }
        }
        .map(Self))
    }

    /// Whether there is a ledger. Where it cannot be read, the calls for it are [`Error::NoLedger`].
    pub const fn access(&self) -> LedgerAccess {
        match &self.0 {
            Reader::Sqlite(sqlite) => sqlite.access,
            Reader::Postgres(postgres) => postgres.access,
        }
    }

    /// The names of all series and nodes. A row that is read afterwards may be of a series that came in between.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn names(&mut self) -> Result<Names, Error> {
        self.need_ledger()?;
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.names().await,
            Reader::Postgres(postgres) => postgres.names().await,
        }
    }

    /// From the first quarter of the ledger to the end of its last one; `None` of an empty one.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn span(&mut self) -> Result<Option<Range<Quarter>>, Error> {
        self.need_ledger()?;
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.span().await,
            Reader::Postgres(postgres) => postgres.span().await,
        }
    }

    /// All that was measured of some series, by their names; of what flows both ways, what came in. A series that is not
    /// in the ledger is not in it.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn totals(&mut self, series: &[String]) -> Result<BTreeMap<String, EnergyTotal>, Error> {
        self.need_ledger()?;
        let rows = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.totals(series).await?,
            Reader::Postgres(postgres) => postgres.totals(series).await?,
        };
        let total = |(series, energy_mj, covered_ms)| (series, EnergyTotal { energy_mj, covered_ms });
        Ok(rows.into_iter().map(total).collect())
    }

    /// The size of the ledger.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn size(&mut self) -> Result<LedgerSize, Error> {
        self.need_ledger()?;
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.size().await,
            Reader::Postgres(postgres) => postgres.size().await,
        }
    }

    /// The series that were counted more than once, if there are any.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn counted_twice(&mut self) -> Result<Option<CountedTwice>, Error> {
        self.need_ledger()?;
        let found = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.counted_twice().await?,
            Reader::Postgres(postgres) => postgres.counted_twice().await?,
        };
        Ok(CountedTwice::of(found))
    }

    /// Gives every row of some quarters, in no order. Quarters that were rolled up are a row at the first quarter of
    /// their day.
    ///
    /// # Errors
    /// The ledger cannot be read; some rows may have been given.
    pub async fn rows(
        &mut self,
        quarters: Range<Quarter>,
        mut on_row: impl FnMut(NumberedRow) + Send,
    ) -> Result<(), Error> {
        self.need_ledger()?;
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.rows(quarters, &mut on_row).await,
            Reader::Postgres(postgres) => postgres.rows(quarters, &mut on_row).await,
        }
    }

    /// Gives the rows that follow from the timeline, for where there is no ledger, and their names. A row may come twice
    /// where samples reach far back; both add up. Boards that gave no reading in the two days before the quarters are
    /// known by the last row of their source.
    ///
    /// # Errors
    /// The timeline cannot be read; some rows may have been given.
    pub async fn derive(
        &mut self,
        quarters: Range<Quarter>,
        rules: &DerivationRules,
        mut on_row: impl FnMut(NumberedRow) + Send,
    ) -> Result<Derived, Error> {
        let derivation = Derivation::new(quarters, rules, self.access() != LedgerAccess::Missing);
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.derive(derivation, &mut on_row).await,
            Reader::Postgres(postgres) => postgres.derive(derivation, &mut on_row).await,
        }
    }

    /// The times of the first and the last row of the timeline from which energy follows; `None` where there is none.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn timeline_ends(
        &mut self,
        rules: &DerivationRules,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        let event_types = rules.reading_types();
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.timeline_ends(event_types).await,
            Reader::Postgres(postgres) => postgres.timeline_ends(&event_types).await,
        }
    }

    /// The last row of each series before a quarter.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn last_seen(&mut self, before: Quarter) -> Result<Vec<LastSeen>, Error> {
        self.need_ledger()?;
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.last_seen(before).await,
            Reader::Postgres(postgres) => postgres.last_seen(before).await,
        }
    }

    /// The indices of boards on their nodes by UUID, as the last row of each source until `until` says, of those from 31 days
    /// before `from` on.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn gpu_indices(
        &mut self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<BTreeMap<String, u32>, Error> {
        let time = from.min(until).minus(LOOK_BACK)..until;
        let rows = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.last_power(time).await?,
            Reader::Postgres(postgres) => postgres.last_power(time).await?,
        };
        let index = |metadata: String| {
            let board: Board = serde_json::from_str(&metadata).unwrap_or_default();
            board.gpu_uuid.zip(board.gpu_index)
        };
        Ok(rows.into_iter().filter_map(index).collect())
    }

    /// The first attempt to ask a node that failed in a time, its end excluded.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn first_failure(
        &mut self,
        node: &str,
        time: Range<Timestamp>,
    ) -> Result<Option<NodeFailure>, Error> {
        let source = format!("node_{node}");
        let found = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.first_failure(source, time).await?,
            Reader::Postgres(postgres) => postgres.first_failure(&source, time).await?,
        };
        Ok(found.map(|(at, metadata)| failure(at, &metadata)))
    }

    /// The longest part of a time in which no cycle of the whole fleet ended.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn longest_pause(&mut self, time: Range<Timestamp>) -> Result<Duration, Error> {
        let micros = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.longest_pause(time).await?,
            Reader::Postgres(postgres) => postgres.longest_pause(time).await?,
        };
        Ok(Duration::from_micros(from_database(micros)))
    }

    /// The states of charge in some quarters, `step` quarters in each, counted from 1970. `event_type` is that of
    /// [`crate::reading::Quantity::StateOfCharge`] at the stations' vendor.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn charges(
        &mut self,
        event_type: &'static str,
        quarters: Range<Quarter>,
        step: u32,
    ) -> Result<Vec<ChargeSpan>, Error> {
        let step_micros = i64::from(step.max(1)) * Quarter::MICROS;
        let time = quarters.start.start()..quarters.end.start();
        match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.charges(event_type, time, step_micros).await,
            Reader::Postgres(postgres) => postgres.charges(event_type, time, step_micros).await,
        }
    }

    /// The alerts that were raised and cleared in a time, its end excluded, in the order of time.
    ///
    /// # Errors
    /// The timeline cannot be read.
    pub async fn alerts(&mut self, time: Range<Timestamp>) -> Result<Vec<AlertEvent>, Error> {
        let rows = match &mut self.0 {
            Reader::Sqlite(sqlite) => sqlite.alerts(time).await?,
            Reader::Postgres(postgres) => postgres.alerts(time).await?,
        };
        Ok(rows.into_iter().map(alert).collect())
    }

    /// Closes the connection.
    pub async fn close(self) {
        match self.0 {
            Reader::Sqlite(_) => {}
            Reader::Postgres(postgres) => postgres.close().await,
        }
    }

    const fn need_ledger(&self) -> Result<(), Error> {
        if self.access().is_readable() { Ok(()) } else { Err(Error::NoLedger) }
    }
}

/// The part of metadata that is read here. What is not as we write it is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EventMetadata {
    outcome: String,
    message: String,
    key: String,
    rule: String,
    severity: String,
}

/// The part of metadata that tells a board and its place.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Board {
    gpu_uuid: Option<String>,
    gpu_index: Option<u32>,
}

fn failure(at: Timestamp, metadata: &str) -> NodeFailure {
    let metadata: EventMetadata = serde_json::from_str(metadata).unwrap_or_default();
    NodeFailure { at, outcome: harmless(&metadata.outcome), message: harmless(&metadata.message) }
}

fn alert(AlertRow { at, source, value, metadata }: AlertRow) -> AlertEvent {
    let metadata: EventMetadata = serde_json::from_str(&metadata).unwrap_or_default();
    AlertEvent {
        at,
        is_raised: value.is_some_and(|value| value > 0.0),
        source: harmless(&source),
        key: harmless(&metadata.key),
        rule: harmless(&metadata.rule),
        severity: harmless(&metadata.severity),
        message: harmless(&metadata.message),
    }
}

fn harmless(text: &str) -> String {
    SafeText::new(text).to_string()
}
