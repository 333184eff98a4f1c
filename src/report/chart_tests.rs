//! The charts of ledgers that are written by hand.

use super::test_ledger::TestLedger;
use super::{By, Charts, Stack};

fn charts(mut ledger: TestLedger) -> Charts {
    ledger.question.charts.get_or_insert(Stack::Auto);
    *ledger.report().charts.unwrap()
}

fn days(n_days: i64) -> TestLedger {
    let to = jiff::civil::date(2026, 11, 2).checked_add(jiff::Span::new().days(n_days)).unwrap();
    TestLedger::new("2026-11-02T00:00", &format!("{to}T00:00"), "UTC")
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9 * other.abs().max(1.0)
}

/// Ten nodes of two racks, each with one board, the first the largest.
fn ten() -> TestLedger {
    let mut ledger = days(1);
    for n in 0..10_i64 {
        let node = format!("n{n}");
        ledger = ledger.node(&node, "").steady(&node, &format!("GPU-{n}"), 0..96, 1_000 - n * 10);
        let rack = if n < 5 { "r1" } else { "r2" };
        ledger.nodes.get_mut(&node).unwrap().insert("rack".to_owned(), rack.to_owned());
    }
    ledger
}

#[test]
fn a_stack_has_the_seven_largest_and_the_rest_together() {
    let power = charts(ten()).power;
    let members: Vec<_> =
        power.members.iter().map(|member| (member.name.as_str(), member.watts[5])).collect();
    // 930 + 920 + 910 W.
    assert_eq!((members[0], members[6]), (("n0", Some(1_000)), ("n6", Some(940))));
    assert_eq!(members[7..], [("3 more nodes", Some(2_760))]);
    assert!(power.members[7].is_rest && (power.by.as_str(), power.columns) == ("node", 96));
    assert!(near(power.members.iter().map(|member| member.share).sum(), 1.0));
}

#[test]
fn a_stack_of_many_alike_nodes_is_of_a_label_that_all_have() {
    let mut ledger = ten();
    for n in 10..40_i64 {
        let node = format!("n{n}");
        ledger = ledger.node(&node, "").steady(&node, &format!("GPU-{n}"), 0..96, 900);
        ledger.nodes.get_mut(&node).unwrap().insert("rack".to_owned(), "r3".to_owned());
    }
    // Seven nodes are less than 60 % of forty.
    assert_eq!(charts(ledger.clone()).power.by, "label:rack");
    ledger.nodes.get_mut("n39").unwrap().remove("rack");
    assert_eq!(charts(ledger.clone()).power.by, "node");
    ledger.question.charts = Some(Stack::By(By::Model));
    assert_eq!(charts(ledger).power.members[0].name, "H100");
}

#[test]
fn what_was_not_measured_has_no_power_and_lowers_what_was_measured_of_all() {
    let ledger = days(1).node("a", "").node("b", "").steady("a", "GPU-1", 0..96, 400);
    let ledger = ledger.steady("b", "GPU-2", 0..40, 200).covered("b", "GPU-2", 40..41, 200, 450_000);
    let power = charts(ledger.steady("b", "GPU-2", 44..96, 200)).power;
    let watts = &power.members[1].watts;
    // Half of the quarter at 200 W is 100 W over all of it, so that the area is the energy.
    assert_eq!(watts[39..45], [Some(200), Some(100), None, None, None, Some(200)]);
    assert_eq!(power.measured[39..42], [1.0, 0.75, 0.5]);
}

#[test]
fn columns_of_a_long_range_are_wider_and_keep_the_energy() {
    let ledger = days(40).node("a", "").steady("a", "GPU-1", 0..3_839, 400);
    let power = charts(ledger).power;
    assert_eq!((power.quarters_per_column, power.columns), (2, 1_920));
    // The last column has one quarter of its two.
    assert_eq!(power.members[0].watts[1_918..], [Some(400), Some(200)]);
}

#[test]
fn a_member_has_the_exact_energy_of_each_bar_also_where_columns_are_wider() {
    // The clocks go back on 1 November: its day has 100 quarters, and the columns have two quarters each.
    let ledger = TestLedger::new("2026-10-31T00:15", "2026-12-10T00:00", "America/Chicago")
        .node("a", "")
        .node("b", "");
    let charts = charts(ledger.steady("a", "GPU-1", 0..195, 333).steady("b", "GPU-2", 0..95, 100));
    assert_eq!((charts.power.quarters_per_column, charts.periods.unit.as_str()), (2, "day"));
    let of = |member: usize| &charts.power.members[member].periods_kwh[..3];
    // 95 quarters at 333 W are 7.90875 kWh, and 100 are 8.325 kWh.
    assert!(near(of(0)[0].unwrap(), 7.908_75) && near(of(0)[1].unwrap(), 8.325), "{:?}", of(0));
    assert_eq!((of(0)[2], of(1)[1]), (None, None));
    assert!(near(of(1)[0].unwrap(), 2.375));
}

#[test]
fn a_rolled_up_day_is_its_mean_all_day() {
    let ledger = days(2).node("a", "").day("a", "GPU-1", 0, 500, 12).steady("a", "GPU-1", 96..192, 400);
    let power = charts(ledger.seen("a", "GPU-1", 1)).power;
    // 500 W for 12 of 24 h.
    assert_eq!((power.members[0].watts[0], power.members[0].watts[95]), (Some(250), Some(250)));
    assert!(near(power.measured[50], 0.5) && near(power.measured[100], 1.0));
}

#[test]
fn bars_are_hours_days_weeks_or_months_by_the_length_of_the_range() {
    for (n_days, unit, n_bars) in
        [(2, "hour", 48), (3, "day", 3), (62, "day", 62), (63, "week", 9), (401, "month", 14)]
    {
        let periods = charts(days(n_days).node("a", "").steady("a", "GPU-1", 0..4, 400)).periods;
        assert_eq!((periods.unit.as_str(), periods.bars.len()), (unit, n_bars), "{n_days}");
        assert_eq!(periods.parts, ["energy"]);
        assert!(near(periods.bars[0].energy_kwh, 0.4));
    }
}

#[test]
fn a_bar_has_the_energy_and_cost_of_each_band_the_cheapest_first() {
    let toml = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 0.10\n[[tariff.band]]\nname = \"peak\"\nhours = \
                \"16:00-20:00\"\nper_kwh = 0.30\n";
    let ledger = days(3).tariffs(toml).node("a", "").steady("a", "GPU-1", 0..192, 1_000);
    let periods = charts(ledger).periods;
    assert_eq!(periods.parts, ["standard", "peak"]);
    let bar = &periods.bars[1];
    assert_eq!((&bar.parts_kwh[..], bar.hours, bar.measured_share), (&[20.0, 4.0][..], 24.0, Some(1.0)));
    // 2.00 and 1.20.
    assert!(near(bar.energy_cost.unwrap(), 3.20) && near(bar.parts_cost[1].unwrap(), 1.20));
    let empty = &periods.bars[2];
    assert_eq!((empty.energy_kwh, empty.energy_cost, empty.measured_share), (0.0, None, Some(0.0)));
}

#[test]
fn a_week_has_the_mean_of_each_hour_and_the_hours_of_the_dearest_band() {
    let toml = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 0.10\n[[tariff.band]]\nname = \"peak\"\ndays = \
                \"Mon-Fri\"\nhours = \"16:00-20:00\"\nper_kwh = 0.30\n";
    // 2 November 2026 is a Monday. The second Monday draws 600 W, and of its hour from 03:00 half was measured.
    let ledger = days(8).tariffs(toml).node("a", "").steady("a", "GPU-1", 0..672, 400);
    let ledger = ledger.steady("a", "GPU-1", 672..684, 600).covered("a", "GPU-1", 684..688, 600, 450_000);
    let week = charts(ledger).week.unwrap();
    assert_eq!(
        (week.mean_kw[0][2], week.mean_kw[0][3], week.mean_kw[6][2]),
        (Some(0.5), Some(0.4), Some(0.4))
    );
    assert_eq!((week.is_peak[0][16], week.is_peak[0][20], week.is_peak[5][16]), (true, false, false));
    assert_eq!((week.peak_band.as_deref(), week.peak_site), (Some("peak"), None));
    assert!(charts(days(6).node("a", "").steady("a", "GPU-1", 0..4, 400)).week.is_none());
}

#[test]
fn a_node_has_its_days_and_one_that_was_hardly_measured_has_none() {
    let ledger = days(3).node("a", "").steady("a", "GPU-1", 0..96, 1_000).steady("a", "GPU-1", 96..97, 1_000);
    let nodes = charts(ledger).nodes;
    // A quarter of 96 is about 1 %.
    assert_eq!(nodes[0].days_kwh, [Some(24.0), None, None]);
    assert_eq!(nodes[0].row.models[0].model, "H100");
}

#[test]
fn nodes_and_boards_have_their_part_of_a_bill_and_what_is_filled_in() {
    // A mean of 400 W for the 2 h (8 quarters) that were not measured are 0.8 kWh; measured were 22 h: 8.8 kWh.
    let ledger = days(1).node("a", "").node("b", "").steady("a", "GPU-1", 0..40, 400).steady(
        "a",
        "GPU-1",
        48..96,
        400,
    );
    let mut ledger =
        ledger.steady("b", "GPU-2", 0..88, 400).steady("b", "GPU-2", 88..96, 400).bill("18.4kWh");
    ledger.question.is_filled = true;
    let charts = charts(ledger);
    let of = |row: &super::Row| (row.filled_kwh.unwrap(), row.billed_kwh.unwrap());
    // Of 8.8 + 9.6 kWh, the meter said as many.
    let nodes: Vec<_> = charts.nodes.iter().map(|node| of(&node.row)).collect();
    assert!(near(nodes[0].0, 0.0) && near(nodes[0].1, 9.6), "{nodes:?}");
    assert!(near(nodes[1].0, 0.8) && near(nodes[1].1, 8.8), "{nodes:?}");
    assert_eq!(charts.gpus.iter().map(of).collect::<Vec<_>>(), nodes);
}
