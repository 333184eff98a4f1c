//! What a frame is: its type, its fields, and how one is made.

use std::fmt;

use super::hex::from_hex;

/// What every frame begins with.
pub(super) const MAGIC: [u8; 2] = [0xff, 0x09];

/// What a frame is about: bytes 7 and 8, shown as four hexadecimal digits such as `0405`.
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
    /// What it is about.
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

/// How the bytes of a value are to be read, if the field map says nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldKind {
    /// 00: text, UTF-8.
    Text,
    /// 01: one byte.
    U8,
    /// 02: two bytes, little endian, signed.
    I16,
    /// 03: four bytes, one number or several.
    Var,
    /// 04: bit fields and packed numbers.
    Bin,
    /// 05: IEEE float, little endian.
    F32,
    /// 06: a packed structure.
    Struct,
    /// A type that is not known.
    Other(u8),
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than header, message type and checksum.
    #[error("a frame has at least 10 bytes, this has {len}")]
    TooShort {
        /// How many bytes there are.
        len: usize,
    },
    /// Does not begin with `ff 09`.
    #[error("a frame begins with ff09, this with {found}")]
    NoMagic {
        /// The first two bytes, as hexadecimal digits.
        found: String,
    },
    /// The length field is not the length.
    #[error("the frame says that it has {said} bytes, but it has {len}")]
    Length {
        /// What the length field says.
        said: usize,
        /// How many bytes there are.
        len: usize,
    },
    /// Byte 4 is not 03, or byte 6 not 0f: a newer variant, encrypted, which nobody can read yet.
    #[error(
        "frames of the form {found} are not understood (03000f and 03010f are); newer ones are encrypted"
    )]
    Pattern {
        /// Bytes 4 to 6, as hexadecimal digits.
        found: String,
    },
}

impl FieldKind {
    pub(super) const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Text,
            1 => Self::U8,
            2 => Self::I16,
            3 => Self::Var,
            4 => Self::Bin,
            5 => Self::F32,
            6 => Self::Struct,
            other => Self::Other(other),
        }
    }

    /// The type byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Text => 0,
            Self::U8 => 1,
            Self::I16 => 2,
            Self::Var => 3,
            Self::Bin => 4,
            Self::F32 => 5,
            Self::Struct => 6,
            Self::Other(other) => other,
        }
    }

    /// A short name for a table: `u8`, `text`, …
    pub const fn label(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::Var => "var",
            Self::Bin => "bin",
            Self::F32 => "f32",
            Self::Struct => "struct",
            Self::Other(_) => "?",
        }
    }
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
        frame.extend(kind.map(FieldKind::byte));
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
