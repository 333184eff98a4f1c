//! Readings of stations that REST alone gives, and what else a site's answers say of its devices.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::site::PANEL_MODEL;
use super::{BoundDevice, PanelAverage, Role, Scene, SceneDevice};
use crate::reading::{
    Absent, DataSource, Device, DeviceKind, GridState, Measured, PollingMode, Power, Quantity, Share,
    Station, StationReading, Timestamp,
};

/// Models that nothing but solar panels feeds, so that what these give is all that flows in.
const SOLAR_ONLY: &[&str] = &["A17C0", "A17C1", "A17C3"];

/// The cloud's clock may be so much ahead of ours.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2 * 60);

/// A time before this year is what the cloud writes where it has none, also beside numbers that are good.
const FIRST_YEAR: i16 = 2020;

/// One device of a site, as the site's answers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteReading {
    /// Whose it is.
    pub station: Station,
    /// Whether the cloud has a connection to it.
    pub online: Option<bool>,
    /// The number of its expansion packs.
    pub n_packs: Option<u8>,
    /// When its newest numbers were measured, however old they are.
    pub measured_at: Option<Timestamp>,
    /// Its numbers, or why they are none. The polling mode is the normal one; whoever asked in another sets it.
    pub reading: Result<StationReading, NoReading>,
}

/// Why numbers of a site are no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoReading {
    /// The cloud has no connection to the device.
    #[error("it is offline")]
    Offline,
    /// There are none, or the app is told not to show them.
    #[error("the cloud shows no numbers")]
    NotShown,
    /// They are older than a reading may be.
    #[error("its newest numbers are of {0}")]
    Old(Timestamp),
    /// Nothing says how old they are.
    #[error("the cloud does not say of when its numbers are")]
    Ageless,
    /// They were not asked for now: they are large, and change every five minutes.
    #[error("not asked for its numbers now")]
    NotAsked,
}

/// When a site's answers came, and how old their numbers may be to be a reading.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// When they came.
    pub at: Timestamp,
    /// Numbers that are older are no reading.
    pub max_age: Duration,
}

/// The devices in a site's answers: its panel, with the means of five minutes if they were asked for, and each
/// solarbank. `devices` are those of the account: they name the panel where the scene does not, and say who is
/// connected and in which time zone.
pub fn site_readings(
    devices: &[BoundDevice],
    scene: &Scene,
    average: Option<&PanelAverage>,
    received: Received,
) -> Vec<SiteReading> {
    let panel =
        panel_of(devices, scene).map(|station| panel_word(devices, scene, station, average, received));
    let batteries: Vec<&SceneDevice> =
        scene.devices.iter().filter(|device| device.role != Role::Panel).collect();
    // What is the site's, such as its meter, stands at its first battery, so that nothing is counted twice.
    let first = batteries.iter().map(|device| &device.station.serial).min();
    let words = batteries.iter().map(|device| {
        let parts =
            Parts { has_meter: Some(&device.station.serial) == first, is_only_battery: batteries.len() == 1 };
        battery_word(scene, device, bound(devices, &device.station), parts, received)
    });
    panel.into_iter().chain(words).collect()
}

/// Whether nothing is to be had of the panel of this scene, so that its large answers need not be asked for.
pub(crate) fn is_panel_offline(devices: &[BoundDevice], scene: &Scene) -> bool {
    let panel = panel_of(devices, scene);
    panel.is_some_and(|panel| online(bound(devices, &panel), in_scene(scene, &panel)) == Some(false))
}

fn panel_word(
    devices: &[BoundDevice],
    scene: &Scene,
    station: Station,
    average: Option<&PanelAverage>,
    received: Received,
) -> SiteReading {
    let in_scene = in_scene(scene, &station);
    let online = online(bound(devices, &station), in_scene);
    let measured_at = average.and_then(|average| average.valid_at);
    let reading = match (average, measured_at) {
        _ if online == Some(false) => Err(NoReading::Offline),
        (None, _) => Err(NoReading::NotAsked),
        (Some(_), None) => Err(NoReading::Ageless),
        (Some(average), Some(measured_at)) => fresh(measured_at, received).map(|at| {
            let keys = in_scene.map(|device| device.keys.as_slice()).unwrap_or_default();
            let raw_keys: BTreeSet<String> = keys.iter().chain(&average.keys).cloned().collect();
            panel_reading(station.clone(), average, at, raw_keys.into_iter().collect())
        }),
    };
    SiteReading { station, online, n_packs: None, measured_at, reading }
}

/// Which of a site's figures are those of one of its batteries.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// The meter's.
    has_meter: bool,
    /// The power from the grid to batteries.
    is_only_battery: bool,
}

fn battery_word(
    scene: &Scene,
    device: &SceneDevice,
    bound: Option<&BoundDevice>,
    parts: Parts,
    received: Received,
) -> SiteReading {
    let online = online(bound, Some(device));
    let zone = bound.and_then(|bound| bound.time_zone.as_ref());
    let zone = zone.and_then(|zone| TimeZone::posix(zone.as_str()).ok());
    // What is said of all numbers is said of those of solarbanks.
    let is_shown = (scene.is_fresh || device.role != Role::Solarbank)
        && (device.soc.is_ok() || device.solar_power.is_ok() || device.output_power.is_ok());
    // The time is that of solarbanks; an F3000 has none.
    let written = scene.updated_time.as_ref().filter(|_| device.role == Role::Solarbank);
    let written = written.and_then(|written| written.as_str().parse::<DateTime>().ok());
    let written = written.filter(|written| written.year() >= FIRST_YEAR);
    let measured_at = written.and_then(|written| moment(written, zone.as_ref(), received.at));
    let reading = match (written, measured_at) {
        _ if online == Some(false) => Err(NoReading::Offline),
        _ if !is_shown => Err(NoReading::NotShown),
        (Some(_), None) => Err(NoReading::Ageless),
        (Some(_), Some(measured_at)) => fresh(measured_at, received),
        (None, _) => Ok(received.at),
    };
    let reading = reading.map(|at| battery_reading(scene, device, parts, at));
    let station = device.station.clone();
    SiteReading { station, online, n_packs: device.n_packs, measured_at, reading }
}

/// The time of a reading of numbers that were measured then.
fn fresh(measured_at: Timestamp, received: Received) -> Result<Timestamp, NoReading> {
    // Means of five minutes may end a little later than now.
    let at = measured_at.min(received.at);
    if received.max_age < received.at.since(at) { Err(NoReading::Old(at)) } else { Ok(at) }
}

/// A moment that the cloud writes without a time zone. We ask it for UTC, and it is not known whether that
/// counts: so it is that of the device's zone or that of UTC which is later, but not to come.
fn moment(written: DateTime, zone: Option<&TimeZone>, now: Timestamp) -> Option<Timestamp> {
    let zones = std::iter::once(TimeZone::UTC).chain(zone.cloned());
    let moments = zones.filter_map(|zone| zone.to_timestamp(written).ok());
    let moments = moments.map(|moment| Timestamp::from_micros(moment.as_microsecond()));
    moments.filter(|moment| *moment <= now.plus(CLOCKS_DIFFER)).max()
}

/// Whether a device is connected by the list of devices and the scene. One that says no is believed.
fn online(bound: Option<&BoundDevice>, in_scene: Option<&SceneDevice>) -> Option<bool> {
    let words = [bound.and_then(|bound| bound.wifi_online), in_scene.and_then(|device| device.online)];
    words.into_iter().flatten().min()
}

fn bound<'a>(devices: &'a [BoundDevice], station: &Station) -> Option<&'a BoundDevice> {
    devices.iter().find(|device| device.serial == station.serial)
}

fn in_scene<'a>(scene: &'a Scene, station: &Station) -> Option<&'a SceneDevice> {
    scene.devices.iter().find(|device| device.station.serial == station.serial)
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
        // Of a site of solarbanks it is nobody.
        None if !scene.devices.is_empty() => None,
        None => {
            let only = panels.next()?;
            panels.next().is_none().then(|| only.station())
        }
    }
}

fn panel_reading(
    station: Station,
    average: &PanelAverage,
    at: Timestamp,
    raw_keys: Vec<String>,
) -> StationReading {
    // The names are those of anker-solix-api's `average_power`, in W instead of kW.
    let fields = [
        ("average_slot", Some(Value::from(average.slot.as_str()))),
        ("valid_time", average.valid_at.map(|valid_at| Value::from(valid_at.to_string()))),
        ("state_of_charge", percent(&average.soc)),
        ("charge_power_avg", watts(&average.charge_power)),
        ("discharge_power_avg", watts(&average.discharge_power)),
        ("solar_power_avg", watts(&average.solar_power)),
        ("home_usage_avg", watts(&average.home_power)),
        ("grid_import_avg", watts(&average.grid_power)),
    ];
    let input = sum(&average.grid_power, &average.solar_power);
    let powers = [&input, &average.home_power, &average.grid_power, &average.solar_power];
    reading(station, at, &average.soc, powers, fields, raw_keys)
}

fn battery_reading(scene: &Scene, device: &SceneDevice, parts: Parts, at: Timestamp) -> StationReading {
    let unknown = Err(Absent::not_reported());
    let from_grid = if parts.is_only_battery { &scene.grid_to_battery_power } else { &unknown };
    let is_solar_only = SOLAR_ONLY.contains(&device.station.model.as_str());
    let input = if is_solar_only { device.solar_power.clone() } else { sum(&device.solar_power, from_grid) };
    let (grid, home_load) =
        if parts.has_meter { (&scene.grid_power, &scene.home_load_power) } else { (&unknown, &unknown) };
    let fields = [
        ("battery_soc", percent(&device.soc)),
        ("photovoltaic_power", watts(&device.solar_power)),
        ("output_power", watts(&device.output_power)),
        ("grid_to_battery_power", watts(from_grid)),
        ("home_load_power", watts(home_load)),
    ];
    let powers = [&input, &device.output_power, grid, &device.solar_power];
    reading(device.station.clone(), at, &device.soc, powers, fields, device.keys.clone())
}

/// `powers` are those of the input, the output, the grid and the sun.
fn reading(
    station: Station,
    at: Timestamp,
    soc: &Measured<Share>,
    powers: [&Measured<Power>; 4],
    fields: impl IntoIterator<Item = (&'static str, Option<Value>)>,
    raw_keys: Vec<String>,
) -> StationReading {
    let [input, output, grid, solar] = powers.map(Clone::clone);
    let flows = grid.as_ref().is_ok_and(|power| *power != Power::from_watts(0));
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    StationReading {
        station,
        at,
        source: DataSource::RestApi,
        mode: PollingMode::Normal,
        device: Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
            .measured(Quantity::StateOfCharge, soc.clone())
            .measured(Quantity::PowerInput, input)
            .measured(Quantity::PowerOutput, output)
            .measured(Quantity::GridPower, grid)
            .measured(Quantity::SolarPower, solar),
        grid: if flows { GridState::Present } else { GridState::Unknown },
        fields: fields.collect(),
        raw_keys,
    }
}

fn percent(share: &Measured<Share>) -> Option<Value> {
    share.as_ref().ok().map(|share| Value::from(share.percent()))
}

fn watts(power: &Measured<Power>) -> Option<Value> {
    power.as_ref().ok().map(|power| Value::from(power.watts()))
}

/// A sum of which a part is missing is missing.
fn sum(one: &Measured<Power>, two: &Measured<Power>) -> Measured<Power> {
    match (one, two) {
        (Ok(one), Ok(two)) => Ok([*one, *two].into_iter().sum()),
        (Err(absent), _) | (_, Err(absent)) => Err(absent.clone()),
    }
}

/// A line in the log about a station, in the words that people look for in their journals. What the REST interface
/// does not say is a question mark.
pub(crate) fn rest_line(station: &Station, reading: &Result<StationReading, NoReading>) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "?".to_owned(), |number| format!("{number:.0}"));
    let watts = |power: Result<&Power, &Absent>| number(power.ok().map(|power| power.watts()));
    let name = station.called();
    match reading {
        Ok(reading) => {
            let soc = number(reading.device.soc().ok().map(|soc| soc.percent()));
            let (input, output) = (watts(reading.device.power_input()), watts(reading.device.power_output()));
            format!("REST API: {name} SOC={soc}% In={input}W Out={output}W")
        }
        Err(why) => format!("REST API: {name} SOC=?% In=?W Out=?W ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::battery::anker::rest::{device, site};
    use crate::reading::SafeText;

    const AT: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    const RECEIVED: Received = Received { at: AT, max_age: Duration::from_secs(25 * 60) };

    fn bound_in(answer: &str) -> Vec<BoundDevice> {
        let answer: Value = serde_json::from_str(answer).unwrap();
        device::parse(&answer["data"]).map(|(device, _)| device).collect()
    }

    fn devices() -> Vec<BoundDevice> {
        bound_in(include_str!("../../../../fixtures/solix/rest/bind_devices.json"))
    }

    fn scene_in(answer: &str) -> Scene {
        site::parse_scene(&serde_json::from_str::<Value>(answer).unwrap()["data"])
    }

    fn average(grid_power: Measured<Power>, valid_at: Option<Timestamp>) -> PanelAverage {
        PanelAverage {
            slot: SafeText::new("2026-06-09 21:25"),
            valid_at,
            soc: Ok(Share::from_millipercent(17_000)),
            charge_power: Ok(Power::from_watts(0)),
            discharge_power: Ok(Power::from_watts(0)),
            solar_power: Ok(Power::from_watts(500)),
            home_power: Ok(Power::from_watts(4_110)),
            grid_power,
            keys: vec!["chargeLevel".to_owned()],
        }
    }

    fn panel_at(valid_at: Option<Timestamp>) -> Result<StationReading, NoReading> {
        let average = average(Ok(Power::from_watts(3_610)), valid_at);
        let words = site_readings(&devices(), &Scene::default(), Some(&average), RECEIVED);
        assert_eq!(words[0].station.serial.as_str(), "UUBABYAH2ONIAPD4");
        words[0].reading.clone()
    }

    #[test]
    fn a_panels_means_are_a_reading_of_the_panel_of_when_they_were_measured() {
        let measured_at = AT.minus(Duration::from_secs(72));
        let reading = panel_at(Some(measured_at)).unwrap();
        assert_eq!((reading.source, reading.at), (DataSource::RestApi, measured_at));
        assert_eq!(reading.device.power_input(), Ok(&Power::from_watts(4_110)));
        assert_eq!(reading.device.power_output(), Ok(&Power::from_watts(4_110)));
        assert_eq!(reading.grid, GridState::Present);
        assert_eq!(reading.fields["state_of_charge"], json!(17.0));
        assert_eq!(reading.raw_keys, ["chargeLevel"]);
    }

    #[test]
    fn means_that_are_old_or_of_no_known_time_are_no_reading() {
        let old = AT.minus(HOUR);
        assert_eq!(panel_at(Some(old)), Err(NoReading::Old(old)));
        assert_eq!(panel_at(None), Err(NoReading::Ageless));
        let later = AT.plus(Duration::from_secs(100));
        assert_eq!(panel_at(Some(later)).unwrap().at, AT, "nothing is measured later than now");
    }

    #[test]
    fn a_panel_that_the_cloud_calls_offline_gives_no_reading() {
        let scene = scene_in(include_str!("../../../../fixtures/solix/rest/scene_panel_offline.json"));
        assert!(is_panel_offline(&devices(), &scene));
        let average = average(Ok(Power::from_watts(0)), Some(AT));
        let words = site_readings(&devices(), &scene, Some(&average), RECEIVED);
        assert_eq!((words[0].online, words[0].reading.clone()), (Some(false), Err(NoReading::Offline)));
        let live = scene_in(include_str!("../../../../fixtures/solix/rest/scene_panel.json"));
        assert!(!is_panel_offline(&devices(), &live));
    }

    #[test]
    fn a_sum_of_which_a_part_is_missing_is_missing() {
        let average = average(Err(Absent::not_reported()), Some(AT));
        let words = site_readings(&devices(), &Scene::default(), Some(&average), RECEIVED);
        let reading = words[0].reading.clone().unwrap();
        assert_eq!(reading.device.power_input(), Err(&Absent::not_reported()));
        assert_eq!(reading.grid, GridState::Unknown);
        assert!(!reading.fields.contains_key("grid_import_avg"));
    }

    #[test]
    fn a_panel_that_may_be_one_of_two_is_nobodys() {
        let mut devices = devices();
        devices[1].model = SafeText::new(PANEL_MODEL);
        let average = average(Ok(Power::from_watts(0)), Some(AT));
        assert!(site_readings(&devices, &Scene::default(), Some(&average), RECEIVED).is_empty());
    }

    /// A site of solarbanks of these models that were heard at `updated`, 40 W from the grid into them.
    fn scene(models: &[&str], updated: &str, is_fresh: bool) -> Scene {
        let solarbanks: Vec<Value> = (0..)
            .zip(models)
            .map(|(n, model)| {
                json!({"device_sn": format!("s{n}"), "device_pn": model, "battery_power": "69", "status": "1",
                    "photovoltaic_power": "120", "output_power": "100", "sub_package_num": 1})
            })
            .collect();
        site::parse_scene(&json!({
            "grid_info": {"grid_list": [{"device_sn": "m", "status": "1"}], "grid_to_home_power": "212",
                "photovoltaic_to_grid_power": "0"},
            "home_load_power": "312",
            "solarbank_info": {"is_display_data": is_fresh, "power_unit": "W", "updated_time": updated,
                "grid_to_battery_power": "40", "solarbank_list": solarbanks},
        }))
    }

    fn words(scene: &Scene) -> Vec<SiteReading> {
        site_readings(&[], scene, None, RECEIVED)
    }

    /// A minute before [`AT`], as the cloud writes it.
    const LATELY: &str = "2026-11-24 06:59:00";

    #[test]
    fn a_solarbank_of_a_fresh_scene_is_a_reading_of_when_it_was_heard() {
        let words = words(&scene(&["A17C1"], LATELY, true));
        let reading = words[0].reading.clone().unwrap();
        assert_eq!((reading.at, words[0].n_packs), (AT.minus(Duration::from_secs(60)), Some(1)));
        assert_eq!(reading.device.soc(), Ok(&Share::from_millipercent(69_000)));
        assert_eq!(reading.device.power_input(), Ok(&Power::from_watts(120)));
        assert!(reading.raw_keys.contains(&"battery_power".to_owned()));
    }

    #[test]
    fn numbers_that_are_not_shown_or_old_or_of_a_time_to_come_are_no_readings() {
        let why = |updated, is_fresh| words(&scene(&["A17C1"], updated, is_fresh))[0].reading.clone().err();
        assert_eq!(why(LATELY, false), Some(NoReading::NotShown));
        assert_eq!(why("2026-11-24 02:00:00", true), Some(NoReading::Old(AT.minus(HOUR * 5))));
        assert_eq!(why("2026-11-24 09:00:00", true), Some(NoReading::Ageless));
        for nothing in ["", "1970-01-01 00:00:00", "01-01-0001 00:00:00"] {
            assert_eq!(why(nothing, true), None, "where nothing is said of the time, the status counts");
        }
    }

    #[test]
    fn an_f3000_is_shown_whatever_is_said_of_solarbanks() {
        let scene = site::parse_scene(&json!({
            "solarbank_info": {"is_display_data": false, "updated_time": "2024-01-01 00:00:00"},
            "solarbank_pps_info": {"total_grid_to_battery": "30", "pps_list": [{"device_sn": "f", "device_pn": "A1782",
                "status": "1", "battery_power": "55", "pv_power": "100", "home_load_power": "70", "power_unit": "W"}]},
        }));
        let reading = words(&scene)[0].reading.clone().unwrap();
        assert_eq!((reading.at, reading.device.soc()), (AT, Ok(&Share::from_millipercent(55_000))));
        assert_eq!(reading.device.power_input(), Ok(&Power::from_watts(130)));
        assert_eq!(reading.device.power_output(), Ok(&Power::from_watts(70)));
    }

    #[test]
    fn zeros_that_are_not_shown_are_no_reading_though_the_site_is() {
        let scene = scene_in(include_str!("../../../../fixtures/solix/rest/scene_undisplayed.json"));
        assert_eq!(words(&scene)[0].reading, Err(NoReading::NotShown));
    }

    #[test]
    fn a_solarbank_that_either_list_calls_offline_gives_no_reading() {
        let mut gone = scene(&["A17C1"], LATELY, true);
        gone.devices[0].online = Some(false);
        assert_eq!(words(&gone)[0].reading, Err(NoReading::Offline));
        let mut bound = devices().remove(0);
        (bound.serial, bound.wifi_online) = (SafeText::new("s0"), Some(false));
        let here = scene(&["A17C1"], LATELY, true);
        assert_eq!(site_readings(&[bound], &here, None, RECEIVED)[0].reading, Err(NoReading::Offline));
    }

    #[test]
    fn the_meter_stands_at_the_first_battery_of_its_site() {
        let readings = words(&scene(&["A17C1", "A17C1"], LATELY, true));
        let grid = |n: usize| {
            readings[n].reading.clone().unwrap().device.grid_power().copied().map_err(Absent::clone)
        };
        assert_eq!((grid(0), grid(1)), (Ok(Power::from_watts(212)), Err(Absent::not_reported())));
        let first = readings[0].reading.clone().unwrap();
        assert_eq!((first.grid, &first.fields["home_load_power"]), (GridState::Present, &json!(312.0)));
    }

    #[test]
    fn what_the_grid_gives_to_the_only_battery_flows_into_it() {
        let input = |models: &[&str]| {
            words(&scene(models, LATELY, true))[0]
                .reading
                .clone()
                .unwrap()
                .device
                .power_input()
                .copied()
                .map_err(Absent::clone)
        };
        assert_eq!(input(&["A17C5"]), Ok(Power::from_watts(160)));
        assert_eq!(input(&["A17C5", "A17C5"]), Err(Absent::not_reported()), "which of them takes it?");
    }

    #[test]
    fn a_time_without_a_zone_is_the_later_one_that_is_not_to_come() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let new_york = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let at = |written: &str, zone| {
            moment(written.parse().unwrap(), Some(zone), AT).map(|moment| AT.since(moment).as_secs())
        };
        assert_eq!(at("2026-11-24 06:59:00", &berlin), Some(60), "it is UTC");
        assert_eq!(at("2026-11-24 07:59:00", &berlin), Some(60), "it is Berlin's");
        assert_eq!(at("2026-11-24 01:59:00", &new_york), Some(60), "it is New York's");
    }

    #[test]
    fn the_recorded_site_of_two_solarbanks_and_an_inverter_is_read() {
        let scene = scene_in(include_str!("../../../../fixtures/solix/rest/scene_solarbanks.json"));
        let devices = bound_in(include_str!("../../../../fixtures/solix/rest/bind_devices_inverter.json"));
        // It says 2024-02-27 12:33:13.
        let received = Received { at: Timestamp::from_micros(1_709_037_233_000_000), ..RECEIVED };
        let words = site_readings(&devices, &scene, None, received);
        let socs: Vec<f64> =
            words.iter().map(|word| word.reading.clone().unwrap().device.soc().unwrap().percent()).collect();
        assert_eq!(socs, [28.0, 24.0]);
        let later = Received { at: received.at.plus(HOUR), ..received };
        assert!(site_readings(&devices, &scene, None, later).iter().all(|word| word.reading.is_err()));
    }

    #[test]
    fn a_rest_poll_is_told_in_the_words_that_people_look_for() {
        let name = SafeText::new("F3800 Plus");
        let station = Station { serial: SafeText::new("SN"), model: SafeText::new("A1790P"), name };
        let reading = StationReading {
            station: station.clone(),
            at: Timestamp::from_micros(0),
            source: DataSource::RestApi,
            mode: PollingMode::Normal,
            device: Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
                .with(Quantity::StateOfCharge, Share::from_millipercent(87_000))
                .with(Quantity::PowerInput, Power::from_milliwatts(411_600)),
            grid: GridState::Unknown,
            fields: BTreeMap::new(),
            raw_keys: Vec::new(),
        };
        assert_eq!(rest_line(&station, &Ok(reading)), "REST API: F3800 Plus SOC=87% In=412W Out=?W");
        assert_eq!(
            rest_line(&station, &Err(NoReading::Offline)),
            "REST API: F3800 Plus SOC=?% In=?W Out=?W (it is offline)"
        );
    }
}
