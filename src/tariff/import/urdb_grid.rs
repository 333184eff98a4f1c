//! The schedules of a rate of the Utility Rate Database: a period for each hour of each month, on weekdays and weekends.

use std::collections::BTreeMap;

use super::ImportError;
use crate::tariff::window::{Days, Hours, Months, Window};

const WEEKDAYS: Days = Days::from_bits(0b001_1111);
const WEEKEND: Days = Days::from_bits(0b110_0000);

/// The months in which a period has the same hours, by those hours.
type MonthsByHours = BTreeMap<u32, u16>;

/// The periods of a year.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grid {
    weekday: Vec<Vec<usize>>,
    weekend: Vec<Vec<usize>>,
}

impl Grid {
    /// From schedules of twelve months with 24 hours each. Without any, all hours are of the first period.
    pub(super) fn new(
        weekday: Option<Vec<Vec<usize>>>,
        weekend: Option<Vec<Vec<usize>>>,
        n_periods: usize,
    ) -> Result<Self, ImportError> {
        let (weekday, weekend) = match (weekday, weekend) {
            (None, None) => (vec![vec![0; 24]; 12], vec![vec![0; 24]; 12]),
            (Some(weekday), Some(weekend)) => (weekday, weekend),
            (Some(_), None) | (None, Some(_)) => {
                return Err(ImportError::new("has the schedule of weekdays or of weekends alone", REPAIR));
            }
        };
        let is_year = |year: &[Vec<usize>]| year.len() == 12 && year.iter().all(|month| month.len() == 24);
        if !is_year(&weekday) || !is_year(&weekend) {
            return Err(ImportError::new("has a schedule that is not twelve months of 24 hours", REPAIR));
        }
        let grid = Self { weekday, weekend };
        if let Some(period) = grid.periods().find(|period| *period >= n_periods) {
            let message = format!("has period {period} in a schedule, of {n_periods}");
            return Err(ImportError::new(message, REPAIR));
        }
        Ok(grid)
    }

    /// The period of each hour of a week in each month.
    fn periods(&self) -> impl Iterator<Item = usize> {
        let weekdays = self.weekday.iter().flatten().flat_map(|period| [*period; 5]);
        weekdays.chain(self.weekend.iter().flatten().flat_map(|period| [*period; 2]))
    }

    /// Hours by period, for those that occur.
    pub(super) fn hours_by_period(&self) -> BTreeMap<usize, usize> {
        let mut hours = BTreeMap::new();
        self.periods().for_each(|period| *hours.entry(period).or_default() += 1);
        hours
    }

    /// The windows of a period, which do not overlap.
    pub(super) fn windows(&self, period: usize) -> Vec<Window> {
        let (mut weekday, mut weekend) =
            (months_by_hours(&self.weekday, period), months_by_hours(&self.weekend, period));
        let mut windows = Vec::new();
        for (hours, months) in &mut weekday {
            let Some(others) = weekend.get_mut(hours) else { continue };
            let both = *months & *others;
            *months &= !both;
            *others &= !both;
            windows.extend(window(Days::ALL, *hours, both));
        }
        windows.extend(weekday.into_iter().filter_map(|(hours, months)| window(WEEKDAYS, hours, months)));
        windows.extend(weekend.into_iter().filter_map(|(hours, months)| window(WEEKEND, hours, months)));
        windows
    }

    /// The period of an hour.
    #[cfg(test)]
    pub(super) fn at(&self, is_weekend: bool, month: usize, hour: usize) -> usize {
        if is_weekend { self.weekend[month][hour] } else { self.weekday[month][hour] }
    }
}

const REPAIR: &str = "give the JSON of one rate as it was downloaded, or mend its schedule";

fn months_by_hours(year: &[Vec<usize>], period: usize) -> MonthsByHours {
    let mut months = MonthsByHours::new();
    for (month, hours) in (0_u32..).zip(year) {
        let of_period = (0..).zip(hours).filter(|(_, own)| **own == period);
        let bits = of_period.fold(0_u32, |bits, (hour, _): (u32, _)| bits | 1 << hour);
        if bits != 0 {
            *months.entry(bits).or_default() |= 1_u16 << month;
        }
    }
    months
}

fn window(days: Days, hours: u32, months: u16) -> Option<Window> {
    let quarters =
        (0..24).filter(|hour| hours >> hour & 1 == 1).fold(0, |bits, hour| bits | 0xF << (hour * 4));
    (months != 0).then(|| Window {
        days,
        hours: Hours::from_bits(quarters),
        months: Months::from_bits(months),
    })
}
