//! The readings that become of the words of stations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::battery::anker::rest::NoReading;
use crate::support::secret::Secret;

const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
const PACE: Pace = Pace { interval: Duration::from_secs(120), rest_every: 5 };
const WITHIN: AnswerTimeout = AnswerTimeout::Each(Duration::from_secs(10));
const SERIAL: &str = "9DNBH3D0PLDBLX1Y";
const TOPIC: &str = "dt/anker_power/A1790P/9DNBH3D0PLDBLX1Y/param_info";

/// The figures of a station: its charge, the power from the grid and the sun, and its output.
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
        serial: SafeText::new(serial),
        model: SafeText::new(model),
        name: SafeText::new("F3800 Plus"),
        wifi_online: Some(true),
        is_own: true,
        owner_user_id: Some(Secret::new("owner")),
        software: None,
        rssi_dbm: None,
        time_zone: None,
    }
}

fn one() -> Stations {
    let mut stations = Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
    assert!(stations.bind(&[bound(SERIAL, "A1790P")], START));
    let tracked = stations.tracked.get_mut(SERIAL).unwrap();
    tracked.state.set_packs(0);
    tracked.view.device.packs_sought_at = Some(START);
    stations
}

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn said(stations: &mut Stations, says: Says, seconds: u64) -> Vec<StationReading> {
    stations.take(TOPIC, &message(&frame(says)), after(seconds), PACE)
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
    let mut persisted = PersistedSession::default();
    before.keep(&mut persisted);
    let mut again = Stations::new(&persisted, Share::from_millipercent(30_000), after(5));
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
    one.judge_mode(PACE, after(100));
    assert_eq!(one.mode, PollingMode::Fast);
    one.judge_mode(PACE, after(400));
    assert_eq!(one.mode, PollingMode::Normal);
}

#[test]
fn what_cannot_be_read_is_dropped_and_is_no_sign_of_life() {
    let mut one = one();
    let mut broken = frame(CALM);
    *broken.last_mut().unwrap() ^= 1;
    assert!(one.take(TOPIC, &message(&broken), after(1), PACE).is_empty());
    assert!(one.take(TOPIC, b"{", after(1), PACE).is_empty());
    assert!(one.take(TOPIC, &message(b"\xff\x09"), after(1), PACE).is_empty());
    assert_eq!(one.views()[0].status(PACE, after(2)).presence, Presence::Awaited);
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
    let readings = one.take(TOPIC, &message(&cut), after(1), PACE);
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
    assert!(one.take(TOPIC, &message(&odd), after(1), PACE).is_empty());
    assert_eq!(one.views()[0].status(PACE, after(2)).presence, Presence::Live);
}

#[test]
fn a_stranger_is_not_listened_to() {
    let mut one = one();
    let topic = TOPIC.replace(SERIAL, "SOMEBODYELSE0001");
    assert!(one.take(&topic, &message(&frame(CALM)), after(1), PACE).is_empty());
    assert_eq!(one.views().len(), 1);
}

#[test]
fn an_acknowledgement_is_a_sign_of_life_and_no_reading() {
    let mut one = one();
    one.begin(Instant::now(), START, WITHIN);
    let acknowledgement = b"\xff\x09\x0e\x00\x03\x01\x0f\x08\x57\x00\xa1\x01\x32\x38";
    let topic = TOPIC.replace("param", "state");
    assert!(one.take(&topic, &message(acknowledgement), after(1), PACE).is_empty());
    assert!(one.are_asked(), "no figure came");
    assert_eq!(one.views()[0].status(PACE, after(2)).presence, Presence::Live);
}

#[test]
fn an_acknowledgement_soon_after_figures_is_not_the_same_reading_once_more() {
    let mut one = one();
    said(&mut one, CALM, 1);
    one.begin(Instant::now(), after(2), WITHIN);
    let acknowledgement = b"\xff\x09\x0e\x00\x03\x01\x0f\x08\x57\x00\xa1\x01\x32\x38";
    assert!(one.take(TOPIC, &message(acknowledgement), after(3), PACE).is_empty());
    assert!(one.are_asked(), "the figures are those of before the question");
}

#[test]
fn silence_is_stale_and_then_offline_with_the_last_reading_beside_it() {
    let mut one = one();
    said(&mut one, CALM, 0);
    let status = |seconds| one.views()[0].status(PACE, after(seconds));
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
    let asked: Vec<&str> = asked.iter().map(|request| request.station.serial.as_str()).collect();
    assert_eq!(asked, ["OTHER"]);
}

#[test]
fn a_name_that_was_changed_is_the_same_station() {
    let mut one = one();
    said(&mut one, CALM, 1);
    let renamed = BoundDevice { name: SafeText::new("Shed"), ..bound(SERIAL, "A1790P") };
    assert!(!one.bind(&[renamed], after(2)), "the topics are the same");
    let status = one.views()[0].status(PACE, after(3));
    assert_eq!((status.station.name.as_str(), status.presence), ("Shed", Presence::Live));
}

#[test]
fn a_shared_device_is_asked_in_its_owners_name() {
    let asked = one().begin(Instant::now(), START, WITHIN);
    assert_eq!(asked[0].owner.as_deref(), Some("owner"));
    assert_eq!(asked[0].kind, RequestKind::StatusRequest);
}

/// The answer of REST about the station, measured at that second.
fn site_reading(measured: u64, soc: u8) -> SiteReading {
    let reading = StationReading {
        source: DataSource::RestApi,
        at: after(measured),
        ..said(&mut one(), Says { soc, ..CALM }, 0).remove(0)
    };
    SiteReading {
        station: reading.station.clone(),
        online: Some(true),
        n_packs: None,
        measured_at: Some(reading.at),
        reading: Ok(reading),
    }
}

#[test]
fn the_rest_interface_speaks_only_for_who_is_not_heard() {
    let mut stations = one();
    let take =
        |stations: &mut Stations, second| stations.take_rest(&site_reading(second, 87), PACE, after(second));
    assert!(take(&mut stations, 1).is_some());
    assert!(take(&mut stations, 1).is_none(), "the same once more");
    said(&mut stations, CALM, 100);
    assert!(take(&mut stations, 110).is_none());
    assert!(take(&mut stations, 500).is_some());
}

#[test]
fn a_station_that_rest_alone_reads_stays_up_and_in_its_mode_between_two_polls() {
    let mut one = one();
    one.take_rest(&site_reading(0, 15), PACE, after(0));
    let fast = Pace { interval: Duration::from_secs(30), ..PACE };
    for second in [1, 61, 241, 600] {
        one.judge_mode(fast, after(second));
        let status = one.views()[0].status(fast, after(second));
        assert_eq!((one.mode, status.presence), (PollingMode::Fast, Presence::Live), "after {second} s");
    }
}

#[test]
fn another_pace_makes_nobody_stale_who_was_heard_at_the_slower_one() {
    let mut stations = Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
    stations.bind(&[bound(SERIAL, "A1790P")], START);
    said(&mut stations, CALM, 0);
    let fast = Pace { interval: Duration::from_secs(30), ..PACE };
    let presence = |seconds| stations.views()[0].status(fast, after(seconds)).presence;
    assert_eq!((presence(100), presence(241)), (Presence::Live, Presence::Stale(START)));
}

#[test]
fn numbers_that_are_no_reading_say_since_when_the_station_is_silent() {
    let mut one = one();
    let dead = SiteReading { reading: Err(NoReading::Old(after(0))), ..site_reading(0, 50) };
    assert!(one.take_rest(&dead, PACE, after(46_800)).is_none());
    let status = one.views()[0].status(PACE, after(46_800));
    assert_eq!((status.presence, status.last), (Presence::Offline(after(0)), None));
}

#[test]
fn a_station_that_the_cloud_calls_offline_is_down_and_not_awaited() {
    let mut stations = Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
    stations.bind(&[BoundDevice { wifi_online: Some(false), ..bound("BANK", "A17C1") }], START);
    assert_eq!(stations.views()[0].status(PACE, after(1)).presence, Presence::Offline(START));
}

#[test]
fn a_station_that_never_answers_is_missed_across_polls() {
    let mut persisted = PersistedSession::default();
    for second in [0, 60, 120, 300] {
        let mut poll = Stations::new(&persisted, Share::from_millipercent(30_000), after(second));
        poll.bind(&[bound(SERIAL, "A1790P")], after(second));
        let presence = poll.views()[0].status(PACE, after(second)).presence;
        let expected = if second < 300 { Presence::Awaited } else { Presence::Stale(START) };
        assert_eq!(presence, expected, "after {second} s");
        poll.keep(&mut persisted);
    }
}

#[test]
fn packs_are_sought_by_a_trigger_and_known_to_the_next_poll() {
    let mut first = Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
    first.bind(&[bound(SERIAL, "A1790P")], START);
    let sends = |requests: Vec<StationRequest>| requests.into_iter().map(|one| one.kind).collect::<Vec<_>>();
    let asked = sends(first.begin(Instant::now(), START, WITHIN));
    assert_eq!(asked, [RequestKind::StatusRequest, RequestKind::Trigger]);
    let reading = said(&mut first, CALM, 1).remove(0);
    assert!(reading.device.capacity().is_err() && reading.runtime().is_none());
    assert!(first.are_asked(), "it has not said how many packs it has");
    let packs = b"\xff\x09\x11\x00\x03\x01\x0f\x04\x0a\xa1\x01\x34\xa2\x02\x01\x02";
    let packs = [&packs[..], &[packs.iter().fold(0, |xor, byte| xor ^ byte)]].concat();
    first.take(TOPIC, &message(&packs), after(2), PACE);
    assert!(!first.are_asked());
    let mut persisted = PersistedSession::default();
    first.keep(&mut persisted);
    let mut second = Stations::new(&persisted, Share::from_millipercent(30_000), after(60));
    assert_eq!(sends(second.begin(Instant::now(), after(60), WITHIN)), [RequestKind::StatusRequest]);
    let reading = said(&mut second, CALM, 61).remove(0);
    assert_eq!(reading.device.capacity().unwrap().millijoules(), 3 * 3_840 * 3_600_000);
}

#[test]
fn packs_that_a_station_does_not_speak_of_are_sought_once_a_day() {
    let mut persisted = PersistedSession::default();
    let n_asked = |persisted: &mut PersistedSession, second| {
        let mut poll = Stations::new(persisted, Share::from_millipercent(30_000), after(second));
        poll.bind(&[bound(SERIAL, "A1790P")], after(second));
        let n_asked = poll.begin(Instant::now(), after(second), WITHIN).len();
        said(&mut poll, CALM, second + 1);
        poll.keep(persisted);
        n_asked
    };
    assert_eq!([0, 60, 86_400, 86_402].map(|second| n_asked(&mut persisted, second)), [2, 1, 1, 2]);
}

#[test]
fn what_is_no_battery_is_not_tracked_even_if_it_was_before() {
    let mut persisted = PersistedSession::default();
    let inverter = PersistedDevice { model: "A5143".to_owned(), ..PersistedDevice::default() };
    persisted.devices.insert("INVERTER".to_owned(), inverter);
    let mut stations = Stations::new(&persisted, Share::from_millipercent(30_000), START);
    assert!(stations.views().is_empty());
    for model in ["A5143", "A17X7", "A17X8", "A17A5", "A2345", "A9999", ""] {
        stations.bind(&[bound("OTHER", model)], START);
        assert!(stations.views().is_empty(), "{model}");
    }
}

#[test]
fn an_f3000_alone_may_belong_to_a_site() {
    let may_have_site = |model| {
        let mut stations =
            Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
        stations.bind(&[bound("SN", model)], START);
        stations.may_have_site()
    };
    assert!(may_have_site("A1782") && may_have_site("A17C1") && may_have_site("A17B1"));
    assert!(!may_have_site("A1790P"));
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
    let mut stations = Stations::new(&PersistedSession::default(), Share::from_millipercent(30_000), START);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], START);
    let (topic, payload) = panel_message();
    let readings = stations.take(&topic, &payload, after(1), PACE);
    assert_eq!(readings.len(), 1, "{readings:?}");
    assert_eq!(readings[0].station.serial.as_str(), SERIAL);
    assert_eq!(readings[0].station.name.as_str(), "SOLIX F3800");
    assert_eq!(readings[0].grid, GridState::Unknown, "its grid is the panel's");
    assert_eq!(stations.begin(Instant::now(), START, WITHIN).len(), 1);
    assert_eq!(stations.subscribed().len(), 1);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], after(2));
    assert_eq!(stations.views().len(), 2);
    stations.bind(&[bound("PANEL00000000001", "A17B1")], after(8 * 86_400));
    assert_eq!(stations.views().len(), 1, "nobody has spoken for it in a week");
}
