//! The status of a timeline, and the result of `store init`.

use std::fmt;

use super::ledger_types::LedgerAccess;
use crate::reading::Timestamp;

/// The means that keep a batch that has to be sent twice from being in the timeline twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// A row of `delivered_batch` is written in the same transaction.
    DeliveryLog,
    /// Its id is looked for among the rows of its time, under a lock.
    Lookup,
    /// Nothing: this role may only insert.
    AtLeastOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeliveryLog => "exactly once, by the table of delivered batches",
            Self::Lookup => "exactly once, by looking for the batch among its rows",
            Self::AtLeastOnce => {
                "at least once: a batch is doubled when its commit's answer is lost; `batch` tells doubles apart"
            }
        })
    }
}

/// The status of the database and of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// `SQLite` or `PostgreSQL`.
    pub kind: &'static str,
    /// Where it is, without the password.
    pub store_url: String,
    /// The database's version.
    pub version: Option<String>,
    /// The table, quoted as SQL needs it, with its schema if it has one.
    pub table: String,
    /// `table`, `partitioned table`, `view` or `foreign table`.
    pub table_kind: &'static str,
    /// The columns as they are, in their order.
    pub columns: Vec<ColumnFound>,
    /// Rows measured in the last 24 hours by the database's clock, by event type. `None` where this
    /// role may not read, or the answer took too long.
    pub recent: Option<Vec<(String, u64)>>,
    /// The newest `created_at`; `None` also where the table is empty.
    pub newest: Option<Timestamp>,
    /// Whether this role may read the table.
    pub may_select: bool,
    /// Whether this role may insert.
    pub may_insert: bool,
    /// The TLS version and cipher of this connection, `Some(None)` for a connection in clear; `None`
    /// where there is no connection over a network or the server does not say.
    pub tls: Option<Option<String>>,
    /// Bytes on disk with the indexes.
    pub size_bytes: Option<u64>,
    /// The means that keep batches from being doubled.
    pub guarantee: Guarantee,
    /// Whether there is a ledger, which reports are read from.
    pub ledger: LedgerAccess,
    /// Improvements for the owner of the table, one sentence each, with the SQL.
    pub hints: Vec<String>,
    /// The statements for an owner of the database, if there is no table of delivered batches or no ledger that this role
    /// can use.
    pub owner_sql: Vec<String>,
}

/// A column as the database describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFound {
    /// Its name.
    pub name: String,
    /// Its type as SQL writes it: `character varying(64)`.
    pub sql_type: String,
    /// Whether it refuses NULL.
    pub not_null: bool,
}

/// The result of `store init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// The table, quoted as SQL needs it.
    pub table: String,
    /// The statements that created the table; empty if the table was there already.
    pub created: Vec<String>,
    /// The statements that created the table of delivered batches.
    pub delivery_log: Vec<String>,
    /// The statements for an owner of the database, if this role may not create it.
    pub owner_sql: Vec<String>,
}

impl InitReport {
    /// Whether the timeline's table was there already, so that it was left as it is.
    pub fn already_there(&self) -> bool {
        self.created.is_empty()
    }
}
