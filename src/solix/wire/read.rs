//! The figures of a reading, from what a device has said lately.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::meaning::{self, Charge, Meaning, Presence, Sum, Term};
use super::model::{model, resolved};
use super::state::DeviceState;
use crate::reading::{
    Absent, DataSource, Energy, GridState, Measured, PollingMode, Power, Reason, Share, Station,
    StationReading, Timestamp,
};

/// More than any of these devices measures, in watts: two stations at a panel give 12 kW.
const PLAUSIBLE_WATTS: RangeInclusive<f64> = -20_000.0..=20_000.0;

/// The most expansion packs that any model takes is six; a greater number is a misreading.
const MOST_PACKS: u64 = 10;

/// The values of one device that came lately, by name.
type Fresh<'a> = BTreeMap<&'a str, &'a Value>;

/// What `station` says by those values of `state` that were received at `since` or later. Its time is that
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
    let meaning = meaning::of(resolved(station.model.as_str()));
    let figure = |sum: fn(&Meaning) -> Sum| power(meaning.map(sum).unwrap_or_default(), &fresh);
    let (input, output) = (figure(|meaning| meaning.input), figure(|meaning| meaning.output));
    let presence = meaning.map_or(Presence::Untold, |meaning| meaning.presence);
    let grid_power = figure(|meaning| meaning.grid);
    // A station takes from its AC input and never gives.
    let grid_power = if presence == Presence::ByInput { grid_power.and_then(one_way) } else { grid_power };
    let is_told = !(state.is_behind_hub() && presence == Presence::ByInput);
    let grid = grid_state(if is_told { presence } else { Presence::Untold }, &grid_power, &output, &fresh);
    Some(StationReading {
        station: station.clone(),
        at,
        source: DataSource::Mqtt,
        mode,
        soc: soc(meaning.map_or(Charge::No, |meaning| meaning.soc), &fresh),
        power_input: input.and_then(one_way),
        power_output: output.and_then(one_way),
        grid_power,
        solar_power: figure(|meaning| meaning.solar).and_then(one_way),
        capacity: capacity(station, state),
        grid,
        fields: fresh.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect(),
    })
}

fn power(sum: Sum, fresh: &Fresh<'_>) -> Measured<Power> {
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
            Term::Gain(_) => value.max(0.0),
        };
    }
    thousandths(watts, PLAUSIBLE_WATTS).map(Power::from_milliwatts)
}

/// A power that has one direction only.
fn one_way(power: Power) -> Measured<Power> {
    if power.milliwatts() < 0 {
        return Err(Absent::new(Reason::Implausible, &power.to_string()));
    }
    Ok(power)
}

fn soc(charge: Charge, fresh: &Fresh<'_>) -> Measured<Share> {
    let percent = match charge {
        Charge::No => return Err(Absent::new(Reason::NotSupported, "")),
        Charge::Is(name) => number(name, fresh)?,
        Charge::IsElseMean if fresh.contains_key("battery_soc") => number("battery_soc", fresh)?,
        Charge::IsElseMean | Charge::Mean => mean_soc(fresh)?,
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
    presence: Presence,
    grid_power: &Measured<Power>,
    output: &Measured<Power>,
    fresh: &Fresh<'_>,
) -> GridState {
    let milliwatts = |power: &Measured<Power>| power.as_ref().ok().map(|power| power.milliwatts());
    match presence {
        Presence::Untold => GridState::Unknown,
        Presence::ByInput => match (milliwatts(grid_power), milliwatts(output)) {
            (Some(1..), _) => GridState::Present,
            (Some(0), Some(1..)) => GridState::Absent,
            _ => GridState::Unknown,
        },
        Presence::ByFlow => match milliwatts(grid_power) {
            None | Some(0) => GridState::Unknown,
            Some(_) => GridState::Present,
        },
        Presence::ByStatus { there, gone } => match fresh.get("grid_status").and_then(|value| value.as_i64())
        {
            Some(status) if status == there => GridState::Present,
            Some(status) if Some(status) == gone => GridState::Absent,
            _ => GridState::Unknown,
        },
    }
}

/// The battery and its packs, which are as large as it. What was said about packs once stays true.
fn capacity(station: &Station, state: &DeviceState) -> Option<Energy> {
    let one = model(station.model.as_str())?.capacity?;
    let said = state.values().get("expansion_packs").and_then(Value::as_u64);
    let n_batteries = 1 + i64::try_from(said.filter(|n_packs| *n_packs <= MOST_PACKS).unwrap_or(0)).ok()?;
    Some(Energy::from_millijoules(one.millijoules().checked_mul(n_batteries)?))
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
