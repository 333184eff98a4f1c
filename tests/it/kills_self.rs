//! Twenty kills, half of them with each kind of timeline; `tests/kills/run` does a thousand.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::PathBuf;
use std::time::Duration;

use crate::kills::{Found, Plan, TABLE, run};
use crate::postgres::Database;

const N_KILLS: u32 = 10;

async fn kill(postgres: Option<String>) -> Found {
    let dir = tempfile::Builder::new().prefix("fw-").tempdir_in("/tmp").unwrap();
    let plan = Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_fleetwatt")),
        dir: dir.path().to_owned(),
        postgres,
        n_kills: N_KILLS,
        interval: Duration::from_millis(300),
        seed: 7,
    };
    run(plan).await
}

#[tokio::test]
async fn each_alert_is_in_a_sqlite_timeline_once_and_told_over_ten_kills() {
    let found = kill(None).await;
    assert_eq!(found.faults, Vec::<String>::new(), "{found:?}");
    assert!(found.n_events > 0 && found.n_events == found.n_told, "{found:?}");
}

#[tokio::test]
async fn each_alert_is_in_a_postgresql_timeline_once_and_told_over_ten_kills() {
    let database = Database::new("kills", TABLE).await;
    let found = kill(Some(database.url("postgres", ""))).await;
    assert_eq!(found.faults, Vec::<String>::new(), "{found:?}");
    assert!(found.n_events > 0 && found.n_events == found.n_told, "{found:?}");
}
