//! Sorts what goes wrong with a server into the kinds of [`Error`].

use crate::store::Error;
use crate::store::store_url::Server;
use crate::store::table::quoted;

/// What was being done, for the words of an error.
#[derive(Debug, Clone)]
pub(super) struct Context<'a> {
    pub(super) step: &'static str,
    pub(super) server: &'a Server,
    /// The table, as SQL.
    pub(super) table: String,
}

impl Context<'_> {
    /// The same, for another step.
    pub(super) fn at(&self, step: &'static str) -> Self {
        Self { step, ..self.clone() }
    }

    /// Sorts an error of any step but connecting and committing.
    pub(super) fn classify(&self, source: sqlx::Error) -> Error {
        let step = self.step;
        let Some(code) = code_of(&source) else {
            return if is_broken(&source) { Error::Lost(step, source) } else { Error::Other(step, source) };
        };
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
        match (code.as_str(), code.get(..2).unwrap_or_default()) {
            ("42501", _) => Error::Permission(step, vec![self.grant()], Some(source)),
            ("42P01", _) => Error::NoTable(self.table.clone(), Vec::new()),
            // Lock not available, cancelled by timeout, deadlock, serialization failure.
            ("55P03" | "57014" | "40P01" | "40001", _) => Error::Timeout(step, Some(source)),
            // Administrator's shutdown: the server says so and hangs up.
            ("57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => Error::Lost(step, source),
            // Insufficient resources, read-only transaction (a standby), system error, operator intervention.
            ("25006", _) | (_, "53" | "57" | "58") => Error::ServerUnavailable(step, source),
            // Data, constraints, triggers, checks of views, and what is too large for an index.
            (_, "22" | "23" | "P0" | "44" | "54") => Error::Refused(source),
            _ => Error::Other(step, source),
        }
    }

    /// Sorts an error of COMMIT. If the connection broke, nobody knows what became of it. A server that
    /// is being stopped says 57P01 also after it has committed, while it waits for its replicas.
    pub(super) fn classify_commit(&self, source: sqlx::Error) -> Error {
        let code = code_of(&source).unwrap_or_default();
        if code.is_empty() || code.starts_with("08") || code.starts_with("57P") || code == "40003" {
            return Error::CommitUnknown(Some(source));
        }
        self.at("commit").classify(source)
    }

    fn grant(&self) -> String {
        let role = self.server.user.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), quoted);
        format!("GRANT INSERT ON {} TO {role};", self.table)
    }
}

/// Sorts an error of connecting.
pub(super) fn classify_connect(server: &Server, source: sqlx::Error) -> Error {
    let place = server.to_string();
    if is_tls(&source) {
        return Error::Tls(place, source);
    }
    let user = server.user.clone().unwrap_or_else(|| "this user".to_owned());
    match code_of(&source).as_deref() {
        Some("28000" | "28P01") => Error::Login(place, user, source),
        Some("3D000") => Error::NoDatabase(place, source),
        Some("53300" | "57P01" | "57P02" | "57P03") => Error::ServerUnavailable("connect", source),
        // CONNECT on the database is missing.
        Some("42501") => Error::Login(place, user, source),
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
        let server = Server::default();
        let context = Context { step: "insert", server: &server, table: "t".to_owned() };
        let broken = || sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(context.classify(broken()), Error::Lost("insert", _)));
        let error = context.classify_commit(broken());
        assert!(matches!(error, Error::CommitUnknown(Some(_))) && error.is_transient());
    }
}
