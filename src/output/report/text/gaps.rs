//! The times that were not measured: the largest with their reasons, then the rest.

use unicode_width::UnicodeWidthStr as _;

use super::Page;
use crate::output::figures;
use crate::output::text::{CARE, broken, cut, cut_apart};
use crate::report::{Gap, Report};

/// The most gaps that have a line of their own.
const MAX_GAPS: usize = 5;

const HEADING: &str = "NOT MEASURED";
const HOURS: &str = "GPU-HOURS";

/// Columns between two columns.
const GAP: usize = 2;

/// The most columns of the names of what was not measured in a line of 80; of wider ones some more.
const MAX_WHAT: usize = 14;

/// In less room than this a reason is cut at the end of its line.
const MIN_REASON: usize = 16;

/// A line: what, when, why, and its GPU-hours.
struct Line {
    what: String,
    when: String,
    reason: String,
    /// `None` where the number of GPUs is not known.
    hours: Option<f64>,
}

impl Line {
    fn hours(&self) -> String {
        self.hours.map_or_else(|| figures::NOT_APPLICABLE.to_owned(), figures::hours)
    }
}

/// A line a gap, and one for each rest; they sum to what is missing. Nothing if nothing is.
pub(super) fn gaps(report: &Report, page: &Page) -> String {
    if report.gaps.is_empty() && report.scope.silent_nodes.is_empty() {
        return String::new();
    }
    let lines = lines(report);
    let width_of = |of: fn(&Line) -> &String| {
        let spread = lines.iter().filter(|line| !line.when.is_empty());
        spread.map(|line| of(line).width()).max().unwrap_or_default()
    };
    let what = width_of(|line| &line.what).min(MAX_WHAT + page.width.saturating_sub(80) / 4);
    let when = width_of(|line| &line.when);
    let hours = lines.iter().map(|line| line.hours().width()).max().unwrap_or_default();
    let head = page.options.paint(CARE.bold(), HEADING);
    let mut text = format!("{head}{HOURS:>width$}\n", width = page.width.saturating_sub(HEADING.len()));
    let names: Vec<&str> = lines.iter().map(|line| line.what.as_str()).collect();
    for (line, name) in lines.iter().zip(cut_apart(&names, what)) {
        let head = if line.when.is_empty() {
            format!("{}{}", cut(&line.what, page.width / 2), " ".repeat(GAP))
        } else {
            let pad = " ".repeat(what - name.width() + GAP);
            let pad_when = " ".repeat(when - line.when.width() + GAP);
            format!("{name}{pad}{}{pad_when}", line.when)
        };
        text += &with_reason(&head, line, hours, page);
    }
    text
}

/// A line with its reason, of which a second line may have the rest.
fn with_reason(head: &str, line: &Line, hours: usize, page: &Page) -> String {
    let indent = head.width();
    let room = page.width.saturating_sub(indent + hours + 1);
    let (reason, rest) =
        if room < MIN_REASON { (line.reason.clone(), None) } else { in_two(&line.reason, room) };
    let left = cut(format!("{head}{reason}").trim_end(), page.width.saturating_sub(hours + 1));
    let number = line.hours();
    let pad = " ".repeat(page.width.saturating_sub(left.width() + number.width()));
    let rest =
        rest.map_or_else(String::new, |rest| format!("{:indent$}{}\n", "", cut(&rest, page.width - indent)));
    format!("{left}{pad}{number}\n{rest}")
}

/// A text in so many columns, and what is left of it.
fn in_two(text: &str, room: usize) -> (String, Option<String>) {
    let mut lines = broken(text, room, 0).into_iter();
    let first = cut(&lines.next().unwrap_or_default(), room);
    let rest = lines.collect::<Vec<_>>().join(" ");
    (first, (!rest.is_empty()).then_some(rest))
}

/// The largest gaps, the smaller ones as one, and what is spread over the range.
fn lines(report: &Report) -> Vec<Line> {
    let range = (&report.from, &report.to);
    let (numbered, rests): (Vec<&Gap>, Vec<&Gap>) = report.gaps.iter().partition(|gap| gap.number.is_some());
    let (shown, smaller) = numbered.split_at(numbered.len().min(MAX_GAPS));
    let line = |gap: &&Gap| Line {
        what: gap.what.clone(),
        when: gap
            .from
            .as_ref()
            .zip(gap.to.as_ref())
            .map(|(from, to)| figures::times_in(range, from, to))
            .unwrap_or_default(),
        reason: gap.reason.clone(),
        hours: Some(gap.gpu_hours),
    };
    let smaller = (!smaller.is_empty()).then(|| Line {
        what: format!("{} smaller ones", smaller.len()),
        when: String::new(),
        reason: "in --format json, each with its reason".to_owned(),
        hours: Some(smaller.iter().map(|gap| gap.gpu_hours).sum()),
    });
    let silent = report.scope.silent_in_words().map(|what| Line {
        what,
        when: String::new(),
        reason: figures::SILENT.to_owned(),
        hours: None,
    });
    shown.iter().map(line).chain(smaller).chain(rests.iter().map(line)).chain(silent).collect()
}
