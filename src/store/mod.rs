//! The timeline: one table in SQLite or PostgreSQL, and one transaction a batch.
//!
//! A SQLite file belongs to fleetwatt, which creates it. A PostgreSQL table may belong to others: it is
//! looked up on connecting, fitted to, and never altered. Only [`Timeline::init`] creates anything there.
//!
//! A `Timeline` holds one connection, since there is one writer. A PostgreSQL connection that breaks
//! is given up, and the next call connects anew, so a daemon outlives a restart of its database.

mod error;
mod failpoint;
mod location;
mod postgres;
mod rows;
mod sqlite;
mod status;
mod table;

use std::time::Duration;

pub use error::{Error, FileTrouble};
pub use location::{Location, Password};
pub use status::{ColumnFound, InitReport, Status};

use location::Place;
use postgres::Postgres;
use sqlite::Sqlite;
use table::TableName;

use crate::batch::Event;

/// The five columns that are written. Every other one must be able to do without a value.
const COLUMNS: [&str; 5] = ["event_type", "source", "value", "metadata", "created_at"];

/// An open timeline.
#[derive(Debug)]
pub struct Timeline(Kind);

/// What one transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// How many rows are in the timeline now that were not before.
    pub rows: u64,
    /// From the first statement until the database said that it is durable.
    pub took: Duration,
}

#[derive(Debug)]
enum Kind {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Timeline {
    /// Opens the timeline and checks that it can be written: the table is there, its columns fit, and
    /// this role may insert. A SQLite file is created on first use, and its folder as well.
    ///
    /// `table` is `name` or `schema.name`, each as the catalog spells it; a part in double quotes may
    /// hold dots.
    ///
    /// # Errors
    ///
    /// Which step failed, see [`Error`]. [`Error::is_away`] says whether waiting can help.
    pub async fn open(location: &Location, table: &str) -> Result<Self, Error> {
        let table = TableName::parse(table)?;
        Ok(Self(match location.place() {
            Place::Sqlite(path) => Kind::Sqlite(Sqlite::open(path, table).await?.0),
            Place::Postgres(server) => Kind::Postgres(Box::new(Postgres::open(server, table).await?)),
        }))
    }

    /// Writes all events in one transaction: afterwards either all of them are durable, or none is there.
    ///
    /// # Errors
    ///
    /// Which step failed. After any error but [`Error::CommitUnknown`] nothing was written, unless a disk
    /// fails under SQLite ([`FileTrouble::DiskFails`]): then nobody should write on.
    pub async fn write(&self, events: &[Event]) -> Result<Written, Error> {
        match &self.0 {
            Kind::Sqlite(sqlite) => sqlite.write(events).await,
            Kind::Postgres(postgres) => postgres.write(events).await,
        }
    }

    /// Creates the table and its indexes where there is no table of that name. A table that is there
    /// is left as it is, whatever its columns are.
    ///
    /// # Errors
    ///
    /// Which step failed; nothing was created then.
    pub async fn init(location: &Location, table: &str) -> Result<InitReport, Error> {
        let table = TableName::parse(table)?;
        match location.place() {
            Place::Sqlite(path) => {
                let (sqlite, report) = Sqlite::open(path, table).await?;
                sqlite.close().await;
                Ok(report)
            }
            Place::Postgres(server) => Postgres::init(server, table).await,
        }
    }

    /// What the database says of itself and of the timeline.
    ///
    /// # Errors
    ///
    /// Only if the database does not answer; what the role may not look at is `None` in the answer.
    pub async fn status(&self) -> Result<Status, Error> {
        match &self.0 {
            Kind::Sqlite(sqlite) => sqlite.status().await,
            Kind::Postgres(postgres) => postgres.status().await,
        }
    }

    /// Takes leave of the database. All that was written is durable already, so nothing can be lost here.
    pub async fn close(self) {
        match self.0 {
            Kind::Sqlite(sqlite) => sqlite.close().await,
            Kind::Postgres(postgres) => postgres.close().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles, and that is the test: whoever writes may do so in a task of its own.
    #[allow(dead_code, reason = "only compiled")]
    fn every_call_can_be_made_from_a_task(timeline: Timeline, location: &Location) {
        fn is_send(_: impl Send) {}
        is_send(Timeline::open(location, ""));
        is_send(Timeline::init(location, ""));
        is_send(timeline.write(&[]));
        is_send(timeline.status());
        is_send(timeline.close());
    }
}
