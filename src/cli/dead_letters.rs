//! `store dead-letters`: rows that the database refused for what is in them.

use serde_json::json;

use super::args::{Cli, DeadLettersCommand, ListFormat};
use super::exit::Exit;
use super::{Failure, block_on, colour_stderr, print, render, say};
use crate::app::{self, Settings};
use crate::reading::{SafeText, Timestamp};
use crate::store::{DeadLetter, EventRow, RetryReport};
use crate::support::counted;

pub(super) fn run(cli: &Cli, settings: &Settings, command: &DeadLettersCommand) -> Result<Exit, Failure> {
    match command {
        DeadLettersCommand::List { format, limit } => {
            let letters = block_on(app::store_dead_letters(settings, *limit))?;
            say(match format {
                ListFormat::Text => {
                    let n_all = block_on(app::spool_status(settings))?.map_or(0, |spool| spool.dead_letters);
                    text(&letters, n_all)
                }
                ListFormat::Json => as_json(&letters),
            })
        }
        DeadLettersCommand::Retry { ids } => {
            let retried =
                block_on(app::store_retry(settings, Some(ids.as_slice()).filter(|ids| !ids.is_empty())))?;
            print(&message(&retried))?;
            if let Some(error) = &retried.stopped_by {
                render::eprint_error("", error, colour_stderr(cli.colour));
            }
            if let Some(receipt) = &retried.receipt {
                render::backlog(receipt, colour_stderr(cli.colour));
            }
            Ok(Exit::of_retry(&retried))
        }
        DeadLettersCommand::Discard { ids, all } => {
            let n_rows = block_on(app::store_discard(settings, if *all { None } else { Some(ids) }))?;
            say(format!("{} discarded\n", counted(n_rows, "row", "rows")))
        }
    }
}

fn text(letters: &[DeadLetter], n_all: u64) -> String {
    if letters.is_empty() {
        return "no row lies aside\n".to_owned();
    }
    let mut lines: String = letters.iter().map(line).collect();
    let n_more = n_all.saturating_sub(u64::try_from(letters.len()).unwrap_or(u64::MAX));
    if n_more > 0 {
        lines += &format!("and {n_more} more; --limit shows them\n");
    }
    lines
}

fn line(letter: &DeadLetter) -> String {
    let what = match &letter.row {
        Some(EventRow { event_type, source, value, created_at, .. }) => {
            let value = value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
            let (event_type, source) = (SafeText::new(event_type), SafeText::new(source));
            format!("{event_type} {source} {value} of {}", Timestamp::from_micros(*created_at))
        }
        None => "a row that cannot be read".to_owned(),
    };
    format!("{}  {what}: {}\n", letter.id, SafeText::new(&letter.error))
}

fn as_json(letters: &[DeadLetter]) -> String {
    let object = |letter: &DeadLetter| {
        let row = letter.row.as_ref();
        json!({
            "id": letter.id,
            "batch": SafeText::new(&letter.batch).as_str(),
            "event_type": row.map_or_else(String::new, |row| SafeText::new(&row.event_type).to_string()),
            "source": row.map_or_else(String::new, |row| SafeText::new(&row.source).to_string()),
            "value": row.and_then(|row| row.value),
            "measured_at": row.map(|row| Timestamp::from_micros(row.created_at).to_string()),
            "error": SafeText::new(&letter.error).as_str(),
            "aside_at": letter.refused_at.to_string(),
        })
    };
    format!("{:#}\n", serde_json::Value::Array(letters.iter().map(object).collect()))
}

fn message(retried: &RetryReport) -> String {
    let RetryReport { taken, refused, receipt, stopped_by } = retried;
    if stopped_by.is_some() && *taken == 0 {
        return "the rows lie aside as before\n".to_owned();
    }
    if *taken == 0 && *refused == 0 {
        return "no row lies aside\n".to_owned();
    }
    let place = match receipt {
        Some(receipt) if receipt.backlog.is_none() => "brought into the timeline",
        Some(_) => "waiting in the spool",
        None => "waiting in the spool, for the fleetwatt that runs to deliver",
    };
    let mut line = format!("{} {place}", counted(*taken, "row", "rows"));
    if *refused > 0 {
        line += &format!("; {refused} still refused, see `fleetwatt store dead-letters list`");
    }
    line + "\n"
}
