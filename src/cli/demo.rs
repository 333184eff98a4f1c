//! `demo`: a played fleet.

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
    say(text(&request, &block_on(app::demo_history(&request, render::progress("cycles")))?))
}

fn text(request: &HistoryRequest, history: &History) -> String {
    let inventory = history.inventory.display();
    format!(
        "played {} of {} nodes with {} GPUs: {}, {} rows\n\
         now try: fleetwatt report --inventory {inventory} --since {}d --by node\n",
        counted(request.days, "day", "days"),
        history.hosts,
        history.gpus,
        counted(history.cycles, "cycle", "cycles"),
        with_thousands(&history.rows.to_string()),
        request.days,
    )
}
