//! Power over time, stacked: the chart, its legend and its table.

use maud::{Markup, html};

use super::bars::{axis, grid, labels};
use super::cells::{self, name, plain_name};
use super::marks;
use super::scale::{Scale, css_left, css_percent, float_count};
use super::span::{MIN_DAYS_TO_ZOOM, Span, Tick, Weight, widening};
use super::stack::{self, Height};
use crate::output::figures::{self, NBSP};
use crate::report::{Charts, PeriodBar, PowerStack, Report, StackMember};

/// Watts from which the axis is in kilowatts, and from which it is in megawatts.
const KILOWATT: i64 = 1_000;
const MIN_OF_MEGAWATTS: i64 = 10_000_000;

/// Minutes of a quarter-hour.
const QUARTER_MINUTES: usize = 15;

/// Quarter-hours of a column up to which a week, and a day, can be looked at more closely.
const MAX_QUARTERS_OF_WEEKS: usize = 8;
const MAX_QUARTERS_OF_DAYS: usize = 1;

/// Colours of members by rank; further ones are of the rest.
const CLASSES: [&str; 7] = ["L1", "L2", "L3", "L4", "L5", "L6", "L7"];
const REST: &str = "LR";

/// The power section, and all that its parts need.
struct Power<'a> {
    report: &'a Report,
    charts: &'a Charts,
    stack: &'a PowerStack,
    span: Span<'a>,
    /// The cumulative sums of the members.
    sums: stack::Watts,
    scale: Scale,
    height: Height,
    /// Columns that are one of the far level.
    n_far: usize,
}

pub(super) fn section(report: &Report, charts: &Charts) -> Markup {
    let stack = &charts.power;
    let members: Vec<&[Option<i64>]> = stack.members.iter().map(|member| member.watts.as_slice()).collect();
    let sums = stack::cumulative(&members);
    let Some(highest) = sums.last().and_then(|total| total.iter().flatten().max().copied()) else {
        return html! {};
    };
    let peak = report.total.peak_quarter_kw.unwrap_or_default() * 1000.0;
    let (scale, top) = Scale::of_watts(highest.max(whole(peak)));
    let n_far = stack::columns_of_a_far_one(stack.columns);
    let span = Span { from: &report.from, to: &report.to };
    let height = Height::new(top);
    let power = Power { report, charts, stack, span, sums, scale, height, n_far };
    html! {
        section #power {
            h2 { "Power" }
            p.note { (power.note()) }
            div.cwrap { (power.figure()) (power.legend()) }
            (power.table())
        }
    }
}

/// The next whole watt.
fn whole(watts: f64) -> i64 {
    format!("{:.0}", watts.ceil()).parse().unwrap_or_default()
}

/// The grouping in words: `node`, or the key of a label.
fn grouping(by: &str) -> String {
    plain_name(by.strip_prefix("label:").unwrap_or(by))
}

/// A number of quarter-hours in words: `60 minutes`, `4 hours`.
fn quarters_in_words(quarters: usize) -> String {
    let minutes = quarters * QUARTER_MINUTES;
    if minutes < 120 {
        format!("{minutes}{NBSP}minutes")
    } else {
        format!(
            "{}{NBSP}hours",
            figures::number(float_count(minutes) / 60.0, usize::from(!minutes.is_multiple_of(60)))
        )
    }
}

impl Power<'_> {
    fn total(&self) -> &[Option<i64>] {
        self.sums.last().map_or(&[], Vec::as_slice)
    }

    fn has_gaps(&self) -> bool {
        self.report.total.unmeasured_h > 0.0 || marks::has_hatches(self.stack)
    }

    /// The unit of the axis, and its watts.
    fn unit(&self) -> (&'static str, f64) {
        match self.height.unit * self.height.units {
            watts if watts < KILOWATT => ("W", 1.0),
            watts if watts < MIN_OF_MEGAWATTS => ("kW", 1e3),
            _ => ("MW", 1e6),
        }
    }

    /// The class of the colour of a member.
    fn class(&self, idx: usize) -> &'static str {
        let is_rest = self.stack.members.get(idx).is_some_and(|member| member.is_rest);
        CLASSES.get(idx).copied().filter(|_| !is_rest).unwrap_or(REST)
    }

    fn note(&self) -> Markup {
        let quarters = self.stack.quarters_per_column;
        html! {
            "In " (self.unit().0)
            @if self.stack.members.len() > 1 { ", stacked by " (grouping(&self.stack.by)) }
            @if quarters > 1 { "; each step is the mean of " (quarters_in_words(quarters)) }
            @if self.n_far > 1 {
                "; the line is the highest " @if quarters == 1 { "quarter-hour" } @else { (quarters_in_words(quarters)) }
                " of each " (quarters_in_words(quarters * self.n_far))
            }
            "."
            @if self.has_gaps() {
                @if marks::has_hatches(self.stack) { " Hatched" } @else { " Marked below" }
                ": not measured, and not filled in; the numbers lead to the "
                a href="#gaps" { "reasons" } "."
            }
        }
    }

    fn description(&self) -> String {
        let total = &self.report.total;
        let mut text = String::from("The fleet drew ");
        if let Some(mean) = total.mean_w {
            text.push_str(&format!("{} on average", figures::power(mean)));
        }
        if let Some(peak) = total.peak_quarter_kw {
            text.push_str(&format!(" and at most {}", figures::power(peak * 1000.0)));
        }
        text.push('.');
        let gaps: Vec<String> = self
            .report
            .gaps
            .iter()
            .filter_map(|gap| marks::gap_in_words(gap, &self.span))
            .take(marks::MAX_GAPS)
            .collect();
        if !gaps.is_empty() {
            text.push_str(&format!(" Times that were not measured: {}.", gaps.join("; ")));
        }
        text.push_str(" A table is below.");
        text
    }

    fn zooms(&self) -> [Option<f64>; 2] {
        let is_long = self.span.days() >= MIN_DAYS_TO_ZOOM;
        let quarters = self.stack.quarters_per_column;
        let week =
            (self.span.days() > 8.0 && quarters <= MAX_QUARTERS_OF_WEEKS).then(|| widening(&self.span, 7));
        let day = (is_long && quarters <= MAX_QUARTERS_OF_DAYS).then(|| widening(&self.span, 1));
        [week, day]
    }

    fn figure(&self) -> Markup {
        let [week, day] = self.zooms();
        let ticks = self.span.ticks();
        let (_, unit) = self.unit();
        let width = |times: Option<f64>| css_percent(times.unwrap_or(1.0) * 100.0);
        html! {
            figure.plot.zoomable aria-labelledby="power-title" aria-describedby="power-words" {
                figcaption.vh #power-title {
                    "Power by " (grouping(&self.stack.by)) ", " (figures::period(&self.report.from, self.report.end()))
                }
                p.vh #power-words { (self.description()) }
                @if week.is_some() || day.is_some() {
                    input type="radio" name="zoom" #z0 checked; label for="z0" { (self.report.scope.days) " days" }
                    @if week.is_some() { input type="radio" name="zoom" #z1; label for="z1" { "week" } }
                    @if day.is_some() { input type="radio" name="zoom" #z2; label for="z2" { "day" } }
                }
                div.frame.tall style={"--week:" (width(week)) "%;--day:" (width(day)) "%"} {
                    div {
                        (axis(&self.scale, unit))
                        @if self.has_gaps() { div.gl aria-hidden="true" { "gaps" } }
                    }
                    div.scroll tabindex="0" role="region" aria-label="Power over time; scrolls when a week or a day is shown" {
                        div.inner {
                            (self.pane(&ticks))
                            @if self.has_gaps() {
                                (marks::coverage(self.stack, &self.span))
                                (marks::numbers(&self.report.gaps, &self.span))
                            }
                            (labels(&ticks))
                        }
                    }
                }
            }
        }
    }

    fn pane(&self, ticks: &[Tick]) -> Markup {
        html! {
            div.pane {
                (grid(&self.scale))
                @for tick in ticks.iter().filter(|tick| tick.weight != Weight::Hour) {
                    s.mn[tick.weight == Weight::Minor] style={"left:" (css_percent(tick.percent)) "%"} {}
                }
                (marks::hatches(self.stack, &self.span))
                @if self.n_far > 1 { (self.far()) }
                (self.near())
                (self.peak())
                (marks::alerts(&self.charts.alerts, &self.span))
            }
        }
    }

    /// The width of the plot in columns, of which the last may be a part.
    fn columns(&self) -> f64 {
        self.span.hours() * 4.0 / float_count(self.stack.quarters_per_column.max(1))
    }

    fn view_box(&self, n_columns: usize) -> String {
        let width = css_percent(self.columns() / float_count(n_columns));
        format!("0 0 {width} {}", self.height.units)
    }

    /// At most 760 columns, each a mean, with a line for the highest.
    fn far(&self) -> Markup {
        let sums: Vec<_> = self.sums.iter().map(|sum| stack::means(sum, self.n_far)).collect();
        let highest = stack::line(&stack::highest(self.total(), self.n_far), self.height);
        html! {
            svg.far viewBox=(self.view_box(self.n_far)) preserveAspectRatio="none" role="img" aria-labelledby="power-title" {
                (self.areas(&sums, false))
                path.env d=(highest) {}
            }
        }
    }

    /// Every column. The script reads it, and shows it under the pointer.
    fn near(&self) -> Markup {
        let is_only = self.n_far == 1;
        let names: Vec<String> = self.stack.members.iter().map(|member| plain_name(&member.name)).collect();
        let names = serde_json::to_string(&names).unwrap_or_default();
        let seconds = self.stack.quarters_per_column * QUARTER_MINUTES * 60;
        html! {
            svg.near.only[is_only] viewBox=(self.view_box(1)) preserveAspectRatio="none"
                role=[is_only.then_some("img")] aria-labelledby=[is_only.then_some("power-title")]
                aria-hidden=[(!is_only).then_some("true")]
                data-unit=(self.height.unit) data-from=(self.report.from.0.timestamp().as_second()) data-step=(seconds)
                data-zone=(self.report.timezone) data-names=(names) {
                (self.areas(&self.sums, true))
            }
        }
    }

    /// The painter's stack. With what is missing, for the script, which cannot see it in the paths.
    fn areas(&self, sums: &[Vec<Option<i64>>], with_missing: bool) -> Markup {
        html! {
            @for (idx, sum) in sums.iter().enumerate().rev() {
                path class=(self.class(idx)) d=(stack::area(sum, self.height))
                    data-none=[with_missing.then(|| self.missing(idx)).flatten()] {}
            }
        }
    }

    /// The columns in which a member was not measured: `12+3 40+1` are three from the twelfth and one from the fortieth.
    fn missing(&self, idx: usize) -> Option<String> {
        let watts = &self.stack.members.get(idx)?.watts;
        let runs = stack::runs(watts, |watts| watts.is_none().then_some(()));
        let runs: Vec<String> = runs.iter().map(|(first, n, ())| format!("{first}+{n}")).collect();
        (!runs.is_empty()).then(|| runs.join(" "))
    }

    /// The highest quarter-hour: a ring with its value, which is kept inside.
    fn peak(&self) -> Markup {
        let total = &self.report.total;
        let (Some(kw), Some(at)) = (total.peak_quarter_kw, &total.peak_quarter_at) else { return html! {} };
        let left = self.span.percent(at) + 50.0 / (self.span.hours() * 4.0);
        let bottom = self.scale.percent(kw * 1000.0);
        let side = match left {
            left if left < 6.0 => " left",
            left if left > 94.0 => " right",
            _ => "",
        };
        let below = if bottom > 92.0 { " under" } else { "" };
        html! {
            span class={"peak" (side) (below)} style={(css_left(left, 5)) ";bottom:" (css_percent(bottom)) "%"} {
                (cells::kilowatts(kw).bold())
            }
        }
    }

    /// The members in the order of the stack.
    fn legend(&self) -> Markup {
        let alerts = &self.charts.alerts;
        html! {
            div.side {
                table.legend {
                    thead.vh { tr { th scope="col" { "Part" } th scope="col" { "kWh" } th scope="col" { "Share" } } }
                    tbody {
                        @for (idx, member) in self.stack.members.iter().enumerate().rev() {
                            tr {
                                th scope="row" { i class={"k " (self.class(idx))} {} (name(&member.name)) }
                                (cells::energy(member.energy_kwh).cell(""))
                                (cells::share(member.share).cell("share"))
                            }
                        }
                    }
                }
                ul.legend.signs {
                    @if marks::has_hatches(self.stack) { li { i.k.hatch {} span { "not measured" } } }
                    @if alerts.iter().any(|alert| alert.is_critical) { li { i.tri { "▼" } span { "critical alert" } } }
                    @if alerts.iter().any(|alert| !alert.is_critical) { li { i.tri.warning { "▽" } span { "warning" } } }
                }
            }
        }
    }

    /// The energy of each member by the periods of the bars.
    fn table(&self) -> Markup {
        let periods = &self.charts.periods;
        let members = &self.stack.members;
        let by = grouping(&self.stack.by);
        html! {
            details {
                summary { "Table: energy by " (periods.unit) " and " (by) ", kWh" }
                div.tw tabindex="0" role="region" aria-label={"Energy by " (periods.unit) " and " (by)} {
                    table.num {
                        thead { tr {
                            th scope="col" { (super::periods::heading(&periods.unit)) }
                            @for member in members { th scope="col" { (name(&member.name)) } }
                            th scope="col" { "all" }
                        } }
                        tbody {
                            @for (idx, bar) in periods.bars.iter().enumerate() { (self.table_row(idx, bar)) }
                        }
                    }
                }
            }
        }
    }

    fn table_row(&self, idx: usize, bar: &PeriodBar) -> Markup {
        let energy = |member: &StackMember| member.periods_kwh.get(idx).copied().flatten();
        let is_known = !bar.is_unmeasured();
        html! {
            tr {
                th scope="row" { (super::periods::label(bar, &self.charts.periods.unit)) }
                @for member in &self.stack.members { (energy_cell(energy(member))) }
                (energy_cell(is_known.then_some(bar.energy_kwh)))
            }
        }
    }
}

fn energy_cell(kwh: Option<f64>) -> Markup {
    match kwh {
        Some(kwh) => cells::energy(kwh).cell(""),
        None => html! { td { span.na { "not measured" } } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_quarters_is_told_in_minutes_or_hours() {
        assert_eq!(
            [1, 4, 8, 10].map(quarters_in_words).map(|text| text.replace(NBSP, " ")),
            ["15 minutes", "60 minutes", "2 hours", "2.5 hours"]
        );
    }

    #[test]
    fn the_next_whole_watt_holds_a_peak() {
        assert_eq!([0.0, 40_600.2].map(whole), [0, 40_601]);
    }
}
