//! Energy and cost by hour, day, week or month: bars by band, and their table.

use maud::{Markup, html};

use super::bands::{Part, UNPRICED, parts};
use super::bars::{Bar, BarChart, Part as BarPart};
use super::cells::{self, name, plain_name};
use super::span::{Tick, ticks_of_bars};
use crate::output::figures::{self, NBSP};
use crate::report::{Band, Charts, PeriodBar, Periods, Report};

/// A bar of which less was measured has a mark.
const MIN_MEASURED: f64 = 0.995;

/// Hours of a day that is not named.
const HOURS_OF_A_DAY: f64 = 24.0;

/// The section and all that its parts need.
struct Section<'a> {
    report: &'a Report,
    periods: &'a Periods,
    parts: Vec<Part<'a>>,
    currencies: Vec<&'a str>,
    ticks: Vec<Tick>,
}

pub(super) fn section(report: &Report, charts: &Charts) -> Markup {
    let periods = &charts.periods;
    if periods.bars.is_empty() {
        return html! {};
    }
    let beginnings: Vec<_> = periods.bars.iter().map(|bar| &bar.from).collect();
    let section = Section {
        report,
        periods,
        parts: parts(report, periods),
        currencies: report.costs.iter().map(|cost| cost.currency.as_str()).collect(),
        ticks: ticks_of_bars(&beginnings, &periods.unit),
    };
    section.render()
}

/// The heading of the column of a table that has the periods.
pub(super) fn heading(unit: &str) -> &'static str {
    match unit {
        "hour" => "Hour",
        "day" => "Day",
        "week" => "Week from",
        _ => "Month",
    }
}

/// The name of a period: `Sun 1 Nov (25 h)`.
pub(super) fn label(bar: &PeriodBar, unit: &str) -> String {
    let at = &bar.from;
    match unit {
        "hour" => figures::time(at),
        "day" if (bar.hours - HOURS_OF_A_DAY).abs() > 0.01 => {
            let decimals = usize::from((bar.hours - bar.hours.round()).abs() > 0.01);
            format!("{} ({}{NBSP}h)", figures::weekday_day(at), figures::number(bar.hours, decimals))
        }
        "day" => figures::weekday_day(at),
        "week" => format!("{} {}", figures::day(at), at.0.year()),
        _ => figures::month_year(at),
    }
}

impl Section<'_> {
    fn render(&self) -> Markup {
        let what = if self.currencies.is_empty() { "Energy" } else { "Energy and cost" };
        html! {
            section #periods {
                h2 { (what) " by " (self.periods.unit) }
                (self.note())
                div.two {
                    (self.energy_chart())
                    @for currency in &self.currencies { (self.cost_chart(currency)) }
                }
                (self.legend())
                (self.table())
            }
        }
    }

    fn note(&self) -> Markup {
        html! {
            @if !self.currencies.is_empty() {
                p.note {
                    @if self.parts.len() > 1 { "By tariff band. " }
                    (self.dearest())
                    "Demand and fixed charges belong to months and are not in the bars."
                    @if let Some(kwh) = self.report.total.unpriced_kwh {
                        " " (cells::energy_with_unit(kwh)) " have no price and no cost."
                    }
                }
            }
        }
    }

    /// The part of the dearest band in the energy and in its cost.
    fn dearest(&self) -> Markup {
        let total = &self.report.total;
        let is_priced = |band: &&Band| band.mean_price.is_some() && band.energy_kwh > 0.0;
        let priced: Vec<_> = self.report.bands.iter().filter(is_priced).collect();
        let [.., _, dearest] = priced.as_slice() else { return html! {} };
        let (Some(cost), Some(whole)) = (dearest.energy_cost, total.energy_cost) else { return html! {} };
        html! {
            @if total.energy_kwh > 0.0 && whole > 0.0 && cost > 0.0 {
                "The dearest, " (name(&dearest.name)) ", had " (figures::share(dearest.energy_kwh / total.energy_kwh))
                " of the energy and " (figures::share(cost / whole)) " of its cost. "
            }
        }
    }

    fn energy_chart(&self) -> Markup {
        let bars: Vec<Bar> = self.periods.bars.iter().map(|bar| self.energy_bar(bar)).collect();
        let description = format!("{} bars; their figures are in the table below.", bars.len());
        BarChart {
            title: "Energy",
            units: ("kWh", "MWh"),
            description: &description,
            bars: &bars,
            ticks: &self.ticks,
            strip: None,
        }
        .render()
    }

    fn energy_bar(&self, bar: &PeriodBar) -> Bar {
        if bar.is_unmeasured() {
            return self.empty_bar(bar);
        }
        let value = |part: &Part<'_>| part.sum(&bar.parts_kwh);
        let text = |part: &Part<'_>| format!("{} {}", part.label, figures::energy(value(part)));
        let parts: Vec<String> = self.parts.iter().map(text).collect();
        let all = if parts.len() > 1 { format!(" ({})", parts.join(", ")) } else { String::new() };
        let title = format!(
            "{}: {}{all}{}",
            self.label(bar),
            figures::energy(bar.energy_kwh),
            unmeasured_in_words(bar)
        );
        let parts = self.parts.iter().map(|part| BarPart { class: part.class, value: value(part) });
        Bar { title, parts: parts.collect(), ..self.mark(bar) }
    }

    fn cost_chart(&self, currency: &str) -> Markup {
        let bars: Vec<Bar> = self.periods.bars.iter().map(|bar| self.cost_bar(bar, currency)).collect();
        let thousands = format!("1,000 {currency}");
        BarChart {
            title: "Cost of energy",
            units: (currency, &thousands),
            description: "Their figures are in the table below.",
            bars: &bars,
            ticks: &self.ticks,
            strip: None,
        }
        .render()
    }

    fn cost_bar(&self, bar: &PeriodBar, currency: &str) -> Bar {
        if bar.is_unmeasured() {
            return self.empty_bar(bar);
        }
        let Some(cost) = self.cost_in(bar, currency) else {
            return Bar { title: format!("{}: no price", self.label(bar)), ..self.mark(bar) };
        };
        let costs = self.costs_in(bar, currency);
        let text = |part: &Part<'_>| format!("{} {}", part.label, figures::money(part.sum(&costs), currency));
        let is_own = |part: &&Part<'_>| part.places.iter().any(|place| self.is_in(*place, currency));
        let priced = || self.parts.iter().filter(is_own).filter(|part| part.class != UNPRICED);
        let parts: Vec<String> = priced().map(text).collect();
        let all = if parts.len() > 1 { format!(" ({})", parts.join(", ")) } else { String::new() };
        let sum = figures::money(cost, currency);
        let title = format!("{}: {sum}{all}{}", self.label(bar), unmeasured_in_words(bar));
        let parts = priced().map(|part| BarPart { class: part.class, value: part.sum(&costs) });
        Bar { title, parts: parts.collect(), ..self.mark(bar) }
    }

    /// The cost of each of the report's parts in one currency; nothing of others.
    fn costs_in(&self, bar: &PeriodBar, currency: &str) -> Vec<f64> {
        let cost = |place| self.cost_of_part(bar, place, currency).unwrap_or_default();
        (0..bar.parts_cost.len()).map(cost).collect()
    }

    fn cost_of_part(&self, bar: &PeriodBar, place: usize, currency: &str) -> Option<f64> {
        let cost = bar.parts_cost.get(place).copied().flatten();
        cost.filter(|_| self.is_in(place, currency))
    }

    /// Whether a part has its price in a currency.
    fn is_in(&self, place: usize, currency: &str) -> bool {
        let own = self.report.bands.get(place).and_then(|band| band.currency.as_deref());
        own.is_none_or(|own| own == currency)
    }

    /// The cost of a bar in one currency; `None` where nothing of it has a price.
    fn cost_in(&self, bar: &PeriodBar, currency: &str) -> Option<f64> {
        let costs = (0..bar.parts_cost.len()).filter_map(|place| self.cost_of_part(bar, place, currency));
        costs.reduce(|one, other| one + other)
    }

    fn label(&self, bar: &PeriodBar) -> String {
        label(bar, &self.periods.unit)
    }

    /// A bar of which nothing was measured.
    fn empty_bar(&self, bar: &PeriodBar) -> Bar {
        Bar { title: format!("{}: not measured", self.label(bar)), ..self.mark(bar) }
    }

    /// A bar without parts, marked if it was not measured whole.
    fn mark(&self, bar: &PeriodBar) -> Bar {
        let share = bar.measured_share.unwrap_or_default();
        let unmeasured = if share < MIN_MEASURED { 1.0 - share } else { 0.0 };
        let unmeasured_title = format!("{}{}", self.label(bar), unmeasured_in_words(bar));
        Bar { title: String::new(), parts: vec![], unmeasured, unmeasured_title }
    }

    fn legend(&self) -> Markup {
        let has_marks =
            self.periods.bars.iter().any(|bar| bar.measured_share.is_none_or(|share| share < MIN_MEASURED));
        if self.parts.len() < 2 && self.currencies.is_empty() && !has_marks {
            return html! {};
        }
        html! {
            ul.legend.row {
                @for part in self.parts.iter().filter(|_| !self.currencies.is_empty()) {
                    li {
                        i class={"k " (part.class)} {}
                        span { (name(&part.label)) }
                        @match part.band {
                            Some(band) => { (cells::energy_with_unit(band.energy_kwh).bold()) (self.cost_of(part)) },
                            None => { b { (figures::energy(self.energy_of(part))) } },
                        }
                    }
                }
                @if has_marks { li { i.k.gk {} span { "less than 99.5" (NBSP) "% of it was measured" } } }
            }
        }
    }

    fn cost_of(&self, part: &Part<'_>) -> Markup {
        let band = part.band;
        let currency = band.and_then(|band| band.currency.as_deref());
        html! {
            @match (band.and_then(|band| band.energy_cost), currency) {
                (Some(cost), Some(currency)) => small {
                    (cells::money(cost, currency))
                    @if let Some(price) = band.and_then(|band| band.mean_price) { ", " (cells::price(price, currency)) }
                },
                _ => small { "no price" },
            }
        }
    }

    fn energy_of(&self, part: &Part<'_>) -> f64 {
        self.periods.bars.iter().map(|bar| part.sum(&bar.parts_kwh)).sum()
    }

    fn table(&self) -> Markup {
        let has_parts = self.parts.len() > 1;
        html! {
            details {
                summary { "Table: each " (self.periods.unit) }
                div.tw tabindex="0" role="region" aria-label={"Each " (self.periods.unit)} {
                    table.num {
                        thead { tr {
                            th scope="col" { (heading(&self.periods.unit)) }
                            th scope="col" { "kWh" }
                            @for part in self.parts.iter().filter(|_| has_parts) { th scope="col" { (name(&part.label)) } }
                            @for currency in &self.currencies { th scope="col" { "Cost, " (plain_name(currency)) } }
                            th scope="col" { "Measured" }
                        } }
                        tbody { @for bar in &self.periods.bars { (self.row(bar, has_parts)) } }
                    }
                }
            }
        }
    }

    fn row(&self, bar: &PeriodBar, has_parts: bool) -> Markup {
        let part_cell = |part: &Part<'_>| {
            let sum = part.sum(&bar.parts_kwh);
            if part.band.is_some() {
                cells::energy(sum).cell("")
            } else {
                html! { td { (figures::energy_number(sum)) } }
            }
        };
        if bar.is_unmeasured() {
            let n_others = self.currencies.len() + if has_parts { self.parts.len() } else { 0 };
            return html! {
                tr {
                    th scope="row" { (self.label(bar)) }
                    td { span.na { "not measured" } }
                    @for _ in 0..n_others { td { (figures::NOT_APPLICABLE) } }
                    (cells::measured_cell(bar.measured_share))
                }
            };
        }
        html! {
            tr {
                th scope="row" { (self.label(bar)) }
                (cells::energy(bar.energy_kwh).cell(""))
                @for part in self.parts.iter().filter(|_| has_parts) { (part_cell(part)) }
                @match (self.currencies.as_slice(), bar.energy_cost) {
                    ([currency], Some(cost)) => { (cells::money(cost, currency).cell("")) },
                    (currencies, _) => {
                        @for currency in currencies {
                            @let cost = self.cost_in(bar, currency).map(|cost| figures::money(cost, currency));
                            td { (cost.as_deref().unwrap_or(figures::NOT_APPLICABLE)) }
                        }
                    },
                }
                (cells::measured_cell(bar.measured_share))
            }
        }
    }
}

fn unmeasured_in_words(bar: &PeriodBar) -> String {
    match bar.measured_share {
        Some(share) if share < 1.0 => format!("; {} measured", figures::measured(share)),
        Some(_) => String::new(),
        None => "; not measured".to_owned(),
    }
}
