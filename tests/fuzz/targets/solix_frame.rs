//! Whatever a frame holds, it is cut, decoded by the map of every model and read, and no figure comes out that
//! cannot be.

#![no_main]

use fleetwatt::reading::{SafeText, PollingMode, Power, Station, StationReading, Timestamp};
use fleetwatt::battery::anker::wire::{self, DeviceState};
use libfuzzer_sys::fuzz_target;

/// Before the message type: what a frame begins with, its length, and where it is from.
const N_HEADER: usize = 7;

fuzz_target!(|bytes: &[u8]| {
    read(bytes, 0);
    // Nearly every change of a frame changes its length, so that it would be refused at once.
    let rest = bytes.get(N_HEADER..).unwrap_or(bytes);
    if let Ok(length) = u16::try_from(N_HEADER + rest.len()) {
        let [low, high] = length.to_le_bytes();
        read(&[&[0xff, 0x09, low, high, 0x03, 0x01, 0x0f], rest].concat(), 0);
    }
});

fn read(bytes: &[u8], depth: u32) {
    let Ok(frame) = wire::split(bytes) else { return };
    let n_content: usize = frame.fields.iter().map(|field| field.value.len()).sum();
    assert!(n_content + frame.fields.len() * 2 < bytes.len());
    let ascends = frame.fields.iter().zip(frame.fields.iter().skip(1)).all(|(one, next)| one.tag < next.tag);
    assert!(ascends || (frame.is_consistent && frame.is_checksum_ok));
    for model in wire::models() {
        let decoded = wire::decode(model.code, &frame);
        let mut state = DeviceState::default();
        state.merge(&decoded.values, Timestamp::from_micros(0));
        let (serial, code) = (SafeText::new("SN"), SafeText::new(model.code));
        let station = Station { serial, model: code.clone(), name: code };
        let reading = wire::reading(&station, &state, Timestamp::from_micros(0), PollingMode::Normal);
        if let Some(reading) = reading {
            check(&reading);
        }
        // A carried frame takes at least two digits a byte, so that this ends by itself.
        for carried in decoded.embedded.iter().filter(|_| depth < 20) {
            read(&carried.frame, depth + 1);
        }
    }
}

fn check(reading: &StationReading) {
    if let Ok(soc) = reading.device.soc() {
        assert!((0.0..=100.0).contains(&soc.percent()));
    }
    let most = Power::from_watts(20_000);
    for power in [reading.device.power_input(), reading.device.power_output(), reading.device.solar_power()].into_iter().flatten() {
        assert!(Power::default() <= *power && *power <= most);
    }
    if let Ok(power) = reading.device.grid_power() {
        assert!(*power <= most);
    }
}
