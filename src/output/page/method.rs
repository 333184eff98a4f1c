//! Where the figures come from, and which sections are not there.

use maud::{Markup, html};

use super::cells::{self, name, sentence};
use crate::output::figures::{self, NBSP};
use crate::report::{BOUNDARY, Band, Charge, ChargeKind, Cost, Report};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section #method {
            h2 { "Method" }
            div.cols {
                p {
                    b { "Boundary. " }
                    (BOUNDARY)
                }
                p {
                    b { "Energy. " }
                    "Trapezoids between neighbouring readings, in whole millijoules, kept by quarter-hour. A time without a "
                    "reading that is longer than the ledger's limit (three intervals unless " code { "max_gap" }
                    " says otherwise) is not measured, and " (filled(report))
                }
                p {
                    b { "Uncertainty. " }
                    "± is k" (NBSP) "=" (NBSP) "2, about 95" (NBSP) "% of cases, from the calibration of the boards and the time between "
                    "readings. Boards of one model err together, those of different models apart."
                    (parts_of_uncertainty(report))
                }
                p { b { "Cost. " } (cost(report)) }
                p {
                    b { "Rounding. " }
                    "Each figure is rounded on its own; a total is the sum of what was not rounded. All figures are in "
                    code { "report --format json --charts" } "."
                }
                @if let Some(supply) = &report.supply { p { b { "Battery. " } (name(&supply.battery_rule)) } }
                @let notes: Vec<&String> = report.notes.iter().filter(|note| *note != BOUNDARY).collect();
                @if !notes.is_empty() {
                    p { b { "Notes. " } @for note in notes { (sentence(note)) " " } }
                }
                @let absent = absent(report);
                @if !absent.is_empty() { p { b { "Not on this page: " } (absent.join("; ")) "." } }
            }
        }
    }
}

/// The fate of the time that was not measured.
fn filled(report: &Report) -> &'static str {
    match report.total.filled_kwh {
        Some(_) => "is only in the column of what is filled in, at the mean of each board.",
        None => "nothing is filled in.",
    }
}

/// The parts of the total's uncertainty, as shares of its energy.
fn parts_of_uncertainty(report: &Report) -> Markup {
    let total = &report.total;
    html! {
        @if let (Some(calibration), Some(sampling)) = (total.u_calibration_share, total.u_sampling_share) {
            " Of the energy: calibration " (cells::part(calibration)) ", sampling " (cells::part(sampling)) "."
        }
    }
}

/// The mean prices of the bands that have one.
fn mean_prices(report: &Report) -> Markup {
    let price = |band: &'_ Band| Some((band.mean_price?, band.currency.clone()?));
    let priced: Vec<_> = report.bands.iter().filter_map(|band| Some((&band.name, price(band)?))).collect();
    html! {
        @if !priced.is_empty() {
            " Mean prices: "
            @for (idx, (band, (price, currency))) in priced.iter().enumerate() {
                @if idx > 0 { ", " }
                (name(band)) " " (cells::price(*price, currency))
            }
            "."
        }
    }
}

fn cost(report: &Report) -> Markup {
    if report.costs.is_empty() && report.total.unpriced_kwh.is_some() {
        return html! { "No tariff holds for this energy, so it has no price." };
    }
    if report.costs.is_empty() {
        return html! { "No tariff is set, so there is no cost." };
    }
    html! {
        "Prices are applied when the report is made."
        (mean_prices(report))
        @for cost in &report.costs { @for charge in &cost.charges { " " (charge_in_words(report, charge, cost)) } }
    }
}

fn charge_in_words(report: &Report, charge: &Charge, cost: &Cost) -> Markup {
    let kind = match charge.kind {
        ChargeKind::Demand => "Demand charge",
        ChargeKind::Fixed => "Fixed charge",
    };
    let month = figures::month_of(&charge.month, &report.from, &report.to);
    html! {
        (kind) " of " (month) ", " (name(&charge.tariff)) ": "
        @if let (Some(peak), Some(price)) = (charge.peak_kw, charge.per_kw) {
            (cells::kilowatts(peak))
            @if let Some(at) = &charge.peak_at { " (" (figures::time(at)) ")" }
            " at " (cells::money(price, &cost.currency)) ", "
        }
        (cells::money(charge.cost, &cost.currency))
        @if !charge.is_charged { "; not in the cost, since the period begins later" }
        @else if !charge.is_complete { "; from part of the month" }
        "."
    }
}

/// The sections that are not there, each with its reason.
fn absent(report: &Report) -> Vec<&'static str> {
    let charts = report.charts.as_deref();
    let mut absent = vec!["who used it, as the owners of jobs are not known"];
    if charts.is_none() {
        absent.push("charts, which were not asked for");
    }
    if charts.is_some_and(|charts| charts.week.is_none()) {
        absent.push("hours of the week, which are for seven days and more");
    }
    if report.supply.is_none() {
        absent.push("supply and battery, as there is no battery station");
    }
    if charts.is_some_and(|charts| charts.alerts.is_empty()) {
        absent.push("alerts, as none was raised");
    }
    absent
}
