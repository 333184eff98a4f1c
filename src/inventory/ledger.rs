//! The values of `[ledger]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::alerts::quantity;
use super::diagnostic::ValueError;
use super::section::Section;
use super::sections::Sections;
use crate::reading::Share;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KEEP_QUARTERS: RangeInclusive<Duration> = DAY..=Duration::from_secs(3_660 * 24 * 60 * 60);

/// The age from which quarter-hours are rolled up.
pub(super) fn keep_quarters(text: &str) -> Result<Duration, ValueError> {
    let hint = "write days, as \"62d\"";
    let age = humantime::parse_duration(text)
        .map_err(|_| ValueError::new("is not a duration", "not a duration", hint))?;
    if !KEEP_QUARTERS.contains(&age) {
        return Err(ValueError::new("is out of bounds", "from \"1d\" to \"10years\"", hint));
    }
    Ok(age)
}

/// The share of utilization below which a GPU is idle.
pub(super) fn idle_below(text: &str) -> Result<Share, ValueError> {
    let hint = "write percent of utilization, as \"5%\"";
    match quantity(text) {
        Some((thousandths @ 1..=100_000, "%")) => Ok(Share::from_millipercent(thousandths)),
        Some((_, "%")) => Err(ValueError::new("is out of bounds", "above \"0%\", at most \"100%\"", hint)),
        Some(_) | None => Err(ValueError::new("is not a share", "not in percent", hint)),
    }
}

/// Warns of a gap that is no longer than the time between two readings: nothing would be measured.
pub(super) fn check_max_gap(section: &mut Section<'_, '_>, sections: &Sections) {
    let interval = sections.cycle.settings.interval;
    if let Some(max_gap) = sections.energy.ledger.max_gap.filter(|max_gap| *max_gap <= interval)
        && let Some(location) = section.value_location("max_gap")
    {
        let [max_gap, interval] = [max_gap, interval].map(humantime::format_duration);
        let message = format!("the max_gap of {max_gap} is not above the interval of {interval}");
        let hint = "raise it to two intervals or more, or take it out: three intervals are the default";
        let error = ValueError::new(message, "no time would count as measured", hint);
        section.report(location, error.warning());
    }
}
