//! Bytes of a frame to fields.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use super::frame::{Field, FieldKind, Frame, FrameError, MAGIC, MsgType, checksum};
use super::hex::to_hex;

/// Header, message type and checksum.
const LEAST_BYTES: usize = 10;

/// A first tag is one of these. Another byte in its place is the status of an answer.
const FIRST_TAGS: RangeInclusive<u8> = 0xa0..=0xa9;

/// A first byte above this (`1`) belongs to text without a type byte.
const LAST_KIND: u8 = 0x31;

/// Cuts a frame into its fields. Whether the checksum holds is reported in the frame, since recordings whose
/// serial numbers were replaced are read too; it decides only where tags do not ascend.
pub fn split(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let &[b0, b1, l0, l1, p0, p1, p2, t0, t1, b9, ..] = bytes else {
        return Err(FrameError::TooShort(bytes.len()));
    };
    if [b0, b1] != MAGIC {
        return Err(FrameError::NoMagic(to_hex(&[b0, b1])));
    }
    let said = usize::from(u16::from_le_bytes([l0, l1]));
    if said != bytes.len() {
        return Err(FrameError::Length(said, bytes.len()));
    }
    if (p0, p2) != (0x03, 0x0f) {
        return Err(FrameError::Pattern(to_hex(&[p0, p1, p2])));
    }
    let status = Some(b9).filter(|byte| bytes.len() > LEAST_BYTES && !FIRST_TAGS.contains(byte));
    let start = if status.is_some() { LEAST_BYTES } else { LEAST_BYTES - 1 };
    let is_checksum_ok = checksum(bytes) == 0;
    let mut splitter = Splitter { frame: bytes, end: bytes.len() - 1, texts: None };
    let whole = splitter.whole(start).filter(|(fields, way)| {
        // Ascending tags are evidence enough: recordings whose serial numbers were replaced have no checksum.
        way.n_descents == 0 || (is_checksum_ok && (way.is_only_one || is_distinct(fields)))
    });
    let is_consistent = whole.is_some();
    let fields = whole.map_or_else(|| splitter.beginning(start), |(fields, _)| fields);
    Ok(Frame { msg_type: MsgType([t0, t1]), status, fields, is_checksum_ok, is_consistent })
}

/// Whether each tag stands once.
fn is_distinct(fields: &[Field<'_>]) -> bool {
    let mut seen = BTreeSet::new();
    fields.iter().all(|field| seen.insert(field.tag))
}

/// Finds where fields begin and end. A length has one byte or, for text and binary fields, two, and nothing
/// says which: a wrong guess swallows 258 bytes. But the fields fill the frame exactly, and tags ascend in nearly
/// every frame that was ever seen, so that of all ways to fill the frame that with the fewest descents is taken.
///
/// The best split of the rest of a frame depends on where it begins and on nothing else, so each place is
/// looked at once, from the end on.
struct Splitter<'a> {
    frame: &'a [u8],
    /// Where the checksum stands.
    end: usize,
    /// Where the bytes are UTF-8, found when first needed.
    texts: Option<Vec<Range<usize>>>,
}

/// The best way from a place to the end.
#[derive(Clone, Copy)]
struct Way {
    /// The number of tags on it that are not above the one before.
    n_descents: usize,
    /// Whether the length of the field here has two bytes.
    is_wide: bool,
    /// Whether there is no other way.
    is_only_one: bool,
}

impl<'a> Splitter<'a> {
    /// The fields from `start` to the end, if the frame can be filled, and the way that they go.
    fn whole(&mut self, start: usize) -> Option<(Vec<Field<'a>>, Way)> {
        let mut ways: Vec<Option<Way>> = vec![None; self.end + 1];
        *ways.last_mut()? = Some(Way { n_descents: 0, is_wide: false, is_only_one: true });
        for at in (start..self.end).rev() {
            let narrow = self.narrow_field(at).and_then(|field| self.way(&ways, field, false));
            let wide = self.wide_field(at).and_then(|field| self.way(&ways, field, true));
            let way = match (narrow, wide) {
                (Some(narrow), Some(wide)) => {
                    let best = if wide.n_descents < narrow.n_descents { wide } else { narrow };
                    Some(Way { is_only_one: false, ..best })
                }
                (narrow, wide) => narrow.or(wide),
            };
            *ways.get_mut(at)? = way;
        }
        let way = (*ways.get(start)?)?;
        let (mut at, mut fields) = (start, Vec::new());
        while at < self.end {
            let is_wide = (*ways.get(at)?)?.is_wide;
            let (field, next) = if is_wide { self.wide_field(at)? } else { self.narrow_field(at)? };
            fields.push(field);
            at = next;
        }
        Some((fields, way))
    }

    /// The best way that begins with this field; `next` is where it ends.
    fn way(&self, ways: &[Option<Way>], (field, next): (Field<'a>, usize), is_wide: bool) -> Option<Way> {
        let rest = (*ways.get(next)?)?;
        let descends = next < self.end && self.frame.get(next).is_some_and(|tag| *tag <= field.tag);
        Some(Way { n_descents: rest.n_descents + usize::from(descends), is_wide, ..rest })
    }

    /// The fields that can be read with lengths of one byte, up to a tag that does not ascend. What follows, and the field
    /// before it, could be bytes of a value taken for fields.
    fn beginning(&self, start: usize) -> Vec<Field<'a>> {
        let (mut at, mut fields) = (start, Vec::new());
        while let Some((field, next)) = self.narrow_field(at) {
            if self.frame.get(next).is_none_or(|tag| *tag <= field.tag) {
                break;
            }
            fields.push(field);
            at = next;
        }
        fields
    }

    /// The field at `at`, if its length has one byte, and where the next begins.
    fn narrow_field(&self, at: usize) -> Option<(Field<'a>, usize)> {
        let &[tag, length, ..] = self.frame.get(at..self.end)? else { return None };
        let mut content = at + 2..at + 2 + usize::from(length);
        let field = self.field(at, tag, content.clone())?;
        if field.kind != Some(FieldKind::TEXT) {
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
        let field = self.field(at, tag, content.clone()).filter(|_| length >= 4)?;
        let is_possible = match field.kind {
            Some(FieldKind::TEXT) => self.is_text(content.start + 1..content.end),
            kind => kind == Some(FieldKind::BIN),
        };
        is_possible.then_some((field, content.end))
    }

    fn field(&self, at: usize, tag: u8, content: Range<usize>) -> Option<Field<'a>> {
        if self.end < content.end {
            return None;
        }
        let content = self.frame.get(content)?;
        let (kind, value) = match content {
            [kind, value @ ..] if !value.is_empty() && *kind <= LAST_KIND => (Some(FieldKind(*kind)), value),
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
    use crate::battery::anker::wire::frame::build;
    use crate::battery::anker::wire::from_hex;

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
            any::<[u8; 4]>().prop_map(|bytes| (Some(FieldKind::VAR), bytes.to_vec())),
            "[A-Za-z0-9_]{1,40}".prop_map(|text| (Some(FieldKind::TEXT), text.into_bytes())),
            "\\{[a-z:\"0-9]{300,1200}\\}".prop_map(|text| (Some(FieldKind::TEXT), text.into_bytes())),
            prop::collection::vec(any::<u8>(), 1..40).prop_map(|bytes| (Some(FieldKind::BIN), bytes)),
        ]
    }

    fn number() -> impl Strategy<Value = (Option<FieldKind>, Vec<u8>)> {
        prop_oneof![
            any::<u8>().prop_map(|byte| (Some(FieldKind::U8), vec![byte])),
            any::<[u8; 2]>().prop_map(|bytes| (Some(FieldKind::I16), bytes.to_vec())),
            any::<[u8; 4]>().prop_map(|bytes| (Some(FieldKind::VAR), bytes.to_vec())),
        ]
    }

    fn fields() -> impl Strategy<Value = Vec<Built>> {
        prop::collection::btree_map(0xaa_u8..=0xff, content(), 0..60).prop_map(|fields| {
            let first = (0xa1, None, vec![0x34]);
            let rest = fields.into_iter().map(|(tag, (kind, value))| (tag, kind, value));
            std::iter::once(first).chain(rest).collect()
        })
    }

    /// A Solarbank 2 Pro's telemetry, as it was captured: its last three tags are fe, fb and fc.
    fn solarbank_2() -> Vec<u8> {
        from_hex(include_str!("../../../../fixtures/solix/sb2pro-0405.hex").trim()).unwrap()
    }

    #[test]
    fn a_real_frame_whose_tags_do_not_ascend_is_read_whole() {
        let bytes = solarbank_2();
        let frame = split(&bytes).unwrap();
        assert!(frame.is_checksum_ok && frame.is_consistent);
        let last: Vec<u8> = frame.fields.iter().rev().take(3).map(|field| field.tag).collect();
        assert_eq!((frame.fields.len(), last), (72, vec![0xfc, 0xfb, 0xfe]));
    }

    #[test]
    fn a_frame_whose_tags_do_not_ascend_needs_its_checksum() {
        let mut bytes = solarbank_2();
        *bytes.last_mut().unwrap() ^= 1;
        let frame = split(&bytes).unwrap();
        assert!(!frame.is_consistent);
        assert!(frame.fields.iter().all(|field| field.tag < 0xfe), "what is not sure is left out");
    }

    #[test]
    fn a_frame_that_cannot_be_filled_is_read_from_its_beginning() {
        let mut bytes = built(&[
            (0xa1, None, vec![0x34]),
            (0xa5, Some(FieldKind::U8), vec![7]),
            (0xa6, Some(FieldKind::U8), vec![8]),
        ]);
        let at = bytes.len() - 1;
        // A field that says to be longer than the frame.
        bytes.splice(at.., [0xff, 0x30, 0x01, 0]);
        bytes[2] += 3;
        bytes[at + 3] = checksum(&bytes[..at + 3]);
        let frame = split(&bytes).unwrap();
        let tags: Vec<u8> = frame.fields.iter().map(|field| field.tag).collect();
        assert_eq!((frame.is_consistent, tags), (false, vec![0xa1, 0xa5, 0xa6]));
    }

    #[test]
    fn two_ways_with_a_tag_twice_are_no_way() {
        // The last ad is 4, or begins a field of 258 bytes that ends with the frame.
        let ad = |value| (0xad, Some(FieldKind::U8), vec![value]);
        let mut fields = vec![(0xa1, None, vec![0x34]), ad(5), ad(4)];
        fields.extend((0..49).map(|_| (0xae, Some(FieldKind::I16), vec![4, 0])));
        fields.extend((0..3).map(|_| (0xaf, Some(FieldKind::U8), vec![4])));
        let bytes = built(&fields);
        let frame = split(&bytes).unwrap();
        assert!(frame.is_checksum_ok && !frame.is_consistent);
        assert_eq!(frame.fields.iter().map(|field| field.tag).collect::<Vec<_>>(), [0xa1]);
    }

    proptest! {
        #[test]
        fn numbers_in_any_order_are_cut_into_those_fields(
            tags in Just((0xa5_u8..=0xff).collect::<Vec<u8>>()).prop_shuffle(),
            contents in prop::collection::vec(number(), 1..40),
        ) {
            let first = (0xa1, None, vec![0x34]);
            let rest = tags.into_iter().zip(contents).map(|(tag, (kind, value))| (tag, kind, value));
            let fields: Vec<Built> = std::iter::once(first).chain(rest).collect();
            prop_assert_eq!(split_again(&built(&fields)), fields);
        }

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
