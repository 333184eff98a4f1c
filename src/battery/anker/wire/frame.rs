//! A frame: its type, its fields, and how one is made.

use std::fmt;

use super::hex::from_hex;

/// The beginning of every frame.
pub(super) const MAGIC: [u8; 2] = [0xff, 0x09];

/// The subject of a frame: bytes 7 and 8, shown as four hexadecimal digits such as `0405`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgType(pub [u8; 2]);

impl MsgType {
    /// Stands for JSON that came without a frame, where no type is said.
    pub const JSON: Self = Self([0, 0]);

    /// Reads four hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        <[u8; 2]>::try_from(from_hex(text)?).ok().map(Self)
    }
}

impl fmt::Display for MsgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0;
        write!(f, "{first:02x}{second:02x}")
    }
}

/// A frame, cut into its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its subject.
    pub msg_type: MsgType,
    /// The result that an answer carries, 0 for success; telemetry has none.
    pub status: Option<u8>,
    /// The fields, in the order of the frame.
    pub fields: Vec<Field<'a>>,
    /// Whether the last byte is the XOR of all others. On live data a frame without it is to be dropped.
    pub is_checksum_ok: bool,
    /// Whether the fields fill the frame exactly, and in one way that stands out: their tags ascend, or the
    /// checksum holds and each tag stands once or no other way fills the frame. If not, `fields` is what could
    /// be read from the beginning.
    pub is_consistent: bool,
}

/// One field of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its tag.
    pub tag: u8,
    /// Its type byte. `None`: the content has none, as it is one byte or begins with text.
    pub kind: Option<FieldKind>,
    /// The bytes of the value, without the type byte.
    pub value: &'a [u8],
    /// Where its tag stands, in bytes from the beginning of the frame.
    pub offset: usize,
}

/// The type byte of a field, which says how the bytes of its value are to be read unless the field map says more.
/// There are some that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldKind(pub u8);

impl FieldKind {
    /// Text, UTF-8.
    pub const TEXT: Self = Self(0);
    /// One byte.
    pub const U8: Self = Self(1);
    /// Two bytes, little endian, signed.
    pub const I16: Self = Self(2);
    /// Four bytes, one number or several.
    pub const VAR: Self = Self(3);
    /// Bit fields and packed numbers.
    pub const BIN: Self = Self(4);
    /// An IEEE float, little endian.
    pub const F32: Self = Self(5);
    /// A packed structure.
    pub const STRUCT: Self = Self(6);

    /// A short name for a table: `u8`, `text`, …
    pub fn label(self) -> &'static str {
        let labels = ["text", "u8", "i16", "var", "bin", "f32", "struct"];
        labels.get(usize::from(self.0)).copied().unwrap_or("?")
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than header, message type and checksum.
    #[error("a frame has at least 10 bytes, this has {0}")]
    TooShort(usize),
    /// Does not begin with `ff 09`, but with these bytes in hexadecimal digits.
    #[error("a frame begins with ff09, this with {0}")]
    NoMagic(String),
    /// The length field, which comes first, is not the length.
    #[error("the frame says that it has {0} bytes, but it has {1}")]
    Length(usize, usize),
    /// Byte 4 is not 03, or byte 6 not 0f: a newer variant, encrypted, which nobody can read yet. Holds bytes 4 to 6
    /// in hexadecimal digits.
    #[error("frames of the form {0} are not understood (03000f and 03010f are); newer ones are encrypted")]
    Pattern(String),
}

/// Makes a frame that is sent to a device. It is to be below 64 KiB.
pub(super) fn build(msg_type: MsgType, fields: &[(u8, Option<FieldKind>, &[u8])]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(MAGIC);
    frame.extend([0, 0, 0x03, 0x00, 0x0f]);
    frame.extend(msg_type.0);
    for (tag, kind, value) in fields {
        let length = value.len() + usize::from(kind.is_some());
        frame.push(*tag);
        match u8::try_from(length) {
            Ok(length) => frame.push(length),
            Err(_) => frame.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()),
        }
        frame.extend(kind.map(|kind| kind.0));
        frame.extend(*value);
    }
    let length = u16::try_from(frame.len() + 1).unwrap_or(u16::MAX).to_le_bytes();
    for (place, byte) in frame.iter_mut().skip(MAGIC.len()).zip(length) {
        *place = byte;
    }
    frame.push(checksum(&frame));
    frame
}

/// The XOR of all bytes; 0 over a whole frame.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}
