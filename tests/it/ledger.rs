//! The ledger of the real program: whatever happens to it, the energies are those that follow from the timeline.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use fleetwatt::batch::{TimelineReader, TimelineRow};
use fleetwatt::ledger::Book;
use fleetwatt::reading::Timestamp;

use crate::program::{Home, signal};

const PATIENCE: Duration = Duration::from_secs(40);

/// Energy, covered time, samples, minimum, maximum and busy time of a series on a node in a quarter.
type Figures = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

/// The figures by series, node, and the beginning of the quarter in microseconds.
type Ledger = BTreeMap<(String, String, i64), Figures>;

fn ledger(home: &Home) -> Ledger {
    type Row = (String, String, i64, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);
    let sql = "SELECT s.key, n.name, e.quarter, e.energy_mj, e.covered_ms, e.samples, e.min_mw, e.max_mw, e.busy_ms \
               FROM fleetwatt_energy e JOIN fleetwatt_series s ON s.id = e.series JOIN fleetwatt_node n ON n.id = e.node";
    let rows: Vec<Row> = home.query(sql);
    rows.into_iter()
        .map(|(series, node, quarter, energy, covered, samples, min, max, busy)| {
            ((series, node, quarter), (energy, covered, samples, min, max, busy))
        })
        .collect()
}

/// The ledger that follows from the rows of the timeline, all at once and in the order of time.
fn rebuilt(home: &Home) -> Ledger {
    let sql = "SELECT event_type, source, value, metadata, created_at FROM unified_timeline ORDER BY created_at, event_type, id";
    let rows: Vec<(String, String, Option<f64>, String, i64)> = home.query(sql);
    let mut reader = TimelineReader::new(&[]);
    let readings: Vec<_> = rows
        .iter()
        .filter_map(|(event_type, source, value, metadata, at)| {
            reader.read(&TimelineRow {
                event_type,
                source,
                value: value.unwrap_or_default(),
                metadata,
                at: Timestamp::from_micros(*at),
            })
        })
        .collect();
    let booking = Book::default().book(&readings, None);
    booking
        .rows
        .into_iter()
        .map(|row| {
            let entry = row.entry;
            let figures =
                (entry.energy_mj, entry.covered_ms, entry.samples, entry.min_mw, entry.max_mw, entry.busy_ms);
            ((row.series, row.node, row.quarter.start().micros()), figures)
        })
        .collect()
}

fn total(ledger: &Ledger) -> (i64, i64) {
    ledger.values().fold((0, 0), |sum, figures| (sum.0 + figures.0, sum.1 + figures.1))
}

/// Waits until the timeline has so many cycles.
fn wait_for_cycles(home: &Home, n_cycles: i64) {
    let deadline = Instant::now() + PATIENCE;
    let sql = "SELECT count(*) FROM unified_timeline WHERE event_type = 'cluster_gpu_power_total'";
    while home.query::<(i64,)>(sql).first().is_none_or(|count| count.0 < n_cycles) {
        assert!(Instant::now() < deadline, "{n_cycles} cycles did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(home: &Home, sample: &str) -> Child {
    let demo = format!("{}/fixtures/demo", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "[cycle]\ninterval = \"1s\"\n[defaults]\ntimeout = \"900ms\"\n{sample}\n\
         [[host]]\nname = \"redfin\"\nscripted = \"{demo}/redfin.toml\"\n\
         [[host]]\nname = \"rack1-01\"\nscripted = \"{demo}/h100x8.toml\"\n"
    );
    let inventory = home.inventory(&text);
    home.start(&["run", "--inventory", inventory.to_str().unwrap()])
}

fn end(mut child: Child, which: rustix::process::Signal) {
    signal(i32::try_from(child.id()).unwrap(), which);
    child.wait().unwrap();
}

fn lives(sample: &str) {
    let home = Home::new();
    for life in 1..=4 {
        let child = start(&home, sample);
        wait_for_cycles(&home, 3 * life);
        end(child, rustix::process::Signal::KILL);
    }
    let child = start(&home, sample);
    wait_for_cycles(&home, 16);
    end(child, rustix::process::Signal::TERM);
    let (kept, computed) = (ledger(&home), rebuilt(&home));
    assert_eq!(kept, computed);
    let (energy, covered) = total(&kept);
    assert!(energy > 0 && covered > 9_000, "{energy} mJ in {covered} ms");
}

#[test]
fn after_four_kills_it_is_what_follows_from_the_timeline() {
    lives("");
}

#[test]
fn so_it_is_where_hosts_are_sampled_between_cycles() {
    lives("sample = \"200ms\"");
}
