//! Energies of polls at times that a test chooses, and their arithmetic by hand.
//!
//! A segment between two readings counts once an interval is known, so the first one of a series does not; it counts up
//! to three intervals. Watts times seconds are joules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeSet;

use crate::fake_clock::FakeClock;
use crate::faults::say;
use crate::program::Home;

/// 2026-11-24T00:00:00Z, the beginning of a quarter-hour.
const MIDNIGHT: i64 = 1_795_478_400;

const MINUTE: i64 = 60;

/// A fleet whose time and boards are set.
struct Played {
    home: Home,
    clock: FakeClock,
}

/// Series, node, millijoules, covered milliseconds and samples.
type Sum = (String, String, i64, i64, i64);

impl Played {
    /// Hosts that are answered from scenes; `None`, which is said, without a C compiler.
    fn new(hosts: &[&str]) -> Option<Self> {
        Self::with(hosts, "")
    }

    /// The same with more in the inventory.
    fn with(hosts: &[&str], more: &str) -> Option<Self> {
        let home = Home::new();
        let Some(clock) = FakeClock::new(&home.path("")) else {
            say("passed over: there is no C compiler");
            return None;
        };
        let host = |host: &&str| format!("[[host]]\nname = \"{host}\"\nscripted = \"{host}.toml\"\n");
        home.inventory(&(hosts.iter().map(host).collect::<String>() + more));
        let home = clock.variables().iter().fold(home, |home, (name, value)| home.with(name, value));
        Some(Self { home, clock })
    }

    /// The boards of a host: the letter and the watts of each.
    fn boards(&self, host: &str, boards: &[(&str, u32)], more: &str) {
        let board = |(index, (letter, watts)): (usize, &(&str, u32))| {
            let draws = ["power.draw", "power.draw.average", "power.draw.instant"];
            let draws = draws.map(|draw| format!("\"{draw}\" = \"{watts}.00 W\"")).join(", ");
            format!("[[gpu]]\nindex = {index}\nset = {{ uuid = \"GPU-{letter}\", {draws} }}\n")
        };
        let boards_text: String = boards.iter().enumerate().map(board).collect();
        let text = format!("gpus = {}\n{more}\n{boards_text}", boards.len());
        std::fs::write(self.home.path(&format!("{host}.toml")), text).unwrap();
    }

    /// A poll so many minutes after midnight, with this exit code; gives its text.
    fn poll_at(&self, minute: i64, code: i32) -> String {
        self.clock.stop_at(MIDNIGHT + minute * MINUTE);
        let polled = self.home.poll(&self.home.path("inventory.toml"), &[]);
        assert_eq!(polled.code, Some(code), "minute {minute}: {}{}", polled.stdout, polled.stderr);
        polled.stdout
    }

    /// The sums of the ledger by series and node.
    fn sums(&self) -> Vec<Sum> {
        self.home.query(
            "SELECT s.key, n.name, sum(e.energy_mj), sum(e.covered_ms), sum(e.samples) FROM fleetwatt_energy e \
             JOIN fleetwatt_series s ON s.id = e.series JOIN fleetwatt_node n ON n.id = e.node \
             GROUP BY 1, 2 ORDER BY 1, 2",
        )
    }

    /// The ledger is what follows from the timeline.
    fn holds(&self) {
        assert_eq!(self.home.energies().differences(), Vec::<String>::new());
    }
}

fn sum(letter: &str, node: &str, joules: i64, seconds: i64, samples: i64) -> Sum {
    (format!("gpu:GPU-{letter}"), node.to_owned(), joules * 1_000, seconds * 1_000, samples)
}

#[test]
fn a_board_that_moves_to_another_node_goes_on_there() {
    let Some(played) = Played::new(&["a", "b"]) else { return };
    played.boards("a", &[("X", 100), ("Y", 300)], "");
    played.boards("b", &[("Z", 50)], "");
    (0..=3).for_each(|minute| drop(played.poll_at(minute, 0)));
    played.boards("a", &[("Y", 300)], "");
    played.boards("b", &[("Z", 50), ("X", 200)], "");
    // One board less than it ever showed is a fault of `a`.
    (4..=7).for_each(|minute| drop(played.poll_at(minute, 3)));
    let expected = [
        // Minutes 1 to 3: 2 * 60 s * 100 W.
        sum("X", "a", 12_000, 120, 4),
        // From 100 W to 200 W in a minute, which belongs to where it ends: 60 s * 150 W; then 3 * 60 s * 200 W.
        sum("X", "b", 9_000 + 36_000, 240, 4),
        // Minutes 1 to 7: 6 * 60 s * 300 W, and 6 * 60 s * 50 W.
        sum("Y", "a", 108_000, 360, 8),
        sum("Z", "b", 18_000, 360, 8),
    ];
    assert_eq!(played.sums(), expected);
    played.holds();
}

#[test]
fn boards_that_change_their_places_keep_their_energies() {
    let Some(played) = Played::new(&["a"]) else { return };
    played.boards("a", &[("X", 100), ("Y", 300)], "");
    (0..=2).for_each(|minute| drop(played.poll_at(minute, 0)));
    played.boards("a", &[("Y", 300), ("X", 100)], "");
    (3..=6).for_each(|minute| drop(played.poll_at(minute, 0)));
    // Minutes 1 to 6: 5 * 60 s * 100 W, and 5 * 60 s * 300 W.
    assert_eq!(played.sums(), [sum("X", "a", 30_000, 300, 7), sum("Y", "a", 90_000, 300, 7)]);
    let sources: BTreeSet<(String,)> = played
        .home
        .query("SELECT source FROM unified_timeline WHERE event_type = 'gpu_power_draw'")
        .into_iter()
        .collect();
    assert_eq!(sources.len(), 2, "the events are called by the places: {sources:?}");
    played.holds();
}

#[test]
fn of_eight_boards_the_one_that_is_lost_for_an_hour_has_a_gap_and_no_other_has() {
    const LETTERS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
    let Some(played) = Played::new(&["a"]) else { return };
    let boards = LETTERS.map(|letter| (letter, 400));
    // Every five minutes for three hours; from the first to the second board 5 is lost.
    for minute in (0..=180).step_by(5) {
        let is_lost = (60..120).contains(&minute);
        played.boards("a", &boards, if is_lost { "cells-lost = 5" } else { "" });
        played.poll_at(minute, if is_lost { 3 } else { 0 });
    }
    let expected = LETTERS.map(|letter| match letter {
        // Readings 0 to 55 and 120 to 180: 10 and 12 segments of 300 s at 400 W. From 55 to 120 is more than three
        // intervals.
        "F" => sum(letter, "a", 22 * 300 * 400, 22 * 300, 12 + 13),
        // 36 segments but the first.
        _ => sum(letter, "a", 35 * 300 * 400, 35 * 300, 37),
    });
    assert_eq!(played.sums(), expected);
    let quarters: Vec<(i64, i64)> = played.home.query(
        "SELECT (e.quarter / 1000000 - 1795478400) / 900, e.covered_ms FROM fleetwatt_energy e \
         JOIN fleetwatt_series s ON s.id = e.series WHERE s.key = 'gpu:GPU-F' ORDER BY 1",
    );
    // The fourth quarter ends with the reading at 55 minutes; the last has the reading at 180 and no time.
    let expected =
        [(0, 600), (1, 900), (2, 900), (3, 600), (8, 900), (9, 900), (10, 900), (11, 900), (12, 0)];
    assert_eq!(quarters, expected.map(|(quarter, seconds)| (quarter, seconds * 1_000)));
    played.holds();
}

#[test]
fn a_node_that_is_down_for_nine_hours_costs_its_own_time_alone() {
    let Some(played) = Played::new(&["a", "down"]) else { return };
    played.boards("a", &[("A", 100)], "");
    // Every quarter-hour for half a day; down from 02:15 to 11:15.
    for quarter in 0..=48 {
        let is_down = (9..45).contains(&quarter);
        played.boards("down", &[("B", 250)], if is_down { "fault = \"no-driver\"" } else { "" });
        played.poll_at(15 * quarter, if is_down { 3 } else { 0 });
    }
    let expected = [
        // 48 segments but the first.
        sum("A", "a", 47 * 900 * 100, 47 * 900, 49),
        // 00:15 to 02:00 and 11:15 to 12:00: 7 and 3 segments.
        sum("B", "down", 10 * 900 * 250, 10 * 900, 9 + 4),
    ];
    assert_eq!(played.sums(), expected);
    let down: Vec<(i64, i64)> = played.home.query(
        "SELECT count(*), count(DISTINCT metadata ->> 'outcome') FROM unified_timeline \
         WHERE event_type = 'node_up' AND source = 'node_down' AND value = 0",
    );
    assert_eq!(down, [(36, 1)], "each attempt says why");
    played.holds();
}

#[test]
fn the_day_so_far_is_priced_by_its_files() {
    let tariff =
        "[[tariff]]\nname = \"market\"\ncurrency = \"EUR\"\n[tariff.prices]\nfile = \"prices.csv\"\n";
    let Some(played) = Played::with(&["a"], tariff) else { return };
    let prices = "start,end,price\n2026-11-24T00:00Z,2026-11-24T01:00Z,0.10\n\
                  2026-11-24T01:00Z,2026-11-24T02:00Z,0.10\n2026-11-24T02:00Z,2026-11-24T03:00Z,0.40\n";
    std::fs::write(played.home.path("prices.csv"), prices).unwrap();
    played.boards("a", &["A", "B", "C", "D", "E", "F", "G", "H"].map(|letter| (letter, 400)), "");
    // Each one, as an iterator asked for its end alone would make only the last.
    let text = (0..=12).fold(String::new(), |_, quarter| played.poll_at(15 * quarter, 0));
    // From 00:15 to 03:00 at 3.2 kW: 7 quarters at 0.10 and 4 at 0.40 for 0.8 kWh each; 11 of 12 quarters.
    assert!(text.ends_with("; today 8.80 kWh, 1.84 EUR, 91.7 % measured\n"), "{text}");
}
