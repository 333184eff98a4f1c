//! Readings of stations that REST alone gives.

use std::collections::BTreeMap;

use serde_json::Value;

use super::site::PANEL_MODEL;
use super::{BoundDevice, PanelAverage, Role, Scene, SceneDevice};
use crate::reading::{
    Absent, DataSource, GridState, Measured, PollingMode, Power, Share, Station, StationReading, Timestamp,
};

/// Models that nothing but solar panels feeds, so that what these give is all that flows in.
const SOLAR_ONLY: &[&str] = &["A17C0", "A17C1", "A17C3"];

/// The readings in a site's answers, received `at`: one of the panel, if there are means of five minutes, and
/// one of each solarbank, if the scene is fresh. `devices` names the panel where the scene does not.
///
/// The polling mode is the normal one; whoever asked in another sets it.
pub fn readings(
    devices: &[BoundDevice],
    scene: &Scene,
    average: Option<&PanelAverage>,
    at: Timestamp,
) -> Vec<StationReading> {
    let panel = average.and_then(|average| Some(of_panel(panel_of(devices, scene)?, average, at)));
    let is_solarbank = |device: &&SceneDevice| match device.role {
        Role::Panel => false,
        Role::Solarbank | Role::SolarbankStation => scene.is_fresh,
    };
    panel
        .into_iter()
        .chain(scene.devices.iter().filter(is_solarbank).map(|device| of_solarbank(device, at)))
        .collect()
}

/// The panel of the scene, else the only one of the account. Its name is the owner's, which scenes do not have.
fn panel_of(devices: &[BoundDevice], scene: &Scene) -> Option<Station> {
    let in_scene = scene.devices.iter().find(|device| device.role == Role::Panel);
    let serial = in_scene.map(|device| &device.station.serial);
    let mut panels = devices.iter().filter(|device| device.model.as_str() == PANEL_MODEL);
    match serial {
        Some(serial) => {
            let bound = panels.find(|device| device.serial == *serial).map(BoundDevice::station);
            bound.or_else(|| in_scene.map(|device| device.station.clone()))
        }
        None => {
            let only = panels.next()?;
            panels.next().is_none().then(|| only.station())
        }
    }
}

fn of_panel(station: Station, average: &PanelAverage, at: Timestamp) -> StationReading {
    let both = |one: &Measured<Power>, two: &Measured<Power>| match (one, two) {
        (Ok(one), Ok(two)) => Ok([*one, *two].into_iter().sum()),
        (Err(absent), _) | (_, Err(absent)) => Err(absent.clone()),
    };
    let grid = if average.grid_power.as_ref().is_ok_and(|power| Power::from_watts(0) < *power) {
        GridState::Present
    } else {
        GridState::Unknown
    };
    let mut fields = BTreeMap::from([("average_slot".to_owned(), Value::from(average.slot.as_str()))]);
    if let Some(valid_at) = average.valid_at {
        fields.insert("valid_time".to_owned(), Value::from(valid_at.to_string()));
    }
    // The names are those of anker-solix-api's `average_power`, in W instead of kW.
    note(&mut fields, "state_of_charge", &average.soc, Share::percent);
    note(&mut fields, "charge_power_avg", &average.charge_power, Power::watts);
    note(&mut fields, "discharge_power_avg", &average.discharge_power, Power::watts);
    note(&mut fields, "solar_power_avg", &average.solar_power, Power::watts);
    note(&mut fields, "home_usage_avg", &average.home_power, Power::watts);
    note(&mut fields, "grid_import_avg", &average.grid_power, Power::watts);
    StationReading {
        station,
        at,
        source: DataSource::RestApi,
        mode: PollingMode::Normal,
        soc: average.soc.clone(),
        power_input: both(&average.grid_power, &average.solar_power),
        power_output: average.home_power.clone(),
        grid_power: average.grid_power.clone(),
        solar_power: average.solar_power.clone(),
        capacity: None,
        grid,
        fields,
    }
}

fn of_solarbank(device: &SceneDevice, at: Timestamp) -> StationReading {
    let is_solar_only = SOLAR_ONLY.contains(&device.station.model.as_str());
    let mut fields = BTreeMap::new();
    note(&mut fields, "battery_soc", &device.soc, Share::percent);
    note(&mut fields, "photovoltaic_power", &device.solar_power, Power::watts);
    note(&mut fields, "output_power", &device.output_power, Power::watts);
    StationReading {
        station: device.station.clone(),
        at,
        source: DataSource::RestApi,
        mode: PollingMode::Normal,
        soc: device.soc.clone(),
        power_input: if is_solar_only { device.solar_power.clone() } else { Err(Absent::not_reported()) },
        power_output: device.output_power.clone(),
        grid_power: Err(Absent::not_reported()),
        solar_power: device.solar_power.clone(),
        capacity: None,
        grid: GridState::Unknown,
        fields,
    }
}

/// A field, if it was measured.
fn note<T: Copy>(
    fields: &mut BTreeMap<String, Value>,
    name: &str,
    measured: &Measured<T>,
    number: fn(T) -> f64,
) {
    if let Ok(value) = measured {
        fields.insert(name.to_owned(), Value::from(number(*value)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::Clean;
    use crate::solix::rest::{device, site};

    const AT: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

    fn devices() -> Vec<BoundDevice> {
        let answer = include_str!("../../../fixtures/solix/rest/bind_devices.json");
        let answer: Value = serde_json::from_str(answer).unwrap();
        device::parse(&answer["data"]).map(|(device, _)| device).collect()
    }

    fn average(grid_power: Measured<Power>) -> PanelAverage {
        PanelAverage {
            slot: Clean::new("2026-06-09 21:25"),
            valid_at: Some(AT),
            soc: Ok(Share::from_millipercent(17_000)),
            charge_power: Ok(Power::from_watts(0)),
            discharge_power: Ok(Power::from_watts(0)),
            solar_power: Ok(Power::from_watts(500)),
            home_power: Ok(Power::from_watts(4_110)),
            grid_power,
        }
    }

    #[test]
    fn a_panels_means_are_a_reading_of_the_panel() {
        let readings =
            readings(&devices(), &Scene::default(), Some(&average(Ok(Power::from_watts(3_610)))), AT);
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].station.serial.as_str(), "UUBABYAH2ONIAPD4");
        assert_eq!(readings[0].source, DataSource::RestApi);
        assert_eq!(readings[0].power_input, Ok(Power::from_watts(4_110)));
        assert_eq!(readings[0].power_output, Ok(Power::from_watts(4_110)));
        assert_eq!(readings[0].grid, GridState::Present);
        assert_eq!(readings[0].fields["state_of_charge"], json!(17.0));
    }

    #[test]
    fn a_sum_of_which_a_part_is_missing_is_missing() {
        let average = average(Err(Absent::not_reported()));
        let readings = readings(&devices(), &Scene::default(), Some(&average), AT);
        assert_eq!(readings[0].power_input, Err(Absent::not_reported()));
        assert_eq!(readings[0].grid, GridState::Unknown);
        assert!(!readings[0].fields.contains_key("grid_import_avg"));
    }

    #[test]
    fn a_panel_that_may_be_one_of_two_is_nobodys() {
        let mut devices = devices();
        devices[1].model = Clean::new(PANEL_MODEL);
        assert!(
            readings(&devices, &Scene::default(), Some(&average(Ok(Power::from_watts(0)))), AT).is_empty()
        );
    }

    fn scene(is_fresh: bool, model: &str) -> Scene {
        site::parse_scene(&json!({"solarbank_info": {"is_display_data": is_fresh, "power_unit": "W",
            "solarbank_list": [{"device_sn": "s", "device_pn": model, "battery_power": "69",
            "photovoltaic_power": "120", "output_power": "100"}]}}))
    }

    #[test]
    fn a_solarbank_of_a_fresh_scene_is_a_reading() {
        let readings = readings(&[], &scene(true, "A17C1"), None, AT);
        assert_eq!(readings[0].soc, Ok(Share::from_millipercent(69_000)));
        assert_eq!(readings[0].power_input, Ok(Power::from_watts(120)));
    }

    #[test]
    fn old_numbers_are_no_readings() {
        assert!(readings(&[], &scene(false, "A17C1"), None, AT).is_empty());
    }

    #[test]
    fn what_may_also_be_charged_from_the_grid_has_no_known_input() {
        assert!(readings(&[], &scene(true, "A17C5"), None, AT)[0].power_input.is_err());
    }
}
