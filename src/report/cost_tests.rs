//! Costs, carbon and supply of ledgers that are written by hand, with their arithmetic.

use super::test_ledger::{TestLedger, row};
use super::{ChargeKind, ChargeSpan, Report};

/// 0.10 in general, 0.30 from 16:00 to 20:00, 0.50 for carbon.
const BANDS: &str = r#"
[site]
timezone = "Europe/Berlin"
[[tariff]]
name = "home"
currency = "EUR"
per_kwh = 0.10
[[tariff.band]]
name = "peak"
hours = "16:00-20:00"
per_kwh = 0.30
[carbon]
g_per_kwh = 400
"#;

/// A day of Berlin's winter: 96 quarters.
fn day() -> TestLedger {
    TestLedger::new("2026-11-12T00:00", "2026-11-13T00:00", "Europe/Berlin").node("a", "").node("b", "")
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9 * other.abs().max(1.0)
}

#[track_caller]
fn assert_near(one: f64, other: f64) {
    assert!(near(one, other), "{one} is not {other}");
}

fn note<'a>(report: &'a Report, part: &str) -> &'a str {
    report.notes.iter().find(|note| note.contains(part)).unwrap_or_else(|| panic!("{:?}", report.notes))
}

#[test]
fn energy_costs_its_price_in_each_band_and_has_its_carbon() {
    let report = day().tariffs(BANDS).steady("a", "GPU-1", 0..96, 1_000).report();
    // 20 h at 0.10 and 4 h at 0.30 are 2.00 + 1.20; 24 kWh of 400 g are 9.6 kg.
    let total = &report.total;
    assert_near(total.energy_cost.unwrap(), 3.20);
    assert_near(total.co2_kg.unwrap(), 9.6);
    assert_eq!((total.currency.as_deref(), total.unpriced_kwh), (Some("EUR"), None));
    let bands: Vec<_> = report.bands.iter().map(|band| (band.name.as_str(), band.energy_kwh)).collect();
    assert_eq!(bands, [("standard", 20.0), ("peak", 4.0)]);
    assert_near(report.bands[1].mean_price.unwrap(), 0.30);
    let [cost] = &report.costs[..] else { panic!() };
    assert_near(cost.cost.unwrap(), 3.20);
    // 9.2 % of 3.20 are 0.2944.
    assert_eq!((cost.u_cost, cost.charges.len()), (Some(0.29), 0));
    let by_band = day().tariffs(BANDS).steady("a", "GPU-1", 0..96, 1_000).by("band").report();
    let groups: Vec<_> = by_band.rows.iter().map(|row| row.group.as_str()).collect();
    assert_eq!(groups, ["standard", "peak"]);
}

#[test]
fn idle_energy_costs_the_price_of_its_time() {
    // 16:00 to 18:00 at 100 W: 0.2 kWh at 0.30.
    let ledger = day().tariffs(BANDS).steady("a", "GPU-1", 0..64, 400).idle("a", "GPU-1", 64..72, 100);
    assert_near(ledger.report().total.idle_cost.unwrap(), 0.06);
}

#[test]
fn what_cooling_adds_is_in_cost_and_carbon_and_not_in_energy() {
    let toml = BANDS.replace("[site]", "[site]\npue = 1.5");
    let report = day().tariffs(&toml).steady("a", "GPU-1", 0..96, 1_000).report();
    assert_near(report.total.energy_kwh, 24.0);
    assert_near(report.total.energy_cost.unwrap(), 4.80);
    assert_near(report.total.co2_kg.unwrap(), 14.4);
    // The intensity is that of the grid, without the factor.
    assert_near(report.total.co2_g_per_kwh.unwrap(), 400.0);
    // A kilowatt-hour costs no more than its tariff says.
    let prices: Vec<f64> = report.bands.iter().map(|band| band.mean_price.unwrap()).collect();
    assert_eq!(prices, [0.10, 0.30]);
    assert_near(report.bands[1].energy_cost.unwrap(), 4.0 * 0.30 * 1.5);
    assert!(note(&report, "PUE").starts_with("PUE 1.5: "));
}

#[test]
fn a_negative_price_makes_energy_cheaper() {
    let toml = BANDS.replace("0.30", "-0.05");
    let report = day().tariffs(&toml).steady("a", "GPU-1", 0..96, 1_000).report();
    // 2.00 - 0.20.
    assert_near(report.total.energy_cost.unwrap(), 1.80);
    let bands: Vec<_> = report.bands.iter().map(|band| band.name.as_str()).collect();
    assert_eq!(bands, ["peak", "standard"]);
}

#[test]
fn currencies_have_a_cost_each_and_are_never_summed() {
    let toml = r#"
[[tariff]]
name = "north"
currency = "EUR"
applies_to = { site = "north" }
per_kwh = 0.20
[[tariff]]
name = "south"
currency = "USD"
applies_to = { site = "south" }
per_kwh = 0.10
fixed_per_month = 30
"#;
    let ledger = TestLedger::new("2026-11-01T00:00", "2026-11-02T00:00", "UTC").tariffs(toml);
    let ledger = ledger.node("a", "north").node("b", "south");
    let report = ledger.steady("a", "GPU-1", 0..96, 1_000).steady("b", "GPU-2", 0..96, 500).report();
    assert_eq!((report.total.energy_cost, report.total.currency.clone()), (None, None));
    let costs: Vec<_> = report.costs.iter().map(|cost| (cost.currency.as_str(), cost.energy_cost)).collect();
    assert_eq!(costs[0].0, "EUR");
    assert_near(costs[0].1.unwrap(), 4.80);
    assert_near(costs[1].1.unwrap(), 1.20);
    // The whole month's charge, as it stands.
    assert_near(report.costs[1].fixed_cost, 30.0);
    assert_near(report.costs[1].cost.unwrap(), 31.20);
    assert_eq!(report.costs[0].charges.len(), 0);
    assert_near(row(&report, "a").energy_cost.unwrap(), 4.80);
}

/// A price for eight hours of the day, and none for the others.
const NIGHT: &str = r#"
[[tariff]]
name = "night"
currency = "EUR"
[[tariff.band]]
name = "night"
hours = "22:00-06:00"
per_kwh = 0.10
"#;

#[test]
fn energy_without_a_price_is_told_with_its_times_and_not_priced() {
    let report = day().tariffs(NIGHT).steady("a", "GPU-1", 0..96, 1_000).report();
    // 8 h have a price.
    assert_near(report.total.energy_cost.unwrap(), 0.80);
    assert_eq!(report.total.unpriced_kwh, Some(16.0));
    let last = report.bands.last().unwrap();
    assert_eq!((last.name.as_str(), last.energy_cost), ("no price", None));
    assert_eq!(
        note(&report, "have no price"),
        "16.0 kWh have no price: no band of tariff \"night\" fits, and it has no per_kwh, 2026-11-12 06:00 to \
         2026-11-12 22:00; give the tariff a `per_kwh`, or a band for these hours."
    );
}

const DEMAND: &str = r#"
[[tariff]]
name = "hall"
currency = "USD"
per_kwh = 0.10
fixed_per_month = 12.50
[[tariff.demand]]
per_kw = 9.80
hours = "12:00-20:00"
"#;

#[test]
fn the_highest_quarter_of_a_month_that_counts_costs_its_kilowatts() {
    // From the middle of October to the 3rd of November, in quarters.
    let ledger = TestLedger::new("2026-10-16T00:00", "2026-11-03T00:00", "UTC").tariffs(DEMAND).node("a", "");
    let november = 16 * 96;
    let ledger = ledger
        .steady("a", "GPU-1", 0..november + 10, 400)
        // 02:30 does not count, 12:00 does, and of 13:00 only 80 % were measured.
        .steady("a", "GPU-1", november + 10..november + 11, 2_000)
        .steady("a", "GPU-1", november + 11..november + 48, 400)
        .steady("a", "GPU-1", november + 48..november + 49, 600)
        .steady("a", "GPU-1", november + 49..november + 52, 400)
        .covered("a", "GPU-1", november + 52..november + 53, 1_000, 720_000)
        .steady("a", "GPU-1", november + 53..november + 192, 400);
    let report = ledger.report();
    let [cost] = &report.costs[..] else { panic!() };
    let charge = |kind: ChargeKind, month: &str| {
        let mut charges = cost.charges.iter().filter(|charge| charge.kind == kind && charge.month == month);
        charges.next().cloned().unwrap()
    };
    let demand = charge(ChargeKind::Demand, "2026-11");
    // 0.6 kW at 9.80.
    assert_near(demand.cost, 5.88);
    assert_near(demand.peak_kw.unwrap(), 0.6);
    assert_eq!(demand.peak_at.unwrap().to_string(), "2026-11-01T12:00:00+00:00");
    assert!(demand.is_charged && !demand.is_complete);
    // October began before the report.
    let shown = charge(ChargeKind::Demand, "2026-10");
    assert!(!shown.is_charged && shown.is_complete);
    assert_near(cost.demand_cost, 5.88);
    assert_near(cost.fixed_cost, 12.50);
    assert_near(cost.cost.unwrap(), cost.energy_cost.unwrap() + 5.88 + 12.50);
    // 1,000 W for 720 of 900 s.
    let higher = note(&report, "may be higher");
    assert!(higher.contains("2026-11-01T13:00:00+00:00") && higher.contains("0.8 kW"), "{higher}");
    assert!(note(&report, "shown and not charged").contains("2026-10"));
}

#[test]
fn months_without_a_reading_are_not_charged_and_that_of_the_first_is_from_part_of_it() {
    let ledger = TestLedger::new("2020-01-01T00:00", "2026-11-03T00:00", "UTC").tariffs(DEMAND).node("a", "");
    let end = ledger.question.range.end.since(ledger.question.range.start);
    let report = ledger.steady("a", "GPU-1", end - 5 * 96..end, 1_000).report();
    let [cost] = &report.costs[..] else { panic!() };
    let charges: Vec<_> =
        cost.charges.iter().map(|charge| (charge.kind, charge.month.as_str(), charge.is_complete)).collect();
    // Three days of October and two of November.
    assert_eq!(
        charges,
        [
            (ChargeKind::Demand, "2026-10", false),
            (ChargeKind::Demand, "2026-11", false),
            (ChargeKind::Fixed, "2026-10", false),
            (ChargeKind::Fixed, "2026-11", false),
        ]
    );
    assert_near(cost.fixed_cost, 25.0);
    assert_eq!(
        note(&report, "part of the month"),
        "Demand and fixed charges of 2026-10 are from part of the month."
    );
}

#[test]
fn a_report_of_some_hosts_has_no_charges_of_the_site() {
    let mut ledger =
        TestLedger::new("2026-11-01T00:00", "2026-11-02T00:00", "UTC").tariffs(DEMAND).node("a", "");
    ledger = ledger.node("b", "").steady("a", "GPU-1", 0..96, 1_000).steady("b", "GPU-2", 0..96, 1_000);
    ledger.selected = Some(["a".to_owned()].into());
    let report = ledger.report();
    let [cost] = &report.costs[..] else { panic!() };
    assert_eq!((cost.charges.len(), cost.demand_cost, cost.fixed_cost), (0, 0.0, 0.0));
    assert_near(cost.cost.unwrap(), 2.40);
    assert!(note(&report, "are left out").starts_with("Demand and fixed charges"));
    // Of prices without charges there is nothing to say.
    let plain = ledger.tariffs(BANDS).report();
    assert!(plain.notes.iter().all(|note| !note.contains("left out")), "{:?}", plain.notes);
}

#[test]
fn the_uncertainty_of_the_cost_is_of_energy_and_demand() {
    let ledger = TestLedger::new("2026-11-01T00:00", "2026-11-02T00:00", "UTC").tariffs(DEMAND).node("a", "");
    let cost = ledger.steady("a", "GPU-1", 0..96, 1_000).report().costs.remove(0);
    // 9.2 % of 2.40 for energy and 9.80 for a kilowatt, and none of 12.50 a month: 1.12.
    assert_near(cost.cost.unwrap(), 24.70);
    assert_eq!(cost.u_cost, Some(1.1));
}

#[test]
fn energy_of_which_none_has_a_price_has_no_cost() {
    let report = day().tariffs(NIGHT).steady("a", "GPU-1", 24..88, 1_000).report();
    let [cost] = &report.costs[..] else { panic!() };
    assert_eq!((cost.energy_cost, cost.u_cost, cost.cost), (None, None, None));
    assert_eq!((report.total.energy_cost, report.total.unpriced_kwh), (None, Some(16.0)));
}

#[test]
fn a_month_of_which_no_quarter_was_measured_well_has_no_demand_charge() {
    let ledger = TestLedger::new("2026-11-01T00:00", "2026-11-02T00:00", "UTC").tariffs(DEMAND).node("a", "");
    let report = ledger.covered("a", "GPU-1", 0..96, 400, 600_000).report();
    assert!(report.costs[0].charges.iter().all(|charge| charge.kind == ChargeKind::Fixed));
    assert!(note(&report, "is not known").contains("no quarter-hour that counts was measured to 90 %"));
}

#[test]
fn the_peak_of_a_month_with_rolled_up_days_may_have_been_higher() {
    let days = |from: &str, to: &str| TestLedger::new(from, to, "UTC").tariffs(DEMAND).node("a", "");
    let ledger = days("2026-10-01T00:00", "2026-11-01T00:00")
        .day("a", "GPU-1", 0, 900, 24)
        .day("a", "GPU-1", 96, 900, 24);
    let report = ledger.steady("a", "GPU-1", 192..31 * 96, 400).report();
    let demand = report.costs[0].charges.iter().find(|charge| charge.kind == ChargeKind::Demand).unwrap();
    // 0.4 kW at 9.80.
    assert_near(demand.cost, 3.92);
    assert!(demand.is_charged && !demand.is_complete);
    assert_eq!(
        note(&report, "may be higher"),
        "The demand charge of 2026-10 by tariff \"hall\" may be higher: 2 days of the month were rolled up, and their \
         quarter-hours are no longer kept; keep quarters longer, by `keep_quarters` in `[ledger]`."
    );
    let fixed = report.costs[0].charges.iter().find(|charge| charge.kind == ChargeKind::Fixed).unwrap();
    assert!(fixed.is_complete);

    let report = days("2026-11-01T00:00", "2026-11-02T00:00").day("a", "GPU-1", 0, 400, 24).report();
    assert!(report.costs[0].charges.iter().all(|charge| charge.kind == ChargeKind::Fixed));
    assert!(
        note(&report, "is not known").contains("1 day of the month was rolled up, and its quarter-hours")
    );
    // The day has one price.
    assert_near(report.costs[0].energy_cost.unwrap(), 0.96);
}

#[test]
fn rolled_up_days_in_which_no_peak_counts_leave_a_demand_charge_complete() {
    let toml = DEMAND.replace("hours = \"12:00-20:00\"", "days = \"Mon-Fri\"");
    // 1 November 2026 is a Sunday.
    let ledger = TestLedger::new("2026-11-01T00:00", "2026-12-01T00:00", "UTC").tariffs(&toml).node("a", "");
    let report = ledger.day("a", "GPU-1", 0, 900, 24).steady("a", "GPU-1", 96..30 * 96, 400).report();
    let demand = report.costs[0].charges.iter().find(|charge| charge.kind == ChargeKind::Demand).unwrap();
    assert!(demand.is_complete);
    assert!(report.notes.iter().all(|note| !note.contains("demand charge")), "{:?}", report.notes);
}

#[test]
fn a_rolled_up_day_with_several_prices_has_none() {
    let report = day().tariffs(BANDS).day("a", "GPU-1", 0, 1_000, 24).report();
    assert_eq!((report.total.energy_cost, report.total.unpriced_kwh), (None, Some(24.0)));
    assert!(note(&report, "rolled up").contains("keep_quarters"));
    assert_near(report.total.co2_kg.unwrap(), 9.6);
}

/// A station with a load of 1 kW: in the first 8 quarters 2 kW of sun, then 8 of 1.5 kW from the grid, then 8 of nothing.
fn station() -> TestLedger {
    let ledger =
        day().tariffs(&BANDS.replace("[[tariff.band]]", "export = { per_kwh = 0.05 }\n[[tariff.band]]"));
    ledger
        .steady("a", "GPU-1", 0..96, 500)
        .flow("X1", "out", 0..24, 1_000)
        .flow("X1", "in", 0..8, 2_000)
        .flow("X1", "in", 8..16, 1_500)
        .flow("X1", "in", 16..24, 0)
        .flow("X1", "solar", 0..8, 2_000)
        .flow("X1", "solar", 8..24, 0)
        .flow("X1", "grid", 0..8, 0)
        .flow("X1", "grid", 8..16, 1_500)
        .flow("X1", "grid", 16..24, 0)
}

#[test]
fn a_station_tells_from_where_its_load_came() {
    let report = station().report();
    let supply = report.supply.unwrap();
    // 2 h each: the sun 2 + 2 kWh, the grid 2 + 1 kWh, the battery 2 kWh of the 3 that went in.
    assert_near(supply.load_kwh, 6.0);
    assert_near(supply.sun_direct_kwh, 2.0);
    assert_near(supply.grid_direct_kwh, 2.0);
    assert_near(supply.battery_out_kwh, 2.0);
    assert_near(supply.battery_in_kwh, 3.0);
    assert_near(supply.round_trip.unwrap(), 2.0 / 3.0);
    // A third of what went in was the grid's: 1 - (2 + 2/3) / 6.
    assert_near(supply.self_sufficiency.unwrap(), 1.0 - (2.0 + 2.0 / 3.0) / 6.0);
    assert_eq!((supply.stations, supply.measured_share), (vec!["F3800 X1".to_owned()], Some(0.25)));
    // No flow of it is energy of a GPU.
    assert_near(report.total.energy_kwh, 12.0);
}

#[test]
fn energy_of_a_battery_costs_what_charged_it_over_the_round_trip() {
    // 3 kWh at 0.10, of which 2 came out (66.667 %): 0.15. For the sun at the price of export: (0.10 + 2 x 0.05) / 3 / 2/3. The
    // efficiency has a thousandth of a percent.
    let price = |battery: &str| {
        let mut ledger = station();
        ledger.book.site.battery = crate::tariff::keys::battery(battery).unwrap();
        let supply = ledger.report().supply.unwrap();
        assert_eq!(supply.currency.as_deref(), Some("EUR"));
        supply.battery_price.unwrap()
    };
    assert!((price("charged") - 0.15).abs() < 3e-6 && (price("opportunity") - 0.10).abs() < 3e-6);
    assert!((price("zero") - 0.05).abs() < 3e-6);
}

#[test]
fn energy_of_a_battery_has_no_price_where_a_part_of_what_charged_it_has_none() {
    let mut ledger = station();
    // The sun charges it from 00:00 to 02:00, the grid until 04:00.
    let toml =
        BANDS.replace("per_kwh = 0.10\n", "").replace("hours = \"16:00-20:00\"", "hours = \"02:00-04:00\"");
    ledger = ledger.tariffs(&toml);
    let supply = ledger.report().supply.unwrap();
    assert_eq!((supply.battery_price, supply.currency), (None, None));
    ledger.book.site.battery = crate::tariff::keys::battery("zero").unwrap();
    assert!(ledger.report().supply.unwrap().battery_price.is_some());
}

#[test]
fn quarters_in_which_a_flow_is_missing_are_in_no_figure_of_the_supply() {
    let mut ledger = station();
    let grid = ledger.series("station:X1:grid", "");
    let from = ledger.question.range.start.plus(20);
    ledger.rows.retain(|row| row.series != grid || row.quarter < from);
    assert_near(ledger.report().supply.unwrap().load_kwh, 5.0);
}

#[test]
fn a_flow_that_is_told_no_longer_leaves_the_others_and_days_are_in_no_figure() {
    let mut ledger = station().day("X1", "station:X1:load", 0, 1_000, 24).seen("X1", "station:X1:grid_in", 5);
    let report = ledger.report();
    assert!(note(&report, "rolled up are in no figure of the supply").ends_with("by quarter-hour."));
    ledger.rows.retain(|row| row.entry.method != crate::ledger::Method::DAY);
    assert_near(ledger.report().supply.unwrap().load_kwh, 6.0);
}

#[test]
fn a_short_report_has_the_supply_by_quarter_and_its_charge() {
    let mut ledger = station();
    ledger.question.charts = Some(super::Stack::Auto);
    let start = ledger.question.range.start;
    let charge = |at: i64, min: f64, max: f64| ChargeSpan {
        station: "X1".to_owned(),
        from: start.plus(at),
        min,
        max,
        mean: max,
    };
    ledger.told.charge = vec![charge(3, 40.0, 45.0), charge(3, 38.0, 44.0), charge(-1, 1.0, 2.0)];
    let charts = ledger.report().charts.unwrap().supply.unwrap();
    assert_eq!((charts.bars.len(), charts.mean_day.len()), (96, 0));
    let bar = &charts.bars[3];
    assert_near(bar.sun_kwh + bar.into_battery_kwh, 0.5);
    assert_eq!((charts.charge[3], charts.charge[4]), (Some((38.0, 45.0)), None));
    assert!(bar.is_whole && !charts.bars[24].is_whole);
    assert_eq!((bar.measured_share, charts.bars[24].measured_share), (1.0, 0.0));
}

#[test]
fn a_mean_day_is_of_the_quarters_that_were_measured() {
    let mut ledger = TestLedger::new("2026-11-12T00:00", "2026-11-17T00:00", "UTC").node("a", "");
    ledger.question.charts = Some(super::Stack::Auto);
    for day in 0..3 {
        let quarters = day * 96..day * 96 + 4;
        ledger = ledger.flow("X1", "out", quarters.clone(), 900).flow("X1", "in", quarters.clone(), 900);
        ledger = ledger.flow("X1", "solar", quarters.clone(), 600).flow("X1", "grid", quarters, 300);
    }
    let charts = ledger.report().charts.unwrap().supply.unwrap();
    assert_eq!((charts.bars.len(), charts.mean_day.len()), (5, 24));
    assert_near(charts.mean_day[0].sun_kwh, 0.6);
    assert_near(charts.mean_day[0].grid_kwh, 0.3);
    assert!(charts.mean_day[0].is_whole && !charts.mean_day[1].is_whole);
    // Three of five days; of each day 4 of 96 quarters.
    assert_near(charts.mean_day[0].measured_share, 0.6);
    assert_near(charts.bars[0].measured_share, 4.0 / 96.0);
    assert_near(charts.bars[3].measured_share, 0.0);
}

#[test]
fn a_mean_day_is_the_sum_of_the_mean_days_of_its_stations() {
    let mut ledger = TestLedger::new("2026-11-12T10:30", "2026-11-17T00:00", "UTC").node("a", "");
    ledger.question.charts = Some(super::Stack::Auto);
    let flows = |ledger: TestLedger, serial: &str, from: i64, watts: i64| {
        let quarters = from..from + 4;
        let ledger =
            ledger.flow(serial, "out", quarters.clone(), watts).flow(serial, "in", quarters.clone(), watts);
        ledger.flow(serial, "solar", quarters.clone(), 0).flow(serial, "grid", quarters, watts)
    };
    // From 00:00 of three days at 600 W, and of one at 300 W.
    let midnight = 13 * 4 + 2;
    for day in 0..3 {
        ledger = flows(ledger, "X1", midnight + day * 96, 600);
    }
    ledger = flows(ledger, "X2", midnight, 300);
    // One station has no reading from 01:00.
    ledger = flows(ledger, "X1", midnight + 4, 600);
    let start = ledger.question.range.start;
    let charge = |station: &str, at: i64, mean: f64| ChargeSpan {
        station: station.to_owned(),
        from: start.plus(at),
        min: mean,
        max: mean,
        mean,
    };
    ledger.told.charge =
        vec![charge("X1", midnight, 90.0), charge("X1", midnight + 96, 70.0), charge("X2", midnight, 20.0)];
    let charts = ledger.report().charts.unwrap().supply.unwrap();
    assert_near(charts.mean_day[0].grid_kwh, 0.9);
    assert!(charts.mean_day[0].is_whole && !charts.mean_day[1].is_whole);
    assert_near(charts.mean_day[1].grid_kwh, 0.6);
    // (80 + 20) / 2.
    assert_eq!((charts.charge_by_hour[0], charts.charge_by_hour[1]), (Some(50.0), None));
    assert_eq!(charts.mean_day[0].from.to_string(), "2026-11-13T00:00:00+00:00");
    assert_eq!(charts.mean_day[11].from.to_string(), "2026-11-12T11:00:00+00:00");
}
