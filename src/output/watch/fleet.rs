//! The table of nodes, groups and GPUs.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;

use super::document::{Gpu, Node};
use super::figures::{memory, power};
use super::pen::{BOLD, DIM, PLAIN, Theme, put, put_bar, put_right, width};
use super::rows::{Row, Sign, Subjects, Table, place, top};
use super::state::{GroupBy, Now, RowId, SortBy, State};
use crate::output::figures::{NBSP, NOT_APPLICABLE, count, number};

/// The column in which names begin, after the arrow and the sign.
const MARGIN: u16 = 3;

/// The widths of names.
const NAMES: std::ops::RangeInclusive<u16> = 12..=28;

/// Below this width there are names and powers alone.
pub(super) const NARROW: u16 = 60;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Gpus,
    Power,
    Limit,
    Bar,
    Temperature,
    Utilization,
    Memory,
    Curve,
    Model,
}

/// The columns with their least widths, and the width of the terminal from which each is there.
const COLUMNS: [(Column, u16, u16); 10] = [
    (Column::Name, *NAMES.start(), 0),
    (Column::Gpus, 5, NARROW),
    (Column::Power, 8, 0),
    (Column::Limit, 8, 160),
    (Column::Bar, 10, NARROW),
    (Column::Temperature, 6, NARROW),
    (Column::Utilization, 5, NARROW),
    (Column::Memory, 11, 80),
    (Column::Curve, 8, 80),
    (Column::Model, 20, 130),
];

/// The columns that are widened where there is room, in this order, and how far.
const WIDEST: [(Column, u16); 4] =
    [(Column::Name, *NAMES.end()), (Column::Bar, 14), (Column::Model, 34), (Column::Curve, 60)];

/// A column in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) column: Column,
    pub(super) x: u16,
    pub(super) width: u16,
}

/// The columns of a terminal so wide, for names so long.
pub(super) fn columns(total: u16, longest_name: u16) -> Vec<Placed> {
    let gap = if total < 100 { 1 } else { 2 };
    let there = COLUMNS.iter().filter(|(_, _, from)| total >= *from);
    let mut columns: Vec<(Column, u16)> = there.map(|(column, least, _)| (*column, *least)).collect();
    let used: u16 = columns.iter().map(|(_, least)| least + gap).sum();
    let mut left = total.saturating_sub(MARGIN + used + 1 - gap);
    for (widened, most) in WIDEST {
        let most = if widened == Column::Name { longest_name.clamp(*NAMES.start(), most) } else { most };
        let is_wide = widened != Column::Bar || total >= 160;
        for (_, width) in columns.iter_mut().filter(|(column, _)| *column == widened && is_wide) {
            let more = most.saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    let mut x = MARGIN;
    let placed = columns.into_iter().map(|(column, width)| {
        let placed = Placed { column, x, width };
        x += width + gap;
        placed
    });
    placed.collect()
}

/// The columns of a table in a terminal.
pub(super) fn columns_of(state: &State, table: &Table<'_>) -> Vec<Placed> {
    columns(state.size.0, table.rows.iter().map(|row| width(&row.name)).max().unwrap_or(0))
}

impl Column {
    const fn sort(self) -> Option<SortBy> {
        Some(match self {
            Self::Name => SortBy::Name,
            Self::Power => SortBy::Power,
            Self::Temperature => SortBy::Temperature,
            Self::Utilization => SortBy::Utilization,
            Self::Memory => SortBy::Memory,
            Self::Gpus | Self::Limit | Self::Bar | Self::Curve | Self::Model => return None,
        })
    }

    fn heading(self, group: Option<&GroupBy>) -> String {
        match (self, group) {
            (Self::Name, None) => "NODE".to_owned(),
            (Self::Name, Some(GroupBy::Model)) => "MODEL".to_owned(),
            (Self::Name, Some(GroupBy::Label(key))) => key.as_str().to_uppercase(),
            (Self::Gpus, None) => "GPUS".to_owned(),
            (Self::Gpus, Some(_)) => "NODES".to_owned(),
            (Self::Power, _) => "POWER".to_owned(),
            (Self::Limit, _) => "LIMIT".to_owned(),
            (Self::Bar, _) => String::new(),
            (Self::Temperature, _) => "TEMP".to_owned(),
            (Self::Utilization, _) => "UTIL".to_owned(),
            (Self::Memory, _) => "MEMORY".to_owned(),
            (Self::Curve, _) => "60 MIN".to_owned(),
            (Self::Model, _) => "MODEL".to_owned(),
        }
    }

    const fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::Bar | Self::Curve | Self::Model)
    }
}

/// The column to sort by of a click on a heading.
pub(super) fn sort_at(columns: &[Placed], x: u16) -> Option<SortBy> {
    let hit = columns.iter().find(|placed| (placed.x..placed.x + placed.width).contains(&x));
    hit.and_then(|placed| placed.column.sort())
}

/// Draws the table into some lines, the headings first. Returns how many lines are used.
pub(super) fn draw(
    buffer: &mut Buffer,
    (y, n_lines): (u16, u16),
    (state, now): (&State, &Now),
    table: &Table<'_>,
    theme: Theme,
) -> u16 {
    let columns = columns_of(state, table);
    headings(buffer, y, state, &columns);
    let n_visible = usize::from(n_lines.saturating_sub(1));
    let selected = place(state, table);
    let first = top(state.top, selected, table.rows.len(), n_visible);
    let is_stale = state.stale_for(now).is_some();
    let mut used = y;
    for (place, row) in table.rows.iter().enumerate().skip(first).take(n_visible) {
        used += 1;
        let line = Line { y: used, columns: &columns, theme, is_stale };
        line.draw(buffer, (state, now), row, place == selected);
    }
    used + 1 - y
}

fn headings(buffer: &mut Buffer, y: u16, state: &State, columns: &[Placed]) {
    for Placed { column, x, width: room } in columns {
        let mut heading = column.heading(state.group.as_ref());
        let is_sorted = column.sort() == Some(state.sort);
        if is_sorted {
            let is_rising = state.is_turned != (state.sort == SortBy::Name);
            heading.push(if is_rising { '↑' } else { '↓' });
        }
        let style = if is_sorted { BOLD } else { DIM };
        if column.is_text() {
            put(buffer, (*x, y), *room, &heading, style);
        } else {
            put_right(buffer, (x + room, y), *room, &heading, style);
        }
    }
}

/// A line that is drawn.
struct Line<'a> {
    y: u16,
    columns: &'a [Placed],
    theme: Theme,
    is_stale: bool,
}

impl Line<'_> {
    fn draw(&self, buffer: &mut Buffer, (state, now): (&State, &Now), row: &Row<'_>, is_selected: bool) {
        let total = buffer.area().width;
        if is_selected {
            buffer.set_style(Rect::new(0, self.y, total, 1), self.theme.selected());
        }
        self.marks(buffer, row, is_selected);
        let trouble = trouble(row, now);
        for placed in self.columns {
            match &trouble {
                Some((text, style)) if placed.column == Column::Bar => {
                    let style = style.unwrap_or(self.theme.bad());
                    put(buffer, (placed.x, self.y), (total - 1).saturating_sub(placed.x), text, style);
                    return;
                }
                Some(_) | None => self.cell(buffer, placed, state, row),
            }
        }
    }

    /// The arrow and the sign.
    fn marks(&self, buffer: &mut Buffer, row: &Row<'_>, is_selected: bool) {
        let can_open = match &row.of {
            Subjects::Group(nodes) => !nodes.is_empty(),
            Subjects::Node(node) => !node.gpus.is_empty(),
            Subjects::Gpu { .. } => false,
        };
        let (arrow, style) = match (is_selected, self.is_stale) {
            (true, _) => ("►", self.theme.key()),
            (false, true) => ("~", DIM),
            (false, false) if row.is_open => ("▾", DIM),
            (false, false) if can_open => ("▸", DIM),
            (false, false) => (" ", DIM),
        };
        put(buffer, (0, self.y), 1, arrow, style);
        let (sign, style) = sign(row.sign, self.theme);
        put(buffer, (1, self.y), 1, sign, style);
    }

    fn figure(&self) -> Style {
        if self.is_stale { DIM } else { PLAIN }
    }

    fn cell(&self, buffer: &mut Buffer, placed: &Placed, state: &State, row: &Row<'_>) {
        let (at, room) = ((placed.x, self.y), placed.width);
        let end = (placed.x + room, self.y);
        let figures = &row.figures;
        let percent = |percent: f64| format!("{}{NBSP}%", number(percent, 0));
        let mut right = |text: Option<String>, style: Style| {
            put_right(buffer, end, room, text.as_deref().unwrap_or(NOT_APPLICABLE), style);
        };
        match placed.column {
            Column::Name => self.name(buffer, placed, row),
            Column::Gpus => {
                let (text, is_short) = counts(row);
                right(Some(text), if is_short { self.theme.bad() } else { DIM });
            }
            Column::Power => right(figures.power.map(power), self.figure()),
            Column::Limit => right(figures.limit.map(power), DIM),
            Column::Temperature => {
                let text = figures.temperature.map(|celsius| format!("{}{NBSP}°C", number(celsius, 0)));
                right(text, self.figure());
            }
            Column::Utilization => right(figures.utilization.map(percent), self.figure()),
            Column::Memory => right(figures.memory.map(memory), self.figure()),
            Column::Bar => {
                if let Some(share) = figures.share {
                    let style = if self.is_stale { DIM } else { self.theme.load(share) };
                    put_bar(buffer, at, room, share, style);
                }
            }
            Column::Curve => put(buffer, at, room, &curve(state, row, room), self.theme.calm()),
            Column::Model => put(buffer, at, room, model(row), DIM),
        }
    }

    fn name(&self, buffer: &mut Buffer, placed: &Placed, row: &Row<'_>) {
        let (x, y) = (placed.x, self.y);
        match &row.of {
            Subjects::Gpu { is_last, .. } => {
                put(buffer, (x + 1, y), 1, if *is_last { "└" } else { "├" }, DIM);
                put(buffer, (x + 3, y), placed.width.saturating_sub(3), &row.name, PLAIN);
            }
            Subjects::Group(_) | Subjects::Node(_) => put(buffer, (x, y), placed.width, &row.name, BOLD),
        }
    }
}

/// The sign of a line or an entry.
pub(super) fn sign(sign: Sign, theme: Theme) -> (&'static str, Style) {
    match sign {
        Sign::Down => ("✗", theme.bad()),
        Sign::Critical => ("▲", theme.bad()),
        Sign::Warning => ("△", theme.warn()),
        Sign::None => (" ", PLAIN),
    }
}

/// The number that is there, of those that should be if some are not: `8`, `7/8`.
fn counts(row: &Row<'_>) -> (String, bool) {
    match (&row.of, row.n_expected) {
        (Subjects::Gpu { .. }, _) => (String::new(), false),
        (_, None) if row.n_there == 0 => (NOT_APPLICABLE.to_owned(), false),
        (_, Some(n_expected)) if row.n_there < n_expected => {
            (format!("{}/{}", count(row.n_there), count(n_expected)), true)
        }
        (_, Some(_) | None) => (count(row.n_there), false),
    }
}

fn model<'a>(row: &Row<'a>) -> &'a str {
    match &row.of {
        Subjects::Group(nodes) => nodes.iter().find_map(|node| node.model()).unwrap_or_default(),
        Subjects::Node(node) => node.model().unwrap_or_default(),
        Subjects::Gpu { gpu, .. } => {
            gpu.model.as_ref().map(crate::reading::SafeText::as_str).unwrap_or_default()
        }
    }
}

fn curve(state: &State, row: &Row<'_>, room: u16) -> String {
    let limit = row.figures.limit;
    match &row.of {
        Subjects::Group(nodes) => {
            state.history.nodes(nodes.iter().map(|node| node.node.as_str()), limit, room.into())
        }
        Subjects::Node(node) => state.history.nodes(std::iter::once(node.node.as_str()), limit, room.into()),
        Subjects::Gpu { .. } => String::new(),
    }
}

/// Why a line has no figures, with its style if that is no trouble.
fn trouble(row: &Row<'_>, now: &Now) -> Option<(String, Option<Style>)> {
    match &row.of {
        Subjects::Node(node) => node_trouble(node, now),
        Subjects::Gpu { gpu, node, .. } if gpu.power_w.is_none() => Some((gpu_trouble(gpu, node), None)),
        Subjects::Group(nodes) if row.n_there == 0 => {
            let failure = nodes.iter().find_map(|node| node.down())?;
            Some((format!("all down: {}", failure.in_words()), None))
        }
        Subjects::Gpu { .. } | Subjects::Group(_) => None,
    }
}

fn node_trouble(node: &Node, now: &Now) -> Option<(String, Option<Style>)> {
    let failure = node.down()?;
    let since = failure.since.map(|since| format!(" since {}", now.moment(since))).unwrap_or_default();
    let words = failure.in_words();
    if node.maintenance {
        return Some((format!("in maintenance: {words}"), Some(DIM)));
    }
    Some((format!("down{since}: {words}"), None))
}

fn gpu_trouble(gpu: &Gpu, node: &Node) -> String {
    let is_about = |name: &crate::reading::SafeText| {
        [&gpu.uuid, &gpu.bus_id].into_iter().flatten().any(|own| own == name)
    };
    if let Some(fault) = node.faults.iter().find(|fault| fault.gpu.as_ref().is_some_and(is_about)) {
        let hint = if fault.hint.is_empty() { String::new() } else { format!("; {}", fault.hint) };
        return format!("{}{hint}", fault.message);
    }
    let absent = gpu.absent.iter().find(|(key, _)| key.as_str() == "power_w").map(|(_, absent)| absent);
    absent.map_or_else(
        || "not measured".to_owned(),
        |absent| {
            let text = if absent.text.is_empty() { String::new() } else { format!(" {}", absent.text) };
            format!("not measured: {}{text}", absent.reason.as_str().replace('_', " "))
        },
    )
}

/// The words under the table: what is hidden, and which lines are shown.
pub(super) fn status(state: &State, table: &Table<'_>, n_visible: usize) -> (Option<String>, Option<String>) {
    let n_rows = table.rows.len();
    let first = top(state.top, place(state, table), n_rows, n_visible);
    let hidden = (table.n_hidden > 0).then(|| {
        let power = table.figures.power.map(|watts| format!(": {}", power(watts))).unwrap_or_default();
        let down = if table.n_hidden_down > 0 {
            format!(" ({} of them down)", table.n_hidden_down)
        } else {
            String::new()
        };
        let n_all = table.n_nodes + table.n_hidden;
        format!(
            "{} of {} nodes{power}; {} hidden by the filter{down}",
            count(table.n_nodes),
            count(n_all),
            count(table.n_hidden)
        )
    });
    let scrolled = (n_rows > n_visible)
        .then(|| format!("lines {}–{} of {}", first + 1, (first + n_visible).min(n_rows), count(n_rows)));
    (hidden, scrolled)
}

/// The node of a line.
pub(super) fn node_of(id: &RowId) -> Option<&str> {
    match id {
        RowId::Node(name) | RowId::Gpu(name, _) => Some(name),
        RowId::Group(_) => None,
    }
}
