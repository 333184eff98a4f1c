//! The timeline: one table in SQLite or PostgreSQL, and one transaction a batch.
//!
//! A SQLite file belongs to fleetwatt, which creates it. A PostgreSQL table may belong to others: it is
//! looked up on connecting, fitted to, and never altered. Only [`Timeline::init`] creates anything there.
//!
//! A `Timeline` holds one connection, since there is one writer. A PostgreSQL connection that breaks
//! is given up, and the next call connects again, so a daemon outlives a restart of its database.
//!
//! [`Writer`] is the way of a cycle's events: into the spool, from there into the timeline, and out of
//! the spool when the timeline has them. Batches have ids, so that one that is sent twice is there once.

mod alerts;
mod bisect;
mod counts;
mod dead_letters;
mod delivery;
mod derivation;
mod error;
mod event_pages;
mod failpoint;
mod file;
mod ledger;
mod ledger_types;
mod named;
mod postgres;
mod rebuild;
mod receipt;
mod record;
mod roll_up;
mod spool;
mod sqlite;
mod status;
mod store_url;
mod table;
mod writer;

use std::time::Duration;

pub use alerts::{AlertRecord, Outbox, OutboxMessage, StoredAlertState, StoredAlerts, stored_alerts};
pub use dead_letters::{RetryReport, dead_letters, discard_dead_letters};
pub use derivation::DerivationRules;
pub use error::{Error, FileTrouble};
pub use ledger::LedgerReader;
pub use ledger_types::{
    AlertEvent, ChargeSpan, CountedTwice, Derived, LedgerAccess, LedgerSize, NodeFailure,
};
pub use rebuild::{Difference, KeptQuarters, LedgerTotals, RebuildReport, RebuildRequest};
pub use receipt::{Backlog, Progress, Pruned, Receipt, WriteReport};
pub use record::{EventRow, Record};
pub use roll_up::RollUp;
pub use spool::{DeadLetter, Dropped, Rescued, SpoolLimits, SpoolStatus, n_rows_of_payload};
pub use status::{ColumnFound, Guarantee, InitReport, Status};
pub use store_url::{Password, StoreUrl};
pub use writer::{SpoolAppender, Writer};

use postgres::Postgres;
use receipt::RejectedRow;
use spool::Spool;
use sqlite::Sqlite;
use store_url::Backend;
use table::TableName;

use crate::batch::BatchId;

/// An open timeline.
#[derive(Debug)]
pub struct Timeline(Driver);

#[derive(Debug)]
enum Driver {
    Sqlite(Box<Sqlite>),
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
    /// Which step failed, see [`Error`].
    pub async fn open(store_url: &StoreUrl, table: &str) -> Result<Self, Error> {
        let table = TableName::parse(table)?;
        Ok(Self(match store_url.backend() {
            Backend::Sqlite(path) => Driver::Sqlite(Box::new(Sqlite::open(path, table).await?.0)),
            Backend::Postgres(server) => Driver::Postgres(Box::new(Postgres::open(server, table).await?)),
        }))
    }

    /// The status, without creating or changing anything; `None` where a SQLite file is not there yet, or has no
    /// table yet.
    ///
    /// # Errors
    /// The database does not answer, or its table does not fit.
    pub async fn inspect(store_url: &StoreUrl, table: &str) -> Result<Option<Status>, Error> {
        let table = TableName::parse(table)?;
        match store_url.backend() {
            Backend::Sqlite(path) => Sqlite::inspect(path, table).await,
            Backend::Postgres(server) => {
                let postgres = Postgres::open(server, table).await?;
                let status = postgres.status().await;
                postgres.close().await;
                status.map(Some)
            }
        }
    }

    /// Writes all records of a batch in one transaction: afterwards either all of them are durable, or none
    /// is there. A batch that is there already is not written again, see [`Guarantee`].
    ///
    /// # Errors
    /// Which step failed. After any error but [`Error::CommitUnknown`] nothing was written, unless a disk
    /// fails under SQLite ([`FileTrouble::DiskFails`]): then nobody should write on.
    pub async fn write(&self, id: BatchId, records: &[Record]) -> Result<WriteReport, Error> {
        self.deliver(id, records, None).await
    }

    /// The same, and in a file with what the batch says of the alerts; a server has no place for that.
    async fn deliver(
        &self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<WriteReport, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.write(id, records, alerts).await,
            Driver::Postgres(postgres) => postgres.write(id, records).await,
        }
    }

    /// The rows of a refused batch that the table does not take. Writes nothing.
    async fn find_rejected_rows(&self, records: &[Record]) -> Result<Vec<RejectedRow>, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.find_rejected_rows(records).await,
            Driver::Postgres(postgres) => postgres.find_rejected_rows(records).await,
        }
    }

    /// Does what is not to keep a batch waiting: call it when nobody waits.
    async fn maintain(&self) -> Result<(), Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.maintain().await,
            Driver::Postgres(_) => Ok(()),
        }
    }

    /// Removes rows that were measured longer ago than `keep`, and gives their room back to the disk. A dry run only
    /// counts them.
    ///
    /// # Errors
    /// The timeline is in PostgreSQL, where nothing is ever removed; or the file cannot be written.
    pub async fn prune(&self, keep: Duration, dry_run: bool) -> Result<Pruned, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.prune(keep, dry_run).await,
            Driver::Postgres(_) => Err(Error::RetentionUnsupported),
        }
    }

    /// A little of the same, after a batch of `n_new` rows.
    async fn prune_step(&self, keep: Duration, n_new: u64) -> Result<u64, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.prune_step(keep, n_new).await,
            Driver::Postgres(_) => Err(Error::RetentionUnsupported),
        }
    }

    /// Rolls old quarter-hours of the ledger up to local days, a part of them at a time; says how many rows there were. A
    /// ledger that this role may not change stays as it is.
    ///
    /// # Errors
    /// The database does not answer, or refuses.
    pub async fn roll_up_step(&self, rule: &RollUp) -> Result<usize, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.roll_up_step(rule).await,
            Driver::Postgres(postgres) => postgres.roll_up_step(rule).await,
        }
    }

    /// Creates the table and its indexes where there is no table of that name, and beside it the table of
    /// delivered batches. A table that is there is left as it is, whatever its columns are.
    ///
    /// # Errors
    /// Which step failed. That this role may create no schema for the delivered batches is no error: the
    /// report says what an owner would run.
    pub async fn init(store_url: &StoreUrl, table: &str) -> Result<InitReport, Error> {
        let table = TableName::parse(table)?;
        match store_url.backend() {
            Backend::Sqlite(path) => {
                let (sqlite, report) = Sqlite::open(path, table).await?;
                sqlite.close().await;
                Ok(report)
            }
            Backend::Postgres(server) => Postgres::init(server, table).await,
        }
    }

    /// The status of the database and of the timeline.
    ///
    /// # Errors
    /// Only if the database does not answer; what the role may not look at is `None` in the answer.
    pub async fn status(&self) -> Result<Status, Error> {
        match &self.0 {
            Driver::Sqlite(sqlite) => sqlite.status().await,
            Driver::Postgres(postgres) => postgres.status().await,
        }
    }

    /// Closes the connections. All that was written is durable already.
    pub async fn close(self) {
        match self.0 {
            Driver::Sqlite(sqlite) => sqlite.close().await,
            Driver::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// Computes the ledger again from the timeline, and says what differs. A dry run writes nothing. `progress` is given how
/// many quarters are done, of how many.
///
/// # Errors
/// There is no ledger, it cannot be written, or the timeline cannot be read. Nothing was written.
pub async fn rebuild_ledger(
    store_url: &StoreUrl,
    table: &str,
    request: RebuildRequest,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> Result<RebuildReport, Error> {
    let table = TableName::parse(table)?;
    match store_url.backend() {
        Backend::Sqlite(path) => sqlite::rebuild(path, table, request, progress).await,
        Backend::Postgres(server) => postgres::rebuild(server, table, request, progress).await,
    }
}

/// The status of the spool of a state directory; `None` where there is no spool. Changes nothing.
///
/// # Errors
/// The spool cannot be read.
pub async fn spool_status(state_dir: &std::path::Path) -> Result<Option<SpoolStatus>, Error> {
    Spool::inspect(state_dir).await
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Compiles, and that is the test: whoever writes may do so in a task of its own.
    #[allow(dead_code, reason = "only compiled")]
    fn every_call_can_be_made_from_a_task(timeline: Timeline, store_url: &StoreUrl, mut writer: Writer) {
        fn is_send(_: impl Send) {}
        is_send(Timeline::open(store_url, ""));
        is_send(Timeline::init(store_url, ""));
        is_send(timeline.write(BatchId(Uuid::nil()), &[]));
        is_send(timeline.status());
        is_send(timeline.close());
        let limits = SpoolLimits { bytes: 0, age: Duration::ZERO };
        is_send(Writer::open("".as_ref(), store_url, "", limits));
        is_send(writer.connect());
        is_send(writer.keep(BatchId(Uuid::nil()), &[], None));
        is_send(writer.replay(|_| ()));
        is_send(writer.close());
    }
}
