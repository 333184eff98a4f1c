//! The flows of battery stations by quarter, and where the energy of their loads came from.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::data::Data;
use super::fleet::StationFlow;
use super::load_profile::Cell;
use crate::ledger::Flow;

/// The least covered time of a flow beside another of its station, in percent.
const LEAST_PERCENT: u64 = 90;

/// A station with its flows in the quarters in which all that it tells were measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Station {
    /// Its serial number.
    pub(super) serial: String,
    /// Its model.
    pub(super) model: String,
    /// The first quarter with a row.
    pub(super) first: usize,
    /// The split of each quarter, by its number.
    pub(super) splits: BTreeMap<usize, Split>,
    /// The measured time, in milliseconds.
    pub(super) covered_ms: i64,
}

/// The energies of a quarter, or of several added up, in millijoules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// All that went out to loads.
    pub(super) load: i64,
    pub(super) solar: i64,
    pub(super) grid: i64,
    /// Of the load: from the sun.
    pub(super) sun_direct: i64,
    /// Of the load: from the battery.
    pub(super) battery_out: i64,
    /// Of the load: from the grid.
    pub(super) grid_direct: i64,
    /// Into the battery.
    pub(super) battery_in: i64,
    /// Of what went into the battery: from the grid.
    pub(super) grid_charge: i64,
    /// The measured time, in milliseconds.
    pub(super) covered_ms: i64,
}

impl AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        self.load += other.load;
        self.solar += other.solar;
        self.grid += other.grid;
        self.sun_direct += other.sun_direct;
        self.battery_out += other.battery_out;
        self.grid_direct += other.grid_direct;
        self.battery_in += other.battery_in;
        self.grid_charge += other.grid_charge;
        self.covered_ms += other.covered_ms;
    }
}

/// The flows of a station in a quarter, as far as it tells them, in millijoules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flows {
    input: Option<i64>,
    out: Option<i64>,
    grid: Option<i64>,
    solar: Option<i64>,
}

impl Flows {
    /// The sources of the load. A flow that is not told follows from the others; `None` where it does not.
    ///
    /// Input beyond the output charges the battery, and output beyond the input comes from it. The sun is used first, by the
    /// load and then by the battery; the rest of either is the grid's. Energy that goes into the grid is nothing from it.
    fn split(self) -> Option<Split> {
        let load = self.out?.max(0);
        let above = |one: Option<i64>, other: Option<i64>| Some(one?.saturating_sub(other?).max(0));
        let from_grid = self.grid.map(|grid| grid.max(0));
        let solar = self.solar.map(|solar| solar.max(0)).or_else(|| above(self.input, from_grid))?;
        let grid = from_grid.or_else(|| above(self.input, Some(solar)))?;
        let input = self.input.map_or_else(|| solar.saturating_add(grid), |input| input.max(0));
        let (battery_in, battery_out) = ((input - load).max(0), (load - input).max(0));
        let direct = load - battery_out;
        let sun_direct = solar.min(direct);
        let sun_charge = (solar - sun_direct).min(battery_in);
        Some(Split {
            load,
            solar,
            grid,
            sun_direct,
            battery_out,
            grid_direct: direct - sun_direct,
            battery_in,
            grid_charge: battery_in - sun_charge,
            covered_ms: 0,
        })
    }
}

/// All stations, by serial number.
pub(super) fn stations(data: &Data) -> Vec<Station> {
    let mut by_serial = BTreeMap::<&str, Vec<&StationFlow>>::new();
    data.fleet.flows.iter().for_each(|flow| by_serial.entry(&flow.serial).or_default().push(flow));
    by_serial.into_iter().map(|(serial, flows)| station(data, serial, &flows)).collect()
}

fn station(data: &Data, serial: &str, flows: &[&StationFlow]) -> Station {
    let seen = flows.iter().filter_map(|flow| flow.profile.seen);
    let first = seen.map(|(first, _)| first).min().unwrap_or(0);
    let mut station = Station {
        serial: serial.to_owned(),
        model: flows.first().map_or_else(String::new, |flow| flow.model.clone()),
        first,
        ..Station::default()
    };
    for quarter in first..data.calendar.quarters().end {
        let cells: Vec<&Cell> = flows.iter().filter_map(|flow| flow.profile.cell(quarter)).collect();
        let covered = cells.iter().map(|cell| cell.covered_ms);
        let (least, most) = (covered.clone().min().unwrap_or(0), covered.max().unwrap_or(0));
        let is_even = u64::from(least) * 100 >= u64::from(most) * LEAST_PERCENT;
        if most == 0 || cells.len() < flows.len() || !is_even {
            continue;
        }
        if let Some(split) = told(flows, quarter).split() {
            let covered_ms = i64::from(least);
            station.covered_ms += covered_ms;
            station.splits.insert(quarter, Split { covered_ms, ..split });
        }
    }
    station
}

fn told(flows: &[&StationFlow], quarter: usize) -> Flows {
    let energy = |of: Flow| {
        let mut own = flows.iter().filter(|flow| flow.flow == of.label());
        own.find_map(|flow| flow.profile.cell(quarter)).map(|cell| cell.energy_mj)
    };
    Flows {
        input: energy(Flow::In),
        out: energy(Flow::Out),
        grid: energy(Flow::Grid),
        solar: energy(Flow::Solar),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flows(input: i64, out: i64, grid: i64, solar: i64) -> Flows {
        Flows { input: Some(input), out: Some(out), grid: Some(grid), solar: Some(solar) }
    }

    #[test]
    fn a_load_above_what_goes_in_is_fed_by_the_battery_too() {
        // 60 of the sun go in, 100 go out.
        let split = flows(60, 100, 0, 60).split().unwrap();
        assert_eq!(
            (split.sun_direct, split.battery_out, split.grid_direct, split.battery_in),
            (60, 40, 0, 0)
        );
    }

    #[test]
    fn the_sun_feeds_the_load_first_and_then_the_battery() {
        // 120 of the sun and 30 of the grid go in, 100 go out: 50 charge the battery, 20 of them from the sun.
        let split = flows(150, 100, 30, 120).split().unwrap();
        assert_eq!(
            (split.sun_direct, split.grid_direct, split.battery_in, split.grid_charge),
            (100, 0, 50, 30)
        );
        // 80 of the sun and 70 of the grid: the load takes 20 of the grid, the battery 50.
        let split = flows(150, 100, 70, 80).split().unwrap();
        assert_eq!(
            (split.sun_direct, split.grid_direct, split.battery_in, split.grid_charge),
            (80, 20, 50, 50)
        );
    }

    #[test]
    fn a_flow_that_is_not_told_follows_from_the_others_or_is_not_known() {
        let whole = flows(150, 100, 70, 80);
        let without =
            [Flows { input: None, ..whole }, Flows { grid: None, ..whole }, Flows { solar: None, ..whole }];
        assert!(without.into_iter().all(|flows| flows.split() == whole.split()));
        assert_eq!(Flows { grid: None, solar: None, ..whole }.split(), None);
        assert_eq!(Flows { out: None, ..whole }.split(), None);
    }

    #[test]
    fn what_goes_into_the_grid_is_nothing_from_it() {
        let split = flows(100, 60, -40, 100).split().unwrap();
        assert_eq!((split.grid, split.grid_direct, split.sun_direct, split.battery_in), (0, 0, 60, 40));
    }

    proptest! {
        #[test]
        fn the_sources_sum_to_the_load_and_to_the_charge(
            told in prop::array::uniform4(prop::option::of(-1_000..1_000_000_i64)),
        ) {
            let [input, out, grid, solar] = told;
            if let Some(split) = (Flows { input, out, grid, solar }).split() {
                prop_assert_eq!(split.sun_direct + split.battery_out + split.grid_direct, split.load);
                prop_assert!(split.grid_charge <= split.battery_in && split.sun_direct <= split.solar);
                let least = [split.sun_direct, split.battery_out, split.grid_direct, split.grid_charge];
                prop_assert!(least.into_iter().min().unwrap() >= 0);
            }
        }
    }
}
