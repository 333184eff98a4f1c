//! Reports of ledgers that are written by hand, with their arithmetic.

#![allow(clippy::float_cmp, reason = "sums of whole millijoules are exact")]

use std::collections::BTreeSet;

use super::test_ledger::{TestLedger, row};
use super::{BOUNDARY, Report, Row};
use crate::ledger::{Calibration, Calibrations, MeasuredBoard};

/// A day of Chicago's winter: 96 quarters.
fn day() -> TestLedger {
    TestLedger::new("2026-11-12T00:00", "2026-11-13T00:00", "America/Chicago")
        .node("hgx-01", "")
        .node("hgx-02", "")
}

fn groups(report: &Report) -> Vec<&str> {
    report.rows.iter().map(|row| row.group.as_str()).collect()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9 * other.abs().max(1.0)
}

fn at(row: &Row) -> (String, String) {
    (row.from.to_string(), row.to.to_string())
}

#[test]
fn a_kilowatt_for_a_day_is_24_kilowatt_hours() {
    let report = day().steady("hgx-01", "GPU-1", 0..96, 1_000).report();
    let one = row(&report, "hgx-01");
    assert_eq!((one.energy_kwh, one.measured_share, one.unmeasured_h), (24.0, Some(1.0), 0.0));
    assert_eq!((one.mean_w, one.peak_w, one.peak_quarter_kw), (Some(1_000.0), Some(1_000.0), Some(1.0)));
    assert_eq!((one.gpus, one.share, one.energy_cost, one.co2_kg), (1, Some(1.0), None, None));
    // 2 x 4.6 % of 24 kWh are 2.208.
    assert_eq!(one.u_kwh, Some(2.2));
    assert_eq!(at(one), ("2026-11-12T00:00:00-06:00".to_owned(), "2026-11-13T00:00:00-06:00".to_owned()));
    assert_eq!((report.scope.days, report.scope.nodes, report.scope.gpus), (1, 1, 1));
    assert!(report.costs.is_empty() && report.bands.is_empty() && report.gaps.is_empty());
}

#[test]
fn a_node_has_the_sum_of_the_means_of_its_boards_and_no_highest_reading() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..96, 300).steady("hgx-01", "GPU-2", 0..48, 500);
    let report = ledger.report();
    let one = row(&report, "hgx-01");
    // 300 W and 500 W while each was measured; the second was for half of the time: (24 + 12) / 48.
    assert_eq!((one.mean_w, one.peak_w, one.measured_share), (Some(800.0), None, Some(0.75)));
    assert_eq!((one.energy_kwh, one.unmeasured_h), (0.3 * 24.0 + 0.5 * 12.0, 12.0));
    // Both were measured together.
    assert_eq!(one.peak_quarter_kw, Some(0.8));
}

#[test]
fn a_board_that_moves_is_one_and_each_node_has_its_part_and_its_time() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..40, 400).steady("hgx-02", "GPU-1", 44..96, 400);
    let report = ledger.report();
    let (old, new) = (row(&report, "hgx-01"), row(&report, "hgx-02"));
    // 40 and 52 quarters of 0.1 kWh; the hour on the way belongs to the node where it was last.
    assert!(near(old.energy_kwh, 4.0) && near(new.energy_kwh, 5.2));
    assert_eq!((old.unmeasured_h, new.unmeasured_h), (1.0, 0.0));
    assert_eq!((old.measured_share, new.measured_share), (Some(40.0 / 44.0), Some(1.0)));
    assert_eq!((old.gpus, new.gpus, report.total.gpus, report.scope.gpus), (1, 1, 1, 1));
    let boards = ledger.by("gpu").report();
    assert_eq!(groups(&boards), ["hgx-02 GPU-1"]);
    assert_eq!((boards.rows[0].node.as_deref(), boards.rows[0].gpus), (Some("hgx-02"), 1));
}

#[test]
fn a_report_of_some_nodes_does_not_miss_a_board_that_left_them() {
    let mut ledger = day().steady("hgx-01", "GPU-1", 0..40, 400).steady("hgx-02", "GPU-1", 44..96, 400);
    ledger = ledger.steady("hgx-02", "GPU-2", 0..96, 400);
    ledger.selected = Some(["hgx-01".to_owned()].into());
    let report = ledger.by("gpu").report();
    assert_eq!(groups(&report), ["hgx-01 GPU-1"]);
    assert_eq!((report.total.unmeasured_h, report.scope.gpus, report.scope.nodes), (1.0, 1, 1));
    assert!(near(report.total.energy_kwh, 4.0));
}

#[test]
fn a_board_is_called_by_its_latest_index_and_stays_one_when_it_changes() {
    let mut ledger = day().steady("hgx-01", "GPU-7f9a1c00-0000", 0..96, 400).by("gpu");
    assert_eq!(groups(&ledger.report()), ["hgx-01 GPU-7f9a1c00"]);
    ledger.indices.insert(1, 3);
    assert_eq!(groups(&ledger.report()), ["hgx-01 GPU 3"]);
}

#[test]
fn a_board_that_is_lost_for_an_hour_misses_an_hour() {
    let mut ledger = day();
    for n in 0..7 {
        ledger = ledger.steady("hgx-01", &format!("GPU-{n}"), 0..96, 500);
    }
    ledger = ledger.steady("hgx-01", "GPU-7", 0..40, 500).steady("hgx-01", "GPU-7", 44..96, 500);
    ledger.indices.insert(8, 6);
    let report = ledger.reasons(&["GPU is lost"]).report();
    // 8 x 24 h less one.
    let one = row(&report, "hgx-01");
    assert_eq!((one.unmeasured_h, one.measured_share), (1.0, Some(191.0 / 192.0)));
    let [gap] = &report.gaps[..] else { panic!("{:?}", report.gaps) };
    assert_eq!((gap.what.as_str(), gap.gpu_hours, gap.reason.as_str()), ("hgx-01 GPU 6", 1.0, "GPU is lost"));
    assert_eq!(gap.from.as_ref().unwrap().to_string(), "2026-11-12T10:00:00-06:00");
    assert_eq!(gap.to.as_ref().unwrap().to_string(), "2026-11-12T11:00:00-06:00");
    // 87.5 % of the boards are no peak of the node, but there are other quarters.
    assert_eq!(one.peak_quarter_kw, Some(4.0));
}

#[test]
fn a_node_that_is_down_for_nine_hours_is_one_gap_of_all_its_boards() {
    let mut ledger = day();
    for n in 0..8 {
        let uuid = format!("GPU-{n}");
        ledger = ledger.steady("hgx-01", &uuid, 0..9, 500).steady("hgx-01", &uuid, 45..96, 500);
    }
    let report = ledger.steady("hgx-02", "GPU-x", 0..96, 500).report();
    let [gap] = &report.gaps[..] else { panic!("{:?}", report.gaps) };
    assert_eq!((gap.number, gap.what.as_str(), gap.gpu_hours), (Some(1), "hgx-01", 72.0));
    assert_eq!((report.total.unmeasured_h, gap.reason.as_str()), (72.0, "the reason is not known"));
}

#[test]
fn all_nodes_and_neighbours_are_gaps_of_their_own_and_the_rest_is_told_with_them() {
    let mut ledger = TestLedger::new("2026-11-12T00:00", "2026-11-13T00:00", "UTC");
    for n in 1..=4 {
        let (node, uuid) = (format!("hgx-{n:02}"), format!("GPU-{n}"));
        ledger = ledger.node(&node, "").steady(&node, &uuid, 0..8, 500).steady(&node, &uuid, 12..40, 500);
        // The first two are away for an hour, and all read less than all of one quarter.
        let from = if n <= 2 { 44 } else { 40 };
        ledger = ledger.steady(&node, &uuid, from..95, 500).covered(&node, &uuid, 95..96, 500, 600_000);
    }
    let report = ledger.report();
    let told: Vec<_> = report.gaps.iter().map(|gap| (gap.number, gap.what.as_str(), gap.gpu_hours)).collect();
    // 4 x 5 minutes are a third of an hour.
    let rest = 4.0 * 300.0 / 3_600.0;
    assert_eq!(
        told,
        [(Some(1), "all nodes", 4.0), (Some(2), "hgx-[01-02]", 2.0), (None, "single readings", rest)]
    );
    assert!(near(report.total.unmeasured_h, 6.0 + rest));
}

#[test]
fn a_board_is_expected_from_its_first_row_or_from_the_beginning_if_it_was_seen_before() {
    let ledger = day().steady("hgx-01", "GPU-1", 48..96, 400);
    assert_eq!(ledger.report().total.unmeasured_h, 0.0);
    let seen = ledger.clone().seen("hgx-01", "GPU-1", 31 * 96);
    assert_eq!(seen.report().total.unmeasured_h, 12.0);
    let forgotten = ledger.seen("hgx-01", "GPU-1", 31 * 96 + 1);
    assert_eq!(forgotten.report().total.unmeasured_h, 0.0);
}

#[test]
fn a_board_that_was_seen_before_and_never_since_is_missed_while_its_node_is_known() {
    let ledger = day().steady("hgx-02", "GPU-2", 0..96, 400).seen("hgx-01", "GPU-1", 1);
    let report = ledger.report();
    assert_eq!(
        (row(&report, "hgx-01").unmeasured_h, row(&report, "hgx-01").measured_share),
        (24.0, Some(0.0))
    );
    let down = row(&report, "hgx-01").down_since.as_ref().unwrap();
    assert_eq!(down.to_string(), "2026-11-12T00:00:00-06:00");
    let mut gone = ledger;
    gone.nodes.remove("hgx-01");
    assert_eq!(groups(&gone.report()), ["hgx-02"]);
}

#[test]
fn nodes_that_all_went_at_once_are_not_down() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..24, 400).steady("hgx-02", "GPU-2", 0..24, 400);
    let down =
        |ledger: &TestLedger| ledger.report().rows.iter().filter(|row| row.down_since.is_some()).count();
    assert_eq!(down(&ledger), 0);
    let one_went_later = ledger.node("hgx-03", "").steady("hgx-03", "GPU-3", 0..25, 400);
    assert_eq!(down(&one_went_later), 2);
}

#[test]
fn a_board_whose_node_left_the_inventory_ends_with_its_last_row() {
    let mut ledger = day().steady("hgx-01", "GPU-1", 0..24, 400);
    let there = ledger.report();
    assert_eq!(there.total.unmeasured_h, 18.0);
    assert_eq!(there.rows[0].down_since.as_ref().unwrap().to_string(), "2026-11-12T06:00:00-06:00");
    ledger.nodes.remove("hgx-01");
    let gone = ledger.report();
    assert_eq!((gone.total.unmeasured_h, gone.rows[0].down_since.clone()), (0.0, None));
}

#[test]
fn a_board_that_was_exchanged_is_not_missed() {
    let ledger = day().steady("hgx-01", "GPU-old", 0..24, 400).steady("hgx-01", "GPU-new", 32..96, 400);
    assert_eq!((ledger.report().total.unmeasured_h, ledger.report().total.gpus), (0.0, 2));
    // One that was there all along has taken no place.
    let ledger = day().steady("hgx-01", "GPU-old", 0..24, 400).steady("hgx-01", "GPU-new", 0..96, 400);
    assert_eq!(ledger.report().total.unmeasured_h, 18.0);
}

#[test]
fn nothing_is_expected_of_the_future_nor_of_what_is_left_of_the_running_quarter() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..10, 400).covered("hgx-01", "GPU-1", 10..11, 400, 300_000);
    let report = ledger.now(10, 330).report();
    assert_eq!((report.total.unmeasured_h, report.total.measured_share), (0.0, Some(1.0)));
}

#[test]
fn a_peak_is_a_quarter_of_which_90_percent_were_measured() {
    let ledger = day()
        .steady("hgx-01", "GPU-1", 0..96, 400)
        .steady("hgx-01", "GPU-2", 0..20, 400)
        .covered("hgx-01", "GPU-2", 20..21, 4_000, 700_000)
        .covered("hgx-01", "GPU-2", 21..22, 500, 720_000)
        .steady("hgx-01", "GPU-2", 22..96, 400);
    let one = ledger.report().rows.remove(0);
    // In quarter 20 900 + 700 of 1,800 s were measured: 88.9 %. In quarter 21 it is 90.0 %, and (400 * 900 + 500 * 720)
    // / 900 are 800 W: no more than in the first.
    assert_eq!(one.peak_quarter_kw, Some(0.8));
    assert_eq!(one.peak_quarter_at.unwrap().to_string(), "2026-11-12T00:00:00-06:00");
    let never = day().covered("hgx-01", "GPU-1", 0..96, 400, 800_000).report();
    assert_eq!((never.rows[0].peak_quarter_kw, never.rows[0].peak_quarter_at.clone()), (None, None));
}

#[test]
fn the_running_quarter_is_no_peak_before_it_was_measured_whole() {
    // Five minutes at 2 kW are 0.667 kW of the quarter-hour, of which two thirds are still to come.
    let ledger = day().covered("hgx-01", "GPU-1", 10..11, 2_000, 300_000).now(10, 330);
    assert_eq!(ledger.report().total.peak_quarter_kw, None);
    let ledger = day().covered("hgx-01", "GPU-1", 10..11, 2_000, 840_000).now(10, 850);
    assert!(near(ledger.report().total.peak_quarter_kw.unwrap(), 2.0 * 840.0 / 900.0));
}

#[test]
fn the_beginning_of_the_readings_is_told_where_the_range_begins_earlier() {
    let told =
        |ledger: &TestLedger| ledger.report().notes.iter().find(|note| note.contains("begin")).cloned();
    let month = TestLedger::new("2026-10-01T00:00", "2026-11-01T00:00", "UTC").node("hgx-01", "");
    let late = month.clone().steady("hgx-01", "GPU-1", 28 * 96..31 * 96, 400);
    assert_eq!(
        told(&late).unwrap(),
        "Readings begin on 29 October 2026: 28 days of the range are before it, and in no figure."
    );
    let same_day = month.clone().steady("hgx-01", "GPU-1", 37..31 * 96, 400);
    let same_day = told(&same_day).unwrap();
    assert!(
        same_day.starts_with("Readings begin on 1 October 2026, 09:15: 9 h 15 min of the range"),
        "{same_day}"
    );
    assert_eq!(told(&month.steady("hgx-01", "GPU-1", 0..31 * 96, 400)), None);
    assert_eq!(told(&late.seen("hgx-01", "GPU-1", 4)), None);
}

#[test]
fn nodes_that_never_answered_are_named() {
    let told =
        |ledger: &TestLedger| ledger.report().notes.iter().find(|note| note.contains("no reading")).cloned();
    let ledger = day().steady("hgx-01", "GPU-1", 0..96, 400).steady("hgx-02", "GPU-2", 0..96, 400);
    assert_eq!(told(&ledger), None);
    let mut ledger = ledger.node("n1", "");
    assert_eq!(
        told(&ledger).unwrap(),
        "n1 gave no reading in this time, and how many GPUs it has is not known: it is in no figure."
    );
    assert_eq!(ledger.report().scope.silent_nodes, ["n1"]);
    ledger = (2..=7).fold(ledger, |ledger, n| ledger.node(&format!("n{n}"), ""));
    assert!(told(&ledger).unwrap().starts_with("n1, n2, n3, n4, n5 … and 2 more gave no reading"));
    ledger.selected = Some(["hgx-01".to_owned(), "n3".to_owned()].into());
    assert!(told(&ledger).unwrap().starts_with("n3 gave no reading"));
}

#[test]
fn idle_energy_is_that_of_quarters_in_which_less_than_the_bound_was_busy() {
    let ledger = day().idle("hgx-01", "GPU-1", 0..24, 100).steady("hgx-01", "GPU-1", 24..96, 400);
    assert!(near(ledger.report().rows[0].idle_kwh.unwrap(), 0.6));
    let mut unknown = day().steady("hgx-01", "GPU-1", 0..96, 400);
    unknown.rows.iter_mut().for_each(|row| row.entry.busy_ms = None);
    assert_eq!(unknown.report().rows[0].idle_kwh, None);
}

#[test]
fn idle_energy_of_rolled_up_days_is_not_known() {
    let days = TestLedger::new("2026-11-12T00:00", "2026-11-14T00:00", "UTC").node("a", "");
    let told = |report: &Report| report.notes.iter().find(|note| note.contains("idle")).cloned();
    let mut ledger = days.clone().day("a", "GPU-1", 0, 500, 24);
    ledger.rows[0].entry.busy_ms = Some(0);
    let report = ledger.clone().report();
    assert_eq!(report.total.idle_kwh, None);
    assert_eq!(
        told(&report).unwrap(),
        "Peaks and idle energy are without 1 day that was rolled up: both are known by quarter-hour, which \
         `keep_quarters` in `[ledger]` keeps."
    );
    let report = ledger.idle("a", "GPU-1", 96..100, 100).report();
    assert!(near(report.total.idle_kwh.unwrap(), 0.1));
    assert_eq!(told(&days.idle("a", "GPU-1", 96..100, 100).report()), None);
}

#[test]
fn days_on_which_the_clock_is_changed_have_23_and_25_hours() {
    for (from, to, quarters) in
        [("2026-03-29T00:00", "2026-03-30T00:00", 92), ("2026-10-25T00:00", "2026-10-26T00:00", 100)]
    {
        let ledger =
            TestLedger::new(from, to, "Europe/Berlin").node("a", "").steady("a", "GPU-1", 0..quarters, 1_000);
        let report = ledger.by("day").report();
        let hours = f64::from(i32::try_from(quarters).unwrap()) / 4.0;
        assert_eq!((report.rows.len(), report.rows[0].energy_kwh), (1, hours));
        assert_eq!((report.rows[0].unmeasured_h, report.scope.days), (0.0, 1));
    }
}

#[test]
fn local_days_of_odd_zones_are_whole() {
    for zone in ["Asia/Kathmandu", "America/St_Johns"] {
        let ledger = TestLedger::new("2026-01-15T00:00", "2026-01-17T00:00", zone).node("a", "");
        let report = ledger.steady("a", "GPU-1", 0..192, 1_000).by("day").report();
        let days: Vec<_> = report.rows.iter().map(|row| (row.group.as_str(), row.energy_kwh)).collect();
        assert_eq!(days, [("2026-01-15", 24.0), ("2026-01-16", 24.0)], "{zone}");
    }
}

#[test]
fn groups_are_in_the_order_of_energy_and_times_in_their_own() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..96, 100).steady("hgx-02", "GPU-2", 0..4, 500);
    let ledger = ledger.steady("hgx-02", "GPU-2", 4..96, 300);
    assert_eq!(groups(&ledger.clone().by("node").report()), ["hgx-02", "hgx-01"]);
    let hours = ledger.clone().by("hour").report();
    assert_eq!((hours.rows.len(), hours.rows[0].group.as_str()), (24, "2026-11-12 00:00"));
    assert_eq!(at(&hours.rows[23]).1, "2026-11-13T00:00:00-06:00");
    let both = ledger.by("node,hour").report();
    assert_eq!((both.rows.len(), both.rows[24].group.as_str()), (48, "hgx-01 / 2026-11-12 00:00"));
}

#[test]
fn of_many_groups_the_largest_stand_alone_and_the_rest_together() {
    let mut ledger = TestLedger::new("2026-11-12T00:00", "2026-11-13T00:00", "UTC");
    for n in 1..=5_i64 {
        let node = format!("n{n}");
        ledger = ledger.node(&node, "").steady(&node, &format!("GPU-{n}"), 0..96, n * 100);
    }
    ledger.question.top = Some(2);
    let report = ledger.report();
    assert_eq!(groups(&report), ["n5", "n4", "3 more"]);
    let rest = &report.rows[2];
    assert_eq!((rest.gpus, rest.peak_quarter_kw), (3, Some(0.6)));
    assert!(near(rest.energy_kwh, 0.6 * 24.0));
}

#[test]
fn two_names_are_joined_by_what_neither_has_and_hide_nothing() {
    let ledger = day().node("a / b", "no\u{202e}rth").steady("a / b", "GPU-1", 0..96, 400);
    let report = ledger.by("node,label:site").report();
    assert_eq!(groups(&report), ["a/b / north"]);
    assert_eq!(report.scope.sites, ["north"]);
}

#[test]
fn a_label_that_a_node_does_not_have_is_a_group_of_its_own() {
    let ledger = day().node("hgx-01", "north").steady("hgx-01", "GPU-1", 0..96, 400);
    let report = ledger.steady("hgx-02", "GPU-2", 0..96, 300).by("label:site").report();
    assert_eq!(groups(&report), ["north", "no site"]);
    assert_eq!(report.scope.sites, ["north"]);
}

#[test]
fn a_gain_that_was_measured_holds_for_all_figures_and_estimates_have_none() {
    use crate::ledger::{Calibration, Calibrations, MeasuredBoard};
    let mut ledger = day().steady("hgx-01", "GPU-1", 0..96, 1_000);
    let calibration = Calibration { gain: 1.1, relative: Some(0.01) };
    let of_board = (MeasuredBoard::Uuid("GPU-1".to_owned()), calibration);
    ledger.calibrations = Calibrations::new([of_board].into());
    let total = ledger.report().total;
    assert!(near(total.energy_kwh, 26.4) && near(total.peak_w.unwrap(), 1_100.0));
    // 2 % of 26.4 kWh are 0.528.
    assert_eq!(total.u_kwh, Some(0.53));
    for row in &mut ledger.names.series.values_mut() {
        row.model = "Quadro K620".to_owned();
    }
    ledger.calibrations = Calibrations::default();
    let total = ledger.report().total;
    assert_eq!((total.u_kwh, total.estimated_kwh), (None, Some(24.0)));
}

#[test]
fn what_was_not_measured_is_estimated_in_a_column_of_its_own_alone() {
    let ledger = day().steady("hgx-01", "GPU-1", 0..48, 400).seen("hgx-02", "GPU-2", 3);
    let mut filled = ledger.clone();
    filled.question.is_filled = true;
    let (plain, filled) = (ledger.report().total, filled.report().total);
    assert_eq!((plain.energy_kwh, plain.filled_kwh), (filled.energy_kwh, None));
    // Half a day at 400 W; of the board that was never measured nothing is known.
    assert!(near(filled.filled_kwh.unwrap(), 4.8));
}

#[test]
fn bills_are_shared_out_by_what_was_measured_at_their_site() {
    let ledger = day().node("hgx-01", "north").node("hgx-02", "south");
    let ledger = ledger.steady("hgx-01", "GPU-1", 0..96, 100).steady("hgx-02", "GPU-2", 0..96, 200);
    let billed = |ledger: TestLedger| {
        let report = ledger.report();
        let of_rows: Vec<_> = report.rows.iter().map(|row| row.billed_kwh).collect();
        (of_rows, report.total.billed_kwh)
    };
    assert_eq!(billed(ledger.clone().bill("10kWh")), (vec![Some(6.667), Some(3.333)], Some(10.0)));
    assert_eq!(
        billed(ledger.clone().bill("10@north").bill("5@south")),
        (vec![Some(5.0), Some(10.0)], Some(15.0))
    );
    let unknown = ledger.bill("5@east").report();
    assert!(unknown.notes.iter().any(|note| note.contains("site \"east\" is not shared out")));
}

#[test]
fn a_rolled_up_day_is_in_its_day_and_in_no_hour() {
    let ledger = TestLedger::new("2026-11-12T00:00", "2026-11-14T00:00", "UTC").node("a", "");
    let ledger = ledger.day("a", "GPU-1", 0, 500, 24).steady("a", "GPU-1", 96..192, 500);
    let days = ledger.clone().by("day").report();
    let energies: Vec<_> = days.rows.iter().map(|row| (row.group.as_str(), row.energy_kwh)).collect();
    assert_eq!(energies, [("2026-11-12", 12.0), ("2026-11-13", 12.0)]);
    let hours = ledger.clone().by("hour").report();
    assert_eq!((hours.rows.len(), hours.rows[24].group.as_str()), (25, "whole days, rolled up"));
    assert_eq!((hours.total.energy_kwh, hours.total.unmeasured_h), (24.0, 0.0));
    let mut cut = ledger;
    cut.question.range.end = cut.question.range.start.plus(90);
    assert_eq!(cut.report().total.energy_kwh, 0.0);
    assert!(cut.report().notes.iter().any(|note| note.starts_with("12.0 kWh of days that were rolled up")));
}

#[test]
fn the_boundary_is_told_once_and_of_boards_only() {
    let boundaries =
        |ledger: TestLedger| ledger.report().notes.iter().filter(|note| *note == BOUNDARY).count();
    assert_eq!(boundaries(day().steady("hgx-01", "GPU-1", 0..1, 400)), 1);
    assert_eq!(boundaries(day().flow("9DNB", "in", 0..1, 400)), 0);
}

#[test]
fn energy_that_was_counted_twice_is_told() {
    let once = day().steady("hgx-01", "GPU-1", 0..96, 400).covered("hgx-01", "GPU-2", 0..4, 400, 908_000);
    let notes = |ledger: &TestLedger| -> Vec<String> {
        ledger.report().notes.into_iter().filter(|note| note.contains("more than once")).collect()
    };
    assert_eq!(notes(&once), [""; 0]);
    // A second collector calls the node by another name.
    let twice = once.steady("hgx-01.lab", "GPU-1", 8..12, 400);
    assert_eq!(
        notes(&twice),
        [
            "Energy was counted more than once: of hgx-01 GPU-1, more time was measured between 2026-11-12 02:00 and \
             2026-11-12 03:00 than there is, as two collectors keep one ledger. Let one of them read each board, then \
             `fleetwatt ledger rebuild` mends it."
        ]
    );
}

#[test]
fn a_calibration_that_fits_no_board_is_told() {
    let figures = Calibration { gain: 1.1, relative: Some(0.01) };
    let measured = [
        MeasuredBoard::Model("H100".to_owned()),
        MeasuredBoard::Model("H200".to_owned()),
        MeasuredBoard::Uuid("GPU-1".to_owned()),
        MeasuredBoard::Uuid("GPU-9".to_owned()),
    ];
    let mut ledger = day().steady("hgx-01", "GPU-1", 0..1, 400);
    ledger.calibrations = Calibrations::new(measured.map(|board| (board, figures)).into());
    let notes = |ledger: &TestLedger| -> Vec<String> {
        let notes = ledger.report().notes.into_iter();
        notes.filter(|note| note.contains("calibration")).collect()
    };
    assert_eq!(
        notes(&ledger),
        [
            "`[[calibration]]` of model \"H200\" fits no board of this report: its models are \"H100\".",
            "`[[calibration]]` of board \"GPU-9\" fits no board of this report: `fleetwatt poll --format json` prints their \
             UUIDs."
        ]
    );
    ledger.selected = Some(BTreeSet::from(["hgx-01".to_owned()]));
    assert_eq!(notes(&ledger), [""; 0]);
}

#[test]
fn a_report_without_a_reading_is_known_as_one() {
    assert!(day().seen("hgx-01", "GPU-1", 3).measured().is_empty());
    assert!(!day().steady("hgx-01", "GPU-1", 0..1, 400).measured().is_empty());
}

#[test]
fn groups_without_number_are_refused_with_advice() {
    use crate::support::error::Diagnose;
    let mut ledger = TestLedger::new("2020-01-01T00:00", "2026-01-01T00:00", "UTC").by("node,quarter");
    for n in 0..10 {
        ledger = ledger.steady(&format!("n{n}"), &format!("GPU-{n}"), 0..1, 400);
    }
    let error = ledger.try_report().unwrap_err();
    assert!(error.to_string().starts_with("the report would have 2104") && error.hint().contains("shorter"));
}
