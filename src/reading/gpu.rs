//! What one GPU said in one answer.

use std::time::Duration;

use super::{Absent, Energy, Measured, Memory, Power, Reason, SafeText, Share, Temperature};

/// Which of nvidia-smi's power numbers a value is.
///
/// Source: the help texts of drivers 535 to 610 and the NVML reference of `nvmlDeviceGetPowerUsage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PowerKind {
    /// `power.draw.average`: the mean of the last second.
    Average,
    /// `power.draw`: the mean of the last second from Ampere on, instantaneous on A100, A30 and older.
    Draw,
    /// `power.draw.instant`: the last value of the sensor.
    Instant,
}

impl PowerKind {
    /// The one with this label.
    pub fn of_label(label: &str) -> Option<Self> {
        [Self::Average, Self::Draw, Self::Instant].into_iter().find(|kind| kind.label() == label)
    }

    /// A short, stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Draw => "draw",
            Self::Instant => "instant",
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

/// One row of an answer: one GPU, each cell a value or absent with its reason.
///
/// A value whose text is one of the tool's own words is kept as cleaned text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuReading {
    /// The GPU's place in the tool's list. A label, never an identity: it changes between boots and containers.
    pub index: Measured<u32>,
    /// The identity: `GPU-…`.
    pub uuid: Measured<SafeText>,
    /// The PCI address, `00000000:0B:00.0`.
    pub bus_id: Measured<SafeText>,
    /// The product name.
    pub model: Measured<SafeText>,
    /// The kernel driver's version.
    pub driver_version: Measured<SafeText>,
    /// `power.draw`.
    pub power_draw: Measured<Power>,
    /// `power.draw.average`.
    pub power_average: Measured<Power>,
    /// `power.draw.instant`.
    pub power_instant: Measured<Power>,
    /// `power.limit`: the limit that was asked for.
    pub power_limit: Measured<Power>,
    /// `enforced.power.limit`: the lowest of all limits, the one in force.
    pub enforced_power_limit: Measured<Power>,
    /// `power.max_limit`: the highest limit that this board can be given, whatever is in force.
    pub power_max_limit: Measured<Power>,
    /// `module.power.draw.instant`: a superchip's whole module. It includes the GPU, so it is never added to it.
    pub module_power_instant: Measured<Power>,
    /// `temperature.gpu`.
    pub temperature: Measured<Temperature>,
    /// `memory.used`.
    pub memory_used: Measured<Memory>,
    /// `memory.total`.
    pub memory_total: Measured<Memory>,
    /// `utilization.gpu`.
    pub utilization: Measured<Share>,
    /// `fan.speed`: of the fan's range, not a speed that was measured.
    pub fan_speed: Measured<Share>,
    /// `persistence_mode`: whether the driver stays loaded between calls.
    pub persistence: Measured<bool>,
    /// `pstate`: P0 (fastest) to P15.
    pub pstate: Measured<SafeText>,
    /// `gpu_recovery_action`: what the driver asks for, such as `Reset` or `Reboot`; `None` as a text where all is
    /// well. Drivers from 590 on.
    pub recovery_action: Measured<SafeText>,
    /// `clocks_event_reasons.active`: the bit mask of why clocks are held down.
    pub clocks_event_reasons: Measured<u64>,
    /// The samples since the cycle before; `None` where it is not sampled, or no sample had a number.
    pub power_samples: Option<PowerSamples>,
}

impl GpuReading {
    /// A GPU of which nothing is known, each value absent for `absent`.
    pub fn all_absent(absent: &Absent) -> Self {
        fn missing<T>(absent: &Absent) -> Measured<T> {
            Err(absent.clone())
        }
        Self {
            index: missing(absent),
            uuid: missing(absent),
            bus_id: missing(absent),
            model: missing(absent),
            driver_version: missing(absent),
            power_draw: missing(absent),
            power_average: missing(absent),
            power_instant: missing(absent),
            power_limit: missing(absent),
            enforced_power_limit: missing(absent),
            power_max_limit: missing(absent),
            module_power_instant: missing(absent),
            temperature: missing(absent),
            memory_used: missing(absent),
            memory_total: missing(absent),
            utilization: missing(absent),
            fan_speed: missing(absent),
            persistence: missing(absent),
            pstate: missing(absent),
            recovery_action: missing(absent),
            clocks_event_reasons: missing(absent),
            power_samples: None,
        }
    }

    /// The power draw to record: the mean of the last second where the board gives it, since a poll that
    /// is slower than the sensor integrates it best; then `power.draw`; then the instantaneous value. Where
    /// it was sampled, the mean of the samples.
    ///
    /// A number that cannot be true is not replaced by another kind: of one sensor, neither is to be believed.
    pub fn power(&self) -> Measured<PowerDraw> {
        if let Some(samples) = &self.power_samples {
            return Ok(PowerDraw { power: samples.mean, kind: samples.kind });
        }
        self.power_now(&[PowerKind::Average, PowerKind::Draw, PowerKind::Instant])
    }

    /// The first of these kinds that the row has a value of; else the first error among them.
    pub fn power_now(&self, kinds: &[PowerKind]) -> Measured<PowerDraw> {
        let mut error = None;
        for kind in kinds {
            match self.power_of(*kind) {
                Ok(power) => return Ok(PowerDraw { power: *power, kind: *kind }),
                Err(absent) if absent.reason == Reason::Implausible => return Err(absent.clone()),
                Err(absent) if absent.reason.is_structural() => {}
                Err(absent) => error = error.or(Some(absent)),
            }
        }
        let why = error.or(self.power_draw.as_ref().err());
        Err(why.cloned().unwrap_or_else(Absent::not_asked))
    }

    /// The number of one kind.
    pub const fn power_of(&self, kind: PowerKind) -> &Measured<Power> {
        match kind {
            PowerKind::Average => &self.power_average,
            PowerKind::Draw => &self.power_draw,
            PowerKind::Instant => &self.power_instant,
        }
    }

    /// The limit in force: `enforced.power.limit`, else `power.limit`. A limit of zero says nothing, since no
    /// board runs on it.
    pub fn limit(&self) -> Measured<Power> {
        let telling = |limit: &Measured<Power>| match limit {
            Ok(power) if power.milliwatts() == 0 => {
                Err(Absent::new(Reason::NotSupported, &power.to_string()))
            }
            measured => measured.clone(),
        };
        telling(&self.enforced_power_limit).or_else(|_| telling(&self.power_limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu() -> GpuReading {
        GpuReading::all_absent(&Absent::new(Reason::NotSupported, "[N/A]"))
    }

    #[test]
    fn the_average_is_recorded_before_the_other_kinds() {
        let mut gpu = gpu();
        gpu.power_instant = Ok(Power::from_watts(30));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Instant));
        gpu.power_draw = Ok(Power::from_watts(20));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.power_average = Ok(Power::from_watts(10));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Average));
    }

    #[test]
    fn the_mean_of_samples_is_recorded_before_the_last_of_them() {
        let mut gpu = gpu();
        gpu.power_average = Ok(Power::from_watts(30));
        gpu.power_samples = Some(PowerSamples {
            kind: PowerKind::Instant,
            mean: Power::from_watts(20),
            min: Power::from_watts(10),
            max: Power::from_watts(30),
            n_samples: 3,
            n_absent: 0,
            n_refused: 0,
            energy: Energy::from_millijoules(40_000),
            covered: Duration::from_secs(2),
        });
        assert_eq!(gpu.power(), Ok(PowerDraw { power: Power::from_watts(20), kind: PowerKind::Instant }));
    }

    #[test]
    fn an_implausible_kind_is_not_replaced_and_a_missing_one_is() {
        let mut gpu = gpu();
        gpu.power_draw = Ok(Power::from_watts(20));
        gpu.power_average = Err(Absent::new(Reason::UnknownError, "[Unknown Error]"));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.power_average = Err(Absent::new(Reason::Implausible, "9999.00"));
        assert_eq!(gpu.power(), Err(Absent::new(Reason::Implausible, "9999.00")));
    }

    #[test]
    fn the_error_of_a_kind_is_told_before_the_absence_of_another() {
        let mut gpu = gpu();
        gpu.power_average = Err(Absent::new(Reason::Timeout, "[Timeout]"));
        assert_eq!(gpu.power().unwrap_err().reason, Reason::Timeout);
    }

    #[test]
    fn a_limit_of_zero_says_nothing() {
        let mut gpu = gpu();
        gpu.enforced_power_limit = Ok(Power::from_watts(0));
        assert_eq!(gpu.limit().unwrap_err().reason, Reason::NotSupported);
        gpu.power_limit = Ok(Power::from_watts(700));
        assert_eq!(gpu.limit(), Ok(Power::from_watts(700)));
    }

    #[test]
    fn a_board_without_a_sensor_has_no_power_and_says_why() {
        assert_eq!(gpu().power(), Err(Absent::new(Reason::NotSupported, "[N/A]")));
    }
}
