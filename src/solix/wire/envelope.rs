//! The JSON around a frame, in both directions.

use serde_json::Value;

use crate::reading::{Clean, Timestamp};

/// The most bytes that a message may have. A panel's JSON and the frames in it stay far below.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// A message of a device, as it came from the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The product code, from the topic, which is the better source than the message.
    pub model: Clean,
    /// The serial number, from the topic.
    pub serial: Clean,
    /// Which topic of the device.
    pub channel: Channel,
    /// When it was sent, by the clock of the device or the cloud.
    pub sent_at: Option<Timestamp>,
    /// What it carries.
    pub body: Body,
    /// The product code that the message itself names, if it names one.
    pub said_model: Option<Clean>,
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
        topic: Clean,
    },
    /// More than [`MAX_PAYLOAD_BYTES`].
    #[error("the message has {len} bytes, at most {MAX_PAYLOAD_BYTES} are read")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A part of it is not JSON.
    #[error("the {part} is not JSON: {reason}")]
    Json {
        /// `message`, `payload` or `trans`.
        part: &'static str,
        /// What the parser says.
        reason: Clean,
    },
    /// A part of it is not Base64.
    #[error("{part} is not Base64: {reason}")]
    Base64 {
        /// `data` or `trans`.
        part: &'static str,
        /// What the decoder says.
        reason: Clean,
    },
    /// Neither `data` nor `trans` is there.
    #[error("the payload has neither `data` nor `trans`")]
    Empty,
}

/// Opens a message that came on `topic`. Bounded in bytes and in nesting.
pub fn read_message(topic: &str, _payload: &[u8]) -> Result<Message, EnvelopeError> {
    Err(EnvelopeError::Topic { topic: Clean::new(topic) })
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

/// The message that carries `frame` to a device, to be published on `cmd/<app_name>/<model>/<serial>/req`.
/// `owner_user_id` is the owner's for a device that others share with this account.
pub fn request_envelope(
    _account: &Account<'_>,
    _owner_user_id: Option<&str>,
    _model: &str,
    _serial: &str,
    _frame: &[u8],
    _now: Timestamp,
) -> String {
    String::new()
}
