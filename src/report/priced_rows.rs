//! The rows of a report with their prices: each quarter and rolled-up day of a board.

use std::ops::Range;

use super::fleet::{Fleet, Part};
use super::load_profile::Cell;
use super::prices::{Prices, Slot};
use super::sums::Sums;
use crate::reading::Share;
use crate::tariff::CarbonIntensity;

/// The time of a figure.
#[derive(Debug, Clone)]
pub(super) enum When {
    Quarter(usize),
    /// A rolled-up day.
    Day(Range<usize>),
}

/// The boards of a report, whose rows are given with their prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct PricedRows<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) prices: &'a Prices,
    /// A GPU that is busy for less than this is idle.
    pub(super) idle_below: Share,
    /// The mean of each board, in milliwatts.
    pub(super) means_mw: &'a [f64],
}

impl PricedRows<'_> {
    /// Adds all of a board on a node to the groups that `group` hands out, by time and price.
    pub(super) fn add(&self, part: &Part, mut group: impl FnMut(When, &Slot, &mut dyn FnMut(&mut Sums))) {
        let Some(board) = self.fleet.boards.get(part.board) else { return };
        let design = self.fleet.designs.get(board.design);
        let is_estimate = design.is_some_and(|design| design.relative.is_none());
        let table = self.prices.table_of(part.node);
        let slots = self.prices.table(table);
        let mean_mw = self.means_mw.get(part.board).copied().unwrap_or(0.0);
        let add = |sums: &mut Sums, cell: &Cell, slot: &Slot, carbon: Option<CarbonIntensity>, idle| {
            sums.see(part.board, board.model);
            sums.add(cell, slot, carbon, idle);
            sums.add_design(board.design, cell.energy_mj, f64::from(cell.variance_mj2));
            if is_estimate {
                sums.estimated_mj = sums.estimated_mj.saturating_add(cell.energy_mj);
            }
        };
        let miss = |sums: &mut Sums, missing_ms: i64| {
            sums.see(part.board, board.model);
            sums.add_missing(missing_ms, mean_mw);
        };
        for (quarter, cell) in part.profile.cells() {
            let slot = slots.get(quarter).unwrap_or(&Slot::NONE);
            let carbon = self.prices.carbon(quarter);
            let idle = self.is_idle(cell);
            group(When::Quarter(quarter), slot, &mut |sums| add(sums, cell, slot, carbon, idle));
        }
        for day in &part.profile.days {
            let slot = self.prices.slot_of_day(table, &day.quarters);
            let carbon = self.prices.carbon_of_day(&day.quarters);
            let when = When::Day(day.quarters.clone());
            // A board is idle by quarter: of a day nobody knows.
            group(when, &slot, &mut |sums| add(sums, &day.cell, &slot, carbon, None));
        }
        for missing in &part.presence.missing {
            for quarter in missing.quarters.clone() {
                let slot = slots.get(quarter).unwrap_or(&Slot::NONE);
                group(When::Quarter(quarter), slot, &mut |sums| miss(sums, missing.each_ms.into()));
            }
        }
        for (quarters, missing_ms) in &part.presence.missing_days {
            let slot = self.prices.slot_of_day(table, quarters);
            group(When::Day(quarters.clone()), &slot, &mut |sums| miss(sums, *missing_ms));
        }
    }

    /// Whether a board was idle in the time of a cell, if that is known.
    fn is_idle(&self, cell: &Cell) -> Option<bool> {
        const WHOLE: i64 = 100_000;
        let busy = i64::from(cell.busy_ms()?) * WHOLE;
        Some(busy < self.idle_below.millipercent().saturating_mul(cell.covered_ms.into()))
    }
}

/// The mean of each board while it was measured, in milliwatts.
#[allow(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
pub(super) fn board_means(fleet: &Fleet) -> Vec<f64> {
    let mut sums = vec![(0_i64, 0_i64); fleet.boards.len()];
    for part in &fleet.parts {
        if let Some(sum) = sums.get_mut(part.board) {
            let days = part.profile.days.iter().map(|day| &day.cell);
            for cell in part.profile.cells().map(|(_, cell)| cell).chain(days) {
                *sum = (sum.0.saturating_add(cell.energy_mj), sum.1 + i64::from(cell.covered_ms));
            }
        }
    }
    let mean = |(energy, covered): (i64, i64)| {
        if covered > 0 { energy as f64 / covered as f64 * 1_000.0 } else { 0.0 }
    };
    sums.into_iter().map(mean).collect()
}
