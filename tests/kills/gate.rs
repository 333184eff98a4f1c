//! The way from a daemon to its database, which can be closed: a proxy before a server, a lock on a file.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::spool_proxy::Proxy;

/// The way to a database.
pub(crate) enum Gate {
    /// To a server.
    Server {
        /// What the daemon connects to.
        proxy: Proxy,
        /// The URL that leads there.
        url: String,
        /// Whether it is closed.
        is_closed: bool,
    },
    /// To a file.
    File {
        /// The file.
        path: PathBuf,
        /// The lock, while it is held.
        lock: Option<SqliteConnection>,
    },
}

impl Gate {
    /// Before the server of a URL.
    pub(crate) async fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let proxy = Proxy::before(options.get_port()).await;
        let url = url.replace(&format!(":{}/", options.get_port()), &format!(":{}/", proxy.address.port()));
        Self::Server { proxy, url, is_closed: false }
    }

    /// Before a file.
    pub(crate) fn of_file(path: &Path) -> Self {
        Self::File { path: path.to_owned(), lock: None }
    }

    /// The URL for the daemon.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server { url, .. } => url.clone(),
            Self::File { path, .. } => format!("sqlite:{}", path.display()),
        }
    }

    /// The database is away from now on. A file that is busy at this moment stays open.
    pub(crate) async fn close(&mut self) {
        match self {
            Self::Server { proxy, is_closed, .. } => {
                proxy.stop().await;
                *is_closed = true;
            }
            Self::File { path, lock } => {
                let options =
                    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_millis(100));
                let mut connection = options.connect().await.unwrap();
                if sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.is_ok() {
                    *lock = Some(connection);
                }
            }
        }
    }

    /// The database is there from now on.
    pub(crate) async fn open(&mut self) {
        match self {
            Self::Server { proxy, is_closed, .. } => {
                proxy.swallow_commits(false);
                proxy.start().await;
                *is_closed = false;
            }
            Self::File { lock, .. } => {
                if let Some(mut connection) = lock.take() {
                    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
                }
            }
        }
    }

    /// Whether the database is away.
    pub(crate) const fn is_closed(&self) -> bool {
        match self {
            Self::Server { is_closed, .. } => *is_closed,
            Self::File { lock, .. } => lock.is_some(),
        }
    }

    /// A server takes commits from now on and its answers are lost, or not.
    pub(crate) fn lose_answers(&self, loses: bool) {
        if let Self::Server { proxy, .. } = self {
            proxy.swallow_commits(loses);
        }
    }
}
