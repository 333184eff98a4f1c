//! The stations' energies by period and of a mean day, and their state of charge.

use std::collections::BTreeMap;
use std::ops::Range;

use super::calendar::{TimeSpan, Unit};
use super::data::Data;
use super::figures::{self, QUARTER_MS, kwh, quarter_kw};
use super::flows::{Split, Station};
use super::model::{SupplyBar, SupplyCharts};
use crate::reading::Quarter;
use crate::tariff::LocalQuarter;

/// The most days whose quarter-hours are shown.
const MAX_DAYS_OF_QUARTERS: usize = 3;

/// Hours of a day of the mean day.
const HOURS: usize = 24;

/// The state of charge of a station in some quarters that lie within one local hour, in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeSpan {
    /// The station, by a name that no other has.
    pub station: String,
    /// The first quarter.
    pub from: Quarter,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

/// The charts; `None` without a station.
pub(super) fn supply_charts(
    data: &Data,
    stations: &[Station],
    charge: &[ChargeSpan],
) -> Option<SupplyCharts> {
    if stations.is_empty() {
        return None;
    }
    let is_short = data.calendar.spans(Unit::Day).len() <= MAX_DAYS_OF_QUARTERS;
    let spans = data.calendar.spans(if is_short { Unit::Quarter } else { Unit::Day });
    let bars = spans.iter().map(|span| bar(data, stations, &span.quarters)).collect();
    let (mean_day, charge_by_hour) =
        if is_short { (Vec::new(), Vec::new()) } else { mean_day(data, stations, charge) };
    Some(SupplyCharts { bars, mean_day, charge: charge_of(data, &spans, charge), charge_by_hour })
}

fn bar(data: &Data, stations: &[Station], quarters: &Range<usize>) -> SupplyBar {
    let mut sum = Split::default();
    for station in stations {
        station.splits.range(quarters.clone()).for_each(|(_, split)| sum += *split);
    }
    let is_whole = |station: &Station| station.splits.range(quarters.clone()).count() == quarters.len();
    SupplyBar {
        from: data.calendar.moment(quarters.start),
        sun_kwh: kwh(sum.sun_direct),
        battery_kwh: kwh(sum.battery_out),
        grid_kwh: kwh(sum.grid_direct),
        into_battery_kwh: kwh(sum.battery_in),
        is_whole: stations.iter().all(is_whole),
        measured_share: measured_share(data, stations, quarters.clone(), &sum),
    }
}

/// The measured part of quarters, of those of which something was to be: from the first reading of a station to the present.
fn measured_share(
    data: &Data,
    stations: &[Station],
    quarters: impl Iterator<Item = usize>,
    sum: &Split,
) -> f64 {
    let is_expected =
        |quarter: &usize, station: &&Station| (station.first..data.fleet.running).contains(quarter);
    let expected = |quarter| stations.iter().filter(|station| is_expected(&quarter, station)).count();
    let n_expected = i64::try_from(quarters.map(expected).sum::<usize>()).unwrap_or(0);
    let missing_ms = n_expected.saturating_mul(QUARTER_MS.into()).saturating_sub(sum.covered_ms).max(0);
    figures::measured_share(sum.covered_ms, missing_ms).unwrap_or(0.0)
}

/// The lowest and highest charge in each span.
fn charge_of(data: &Data, spans: &[TimeSpan], charge: &[ChargeSpan]) -> Vec<Option<(f64, f64)>> {
    let mut of_span = vec![None; spans.len()];
    for one in charge.iter().filter(|one| data.calendar.range().contains(&one.from)) {
        let at = data.calendar.number(one.from);
        let span = spans.partition_point(|span| span.quarters.end <= at);
        if let Some(known) = of_span.get_mut(span) {
            let (least, most) = known.unwrap_or((one.min, one.max));
            *known = Some((one.min.min(least), one.max.max(most)));
        }
    }
    of_span
}

/// The mean power of each hour of the day in the quarters that were measured, and the mean charge: those of each station by
/// itself first, since one may have been measured more often than another.
fn mean_day(data: &Data, stations: &[Station], charge: &[ChargeSpan]) -> (Vec<SupplyBar>, Vec<Option<f64>>) {
    let mut means = vec![MeanHour::default(); HOURS];
    for station in stations {
        for (mean, splits) in means.iter_mut().zip(splits_by_hour(data, station)) {
            mean.add(&splits);
        }
    }
    let bars = means.iter().enumerate().map(|(hour, mean)| mean.bar(data, hour, stations));
    (bars.collect(), charge_by_hour(data, charge))
}

/// The hour of the local day of a quarter.
fn hour_of(data: &Data, quarter: usize) -> Option<usize> {
    data.calendar.local().get(quarter).map(|local| usize::from(local.hour()))
}

fn splits_by_hour(data: &Data, station: &Station) -> Vec<Vec<Split>> {
    let mut by_hour = vec![Vec::new(); HOURS];
    for (quarter, split) in &station.splits {
        if let Some(splits) = hour_of(data, *quarter).and_then(|hour| by_hour.get_mut(hour)) {
            splits.push(*split);
        }
    }
    by_hour
}

/// The mean powers of stations in an hour of the day, in kilowatts.
#[derive(Debug, Clone, Copy, Default)]
struct MeanHour {
    sun: f64,
    battery: f64,
    grid: f64,
    into_battery: f64,
    n_stations: usize,
    sum: Split,
}

impl MeanHour {
    /// Adds a station by its quarters.
    fn add(&mut self, splits: &[Split]) {
        let Ok(count @ 1..) = u32::try_from(splits.len()) else { return };
        let mut sum = Split::default();
        splits.iter().for_each(|split| sum += *split);
        let mean = |energy: i64| quarter_kw(energy) / f64::from(count);
        self.sun += mean(sum.sun_direct);
        self.battery += mean(sum.battery_out);
        self.grid += mean(sum.grid_direct);
        self.into_battery += mean(sum.battery_in);
        self.n_stations += 1;
        self.sum += sum;
    }

    fn bar(&self, data: &Data, hour: usize, stations: &[Station]) -> SupplyBar {
        let is_first = |local: &LocalQuarter| usize::from(local.hour()) == hour && local.minute() == 0;
        let first = data.calendar.local().iter().position(is_first);
        let of_hour = data.calendar.quarters().filter(|quarter| hour_of(data, *quarter) == Some(hour));
        SupplyBar {
            from: data.calendar.moment(first.unwrap_or(0)),
            sun_kwh: self.sun,
            battery_kwh: self.battery,
            grid_kwh: self.grid,
            into_battery_kwh: self.into_battery,
            is_whole: self.n_stations == stations.len(),
            measured_share: measured_share(data, stations, of_hour, &self.sum),
        }
    }
}

/// The mean charge by hour of the day: the mean of those of the stations that told one.
fn charge_by_hour(data: &Data, charge: &[ChargeSpan]) -> Vec<Option<f64>> {
    let mut by_hour = vec![BTreeMap::<&str, Mean>::new(); HOURS];
    for one in charge.iter().filter(|one| data.calendar.range().contains(&one.from)) {
        let hour = hour_of(data, data.calendar.number(one.from));
        if let Some(of_hour) = hour.and_then(|hour| by_hour.get_mut(hour)) {
            of_hour.entry(&one.station).or_default().add(one.mean);
        }
    }
    let mean = |stations: &BTreeMap<&str, Mean>| {
        let mut mean = Mean::default();
        stations.values().filter_map(Mean::value).for_each(|one| mean.add(one));
        mean.value()
    };
    by_hour.iter().map(mean).collect()
}

/// A mean of numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, number: f64) {
        self.sum += number;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}
