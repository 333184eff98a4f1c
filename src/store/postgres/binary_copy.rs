//! PostgreSQL's binary COPY, which is how millions of rows come quickly: no value is made for each column, and no message
//! for each row crosses a channel.
//!
//! Format: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>, numbers in network order, times in
//! microseconds since 2000.

use sqlx::postgres::PgConnection;

use crate::reading::Timestamp;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The signature, the flags, and the length of what follows the header.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// From 1970 to 2000, in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// More than any row of ours has.
const MAX_TUPLE_BYTES: usize = 1 << 20;

/// A stream that is not binary COPY of the columns that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's binary COPY is not as documented")]
pub(super) struct Malformed;

/// Reads a stream, in chunks that may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct BinaryCopy {
    /// The beginning of a header or tuple whose rest has not come.
    begun: Vec<u8>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Header,
    Tuples,
    Ended,
}

/// A part of the stream that is whole, and its length.
enum Part<'a> {
    Header,
    Tuple(Fields<'a>),
    End,
}

/// The fields of a tuple, which are taken one after the other.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    left: u16,
    bytes: &'a [u8],
}

impl BinaryCopy {
    /// Takes the next chunk, and gives each tuple that is whole. `take` takes all its fields; `None` if they are others.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(&mut Fields<'_>) -> Option<()>,
    ) -> Result<(), Malformed> {
        let mut joined = std::mem::take(&mut self.begun);
        let bytes = if joined.is_empty() {
            chunk
        } else {
            joined.extend_from_slice(chunk);
            joined.as_slice()
        };
        let mut rest = bytes;
        while let Some((part, after)) = self.part(rest)? {
            rest = after;
            match part {
                Part::Header => self.stage = Stage::Tuples,
                Part::End => self.stage = Stage::Ended,
                Part::Tuple(mut fields) => {
                    take(&mut fields).filter(|()| fields.left == 0).ok_or(Malformed)?;
                }
            }
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > MAX_TUPLE_BYTES { Err(Malformed) } else { Ok(()) }
    }

    /// The end of the stream: nothing may be left of it.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.stage == Stage::Ended { Ok(()) } else { Err(Malformed) }
    }

    /// The part at the beginning and what follows it; `None` as long as it is not whole.
    fn part<'a>(&self, bytes: &'a [u8]) -> Result<Option<(Part<'a>, &'a [u8])>, Malformed> {
        match self.stage {
            Stage::Header => header(bytes),
            Stage::Tuples => tuple(bytes),
            Stage::Ended if bytes.is_empty() => Ok(None),
            Stage::Ended => Err(Malformed),
        }
    }
}

fn header(bytes: &[u8]) -> Result<Option<(Part<'_>, &[u8])>, Malformed> {
    let Some((fixed, rest)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(None) };
    let (flags, extension) =
        fixed.strip_prefix(SIGNATURE).and_then(|rest| rest.split_first_chunk::<4>()).ok_or(Malformed)?;
    // The high half says what a reader must know; the old object ids are the only case.
    if u32::from_be_bytes(*flags) >> 16 != 0 {
        return Err(Malformed);
    }
    let length = extension.first_chunk::<4>().map(|length| u32::from_be_bytes(*length)).ok_or(Malformed)?;
    let length = bounded(length)?;
    Ok(rest.split_at_checked(length).map(|(_, rest)| (Part::Header, rest)))
}

fn tuple(bytes: &[u8]) -> Result<Option<(Part<'_>, &[u8])>, Malformed> {
    let Some((count, fields)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Some((Part::End, fields)));
    }
    let count = u16::try_from(count).map_err(|_| Malformed)?;
    let mut rest = fields;
    for _ in 0..count {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = match i32::from_be_bytes(*length) {
            -1 => 0,
            length => bounded(u32::try_from(length).map_err(|_| Malformed)?)?,
        };
        let Some((_, after)) = after.split_at_checked(length) else { return Ok(None) };
        rest = after;
    }
    Ok(Some((Part::Tuple(Fields { left: count, bytes: fields }), rest)))
}

fn bounded(length: u32) -> Result<usize, Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    if length <= MAX_TUPLE_BYTES { Ok(length) } else { Err(Malformed) }
}

/// Each gives the next field; `None` if it is not of that type. The inner `None` is NULL.
impl<'a> Fields<'a> {
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        self.left = self.left.checked_sub(1)?;
        let (length, rest) = self.bytes.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.bytes = rest;
            return Some(None);
        }
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(Some(value))
    }

    fn next<const BYTES: usize>(&mut self) -> Option<Option<[u8; BYTES]>> {
        match self.bytes()? {
            None => Some(None),
            Some(value) => value.try_into().ok().map(Some),
        }
    }

    pub(super) fn nullable_text(&mut self) -> Option<Option<&'a str>> {
        match self.bytes()? {
            None => Some(None),
            Some(value) => str::from_utf8(value).ok().map(Some),
        }
    }

    pub(super) fn nullable_float8(&mut self) -> Option<Option<f64>> {
        Some(self.next()?.map(f64::from_be_bytes))
    }

    pub(super) fn int2(&mut self) -> Option<i16> {
        self.next()?.map(i16::from_be_bytes)
    }

    pub(super) fn int4(&mut self) -> Option<i32> {
        self.next()?.map(i32::from_be_bytes)
    }

    pub(super) fn nullable_int4(&mut self) -> Option<Option<i32>> {
        Some(self.next()?.map(i32::from_be_bytes))
    }

    pub(super) fn int8(&mut self) -> Option<i64> {
        self.next()?.map(i64::from_be_bytes)
    }

    pub(super) fn float4(&mut self) -> Option<f32> {
        self.next()?.map(f32::from_be_bytes)
    }

    pub(super) fn timestamptz(&mut self) -> Option<Timestamp> {
        self.int8()?.checked_add(EPOCH_MICROS).map(Timestamp::from_micros)
    }
}

/// Gives the tuples of a statement, which is `COPY … TO STDOUT (FORMAT binary)`.
pub(super) async fn copy(
    connection: &mut PgConnection,
    sql: &str,
    mut take: impl FnMut(&mut Fields<'_>) -> Option<()>,
) -> sqlx::Result<()> {
    let mut stream = connection.copy_out_raw(sql).await?;
    let mut copy = BinaryCopy::default();
    let malformed = |error| sqlx::Error::Decode(Box::new(error));
    while let Some(chunk) = std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await {
        copy.feed(&chunk?, &mut take).map_err(malformed)?;
    }
    copy.finish().map_err(malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (i32, i64, Option<i32>, f32, i64, i16);

    fn decode(fields: &mut Fields<'_>) -> Option<Row> {
        let (four, eight, nullable) = (fields.int4()?, fields.int8()?, fields.nullable_int4()?);
        Some((four, eight, nullable, fields.float4()?, fields.timestamptz()?.micros(), fields.int2()?))
    }

    fn field(bytes: &[u8]) -> Vec<u8> {
        [&i32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn encoded(rows: &[Row]) -> Vec<u8> {
        let mut stream = [SIGNATURE, &[0; 8]].concat();
        for (four, eight, nullable, float, at, two) in rows {
            stream.extend(6_i16.to_be_bytes());
            stream.extend(field(&four.to_be_bytes()));
            stream.extend(field(&eight.to_be_bytes()));
            match nullable {
                Some(number) => stream.extend(field(&number.to_be_bytes())),
                None => stream.extend((-1_i32).to_be_bytes()),
            }
            stream.extend(field(&float.to_be_bytes()));
            stream.extend(field(&(at - EPOCH_MICROS).to_be_bytes()));
            stream.extend(field(&two.to_be_bytes()));
        }
        stream.extend((-1_i16).to_be_bytes());
        stream
    }

    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Row>, Malformed> {
        let (mut copy, mut rows) = (BinaryCopy::default(), Vec::new());
        for chunk in chunks {
            copy.feed(chunk, |fields| decode(fields).map(|row| rows.push(row)))?;
        }
        copy.finish().map(|()| rows)
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let time = -EPOCH_MICROS..10 * EPOCH_MICROS;
        let row = (any::<i32>(), any::<i64>(), any::<Option<i32>>(), -1e9_f32..1e9, time, any::<i16>());
        prop::collection::vec(row, 0..8)
    }

    #[test]
    fn a_null_where_there_must_be_a_number_is_refused() {
        let mut stream = [SIGNATURE, &[0; 8], &6_i16.to_be_bytes()].concat();
        stream.extend((-1_i32).to_be_bytes().repeat(6));
        assert_eq!(read([stream.as_slice()]), Err(Malformed));
    }

    #[test]
    fn a_field_too_many_is_refused() {
        let mut copy = BinaryCopy::default();
        let stream = encoded(&[(1, 2, None, 3.0, 4, 5)]);
        assert_eq!(copy.feed(&stream, |fields| fields.int4().map(drop)), Err(Malformed));
    }

    proptest! {
        #[test]
        fn rows_come_as_they_went_wherever_the_stream_is_cut(
            rows in rows(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9)
        ) {
            let stream = encoded(&rows);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let chunks = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(read(chunks), Ok(rows));
        }

        #[test]
        fn a_stream_that_ends_early_is_refused(rows in rows(), end in any::<prop::sample::Index>()) {
            let stream = encoded(&rows);
            prop_assert_eq!(read([&stream[..end.index(stream.len())]]), Err(Malformed));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), has_header: bool) {
            let header = encoded(&[]);
            let header = if has_header { &header[..HEADER_BYTES] } else { &[] };
            let stream = [header, &bytes].concat();
            drop(read([stream.as_slice()]));
        }
    }
}
