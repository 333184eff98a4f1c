//! `ledger`: its status, and computing it again.

use serde_json::{Value, json};

use super::args::{Cli, LedgerCommand, ListFormat};
use super::exit::Exit;
use super::{Failure, block_on, print, render, say, settings, settings_to_read};
use crate::app::{self, LedgerRange, LedgerStatus, Settings};
use crate::output::figures::{count, energy_number};
use crate::reading::{Quarter, SafeText, Timestamp};
use crate::store::{
    CountedTwice, Difference, Error, KeptQuarters, LedgerAccess, LedgerSize, LedgerTotals, RebuildReport,
};
use crate::support::counted;
use crate::support::error::Diagnose;

/// The name and version of the shape of `ledger status --format json`.
const SCHEMA: &str = "fleetwatt.ledger_status/1";

pub(super) fn run(cli: &Cli, command: &LedgerCommand) -> Result<Exit, Failure> {
    match command {
        LedgerCommand::Status { format } => {
            let settings = settings_to_read(cli)?;
            let status = block_on(app::ledger_status(&settings))?;
            say(match (format, status) {
                (ListFormat::Text, Some(status)) => text(&status, &settings),
                (ListFormat::Text, None) => render::no_timeline(&settings),
                (ListFormat::Json, status) => as_json(status.as_ref()),
            })
        }
        LedgerCommand::Rebuild { from, to, dry_run } => {
            let settings = if *dry_run { settings_to_read(cli)? } else { settings(cli)? };
            let range = LedgerRange { from: *from, to: *to };
            let progress = render::progress("quarter-hours");
            let report = block_on(app::ledger_rebuild(&settings, range, *dry_run, progress))?;
            match report {
                Some(report) => say(rebuilt(&report, *dry_run)),
                None => {
                    print(&render::no_timeline(&settings))?;
                    Ok(Exit::Nothing)
                }
            }
        }
    }
}

fn text(status: &LedgerStatus, settings: &Settings) -> String {
    let mut lines = vec![
        format!("ledger    {}", render::ledger_access(status.access)),
        format!("location  {}", settings.store_url),
    ];
    if let Some(span) = &status.span {
        lines.push(format!("from      {}", span.start.start()));
        lines.push(format!("to        {}", span.end.start()));
    }
    if let Some(size @ LedgerSize { rows, days, bytes, .. }) = &status.size {
        lines.push(format!("content   {}", content(size)));
        lines.push(format!("rows      {}", grouped(*rows)));
        if *days > 0 {
            lines.push(format!("days      {} rolled up from quarter-hours", grouped(*days)));
        }
        lines.extend(bytes.map(|bytes| format!("size      {bytes} bytes")));
    }
    lines.push(timeline(&status.timeline));
    lines.extend(status.counted_twice.as_ref().map(counted_twice));
    lines.extend(advice(status).map(|advice| format!("advice    {advice}")));
    lines.join("\n") + "\n"
}

/// From when to when the timeline has power, or why that is not known.
fn timeline(ends: &Result<Option<(Timestamp, Timestamp)>, Error>) -> String {
    match ends {
        Ok(Some((first, last))) => format!("timeline  power from {first} to {last}"),
        Ok(None) => "timeline  no power in it".to_owned(),
        Err(error) => {
            let (message, hint) = (error.to_string(), error.hint());
            format!("timeline  cannot be read: {}; {}", SafeText::new(&message), SafeText::new(&hint))
        }
    }
}

/// The warning of energy that was added more than once.
fn counted_twice(CountedTwice { series, example, quarters }: &CountedTwice) -> String {
    format!(
        "twice     {} between {} and {} (one is {}) of which more time was measured than there is: two collectors keep one ledger. \
         Let one of them read each board, then run `fleetwatt ledger rebuild`",
        counted(*series, "series", "series"),
        quarters.start.start(),
        quarters.end.start(),
        SafeText::new(example)
    )
}

/// As in `70 GPUs on 12 nodes, 1 station (4 flows)`.
fn content(size: &LedgerSize) -> String {
    let (gpus, nodes) = (size.series.saturating_sub(size.flows), size.nodes.saturating_sub(size.stations));
    let mut text = format!("{} on {}", counted(gpus, "GPU", "GPUs"), counted(nodes, "node", "nodes"));
    if size.flows > 0 {
        let stations = counted(size.stations, "station", "stations");
        text += &format!(", {stations} ({})", counted(size.flows, "flow", "flows"));
    }
    text
}

/// The remedy where a part of the timeline is in no ledger.
fn advice(status: &LedgerStatus) -> Option<&'static str> {
    if !status.access.is_readable() {
        return Some(render::NO_LEDGER_ADVICE);
    }
    let (first, last) = status.timeline.as_ref().ok().copied().flatten()?;
    if status.span.as_ref().is_none_or(|span| Quarter::at(first) < span.start) {
        return Some("the timeline begins earlier: `fleetwatt ledger rebuild` takes it in");
    }
    let ends_earlier = status.span.as_ref().is_some_and(|span| span.end < Quarter::at(last));
    ends_earlier.then_some(
        "the timeline goes on after the ledger: unless these are polls by hand, which no ledger counts, \
         `fleetwatt ledger rebuild` takes them in",
    )
}

fn as_json(status: Option<&LedgerStatus>) -> String {
    let Some(status) = status else { return document(&json!({ "schema": SCHEMA, "access": null })) };
    let size = status.size.as_ref();
    let timeline = status.timeline.as_ref().ok().copied().flatten();
    let time = |at: Timestamp| at.to_string();
    document(&json!({
        "schema": SCHEMA,
        "access": access_label(status.access),
        "from": status.span.as_ref().map(|span| time(span.start.start())),
        "to": status.span.as_ref().map(|span| time(span.end.start())),
        "series": size.map(|size| size.series),
        "flows": size.map(|size| size.flows),
        "nodes": size.map(|size| size.nodes),
        "stations": size.map(|size| size.stations),
        "rows": size.map(|size| size.rows),
        "rolled_up_days": size.map(|size| size.days),
        "bytes": size.and_then(|size| size.bytes),
        "counted_twice": status.counted_twice.as_ref().map(|twice| json!({
            "series": twice.series,
            "example": twice.example,
            "from": time(twice.quarters.start.start()),
            "to": time(twice.quarters.end.start()),
        })),
        "timeline_from": timeline.map(|(first, _)| time(first)),
        "timeline_to": timeline.map(|(_, last)| time(last)),
    }))
}

fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

const fn access_label(access: LedgerAccess) -> &'static str {
    match access {
        LedgerAccess::Missing => "missing",
        LedgerAccess::Forbidden => "forbidden",
        LedgerAccess::ReadOnly => "read_only",
        LedgerAccess::NotKept => "not_kept",
        LedgerAccess::ReadWrite => "read_write",
    }
}

/// The result of `ledger rebuild`, or of its dry run.
fn rebuilt(report: &RebuildReport, dry_run: bool) -> String {
    let Some(quarters) = &report.quarters else {
        return "nothing follows from the timeline there: the ledger stays as it is\n".to_owned();
    };
    let RebuildReport { kept, before, after, n_different, differences, .. } = report;
    let mut lines =
        vec![format!("from      {}", quarters.start.start()), format!("to        {}", quarters.end.start())];
    if let Some(why) = kept {
        lines.push(format!("kept      earlier quarter-hours stay as they are: {}", why_kept(*why)));
    }
    lines.push(format!("before    {}", total(before)));
    lines.push(format!("computed  {}", total(after)));
    if *n_different == 0 {
        lines.push("differ    none: the ledger is what follows from the timeline".to_owned());
    } else {
        let done = if dry_run { "; nothing was written, as this is a dry run" } else { ", now replaced" };
        lines.push(format!("differ    {}{done}", counted(*n_different, "row", "rows")));
    }
    lines.extend(differences.iter().map(difference));
    lines.join("\n") + "\n"
}

/// As in `41.20 kWh of GPUs and 63.10 kWh of stations' flows in 1,230 rows`.
fn total(LedgerTotals { rows, energy_mj, flows_mj }: &LedgerTotals) -> String {
    let flows = match flows_mj {
        0 => String::new(),
        energy => format!(" and {} kWh of stations' flows", kwh(*energy)),
    };
    format!("{} kWh of GPUs{flows} in {} rows", kwh(*energy_mj), grouped(*rows))
}

const fn why_kept(why: KeptQuarters) -> &'static str {
    match why {
        KeptQuarters::BeforeTimeline => "the timeline begins later",
        KeptQuarters::RolledUp => "they were rolled up to days",
    }
}

fn difference(one: &Difference) -> String {
    let (series, day) = (SafeText::new(&one.series), one.day.to_string());
    let day = day.split('T').next().unwrap_or_default();
    let rows = counted(one.rows, "row", "rows");
    format!("          {day}  {series}: {} kWh, was {} ({rows})", kwh(one.after_mj), kwh(one.before_mj))
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn kwh(millijoules: i64) -> String {
    energy_number(millijoules as f64 / 3.6e9)
}

fn grouped(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarter(number: i64) -> Quarter {
        Quarter::at(Timestamp::from_micros(1_767_225_600_000_000)).plus(number)
    }

    fn report() -> RebuildReport {
        RebuildReport {
            quarters: Some(quarter(0)..quarter(8)),
            kept: Some(KeptQuarters::BeforeTimeline),
            before: LedgerTotals { rows: 1_230, energy_mj: 3_600_000_000, flows_mj: 0 },
            after: LedgerTotals { rows: 1_234, energy_mj: 7_200_000_000, flows_mj: 5_400_000_000 },
            n_different: 4,
            differences: vec![Difference {
                series: "gpu:GPU-1\u{1b}".to_owned(),
                day: quarter(0).start(),
                before_mj: 0,
                after_mj: 3_600_000_000,
                rows: 4,
            }],
        }
    }

    #[test]
    fn a_rebuild_says_what_was_what_is_and_where_it_differs_most() {
        let expected = "\
from      2026-01-01T00:00:00.000000Z
to        2026-01-01T02:00:00.000000Z
kept      earlier quarter-hours stay as they are: the timeline begins later
before    1.00 kWh of GPUs in 1,230 rows
computed  2.00 kWh of GPUs and 1.50 kWh of stations' flows in 1,234 rows
differ    4 rows, now replaced
          2026-01-01  gpu:GPU-1: 1.00 kWh, was 0.00 (4 rows)
";
        assert_eq!(rebuilt(&report(), false), expected);
    }

    #[test]
    fn gpus_and_stations_are_counted_apart() {
        let size = LedgerSize { series: 74, flows: 4, nodes: 13, stations: 1, rows: 9, days: 0, bytes: None };
        assert_eq!(content(&size), "70 GPUs on 12 nodes, 1 station (4 flows)");
        let size = LedgerSize { series: 1, flows: 0, nodes: 1, stations: 0, ..size };
        assert_eq!(content(&size), "1 GPU on 1 node");
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_written() {
        assert!(rebuilt(&report(), true).contains("4 rows; nothing was written, as this is a dry run\n"));
    }

    #[test]
    fn a_ledger_that_is_right_is_said_to_be() {
        let report = RebuildReport { n_different: 0, differences: Vec::new(), kept: None, ..report() };
        assert!(
            rebuilt(&report, false)
                .ends_with("differ    none: the ledger is what follows from the timeline\n")
        );
    }

    #[test]
    fn energy_that_was_added_twice_is_told_with_its_remedy() {
        let twice = CountedTwice {
            series: 2,
            example: "gpu:GPU-1\u{1b}".to_owned(),
            quarters: quarter(1)..quarter(8),
        };
        let text = counted_twice(&twice);
        assert!(text.starts_with(
            "twice     2 series between 2026-01-01T00:15:00.000000Z and 2026-01-01T02:00:00.000000Z (one is gpu:GPU-1"
        ));
        assert!(text.ends_with("`fleetwatt ledger rebuild`") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_timeline_that_may_not_be_read_is_told_with_the_grant() {
        let grant = "GRANT SELECT ON \"t\" TO \"r\";".to_owned();
        let error = Error::Permission("read the timeline", vec![grant], None);
        let expected = "timeline  cannot be read: the database role lacks permission (read the timeline); \
                        let an owner of it run: GRANT SELECT ON \"t\" TO \"r\";";
        assert_eq!(timeline(&Err(error)), expected);
        assert_eq!(timeline(&Ok(None)), "timeline  no power in it");
    }

    #[test]
    fn a_timeline_that_goes_beyond_its_ledger_is_told_how_it_gets_in() {
        let status = |span| LedgerStatus {
            access: LedgerAccess::ReadWrite,
            size: None,
            span,
            counted_twice: None,
            timeline: Ok(Some((quarter(3).start(), quarter(9).start()))),
        };
        assert_eq!(advice(&status(Some(quarter(3)..quarter(9)))), None);
        assert!(advice(&status(Some(quarter(4)..quarter(9)))).unwrap().contains("ledger rebuild"));
        assert!(advice(&status(None)).unwrap().contains("ledger rebuild"));
        // A batch may be on its way to the quarter of the last reading.
        assert_eq!(advice(&status(Some(quarter(3)..quarter(9)))), None);
        assert!(advice(&status(Some(quarter(3)..quarter(8)))).unwrap().contains("goes on after the ledger"));
    }
}
