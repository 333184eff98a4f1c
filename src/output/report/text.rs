//! A report for a terminal or a mail: the figures, a table of the groups with bars, the days, and what was not measured.
//! Colour only repeats what the words say.

mod days;
mod gaps;
mod table;

use unicode_width::UnicodeWidthStr as _;

use crate::output::TextOptions;
use crate::output::figures::{self, NBSP};
use crate::output::text::{CARE, HEAD, PLAIN, broken, cut};
use crate::report::{Cost, Report, Row, Supply};
use crate::support::counted;

/// Columns of a text that goes to no terminal.
const DEFAULT_WIDTH: usize = 80;

/// Fewer columns than this are not laid out for.
const MIN_WIDTH: usize = 40;

/// Columns of a label of the figures at the head, left and right.
const LABELS: [usize; 2] = [10, 11];

/// The column at which the right half of the figures begins.
const RIGHT_HALF: usize = 36;

/// The words for a cost of energy of which none has a price.
const NO_PRICE: &str = "no price";

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
    let length = figures::length(report);
    let nodes = counted(scope.nodes, "node", "nodes");
    let gpus = counted(scope.gpus, "GPU", "GPUs");
    let title = format!("Energy of GPU boards, {}", figures::period(&report.from, report.end()));
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
    figures.extend(report.costs.iter().map(|cost| ("cost", cost_figure(cost).into())));
    if report.costs.is_empty() {
        let words = if total.unpriced_kwh.is_some() { NO_PRICE } else { "no tariff set" };
        figures.push(("cost", words.to_owned().into()));
    }
    if report.costs.iter().any(|cost| cost.cost.is_some()) {
        figures.extend(priced_figure(total).map(|text| ("priced", Cell { text, is_warning: true })));
    }
    figures.push(("idle", idle_figure(report).into()));
    figures
}

fn energy_figure(total: &Row) -> String {
    let decimals = decimals(total.energy_kwh);
    let energy = figures::number(total.energy_kwh, decimals);
    match total.u_kwh {
        Some(u) => format!("{energy}{NBSP}kWh ± {}", figures::uncertainty(u, decimals)),
        None if total.estimated_kwh.is_some() => format!("{energy}{NBSP}kWh, an estimate"),
        None => format!("{energy}{NBSP}kWh"),
    }
}

fn cost_figure(cost: &Cost) -> String {
    let Some(money) = cost.cost.map(|amount| figures::money(amount, &cost.currency)) else {
        return format!("{NO_PRICE} in {}", cost.currency);
    };
    match cost.u_cost {
        Some(u) => format!("{money} ± {}", figures::money_uncertainty(u, &cost.currency)),
        None => money,
    }
}

/// The energy that the cost is for, where some has no price.
fn priced_figure(total: &Row) -> Option<String> {
    let number = |kwh: f64| figures::number(kwh, decimals(total.energy_kwh));
    let priced = total.energy_kwh - total.unpriced_kwh?;
    Some(format!("{} of {}{NBSP}kWh", number(priced), number(total.energy_kwh)))
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
    if let Some(kg) = total.co2_kg {
        figures.push(("CO2", figures::co2(kg).to_string().into()));
    }
    if let Some((supply, share)) =
        report.supply.as_ref().and_then(|supply| Some((supply, supply.self_sufficiency?)))
    {
        let of = if supply.stations.len() > 1 { "stations" } else { "station" };
        figures.push((of, format!("self-sufficiency of load {}", figures::share(share)).into()));
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

/// The battery stations: what came in, what went out, and the battery, each apart.
fn supply(report: &Report, page: &Page) -> String {
    let Some(supply) = &report.supply else { return String::new() };
    let energy = figures::energy;
    let of_load = |kwh: f64| {
        let share = (supply.load_kwh > 0.0).then(|| format!(" ({})", figures::share(kwh / supply.load_kwh)));
        format!("{}{}", energy(kwh), share.unwrap_or_default())
    };
    let out = format!(
        "Out to the loads: {}; of it from the sun {}, the battery {}, the grid {}.",
        energy(supply.load_kwh),
        of_load(supply.sun_direct_kwh),
        of_load(supply.battery_out_kwh),
        of_load(supply.grid_direct_kwh),
    );
    let paragraphs = [
        format!("{}.", supply.stations.join(", ")),
        format!(
            "In: {} from the panels, {} from the grid.",
            energy(supply.solar_kwh),
            energy(supply.grid_kwh)
        ),
        out,
        battery(supply),
        supply
            .measured_share
            .map_or_else(String::new, |share| format!("Measured: {}.", figures::measured(share))),
    ];
    let paragraphs = paragraphs.iter().map(|text| page.paragraph(text)).collect::<String>();
    format!("{}\n{paragraphs}", page.head("SUPPLY"))
}

fn battery(supply: &Supply) -> String {
    let energy = figures::energy;
    let mut text =
        format!("Battery: {} in, {} out", energy(supply.battery_in_kwh), energy(supply.battery_out_kwh));
    if let Some(share) = supply.round_trip {
        text += &format!(", round trip {}", figures::share(share));
    }
    if let Some(hours) = supply.hours_left {
        text += &format!("; at the present draw it lasts {}", figures::duration(hours));
    }
    text + "."
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
        kwh if kwh >= 0.01 || kwh <= 0.0 => 4,
        kwh => figures::energy_decimals(kwh),
    }
}

impl Page {
    /// A text broken between words to the width, with a line break at its end; nothing of nothing.
    fn paragraph(&self, text: &str) -> String {
        lines(text, self.width).iter().map(|line| format!("{line}\n")).collect()
    }

    /// The same as a heading.
    fn paragraph_headed(&self, text: &str) -> String {
        lines(text, self.width).iter().map(|line| format!("{}\n", self.head(line))).collect()
    }
}

/// A text broken between words to so many columns; a word that is wider is cut.
fn lines(text: &str, width: usize) -> Vec<String> {
    broken(text, width, 0).iter().map(|line| cut(line, width)).collect()
}

#[cfg(test)]
mod tests;
