//! The table of the groups with its total, and the charges below it, which end where the costs do.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::{Cell, NO_PRICE, Page, decimals, lines};
use crate::output::figures::{self, NBSP, NOT_APPLICABLE};
use crate::output::text::{BAD, bar, cut, cut_apart};
use crate::report::{Charge, ChargeKind, Cost, Report, Row};

/// Columns between two columns of the table.
const GAP: usize = 2;

/// The longest bar; a shorter one than the least is not worth its place.
const MAX_BAR: usize = 40;
const MIN_BAR: usize = 5;

/// A name keeps at least so many columns, and its heading up to so many.
const MIN_NAME: usize = 12;
const MAX_HEADING: usize = 24;

/// The columns of the table, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Gpus,
    Energy,
    Uncertainty,
    Bar,
    Share,
    Idle,
    Cost,
    Filled,
    Billed,
    Measured,
}

const COLUMNS: [Column; 11] = [
    Column::Name,
    Column::Gpus,
    Column::Energy,
    Column::Uncertainty,
    Column::Bar,
    Column::Share,
    Column::Idle,
    Column::Cost,
    Column::Filled,
    Column::Billed,
    Column::Measured,
];

/// The order in which a narrow terminal goes without columns.
const GIVEN_UP: [Column; 6] =
    [Column::Bar, Column::Idle, Column::Share, Column::Gpus, Column::Uncertainty, Column::Measured];

/// A column as it is shown.
#[derive(Debug)]
struct Shown {
    column: Column,
    width: usize,
    /// Columns to its left.
    gap: usize,
    heading: String,
    /// A cell a row, and that of the total.
    cells: Vec<Cell>,
}

/// The table and the charges.
pub(super) fn table(report: &Report, page: &Page) -> String {
    let mut columns = fit(all(report), page);
    draw_bars(&mut columns, report);
    let width: usize = columns.iter().map(|shown| shown.gap + shown.width).sum();
    let mut text = line(&columns, |shown| Cell::from(shown.heading.clone()), page, true);
    for (idx, row) in report.rows.iter().enumerate() {
        text += &line(&columns, |shown| shown.cells.get(idx).cloned().unwrap_or_default(), page, false);
        text += &down(row, &columns, report, page);
    }
    text += &format!("{}\n", "─".repeat(width));
    text += &line(&columns, |shown| shown.cells.last().cloned().unwrap_or_default(), page, false);
    text + &charges(report, cost_edge(&columns).unwrap_or(width))
}

/// The line below a node that is down, indented to the bar; nothing of others.
fn down(row: &Row, columns: &[Shown], report: &Report, page: &Page) -> String {
    let is_by_node = report.scope.by.iter().eq(["node"]);
    let Some(since) = row.down_since.as_ref().filter(|_| is_by_node) else { return String::new() };
    let bar = columns.iter().position(|shown| shown.column == Column::Bar);
    let before_bar = bar.map(|place| columns.iter().take(place).map(|shown| shown.gap + shown.width).sum());
    let indent = before_bar.map_or(0, |width: usize| width) + GAP;
    let words = format!("▲ down since {}", figures::time_in((&report.from, &report.to), since));
    format!("{}{}\n", " ".repeat(indent), page.options.paint(BAD, &words))
}

/// The column at which costs end.
fn cost_edge(columns: &[Shown]) -> Option<usize> {
    let place = columns.iter().position(|shown| shown.column == Column::Cost)?;
    Some(columns.iter().take(place + 1).map(|shown| shown.gap + shown.width).sum())
}

/// The columns that have anything to show, each as wide as its cells.
fn all(report: &Report) -> Vec<Shown> {
    let rows = || report.rows.iter().chain([&report.total]);
    let is_shown = |column: Column| match column {
        Column::Idle => rows().any(|row| row.idle_kwh.is_some()),
        Column::Cost => rows().any(|row| row.energy_cost.is_some()),
        Column::Filled => report.total.filled_kwh.is_some(),
        Column::Billed => report.total.billed_kwh.is_some(),
        Column::Uncertainty => rows().any(|row| row.u_kwh.is_some() || row.estimated_kwh.is_some()),
        Column::Name | Column::Gpus | Column::Energy | Column::Bar | Column::Share | Column::Measured => true,
    };
    let shown = |column: Column| {
        let cells: Vec<Cell> = rows().map(|row| cell(column, row, report)).collect();
        let heading = heading(column, report);
        let widest = cells.iter().map(Cell::width).max().unwrap_or_default();
        let gap = if column == Column::Name {
            0
        } else if column == Column::Share {
            1
        } else {
            GAP
        };
        let width = if column == Column::Share { widest } else { widest.max(heading.width()) };
        Shown { column, width, gap, heading, cells }
    };
    COLUMNS.into_iter().filter(|column| is_shown(*column)).map(shown).collect()
}

fn heading(column: Column, report: &Report) -> String {
    match column {
        Column::Name => {
            let by = |by: &String| by.strip_prefix("label:").unwrap_or(by).to_uppercase();
            return report.scope.by.iter().map(by).collect::<Vec<_>>().join(" / ");
        }
        Column::Gpus => "GPUS",
        Column::Energy => "kWh",
        Column::Uncertainty => "±",
        Column::Bar => "SHARE",
        // Above the bar, which is left of it.
        Column::Share => "",
        Column::Idle => "IDLE",
        Column::Cost => "COST",
        Column::Filled => "FILLED",
        Column::Billed => "BILLED",
        Column::Measured => "MEASURED",
    }
    .to_owned()
}

fn cell(column: Column, row: &Row, report: &Report) -> Cell {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NOT_APPLICABLE.to_owned());
    let energy = |kwh: f64| figures::number(kwh, decimals(report.total.energy_kwh));
    match column {
        Column::Energy | Column::Share | Column::Idle | Column::Cost if row.is_unmeasured() => or_none(None),
        Column::Name => row.group.clone(),
        Column::Gpus => row.gpus.to_string(),
        Column::Energy => energy(row.energy_kwh),
        Column::Uncertainty => match row.u_kwh {
            None if row.estimated_kwh.is_some() => "estimate".to_owned(),
            u => or_none(u.map(|u| figures::uncertainty(u, decimals(report.total.energy_kwh)))),
        },
        Column::Bar => String::new(),
        Column::Share => or_none(row.share.map(figures::whole_share)),
        Column::Idle => {
            let share = row.idle_kwh.filter(|_| row.energy_kwh > 0.0).map(|kwh| kwh / row.energy_kwh);
            or_none(share.map(figures::whole_share))
        }
        Column::Cost => {
            let cost = row.energy_cost.zip(row.currency.as_deref());
            or_none(cost.map(|(cost, currency)| figures::money(cost, currency)))
        }
        Column::Filled => or_none(row.filled_kwh.map(energy)),
        Column::Billed => or_none(row.billed_kwh.map(energy)),
        Column::Measured => {
            let is_warning = row.measured_share.is_some_and(figures::is_poorly_measured);
            return Cell { text: or_none(row.measured_share.map(figures::measured)), is_warning };
        }
    }
    .into()
}

/// Goes without columns until the rest fits, shortens names, and gives the bars the room that is left.
fn fit(mut columns: Vec<Shown>, page: &Page) -> Vec<Shown> {
    if !page.has_bars {
        give_up(&mut columns, Column::Bar);
    }
    for next in GIVEN_UP.map(Some).into_iter().chain([None]) {
        let name = columns.first().map_or(0, |shown| shown.width);
        let least_name =
            columns.first().map_or(0, |shown| shown.heading.width()).clamp(MIN_NAME, MAX_HEADING);
        let has_bar = columns.iter().any(|shown| shown.column == Column::Bar);
        let others = width_beside_name_and_bar(&columns);
        let least_bar = if has_bar { MIN_BAR } else { 0 };
        let room = page.width.saturating_sub(others + least_bar);
        match next {
            Some(column) if room < name.min(least_name) => give_up(&mut columns, column),
            _ => {
                let name = name.min(room.max(1));
                set_widths(&mut columns, name, page.width.saturating_sub(others + name).min(MAX_BAR));
                break;
            }
        }
    }
    columns
}

fn give_up(columns: &mut Vec<Shown>, column: Column) {
    columns.retain(|shown| shown.column != column);
    // Without a bar before it the share has the heading.
    if column == Column::Bar
        && let Some(share) = columns.iter_mut().find(|shown| shown.column == Column::Share)
    {
        share.heading = "SHARE".to_owned();
        share.gap = GAP;
        share.width = share.width.max(share.heading.width());
    }
}

fn width_beside_name_and_bar(columns: &[Shown]) -> usize {
    let is_fixed = |shown: &&Shown| !matches!(shown.column, Column::Name | Column::Bar);
    let gaps: usize = columns.iter().map(|shown| shown.gap).sum();
    gaps + columns.iter().filter(is_fixed).map(|shown| shown.width).sum::<usize>()
}

fn set_widths(columns: &mut [Shown], name: usize, bar: usize) {
    for shown in columns {
        if shown.column == Column::Name {
            shown.width = name;
            let names: Vec<&str> = shown.cells.iter().map(|cell| cell.text.as_str()).collect();
            shown.cells = cut_apart(&names, name).into_iter().map(Cell::from).collect();
        } else if shown.column == Column::Bar {
            shown.width = bar;
        }
    }
}

/// Fills the column of bars, which begin at zero and end at the largest row.
fn draw_bars(columns: &mut [Shown], report: &Report) {
    let largest = report.rows.iter().map(|row| row.energy_kwh).fold(0.0, f64::max);
    if let Some(shown) = columns.iter_mut().find(|shown| shown.column == Column::Bar) {
        let width = shown.width;
        let bar = |row: &Row| Cell::from(bar(row.energy_kwh, largest, width));
        shown.cells = report.rows.iter().map(bar).chain([Cell::default()]).collect();
    }
}

/// A line of the table, with a line break at its end.
fn line(columns: &[Shown], cell: impl Fn(&Shown) -> Cell, page: &Page, is_head: bool) -> String {
    let mut text = String::new();
    for shown in columns {
        let mut cell = cell(shown);
        cell.text = cut(&cell.text, shown.width);
        let pad = " ".repeat(shown.width.saturating_sub(cell.width()));
        let painted = if is_head { page.head(&cell.text) } else { cell.paint(page) };
        let is_left = matches!(shown.column, Column::Name | Column::Bar);
        text += &" ".repeat(shown.gap);
        text += &if is_left { painted + &pad } else { pad + &painted };
    }
    format!("{}\n", text.trim_end())
}

/// Demand and fixed charges and the cost of all, which end at a column; nothing where the energy is all that costs.
fn charges(report: &Report, edge: usize) -> String {
    let several = report.costs.len() > 1;
    let mut text = unpriced(report, edge);
    for cost in &report.costs {
        let money = |amount: Option<f64>| {
            amount.map_or_else(|| NO_PRICE.to_owned(), |amount| figures::money(amount, &cost.currency))
        };
        let of = if several { format!(", {}", cost.currency) } else { String::new() };
        if several {
            text += &charge_line(&format!("energy{of}"), &money(cost.energy_cost), edge);
        } else if cost.charges.is_empty() {
            continue;
        }
        text += &demand(cost, report, true, edge);
        text += &fixed(cost, report, edge);
        text += &charge_line(&format!("cost{of}"), &money(cost.cost), edge);
        // Shown in brackets: they are in no sum.
        text += &demand(cost, report, false, edge);
        text += &fixed_not_charged(cost, report, edge);
    }
    text
}

/// The energy that is in no cost, where other energy is.
fn unpriced(report: &Report, edge: usize) -> String {
    let has_cost = report.costs.iter().any(|cost| cost.cost.is_some());
    let unpriced = report.total.unpriced_kwh.filter(|_| has_cost);
    let energy = |kwh: f64| figures::number(kwh, decimals(report.total.energy_kwh));
    let label = |kwh: f64| format!("without a price: {}{NBSP}kWh", energy(kwh));
    unpriced.map_or_else(String::new, |kwh| charge_line(&label(kwh), NOT_APPLICABLE, edge))
}

/// The demand charges that are charged, or those that are not.
fn demand(cost: &Cost, report: &Report, is_charged: bool, edge: usize) -> String {
    let is_demand = |charge: &&Charge| charge.kind == ChargeKind::Demand && charge.is_charged == is_charged;
    let line = |charge: &Charge| {
        let is_one_tariff = cost.charges.iter().all(|other| other.tariff == charge.tariff);
        let tariff = if is_one_tariff { String::new() } else { format!(", {}", charge.tariff) };
        let at = if is_charged { figures::weekday_time } else { figures::time };
        let peak = charge.peak_kw.zip(charge.peak_at.as_ref()).map(|(kw, peak_at)| {
            let price = charge.per_kw.map(|price| format!(" at {}", figures::money(price, &cost.currency)));
            format!("{}{}, {}", figures::power(kw * 1000.0), price.unwrap_or_default(), at(peak_at))
        });
        let peak = peak.unwrap_or_else(|| format!("no quarter was measured to 90{NBSP}%"));
        let label = format!("demand, {}{tariff}: {peak}", month_of(&charge.month, report));
        bracketed_line(&label, &figures::money(charge.cost, &cost.currency), is_charged, edge)
    };
    cost.charges.iter().filter(is_demand).map(line).collect()
}

/// The sum of the fixed charges that are charged, with the months where there are others; nothing where there is none.
fn fixed(cost: &Cost, report: &Report, edge: usize) -> String {
    let charged = fixed_by_month(cost, true);
    let (Some((first, _)), Some((last, _))) = (charged.first_key_value(), charged.last_key_value()) else {
        return String::new();
    };
    let is_only = cost.charges.iter().all(|charge| charge.month == **first);
    let label = match (is_only, first == last) {
        (true, _) => "fixed charges".to_owned(),
        (false, true) => format!("fixed charges, {}", month_of(first, report)),
        (false, false) => format!("fixed charges, {} – {}", month_of(first, report), month_of(last, report)),
    };
    charge_line(&label, &figures::money(charged.values().sum(), &cost.currency), edge)
}

/// The fixed charges of each month that are only shown.
fn fixed_not_charged(cost: &Cost, report: &Report, edge: usize) -> String {
    let line = |(of, amount): (&str, f64)| {
        let label = format!("fixed charges, {}", month_of(of, report));
        bracketed_line(&label, &figures::money(amount, &cost.currency), false, edge)
    };
    fixed_by_month(cost, false).into_iter().map(line).collect()
}

/// The fixed charges of all tariffs by month: those that are charged, or those that are not.
fn fixed_by_month(cost: &Cost, is_charged: bool) -> BTreeMap<&str, f64> {
    let mut months = BTreeMap::new();
    for charge in cost.charges.iter().filter(|charge| charge.is_charged == is_charged) {
        if charge.kind == ChargeKind::Fixed {
            *months.entry(charge.month.as_str()).or_default() += charge.cost;
        }
    }
    months
}

/// A line of a charge, in brackets if it is only shown.
fn bracketed_line(label: &str, amount: &str, is_charged: bool, edge: usize) -> String {
    if is_charged {
        charge_line(label, amount, edge)
    } else {
        charge_line(&format!("({label})"), &format!("({amount})"), edge)
    }
}

fn charge_line(label: &str, amount: &str, edge: usize) -> String {
    let room = edge.saturating_sub(amount.width() + GAP);
    let mut lines = lines(label, room);
    let last = lines.pop().unwrap_or_default();
    let pad = " ".repeat(edge.saturating_sub(last.width() + amount.width()));
    let above: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("{above}{last}{pad}{amount}\n")
}

fn month_of(month: &str, report: &Report) -> String {
    figures::month_of(month, &report.from, &report.to)
}
