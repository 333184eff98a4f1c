//! Why the timeline cannot be opened, written or read: one variant a step, with what to do.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::alerts::StoredAlertState;
use crate::support::error::Diagnose;

/// Which step of the work on a timeline failed. No text of it can hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's URL cannot be used. Holds no part of the URL but names of its parameters.
    #[error("the database URL cannot be used: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The table's name cannot be used.
    #[error("the table name `{}` cannot be used: {reason}", table.escape_debug())]
    TableName {
        /// The name as given.
        table: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `[store] keep` is set for a timeline in PostgreSQL.
    #[error("`[store] keep` is for a timeline in SQLite; in PostgreSQL fleetwatt removes nothing")]
    RetentionUnsupported,
    /// The password is not where it should be.
    #[error("the database password from {from}")]
    Password {
        /// Where it should be.
        from: String,
        /// Why it cannot be had.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key file cannot be read.
    #[error("cannot read the certificate file `{}`", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The SQLite file's folder cannot be created.
    #[error("cannot create the folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The SQLite file cannot be used.
    #[error("the database file `{}` {trouble}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        trouble: FileTrouble,
        /// SQLite's words, if it was asked.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The SQLite file was made by something newer.
    #[error("the database file `{}` has schema version {found}, and this fleetwatt knows only up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// There is no connection to the server.
    #[error("cannot reach the database server {server}")]
    Unreachable {
        /// Host and port, or the socket.
        server: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The server did not let us in within the deadline.
    #[error("the database server {server} did not answer within {} s", after.as_secs())]
    ConnectTimeout {
        /// Host and port, or the socket.
        server: String,
        /// The deadline.
        after: Duration,
    },
    /// The server answers, and cannot work now: starting, stopping, full, read-only, out of connections.
    #[error("the database server cannot work now ({step})")]
    ServerUnavailable {
        /// The step that failed.
        step: &'static str,
        /// The server's words.
        #[source]
        source: sqlx::Error,
    },
    /// No TLS as the URL asks for it.
    #[error("no TLS with the database server {server} as `sslmode` asks for it")]
    Tls {
        /// Host and port.
        server: String,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// The server refused the login.
    #[error("the database server {server} refused the login of `{user}`")]
    Login {
        /// Host and port, or the socket.
        server: String,
        /// The role.
        user: String,
        /// The server's words.
        #[source]
        source: sqlx::Error,
    },
    /// The server has no such database.
    #[error("the database server {server} has no such database")]
    NoDatabase {
        /// Host and port, or the socket.
        server: String,
        /// The server's words.
        #[source]
        source: sqlx::Error,
    },
    /// The role may not do what is needed.
    #[error("the database role lacks permission ({step})")]
    Permission {
        /// The step that needs it.
        step: &'static str,
        /// What an owner of the table has to run, one statement each.
        grants: Vec<String>,
        /// The server's words, if it was the server that refused.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// There is no such table.
    #[error("there is no table {table}{}", near_tables(near))]
    NoTable {
        /// The table, as SQL.
        table: String,
        /// Tables that may have been meant, as SQL.
        near: Vec<String>,
    },
    /// The table is there and cannot hold the events.
    #[error("the table {table} does not fit: {}", problems.join("; "))]
    DoesNotFit {
        /// The table, as SQL.
        table: String,
        /// Everything that is wrong, one sentence each.
        problems: Vec<String>,
    },
    /// A text is longer than its column. Nothing was written.
    #[error(
        "column `{column}` holds {limit} {unit}, and an event of type `{event_type}` has {length} for it"
    )]
    TooLong {
        /// The column.
        column: &'static str,
        /// How much it holds.
        limit: usize,
        /// `characters` or `bytes`.
        unit: &'static str,
        /// How much it would have to hold.
        length: usize,
        /// The event's type.
        event_type: String,
    },
    /// The database refused the rows for what is in them. Nothing was written.
    #[error("the database refused the rows")]
    Refused {
        /// The database's words.
        #[source]
        source: sqlx::Error,
    },
    /// A lock was not got, or a statement took too long. Nothing was written.
    #[error("the database took too long ({step})")]
    Timeout {
        /// The step that failed.
        step: &'static str,
        /// The server's words; `None` if it did not even say so.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The connection broke before the commit. Nothing was written.
    #[error("the connection to the database broke ({step})")]
    Lost {
        /// The step that failed.
        step: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The connection broke at the commit: the batch is in the timeline, whole, or not at all.
    #[error(
        "the connection to the database broke at the commit, so it is not known whether the batch was written"
    )]
    CommitUnknown {
        /// Why; `None` if the server just did not answer.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The spool cannot be used, so that nothing could be kept there.
    #[error("the spool `{}`{}", path.display(), trouble.map(|trouble| format!(" {trouble}")).unwrap_or_default())]
    Spool {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, if it is one of the usual.
        trouble: Option<FileTrouble>,
        /// What the system or SQLite said, if it was asked.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A batch in the spool has a record of a kind that this version does not know. It stays there.
    #[error("the spool `{}` holds records of kind `{}`, which this fleetwatt does not know", path.display(), kind.escape_debug())]
    UnknownRecord {
        /// The file.
        path: PathBuf,
        /// The name of the kind.
        kind: String,
    },
    /// Another process judged the alerts since they were read. Nothing was written.
    #[error("another fleetwatt has judged the alerts meanwhile")]
    AlertsChanged {
        /// What is known of them now.
        kept: StoredAlertState,
    },
    /// Any other answer of the database.
    #[error("the database failed ({step})")]
    Other {
        /// The step that failed.
        step: &'static str,
        /// The database's words.
        #[source]
        source: sqlx::Error,
    },
}

/// What can be wrong with a SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTrouble {
    /// It is a directory.
    Directory,
    /// Another program holds it.
    Locked,
    /// The disk or the quota is full.
    Full,
    /// It or its folder may not be written.
    ReadOnly,
    /// It can be neither opened nor created.
    CannotOpen,
    /// It is something else than a database.
    NotADatabase,
    /// It is damaged.
    Corrupt,
    /// The disk fails.
    DiskFails,
    /// Another file, or none, is in its place.
    Moved,
}

impl FileTrouble {
    /// The trouble behind one of SQLite's result codes, primary or extended.
    pub(super) const fn of_code(code: i32) -> Option<Self> {
        // <https://www.sqlite.org/rescode.html>: the low byte is the primary code. SQLITE_IOERR_SHMSIZE is
        // what a full disk does to the `-shm` file.
        if code == 4874 {
            return Some(Self::Full);
        }
        Some(match code & 0xff {
            5 | 6 => Self::Locked,
            3 | 8 | 23 => Self::ReadOnly,
            10 => Self::DiskFails,
            11 => Self::Corrupt,
            13 => Self::Full,
            14 => Self::CannotOpen,
            26 => Self::NotADatabase,
            _ => return None,
        })
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Directory => "file_directory",
            Self::Locked => "file_locked",
            Self::Full => "file_full",
            Self::ReadOnly => "file_read_only",
            Self::CannotOpen => "file_cannot_open",
            Self::NotADatabase => "file_not_a_database",
            Self::Corrupt => "file_corrupt",
            Self::DiskFails => "file_disk_fails",
            Self::Moved => "file_moved",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Directory => "add a file name to the path in `[store] url`",
            Self::Locked => {
                "end the other program, or let it end its transaction; the next cycle tries again"
            }
            Self::Full => "make room on the disk or raise the quota; the next cycle tries again",
            Self::ReadOnly => {
                "give the user that runs fleetwatt the right to write the file, its folder and the `-wal` and `-shm` files beside it"
            }
            Self::CannotOpen => {
                "check that the folder exists and that the user that runs fleetwatt may write in it and reach it"
            }
            Self::NotADatabase => "name another file in `[store] url`; this one is left as it is",
            Self::Corrupt => {
                "keep a copy, save what can be read with `sqlite3 FILE .recover`, and start with a new file; check the disk"
            }
            Self::DiskFails => {
                "look into the kernel log for errors of the disk, and check that it is not a network mount"
            }
            Self::Moved => "leave the file where it is while fleetwatt runs; copy it with `VACUUM INTO`",
        }
    }
}

impl fmt::Display for FileTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "is a directory",
            Self::Locked => "is locked by another program",
            Self::Full => "cannot grow: the disk is full",
            Self::ReadOnly => "is read-only",
            Self::CannotOpen => "cannot be opened",
            Self::NotADatabase => "is not a SQLite database",
            Self::Corrupt => "is damaged",
            Self::DiskFails => "cannot be read or written: the disk reports an error",
            Self::Moved => "was moved, removed or replaced while it was open",
        })
    }
}

impl Error {
    /// The hint for what the server or the connection to it did.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`hint` names each variant that comes here")]
    const fn server_hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check that the server runs, that host and port are right and that no firewall is in between"
            }
            Self::ConnectTimeout { .. } => {
                "check that the server runs and is not overloaded, and that no firewall is in between"
            }
            Self::ServerUnavailable { .. } => "look into the server's log; the next cycle tries again",
            Self::Tls { .. } => {
                "check `sslmode`, and that `sslrootcert` names the CA that signed the server's certificate and that the certificate names the host as the URL does"
            }
            Self::Login { .. } => {
                "check the user in the URL and where its password comes from, and the server's pg_hba.conf"
            }
            Self::NoDatabase { .. } => "check the database's name in the URL, or create it",
            Self::Refused { .. } => {
                "the database's words name the reason: a constraint, a trigger, or a type that cannot hold a value"
            }
            Self::Timeout { .. } => {
                "look for long transactions and locks on the table; the next cycle tries again"
            }
            Self::Lost { .. } => "the next cycle connects anew; if it stays, look into the server's log",
            Self::CommitUnknown { .. } => "look for the batch's id in the metadata before writing it again",
            _ => "the database's words name the reason",
        }
    }

    /// Whether it is the rows that the database does not take, and not the database that cannot.
    pub(super) const fn is_data_error(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLong { .. })
    }

    /// Whether the spool is damaged, so that it has to be set aside.
    pub(super) const fn is_damaged_spool(&self) -> bool {
        matches!(self, Self::Spool { trouble: Some(FileTrouble::Corrupt | FileTrouble::NotADatabase), .. })
    }

    /// Whether the disk under the spool is full.
    pub(super) const fn is_full_spool(&self) -> bool {
        matches!(self, Self::Spool { trouble: Some(FileTrouble::Full), .. })
    }

    /// Whether the spool that is open is not the one that others find.
    pub(super) const fn is_moved_spool(&self) -> bool {
        matches!(self, Self::Spool { trouble: Some(FileTrouble::Moved), .. })
    }

    /// Whether the disk under the spool reports errors. What it said was durable may not be: whoever
    /// meets this ends, and never writes on.
    pub const fn is_failing_disk(&self) -> bool {
        matches!(self, Self::Spool { trouble: Some(FileTrouble::DiskFails), .. })
    }

    /// Sorts what SQLite said.
    pub(super) fn from_sqlite(path: &std::path::Path, step: &'static str, source: sqlx::Error) -> Self {
        let code = source.as_database_error().and_then(|error| error.code());
        let code: Option<i32> = code.and_then(|code| code.parse().ok());
        if let Some(trouble) = code.and_then(FileTrouble::of_code) {
            return Self::File { path: path.to_owned(), trouble, source: Some(source) };
        }
        match code.map(|code| code & 0xff) {
            // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH.
            Some(18..=20) => Self::Refused { source },
            _ => Self::Other { step, source },
        }
    }
}

impl Diagnose for Error {
    fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url",
            Self::TableName { .. } => "table_name",
            Self::RetentionUnsupported => "keeps_all",
            Self::Password { .. } => "password",
            Self::Certificate { .. } => "certificate",
            Self::Folder { .. } => "folder",
            Self::File { trouble, .. } => trouble.kind(),
            Self::Newer { .. } => "newer",
            Self::Unreachable { .. } => "unreachable",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::ServerUnavailable { .. } => "ailing",
            Self::Tls { .. } => "tls",
            Self::Login { .. } => "login",
            Self::NoDatabase { .. } => "no_database",
            Self::Permission { .. } => "permission",
            Self::NoTable { .. } => "no_table",
            Self::DoesNotFit { .. } => "does_not_fit",
            Self::TooLong { .. } => "too_long",
            Self::Refused { .. } => "refused",
            Self::Timeout { .. } => "timeout",
            Self::Lost { .. } => "lost",
            Self::CommitUnknown { .. } => "commit_unknown",
            Self::Spool { .. } => "spool",
            Self::UnknownRecord { .. } => "unknown_record",
            Self::AlertsChanged { .. } => "alerts_moved",
            Self::Other { .. } => "other",
        }
    }

    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Url { .. } => {
                "write it as `sqlite:PATH` or `postgres://user@host:port/database?sslmode=verify-full&sslrootcert=FILE`"
            }
            Self::TableName { .. } => {
                "set `[store] table` to `name` or `schema.name`; put a part that holds a dot in double quotes"
            }
            Self::RetentionUnsupported => {
                "take `keep` out of the inventory, and let the owner of the table remove old rows"
            }
            Self::Password { .. } => {
                "check where the inventory says that it is, and who may read it; what is only in a service's unit is there for that service alone"
            }
            Self::Certificate { .. } => "name a PEM file that the user that runs fleetwatt may read",
            Self::Folder { .. } => {
                "create it for the user that runs fleetwatt, or name another path in `[store] url`"
            }
            Self::File { trouble, .. } => trouble.hint(),
            Self::Newer { .. } => "use the newer fleetwatt, or move the file away; it is left as it is",
            Self::Permission { grants, .. } => {
                return format!("let an owner of it run: {}", grants.join(" ")).into();
            }
            Self::NoTable { .. } => {
                "run `fleetwatt store init` to create it, or set `[store] table` to the table that is there"
            }
            Self::DoesNotFit { .. } => {
                "let its owner change it, or set `[store] table` to another table; fleetwatt never alters one. `fleetwatt store init` creates one that fits"
            }
            Self::TooLong { .. } => {
                "shorten the name in the inventory, or let the table's owner widen the column"
            }
            Self::Spool { trouble, .. } => spool_hint(*trouble),
            Self::UnknownRecord { .. } => {
                "run the newer fleetwatt that wrote them; the batch and those behind it wait in the spool"
            }
            Self::AlertsChanged { .. } => "nothing: the next cycle judges by what is known now",
            Self::Unreachable { .. }
            | Self::ConnectTimeout { .. }
            | Self::ServerUnavailable { .. }
            | Self::Tls { .. }
            | Self::Login { .. }
            | Self::NoDatabase { .. }
            | Self::Refused { .. }
            | Self::Timeout { .. }
            | Self::Lost { .. }
            | Self::CommitUnknown { .. }
            | Self::Other { .. } => self.server_hint(),
        })
    }

    fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::ConnectTimeout { .. }
                | Self::ServerUnavailable { .. }
                | Self::Timeout { .. }
                | Self::Lost { .. }
                | Self::CommitUnknown { .. }
                | Self::File { trouble: FileTrouble::Locked | FileTrouble::Full, .. }
        )
    }
}

const fn spool_hint(trouble: Option<FileTrouble>) -> &'static str {
    match trouble {
        Some(FileTrouble::Full) => {
            "make room on the disk of the state directory, or lower `[store] spool_size`"
        }
        Some(FileTrouble::DiskFails) => {
            "look into the kernel log for errors of the disk; nothing is kept until it works"
        }
        Some(FileTrouble::Locked) => "end the other program that holds it",
        _ => "check that the user that runs fleetwatt may write in the state directory and what is in it",
    }
}

fn near_tables(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; there is {}", near.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_locked_disk_passes_and_a_wrong_file_does_not() {
        let away = |code| {
            let trouble = FileTrouble::of_code(code).unwrap();
            Error::File { path: "x.db".into(), trouble, source: None }.is_transient()
        };
        // SQLITE_FULL, SQLITE_IOERR_SHMSIZE, SQLITE_BUSY_SNAPSHOT; SQLITE_NOTADB, SQLITE_READONLY_DIRECTORY, SQLITE_CANTOPEN_ISDIR.
        assert!(away(13) && away(4874) && away(517));
        assert!(!away(26) && !away(1544) && !away(526));
    }

    #[test]
    fn a_missing_permission_is_answered_with_the_grant() {
        let grants = vec!["GRANT INSERT ON \"t\" TO \"r\";".to_owned()];
        let error = Error::Permission { step: "insert", grants, source: None };
        assert_eq!(error.to_string(), "the database role lacks permission (insert)");
        assert_eq!(error.hint(), "let an owner of it run: GRANT INSERT ON \"t\" TO \"r\";");
    }
}
