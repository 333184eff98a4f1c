//! Twenty kills, half of them with each kind of timeline; `tests/kills/run` does a thousand.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::PathBuf;
use std::time::Duration;

use crate::energies::{Energies, Ledger};
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

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_energies_of_a_sqlite_timeline_are_whole_after_ten_kills() {
    held(&kill(None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_energies_of_a_postgresql_timeline_are_whole_after_ten_kills() {
    let database = Database::new("kills", TABLE).await;
    held(&kill(Some(database.url("postgres", ""))).await);
}

/// Each alert event is there once and was told, and the ledger is what follows from the timeline.
fn held(found: &Found) {
    assert_eq!(found.faults, Vec::<String>::new(), "{found:?}");
    assert!(found.n_events > 0 && found.n_events == found.n_told, "{found:?}");
    assert!(found.energy_mj > 0 && found.covered_ms > 0, "{found:?}");
}

#[test]
fn a_ledger_in_which_nothing_was_measured_is_a_fault() {
    let nothing = Energies { kept: Ledger::new(), computed: Ledger::new() };
    assert_eq!(nothing.faults(), ["the ledger has no time that was measured"]);
}
