//! The arguments that are understood: one query, its format, which GPUs, and how often. Everything else is
//! refused, so that a changed command line is noticed and not half answered.

use std::time::Duration;

use super::driver::Driver;
use super::{EXIT_USAGE, Reply};

/// Whether the header line is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Shown,
    Hidden,
}

/// Whether values carry their unit; the header does in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    Shown,
    Hidden,
}

/// A call that can be answered.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) fields: Vec<String>,
    pub(super) header: Header,
    pub(super) units: Units,
    /// What `-i` named; empty for all.
    pub(super) ids: Vec<String>,
    /// From one pass to the next; `None` for one pass.
    pub(super) every: Option<Duration>,
}

impl Arguments {
    /// The question, or the answer that refuses it. The exit code is the real one; the words are only
    /// those of an unknown field, the others were not captured.
    pub(super) fn parse(args: &[String], driver: &Driver) -> Result<Self, Reply> {
        let (mut fields, mut format, mut ids, mut seconds, mut millis) = (None, None, None, None, None);
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let value = arg.split_once('=').map(|(_, value)| value);
            let (slot, value) = match arg.split('=').next() {
                Some("--query-gpu") => (&mut fields, value),
                Some("--format") => (&mut format, value),
                Some("--id") => (&mut ids, value),
                Some("--loop") => (&mut seconds, value),
                Some("--loop-ms") => (&mut millis, value),
                Some("-i") if value.is_none() => (&mut ids, rest.next().map(String::as_str)),
                Some("-l") if value.is_none() => (&mut seconds, rest.next().map(String::as_str)),
                Some("-lms") if value.is_none() => (&mut millis, rest.next().map(String::as_str)),
                _ => return Err(refused(format!("Option {arg} is not recognized."))),
            };
            let Some(value) = value else {
                return Err(refused(format!("Option {arg} needs a value.")));
            };
            if slot.replace(value).is_some() {
                return Err(refused(format!("Option {arg} is given twice.")));
            }
        }
        let Some(fields) = fields else {
            return Err(refused("Only --query-gpu is answered.".to_owned()));
        };
        let (header, units) = parse_format(format)?;
        let every = parse_loop(seconds, millis)?;
        // An empty element is skipped; a blank is part of the name, and so makes it unknown.
        let fields: Vec<_> = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
        match (fields.is_empty(), driver.is_at_least(535)) {
            (true, true) => return Err(Reply::said("\n\n".to_owned(), 0)),
            (true, false) => return Err(refused("No field was given.".to_owned())),
            (false, _) => {}
        }
        let ids = ids.unwrap_or_default().split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        Ok(Self { fields, header, units, ids, every })
    }
}

/// An interval of zero is refused, as by the real program.
fn parse_loop(seconds: Option<&str>, millis: Option<&str>) -> Result<Option<Duration>, Reply> {
    let interval = match (seconds, millis) {
        (None, None) => return Ok(None),
        (Some(seconds), None) => seconds.parse().ok().map(Duration::from_secs),
        (None, Some(millis)) => millis.parse().ok().map(Duration::from_millis),
        (Some(_), Some(_)) => None,
    };
    match interval.filter(|interval| !interval.is_zero()) {
        Some(interval) => Ok(Some(interval)),
        None => Err(refused("The loop interval is not valid.".to_owned())),
    }
}

fn parse_format(format: Option<&str>) -> Result<(Header, Units), Reply> {
    let Some(format) = format else {
        return Err(refused("--format is missing.".to_owned()));
    };
    let (mut header, mut units, mut is_csv) = (Header::Shown, Units::Shown, false);
    for modifier in format.split(',') {
        match modifier {
            "csv" => is_csv = true,
            "noheader" => header = Header::Hidden,
            "nounits" => units = Units::Hidden,
            _ => return Err(refused(format!("\"{modifier}\" is not a valid format."))),
        }
    }
    if is_csv { Ok((header, units)) } else { Err(refused("--format must contain csv.".to_owned())) }
}

fn refused(why: String) -> Reply {
    Reply::said(format!("{why} Please run 'nvidia-smi -h' for help.\n\n"), EXIT_USAGE)
}
