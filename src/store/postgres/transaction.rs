//! Transactions, deadlines, and the end of a connection.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgTransaction};
use tokio::time::timeout;

use super::failure::Context;
use crate::store::Error;

/// One round trip. LOCAL, so that nothing stays behind in a connection that pgbouncer gives to others. The
/// level is said, since the look for a batch has to see what was committed while it waited for the lock.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '30s'";

/// Begins a transaction.
pub(super) async fn begin<'c>(
    connection: &'c mut PgConnection,
    context: &Context<'_>,
) -> Result<PgTransaction<'c>, Error> {
    connection.begin_with(BEGIN).await.map_err(|error| context.classify(error))
}

/// Work with a deadline of its own.
pub(super) async fn within<T>(
    limit: Duration,
    step: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::Timeout(step, None)))
}

/// Tells the server that we go. It would notice anyway.
pub(super) async fn close_connection(connection: PgConnection) {
    if !matches!(timeout(Duration::from_secs(2), connection.close()).await, Ok(Ok(()))) {
        tracing::debug!("database connection did not close cleanly");
    }
}
