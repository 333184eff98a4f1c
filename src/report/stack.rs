//! Power over time, stacked by member.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use super::axis::Axis;
use super::data::Data;
use super::figures::{QUARTER_MS, kwh};
use super::groups::{Group, summed};
use super::loads::each_load;
use super::model::{PowerStack, StackMember};
use super::periods::times;
use super::question::{By, Stack};
use super::rows::share;
use crate::support::counted;
use crate::tariff::SITE;

/// The most members that stand alone.
const MAX_MEMBERS: usize = 7;

/// The most columns.
const MAX_COLUMNS: usize = 3_000;

/// The least share of the energy, in percent, that the members which stand alone have in a grouping that is chosen.
const LEAST_PERCENT: i64 = 60;

/// The chart of a stack.
pub(super) fn power_stack(data: &Data, stack: &Stack, total_mj: i64) -> PowerStack {
    let by = match stack {
        Stack::Auto => chosen(data, total_mj),
        Stack::By(by) => by.clone(),
    };
    let whole = Axis::new(&by, data);
    let sizes = sizes(data, &whole);
    let kept: Vec<usize> = sizes.iter().take(MAX_MEMBERS).map(|(_, _, key)| *key).collect();
    let n_more = sizes.len() - kept.len();
    let axis = whole.merged(&kept, rest_name(&by, n_more));
    let columns = Columns::new(data, &axis);
    let periods = periods(data, &axis);
    let energies: Vec<i64> = sizes.iter().map(|(Reverse(energy), ..)| *energy).collect();
    let rest: i64 = energies.iter().skip(MAX_MEMBERS).sum();
    let energies = energies.into_iter().take(MAX_MEMBERS).chain((n_more > 0).then_some(rest));
    let member = |(key, energy_mj): (usize, i64)| StackMember {
        name: axis.names.get(key).cloned().unwrap_or_default(),
        energy_kwh: kwh(energy_mj),
        share: share(energy_mj, total_mj).unwrap_or(0.0),
        is_rest: axis.is_rest(key),
        watts: columns.watts(key),
        periods_kwh: periods.get(key).cloned().unwrap_or_default(),
    };
    PowerStack {
        by: if by == By::site() { SITE.to_owned() } else { by.to_string() },
        members: energies.enumerate().map(member).collect(),
        quarters_per_column: columns.width,
        columns: columns.n_quarters.len(),
        measured: columns.measured(),
    }
}

/// The groups with their energies and names, the largest first.
fn sizes(data: &Data, axis: &Axis) -> Vec<(Reverse<i64>, String, usize)> {
    let all = Axis::all();
    let size = |group: Group| {
        let (key, name) = (group.keys.0, axis.names.get(group.keys.0).cloned().unwrap_or_default());
        (Reverse(group.sums.energy_mj), name, key)
    };
    let mut sizes: Vec<_> = summed(data, (axis, &all), |_| true).into_iter().map(size).collect();
    sizes.sort();
    sizes
}

/// The first grouping of several groups whose seven largest have most of the energy: nodes, then labels that all nodes
/// have, those with the most values first, models, and sites; else nodes.
fn chosen(data: &Data, total_mj: i64) -> By {
    let is_clear = |by: &By| {
        let sizes = sizes(data, &Axis::new(by, data));
        let largest: i64 = sizes.iter().take(MAX_MEMBERS).map(|(Reverse(energy), ..)| *energy).sum();
        sizes.len() > 1 && i128::from(largest) * 100 >= i128::from(total_mj) * i128::from(LEAST_PERCENT)
    };
    let labels = label_keys(data).into_iter().map(By::Label);
    let mut candidates = [By::Node].into_iter().chain(labels).chain([By::Model, By::site()]);
    candidates.find(is_clear).unwrap_or(By::Node)
}

/// The labels but `site` that all nodes have, those with the most values first.
fn label_keys(data: &Data) -> Vec<String> {
    let nodes: BTreeSet<usize> = data.fleet.parts.iter().map(|part| part.node).collect();
    let nodes: Vec<_> = nodes.into_iter().filter_map(|node| data.fleet.nodes.get(node)).collect();
    let keys = nodes.first().map(|node| node.labels.keys().cloned()).into_iter().flatten();
    let keys = keys.filter(|key| key != SITE && nodes.iter().all(|node| node.labels.contains_key(key)));
    let mut keys: Vec<_> = keys.map(|key| (Reverse(data.fleet.label_values(&key).len()), key)).collect();
    keys.sort();
    keys.into_iter().map(|(_, key)| key).collect()
}

fn rest_name(by: &By, n_more: usize) -> String {
    match by {
        By::Node => counted(n_more, "more node", "more nodes"),
        By::Model => counted(n_more, "more model", "more models"),
        By::Label(key) if key == SITE => counted(n_more, "more site", "more sites"),
        By::Gpu | By::Label(_) | By::Day | By::Hour | By::Quarter | By::Band | By::Month => {
            format!("{n_more} more")
        }
    }
}

/// The energy of each member in each of the report's bars; `None` where nothing of it was measured.
fn periods(data: &Data, axis: &Axis) -> Vec<Vec<Option<f64>>> {
    let (times, _) = times(data);
    let mut members = vec![vec![None; times.spans.len()]; axis.names.len()];
    for group in summed(data, (axis, &times), |_| true) {
        let (member, period) = group.keys;
        let energy = members.get_mut(member).and_then(|periods| periods.get_mut(period));
        if let Some(energy) = energy.filter(|_| group.sums.covered_ms > 0) {
            *energy = Some(kwh(group.sums.energy_mj));
        }
    }
    members
}

/// The sums of columns.
struct Columns {
    /// Quarters of a column.
    width: usize,
    /// The quarters that each column has.
    n_quarters: Vec<i64>,
    /// Energy and covered time by member and column.
    members: Vec<Vec<(i64, u64)>>,
    /// Covered and expected time by column.
    times: Vec<(u64, u64)>,
}

impl Columns {
    fn new(data: &Data, axis: &Axis) -> Self {
        let n_quarters = data.calendar.quarters().end;
        let width = n_quarters.div_ceil(MAX_COLUMNS).next_power_of_two();
        let n_columns = n_quarters.div_ceil(width);
        let length = |column: usize| width.min(n_quarters - column * width);
        let lengths = (0..n_columns).map(|column| i64::try_from(length(column)).unwrap_or(1)).collect();
        let mut columns = Self {
            width,
            n_quarters: lengths,
            members: vec![vec![(0, 0); n_columns]; axis.names.len()],
            times: vec![(0, 0); n_columns],
        };
        each_load(data, (axis, &Axis::all()), |quarter, (member, _), load| {
            columns.add(member, quarter, load.energy_mj, load.covered_ms, load.expected_ms);
        });
        for (number, part) in data.fleet.parts.iter().enumerate() {
            let member = axis.line(number, 0).at(0);
            for day in &part.profile.days {
                columns.add_day(member, day.quarters.clone(), day.cell.energy_mj, day.cell.covered_ms.into());
            }
        }
        columns
    }

    fn add(&mut self, member: usize, quarter: usize, energy_mj: i64, covered_ms: u64, expected_ms: u64) {
        let column = quarter / self.width;
        if let Some(sum) = self.members.get_mut(member).and_then(|columns| columns.get_mut(column)) {
            *sum = (sum.0.saturating_add(energy_mj), sum.1 + covered_ms);
        }
        if let Some(time) = self.times.get_mut(column) {
            *time = (time.0 + covered_ms, time.1 + expected_ms);
        }
    }

    /// Adds a rolled-up day, whose quarters all have its mean. They are expected already.
    fn add_day(&mut self, member: usize, quarters: Range<usize>, energy_mj: i64, covered_ms: u64) {
        let Ok(length) = i64::try_from(quarters.len().max(1)) else { return };
        for (at, quarter) in (0..).zip(quarters) {
            // The parts sum to the whole.
            let part = |whole: i64| whole * (at + 1) / length - whole * at / length;
            let covered = u64::try_from(part(i64::try_from(covered_ms).unwrap_or(0))).unwrap_or(0);
            self.add(member, quarter, part(energy_mj), covered, 0);
        }
    }

    /// The mean power of a member in each column, in whole watts.
    fn watts(&self, member: usize) -> Vec<Option<i64>> {
        let columns = self.members.get(member).map_or(&[][..], Vec::as_slice);
        let watts = |((energy_mj, covered_ms), n_quarters): (&(i64, u64), &i64)| {
            let time_ms = n_quarters.saturating_mul(QUARTER_MS.into()).max(1);
            (*covered_ms > 0).then(|| (energy_mj + time_ms / 2).div_euclid(time_ms))
        };
        columns.iter().zip(&self.n_quarters).map(watts).collect()
    }

    /// The measured part of each column; 1 where no board was expected.
    #[allow(clippy::cast_precision_loss, reason = "2^53 ms are 285,000 years")]
    fn measured(&self) -> Vec<f64> {
        let part = |(covered, expected): &(u64, u64)| match expected {
            0 => 1.0,
            _ => (*covered as f64 / *expected as f64).min(1.0),
        };
        self.times.iter().map(part).collect()
    }
}
