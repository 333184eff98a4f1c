//! A batch as bytes: its records as JSON lines, compressed, with a checksum.

use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use serde::Serialize;

use crate::batch::BatchId;
use crate::store::record::{Record, Unreadable};

/// No batch is larger: it bounds what a damaged one can make us allocate.
const MAX_BYTES: u64 = 1 << 30;

/// A batch, ready to be stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) payload: Vec<u8>,
    pub(super) crc32: u32,
}

impl Packed {
    pub(super) fn of(id: BatchId, records: &[impl Serialize]) -> Self {
        // Level 1: a thousand rows, 314 KB, become 25 KB in a millisecond; higher levels gain little.
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(1));
        for record in records {
            let written = serde_json::to_writer(&mut encoder, record).map_err(std::io::Error::from);
            written.and_then(|()| encoder.write_all(b"\n")).expect("writing to memory cannot fail");
        }
        let payload = encoder.finish().expect("writing to memory cannot fail");
        let crc32 = checksum(id, &payload);
        Self { payload, crc32 }
    }

    pub(super) fn bytes(&self) -> i64 {
        i64::try_from(self.payload.len()).unwrap_or(i64::MAX)
    }
}

/// The records, if everything is as it was packed.
pub(super) fn unpack(id: BatchId, payload: &[u8], crc32: u32) -> Result<Vec<Record>, Unreadable> {
    let mut text = Vec::new();
    if checksum(id, payload) != crc32
        || ZlibDecoder::new(payload).take(MAX_BYTES).read_to_end(&mut text).is_err()
    {
        return Err(Unreadable::Damaged);
    }
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Record::from_json).collect()
}

/// Reads a payload as it lies in a spool, and says how many records it has; `None` if it is damaged. For tests of
/// damage and for fuzzing: the checksum is taken for right.
pub fn n_rows_of_payload(payload: &[u8]) -> Option<usize> {
    let id = BatchId(uuid::Uuid::nil());
    unpack(id, payload, checksum(id, payload)).ok().map(|records| records.len())
}

/// Over the id as well: the payload of another batch is damage too.
fn checksum(id: BatchId, payload: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(id.0.as_bytes());
    crc.update(payload);
    crc.sum()
}
