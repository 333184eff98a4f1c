//! A played battery station: panels on the roof, a house with a work place behind it, and the grid.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::ZonedDateTime;

use super::load::thousandths;
use crate::battery::VENDOR;
use crate::reading::{
    Absent, AccountReport, DataSource, Device, DeviceKind, Energy, GridState, PollingMode, Power, Presence,
    Quantity, SafeText, Share, Station, StationReading, StationStatus, Timestamp,
};

/// The full battery.
const CAPACITY: Energy = Energy::from_millijoules(3_840 * 3_600_000);
/// The most that panels give on a clear day, in milliwatts.
const SUN_MW: i64 = 1_350_000;
/// The middle of the sun's day and half of its length, in minutes.
const NOON: i64 = 735;
const HALF_A_DAY: i64 = 285;
/// The most that goes into the battery, in milliwatts.
const CHARGE_MW: i64 = 1_000_000;
/// Below, the battery is kept for a time without the grid, in thousandths.
const RESERVE: i64 = 200;
/// The hours in which the battery feeds the house, since the grid is dear then.
const DEAR_HOURS: std::ops::Range<i8> = 16..21;
/// Thousandths of the energy into the battery that stay there, and of what leaves it that comes out.
const KEPT: i64 = 940;
/// A message is that old when a cycle closes.
const AGE: Duration = Duration::from_secs(2);

/// The station, and the charge of its battery.
#[derive(Debug, Clone)]
pub(super) struct PlayedStation {
    seed: u64,
    station: Station,
    charge_mj: i64,
    last: Option<StationReading>,
}

impl PlayedStation {
    pub(super) fn new(seed: u64) -> Self {
        let station = Station {
            serial: SafeText::new("PLAYED0000000001"),
            model: SafeText::new("A1790P"),
            name: SafeText::new("F3800 Plus"),
        };
        Self { seed, station, charge_mj: CAPACITY.millijoules() / 2, last: None }
    }

    /// The report of a cycle `after` the one before, with this load behind the station. A station that is silent goes
    /// on all the same.
    pub(super) fn report(
        &mut self,
        at: Timestamp,
        local: &ZonedDateTime,
        load: Power,
        after: Duration,
        is_silent: bool,
    ) -> AccountReport {
        let device = self.device(local, load.milliwatts(), after);
        let mut report = AccountReport::new(&VENDOR);
        if !is_silent {
            let reading = self.reading(at.minus(AGE), device);
            report.readings.push(reading.clone());
            self.last = Some(reading);
        }
        let presence = match &self.last {
            Some(last) if is_silent => Presence::Offline(last.at),
            Some(_) => Presence::Live,
            None => Presence::Awaited,
        };
        let last = self.last.clone();
        report.stations.push(StationStatus { station: self.station.clone(), presence, last });
        report
    }

    fn reading(&self, at: Timestamp, device: Device) -> StationReading {
        StationReading {
            station: self.station.clone(),
            at,
            source: DataSource::Mqtt,
            mode: PollingMode::Normal,
            device,
            grid: GridState::Present,
            fields: BTreeMap::new(),
            raw_keys: Vec::new(),
        }
    }

    /// The figures of an interval, after which the battery is fuller or emptier.
    fn device(&mut self, local: &ZonedDateTime, load: i64, after: Duration) -> Device {
        let seconds = i64::try_from(after.as_secs()).unwrap_or_default();
        let charge = self.charge_mj * 1_000 / CAPACITY.millijoules();
        let sun = self.sun(local);
        let direct = sun.min(load);
        let into = if charge < 1_000 { (sun - direct).min(CHARGE_MW) } else { 0 };
        let is_dear = DEAR_HOURS.contains(&local.hour()) && charge > RESERVE;
        let out_of = if is_dear { load - direct } else { 0 };
        self.charge_mj += into * seconds * KEPT / 1_000 - out_of * seconds * 1_000 / KEPT;
        self.charge_mj = self.charge_mj.clamp(0, CAPACITY.millijoules());
        let grid = load - direct - out_of;
        let watts = Power::from_milliwatts;
        Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
            .with(Quantity::StateOfCharge, Share::from_millipercent(charge * 100))
            .with(Quantity::PowerInput, watts(direct + into + grid))
            .with(Quantity::PowerOutput, watts(load))
            .with(Quantity::GridPower, watts(grid))
            .with(Quantity::SolarPower, watts(direct + into))
            .with(Quantity::Capacity, CAPACITY)
    }

    /// The sun on the panels, in milliwatts: a parabola over the day, less what clouds take.
    fn sun(&self, local: &ZonedDateTime) -> i64 {
        let from_noon = i64::from(local.hour()) * 60 + i64::from(local.minute()) - NOON;
        let height = (1_000 - 1_000 * from_noon * from_noon / (HALF_A_DAY * HALF_A_DAY)).max(0);
        let day = u64::try_from(local.day_of_year()).unwrap_or_default();
        let clear = 250 + thousandths(self.seed, &[8, day]) * 750 / 1_000;
        SUN_MW * height / 1_000 * clear / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_or_is_in_the_battery() {
        let mut station = PlayedStation::new(1);
        let from = jiff::Timestamp::from_second(1_793_577_600).unwrap();
        let (mut has_charged, mut has_fed) = (false, false);
        for minute in (0..5 * 1_440).step_by(5) {
            let local =
                (from + jiff::SignedDuration::from_mins(minute)).to_zoned_datetime(jiff::tz::TimeZone::UTC);
            let at = Timestamp::from_micros(local.timestamp().as_microsecond());
            let before = station.charge_mj;
            let report = station.report(at, &local, Power::from_watts(500), Duration::from_secs(300), false);
            let device = &report.readings[0].device;
            let (input, output) = (device.power_input().unwrap(), device.power_output().unwrap());
            let net = input.milliwatts() - output.milliwatts();
            has_charged |= net > 0;
            has_fed |= net < 0;
            assert!((station.charge_mj - before).signum() * net.signum() >= 0, "{minute}");
        }
        assert!(has_charged && has_fed);
    }
}
