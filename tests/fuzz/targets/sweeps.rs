//! Whatever a loop prints, and wherever it is cut, the same samples come of it.

#![no_main]

use std::time::Duration;

use fleetwatt::probe::nvidia_smi::{Ending, read_rows};
use fleetwatt::probe::{HostProfile, LoopReader};
use libfuzzer_sys::fuzz_target;

const KNOWN: &str = "0, GPU-1, 51.20\n1, GPU-2, 48.75\n";

/// How many samples come of these pieces.
fn n_samples(pieces: &[&[u8]]) -> usize {
    let known = read_rows(&["index", "uuid", "power.draw"], KNOWN, Ending::Whole);
    let opened = LoopReader::open(&HostProfile::default(), &known.gpus, Duration::from_secs(1));
    let Some((mut reader, _)) = opened else { return 0 };
    let mut n_samples = 0;
    for piece in pieces {
        reader.take(piece, |_| n_samples += 1);
    }
    reader.end();
    n_samples
}

fuzz_target!(|input: (&[u8], usize)| {
    let (bytes, cut) = input;
    let (head, tail) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(n_samples(&[bytes]), n_samples(&[head, tail]));
});
