//! What one GPU said in one answer.

use std::time::Duration;

use super::{Absent, Clean, Energy, Measured, Memory, Power, Share, Temperature};

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
    /// The energy over the covered time: the trapezoid between neighbouring samples, the last one of the
    /// cycle before included.
    pub energy: Energy,
    /// The time that the energy is of. What lies between samples too far apart is not in it.
    pub covered: Duration,
}

/// One row of an answer: one GPU, each cell a value or absent with its reason.
///
/// A value whose text is one of the tool's own words is kept as cleaned text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuReading {
    /// The GPU's place in the tool's list. A label, never an identity: it changes between boots and containers.
    pub index: Measured<u32>,
    /// The identity: `GPU-…`.
    pub uuid: Measured<Clean>,
    /// The PCI address, `00000000:0B:00.0`.
    pub bus_id: Measured<Clean>,
    /// The product name. May hold commas.
    pub model: Measured<Clean>,
    /// The kernel driver's version.
    pub driver_version: Measured<Clean>,
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
    pub pstate: Measured<Clean>,
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
            module_power_instant: missing(absent),
            temperature: missing(absent),
            memory_used: missing(absent),
            memory_total: missing(absent),
            utilization: missing(absent),
            fan_speed: missing(absent),
            persistence: missing(absent),
            pstate: missing(absent),
            clocks_event_reasons: missing(absent),
            power_samples: None,
        }
    }

    /// The power draw to record: the mean of the last second where the board gives it, since a poll that
    /// is slower than the sensor integrates it best; then `power.draw`; then the instantaneous value. Where
    /// it was sampled, the mean of the samples.
    pub fn power(&self) -> Measured<PowerDraw> {
        if let Some(samples) = &self.power_samples {
            return Ok(PowerDraw { power: samples.mean, kind: samples.kind });
        }
        self.power_now(&[PowerKind::Average, PowerKind::Draw, PowerKind::Instant])
    }

    /// The first of these kinds that the row has a value of.
    pub fn power_now(&self, kinds: &[PowerKind]) -> Measured<PowerDraw> {
        let found = kinds.iter().find_map(|kind| {
            let power = *self.power_of(*kind).as_ref().ok()?;
            Some(PowerDraw { power, kind: *kind })
        });
        found.ok_or_else(|| self.power_draw.clone().err().unwrap_or_else(Absent::not_asked))
    }

    const fn power_of(&self, kind: PowerKind) -> &Measured<Power> {
        match kind {
            PowerKind::Average => &self.power_average,
            PowerKind::Draw => &self.power_draw,
            PowerKind::Instant => &self.power_instant,
        }
    }

    /// The limit in force: `enforced.power.limit`, else `power.limit`.
    pub fn limit(&self) -> Measured<Power> {
        self.enforced_power_limit.clone().or_else(|_| self.power_limit.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reason;

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
            energy: Energy::from_millijoules(40_000),
            covered: Duration::from_secs(2),
        });
        assert_eq!(gpu.power(), Ok(PowerDraw { power: Power::from_watts(20), kind: PowerKind::Instant }));
    }

    #[test]
    fn a_board_without_a_sensor_has_no_power_and_says_why() {
        assert_eq!(gpu().power(), Err(Absent::new(Reason::NotSupported, "[N/A]")));
    }
}
