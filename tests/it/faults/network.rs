//! One host frozen, one where every packet is swallowed, and one behind a link that is down half of the time,
//! among many that are well.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use fleetwatt::cycle::Clock;

use super::island::Island;
use super::{Daemon, began_at, is_slow, say, wait_until};
use crate::fleet::{Fleet, HostPlan};
use crate::program::Home;

/// How long a state may take to come, with all hosts on one machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many cycles are counted while nothing is wrong.
const N_BEFORE: usize = 4;

/// How many cycles are counted at least while three hosts are ill.
const N_CYCLES: usize = 12;

/// How many cycles the link is down, and then up, and how often.
const N_CYCLES_A_HALF: usize = 3;
const N_FLAPS: usize = 2;

/// Hosts that are ill: stopped, behind a router that answers nothing, and behind the link.
const ILL: [&str; 3] = ["frozen", "swallowed", "island"];

/// The fleet, and how fast it is asked.
struct Size {
    n_well: usize,
    interval: Duration,
    settings: &'static str,
}

impl Size {
    fn here() -> Self {
        if is_slow() {
            let settings = "timeout = \"4s\"\nconnect_timeout = \"2s\"\n[cycle]\ninterval = \"5s\"\n";
            Self { n_well: 61, interval: Duration::from_secs(5), settings }
        } else {
            let settings = "timeout = \"2500ms\"\nconnect_timeout = \"1s\"\n[cycle]\ninterval = \"3s\"\n";
            Self { n_well: 5, interval: Duration::from_secs(3), settings }
        }
    }

    /// How far a cycle may begin from its time on a machine that is busy.
    fn tolerance(&self) -> Duration {
        self.interval / 10
    }

    fn inventory(&self, home: &Home, fleet: &Fleet, ill: &str) -> PathBuf {
        let text = std::fs::read_to_string(fleet.inventory()).unwrap();
        let (defaults, _) = text.split_once("connect_timeout").unwrap();
        home.inventory(&format!(
            "{defaults}kex = \"curve25519-sha256\"\n{}[[host]]\nname = \"node[001-{:03}]\"\n{ill}",
            self.settings, self.n_well
        ))
    }
}

/// What one batch says of a node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Told {
    /// One is what it should have.
    outcomes: Vec<String>,
    is_up: bool,
    /// Power, temperature and load, in the order of their names.
    readings: Vec<String>,
}

/// One batch, by node.
#[derive(Debug, Default)]
struct Cycle {
    nodes: BTreeMap<String, Told>,
    /// When its last report came, in ms since 1970.
    done_at: u64,
}

impl Cycle {
    fn n_up(&self) -> usize {
        self.nodes.values().filter(|told| told.is_up).count()
    }

    fn is_up(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|told| told.is_up)
    }
}

/// Batch, event type, source, value, outcome, time in microseconds.
type TimelineRow = (String, String, String, Option<f64>, Option<String>, i64);

/// The cycles in the timeline, by when they began in ms since 1970.
fn cycles(home: &Home) -> BTreeMap<u64, Cycle> {
    let sql = "SELECT metadata ->> 'batch', event_type, source, value, metadata ->> 'outcome', created_at \
               FROM unified_timeline ORDER BY event_type";
    let mut cycles: BTreeMap<u64, Cycle> = BTreeMap::new();
    for (batch, event_type, source, value, outcome, created_at) in home.query::<TimelineRow>(sql) {
        let cycle = cycles.entry(began_at(&batch)).or_default();
        let node = source.split_once('_').map_or("", |(_, node)| node).to_owned();
        match event_type.as_str() {
            "node_up" => {
                let told = cycle.nodes.entry(node).or_default();
                told.is_up = value == Some(1.0);
                told.outcomes.push(outcome.unwrap());
                cycle.done_at = cycle.done_at.max(u64::try_from(created_at / 1_000).unwrap());
            }
            "gpu_power_draw" | "gpu_temperature" | "gpu_utilization" => {
                assert!(value.is_some(), "{event_type} of {node} without a value");
                cycle.nodes.entry(node).or_default().readings.push(event_type);
            }
            _ => {}
        }
    }
    cycles
}

fn now() -> u64 {
    u64::try_from(Clock.now().micros() / 1_000).unwrap()
}

/// Waits until so many nodes are up in the last cycle.
fn wait_for_nodes(home: &Home, n_nodes: usize) {
    let last = || cycles(home).pop_last().map(|(_, cycle)| cycle.n_up());
    wait_until("all hosts", PATIENCE, last, |n_up| *n_up == Some(n_nodes));
}

/// Takes the link down and up, each for some cycles, and no shorter than until it is seen in the timeline. Gives
/// when it was down.
fn flap(island: &Island, daemon: &Daemon, home: &Home) -> Vec<Range<u64>> {
    let turn = |state: &str| {
        island.link(state);
        let turned_at = now();
        daemon.keeps_within(N_CYCLES_A_HALF, PATIENCE);
        let whole = || cycles(home).range(turned_at..).map(|(_, cycle)| cycle.is_up("island")).collect();
        wait_until(state, PATIENCE, whole, |ups: &Vec<bool>| ups.contains(&(state == "up")));
        turned_at
    };
    let mut downs = Vec::new();
    for _ in 0..N_FLAPS {
        let down_at = turn("down");
        downs.push(down_at..turn("up"));
    }
    downs
}

/// Asserts that each cycle began an interval after the one before, and was done before the next. Gives how many
/// there are and their mean distance, for who reads it.
fn assert_steady(size: &Size, cycles: &BTreeMap<u64, &Cycle>) -> String {
    let began: Vec<u64> = cycles.keys().copied().collect();
    for pair in began.windows(2) {
        let distance = Duration::from_millis(pair[1] - pair[0]);
        assert!(distance.abs_diff(size.interval) < size.tolerance(), "{distance:?} in {began:?}");
    }
    let took =
        |(began_at, cycle): (&u64, &&Cycle)| Duration::from_millis(cycle.done_at.saturating_sub(*began_at));
    let longest = cycles.iter().map(took).max().unwrap();
    assert!(longest < size.interval, "a cycle took {longest:?}");
    let mean = (began[began.len() - 1] - began[0]) / u64::try_from(began.len() - 1).unwrap();
    format!("{} cycles, {mean} ms apart, done after {longest:?} at most", began.len())
}

/// Asserts that each host has exactly one outcome, those that are well all of their readings, and those that
/// cannot be reached none. Gives in how many cycles the island was up.
fn assert_told(size: &Size, cycles: &BTreeMap<u64, &Cycle>, downs: &[Range<u64>]) -> usize {
    let well = Told {
        outcomes: vec!["complete".to_owned()],
        is_up: true,
        readings: ["gpu_power_draw", "gpu_temperature", "gpu_utilization"].map(str::to_owned).to_vec(),
    };
    let interval = u64::try_from(size.interval.as_millis()).unwrap();
    for (began_at, cycle) in cycles {
        assert_eq!(cycle.nodes.len(), size.n_well + ILL.len(), "{:?}", cycle.nodes.keys());
        let is_cut_off = downs.iter().any(|down| down.start <= *began_at && began_at + interval <= down.end);
        for (node, told) in &cycle.nodes {
            assert_eq!(told.outcomes.len(), 1, "{node} in the cycle of {began_at}: {told:?}");
            match node.as_str() {
                "frozen" => assert!(!told.is_up, "{told:?}"),
                "swallowed" => assert_eq!(told.outcomes, ["connect_timeout"]),
                "island" => assert!(!(is_cut_off && told.is_up), "without a link: {told:?}"),
                _ => assert_eq!(*told, well, "{node} in the cycle of {began_at}"),
            }
        }
    }
    cycles.values().filter(|cycle| cycle.is_up("island")).count()
}

fn between(cycles: &BTreeMap<u64, Cycle>, times: Range<u64>) -> BTreeMap<u64, &Cycle> {
    cycles.range(times).map(|(began_at, cycle)| (*began_at, cycle)).collect()
}

#[test]
fn a_frozen_a_swallowed_and_a_flapping_host_cost_the_others_no_reading_and_the_cycle_no_time() {
    let Some(island) = Island::make() else {
        return say("passed over: this user may not make a network namespace");
    };
    let size = Size::here();
    let mut plans = HostPlan::many(size.n_well, "");
    plans.extend(["frozen", "island"].map(|name| HostPlan::new(name, "")));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    island.settle(&fleet, "island");
    let daemon = Daemon::start(&home, &size.inventory(&home, &fleet, ""));
    wait_for_nodes(&home, size.n_well);
    let well_from = now();
    daemon.keeps_within(N_BEFORE + 1, PATIENCE);
    let well_to = now();

    let [frozen, swallowed, island_host] = ILL.map(|name| format!("[[host]]\nname = \"{name}\"\n"));
    let swallowed = format!("{swallowed}address = \"{}\"\n", island.swallowed());
    let island_host = format!("{island_host}address = \"{}\"\nport = {}\n", island.address(), island.port());
    size.inventory(&home, &fleet, &(frozen + &swallowed + &island_host));
    wait_for_nodes(&home, size.n_well + 2);
    fleet.freeze_host("frozen").unwrap();
    let ill_from = now();
    let downs = flap(&island, &daemon, &home);
    daemon.keeps_within(1, PATIENCE);
    let cycles = cycles(&home);
    fleet.thaw_host("frozen").unwrap();
    assert!(!daemon.said().contains("this one is skipped"));
    assert_eq!(daemon.stop().0, Some(0));

    let (before, during) = (between(&cycles, well_from..well_to), between(&cycles, ill_from..u64::MAX));
    let (n_before, n_during) = (before.len(), during.len());
    let told = format!("well: {}\nill: {}", assert_steady(&size, &before), assert_steady(&size, &during));
    let n_up = assert_told(&size, &during, &downs);
    say(&format!("{} hosts\n{told}; the island up in {n_up}", size.n_well + ILL.len()));
    assert!(n_before >= N_BEFORE && n_during >= N_CYCLES, "{told}");
    assert!(n_up >= N_FLAPS && n_during - n_up >= N_FLAPS, "the island up in {n_up} of {told}");
}
