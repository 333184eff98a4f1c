//! Places to be killed at, for crash tests. Not in release builds.

/// The batch is in the spool, and the database has not heard of it.
pub(super) const AFTER_SPOOL_APPEND: &str = "after_spool_append";

/// All rows are inserted, and the transaction is open.
pub(super) const BEFORE_COMMIT: &str = "before_commit";

/// The database has the batch, and the spool still has it too.
pub(super) const AFTER_COMMIT_BEFORE_DELETE: &str = "after_commit_before_delete";

/// With `FLEETWATT_FAILPOINT=<place>:<path>` in a debug build: creates the file `<path>` and never
/// returns, so that a test knows that the process is there.
#[cfg(debug_assertions)]
pub(super) async fn reach(place: &str) {
    let Ok(wanted) = std::env::var("FLEETWATT_FAILPOINT") else { return };
    if let Some(path) = wanted.strip_prefix(place).and_then(|rest| rest.strip_prefix(':')) {
        if let Err(error) = tokio::fs::write(path, b"").await {
            tracing::error!(path, %error, "fail point cannot create its file");
        }
        std::future::pending::<()>().await;
    }
}

/// Nothing: fail points are not in release builds.
#[cfg(not(debug_assertions))]
pub(super) async fn reach(_place: &str) {}
