//! Quarters on the local calendar: which day and time of day a quarter is, and which quarters a day or month has.
//!
//! A local day has 96 quarters, and 92 or 100 (or 94 or 98) where the clock is changed: all offsets are whole
//! quarter-hours, and clocks are changed between two of them. The last exception was St. John's, which changed its
//! clocks at 00:01 until 2011: there and then a quarter counts to the day in which it begins.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::reading::{Quarter, Timestamp};

/// A quarter as the local clock shows its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalQuarter {
    /// The local day.
    pub date: Date,
    /// The quarter of the day by the clock, from 0 (00:00) to 95 (23:45). It is missing or comes twice where the
    /// clock is changed.
    pub slot: u8,
}

impl LocalQuarter {
    /// The local time at which a quarter begins.
    pub fn new(quarter: Quarter, zone: &TimeZone) -> Self {
        let local = zone.to_datetime(instant(quarter));
        // Both are below 96 together: 23 hours and 59 minutes at most.
        let slot = local.hour().saturating_mul(4).saturating_add(local.minute() / 15);
        Self { date: local.date(), slot: slot.unsigned_abs() }
    }

    /// Its hour by the clock, from 0 to 23.
    pub const fn hour(self) -> u8 {
        self.slot / 4
    }

    /// Its minute of the hour by the clock: 0, 15, 30 or 45.
    pub const fn minute(self) -> u8 {
        self.slot % 4 * 15
    }
}

/// A month of the local calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    first: Date,
}

impl Month {
    /// The month of a day.
    pub fn of(date: Date) -> Self {
        Self { first: date.first_of_month() }
    }

    /// Its first day.
    pub const fn first_day(self) -> Date {
        self.first
    }

    /// Its days, in order.
    pub fn days(self) -> impl Iterator<Item = Date> {
        self.first.series(jiff::Span::new().days(1)).take_while(move |day| Self::of(*day) == self)
    }

    /// The month that follows, but for the end of time.
    #[must_use]
    pub fn next(self) -> Self {
        self.first.last_of_month().tomorrow().map_or(self, Self::of)
    }

    /// Its quarters, from its first local midnight to that of the next month.
    pub fn quarters(self, zone: &TimeZone) -> Range<Quarter> {
        midnight(self.first, zone)..midnight(self.next().first, zone)
    }
}

/// As in `2026-03`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

/// The quarters of a local day: 92 on the day on which an hour is left out, 100 on the one that has it twice.
pub fn day_quarters(date: Date, zone: &TimeZone) -> Range<Quarter> {
    midnight(date, zone)..date.tomorrow().map_or_else(|_| midnight(date, zone), |next| midnight(next, zone))
}

/// The first quarter of a local day. That is not always at 00:00, as some zones change their clocks at midnight.
fn midnight(date: Date, zone: &TimeZone) -> Quarter {
    let start = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible();
    let start = start.unwrap_or(if date.year() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX });
    Quarter::at(Timestamp::from_micros(start.as_microsecond()))
}

/// The beginning of a quarter; the ends of jiff's time for what is beyond.
fn instant(quarter: Quarter) -> jiff::Timestamp {
    let micros = quarter.start().micros();
    let end = if micros < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(micros).unwrap_or(end)
}

/// The beginning of a quarter by RFC 3339, in UTC.
pub(super) fn shown(quarter: Quarter) -> String {
    instant(quarter).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn n_quarters(zone_name: &str, day: Date) -> i64 {
        let quarters = day_quarters(day, &zone(zone_name));
        quarters.end.since(quarters.start)
    }

    #[test]
    fn a_day_has_as_many_quarters_as_its_clock_shows() {
        for (name, day, wanted) in [
            ("Europe/Berlin", date(2026, 3, 29), 92),
            ("Europe/Berlin", date(2026, 10, 25), 100),
            ("Europe/Berlin", date(2026, 7, 1), 96),
            ("America/St_Johns", date(2026, 3, 8), 92),
            ("America/St_Johns", date(2026, 11, 1), 100),
            ("Asia/Kathmandu", date(2026, 3, 29), 96),
            ("Australia/Lord_Howe", date(2026, 4, 5), 98),
            ("Australia/Lord_Howe", date(2026, 10, 4), 94),
            // The clock goes from 23:59:59 to 01:00.
            ("America/Havana", date(2026, 3, 8), 92),
            // A day that Samoa left out.
            ("Pacific/Apia", date(2011, 12, 30), 0),
        ] {
            assert_eq!(n_quarters(name, day), wanted, "{name} {day}");
        }
    }

    #[test]
    fn zones_of_half_and_quarter_hours_begin_their_days_at_a_quarter() {
        // Kathmandu is 5:45 before UTC: its day begins at 18:15. St. John's is 3:30 behind: at 03:30.
        for (name, wanted) in
            [("Asia/Kathmandu", "2026-01-14T18:15:00Z"), ("America/St_Johns", "2026-01-15T03:30:00Z")]
        {
            let first = day_quarters(date(2026, 1, 15), &zone(name)).start;
            assert_eq!(shown(first), wanted);
            assert_eq!(LocalQuarter::new(first, &zone(name)).slot, 0);
        }
    }

    #[test]
    fn the_hour_that_comes_twice_has_the_same_slots_twice() {
        let berlin = zone("Europe/Berlin");
        let day = day_quarters(date(2026, 10, 25), &berlin);
        let slots: Vec<u8> =
            day.start.until(day.end).map(|quarter| LocalQuarter::new(quarter, &berlin).slot).collect();
        assert_eq!(slots.get(8..17).unwrap(), [8, 9, 10, 11, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn a_month_begins_and_ends_at_local_midnights() {
        let march = Month::of(date(2026, 3, 29));
        let quarters = march.quarters(&zone("Europe/Berlin"));
        assert_eq!(shown(quarters.start), "2026-02-28T23:00:00Z");
        assert_eq!(shown(quarters.end), "2026-03-31T22:00:00Z");
        assert_eq!((march.to_string(), march.days().count()), ("2026-03".to_owned(), 31));
        assert_eq!(Month::of(date(2024, 2, 29)).days().count(), 29);
        assert_eq!(Month::of(date(9999, 12, 1)).next(), Month::of(date(9999, 12, 1)));
    }

    proptest! {
        #[test]
        fn every_quarter_of_a_local_day_has_its_date_and_no_other_has(
            offset in 0..6_000_i64,
            name in prop::sample::select(vec![
                "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana",
                "Africa/Casablanca", "America/Chicago", "Pacific/Apia",
            ]),
        ) {
            let zone = zone(name);
            let day = date(2012, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap();
            let quarters = day_quarters(day, &zone);
            for quarter in quarters.start.until(quarters.end) {
                let local = LocalQuarter::new(quarter, &zone);
                prop_assert_eq!(local.date, day);
                prop_assert!(local.slot < 96);
            }
            prop_assert!(LocalQuarter::new(quarters.start.plus(-1), &zone).date < day);
            prop_assert_eq!(quarters.end, day_quarters(day.tomorrow().unwrap(), &zone).start);
        }

        #[test]
        fn no_quarter_is_beyond_the_calendar(micros in any::<i64>()) {
            let quarter = Quarter::at(Timestamp::from_micros(micros));
            prop_assert!(LocalQuarter::new(quarter, &zone("Europe/Berlin")).slot < 96);
        }
    }
}
