//! The figures of a group, which add up over boards, quarters and nodes.

use super::figures::{mean_w, measured_share};
use super::fleet::Design;
use super::load_profile::Cell;
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

/// The expanded uncertainty (k = 2) of an energy, and its parts, as shares of the energy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExpandedUncertainty {
    pub(super) relative: f64,
    pub(super) calibration: f64,
    pub(super) sampling: f64,
}

/// Energy of boards of one design.
#[derive(Debug, Clone, Copy, PartialEq)]
struct DesignSum {
    design: usize,
    energy_mj: i64,
    variance_mj2: f64,
}

impl Sums {
    /// Goes on with a board of a model.
    pub(super) fn see(&mut self, board: usize, model: usize) {
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

    /// Adds the energy of a board.
    pub(super) fn add(
        &mut self,
        cell: &Cell,
        slot: &Slot,
        carbon: Option<CarbonIntensity>,
        idle: Option<bool>,
    ) {
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

    /// Adds to the energy of a design, after [`Self::add`].
    pub(super) fn add_design(&mut self, design: usize, energy_mj: i64, variance_mj2: f64) {
        match self.designs.iter_mut().find(|sum| sum.design == design) {
            Some(sum) => {
                sum.energy_mj = sum.energy_mj.saturating_add(energy_mj);
                sum.variance_mj2 += variance_mj2;
            }
            None => self.designs.push(DesignSum { design, energy_mj, variance_mj2 }),
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

    /// Adds what was not measured, and its energy at the mean of its board in milliwatts.
    #[allow(clippy::cast_precision_loss, reason = "an estimate needs no 53 bits")]
    pub(super) fn add_missing(&mut self, missing_ms: i64, mean_mw: f64) {
        self.missing_ms = self.missing_ms.saturating_add(missing_ms);
        self.filled_mj += missing_ms as f64 * mean_mw / 1_000.0;
    }

    /// Adds the figures of one board, after [`Self::see`]; peaks do not add up.
    pub(super) fn merge(&mut self, other: &Self) {
        self.energy_mj = self.energy_mj.saturating_add(other.energy_mj);
        self.covered_ms += other.covered_ms;
        self.last = (self.last.0.saturating_add(other.energy_mj), self.last.1 + other.covered_ms);
        self.missing_ms += other.missing_ms;
        self.filled_mj += other.filled_mj;
        if let Some(idle_mj) = other.idle_mj {
            self.idle_mj = Some(self.idle_mj.unwrap_or(0).saturating_add(idle_mj));
        }
        self.max_mw = self.max_mw.max(other.max_mw);
        self.emission += other.emission;
        self.uncounted_mj = self.uncounted_mj.saturating_add(other.uncounted_mj);
        self.unpriced_mj = self.unpriced_mj.saturating_add(other.unpriced_mj);
        self.estimated_mj = self.estimated_mj.saturating_add(other.estimated_mj);
        other.costs.iter().for_each(|cost| self.add_cost(cost.currency, cost.cost, cost.idle));
        other.designs.iter().for_each(|sum| self.add_design(sum.design, sum.energy_mj, sum.variance_mj2));
    }

    /// The expanded uncertainty of the energy; `None` of none, and where all of it is an estimate.
    #[allow(clippy::cast_precision_loss, reason = "an uncertainty needs no 53 bits")]
    pub(super) fn expanded(&self, designs: &[Design]) -> Option<ExpandedUncertainty> {
        if self.energy_mj == 0 || self.estimated_mj == self.energy_mj {
            return None;
        }
        let uncertainty = self.uncertainty(designs);
        let energy_mj = (self.energy_mj as f64).abs();
        Some(ExpandedUncertainty {
            relative: uncertainty.expanded_mj() / energy_mj,
            calibration: 2.0 * uncertainty.calibration_mj() / energy_mj,
            sampling: 2.0 * uncertainty.sampling_mj() / energy_mj,
        })
    }

    /// The uncertainty of the energy; estimates have none.
    fn uncertainty(&self, designs: &[Design]) -> Uncertainty {
        let mut uncertainty = Uncertainty::default();
        for sum in &self.designs {
            let Some(design) = designs.get(sum.design) else { continue };
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
