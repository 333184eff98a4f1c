//! A day of cycles in minutes: nothing grows.

use std::path::PathBuf;
use std::time::Duration;

use super::{Daemon, assert_once_and_in_order, is_slow, replay, say, status_of};
use crate::fleet::{Fleet, HostPlan};
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::TABLE;

/// How long the day may take.
const DAY_WITHIN: Duration = Duration::from_secs(900);

/// The cycles of a day, one a minute.
const DAY: usize = 1_440;

/// What the daemon has of everything that could leak.
#[derive(Debug, Clone, Copy)]
struct Holds {
    kib: u64,
    files: usize,
    threads: u64,
    children: usize,
}

fn holds(pid: u32) -> Holds {
    let entries = |path: PathBuf| std::fs::read_dir(path).map_or(0, Iterator::count);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let children = tasks.map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().count()
    });
    Holds {
        kib: status_of(pid, "VmRSS"),
        files: entries(PathBuf::from(format!("/proc/{pid}/fd"))),
        threads: status_of(pid, "Threads"),
        children: children.sum(),
    }
}

/// The least of ten looks: what is under way at the moment of one is no leak.
fn settled(daemon: &Daemon) -> Holds {
    let looks: Vec<Holds> = (0..10)
        .map(|_| {
            daemon.keeps(1);
            holds(daemon.pid())
        })
        .collect();
    Holds {
        kib: looks.iter().map(|look| look.kib).min().unwrap(),
        files: looks.iter().map(|look| look.files).min().unwrap(),
        threads: looks.iter().map(|look| look.threads).min().unwrap(),
        children: looks.iter().map(|look| look.children).min().unwrap(),
    }
}

/// How often each real host was read.
async fn n_read(database: &Database) -> Vec<(String, i64)> {
    let sql = "SELECT source, count(*) FROM unified_timeline WHERE event_type = 'node_up' AND value = 1 \
               AND source LIKE 'node_node%' GROUP BY 1 ORDER BY 1";
    sqlx::query_as(sql).fetch_all(&mut database.admin().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_of_cycles_the_daemon_holds_no_more_than_after_a_hundred() {
    if !is_slow() {
        return say("passed over: takes four minutes; FLEETWATT_SLOW_TESTS=1 runs it");
    }
    let database = Database::new("faults_day", TABLE).await;
    let (fleet, home) = (Fleet::start(HostPlan::many(2, "")).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let defaults = defaults.replace("\"15s\"", "\"140ms\"").replace("\"5s\"", "\"130ms\"");
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let url = database.url("postgres", "");
    let inventory = home.inventory(&format!(
        "{defaults}kex = \"curve25519-sha256\"\n[cycle]\ninterval = \"150ms\"\n[store]\nurl = \"{url}\"\n\
         [[host]]\nname = \"node[001-002]\"\n\
         [[host]]\nname = \"scene[01-16]\"\nscripted = \"{scene}\"\ntimeout = \"140ms\"\n"
    ));
    let daemon = Daemon::start(&home, &inventory);
    daemon.keeps(100);
    let early = settled(&daemon);
    daemon.keeps_within(DAY - 100, DAY_WITHIN);
    let late = settled(&daemon);
    say(&format!("after 100 cycles {early:?}\nafter {DAY} cycles {late:?}"));
    assert!(late.kib <= early.kib + 8 * 1_024, "{early:?} {late:?}");
    assert!(late.files <= early.files + 4, "{early:?} {late:?}");
    assert!(late.threads <= early.threads + 4, "{early:?} {late:?}");
    assert!(late.children <= early.children + 2, "{early:?} {late:?}");
    let all = daemon.acknowledged();
    assert_eq!(daemon.stop().0, Some(0));
    replay(&home, &inventory);
    assert_once_and_in_order(&database, &all).await;
    let n_read = n_read(&database).await;
    say(&format!("{} batches; the real hosts were read {n_read:?} times", all.len()));
    assert_eq!(n_read.len(), 2, "both real hosts took part");
}
