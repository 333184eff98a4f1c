//! The arguments of `report`, and the question that they ask.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::select::Select;
use crate::app::{Period, ReportRequest};
use crate::cycle::Clock;
use crate::report::{BadQuestion, Bill, By, Stack};
use crate::support::error::Diagnose;

/// The range of a report that names none.
const DEFAULT_SINCE: Duration = Duration::from_hours(30 * 24);

/// The most rows of a report by quarter-hour over eleven years.
const MAX_TOP: u64 = 1_000_000;

/// The arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// The rows: node, gpu, model, label:KEY, day, hour, quarter, band or month; two of them as `node,day`, in whose rows
    /// ` / ` stands between the two names, and in neither
    #[arg(long, value_name = "GROUPS", default_value = "node", value_parser = groups)]
    by: Groups,
    /// Output format [default: by the ending of --output (.html, .csv, .json, .txt), else text]
    #[arg(long, value_name = "FORMAT")]
    format: Option<ReportFormat>,
    /// Write it to this file, whole or not at all
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Share out the kilowatt-hours of a bill, or those of the meter of one site (1234.5kWh@home)
    #[arg(long, value_name = "KWH[@SITE]", value_parser = bill)]
    bill: Vec<Bill>,
    /// Estimate what was not measured, in a column of its own; no other figure has it
    #[arg(long, value_name = "BY")]
    fill: Option<Fill>,
    /// Take [[tariff]] from this file instead of the inventory, and [site] and [carbon] where it has them
    #[arg(long, value_name = "FILE")]
    tariff: Option<PathBuf>,
    /// At most so many rows, and one for the rest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_TOP))]
    top: Option<u64>,
    /// The members of the page's chart of power: node, model, site or label:KEY [default: by what shows most]
    #[arg(long, value_name = "GROUP", value_parser = stack)]
    stack: Option<Stack>,
    /// With --format json: also the figures of the page's charts
    #[arg(long)]
    charts: bool,
    /// With --format text: no bars
    #[arg(long)]
    pub(super) no_bars: bool,
    #[command(flatten)]
    select: Select,
}

/// The range of a report.
#[derive(Debug, Args)]
struct RangeArgs {
    /// From so long ago until now; whole days are local days, today among them [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with_all = ["from", "month"])]
    since: Option<Duration>,
    /// From this time on: a date (its local midnight), a local time (2026-11-01T14:30), or RFC 3339
    #[arg(long, value_name = "TIME", conflicts_with = "month")]
    from: Option<String>,
    /// Until this time; a date is not part of the range [default: now]
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// A local month: 2026-11, `last` or `this`
    #[arg(long, value_name = "MONTH")]
    month: Option<String>,
}

impl RangeArgs {
    fn period(&self) -> Period {
        match (&self.month, &self.from) {
            (Some(month), _) => Period::Month(month.clone()),
            (None, Some(from)) => Period::Between(from.clone(), self.to.clone()),
            (None, None) => Period::Since(self.since.unwrap_or(DEFAULT_SINCE)),
        }
    }
}

/// The groupings of the rows, as one argument.
#[derive(Debug, Clone)]
struct Groups(Vec<By>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// A table for people, with bars
    Text,
    /// A row a group, for a spreadsheet; no total
    Csv,
    /// One JSON document with a versioned schema
    Json,
    /// One page with charts, which needs nothing else: to be opened, printed or mailed
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fill {
    /// By the mean of what was measured
    Mean,
}

fn with_hint(error: &impl Diagnose) -> String {
    format!("{error}; {}", error.hint())
}

fn groups(text: &str) -> Result<Groups, String> {
    By::parse_list(text).map(Groups).map_err(|error| with_hint(&error))
}

fn bill(text: &str) -> Result<Bill, String> {
    text.parse().map_err(|error| with_hint(&error))
}

fn stack(text: &str) -> Result<Stack, String> {
    text.parse().map_err(|error| with_hint(&error))
}

impl ReportArgs {
    /// The format that was asked for, else that of the file's ending.
    ///
    /// # Errors
    /// The ending is of no format.
    pub(super) fn format(&self) -> Result<ReportFormat, BadQuestion> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let ending = self.output.as_deref().and_then(Path::extension).map(|ending| ending.to_string_lossy());
        match ending.as_deref() {
            Some("html") => Ok(ReportFormat::Html),
            Some("csv") => Ok(ReportFormat::Csv),
            Some("json") => Ok(ReportFormat::Json),
            Some("txt") | None => Ok(ReportFormat::Text),
            Some(other) => Err(BadQuestion::unknown_ending(other)),
        }
    }

    pub(super) fn request(&self, format: ReportFormat) -> ReportRequest {
        let has_charts = match format {
            // The days of the text are a chart of the page.
            ReportFormat::Html | ReportFormat::Text => true,
            ReportFormat::Json => self.charts,
            ReportFormat::Csv => false,
        };
        ReportRequest {
            period: self.range.period(),
            by: self.by.0.clone(),
            is_filled: self.fill.is_some(),
            bills: self.bill.clone(),
            top: self.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            charts: has_charts.then(|| self.stack.clone().unwrap_or_default()),
            tariff: self.tariff.clone(),
            selection: self.select.selection(),
            now: Clock.now(),
        }
    }
}
