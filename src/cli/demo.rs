//! `demo`: a played fleet.

use std::time::Duration;

use super::args::DemoCommand;
use super::exit::Exit;
use super::{Failure, block_on, render, say};
use crate::app::{self, History, HistoryRequest};
use crate::cycle::Clock;
use crate::support::{counted, with_thousands};

pub(super) fn run(command: &DemoCommand) -> Result<Exit, Failure> {
    let DemoCommand::History { folder, days, interval, until, seed } = command;
    let request = HistoryRequest {
        folder: folder.clone(),
        days: *days,
        interval: *interval,
        until: until.unwrap_or_else(|| Clock.now()),
        seed: *seed,
    };
    say(text(&request, until.is_some(), &block_on(app::demo_history(&request, render::progress("cycles")))?))
}

/// `is_past`: whether the days ended at a time that was given, so that they are not the last ones.
fn text(request: &HistoryRequest, is_past: bool, history: &History) -> String {
    let inventory = for_a_shell(&history.inventory.display().to_string());
    let days = if is_past {
        let length = Duration::from_secs(u64::from(request.days) * 86_400);
        format!("--from {} --to {}", request.until.minus(length), request.until)
    } else {
        format!("--since {}d", request.days)
    };
    format!(
        "played {} of {} nodes with {} GPUs: {}, {} rows\n\
         now try: fleetwatt report --inventory {inventory} {days} --by node\n",
        counted(request.days, "day", "days"),
        history.hosts,
        history.gpus,
        counted(history.cycles, "cycle", "cycles"),
        with_thousands(&history.rows.to_string()),
    )
}

/// A path as a word of a shell.
fn for_a_shell(path: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@".contains(letter);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

    fn told(folder: &str, is_past: bool) -> String {
        let request = HistoryRequest {
            folder: folder.into(),
            days: 2,
            interval: Duration::from_secs(900),
            until: Timestamp::from_micros(1_767_225_600_000_000),
            seed: 1,
        };
        let history = History {
            inventory: format!("{folder}/fleet.toml").into(),
            hosts: 1,
            gpus: 1,
            cycles: 1,
            rows: 1,
        };
        text(&request, is_past, &history)
    }

    #[test]
    fn of_days_that_ended_before_the_report_is_of_them() {
        let range = "fleetwatt report --inventory d/fleet.toml --from 2025-12-30T00:00:00.000000Z \
                     --to 2026-01-01T00:00:00.000000Z --by node\n";
        assert!(told("d", true).ends_with(range), "{}", told("d", true));
        assert!(told("d", false).ends_with("d/fleet.toml --since 2d --by node\n"), "{}", told("d", false));
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert!(told("my days'", false).contains(r"--inventory 'my days'\''/fleet.toml' --since"));
    }
}
