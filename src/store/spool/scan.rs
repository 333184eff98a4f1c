//! Reads a damaged spool page by page, without SQLite: each batch that a page still holds is found, whatever else
//! is broken, and known by its checksum.
//!
//! <https://www.sqlite.org/fileformat2.html>: pages of one size, numbered from 1. A leaf of a table is a list of
//! records with their row numbers; what does not fit into a page goes on in a chain of overflow pages. The
//! write-ahead log has newer images of pages. In a file with incremental vacuum, map pages say which pages are free,
//! so that what was delivered and removed is not taken for waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use super::queue::{Stored, unpack};
use crate::store::counts::{from_database, from_length};
use crate::store::record::Unreadable;

/// SQLite's default, which every spool has; the header may say something else when it is damaged.
const PAGE: usize = 4_096;

/// The first page's tree begins behind the file's header.
const HEADER: usize = 100;

const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The kind of a page, by its first byte.
const TABLE_LEAF: u8 = 13;
const INDEX_LEAF: u8 = 10;
const INDEX_INTERIOR: u8 = 2;

/// The root of the index of ids: the tables are created in one order, and none is ever dropped.
const INDEX_ROOT: usize = 4;

/// The mark of a free page in a map page.
const FREE: u8 = 2;

/// Bytes of a map page's entry, and how many pages a map page and those it is about are together.
const MAP_ENTRY: usize = 5;
const MAPPED: usize = PAGE / MAP_ENTRY + 1;

/// Of the table of batches.
const N_COLUMNS: usize = 9;

/// No record is larger: it bounds what a damaged one can make us allocate.
const MAX_RECORD: usize = 1 << 30;

/// The finds.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    /// Batches whose checksum holds, by their place in the queue.
    pub(super) batches: BTreeMap<i64, Batch>,
    /// Refused rows that were laid aside.
    pub(super) dead_letters: BTreeMap<i64, (String, String, String, i64)>,
    /// The numbers of `meta`.
    pub(super) numbers: BTreeMap<String, i64>,
    /// Places in the queue that something speaks of.
    known: BTreeSet<i64>,
    /// The highest place that was ever given.
    last: i64,
    /// Whether the index was there that speaks of each batch, so that it is known how many there were.
    pub(super) is_complete: bool,
}

/// A batch as it stands in the table.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stored: Stored,
    pub(super) created_us: Option<i64>,
    pub(super) attempts: i64,
    pub(super) last_error: Option<String>,
}

impl Salvage {
    /// The number of batches that are known to be lost. Batches leave from the front, so whatever follows the first
    /// that something speaks of was there.
    pub(super) fn n_lost(&self) -> u64 {
        let Some(first) = self.known.iter().chain(self.batches.keys()).min() else { return 0 };
        let last = self.known.iter().chain(self.batches.keys()).max().unwrap_or(first);
        let n_there = from_database(self.last.max(*last).saturating_sub(*first).saturating_add(1));
        n_there.saturating_sub(from_length(self.batches.len()))
    }
}

/// Reads what is left of the spool at `path`, with its write-ahead log.
pub(super) fn scan(path: &Path, wal: &Path) -> io::Result<Salvage> {
    let pages = Pages::open(path, wal)?;
    let mut found = Salvage::default();
    for number in 1..=pages.last {
        if pages.is_free(number) {
            continue;
        }
        let Some(page) = pages.page(number) else { continue };
        found.is_complete |=
            number == INDEX_ROOT && matches!(page.first(), Some(&(INDEX_LEAF | INDEX_INTERIOR)));
        for record in pages.records(number, &page) {
            found.take(&record);
        }
    }
    Ok(found)
}

/// The newest image of each page.
#[derive(Debug)]
struct Pages {
    file: File,
    wal: Option<File>,
    /// Where the log has a page.
    in_wal: BTreeMap<usize, u64>,
    last: usize,
}

/// A record with its row number, which records of indexes do not have.
#[derive(Debug)]
struct Record {
    row: Option<i64>,
    values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Pages {
    fn open(path: &Path, wal: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let wal = File::open(wal).ok();
        let in_wal = wal.as_ref().map(frames).transpose()?.unwrap_or_default();
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        // The last page of a file that was cut may be half there.
        let last = length.div_ceil(PAGE).max(in_wal.keys().next_back().copied().unwrap_or(0));
        Ok(Self { file, wal, in_wal, last })
    }

    fn page(&self, number: usize) -> Option<Vec<u8>> {
        let (file, at) = match (self.in_wal.get(&number), &self.wal) {
            (Some(at), Some(wal)) => (wal, *at),
            _ => (&self.file, u64::try_from(number.checked_sub(1)?.checked_mul(PAGE)?).ok()?),
        };
        let mut page = vec![0; PAGE];
        let mut n_read = 0;
        while n_read < PAGE {
            match file.read_at(page.get_mut(n_read..)?, at + u64::try_from(n_read).ok()?) {
                Ok(0) => break,
                Ok(n) => n_read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A bad block costs its page.
                Err(_) => return None,
            }
        }
        (n_read > 0).then_some(page)
    }

    fn is_free(&self, number: usize) -> bool {
        let Some(before) = number.checked_sub(2) else { return false };
        let map = before / MAPPED * MAPPED + 2;
        let Some(entry) = number.checked_sub(map + 1) else { return true };
        let page = self.page(map);
        page.and_then(|page| page.get(entry * MAP_ENTRY).copied()) == Some(FREE)
    }

    /// The records of a leaf of a table, or of a page of an index.
    fn records(&self, number: usize, page: &[u8]) -> Vec<Record> {
        let start = if number == 1 { HEADER } else { 0 };
        let Some(kind) = page.get(start).copied() else { return Vec::new() };
        let header = match kind {
            TABLE_LEAF | INDEX_LEAF => 8,
            INDEX_INTERIOR => 12,
            _ => return Vec::new(),
        };
        let n_cells = big_endian(page, start + 3, 2).unwrap_or(0).min(PAGE / 2);
        let cells = (0..n_cells).filter_map(|cell| big_endian(page, start + header + 2 * cell, 2));
        cells.filter_map(|at| self.record(page, at, kind)).collect()
    }

    fn record(&self, page: &[u8], at: usize, kind: u8) -> Option<Record> {
        let mut at = if kind == INDEX_INTERIOR { at + 4 } else { at };
        let length = usize::try_from(varint(page, &mut at)?).ok().filter(|length| *length <= MAX_RECORD)?;
        let row = if kind == TABLE_LEAF { Some(varint(page, &mut at)?) } else { None };
        let local = n_local(length, kind);
        let mut bytes = page.get(at..at.checked_add(local)?)?.to_vec();
        if local < length {
            let next = big_endian(page, at + local, 4)?;
            self.follow(next, length, &mut bytes);
        }
        Some(Record { row, values: values(&bytes, length)? })
    }

    /// Adds what lies in overflow pages, as far as the chain can be followed.
    fn follow(&self, mut next: usize, length: usize, bytes: &mut Vec<u8>) {
        let mut n_pages = 0;
        while bytes.len() < length && next != 0 && n_pages <= self.last {
            let Some(page) = self.page(next) else { return };
            let rest = (length - bytes.len()).min(PAGE - 4);
            bytes.extend_from_slice(page.get(4..4 + rest).unwrap_or_default());
            next = big_endian(&page, 0, 4).unwrap_or(0);
            n_pages += 1;
        }
    }
}

impl Salvage {
    /// Takes a record for what it looks like. A batch has to have the right checksum; the rest only says what was
    /// there.
    fn take(&mut self, record: &Record) {
        use Value::{Blob, Integer, Null, Text};
        match (record.row, record.values.as_slice()) {
            (
                Some(seq),
                [Null, Text(id), created, Integer(rows), Integer(_), Integer(crc), Blob(payload), rest @ ..],
            ) if id.len() == 36 => {
                self.known.insert(seq);
                let stored = (id.clone(), *rows, *crc, payload.clone());
                // What a later version wrote is whole too.
                if !matches!(unpack(&stored), Err(Unreadable::Damaged)) {
                    let (attempts, last_error) = match rest {
                        [Integer(attempts), Text(error), ..] => (*attempts, Some(error.clone())),
                        [Integer(attempts), ..] => (*attempts, None),
                        _ => (0, None),
                    };
                    let created_us = if let Integer(at) = created { Some(*at) } else { None };
                    self.batches.insert(seq, Batch { stored, created_us, attempts, last_error });
                }
            }
            // A damaged value leaves its row number.
            (Some(seq), [Null, Text(id), ..]) if is_id(id) && record.values.len() == N_COLUMNS => {
                self.known.insert(seq);
            }
            (Some(id), [Null, Text(batch), Text(row), Text(error), Integer(at)]) => {
                self.dead_letters.insert(id, (batch.clone(), row.clone(), error.clone(), *at));
            }
            (Some(_), [Text(name), Integer(number)]) if name == "batch" => self.last = self.last.max(*number),
            (Some(_), [Text(name), Integer(number)]) => {
                self.numbers.insert(name.clone(), *number);
            }
            // The index of ids.
            (None, [Text(id), Integer(seq)]) if is_id(id) => {
                self.known.insert(*seq);
            }
            _ => {}
        }
    }
}

/// Ids of batches have 36 characters; those of messages of alerts have more.
fn is_id(text: &str) -> bool {
    text.len() == 36 && Uuid::parse_str(text).is_ok()
}

/// Where the log has the newest image of each page. Frames of an earlier round have another salt.
fn frames(wal: &File) -> io::Result<BTreeMap<usize, u64>> {
    let length = wal.metadata()?.len();
    let mut header = [0; WAL_HEADER];
    let mut at = u64::try_from(WAL_HEADER).unwrap_or(0);
    let step = u64::try_from(FRAME_HEADER + PAGE).unwrap_or(u64::MAX);
    if length < at + step {
        return Ok(BTreeMap::new());
    }
    wal.read_exact_at(&mut header, 0)?;
    let mut salt = header.get(16..24).unwrap_or_default().to_vec();
    let is_whole = matches!(header.get(..3), Some([0x37, 0x7f, 0x06]));
    let mut found = BTreeMap::new();
    // Of a transaction that was not committed, nothing counts.
    let mut open = BTreeMap::new();
    let mut is_first = true;
    while at + step <= length {
        let mut frame = [0; FRAME_HEADER];
        wal.read_exact_at(&mut frame, at)?;
        let of_frame = frame.get(8..16).unwrap_or_default();
        if is_first && !is_whole {
            salt = of_frame.to_vec();
        }
        is_first = false;
        if of_frame == salt.as_slice()
            && let Some(number) = big_endian(&frame, 0, 4)
        {
            open.insert(number, at + u64::try_from(FRAME_HEADER).unwrap_or(0));
            if big_endian(&frame, 4, 4) != Some(0) {
                found.append(&mut open);
            }
        }
        at += step;
    }
    Ok(found)
}

/// The part of a record that lies in its page, by SQLite's own rule.
fn n_local(length: usize, kind: u8) -> usize {
    let most = if kind == TABLE_LEAF { PAGE - 35 } else { (PAGE - 12) * 64 / 255 - 23 };
    if length <= most {
        return length;
    }
    let least = (PAGE - 12) * 32 / 255 - 23;
    let local = least + (length - least) % (PAGE - 4);
    if local <= most { local } else { least }
}

/// The values of a record; a text or blob that is cut short is left as far as it goes.
fn values(bytes: &[u8], length: usize) -> Option<Vec<Value>> {
    let mut at = 0;
    let header = usize::try_from(varint(bytes, &mut at)?).ok().filter(|header| *header <= length)?;
    let mut body = header;
    let mut values = Vec::new();
    while at < header {
        let kind = varint(bytes, &mut at)?;
        let (value, size) = value(bytes, body, kind)?;
        values.push(value);
        body = body.checked_add(size)?;
    }
    Some(values)
}

fn value(bytes: &[u8], at: usize, kind: i64) -> Option<(Value, usize)> {
    let integer = |size: usize| {
        let raw = bytes.get(at..at.checked_add(size)?)?;
        let negative = raw.first().is_some_and(|byte| 0x80 <= *byte);
        let start = if negative { -1 } else { 0 };
        Some((Value::Integer(raw.iter().fold(start, |sum: i64, byte| sum << 8 | i64::from(*byte))), size))
    };
    Some(match kind {
        0 => (Value::Null, 0),
        1..=4 => return integer(usize::try_from(kind).ok()?),
        5 => return integer(6),
        6 => return integer(8),
        7 => (Value::Null, 8),
        8 | 9 => (Value::Integer(kind - 8), 0),
        12.. => {
            let size = usize::try_from((kind - 12) / 2).ok().filter(|size| *size <= MAX_RECORD)?;
            let end = at.checked_add(size)?.min(bytes.len());
            let raw = bytes.get(at..end).unwrap_or_default();
            if kind % 2 == 0 {
                (Value::Blob(raw.to_vec()), size)
            } else {
                (Value::Text(String::from_utf8_lossy(raw).into_owned()), size)
            }
        }
        _ => return None,
    })
}

fn big_endian(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let raw = bytes.get(at..at.checked_add(size)?)?;
    Some(raw.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// A number of one to nine bytes, the highest bits first.
fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut number = 0_u64;
    for place in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if place == 8 {
            number = number << 8 | u64::from(byte);
        } else {
            number = number << 7 | u64::from(byte & 0x7f);
            if byte < 0x80 {
                break;
            }
        }
    }
    Some(number.cast_signed())
}
