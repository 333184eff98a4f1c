//! A place to be killed at, for crash tests. Not in release builds.

/// With `FLEETWATT_FAILPOINT=before_commit:<path>` in a debug build: creates the file `<path>` and never
/// returns, so that a test knows that the process is between the last insert and the commit.
#[cfg(debug_assertions)]
pub(super) async fn before_commit() {
    let Ok(wanted) = std::env::var("FLEETWATT_FAILPOINT") else { return };
    if let Some(path) = wanted.strip_prefix("before_commit:") {
        if let Err(error) = tokio::fs::write(path, b"").await {
            tracing::error!(path, %error, "fail point cannot create its file");
        }
        std::future::pending::<()>().await;
    }
}

/// Nothing: fail points are not in release builds.
#[cfg(not(debug_assertions))]
pub(super) async fn before_commit() {}
