//! The daemon while something is wrong with what it needs: the database, the state directory, the clock,
//! hosts; and while nothing is wrong, for a day.
//!
//! With `FLEETWATT_SLOW_TESTS=1` in the environment the same tests have more hosts and cycles, and the day
//! is run at all.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod clock;
mod database;
mod day;
mod disk;
mod hosts;
mod island;
mod kept_files;
mod network;
mod odd_files;
mod stops;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::postgres::Database;
use crate::program::{Home, signal};

const PATIENCE: Duration = Duration::from_secs(60);

/// How many rows each batch has, by its id.
type Batches = BTreeMap<String, i64>;

/// Whether there is time for the long tests too.
pub(crate) fn is_slow() -> bool {
    std::env::var_os("FLEETWATT_SLOW_TESTS").is_some_and(|value| value == "1")
}

/// For who runs the tests with `--nocapture`: what was measured, or why something is passed over.
#[allow(clippy::print_stdout, reason = "the test harness shows it or does not")]
pub(crate) fn say(message: &str) {
    println!("{message}");
}

/// Waits until `state` is as wanted; else fails with the last one.
fn wait_until<T: std::fmt::Debug>(
    what: &str,
    patience: Duration,
    mut state: impl FnMut() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        let now = state();
        if is_so(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "{what} did not come within {patience:?}: {now:?}");
        // What looks closely at a long log takes time from who writes it.
        std::thread::sleep((patience / 1_000).clamp(Duration::from_millis(20), Duration::from_secs(1)));
    }
}

/// A running `fleetwatt run` with its log in a file. Killed when it is dropped.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(home: &Home, inventory: &Path) -> Self {
        Self::with(home, inventory, &[])
    }

    /// The same with more in its environment.
    fn with(home: &Home, inventory: &Path, variables: &[(&str, &str)]) -> Self {
        let log = home.path("run.log");
        let mut command = home.command(&["run", "--inventory", inventory.to_str().unwrap()]);
        command.env("FLEETWATT_LOG", "fleetwatt=debug").envs(variables.iter().copied());
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Self { child, log }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What this one and those before it in the same home have acknowledged.
    fn acknowledged(&self) -> Batches {
        acknowledged(&self.said())
    }

    /// Waits until it has acknowledged so many batches more.
    fn keeps(&self, n_more: usize) -> Batches {
        self.keeps_within(n_more, PATIENCE)
    }

    fn keeps_within(&self, n_more: usize, patience: Duration) -> Batches {
        let wanted = self.acknowledged().len() + n_more;
        let last = || (self.acknowledged(), tail(&self.said()));
        wait_until("batches", patience, last, |(batches, _)| wanted <= batches.len()).0
    }

    /// SIGTERM; gives its exit code and how long it took.
    fn stop(mut self) -> (Option<i32>, Duration) {
        let asked_at = Instant::now();
        signal(i32::try_from(self.pid()).unwrap(), Signal::TERM);
        let code = wait_until("its end", PATIENCE, || self.child.try_wait().unwrap(), Option::is_some);
        (code.unwrap().code(), asked_at.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines.join("\n")
}

/// The batches that a log says are kept.
fn acknowledged(log: &str) -> Batches {
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let field = |line: &str, name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
    };
    let kept = whole.lines().filter(|line| line.contains("batch kept"));
    kept.map(|line| (field(line, "batch="), field(line, "rows=").parse().unwrap())).collect()
}

/// Asserts that nothing acknowledged is missing, nothing is there twice, and all came in their order.
/// Returns how many batches are there.
async fn assert_once_and_in_order(database: &Database, acknowledged: &Batches) -> usize {
    let there = arrived(database).await;
    let by_id: Batches = there.iter().map(|(batch, n_rows, _)| (batch.clone(), *n_rows)).collect();
    for (batch, n_rows) in acknowledged {
        assert_eq!(by_id.get(batch), Some(n_rows), "{batch} of {} batches", there.len());
    }
    for (batch, n_rows, n_different) in &there {
        assert_eq!(n_rows, n_different, "rows of {batch} are there twice");
    }
    let ids: Vec<&String> = there.iter().map(|(batch, _, _)| batch).collect();
    assert!(ids.is_sorted(), "{ids:#?}");
    there.len()
}

/// Batch, rows and different rows, in the order in which they came.
async fn arrived(database: &Database) -> Vec<(String, i64, i64)> {
    let sql = "SELECT metadata ->> 'batch', count(*), count(DISTINCT (event_type, source, created_at)) \
               FROM unified_timeline GROUP BY 1 ORDER BY min(id)";
    sqlx::query_as(sql).fetch_all(&mut database.admin().await).await.unwrap()
}

/// When a batch began, which its id says, in ms since 1970.
fn began_at(batch: &str) -> u64 {
    let digits: String = batch.chars().filter(|c| *c != '-').take(12).collect();
    u64::from_str_radix(&digits, 16).unwrap()
}

/// `store replay`, until the spool is empty.
fn replay(home: &Home, inventory: &Path) -> Duration {
    let ran = home.run(&["store", "replay", "--inventory", inventory.to_str().unwrap()]);
    assert!(ran.stdout.ends_with("the spool is empty\n"), "{}{}", ran.stdout, ran.stderr);
    ran.took
}

/// An inventory of scripted hosts, with a PostgreSQL or else the SQLite default.
fn scripted(home: &Home, n_hosts: usize, interval: &str, timeout: &str, store: Option<&str>) -> PathBuf {
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let store = store.map(|url| format!("[store]\nurl = \"{url}\"\n")).unwrap_or_default();
    home.inventory(&format!(
        "[cycle]\ninterval = \"{interval}\"\n{store}[defaults]\ntimeout = \"{timeout}\"\n\
         [[host]]\nname = \"scene[001-{n_hosts:03}]\"\nscripted = \"{scene}\"\n"
    ))
}

/// A value of /proc/PID/status, in KiB or as a count.
fn status_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}
