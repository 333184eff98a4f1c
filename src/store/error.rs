//! Why the timeline cannot be opened, written or read: one variant a step, with what to do.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::StoredAlertState;
use crate::support::error::Diagnose;

/// The step of the work on a timeline that failed. No text of it can hold a password. A server is its URL without the
/// password, tables and grants are SQL, and a source is the word of the system or the database, if it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's URL cannot be used. The reason holds no part of the URL but names of its parameters.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The table's name, as given, cannot be used.
    #[error("the table name `{}` cannot be used: {}", .0.escape_debug(), .1)]
    TableName(String, &'static str),
    /// `[store] keep` is set for a timeline in PostgreSQL.
    #[error("`[store] keep` is for a timeline in SQLite; in PostgreSQL fleetwatt removes nothing")]
    RetentionUnsupported,
    /// The password is not where it should be.
    #[error("the database password from {0}")]
    Password(String, #[source] io::Error),
    /// A certificate or key file cannot be read.
    #[error("cannot read the certificate file `{}`", .0.display())]
    Certificate(PathBuf, #[source] io::Error),
    /// The SQLite file's folder cannot be created.
    #[error("cannot create the folder `{}`", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// The SQLite file cannot be used.
    #[error("the database file `{}` {}", .0.display(), .1)]
    File(PathBuf, FileTrouble, #[source] Option<sqlx::Error>),
    /// The SQLite file was made by something newer: its `user_version`, and the newest that is known here.
    #[error("the database file `{}` has schema version {}, and this fleetwatt knows only up to {}", .0.display(), .1, .2)]
    Newer(PathBuf, i64, i64),
    /// There is no connection to the server.
    #[error("cannot reach the database server {0}")]
    Unreachable(String, #[source] sqlx::Error),
    /// The server did not let us in within the deadline.
    #[error("the database server {} did not answer within {} s", .0, .1.as_secs())]
    ConnectTimeout(String, Duration),
    /// The server answers, and cannot work now: starting, stopping, full, read-only, out of connections.
    #[error("the database server cannot work now ({0})")]
    ServerUnavailable(&'static str, #[source] sqlx::Error),
    /// No TLS as the URL asks for it.
    #[error("no TLS with the database server {0} as `sslmode` asks for it")]
    Tls(String, #[source] sqlx::Error),
    /// The server refused the login of a role.
    #[error("the database server {0} refused the login of `{1}`")]
    Login(String, String, #[source] sqlx::Error),
    /// The server has no such database.
    #[error("the database server {0} has no such database")]
    NoDatabase(String, #[source] sqlx::Error),
    /// The role may not do what a step needs; with what an owner of the table has to run.
    #[error("the database role lacks permission ({0})")]
    Permission(&'static str, Vec<String>, #[source] Option<sqlx::Error>),
    /// There is no such table; with those that may have been meant.
    #[error("there is no table {}{}", .0, if .1.is_empty() { String::new() } else { format!("; there is {}", .1.join(" and ")) })]
    NoTable(String, Vec<String>),
    /// The table is there and cannot hold the events: everything that is wrong, one sentence each.
    #[error("the table {} does not fit: {}", .0, .1.join("; "))]
    DoesNotFit(String, Vec<String>),
    /// A text is longer than its column. Nothing was written.
    #[error("{0}")]
    TooLong(String),
    /// The database refused the rows for what is in them. Nothing was written.
    #[error("the database refused the rows")]
    Refused(#[source] sqlx::Error),
    /// The ledger refused the energies of a batch. Nothing was written.
    #[error("the ledger refused the energies")]
    LedgerRefused(#[source] sqlx::Error),
    /// A lock was not got, or a statement took too long. Nothing was written.
    #[error("the database took too long ({0})")]
    Timeout(&'static str, #[source] Option<sqlx::Error>),
    /// The connection broke before the commit. Nothing was written.
    #[error("the connection to the database broke ({0})")]
    Lost(&'static str, #[source] sqlx::Error),
    /// The connection broke at the commit: the batch is in the timeline, whole, or not at all.
    #[error(
        "the connection to the database broke at the commit, so it is not known whether the batch was written"
    )]
    CommitUnknown(#[source] Option<sqlx::Error>),
    /// The spool cannot be used, so that nothing could be kept there; with the trouble, if it is one of the usual.
    #[error("the spool `{}`{}", .0.display(), .1.map(|trouble| format!(" {trouble}")).unwrap_or_default())]
    Spool(PathBuf, Option<FileTrouble>, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// A batch in the spool has a record of a kind that this version does not know. It stays there.
    #[error("the spool `{}` holds records of kind `{}`, which this fleetwatt does not know", .0.display(), .1.escape_debug())]
    UnknownRecord(PathBuf, String),
    /// Another process judged the alerts since they were read; with what is known now. Nothing was written.
    #[error("another fleetwatt has judged the alerts meanwhile")]
    AlertsChanged(StoredAlertState),
    /// There is no ledger beside the timeline that this role may read.
    #[error("there is no ledger beside the timeline that may be read")]
    NoLedger,
    /// Any other answer of the database.
    #[error("the database failed ({0})")]
    Other(&'static str, #[source] sqlx::Error),
}

/// A trouble of a SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileTrouble {
    /// It is a directory.
    #[error("is a directory")]
    Directory,
    /// Another program holds it.
    #[error("is locked by another program")]
    Locked,
    /// The disk or the quota is full.
    #[error("cannot grow: the disk is full")]
    Full,
    /// It or its folder may not be written.
    #[error("is read-only")]
    ReadOnly,
    /// It can be neither opened nor created.
    #[error("cannot be opened")]
    CannotOpen,
    /// It is something else than a database.
    #[error("is not a SQLite database")]
    NotADatabase,
    /// It is damaged.
    #[error("is damaged")]
    Corrupt,
    /// The disk fails.
    #[error("cannot be read or written: the disk reports an error")]
    DiskFails,
    /// Another file, or none, is in its place.
    #[error("was moved, removed or replaced while it was open")]
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

impl Error {
    /// Whether it is the rows that the database does not take, and not the database that cannot.
    pub(super) const fn is_data_error(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::LedgerRefused(_) | Self::TooLong(_))
    }

    /// Whether the spool is damaged, so that it has to be set aside.
    pub(super) const fn is_damaged_spool(&self) -> bool {
        matches!(self, Self::Spool(_, Some(FileTrouble::Corrupt | FileTrouble::NotADatabase), _))
    }

    /// Whether the disk under the spool is full.
    pub(super) const fn is_full_spool(&self) -> bool {
        matches!(self, Self::Spool(_, Some(FileTrouble::Full), _))
    }

    /// Whether the spool that is open is not the one that others find.
    pub(super) const fn is_moved_spool(&self) -> bool {
        matches!(self, Self::Spool(_, Some(FileTrouble::Moved), _))
    }

    /// Whether the disk under the spool reports errors. What it said was durable may not be: whoever
    /// meets this ends, and never writes on.
    pub const fn is_failing_disk(&self) -> bool {
        matches!(self, Self::Spool(_, Some(FileTrouble::DiskFails), _))
    }

    /// Sorts what SQLite said of a timeline.
    pub(super) fn from_sqlite(path: &Path, step: &'static str, source: sqlx::Error) -> Self {
        let code = sqlite_code(&source);
        match (code.and_then(FileTrouble::of_code), code.map(|code| code & 0xff)) {
            (Some(trouble), _) => Self::File(path.to_owned(), trouble, Some(source)),
            // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH.
            (None, Some(18..=20)) => Self::Refused(source),
            (None, _) => Self::Other(step, source),
        }
    }

    /// The same of a ledger: the events can go without it, unless it is the file that cannot be written.
    pub(super) fn from_ledger_of_sqlite(path: &Path, source: sqlx::Error) -> Self {
        let error = Self::from_sqlite(path, "add to the ledger", source);
        let (Self::Refused(source) | Self::Other(_, source)) = error else { return error };
        Self::LedgerRefused(source)
    }

    /// The same, where it was read without sqlx.
    pub(super) fn from_rusqlite(path: &Path, step: &'static str, source: rusqlite::Error) -> Self {
        let code = source.sqlite_error().map(|error| error.extended_code);
        let trouble = code.and_then(FileTrouble::of_code);
        let source = sqlx::Error::AnyDriverError(Box::new(source));
        match trouble {
            Some(trouble) => Self::File(path.to_owned(), trouble, Some(source)),
            None => Self::Other(step, source),
        }
    }

    /// A trouble of the spool that nobody else reported.
    pub(super) fn spool(path: &Path, trouble: FileTrouble) -> Self {
        Self::Spool(path.to_owned(), Some(trouble), None)
    }

    /// Sorts what SQLite said of the spool.
    pub(super) fn from_spool(path: &Path, source: sqlx::Error) -> Self {
        use sqlx::Error::{ColumnDecode, ColumnIndexOutOfBounds, RowNotFound};
        let code = sqlite_code(&source);
        let is_decoded = matches!(source, ColumnDecode { .. } | ColumnIndexOutOfBounds { .. } | RowNotFound);
        // SQLITE_ERROR for our own constant statements, a type that is another one: the file is not as we made it.
        let is_foreign = is_decoded || matches!(code.map(|code| code & 0xff), Some(1 | 20));
        let trouble =
            if is_foreign { Some(FileTrouble::Corrupt) } else { code.and_then(FileTrouble::of_code) };
        Self::Spool(path.to_owned(), trouble, Some(Box::new(source)))
    }

    /// Sorts what the system said of the spool.
    pub(super) fn from_spool_io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let is_one_of = |kinds: [io::ErrorKind; 2]| kinds.contains(&source.kind());
        let trouble = if is_one_of([StorageFull, QuotaExceeded]) {
            Some(FileTrouble::Full)
        } else {
            is_one_of([ReadOnlyFilesystem, PermissionDenied]).then_some(FileTrouble::ReadOnly)
        };
        Self::Spool(path.to_owned(), trouble, Some(Box::new(source)))
    }

    /// The hint for what the server or the connection to it did.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`hint` has the others")]
    const fn server_hint(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => {
                "check that the server runs, that host and port are right and that no firewall is in between"
            }
            Self::ConnectTimeout(..) => {
                "check that the server runs and is not overloaded, and that no firewall is in between"
            }
            Self::ServerUnavailable(..) => "look into the server's log; the next cycle tries again",
            Self::Tls(..) => {
                "check `sslmode`, and that `sslrootcert` names the CA that signed the server's certificate and that the certificate names the host as the URL does"
            }
            Self::Login(..) => {
                "check the user in the URL and where its password comes from, and the server's pg_hba.conf"
            }
            Self::NoDatabase(..) => "check the database's name in the URL, or create it",
            Self::Refused(_) => {
                "the database's words name the reason: a constraint, a trigger, or a type that cannot hold a value"
            }
            Self::LedgerRefused(_) => {
                "the database's words name the reason; without it `fleetwatt ledger rebuild` adds the energies"
            }
            Self::Timeout(..) => {
                "look for long transactions and locks on the table; the next cycle tries again"
            }
            Self::Lost(..) => "the next cycle connects anew; if it stays, look into the server's log",
            Self::CommitUnknown(_) => "look for the batch's id in the metadata before writing it again",
            _ => "the database's words name the reason",
        }
    }
}

fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

impl Diagnose for Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "`server_hint` has the others")]
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Url(_) => {
                "write it as `sqlite:PATH` or `postgres://user@host:port/database?sslmode=verify-full&sslrootcert=FILE`"
            }
            Self::TableName(..) => {
                "set `[store] table` to `name` or `schema.name`; put a part that holds a dot in double quotes"
            }
            Self::RetentionUnsupported => {
                "take `keep` out of the inventory, and let the owner of the table remove old rows"
            }
            Self::Password(..) => {
                "check where the inventory says that it is, and who may read it; what is only in a service's unit is there for that service alone"
            }
            Self::Certificate(..) => "name a PEM file that the user that runs fleetwatt may read",
            Self::Folder(..) => {
                "create it for the user that runs fleetwatt, or name another path in `[store] url`"
            }
            Self::File(_, trouble, _) => trouble.hint(),
            Self::Newer(..) => "use the newer fleetwatt, or move the file away; it is left as it is",
            Self::Permission(_, grants, _) => {
                return format!("let an owner of it run: {}", grants.join(" ")).into();
            }
            Self::NoTable(..) => {
                "run `fleetwatt store init` to create it, or set `[store] table` to the table that is there"
            }
            Self::DoesNotFit(..) => {
                "let its owner change it, or set `[store] table` to another table; fleetwatt never alters one. `fleetwatt store init` creates one that fits"
            }
            Self::TooLong(_) => {
                "shorten the name in the inventory, or let the table's owner widen the column"
            }
            Self::Spool(_, trouble, _) => spool_hint(*trouble),
            Self::UnknownRecord(..) => {
                "run the newer fleetwatt that wrote them; the batch and those behind it wait in the spool"
            }
            Self::NoLedger => {
                "run `fleetwatt store init`, or let an owner run what it prints; until then reports are derived from the timeline"
            }
            Self::AlertsChanged(_) => "nothing: the next cycle judges by what is known now",
            _ => self.server_hint(),
        })
    }

    fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(..)
                | Self::ConnectTimeout(..)
                | Self::ServerUnavailable(..)
                | Self::Timeout(..)
                | Self::Lost(..)
                | Self::CommitUnknown(_)
                | Self::File(_, FileTrouble::Locked | FileTrouble::Full, _)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_or_locked_disk_passes_and_a_wrong_file_does_not() {
        let away = |code| {
            let trouble = FileTrouble::of_code(code).unwrap();
            Error::File("x.db".into(), trouble, None).is_transient()
        };
        // SQLITE_FULL, SQLITE_IOERR_SHMSIZE, SQLITE_BUSY_SNAPSHOT; SQLITE_NOTADB, SQLITE_READONLY_DIRECTORY, SQLITE_CANTOPEN_ISDIR.
        assert!(away(13) && away(4874) && away(517));
        assert!(!away(26) && !away(1544) && !away(526));
    }

    #[test]
    fn a_missing_permission_is_answered_with_the_grant() {
        let grants = vec!["GRANT INSERT ON \"t\" TO \"r\";".to_owned()];
        let error = Error::Permission("insert", grants, None);
        assert_eq!(error.to_string(), "the database role lacks permission (insert)");
        assert_eq!(error.hint(), "let an owner of it run: GRANT INSERT ON \"t\" TO \"r\";");
    }
}
