//! `fleetwatt run` against real sshd's: what an operator may rely on while it runs for ever.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fleet::{Fleet, HostPlan, Mode};
use crate::program::{Home, Row, logins, masters_below, of_type, signal, wait_until};

const PATIENCE: Duration = Duration::from_secs(40);

/// A running daemon. Killed when it is dropped.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(home: &Home, inventory: &Path) -> Self {
        Self { child: home.start(&["run", "-v", "--inventory", inventory.to_str().unwrap()]) }
    }

    fn signal(&self, which: Signal) {
        signal(i32::try_from(self.child.id()).unwrap(), which);
    }

    /// Asks it to end, and gives its exit code, what it said, and how long it took.
    fn stop(mut self) -> (Option<i32>, String, Duration) {
        let asked_at = Instant::now();
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut said).unwrap();
        (status.code(), said, asked_at.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Waits until the timeline is as wanted.
fn wait_for(home: &Home, what: &str, is_so: impl Fn(&[Row]) -> bool) -> Vec<Row> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = home.rows();
        if is_so(&rows) {
            return rows;
        }
        assert!(Instant::now() < deadline, "{what} did not come: {} rows", rows.len());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many cycles each node was up in.
fn ups(rows: &[Row]) -> BTreeMap<String, usize> {
    let mut ups = BTreeMap::new();
    for row in of_type(rows, "node_up").into_iter().filter(|row| row.2 == Some(1.0)) {
        *ups.entry(row.1.trim_start_matches("node_").to_owned()).or_default() += 1;
    }
    ups
}

/// The fleet's inventory with a short interval.
fn inventory(fleet: &Fleet, home: &Home, hosts: &str) -> PathBuf {
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let defaults = defaults.replace("\"15s\"", "\"1500ms\"").replace("\"5s\"", "\"1s\"");
    home.inventory(&format!("{defaults}\n[cycle]\ninterval = \"2s\"\n{hosts}"))
}

fn host(name: &str) -> String {
    format!("[[host]]\nname = \"{name}\"\n")
}

#[test]
fn cycles_go_on_over_one_connection_a_host_and_end_without_a_trace_of_it() {
    let (fleet, home) = (Fleet::start(HostPlan::many(3, "gpus = 2")).unwrap(), Home::new());
    let daemon = Daemon::start(&home, &inventory(&fleet, &home, &host("node[001-003]")));
    wait_for(&home, "three cycles", |rows| ups(rows).get("node001").is_some_and(|n| *n >= 3));
    assert_eq!(logins(&fleet), [1, 1, 1]);
    let (code, said, took) = daemon.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(masters_below(&home.path("r")), Vec::<i32>::new());
    let rows = home.rows();
    let n_cycles = of_type(&rows, "cluster_gpu_power_total").len();
    assert_eq!(of_type(&rows, "node_up").len(), 3 * n_cycles, "each host has an outcome in each cycle");
}

#[test]
fn a_node_that_is_added_is_read_at_once_and_the_others_keep_their_connections() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, "")).unwrap(), Home::new());
    let path = inventory(&fleet, &home, &host("node001"));
    let daemon = Daemon::start(&home, &path);
    wait_for(&home, "the first node", |rows| ups(rows).contains_key("node001"));
    inventory(&fleet, &home, &(host("node001") + &host("node002")));
    let edited_at = Instant::now();
    wait_for(&home, "the second node", |rows| ups(rows).contains_key("node002"));
    assert!(edited_at.elapsed() < PATIENCE);
    assert_eq!(logins(&fleet), [1, 1]);
    inventory(&fleet, &home, &host("node002"));
    let n_first = ups(&home.rows())["node001"];
    wait_for(&home, "cycles without the first", |rows| {
        let n_cycles = of_type(rows, "cluster_gpu_power_total").len();
        of_type(rows, "node_up").len() < 2 * n_cycles - 2
    });
    assert!(ups(&home.rows())["node001"] <= n_first + 2);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(logins(&fleet), [1, 1]);
}

#[test]
fn a_broken_edit_changes_nothing_and_is_reported_with_its_place() {
    let (fleet, home) = (Fleet::start(HostPlan::many(1, "")).unwrap(), Home::new());
    let daemon = Daemon::start(&home, &inventory(&fleet, &home, &host("node001")));
    wait_for(&home, "the first cycle", |rows| ups(rows).contains_key("node001"));
    inventory(&fleet, &home, "[[host]]\nname = \"node001\"\nadress = \"x\"\n");
    let n_before = ups(&home.rows())["node001"];
    wait_for(&home, "three more cycles", |rows| n_before + 3 <= ups(rows)["node001"]);
    let (code, said, _) = daemon.stop();
    assert_eq!((code, logins(&fleet)), (Some(0), vec![1]));
    assert!(said.contains("did you mean `address`?") && said.contains("inventory.toml:"), "{said}");
}

#[test]
fn a_hangup_reads_the_inventory_again() {
    let (fleet, home) = (Fleet::start(HostPlan::many(1, "")).unwrap(), Home::new());
    let daemon = Daemon::start(&home, &inventory(&fleet, &home, &host("node001")));
    wait_for(&home, "the first cycle", |rows| ups(rows).contains_key("node001"));
    daemon.signal(Signal::HUP);
    let n_before = ups(&home.rows())["node001"];
    wait_for(&home, "two more cycles", |rows| n_before + 2 <= ups(rows)["node001"]);
    let (code, said, _) = daemon.stop();
    assert_eq!(code, Some(0));
    assert!(said.contains("inventory reloaded: 1 host, none added, removed or changed"), "{said}");
}

#[test]
fn the_log_says_once_that_a_host_is_gone_and_once_that_it_is_back() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, "")).unwrap(), Home::new());
    let alerts = "[alerts]\nhost_silent_for = \"1s\"\n";
    let path = inventory(&fleet, &home, &(alerts.to_owned() + &host("node[001-002]")));
    let daemon = Daemon::start(&home, &path);
    wait_for(&home, "the first cycle", |rows| ups(rows).contains_key("node002"));
    fleet.freeze_host("node002").unwrap();
    wait_for(&home, "an alert", |rows| !of_type(rows, "alert").is_empty());
    fleet.thaw_host("node002").unwrap();
    wait_for(&home, "its end", |rows| of_type(rows, "alert").len() == 2);
    let (code, said, _) = daemon.stop();
    assert_eq!(code, Some(0), "{said}");
    let n_lines = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    let start = format!("fleetwatt {} polls 2 hosts of ", env!("CARGO_PKG_VERSION"));
    assert_eq!(n_lines(&start), 1, "{said}");
    assert_eq!(n_lines("INFO node002 answers again, after "), 1, "{said}");
    assert_eq!(n_lines("critical alert raised: node002 has given no answer"), 1, "{said}");
    assert_eq!(n_lines("critical alert cleared: node002 answers again"), 1, "{said}");
    // In one way or two: while the host hangs, and while a new connection does.
    assert!((1..=3).contains(&n_lines("WARN node002: ")), "{said}");
    assert_eq!(n_lines("2 of 2 nodes, 2 of 2 GPUs, "), 1, "{said}");
}

#[test]
fn a_key_that_is_not_there_is_said_at_the_start_and_ends_it_where_every_host_needs_it() {
    let home = Home::new();
    let ssh = "[[host]]\nname = \"a\"\nidentity_file = \"/run/credentials/other.service/key\"\n";
    let path = home.inventory(ssh);
    let ran = home.run(&["run", "--inventory", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no host can be reached: identity_file `/run/credentials/other.service/key`")
    );
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let other = format!("{ssh}connect_timeout = \"1s\"\n[[host]]\nname = \"b\"\nscripted = \"{scene}\"\n");
    let daemon = Daemon::start(&home, &home.inventory(&other));
    wait_for(&home, "the host that needs none", |rows| ups(rows).contains_key("b"));
    let (code, said, _) = daemon.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ERROR identity_file `/run/credentials/other.service/key`"), "{said}");
}

#[test]
fn frozen_and_silent_hosts_cost_the_others_no_cycle() {
    let mut plans = HostPlan::many(3, "");
    plans.push(HostPlan::new("blackhole", "").mode(Mode::Blackhole));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let hosts = host("node[001-003]") + &host("blackhole");
    let daemon = Daemon::start(&home, &inventory(&fleet, &home, &hosts));
    wait_for(&home, "the first cycle", |rows| ups(rows).contains_key("node003"));
    fleet.freeze_host("node003").unwrap();
    let n_before = of_type(&home.rows(), "cluster_gpu_power_total").len();
    wait_for(&home, "five more cycles", |rows| {
        n_before + 5 <= of_type(rows, "cluster_gpu_power_total").len()
    });
    fleet.thaw_host("node003").unwrap();
    assert_eq!(daemon.stop().0, Some(0));
    let rows = home.rows();
    let n_cycles = of_type(&rows, "cluster_gpu_power_total").len();
    let ups = ups(&rows);
    assert!(n_cycles - 1 <= ups["node001"] && n_cycles - 1 <= ups["node002"], "{ups:?} of {n_cycles}");
    assert_eq!(of_type(&rows, "node_up").len(), 4 * n_cycles);
}

#[test]
fn after_a_kill_the_next_start_finds_the_connections_again() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, "")).unwrap(), Home::new());
    let path = inventory(&fleet, &home, &host("node[001-002]"));
    let daemon = Daemon::start(&home, &path);
    wait_for(&home, "the first cycle", |rows| ups(rows).contains_key("node001"));
    drop(daemon);
    let n_before = ups(&home.rows())["node001"];
    let daemon = Daemon::start(&home, &path);
    wait_for(&home, "another cycle", |rows| n_before < ups(rows)["node001"]);
    assert_eq!(daemon.stop().0, Some(0));
    assert_eq!(logins(&fleet), [1, 1]);
}

#[test]
fn the_hosts_of_a_cycle_are_not_asked_in_one_moment() {
    let home = Home::new();
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let path = home.inventory(&format!(
        "[cycle]\ninterval = \"20s\"\n[[host]]\nname = \"node[001-008]\"\nscripted = \"{scene}\"\n"
    ));
    let daemon = Daemon::start(&home, &path);
    wait_for(&home, "the first cycle", |rows| ups(rows).len() == 8);
    assert_eq!(daemon.stop().0, Some(0));
    let sql = "SELECT max(created_at) - min(created_at) FROM unified_timeline WHERE event_type = 'node_up'";
    let [(micros,)] = home.query::<(i64,)>(sql)[..] else { panic!("one row") };
    assert!(micros > 500_000, "all were asked within {micros} µs, not over a second");
}

#[test]
fn a_client_of_the_snapshot_socket_follows_the_cycles_also_after_a_kill() {
    let home = Home::new();
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let path = home
        .inventory(&format!("[cycle]\ninterval = \"2s\"\n[defaults]\ntimeout = \"1500ms\"\nconnect_timeout = \"1s\"\n[[host]]\nname = \"a\"\nscripted = \"{scene}\"\n"));
    let socket = home.path("snapshot");
    let args = ["run", "--inventory", path.to_str().unwrap(), "--snapshot-socket", socket.to_str().unwrap()];
    for is_killed in [true, false] {
        let daemon = Daemon { child: home.start(&args) };
        wait_until("the socket", || UnixStream::connect(&socket).is_ok());
        let lines = BufReader::new(UnixStream::connect(&socket).unwrap()).lines();
        let batches: Vec<serde_json::Value> =
            lines.take(2).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert_ne!(batches[0]["batch"], batches[1]["batch"]);
        assert_eq!(batches[1]["nodes"][0]["gpus"][0]["power_w"], 412.87);
        if is_killed {
            drop(daemon);
        } else {
            assert_eq!(daemon.stop().0, Some(0));
        }
    }
    assert!(!socket.exists(), "it goes with the daemon");
}
