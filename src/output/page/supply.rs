//! Battery stations: the sources of what they delivered, by period and on a mean day, and their state of charge.

use maud::{Markup, html};

use super::bars::{Bar, BarChart, Part, density};
use super::cells::{self, name};
use super::scale::css_percent;
use super::span::{hour_of_day, ticks_of_a_day, ticks_of_bars};
use crate::output::figures::{self, NBSP};
use crate::report::{Charts, Report, Supply, SupplyBar, SupplyCharts};

/// Colours of the sources.
const SUN: &str = "s0";
const BATTERY: &str = "s1";
const GRID: &str = "s2";
const INTO_BATTERY: &str = "s1 into";

/// A bar of which less was measured has a mark.
const MIN_MEASURED: f64 = 0.995;

pub(super) fn section(report: &Report, charts: &Charts) -> Markup {
    let Some(supply) = &report.supply else { return html! {} };
    html! {
        section #supply {
            h2 { "Supply and battery" }
            p.note { (note(report, supply)) }
            @if let Some(charts) = &charts.supply {
                div.two { (by_period(charts)) @if !charts.mean_day.is_empty() { (mean_day(charts)) } }
                (legend(supply, charts))
            }
        }
    }
}

fn note(report: &Report, supply: &Supply) -> Markup {
    let is_one_site = report.scope.sites.len() <= 1;
    html! {
        @for (idx, station) in supply.stations.iter().enumerate() {
            @if idx > 0 { ", " }
            (name(station))
        }
        @if !supply.stations.is_empty() { ". " }
        "Delivered: " (cells::energy_with_unit(supply.load_kwh))
        @if is_one_site && supply.load_kwh > report.total.energy_kwh && report.total.energy_kwh > 0.0 {
            "; the GPU boards used " (cells::energy_with_unit(report.total.energy_kwh))
            ", the rest is the machines around them and losses"
        }
        ". "
        @if let Some(share) = supply.measured_share {
            "The flows of " (of_stations(supply)) " were measured "
            @if share >= 1.0 { "all the time. " } @else {
                (cells::measured(share)) " of the time; other times are in no figure of this section. "
            }
        }
        @if let Some(hours) = supply.hours_left {
            "At the present draw the battery lasts " (cells::duration(hours)) ". "
        }
        "Below zero: energy into the battery."
    }
}

/// The stations, be they one or several.
pub(super) fn of_stations(supply: &Supply) -> &'static str {
    if supply.stations.len() == 1 { "the station" } else { "the stations" }
}

fn bar(bar: &SupplyBar, when: &str, unit: &str, charge: &str) -> Bar {
    let unmeasured = if bar.measured_share < MIN_MEASURED { 1.0 - bar.measured_share } else { 0.0 };
    if bar.measured_share <= 0.0 {
        let title = format!("{when}: not measured{charge}");
        return Bar { parts: vec![], unmeasured, unmeasured_title: title.clone(), title };
    }
    let load = bar.sun_kwh + bar.battery_kwh + bar.grid_kwh;
    let number = figures::energy_number;
    let title = format!(
        "{when}: load {}\u{a0}{unit}, sun {}, battery {}, grid {}, into the battery {}{charge}",
        number(load),
        number(bar.sun_kwh),
        number(bar.battery_kwh),
        number(bar.grid_kwh),
        number(bar.into_battery_kwh)
    );
    let parts = vec![
        Part { class: SUN, value: bar.sun_kwh },
        Part { class: BATTERY, value: bar.battery_kwh },
        Part { class: GRID, value: bar.grid_kwh },
        Part { class: INTO_BATTERY, value: -bar.into_battery_kwh },
    ];
    let unmeasured_title = format!("{when}: {} measured", figures::measured(bar.measured_share));
    Bar { title, parts, unmeasured, unmeasured_title }
}

/// By day; by quarter-hour where there is no mean day.
fn by_period(charts: &SupplyCharts) -> Markup {
    let is_day = !charts.mean_day.is_empty();
    let when =
        |bar: &SupplyBar| if is_day { figures::weekday_day(&bar.from) } else { figures::time(&bar.from) };
    let charge = |idx: usize| {
        let range = charts.charge.get(idx).copied().flatten();
        range.map_or_else(String::new, |(lowest, highest)| format!("; charge {}", percents(lowest, highest)))
    };
    let bars: Vec<Bar> =
        charts.bars.iter().enumerate().map(|(idx, one)| bar(one, &when(one), "kWh", &charge(idx))).collect();
    let beginnings: Vec<_> = charts.bars.iter().map(|bar| &bar.from).collect();
    let ranges: Vec<Option<(f64, f64)>> = charts.charge.clone();
    BarChart {
        title: if is_day { "By day" } else { "By quarter-hour" },
        units: ("kWh", "MWh"),
        description: "Energy by source; each bar has its figures as its title.",
        bars: &bars,
        ticks: &ticks_of_bars(&beginnings, if is_day { "day" } else { "quarter" }),
        strip: Some(strip("charge, lowest to highest (0–100 %)", &ranges)),
    }
    .render()
}

fn mean_day(charts: &SupplyCharts) -> Markup {
    let charge = |idx: usize| {
        let mean = charts.charge_by_hour.get(idx).copied().flatten();
        mean.map_or_else(String::new, |mean| format!("; charge {}\u{a0}%", figures::number(mean, 0)))
    };
    let bars: Vec<Bar> = charts
        .mean_day
        .iter()
        .enumerate()
        .map(|(idx, one)| bar(one, &hour_of_day(idx), "kW", &charge(idx)))
        .collect();
    let ranges: Vec<Option<(f64, f64)>> =
        charts.charge_by_hour.iter().map(|mean| mean.map(|mean| (0.0, mean))).collect();
    BarChart {
        title: "Mean day",
        units: ("kW", "MW"),
        description: "Mean power by source and hour; each bar has its figures as its title.",
        bars: &bars,
        ticks: &ticks_of_a_day(),
        strip: Some(strip("charge, mean (0–100 %)", &ranges)),
    }
    .render()
}

/// States of charge: `12–100 %`.
fn percents(lowest: f64, highest: f64) -> String {
    format!("{}–{}\u{a0}%", figures::number(lowest, 0), figures::number(highest, 0))
}

/// A strip of ranges from 0 to 100 per cent.
fn strip(title: &str, ranges: &[Option<(f64, f64)>]) -> Markup {
    if ranges.iter().all(Option::is_none) {
        return html! {};
    }
    html! {
        div.soc role="img" aria-label=(title) {
            span { (title) }
            div class=(density(ranges.len())) {
                @for range in ranges {
                    @match range {
                        // A charge that stays the same is a line.
                        Some((lowest, highest)) => {
                            i style={
                                "bottom:min(" (css_percent(*lowest)) "%,100% - 2px);height:max(2px,"
                                (css_percent(highest - lowest)) "%)"
                            } {}
                        }
                        None => { i.hatch {} }
                    }
                }
            }
        }
    }
}

/// Whether a bar has a mark.
fn has_marks(charts: &SupplyCharts) -> bool {
    charts.bars.iter().chain(&charts.mean_day).any(|bar| bar.measured_share < MIN_MEASURED)
}

fn legend(supply: &Supply, charts: &SupplyCharts) -> Markup {
    let part = |kwh: f64| (supply.load_kwh > 0.0).then(|| figures::share(kwh / supply.load_kwh));
    let sources = [
        (SUN, "sun, used directly", supply.sun_direct_kwh),
        (BATTERY, "battery", supply.battery_out_kwh),
        (GRID, "grid", supply.grid_direct_kwh),
    ];
    html! {
        ul.legend.row {
            @for (class, label, kwh) in sources {
                li {
                    i class={"k " (class)} {} span { (label) } (cells::energy_with_unit(kwh).bold())
                    small { @if let Some(part) = part(kwh) { (part) } }
                }
            }
            li {
                i class={"k " (INTO_BATTERY)} {} span { "into the battery" }
                (cells::energy_with_unit(supply.battery_in_kwh).bold())
                small { @if let Some(share) = supply.round_trip { "round trip " (cells::share(share)) } }
            }
            @if has_marks(charts) { li { i.k.gk {} span { "less than 99.5" (NBSP) "% of it was measured" } } }
        }
    }
}
