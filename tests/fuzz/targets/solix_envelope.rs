//! Whatever a broker delivers, on whatever topic, opening it ends with a message or with what is wrong with it.

#![no_main]

use fleetwatt::battery::anker::wire::{self, Body};
use libfuzzer_sys::fuzz_target;

const TOPIC: &str = "dt/anker_power/A17B1/UUBABYTEST000001/param_info";

fuzz_target!(|payload: &[u8]| {
    open(TOPIC, payload);
    let Ok(text) = std::str::from_utf8(payload) else { return };
    open(text, b"{\"payload\":\"{}\"}");
    // As the inner text, which random changes of the outer one seldom leave intact.
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " ");
    open(TOPIC, format!("{{\"payload\":\"{quoted}\"}}").as_bytes());
});

fn open(topic: &str, payload: &[u8]) {
    match wire::read_message(topic, payload) {
        Ok(message) => {
            assert!(!message.serial.is_empty() && payload.len() <= wire::MAX_PAYLOAD_BYTES);
            match &message.body {
                Body::Frame(bytes) => {
                    if let Ok(frame) = wire::split(bytes) {
                        wire::decode(message.model.as_str(), &frame);
                    }
                }
                Body::Json(message) => {
                    wire::decode_json("A5101", message);
                }
            }
        }
        Err(error) => assert!(error.to_string().chars().count() < 500),
    }
}
