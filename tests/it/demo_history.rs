//! `demo history`: days of a played fleet, and what follows from them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::program::{Home, Ran};

/// Until 18:00 in Chicago on 26 November 2026, when turing-02 has not yet gone for good.
const BEFORE: &str = "2026-11-27T00:00:00Z";

/// Plays days into the folder in which [`Home::query`] looks for the timeline.
fn play(home: &Home, args: &[&str]) -> Ran {
    let folder = home.path("s");
    home.run(&[&["demo", "history", folder.to_str().unwrap(), "--interval", "15m"], args].concat())
}

#[test]
fn a_played_ledger_is_what_follows_from_its_timeline() {
    let home = Home::new();
    let ran = play(&home, &["--days", "2", "--until", BEFORE]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.starts_with("played 2 days of 12 nodes with 70 GPUs: 192 cycles, "), "{}", ran.stdout);
    assert_eq!(home.energies().differences(), Vec::<String>::new());
    let inventory = home.path("s/fleet.toml");
    let rebuilt = home.run(&["ledger", "rebuild", "--dry-run", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.stderr);
    assert!(rebuilt.stdout.contains("differ    none"), "{}", rebuilt.stdout);
    let series = home.query::<(i64, i64)>(
        "SELECT count(*), count(*) FILTER (WHERE key LIKE 'station:%') FROM fleetwatt_series",
    );
    assert_eq!(series, [(74, 4)], "70 boards, and four flows of a station");
}

#[test]
fn the_same_seed_plays_the_same_days() {
    let rows = |args: &[&str]| {
        let home = Home::new();
        assert_eq!(play(&home, &[&["--days", "1", "--until", BEFORE], args].concat()).code, Some(0));
        (home.rows(), home.energies())
    };
    let first = rows(&[]);
    assert!(first == rows(&["--seed", "1"]));
    assert!(first.1 != rows(&["--seed", "2"]).1);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let home = Home::new();
    std::fs::create_dir(home.path("s")).unwrap();
    std::fs::write(home.path("s/fleetwatt.db"), "mine").unwrap();
    let before = home.everything();
    let ran = play(&home, &[]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("is there already, and has something in it: nothing is written"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("name another folder"), "{}", ran.stderr);
    assert_eq!(home.everything(), before);
}

#[test]
fn a_poll_goes_on_with_the_same_boards() {
    let home = Home::new();
    assert_eq!(play(&home, &["--days", "1"]).code, Some(0));
    let covered = "SELECT count(DISTINCT series), sum(covered_ms) FROM fleetwatt_energy";
    let before = home.query::<(i64, i64)>(covered);
    let polled = home.poll(&home.path("s/fleet.toml"), &[]);
    let after = home.query::<(i64, i64)>(covered);
    assert_eq!(before[0].0, after[0].0, "{}{}", polled.stdout, polled.stderr);
    assert!(before[0].1 < after[0].1, "the poll covers the time since the last played cycle");
    assert!(polled.stdout.contains("turing-02: no answer in time"), "{}", polled.stdout);
    assert_eq!(polled.code, Some(3));
}

/// The energy of the boards since a local midnight, as the ledger has it.
fn kwh_since(home: &Home, midnight: &jiff::ZonedDateTime) -> f64 {
    let from_us = midnight.timestamp().as_microsecond();
    let rows = home.query::<(i64, i64)>(
        "SELECT e.quarter, e.energy_mj FROM fleetwatt_energy e JOIN fleetwatt_series s ON s.id = e.series \
         WHERE s.key LIKE 'gpu:%'",
    );
    let millijoules: i64 = rows.iter().filter(|row| from_us <= row.0).map(|row| row.1).sum();
    f64::from(i32::try_from(millijoules / 1_000_000).unwrap()) / 3_600.0
}

#[test]
fn a_poll_says_the_energy_of_the_day_with_its_cost() {
    let home = Home::new();
    assert_eq!(play(&home, &["--days", "2"]).code, Some(0));
    let polled = home.poll(&home.path("s/fleet.toml"), &[]);
    let said = polled.stdout.lines().find_map(|line| line.split_once(" W; today ")).unwrap().1;
    let figures: Vec<&str> = said.split(", ").collect();
    let chicago = jiff::tz::TimeZone::get("America/Chicago").unwrap();
    let midnight = jiff::ZonedDateTime::now().with_time_zone(chicago).start_of_day().unwrap();
    let kwh: f64 = figures[0].trim_end_matches(" kWh").replace(',', "").parse().unwrap();
    let ledger = kwh_since(&home, &midnight);
    assert!((kwh - ledger).abs() < 0.6, "{kwh} kWh said, {ledger} kWh in the ledger");
    // Between the lowest and the highest price of the two tariffs.
    let dollars: f64 = figures[1].trim_end_matches(" USD").replace(',', "").parse().unwrap();
    assert!(0.07 * kwh < dollars && dollars < 0.35 * kwh, "{said}");
    assert!(figures[2].ends_with(" % measured"), "{said}");
}

#[test]
fn an_interval_that_is_none_is_refused_with_words() {
    let home = Home::new();
    let ran = home.run(&["demo", "history", "--interval", "1h"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("write a time from 10s to 15m, such as 5m"), "{}", ran.stderr);
}
