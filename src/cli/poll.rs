//! `poll`: one cycle, and its readings in words, in a row a GPU or a group, or for other programs.

use std::io::IsTerminal as _;

use super::args::Cli;
use super::exit::Exit;
use super::poll_args::{Format, PollArgs};
use super::{Failure, block_on, colour_stderr, colour_stdout, print, render, settings, settings_to_read};
use crate::app::{self, Kept, PollRequest, Polled, Settings};
use crate::batch::Snapshot;
use crate::output;

pub(super) fn run(cli: &Cli, args: &PollArgs) -> Result<Exit, Failure> {
    if let Some(fault) = args.groups.fault(args.format) {
        render::eprint_plain_error(fault);
        return Ok(Exit::Usage);
    }
    let request = PollRequest {
        dry_run: args.dry_run,
        selection: args.select.selection(),
        changes_only: args.quiet,
        by_hand: std::io::stderr().is_terminal(),
        alerts: args.alerts,
    };
    let settings = if args.dry_run { settings_to_read(cli)? } else { settings(cli)? };
    args.groups.check_label(&settings.inventory)?;
    let polled = block_on(app::poll(&settings, &request, render::progress("hosts")))?;
    let mut printed = Ok(());
    if args.quiet {
        app::log_lines(&polled.changes);
    } else {
        printed = print(&readings(cli, args, &polled.snapshot));
    }
    tell_kept(cli, &settings, &polled, args.quiet);
    match printed {
        // That nobody reads the table takes nothing away from what became of the readings.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(Exit::of_poll(&polled)),
    }
}

/// The readings in the form that is asked for.
fn readings(cli: &Cli, args: &PollArgs, snapshot: &Snapshot) -> String {
    match args.format {
        Format::Json => output::json(snapshot),
        Format::Csv => output::csv(snapshot),
        Format::Text => {
            let options = render::text_options(colour_stdout(cli.colour));
            match args.groups.view() {
                Some(view) => output::text_by_group(snapshot, &view, &options),
                None => output::text(snapshot, &options),
            }
        }
    }
}

/// Says what became of the readings.
fn tell_kept(cli: &Cli, settings: &Settings, polled: &Polled, quiet: bool) {
    if !polled.is_judged && !matches!(polled.kept, Kept::DryRun) && !quiet {
        render::eprint_line(
            "alerts are not judged: the service of this timeline does that; --alerts judges them here too",
        );
    }
    match &polled.kept {
        Kept::DryRun => (),
        // What waits, and why, is among the changes.
        Kept::Durable(_) if quiet => (),
        Kept::Durable(receipt) => {
            if receipt.batches > 0 {
                render::eprint_line(&render::delivered(receipt, settings));
            }
            render::backlog(receipt, colour_stderr(cli.colour));
        }
        Kept::Lost(error) => render::eprint_error("nothing was kept: ", error, colour_stderr(cli.colour)),
    }
}
