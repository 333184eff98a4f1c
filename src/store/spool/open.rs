//! Opening: a new file, the one that is there, one that is rescued, or one in the reserve of a full disk.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::queue::{Spool, SpoolStatus};
use super::schema::open_file;
use super::{rescue, reserve};
use crate::store::Error;
use crate::store::file::{self, Identity, connect, read_only};

/// The file's name in the state directory.
const FILE_NAME: &str = "spool.db";

/// Pages that the log may have before it is taken into the file: SQLite's default, and on a full disk.
const LOG_PAGES: u32 = 1_000;
const TIGHT_LOG_PAGES: u32 = 12;

/// SQLite's own bound.
const MAX_PAGES: u32 = u32::MAX - 1;

impl Spool {
    /// Where the spool of a state directory is.
    pub(in crate::store) fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join(FILE_NAME)
    }

    /// Whether a state directory has a spool, or what a rescue left of one.
    pub(in crate::store) fn is_there(state_dir: &Path) -> bool {
        state_dir.join(FILE_NAME).exists() || rescue::is_unfinished(state_dir)
    }

    /// Opens the spool of a state directory, and creates both if they are not there. A damaged one is
    /// set aside. On a full disk it is opened in the room that was set aside for that.
    pub(in crate::store) async fn open(state_dir: &Path) -> Result<Self, Error> {
        let path = state_dir.join(FILE_NAME);
        let folder = tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).await;
        folder.map_err(|source| Error::from_spool_io(&path, source))?;
        rescue::finish(&path)?;
        match Self::open_or_rescue(&path).await {
            Err(error) if error.is_full_spool() && reserve::release(&path) => {
                let mut spool = Self::open_or_rescue(&path).await?;
                spool.use_reserve().await?;
                Ok(spool)
            }
            done => {
                reserve::keep(&path);
                done
            }
        }
    }

    async fn open_or_rescue(path: &Path) -> Result<Self, Error> {
        match Self::open_file(path).await {
            Err(error) if error.is_damaged_spool() => Self::open_rescued(path).await,
            done => done,
        }
    }

    /// The status of the spool of a state directory, if there is one: creates nothing and mends nothing.
    pub(in crate::store) async fn inspect(state_dir: &Path) -> Result<Option<SpoolStatus>, Error> {
        let path = state_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let connection =
            read_only(&path).connect().await.map_err(|source| Error::from_spool(&path, source))?;
        let mut spool = Self::of(&path, connection);
        let status = spool.status().await;
        spool.close().await;
        status.map(Some)
    }

    /// Opens the spool of a state directory that another program may work with: creates nothing and mends
    /// nothing.
    pub(in crate::store) async fn open_existing(state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(&path).await.map_err(|source| Error::from_spool(&path, source))?;
        Ok(Some(Self::of(&path, connection)))
    }

    async fn open_file(path: &Path) -> Result<Self, Error> {
        Ok(Self::of(path, open_file(path).await?))
    }

    fn of(path: &Path, connection: SqliteConnection) -> Self {
        let identity = Identity::of(path);
        Self { path: path.to_owned(), connection, identity, rescued: None, is_on_reserve: false }
    }

    /// Sets the file aside, and goes on with what could be saved from it.
    pub(in crate::store) async fn repair(self) -> Result<Self, Error> {
        let path = self.path.clone();
        self.close().await;
        Self::open_rescued(&path).await
    }

    async fn open_rescued(path: &Path) -> Result<Self, Error> {
        let rescued = rescue::set_aside(path).await?;
        Ok(Self { rescued: Some(rescued), ..Self::open_file(path).await? })
    }

    /// Whether the file that is open is the one that others find. Costs a `stat`.
    pub(in crate::store) fn is_in_place(&self) -> bool {
        self.identity.is_in_place(&self.path)
    }

    /// Takes leave of a file that was moved, removed or replaced.
    pub(in crate::store) async fn abandon(mut self) {
        tracing::error!(
            path = %self.path.display(),
            "spool was moved, removed or replaced; a new one is opened, and what waited stays in the other"
        );
        file::leave(&mut self.connection, self.identity, &self.path).await;
        self.close().await;
    }

    /// The disk is full: gives the room that was set aside to what has to be removed, and to nothing else.
    pub(super) async fn use_reserve(&mut self) -> Result<(), Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        self.is_on_reserve = true;
        reserve::release(&self.path);
        let pages: i64 =
            sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.connection).await.map_err(failed)?;
        // The file keeps its size. The log begins anew once it is in the file, and then takes no more room either.
        let sql = format!(
            "PRAGMA max_page_count = {pages}; PRAGMA wal_autocheckpoint = {TIGHT_LOG_PAGES}; PRAGMA wal_checkpoint"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map(|_| ()).map_err(failed)
    }

    /// The disk has room again.
    pub(super) async fn restore_limits(&mut self) -> Result<(), Error> {
        let failed = |source| Error::from_spool(&self.path, source);
        let sql = format!("PRAGMA max_page_count = {MAX_PAGES}; PRAGMA wal_autocheckpoint = {LOG_PAGES}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.map_err(failed)?;
        reserve::keep(&self.path);
        self.is_on_reserve = false;
        Ok(())
    }

    pub(in crate::store) async fn close(self) {
        file::close(self.connection, &self.path).await;
        if self.is_on_reserve {
            reserve::restore(&self.path);
        }
    }
}
