//! The arguments that are understood: one query, its format, which GPUs, and how often. Everything else is
//! refused, so that a changed command line is noticed and not half answered.

use std::time::Duration;

use super::driver::Driver;
use super::{EXIT_USAGE, Reply};

/// A call that can be answered.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) fields: Vec<String>,
    pub(super) has_header: bool,
    /// Whether values carry their unit; the header does in any case.
    pub(super) has_units: bool,
    /// The ids that `-i` named; empty for all.
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
                _ => return Err(refused(&format!("Option {arg} is not recognized."))),
            };
            let value = value.ok_or_else(|| refused(&format!("Option {arg} needs a value.")))?;
            if slot.replace(value).is_some() {
                return Err(refused(&format!("Option {arg} is given twice.")));
            }
        }
        let fields = fields.ok_or_else(|| refused("Only --query-gpu is answered."))?;
        let (has_header, has_units) = parse_format(format)?;
        let every = parse_loop(seconds, millis)?;
        // An empty element is skipped; a blank is part of the name, and so makes it unknown.
        let fields: Vec<_> = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
        if fields.is_empty() {
            let is_new = driver.is_at_least(535);
            return Err(if is_new { Reply::said("\n\n", 0) } else { refused("No field was given.") });
        }
        let ids = ids.unwrap_or_default().split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        Ok(Self { fields, has_header, has_units, ids, every })
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
    let interval = interval.filter(|interval| !interval.is_zero());
    interval.map(Some).ok_or_else(|| refused("The loop interval is not valid."))
}

/// Whether there are a header and units.
fn parse_format(format: Option<&str>) -> Result<(bool, bool), Reply> {
    let format: Vec<&str> = format.ok_or_else(|| refused("--format is missing."))?.split(',').collect();
    if let Some(unknown) = format.iter().find(|modifier| !["csv", "noheader", "nounits"].contains(modifier)) {
        return Err(refused(&format!("\"{unknown}\" is not a valid format.")));
    }
    if !format.contains(&"csv") {
        return Err(refused("--format must contain csv."));
    }
    Ok((!format.contains(&"noheader"), !format.contains(&"nounits")))
}

fn refused(why: &str) -> Reply {
    Reply::said(format!("{why} Please run 'nvidia-smi -h' for help.\n\n"), EXIT_USAGE)
}
