//! The table: a row per GPU, and one line in words for what has no numbers.

use anstyle::Style;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::UnicodeWidthStr;

use crate::batch::{Batch, HostReport, efficiency};
use crate::reading::{GpuReading, Measured, Memory, Outcome, Power, Reason};

use super::{BAD, CARE, HEAD, PLAIN, TextOptions, cut};

/// Drawing more than this share of the limit asks for a look.
const DRAW_CARE_PERCENT: f64 = 90.0;
/// From here on, boards hold their clocks down or soon will.
const HOT_CELSIUS: f64 = 85.0;

const N_COLUMNS: usize = 10;
const HEADER: [&str; N_COLUMNS] =
    ["node", "GPU", "model", "draw W", "limit W", "of limit", "util %", "temp °C", "memory GiB", "outcome"];
const NODE: usize = 0;
const MODEL: usize = 2;
const LIMIT: usize = 4;
const OF_LIMIT: usize = 5;
const MEMORY: usize = 8;
const LEFT_ALIGNED: [usize; 3] = [0, MODEL, 9];

/// A table without boxes: one rule below the header.
const LIGHT: TableStyle = TableStyle::new().header_separator(LineStyle {
    left: None,
    fill: Some('─'),
    junction: None,
    right: None,
});

/// The least width of a name that is cut.
const MIN_NODE: usize = 8;

/// What to give up, in this order, until the table fits: columns, blanks between them, the least width
/// of the model. The last is taken even if it does not fit.
const LAYOUTS: [(&[usize], u16, usize); 7] = [
    (&[], 2, 20),
    (&[OF_LIMIT], 2, 16),
    (&[OF_LIMIT], 1, 10),
    (&[OF_LIMIT, LIMIT], 1, 10),
    (&[OF_LIMIT, LIMIT, MEMORY], 1, 8),
    (&[OF_LIMIT, LIMIT, MEMORY, MODEL], 1, 0),
    (&[OF_LIMIT, LIMIT, MEMORY, MODEL, 9], 1, 0),
];

struct Line {
    cells: [(String, Style); N_COLUMNS],
    /// Words that stand across the columns from this one on, in place of their cells.
    across: Option<(usize, String)>,
}

/// Which columns are shown, and how wide they are.
struct Layout {
    columns: Vec<(usize, usize)>,
    gap: u16,
}

/// The table, with a line break at its end.
pub(super) fn table(batch: &Batch, options: &TextOptions) -> String {
    let mut lines = Vec::new();
    for report in &batch.reports {
        push_report(&mut lines, report);
    }
    let layout = fit(&lines, options.width);
    let mut table = Table::new();
    table.force_no_tty().load_style(LIGHT).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(layout.row(&HEADER.map(|title| (title.to_owned(), HEAD)), options));
    for line in &lines {
        table.add_row(layout.row(&line.cells, options));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        let is_last = place + 1 == layout.columns.len();
        column.set_padding((0, if is_last { 0 } else { layout.gap }));
    }
    let mut rendered = String::new();
    let n_header_lines = 2;
    for (row, text) in table.lines().enumerate() {
        let line = row.checked_sub(n_header_lines).and_then(|row| lines.get(row));
        let across = line.and_then(|line| layout.across(line, options));
        rendered.push_str(across.as_deref().unwrap_or_else(|| text.trim_end()));
        rendered.push('\n');
    }
    rendered
}

fn push_report(lines: &mut Vec<Line>, report: &HostReport) {
    let (outcome, style) = match &report.outcome {
        Outcome::Complete => ("ok", PLAIN),
        Outcome::Partial => ("partial", CARE),
        Outcome::Failed(failure) => {
            lines.push(line_across(report, format!("failed: {}", failure.kind.message()), BAD));
            return;
        }
    };
    lines.extend(report.gpus.iter().map(|gpu| gpu_line(report, gpu, outcome, style)));
    let n_missing = report.gpus_known().unwrap_or(0) - report.gpus.len();
    if n_missing > 0 {
        let known = report.gpus_known().unwrap_or(0);
        lines.push(line_across(report, format!("{n_missing} of {known} GPUs did not answer"), CARE));
    } else if report.gpus.is_empty() {
        lines.push(line_across(report, "no GPU answered".to_owned(), CARE));
    }
}

fn line_across(report: &HostReport, message: String, style: Style) -> Line {
    let mut cells = std::array::from_fn(|_| (String::new(), style));
    if let Some(node) = cells.first_mut() {
        node.0.clone_from(&report.node);
    }
    Line { cells, across: Some((1, message)) }
}

fn gpu_line(report: &HostReport, gpu: &GpuReading, outcome: &str, outcome_style: Style) -> Line {
    let of_limit = efficiency(gpu);
    let near_limit = of_limit.as_ref().is_ok_and(|share| share.percent() > DRAW_CARE_PERCENT);
    let hot = gpu.temperature.as_ref().is_ok_and(|temperature| temperature.celsius() >= HOT_CELSIUS);
    let draw_style = if near_limit { CARE } else { PLAIN };
    let lost = all_absent_for(gpu);
    Line {
        cells: [
            (report.node.clone(), PLAIN),
            (cell(&gpu.index, u32::to_string), PLAIN),
            (cell(&gpu.model, |model| short_model(model.as_str()).to_owned()), PLAIN),
            (cell(&gpu.power(), |draw| format!("{:.1}", draw.power.watts())), draw_style),
            (cell(&gpu.limit(), short_watts), PLAIN),
            (cell(&of_limit, |share| format!("{:.0} %", share.percent())), draw_style),
            (cell(&gpu.utilization, |share| format!("{:.0}", share.percent())), PLAIN),
            (cell(&gpu.temperature, |at| format!("{:.0}", at.celsius())), if hot { BAD } else { PLAIN }),
            (memory(gpu), PLAIN),
            (outcome.to_owned(), if lost.is_some() { BAD } else { outcome_style }),
        ],
        across: lost.map(|reason| (MODEL, gone(gpu, reason))),
    }
}

/// The reason, if this GPU gave no number at all and an error is why. It is said once then.
fn all_absent_for(gpu: &GpuReading) -> Option<Reason> {
    let reason = gpu.power().err()?.reason;
    let others = [
        gpu.temperature.as_ref().err().map(|absent| absent.reason),
        gpu.utilization.as_ref().err().map(|absent| absent.reason),
        gpu.memory_used.as_ref().err().map(|absent| absent.reason),
    ];
    let is_error = !matches!(reason, Reason::NotSupported | Reason::NotAsked);
    (is_error && others.iter().all(|other| *other == Some(reason))).then_some(reason)
}

fn gone(gpu: &GpuReading, reason: Reason) -> String {
    match (&gpu.bus_id, &gpu.uuid) {
        (Ok(name), _) | (Err(_), Ok(name)) => format!("{}: no reading from {name}", reason.word()),
        (Err(_), Err(_)) => format!("{}: no reading", reason.word()),
    }
}

fn cell<T>(measured: &Measured<T>, text: impl Fn(&T) -> String) -> String {
    measured.as_ref().map_or_else(|absent| absent.reason.word().to_owned(), text)
}

fn memory(gpu: &GpuReading) -> String {
    match (&gpu.memory_used, &gpu.memory_total) {
        (Err(used), Err(total)) if used.reason == total.reason => used.reason.word().to_owned(),
        (used, total) => format!("{} / {}", cell(used, gibibytes), cell(total, gibibytes)),
    }
}

fn gibibytes(memory: &Memory) -> String {
    let tenths = memory.mebibytes().saturating_mul(10).saturating_add(512) / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Limits are whole watts almost always.
fn short_watts(power: &Power) -> String {
    let text = format!("{:.1}", power.watts());
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A model's name without what every model's name begins with.
fn short_model(model: &str) -> &str {
    ["NVIDIA ", "GeForce "].iter().fold(model, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest))
}

fn fit(lines: &[Line], width: Option<u16>) -> Layout {
    let natural: Vec<usize> = (0..N_COLUMNS).map(|column| natural_width(lines, column)).collect();
    let available = width.map_or(usize::MAX, usize::from);
    let mut layout = Layout { columns: Vec::new(), gap: 2 };
    for (dropped, gap, least_model) in LAYOUTS {
        layout.gap = gap;
        layout.columns =
            natural.iter().copied().enumerate().filter(|(column, _)| !dropped.contains(column)).collect();
        let needed: usize = layout.columns.iter().map(|(_, width)| width).sum::<usize>()
            + usize::from(gap) * layout.columns.len().saturating_sub(1);
        let excess = needed.saturating_sub(available);
        let model = layout.columns.iter_mut().find(|(column, _)| *column == MODEL);
        let spare = model.as_ref().map_or(0, |(_, width)| width.saturating_sub(least_model));
        if let Some((_, width)) = model {
            *width -= excess.min(spare);
        }
        if excess <= spare {
            return layout;
        }
    }
    // Nothing is left to give up but a part of the names.
    let others: usize = layout.columns.iter().skip(1).map(|(_, width)| width + usize::from(layout.gap)).sum();
    if let Some((NODE, width)) = layout.columns.first_mut() {
        *width = (*width).min(available.saturating_sub(others).max(MIN_NODE));
    }
    layout
}

fn natural_width(lines: &[Line], column: usize) -> usize {
    let shown = lines.iter().filter(|line| line.across.as_ref().is_none_or(|(from, _)| column < *from));
    let cells = shown.filter_map(|line| line.cells.get(column)).map(|(text, _)| text.width());
    cells.chain(HEADER.get(column).map(|title| title.width())).max().unwrap_or(0)
}

impl Layout {
    fn row(&self, cells: &[(String, Style); N_COLUMNS], options: &TextOptions) -> Vec<Cell> {
        let shown =
            self.columns.iter().filter_map(|(column, width)| Some((column, width, cells.get(*column)?)));
        shown
            .map(|(column, width, (text, style))| {
                let is_left = LEFT_ALIGNED.contains(column);
                let alignment = if is_left { CellAlignment::Left } else { CellAlignment::Right };
                Cell::new(options.paint(*style, &cut(text, *width))).set_alignment(alignment)
            })
            .collect()
    }

    /// The line with its words across; `None` for a line of cells.
    fn across(&self, line: &Line, options: &TextOptions) -> Option<String> {
        let (from, message) = line.across.as_ref()?;
        let gap = " ".repeat(usize::from(self.gap));
        let mut text = String::new();
        for (column, width) in self.columns.iter().filter(|(column, _)| column < from) {
            let cell = line.cells.get(*column).map_or(String::new(), |(cell, _)| cut(cell, *width));
            let pad = " ".repeat(width.saturating_sub(cell.width()));
            let is_left = LEFT_ALIGNED.contains(column);
            let padded = if is_left { format!("{cell}{pad}") } else { format!("{pad}{cell}") };
            text.push_str(&padded);
            text.push_str(&gap);
        }
        let left = options.width.map_or(usize::MAX, usize::from).saturating_sub(text.width()).max(1);
        let style = line.cells.last().map_or(PLAIN, |(_, style)| *style);
        text.push_str(&options.paint(style, &cut(message, left)));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sample;
    use crate::reading::{Absent, SafeText};

    fn rows(batch: &Batch, width: Option<u16>) -> String {
        table(batch, &TextOptions { colour: false, width })
    }

    #[test]
    fn every_width_from_forty_columns_on_is_kept() {
        let mut batch = sample::fleet();
        batch.reports[0].gpus[0].model =
            Ok(SafeText::new("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"));
        for width in 40..200 {
            let page = rows(&batch, Some(width));
            assert!(page.lines().all(|line| line.width() <= usize::from(width)), "{width}:\n{page}");
        }
    }

    #[test]
    fn long_names_fit_eighty_columns_and_keep_the_numbers() {
        let mut batch = sample::fleet();
        for (place, report) in batch.reports.iter_mut().enumerate() {
            report.node = format!("gpu-node-{place}.rack-17.building-4.campus-north.research.example.org");
        }
        let page = rows(&batch, Some(80));
        assert!(page.lines().all(|line| line.width() <= 80), "{page}");
        assert!(page.lines().any(|line| line.contains("gpu-node-0") && line.contains("285.5")), "{page}");
        assert!(page.contains("failed: the host key"), "{page}");
    }

    #[test]
    fn gpus_that_gave_no_row_are_counted() {
        let mut batch = sample::fleet();
        batch.reports[1].gpus.pop();
        assert!(rows(&batch, None).contains("node001  1 of 8 GPUs did not answer\n"));
    }

    #[test]
    fn a_value_that_is_missing_among_others_is_a_word() {
        let mut batch = sample::fleet();
        batch.reports.truncate(1);
        batch.reports[0].gpus[0].power_draw =
            Err(Absent::new(Reason::NoPermission, "[Insufficient Permissions]"));
        let page = rows(&batch, None);
        assert!(page.contains("no permission"), "{page}");
        assert!(!page.contains(" 0.0 "), "{page}");
    }

    #[test]
    fn models_lose_the_makers_name() {
        assert_eq!(short_model("NVIDIA GeForce RTX 3090"), "RTX 3090");
        assert_eq!(short_model("Tesla T4"), "Tesla T4");
    }

    #[test]
    fn high_draw_is_yellow_and_heat_is_red() {
        let page = table(&sample::fleet(), &TextOptions { colour: true, width: None });
        assert!(page.contains("\u{1b}[33m285.5\u{1b}[0m"), "{page:?}");
        assert!(page.contains("\u{1b}[31m86\u{1b}[0m"), "{page:?}");
    }
}
