//! How long a frame of a station takes, from bytes to named values: `cargo bench --bench solix_decode`.
//!
//! One thread, one frame of 486 bytes with 93 fields, of which the map knows 48: what an F3800 Plus sends.
//! A minute's rest of the machine gives the number that counts; the least is what the work takes.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints what it measured")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fleetwatt::battery::anker::wire;

const FRAME: &str = include_str!("../../fixtures/solix/a1790p-486.hex");

const N_ROUNDS: u32 = 50;
const N_FRAMES_A_ROUND: u32 = 2_000;

fn main() {
    let bytes = wire::from_hex(FRAME).unwrap();
    // The field map is read when it is first needed, once in a process's life.
    let begin = Instant::now();
    decode(&bytes);
    println!("the first frame, with reading the field map: {:?}", begin.elapsed());
    let mut rounds: Vec<Duration> = (0..N_ROUNDS).map(|_| round(&bytes)).collect();
    rounds.sort();
    let [least, median] = [rounds.first(), rounds.get(rounds.len() / 2)].map(|round| *round.unwrap());
    println!("a frame of {} bytes: {least:?} at least, {median:?} in the median", bytes.len());
}

/// The mean of many frames.
fn round(bytes: &[u8]) -> Duration {
    let begin = Instant::now();
    for _ in 0..N_FRAMES_A_ROUND {
        decode(bytes);
    }
    begin.elapsed() / N_FRAMES_A_ROUND
}

fn decode(bytes: &[u8]) {
    let frame = wire::split(black_box(bytes)).unwrap();
    black_box(wire::decode("A1790P", &frame));
}
