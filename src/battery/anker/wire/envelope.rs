//! The JSON around a frame, in both directions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::reading::{SafeText, Timestamp};

/// The most bytes that a message may have. A panel's JSON and the frames in it stay far below.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// A message of a device, as it came from the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The product code, from the topic, which is the better source than the message.
    pub model: SafeText,
    /// The serial number, from the topic.
    pub serial: SafeText,
    /// Which topic of the device.
    pub channel: Channel,
    /// When it was sent, by the clock of the device or the cloud.
    pub sent_at: Option<Timestamp>,
    /// What it carries.
    pub body: Body,
    /// The product code that the message itself names, if it names one.
    pub said_model: Option<SafeText>,
}

/// Which of a device's topics a message came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// `dt/…/param_info`: telemetry.
    ParamInfo,
    /// `dt/…/state_info`: acknowledgements, network.
    StateInfo,
    /// `cmd/…/req`: a request to the device, ours or the phone's.
    Request,
    /// `cmd/…/res`: an answer to one.
    Answer,
    /// Anything else.
    Other,
}

/// What a message carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `data`: a binary frame.
    Frame(Vec<u8>),
    /// `trans`: JSON text, sent by X1 systems.
    Json(Value),
}

/// Why a message could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The topic is not that of a device.
    #[error("the topic is not <dt or cmd>/<app>/<model>/<serial>/<channel>: {topic}")]
    Topic {
        /// The topic.
        topic: SafeText,
    },
    /// More than [`MAX_PAYLOAD_BYTES`].
    #[error("the message has {len} bytes, at most {MAX_PAYLOAD_BYTES} are read")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A part of it is not JSON.
    #[error("{part} is not JSON: {reason}")]
    Json {
        /// `message`, `payload` or `trans`.
        part: &'static str,
        /// What the parser says.
        reason: SafeText,
    },
    /// A part of it is not Base64.
    #[error("{part} is not Base64: {reason}")]
    Base64 {
        /// `data` or `trans`.
        part: &'static str,
        /// What the decoder says.
        reason: SafeText,
    },
    /// Neither `data` nor `trans` is there.
    #[error("the message carries neither `data` nor `trans`")]
    Empty,
}

/// Opens a message that came on `topic`. Bounded in bytes, and in nesting by the JSON parser.
pub fn read_message(topic: &str, payload: &[u8]) -> Result<Message, EnvelopeError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(EnvelopeError::TooLong { len: payload.len() });
    }
    let (model, serial, channel) =
        read_topic(topic).ok_or_else(|| EnvelopeError::Topic { topic: SafeText::new(topic) })?;
    let message = from_json("message", payload)?;
    let inner = match message.get("payload").and_then(Value::as_str) {
        Some(inner) => from_json("payload", inner.as_bytes())?,
        None => return Err(EnvelopeError::Empty),
    };
    let body = if let Some(frame) = inner.get("data").and_then(Value::as_str) {
        Body::Frame(from_base64("data", frame)?)
    } else if let Some(trans) = inner.get("trans").and_then(Value::as_str) {
        Body::Json(from_json("trans", &from_base64("trans", trans)?)?)
    } else {
        return Err(EnvelopeError::Empty);
    };
    let seconds = message.get("head").and_then(|head| head.get("timestamp")).and_then(Value::as_i64);
    let sent_at = seconds.and_then(|seconds| seconds.checked_mul(1_000_000)).map(Timestamp::from_micros);
    let said_model = inner.get("pn").and_then(Value::as_str).map(SafeText::new);
    Ok(Message { model, serial, channel, sent_at, body, said_model })
}

fn read_topic(topic: &str) -> Option<(SafeText, SafeText, Channel)> {
    let mut parts = topic.splitn(5, '/');
    let (root, _app) = (parts.next()?, parts.next()?);
    let (model, serial) = (SafeText::new(parts.next()?), SafeText::new(parts.next()?));
    let channel = match (root, parts.next()?) {
        ("dt", "param_info") => Channel::ParamInfo,
        ("dt", "state_info") => Channel::StateInfo,
        ("cmd", "req") => Channel::Request,
        ("cmd", "res") => Channel::Answer,
        ("dt" | "cmd", _) => Channel::Other,
        _ => return None,
    };
    (!model.is_empty() && !serial.is_empty()).then_some((model, serial, channel))
}

fn from_json(part: &'static str, text: &[u8]) -> Result<Value, EnvelopeError> {
    serde_json::from_slice(text)
        .map_err(|error| EnvelopeError::Json { part, reason: SafeText::new(&error.to_string()) })
}

fn from_base64(part: &'static str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    STANDARD
        .decode(text)
        .map_err(|error| EnvelopeError::Base64 { part, reason: SafeText::new(&error.to_string()) })
}

/// Who publishes. Each of these is a secret or close to one: `Debug` shows none.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// `app_name` of the MQTT credentials: `anker_power`.
    pub app_name: &'a str,
    /// `user_id`, 40 hexadecimal digits.
    pub user_id: &'a str,
    /// `certificate_id`, a long decimal number.
    pub certificate_id: &'a str,
}

impl std::fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

/// The outer object of a request, in the order of its keys on the wire.
#[derive(Serialize)]
struct Request<'a> {
    head: RequestHead<'a>,
    /// JSON again, as text.
    payload: String,
}

#[derive(Serialize)]
struct RequestHead<'a> {
    version: &'static str,
    client_id: String,
    sess_id: &'static str,
    msg_seq: u8,
    seed: u8,
    timestamp: i64,
    cmd_status: u8,
    cmd: u8,
    sign_code: u8,
    device_pn: &'a str,
    device_sn: &'a str,
}

#[derive(Serialize)]
struct RequestPayload<'a> {
    device_sn: &'a str,
    account_id: &'a str,
    data: String,
}

/// The message that carries `frame` to a device, to be published on `cmd/<app_name>/<model>/<serial>/req`.
/// `owner_user_id` is the owner's for a device that others share with this account. The numbers in its head
/// are those that the phone sends; it holds the account's secrets, and is not to be logged.
pub fn request_envelope(
    account: &Account<'_>,
    owner_user_id: Option<&str>,
    model: &str,
    serial: &str,
    frame: &[u8],
    now: Timestamp,
) -> String {
    let Account { app_name, user_id, certificate_id } = account;
    let head = RequestHead {
        version: "1.0.0.1",
        client_id: format!("android-{app_name}-{user_id}-{certificate_id}"),
        sess_id: "1234-5678",
        msg_seq: 1,
        seed: 1,
        timestamp: now.micros().div_euclid(1_000_000),
        cmd_status: 2,
        cmd: 17,
        sign_code: 1,
        device_pn: model,
        device_sn: serial,
    };
    let payload = RequestPayload {
        device_sn: serial,
        account_id: owner_user_id.unwrap_or(user_id),
        data: STANDARD.encode(frame),
    };
    // Texts and small numbers always have a JSON form.
    let payload = serde_json::to_string(&payload).unwrap_or_default();
    serde_json::to_string(&Request { head, payload }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOPIC: &str = "dt/anker_power/A1790P/9DNBH3D0PLDBLX1Y/param_info";

    fn message(payload: &str) -> Result<Message, EnvelopeError> {
        let outer = serde_json::json!({ "head": { "timestamp": 1_777_600_000 }, "payload": payload });
        read_message(TOPIC, outer.to_string().as_bytes())
    }

    #[test]
    fn the_topic_says_who_it_is_whatever_the_message_says() {
        let message = message(r#"{"data":"/wk=","sn":"other","pn":"A1763"}"#).unwrap();
        assert_eq!((message.model.as_str(), message.serial.as_str()), ("A1790P", "9DNBH3D0PLDBLX1Y"));
        assert_eq!(message.said_model, Some(SafeText::new("A1763")));
        assert_eq!(message.body, Body::Frame(vec![0xff, 0x09]));
        assert_eq!(message.sent_at, Some(Timestamp::from_micros(1_777_600_000_000_000)));
    }

    #[test]
    fn json_in_a_payload_is_opened() {
        let message = message(r#"{"trans":"eyJzbiI6IkEifQ=="}"#).unwrap();
        assert_eq!(message.body, Body::Json(serde_json::json!({ "sn": "A" })));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let words = |payload: &str| message(payload).unwrap_err().to_string();
        assert!(words("{").starts_with("payload is not JSON: "));
        assert!(words(r#"{"data":"*"}"#).starts_with("data is not Base64: "));
        assert!(words(r#"{"trans":"e30"}"#).starts_with("trans is not Base64: "));
        assert!(words(r#"{"trans":"ew=="}"#).starts_with("trans is not JSON: "));
        assert_eq!(message(r#"{"sn":"x"}"#), Err(EnvelopeError::Empty));
        assert!(matches!(read_message("dt/anker_power/A1790P", b"{}"), Err(EnvelopeError::Topic { .. })));
    }

    #[test]
    fn a_message_beyond_the_bound_is_not_parsed() {
        let long = vec![b' '; MAX_PAYLOAD_BYTES + 1];
        assert_eq!(read_message(TOPIC, &long), Err(EnvelopeError::TooLong { len: long.len() }));
    }

    #[test]
    fn nesting_is_refused_before_the_stack_ends() {
        let deep = "[".repeat(200_000);
        assert!(matches!(read_message(TOPIC, deep.as_bytes()), Err(EnvelopeError::Json { .. })));
    }

    #[test]
    fn an_account_shows_none_of_its_secrets() {
        let account = Account { app_name: "canary", user_id: "canary", certificate_id: "canary" };
        assert!(!format!("{account:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(topic: String, payload: Vec<u8>, inner: String) {
            drop(read_message(&topic, &payload));
            drop(message(&inner));
        }
    }
}
