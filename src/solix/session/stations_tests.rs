//! What becomes of what stations say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::solix::Hidden;

const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
const INTERVAL: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_secs(10);
const SERIAL: &str = "9DNBH3D0PLDBLX1Y";
const TOPIC: &str = "dt/anker_power/A1790P/9DNBH3D0PLDBLX1Y/param_info";

/// What a station says: its charge, what comes from the grid and the sun, and what it gives.
#[derive(Clone, Copy)]
struct Says {
    soc: u8,
    grid: i16,
    solar: i16,
    output: i16,
}

const CALM: Says = Says { soc: 87, grid: 200, solar: 440, output: 435 };

fn frame(says: Says) -> Vec<u8> {
    let watts = |tag: u8, watts: i16| {
        let [low, high] = watts.to_le_bytes();
        [tag, 3, 2, low, high]
    };
    let mut fields = vec![0xa1, 1, 0x34];
    fields.extend(watts(0xa5, says.grid));
    fields.extend([0xad, 2, 1, says.soc]);
    fields.extend(watts(0xae, says.solar));
    fields.extend(watts(0xb2, says.output));
    let length = u8::try_from(9 + fields.len() + 1).unwrap();
    let mut frame = vec![0xff, 9, length, 0, 3, 1, 0x0f, 4, 5];
    frame.extend(fields);
    frame.push(frame.iter().fold(0, |xor, byte| xor ^ byte));
    frame
}

fn message(frame: &[u8]) -> Vec<u8> {
    let inner = json!({ "data": STANDARD.encode(frame), "sn": SERIAL, "pn": "A1790P" });
    json!({ "head": { "cmd": 16, "timestamp": 1_795_503_600 }, "payload": inner.to_string() })
        .to_string()
        .into_bytes()
}

fn bound(serial: &str, model: &str) -> BoundDevice {
    BoundDevice {
        serial: Clean::new(serial),
        model: Clean::new(model),
        name: Clean::new("F3800 Plus"),
        wifi_online: Some(true),
        is_own: true,
        owner_user_id: Some(Hidden::new("owner".to_owned())),
        software: None,
        rssi_dbm: None,
        time_zone: None,
    }
}

fn one() -> Stations {
    let mut stations = Stations::new(&Kept::default(), Share::from_millipercent(30_000), START);
    assert!(stations.bind(&[bound(SERIAL, "A1790P")], START));
    stations
}

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn said(stations: &mut Stations, says: Says, seconds: u64) -> Vec<StationReading> {
    stations.take(TOPIC, &message(&frame(says)), after(seconds), INTERVAL)
}

#[test]
fn an_answer_is_a_reading_and_what_streams_behind_it_is_not() {
    let mut one = one();
    one.begin(Instant::now(), START, WITHIN);
    let readings = said(&mut one, CALM, 1);
    assert_eq!(readings[0].summary(), "F3800 Plus: SOC 87 % in 640 W out 435 W grid 200 W");
    assert_eq!(readings[0].at, after(1));
    assert!(!one.are_asked());
    assert!(said(&mut one, CALM, 4).is_empty());
    assert_eq!(said(&mut one, CALM, 61).len(), 1, "half an interval has passed");
}

#[test]
fn a_grid_that_goes_is_a_reading_at_once() {
    let mut one = one();
    said(&mut one, CALM, 1);
    let readings = said(&mut one, Says { grid: 0, ..CALM }, 4);
    assert_eq!(readings[0].grid, GridState::Absent);
    assert_eq!(one.mode, PollingMode::Fast);
}

#[test]
fn a_station_that_never_had_the_grid_has_not_lost_it() {
    let mut one = one();
    said(&mut one, Says { grid: 0, ..CALM }, 1);
    assert_eq!(one.mode, PollingMode::Normal);
}

#[test]
fn that_the_grid_was_seen_outlives_a_restart() {
    let mut before = one();
    said(&mut before, CALM, 1);
    let mut kept = Kept::default();
    before.keep(&mut kept);
    let mut again = Stations::new(&kept, Share::from_millipercent(30_000), after(5));
    said(&mut again, Says { grid: 0, ..CALM }, 6);
    assert_eq!(again.mode, PollingMode::Fast);
}

#[test]
fn a_low_battery_turns_the_fast_mode_on_until_it_is_past_the_hysteresis() {
    let mut one = one();
    let modes: Vec<PollingMode> = [31, 30, 32, 33]
        .iter()
        .zip([1, 100, 200, 300])
        .map(|(soc, seconds)| {
            said(&mut one, Says { soc: *soc, ..CALM }, seconds);
            one.mode
        })
        .collect();
    assert_eq!(modes, [PollingMode::Normal, PollingMode::Fast, PollingMode::Fast, PollingMode::Normal]);
}

#[test]
fn a_low_station_that_falls_silent_does_not_keep_the_others_in_fast_mode() {
    let mut one = one();
    said(&mut one, Says { soc: 10, ..CALM }, 1);
    one.judge_mode(INTERVAL, after(100));
    assert_eq!(one.mode, PollingMode::Fast);
    one.judge_mode(INTERVAL, after(400));
    assert_eq!(one.mode, PollingMode::Normal);
}

#[test]
fn what_cannot_be_read_is_dropped_and_is_no_sign_of_life() {
    let mut one = one();
    let mut broken = frame(CALM);
    *broken.last_mut().unwrap() ^= 1;
    assert!(one.take(TOPIC, &message(&broken), after(1), INTERVAL).is_empty());
    assert!(one.take(TOPIC, b"{", after(1), INTERVAL).is_empty());
    assert!(one.take(TOPIC, &message(b"\xff\x09"), after(1), INTERVAL).is_empty());
    assert_eq!(one.standing()[0].status(INTERVAL, after(2)).presence, Presence::Awaited);
}

#[test]
fn a_frame_whose_end_does_not_fit_is_read_up_to_there() {
    let mut one = one();
    let mut cut = frame(CALM);
    let xor = cut.pop().unwrap();
    // One more field that says to be longer than the frame.
    cut.extend([0xff, 0x30, 0x01]);
    cut[2] += 3;
    cut.push(xor ^ 0xff ^ 0x30 ^ 0x01 ^ (cut[2] ^ (cut[2] - 3)));
    let readings = one.take(TOPIC, &message(&cut), after(1), INTERVAL);
    assert_eq!(readings[0].summary(), "F3800 Plus: SOC 87 % in 640 W out 435 W grid 200 W");
}

#[test]
fn a_frame_that_cannot_be_cut_is_a_sign_of_life() {
    let mut one = one();
    let mut odd = frame(CALM);
    odd.truncate(9);
    // Nothing in it has a length that fits.
    odd.extend([0xa5, 0xff, 0x01, 0]);
    odd[2] = 13;
    odd[12] = odd.iter().fold(0, |xor, byte| xor ^ byte);
    assert!(one.take(TOPIC, &message(&odd), after(1), INTERVAL).is_empty());
    assert_eq!(one.standing()[0].status(INTERVAL, after(2)).presence, Presence::Live);
}

#[test]
fn a_stranger_is_not_listened_to() {
    let mut one = one();
    let topic = TOPIC.replace(SERIAL, "SOMEBODYELSE0001");
    assert!(one.take(&topic, &message(&frame(CALM)), after(1), INTERVAL).is_empty());
    assert_eq!(one.standing().len(), 1);
}

#[test]
fn an_acknowledgement_is_a_sign_of_life_and_no_reading() {
    let mut one = one();
    one.begin(Instant::now(), START, WITHIN);
    let acknowledgement = b"\xff\x09\x0e\x00\x03\x01\x0f\x08\x57\x00\xa1\x01\x32\x38";
    let topic = TOPIC.replace("param", "state");
    assert!(one.take(&topic, &message(acknowledgement), after(1), INTERVAL).is_empty());
    assert!(one.are_asked(), "no figure came");
    assert_eq!(one.standing()[0].status(INTERVAL, after(2)).presence, Presence::Live);
}

#[test]
fn an_acknowledgement_soon_after_figures_is_not_the_same_reading_once_more() {
    let mut one = one();
    said(&mut one, CALM, 1);
    one.begin(Instant::now(), after(2), WITHIN);
    let acknowledgement = b"\xff\x09\x0e\x00\x03\x01\x0f\x08\x57\x00\xa1\x01\x32\x38";
    assert!(one.take(TOPIC, &message(acknowledgement), after(3), INTERVAL).is_empty());
    assert!(one.are_asked(), "the figures are those of before the question");
}

#[test]
fn silence_is_stale_and_then_offline_with_the_last_reading_beside_it() {
    let mut one = one();
    said(&mut one, CALM, 0);
    let status = |seconds| one.standing()[0].status(INTERVAL, after(seconds));
    assert_eq!(status(240).presence, Presence::Live);
    assert_eq!(status(300).presence, Presence::Stale(START));
    assert_eq!(status(700).presence, Presence::Offline(START));
    assert!(status(700).last.is_some());
}

#[test]
fn devices_that_leave_the_account_are_asked_no_more_and_meters_never() {
    let mut stations = one();
    assert!(!stations.bind(&[bound(SERIAL, "A1790P"), bound("METER", "A17X7")], START));
    assert!(stations.bind(&[bound("OTHER", "A1761")], START));
    let asked = stations.begin(Instant::now(), START, WITHIN);
    let asked: Vec<&str> = asked.iter().map(|question| question.station.serial.as_str()).collect();
    assert_eq!(asked, ["OTHER"]);
}

#[test]
fn a_name_that_was_changed_is_the_same_station() {
    let mut one = one();
    said(&mut one, CALM, 1);
    let renamed = BoundDevice { name: Clean::new("Shed"), ..bound(SERIAL, "A1790P") };
    assert!(!one.bind(&[renamed], after(2)), "the topics are the same");
    let status = one.standing()[0].status(INTERVAL, after(3));
    assert_eq!((status.station.name.as_str(), status.presence), ("Shed", Presence::Live));
}

#[test]
fn a_shared_device_is_asked_in_its_owners_name() {
    let asked = one().begin(Instant::now(), START, WITHIN);
    assert_eq!(asked[0].owner.as_deref(), Some("owner"));
    assert_eq!(asked[0].send, Send::StatusRequest);
}

#[test]
fn the_rest_interface_speaks_only_for_who_is_not_heard() {
    let mut stations = one();
    let reading = |seconds: u64| StationReading {
        source: DataSource::RestApi,
        at: after(seconds),
        ..said(&mut one(), CALM, 0).remove(0)
    };
    assert!(stations.take_rest(reading(1), INTERVAL).is_some());
    assert!(stations.take_rest(reading(1), INTERVAL).is_none(), "the same once more");
    said(&mut stations, CALM, 100);
    assert!(stations.take_rest(reading(110), INTERVAL).is_none());
    assert!(stations.take_rest(reading(500), INTERVAL).is_some());
}

/// A panel carries frames of its stations.
fn panel_message() -> (String, Vec<u8>) {
    let hex: String = frame(CALM).iter().map(|byte| format!("{byte:02x}")).collect();
    // Real ones are longer than 255 bytes, and have a length of two.
    let carried = json!([{ "sn": SERIAL, "type": "A1790", "tlv": hex, "x": "x".repeat(256) }]).to_string();
    let mut fields = vec![0xa1, 1, 0x34, 0xa2];
    let length = u16::try_from(carried.len() + 1).unwrap();
    fields.extend(length.to_le_bytes());
    fields.push(0);
    fields.extend(carried.as_bytes());
    let [low, high] = u16::try_from(9 + fields.len() + 1).unwrap().to_le_bytes();
    let mut frame = vec![0xff, 9, low, high, 3, 1, 0x0f, 6, 1];
    frame.extend(fields);
    frame.push(frame.iter().fold(0, |xor, byte| xor ^ byte));
    ("dt/anker_power/A17B1/PANEL00000000001/param_info".to_owned(), message(&frame))
}

#[test]
fn stations_behind_a_panel_are_read_through_it_and_not_asked() {
    let mut stations = Stations::new(&Kept::default(), Share::from_millipercent(30_000), START);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], START);
    let (topic, payload) = panel_message();
    let readings = stations.take(&topic, &payload, after(1), INTERVAL);
    assert_eq!(readings.len(), 1, "{readings:?}");
    assert_eq!(readings[0].station.serial.as_str(), SERIAL);
    assert_eq!(readings[0].station.name.as_str(), "SOLIX F3800");
    assert_eq!(readings[0].grid, GridState::Unknown, "its grid is the panel's");
    assert_eq!(stations.begin(Instant::now(), START, WITHIN).len(), 1);
    assert_eq!(stations.heard().len(), 1);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], after(2));
    assert_eq!(stations.standing().len(), 2);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], after(8 * 86_400));
    assert_eq!(stations.standing().len(), 1, "nobody has spoken for it in a week");
}
