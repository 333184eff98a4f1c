//! The uncertainty of an energy: the part of the board's sensor, and the part of reading it seldom.
//!
//! Calibration. The steady-state errors of 20 boards beside an external meter have a root mean square of 4.65 % (mean
//! -1.6 %, standard deviation 4.5 %, worst +10.9 %; Yang, Adamek and Armour, SC24, arXiv 2312.02741), so that a maker's
//! "±5 %" is about one standard uncertainty. An error is the design's: it is the same at all times and for all boards
//! of a model, and independent between models.
//!
//! Sampling. Successive differences of the readings ([`super::Entry::variance_mj2`]); independent between series.

use std::collections::BTreeMap;

/// The standard uncertainty of a board with a sensor, as a share of its energy.
const SENSOR: f64 = 0.046;

/// Models whose driver estimates the power: the Quadro K620 is off by -41 %.
const ESTIMATING: &[&str] = &["Quadro K620"];

/// The quality of a board's readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The factor by which an energy is multiplied to be right on average.
    pub gain: f64,
    /// The standard uncertainty as a share of the energy; `None` of a driver's estimate, of which nobody knows one.
    pub relative: Option<f64>,
}

impl Calibration {
    /// The general figures of a model, for boards that nobody measured.
    pub fn of_model(model: &str) -> Self {
        let estimates = ESTIMATING.iter().any(|estimating| model.contains(estimating));
        Self { gain: 1.0, relative: (!estimates).then_some(SENSOR) }
    }
}

/// The uncertainty of a sum of energies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uncertainty {
    /// The standard uncertainty of each design, in millijoules; within one it adds up, as its error is the same.
    designs: BTreeMap<String, f64>,
    variance_mj2: f64,
    has_estimate: bool,
}

impl Uncertainty {
    /// Adds an energy of boards of one design: of a model, or of one board that was calibrated by itself.
    #[allow(clippy::cast_precision_loss, reason = "an uncertainty needs no 53 bits")]
    pub fn add(&mut self, design: &str, energy_mj: i64, variance_mj2: f64, calibration: Calibration) {
        self.variance_mj2 += variance_mj2 * calibration.gain * calibration.gain;
        match calibration.relative {
            Some(relative) => {
                let error = relative * calibration.gain * (energy_mj as f64).abs();
                *self.designs.entry(design.to_owned()).or_default() += error;
            }
            None => self.has_estimate = true,
        }
    }

    /// The part of the sensors, in millijoules, at k=1. Without what is an estimate.
    pub fn calibration_mj(&self) -> f64 {
        self.designs.values().map(|error| error * error).sum::<f64>().sqrt()
    }

    /// The part of reading seldom, in millijoules, at k=1.
    pub fn sampling_mj(&self) -> f64 {
        self.variance_mj2.max(0.0).sqrt()
    }

    /// Both together at k=2, in millijoules: the sum is within it 19 times out of 20.
    pub fn expanded_mj(&self) -> f64 {
        2.0 * self.calibration_mj().hypot(self.sampling_mj())
    }

    /// Whether a driver's estimate is in the sum, for which this says nothing.
    pub const fn has_estimate(&self) -> bool {
        self.has_estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-6 * other.abs().max(1.0)
    }

    #[test]
    fn boards_of_one_model_err_together_and_models_apart() {
        let mut sum = Uncertainty::default();
        for (model, energy) in [("H100", 1_000_000), ("H100", 1_000_000), ("A100", 2_000_000)] {
            sum.add(model, energy, 0.0, Calibration::of_model(model));
        }
        // Two H100 give 92,000 mJ, two megajoules of A100 another 92,000, and both together their quadratic sum.
        assert!(near(sum.calibration_mj(), 92_000.0 * 2.0_f64.sqrt()));
    }

    #[test]
    fn both_parts_together_are_the_root_of_their_squares_twice() {
        let mut sum = Uncertainty::default();
        let calibration = Calibration { gain: 1.0, relative: Some(0.03) };
        sum.add("meter", 100_000, 4_000.0 * 4_000.0, calibration);
        assert!(near(sum.sampling_mj(), 4_000.0));
        assert!(near(sum.expanded_mj(), 2.0 * 5_000.0), "{}", sum.expanded_mj());
    }

    #[test]
    fn a_gain_holds_for_both_parts() {
        let mut sum = Uncertainty::default();
        sum.add("board", 100_000, 100.0, Calibration { gain: 2.0, relative: Some(0.01) });
        assert!(near(sum.calibration_mj(), 2_000.0) && near(sum.sampling_mj(), 20.0));
    }

    #[test]
    fn an_estimate_has_no_figure_and_says_so() {
        let mut sum = Uncertainty::default();
        sum.add("Quadro K620", 1_000_000, 0.0, Calibration::of_model("Quadro K620"));
        assert!(sum.has_estimate() && near(sum.calibration_mj(), 0.0));
    }
}
