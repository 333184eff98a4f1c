//! What follows from a station's reading: how long its battery lasts, and the words for a person.

use std::fmt;
use std::time::Duration;

use super::{Energy, Measured, Power, Share, StationReading};

/// Beyond, a number says nothing: the draw changes sooner.
const MAX_RUNTIME: Duration = Duration::from_secs(1_000 * 60 * 60);

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a battery lasts at the present draw, and what that follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// The state of charge.
    pub soc: Share,
    /// What the battery holds when full.
    pub capacity: Energy,
    /// What flows in.
    pub power_input: Power,
    /// What flows out.
    pub power_output: Power,
    /// What flows out more than flows in; above zero.
    pub net_draw: Power,
    /// How long it lasts, at most a thousand hours.
    pub lasts: Duration,
    /// Whether it lasts longer than that.
    pub is_longer: bool,
}

impl StationReading {
    /// How long the battery lasts at the present draw. `None` where that cannot be said: something of it
    /// was not measured, the battery's size is not known, or it does not become emptier.
    pub fn runtime(&self) -> Option<Runtime> {
        let (soc, capacity) = (*self.soc.as_ref().ok()?, *self.capacity.as_ref().ok()?);
        let (power_input, power_output) =
            (*self.power_input.as_ref().ok()?, *self.power_output.as_ref().ok()?);
        let net_draw = power_output.milliwatts().checked_sub(power_input.milliwatts())?;
        let is_possible = (0..=100_000).contains(&soc.millipercent()) && capacity.millijoules() > 0;
        if net_draw <= 0 || !is_possible {
            return None;
        }
        let usable = i128::from(capacity.millijoules()) * i128::from(soc.millipercent()) / 100_000;
        let milliseconds = u64::try_from(usable * 1_000 / i128::from(net_draw)).unwrap_or(u64::MAX);
        let lasts = Duration::from_millis(milliseconds);
        Some(Runtime {
            soc,
            capacity,
            power_input,
            power_output,
            net_draw: Power::from_milliwatts(net_draw),
            lasts: lasts.min(MAX_RUNTIME),
            is_longer: MAX_RUNTIME < lasts,
        })
    }

    /// One line for a log: `F3800 Plus: SOC 87 % in 640 W out 435 W grid 0 W`. What was not measured is a
    /// word, never a number.
    pub fn summary(&self) -> String {
        format!("{}: {}", self.station.called(), self.values_in_words())
    }

    /// The same without the name, and with the solar power: `SOC 62 % in 0 W out 435 W grid 0 W solar 0 W`.
    pub fn in_words(&self) -> String {
        format!("{} solar {}", self.values_in_words(), watts(&self.solar_power))
    }

    fn values_in_words(&self) -> String {
        format!(
            "SOC {} in {} out {} grid {}",
            message(&self.soc, Share::to_string),
            watts(&self.power_input),
            watts(&self.power_output),
            watts(&self.grid_power)
        )
    }
}

fn watts(power: &Measured<Power>) -> String {
    message(power, |power| format!("{} W", power.milliwatts().saturating_add(500).div_euclid(1_000)))
}

fn message<T>(measured: &Measured<T>, shown: impl Fn(&T) -> String) -> String {
    measured.as_ref().map_or_else(|absent| absent.reason.word().to_owned(), shown)
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts.as_secs();
        if self.is_longer {
            write!(f, "more than {} h", seconds / HOUR.as_secs())?;
        } else if self.lasts < HOUR {
            write!(f, "about {} min", (seconds + 30) / 60)?;
        } else {
            let tenths = (seconds + 180) / 360;
            write!(f, "about {}.{} h", tenths / 10, tenths % 10)?;
        }
        f.write_str(" at the present draw")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::reading::{
        Absent, AccountReport, DataSource, GridState, PollingMode, Presence, Reason, SafeText, Station,
        StationStatus, Timestamp, Vendor,
    };

    fn station(name: &str, serial: &str) -> Station {
        Station { serial: SafeText::new(serial), model: SafeText::new("A1790P"), name: SafeText::new(name) }
    }

    /// 3.84 kWh at 62 %, with 435 W out and nothing in.
    fn discharging() -> StationReading {
        StationReading {
            station: station("F3800 Plus", "9DNBH3D0PLDBLX1Y"),
            at: Timestamp::from_micros(0),
            source: DataSource::Mqtt,
            mode: PollingMode::Normal,
            soc: Ok(Share::from_millipercent(62_000)),
            power_input: Ok(Power::from_watts(0)),
            power_output: Ok(Power::from_watts(435)),
            grid_power: Ok(Power::from_watts(0)),
            solar_power: Ok(Power::from_watts(0)),
            capacity: Ok(Energy::from_millijoules(3_840 * 3_600_000)),
            grid: GridState::Unknown,
            fields: BTreeMap::new(),
            raw_keys: Vec::new(),
        }
    }

    fn lasting(seconds: u64) -> String {
        let lasts = Duration::from_secs(seconds);
        let runtime = discharging().runtime().unwrap();
        Runtime { lasts, ..runtime }.to_string()
    }

    #[test]
    fn a_summary_is_one_line_with_a_word_for_what_is_not_there() {
        let reading = StationReading {
            grid_power: Err(Absent::not_reported()),
            soc: Err(Absent::new(Reason::Implausible, "255")),
            ..discharging()
        };
        assert_eq!(reading.summary(), "F3800 Plus: SOC implausible in 0 W out 435 W grid not reported");
        assert_eq!(discharging().in_words(), "SOC 62 % in 0 W out 435 W grid 0 W solar 0 W");
    }

    #[test]
    fn watts_are_whole_and_never_minus_zero() {
        let of = |milliwatts| watts(&Ok(Power::from_milliwatts(milliwatts)));
        assert_eq!([of(-400), of(-600), of(499), of(500)], ["0 W", "-1 W", "0 W", "1 W"]);
    }

    #[test]
    fn a_runtime_is_told_in_minutes_below_an_hour() {
        assert_eq!(lasting(0), "about 0 min at the present draw");
        assert_eq!(lasting(24 * 60 + 31), "about 25 min at the present draw");
        assert_eq!(lasting(3_600), "about 1.0 h at the present draw");
        assert_eq!(lasting(7 * 3_600 + 42 * 60), "about 7.7 h at the present draw");
    }

    #[test]
    fn a_runtime_is_bounded_and_says_so() {
        let reading = StationReading { power_output: Ok(Power::from_milliwatts(1)), ..discharging() };
        let runtime = reading.runtime().unwrap();
        assert_eq!((runtime.lasts, runtime.is_longer), (MAX_RUNTIME, true));
        assert_eq!(runtime.to_string(), "more than 1000 h at the present draw");
    }

    #[test]
    fn a_battery_that_is_charged_or_of_unknown_size_has_no_runtime() {
        let charged = StationReading { power_input: Ok(Power::from_watts(435)), ..discharging() };
        let unknown = StationReading { capacity: Err(Absent::not_reported()), ..discharging() };
        let silent = StationReading { power_input: Err(Absent::not_reported()), ..discharging() };
        for reading in [charged, unknown, silent] {
            assert_eq!(reading.runtime(), None);
        }
    }

    static VENDOR: Vendor = Vendor {
        label: "",
        source: "",
        up: "",
        heartbeat: "",
        soc: "",
        power_input: "",
        power_output: "",
        grid_power: "",
        solar_power: "",
    };

    #[test]
    fn stations_of_the_same_name_are_told_apart_by_their_serial_numbers() {
        let status = |name, serial| StationStatus {
            station: station(name, serial),
            presence: Presence::Live,
            last: None,
        };
        let mut report = AccountReport {
            stations: vec![status("F3800 Plus", "A"), status("F3800 Plus", "B"), status("Shed", "C")],
            ..AccountReport::new(&VENDOR)
        };
        let names = |report: &AccountReport| -> Vec<String> {
            report.stations.iter().map(|status| report.name_of(&status.station)).collect()
        };
        assert_eq!(names(&report), ["F3800 Plus (A)", "F3800 Plus (B)", "Shed"]);
        report.stations.remove(0);
        assert_eq!(names(&report), ["F3800 Plus", "Shed"]);
    }

    #[test]
    fn a_station_without_a_name_is_called_by_its_model_or_serial_number() {
        let nameless = station("", "A");
        assert_eq!(nameless.called(), "A1790P");
        assert_eq!(Station { model: SafeText::default(), ..nameless }.called(), "A");
    }

    proptest! {
        #[test]
        fn a_runtime_is_only_there_while_the_battery_becomes_emptier(
            soc in any::<i64>(), capacity in any::<i64>(), input in any::<i64>(), output in any::<i64>(),
        ) {
            let reading = StationReading {
                soc: Ok(Share::from_millipercent(soc)),
                capacity: Ok(Energy::from_millijoules(capacity)),
                power_input: Ok(Power::from_milliwatts(input)),
                power_output: Ok(Power::from_milliwatts(output)),
                ..discharging()
            };
            if let Some(runtime) = reading.runtime() {
                prop_assert!(input < output && (0..=100_000).contains(&soc) && capacity > 0);
                prop_assert!(runtime.lasts <= MAX_RUNTIME);
            }
        }
    }
}
