//! The stations of the cloud: what they say, and when they say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::{Asked, Broken, Cloud, Device, Options};

use super::client::{Listener, changed, frame_of, plain, trigger, unhex};

const CODE: &str = "A1790P";
const SERIAL: &str = "9DNC2C0TEST00001";

/// The contents of a frame's fields by their tags, for frames whose lengths have one byte.
fn fields(frame: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    // Answers have a status byte.
    let mut rest = &frame[if frame[7] & 0x08 == 0 { 9 } else { 10 }..frame.len() - 1];
    let mut fields = BTreeMap::new();
    while let [tag, length, behind @ ..] = rest {
        let (content, next) = behind.split_at((*length).into());
        fields.insert(*tag, content.to_vec());
        rest = next;
    }
    fields
}

/// The text in field a2 of a panel's frame, whose length has two bytes.
fn panel_text(frame: &[u8]) -> Value {
    assert_eq!((frame[12], frame[15]), (0xa2, 0x00));
    let length = usize::from(frame[13]) + usize::from(frame[14]) * 256;
    serde_json::from_slice(&frame[16..15 + length]).unwrap()
}

#[tokio::test]
async fn a_station_is_silent_until_it_is_triggered_and_when_the_trigger_ends() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let station = cloud.station(SERIAL);
    station.set_soc(4).set_ac_input(1500).set_solar(330, 310).set_output(-1).set_temperature(-7);
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    assert_eq!((station.published(), station.is_triggered()), (0, false));

    listener.send(CODE, SERIAL, &trigger(60, true));
    let (part, acknowledgement) = listener.frame().await;
    assert_eq!((&*part, acknowledgement), ("state_info", unhex("ff090e0003010f085700a1013238")));
    let mut n_packs = 0;
    for _ in 0..4 {
        let (part, frame) = listener.frame().await;
        if frame[7..9] == [4, 0x0a] {
            n_packs += 1;
            continue;
        }
        assert_eq!((&*part, &frame[4..9], frame.len()), ("param_info", &[3, 1, 0x0f, 4, 5][..], 486));
        let fields = fields(&frame);
        assert_eq!(fields[&0xad], [0x01, 4], "state of charge");
        assert_eq!(fields[&0xa5], [0x02, 0xdc, 0x05], "AC input");
        assert_eq!(fields[&0xae], [0x02, 0x80, 0x02], "solar");
        assert_eq!(fields[&0xb2], [0x02, 0xff, 0xff], "output");
        assert_eq!(fields[&0xbe], [0x01, 0xf9], "temperature");
        assert_eq!(fields[&0xcc][1..], *SERIAL.as_bytes());
    }
    assert_eq!((station.is_triggered(), n_packs), (true, 1), "its packs are told once a trigger");

    listener.send(CODE, SERIAL, &trigger(60, false));
    while listener.frame().await.1[7..9] != [0x08, 0x57] {}
    let published = station.published();
    listener.send(CODE, SERIAL, &plain(0x0030));
    assert_eq!(listener.frame().await.1, unhex("ff091d0003000f083000a10876302e322e332e31a20676312e352e39c1"));
    assert_eq!((station.published(), station.is_triggered()), (published + 1, false));
    let asked: Vec<_> = station.requests().into_iter().map(|request| request.asked.unwrap()).collect();
    let minute = Duration::from_secs(60);
    assert_eq!(asked, [Asked::Trigger(minute), Asked::TriggerOff, Asked::Versions]);
}

#[tokio::test]
async fn a_status_request_is_answered_once_unless_the_station_knows_none_or_is_silent() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let station = cloud.station(SERIAL);
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    listener.send(CODE, SERIAL, &plain(0x0040));
    let (part, frame) = listener.frame().await;
    assert_eq!((&*part, &frame[4..10], frame.len()), ("param_info", &[3, 1, 0x0f, 8, 0x40, 0][..], 487));
    assert_eq!(fields(&frame)[&0xad], [0x01, 87]);

    station.answer_status(false);
    listener.send(CODE, SERIAL, &plain(0x0040));
    listener.send(CODE, SERIAL, &plain(0x0030));
    assert_eq!(listener.frame().await.1[7..9], [0x08, 0x30], "the first answer is to the second request");

    station.silence(true);
    listener.send(CODE, SERIAL, &plain(0x0030));
    station.publish(0x0407);
    let (part, frame) = listener.frame().await;
    assert_eq!((&*part, &frame[7..9]), ("state_info", &[4, 7][..]), "what a test orders is published");
    assert_eq!(station.published(), 3);
}

#[tokio::test]
async fn a_wrong_request_is_counted_and_not_answered() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    let right = listener.envelope(CODE, SERIAL, &plain(0x0040));
    let with = |path: &str, value: Value| {
        let mut envelope = right.clone();
        *envelope.pointer_mut(path).unwrap() = value;
        envelope
    };
    let with_frame = |frame: &[u8]| listener.envelope(CODE, SERIAL, frame);
    let with_payload =
        |from: &str, to: &str| with("/payload", json!(right["payload"].as_str().unwrap().replace(from, to)));
    let mut too_much = right.clone();
    too_much["head"]["extra"] = json!(1);
    let status = plain(0x0040);
    let mut bad_checksum = status.clone();
    bad_checksum[19] ^= 1;
    let faults = [
        (json!("x"), "the message is no object"),
        (too_much, "head lacks [], has too much [extra]"),
        (with("/head/client_id", json!("android-anker_power-x-y")), "head.client_id is not"),
        (with("/head/sess_id", json!("12345678")), "head.sess_id is not"),
        (with("/head/cmd", json!(16)), "head.cmd is 16 and not 17"),
        (with("/head/cmd_status", json!("2")), "head.cmd_status is \"2\" and not 2"),
        (with("/head/timestamp", json!(1_756_813_256)), "head.timestamp is"),
        (with("/head/device_sn", json!("9DNC2C0OTHER0001")), "head.device_sn is another's"),
        (with("/head/device_pn", json!("A1790")), "head.device_pn is another's"),
        (with("/payload", json!({})), "payload is not a text"),
        (with_payload(SERIAL, "9DNC2C0OTHER0001"), "payload.device_sn is another's"),
        (with_payload("account_id", "account"), "payload lacks [account_id], has too much [account]"),
        (with_frame(&bad_checksum), "checksum is wrong"),
        (with_frame(&status[..19]), "says 20 bytes and has 19"),
        (with_frame(&changed(&status, 5, 0x01)), "is no request"),
        (with_frame(&changed(&status, 11, 0x34)), "field a1 is not 22"),
        (with_frame(&changed(&status, 18, 0x00)), "field fe is"),
        (with_frame(&trigger(10, true)), "a trigger of 10 s"),
        (with_frame(&plain(0x0057)), "a frame 0057 with the tags"),
        (with_frame(&plain(0x004a)), "message type 004a: a reader must not send it"),
        (with_frame(&plain(0x0100)), "message type 0100"),
    ];
    let topic = format!("cmd/anker_power/{CODE}/{SERIAL}/req");
    for (message, _) in &faults {
        listener.publish(&topic, message.to_string());
    }
    listener.send(CODE, SERIAL, &plain(0x0030));
    assert_eq!(listener.frame().await.1[7..9], [0x08, 0x30], "only the last was right");
    let counted = cloud.wrong_requests();
    assert_eq!(counted.len(), faults.len(), "{counted:#?}");
    for (has, (message, wanted)) in counted.iter().zip(&faults) {
        assert!(has.contains(wanted), "{message}: {has}");
    }
}

#[tokio::test]
async fn a_station_can_send_nonsense() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let station = cloud.station(SERIAL);
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    station.publish_broken(Broken::Checksum);
    let frame = frame_of(&listener.raw().await.1);
    assert_eq!((frame.len(), frame.iter().fold(0, |sum, byte| sum ^ byte)), (486, 0x5a));
    station.publish_broken(Broken::Truncated);
    assert_eq!(frame_of(&listener.raw().await.1).len(), 243);
    station.publish_broken(Broken::WrongModel);
    let message: Value = serde_json::from_slice(&listener.raw().await.1).unwrap();
    assert!(message["payload"].as_str().unwrap().contains(r#""pn":"A1763""#));
    station.publish_broken(Broken::TooLong(200_000));
    let message = listener.raw().await.1;
    assert_eq!((message.len(), frame_of(&message).len()), (200_000, 486));
    station.publish_broken(Broken::Frame(vec![1, 2, 3]));
    assert_eq!(frame_of(&listener.raw().await.1), [1, 2, 3]);
    station.publish_broken(Broken::Garbage);
    assert!(serde_json::from_slice::<Value>(&listener.raw().await.1).is_err());
    station.publish_broken(Broken::Raw(b"{}".to_vec()));
    assert_eq!(listener.raw().await.1, b"{}");
}

#[tokio::test]
async fn a_panel_speaks_for_the_stations_behind_it() {
    let (panel, station) = ("UUBABYTEST000001", "9DNBH3TEST000002");
    let cloud = Cloud::start(Options::with_panel()).await.unwrap();
    cloud.station(panel).set_soc(55).set_ac_input(0).set("bat_charge_power", 700.0);
    cloud.station(station).set_soc(33);
    let mut listener = Listener::to(&cloud, "A17B1", panel).await;
    assert!(listener.subscribe(&format!("dt/anker_power/{CODE}/{station}/#")).await, "it is the account's");
    listener.send("A17B1", panel, &plain(0x0040));
    listener.send("A17B1", panel, &trigger(300, true));
    assert_eq!(listener.frame().await.1[7..9], [0x08, 0x57], "a panel knows no status request");
    let own = panel_text(&listener.frame().await.1);
    let data = &own["data"];
    assert_eq!((&data["soc"], &data["gp"]), (&json!(55), &json!(0)));
    assert_eq!((&data["bcp"], &data["bp"]), (&json!(-700), &json!(-700)), "charging is negative here");
    assert_eq!((&data["90bsn"], &data["90bsoc"]), (&json!(station), &json!(33)));
    let (_, frame) = listener.frame().await;
    assert_eq!(frame[7..9], [0x06, 0x01]);
    let embedded = panel_text(&frame);
    assert_eq!((&embedded[1]["sn"], &embedded[1]["type"]), (&json!(station), &json!(CODE)));
    assert_eq!(fields(&unhex(embedded[1]["tlv"].as_str().unwrap()))[&0xad], [0x01, 33]);
}

#[tokio::test]
async fn other_models_have_their_own_frames() {
    let (gen_2, bank, bank_2) = (Device::c1000_gen_2(), Device::solarbank(), Device::solarbank_2());
    let devices = vec![gen_2.clone(), bank.clone(), bank_2.clone()];
    let cloud = Cloud::start(Options { devices, ..Options::default() }).await.unwrap();
    cloud.station(&gen_2.serial).set_soc(41).set_output(555);
    cloud.station(&bank.serial).set_soc(42);
    cloud.station(&bank_2.serial).set_soc(43).set_solar(100, 55);

    let mut listener = Listener::to(&cloud, "A1763", &gen_2.serial).await;
    listener.send("A1763", &gen_2.serial, &plain(0x0100));
    let (_, frame) = listener.frame().await;
    assert_eq!(frame[7..10], [0x09, 0x00, 0x00]);
    let fields_of_gen_2 = fields(&frame);
    assert_eq!(fields_of_gen_2[&0xa5][3], 41);
    assert_eq!(fields_of_gen_2[&0xa6][1..3], [0x2b, 0x02]);
    assert_eq!(fields_of_gen_2[&0xa2][3..20], *gen_2.serial.as_bytes());

    let mut listener = Listener::to(&cloud, "A17C0", &bank.serial).await;
    listener.send("A17C0", &bank.serial, &plain(0x0040));
    let (_, frame) = listener.frame().await;
    assert_eq!((&frame[7..9], &fields(&frame)[&0xa3]), (&[4, 5][..], &vec![0x01, 42]));

    let mut listener = Listener::to(&cloud, "A17C1", &bank_2.serial).await;
    listener.send("A17C1", &bank_2.serial, &trigger(30, true));
    listener.frame().await;
    let (_, frame) = listener.frame().await;
    assert_eq!(fields(&frame)[&0xab], [0x03, 0x0e, 0x06, 0, 0], "tenths of a watt");
}
