//! The rules of battery stations: when each raises, when it clears, and what it leaves alone.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{MINUTE, cycle, every_rule, facts, keys, node, run, run_keys};
use super::*;
use crate::reading::{AccountTrouble, GridState, Power, Presence, Runtime, Share, Timestamp, Vendor};

static ACME: Vendor =
    Vendor { label: "Acme", source: "acme", up: "acme_up", heartbeat: "acme_heartbeat", figures: &[] };

fn share(percent: i64) -> Share {
    Share::from_millipercent(percent * 1000)
}

/// A station that answers and says nothing but that.
fn station() -> StationFacts {
    StationFacts {
        source: "acme_A".to_owned(),
        name: "F3800 Plus".to_owned(),
        soc: None,
        runtime: None,
        grid: GridState::Unknown,
        grid_was_there: false,
        presence: Presence::Live,
    }
}

fn charged(percent: i64) -> StationFacts {
    StationFacts { soc: Some(share(percent)), ..station() }
}

fn grid(grid: GridState) -> StationFacts {
    StationFacts { grid, grid_was_there: grid == GridState::Present, ..station() }
}

fn silent_since(n: u32) -> StationFacts {
    StationFacts { presence: Presence::Stale(cycle(n)), ..station() }
}

fn of(n: u32, station: StationFacts) -> Facts {
    let account = AccountFacts { vendor: &ACME, stations: vec![station], trouble: None };
    Facts { account: Some(account), ..facts(n, Vec::new()) }
}

fn in_trouble(n: u32, needs_person: bool, stations: Vec<StationFacts>) -> Facts {
    let trouble = AccountTrouble { kind: "x", message: "the password was refused".to_owned(), needs_person };
    Facts {
        account: Some(AccountFacts { vendor: &ACME, stations, trouble: Some(trouble) }),
        ..facts(n, Vec::new())
    }
}

fn series(stations: impl IntoIterator<Item = StationFacts>) -> Vec<Facts> {
    (0..).zip(stations).map(|(n, station)| of(n, station)).collect()
}

fn lasting(hours: u64) -> Runtime {
    Runtime { net_draw: Power::from_watts(1), lasts: Duration::from_secs(hours * 3_600), is_longer: false }
}

#[test]
fn a_low_battery_is_told_once_and_cleared_three_points_above() {
    let low = StationFacts { runtime: Some(lasting(3)), ..charged(28) };
    let told = run(&every_rule(), series([charged(30), low, charged(27), charged(32), charged(33)]));
    assert_eq!(keys(&told[1]), ["+battery_low:acme_A"]);
    assert_eq!(
        told[1][0].message,
        "F3800 Plus: battery at 28 % (limit 30 %), about 3.0 h at the present draw"
    );
    assert_eq!((told[1][0].severity, told[1][0].source.as_str()), (Severity::Warning, "acme_A"));
    assert_eq!((told[0].len(), told[2].len(), told[3].len()), (0, 0, 0));
    assert_eq!(keys(&told[4]), ["-battery_low:acme_A"]);
    assert_eq!(told[4][0].message, "F3800 Plus: battery at 33 % again (limit 30 %)");
}

#[test]
fn a_nearly_empty_battery_is_critical_beside_the_warning() {
    let told = run(&every_rule(), series([charged(20), charged(9), charged(13), charged(40)]));
    assert_eq!(keys(&told[0]), ["+battery_low:acme_A"]);
    assert_eq!(keys(&told[1]), ["+battery_critical:acme_A"]);
    assert_eq!(told[1][0].severity, Severity::Critical);
    assert_eq!(keys(&told[2]), ["-battery_critical:acme_A"]);
    assert_eq!(keys(&told[3]), ["-battery_low:acme_A"]);
}

#[test]
fn a_threshold_near_full_is_cleared_by_a_full_battery() {
    let rules = Rules { battery_below: Some(share(99)), ..Rules::default() };
    let told = run_keys(&rules, series([charged(98), charged(99), charged(100)]));
    assert_eq!(told.concat(), ["+battery_low:acme_A", "-battery_low:acme_A"]);
    assert_eq!(told[2].len(), 1);
}

#[test]
fn a_charge_that_was_not_measured_neither_raises_nor_clears() {
    let told = run_keys(&every_rule(), series([charged(20), station(), silent_since(1), charged(20)]));
    assert_eq!(told.concat(), ["+battery_low:acme_A"]);
}

#[test]
fn a_grid_that_was_there_and_is_gone_is_told_at_once_and_cleared_when_it_is_back() {
    let gone = StationFacts { soc: Some(share(87)), runtime: Some(lasting(7)), ..grid(GridState::Absent) };
    let told = run(
        &every_rule(),
        series([
            grid(GridState::Present),
            gone,
            grid(GridState::Unknown),
            grid(GridState::Absent),
            grid(GridState::Present),
        ]),
    );
    assert_eq!(keys(&told[1]), ["+grid_lost:acme_A"]);
    assert_eq!(
        told[1][0].message,
        "F3800 Plus: the grid is gone; battery at 87 %, about 7.0 h at the present draw"
    );
    assert_eq!(told[1][0].severity, Severity::Critical);
    assert_eq!((told[2].len(), told[3].len()), (0, 0));
    assert_eq!(keys(&told[4]), ["-grid_lost:acme_A"]);
    assert_eq!(told[4][0].message, "F3800 Plus: the grid is back, after 3m");
}

#[test]
fn a_station_that_never_had_a_grid_cannot_lose_it() {
    let told = run(&every_rule(), series([grid(GridState::Absent), grid(GridState::Absent)]));
    assert_eq!(told.concat(), []);
}

#[test]
fn a_grid_that_came_and_went_within_one_cycle_was_there() {
    let both = StationFacts { grid_was_there: true, ..grid(GridState::Absent) };
    assert_eq!(run_keys(&every_rule(), series([both])).concat(), ["+grid_lost:acme_A"]);
}

#[test]
fn a_grid_must_be_gone_for_as_long_as_the_rule_says() {
    let rules = Rules { grid_lost_for: Some(MINUTE * 2), ..Rules::default() };
    let gone = || grid(GridState::Absent);
    let told = run_keys(
        &rules,
        series([grid(GridState::Present), gone(), station(), gone(), grid(GridState::Present), gone()]),
    );
    assert_eq!(told[3], ["+grid_lost:acme_A"]);
    assert_eq!(told.concat().len(), 2);
}

#[test]
fn a_station_is_silent_since_its_last_reading_and_not_since_anybody_looked() {
    let told = run(&every_rule(), [of(10, silent_since(0)), of(15, silent_since(0)), of(16, station())]);
    assert_eq!(told[0].len(), 0);
    assert_eq!(keys(&told[1]), ["+station_silent:acme_A"]);
    assert_eq!(
        told[1][0].message,
        "F3800 Plus has given no answer for 15m: check that it is switched on and in its Wi-Fi"
    );
    assert_eq!(told[1][0].severity, Severity::Warning);
    assert_eq!(told[2][0].message, "F3800 Plus answers again, after 16m");
}

#[test]
fn a_station_that_nobody_could_hear_yet_is_neither_silent_nor_back() {
    let awaited = StationFacts { presence: Presence::Awaited, ..station() };
    let told = run_keys(&every_rule(), [of(20, silent_since(0)), of(21, awaited.clone()), of(60, awaited)]);
    assert_eq!(told.concat(), ["+station_silent:acme_A"]);
}

#[test]
fn a_session_that_needs_a_person_is_critical_at_once_and_without_any_rule() {
    let facts = [
        in_trouble(0, true, Vec::new()),
        in_trouble(1, true, Vec::new()),
        in_trouble(2, false, Vec::new()),
        of(3, station()),
    ];
    let told = run(&Rules::default(), facts);
    assert_eq!(keys(&told[0]), [format!("+{}:acme", Rule::AccountLogin.label())]);
    assert_eq!((told[0][0].severity, told[0][0].source.as_str()), (Severity::Critical, "acme"));
    assert_eq!(told[0][0].message, "Acme: action required: the password was refused");
    // Another trouble does not mean that it works.
    assert_eq!((told[1].len(), told[2].len()), (0, 0));
    assert_eq!(told[3][0].message, "Acme works again, after 3m");
}

#[test]
fn a_trouble_that_may_pass_is_told_when_it_lasts() {
    let told = run(&every_rule(), [0, 14, 15].map(|n| in_trouble(n, false, Vec::new())));
    assert_eq!(keys(&told.concat()), [format!("+{}:acme", Rule::AccountUnreachable.label())]);
    assert_eq!(told[2][0].message, "Acme has been in trouble for 15m: the password was refused");
    let silent = run(&every_rule(), [in_trouble(20, true, vec![silent_since(0)])]).remove(0);
    assert_eq!(
        keys(&silent),
        ["+station_silent:acme_A".to_owned(), format!("+{}:acme", Rule::AccountLogin.label())]
    );
    assert_eq!(silent[0].message, "F3800 Plus has given no answer for 20m: the password was refused");
}

#[test]
fn a_station_that_left_the_account_takes_its_alerts_along() {
    let other = StationFacts { source: "acme_B".to_owned(), ..station() };
    let lost = StationFacts { grid_was_there: true, ..grid(GridState::Absent) };
    let told = run(&every_rule(), [of(0, lost.clone()), of(1, other), of(2, grid(GridState::Absent))]);
    assert_eq!(told[1][0].message, "acme_A is no longer among the stations of the account");
    // It is forgotten that its grid was there, too.
    assert_eq!(told[2], []);
}

#[test]
fn a_session_that_does_not_know_its_stations_clears_nothing() {
    let begun = Facts {
        account: Some(AccountFacts { vendor: &ACME, stations: Vec::new(), trouble: None }),
        ..facts(1, Vec::new())
    };
    let facts = [of(0, charged(20)), begun, in_trouble(2, false, Vec::new()), of(3, charged(20))];
    assert_eq!(run_keys(&every_rule(), facts).concat(), ["+battery_low:acme_A"]);
}

#[test]
fn alerts_end_with_their_section_and_rule_but_not_with_a_poll_of_some_hosts() {
    let mut state = State::default();
    evaluate(&every_rule(), &mut state, &of(0, charged(20)));
    let part = Facts { scope: Scope::Part, ..facts(1, vec![node("a")]) };
    assert_eq!(evaluate(&every_rule(), &mut state.clone(), &part), []);
    let gone = evaluate(&every_rule(), &mut state.clone(), &facts(1, Vec::new()));
    assert_eq!(gone[0].message, "[acme] is no longer in the inventory");
    let unruled = evaluate(&Rules::default(), &mut state.clone(), &of(1, charged(20)));
    assert_eq!(keys(&unruled), ["-battery_low:acme_A"]);
    // Of the stations a poll of some hosts knows as much as one of all.
    let full = Facts { scope: Scope::Part, ..of(1, charged(80)) };
    assert_eq!(keys(&evaluate(&every_rule(), &mut state, &full)), ["-battery_low:acme_A"]);
}

#[test]
fn a_state_of_an_earlier_version_still_loads() {
    let mut state = State::default();
    evaluate(&every_rule(), &mut state, &of(0, StationFacts { grid_was_there: true, ..charged(20) }));
    let mut kept = state.to_value();
    assert_eq!(kept["with_grid"], serde_json::json!(["acme_A"]));
    kept.as_object_mut().unwrap().remove("with_grid");
    let loaded = State::from_text(&kept.to_string()).unwrap();
    assert_eq!(loaded.firing(), state.firing());
}

#[test]
fn no_more_stations_are_remembered_than_any_account_has() {
    let stations = (0..MAX_STATIONS + 5)
        .map(|n| StationFacts { source: format!("acme_{n}"), ..grid(GridState::Present) });
    let account = AccountFacts { vendor: &ACME, stations: stations.collect(), trouble: None };
    let mut state = State::default();
    evaluate(&every_rule(), &mut state, &Facts { account: Some(account), ..facts(0, Vec::new()) });
    assert_eq!(state.to_value()["with_grid"].as_array().map(Vec::len), Some(MAX_STATIONS));
}

fn any_presence() -> impl Strategy<Value = Presence> {
    prop_oneof![
        Just(Presence::Live),
        Just(Presence::Awaited),
        (0..60_u32).prop_map(|n| Presence::Stale(cycle(n))),
        any::<i64>().prop_map(|micros| Presence::Stale(Timestamp::from_micros(micros))),
    ]
}

prop_compose! {
    fn any_station()(
        name in "[ab]",
        soc in proptest::option::of(-10..200_i64),
        grid in 0..3_u8,
        grid_was_there in any::<bool>(),
        presence in any_presence(),
    ) -> StationFacts {
        let grid = match grid {
            0 => GridState::Present,
            1 => GridState::Absent,
            _ => GridState::Unknown,
        };
        let source = format!("acme_{name}");
        StationFacts { source, name, soc: soc.map(share), runtime: None, grid, grid_was_there, presence }
    }
}

prop_compose! {
    pub(super) fn any_account()(
        stations in proptest::collection::vec(any_station(), 0..3),
        trouble in proptest::option::of(any::<bool>()),
    ) -> AccountFacts {
        let trouble = trouble.map(|needs_person| AccountTrouble { kind: "x", message: "w".to_owned(), needs_person });
        AccountFacts { vendor: &ACME, stations, trouble }
    }
}
