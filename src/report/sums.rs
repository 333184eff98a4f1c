//! The figures of groups, added up over the fleet.

use std::ops::{AddAssign, Range};

use super::axis::{Axis, Line};
use super::data::Data;
use super::figures::{mean_w, measured_share};
use super::fleet::Part;
use super::lane::{Cell, QUARTER_MS};
use super::prices::Slot;
use crate::ledger::{Calibration, Uncertainty};
use crate::reading::Energy;
use crate::tariff::{CarbonIntensity, Emission, EnergyCost};

/// The figures of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) energy_mj: i64,
    pub(super) covered_ms: i64,
    pub(super) missing_ms: i64,
    /// Energy of what was not measured at its board's mean, in millijoules.
    pub(super) filled_mj: f64,
    /// Energy of idle boards; `None` where no utilization is known.
    pub(super) idle_mj: Option<i64>,
    pub(super) max_mw: u32,
    pub(super) emission: Emission,
    /// Energy without a carbon intensity.
    pub(super) uncounted_mj: i64,
    /// Energy without a price.
    pub(super) unpriced_mj: i64,
    /// Energy of boards whose driver estimates it.
    pub(super) estimated_mj: i64,
    pub(super) costs: Vec<CostSum>,
    designs: Vec<DesignSum>,
    pub(super) n_boards: usize,
    last_board: Option<usize>,
    /// The energy and covered time of the last board.
    last: (i64, i64),
    /// The sum of the means of the boards before it, in watts.
    mean_w: f64,
    /// Boards by model.
    pub(super) models: Vec<(usize, usize)>,
    /// The highest quarter that was measured to 90 %.
    pub(super) peak: Option<(usize, i64)>,
}

/// The cost in a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CostSum {
    pub(super) currency: usize,
    pub(super) cost: EnergyCost,
    pub(super) idle: EnergyCost,
}

/// Energy of boards of one design.
#[derive(Debug, Clone, Copy, PartialEq)]
struct DesignSum {
    design: usize,
    energy_mj: i64,
    variance_mj2: f64,
}

/// A group with its keys on both axes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) keys: (usize, usize),
    pub(super) sums: Sums,
}

/// The load of a group in a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) energy_mj: i64,
    pub(super) covered_ms: u64,
    /// That of all boards that were expected.
    pub(super) expected_ms: u64,
}

impl Load {
    /// Whether so many percent of it were measured.
    pub(super) fn is_covered(&self, percent: u64) -> bool {
        self.expected_ms > 0 && self.covered_ms * 100 >= self.expected_ms * percent
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.energy_mj = self.energy_mj.saturating_add(other.energy_mj);
        self.covered_ms += other.covered_ms;
        self.expected_ms += other.expected_ms;
    }
}

impl Sums {
    fn see(&mut self, board: usize, model: usize) {
        if self.last_board == Some(board) {
            return;
        }
        self.last_board = Some(board);
        self.mean_w += mean_w(self.last.0, self.last.1).unwrap_or(0.0);
        self.last = (0, 0);
        self.n_boards += 1;
        match self.models.iter_mut().find(|(known, _)| *known == model) {
            Some((_, count)) => *count += 1,
            None => self.models.push((model, 1)),
        }
    }

    fn add(&mut self, cell: &Cell, slot: &Slot, carbon: Option<CarbonIntensity>, idle: Option<bool>) {
        let energy = Energy::from_millijoules(cell.energy_mj);
        self.energy_mj = self.energy_mj.saturating_add(cell.energy_mj);
        self.covered_ms += i64::from(cell.covered_ms);
        self.last.0 = self.last.0.saturating_add(cell.energy_mj);
        self.last.1 += i64::from(cell.covered_ms);
        self.max_mw = self.max_mw.max(cell.max_mw);
        let idle_mj = if idle == Some(true) { cell.energy_mj } else { 0 };
        if idle.is_some() {
            self.idle_mj = Some(self.idle_mj.unwrap_or(0).saturating_add(idle_mj));
        }
        match slot.price.ok().zip(slot.currency) {
            Some((price, currency)) => {
                let idle = EnergyCost::of(Energy::from_millijoules(idle_mj), price);
                self.add_cost(currency, EnergyCost::of(energy, price), idle);
            }
            None => self.unpriced_mj = self.unpriced_mj.saturating_add(cell.energy_mj),
        }
        match carbon {
            Some(intensity) => self.emission += Emission::of(energy, intensity),
            None => self.uncounted_mj = self.uncounted_mj.saturating_add(cell.energy_mj),
        }
    }

    fn add_design(&mut self, design: usize, cell: &Cell, is_estimate: bool) {
        let variance_mj2 = f64::from(cell.variance_mj2);
        if is_estimate {
            self.estimated_mj = self.estimated_mj.saturating_add(cell.energy_mj);
        }
        match self.designs.iter_mut().find(|sum| sum.design == design) {
            Some(sum) => {
                sum.energy_mj = sum.energy_mj.saturating_add(cell.energy_mj);
                sum.variance_mj2 += variance_mj2;
            }
            None => self.designs.push(DesignSum { design, energy_mj: cell.energy_mj, variance_mj2 }),
        }
    }

    fn add_cost(&mut self, currency: usize, cost: EnergyCost, idle: EnergyCost) {
        match self.costs.iter_mut().find(|sum| sum.currency == currency) {
            Some(sum) => {
                sum.cost += cost;
                sum.idle += idle;
            }
            None => self.costs.push(CostSum { currency, cost, idle }),
        }
    }

    /// The uncertainty of the energy; estimates have none.
    pub(super) fn uncertainty(&self, data: &Data) -> Uncertainty {
        let mut uncertainty = Uncertainty::default();
        for sum in &self.designs {
            let Some(design) = data.fleet.designs.get(sum.design) else { continue };
            if design.relative.is_some() {
                let calibration = Calibration { gain: 1.0, relative: design.relative };
                uncertainty.add(&design.name, sum.energy_mj, sum.variance_mj2, calibration);
            }
        }
        uncertainty
    }

    /// The sum of the means of its boards, in watts; `None` where nothing was measured.
    pub(super) fn mean_w(&self) -> Option<f64> {
        let last = mean_w(self.last.0, self.last.1).unwrap_or(0.0);
        (self.covered_ms > 0).then_some(self.mean_w + last)
    }

    /// The measured share of the time; `None` of no time.
    pub(super) fn measured_share(&self) -> Option<f64> {
        measured_share(self.covered_ms, self.missing_ms)
    }
}

/// Sums by two axes, in the order in which the groups are found.
pub(super) fn summed(data: &Data, axes: (&Axis, &Axis), is_in: impl Fn(&Part) -> bool) -> Vec<Group> {
    let mut groups = Groups::new(axes);
    let means = board_means(data);
    for (number, part) in data.fleet.parts.iter().enumerate().filter(|(_, part)| is_in(part)) {
        let table = data.prices.table_of(part.node);
        let line = (axes.0.line(number, table), axes.1.line(number, table));
        add_energy(data, part, table, line, &mut groups);
        add_missing(data, part, line, &mut groups, means.get(part.board).copied().unwrap_or(0.0));
    }
    groups.groups
}

fn add_energy(data: &Data, part: &Part, table: usize, line: (Line<'_>, Line<'_>), groups: &mut Groups) {
    let Some(board) = data.fleet.boards.get(part.board) else { return };
    let is_estimate = data.fleet.designs.get(board.design).is_some_and(|design| design.relative.is_none());
    let slots = data.prices.table(table);
    let mut add = |keys: (usize, usize), cell: &Cell, slot: &Slot, carbon: Option<CarbonIntensity>| {
        groups.update(keys, |sums| {
            sums.see(part.board, board.model);
            sums.add(cell, slot, carbon, data.is_idle(cell));
            sums.add_design(board.design, cell, is_estimate);
        });
    };
    for (quarter, cell) in part.lane.cells() {
        let slot = slots.get(quarter).unwrap_or(&Slot::NONE);
        add((line.0.at(quarter), line.1.at(quarter)), cell, slot, data.prices.carbon(quarter));
    }
    for day in &part.lane.days {
        let keys = (line.0.of_day(&day.quarters), line.1.of_day(&day.quarters));
        let slot = data.prices.slot_of_day(table, &day.quarters);
        add(keys, &day.cell, &slot, data.prices.carbon_of_day(&day.quarters));
    }
}

fn add_missing(data: &Data, part: &Part, line: (Line<'_>, Line<'_>), groups: &mut Groups, mean_mw: f64) {
    let model = data.fleet.boards.get(part.board).map_or(0, |board| board.model);
    let mut add = |keys: (usize, usize), missing_ms: i64| {
        groups.update(keys, |sums| {
            sums.see(part.board, model);
            sums.missing_ms = sums.missing_ms.saturating_add(missing_ms);
            sums.filled_mj += filled_mj(missing_ms, mean_mw);
        });
    };
    for missing in &part.presence.missing {
        for quarter in missing.quarters.clone() {
            add((line.0.at(quarter), line.1.at(quarter)), missing.each_ms.into());
        }
    }
    for (quarters, missing_ms) in &part.presence.missing_days {
        add((line.0.of_day(quarters), line.1.of_day(quarters)), *missing_ms);
    }
}

#[allow(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
fn filled_mj(missing_ms: i64, mean_mw: f64) -> f64 {
    missing_ms as f64 * mean_mw / 1_000.0
}

/// The mean of each board while it was measured, in milliwatts.
#[allow(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
fn board_means(data: &Data) -> Vec<f64> {
    let mut sums = vec![(0_i64, 0_i64); data.fleet.boards.len()];
    for part in &data.fleet.parts {
        if let Some(sum) = sums.get_mut(part.board) {
            let days = part.lane.days.iter().map(|day| &day.cell);
            for cell in part.lane.cells().map(|(_, cell)| cell).chain(days) {
                *sum = (sum.0.saturating_add(cell.energy_mj), sum.1 + i64::from(cell.covered_ms));
            }
        }
    }
    let mean = |(energy, covered): (i64, i64)| {
        if covered > 0 { energy as f64 / covered as f64 * 1_000.0 } else { 0.0 }
    };
    sums.into_iter().map(mean).collect()
}

/// Calls `visit` with the load of each group in each quarter in which any of its boards was expected, in order.
pub(super) fn each_load(
    data: &Data,
    axes: (&Axis, &Axis),
    mut visit: impl FnMut(usize, (usize, usize), Load),
) {
    let parts = data.fleet.parts.iter().enumerate().map(|(number, part)| {
        let table = data.prices.table_of(part.node);
        (part, axes.0.line(number, table), axes.1.line(number, table))
    });
    let parts: Vec<_> = parts.collect();
    let width = axes.1.names.len();
    let mut loads = vec![Load::default(); axes.0.names.len().saturating_mul(width)];
    let mut touched = Vec::new();
    for quarter in data.calendar.quarters() {
        for (part, x, y) in &parts {
            let Some(load) = load_of(part, quarter) else { continue };
            let place = x.at(quarter) * width + y.at(quarter);
            let Some(sum) = loads.get_mut(place) else { continue };
            if sum.expected_ms == 0 {
                touched.push(place);
            }
            *sum += load;
        }
        for place in touched.drain(..) {
            if let Some(load) = loads.get_mut(place) {
                visit(quarter, (place / width, place % width), std::mem::take(load));
            }
        }
    }
}

/// The load of a board on a node in a quarter; `None` where it was neither expected nor measured.
fn load_of(part: &Part, quarter: usize) -> Option<Load> {
    let cell = part.lane.cell(quarter).filter(|cell| cell.covered_ms > 0);
    let expected_ms = if part.presence.is_alive(quarter) { QUARTER_MS } else { 0 };
    let (energy_mj, covered_ms) = cell.map_or((0, 0), |cell| (cell.energy_mj, cell.covered_ms));
    // Of a board that moved within the quarter, each node expects what it measured.
    let expected_ms = expected_ms.max(covered_ms);
    let load = Load { energy_mj, covered_ms: covered_ms.into(), expected_ms: expected_ms.into() };
    (expected_ms > 0).then_some(load)
}

/// Adds the highest quarters that were measured to so many percent; the first of several.
pub(super) fn add_peaks(data: &Data, axes: (&Axis, &Axis), groups: &mut [Group], percent: u64) {
    let width = axes.1.names.len();
    let mut places = vec![None; axes.0.names.len().saturating_mul(width)];
    for (at, group) in groups.iter().enumerate() {
        if let Some(place) = places.get_mut(group.keys.0 * width + group.keys.1) {
            *place = Some(at);
        }
    }
    each_load(data, axes, |quarter, (x, y), load| {
        let group = places.get(x * width + y).copied().flatten().and_then(|at| groups.get_mut(at));
        if let Some(group) = group.filter(|_| load.is_covered(percent) && load.covered_ms > 0) {
            let is_higher = group.sums.peak.is_none_or(|(_, energy)| energy < load.energy_mj);
            if is_higher {
                group.sums.peak = Some((quarter, load.energy_mj));
            }
        }
    });
}

/// The groups that were found so far.
struct Groups {
    width: usize,
    /// The group of each pair of keys, plus one.
    places: Vec<u32>,
    groups: Vec<Group>,
}

impl Groups {
    fn new((x, y): (&Axis, &Axis)) -> Self {
        let width = y.names.len();
        Self { width, places: vec![0; x.names.len().saturating_mul(width)], groups: Vec::new() }
    }

    fn update(&mut self, keys: (usize, usize), change: impl FnOnce(&mut Sums)) {
        let Some(place) = self.places.get_mut(keys.0 * self.width + keys.1) else { return };
        if *place == 0 {
            self.groups.push(Group { keys, sums: Sums::default() });
            *place = u32::try_from(self.groups.len()).unwrap_or(0);
        }
        let at = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
        if let Some(group) = at.and_then(|at| self.groups.get_mut(at)) {
            change(&mut group.sums);
        }
    }
}

/// The quarters of a group: its span on either axis, both together where both are times; else all of the range.
pub(super) fn span_of(data: &Data, axes: (&Axis, &Axis), keys: (usize, usize)) -> Range<usize> {
    let all = data.calendar.quarters();
    let span = |axis: &Axis, key: usize| axis.spans.get(key).cloned().unwrap_or_else(|| all.clone());
    let (one, other) = (span(axes.0, keys.0), span(axes.1, keys.1));
    one.start.max(other.start)..one.end.min(other.end)
}
