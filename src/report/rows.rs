//! The rows of a report, from the sums of their groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::data::Data;
use super::figures::{QUARTER_MS, amount, hours, kwh, quarter_kw, two_digits};
use super::groups::{Group, span_of, summed};
use super::loads::add_peaks;
use super::model::{ModelCount, Moment, Row};
use super::question::By;
use super::sums::Sums;
use crate::tariff::{EnergyCost, Money, Pue};

/// Between the two names of a group; neither has it.
const SEPARATOR: &str = " / ";

/// A row with the keys of its group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyedRow {
    pub(super) keys: (usize, usize),
    /// Its energy in millijoules.
    pub(super) energy_mj: i64,
    pub(super) row: Row,
}

/// The rows of groups on two axes, in their order: times by time, all others by energy, the second within the first.
pub(super) fn rows(data: &Data, axes: (&Axis, &Axis), total_mj: i64) -> Vec<KeyedRow> {
    let mut groups = summed(data, axes, |_| true);
    add_peaks(data, axes, &mut groups);
    let mut of_first = BTreeMap::<usize, i64>::new();
    groups.iter().for_each(|group| *of_first.entry(group.keys.0).or_default() += group.sums.energy_mj);
    let name = |axis: &Axis, key: usize| axis.names.get(key).cloned().unwrap_or_default();
    groups.sort_by_key(|group| {
        let (x, y) = group.keys;
        let first = rank(axes.0, x, of_first.get(&x).copied().unwrap_or(0), name(axes.0, x));
        (first, rank(axes.1, y, group.sums.energy_mj, name(axes.1, y)))
    });
    groups.iter().map(|group| keyed(data, axes, group, total_mj)).collect()
}

/// The order of a group: times by their place, the largest energy first elsewhere.
fn rank(axis: &Axis, key: usize, energy_mj: i64, name: String) -> (usize, Reverse<i64>, String) {
    if axis.is_time() {
        (key, Reverse(0), String::new())
    } else {
        (axis.is_rest(key).into(), Reverse(energy_mj), name)
    }
}

fn keyed(data: &Data, axes: (&Axis, &Axis), group: &Group, total_mj: i64) -> KeyedRow {
    let (x, y) = group.keys;
    let names = [(axes.0, x), (axes.1, y)].into_iter().filter(|(axis, _)| !axis.is_all());
    let names: Vec<&str> = names.filter_map(|(axis, key)| axis.names.get(key).map(String::as_str)).collect();
    let name = match names.as_slice() {
        [] => "total".to_owned(),
        [one] => (*one).to_owned(),
        // Whoever splits a name at the separator finds it once.
        more => more.iter().map(|name| name.replace(SEPARATOR, "/")).collect::<Vec<_>>().join(SEPARATOR),
    };
    let span = span_of(data, axes, group.keys);
    let span = (data.calendar.moment(span.start), data.calendar.moment(span.end));
    let row = row(data, name, span, &group.sums, total_mj);
    KeyedRow { keys: group.keys, energy_mj: group.sums.energy_mj, row }
}

/// The row of all.
pub(super) fn total(data: &Data) -> KeyedRow {
    let all = Axis::all();
    let mut groups = summed(data, (&all, &all), |_| true);
    add_peaks(data, (&all, &all), &mut groups);
    let none = || Group { keys: (0, 0), sums: Sums::default() };
    let group = groups.pop().unwrap_or_else(none);
    keyed(data, (&all, &all), &group, group.sums.energy_mj)
}

fn row(data: &Data, group: String, (from, to): (Moment, Moment), sums: &Sums, total_mj: i64) -> Row {
    let prices = &data.prices;
    let cost = match sums.costs.as_slice() {
        [cost] => Some(cost),
        _ => None,
    };
    let has_idle = sums.idle_mj.is_some();
    let is_counted = prices.has_carbon && (sums.energy_mj == 0 || sums.uncounted_mj != sums.energy_mj);
    let uncertainty = sums.expanded(&data.fleet.designs);
    Row {
        from,
        to,
        group,
        gpus: sums.n_boards,
        energy_kwh: kwh(sums.energy_mj),
        u_kwh: uncertainty.map(|u| two_digits(u.relative * kwh(sums.energy_mj).abs())),
        measured_share: sums.measured_share(),
        unmeasured_h: hours(sums.missing_ms),
        mean_w: sums.mean_w(),
        peak_w: (sums.n_boards == 1 && sums.covered_ms > 0).then(|| f64::from(sums.max_mw) / 1_000.0),
        peak_quarter_kw: sums.peak.map(|(_, energy)| quarter_kw(energy)),
        peak_quarter_at: sums.peak.map(|(quarter, _)| data.calendar.moment(quarter)),
        idle_kwh: sums.idle_mj.map(kwh),
        energy_cost: cost.map(|cost| site_cost(prices.pue, cost.cost)),
        currency: cost.map(|cost| prices.code(cost.currency)),
        idle_cost: cost.filter(|_| has_idle).map(|cost| site_cost(prices.pue, cost.idle)),
        co2_kg: is_counted.then(|| co2_kg(prices.pue, sums)),
        co2_g_per_kwh: intensity(sums),
        share: share(sums.energy_mj, total_mj),
        unpriced_kwh: (prices.has_tariffs && sums.unpriced_mj != 0).then(|| kwh(sums.unpriced_mj)),
        estimated_kwh: (sums.estimated_mj != 0).then(|| kwh(sums.estimated_mj)),
        u_calibration_share: uncertainty.map(|u| u.calibration),
        u_sampling_share: uncertainty.map(|u| u.sampling),
        filled_kwh: None,
        billed_kwh: None,
        models: Vec::new(),
        node: None,
        down_since: None,
    }
}

/// The cost of a site for the energy of its boards.
pub(super) fn site_cost(pue: Pue, cost: EnergyCost) -> f64 {
    amount(site_money(pue, cost))
}

/// The same as money, to be added up.
pub(super) fn site_money(pue: Pue, cost: EnergyCost) -> Money {
    cost.to_money().share(pue.millionths().into(), Pue::ONE.millionths().into())
}

#[allow(clippy::cast_precision_loss, reason = "2^53 mg are nine thousand tonnes")]
fn co2_kg(pue: Pue, sums: &Sums) -> f64 {
    let factor = pue.millionths() as f64 / Pue::ONE.millionths() as f64;
    sums.emission.milligrams() as f64 / 1_000_000.0 * factor
}

/// The mean intensity of the energy that has one, in grams for a kilowatt-hour.
#[allow(clippy::cast_precision_loss, reason = "2^53 mg are nine thousand tonnes")]
fn intensity(sums: &Sums) -> Option<f64> {
    let counted_mj = sums.energy_mj.saturating_sub(sums.uncounted_mj);
    (counted_mj > 0).then(|| sums.emission.milligrams() as f64 / 1_000.0 / kwh(counted_mj))
}

/// A part of all.
#[allow(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
pub(super) fn share(part_mj: i64, total_mj: i64) -> Option<f64> {
    (total_mj != 0).then(|| part_mj as f64 / total_mj as f64)
}

/// Adds the figures that only rows of nodes and boards have: their models, their node, and since when nothing was measured of them.
pub(super) fn add_identity(data: &Data, by: &By, axis: &Axis, rows: &mut [KeyedRow]) {
    let all = Axis::all();
    let groups = summed(data, (axis, &all), |_| true);
    let models: BTreeMap<usize, _> = groups.iter().map(|group| (group.keys.0, &group.sums.models)).collect();
    let down = down_since(data, axis);
    for KeyedRow { keys, row, .. } in rows.iter_mut().filter(|row| !axis.is_rest(row.keys.0)) {
        let models = models.get(&keys.0).map_or(&[][..], |models| models.as_slice());
        row.models = counted(data, models);
        row.down_since = down.get(&keys.0).map(|quarter| data.calendar.moment(*quarter));
        if *by == By::Gpu {
            let board = data.fleet.boards.get(axis.original(keys.0));
            let node = board.and_then(|board| data.fleet.nodes.get(board.node));
            row.node = node.map(|node| node.name.clone());
        }
    }
}

fn counted(data: &Data, models: &[(usize, usize)]) -> Vec<ModelCount> {
    let count = |(model, gpus): &(usize, usize)| {
        let model = data.fleet.models.get(*model).cloned().unwrap_or_default();
        ModelCount { model, gpus: *gpus }
    };
    let mut models: Vec<_> = models.iter().map(count).collect();
    models.sort_by_key(|count| (Reverse(count.gpus), count.model.clone()));
    models
}

/// The first quarter from which on nothing was measured of any board that a group has at the end. Where that is so of all nodes
/// of a fleet at once, nobody asked them, and none of them is down.
pub(super) fn down_since(data: &Data, axis: &Axis) -> BTreeMap<usize, usize> {
    let end = data.fleet.running;
    let mut since = BTreeMap::<usize, Option<usize>>::new();
    let mut nodes = BTreeSet::new();
    let mut last_measured = 0;
    for (number, part) in data.fleet.parts.iter().enumerate() {
        let is_there = part.presence.alive.last().is_some_and(|alive| alive.end == end);
        if !is_there || end == 0 {
            continue;
        }
        let whole = part.presence.missing.last().filter(|last| last.quarters.end == end);
        let from = whole.filter(|last| last.each_ms == QUARTER_MS).map(|last| last.quarters.start);
        let is_running = part.profile.covered_ms(end) > 0;
        let from = from.filter(|_| !is_running);
        nodes.insert(part.node);
        last_measured = last_measured.max(from.unwrap_or(end));
        let group = axis.line(number, 0).at(0);
        let known = since.entry(group).or_insert(from);
        // Of all its boards, the one that went last.
        *known = known.zip(from).map(|(one, other)| one.max(other));
    }
    let is_down = |from: &usize| nodes.len() == 1 || *from < last_measured;
    since.into_iter().filter_map(|(group, from)| Some((group, from.filter(is_down)?))).collect()
}
