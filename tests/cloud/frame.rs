//! Binary frames: built from the templates in `frames/`, and taken apart.
//!
//! A template has one field a line: tag, contents with a dot behind the type byte, and the values in it as
//! `name@offset:kind*factor`. Offsets count from behind the type byte. `=serial`, `=clock` and `=millis` are
//! filled in at the time.

use std::collections::BTreeMap;

/// A frame's message type, its pattern, and its fields.
#[derive(Debug, Clone)]
pub struct Template {
    /// Such as 0x0405.
    pub message: u16,
    /// The last part of its topic.
    pub topic: &'static str,
    pattern: [u8; 3],
    fields: Vec<Field>,
}

#[derive(Debug, Clone)]
struct Field {
    tag: u8,
    /// With the type byte, where there is one.
    content: Vec<u8>,
    spots: Vec<Spot>,
}

#[derive(Debug, Clone)]
struct Spot {
    name: &'static str,
    /// Into the contents, type byte included.
    at: usize,
    kind: Kind,
    factor: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    I16,
    U16,
    I32,
    Serial,
    Clock,
    Millis,
}

/// What goes into a frame.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The values that were set; all others are the template's.
    pub values: &'a BTreeMap<String, f64>,
    /// The device's serial.
    pub serial: &'a str,
    /// Unix time, milliseconds.
    pub millis: u64,
}

impl Template {
    /// Reads a template. Panics on mistakes: they are ours.
    pub fn parse(text: &'static str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let head: Vec<_> = lines.next().expect("a template has lines").split_whitespace().collect();
        let ["message", message, topic, pattern] = *head else { panic!("no message line: {head:?}") };
        Self {
            message: u16::from_str_radix(message, 16).expect("a message type"),
            topic,
            pattern: unhex(pattern).and_then(|bytes| bytes.try_into().ok()).expect("three bytes"),
            fields: lines.map(Field::parse).collect(),
        }
    }

    /// The names of the values in it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().flat_map(|field| &field.spots).map(|spot| spot.name)
    }

    /// What a value is, if it is in here: as set, else as in the template.
    pub fn value(&self, name: &str, values: &BTreeMap<String, f64>) -> Option<f64> {
        let in_template = self.fields.iter().find_map(|field| {
            let spot = field.spots.iter().find(|spot| spot.name == name)?;
            Some(spot.read(&field.content))
        })?;
        Some(values.get(name).copied().unwrap_or(in_template))
    }

    /// Panics if a value does not fit into its place.
    pub fn check(&self, name: &str, value: f64) {
        for field in &self.fields {
            for spot in field.spots.iter().filter(|spot| spot.name == name) {
                spot.write(&mut field.content.clone(), value);
            }
        }
    }

    /// The frame of this moment.
    pub fn frame(&self, moment: Moment<'_>) -> Vec<u8> {
        self.build(self.message, None, moment)
    }

    /// The same as an answer: another message type, and a status byte before the fields.
    pub fn answer(&self, message: u16, moment: Moment<'_>) -> Vec<u8> {
        self.build(message, Some(0), moment)
    }

    fn build(&self, message: u16, status: Option<u8>, moment: Moment<'_>) -> Vec<u8> {
        let mut body: Vec<u8> = status.into_iter().collect();
        for field in &self.fields {
            push_field(&mut body, field.tag, &field.filled(moment));
        }
        seal(self.pattern, message, &body)
    }
}

impl Field {
    fn parse(line: &'static str) -> Self {
        let mut words = line.split_whitespace();
        let tag = words.next().and_then(|tag| u8::from_str_radix(tag, 16).ok()).expect("a tag");
        let word = words.next().expect("contents");
        let content = unhex(&word.replace('.', "")).expect("contents in hex");
        let base = usize::from(word.contains('.'));
        let spots = words.map(|word| Spot::parse(word, base, content[0])).collect();
        Self { tag, content, spots }
    }

    fn filled(&self, moment: Moment<'_>) -> Vec<u8> {
        let mut content = self.content.clone();
        for spot in &self.spots {
            let at = spot.at;
            match spot.kind {
                Kind::Serial => {
                    content[at..at + moment.serial.len()].copy_from_slice(moment.serial.as_bytes());
                }
                Kind::Clock => {
                    let seconds = u32::try_from(moment.millis / 1000).expect("before 2106");
                    content[at..at + 4].copy_from_slice(&seconds.to_le_bytes());
                }
                Kind::Millis => content.splice(at.., moment.millis.to_string().into_bytes()).for_each(drop),
                Kind::U8 | Kind::I8 | Kind::I16 | Kind::U16 | Kind::I32 => {
                    if let Some(value) = moment.values.get(spot.name) {
                        spot.write(&mut content, *value);
                    }
                }
            }
        }
        content
    }
}

impl Spot {
    fn parse(word: &'static str, base: usize, wire_type: u8) -> Self {
        let (word, factor) = word.split_once('*').unwrap_or((word, "1"));
        let (word, kind) = word.split_once(':').unwrap_or((word, ""));
        let (name, at) = word.split_once('@').unwrap_or((word, "0"));
        let kind = match (name, kind, wire_type) {
            ("=serial", ..) => Kind::Serial,
            ("=clock", ..) => Kind::Clock,
            ("=millis", ..) => Kind::Millis,
            (_, "i8", _) => Kind::I8,
            (_, "u16", _) => Kind::U16,
            (_, "u8", _) | (_, "", 1) => Kind::U8,
            (_, "i16", _) | (_, "", 2) => Kind::I16,
            (_, "i32", _) | (_, "", 3) => Kind::I32,
            _ => panic!("{word}: no such kind"),
        };
        let at: usize = at.parse().expect("an offset");
        Self { name, at: base + at, kind, factor: factor.parse().expect("a factor") }
    }

    fn read(&self, content: &[u8]) -> f64 {
        let byte = |at: usize| content[self.at + at];
        let raw: i64 = match self.kind {
            Kind::U8 => byte(0).into(),
            Kind::I8 => byte(0).cast_signed().into(),
            Kind::I16 => i16::from_le_bytes([byte(0), byte(1)]).into(),
            Kind::U16 => u16::from_le_bytes([byte(0), byte(1)]).into(),
            Kind::I32 => i32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]).into(),
            Kind::Serial | Kind::Clock | Kind::Millis => 0,
        };
        i32::try_from(raw).map_or(0.0, f64::from) * self.factor
    }

    fn write(&self, content: &mut [u8], value: f64) {
        // By way of text: there is no other conversion of a float that is checked.
        let raw: i64 = format!("{:.0}", value / self.factor).parse().unwrap_or(i64::MAX);
        let bytes: Option<Vec<u8>> = match self.kind {
            Kind::U8 => u8::try_from(raw).ok().map(|raw| vec![raw]),
            Kind::I8 => i8::try_from(raw).ok().map(|raw| raw.to_le_bytes().to_vec()),
            Kind::I16 => i16::try_from(raw).ok().map(|raw| raw.to_le_bytes().to_vec()),
            Kind::U16 => u16::try_from(raw).ok().map(|raw| raw.to_le_bytes().to_vec()),
            Kind::I32 => i32::try_from(raw).ok().map(|raw| raw.to_le_bytes().to_vec()),
            Kind::Serial | Kind::Clock | Kind::Millis => None,
        };
        let bytes = bytes.unwrap_or_else(|| panic!("{} cannot be {value}", self.name));
        content[self.at..self.at + bytes.len()].copy_from_slice(&bytes);
    }
}

/// The pattern of what comes from a device.
pub const FROM_DEVICE: [u8; 3] = [0x03, 0x01, 0x0f];
/// The pattern of a request.
pub const TO_DEVICE: [u8; 3] = [0x03, 0x00, 0x0f];

/// 0857, the acknowledgement of a trigger.
pub fn acknowledgement() -> Vec<u8> {
    seal(FROM_DEVICE, 0x0857, &[0x00, 0xa1, 0x01, 0x32])
}

/// A frame with one text in field a2, as a Home Power Panel sends it.
pub fn text_frame(message: u16, text: &str) -> Vec<u8> {
    let mut body = vec![0xa1, 0x01, 0x32];
    push_field(&mut body, 0xa2, &[&[0x00], text.as_bytes()].concat());
    seal(FROM_DEVICE, message, &body)
}

/// Header, body and checksum.
pub fn seal(pattern: [u8; 3], message: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 10).expect("a frame is below 64 KiB");
    let mut frame = vec![0xff, 0x09];
    frame.extend(length.to_le_bytes());
    frame.extend(pattern);
    frame.extend(message.to_be_bytes());
    frame.extend(body);
    frame.push(xor(&frame));
    frame
}

/// Length in one byte, or in two where it needs them.
fn push_field(body: &mut Vec<u8>, tag: u8, content: &[u8]) {
    body.push(tag);
    match u8::try_from(content.len()) {
        Ok(length) => body.push(length),
        Err(_) => body.extend(u16::try_from(content.len()).expect("a field is below 64 KiB").to_le_bytes()),
    }
    body.extend(content);
}

/// A field: its tag, and its contents.
pub type Tagged<'a> = (u8, &'a [u8]);

/// A request taken apart: its message type, and its fields by tag.
pub fn open_request(frame: &[u8]) -> Result<(u16, Vec<Tagged<'_>>), String> {
    let [0xff, 0x09, low, high, pattern @ .., _] = frame else { return Err("no frame header".to_owned()) };
    let stated = usize::from(u16::from_le_bytes([*low, *high]));
    if stated != frame.len() {
        return Err(format!("the frame says {stated} bytes and has {}", frame.len()));
    }
    if xor(frame) != 0 {
        return Err("the frame's checksum is wrong".to_owned());
    }
    let Some((head, mut rest)) = pattern.split_at_checked(5) else { return Err("a short frame".to_owned()) };
    if !head.starts_with(&TO_DEVICE) {
        return Err("the frame is no request: bytes 4 to 6 are not 03000f".to_owned());
    }
    let mut fields: Vec<Tagged<'_>> = Vec::new();
    while let [tag, length, behind @ ..] = rest {
        let content = behind.split_at_checked((*length).into());
        let (content, next) = content.ok_or_else(|| format!("field {tag:02x} is longer than the frame"))?;
        if fields.last().is_some_and(|(last, _)| last >= tag) {
            return Err("the frame's tags do not ascend".to_owned());
        }
        fields.push((*tag, content));
        rest = next;
    }
    if rest.is_empty() {
        Ok((u16::from_be_bytes([head[3], head[4]]), fields))
    } else {
        Err("a byte too much behind the fields".to_owned())
    }
}

fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lower-case hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}
