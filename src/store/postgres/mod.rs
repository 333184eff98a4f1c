//! The timeline in PostgreSQL, in a table that may belong to others.
//!
//! Only portable SQL, in transactions and without named prepared statements, so that pgbouncer in
//! transaction mode, partitioned tables and the PostgreSQL-likes work. The catalogs are those of
//! PostgreSQL 12 and newer.

mod connect;
mod delivery_log;
mod failure;
mod init;
mod insert;
mod rejected_rows;
mod status;
mod table_mapping;
mod table_schema;
mod transaction;
mod verify;

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::receipt::{RejectedRow, WriteReport};
use super::record::Record;
use super::store_url::Server;
use super::table::TableName;
use super::{Error, Guarantee, InitReport, Status, failpoint};
use crate::batch::BatchId;
use failure::Context;
use table_mapping::TableMapping;
use transaction::{begin, close_connection, within};

/// How long all of a transaction but its commit may take. The server ends each statement after 30 s;
/// this is for a network that swallows everything.
const TRANSACTION_WITHIN: Duration = Duration::from_secs(120);

/// How long after its last use a connection is taken to be alive without asking.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How long what was found out about the table is taken to hold, unless an error says that it does not.
const TRIED_FOR: Duration = Duration::from_secs(600);

/// How long a commit may take.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// A server, and the connection to it while there is one.
#[derive(Debug)]
pub(super) struct Postgres {
    server: Server,
    table: TableName,
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
    /// What is odd about the table, one sentence each.
    warnings: Vec<String>,
    used_at: Instant,
    opened_at: Instant,
}

impl Postgres {
    pub(super) async fn open(server: &Server, table: TableName) -> Result<Self, Error> {
        let session = Session::open(server, &table).await?;
        Ok(Self { server: server.clone(), table, session: Mutex::new(Some(session)) })
    }

    pub(super) async fn init(server: &Server, table: TableName) -> Result<InitReport, Error> {
        let mut connection = connect::connect(server).await?;
        let report =
            within(TRANSACTION_WITHIN, "create the table", init::create(&mut connection, server, &table))
                .await;
        close_connection(connection).await;
        report
    }

    pub(super) async fn write(&self, id: BatchId, records: &[Record]) -> Result<WriteReport, Error> {
        let started = Instant::now();
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        match session.write(&self.context("insert"), id, records).await {
            Ok(n_rows) => {
                session.used_at = Instant::now();
                *slot = Some(session);
                Ok(WriteReport { took: started.elapsed(), ..n_rows })
            }
            Err(error) => {
                // The table may be another one than was looked up, so the next call looks again.
                close_connection(session.connection).await;
                Err(error)
            }
        }
    }

    /// The rows that the table does not take. Writes nothing.
    pub(super) async fn find_rejected_rows(&self, records: &[Record]) -> Result<Vec<RejectedRow>, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let context = self.context("find the rows that are refused");
        let search = rejected_rows::refused(&mut session.connection, &context, &session.table, records);
        let refused = within(TRANSACTION_WITHIN, context.step, search).await?;
        *slot = Some(session);
        Ok(refused)
    }

    pub(super) async fn status(&self) -> Result<Status, Error> {
        let mut slot = self.session.lock().await;
        let mut session = self.ready_session(slot.take()).await?;
        let store_url = self.server.to_string();
        let context = self.context("status");
        let Session { connection, table, guarantee, warnings, .. } = &mut session;
        let answer = status::ask(connection, table, *guarantee, &context, store_url);
        let mut status = within(TRANSACTION_WITHIN, "status", answer).await?;
        status.hints.splice(0..0, warnings.iter().cloned());
        *slot = Some(session);
        Ok(status)
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session.into_inner() {
            close_connection(session.connection).await;
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
            tracing::info!(server = %self.server, "database connection broke, connecting anew");
        }
        // Seldom, and large: not in every future that may have to.
        Box::pin(Session::open(&self.server, &self.table)).await
    }

    fn context(&self, step: &'static str) -> Context<'_> {
        Context { step, server: &self.server, table: self.table.to_string() }
    }
}

impl Session {
    async fn open(server: &Server, name: &TableName) -> Result<Self, Error> {
        let mut connection = connect::connect(server).await?;
        let context = Context { step: "look up the table", server, table: name.to_string() };
        let found =
            within(TRANSACTION_WITHIN, context.step, table_schema::table(&mut connection, &context, name))
                .await?;
        let table = TableMapping::of(found)?;
        let context = context.at("look for delivered batches");
        let guarantee =
            within(TRANSACTION_WITHIN, context.step, delivery_log::find(&mut connection, &context, &table))
                .await?;
        let context = context.at("try what keeps batches from being doubled");
        let tried = verify::guarantee(&mut connection, &context, &table, guarantee);
        let verify::Verdict { guarantee, warnings } = within(TRANSACTION_WITHIN, context.step, tried).await?;
        for warning in &warnings {
            tracing::debug!(table = table.name, "{warning}");
        }
        let now = Instant::now();
        Ok(Self { connection, table, guarantee, warnings, used_at: now, opened_at: now })
    }

    async fn write(
        &mut self,
        context: &Context<'_>,
        id: BatchId,
        records: &[Record],
    ) -> Result<WriteReport, Error> {
        self.table.check_lengths(records)?;
        let (table, guarantee, connection) = (&self.table, self.guarantee, &mut self.connection);
        let work = async move {
            let failed = |error| context.classify(error);
            let mut transaction = begin(connection, context).await?;
            if !delivery_log::is_new(&mut transaction, guarantee, table, id, records).await.map_err(failed)? {
                transaction.rollback().await.map_err(failed)?;
                return Ok(None);
            }
            let mut n_rows = insert::all(&mut transaction, table, records).await.map_err(failed)?;
            let all = u64::try_from(records.len()).unwrap_or(u64::MAX);
            if n_rows != all && table.may_select {
                // A trigger may have put them elsewhere, as those of partitions before PostgreSQL 10 do.
                n_rows = delivery_log::n_there(&mut transaction, table, id, records)
                    .await
                    .map_err(failed)?
                    .max(n_rows);
            }
            Ok(Some((transaction, n_rows.min(all), all.saturating_sub(n_rows))))
        };
        let Some((transaction, n_rows, swallowed)) = within(TRANSACTION_WITHIN, context.step, work).await?
        else {
            tracing::info!(batch = %id, "batch was delivered before");
            return Ok(WriteReport::default());
        };
        failpoint::reach(failpoint::BEFORE_COMMIT).await;
        match timeout(COMMIT_WITHIN, transaction.commit()).await {
            Ok(Ok(())) => Ok(WriteReport { rows: n_rows, swallowed, took: Duration::ZERO }),
            Ok(Err(error)) => Err(context.classify_commit(error)),
            Err(_) => Err(Error::CommitUnknown(None)),
        }
    }
}
