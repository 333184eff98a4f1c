//! Sorts what goes wrong with a server into the kinds of [`Error`].

use std::time::Duration;

use tokio::time::timeout;

use crate::store::Error;
use crate::store::store_url::Server;
use crate::store::table::{TableName, quoted};

/// The time for all of a transaction but its commit. The server ends each statement after 30 s; this is for a network
/// that swallows everything.
const TRANSACTION_WITHIN: Duration = Duration::from_secs(120);

/// A failure within a step.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The step is still to be named.
    #[error(transparent)]
    Unsorted(#[from] sqlx::Error),
    #[error(transparent)]
    Sorted(#[from] Error),
}

/// The table that is worked with, and its server.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) table: TableName,
}

impl Target {
    /// Takes a step, with a deadline of its own.
    pub(super) async fn run<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Error> {
        let done = timeout(TRANSACTION_WITHIN, work).await;
        done.unwrap_or(Err(Error::Timeout(step, None).into())).map_err(|fault| self.sort(step, fault))
    }

    /// Sorts a failure of any step but connecting and committing.
    pub(super) fn sort(&self, step: &'static str, fault: Fault) -> Error {
        let source = match fault {
            Fault::Sorted(error) => return error,
            Fault::Unsorted(source) => source,
        };
        let source = match sort_outage(step, source) {
            Ok(error) => return error,
            Err(source) => source,
        };
        let code = code_of(&source).unwrap_or_default();
        match (code.as_str(), code.get(..2).unwrap_or_default()) {
            ("42501", _) => {
                Error::Permission(step, vec![self.grant("INSERT ON", &self.table.to_string())], Some(source))
            }
            ("42P01", _) => Error::NoTable(self.table.to_string(), Vec::new()),
            // Data, constraints, triggers, checks of views, and what is too large for an index.
            (_, "22" | "23" | "P0" | "44" | "54") => Error::Refused(source),
            _ => Error::Other(step, source),
        }
    }

    /// Sorts an error of adding to the ledger. What does not pass by itself is its refusal: the events can go without it.
    pub(super) fn sort_ledger(source: sqlx::Error) -> Error {
        sort_outage("add to the ledger", source).unwrap_or_else(Error::LedgerRefused)
    }

    /// Sorts an error of COMMIT. If the connection broke, nobody knows what became of it. A server that
    /// is being stopped says 57P01 also after it has committed, while it waits for its replicas.
    pub(super) fn sort_commit(&self, source: sqlx::Error) -> Error {
        let code = code_of(&source).unwrap_or_default();
        if code.is_empty() || code.starts_with("08") || code.starts_with("57P") || code == "40003" {
            return Error::CommitUnknown(Some(source));
        }
        self.sort("commit", source.into())
    }

    /// The statement that gives our role a right.
    pub(super) fn grant(&self, right: &str, object: &str) -> String {
        let role = self.server.user.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), quoted);
        format!("GRANT {right} {object} TO {role};")
    }
}

/// Sorts what passes by itself; any other error is given back.
fn sort_outage(step: &'static str, source: sqlx::Error) -> Result<Error, sqlx::Error> {
    let Some(code) = code_of(&source) else {
        return if is_broken(&source) { Ok(Error::Lost(step, source)) } else { Err(source) };
    };
    // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    match (code.as_str(), code.get(..2).unwrap_or_default()) {
        // Lock not available, cancelled by timeout, deadlock, serialization failure.
        ("55P03" | "57014" | "40P01" | "40001", _) => Ok(Error::Timeout(step, Some(source))),
        // Administrator's shutdown: the server says so and hangs up.
        ("57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => Ok(Error::Lost(step, source)),
        // Insufficient resources, read-only transaction (a standby), system error, operator intervention.
        ("25006", _) | (_, "53" | "57" | "58") => Ok(Error::ServerUnavailable(step, source)),
        _ => Err(source),
    }
}

/// Sorts an error of connecting.
pub(super) fn sort_connect(server: &Server, source: sqlx::Error) -> Error {
    let place = server.to_string();
    if is_tls(&source) {
        return Error::Tls(place, source);
    }
    let user = server.user.clone().unwrap_or_else(|| "this user".to_owned());
    match code_of(&source).as_deref() {
        // The last is CONNECT on the database that is missing.
        Some("28000" | "28P01" | "42501") => Error::Login(place, user, source),
        Some("3D000") => Error::NoDatabase(place, source),
        Some("53300" | "57P01" | "57P02" | "57P03") => Error::ServerUnavailable("connect", source),
        Some(_) => Error::Other("connect", source),
        // sqlx itself finds out that the server wants a password and there is none, or that SCRAM fails.
        None if matches!(source, sqlx::Error::Protocol(_)) => Error::Other("connect", source),
        None => Error::Unreachable(place, source),
    }
}

/// Whether an attempt in clear, or by TLS, may be followed by one of the other kind.
pub(super) fn is_refused_encryption(error: &sqlx::Error) -> bool {
    is_tls(error) || code_of(error).as_deref() == Some("28000")
}

fn is_tls(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Io(error) = error {
        return error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    }
    matches!(error, sqlx::Error::Tls(_))
}

fn is_broken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed)
}

fn code_of(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::error::Diagnose;

    #[test]
    fn a_connection_that_breaks_at_the_commit_leaves_it_open_what_was_written() {
        let target = Target { server: Server::default(), table: TableName::parse("t").unwrap() };
        let broken = || sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(target.sort("insert", broken().into()), Error::Lost("insert", _)));
        let error = target.sort_commit(broken());
        assert!(matches!(error, Error::CommitUnknown(Some(_))) && error.is_transient());
    }
}
