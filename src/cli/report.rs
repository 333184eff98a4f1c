//! `report`: energy, cost and coverage of a range.

use super::args::Cli;
use super::exit::Exit;
use super::report_args::{ReportArgs, ReportFormat};
use super::{Failure, block_on, colour_stdout, render, say, settings};
use crate::app::{self, NoEnergy, ReportOutcome};
use crate::output::report::{ReportTextOptions, csv, json, text};
use crate::output::{figures, page};
use crate::reading::SafeText;
use crate::report::Report;
use crate::support::state_file;

pub(super) fn run(cli: &Cli, args: &ReportArgs) -> Result<Exit, Failure> {
    let settings = settings(cli)?;
    let format = args.format().map_err(app::Error::Question)?;
    let outcome = block_on(app::report(&settings, &args.request(format), render::row_progress()))?;
    let report = match outcome {
        ReportOutcome::Report(report) => report,
        ReportOutcome::NoEnergy(none) => {
            render::eprint_line(&no_energy(&none));
            return Ok(Exit::Nothing);
        }
    };
    let document = document(cli, args, format, &report);
    match &args.output {
        None => say(document),
        Some(path) => {
            state_file::write_for_others(path, document.as_bytes()).map_err(app::Error::Output)?;
            Ok(Exit::Ok)
        }
    }
}

fn document(cli: &Cli, args: &ReportArgs, format: ReportFormat, report: &Report) -> String {
    match format {
        ReportFormat::Csv => csv(report),
        ReportFormat::Json => json(report),
        ReportFormat::Html => page(report),
        ReportFormat::Text => {
            let is_printed = args.output.is_none();
            let mut options = render::text_options(is_printed && colour_stdout(cli.colour));
            options.width = options.width.filter(|_| is_printed);
            text(report, &ReportTextOptions { text: options, has_bars: !args.no_bars })
        }
    }
}

/// A range without energy, and where there is some.
fn no_energy(none: &NoEnergy) -> String {
    let NoEnergy { from, to, timezone, location, ledger_from, timeline_from } = none;
    let mut text = format!("No energy is known of {}, {timezone}.\n", figures::period(from, to));
    text += &match ledger_from {
        // It has readings in the range, and no time between two of them that counts.
        Some(begin) if (&from.0..=&to.0).contains(&&begin.0) => format!(
            "The ledger begins on {} {}: energy counts from the third reading of a board on,\n\
             as the first two tell the interval",
            figures::date(begin),
            figures::clock(begin)
        ),
        Some(begin) => format!("The ledger begins on {}", figures::date(begin)),
        None => {
            format!("There is no ledger in `{}` yet: `fleetwatt poll` begins one", SafeText::new(location))
        }
    };
    text += &match timeline_from {
        Some(begin) if ledger_from.as_ref().is_none_or(|ledger| begin.0 < ledger.0) => format!(
            "; the timeline has readings from\n{} on: `fleetwatt ledger rebuild --from {begin}` would add them.",
            figures::date(begin)
        ),
        Some(_) | None => ".".to_owned(),
    };
    text.replace(figures::NBSP, " ")
}
