//! Opens SQLite files that are private, and tells whether they are still where they were opened.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::OpenFlags;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

/// The wait for another program's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's clock, in microseconds since 1970.
pub(super) const NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// The options of each file.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    // `./-x` and `./file:x` are paths for SQLite, `file:x` is a URI.
    let file = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    SqliteConnectOptions::new().filename(file).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

/// Opens a file in WAL mode with `synchronous=FULL`: every commit is synced before it is reported. One that fails is
/// closed before this returns: sqlx would close it some time later, and SQLite would then remove the write-ahead log of
/// the file that has come into its place.
pub(super) async fn connect(path: &Path) -> sqlx::Result<SqliteConnection> {
    // Among the options of the connection these would be run where nobody can close it. The first lets `store prune`
    // and a spool that is empty again give room back to the disk.
    let sql = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";
    let mut connection = options(path).connect().await?;
    match sqlx::raw_sql(sql).execute(&mut connection).await {
        Ok(_) => Ok(connection),
        Err(error) => {
            connection.close().await.unwrap_or_default();
            Err(error)
        }
    }
}

/// Closes a file. Whatever was committed is durable, and SQLite takes up the log on the next opening.
pub(super) async fn close(connection: SqliteConnection, path: &Path) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, path = %path.display(), "database file did not close cleanly");
    }
}

/// Takes leave of a file that was moved, removed or replaced: all that was committed is to be in it, and not in a log
/// without it.
pub(super) async fn leave(connection: &mut SqliteConnection, identity: Identity, path: &Path) {
    let folded = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await;
    let folded = folded.map(drop).map_err(io::Error::other);
    if let Err(error) = folded.and_then(|()| identity.rename_orphaned_wal(path)) {
        tracing::error!(%error, path = %path.display(), "log of the database file that was moved stays behind");
    }
}

/// The options of a file that is only looked at.
///
/// A file in WAL mode without its `-wal` is nobody's at the moment, and would get files beside it from the
/// first who reads it: as another user's, they would lock out who works with it. Taken as one that nobody
/// changes, it gets none.
pub(super) fn read_only(path: &Path) -> SqliteConnectOptions {
    let is_in_use = std::fs::metadata(with(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    options(path).create_if_missing(false).read_only(true).immutable(!is_in_use)
}

/// The same for `rusqlite`, and for reading that takes some time: who may take part in the work on the file does, so
/// that nobody folds the log into it meanwhile.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let is_in_use = std::fs::metadata(with(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    let user = rustix::process::geteuid();
    let is_ours = user.is_root() || std::fs::metadata(path).is_ok_and(|file| file.uid() == user.as_raw());
    if !is_in_use && !is_ours {
        return open_read_only(path, "&immutable=1");
    }
    match open_read_only(path, "") {
        // The folder may be one in which nobody can write.
        Err(_) if !is_in_use => open_read_only(path, "&immutable=1"),
        opened => opened,
    }
}

fn open_read_only(path: &Path, parameters: &str) -> rusqlite::Result<rusqlite::Connection> {
    let connection = open_as(path, &format!("?mode=ro{parameters}"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Only now is the file opened.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn open_as(path: &Path, parameters: &str, mode: OpenFlags) -> rusqlite::Result<rusqlite::Connection> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let encoded = percent_encode(absolute.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags = mode | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    rusqlite::Connection::open_with_flags(format!("file:{encoded}{parameters}"), flags)
}

/// Whether this user may write in a file, for which SQLite keeps others in its folder.
pub(super) fn may_be_written(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [path, folder].iter().all(|path| rustix::fs::access(*path, rustix::fs::Access::WRITE_OK).is_ok())
}

/// Opens a file to write in it. The file is in WAL mode already.
pub(super) fn open_to_write(path: &Path, busy_timeout: Duration) -> rusqlite::Result<rusqlite::Connection> {
    let connection = open_as(path, "?mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(busy_timeout)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -32768")?;
    Ok(connection)
}

/// An empty file for this user alone, unless there is one; SQLite gives its other files the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    match std::fs::File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => sync_folder(path),
    }
}

/// Makes durable what the folder of a file lists.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// The path of a file that belongs to another one: `-wal`, `-shm`.
pub(super) fn with(path: &Path, part: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(part);
    name.into()
}

/// Which file was opened. Whoever moves, removes or replaces it leaves an open connection with a file that nobody
/// finds any more, and it would write there without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    file: Option<(u64, u64)>,
    wal: Option<(u64, u64)>,
}

impl Identity {
    /// Of the file that is at `path` and was just opened.
    pub(super) fn of(path: &Path) -> Self {
        Self { file: numbers(path), wal: numbers(&with(path, "-wal")) }
    }

    /// Whether that file is still there. Costs a `stat`.
    pub(super) fn is_in_place(self, path: &Path) -> bool {
        self.file == numbers(path)
    }

    /// Renames the log of the file that was moved away, if it stayed behind: SQLite would put its pages into whatever
    /// file has that name now. An empty one is removed.
    fn rename_orphaned_wal(self, path: &Path) -> io::Result<()> {
        let log = with(path, "-wal");
        if self.wal.is_none() || self.wal != numbers(&log) {
            return Ok(());
        }
        if std::fs::metadata(&log)?.len() == 0 {
            std::fs::remove_file(&log)
        } else {
            std::fs::rename(&log, with(path, ".moved-wal"))
        }
    }
}

fn numbers(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
