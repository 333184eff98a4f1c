//! Hosts that stand still, say nothing, or are there half of the time, among many that are well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Daemon, PATIENCE, began_at, is_slow, say, wait_until};
use crate::fleet::{Fleet, HostPlan, Mode};
use crate::program::{Home, Row};

/// How long is counted, in ms.
const WINDOW: u64 = 10_000;

/// How long the host that is there half of the time is away, and then there.
const HALF_THE_TIME: Duration = Duration::from_millis(2_500);

/// Which nodes were up in each cycle, by when it began.
fn cycles(rows: &[Row]) -> BTreeMap<u64, Vec<String>> {
    let mut cycles: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.0 == "node_up") {
        let ups = cycles.entry(began_at(row.3["batch"].as_str().unwrap())).or_default();
        if row.2 == Some(1.0) {
            ups.push(row.1.trim_start_matches("node_").to_owned());
        }
    }
    cycles
}

/// Waits until a whole window has passed from the next cycle on, and gives its cycles.
fn window(home: &Home, mut meanwhile: impl FnMut()) -> Vec<Vec<String>> {
    let n_before = cycles(&home.rows()).len();
    let from = || {
        meanwhile();
        let cycles = cycles(&home.rows());
        let from = cycles.keys().nth(n_before).copied();
        (from, cycles)
    };
    let is_over = |(from, cycles): &(Option<u64>, BTreeMap<u64, Vec<String>>)| {
        from.is_some_and(|from| cycles.keys().any(|began| from + WINDOW <= *began))
    };
    let (from, cycles) = wait_until("a whole window", PATIENCE, from, is_over);
    let from = from.unwrap();
    cycles.range(from..from + WINDOW).map(|(_, ups)| ups.clone()).collect()
}

#[test]
fn a_frozen_a_silent_and_a_half_present_host_cost_the_others_no_reading_and_no_cycle() {
    let n_hosts = if is_slow() { 64 } else { 12 };
    let mut plans = HostPlan::many(n_hosts - 1, "");
    plans.push(HostPlan::new("blackhole", "").mode(Mode::Blackhole));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let defaults = defaults.replace("\"15s\"", "\"1500ms\"").replace("\"5s\"", "\"1s\"");
    let head = format!("{defaults}kex = \"curve25519-sha256\"\n[cycle]\ninterval = \"2s\"\n");
    let well = format!("{head}[[host]]\nname = \"node[001-{:03}]\"\n", n_hosts - 1);
    let daemon = Daemon::start(&home, &home.inventory(&well));
    let last = || cycles(&home.rows()).pop_last().map(|(_, ups)| ups.len());
    wait_until("all hosts", PATIENCE, last, |n_up| *n_up == Some(n_hosts - 1));
    let before = window(&home, || ());

    home.inventory(&format!("{well}[[host]]\nname = \"blackhole\"\n"));
    fleet.freeze_host("node001").unwrap();
    let (started_at, mut was_away) = (Instant::now(), false);
    let during = window(&home, || {
        let is_away = (started_at.elapsed().as_millis() / HALF_THE_TIME.as_millis()).is_multiple_of(2);
        if is_away != was_away {
            was_away = is_away;
            if is_away { fleet.freeze_host("node002") } else { fleet.thaw_host("node002") }.unwrap();
        }
    });
    fleet.thaw_host("node001").unwrap();
    fleet.thaw_host("node002").unwrap();
    assert_eq!(daemon.stop().0, Some(0));
    say(&format!("{n_hosts} hosts: {} cycles before, {} with three faults", before.len(), during.len()));
    assert!(before.len().abs_diff(during.len()) <= 1, "{} and {}", before.len(), during.len());
    for (cycle, ups) in during.iter().enumerate() {
        let n_others = ups.iter().filter(|node| !["node001", "node002"].contains(&node.as_str())).count();
        assert_eq!(n_others, n_hosts - 3, "cycle {cycle}: {ups:?}");
    }
}
