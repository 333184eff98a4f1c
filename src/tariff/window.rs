//! When a band or a demand charge holds: days of the week, hours and months of the local calendar.

use std::fmt;

use super::calendar::LocalQuarter;
use super::invalid::Invalid;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Quarters of a day by the clock.
const SLOTS: u32 = 96;

const LONG_DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

const LONG_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Days of the week; bit 0 is Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days(u8);

/// Quarters of the day by the local clock; bit 0 is 00:00 to 00:15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hours(u128);

/// Months of the year; bit 0 is January.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Months(u16);

impl Days {
    /// Every day.
    pub const ALL: Self = Self((1 << 7) - 1);

    /// From the bits of the days.
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// From names and ranges joined by commas: `Mon-Fri`, `Sat,Sun`, `Fri-Mon`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint =
            "write days or ranges of them, as \"Mon-Fri\" or \"Sat,Sun\"; leave the key out for every day";
        let bits = named(text, &DAYS, &LONG_DAYS)
            .ok_or_else(|| Invalid::value(text, "not days of the week", hint))?;
        Ok(u8::try_from(bits).map_or(Self::ALL, Self))
    }
}

impl Months {
    /// Every month.
    pub const ALL: Self = Self((1 << 12) - 1);

    /// From the bits of the months.
    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// From names and ranges joined by commas: `Jun-Sep`, `Nov-Feb`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint = "write months or ranges of them, as \"Jun-Sep\" or \"Nov-Feb\"; leave the key out for the whole year";
        let bits =
            named(text, &MONTHS, &LONG_MONTHS).ok_or_else(|| Invalid::value(text, "not months", hint))?;
        Ok(u16::try_from(bits).map_or(Self::ALL, Self))
    }
}

impl Hours {
    /// The whole day.
    pub const ALL: Self = Self((1 << SLOTS) - 1);

    /// From the bits of the quarters.
    pub(super) const fn from_bits(bits: u128) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// From spans joined by commas, each with its end excluded; one that ends before it begins crosses midnight:
    /// `16:00-21:00`, `22:00-06:00`.
    ///
    /// # Errors
    /// Anything else, times between quarter-hours, and a span without length.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint = "write the first minute and the end, as \"16:00-21:00\" or \"22:00-06:00\"";
        let refused = |fault| Invalid::value(text, fault, hint);
        let mut bits = 0;
        for span in text.split(',') {
            let (from, to) = span.split_once('-').ok_or_else(|| refused("not a span of hours"))?;
            let (from, to) = (minutes(from.trim()), minutes(to.trim()));
            let (Some(from), Some(to)) = (from.filter(|from| *from < 24 * 60), to) else {
                return Err(refused("not times of the day"));
            };
            if from % 15 != 0 || to % 15 != 0 {
                return Err(refused("prices change at quarter-hours only"));
            }
            if from == to {
                return Err(refused("has no length"));
            }
            bits |= ring(from / 15, to / 15 % SLOTS, SLOTS);
        }
        Ok(Self(bits))
    }
}

/// When something holds. A quarter belongs to it by its own local day, month and time: `Mon-Fri` with `22:00-06:00` has
/// the first hours of Monday, and not those of Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The days of the week.
    pub days: Days,
    /// The times of the day.
    pub hours: Hours,
    /// The months.
    pub months: Months,
}

impl Window {
    /// Always.
    pub const ALWAYS: Self = Self { days: Days::ALL, hours: Hours::ALL, months: Months::ALL };

    /// Whether a quarter is within.
    pub fn contains(&self, local: LocalQuarter) -> bool {
        let day = local.date.weekday().to_monday_zero_offset().unsigned_abs();
        let month = local.date.month().unsigned_abs().saturating_sub(1);
        self.days.0 >> day & 1 == 1 && self.months.0 >> month & 1 == 1 && self.hours.0 >> local.slot & 1 == 1
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, self.0.into(), &DAYS)
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, self.0.into(), &MONTHS)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |slot: u32| format!("{:02}:{:02}", slot / 4, slot % 4 * 15);
        let spans = runs(self.0, SLOTS).into_iter().map(|(first, last)| {
            let end = if last + 1 == SLOTS { SLOTS } else { (last + 1) % SLOTS };
            format!("{}-{}", time(first), time(end))
        });
        f.write_str(&spans.collect::<Vec<_>>().join(","))
    }
}

fn write_names(f: &mut fmt::Formatter<'_>, bits: u128, names: &[&str]) -> fmt::Result {
    let name = |at: u32| usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
    let count = u32::try_from(names.len()).unwrap_or_default();
    let parts = runs(bits, count).into_iter().map(|(first, last)| match (last + count - first) % count {
        0 => name(first).to_owned(),
        1 => format!("{},{}", name(first), name(last)),
        _ => format!("{}-{}", name(first), name(last)),
    });
    f.write_str(&parts.collect::<Vec<_>>().join(","))
}

/// The runs of set bits on a ring of `count`, each with its first and last; one may go over the end.
fn runs(bits: u128, count: u32) -> Vec<(u32, u32)> {
    let has = |at: u32| bits >> (at % count) & 1 == 1;
    if (0..count).all(has) {
        return vec![(0, count.saturating_sub(1))];
    }
    let first = (0..count).filter(|at| has(*at) && !has(at + count - 1));
    first
        .map(|at| (at, (at..at + count).take_while(|next| has(*next)).last().unwrap_or(at) % count))
        .collect()
}

/// The bits from `first` to `end`, which is excluded, on a ring of `count`.
fn ring(first: u32, end: u32, count: u32) -> u128 {
    let length = (end + count - first - 1) % count + 1;
    (first..first + length).fold(0, |bits, at| bits | 1 << (at % count))
}

/// Names, and ranges of them that may go over the end.
fn named(text: &str, names: &[&str], long: &[&str]) -> Option<u128> {
    let count = u32::try_from(names.len()).ok()?;
    let find = |name: &str| {
        let name = name.trim();
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        let at = names.iter().position(is).or_else(|| long.iter().position(is))?;
        u32::try_from(at).ok()
    };
    text.split(',').try_fold(0, |bits, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(bits | ring(find(first)?, (find(last)? + 1) % count, count))
    })
}

/// A time of the day in minutes, `24:00` included.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, most: u32| {
        let is_short = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|number| is_short && *number <= most)
    };
    let (hour, minute) = (number(hour, 24)?, number(minute, 59).filter(|_| minute.len() == 2)?);
    Some(hour * 60 + minute).filter(|minutes| *minutes <= 24 * 60)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_and_months_are_names_ranges_and_rings() {
        assert_eq!(Days::parse("Mon-Fri"), Ok(Days(0b001_1111)));
        assert_eq!(Days::parse("sat, Sunday"), Ok(Days(0b110_0000)));
        assert_eq!(Days::parse("Fri-Mon"), Ok(Days(0b111_0001)));
        assert_eq!(Days::parse("Mon-Sun"), Ok(Days::ALL));
        assert_eq!(Months::parse("Nov-Feb"), Ok(Months(0b1100_0000_0011)));
        for bad in ["", "Mo", "Mon-", "Mon-Fri-Sat", "Mon,", "weekdays", "0"] {
            let error = Days::parse(bad).unwrap_err();
            assert!(error.hint.contains("Mon-Fri") && error.message.contains(bad), "{bad}");
            assert!(Months::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hours_exclude_their_end_and_may_cross_midnight() {
        let slots = |text: &str| {
            let Hours(bits) = Hours::parse(text).unwrap();
            (0..96).filter(|at| bits >> at & 1 == 1).collect::<Vec<_>>()
        };
        assert_eq!(slots("16:00-17:00"), [64, 65, 66, 67]);
        assert_eq!(slots("23:45-00:15"), [0, 95]);
        assert_eq!(slots("23:30-24:00"), [94, 95]);
        assert_eq!(slots("6:00-6:15, 07:00-07:15"), [24, 28]);
        assert_eq!(Hours::parse("00:00-24:00"), Ok(Hours::ALL));
    }

    #[test]
    fn hours_that_are_none_are_refused_with_an_example() {
        for (bad, fault) in [
            ("", "not a span of hours"),
            ("16:00", "not a span of hours"),
            ("16-21", "not times of the day"),
            ("24:00-06:00", "not times of the day"),
            ("16:00-24:15", "not times of the day"),
            ("16:00-21:60", "not times of the day"),
            ("16:0-21:00", "not times of the day"),
            ("16:10-21:00", "prices change at quarter-hours only"),
            ("16:00-21:10", "prices change at quarter-hours only"),
            ("16:00-16:00", "has no length"),
        ] {
            let error = Hours::parse(bad).unwrap_err();
            assert_eq!(error.message, format!("is \"{bad}\": {fault}"));
            assert!(error.hint.contains("22:00-06:00"));
        }
    }

    #[test]
    fn a_window_has_the_quarters_of_its_own_days() {
        let night = Window {
            days: Days::parse("Mon-Fri").unwrap(),
            hours: Hours::parse("22:00-06:00").unwrap(),
            months: Months::ALL,
        };
        // 2026-11-30 is a Monday, 2026-12-05 a Saturday.
        let at = |day, slot| {
            night.contains(LocalQuarter { date: date(2026, 11, 30).checked_add(day).unwrap(), slot })
        };
        let days = |days: i64| jiff::Span::new().days(days);
        assert_eq!([at(days(0), 0), at(days(0), 23), at(days(0), 24)], [true, true, false]);
        assert_eq!([at(days(4), 87), at(days(4), 88), at(days(5), 0)], [false, true, false]);
    }

    proptest! {
        #[test]
        fn windows_survive_printing_and_reading(days in 1..128_u8, months in 1..4096_u16, hours in any::<u128>()) {
            let (days, months, hours) = (Days::from_bits(days), Months::from_bits(months), Hours::from_bits(hours));
            prop_assert_eq!(Days::parse(&days.to_string()), Ok(days));
            prop_assert_eq!(Months::parse(&months.to_string()), Ok(months));
            prop_assume!(hours.0 != 0);
            prop_assert_eq!(Hours::parse(&hours.to_string()), Ok(hours));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "[A-Za-z0-9:, -]{0,20}") {
            let parsed = (Days::parse(&text).is_ok(), Months::parse(&text).is_ok(), Hours::parse(&text).is_ok());
            prop_assert!(parsed != (true, true, true));
        }
    }
}
