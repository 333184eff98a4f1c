//! The two requests that a reader makes: send for a while, and say your state once.

use std::time::Duration;

use super::frame::MsgType;
use crate::reading::Timestamp;

/// The realtime trigger (0057): a frame that makes a device publish every few seconds for `duration`, or
/// stop with `on` false. Devices take 30 to 600 s; the last trigger wins, also over the phone's. The
/// acknowledgement is 0857. Seconds are whole, `now` goes into the frame.
pub fn trigger(_on: bool, _duration: Duration, _now: Timestamp) -> Vec<u8> {
    Vec::new()
}

/// The status request for a model: one answer instead of a stream. 0040, but 0100 for stations of the
/// second generation and 0200 for chargers.
pub fn status_request(_model: &str, _now: Timestamp) -> Vec<u8> {
    Vec::new()
}

/// Whether a frame of this type, sent by this model, is what a status request asks for: the answer itself
/// (0840, 0900, 0a00), or telemetry with the same fields (0405, 0421).
pub fn answers_status_request(_model: &str, _msg_type: MsgType) -> bool {
    false
}
