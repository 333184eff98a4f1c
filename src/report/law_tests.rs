//! Laws of reports, for fleets of any kind.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::test_ledger::TestLedger;
use super::{Report, Stack};
use crate::ledger::{Entry, Method};

const GROUPINGS: [&str; 14] = [
    "node",
    "gpu",
    "model",
    "label:site",
    "day",
    "hour",
    "quarter",
    "band",
    "month",
    "node,day",
    "day,node",
    "gpu,band",
    "band,hour",
    "month,day",
];

const TARIFFS: &str = r#"
[[tariff]]
name = "north"
currency = "EUR"
applies_to = { site = "north" }
[[tariff.band]]
name = "peak"
hours = "12:00-20:00"
per_kwh = 0.31
[[tariff]]
name = "south"
currency = "EUR"
applies_to = { site = "south" }
per_kwh = -0.02
"#;

/// A row: the board, its node, the quarter, and the figures of it.
type Fact = (i64, usize, i64, i64, i64, bool);

/// Three days over the end of a month with a board or more on three nodes, one of which is not in the inventory.
fn ledger(facts: &[Fact]) -> TestLedger {
    let mut ledger =
        TestLedger::new("2026-10-30T00:00", "2026-11-02T00:00", "Europe/Berlin").tariffs(TARIFFS);
    ledger = ledger.node("n1", "north").node("n2", "south");
    for (board, node, quarter, energy_mj, covered_ms, is_day) in facts {
        let (node, model) = (["n1", "n2", "n3"][*node], ["H100", "A100"][usize::from(board % 2 == 0)]);
        let method = if *is_day { Method::DAY } else { Method::READINGS };
        let quarter = if *is_day { quarter / 96 * 96 } else { *quarter };
        let entry = Entry {
            energy_mj: *energy_mj,
            covered_ms: *covered_ms,
            samples: 1,
            min_mw: Some(0),
            max_mw: Some(energy_mj / 900),
            variance_mj2: 0.0,
            busy_ms: (energy_mj % 3 != 0).then_some(covered_ms / 20),
            method,
        };
        ledger.add(node, &format!("GPU-{board}"), model, quarter, entry);
    }
    ledger
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact =
        (1..6_i64, 0..3_usize, 0..292_i64, 0..900_000_000_i64, 1..900_000_i64, prop::bool::weighted(0.05));
    prop::collection::vec(fact, 1..60)
}

fn millijoules(kwh: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "it was made of whole millijoules")]
    let millijoules = (kwh * 3.6e9).round() as i64;
    millijoules
}

fn energy(report: &Report) -> i64 {
    report.rows.iter().map(|row| millijoules(row.energy_kwh)).sum()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rows_sum_to_the_total_whatever_they_are_grouped_by(facts in facts(), by in prop::sample::select(&GROUPINGS[..])) {
        let report = ledger(&facts).by(by).bill("123.457kWh").report();
        prop_assert_eq!(energy(&report), millijoules(report.total.energy_kwh));
        let sum = |figure: fn(&super::Row) -> Option<f64>| report.rows.iter().filter_map(figure).sum::<f64>();
        let total = &report.total;
        prop_assert!(near(sum(|row| Some(row.unmeasured_h)), total.unmeasured_h));
        // Each is rounded to a millionth.
        let off = (sum(|row| row.energy_cost) - total.energy_cost.unwrap_or(0.0)).abs() * 2e6;
        prop_assert!(off < f64::from(u32::try_from(report.rows.len()).unwrap()) + 1.01, "{} halves", off);
        prop_assert!(near(sum(|row| row.idle_kwh), total.idle_kwh.unwrap_or(0.0)));
        prop_assert!(near(sum(|row| row.unpriced_kwh), total.unpriced_kwh.unwrap_or(0.0)));
        prop_assert!(near(sum(|row| row.billed_kwh), total.billed_kwh.unwrap_or(0.0)));
    }

    #[test]
    fn gaps_sum_to_the_time_that_was_not_measured(facts in facts()) {
        let report = ledger(&facts).report();
        let gaps: f64 = report.gaps.iter().map(|gap| gap.gpu_hours).sum();
        prop_assert!(near(gaps, report.total.unmeasured_h), "{} {}", gaps, report.total.unmeasured_h);
    }

    #[test]
    fn bands_and_costs_sum_to_the_total(facts in facts()) {
        let report = ledger(&facts).report();
        let bands: i64 = report.bands.iter().map(|band| millijoules(band.energy_kwh)).sum();
        prop_assert_eq!(bands, millijoules(report.total.energy_kwh));
        let costs: f64 = report.costs.iter().filter_map(|cost| cost.energy_cost).sum();
        prop_assert!(near(costs, report.total.energy_cost.unwrap_or(0.0)));
    }

    #[test]
    fn nodes_by_day_sum_to_the_nodes(facts in facts()) {
        let by_node = ledger(&facts).by("node").report();
        let mut sums = BTreeMap::<String, (i64, f64)>::new();
        for row in ledger(&facts).by("node,day").report().rows {
            let node = row.group.split(" / ").next().unwrap().to_owned();
            let sum = sums.entry(node).or_default();
            *sum = (sum.0 + millijoules(row.energy_kwh), sum.1 + row.unmeasured_h);
        }
        prop_assert_eq!(sums.len(), by_node.rows.len());
        for row in by_node.rows {
            let (energy, unmeasured) = sums[&row.group];
            prop_assert_eq!(energy, millijoules(row.energy_kwh));
            prop_assert!(near(unmeasured, row.unmeasured_h));
        }
    }

    #[test]
    fn the_order_of_the_rows_changes_nothing(
        (facts, shuffled) in facts().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        by in prop::sample::select(&GROUPINGS[..]),
    ) {
        // Both have the series and nodes under the same numbers.
        let mut one = ledger(&facts).by(by);
        one.question.charts = Some(Stack::Auto);
        let mut other = one.clone();
        let place = |fact: &Fact| facts.iter().position(|known| known == fact).unwrap();
        other.rows = shuffled.iter().map(|fact| one.rows[place(fact)]).collect();
        prop_assert_eq!(one.report(), other.report());
    }

    #[test]
    fn the_rest_of_the_largest_groups_is_in_one_row(facts in facts(), top in 1..4_usize) {
        let mut ledger = ledger(&facts).by("gpu");
        let whole = ledger.report();
        ledger.question.top = Some(top);
        let report = ledger.report();
        prop_assert_eq!(energy(&report), energy(&whole));
        prop_assert!(report.rows.len() <= top + 1);
        prop_assert_eq!(report.rows[0].energy_kwh.to_bits(), whole.rows[0].energy_kwh.to_bits());
    }

    #[test]
    fn charts_have_the_energy_of_the_report(facts in facts()) {
        let mut ledger = ledger(&facts);
        ledger.question.charts = Some(Stack::Auto);
        let report = ledger.report();
        let charts = report.charts.as_ref().unwrap();
        let total = millijoules(report.total.energy_kwh);
        let nodes: i64 = charts.nodes.iter().map(|node| millijoules(node.row.energy_kwh)).sum();
        let boards: i64 = charts.gpus.iter().map(|row| millijoules(row.energy_kwh)).sum();
        let members: i64 = charts.power.members.iter().map(|member| millijoules(member.energy_kwh)).sum();
        let bars: i64 = charts.periods.bars.iter().map(|bar| millijoules(bar.energy_kwh)).sum();
        prop_assert_eq!((nodes, boards, members, bars), (total, total, total, total));
        let parts: f64 = charts.periods.bars.iter().flat_map(|bar| &bar.parts_kwh).sum();
        prop_assert!(near(parts, report.total.energy_kwh));
        for (at, bar) in charts.periods.bars.iter().enumerate() {
            let of_members = charts.power.members.iter().filter_map(|member| member.periods_kwh[at]);
            prop_assert_eq!(of_members.map(millijoules).sum::<i64>(), millijoules(bar.energy_kwh));
        }
    }
}
