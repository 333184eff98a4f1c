//! The time axis: places of moments, and ticks at local times.
//!
//! A place is elapsed time, so a day of 23 or 25 hours has its true width.

use jiff::ZonedDateTime;

use super::scale::{float, float_count};
use crate::output::figures;
use crate::report::Moment;

/// Days from which a week or a day of the axis can be looked at more closely.
pub(super) const MIN_DAYS_TO_ZOOM: f64 = 3.0;

/// Days from which Mondays alone are labelled: of fewer there would be one or two.
const MIN_DAYS_OF_MONDAYS: f64 = 15.0;

/// Days up to which they are; above, it is the first of each month.
const MAX_DAYS_OF_MONDAYS: f64 = 62.0;

/// The most days whose hours have ticks.
const MAX_DAYS_OF_HOURS: f64 = 32.0;

/// More labels than this do not fit a phone: every other one is left out there.
const MAX_LABELS_OF_A_PHONE: usize = 6;

/// The room that a letter of a label needs in per cent of the width: of the plot of power, of bars, and of a phone.
const LETTER_OF_POWER: f64 = 0.9;
const LETTER_OF_BARS: f64 = 1.7;
const LETTER_OF_A_PHONE: f64 = 2.4;

/// A range of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) from: &'a Moment,
    pub(super) to: &'a Moment,
}

/// The importance of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Always labelled.
    Major,
    /// Labelled when a part of the axis is looked at.
    Minor,
    /// Labelled when a day is looked at.
    Hour,
}

/// A tick of the time axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) percent: f64,
    pub(super) weight: Weight,
    /// The day of the week before the label, which a phone leaves out.
    pub(super) weekday: Option<String>,
    pub(super) label: String,
    /// Whether a phone leaves the label out.
    is_wide_only: bool,
    /// The room of a letter, in per cent.
    letter: f64,
}

impl Tick {
    /// The classes of its label.
    pub(super) fn class(&self) -> String {
        let weight = match self.weight {
            Weight::Major => "mj",
            Weight::Minor => "mn",
            Weight::Hour => "hr",
        };
        let wide = if self.is_wide_only { " w" } else { "" };
        // A label that would be cut at the edge stands left of its tick.
        let side = if self.percent + self.length() > 100.0 {
            " r"
        } else if self.percent + self.length_on_a_phone() > 100.0 {
            " q"
        } else {
            ""
        };
        format!("{weight}{wide}{side}")
    }

    fn length(&self) -> f64 {
        let n_letters = self.weekday.as_ref().map_or(0, |weekday| weekday.len() + 1) + self.label.len();
        float_count(n_letters) * self.letter
    }

    fn length_on_a_phone(&self) -> f64 {
        float_count(self.label.len()) * LETTER_OF_A_PHONE
    }

    /// Whether its label would touch that of an earlier tick.
    fn touches(&self, before: &Self, length: fn(&Self) -> f64) -> bool {
        let start =
            if self.percent + length(self) > 100.0 { self.percent - length(self) } else { self.percent };
        start < before.percent + length(before)
    }
}

impl Span<'_> {
    /// Its length.
    pub(super) fn hours(&self) -> f64 {
        figures::hours_between(self.from, self.to)
    }

    pub(super) fn days(&self) -> f64 {
        self.hours() / 24.0
    }

    /// A time in it, with the year where it is needed.
    pub(super) fn time(&self, at: &Moment) -> String {
        figures::time_in((self.from, self.to), at)
    }

    /// A range of times in it, with the years where they are needed.
    pub(super) fn times(&self, from: &Moment, to: &Moment) -> String {
        figures::times_in((self.from, self.to), from, to)
    }

    /// The place of a moment; what is outside is at the edge.
    pub(super) fn percent(&self, at: &Moment) -> f64 {
        let hours = self.hours();
        if hours > 0.0 {
            (figures::hours_between(self.from, at) / hours * 100.0).clamp(0.0, 100.0)
        } else {
            0.0
        }
    }

    /// The ticks: of a longer range those of its days, then those of its hours, either in the order of time.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        if self.days() < MIN_DAYS_TO_ZOOM {
            return thinned(self.ticks_of_hours());
        }
        let mut ticks: Vec<Tick> = self.midnights().iter().map(|at| self.tick_of_day(at)).collect();
        if self.days() <= MAX_DAYS_OF_HOURS {
            let hours = self.local_times(&[6 * 60, 12 * 60, 18 * 60]);
            ticks.extend(hours.iter().map(|at| self.tick(at, Weight::Hour, figures::clock(at))));
        }
        thinned(ticks)
    }

    fn tick(&self, at: &Moment, weight: Weight, label: String) -> Tick {
        Tick {
            percent: self.percent(at),
            weight,
            weekday: None,
            label,
            is_wide_only: false,
            letter: LETTER_OF_POWER,
        }
    }

    fn tick_of_day(&self, at: &Moment) -> Tick {
        let is_monday = at.0.weekday() == jiff::civil::Weekday::Monday;
        let days = self.days();
        if days > MAX_DAYS_OF_MONDAYS {
            return match (at.0.day(), at.0.month()) {
                (1, 1) => self.tick(at, Weight::Major, at.0.year().to_string()),
                (1, _) => self.tick(at, Weight::Major, figures::month_name(at)),
                _ => self.tick(at, Weight::Minor, figures::day(at)),
            };
        }
        let is_major = days < MIN_DAYS_OF_MONDAYS || is_monday;
        let weight = if is_major { Weight::Major } else { Weight::Minor };
        let weekday = Some(figures::weekday_name(at));
        Tick { weekday, ..self.tick(at, weight, figures::day(at)) }
    }

    /// The local midnights, the first one only if it is the beginning.
    fn midnights(&self) -> Vec<Moment> {
        let mut midnights = vec![];
        let mut day = self.from.0.start_of_day().ok();
        while let Some(at) = day.filter(|at| *at < self.to.0) {
            day = at.tomorrow().and_then(|next| next.start_of_day()).ok();
            if at >= self.from.0 {
                midnights.push(Moment(at));
            }
        }
        midnights
    }

    /// Times of day in minutes, on each day, within the range.
    fn local_times(&self, minutes: &[i64]) -> Vec<Moment> {
        let mut times = vec![];
        let mut day = self.from.0.start_of_day().ok();
        while let Some(midnight) = day.filter(|at| *at < self.to.0) {
            times.extend(minutes.iter().filter_map(|minute| time_of_day(&midnight, *minute)));
            day = midnight.tomorrow().and_then(|next| next.start_of_day()).ok();
        }
        times.retain(|at| at.0 >= self.from.0 && at.0 < self.to.0);
        times
    }

    fn ticks_of_hours(&self) -> Vec<Tick> {
        let step = match self.hours() {
            hours if hours <= 2.0 => 15,
            hours if hours <= 6.0 => 60,
            hours if hours <= 13.0 => 2 * 60,
            hours if hours <= 25.0 => 3 * 60,
            hours if hours <= 49.0 => 6 * 60,
            _ => 12 * 60,
        };
        let minutes: Vec<i64> = (0..24 * 60 / step).map(|idx| idx * step).collect();
        let label = |at: &Moment| {
            if (at.0.hour(), at.0.minute()) == (0, 0) { figures::day(at) } else { figures::clock(at) }
        };
        self.local_times(&minutes).iter().map(|at| self.tick(at, Weight::Major, label(at))).collect()
    }
}

/// A time of a day; `None` where the clocks skip it.
fn time_of_day(midnight: &ZonedDateTime, minute: i64) -> Option<Moment> {
    let (hour, rest) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let at = midnight.with().hour(hour).minute(rest).build().ok()?;
    ((at.hour(), at.minute()) == (hour, rest)).then_some(Moment(at))
}

/// Leaves out every other label where they would touch, the last one where it alone would, and on a phone every other one
/// of many.
fn thinned(mut ticks: Vec<Tick>) -> Vec<Tick> {
    let is_major = |tick: &&mut Tick| tick.weight == Weight::Major;
    if is_crowded(&ticks) {
        let every_other = ticks.iter_mut().filter(is_major).skip(1).step_by(2);
        every_other.for_each(|tick| tick.weight = Weight::Minor);
    }
    let mut majors = ticks.iter_mut().filter(is_major).rev();
    if let (Some(last), Some(before)) = (majors.next(), majors.next()) {
        last.weight = if last.touches(before, Tick::length) { Weight::Minor } else { Weight::Major };
    }
    if ticks.iter_mut().filter(is_major).count() > MAX_LABELS_OF_A_PHONE {
        let every_other = ticks.iter_mut().filter(is_major).skip(1).step_by(2);
        every_other.for_each(|tick| tick.is_wide_only = true);
    }
    let mut shown = ticks.iter_mut().filter(is_major).filter(|tick| !tick.is_wide_only).rev();
    if let (Some(last), Some(before)) = (shown.next(), shown.next()) {
        last.is_wide_only = last.touches(before, Tick::length_on_a_phone);
    }
    ticks
}

/// Whether labels, other than the last, would touch each other.
fn is_crowded(ticks: &[Tick]) -> bool {
    let majors: Vec<&Tick> = ticks.iter().filter(|tick| tick.weight == Weight::Major).collect();
    let pairs = majors.iter().zip(majors.iter().skip(1)).take(majors.len().saturating_sub(2));
    pairs.into_iter().any(|(before, tick)| tick.touches(before, Tick::length))
}

/// Labels of bars that are equally wide: the beginnings of each, and their unit.
pub(super) fn ticks_of_bars(beginnings: &[&Moment], unit: &str) -> Vec<Tick> {
    let n = beginnings.len();
    let width = 100.0 / float_count(n.max(1));
    let tick = |(idx, at): (usize, &&Moment)| {
        let label = label_of_bar(at, unit, n, idx)?;
        let percent = float_count(idx) * width;
        Some(Tick {
            percent,
            weight: Weight::Major,
            weekday: None,
            label,
            is_wide_only: false,
            letter: LETTER_OF_BARS,
        })
    };
    thinned(beginnings.iter().enumerate().filter_map(tick).collect())
}

/// Labels of the 24 hours of a day.
pub(super) fn ticks_of_a_day() -> Vec<Tick> {
    let tick = |hour: usize| Tick {
        percent: float_count(hour) / 24.0 * 100.0,
        weight: Weight::Major,
        weekday: None,
        label: hour_of_day(hour),
        is_wide_only: false,
        letter: LETTER_OF_BARS,
    };
    [0, 6, 12, 18].map(tick).to_vec()
}

/// An hour of the day: `06:00`.
pub(super) fn hour_of_day(hour: usize) -> String {
    format!("{hour:02}:00")
}

fn label_of_bar(at: &Moment, unit: &str, n: usize, idx: usize) -> Option<String> {
    let is_monday = at.0.weekday() == jiff::civil::Weekday::Monday;
    let is_first_of_month = idx > 0 && at.0.day() <= 7;
    let month = || if at.0.month() == 1 { at.0.year().to_string() } else { figures::month_name(at) };
    match unit {
        "hour" | "quarter" => {
            let n_hours = if unit == "hour" { n } else { n / 4 };
            let step = if n_hours <= 6 {
                1
            } else if n_hours <= 26 {
                6
            } else {
                12
            };
            let is_labelled = at.0.minute() == 0 && at.0.hour() % step == 0;
            let is_midnight = at.0.hour() == 0 && n_hours > 26;
            is_labelled.then(|| if is_midnight { figures::day(at) } else { figures::clock(at) })
        }
        "day" if float_count(n) > MAX_DAYS_OF_MONDAYS => (at.0.day() == 1).then(month),
        "day" => (is_monday || float_count(n) < MIN_DAYS_OF_MONDAYS).then(|| figures::day(at)),
        "week" => is_first_of_month.then(month),
        _ => (n <= 14 || at.0.month() == 1).then(month),
    }
}

/// The width of the axis in widths of its frame, where so many days fill one; at least 1.
pub(super) fn widening(span: &Span<'_>, days: i64) -> f64 {
    (span.days() / float(days)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        Moment(format!("{text}[America/Chicago]").parse().unwrap())
    }

    fn labels(from: &str, to: &str) -> Vec<String> {
        let (from, to) = (at(from), at(to));
        let ticks = Span { from: &from, to: &to }.ticks();
        ticks.into_iter().filter(|tick| tick.weight == Weight::Major).map(|tick| tick.label).collect()
    }

    #[test]
    fn a_month_is_labelled_on_its_mondays_and_a_year_on_its_months() {
        assert_eq!(labels("2026-10-28T00:00", "2026-11-27T00:00"), ["2 Nov", "9 Nov", "16 Nov", "23 Nov"]);
        assert_eq!(labels("2026-10-28T00:00", "2027-03-01T00:00"), ["Nov", "Dec", "2027", "Feb"]);
    }

    #[test]
    fn ten_days_are_labelled_each_and_as_bars_every_other() {
        assert_eq!(labels("2026-11-17T00:00", "2026-11-27T00:00").len(), 10);
        let days: Vec<Moment> = (17..27).map(|day| at(&format!("2026-11-{day}T00:00"))).collect();
        let ticks = ticks_of_bars(&days.iter().collect::<Vec<_>>(), "day");
        let shown = ticks.iter().filter(|tick| tick.weight == Weight::Major);
        let shown: Vec<&str> = shown.map(|tick| tick.label.as_str()).collect();
        assert_eq!(shown, ["17 Nov", "19 Nov", "21 Nov", "23 Nov", "25 Nov"]);
    }

    #[test]
    fn a_day_is_labelled_by_hours_and_an_hour_by_quarters() {
        assert_eq!(
            labels("2026-11-19T00:00", "2026-11-20T00:00"),
            ["19 Nov", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]
        );
        assert_eq!(labels("2026-11-19T14:30", "2026-11-19T15:30"), ["14:30", "14:45", "15:00", "15:15"]);
    }

    #[test]
    fn a_last_label_that_would_touch_the_one_before_is_left_out_on_a_phone() {
        let (from, to) = (at("2026-10-28T00:00"), at("2026-11-25T00:00"));
        let ticks = Span { from: &from, to: &to }.ticks();
        let wide_only: Vec<&str> =
            ticks.iter().filter(|tick| tick.is_wide_only).map(|tick| tick.label.as_str()).collect();
        assert_eq!(wide_only, ["23 Nov"]);
    }

    #[test]
    fn a_day_of_25_hours_is_wider_and_its_hours_stand_at_elapsed_time() {
        let (from, to) = (at("2026-11-01T00:00"), at("2026-11-04T00:00"));
        let span = Span { from: &from, to: &to };
        assert!((span.percent(&at("2026-11-02T00:00")) - 25.0 / 73.0 * 100.0).abs() < 1e-9);
        assert!((span.percent(&at("2026-11-01T06:00")) - 7.0 / 73.0 * 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_time_that_the_clocks_skip_has_no_tick() {
        let (from, to) = (at("2027-03-14T00:00"), at("2027-03-14T06:00"));
        let ticks = Span { from: &from, to: &to }.ticks();
        let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["14 Mar", "01:00", "03:00", "04:00", "05:00"]);
    }
}
