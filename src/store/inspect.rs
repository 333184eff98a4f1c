//! SQLite files that are only looked at: nothing is created or changed, not even beside them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// How long to wait for another program's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a file is opened that is only looked at.
///
/// A file in WAL mode without its `-wal` is nobody's at the moment, and would get files beside it from the
/// first who reads it: as another user's, they would lock out who works with it. Taken as one that nobody
/// changes, it gets none.
pub(super) fn read_only(path: &Path) -> SqliteConnectOptions {
    // `./-x` and `./file:x` are paths for SQLite, `file:x` is a URI.
    let file = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    let is_in_use = std::fs::metadata(PathBuf::from(wal)).is_ok_and(|wal| wal.len() > 0);
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .read_only(true)
        .immutable(!is_in_use)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}
