//! Times, lengths of time and periods in the words of a report.

use super::duration;
use crate::report::{Moment, Report};
use crate::support::counted;

/// Days above which a day of the year may come twice.
const MAX_DAYS_WITHOUT_YEARS: f64 = 360.0;

/// The time between two moments, in hours.
pub fn hours_between(from: &Moment, to: &Moment) -> f64 {
    from.0.duration_until(&to.0).as_secs_f64() / 3600.0
}

/// The length of a report: of whole days their number, the last of which may have begun just now; else its time.
pub fn length(report: &Report) -> String {
    length_between((&report.from, &report.to), report.now.as_ref(), report.scope.days)
}

fn length_between((from, to): (&Moment, &Moment), now: Option<&Moment>, n_days: usize) -> String {
    let is_day_that_began = now.is_some() && n_days > 1;
    if is_day_start(from) && (is_day_start(to) || is_day_that_began) {
        return counted(n_days, "day", "days");
    }
    duration(hours_between(from, now.unwrap_or(to))).to_string()
}

/// The name of a month that is written as `2026-11`: `November`, with its year in a report of several years.
pub fn month_of(month: &str, from: &Moment, to: &Moment) -> String {
    let form = if from.0.year() == to.0.year() { "%B" } else { "%B %Y" };
    let first = format!("{month}-01").parse::<jiff::civil::Date>();
    first.map_or_else(|_| month.to_owned(), |first| first.strftime(form).to_string())
}

/// A moment in a form of `strftime`.
fn shown(at: &Moment, form: &str) -> String {
    at.0.strftime(form).to_string()
}

/// The month by its first three letters: `Nov`.
pub fn month_name(at: &Moment) -> String {
    shown(at, "%b")
}

/// The day of the week by its first three letters: `Thu`.
pub fn weekday_name(at: &Moment) -> String {
    shown(at, "%a")
}

/// The time of day: `02:15`.
pub fn clock(at: &Moment) -> String {
    shown(at, "%H:%M")
}

/// A day in a table: `12 Nov`.
pub fn day(at: &Moment) -> String {
    shown(at, "%-d %b")
}

/// A day with its weekday: `Thu 12 Nov`.
pub fn weekday_day(at: &Moment) -> String {
    shown(at, "%a %-d %b")
}

/// A day in a sentence: `Wednesday 25 November`.
pub fn day_in_words(at: &Moment) -> String {
    shown(at, "%A %-d %B")
}

/// A day with its year: `28 October 2026`.
pub fn date(at: &Moment) -> String {
    shown(at, "%-d %B %Y")
}

/// A month with its year: `Nov 2026`.
pub fn month_year(at: &Moment) -> String {
    shown(at, "%b %Y")
}

/// A time: `12 Nov 02:15`.
pub fn time(at: &Moment) -> String {
    shown(at, "%-d %b %H:%M")
}

/// A time with its weekday: `Mon 2 Nov 20:30`.
pub fn weekday_time(at: &Moment) -> String {
    shown(at, "%a %-d %b %H:%M")
}

/// A time with its year: `12 Nov 2026 02:15`.
fn time_with_year(at: &Moment) -> String {
    shown(at, "%-d %b %Y %H:%M")
}

/// Whether a day of the year may come twice in a range.
fn has_years((from, to): (&Moment, &Moment)) -> bool {
    hours_between(from, to) / 24.0 > MAX_DAYS_WITHOUT_YEARS
}

/// A time within a range: `12 Nov 02:15`, with the year in one of about a year and more.
pub fn time_in(range: (&Moment, &Moment), at: &Moment) -> String {
    if has_years(range) { time_with_year(at) } else { time(at) }
}

/// Times within a range: `19 Nov 14:30–16:00`, `25 Nov 18:45 – 27 Nov 00:00`; with the years in a range of about a year and
/// more, and where they differ.
pub fn times_in(range: (&Moment, &Moment), from: &Moment, to: &Moment) -> String {
    let time = if has_years(range) || from.0.year() != to.0.year() { time_with_year } else { time };
    if from.0.date() == to.0.date() {
        format!("{}–{}", time(from), clock(to))
    } else {
        format!("{} – {}", time(from), time(to))
    }
}

/// Whether a moment is the beginning of a local day, in a zone whose clocks may begin it at one o'clock.
fn is_day_start(at: &Moment) -> bool {
    at.0.start_of_day().is_ok_and(|start| start == at.0)
}

/// The period of a report: `28 October – 26 November 2026` of whole days, `28 October – 26 November 2026, until 05:00` where
/// the last has only begun, with both times of day of others.
pub fn period(from: &Moment, to: &Moment) -> String {
    let is_same_day = from.0.date() == to.0.date();
    match (is_day_start(from) && from.0 < to.0, is_day_start(to)) {
        (true, true) => {
            let last = to.0.checked_sub(jiff::Span::new().hours(12)).map_or_else(|_| to.clone(), Moment);
            days_in_words(from, &last)
        }
        (true, false) if !is_same_day => format!("{}, until {}", days_in_words(from, to), clock(to)),
        _ if is_same_day => format!("{}, {}–{}", date(from), clock(from), clock(to)),
        _ => format!("{} {} – {} {}", date(from), clock(from), date(to), clock(to)),
    }
}

/// The days from one to another, with what they share said once: `1–30 November 2026`.
fn days_in_words(from: &Moment, last: &Moment) -> String {
    if from.0.date() == last.0.date() {
        date(from)
    } else if from.0.year() != last.0.year() {
        format!("{} – {}", date(from), date(last))
    } else if from.0.month() != last.0.month() {
        format!("{} – {}", shown(from, "%-d %B"), date(last))
    } else {
        format!("{}–{}", from.0.day(), date(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::figures::NBSP;

    fn at(text: &str) -> Moment {
        Moment(format!("{text}[America/Chicago]").parse().unwrap())
    }

    #[test]
    fn whole_days_are_counted_and_other_times_are_measured() {
        let of = |from: &str, to: &str, now: Option<&str>, days: usize| {
            length_between((&at(from), &at(to)), now.map(at).as_ref(), days).replace(NBSP, " ")
        };
        assert_eq!(of("2026-10-28T00:00", "2026-11-27T00:00", None, 30), "30 days");
        // A day of 25 hours.
        assert_eq!(of("2026-11-01T00:00", "2026-11-02T00:00", None, 1), "1 day");
        // 30 days up to now, of which the last has begun.
        assert_eq!(of("2026-10-29T00:00", "2026-11-27T09:15", Some("2026-11-27T09:07"), 30), "30 days");
        // 36 hours touch three days, and 23.5 hours over midnight two.
        assert_eq!(of("2026-11-25T21:00", "2026-11-27T09:00", Some("2026-11-27T09:00"), 3), "36.0 h");
        assert_eq!(of("2026-11-25T12:00", "2026-11-26T11:30", None, 2), "23.5 h");
        assert_eq!(of("2026-11-26T00:00", "2026-11-26T10:00", Some("2026-11-26T10:00"), 1), "10.0 h");
        assert_eq!(of("2026-11-25T00:00", "2026-11-26T12:00", None, 2), "36.0 h");
    }

    #[test]
    fn a_month_has_its_name_and_its_year_in_a_report_of_several() {
        assert_eq!(month_of("2026-11", &at("2026-10-28T00:00"), &at("2026-11-27T00:00")), "November");
        assert_eq!(month_of("2026-11", &at("2026-10-28T00:00"), &at("2027-01-27T00:00")), "November 2026");
    }

    #[test]
    fn times_name_a_day_once_and_a_year_where_it_is_needed() {
        let (from, to) = (at("2026-11-19T14:30"), at("2026-11-19T16:00"));
        let (start, end) = (at("2026-11-01T00:00"), at("2026-12-01T00:00"));
        let times = |from: &str, to: &str| times_in((&start, &end), &at(from), &at(to));
        assert_eq!(times("2026-11-19T14:30", "2026-11-19T16:00"), "19 Nov 14:30–16:00");
        assert_eq!(times("2026-11-25T18:45", "2026-11-27T00:00"), "25 Nov 18:45 – 27 Nov 00:00");
        assert_eq!(times("2026-12-31T18:45", "2027-01-01T00:00"), "31 Dec 2026 18:45 – 1 Jan 2027 00:00");
        assert_eq!(time_in((&start, &end), &from), "19 Nov 14:30");
        let year = (&at("2026-01-01T00:00"), &at("2027-01-01T00:00"));
        assert_eq!(times_in(year, &from, &to), "19 Nov 2026 14:30–16:00");
        assert_eq!(time_in(year, &from), "19 Nov 2026 14:30");
        assert_eq!(weekday_time(&from), "Thu 19 Nov 14:30");
        assert_eq!(day_in_words(&from), "Thursday 19 November");
        assert_eq!(month_year(&from), "Nov 2026");
        assert!((hours_between(&from, &to) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_period_of_whole_days_ends_with_its_last_day() {
        let of = |from: &str, to: &str| period(&at(from), &at(to));
        assert_eq!(of("2026-10-28T00:00", "2026-11-27T00:00"), "28 October – 26 November 2026");
        assert_eq!(of("2026-11-01T00:00", "2026-11-02T00:00"), "1 November 2026");
        assert_eq!(of("2026-11-01T00:00", "2026-12-01T00:00"), "1–30 November 2026");
        assert_eq!(of("2025-11-01T00:00", "2026-12-01T00:00"), "1 November 2025 – 30 November 2026");
    }

    #[test]
    fn a_period_of_hours_has_its_times() {
        let of = |from: &str, to: &str| period(&at(from), &at(to));
        assert_eq!(of("2026-11-27T14:30", "2026-11-27T15:30"), "27 November 2026, 14:30–15:30");
        assert_eq!(of("2026-11-27T00:00", "2026-11-27T05:00"), "27 November 2026, 00:00–05:00");
        assert_eq!(of("2026-10-28T00:00", "2026-11-27T05:00"), "28 October – 27 November 2026, until 05:00");
        assert_eq!(
            of("2026-10-28T09:12", "2026-11-27T09:12"),
            "28 October 2026 09:12 – 27 November 2026 09:12"
        );
    }
}
