//! Bytes of a frame to fields.

use std::ops::{Range, RangeInclusive};

use super::frame::{Field, FieldKind, Frame, FrameError, MAGIC, MsgType, checksum};
use super::hex::to_hex;

/// Header, message type and checksum.
const LEAST_BYTES: usize = 10;

/// A first tag is one of these. Another byte in its place is the status of an answer.
const FIRST_TAGS: RangeInclusive<u8> = 0xa0..=0xa9;

/// A first byte above this (`1`) belongs to text without a type byte.
const LAST_KIND: u8 = 0x31;

/// Cuts a frame into its fields. Whether the checksum holds is reported in the frame and not decided here,
/// since recordings whose serial numbers were replaced are read too.
pub fn split(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let &[b0, b1, l0, l1, p0, p1, p2, t0, t1, b9, ..] = bytes else {
        return Err(FrameError::TooShort { len: bytes.len() });
    };
    if [b0, b1] != MAGIC {
        return Err(FrameError::NoMagic { found: to_hex(&[b0, b1]) });
    }
    let said = usize::from(u16::from_le_bytes([l0, l1]));
    if said != bytes.len() {
        return Err(FrameError::Length { said, len: bytes.len() });
    }
    if (p0, p2) != (0x03, 0x0f) {
        return Err(FrameError::Pattern { found: to_hex(&[p0, p1, p2]) });
    }
    let status = Some(b9).filter(|byte| LEAST_BYTES < bytes.len() && !FIRST_TAGS.contains(byte));
    let start = if status.is_some() { LEAST_BYTES } else { LEAST_BYTES - 1 };
    let mut splitter = Splitter::new(bytes);
    let is_consistent = splitter.rest(start);
    if !is_consistent {
        splitter.narrow(start);
    }
    Ok(Frame {
        msg_type: MsgType([t0, t1]),
        status,
        fields: splitter.fields,
        is_checksum_ok: checksum(bytes) == 0,
        is_consistent,
    })
}

/// Finds where fields begin and end. A length has one byte or, for text and binary fields, two, and nothing
/// says which: a wrong guess swallows 258 bytes. But tags ascend, and the fields fill the frame exactly, so
/// that a guess that was wrong ends nowhere and is taken back.
///
/// Whether the rest of a frame can be split depends on where it begins and on nothing else, so each place is
/// tried once. Tags ascend, so the recursion is at most 256 deep.
struct Splitter<'a> {
    frame: &'a [u8],
    /// Where the checksum stands.
    end: usize,
    /// From where no way leads to the end.
    dead: Vec<bool>,
    /// Where the bytes are UTF-8, found when first needed.
    texts: Option<Vec<Range<usize>>>,
    fields: Vec<Field<'a>>,
}

impl<'a> Splitter<'a> {
    fn new(frame: &'a [u8]) -> Self {
        let end = frame.len().saturating_sub(1);
        Self { frame, end, dead: vec![false; frame.len()], texts: None, fields: Vec::new() }
    }

    /// Appends the fields from `at` to the end, or none if the rest cannot be split.
    fn rest(&mut self, at: usize) -> bool {
        if at == self.end {
            return true;
        }
        if self.dead.get(at).is_none_or(|is_dead| *is_dead) {
            return false;
        }
        for read in [Self::narrow_field, Self::wide_field] {
            let Some((field, next)) = read(self, at) else { continue };
            let ascends = next == self.end || self.frame.get(next).is_some_and(|tag| field.tag < *tag);
            if !ascends {
                continue;
            }
            self.fields.push(field);
            if self.rest(next) {
                return true;
            }
            self.fields.pop();
        }
        if let Some(is_dead) = self.dead.get_mut(at) {
            *is_dead = true;
        }
        false
    }

    /// Appends what can be read with lengths of one byte, up to a tag that does not ascend: what follows
    /// would be bytes of a value taken for fields.
    fn narrow(&mut self, start: usize) {
        let (mut at, mut last_tag) = (start, None);
        while let Some((field, next)) = self.narrow_field(at) {
            if last_tag.is_some_and(|last_tag| field.tag <= last_tag) {
                return;
            }
            last_tag = Some(field.tag);
            self.fields.push(field);
            at = next;
        }
    }

    /// The field at `at`, if its length has one byte, and where the next begins.
    fn narrow_field(&mut self, at: usize) -> Option<(Field<'a>, usize)> {
        let &[tag, length, ..] = self.frame.get(at..self.end)? else { return None };
        let mut content = at + 2..at + 2 + usize::from(length);
        let field = self.field(at, tag, content.clone())?;
        if field.kind != Some(FieldKind::Text) {
            return Some((field, content.end));
        }
        // Some devices count text one short. What follows cannot be the next tag.
        let is_cut = |after: &u8| after.is_ascii() && *after < tag;
        if content.end < self.end && self.frame.get(content.end).is_some_and(is_cut) {
            content.end += 1;
        }
        Some((self.field(at, tag, content.clone())?, content.end))
    }

    /// The field at `at`, if its length has two bytes, and where the next begins.
    fn wide_field(&mut self, at: usize) -> Option<(Field<'a>, usize)> {
        let &[tag, low, high, ..] = self.frame.get(at..self.end)? else { return None };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let content = at + 3..at + 3 + length;
        let field = self.field(at, tag, content.clone()).filter(|_| 4 <= length)?;
        let is_possible = match field.kind {
            Some(FieldKind::Text) => self.is_text(content.start + 1..content.end),
            kind => kind == Some(FieldKind::Bin),
        };
        is_possible.then_some((field, content.end))
    }

    fn field(&self, at: usize, tag: u8, content: Range<usize>) -> Option<Field<'a>> {
        if self.end < content.end {
            return None;
        }
        let content = self.frame.get(content)?;
        let (kind, value) = match content {
            [kind, value @ ..] if !value.is_empty() && *kind <= LAST_KIND => {
                (Some(FieldKind::of(*kind)), value)
            }
            _ => (None, content),
        };
        Some(Field { tag, kind, value, offset: at })
    }

    /// Whether these bytes are UTF-8. The runs of UTF-8 are found once for the whole frame, since a hostile
    /// one could have the same bytes looked at many thousand times.
    fn is_text(&mut self, bytes: Range<usize>) -> bool {
        let frame = self.frame;
        let runs = self.texts.get_or_insert_with(|| text_runs(frame));
        let idx = runs.partition_point(|run| run.end < bytes.end);
        let Some(run) = runs.get(idx).filter(|run| run.start <= bytes.start) else { return false };
        let begins_char = |at: usize| frame.get(at).is_some_and(|byte| byte & 0xc0 != 0x80);
        (bytes.is_empty() || begins_char(bytes.start)) && (bytes.end == run.end || begins_char(bytes.end))
    }
}

/// Where `bytes` are valid UTF-8, in ascending order.
fn text_runs(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut runs = Vec::new();
    for chunk in bytes.utf8_chunks() {
        runs.push(at..at + chunk.valid().len());
        at += chunk.valid().len() + chunk.invalid().len();
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::solix::wire::frame::build;

    type Built = (u8, Option<FieldKind>, Vec<u8>);

    fn built(fields: &[Built]) -> Vec<u8> {
        let fields: Vec<_> =
            fields.iter().map(|(tag, kind, value)| (*tag, *kind, value.as_slice())).collect();
        build(MsgType([0x04, 0x05]), &fields)
    }

    fn split_again(bytes: &[u8]) -> Vec<Built> {
        let frame = split(bytes).unwrap();
        assert!(frame.is_consistent && frame.is_checksum_ok);
        frame.fields.iter().map(|field| (field.tag, field.kind, field.value.to_vec())).collect()
    }

    /// Fields as devices send them: numbers, bits, and long text.
    fn content() -> impl Strategy<Value = (Option<FieldKind>, Vec<u8>)> {
        prop_oneof![
            any::<u8>().prop_map(|byte| (None, vec![byte])),
            any::<u8>().prop_map(|byte| (Some(FieldKind::U8), vec![byte])),
            any::<[u8; 2]>().prop_map(|bytes| (Some(FieldKind::I16), bytes.to_vec())),
            any::<[u8; 4]>().prop_map(|bytes| (Some(FieldKind::Var), bytes.to_vec())),
            "[A-Za-z0-9_]{1,40}".prop_map(|text| (Some(FieldKind::Text), text.into_bytes())),
            "\\{[a-z:\"0-9]{300,1200}\\}".prop_map(|text| (Some(FieldKind::Text), text.into_bytes())),
            prop::collection::vec(any::<u8>(), 1..40).prop_map(|bytes| (Some(FieldKind::Bin), bytes)),
        ]
    }

    fn fields() -> impl Strategy<Value = Vec<Built>> {
        prop::collection::btree_map(0xaa_u8..=0xff, content(), 0..60).prop_map(|fields| {
            let first = (0xa1, None, vec![0x34]);
            let rest = fields.into_iter().map(|(tag, (kind, value))| (tag, kind, value));
            std::iter::once(first).chain(rest).collect()
        })
    }

    proptest! {
        #[test]
        fn a_frame_of_fields_is_cut_into_those_fields(fields in fields()) {
            prop_assert_eq!(split_again(&built(&fields)), fields);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, body in prop::collection::vec(any::<u8>(), 0..2000)) {
            drop(split(&bytes));
            let mut frame = built(&[]);
            frame.splice(9..9, body);
            let length = u16::try_from(frame.len()).unwrap().to_le_bytes();
            frame[2..4].copy_from_slice(&length);
            drop(split(&frame));
        }
    }
}
