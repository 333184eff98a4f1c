//! The daemon while the database is away, and killed on the way to it.

use std::process::Stdio;
use std::time::Duration;

use super::{Daemon, PATIENCE, arrived, assert_once_and_in_order, is_slow, replay, say, scripted, status_of};
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::TABLE;
use crate::spool_proxy::Proxy;

/// How much more memory the daemon may have at the end of an outage than soon after its beginning.
const GROWTH_KIB: u64 = 16 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_costs_no_cycle_and_no_memory_and_is_delivered_in_order() {
    let (n_hosts, n_cycles) = if is_slow() { (256, 60) } else { (64, 20) };
    let database = Database::new("faults_outage", TABLE).await;
    let mut proxy = Proxy::before(database.server.port).await;
    let home = Home::new();
    let url = format!("postgres://postgres@{}/faults_outage?sslmode=disable", proxy.address);
    let inventory = scripted(&home, n_hosts, "500ms", "400ms", Some(&url));
    let daemon = Daemon::start(&home, &inventory);
    daemon.keeps(2);
    proxy.stop().await;
    daemon.keeps(5);
    let before = status_of(daemon.pid(), "VmRSS");
    let n_before = daemon.acknowledged().len();
    let started_at = std::time::Instant::now();
    daemon.keeps(n_cycles);
    let took = started_at.elapsed();
    let n_kept = daemon.acknowledged().len() - n_before;
    let due = took.as_millis() / 500;
    // One may be under way at either end.
    assert!(due <= u128::try_from(n_kept).unwrap() + 2, "{n_kept} cycles in {took:?}");
    let after = status_of(daemon.pid(), "VmRSS");
    assert!(after <= before + GROWTH_KIB, "{before} KiB grew to {after} KiB");
    let all = daemon.acknowledged();
    assert_eq!(daemon.stop().0, Some(0));
    proxy.start().await;
    let replayed = replay(&home, &inventory);
    assert_once_and_in_order(&database, &all).await;
    say(&format!(
        "{n_hosts} hosts, {n_kept} cycles of an outage in {took:?}, VmRSS {before} to {after} KiB; \
         {} batches, {} rows delivered in {replayed:?}",
        all.len(),
        all.values().sum::<i64>()
    ));
}

/// Kills a daemon where `place` says, and starts it again, which delivers.
async fn killed_and_started_again(database: &Database, place: &str) {
    let url = database.url("postgres", "");
    let home = Home::new();
    let inventory = scripted(&home, 4, "1s", "900ms", Some(&url));
    let reached = home.path("reached");
    // Opening a FIFO returns when the other side has opened it too: no waiting in steps.
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &reached, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut victim = home.command(&["run", "--inventory", inventory.to_str().unwrap()]);
    victim.env("FLEETWATT_FAILPOINT", format!("{place}:{}", reached.display()));
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::fs::read(&reached).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    let daemon = Daemon::start(&home, &inventory);
    let acknowledged = daemon.keeps(2);
    assert_eq!(daemon.stop().0, Some(0), "{place}");
    replay(&home, &inventory);
    let n_batches = assert_once_and_in_order(database, &acknowledged).await;
    assert!(acknowledged.len() < n_batches, "{place}: the batch of the one that was killed is there");
    database.run("TRUNCATE unified_timeline").await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_on_the_way_of_a_batch_loses_and_doubles_nothing() {
    let database = Database::new("faults_killed", TABLE).await;
    for place in ["after_spool_append", "before_commit", "after_commit_before_delete"] {
        killed_and_started_again(&database, place).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_delivered_by_the_daemon_itself_when_the_database_is_back() {
    let database = Database::new("faults_back", TABLE).await;
    let mut proxy = Proxy::before(database.server.port).await;
    proxy.stop().await;
    let home = Home::new();
    let url = format!("postgres://postgres@{}/faults_back?sslmode=disable", proxy.address);
    let daemon = Daemon::start(&home, &scripted(&home, 4, "500ms", "400ms", Some(&url)));
    let waiting = daemon.keeps(4);
    assert_eq!(arrived(&database).await.len(), 0);
    proxy.start().await;
    let deadline = std::time::Instant::now() + PATIENCE;
    while arrived(&database).await.len() < waiting.len() {
        assert!(std::time::Instant::now() < deadline, "{:?}", arrived(&database).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_once_and_in_order(&database, &waiting).await;
    assert_eq!(daemon.stop().0, Some(0));
}
