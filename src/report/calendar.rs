//! The range on the local calendar: its quarters by number, and its hours, days, weeks and months as spans of them.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::model::Moment;
use crate::reading::{Quarter, Timestamp};
use crate::tariff::LocalQuarter;

/// The calendar of a range.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    range: Range<Quarter>,
    zone: TimeZone,
    local: Vec<LocalQuarter>,
}

/// A length of time on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Quarter,
    Hour,
    Day,
    Week,
    Month,
}

/// A span of quarters with its name, as `2026-11-12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeSpan {
    pub(super) name: String,
    pub(super) quarters: Range<usize>,
}

impl Calendar {
    pub(super) fn new(range: Range<Quarter>, zone: TimeZone) -> Self {
        let local = range.start.until(range.end).map(|quarter| LocalQuarter::new(quarter, &zone)).collect();
        Self { range, zone, local }
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) const fn range(&self) -> &Range<Quarter> {
        &self.range
    }

    /// The quarters by number: all of the range.
    pub(super) fn quarters(&self) -> Range<usize> {
        0..self.local.len()
    }

    /// The quarters of the local calendar, in order.
    pub(super) fn local(&self) -> &[LocalQuarter] {
        &self.local
    }

    /// The quarter with a number.
    pub(super) fn quarter(&self, number: usize) -> Quarter {
        self.range.start.plus(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The number of a quarter, cut to the range; that of its end is one more than any.
    pub(super) fn number(&self, quarter: Quarter) -> usize {
        let number = usize::try_from(quarter.since(self.range.start)).unwrap_or(0);
        number.min(self.local.len())
    }

    /// The beginning of a quarter with a number.
    pub(super) fn moment(&self, number: usize) -> Moment {
        self.moment_at(self.quarter(number).start())
    }

    /// An instant in the zone.
    pub(super) fn moment_at(&self, instant: Timestamp) -> Moment {
        Moment::new(instant, &self.zone)
    }

    /// The hours, days, weeks or months of the range; the first and the last may be cut by it.
    pub(super) fn spans(&self, unit: Unit) -> Vec<TimeSpan> {
        let mut spans = Vec::<TimeSpan>::new();
        let mut start = 0;
        for part in self.local.chunk_by(|one, next| is_same(unit, *one, *next)) {
            let quarters = start..start + part.len();
            start = quarters.end;
            let name = part.first().map_or_else(String::new, |first| name(unit, *first));
            spans.push(TimeSpan { name, quarters });
        }
        self.tell_apart(&mut spans);
        spans
    }

    /// Adds the offset to times that come twice, where the clock is put back.
    fn tell_apart(&self, spans: &mut [TimeSpan]) {
        let mut counts = BTreeMap::<String, usize>::new();
        spans.iter().for_each(|span| *counts.entry(span.name.clone()).or_default() += 1);
        for span in spans {
            if counts.get(&span.name).is_some_and(|count| *count > 1) {
                let offset = self.moment(span.quarters.start).0.strftime("%:z").to_string();
                span.name = format!("{} {offset}", span.name);
            }
        }
    }
}

fn is_same(unit: Unit, one: LocalQuarter, next: LocalQuarter) -> bool {
    match unit {
        Unit::Quarter => false,
        Unit::Hour => one.date == next.date && one.hour() == next.hour() && one.slot < next.slot,
        Unit::Day => one.date == next.date,
        Unit::Week => monday(one.date) == monday(next.date),
        Unit::Month => one.date.first_of_month() == next.date.first_of_month(),
    }
}

fn monday(date: Date) -> Option<Date> {
    let days = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(jiff::Span::new().days(days)).ok()
}

fn name(unit: Unit, at: LocalQuarter) -> String {
    let date = at.date;
    match unit {
        Unit::Quarter => format!("{date} {:02}:{:02}", at.hour(), at.minute()),
        Unit::Hour => format!("{date} {:02}:00", at.hour()),
        Unit::Day => date.to_string(),
        Unit::Week => monday(date).unwrap_or(date).to_string(),
        Unit::Month => format!("{:04}-{:02}", date.year(), date.month()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calendar of some hours from an instant in UTC.
    fn calendar(from: &str, hours: i64, zone: &str) -> Calendar {
        let from: jiff::Timestamp = from.parse().unwrap();
        let start = Quarter::at(Timestamp::from_micros(from.as_microsecond()));
        Calendar::new(start..start.plus(4 * hours), TimeZone::get(zone).unwrap())
    }

    fn lengths(calendar: &Calendar, unit: Unit) -> Vec<(String, usize)> {
        calendar.spans(unit).into_iter().map(|span| (span.name, span.quarters.len())).collect()
    }

    #[test]
    fn the_day_on_which_the_clock_goes_back_has_25_hours_and_two_of_one_name_with_their_offsets() {
        let berlin = calendar("2026-10-24T22:00:00Z", 25, "Europe/Berlin");
        assert_eq!(lengths(&berlin, Unit::Day), [("2026-10-25".to_owned(), 100)]);
        let hours = lengths(&berlin, Unit::Hour);
        assert_eq!(hours.len(), 25);
        assert_eq!(hours[2], ("2026-10-25 02:00 +02:00".to_owned(), 4));
        assert_eq!(hours[3], ("2026-10-25 02:00 +01:00".to_owned(), 4));
        assert_eq!(hours[4], ("2026-10-25 03:00".to_owned(), 4));
    }

    #[test]
    fn the_day_on_which_the_clock_goes_forward_has_23_hours() {
        let berlin = calendar("2026-03-28T23:00:00Z", 23, "Europe/Berlin");
        assert_eq!(lengths(&berlin, Unit::Day), [("2026-03-29".to_owned(), 92)]);
        assert_eq!(lengths(&berlin, Unit::Hour)[2].0, "2026-03-29 03:00");
    }

    #[test]
    fn days_of_zones_off_by_quarter_and_half_hours_are_whole() {
        // 5:45 before UTC, and 3:30 behind it.
        for (from, zone) in
            [("2026-01-14T18:15:00Z", "Asia/Kathmandu"), ("2026-01-15T03:30:00Z", "America/St_Johns")]
        {
            let days = lengths(&calendar(from, 48, zone), Unit::Day);
            assert_eq!(days, [("2026-01-15".to_owned(), 96), ("2026-01-16".to_owned(), 96)], "{zone}");
        }
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_their_first() {
        // 2026-11-28 is a Saturday.
        let utc = calendar("2026-11-28T00:00:00Z", 24 * 4, "UTC");
        let weeks = lengths(&utc, Unit::Week);
        assert_eq!(weeks, [("2026-11-23".to_owned(), 192), ("2026-11-30".to_owned(), 192)]);
        let months = lengths(&utc, Unit::Month);
        assert_eq!(months, [("2026-11".to_owned(), 288), ("2026-12".to_owned(), 96)]);
    }
}
