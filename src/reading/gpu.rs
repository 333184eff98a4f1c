//! The power of a GPU: which of its numbers is recorded, and what samples add to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Absent, Device, Energy, Measured, Power, Quantity, Reason, Share, Value};

/// Which of a board's power numbers a value is.
///
/// Source: the help texts of drivers 535 to 610 and the NVML reference of `nvmlDeviceGetPowerUsage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerKind {
    /// `power.draw.average`: the mean of the last second.
    Average,
    /// `power.draw`: the mean of the last second from Ampere on, instantaneous on A100, A30 and older.
    Draw,
    /// `power.draw.instant`: the last value of the sensor.
    Instant,
}

impl PowerKind {
    /// A short, stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Draw => "draw",
            Self::Instant => "instant",
        }
    }

    /// The quantity that is the number of this kind.
    pub const fn quantity(self) -> Quantity {
        match self {
            Self::Average => Quantity::PowerAverage,
            Self::Draw => Quantity::PowerDraw,
            Self::Instant => Quantity::PowerInstant,
        }
    }
}

/// A board's power draw, and which kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerDraw {
    /// The draw of the whole board.
    pub power: Power,
    /// Which of the board's power numbers this is.
    pub kind: PowerKind,
}

/// What the samples between two cycles say of a board's draw. At least one of them was a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerSamples {
    /// Which of the board's power numbers was sampled.
    pub kind: PowerKind,
    /// Their mean, each sample counting the same.
    pub mean: Power,
    /// The least of them.
    pub min: Power,
    /// The largest of them.
    pub max: Power,
    /// How many had a number.
    pub n_samples: u64,
    /// How many rows came without one.
    pub n_absent: u64,
    /// How many had a number that cannot be true, and were thrown away.
    pub n_refused: u64,
    /// The energy over the covered time: the trapezoid between neighbouring samples, the last one of the
    /// cycle before included.
    pub energy: Energy,
    /// The time that the energy is of. What lies between samples too far apart is not in it.
    pub covered: Duration,
}

/// How many samples came of some GPUs between two cycles, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Those that count.
    pub n_samples: u64,
    /// Rows without a number.
    pub n_absent: u64,
    /// Numbers that cannot be true, which were thrown away.
    pub n_refused: u64,
    /// Lines that should have been rows and could not be read.
    pub n_unread: u64,
}

impl SampleCounts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            n_samples: self.n_samples.saturating_add(other.n_samples),
            n_absent: self.n_absent.saturating_add(other.n_absent),
            n_refused: self.n_refused.saturating_add(other.n_refused),
            n_unread: self.n_unread.saturating_add(other.n_unread),
        }
    }

    /// Whether more than half of what came was thrown away.
    pub const fn is_mostly_refused(self) -> bool {
        self.n_samples.saturating_add(self.n_absent) < self.n_refused
    }
}

impl Device {
    /// The power draw to record: the mean of the last second where the board gives it, since a poll that
    /// is slower than the sensor integrates it best; then the driver's own choice; then the instantaneous value.
    /// Where it was sampled, the mean of the samples.
    ///
    /// A number that cannot be true is not replaced by another kind: of one sensor, neither is to be believed.
    pub fn power(&self) -> Result<PowerDraw, &Absent> {
        if let Some(samples) = &self.power_samples {
            return Ok(PowerDraw { power: samples.mean, kind: samples.kind });
        }
        self.power_now(&[PowerKind::Average, PowerKind::Draw, PowerKind::Instant])
    }

    /// The first of these kinds that there is a value of; else the first error among them.
    pub fn power_now(&self, kinds: &[PowerKind]) -> Result<PowerDraw, &Absent> {
        let mut error = None;
        for kind in kinds {
            match self.typed(kind.quantity()) {
                Ok(power) => return Ok(PowerDraw { power: *power, kind: *kind }),
                Err(absent) if absent.reason == Reason::Implausible => return Err(absent),
                Err(absent) if absent.reason.is_structural() => {}
                Err(absent) => error = error.or(Some(absent)),
            }
        }
        match error {
            Some(absent) => Err(absent),
            None => self
                .typed(Quantity::PowerDraw)
                .map(|power| PowerDraw { power: *power, kind: PowerKind::Draw }),
        }
    }

    /// The limit in force: the lowest of all, else the one that was asked for. A limit of zero says nothing, since no
    /// board runs on it.
    pub fn limit(&self) -> Measured<Power> {
        let telling = |quantity| match self.typed::<Power>(quantity) {
            Ok(power) if power.milliwatts() == 0 => {
                Err(Absent::new(Reason::NotSupported, &power.to_string()))
            }
            Ok(power) => Ok(*power),
            Err(absent) => Err(absent.clone()),
        };
        telling(Quantity::PowerLimitEnforced).or_else(|_| telling(Quantity::PowerLimitRequested))
    }

    /// The draw of the limit, rounded to one decimal.
    pub fn power_of_limit(&self) -> Measured<Share> {
        let draw = self.power().map_err(Absent::clone)?.power.milliwatts();
        let limit = self.limit()?.milliwatts();
        let tenths_of_percent = draw
            .checked_mul(1000)
            .and_then(|scaled| scaled.checked_add(limit / 2))
            .and_then(|scaled| scaled.checked_div(limit))
            .filter(|_| limit > 0);
        tenths_of_percent
            .and_then(|tenths| tenths.checked_mul(100))
            .map(Share::from_millipercent)
            .ok_or_else(|| Absent::new(Reason::Implausible, &format!("{draw} of {limit} mW")))
    }
}

pub(super) fn power(gpu: &Device) -> Measured<Value> {
    gpu.power().map(|draw| draw.power.into()).map_err(Absent::clone)
}

pub(super) fn power_kind(gpu: &Device) -> Measured<Value> {
    gpu.power().map(|draw| Value::Label(draw.kind.label())).map_err(Absent::clone)
}

pub(super) fn limit(gpu: &Device) -> Measured<Value> {
    gpu.limit().map(Value::from)
}

pub(super) fn power_of_limit(gpu: &Device) -> Measured<Value> {
    gpu.power_of_limit().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::DeviceKind;

    fn gpu() -> Device {
        Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::NotSupported, "[N/A]"))
    }

    #[test]
    fn the_average_is_recorded_before_the_other_kinds() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerInstant, Ok(Power::from_watts(30).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Instant));
        gpu.set(Quantity::PowerDraw, Ok(Power::from_watts(20).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.set(Quantity::PowerAverage, Ok(Power::from_watts(10).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Average));
    }

    #[test]
    fn the_mean_of_samples_is_recorded_before_the_last_of_them() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerAverage, Ok(Power::from_watts(30).into()));
        gpu.power_samples = Some(Box::new(PowerSamples {
            kind: PowerKind::Instant,
            mean: Power::from_watts(20),
            min: Power::from_watts(10),
            max: Power::from_watts(30),
            n_samples: 3,
            n_absent: 0,
            n_refused: 0,
            energy: Energy::from_millijoules(40_000),
            covered: Duration::from_secs(2),
        }));
        assert_eq!(gpu.power(), Ok(PowerDraw { power: Power::from_watts(20), kind: PowerKind::Instant }));
    }

    #[test]
    fn an_implausible_kind_is_not_replaced_and_a_missing_one_is() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerDraw, Ok(Power::from_watts(20).into()));
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::UnknownError, "[Unknown Error]")));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::Implausible, "9999.00")));
        assert_eq!(gpu.power(), Err(&Absent::new(Reason::Implausible, "9999.00")));
    }

    #[test]
    fn the_error_of_a_kind_is_told_before_the_absence_of_another() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::Timeout, "[Timeout]")));
        assert_eq!(gpu.power().unwrap_err().reason, Reason::Timeout);
    }

    #[test]
    fn a_limit_of_zero_says_nothing() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerLimitEnforced, Ok(Power::from_watts(0).into()));
        assert_eq!(gpu.limit().unwrap_err().reason, Reason::NotSupported);
        gpu.set(Quantity::PowerLimitRequested, Ok(Power::from_watts(700).into()));
        assert_eq!(gpu.limit(), Ok(Power::from_watts(700)));
    }

    #[test]
    fn a_board_without_a_sensor_has_no_power_and_says_why() {
        assert_eq!(gpu().power(), Err(&Absent::new(Reason::NotSupported, "[N/A]")));
    }
}
