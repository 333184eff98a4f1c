//! The table of groups: a row a node, a model or a label's value, and a total. The reason of a node that is down stands in
//! its row, and what is wrong with its GPUs below it.

use unicode_width::UnicodeWidthStr as _;

use super::grid::{Layout, Line, Shown, widest};
use super::table::short_model;
use super::{
    BAD, CARE, DRAW_CARE_PERCENT, GroupView, HEAD, HOT_CELSIUS, PLAIN, TextOptions, bar, cut_apart, missing,
};
use crate::batch::{Batch, GroupBy, GroupTotals, HostReport, sort_groups};
use crate::output::figures::{self, NBSP, NOT_APPLICABLE};
use crate::reading::{Fault, Memory, Outcome, SafeText, Share};
use crate::support::with_thousands;

/// Columns for which the bars are drawn where there is no terminal.
const DEFAULT_WIDTH: usize = 80;

/// The longest bar; a shorter one than the least is not worth its place.
const MAX_BAR: usize = 40;
const MIN_BAR: usize = 12;

/// A name keeps at least so many columns.
const MIN_NAME: usize = 12;

/// Blanks between two columns.
const GAP: usize = 2;

/// Troubles of a node that are told below it.
const MAX_TROUBLES: usize = 3;

/// The columns of the table, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Nodes,
    Gpus,
    Power,
    Bar,
    OfLimit,
    Hottest,
    Utilization,
    Memory,
}

const COLUMNS: [Column; 9] = [
    Column::Name,
    Column::Nodes,
    Column::Gpus,
    Column::Power,
    Column::Bar,
    Column::OfLimit,
    Column::Hottest,
    Column::Utilization,
    Column::Memory,
];

/// The order in which a narrow terminal goes without columns.
const GIVEN_UP: [Column; 6] =
    [Column::Bar, Column::Memory, Column::OfLimit, Column::Nodes, Column::Utilization, Column::Hottest];

/// The column at which the words about a node begin.
const WORDS: usize = 4;

/// A line, and the share for which its bar stands.
struct Row {
    line: Line,
    of_limit: Option<Share>,
}

/// The table, with a line break at its end.
pub(super) fn table(batch: &Batch, view: &GroupView, options: &TextOptions) -> String {
    let mut groups = batch.groups(&view.by);
    if let Some(order) = view.order {
        sort_groups(&mut groups, order);
    }
    let whole = batch.whole();
    let mut rows: Vec<Row> = groups.iter().flat_map(|group| rows_of(group, &view.by)).collect();
    rows.push(row("total".to_owned(), &whole));
    let layout = fit(&rows, view, options.width);
    cut_names(&mut rows, &layout);
    draw_bars(&mut rows, &layout);
    let has_bars = layout.columns.iter().any(|shown| shown.column == Column::Bar);
    let headings = COLUMNS.map(|column| (heading(column, &view.by, has_bars), HEAD));
    let headings = Line { cells: headings.to_vec(), across: None };
    let mut lines: Vec<String> = rows.iter().map(|row| layout.line(&row.line, options)).collect();
    let total = lines.pop().unwrap_or_default();
    let rule = "─".repeat(layout.width());
    let all = std::iter::once(layout.line(&headings, options)).chain(lines).chain([rule, total]);
    all.map(|line| line.replace(NBSP, " ") + "\n").collect()
}

fn heading(column: Column, by: &GroupBy, has_bars: bool) -> String {
    match (column, by) {
        (Column::Name, GroupBy::Node) => "NODE",
        (Column::Name, GroupBy::Model) => "MODEL",
        (Column::Name, GroupBy::Label(key)) => return SafeText::new(key).as_str().to_uppercase(),
        (Column::Nodes, _) => "NODES",
        (Column::Gpus, _) => "GPUS",
        (Column::Power, _) => "POWER",
        (Column::Bar, _) => "OF THE LIMIT",
        // Above the bar, which is left of it.
        (Column::OfLimit, _) if has_bars => "",
        (Column::OfLimit, _) => "OF LIMIT",
        (Column::Hottest, _) => "HOTTEST",
        (Column::Utilization, _) => "UTIL",
        (Column::Memory, _) => "GiB",
    }
    .to_owned()
}

/// The row of a group; of a node that is down, with its reason, and of one that is not well, with what is wrong below it.
fn rows_of(group: &GroupTotals<'_>, by: &GroupBy) -> Vec<Row> {
    let mut row = row(name(group, by), group);
    let Some(report) = group.reports.first().filter(|_| *by == GroupBy::Node) else { return vec![row] };
    if let Outcome::Failed(failure) = &report.outcome {
        let maintained = if report.maintenance { " (in maintenance)" } else { "" };
        put_words(&mut row.line, format!("✗ {}{maintained}", failure.wording.message));
        return vec![row];
    }
    let below = troubles(report).into_iter().map(|words| {
        let mut line = Line { cells: vec![(String::new(), PLAIN); COLUMNS.len()], across: None };
        put_words(&mut line, words);
        Row { line, of_limit: None }
    });
    std::iter::once(row).chain(below).collect()
}

fn name(group: &GroupTotals<'_>, by: &GroupBy) -> String {
    match (group.name, by) {
        (Some(name), GroupBy::Model) => short_model(SafeText::new(name).as_str()).to_owned(),
        (Some(name), GroupBy::Node | GroupBy::Label(_)) => SafeText::new(name).as_str().to_owned(),
        (None, GroupBy::Label(key)) => format!("(no {})", SafeText::new(key)),
        (None, GroupBy::Node | GroupBy::Model) => "(not known)".to_owned(),
    }
}

/// Words in place of the cells from the bar on.
fn put_words(line: &mut Line, words: String) {
    line.across = Some((WORDS, words));
    if let Some((_, style)) = line.cells.last_mut() {
        *style = BAD;
    }
}

/// The losses of a node that is up, the first of them in words.
fn troubles(report: &HostReport) -> Vec<String> {
    let faults = report.faults.iter().filter(|fault| fault.kind.costs_a_reading());
    let mut words: Vec<String> = faults.map(in_words).collect();
    if words.is_empty() {
        words.extend(missing(report));
    }
    let n_more = words.len().saturating_sub(MAX_TROUBLES);
    words.truncate(MAX_TROUBLES);
    words.extend((n_more > 0).then(|| format!("and {n_more} more")));
    words.into_iter().map(|words| format!("▲ {words}")).collect()
}

fn in_words(fault: &Fault) -> String {
    let message = fault.wording.message;
    fault
        .index
        .map_or_else(|| message.to_owned(), |index| message.replacen("a GPU", &format!("GPU {index}"), 1))
}

fn row(name: String, group: &GroupTotals<'_>) -> Row {
    let near_limit = group.power_of_limit.is_some_and(|share| share.percent() > DRAW_CARE_PERCENT);
    let is_hot = group.hottest.is_some_and(|hottest| hottest.celsius() >= HOT_CELSIUS);
    let is_whole = group.gpus_reporting == group.gpus_expected && group.nodes_without_gpu_count == 0;
    let cell = |column| match column {
        Column::Name => (name.clone(), PLAIN),
        Column::Nodes => (of(group.nodes_reporting, &figures::count(group.reports.len())), PLAIN),
        Column::Gpus => (gpus(group), if is_whole { PLAIN } else { CARE }),
        Column::Power => (
            or_none(group.power.map(|power| figures::power_of_three_digits(power.watts()).to_string())),
            PLAIN,
        ),
        Column::Bar => (String::new(), PLAIN),
        Column::OfLimit => (share(group.power_of_limit), if near_limit { CARE } else { PLAIN }),
        Column::Hottest => {
            (or_none(group.hottest.map(|hottest| hottest.to_string())), if is_hot { BAD } else { PLAIN })
        }
        Column::Utilization => (share(group.utilization), PLAIN),
        Column::Memory => (or_none(group.memory.map(|(used, total)| memory(used, total))), PLAIN),
    };
    Row { line: Line { cells: COLUMNS.map(cell).to_vec(), across: None }, of_limit: group.power_of_limit }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOT_APPLICABLE.to_owned())
}

fn share(share: Option<Share>) -> String {
    or_none(share.map(|share| figures::whole_share(share.ratio())))
}

/// `8`, or `7/8` where some are missing.
fn of(n: usize, all: &str) -> String {
    let n = figures::count(n);
    if n == all { n } else { format!("{n}/{all}") }
}

fn gpus(group: &GroupTotals<'_>) -> String {
    let known = figures::count(group.gpus_expected);
    let all = match (group.gpus_expected, group.nodes_without_gpu_count) {
        (_, 0) => known,
        (0, _) => "?".to_owned(),
        (_, _) => format!("{known}+?"),
    };
    of(group.gpus_reporting, &all)
}

fn memory(used: Memory, total: Memory) -> String {
    let gibibytes =
        |memory: Memory| with_thousands(&(memory.mebibytes().saturating_add(512) / 1024).to_string());
    format!("{}/{}", gibibytes(used), gibibytes(total))
}

/// Goes without columns until the rest fits, then shortens the names, and gives the bars the room that is left.
fn fit(rows: &[Row], view: &GroupView, width: Option<u16>) -> Layout<Column> {
    let available = width.map_or(usize::MAX, usize::from);
    let is_asked = |column: &Column| {
        (*column != Column::Nodes || view.by != GroupBy::Node) && (*column != Column::Bar || view.has_bars)
    };
    let mut columns: Vec<Column> = COLUMNS.into_iter().filter(is_asked).collect();
    loop {
        let mut layout = natural(rows, &columns, &view.by);
        let name = layout.columns.first().map_or(0, |shown| shown.width);
        let room = available.saturating_sub(layout.width() - name);
        let given_up = GIVEN_UP.into_iter().find(|column| columns.contains(column));
        if room < name.min(MIN_NAME) && given_up.is_some() {
            columns.retain(|column| Some(*column) != given_up);
            continue;
        }
        set_width(&mut layout, Column::Name, name.min(room.max(1)));
        let room = width.map_or(DEFAULT_WIDTH, usize::from).saturating_sub(layout.width());
        set_width(&mut layout, Column::Bar, (MIN_BAR + room).min(MAX_BAR));
        return layout;
    }
}

/// The columns, each as wide as its cells and its heading; a bar is as short as can be.
fn natural(rows: &[Row], columns: &[Column], by: &GroupBy) -> Layout<Column> {
    let has_bars = columns.contains(&Column::Bar);
    let shown = |(place, column): (usize, Column)| Shown {
        place,
        column,
        width: if column == Column::Bar {
            MIN_BAR
        } else {
            widest(rows.iter().map(|row| &row.line), place).max(heading(column, by, has_bars).width())
        },
        is_left_aligned: matches!(column, Column::Name | Column::Bar),
    };
    let all = COLUMNS.into_iter().enumerate();
    Layout { columns: all.filter(|(_, column)| columns.contains(column)).map(shown).collect(), gap: GAP }
}

fn set_width(layout: &mut Layout<Column>, column: Column, width: usize) {
    if let Some(shown) = layout.columns.iter_mut().find(|shown| shown.column == column) {
        shown.width = width;
    }
}

/// Cuts the names so that no two look the same.
fn cut_names(rows: &mut [Row], layout: &Layout<Column>) {
    let width = layout.columns.first().map_or(0, |shown| shown.width);
    let names: Vec<String> = rows.iter().map(|row| row.name().to_owned()).collect();
    let names = cut_apart(&names.iter().map(String::as_str).collect::<Vec<_>>(), width);
    for (row, name) in rows.iter_mut().zip(names) {
        row.set(Column::Name, name);
    }
}

/// Fills the column of bars: all of it is the limit.
fn draw_bars(rows: &mut [Row], layout: &Layout<Column>) {
    let Some(shown) = layout.columns.iter().find(|shown| shown.column == Column::Bar) else { return };
    for row in rows {
        let drawn = row.of_limit.map(|share| bar(share.ratio(), 1.0, shown.width));
        row.set(Column::Bar, drawn.unwrap_or_default());
    }
}

impl Row {
    fn name(&self) -> &str {
        self.line.cells.first().map_or("", |(name, _)| name)
    }

    fn set(&mut self, column: Column, text: String) {
        let place = COLUMNS.iter().position(|other| *other == column);
        if let Some((cell, _)) = place.and_then(|place| self.line.cells.get_mut(place)) {
            *cell = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{GroupOrder, fixtures};

    fn view(by: GroupBy) -> GroupView {
        GroupView { by, order: None, has_bars: true }
    }

    fn page(batch: &Batch, view: &GroupView, width: Option<u16>) -> String {
        table(batch, view, &TextOptions { colour: false, width })
    }

    #[test]
    fn nodes_fit_eighty_columns_and_one_that_is_down_has_its_reason() {
        insta::assert_snapshot!(page(&fixtures::fleet(), &view(GroupBy::Node), Some(80)), @r"
        NODE      GPUS    POWER  OF THE LIMIT                     HOTTEST  UTIL      GiB
        redfin       1    286 W  ━━━━━━━━━━━━━━━━━━━━━━━━   95 %    86 °C  98 %     1/24
        node001    7/8  4.29 kW  ━━━━━━━━━━━━━━━━━━━━━━     87 %    64 °C  98 %  487/558
                                 ▲ a GPU is lost
        node003    0/1        –  ✗ the host key has changed
        mig01        1    211 W  ━━━━━━━━━━━━━              53 %    64 °C     –    19/40
        spark        1     11 W                                –    41 °C   0 %        –
        ────────────────────────────────────────────────────────────────────────────────
        total    10/12  4.79 kW  ━━━━━━━━━━━━━━━━━━━━━╸     85 %    86 °C  87 %  507/622
        ");
    }

    #[test]
    fn labels_have_their_nodes_counted() {
        let mut fleet = fixtures::fleet();
        fleet.reports[1].labels.insert("room".to_owned(), "cellar".to_owned());
        insta::assert_snapshot!(page(&fleet, &view(GroupBy::Label("room".to_owned())), None), @r"
        ROOM       NODES   GPUS    POWER  OF THE LIMIT            HOTTEST  UTIL      GiB
        lab            1      1    286 W  ━━━━━━━━━━━━━━━   95 %    86 °C  98 %     1/24
        cellar         1    7/8  4.29 kW  ━━━━━━━━━━━━━━    87 %    64 °C  98 %  487/558
        (no room)    2/3    2/3    223 W  ━━━━━━━━╸         53 %    64 °C   0 %    19/40
        ────────────────────────────────────────────────────────────────────────────────
        total        4/5  10/12  4.79 kW  ━━━━━━━━━━━━━╸    85 %    86 °C  87 %  507/622
        ");
    }

    #[test]
    fn gpus_of_no_known_model_have_the_last_row() {
        insta::assert_snapshot!(page(&fixtures::fleet(), &view(GroupBy::Model), None), @r"
        MODEL           NODES   GPUS    POWER  OF THE LIMIT        HOTTEST  UTIL      GiB
        RTX 3090            1      1    286 W  ━━━━━━━━━━━╸  95 %    86 °C  98 %     1/24
        H100 80GB HBM3      1      7  4.29 kW  ━━━━━━━━━━╸   87 %    64 °C  98 %  487/558
        A100-SXM4-40GB      1      1    211 W  ━━━━━━╸       53 %    64 °C     –    19/40
        GB10                1      1     11 W                   –    41 °C   0 %        –
        (not known)       0/2    0/2        –                   –        –     –        –
        ─────────────────────────────────────────────────────────────────────────────────
        total             4/5  10/12  4.79 kW  ━━━━━━━━━━    85 %    86 °C  87 %  507/622
        ");
    }

    #[test]
    fn rows_come_in_the_order_that_is_asked_for_with_their_troubles() {
        let by_power = GroupView { order: Some(GroupOrder::Power), ..view(GroupBy::Node) };
        let page = page(&fixtures::fleet(), &by_power, None);
        let names: Vec<&str> =
            page.lines().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
        assert_eq!(names[1..6], ["node001", "▲", "redfin", "mig01", "spark"], "{page}");
    }

    #[test]
    fn every_width_from_forty_columns_on_is_kept() {
        let mut batch = fixtures::fleet();
        batch.reports[0].node = "gpu-node-0.rack-17.building-4.campus-north.research.example.org".to_owned();
        for width in 40..200 {
            for by in [GroupBy::Node, GroupBy::Model, GroupBy::Label("room".to_owned())] {
                let page = page(&batch, &view(by), Some(width));
                assert!(page.lines().all(|line| line.width() <= usize::from(width)), "{width}:\n{page}");
            }
        }
    }

    #[test]
    fn a_pipe_has_whole_names() {
        let mut batch = fixtures::fleet();
        batch.reports[0].node = "gpu-node-0.rack-17.building-4.campus-north.research.example.org".to_owned();
        assert!(page(&batch, &view(GroupBy::Node), None).contains("campus-north.research.example.org  "));
    }

    #[test]
    fn without_bars_the_share_has_its_heading() {
        let without = GroupView { has_bars: false, ..view(GroupBy::Node) };
        let page = page(&fixtures::fleet(), &without, Some(80));
        assert!(!page.contains('━') && page.contains("OF LIMIT"), "{page}");
    }

    #[test]
    fn a_node_whose_gpus_are_not_known_says_so() {
        let mut batch = fixtures::fleet();
        batch.reports[2].gpus_expected = None;
        let page = page(&batch, &view(GroupBy::Node), None);
        assert!(page.contains("  0/?  ") && page.contains(" 10/11+? "), "{page}");
    }

    #[test]
    fn of_many_troubles_of_one_node_the_rest_is_counted() {
        let mut batch = fixtures::fleet();
        let lost = Fault { index: Some(5), ..batch.reports[1].faults[0].clone() };
        batch.reports[1].faults = vec![lost; 5];
        let page = page(&batch, &view(GroupBy::Node), None);
        assert_eq!(page.matches("▲ GPU 5 is lost\n").count(), 3, "{page}");
        assert!(page.contains("▲ and 2 more\n"), "{page}");
    }

    #[test]
    fn a_node_in_maintenance_that_is_down_says_so() {
        let mut batch = fixtures::fleet();
        batch.reports[2].maintenance = true;
        let page = page(&batch, &view(GroupBy::Node), None);
        assert!(page.contains("✗ the host key has changed (in maintenance)\n"), "{page}");
    }

    #[test]
    fn a_foreign_name_brings_no_control_character() {
        let mut batch = fixtures::fleet();
        batch.reports[0].labels.insert("room".to_owned(), "\u{1b}[2Jlab".to_owned());
        assert!(!page(&batch, &view(GroupBy::Label("room".to_owned())), None).contains('\u{1b}'));
    }
}
