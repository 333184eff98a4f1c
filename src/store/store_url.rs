//! Where a timeline is: the database's URL, parsed and checked, with its password kept apart.
//!
//! The URL is read here and not by sqlx, because sqlx only warns of parameters that it does not know
//! (a mistyped `sslmode` would be a connection in clear) and prints their values when it does.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::support::percent;
use crate::support::secret::Secret;

const PARAMETERS: &str = "sslmode, sslrootcert, sslcert, sslkey, host and application_name";

/// libpq's `sslmode`.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// A database password, or where it is to be read when the database is connected to. No formatting shows it.
#[derive(Clone)]
pub struct Password {
    /// Where it is, for a person; `None` if it is known.
    from: Option<String>,
    known: Option<Secret>,
    read: Arc<dyn Fn() -> io::Result<Secret> + Send + Sync>,
}

impl Password {
    /// Takes over a password.
    pub fn new(password: impl Into<String>) -> Self {
        let known = Secret::new(password);
        let read = known.clone();
        Self { from: None, known: Some(known), read: Arc::new(move || Ok(read.clone())) }
    }

    /// A password that is read each time that it is needed, so that nothing else waits for it; `from` says for a
    /// person where it is.
    pub fn read_from(
        from: impl Into<String>,
        read: impl Fn() -> io::Result<Secret> + Send + Sync + 'static,
    ) -> Self {
        Self { from: Some(from.into()), known: None, read: Arc::new(read) }
    }

    /// The password itself, read now where it is not known.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        (self.read)().map_err(|source| Error::Password(self.from.clone().unwrap_or_default(), source))
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.known == other.known
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where a timeline is. Prints without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl(Backend);

#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub(super) enum Backend {
    Sqlite(PathBuf),
    Postgres(Server),
}

/// A PostgreSQL server and how to reach it. What is `None` is libpq's default, from `PG…` variables too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Server {
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    /// Name, address (IPv6 without brackets), or the folder of a Unix socket.
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    /// One of [`SSL_MODES`].
    pub(super) ssl_mode: Option<&'static str>,
    pub(super) ssl_root_cert: Option<PathBuf>,
    pub(super) ssl_cert: Option<PathBuf>,
    pub(super) ssl_key: Option<PathBuf>,
    pub(super) application_name: Option<String>,
}

impl StoreUrl {
    /// Reads `sqlite:PATH` (taken literally, up to the end) or
    /// `postgres://user@host:port/database?sslmode=…&sslrootcert=…`. A separate `password` has
    /// precedence over one in the URL.
    ///
    /// # Errors
    /// [`Error::Url`], which never repeats the URL's values, as they may hold the password.
    pub fn parse(url: &str, password: Option<Password>) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite_path(path.strip_prefix("//").unwrap_or(path))
                .map(|path| Self(Backend::Sqlite(path)));
        }
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| refuse("it begins neither with `sqlite:` nor with `postgres://`"))?;
        let mut server = Server::parse(rest)?;
        if password.is_some() {
            server.password = password;
        }
        Ok(Self(Backend::Postgres(server)))
    }

    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Backend::Sqlite(path.into()))
    }

    /// Whether it is a file of this machine.
    pub fn is_file(&self) -> bool {
        matches!(self.0, Backend::Sqlite(_))
    }

    /// The path of a SQLite file; `None` of a server.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Backend::Sqlite(path) => Some(path),
            Backend::Postgres(_) => None,
        }
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.0
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Backend::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Backend::Postgres(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]")?,
            Some(host) => f.write_str(host)?,
            None => {}
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(database) = &self.database {
            write!(f, "/{database}")?;
        }
        Ok(())
    }
}

impl Server {
    fn parse(rest: &str) -> Result<Self, Error> {
        if rest.contains('#') {
            return Err(refuse("it holds `#`; write it as `%23`"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // Passwords with an unescaped `@` or `/` exist in the wild; host and database hold no `@`.
        let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (address, database) = place.split_once('/').unwrap_or((place, ""));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        if user.contains('/') {
            return Err(refuse(
                "there is a `/` before the `@`; write it as `%2F`, and an `@` in a name as `%40`",
            ));
        }
        let mut server = Self {
            user: decoded(user, "the user")?,
            password: decoded(password, "the password")?.map(Password::new),
            database: decoded(database, "the database's name")?,
            ..Self::default()
        };
        server.set_address(address)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            server.set_parameter(pair)?;
        }
        server.checked()
    }

    fn set_address(&mut self, address: &str) -> Result<(), Error> {
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| refuse("a `[` is not closed"))?;
                (host, rest.strip_prefix(':').unwrap_or(rest))
            }
            None => address.split_once(':').unwrap_or((address, "")),
        };
        self.host = decoded(host, "the host")?;
        if !port.is_empty() {
            let port = port.parse().ok().filter(|port| *port != 0);
            self.port = Some(port.ok_or_else(|| refuse("the port is not a number from 1 to 65535"))?);
        }
        Ok(())
    }

    fn set_parameter(&mut self, pair: &str) -> Result<(), Error> {
        let (key, value) = pair.split_once('=').ok_or_else(|| refuse("a parameter has no value"))?;
        let value = decoded(value, "a parameter")?.ok_or_else(|| refuse("a parameter has an empty value"))?;
        match key {
            "sslmode" => {
                let mode = SSL_MODES.into_iter().find(|mode| *mode == value);
                let known = "disable, allow, prefer, require, verify-ca and verify-full";
                self.ssl_mode = Some(mode.ok_or_else(|| refuse(&format!("`sslmode` is none of {known}")))?);
            }
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            "host" => self.host = Some(value),
            "application_name" => self.application_name = Some(value),
            _ => {
                return Err(refuse(&format!("it has a parameter that is not known; known are {PARAMETERS}")));
            }
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, Error> {
        if self.host.as_ref().is_some_and(|host| host.contains(',')) {
            return Err(refuse("it names several hosts; name one"));
        }
        if self.ssl_cert.is_some() != self.ssl_key.is_some() {
            return Err(refuse("`sslcert` and `sslkey` only work together"));
        }
        let texts = [&self.user, &self.host, &self.database, &self.application_name];
        if texts.into_iter().flatten().any(|text| text.chars().any(char::is_control)) {
            return Err(refuse("it holds a control character"));
        }
        Ok(self)
    }
}

fn refuse(reason: &str) -> Error {
    Error::Url(reason.to_owned())
}

fn sqlite_path(path: &str) -> Result<PathBuf, Error> {
    let reason = match path {
        "" => "`sqlite:` names no file",
        // A timeline that is gone with the process is no timeline.
        _ if path.contains(":memory:") => "a database in memory keeps nothing; name a file",
        // SQLite itself would read it as a URI, with parameters like `mode=memory`.
        _ if path.starts_with("file:") => "write the path without `file:`",
        _ if path.contains('?') => "`sqlite:` takes no parameters",
        _ if path.contains('\0') => "the path holds NUL",
        _ => return Ok(Path::new(path).to_path_buf()),
    };
    Err(refuse(reason))
}

/// Undoes percent encoding; `None` for an empty text.
fn decoded(text: &str, what: &str) -> Result<Option<String>, Error> {
    let broken =
        || refuse(&format!("{what} has a `%` that is not followed by two hexadecimal digits of UTF-8"));
    let text = percent::decode(text).ok_or_else(broken)?;
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::error::Diagnose;

    fn server(url: &str) -> Server {
        match StoreUrl::parse(url, None).unwrap().0 {
            Backend::Postgres(server) => server,
            Backend::Sqlite(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        let url =
            "postgresql://a%40b:s%3Acret@[::1]:6432/my%20db?sslmode=verify-full&sslrootcert=/etc/ca.pem";
        let read = server(url);
        assert_eq!(read.user.as_deref(), Some("a@b"));
        assert_eq!(read.password, Some(Password::new("s:cret")));
        assert_eq!((read.host.as_deref(), read.port), (Some("::1"), Some(6432)));
        assert_eq!(read.database.as_deref(), Some("my db"));
        assert_eq!(read.ssl_mode, Some("verify-full"));
        assert_eq!(read.to_string(), "postgres://a@b@[::1]:6432/my db");
        assert_eq!(server("postgres://%2Frun%2Fpg/x").host.as_deref(), Some("/run/pg"));
        assert_eq!(server("postgres:///x?host=/run/pg").host.as_deref(), Some("/run/pg"));
        assert_eq!(server("postgres://h"), Server { host: Some("h".to_owned()), ..Server::default() });
    }

    #[test]
    fn a_separate_password_comes_before_the_one_in_the_url() {
        let store_url = StoreUrl::parse("postgres://u:old@h/d", Some(Password::new("new"))).unwrap();
        let Backend::Postgres(server) = store_url.0 else { panic!() };
        assert_eq!(server.password, Some(Password::new("new")));
    }

    #[test]
    fn a_password_that_is_elsewhere_is_read_anew_each_time_and_its_absence_says_where() {
        let reads = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = reads.clone();
        let password = Password::read_from("file x", move || {
            match counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Ok(Secret::new("first")),
                1 => Ok(Secret::new("second")),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        });
        assert_eq!(password.secret().unwrap().expose(), "first");
        assert_eq!(password.secret().unwrap().expose(), "second");
        assert_eq!(password.secret().unwrap_err().to_string(), "the database password from file x");
    }

    #[test]
    fn nothing_prints_the_password() {
        let store_url = StoreUrl::parse("postgres://u:hunter2@h/d", None).unwrap();
        assert_eq!(store_url.to_string(), "postgres://u@h/d");
        assert!(!format!("{store_url:?}").contains("hunter2"));
        for url in [
            "postgre://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2%@h/d",
            "postgres://u:hunter2@[h/d",
            "postgres://u:hunter2@h/d?hunter2=1",
            "postgres://u:hunter2@h/d?sslmode=hunter2",
            "postgres://u:hunter2#@h/d",
            "u:hunter2@h",
        ] {
            let error = StoreUrl::parse(url, None).unwrap_err();
            let shown = format!("{error} {error:?} {}", error.hint());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn sqlite_is_a_file_and_nothing_else() {
        let path = |url| StoreUrl::parse(url, None).map(|store_url| store_url.to_string());
        assert_eq!(path("sqlite:fleetwatt.db").unwrap(), "sqlite:fleetwatt.db");
        assert_eq!(path("sqlite:///var/lib/f 100%.db").unwrap(), "sqlite:/var/lib/f 100%.db");
        for url in [
            "sqlite:",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:file:x?mode=memory",
            "sqlite:x?mode=ro",
        ] {
            assert!(path(url).is_err(), "{url}");
        }
    }
}
