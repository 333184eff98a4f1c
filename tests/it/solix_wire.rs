//! Recorded and synthetic frames of Solix devices are read as the reference reads them, and requests are
//! byte for byte what it sends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a recording that is not as expected fails its test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use fleetwatt::battery::anker::wire::{
    Account, Body, Decoded, DeviceState, Embedded, Field, FieldKind, decode, from_hex, read_message, reading,
    request_envelope, split, status_request, to_hex, trigger,
};
use fleetwatt::reading::{
    Absent, Energy, PollingMode, Power, SafeText, Share, Station, StationReading, Timestamp,
};
use serde_json::Value;

type Values = BTreeMap<String, Value>;

fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/solix/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

fn lines(name: &str) -> Vec<Value> {
    fixture(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A recorded frame, and all that is known of it.
struct Recording {
    topic: String,
    model: String,
    /// Unix seconds of each message that brought this very frame.
    at: Vec<i64>,
    frame: Vec<u8>,
    fields: Vec<FieldText>,
    values: Values,
}

/// A field with its bytes in hexadecimal digits.
#[derive(Debug, PartialEq)]
struct FieldText {
    offset: usize,
    tag: String,
    kind: String,
    value: String,
}

/// The values of a line are what differs from the line before of the same topic and message type.
fn recordings() -> Vec<Recording> {
    let mut last: BTreeMap<String, Values> = BTreeMap::new();
    lines("recordings.jsonl")
        .iter()
        .map(|line| {
            let parts: Vec<&str> = text(&line["frame"]).split('/').collect();
            let msg_type = parts[0].split(' ').nth(3).unwrap();
            let values = last.entry(format!("{} {msg_type}", line["topic"])).or_default();
            for gone in line.get("gone").and_then(Value::as_array).into_iter().flatten() {
                values.remove(text(gone)).unwrap();
            }
            values.extend(serde_json::from_value::<Values>(line["values"].clone()).unwrap());
            Recording {
                topic: text(&line["topic"]).to_owned(),
                model: text(&line["model"]).to_owned(),
                at: serde_json::from_value(line["at"].clone()).unwrap(),
                frame: from_hex(&parts.concat().replace('.', "")).unwrap(),
                fields: field_texts(parts[0], parts[1]),
                values: values.clone(),
            }
        })
        .collect()
}

/// Fields as they stand in a recording: `a3.03.02.9100` is tag, length, type and value.
fn field_texts(header: &str, fields: &str) -> Vec<FieldText> {
    let n_bytes = |text: &str| text.chars().filter(char::is_ascii_hexdigit).count() / 2;
    let mut offset = n_bytes(header);
    let mut texts = Vec::new();
    for field in fields.split_whitespace() {
        let [tag, _, kind, value] = field.split('.').collect::<Vec<_>>().try_into().unwrap();
        texts.push(FieldText { offset, tag: tag.into(), kind: kind.into(), value: value.into() });
        offset += n_bytes(field);
    }
    texts
}

/// JSON with every number as a float, since the reference writes 100.0 and 0 where we write 100 and 0.
fn numbers_alike(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().unwrap()),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), numbers_alike(value))).collect()
        }
        Value::Array(list) => list.iter().map(numbers_alike).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn assert_same(read: &Values, golden: &Values, of: &str) {
    for name in read.keys().chain(golden.keys()) {
        let (read, golden) = (read.get(name).map(numbers_alike), golden.get(name).map(numbers_alike));
        assert_eq!(read, golden, "{name} of {of}");
    }
}

fn decoded(model: &str, bytes: &[u8]) -> Decoded {
    let frame = split(bytes).unwrap();
    assert!(frame.is_checksum_ok && frame.is_consistent, "{model} {}", frame.msg_type);
    decode(model, &frame)
}

#[test]
fn every_recorded_frame_is_cut_into_the_same_fields() {
    let recordings = recordings();
    assert_eq!(recordings.iter().map(|recording| recording.at.len()).sum::<usize>(), 432);
    for recording in recordings {
        let frame = split(&recording.frame).unwrap();
        let fields: Vec<FieldText> = frame
            .fields
            .iter()
            .map(|Field { tag, kind, value, offset }| FieldText {
                offset: *offset,
                tag: to_hex(&[*tag]),
                kind: kind.map(|kind| to_hex(&[kind.0])).unwrap_or_default(),
                value: to_hex(value),
            })
            .collect();
        assert_eq!(fields, recording.fields, "{}", recording.topic);
    }
}

#[test]
fn every_recorded_frame_has_the_same_values() {
    for recording in recordings() {
        let decoded = decoded(&recording.model, &recording.frame);
        assert_same(&decoded.values, &recording.values, &recording.topic);
    }
}

#[test]
fn synthetic_frames_of_station_and_panel_have_the_same_values() {
    for line in lines("synthetic.jsonl") {
        let decoded = decoded(text(&line["model"]), &from_hex(text(&line["frame_hex"])).unwrap());
        let mut values: Values = serde_json::from_value(line["values"].clone()).unwrap();
        // The reference puts what a hub carries among its values.
        let carried = values.remove("embedded").unwrap_or(Value::Array(Vec::new()));
        assert_same(&decoded.values, &values, text(&line["note"]));
        assert_eq!(decoded.embedded.len(), carried.as_array().unwrap().len());
        for (embedded, golden) in decoded.embedded.iter().zip(carried.as_array().unwrap()) {
            assert_eq!(embedded.serial.as_str(), text(&golden["sn"]));
            let golden: Values = serde_json::from_value(golden["embedded"].clone()).unwrap();
            assert_same(&decode_embedded(embedded).values, &golden, embedded.serial.as_str());
        }
    }
}

fn decode_embedded(embedded: &Embedded) -> Decoded {
    decoded(embedded.model.as_str(), &embedded.frame)
}

#[test]
fn a_small_number_does_not_swallow_the_fields_behind_it() {
    let trap = json("soc4-trap.json");
    let decoded = decoded("A1790P", &from_hex(text(&trap["frame_hex"])).unwrap());
    let expected: Values = serde_json::from_value(trap["expected_values"].clone()).unwrap();
    assert_same(&decoded.values, &expected, "a charge of 4 %");
}

#[test]
fn a_short_frame_is_cut_into_typed_fields() {
    let network = "ff09380003010f0407a10132a2110043555455545431374d555358414a3452\
                   a30e00746573742d776966692d616263a4020164a502010021";
    let frame = from_hex(network).unwrap();
    let fields = split(&frame).unwrap().fields;
    let kinds: Vec<_> = fields.iter().map(|field| field.kind).collect();
    let text = Some(FieldKind::TEXT);
    assert_eq!(kinds, [None, text, text, Some(FieldKind::U8), Some(FieldKind::U8)]);
    assert_eq!((fields[2].tag, fields[2].value), (0xa3, &b"test-wifi-abc"[..]));
}

#[test]
fn an_acknowledgement_has_its_status_and_no_values() {
    let bytes = from_hex("ff090e0003010f085700a1013238").unwrap();
    let frame = split(&bytes).unwrap();
    assert_eq!((frame.msg_type.to_string(), frame.status), ("0857".to_owned(), Some(0)));
    assert_eq!(decode("A17C0", &frame), Decoded::default());
}

/// The time at which the vectors were made.
const VECTORS_AT: Timestamp = Timestamp::from_micros(1_756_813_256_000_000);

#[test]
fn triggers_are_those_of_the_reference() {
    let mut n_frames = 0;
    for vector in json("vectors.json")["command_frames"].as_array().unwrap() {
        let (args, label) = (&vector["args"], text(&vector["label"]));
        // Its own default of 60 s stands for a duration that it does not recognise.
        if args["command"] != "realtime_trigger" || label.starts_with("QUIRK") {
            continue;
        }
        let parameters = &args["parameters"];
        let seconds = parameters.get("timeout").or(parameters.get("trigger_timeout_sec")).unwrap();
        let on = parameters.get("set_realtime_trigger").is_none_or(|switch| switch != "off");
        let frame = trigger(on, Duration::from_secs(seconds.as_u64().unwrap()), VECTORS_AT);
        assert_eq!(to_hex(&frame), text(&vector["frame_hex"]), "{label}");
        n_frames += 1;
    }
    assert_eq!(n_frames, 18);
}

#[test]
fn status_requests_are_those_of_the_reference() {
    let mut n_frames = 0;
    for vector in json("vectors.json")["command_frames"].as_array().unwrap() {
        let args = &vector["args"];
        // It asks stations of the second generation with 0040, which others found to be 0100.
        if args["command"] != "status_request" || args["model"] == "A1763" {
            continue;
        }
        let frame = status_request(args["model"].as_str().unwrap_or(""), VECTORS_AT);
        assert_eq!(to_hex(&frame), text(&vector["frame_hex"]), "{args}");
        n_frames += 1;
    }
    assert_eq!(n_frames, 7);
}

#[test]
fn a_request_is_wrapped_byte_for_byte() {
    let vectors = json("vectors.json");
    let example = &vectors["publish_example"];
    let (info, device) = (&example["mqtt_info_used"], &example["device"]);
    let account = Account {
        app_name: text(&info["app_name"]),
        user_id: text(&info["user_id"]),
        certificate_id: text(&info["certificate_id"]),
    };
    let (model, serial) = (text(&device["device_pn"]), text(&device["device_sn"]));
    let frame = from_hex(text(&example["frame_hex"])).unwrap();
    let envelope = request_envelope(&account, None, model, serial, &frame, VECTORS_AT);
    assert_eq!(envelope, text(&example["message"]));
    // What we publish can be read by the same means as what comes in.
    let message = read_message(text(&example["topic"]), envelope.as_bytes()).unwrap();
    assert_eq!(message.body, Body::Frame(frame));
}

#[test]
fn a_shared_device_is_asked_in_its_owners_name() {
    let account = Account { app_name: "anker_power", user_id: "ours", certificate_id: "1" };
    let envelope = request_envelope(&account, Some("owners"), "A1790P", "SN", &[], VECTORS_AT);
    assert!(envelope.contains(r#"\"account_id\":\"owners\""#), "{envelope}");
    assert!(envelope.contains(r#""client_id":"android-anker_power-ours-1""#), "{envelope}");
}

/// What each device has said after these messages, as a session would keep it.
fn received(messages: &[(String, Vec<u8>)]) -> BTreeMap<String, DeviceState> {
    let mut states: BTreeMap<String, DeviceState> = BTreeMap::new();
    for (topic, payload) in messages {
        let message = read_message(topic, payload).unwrap();
        let Body::Frame(bytes) = &message.body else { panic!("{topic} brought no frame") };
        let head = serde_json::from_slice::<Value>(payload).unwrap()["head"].take();
        let at = Timestamp::from_micros(head["timestamp"].as_i64().unwrap() * 1_000_000);
        let frame = split(bytes).unwrap();
        let decoded = decode(message.model.as_str(), &frame);
        let serial = message.serial.as_str().to_owned();
        states.entry(serial).or_default().merge(&decoded.values, at);
        for embedded in &decoded.embedded {
            let carried = split(&embedded.frame).unwrap();
            let values = decode(embedded.model.as_str(), &carried).values;
            let state = states.entry(embedded.serial.as_str().to_owned()).or_default();
            state.merge(&values, at);
        }
    }
    states
}

fn all_values(state: &DeviceState) -> Values {
    let all = state.values_since(Timestamp::from_micros(0));
    all.map(|(name, value, _)| (name.to_owned(), value.clone())).collect()
}

/// What a station of this model says by one frame.
fn read_frame(model: &str, bytes: &[u8]) -> StationReading {
    let (name, at) = (SafeText::new(model), Timestamp::from_micros(0));
    let mut state = DeviceState::default();
    state.merge(&decoded(model, bytes).values, at);
    let station = Station { serial: SafeText::new("SN"), model: name.clone(), name };
    reading(&station, &state, at, PollingMode::Normal).unwrap()
}

#[test]
fn frames_that_were_captured_over_bluetooth_have_the_figures_of_the_display() {
    for captured in json("ble-frames.json").as_array().unwrap() {
        let read = read_frame(text(&captured["model"]), &from_hex(text(&captured["frame"])).unwrap());
        let watts = |power: Result<&Power, &Absent>| power.ok().copied().map(Power::watts);
        let figures = [
            ("soc", read.device.soc().ok().copied().map(Share::percent)),
            ("inp", watts(read.device.power_input())),
            ("out", watts(read.device.power_output())),
            ("solar", watts(read.device.solar_power())),
            ("grid", watts(read.device.grid_power())),
        ];
        for (name, figure) in figures {
            if let Some(shown) = captured["figures"][name].as_f64() {
                assert_eq!(figure, Some(shown), "{name} of {}", captured["name"]);
            }
        }
    }
}

#[test]
fn a_solarbank_whose_tags_do_not_ascend_has_its_figures() {
    let read = read_frame("A17C1", &from_hex(fixture("sb2pro-0405.hex").trim()).unwrap());
    assert_eq!(read.device.soc(), Ok(&Share::from_millipercent(93_000)));
    assert_eq!(read.device.solar_power(), Ok(&Power::from_milliwatts(989_000)));
    assert_eq!(read.device.power_output(), Ok(&Power::from_watts(50)));
    assert_eq!(read.fields["grid_status"], 3);
}

#[test]
fn messages_of_a_station_and_of_a_panel_with_two_of_them_come_to_the_same_state() {
    let pipeline = json("receive-pipeline.json");
    let messages: Vec<(String, Vec<u8>)> = pipeline["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| (text(&message["topic"]).to_owned(), message["message"].to_string().into_bytes()))
        .collect();
    let states = received(&messages);
    let golden = pipeline["mqtt_data_after"].as_object().unwrap();
    assert!(states.keys().eq(golden.keys()));
    for (serial, state) in &states {
        let mut golden: Values = serde_json::from_value(golden[serial].clone()).unwrap();
        golden.remove("topics");
        assert_same(&all_values(state), &golden, serial);
    }
}

/// Names that the reference makes up beside what devices say, or gives to two values in turn.
const NOT_OF_THE_WIRE: &[&str] = &["power_cutoff", "device_efficiency", "battery_efficiency"];

#[test]
fn recorded_devices_come_to_the_state_that_the_reference_keeps() {
    let mut states: BTreeMap<String, DeviceState> = BTreeMap::new();
    for recording in recordings() {
        let frame = split(&recording.frame).unwrap();
        let values = decode(&recording.model, &frame).values;
        let serial = recording.topic.split('/').nth(3).unwrap().to_owned();
        let state = states.entry(serial).or_default();
        for second in recording.at {
            state.merge(&values, Timestamp::from_micros(second * 1_000_000));
        }
    }
    for (serial, kept) in json("caches.json").as_object().unwrap() {
        let values = all_values(&states[serial]);
        for (name, golden) in kept["mqtt_data"].as_object().unwrap() {
            match values.get(name) {
                Some(value) => assert_eq!(as_kept(value), as_kept(golden), "{name} of {serial}"),
                // Counted as none where nothing is said, and the mean charge, which a reading has.
                None if name == "expansion_packs" => assert_eq!(golden, 0),
                None if name == "battery_soc" => assert_eq!(golden, "60"),
                None => assert!(NOT_OF_THE_WIRE.contains(&name.as_str()), "{name} of {serial}"),
            }
        }
    }
}

/// As the reference keeps it: numbers are texts, of at most three decimals.
fn as_kept(value: &Value) -> Value {
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.map_or_else(|| value.clone(), |number: f64| Value::from((number * 1000.0).round()))
}

#[test]
fn a_recorded_station_with_a_pack_has_the_mean_of_both_charges() {
    let recording = recordings().into_iter().find(|recording| recording.model == "A1761").unwrap();
    let frame = split(&recording.frame).unwrap();
    let at = Timestamp::from_micros(recording.at[0] * 1_000_000);
    let mut state = DeviceState::default();
    state.merge(&decode("A1761", &frame).values, at);
    let station =
        Station { serial: SafeText::new("SN"), model: SafeText::new("A1761"), name: SafeText::new("C1000") };
    let reading = reading(&station, &state, at, PollingMode::Normal).unwrap();
    assert_eq!(reading.device.soc(), Ok(&Share::from_millipercent(60_000)));
    assert_eq!(reading.device.power_output(), Ok(&Power::from_watts(57)));
    assert_eq!(reading.device.capacity(), Ok(&Energy::from_millijoules(2 * 1056 * 3_600_000)));
}
