//! The figures of a reading, from what a device has said lately.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::map;
use super::meaning::{self, Charge, FigureMap, GridEvidence, Term, Terms};
use super::model::{model, resolved};
use super::state::{DeviceState, MOST_PACKS, PACKS};
use crate::reading::{
    Absent, DataSource, Device, DeviceKind, Energy, GridState, Measured, PollingMode, Power, Quantity,
    Reason, Share, Station, StationReading, Timestamp,
};

/// More than any of these devices measures, in watts: two stations at a panel give 12 kW.
const PLAUSIBLE_WATTS: RangeInclusive<f64> = -20_000.0..=20_000.0;

/// The values of one device that came lately, by name.
type Fresh<'a> = BTreeMap<&'a str, &'a Value>;

/// The reading of `station` by those values of `state` that were received at `since` or later. Its time is that
/// of the newest of them. `None` if there are none. A figure that the model does not have is absent as not
/// supported, one that it did not say as not reported.
pub fn reading(
    station: &Station,
    state: &DeviceState,
    since: Timestamp,
    mode: PollingMode,
) -> Option<StationReading> {
    let at = state.values_since(since).map(|(_, _, at)| at).max()?;
    let fresh: Fresh<'_> = state.values_since(since).map(|(name, value, _)| (name, value)).collect();
    let meaning = meaning::for_model(resolved(station.model.as_str()));
    let figure = |sum: fn(&FigureMap) -> Terms| power(meaning.map(sum).unwrap_or_default(), &fresh);
    let (input, output) = (figure(|meaning| meaning.input), figure(|meaning| meaning.output));
    let presence = meaning.map_or(GridEvidence::Unknown, |meaning| meaning.presence);
    let grid_power = figure(|meaning| meaning.grid);
    // A station takes from its AC input and never gives.
    let grid_power =
        if presence == GridEvidence::ByInput { grid_power.and_then(one_way) } else { grid_power };
    let is_told = !(state.is_behind_hub && presence == GridEvidence::ByInput);
    let grid =
        grid_state(if is_told { presence } else { GridEvidence::Unknown }, &grid_power, &output, &fresh);
    Some(StationReading {
        station: station.clone(),
        at,
        source: DataSource::Mqtt,
        mode,
        device: Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
            .measured(Quantity::StateOfCharge, soc(meaning.map_or(Charge::No, |meaning| meaning.soc), &fresh))
            .measured(Quantity::PowerInput, input.and_then(one_way))
            .measured(Quantity::PowerOutput, output.and_then(one_way))
            .measured(Quantity::GridPower, grid_power)
            .measured(Quantity::SolarPower, figure(|meaning| meaning.solar).and_then(one_way))
            .measured(Quantity::Capacity, capacity(station, state)),
        grid,
        raw_keys: fresh.keys().map(|name| (*name).to_owned()).collect(),
        fields: fresh.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect(),
    })
}

fn power(sum: Terms, fresh: &Fresh<'_>) -> Measured<Power> {
    if sum.is_empty() {
        return Err(Absent::new(Reason::NotSupported, ""));
    }
    let mut watts = 0.0;
    for term in sum {
        let value = number(term.name(), fresh)?;
        thousandths(value, PLAUSIBLE_WATTS)?;
        watts += match term {
            Term::Plus(_) => value,
            Term::Minus(_) => -value,
            Term::PositivePart(_) => value.max(0.0),
        };
    }
    thousandths(watts, PLAUSIBLE_WATTS).map(Power::from_milliwatts)
}

/// A power that has one direction only.
pub(crate) fn one_way(power: Power) -> Measured<Power> {
    if power.milliwatts() < 0 {
        return Err(Absent::new(Reason::Implausible, &power.to_string()));
    }
    Ok(power)
}

fn soc(charge: Charge, fresh: &Fresh<'_>) -> Measured<Share> {
    let percent = match charge {
        Charge::No => return Err(Absent::new(Reason::NotSupported, "")),
        Charge::Is(name) => number(name, fresh)?,
        Charge::OrMean if fresh.contains_key("battery_soc") => number("battery_soc", fresh)?,
        Charge::OrMean | Charge::Mean => mean_soc(fresh)?,
    };
    thousandths(percent, 0.0..=100.0).map(Share::from_millipercent)
}

/// The mean of the main battery and of the packs that are there.
fn mean_soc(fresh: &Fresh<'_>) -> Measured<f64> {
    let (mut total, mut n_batteries) = (plausible_soc("main_battery_soc", fresh)?, 1.0);
    for pack in 1..=MOST_PACKS {
        let name = format!("exp_{pack}_soc");
        if fresh.contains_key(name.as_str()) {
            total += plausible_soc(&name, fresh)?;
            n_batteries += 1.0;
        }
    }
    Ok(total / n_batteries)
}

/// One battery's charge. A mean could hide that one of its parts cannot be.
fn plausible_soc(name: &str, fresh: &Fresh<'_>) -> Measured<f64> {
    let percent = number(name, fresh)?;
    thousandths(percent, 0.0..=100.0).map(|_| percent)
}

fn grid_state(
    presence: GridEvidence,
    grid_power: &Measured<Power>,
    output: &Measured<Power>,
    fresh: &Fresh<'_>,
) -> GridState {
    let milliwatts = |power: &Measured<Power>| power.as_ref().ok().map(|power| power.milliwatts());
    match presence {
        GridEvidence::Unknown => GridState::Unknown,
        GridEvidence::ByInput => match (milliwatts(grid_power), milliwatts(output)) {
            (Some(1..), _) => GridState::Present,
            (Some(0), Some(1..)) => GridState::Absent,
            _ => GridState::Unknown,
        },
        GridEvidence::ByFlow => match milliwatts(grid_power) {
            None | Some(0) => GridState::Unknown,
            Some(_) => GridState::Present,
        },
        GridEvidence::ByStatus { there, gone } => {
            match fresh.get("grid_status").and_then(|value| value.as_i64()) {
                Some(status) if status == there => GridState::Present,
                Some(status) if Some(status) == gone => GridState::Absent,
                _ => GridState::Unknown,
            }
        }
    }
}

/// The battery and its packs, which are as large as it. What was said about packs once stays true; where a model
/// says how many it has and has not done so, its size is not known.
pub fn capacity(station: &Station, state: &DeviceState) -> Measured<Energy> {
    let code = station.model.as_str();
    let one = model(code).and_then(|model| model.capacity);
    let one = one.ok_or_else(|| Absent::new(Reason::NotSupported, ""))?;
    let n_packs = state.n_packs().or_else(|| (!counts_packs(code)).then_some(0));
    let n_batteries = 1 + i64::from(n_packs.ok_or_else(Absent::not_reported)?);
    let total = one.millijoules().checked_mul(n_batteries);
    total.map(Energy::from_millijoules).ok_or_else(Absent::not_reported)
}

/// Whether a model says how many expansion packs it has.
fn counts_packs(code: &str) -> bool {
    map::messages(resolved(code)).any(|message| message.names().any(|name| name == PACKS))
}

/// Whether a model says how many expansion packs it has, but not in the message with its power.
pub fn counts_packs_apart(code: &str) -> bool {
    let output = meaning::for_model(resolved(code)).map(|meaning| meaning.output).unwrap_or_default();
    let mut with_power = map::messages(resolved(code))
        .filter(|message| output.iter().all(|term| message.names().any(|name| name == term.name())));
    counts_packs(code) && !with_power.any(|message| message.names().any(|name| name == PACKS))
}

fn number(name: &str, fresh: &Fresh<'_>) -> Measured<f64> {
    let value = fresh.get(name).ok_or_else(Absent::not_reported)?;
    value.as_f64().ok_or_else(|| Absent::new(Reason::Garbled, &value.to_string()))
}

/// A number in thousandths, if it is in the range.
fn thousandths(number: f64, plausible: RangeInclusive<f64>) -> Measured<i64> {
    if !plausible.contains(&number) {
        return Err(Absent::new(Reason::Implausible, &number.to_string()));
    }
    #[allow(clippy::cast_possible_truncation, reason = "the range was checked, and it is small")]
    Ok((number * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::SafeText;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn station(model: &str) -> Station {
        Station { serial: SafeText::new("SN"), model: SafeText::new(model), name: SafeText::new("Garage") }
    }

    fn state(values: Value) -> DeviceState {
        let mut state = DeviceState::default();
        state.merge(&serde_json::from_value(values).unwrap(), at(100));
        state
    }

    fn read(model: &str, values: Value) -> StationReading {
        reading(&station(model), &state(values), at(100), PollingMode::Normal).unwrap()
    }

    fn reason<T>(measured: Result<&T, &Absent>) -> Option<Reason> {
        measured.err().map(|absent| absent.reason)
    }

    fn f3800(ac_in: i64, solar: i64, out: i64) -> Value {
        json!({"battery_soc": 87, "ac_input_power": ac_in, "photovoltaic_power": solar, "output_power_total": out})
    }

    #[test]
    fn an_f3800_takes_from_grid_and_sun() {
        let reading = read("A1790P", f3800(500, 640, 435));
        assert_eq!(reading.device.soc(), Ok(&Share::from_millipercent(87_000)));
        assert_eq!(reading.device.power_input(), Ok(&Power::from_watts(1140)));
        assert_eq!(reading.device.power_output(), Ok(&Power::from_watts(435)));
        assert_eq!(reading.device.grid_power(), Ok(&Power::from_watts(500)));
        assert_eq!(reading.device.solar_power(), Ok(&Power::from_watts(640)));
        assert_eq!((reading.grid, reading.at), (GridState::Present, at(100)));
    }

    #[test]
    fn the_grid_is_gone_if_there_is_output_without_input() {
        let grid = |ac_in, out| read("A1790P", f3800(ac_in, 0, out)).grid;
        assert_eq!(
            (grid(1, 0), grid(0, 1), grid(0, 0)),
            (GridState::Present, GridState::Absent, GridState::Unknown)
        );
        assert_eq!(read("A1790P", json!({"output_power_total": 5})).grid, GridState::Unknown);
    }

    #[test]
    fn of_a_station_behind_a_panel_nothing_is_said_about_the_grid() {
        let mut state = state(f3800(0, 0, 400));
        state.is_behind_hub = true;
        let reading = reading(&station("A1790P"), &state, at(100), PollingMode::Normal).unwrap();
        assert_eq!(reading.grid, GridState::Unknown);
    }

    #[test]
    fn a_figure_without_all_of_its_values_is_not_reported_and_not_a_part_of_it() {
        let reading = read("A1790P", json!({"ac_input_power": 500}));
        assert_eq!(reason(reading.device.power_input()), Some(Reason::NotReported));
        assert_eq!(reason(reading.device.soc()), Some(Reason::NotReported));
        assert_eq!(reading.device.grid_power(), Ok(&Power::from_watts(500)));
    }

    #[test]
    fn numbers_that_cannot_be_are_kept_as_text() {
        let values = json!({"battery_soc": 101, "ac_input_power": 20_001, "photovoltaic_power": -1, "output_power_total": -5});
        let reading = read("A1790P", values);
        let soc = reading.device.soc().unwrap_err();
        assert_eq!((soc.reason, soc.text.as_str()), (Reason::Implausible, "101"));
        assert_eq!(reason(reading.device.power_input()), Some(Reason::Implausible));
        assert_eq!(reason(reading.device.grid_power()), Some(Reason::Implausible));
        assert_eq!(reason(reading.device.solar_power()), Some(Reason::Implausible));
        assert_eq!(reason(reading.device.power_output()), Some(Reason::Implausible));
    }

    #[test]
    fn what_is_no_number_is_garbled() {
        let reading = read("A1790P", json!({"battery_soc": "ae0302"}));
        assert_eq!(reason(reading.device.soc()), Some(Reason::Garbled));
    }

    #[test]
    fn values_from_before_are_not_given_again() {
        let mut state = state(f3800(500, 640, 435));
        state.merge(&serde_json::from_value(json!({"expansion_packs": 2})).unwrap(), at(200));
        let station = station("A1790P");
        let later = reading(&station, &state, at(150), PollingMode::Fast).unwrap();
        assert_eq!(reason(later.device.power_output()), Some(Reason::NotReported));
        assert_eq!((later.at, later.fields.len()), (at(200), 1));
        assert_eq!(later.device.capacity(), Ok(&Energy::from_millijoules(3 * 3840 * 3_600_000)));
        assert_eq!(reading(&station, &state, at(201), PollingMode::Normal), None);
    }

    #[test]
    fn without_a_charge_of_its_own_the_mean_of_the_batteries_counts() {
        let values = json!({"main_battery_soc": 100, "exp_1_soc": 20, "exp_2_soc": 31, "expansion_packs": 2});
        assert_eq!(read("A1790", values.clone()).device.soc(), Ok(&Share::from_millipercent(50_333)));
        assert_eq!(read("A1761", values).device.soc(), Ok(&Share::from_millipercent(50_333)));
        let broken = json!({"main_battery_soc": 100, "exp_1_soc": 255, "expansion_packs": 1});
        assert_eq!(reason(read("A1761", broken).device.soc()), Some(Reason::Implausible));
    }

    #[test]
    fn the_sum_of_both_inputs_of_a_c1000_is_not_counted_as_sun() {
        let values = json!({"ac_input_power": 584, "dc_input_power": 0, "photovoltaic_power": 584});
        let reading = read("A1761", values);
        assert_eq!(reading.device.power_input(), Ok(&Power::from_watts(584)));
        assert_eq!(reading.device.solar_power(), Ok(&Power::from_watts(0)));
    }

    #[test]
    fn a_panel_counts_sun_and_grid_in_and_the_home_out() {
        let values = |gp, gs| json!({"battery_soc": 62, "photovoltaic_power": 120, "grid_power_signed": gp, "ac_output_power": 1529, "grid_status": gs});
        let charging = read("A17B1", values(3705, 0));
        assert_eq!(charging.device.power_input(), Ok(&Power::from_watts(3825)));
        assert_eq!(charging.grid, GridState::Present);
        let selling = read("A17B1", values(-100, 0));
        assert_eq!(selling.device.power_input(), Ok(&Power::from_watts(120)));
        assert_eq!(selling.device.grid_power(), Ok(&Power::from_watts(-100)));
        assert_eq!(read("A17B1", values(0, 1)).grid, GridState::Absent);
    }

    #[test]
    fn what_a_model_does_not_have_is_not_supported() {
        let meter = read("A17X7", json!({"grid_to_home_power": 212, "pv_to_grid_power": 8}));
        assert_eq!(meter.device.grid_power(), Ok(&Power::from_watts(204)));
        assert_eq!(
            (reason(meter.device.soc()), reason(meter.device.power_output())),
            (Some(Reason::NotSupported), Some(Reason::NotSupported))
        );
        assert_eq!(reason(meter.device.capacity()), Some(Reason::NotSupported));
    }

    #[test]
    fn a_battery_that_may_have_packs_has_no_size_until_they_are_counted() {
        assert_eq!(reason(read("A1790P", f3800(0, 0, 400)).device.capacity()), Some(Reason::NotReported));
        let counted = |n_packs| {
            let mut state = state(f3800(0, 0, 400));
            state.set_packs(n_packs);
            let reading = reading(&station("A1790P"), &state, at(100), PollingMode::Normal).unwrap();
            assert!(!reading.fields.contains_key("expansion_packs"), "it was not said now");
            reading.device.capacity().copied().map_err(Absent::clone)
        };
        assert_eq!(counted(0), Ok(Energy::from_millijoules(3840 * 3_600_000)));
        assert_eq!(counted(2), Ok(Energy::from_millijoules(3 * 3840 * 3_600_000)));
        assert_eq!(
            read("A1722", json!({"battery_soc": 5})).device.capacity(),
            Ok(&Energy::from_millijoules(288 * 3_600_000))
        );
    }

    #[test]
    fn an_f3800_counts_its_packs_apart_and_a_c1000_with_its_power() {
        let apart: Vec<&str> =
            ["A1790", "A1790P", "A17C1", "A17C3", "A1761", "A17C2", "AE103", "A1763", "A17B1"]
                .into_iter()
                .filter(|code| counts_packs_apart(code))
                .collect();
        assert_eq!(apart, ["A1790", "A1790P", "A17C1", "A17C3"]);
    }

    #[test]
    fn packs_that_are_only_seen_by_their_charge_are_counted_by_it() {
        let reading = read("A1763", json!({"battery_soc": 50, "exp_1_soc": 40}));
        assert_eq!(reading.device.capacity(), Ok(&Energy::from_millijoules(2 * 1024 * 3_600_000)));
    }

    #[test]
    fn a_model_under_another_code_is_read_as_the_one_it_is() {
        let reading = read("A1765", json!({"battery_soc": 50}));
        assert_eq!(reading.device.soc(), Ok(&Share::from_millipercent(50_000)));
        assert_eq!(reading.device.capacity(), Ok(&Energy::from_millijoules(1024 * 3_600_000)));
    }
}
