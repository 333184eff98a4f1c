//! Energy and cost by hour, day, week or month, and mean power by hour of the week.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::calendar::Unit;
use super::costs::by_price;
use super::data::Data;
use super::figures::{QUARTER_MS, hours, kwh, measured_share, quarter_kw};
use super::groups::summed;
use super::loads::each_load;
use super::model::{PeriodBar, Periods, Week};
use super::prices::NO_PRICE;
use super::rows::site_cost;
use super::sums::Sums;
use crate::tariff::{EnergyCost, MARKET, SITE};

/// The days of a week, below which there is no heat map.
const WEEK: usize = 7;

/// The unit of the bars of a range of so many days.
const fn unit(n_days: usize) -> (Unit, &'static str) {
    match n_days {
        0..3 => (Unit::Hour, "hour"),
        3..=62 => (Unit::Day, "day"),
        63..=400 => (Unit::Week, "week"),
        _ => (Unit::Month, "month"),
    }
}

/// The spans of the bars of a report, and their unit in words.
pub(super) fn times(data: &Data) -> (Axis, &'static str) {
    let (unit, name) = unit(data.calendar.spans(Unit::Day).len());
    (Axis::times(data, unit), name)
}

/// The bars of a report.
pub(super) fn periods(data: &Data) -> Periods {
    let (times, name) = times(data);
    let (parts, keys) = parts(data);
    let mut of_bar = BTreeMap::<usize, Vec<(usize, Sums)>>::new();
    for group in summed(data, (&times, &parts), |_| true) {
        of_bar.entry(group.keys.0).or_default().push((group.keys.1, group.sums));
    }
    let bars = times.spans.iter().enumerate().map(|(key, span)| {
        let sums = of_bar.get(&key).map_or(&[][..], Vec::as_slice);
        bar(data, (span.start, span.end), sums, &keys)
    });
    let part_name =
        |key: &usize| if parts.is_all() { Some("energy".to_owned()) } else { parts.names.get(*key).cloned() };
    let bars = bars.collect();
    Periods { unit: name.to_owned(), parts: keys.iter().filter_map(part_name).collect(), bars }
}

/// The parts of bars with their keys, the lowest price first: bands, or one without tariffs.
fn parts(data: &Data) -> (Axis, Vec<usize>) {
    if !data.prices.has_tariffs {
        return (Axis::all(), vec![0]);
    }
    let (bands, groups) = by_price(data);
    (bands, groups.iter().map(|group| group.keys.0).collect())
}

fn bar(data: &Data, (start, end): (usize, usize), sums: &[(usize, Sums)], keys: &[usize]) -> PeriodBar {
    let part = |key: &usize| sums.iter().find(|(known, _)| known == key).map(|(_, sums)| sums);
    let cost = |sums: &Sums| sums.costs.first().map(|cost| site_cost(data.prices.pue, cost.cost));
    let total = |figure: fn(&Sums) -> i64| sums.iter().map(|(_, sums)| figure(sums)).sum::<i64>();
    let (covered, missing) = (total(|sums| sums.covered_ms), total(|sums| sums.missing_ms));
    let costs: Vec<_> = sums.iter().flat_map(|(_, sums)| &sums.costs).collect();
    let first = costs.first().map(|cost| cost.currency);
    let is_one = first.is_some() && costs.iter().all(|cost| Some(cost.currency) == first);
    let n_quarters = i64::try_from(end - start).unwrap_or(0);
    PeriodBar {
        from: data.calendar.moment(start),
        to: data.calendar.moment(end),
        hours: hours(n_quarters * i64::from(QUARTER_MS)),
        energy_kwh: kwh(total(|sums| sums.energy_mj)),
        parts_kwh: keys.iter().map(|key| part(key).map_or(0.0, |sums| kwh(sums.energy_mj))).collect(),
        parts_cost: keys.iter().map(|key| part(key).and_then(cost)).collect(),
        energy_cost: is_one
            .then(|| site_cost(data.prices.pue, costs.iter().map(|cost| cost.cost).sum::<EnergyCost>())),
        measured_share: measured_share(covered, missing),
    }
}

/// The heat map; `None` below seven days.
pub(super) fn week(data: &Data) -> Option<Week> {
    if data.calendar.spans(Unit::Day).len() < WEEK {
        return None;
    }
    let mut sums = vec![vec![(0_i64, 0_i64); 24]; WEEK];
    let all = Axis::all();
    each_load(data, (&all, &all), |quarter, _, load| {
        if load.covered_ms > 0 && load.is_covered() {
            add(data, &mut sums, quarter, load.energy_mj);
        }
    });
    let peak = Peak::new(data);
    let mean = |(energy, count): &(i64, i64)| (*count > 0).then(|| quarter_kw(energy / count));
    Some(Week {
        mean_kw: sums.iter().map(|hours| hours.iter().map(mean).collect()).collect(),
        is_peak: peak.hours,
        peak_band: peak.band,
        peak_site: peak.site,
    })
}

/// Adds to the hour of the week of a quarter.
fn add(data: &Data, sums: &mut [Vec<(i64, i64)>], quarter: usize, number: i64) {
    let Some(local) = data.calendar.local().get(quarter) else { return };
    let day = usize::try_from(local.date.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hour = usize::from(local.hour());
    if let Some(sum) = sums.get_mut(day).and_then(|hours| hours.get_mut(hour)) {
        *sum = (sum.0.saturating_add(number), sum.1 + 1);
    }
}

/// The hours of the dearest band of the site with most energy.
struct Peak {
    hours: Vec<Vec<bool>>,
    band: Option<String>,
    site: Option<String>,
}

impl Peak {
    fn new(data: &Data) -> Self {
        let none = Self { hours: vec![vec![false; 24]; WEEK], band: None, site: None };
        let Some((node, table)) = largest_site(data) else { return none };
        let slots = data.prices.table(table);
        let Some(band) = dearest_band(data, table) else { return none };
        let mut counts = vec![vec![(0_i64, 0_i64); 24]; WEEK];
        for (quarter, slot) in slots.iter().enumerate() {
            add(data, &mut counts, quarter, (slot.band == band).into());
        }
        // An hour belongs to the band if most of its quarters do.
        let is_peak = |(within, count): &(i64, i64)| within * 2 > *count;
        let sites = data.fleet.label_values(SITE);
        let site = data.fleet.nodes.get(node).and_then(|node| node.label(SITE));
        Self {
            hours: counts.iter().map(|hours| hours.iter().map(is_peak).collect()).collect(),
            band: data.prices.bands.get(band).map(|band| band.name.clone()),
            site: site.filter(|_| sites.len() > 1),
        }
    }
}

/// The table of prices with most energy, and the node with most energy of it.
fn largest_site(data: &Data) -> Option<(usize, usize)> {
    let (mut nodes, mut tables) = (BTreeMap::<usize, i64>::new(), BTreeMap::<usize, i64>::new());
    for part in &data.fleet.parts {
        let energy: i64 = part.profile.cells().map(|(_, cell)| cell.energy_mj).sum();
        *nodes.entry(part.node).or_default() += energy;
        *tables.entry(data.prices.table_of(part.node)).or_default() += energy;
    }
    let (table, _) = tables.into_iter().max_by_key(|(table, energy)| (*energy, std::cmp::Reverse(*table)))?;
    let of_table = nodes.into_iter().filter(|(node, _)| data.prices.table_of(*node) == table);
    let (node, _) = of_table.max_by_key(|(node, energy)| (*energy, std::cmp::Reverse(*node)))?;
    Some((node, table))
}

/// The band of a table with the highest mean price, of several that have one; prices of files have none.
fn dearest_band(data: &Data, table: usize) -> Option<usize> {
    let mut prices = BTreeMap::<usize, (i128, i128)>::new();
    for slot in data.prices.table(table) {
        let name = data.prices.bands.get(slot.band).map_or(NO_PRICE, |band| band.name.as_str());
        if let Some(price) = slot.price.ok().filter(|_| name != MARKET) {
            let sum = prices.entry(slot.band).or_default();
            *sum = (sum.0 + i128::from(price.micros()), sum.1 + 1);
        }
    }
    let mean = |(band, (sum, count)): (usize, (i128, i128))| (sum / count.max(1), band);
    let is_several = prices.len() > 1;
    prices.into_iter().map(mean).max().filter(|_| is_several).map(|(_, band)| band)
}
