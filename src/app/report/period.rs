//! The range of a report: from words of a call to quarters of the ledger.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use jiff::Span;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::reading::{Quarter, Timestamp};
use crate::support::error::Diagnose;
use crate::tariff::{MAX_QUARTERS, Month, day_quarters};

/// Seconds of a day that has no change of the clock.
const DAY: u64 = 86_400;

/// Quarters of a year.
const QUARTERS_PER_YEAR: i64 = 366 * 96;

/// A range as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Period {
    /// Up to now. Whole days are local days, today among them; any other duration ends with the present quarter-hour.
    Since(Duration),
    /// Two times; without the second one, up to now.
    Between(String, Option<String>),
    /// A month: `2026-11`, `last` or `this`.
    Month(String),
}

/// Why a range is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodFault {
    /// A text is no time.
    #[error("`{0}` is not a time")]
    Time(String),
    /// A local time that no clock shows, as it is set forward over it.
    #[error("`{0}` is no local time: the clock is set forward over it")]
    Skipped(String),
    /// A text is no month.
    #[error("`{0}` is not a month")]
    Month(String),
    /// A time is within a quarter-hour.
    #[error("`{0}` is not the beginning of a quarter-hour")]
    Unaligned(String),
    /// The range has no time in it.
    #[error("the range ends before it begins")]
    Empty,
    /// The range begins later than now.
    #[error("the range begins in the future")]
    Future,
    /// The duration is 0.
    #[error("the report is of no time at all")]
    NoTime,
    /// The range has more quarters than prices are resolved for.
    #[error("the report is of more than {} years", MAX_QUARTERS / QUARTERS_PER_YEAR)]
    TooLong,
}

impl Diagnose for PeriodFault {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Time(_) => {
                "write a date (2026-11-01), a local time (2026-11-01T14:30), or RFC 3339 with an offset (2026-11-01T14:30:00-05:00)"
            }
            Self::Skipped(_) => {
                "give the time after the change, or one with an offset (2026-03-08T08:30:00Z)"
            }
            Self::Month(_) => "write it as 2026-11, or `last` or `this`",
            Self::Unaligned(_) => "energies are kept by quarter-hour: end a time with :00, :15, :30 or :45",
            Self::Empty => {
                "give a --to that is later than --from; a date is its local midnight, so --to is the day after the last one"
            }
            Self::Future => "give a --from that is over",
            Self::NoTime => "give another --since, such as 30d",
            Self::TooLong => "ask for a shorter time, such as --since 30d, or for each year by itself",
        })
    }

    fn is_transient(&self) -> bool {
        false
    }
}

impl Period {
    /// Its quarters, up to the present one, which is the last that can have energy.
    ///
    /// # Errors
    /// A text cannot be read, or nothing is left.
    pub fn quarters(&self, now: Timestamp, zone: &TimeZone) -> Result<Range<Quarter>, PeriodFault> {
        let end_of_now = Quarter::at(now).next();
        let (from, to) = match self {
            Self::Since(duration) => (since(*duration, now, zone)?, end_of_now),
            Self::Between(from, None) => (quarter(from, zone)?, end_of_now),
            Self::Between(from, Some(to)) => (quarter(from, zone)?, quarter(to, zone)?),
            Self::Month(text) => {
                let quarters = month(text, now, zone)?.quarters(zone);
                (quarters.start, quarters.end)
            }
        };
        let is_open = matches!(self, Self::Between(_, None));
        if to <= from && !is_open {
            return Err(PeriodFault::Empty);
        }
        let range = from..to.min(end_of_now);
        if range.is_empty() {
            return Err(PeriodFault::Future);
        }
        let is_too_long = range.end.since(range.start) > MAX_QUARTERS;
        if is_too_long { Err(PeriodFault::TooLong) } else { Ok(range) }
    }
}

fn since(duration: Duration, now: Timestamp, zone: &TimeZone) -> Result<Quarter, PeriodFault> {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return Err(PeriodFault::NoTime);
    }
    let too_long = |_| PeriodFault::TooLong;
    if seconds.is_multiple_of(DAY) {
        let days_before = i64::try_from(seconds / DAY - 1).map_err(|_| PeriodFault::TooLong)?;
        let span = Span::new().try_days(days_before).map_err(too_long)?;
        return Ok(day_quarters(today(now, zone)?.checked_sub(span).map_err(too_long)?, zone).start);
    }
    let micros = i64::try_from(duration.as_micros()).map_err(|_| PeriodFault::TooLong)?;
    Ok(Quarter::at(Timestamp::from_micros(now.micros().saturating_sub(micros))))
}

fn today(now: Timestamp, zone: &TimeZone) -> Result<Date, PeriodFault> {
    let now = jiff::Timestamp::from_microsecond(now.micros()).map_err(|_| PeriodFault::Future)?;
    Ok(zone.to_datetime(now).date())
}

fn month(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Month, PeriodFault> {
    let this = Month::of(today(now, zone)?);
    match text {
        "this" => Ok(this),
        "last" => {
            let yesterday = this.first_day().yesterday().map_err(|_| PeriodFault::Month(text.to_owned()))?;
            Ok(Month::of(yesterday))
        }
        _ => {
            let has_form = text.len() == "2026-11".len();
            let first = format!("{text}-01").parse::<Date>().ok().filter(|_| has_form);
            first.map(Month::of).ok_or_else(|| PeriodFault::Month(text.to_owned()))
        }
    }
}

/// The quarter that begins at a time: by RFC 3339 with an offset, or by the clock of the zone.
fn quarter(text: &str, zone: &TimeZone) -> Result<Quarter, PeriodFault> {
    let fault = || PeriodFault::Time(text.to_owned());
    if let Ok(date) = text.parse::<Date>()
        && text.len() == "2026-11-01".len()
    {
        return Ok(day_quarters(date, zone).start);
    }
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(instant) => instant,
        Err(_) => {
            let local = text.parse::<DateTime>().map_err(|_| fault())?;
            let found = zone.to_ambiguous_timestamp(local);
            if matches!(found.offset(), AmbiguousOffset::Gap { .. }) {
                return Err(PeriodFault::Skipped(text.to_owned()));
            }
            found.compatible().map_err(|_| fault())?
        }
    };
    let instant = Timestamp::from_micros(instant.as_microsecond());
    let quarter = Quarter::at(instant);
    if quarter.start() == instant { Ok(quarter) } else { Err(PeriodFault::Unaligned(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    /// The range as UTC, of a call at 2026-11-26T20:07Z.
    fn range(period: &Period, zone_name: &str) -> Result<(String, String), PeriodFault> {
        let quarters = period.quarters(at("2026-11-26T20:07:00Z"), &zone(zone_name))?;
        let text = |quarter: Quarter| quarter.start().to_string().replace(":00.000000Z", "Z");
        Ok((text(quarters.start), text(quarters.end)))
    }

    fn since(text: &str) -> Period {
        Period::Since(humantime::parse_duration(text).unwrap())
    }

    fn between(from: &str, to: Option<&str>) -> Period {
        Period::Between(from.to_owned(), to.map(str::to_owned))
    }

    fn pair(from: &str, to: &str) -> Result<(String, String), PeriodFault> {
        Ok((from.to_owned(), to.to_owned()))
    }

    #[test]
    fn thirty_days_are_local_days_and_today_is_the_last() {
        // 28 October is before the change of the clock, so its midnight is 05:00 UTC; now is the last quarter.
        assert_eq!(range(&since("30d"), "America/Chicago"), pair("2026-10-28T05:00Z", "2026-11-26T20:15Z"));
        // In Kathmandu the 27th has begun.
        assert_eq!(range(&since("1d"), "Asia/Kathmandu"), pair("2026-11-26T18:15Z", "2026-11-26T20:15Z"));
    }

    #[test]
    fn hours_end_with_the_present_quarter() {
        assert_eq!(range(&since("90m"), "UTC"), pair("2026-11-26T18:30Z", "2026-11-26T20:15Z"));
    }

    #[test]
    fn dates_are_local_midnights_and_offsets_are_obeyed() {
        assert_eq!(
            range(&between("2026-11-01", Some("2026-11-02")), "America/St_Johns"),
            // A day of 25 hours.
            pair("2026-11-01T02:30Z", "2026-11-02T03:30Z")
        );
        assert_eq!(
            range(&between("2026-11-20T10:00", Some("2026-11-20T10:00:00-01:00")), "Asia/Kathmandu"),
            pair("2026-11-20T04:15Z", "2026-11-20T11:00Z")
        );
        assert_eq!(
            range(&between("2026-11-26 12:00", None), "UTC"),
            pair("2026-11-26T12:00Z", "2026-11-26T20:15Z")
        );
    }

    #[test]
    fn a_month_is_whole_but_for_the_one_that_runs() {
        let month = |text: &str| range(&Period::Month(text.to_owned()), "Europe/Berlin");
        assert_eq!(month("2026-10"), pair("2026-09-30T22:00Z", "2026-10-31T23:00Z"));
        assert_eq!(month("last"), month("2026-10"));
        assert_eq!(month("this"), pair("2026-10-31T23:00Z", "2026-11-26T20:15Z"));
    }

    #[test]
    fn a_time_that_the_clock_passes_over_is_no_time() {
        // In Chicago 02:00 is 03:00 on 8 March 2026; in UTC every time is one.
        let asked = between("2026-03-08T02:30", Some("2026-03-08T04:00"));
        let skipped = PeriodFault::Skipped("2026-03-08T02:30".to_owned());
        assert_eq!(range(&asked, "America/Chicago"), Err(skipped));
        assert_eq!(range(&asked, "UTC"), pair("2026-03-08T02:30Z", "2026-03-08T04:00Z"));
    }

    #[test]
    fn each_range_that_is_none_says_why() {
        let fault = |period: Period| range(&period, "UTC").unwrap_err();
        assert_eq!(fault(between("noon", None)), PeriodFault::Time("noon".to_owned()));
        assert_eq!(
            fault(between("2026-11-20T10:07", None)),
            PeriodFault::Unaligned("2026-11-20T10:07".to_owned())
        );
        assert_eq!(fault(between("2026-11-20", Some("2026-11-20"))), PeriodFault::Empty);
        assert_eq!(fault(between("2026-12-20", None)), PeriodFault::Future);
        assert_eq!(fault(between("2026-12-20", Some("2026-12-21"))), PeriodFault::Future);
        assert_eq!(fault(Period::Month("2026-13".to_owned())), PeriodFault::Month("2026-13".to_owned()));
        assert_eq!(fault(Period::Month("11".to_owned())), PeriodFault::Month("11".to_owned()));
        assert_eq!(fault(since("0s")), PeriodFault::NoTime);
    }

    #[test]
    fn a_range_of_any_form_is_of_eleven_years_at_most() {
        let fault = |period: Period| range(&period, "UTC").unwrap_err();
        let years = since("100000h1m");
        for period in [since("9000d"), since("99999999999d"), years, between("2015-01-01", None)] {
            assert_eq!(fault(period), PeriodFault::TooLong);
        }
        assert_eq!(fault(between("-009999-01-02T12:00Z", Some("2026-01-01"))), PeriodFault::TooLong);
        assert_eq!(PeriodFault::TooLong.to_string(), "the report is of more than 11 years");
        // 400,000 quarters and one more.
        let longest = |from: &str| between(from, Some("2026-11-26T00:00"));
        assert!(range(&longest("2015-06-30T08:00"), "UTC").is_ok());
        assert_eq!(fault(longest("2015-06-30T07:45")), PeriodFault::TooLong);
    }
}
