//! The stations' energies by period and of a mean day, and their state of charge.

use std::collections::BTreeMap;
use std::ops::Range;

use super::calendar::{TimeSpan, Unit};
use super::data::Data;
use super::figures::{self, kwh};
use super::flows::{Split, Station};
use super::lane::QUARTER_MS;
use super::model::{SupplyBar, SupplyCharts};
use crate::reading::Quarter;

/// The most days whose quarter-hours are shown.
const MAX_DAYS_OF_QUARTERS: usize = 3;

/// The state of charge of a station in some quarters that lie within one local hour, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeSpan {
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

/// The mean power of each hour of the day in the quarters that were measured, and the mean charge.
fn mean_day(data: &Data, stations: &[Station], charge: &[ChargeSpan]) -> (Vec<SupplyBar>, Vec<Option<f64>>) {
    let hour_of =
        |quarter: usize| data.calendar.local().get(quarter).map(|local| usize::from(local.slot / 4));
    let mut hours = vec![(Split::default(), BTreeMap::<usize, u32>::new()); 24];
    for (at, station) in stations.iter().enumerate() {
        for (quarter, split) in &station.splits {
            if let Some((sum, counts)) = hour_of(*quarter).and_then(|hour| hours.get_mut(hour)) {
                *sum += *split;
                *counts.entry(at).or_default() += 1;
            }
        }
    }
    let mut charges = vec![(0.0, 0.0); 24];
    for one in charge.iter().filter(|one| data.calendar.range().contains(&one.from)) {
        let hour = hour_of(data.calendar.number(one.from));
        if let Some(sum) = hour.and_then(|hour| charges.get_mut(hour)) {
            *sum = (sum.0 + one.mean, sum.1 + 1.0);
        }
    }
    let of_hour =
        |hour: usize| data.calendar.quarters().filter(move |quarter| hour_of(*quarter) == Some(hour));
    let bars = hours.iter().enumerate().map(|(hour, (sum, counts))| {
        // All stations have the same weight: each has been measured about as often.
        let most = f64::from(counts.values().copied().max().unwrap_or(0));
        let mean = |energy: i64| if most > 0.0 { kwh(energy) * 4.0 / most } else { 0.0 };
        SupplyBar {
            from: data.calendar.moment(hour * 4),
            sun_kwh: mean(sum.sun_direct),
            battery_kwh: mean(sum.battery_out),
            grid_kwh: mean(sum.grid_direct),
            into_battery_kwh: mean(sum.battery_in),
            is_whole: most > 0.0,
            measured_share: measured_share(data, stations, of_hour(hour), sum),
        }
    });
    let mean = |(sum, count): &(f64, f64)| (*count > 0.0).then(|| sum / count);
    (bars.collect(), charges.iter().map(mean).collect())
}
