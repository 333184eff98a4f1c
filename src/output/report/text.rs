//! A report for a terminal or a mail: the figures, a table of the groups with bars, the days, and what was not measured.
//! Colour only repeats what the words say.

mod days;
mod gaps;
mod table;

use unicode_width::UnicodeWidthStr as _;

use crate::output::TextOptions;
use crate::output::figures::{self, NBSP};
use crate::output::text::{CARE, HEAD, PLAIN, cut};
use crate::report::{Cost, Report, Row};
use crate::support::counted;

/// Columns of a text that goes to no terminal.
const DEFAULT_WIDTH: usize = 80;

/// Fewer columns than this are not laid out for.
const MIN_WIDTH: usize = 40;

/// Columns of a label of the figures at the head, left and right.
const LABELS: [usize; 2] = [10, 11];

/// The column at which the right half of the figures begins.
const RIGHT_HALF: usize = 36;

/// The form of a report's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportTextOptions {
    /// Colour, and the columns of the terminal; 80 without one.
    pub text: TextOptions,
    /// Whether bars are drawn.
    pub has_bars: bool,
}

/// A text that is to be laid out.
#[derive(Debug, Clone, Copy)]
struct Page {
    width: usize,
    has_bars: bool,
    options: TextOptions,
}

/// A text of part of a line, which may be coloured.
#[derive(Debug, Clone, Default)]
struct Cell {
    text: String,
    is_warning: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, is_warning: false }
    }
}

impl Cell {
    fn width(&self) -> usize {
        self.text.width()
    }

    fn paint(&self, page: &Page) -> String {
        let style = if self.is_warning { CARE.bold() } else { PLAIN };
        page.options.paint(style, &self.text)
    }
}

impl Page {
    fn head(&self, text: &str) -> String {
        self.options.paint(HEAD, text)
    }
}

/// The report as text.
pub fn text(report: &Report, options: &ReportTextOptions) -> String {
    let width = options.text.width.map_or(DEFAULT_WIDTH, usize::from).max(MIN_WIDTH);
    let page = Page { width, has_bars: options.has_bars, options: options.text };
    let parts = [
        title(report, &page),
        figures_at_the_head(report, &page),
        table::table(report, &page),
        supply(report, &page),
        days::days(report, &page),
        gaps::gaps(report, &page),
        footer(report, &page),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // In a pipe somebody looks for "99.4 %" with the space that a keyboard has.
    parts.join("\n").replace(NBSP, " ")
}

fn title(report: &Report, page: &Page) -> String {
    let scope = &report.scope;
    let hours = figures::hours_between(&report.from, &report.to);
    let length =
        if hours < 24.0 { figures::duration(hours).to_string() } else { counted(scope.days, "day", "days") };
    let nodes = counted(scope.nodes, "node", "nodes");
    let gpus = counted(scope.gpus, "GPU", "GPUs");
    let title = format!("Energy of GPU boards, {}", figures::period(&report.from, &report.to));
    let sites = if scope.sites.len() > 1 { format!(", {} sites", scope.sites.len()) } else { String::new() };
    let range = format!("{length}, {}; {nodes}, {gpus}{sites}", report.timezone);
    format!("{}{}", page.paragraph_headed(&title), page.paragraph(&range))
}

/// The figures of the whole report in two columns, or in one where the terminal is narrow.
fn figures_at_the_head(report: &Report, page: &Page) -> String {
    let (left, right) = (left_figures(report), right_figures(report));
    let label = |(name, cell): &(&str, Cell), half: usize| {
        let width = LABELS.get(half).copied().unwrap_or_default();
        (format!("{name:width$}"), cell.clone())
    };
    let left: Vec<_> = left.iter().map(|figure| label(figure, 0)).collect();
    let right: Vec<_> = right.iter().map(|figure| label(figure, 1)).collect();
    let width = |figures: &[(String, Cell)]| {
        figures.iter().map(|(label, cell)| label.width() + cell.width()).max().unwrap_or_default()
    };
    let at = RIGHT_HALF.max(width(&left) + 2);
    if at + width(&right) > page.width {
        let line = |(label, cell): &(String, Cell)| {
            let room = page.width.saturating_sub(label.width());
            let cell = Cell { text: cut(&cell.text, room), ..cell.clone() };
            format!("{label}{}\n", cell.paint(page))
        };
        return left.iter().chain(&right).map(line).collect();
    }
    let mut text = String::new();
    for idx in 0..left.len().max(right.len()) {
        let mut line = String::new();
        let mut used = 0;
        if let Some((label, cell)) = left.get(idx) {
            line += &format!("{label}{}", cell.paint(page));
            used = label.width() + cell.width();
        }
        if let Some((label, cell)) = right.get(idx) {
            line += &format!("{}{label}{}", " ".repeat(at - used), cell.paint(page));
        }
        text += &format!("{line}\n");
    }
    text
}

fn left_figures(report: &Report) -> Vec<(&'static str, Cell)> {
    let total = &report.total;
    let mut figures = vec![("energy", energy_figure(total).into())];
    for cost in &report.costs {
        figures.push(("cost", cost_figure(cost).into()));
    }
    if report.costs.is_empty() {
        figures.push(("cost", "no tariff set".to_owned().into()));
    }
    figures.push(("idle", idle_figure(report).into()));
    figures
}

fn energy_figure(total: &Row) -> String {
    let energy = figures::number(total.energy_kwh, decimals(total.energy_kwh));
    match total.u_kwh {
        Some(u) => format!("{energy}{NBSP}kWh ± {}", figures::uncertainty(u)),
        None if total.estimated_kwh.is_some() => format!("{energy}{NBSP}kWh, an estimate"),
        None => format!("{energy}{NBSP}kWh"),
    }
}

fn cost_figure(cost: &Cost) -> String {
    let money = figures::money(cost.cost, &cost.currency);
    match cost.u_cost {
        Some(u) => format!("{money} ± {}", figures::money_uncertainty(u, &cost.currency)),
        None => money,
    }
}

fn idle_figure(report: &Report) -> String {
    let Some(idle) = report.total.idle_kwh else { return "not known".to_owned() };
    let energy = figures::number(idle, decimals(report.total.energy_kwh));
    let worth = |cost: &Cost| cost.idle_cost.map(|money| figures::money(money, &cost.currency));
    let costs: Vec<String> = report.costs.iter().filter_map(worth).collect();
    std::iter::once(format!("{energy}{NBSP}kWh")).chain(costs).collect::<Vec<_>>().join(", ")
}

fn right_figures(report: &Report) -> Vec<(&'static str, Cell)> {
    let total = &report.total;
    let mut figures = vec![("measured", measured_figure(total))];
    let peak = total.peak_quarter_kw.zip(total.peak_quarter_at.as_ref());
    let peak = peak.map(|(kw, at)| format!("{}, {}", figures::power(kw * 1000.0), figures::weekday_time(at)));
    figures.push(("peak", peak.unwrap_or_else(|| format!("no quarter was measured to 90{NBSP}%")).into()));
    let co2 = total.co2_kg.map(|kg| figures::co2(kg).to_string());
    let own = report.supply.as_ref().and_then(|supply| supply.self_sufficiency);
    let own = own.map(|share| format!("self-sufficiency {}", figures::share(share)));
    match (co2, own) {
        (Some(co2), Some(own)) => figures.push(("CO2", format!("{co2}, {own}").into())),
        (Some(co2), None) => figures.push(("CO2", co2.into())),
        (None, Some(own)) => figures.push(("supply", own.into())),
        (None, None) => (),
    }
    figures
}

fn measured_figure(total: &Row) -> Cell {
    let Some(share) = total.measured_share else { return figures::NOT_APPLICABLE.to_owned().into() };
    let missing = if total.unmeasured_h > 0.0 {
        format!(", {} GPU-hours missing", figures::hours(total.unmeasured_h))
    } else {
        String::new()
    };
    Cell { text: figures::measured(share) + &missing, is_warning: figures::is_poorly_measured(share) }
}

/// The battery stations and their loads, if there are any.
fn supply(report: &Report, page: &Page) -> String {
    let Some(supply) = &report.supply else { return String::new() };
    let energy = figures::energy;
    let part = |kwh: f64| {
        if supply.load_kwh > 0.0 {
            format!("{} ({})", energy(kwh), figures::share(kwh / supply.load_kwh))
        } else {
            energy(kwh).to_string()
        }
    };
    let mut sentence = format!(
        "delivered {}: from the sun {}, the battery {}, the grid {}; into the battery {}; panels {}, grid {}",
        energy(supply.load_kwh),
        part(supply.sun_direct_kwh),
        part(supply.battery_out_kwh),
        part(supply.grid_direct_kwh),
        energy(supply.battery_in_kwh),
        energy(supply.solar_kwh),
        energy(supply.grid_kwh),
    );
    if let Some(share) = supply.round_trip {
        sentence += &format!("; round trip {}", figures::share(share));
    }
    if let Some(share) = supply.measured_share {
        sentence += &format!("; measured {}", figures::measured(share));
    }
    if let Some(hours) = supply.hours_left {
        sentence += &format!("; at the present draw the battery lasts {}", figures::duration(hours));
    }
    let stations = supply.stations.join(", ");
    format!("{}\n{}", page.head("SUPPLY"), page.paragraph(&format!("{stations} {sentence}.")))
}

/// The meaning of the figures, and the remarks of the report.
fn footer(report: &Report, page: &Page) -> String {
    let total = &report.total;
    let mut sentences = Vec::new();
    let parts = total.u_calibration_share.zip(total.u_sampling_share);
    if let Some((calibration, sampling)) =
        parts.map(|(one, two)| (figures::measured(one), figures::measured(two)))
    {
        sentences.push(format!("± is k = 2: calibration {calibration}, sampling {sampling}."));
    }
    if total.unmeasured_h > 0.0 {
        let filled = total.filled_kwh.is_some();
        sentences.push(match filled {
            true => "What was not measured is in no figure but FILLED, at the mean of each board.".to_owned(),
            false => {
                "What was not measured is in no figure; --fill mean estimates it in a column of its own."
                    .to_owned()
            }
        });
    }
    sentences.extend(report.notes.iter().cloned());
    page.paragraph(&sentences.join(" "))
}

/// The decimals of a report's energies, by their sum: one, and more of a sum that would be near nothing.
fn decimals(total_kwh: f64) -> usize {
    match total_kwh {
        kwh if kwh >= 10.0 => 1,
        kwh if kwh >= 1.0 => 2,
        kwh if kwh >= 0.1 => 3,
        _ => 4,
    }
}

impl Page {
    /// A text broken between words to the width, with a line break at its end; nothing of nothing.
    fn paragraph(&self, text: &str) -> String {
        self.lines(text).iter().map(|line| format!("{line}\n")).collect()
    }

    /// The same as a heading.
    fn paragraph_headed(&self, text: &str) -> String {
        self.lines(text).iter().map(|line| format!("{}\n", self.head(line))).collect()
    }

    fn lines(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::<String>::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= self.width) {
                Some(line) => {
                    line.push(' ');
                    line.push_str(word);
                }
                None => lines.push(cut(word, self.width)),
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests;
