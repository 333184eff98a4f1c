//! The nodes and their boards, as tables.

use maud::{Markup, html};

use super::cells::{self, Shown, cell_or_dash, name, plain_name};
use super::scale::{css_percent, float_count};
use super::span::{MIN_DAYS_TO_ZOOM, Span};
use crate::output::figures::{self, NBSP};
use crate::report::{Charts, ModelCount, NodeRow, Report, Row};

/// More nodes than this are shown in part.
const MAX_NODES: usize = 40;

/// The nodes that are shown of more.
const N_FIRST_NODES: usize = 25;

/// The most columns of the small charts.
const MAX_DAY_COLUMNS: usize = 60;

/// The height of the small charts.
const SPARK_HEIGHT: f64 = 16.0;

/// The columns that a table has: one that no row has anything for is left out.
#[derive(Debug, Clone, Copy)]
struct Columns {
    days: Option<usize>,
    idle: bool,
    cost: bool,
    filled: bool,
    billed: bool,
    highest_kwh: f64,
}

impl Columns {
    fn new<'a>(rows: impl Iterator<Item = &'a Row> + Clone, days: Option<usize>) -> Self {
        let any = |has: fn(&Row) -> bool| rows.clone().any(has);
        Self {
            days,
            idle: any(|row| row.idle_kwh.is_some()),
            cost: any(|row| row.energy_cost.is_some()),
            filled: any(|row| row.filled_kwh.is_some()),
            billed: any(|row| row.billed_kwh.is_some()),
            highest_kwh: rows.clone().map(|row| row.energy_kwh).fold(0.0, f64::max),
        }
    }
}

pub(super) fn section(report: &Report, charts: &Charts) -> Markup {
    let nodes = &charts.nodes;
    if nodes.is_empty() {
        return html! {};
    }
    let is_long = Span { from: &report.from, to: &report.to }.days() >= MIN_DAYS_TO_ZOOM;
    let columns = Columns::new(nodes.iter().map(|node| &node.row), is_long.then_some(report.scope.days));
    let (shown, more) =
        if nodes.len() > MAX_NODES { nodes.split_at(N_FIRST_NODES) } else { (nodes.as_slice(), &[][..]) };
    html! {
        section #nodes {
            h2 { "Nodes" }
            p.note {
                @if columns.idle { "The faint end of a bar is energy of quarter-hours without work. " }
                "Peak is the highest quarter-hour."
            }
            (table(shown, columns, &html! {
                @if !more.is_empty() { (rest(more, columns)) }
                (total(report, columns))
            }))
            @if !more.is_empty() {
                details { summary { "All " (figures::count(nodes.len())) " nodes" } (table(nodes, columns, &html! {})) }
            }
            (boards(report, charts))
        }
    }
}

fn table(nodes: &[NodeRow], columns: Columns, last: &Markup) -> Markup {
    html! {
        div.tw {
            table.list.sortable {
                (head("Node", "Peak", columns))
                tbody {
                    @for node in nodes { (node_row(node, columns)) }
                    (last)
                }
            }
        }
    }
}

fn head(what: &str, peak: &str, columns: Columns) -> Markup {
    html! {
        thead { tr {
            th scope="col" { (what) }
            th scope="col" aria-sort="descending" { "kWh" }
            th.pm.ns scope="col" { "k" (NBSP) "=" (NBSP) "2" }
            th.bc.ns.w scope="col" { "Share" }
            @if let Some(days) = columns.days { th.spc.ns.w scope="col" { (days) " days" } }
            th.w scope="col" { "Mean" }
            th.w scope="col" { (peak) }
            @if columns.idle { th.w scope="col" { "Idle" } }
            @if columns.cost { th scope="col" { "Cost" } }
            @if columns.filled { th.w scope="col" { "Filled, kWh" } }
            @if columns.billed { th.w scope="col" { "Billed, kWh" } }
            th scope="col" { "Measured" }
        } }
    }
}

fn node_row(node: &NodeRow, columns: Columns) -> Markup {
    let row = &node.row;
    html! {
        tr {
            th scope="row" {
                (name(&row.group))
                @if let Some(since) = &row.down_since {
                    span.tag.bad title={"since " (figures::time(since))} { "down" }
                }
                small { (models(row)) }
            }
            (energy_cells(row, columns))
            @if columns.days.is_some() { td.spc.w { (spark(&node.days_kwh)) } }
            (figure_cells(row, row.peak_quarter_kw.map(cells::kilowatts), columns))
        }
    }
}

/// `8 × H100, 1 × T4`.
fn models(row: &Row) -> String {
    let model = |one: &ModelCount| format!("{} × {}", one.gpus, plain_name(&one.model));
    row.models.iter().map(model).collect::<Vec<_>>().join(", ")
}

/// The energy with its uncertainty, and the bar.
fn energy_cells(row: &Row, columns: Columns) -> Markup {
    let idle = row.idle_kwh.unwrap_or_default().clamp(0.0, row.energy_kwh.max(0.0));
    let width = |kwh: f64| {
        css_percent(if columns.highest_kwh > 0.0 { kwh / columns.highest_kwh * 100.0 } else { 0.0 })
    };
    html! {
        @if row.is_unmeasured() {
            td data-v=(row.energy_kwh) { span.na { "not measured" } }
        } @else {
            td data-v=(row.energy_kwh) { b { (figures::energy_number(row.energy_kwh)) } }
        }
        td.pm {
            @match row.u_kwh.filter(|_| !row.is_unmeasured()) {
                Some(u) => { (cells::uncertainty(u, row.energy_kwh)) },
                None if row.estimated_kwh.is_some_and(|kwh| kwh > 0.0) => { "estimate" },
                None => { (figures::NOT_APPLICABLE) },
            }
        }
        td.bc.w {
            div.hb {
                i style={"width:" (width(row.energy_kwh - idle)) "%"} {}
                @if idle > 0.0 { i.idle style={"width:" (width(idle)) "%"} {} }
            }
        }
    }
}

fn figure_cells(row: &Row, peak: Option<Shown>, columns: Columns) -> Markup {
    let idle = row.idle_kwh.filter(|_| row.energy_kwh > 0.0).map(|idle| idle / row.energy_kwh);
    let idle_cell = |idle: f64| html! { td.w data-s=(idle) { (figures::share(idle)) } };
    let cost = row.energy_cost.filter(|_| !row.is_unmeasured()).zip(row.currency.as_deref());
    let cost = cost.map(|(cost, currency)| cells::money(cost, currency));
    html! {
        (cell_or_dash(row.mean_w.map(cells::watts), "w"))
        (cell_or_dash(peak, "w"))
        @if columns.idle {
            @match idle { Some(idle) => (idle_cell(idle)), None => td.w { (figures::NOT_APPLICABLE) } }
        }
        @if columns.cost { (cell_or_dash(cost, "")) }
        @if columns.filled { (cell_or_dash(row.filled_kwh.map(cells::energy), "w")) }
        @if columns.billed { (cell_or_dash(row.billed_kwh.map(cells::energy), "w")) }
        (cells::measured_cell(row.measured_share))
    }
}

/// Energies by day as columns up to the highest; a day that was not measured is a low grey block.
fn spark(days: &[Option<f64>]) -> Markup {
    let n = days.len().div_ceil(MAX_DAY_COLUMNS).max(1);
    let mean = |chunk: &[Option<f64>]| {
        let known: Vec<f64> = chunk.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / float_count(known.len()))
    };
    let columns: Vec<Option<f64>> = days.chunks(n).map(mean).collect();
    let highest = columns.iter().flatten().copied().fold(0.0, f64::max);
    let (mut path, mut missing) = (String::new(), String::new());
    for (x, column) in columns.iter().enumerate() {
        match column {
            Some(kwh) if highest > 0.0 => {
                let height = (kwh / highest * SPARK_HEIGHT).round().max(1.0);
                path.push_str(&format!("M{x} {:.0}h.8v{height:.0}h-.8z", SPARK_HEIGHT - height));
            }
            Some(_) => path.push_str(&format!("M{x} 15h.8v1h-.8z")),
            None => missing.push_str(&format!("M{x} 12h.8v4h-.8z")),
        }
    }
    html! {
        svg.sp viewBox={"0 0 " (columns.len()) " 16"} preserveAspectRatio="none" aria-hidden="true" {
            @if !path.is_empty() { path d=(path) {} }
            @if !missing.is_empty() { path.g d=(missing) {} }
        }
    }
}

/// The sums of the nodes that are not shown.
fn rest(nodes: &[NodeRow], columns: Columns) -> Markup {
    let sum = |value: fn(&Row) -> Option<f64>| nodes.iter().filter_map(|node| value(&node.row)).sum::<f64>();
    let currency = nodes.iter().find_map(|node| node.row.currency.as_deref());
    let is_one = nodes.iter().all(|node| node.row.currency.as_deref() == currency);
    let dash = figures::NOT_APPLICABLE;
    html! {
        tr.more {
            th scope="row" { (figures::count(nodes.len())) " more nodes" }
            td { (figures::energy_number(sum(|row| Some(row.energy_kwh)))) }
            td.pm { (dash) }
            td.bc.w {}
            @if columns.days.is_some() { td.spc.w {} }
            td.w { (figures::power(sum(|row| row.mean_w))) }
            td.w { (dash) }
            @if columns.idle { td.w { (dash) } }
            @if columns.cost {
                td {
                    @match currency.filter(|_| is_one) {
                        Some(currency) => (figures::money(sum(|row| row.energy_cost), currency)),
                        None => (dash),
                    }
                }
            }
            @if columns.filled { td.w { (figures::energy_number(sum(|row| row.filled_kwh))) } }
            @if columns.billed { td.w { (figures::energy_number(sum(|row| row.billed_kwh))) } }
            td { (dash) }
        }
    }
}

/// The last row of the body, not a footer: a footer would be printed on every page.
fn total(report: &Report, columns: Columns) -> Markup {
    let total = &report.total;
    let is_known = !total.is_unmeasured();
    let cost = total
        .energy_cost
        .filter(|_| is_known)
        .zip(total.currency.as_deref())
        .map(|(cost, currency)| cells::money(cost, currency));
    let idle =
        total.idle_kwh.filter(|_| total.energy_kwh > 0.0).map(|idle| figures::share(idle / total.energy_kwh));
    let several: Vec<Shown> = report
        .costs
        .iter()
        .filter(|_| is_known)
        .filter_map(|cost| Some(cells::money(cost.energy_cost?, &cost.currency)))
        .collect();
    html! {
        tr.tot {
            th scope="row" {
                @if report.scope.nodes == 1 { "Total" } @else { "All " (figures::count(report.scope.nodes)) " nodes" }
            }
            @if is_known { (cells::energy(total.energy_kwh).cell("")) } @else { td { span.na { "not measured" } } }
            (cell_or_dash(total.u_kwh.filter(|_| is_known).map(|u| cells::uncertainty(u, total.energy_kwh)), "pm"))
            td.bc.w {}
            @if columns.days.is_some() { td.spc.w {} }
            (cell_or_dash(total.mean_w.map(cells::watts), "w"))
            (cell_or_dash(total.peak_quarter_kw.map(cells::kilowatts), "w"))
            @if columns.idle { td.w { @match idle { Some(idle) => (idle), None => (figures::NOT_APPLICABLE) } } }
            @if columns.cost {
                @match cost {
                    Some(cost) => (cost.cell("")),
                    None if several.is_empty() => td { (figures::NOT_APPLICABLE) },
                    None => td { @for (idx, one) in several.iter().enumerate() { @if idx > 0 { br; } (one) } },
                }
            }
            @if columns.filled { (cell_or_dash(total.filled_kwh.map(cells::energy), "w")) }
            @if columns.billed { (cell_or_dash(total.billed_kwh.map(cells::energy), "w")) }
            (cells::measured_cell(total.measured_share))
        }
    }
}

fn boards(report: &Report, charts: &Charts) -> Markup {
    let boards = &charts.gpus;
    let n = figures::count(report.scope.gpus);
    if boards.is_empty() {
        return html! {
            @if report.scope.gpus > 0 {
                p.note.after { "The " (n) " GPUs are too many for a table here: " code { "fleetwatt report --by gpu" } " has a row for each." }
            }
        };
    }
    let columns = Columns::new(boards.iter(), None);
    let model = |row: &Row| row.models.first().map(|model| model.model.clone());
    let first = boards.first().and_then(model);
    let has_models = boards.iter().any(|row| model(row) != first);
    html! {
        details {
            summary { @if boards.len() == 1 { "The GPU" } @else { "All " (n) " GPUs" } }
            div.tw {
                table.list.sortable {
                    (head("GPU", "Highest reading", columns))
                    tbody { @for board in boards { (board_row(board, columns, has_models)) } }
                }
            }
        }
    }
}

fn board_row(row: &Row, columns: Columns, has_model: bool) -> Markup {
    html! {
        tr {
            th scope="row" {
                (name(&row.group))
                @if row.down_since.is_some() { span.tag.bad { "down" } }
                @if has_model { small { (row.models.first().map(|one| plain_name(&one.model)).unwrap_or_default()) } }
            }
            (energy_cells(row, columns))
            (figure_cells(row, row.peak_w.map(cells::watts), columns))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_was_not_measured_is_a_low_block_of_its_own() {
        let text = spark(&[Some(4.0), None, Some(2.0)]).into_string();
        assert!(text.contains(r#"<path d="M0 0h.8v16h-.8zM2 8h.8v8h-.8z">"#), "{text}");
        assert!(text.contains(r#"<path class="g" d="M1 12h.8v4h-.8z">"#), "{text}");
    }

    #[test]
    fn a_year_of_days_has_at_most_sixty_columns() {
        let text = spark(&vec![Some(1.0); 400]).into_string();
        assert!(text.contains("viewBox=\"0 0 58 16\""), "{text}");
    }
}
