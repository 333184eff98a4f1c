//! The JSON around a frame: written as a device writes it, and read as strictly as can be.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::frame::open_request;
use super::types::Asked;

/// How far a request's clock may be from ours.
const CLOCK_WITHIN: u64 = 5 * 60;
/// How long a trigger may be.
const TRIGGER_SECONDS: std::ops::RangeInclusive<u32> = 30..=600;

/// What a device's message says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    pub serial: &'a str,
    pub code: &'a str,
    /// Counts up with each message.
    pub sequence: u64,
    /// Unix time, seconds.
    pub seconds: u64,
}

/// A message of a device.
pub fn message(sender: Sender<'_>, frame: &[u8]) -> Vec<u8> {
    let payload = json!({"data": STANDARD.encode(frame), "sn": sender.serial, "pn": sender.code});
    let session = format!("{:04}-{:04}", sender.sequence * 7 % 10_000, sender.sequence * 13 % 10_000);
    json!({
        "head": {
            "version": "1.0.0.1", "client_id": sender.serial, "sess_id": session,
            "msg_seq": sender.sequence, "cmd": 16, "cmd_status": 1, "sign_code": 0, "seed": "null",
            "timestamp": sender.seconds,
        },
        "payload": payload.to_string(),
    })
    .to_string()
    .into_bytes()
}

/// Who is asked, by whom.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    pub serial: &'a str,
    pub code: &'a str,
    /// The account's user id.
    pub user_id: &'a str,
    /// The certificates that are good, by their id.
    pub certificate_ids: &'a [String],
    /// The message type of its status request.
    pub status_request: Option<u16>,
    /// Unix time, seconds.
    pub seconds: u64,
}

/// What a request asks for, or what is wrong with it.
pub fn read_request(message: &[u8], to: Addressee<'_>) -> Result<Asked, String> {
    let message: Value = serde_json::from_slice(message).map_err(|_| "the message is not JSON")?;
    let message = with_keys(&message, "the message", &["head", "payload"])?;
    check_head(&message["head"], to)?;
    let payload = message["payload"].as_str().ok_or("payload is not a text")?;
    let payload: Value = serde_json::from_str(payload).map_err(|_| "payload does not hold JSON")?;
    let payload = with_keys(&payload, "payload", &["device_sn", "account_id", "data"])?;
    same("payload.device_sn", &payload["device_sn"], to.serial)?;
    same("payload.account_id", &payload["account_id"], to.user_id)?;
    let frame = payload["data"].as_str().ok_or("payload.data is not a text")?;
    let frame = STANDARD.decode(frame).map_err(|_| "payload.data is not Base64")?;
    read_frame(&frame, to)
}

fn check_head(head: &Value, to: Addressee<'_>) -> Result<(), String> {
    const KEYS: [&str; 11] = [
        "version",
        "client_id",
        "sess_id",
        "msg_seq",
        "seed",
        "timestamp",
        "cmd_status",
        "cmd",
        "sign_code",
        "device_pn",
        "device_sn",
    ];
    let head = with_keys(head, "head", &KEYS)?;
    same("head.version", &head["version"], "1.0.0.1")?;
    let wanted = |id: &String| format!("android-anker_power-{}-{id}", to.user_id);
    let client_id = head["client_id"].as_str().unwrap_or_default();
    if !to.certificate_ids.iter().any(|id| client_id == wanted(id)) {
        return Err("head.client_id is not android-<app>-<user id>-<certificate id>".to_owned());
    }
    let session = head["sess_id"].as_str().unwrap_or_default();
    let digits = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !session.split_once('-').is_some_and(|(left, right)| digits(left) && digits(right)) {
        return Err("head.sess_id is not dddd-dddd".to_owned());
    }
    for (key, wanted) in [("seed", 1), ("cmd_status", 2), ("cmd", 17), ("sign_code", 1)] {
        if head[key].as_u64() != Some(wanted) {
            return Err(format!("head.{key} is {} and not {wanted}", head[key]));
        }
    }
    if head["msg_seq"].as_u64().is_none_or(|number| number < 1) {
        return Err("head.msg_seq is no positive number".to_owned());
    }
    let seconds = head["timestamp"].as_u64().ok_or("head.timestamp is no number of seconds")?;
    check_clock("head.timestamp", seconds, to)?;
    same("head.device_pn", &head["device_pn"], to.code)?;
    same("head.device_sn", &head["device_sn"], to.serial)
}

fn read_frame(frame: &[u8], to: Addressee<'_>) -> Result<Asked, String> {
    let (message, fields) = open_request(frame)?;
    let tags: Vec<u8> = fields.iter().map(|(tag, _)| *tag).collect();
    let wanted: &[u8] = if message == 0x0057 { &[0xa1, 0xa2, 0xa3, 0xfe] } else { &[0xa1, 0xfe] };
    let is_status = to.status_request == Some(message);
    if !is_status && !matches!(message, 0x0057 | 0x0030 | 0x0040) {
        return Err(format!("message type {message:04x}: a reader must not send it to {}", to.code));
    }
    if tags != wanted {
        return Err(format!("a frame {message:04x} with the tags {tags:02x?} and not {wanted:02x?}"));
    }
    if fields[0].1 != [0x22] {
        return Err("field a1 is not 22".to_owned());
    }
    let [0x03, clock @ ..] = fields[fields.len() - 1].1 else { return Err("field fe is no var".to_owned()) };
    let clock = clock.try_into().map(u32::from_le_bytes).map_err(|_| "field fe has not 4 bytes")?;
    check_clock("field fe", clock.into(), to)?;
    match message {
        0x0057 => read_trigger(fields[1].1, fields[2].1),
        0x0030 => Ok(Asked::Versions),
        _ => Ok(Asked::Status),
    }
}

fn read_trigger(switch: &[u8], duration: &[u8]) -> Result<Asked, String> {
    let [0x03, duration @ ..] = duration else { return Err("field a3 is no var".to_owned()) };
    let seconds = duration.try_into().map(u32::from_le_bytes).map_err(|_| "field a3 has not 4 bytes")?;
    if !TRIGGER_SECONDS.contains(&seconds) {
        return Err(format!("a trigger of {seconds} s, which is not in 30..=600"));
    }
    match switch {
        [0x01, 0x01] => Ok(Asked::Trigger(Duration::from_secs(seconds.into()))),
        [0x01, 0x00] => Ok(Asked::TriggerOff),
        _ => Err("field a2 is neither on nor off".to_owned()),
    }
}

fn check_clock(what: &str, seconds: u64, to: Addressee<'_>) -> Result<(), String> {
    let apart = seconds.abs_diff(to.seconds);
    if apart <= CLOCK_WITHIN { Ok(()) } else { Err(format!("{what} is {apart} s away from now")) }
}

/// An object with exactly these keys.
pub fn with_keys<'a>(value: &'a Value, what: &str, keys: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or_else(|| format!("{what} is no object"))?;
    let has: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = keys.iter().copied().collect();
    if has == wanted {
        return Ok(object);
    }
    let names = |of: &BTreeSet<&str>, without: &BTreeSet<&str>| {
        of.difference(without).copied().collect::<Vec<_>>().join(", ")
    };
    Err(format!("{what} lacks [{}], has too much [{}]", names(&wanted, &has), names(&has, &wanted)))
}

/// What is different is not said: it may be a secret.
fn same(what: &str, has: &Value, wanted: &str) -> Result<(), String> {
    if has.as_str() == Some(wanted) { Ok(()) } else { Err(format!("{what} is another's")) }
}
