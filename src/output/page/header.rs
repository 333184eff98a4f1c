//! The head of the page: the period, the fleet, and the answer in a few sentences.

use maud::{Markup, html};

use super::cells::{self, name};
use super::span::Span;
use crate::output::figures::{self, NBSP};
use crate::report::{Moment, NodeRow, PeriodBar, Report};
use crate::support::counted;

/// The smallest part of idle energy that is worth a sentence.
const MIN_IDLE_SHARE: f64 = 0.01;

/// Bars of days from which the most expensive is told.
const MIN_DAYS_OF_DEAREST: usize = 7;

/// The most nodes that are said to be down by name.
const MAX_NAMED_DOWN: usize = 2;

pub(super) fn header(report: &Report) -> Markup {
    html! {
        header {
            p.brand { "fleetwatt " span { "energy report" } }
            h1 { (figures::period(&report.from, report.end())) }
            p.sub { (fleet(report)) }
            p.lead { (lead(report)) }
        }
    }
}

/// The length of the period, the zone, and the numbers of nodes and boards.
fn fleet(report: &Report) -> Markup {
    let scope = &report.scope;
    html! {
        (figures::length(report)) ", " (report.timezone) (NBSP) "· " (counted(scope.nodes, "node", "nodes")) ", " (counted(scope.gpus, "GPU", "GPUs"))
        @if !scope.sites.is_empty() {
            (NBSP) "· " @if scope.sites.len() == 1 { "site " } @else { "sites " }
            @for (idx, site) in scope.sites.iter().enumerate() {
                @if idx > 0 { ", " }
                (name(site))
            }
        }
    }
}

fn lead(report: &Report) -> Markup {
    if report.scope.gpus == 0 {
        return html! {
            "There is no GPU in this period."
            @if let Some(supply) = &report.supply {
                " The stations delivered " (cells::energy_in_words(supply.load_kwh).bold()) "."
            }
        };
    }
    if report.total.is_unmeasured() {
        return html! {
            "Nothing was measured in this period, of " (counted(report.scope.gpus, "GPU", "GPUs")) "." (down(report)) (silent(report))
        };
    }
    let costs: Vec<(f64, &str)> =
        report.costs.iter().filter_map(|cost| Some((cost.cost?, cost.currency.as_str()))).collect();
    html! {
        "The GPUs used " (cells::energy_in_words(report.total.energy_kwh).bold())
        @for (idx, (cost, currency)) in costs.iter().enumerate() {
            @if idx == 0 { " and cost " } @else { " and " }
            (cells::money(*cost, currency).bold())
        }
        "."
        (unpriced(report, !costs.is_empty()))
        (idle(report))
        (dearest_day(report))
        (down(report))
        (silent(report))
    }
}

/// The energy that the cost leaves out.
fn unpriced(report: &Report, has_cost: bool) -> Markup {
    let Some(unpriced) = report.total.unpriced_kwh else { return html! {} };
    html! {
        @if has_cost {
            " The cost is for " (figures::energy_in_words(report.total.energy_kwh - unpriced)) ": "
            (cells::energy_in_words(unpriced)) " have no price."
        } @else { " The energy has no price." }
    }
}

fn idle(report: &Report) -> Markup {
    let total = &report.total;
    let share = total.idle_kwh.filter(|_| total.energy_kwh > 0.0).map(|idle| idle / total.energy_kwh);
    let Some(share) = share.filter(|share| *share >= MIN_IDLE_SHARE) else { return html! {} };
    let costs: Vec<_> =
        report.costs.iter().filter_map(|cost| Some(cells::money(cost.idle_cost?, &cost.currency))).collect();
    html! {
        " Idle GPUs drew " (figures::share(share)) " of it"
        @for (idx, cost) in costs.iter().enumerate() {
            @if idx == 0 { ", worth " } @else { " and " }
            (cost)
        }
        "."
    }
}

fn dearest_day(report: &Report) -> Markup {
    // Costs in two currencies cannot be compared.
    let [cost] = report.costs.as_slice() else { return html! {} };
    let currency = cost.currency.as_str();
    let days = report.charts.iter().filter(|charts| charts.periods.unit == "day");
    let bars: Vec<&PeriodBar> = days.flat_map(|charts| &charts.periods.bars).collect();
    let cost = |bar: &PeriodBar| bar.energy_cost.unwrap_or(f64::NEG_INFINITY);
    let dearest = bars.iter().max_by(|one, other| cost(one).total_cmp(&cost(other)));
    let day = dearest.and_then(|bar| Some((&bar.from, bar.energy_cost?)));
    let Some((at, cost)) = day.filter(|_| bars.len() >= MIN_DAYS_OF_DEAREST) else {
        return html! {};
    };
    html! {
        " The most expensive day was " (figures::day_in_words(at)) " at " (cells::money(cost, currency)) "."
    }
}

/// The nodes of which nothing is known.
fn silent(report: &Report) -> Markup {
    let Some(nodes) = report.scope.silent_in_words() else { return html! {} };
    html! { " " span.bad { (name(&nodes)) " gave no reading at all." } }
}

fn down(report: &Report) -> Markup {
    let span = Span { from: &report.from, to: &report.to };
    let nodes = report.charts.iter().flat_map(|charts| &charts.nodes);
    let since = |node: &'_ NodeRow| node.row.down_since.clone();
    let down: Vec<(&str, Moment)> =
        nodes.filter_map(|node| Some((node.row.group.as_str(), since(node)?))).collect();
    let n_more = down.len().saturating_sub(MAX_NAMED_DOWN);
    if down.is_empty() {
        return html! {};
    }
    html! {
        " "
        span.bad {
            @for (idx, (node, since)) in down.iter().take(MAX_NAMED_DOWN).enumerate() {
                @if idx > 0 { ", " }
                (name(node)) @if idx == 0 { " has been down" } " since " (span.time(since))
            }
            @if n_more > 0 { ", and " (counted(n_more, "more node is down", "more nodes are down")) }
            "."
        }
    }
}
