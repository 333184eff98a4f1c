//! A wall clock that is set back and forward while the daemon runs.

use super::{Batches, Daemon, acknowledged, arrived, replay, say, scripted};
use crate::fake_clock::FakeClock;
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::TABLE;

#[tokio::test]
async fn batches_are_delivered_once_while_the_clock_jumps_an_hour_back_and_a_day_forward() {
    let database = Database::new("faults_clock", TABLE).await;
    let home = Home::new();
    let clock = FakeClock::new(&home.path(""));
    let Some(clock) = clock else { return say("passed over: there is no C compiler") };
    let url = database.url("postgres", "");
    let inventory = scripted(&home, 3, "300ms", "290ms", Some(&url));
    let daemon = Daemon::with(&home, &inventory, &clock.variables());
    let mut n_kept = 0;
    for seconds in [0, -3_600, 86_400, 0] {
        clock.shift(seconds);
        // The first of them may have begun before.
        n_kept = daemon.keeps(3).len();
    }
    let log = daemon.log.clone();
    assert_eq!(daemon.stop().0, Some(0));
    replay(&home, &inventory);
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().filter(|line| line.contains("batch kept")).count();
    let kept = acknowledged(&log);
    assert!(n_kept <= lines && kept.len() == lines, "each batch has an id of its own");
    let there = arrived(&database).await;
    let rows: Batches = there.iter().map(|(batch, n_rows, _)| (batch.clone(), *n_rows)).collect();
    assert_eq!(rows, kept, "each has the rows that it was acknowledged with");
    assert!(there.iter().all(|(_, n_rows, n_different)| n_rows == n_different), "{there:?}");
}
