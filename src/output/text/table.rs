//! The table: a row per GPU, and one line in words for what has no numbers.

use std::iter;
use std::sync::LazyLock;

use anstyle::Style;

use crate::batch::{Batch, HostReport};
use crate::reading::{Absent, Device, Memory, Outcome, Power, Quantity, Reason, Value};

use super::grid::{Layout, Line, Shown, widest};
use super::{BAD, CARE, DRAW_CARE_PERCENT, HEAD, HOT_CELSIUS, PLAIN, TextOptions, missing};

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Node,
    Quantity(Quantity),
    Outcome,
}

/// The columns from left to right, with their headings.
static COLUMNS: LazyLock<Vec<(Column, &'static str)>> = LazyLock::new(|| {
    let mut quantities: Vec<_> = Quantity::ALL
        .iter()
        .filter_map(|quantity| {
            let (place, heading) = quantity.columns().text?;
            Some((place, (Column::Quantity(*quantity), heading)))
        })
        .collect();
    quantities.sort_by_key(|(place, _)| *place);
    let shown = quantities.into_iter().map(|(_, column)| column);
    iter::once((Column::Node, "node")).chain(shown).chain([(Column::Outcome, "outcome")]).collect()
});

const MODEL: Column = Column::Quantity(Quantity::Model);
const LIMIT: Column = Column::Quantity(Quantity::PowerLimit);
const OF_LIMIT: Column = Column::Quantity(Quantity::PowerOfLimit);
const MEMORY: Column = Column::Quantity(Quantity::MemoryUsed);
const LEFT_ALIGNED: [Column; 3] = [Column::Node, MODEL, Column::Outcome];

/// The least width of a name that is cut.
const MIN_NODE: usize = 8;

/// Columns to give up until the table fits, blanks between them, least width of the model; the last in any
/// case.
const LAYOUTS: [(&[Column], usize, usize); 7] = [
    (&[], 2, 20),
    (&[OF_LIMIT], 2, 16),
    (&[OF_LIMIT], 1, 10),
    (&[OF_LIMIT, LIMIT], 1, 10),
    (&[OF_LIMIT, LIMIT, MEMORY], 1, 8),
    (&[OF_LIMIT, LIMIT, MEMORY, MODEL], 1, 0),
    (&[OF_LIMIT, LIMIT, MEMORY, MODEL, Column::Outcome], 1, 0),
];

/// The table, with a line break at its end.
pub(super) fn table(batch: &Batch, options: &TextOptions) -> String {
    let heading = |(_, heading): &(Column, &str)| ((*heading).to_owned(), HEAD);
    let mut lines = vec![Line { cells: COLUMNS.iter().map(heading).collect(), across: None }];
    for report in &batch.reports {
        push_report(&mut lines, report);
    }
    let layout = fit(&lines, options.width);
    let mut rendered = lines.iter().map(|line| layout.line(line, options) + "\n");
    let header = rendered.next().unwrap_or_default() + &"─".repeat(layout.width()) + "\n";
    header + &rendered.collect::<String>()
}

fn push_report(lines: &mut Vec<Line>, report: &HostReport) {
    let (outcome, style) = match &report.outcome {
        Outcome::Complete => ("ok", PLAIN),
        Outcome::Partial => ("partial", CARE),
        Outcome::Failed(failure) => {
            lines.push(line_across(report, format!("failed: {}", failure.wording.message), BAD));
            return;
        }
    };
    lines.extend(report.gpus.iter().map(|gpu| gpu_line(report, gpu, outcome, style)));
    lines.extend(missing(report).map(|message| line_across(report, message, CARE)));
}

fn line_across(report: &HostReport, message: String, style: Style) -> Line {
    let mut cells = vec![(String::new(), style); COLUMNS.len()];
    if let Some(node) = cells.first_mut() {
        *node = (report.node.clone(), PLAIN);
    }
    Line { cells, across: Some((1, message)) }
}

fn gpu_line(report: &HostReport, gpu: &Device, outcome: &str, outcome_style: Style) -> Line {
    let near_limit = gpu.power_of_limit().is_ok_and(|share| share.percent() > DRAW_CARE_PERCENT);
    let hot = gpu.temperature().is_ok_and(|temperature| temperature.celsius() >= HOT_CELSIUS);
    let lost = all_absent_for(gpu);
    let cell = |(column, _): &(Column, &str)| match column {
        Column::Node => (report.node.clone(), PLAIN),
        Column::Outcome => (outcome.to_owned(), if lost.is_some() { BAD } else { outcome_style }),
        Column::Quantity(quantity) => {
            let is_draw = [Quantity::Power, Quantity::PowerOfLimit].contains(quantity);
            let style = if is_draw && near_limit {
                CARE
            } else if *quantity == Quantity::Temperature && hot {
                BAD
            } else {
                PLAIN
            };
            (shown(gpu, *quantity), style)
        }
    };
    let model = COLUMNS.iter().position(|(column, _)| *column == MODEL).unwrap_or(0);
    Line { cells: COLUMNS.iter().map(cell).collect(), across: lost.map(|reason| (model, gone(gpu, reason))) }
}

/// The reason, if this GPU gave no number at all and an error is why. It is said once then.
fn all_absent_for(gpu: &Device) -> Option<Reason> {
    let reason = gpu.power().err()?.reason;
    let others = [Quantity::Temperature, Quantity::Utilization, Quantity::MemoryUsed];
    let others = others.map(|quantity| gpu.get(quantity).err().map(|absent| absent.reason));
    let is_error = !matches!(reason, Reason::NotSupported | Reason::NotAsked);
    (is_error && others.iter().all(|other| *other == Some(reason))).then_some(reason)
}

fn gone(gpu: &Device, reason: Reason) -> String {
    match (gpu.bus_id(), gpu.uuid()) {
        (Ok(name), _) | (Err(_), Ok(name)) => format!("{}: no reading from {name}", reason.word()),
        (Err(_), Err(_)) => format!("{}: no reading", reason.word()),
    }
}

/// The value as short as can be, its unit left to the heading; or a word for why there is none.
fn shown(gpu: &Device, quantity: Quantity) -> String {
    if quantity == Quantity::MemoryUsed {
        return match (gpu.memory_used(), gpu.memory_total()) {
            (Err(used), Err(total)) if used.reason == total.reason => used.reason.word().to_owned(),
            (used, total) => format!("{} / {}", memory(used), memory(total)),
        };
    }
    let known = gpu.get(quantity);
    match known.as_deref() {
        Ok(Value::Power(power)) if quantity == Quantity::PowerLimit => short_watts(power),
        Ok(Value::Power(power)) => format!("{:.1}", power.watts()),
        Ok(Value::Share(share)) if quantity == Quantity::PowerOfLimit => format!("{:.0} %", share.percent()),
        Ok(Value::Share(share)) => format!("{:.0}", share.percent()),
        Ok(Value::Temperature(temperature)) => format!("{:.0}", temperature.celsius()),
        Ok(Value::Memory(memory)) => gibibytes(memory),
        Ok(Value::Text(text)) if quantity == Quantity::Model => short_model(text.as_str()).to_owned(),
        Ok(value) => value.to_string(),
        Err(absent) => absent.reason.word().to_owned(),
    }
}

fn memory(measured: Result<&Memory, &Absent>) -> String {
    measured.map_or_else(|absent| absent.reason.word().to_owned(), gibibytes)
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
pub(super) fn short_model(model: &str) -> &str {
    ["NVIDIA ", "GeForce "].iter().fold(model, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest))
}

fn fit(lines: &[Line], width: Option<u16>) -> Layout<Column> {
    let available = width.map_or(usize::MAX, usize::from);
    let natural = |(place, (column, _)): (usize, &(Column, _))| {
        let is_left_aligned = LEFT_ALIGNED.contains(column);
        Shown { place, column: *column, width: widest(lines.iter(), place), is_left_aligned }
    };
    let all: Vec<Shown<Column>> = COLUMNS.iter().enumerate().map(natural).collect();
    let mut layout = Layout { columns: Vec::new(), gap: 0 };
    for (dropped, gap, least_model) in LAYOUTS {
        let columns = all.iter().copied().filter(|shown| !dropped.contains(&shown.column)).collect();
        layout = Layout { columns, gap };
        let excess = layout.width().saturating_sub(available);
        let model = layout.columns.iter_mut().find(|shown| shown.column == MODEL);
        let spare = model.as_ref().map_or(0, |model| model.width.saturating_sub(least_model));
        if let Some(model) = model {
            model.width -= excess.min(spare);
        }
        if excess <= spare {
            return layout;
        }
    }
    // Nothing is left to give up but a part of the names.
    let excess = layout.width().saturating_sub(available);
    if let Some(Shown { column: Column::Node, width, .. }) = layout.columns.first_mut() {
        *width = (*width).min(width.saturating_sub(excess).max(MIN_NODE));
    }
    layout
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::SafeText;

    fn rows(batch: &Batch, width: Option<u16>) -> String {
        table(batch, &TextOptions { colour: false, width })
    }

    #[test]
    fn every_width_from_forty_columns_on_is_kept() {
        let mut batch = fixtures::fleet();
        batch.reports[0].gpus[0].set(
            Quantity::Model,
            Ok(SafeText::new("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition").into()),
        );
        for width in 40..200 {
            let page = rows(&batch, Some(width));
            assert!(page.lines().all(|line| line.width() <= usize::from(width)), "{width}:\n{page}");
        }
    }

    #[test]
    fn long_names_fit_eighty_columns_and_keep_the_numbers() {
        let mut batch = fixtures::fleet();
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
        let mut batch = fixtures::fleet();
        batch.reports[1].gpus.pop();
        assert!(rows(&batch, None).contains("node001  1 of 8 GPUs did not answer\n"));
    }

    #[test]
    fn a_value_that_is_missing_among_others_is_a_word() {
        let mut batch = fixtures::fleet();
        batch.reports.truncate(1);
        batch.reports[0].gpus[0]
            .set(Quantity::PowerDraw, Err(Absent::new(Reason::NoPermission, "[Insufficient Permissions]")));
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
        let page = table(&fixtures::fleet(), &TextOptions { colour: true, width: None });
        assert!(page.contains("\u{1b}[33m285.5\u{1b}[0m"), "{page:?}");
        assert!(page.contains("\u{1b}[31m86\u{1b}[0m"), "{page:?}");
    }
}
