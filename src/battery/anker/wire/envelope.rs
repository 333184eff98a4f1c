//! The JSON around a frame, in both directions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    /// Its content.
    pub body: Body,
    /// The product code that the message itself names, if it names one.
    pub said_model: Option<SafeText>,
}

/// The content of a message.
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
    #[error("the topic is not <dt or cmd>/<app>/<model>/<serial>/<channel>: {0}")]
    Topic(SafeText),
    /// It has so many bytes, more than [`MAX_PAYLOAD_BYTES`].
    #[error("the message has {0} bytes, at most {MAX_PAYLOAD_BYTES} are read")]
    TooLong(usize),
    /// A part of it (`message`, `payload` or `trans`) is not JSON, as the parser says.
    #[error("{0} is not JSON: {1}")]
    Json(&'static str, SafeText),
    /// A part of it (`data` or `trans`) is not Base64, as the decoder says.
    #[error("{0} is not Base64: {1}")]
    Base64(&'static str, SafeText),
    /// Neither `data` nor `trans` is there.
    #[error("the message carries neither `data` nor `trans`")]
    Empty,
}

/// Opens a message that came on `topic`. Bounded in bytes, and in nesting by the JSON parser.
pub fn read_message(topic: &str, payload: &[u8]) -> Result<Message, EnvelopeError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(EnvelopeError::TooLong(payload.len()));
    }
    let (model, serial) = read_topic(topic).ok_or_else(|| EnvelopeError::Topic(SafeText::new(topic)))?;
    let message = from_json("message", payload)?;
    let inner = message.get("payload").and_then(Value::as_str).ok_or(EnvelopeError::Empty)?;
    let inner = from_json("payload", inner.as_bytes())?;
    let text = |key| inner.get(key).and_then(Value::as_str);
    let body = match (text("data"), text("trans")) {
        (Some(frame), _) => Body::Frame(from_base64("data", frame)?),
        (None, Some(trans)) => Body::Json(from_json("trans", &from_base64("trans", trans)?)?),
        (None, None) => return Err(EnvelopeError::Empty),
    };
    Ok(Message { model, serial, body, said_model: text("pn").map(SafeText::new) })
}

/// The model and the serial number of a device, from its topic.
fn read_topic(topic: &str) -> Option<(SafeText, SafeText)> {
    let parts: Vec<&str> = topic.splitn(5, '/').collect();
    let ["dt" | "cmd", _app, model, serial, _channel] = parts.as_slice() else { return None };
    let (model, serial) = (SafeText::new(model), SafeText::new(serial));
    (!model.is_empty() && !serial.is_empty()).then_some((model, serial))
}

fn from_json(part: &'static str, text: &[u8]) -> Result<Value, EnvelopeError> {
    serde_json::from_slice(text).map_err(|error| EnvelopeError::Json(part, SafeText::new(&error.to_string())))
}

fn from_base64(part: &'static str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    let decoded = STANDARD.decode(text);
    decoded.map_err(|error| EnvelopeError::Base64(part, SafeText::new(&error.to_string())))
}

/// The publisher. Each of these is a secret or close to one: `Debug` shows none.
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

/// The message that carries `frame` to a device, to be published on `cmd/<app_name>/<model>/<serial>/req`.
/// `owner_user_id` is the owner's for a device that others share with this account. Keys and numbers are in the
/// order in which the phone sends them; it holds the account's secrets, and is not to be logged.
pub fn request_envelope(
    account: &Account<'_>,
    owner_user_id: Option<&str>,
    model: &str,
    serial: &str,
    frame: &[u8],
    now: Timestamp,
) -> String {
    let Account { app_name, user_id, certificate_id } = account;
    let quoted = |text: &str| Value::from(text).to_string();
    let (model, serial) = (quoted(model), quoted(serial));
    let client_id = quoted(&format!("android-{app_name}-{user_id}-{certificate_id}"));
    let head = format!(
        r#""version":"1.0.0.1","client_id":{client_id},"sess_id":"1234-5678","msg_seq":1,"seed":1,"timestamp":{},"#,
        now.micros().div_euclid(1_000_000),
    );
    let rest = format!(r#""cmd_status":2,"cmd":17,"sign_code":1,"device_pn":{model},"device_sn":{serial}"#);
    let (account_id, data) = (quoted(owner_user_id.unwrap_or(user_id)), STANDARD.encode(frame));
    let payload = format!(r#"{{"device_sn":{serial},"account_id":{account_id},"data":"{data}"}}"#);
    format!(r#"{{"head":{{{head}{rest}}},"payload":{}}}"#, quoted(&payload))
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
        assert!(matches!(read_message("dt/anker_power/A1790P", b"{}"), Err(EnvelopeError::Topic(_))));
    }

    #[test]
    fn a_message_beyond_the_bound_is_not_parsed() {
        let long = vec![b' '; MAX_PAYLOAD_BYTES + 1];
        assert_eq!(read_message(TOPIC, &long), Err(EnvelopeError::TooLong(long.len())));
    }

    #[test]
    fn nesting_is_refused_before_the_stack_ends() {
        let deep = "[".repeat(200_000);
        assert!(matches!(read_message(TOPIC, deep.as_bytes()), Err(EnvelopeError::Json(..))));
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
