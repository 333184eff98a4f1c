//! The energy of each day, or of each hour, week or month, as one column; and which of them were not measured whole.

use jiff::civil::Weekday;
use unicode_width::UnicodeWidthStr as _;

use super::Page;
use crate::output::figures;
use crate::report::{PeriodBar, Periods, Report};

/// Columns of the labels.
const LABEL: usize = 15;

/// A bar that may be the lowest was measured for this part of its time.
const LEAST_SHARE: f64 = 0.5;

/// The bars of an eighth and more of the highest.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The bars with the range, and below them the marks; broken into several lines where there are too many. Nothing where
/// bars are not wanted or a single one would be.
pub(super) fn days(report: &Report, page: &Page) -> String {
    let Some(periods) = report.charts.as_ref().map(|charts| &charts.periods) else { return String::new() };
    if !page.has_bars || periods.bars.len() < 2 {
        return String::new();
    }
    let range = range(periods);
    let room = page.width.saturating_sub(LABEL + range.width() + 2).max(1);
    let mut text = String::new();
    for (idx, bars) in periods.bars.chunks(whole_lines(room, &periods.unit)).enumerate() {
        let label = if idx == 0 { format!("By {}, kWh", periods.unit) } else { String::new() };
        text += &part(bars, &label, if idx == 0 { &range } else { "" }, periods, page);
    }
    text
}

/// The number of bars in a line: whole weeks of days and days of hours, where there is room for one.
fn whole_lines(room: usize, unit: &str) -> usize {
    let whole = match unit {
        "day" => 7,
        "hour" => 24,
        "month" => 12,
        _ => 1,
    };
    if room < whole { room } else { room - room % whole }
}

/// Some of the bars, the marks of those that were not measured whole, and where a week begins.
fn part(bars: &[PeriodBar], label: &str, range: &str, periods: &Periods, page: &Page) -> String {
    let highest = highest(periods);
    let drawn: String = bars.iter().map(|bar| column(bar.energy_kwh, highest)).collect();
    let mut text = format!("{}\n", format!("{label:LABEL$}{drawn}  {range}").trim_end());
    let is_poor = |bar: &PeriodBar| bar.measured_share.is_none_or(figures::is_poorly_measured);
    if bars.iter().any(is_poor) {
        let marks: String = bars.iter().map(|bar| if is_poor(bar) { '·' } else { ' ' }).collect();
        let head = page.options.paint(crate::output::text::CARE, "Not measured");
        let pad = " ".repeat(LABEL - "Not measured".len());
        text += &format!("{head}{pad}{}\n", marks.trim_end());
    }
    if periods.unit == "day" {
        text += &mondays(bars, page);
    }
    text
}

/// The marks of Mondays with their dates; nothing where there is none.
fn mondays(bars: &[PeriodBar], page: &Page) -> String {
    let is_monday = |bar: &PeriodBar| bar.from.0.weekday() == Weekday::Monday;
    let dates: Vec<&PeriodBar> = bars.iter().filter(|bar| is_monday(bar)).collect();
    let mut names = Vec::<String>::new();
    for (idx, bar) in dates.iter().enumerate() {
        // The month stands behind the last of its Mondays.
        let next = dates.get(idx + 1);
        let is_last = next.is_none_or(|next| next.from.0.month() != bar.from.0.month());
        names.push(if is_last { figures::day(&bar.from) } else { bar.from.0.day().to_string() });
    }
    if names.is_empty() {
        return String::new();
    }
    let marks: String = bars.iter().map(|bar| if is_monday(bar) { '└' } else { ' ' }).collect();
    let line = format!("{:LABEL$}{marks}  {}", "", format_args!("Mondays: {}", names.join(", ")));
    let line = if line.width() > page.width { format!("{:LABEL$}{}", "", marks.trim_end()) } else { line };
    format!("{line}\n")
}

fn highest(periods: &Periods) -> f64 {
    periods.bars.iter().map(|bar| bar.energy_kwh).fold(0.0, f64::max)
}

/// A bar from zero: nothing of nothing, and at least an eighth of anything.
fn column(value: f64, highest: f64) -> &'static str {
    if value <= 0.0 || highest <= 0.0 {
        return " ";
    }
    let eighths = value / highest * 8.0;
    let is_reached = |(half, _): &(f64, &&str)| *half <= eighths;
    let bars = [0.0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5].into_iter().zip(&BARS);
    bars.take_while(is_reached).last().map_or(" ", |(_, bar)| bar)
}

/// The lowest and the highest: `467 to 732`; of the lowest without those that are low since little was measured.
fn range(periods: &Periods) -> String {
    let measured =
        periods.bars.iter().filter(|bar| bar.measured_share.is_some_and(|share| share >= LEAST_SHARE));
    let lowest = measured.map(|bar| bar.energy_kwh).fold(highest(periods), f64::min);
    let highest = highest(periods);
    let decimals = if highest >= 100.0 { 0 } else { super::decimals(highest) };
    format!("{} to {}", figures::number(lowest, decimals), figures::number(highest, decimals))
}
