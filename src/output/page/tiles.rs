//! The headline figures.

use maud::{Markup, html};

use super::cells::{self, Shown};
use super::span::Span;
use super::supply::of_stations as name_of_stations;
use crate::output::figures::{self, NBSP};
use crate::report::{Cost, Report};

/// Tiles of a page with one currency or none.
const N_TILES: usize = 6;

/// A tile.
struct Tile {
    heading: Markup,
    value: Markup,
    remark: Markup,
}

impl Tile {
    fn new(heading: &str, value: &Shown, remark: Markup) -> Self {
        Self { heading: html! { (heading) }, value: value.large(), remark }
    }

    /// A tile without a figure.
    fn of_words(heading: &str, words: &str, remark: Markup) -> Self {
        Self { heading: html! { (heading) }, value: html! { b.none { (words) } }, remark }
    }
}

pub(super) fn tiles(report: &Report) -> Markup {
    let tiles = if report.scope.gpus == 0 { of_stations(report) } else { of_boards(report) };
    html! {
        dl.kpis aria-label="Headline figures" {
            @for tile in &tiles {
                div.kpi {
                    dt { (tile.heading) }
                    dd { (tile.value) small { (tile.remark) } }
                }
            }
        }
    }
}

fn of_boards(report: &Report) -> Vec<Tile> {
    let mut tiles = vec![energy(report)];
    tiles.extend(costs(report));
    tiles.push(measured(report));
    tiles.push(peak(report));
    let others = [co2(report), self_sufficiency(report), idle(report), mean(report)];
    let n_free = N_TILES.saturating_sub(tiles.len());
    tiles.extend(others.into_iter().flatten().take(n_free));
    tiles
}

/// Of a report that has stations and no boards.
fn of_stations(report: &Report) -> Vec<Tile> {
    let Some(supply) = &report.supply else { return vec![] };
    let energy =
        |heading, kwh, remark: &str| Tile::new(heading, &cells::energy_with_unit(kwh), html! { (remark) });
    let mut tiles = vec![energy("Delivered", supply.load_kwh, "by the stations")];
    tiles.extend(self_sufficiency(report));
    tiles.push(energy("Sun", supply.solar_kwh, "from the panels"));
    tiles.push(energy("Grid", supply.grid_kwh, "into the stations"));
    if let Some(share) = supply.measured_share {
        tiles.push(Tile::new("Measured", &cells::measured(share), html! { "of the time" }));
    }
    tiles
}

/// `(k = 2)` with its meaning.
fn k_2() -> Markup {
    html! { abbr title="expanded uncertainty, about 95 % of cases" { "(k" (NBSP) "=" (NBSP) "2)" } }
}

fn energy(report: &Report) -> Tile {
    let total = &report.total;
    let estimated = total.estimated_kwh.filter(|kwh| *kwh > 0.0);
    let remark = html! {
        @match total.u_kwh {
            Some(u) => { (cells::uncertainty(u, total.energy_kwh)) " " (k_2()) ", GPU boards" },
            None if estimated.is_some() => { "an estimate, GPU boards" },
            None => { "GPU boards" },
        }
        @if let (Some(kwh), Some(_)) = (estimated, total.u_kwh) {
            "; " (cells::energy_with_unit(kwh)) " of it is an estimate"
        }
        @if let Some(kwh) = total.filled_kwh {
            "; with an estimate of what was not measured " (cells::energy_with_unit(kwh)) " more"
        }
        @if let Some(kwh) = total.billed_kwh {
            "; " (cells::energy_with_unit(kwh)) " by the meter"
        }
    };
    if total.is_unmeasured() {
        return Tile::of_words("Energy", "not measured", html! { "GPU boards" });
    }
    Tile::new("Energy", &cells::energy_with_unit(total.energy_kwh), remark)
}

fn costs(report: &Report) -> Vec<Tile> {
    if report.total.is_unmeasured() {
        return vec![Tile::of_words("Cost", "not known", html! { "nothing was measured" })];
    }
    if report.costs.is_empty() && report.total.unpriced_kwh.is_some() {
        return vec![Tile::of_words("Cost", "no price", html! { "no tariff holds for this energy" })];
    }
    if report.costs.is_empty() {
        let remark = html! { "a " code { "[[tariff]]" } " in the inventory gives the cost" };
        return vec![Tile::of_words("Cost", "no tariff set", remark)];
    }
    let heading = |cost: &Cost| {
        if report.costs.len() > 1 { format!("Cost in {}", cost.currency) } else { "Cost".to_owned() }
    };
    let tile = |cost: &Cost| match cost.cost {
        Some(value) => {
            Tile::new(&heading(cost), &cells::money(value, &cost.currency), parts_of_cost(report, cost))
        }
        None => Tile::of_words(&heading(cost), "no price", parts_of_cost(report, cost)),
    };
    report.costs.iter().map(tile).collect()
}

fn parts_of_cost(report: &Report, cost: &Cost) -> Markup {
    let total = &report.total;
    let unpriced = total.unpriced_kwh.filter(|_| cost.cost.is_some());
    let money = |amount| cells::money(amount, &cost.currency);
    let charges = [("demand", cost.demand_cost), ("fixed", cost.fixed_cost)];
    let charged: Vec<_> = charges.into_iter().filter(|(_, amount)| amount.abs() >= 0.005).collect();
    html! {
        @if let Some(u) = cost.u_cost {
            span data-v=(u) { "±" (NBSP) (figures::money_uncertainty(u, &cost.currency)) } "; "
        }
        @match cost.energy_cost {
            Some(amount) => { "energy " (money(amount)) },
            None => "energy has no price",
        }
        @for (kind, amount) in charged { " · " (kind) " " (money(amount)) }
        @if let Some(unpriced) = unpriced {
            "; for " (figures::energy(total.energy_kwh - unpriced)) " of "
            (cells::energy_with_unit(total.energy_kwh))
        }
    }
}

fn measured(report: &Report) -> Tile {
    let total = &report.total;
    let remark = html! {
        @if total.unmeasured_h > 0.0 {
            a href="#gaps" {
                (cells::hours(total.unmeasured_h)) " GPU-hours were not measured"
            }
        } @else { "every GPU, all the time" }
    };
    match total.measured_share {
        Some(share) => Tile::new("Measured", &cells::measured(share), remark),
        None => Tile::of_words("Measured", "no time", remark),
    }
}

fn peak(report: &Report) -> Tile {
    let total = &report.total;
    let mean = html! { @if let Some(watts) = total.mean_w { "mean " (cells::watts(watts)) } };
    match (total.peak_quarter_kw, &total.peak_quarter_at) {
        (Some(kw), Some(at)) => {
            let span = Span { from: &report.from, to: &report.to };
            let remark = html! { (figures::weekday_name(at)) " " (span.time(at)) @if total.mean_w.is_some() { "; " } (mean) };
            Tile::new("Peak quarter-hour", &cells::kilowatts(kw), remark)
        }
        _ => {
            let none = html! { "no quarter-hour was measured to 90" (NBSP) "%" @if total.mean_w.is_some() { "; " } (mean) };
            Tile::of_words("Peak quarter-hour", "not known", none)
        }
    }
}

fn co2(report: &Report) -> Option<Tile> {
    let kg = report.total.co2_kg.filter(|_| !report.total.is_unmeasured())?;
    // More than the boards' energy emits: the factor of the site, which Method has.
    let has_factor = |intensity: f64| kg > report.total.energy_kwh * intensity / 1000.0 * 1.001;
    let remark = html! {
        @if let Some(intensity) = report.total.co2_g_per_kwh {
            "at " (cells::intensity(intensity)) " on average" @if has_factor(intensity) { ", times the PUE" }
        }
    };
    let heading = html! { "CO" sub { "2" } };
    Some(Tile { heading, value: cells::co2(kg).large(), remark })
}

fn self_sufficiency(report: &Report) -> Option<Tile> {
    let supply = report.supply.as_ref()?;
    let part = |kwh: f64| figures::share(kwh / supply.load_kwh);
    let remark = html! {
        "of the load of " (name_of_stations(supply)) ": sun " (part(supply.sun_direct_kwh)) ", battery " (part(supply.battery_out_kwh))
    };
    Some(Tile::new("Self-sufficiency", &cells::share(supply.self_sufficiency?), remark))
}

fn idle(report: &Report) -> Option<Tile> {
    let total = &report.total;
    let idle = total.idle_kwh.filter(|_| !total.is_unmeasured())?;
    let remark = html! {
        @if total.energy_kwh > 0.0 { (figures::share(idle / total.energy_kwh)) " of the energy" }
        @for cost in &report.costs {
            @if let Some(amount) = cost.idle_cost { ", " (cells::money(amount, &cost.currency)) }
        }
    };
    Some(Tile::new("Idle", &cells::energy_with_unit(idle), remark))
}

fn mean(report: &Report) -> Option<Tile> {
    Some(Tile::new("Mean power", &cells::watts(report.total.mean_w?), html! { "while measured" }))
}
