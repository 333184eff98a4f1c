//! Ending a daemon under load, and a second one beside it.

use std::time::Duration;

use super::{Daemon, PATIENCE, assert_once_and_in_order, replay, scripted, wait_until};
use crate::fleet::{Fleet, HostPlan};
use crate::postgres::Database;
use crate::program::{Home, masters_below};
use crate::spool_once::TABLE;

#[tokio::test(flavor = "multi_thread")]
async fn a_sigterm_in_the_middle_of_a_cycle_loses_nothing_and_leaves_no_process() {
    let database = Database::new("faults_sigterm", TABLE).await;
    let fleet = Fleet::start(HostPlan::many(6, "gpus = 2\nslow = '300ms'")).unwrap();
    let home = Home::new();
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let text = text.replace("\"15s\"", "\"1900ms\"").replace("\"5s\"", "\"1s\"");
    let url = database.url("postgres", "");
    let inventory =
        home.inventory(&format!("{text}\n[cycle]\ninterval = \"2s\"\n[store]\nurl = \"{url}\"\n"));
    let mut acknowledged = super::Batches::new();
    for life in 0..3 {
        let daemon = Daemon::start(&home, &inventory);
        daemon.keeps(1);
        let asked = || fleet.names().iter().filter(|host| fleet.running(host) > 0).count();
        wait_until("a cycle under way", PATIENCE, asked, |n_hosts| *n_hosts >= 2);
        let log = daemon.log.clone();
        let (code, took) = daemon.stop();
        assert_eq!(code, Some(0), "life {life}");
        assert!(took < Duration::from_secs(5), "life {life} took {took:?}");
        assert_eq!(masters_below(&home.path("r")), Vec::<i32>::new(), "life {life}");
        wait_until("the end of all commands", Duration::from_secs(5), asked, |n_hosts| *n_hosts == 0);
        acknowledged = super::acknowledged(&std::fs::read_to_string(log).unwrap());
    }
    replay(&home, &inventory);
    let n_batches = assert_once_and_in_order(&database, &acknowledged).await;
    assert_eq!(n_batches, acknowledged.len());
}

#[test]
fn a_second_daemon_on_one_state_directory_is_sent_away_and_told_by_whom() {
    let home = Home::new();
    let inventory = scripted(&home, 2, "1s", "900ms", None);
    let daemon = Daemon::start(&home, &inventory);
    daemon.keeps(1);
    let second = home.run(&["run", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(second.code, Some(75), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("(process {})", daemon.pid())), "{}", second.stderr);
    daemon.keeps(1);
    assert_eq!(daemon.stop().0, Some(0));
}
