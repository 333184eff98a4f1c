//! The timeline in PostgreSQL, in a table that may belong to others.
//!
//! Only portable SQL, in transactions and without named prepared statements, so that pgbouncer in
//! transaction mode, partitioned tables and the PostgreSQL-likes work. The catalogs are those of
//! PostgreSQL 12 and newer.

mod binary_copy;
mod connect;
mod delivery_log;
mod energy;
mod events;
mod failure;
mod init;
mod readable_table;
mod reader;
mod rebuild;
mod rejected_rows;
mod roll_up;
mod status;
mod table_mapping;
mod table_schema;
mod time;
mod verify;

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::counts::from_length;
use super::named::Named;
use super::receipt::{RejectedRow, WriteReport};
use super::record::{Record, energies, events};
use super::store_url::Server;
use super::table::TableName;
use super::{Error, Guarantee, InitReport, LedgerAccess, Status, failpoint};
use crate::batch::BatchId;
use connect::{begin, connect};
use failure::Target;
use table_mapping::TableMapping;

pub(super) use reader::PostgresReader;
pub(super) use rebuild::rebuild;

/// After its last use a connection is taken to be alive so long without asking.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The findings about the table are taken to hold so long, unless an error says that they do not.
const TRIED_FOR: Duration = Duration::from_secs(600);

/// The time for a commit.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// A server, and the connection to it while there is one.
#[derive(Debug)]
pub(super) struct Postgres {
    target: Target,
    /// Taken out while in use, so that a call that is dropped halfway drops the connection too, and
    /// the server rolls back.
    session: Mutex<Option<Session>>,
}

/// A connection, and the table as it was found by it.
#[derive(Debug)]
struct Session {
    connection: PgConnection,
    table: TableMapping,
    guarantee: Guarantee,
    /// The ledger's place, and what this role may do with it: only one that it may read and write is kept.
    ledger: LedgerAccess,
    /// Whether it may take rows out of it.
    may_delete: bool,
    /// The ledger's names, as far as they were brought by this connection.
    named: Named,
    /// The oddities of the table, one sentence each.
    warnings: Vec<String>,
    used_at: Instant,
    opened_at: Instant,
}

impl Postgres {
    pub(super) async fn open(server: &Server, table: TableName) -> Result<Self, Error> {
        let target = Target { server: server.clone(), table };
        let session = Session::open(&target).await?;
        Ok(Self { target, session: Mutex::new(Some(session)) })
    }

    pub(super) async fn init(server: &Server, table: TableName) -> Result<InitReport, Error> {
        let target = Target { server: server.clone(), table };
        let mut connection = connect(server).await?;
        let report = init::create(&mut connection, &target).await;
        connect::close(connection).await;
        report
    }

    pub(super) async fn write(&self, id: BatchId, records: &[Record]) -> Result<WriteReport, Error> {
        let started = Instant::now();
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        match session.write(&self.target, id, records).await {
            Ok(report) => {
                session.used_at = Instant::now();
                *slot = Some(session);
                Ok(WriteReport { took: started.elapsed(), ..report })
            }
            Err(error) => {
                // The table may be another one than was looked up, so the next call looks again.
                connect::close(session.connection).await;
                Err(error)
            }
        }
    }

    /// The rows that the table does not take. Writes nothing.
    pub(super) async fn find_rejected_rows(&self, records: &[Record]) -> Result<Vec<RejectedRow>, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let search = rejected_rows::refused(&mut session.connection, &self.target, &session.table, records);
        let refused = self.target.run(rejected_rows::STEP, search).await?;
        *slot = Some(session);
        Ok(refused)
    }

    pub(super) async fn status(&self) -> Result<Status, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let answer = status::ask(&mut session, self.target.server.to_string());
        let mut status = self.target.run("status", answer).await?;
        status.hints.splice(0..0, session.warnings.iter().cloned());
        *slot = Some(session);
        Ok(status)
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session.into_inner() {
            connect::close(session.connection).await;
        }
    }

    /// The session that is there if it still answers, or a new one. Between two cycles the server may
    /// have been restarted, and a firewall may have forgotten the connection.
    async fn ready_session(&self, kept: Option<Session>) -> Result<Session, Error> {
        // What somebody did to the table meanwhile shows in a new one.
        if let Some(mut session) = kept.filter(|session| session.opened_at.elapsed() < TRIED_FOR) {
            if session.used_at.elapsed() < TRUSTED_FOR {
                return Ok(session);
            }
            let alive = timeout(connect::CONNECT_WITHIN, session.connection.ping()).await;
            if matches!(alive, Ok(Ok(()))) {
                return Ok(session);
            }
            tracing::info!(server = %self.target.server, "database connection broke, connecting anew");
        }
        // Seldom, and large: not in every future that may have to.
        Box::pin(Session::open(&self.target)).await
    }
}

impl Session {
    async fn open(target: &Target) -> Result<Self, Error> {
        let mut connection = connect(&target.server).await?;
        let lookup = table_schema::table(&mut connection, &target.table);
        let table = TableMapping::of(target.run("look up the table", lookup).await?)?;
        let by_rights = delivery_log::find(&mut connection, table.may_select);
        let by_rights = target.run("look for delivered batches", by_rights).await?;
        let tried = verify::guarantee(&mut connection, target, &table, by_rights);
        let (guarantee, warnings) = target.run(verify::STEP, tried).await?;
        for warning in &warnings {
            tracing::debug!(table = table.name, "{warning}");
        }
        let rights = async {
            Ok((energy::access(&mut connection).await?, energy::may_delete(&mut connection).await?))
        };
        let (access, may_delete) = target.run("look for the ledger", rights).await?;
        // Without the table of delivered batches one that comes twice would count twice.
        let is_kept = access != LedgerAccess::ReadWrite || guarantee == Guarantee::DeliveryLog;
        let ledger = if is_kept { access } else { LedgerAccess::NotKept };
        let now = Instant::now();
        let named = Named::default();
        Ok(Self {
            connection,
            table,
            guarantee,
            ledger,
            may_delete,
            named,
            warnings,
            used_at: now,
            opened_at: now,
        })
    }

    async fn write(
        &mut self,
        target: &Target,
        id: BatchId,
        records: &[Record],
    ) -> Result<WriteReport, Error> {
        self.table.check_lengths(records)?;
        let all = from_length(events(records).len());
        let Self { table, guarantee, ledger, named, connection, .. } = self;
        let work = async move {
            let mut transaction = begin(connection).await?;
            let is_new = match *guarantee {
                Guarantee::DeliveryLog => {
                    delivery_log::enter(&mut transaction, id, events(records).len()).await?
                }
                Guarantee::Lookup => delivery_log::is_absent(&mut transaction, table, id, records).await?,
                Guarantee::AtLeastOnce => true,
            };
            if !is_new {
                transaction.rollback().await?;
                return Ok(None);
            }
            let mut n_rows = table.insert(&mut transaction, records).await?;
            if n_rows != all && table.may_select {
                // A trigger may have put them elsewhere, as those of partitions before PostgreSQL 10 do.
                n_rows = delivery_log::n_there(&mut transaction, table, id, records).await?.max(n_rows);
            }
            if *ledger == LedgerAccess::ReadWrite {
                let added = energy::add(&mut transaction, &energies(records), named).await;
                added.map_err(Target::sort_ledger)?;
            }
            Ok(Some((transaction, n_rows.min(all))))
        };
        let Some((transaction, rows)) = target.run("insert", work).await? else {
            tracing::info!(batch = %id, "batch was delivered before");
            return Ok(WriteReport::default());
        };
        failpoint::reach(failpoint::BEFORE_COMMIT).await;
        match timeout(COMMIT_WITHIN, transaction.commit()).await {
            Ok(Ok(())) => Ok(WriteReport { rows, swallowed: all - rows, took: Duration::ZERO }),
            Ok(Err(error)) => Err(target.sort_commit(error)),
            Err(_) => Err(Error::CommitUnknown(None)),
        }
    }
}
