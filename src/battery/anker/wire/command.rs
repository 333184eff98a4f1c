//! The two requests that a reader makes: publish for a while, and say your state once.

use std::time::Duration;

use super::frame::{FieldKind, MsgType, build};
use super::model::resolved;
use crate::reading::Timestamp;

/// The seconds for which devices take a trigger.
const TRIGGER: std::ops::RangeInclusive<u64> = 30..=600;

/// The content of the first field of a request.
const REQUEST: u8 = 0x22;

/// The realtime trigger (0057): a frame that makes a device publish every few seconds for `duration`, or
/// stop with `on` false. The duration is in whole seconds, held to the 30 to 600 that devices take; the last
/// trigger wins, also over the phone's. The acknowledgement is 0857.
pub fn trigger(on: bool, duration: Duration, now: Timestamp) -> Vec<u8> {
    let seconds = duration.as_secs().clamp(*TRIGGER.start(), *TRIGGER.end());
    let seconds = u32::try_from(seconds).unwrap_or_default();
    build(
        MsgType([0x00, 0x57]),
        &[
            (0xa1, None, &[REQUEST]),
            (0xa2, Some(FieldKind::U8), &[u8::from(on)]),
            (0xa3, Some(FieldKind::VAR), &seconds.to_le_bytes()),
            (0xfe, Some(FieldKind::VAR), &unix_seconds(now)),
        ],
    )
}

/// The status request for a model: one answer instead of a stream. 0040, but 0100 for stations of the
/// second generation and 0200 for chargers.
pub fn status_request(model: &str, now: Timestamp) -> Vec<u8> {
    let fields: [(u8, Option<FieldKind>, &[u8]); 2] =
        [(0xa1, None, &[REQUEST]), (0xfe, Some(FieldKind::VAR), &unix_seconds(now))];
    build(status_type(model), &fields)
}

fn status_type(model: &str) -> MsgType {
    MsgType(match resolved(model) {
        "A1763" | "A1783" | "AS220" | "A1782" => [0x01, 0x00],
        "A2345" | "A91B2" => [0x02, 0x00],
        _ => [0x00, 0x40],
    })
}

/// The time as devices take it. What a 32-bit clock cannot say becomes its end.
fn unix_seconds(now: Timestamp) -> [u8; 4] {
    let seconds = now.micros().div_euclid(1_000_000).clamp(0, i64::from(u32::MAX));
    u32::try_from(seconds).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::battery::anker::wire::{split, to_hex};

    const NOW: Timestamp = Timestamp::from_micros(1_756_813_256_000_000);

    #[test]
    fn a_duration_that_devices_do_not_take_is_held_to_their_bounds() {
        let of = |seconds| trigger(true, Duration::from_secs(seconds), NOW);
        assert_eq!((of(0), of(86_400)), (of(30), of(600)));
    }

    #[test]
    fn stations_of_the_second_generation_are_asked_by_0100_also_under_another_code() {
        let request = to_hex(&status_request("A1765", NOW));
        assert!(request.starts_with("ff09140003000f0100a10122fe0503c8d7b668"), "{request}");
    }

    #[test]
    fn a_request_is_a_frame_like_any_other() {
        let request = status_request("A1790P", NOW);
        let frame = split(&request).unwrap();
        assert!(frame.is_consistent && frame.is_checksum_ok);
        assert_eq!(frame.fields.len(), 2);
    }
}
