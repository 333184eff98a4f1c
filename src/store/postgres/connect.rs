//! Connects, with a deadline, as libpq would.
//!
//! TLS is sqlx's rustls with ring, which it names itself: no process-wide provider is needed. Two
//! things differ from libpq. `sslrootcert` is trusted beside the system's certificates, not instead of
//! them, so `verify-ca` without the host name is weak and `verify-full` is the one to use. And
//! `sslrootcert=system` is what no `sslrootcert` means.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode, PgTransaction};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::failure::{is_refused_encryption, sort_connect};
use crate::store::Error;
use crate::store::store_url::Server;
use crate::support::percent;
use crate::support::regular_file;

/// The time for connecting, with TLS and login. sqlx has no deadline of its own.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// All root certificates of a machine have 250 KB.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// One round trip. LOCAL, so that nothing stays behind in a connection that pgbouncer gives to others. The
/// level is said, since the look for a batch has to see what was committed while it waited for the lock.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '30s'";

/// Begins a transaction.
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<PgTransaction<'_>> {
    connection.begin_with(BEGIN).await
}

/// Tells the server that we go. It would notice anyway.
pub(super) async fn close(connection: PgConnection) {
    if !matches!(timeout(Duration::from_secs(2), connection.close()).await, Ok(Ok(()))) {
        tracing::debug!("database connection did not close cleanly");
    }
}

pub(super) async fn connect(server: &Server) -> Result<PgConnection, Error> {
    let options = options(server)?;
    let attempt = async {
        // sqlx never tries a second time, libpq does in these two modes.
        let (first, second) = match options.get_ssl_mode() {
            PgSslMode::Allow => (PgSslMode::Disable, Some(PgSslMode::Require)),
            PgSslMode::Prefer => (PgSslMode::Prefer, Some(PgSslMode::Disable)),
            mode
            @ (PgSslMode::Disable | PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull) => {
                (mode, None)
            }
        };
        let error = match PgConnection::connect_with(&options.clone().ssl_mode(first)).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        match second {
            Some(second) if is_refused_encryption(&error) => {
                let again = PgConnection::connect_with(&options.clone().ssl_mode(second)).await;
                // The first answer is the one that tells.
                again.map_err(|_| error)
            }
            _ => Err(error),
        }
    };
    match timeout(CONNECT_WITHIN, attempt).await {
        Ok(done) => done.map_err(|source| sort_connect(server, source)),
        Err(_) => Err(Error::ConnectTimeout(server.to_string(), CONNECT_WITHIN)),
    }
}

fn options(server: &Server) -> Result<PgConnectOptions, Error> {
    let mut options = with_defaults(server)?;
    if let Some(password) = &server.password {
        options = options.password(password.secret()?.expose());
    }
    if let Some(name) = &server.application_name {
        options = options.application_name(name);
    } else if options.get_application_name().is_none() {
        options = options.application_name("fleetwatt");
    }
    if let Some(path) = server.ssl_cert.as_deref() {
        options = options.ssl_client_cert_from_pem(pem(path)?);
    }
    if let Some(path) = server.ssl_key.as_deref() {
        options = options.ssl_client_key_from_pem(pem(path)?);
    }
    let mode = server.ssl_mode.and_then(|mode| mode.parse().ok()).unwrap_or_else(|| options.get_ssl_mode());
    // No statement is ever named, so that the connection may be pgbouncer's, which also refuses a login that
    // sets `extra_float_digits`. Numbers go in binary form and need no digits.
    let options = options.statement_cache_capacity(0).extra_float_digits(None).disable_statement_logging();
    with_root_certificate(options, server, mode)
}

/// libpq's defaults for what the URL leaves out: `PG…` variables, `~/.pgpass`, the user's name. sqlx
/// reads the password file only while it reads a URL, so it gets one, of checked parts.
fn with_defaults(server: &Server) -> Result<PgConnectOptions, Error> {
    let port = server.port.map(|port| port.to_string());
    let parts = [
        ("host", server.host.as_deref()),
        ("port", port.as_deref()),
        ("user", server.user.as_deref()),
        ("dbname", server.database.as_deref()),
        // Keeps sqlx from looking for one; the real one is set later and is in no URL.
        ("password", server.password.as_ref().map(|_| "x")),
    ];
    let parts = parts.iter().filter_map(|(key, value)| Some(format!("{key}={}", percent::encode((*value)?))));
    let url = format!("postgres://?{}", parts.collect::<Vec<_>>().join("&"));
    let options: Result<PgConnectOptions, _> = url.parse();
    options.map_err(|_| Error::Url("the host is not a name or an address".to_owned()))
}

fn with_root_certificate(
    options: PgConnectOptions,
    server: &Server,
    mode: PgSslMode,
) -> Result<PgConnectOptions, Error> {
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        // A Unix socket has no TLS; libpq ignores the mode as well.
        return Ok(options.ssl_mode(PgSslMode::Disable));
    }
    let path = server.ssl_root_cert.clone().or_else(|| std::env::var_os("PGSSLROOTCERT").map(Into::into));
    let Some(path) = path.filter(|path| path != Path::new("system")) else {
        if server.ssl_mode == Some("verify-ca") {
            let reason =
                "`sslmode=verify-ca` needs `sslrootcert`; with the system's certificates use `verify-full`";
            return Err(Error::Url(reason.to_owned()));
        }
        return Ok(options.ssl_mode(mode));
    };
    // As in libpq: with a CA at hand, `require` verifies it.
    let mode = if matches!(mode, PgSslMode::Require) { PgSslMode::VerifyCa } else { mode };
    Ok(options.ssl_mode(mode).ssl_root_cert_from_pem(pem(&path)?))
}

fn pem(path: &Path) -> Result<Vec<u8>, Error> {
    let read = regular_file::read(path, MAX_PEM_BYTES).and_then(|bytes| {
        // A file without any certificate would silently mean the system's.
        if bytes.windows(10).any(|window| window == b"-----BEGIN") {
            Ok(bytes)
        } else {
            Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds nothing in PEM form"))
        }
    });
    read.map_err(|source| Error::Certificate(path.to_owned(), source))
}
