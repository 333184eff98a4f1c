//! Accounts of stations, and the rows that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::InventorySent;
use crate::batch::fixtures::{self, Seen, seen};
use crate::reading::{
    Absent, AccountTrouble, Energy, GridState, Measured, Power, Quantity, Reason, SafeText, Share, Station,
    Timestamp,
};

const VALUES: [&str; 5] =
    ["acme_battery_soc", "acme_power_input", "acme_power_output", "acme_grid_power", "acme_solar_power"];

fn events_of(account: AccountReport, style: MetadataStyle) -> Vec<Seen> {
    let batch = Batch { reports: Vec::new(), account: Some(account), ..fixtures::fleet() };
    seen(&batch.events(style, &mut InventorySent::default()))
}

fn full(account: AccountReport) -> Vec<Seen> {
    events_of(account, MetadataStyle::Full)
}

fn one_reading(reading: StationReading) -> AccountReport {
    AccountReport { readings: vec![reading], ..fixtures::no_stations() }
}

fn of<'a>(events: &'a [Seen], event_type: &str) -> Vec<&'a Seen> {
    events.iter().filter(|event| event.event_type == event_type).collect()
}

fn values(events: &[Seen]) -> Vec<(&str, Option<f64>)> {
    events.iter().map(|event| (event.event_type, event.value)).collect()
}

#[test]
fn a_reading_gives_a_row_for_each_value_and_a_heartbeat() {
    let events = full(one_reading(fixtures::station_reading()));
    assert_eq!(
        values(&events)[..7],
        [
            ("acme_battery_soc", Some(87.0)),
            ("acme_power_input", Some(412.0)),
            ("acme_power_output", Some(835.5)),
            ("acme_grid_power", Some(0.0)),
            ("acme_solar_power", Some(412.0)),
            ("battery_runtime_estimate", events[5].value),
            ("acme_heartbeat", Some(1.0)),
        ]
    );
    let at = fixtures::station_reading().at;
    assert!(events[..7].iter().all(|event| event.source == "acme_9DNBH3D0PLDBLX1Y" && event.at == at));
}

#[test]
fn a_value_that_is_not_there_has_no_row_and_its_reason_in_the_heartbeat() {
    let mut reading = fixtures::station_reading();
    reading.device = reading
        .device
        .without(Quantity::PowerOutput, Absent::not_reported())
        .without(Quantity::GridPower, Absent::new(Reason::Implausible, "32767"));
    let events = full(one_reading(reading));
    assert_eq!(of(&events, "acme_power_output").len() + of(&events, "acme_grid_power").len(), 0);
    let heartbeat = &of(&events, "acme_heartbeat")[0].metadata;
    assert_eq!(heartbeat["power_output_w"], Value::Null);
    assert_eq!(heartbeat["power_output_w_absent"], "not_reported");
    assert_eq!(heartbeat["grid_power_w_absent"], "implausible");
    assert_eq!(heartbeat["power_input_w"], 412.0);
}

#[test]
fn zero_watts_are_a_measurement() {
    let events = full(one_reading(fixtures::station_reading()));
    assert_eq!(of(&events, "acme_grid_power")[0].value, Some(0.0));
}

#[test]
fn silence_gives_no_row_but_its_own() {
    let mut report = fixtures::station_report();
    report.readings.clear();
    let since = fixtures::STARTED_AT.minus(Duration::from_secs(900));
    report.stations[0].presence = Presence::Stale(since);
    let events = full(report);
    assert_eq!(
        values(&events),
        [("station_up", Some(0.0)), ("acme_up", Some(1.0)), ("cluster_gpu_power_total", None)]
    );
    let metadata = &events[0].metadata;
    assert_eq!((&metadata["presence"], &metadata["since"]), (&json!("stale"), &json!(since.to_string())));
    assert_eq!(metadata["last_reading_age_s"], 2.5);
}

#[test]
fn each_presence_has_its_value() {
    let since = fixtures::STARTED_AT;
    let value = |presence| {
        let mut report = fixtures::station_report();
        report.stations[0].presence = presence;
        of(&full(report), "station_up")[0].value
    };
    let presences = [Presence::Live, Presence::Stale(since), Presence::Offline(since), Presence::Awaited];
    assert_eq!(presences.map(value), [Some(1.0), Some(0.0), Some(0.0), None]);
}

#[test]
fn a_station_that_was_never_heard_has_no_age() {
    let mut report = fixtures::station_report();
    report.stations[0].last = None;
    let metadata = &of(&full(report), "station_up")[0].metadata.clone();
    assert_eq!(metadata["last_reading_at"], Value::Null);
    assert_eq!(metadata["last_reading_age_s_absent"], "never_seen");
}

#[test]
fn a_trouble_is_down_with_its_kind_and_words() {
    let message = "the password was refused; log in with `fleetwatt acme login`";
    let trouble = AccountTrouble { kind: "login_refused", message: message.to_owned(), needs_person: true };
    let events = full(AccountReport { trouble: Some(trouble), ..fixtures::no_stations() });
    let down = of(&events, "acme_up")[0];
    assert_eq!((down.source.as_str(), down.value), ("acme", Some(0.0)));
    assert_eq!(down.metadata["kind"], "login_refused");
    assert_eq!(down.metadata["message"], message);
    assert_eq!(down.metadata["needs_person"], true);
}

#[test]
fn an_inventory_without_stations_has_no_row_about_them() {
    let events = fixtures::fleet().events(MetadataStyle::Full, &mut InventorySent::default());
    assert!(events.iter().all(|event| !event.source.starts_with("acme")));
}

#[test]
fn two_readings_of_one_cycle_are_rows_at_two_times() {
    let (mut report, later) = (fixtures::station_report(), Duration::from_secs(30));
    let mut second = report.readings[0].clone();
    second.at = second.at.plus(later);
    report.readings.push(second);
    let events = full(report);
    let times: Vec<Timestamp> = of(&events, "acme_battery_soc").into_iter().map(|event| event.at).collect();
    assert_eq!(times, [fixtures::station_reading().at, fixtures::station_reading().at.plus(later)]);
    assert_eq!((of(&events, "acme_heartbeat").len(), of(&events, "station_up").len()), (2, 1));
}

#[test]
fn a_row_says_who_measured_it_and_how() {
    let events = full(one_reading(fixtures::station_reading()));
    let metadata = &of(&events, "acme_power_input")[0].metadata;
    assert_eq!(
        metadata.keys().collect::<Vec<_>>(),
        [
            "batch",
            "cycle",
            "data_source",
            "device_model",
            "device_name",
            "device_sn",
            "polling_mode",
            "raw_device_keys"
        ]
    );
    assert_eq!((&metadata["data_source"], &metadata["polling_mode"]), (&json!("mqtt"), &json!("normal")));
    assert_eq!(metadata["raw_device_keys"], json!(["ac_output_power", "battery_soc", "sw_version"]));
}

#[test]
fn slim_rows_leave_what_is_always_the_same_to_the_heartbeat() {
    let events = events_of(one_reading(fixtures::station_reading()), MetadataStyle::Slim);
    let metadata = &of(&events, "acme_power_input")[0].metadata;
    assert_eq!(
        metadata.keys().collect::<Vec<_>>(),
        ["batch", "cycle", "data_source", "device_sn", "polling_mode"]
    );
    let heartbeat = &of(&events, "acme_heartbeat")[0].metadata;
    for key in ["device_name", "device_model", "raw_device_keys", "fields", "soc_pct"] {
        assert!(heartbeat.contains_key(key), "{key} is nowhere");
    }
}

#[test]
fn a_runtime_is_the_usable_energy_by_the_net_draw_with_all_that_it_follows_from() {
    let events = full(one_reading(fixtures::station_reading()));
    let estimate = of(&events, "battery_runtime_estimate")[0];
    // 87 % of 3,840 Wh by 423.5 W.
    assert!(estimate.value.is_some_and(|hours| (hours - 7.8885).abs() < 0.001), "{:?}", estimate.value);
    for (key, value) in [
        ("soc_pct", json!(87)),
        ("capacity_wh", json!(3_840)),
        ("power_output_w", json!(835.5)),
        ("power_input_w", json!(412.0)),
        ("net_draw_w", json!(423.5)),
    ] {
        assert_eq!(estimate.metadata[key], value, "{key}");
    }
    assert!(!estimate.metadata.contains_key("is_longer"));
}

#[test]
fn a_battery_that_is_being_charged_has_no_runtime() {
    let mut reading = fixtures::station_reading();
    reading.device.set(Quantity::PowerInput, Ok(Power::from_watts(2_000).into()));
    assert_eq!(of(&full(one_reading(reading)), "battery_runtime_estimate").len(), 0);
}

fn measured<T: std::fmt::Debug + Clone + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Measured<T>> {
    prop_oneof![value.prop_map(Ok), "\\PC*".prop_map(|text| Err(Absent::new(Reason::Garbled, &text)))]
}

fn power() -> impl Strategy<Value = Measured<Power>> {
    measured(any::<i64>().prop_map(Power::from_milliwatts))
}

prop_compose! {
    fn any_reading()(
        names in (".*", ".*", ".*"),
        soc in measured(any::<i64>().prop_map(Share::from_millipercent)),
        powers in (power(), power(), power(), power()),
        capacity in measured(any::<i64>().prop_map(Energy::from_millijoules)),
        fields in proptest::collection::btree_map(".*", any_field(), 0..8),
        micros in any::<i64>(),
    ) -> StationReading {
        StationReading {
            station: Station {
                serial: SafeText::new(&names.0),
                model: SafeText::new(&names.1),
                name: SafeText::new(&names.2),
            },
            at: Timestamp::from_micros(micros),
            device: fixtures::station_reading()
                .device
                .measured(Quantity::StateOfCharge, soc)
                .measured(Quantity::PowerInput, powers.0)
                .measured(Quantity::PowerOutput, powers.1)
                .measured(Quantity::GridPower, powers.2)
                .measured(Quantity::SolarPower, powers.3)
                .measured(Quantity::Capacity, capacity),
            grid: GridState::Unknown,
            fields,
            ..fixtures::station_reading()
        }
    }
}

fn any_field() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(Value::Bool),
        ".*".prop_map(Value::String),
        proptest::collection::vec(".*", 0..3).prop_map(|texts| json!(texts)),
        proptest::collection::btree_map(".*", ".*", 0..3).prop_map(|map| json!(map)),
    ]
}

/// Every text in a JSON value, keys included.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.push(key.clone());
                texts(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

proptest! {
    #[test]
    fn any_reading_is_fit_for_the_timeline_and_nothing_is_invented(
        reading in any_reading(), slim in any::<bool>(),
    ) {
        let style = if slim { MetadataStyle::Slim } else { MetadataStyle::Full };
        let measured = [
            reading.device.soc().is_ok(),
            reading.device.power_input().is_ok(),
            reading.device.power_output().is_ok(),
            reading.device.grid_power().is_ok(),
            reading.device.solar_power().is_ok(),
        ];
        let events = events_of(one_reading(reading), style);
        for (event_type, is_measured) in VALUES.into_iter().zip(measured) {
            prop_assert_eq!(of(&events, event_type).len(), usize::from(is_measured), "{}", event_type);
        }
        prop_assert_eq!(of(&events, "acme_heartbeat").len(), 1);
        for event in &events {
            prop_assert!(event.value.is_none_or(f64::is_finite));
            let mut found = vec![event.source.clone()];
            texts(&Value::Object(event.metadata.clone()), &mut found);
            for text in found {
                prop_assert!(!text.contains(char::is_control), "{:?}", text);
            }
        }
    }
}

fn with_fields(fields: impl IntoIterator<Item = (String, Value)>) -> StationReading {
    let fields: BTreeMap<String, Value> = fields.into_iter().collect();
    let raw_keys = fields.keys().cloned().collect();
    StationReading { fields, raw_keys, ..fixtures::station_reading() }
}

#[test]
fn fields_keep_their_numbers_and_lose_what_could_harm() {
    let reading = with_fields([
        ("battery_soc".to_owned(), json!(87)),
        ("remaining_time_hours".to_owned(), json!(7.2)),
        ("wifi\u{0}_name".to_owned(), json!("\u{1b}[31mhome\u{0}\n2")),
        ("list".to_owned(), json!(["\u{0}a", { "k\u{7}": "v" }])),
    ]);
    let (fields, n_left_out) = bounded_fields(&reading);
    assert_eq!(
        Value::Object(fields),
        json!({
            "battery_soc": 87, "remaining_time_hours": 7.2, "wifi_name": "[31mhome 2",
            "list": ["a", { "k": "v" }],
        })
    );
    assert_eq!(n_left_out, 0);
}

#[test]
fn more_fields_than_the_bound_are_counted() {
    let many = with_fields((0..MAX_FIELDS + 7).map(|n| (format!("field_{n:04}"), json!(n))));
    let heartbeat = heartbeat(&many).into_value();
    assert_eq!(heartbeat["fields"].as_object().map(Map::len), Some(MAX_FIELDS));
    assert_eq!(heartbeat["fields_left_out"], 7);
    assert_eq!(heartbeat["raw_device_keys_left_out"], 7);
}

#[test]
fn fields_that_are_too_large_or_too_deep_are_left_out_and_the_others_stay() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let reading = with_fields([
        ("a".to_owned(), json!(vec![123_456_789; 2_000])),
        ("b".to_owned(), deep),
        ("c".to_owned(), json!(1)),
    ]);
    let heartbeat = heartbeat(&reading).into_value();
    assert_eq!(heartbeat["fields"], json!({ "c": 1 }));
    assert_eq!(heartbeat["fields_left_out"], 2);
}

#[test]
fn a_heartbeat_of_any_size_stays_within_its_bound() {
    let long = "ä".repeat(500);
    let reading = with_fields((0..400).map(|n| (format!("{n}{long}"), json!(long))));
    let size = crate::batch::Metadata::of(&heartbeat(&reading)).text().len();
    assert!(size < 3 * MAX_FIELD_BYTES, "{size}");
}

#[test]
fn a_battery_of_unknown_size_says_so() {
    for (reason, label) in [(Reason::NotSupported, "unknown_model"), (Reason::NotReported, "packs_unknown")] {
        let mut reading = fixtures::station_reading();
        reading.device = reading.device.without(Quantity::Capacity, Absent::new(reason, ""));
        let heartbeat = heartbeat(&reading).into_value();
        assert_eq!(heartbeat["capacity_wh"], Value::Null);
        assert_eq!(heartbeat["capacity_wh_absent"], label);
    }
    assert_eq!(super::heartbeat(&fixtures::station_reading()).into_value()["capacity_wh"], 3_840);
}
