//! The field map: which value stands where in the frames of a model, read once from `fieldmap.tsv`.
//!
//! The table is made from the published maps, and its head says what its columns are. A new model goes into
//! `fixtures/solix/fieldmap.json`, `model.rs` and `meaning.rs`; tests hold that the four agree, and that every
//! line of the table is understood.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::frame::{FieldKind, MsgType};
use super::model::resolved;

static MAP: LazyLock<Map> = LazyLock::new(|| Map::read(include_str!("fieldmap.tsv")));

/// The map of one message type of one model, if there is any.
pub(super) fn message(model: &str, msg_type: MsgType) -> Option<&'static MessageMap> {
    let idx = MAP.owners.get(resolved(model))?.iter().find(|(known, _)| *known == msg_type)?.1;
    MAP.messages.get(idx)
}

/// All messages of a model that the map knows.
pub(super) fn messages(model: &str) -> impl Iterator<Item = &'static MessageMap> {
    let owned = MAP.owners.get(model).into_iter().flatten();
    owned.filter_map(|(_, idx)| MAP.messages.get(*idx))
}

/// All messages, each once, and who sends them.
#[derive(Debug, Default)]
struct Map {
    messages: Vec<MessageMap>,
    owners: HashMap<&'static str, Vec<(MsgType, usize)>>,
}

/// One type of message.
#[derive(Debug, Default)]
pub(super) struct MessageMap {
    /// Whether it carries frames of other devices.
    pub(super) is_embedding: bool,
    /// Its values, by ascending tag.
    values: Vec<ValueMap>,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ValueMap {
    /// The field that it stands in; 0 for JSON without a frame.
    pub(super) tag: u8,
    /// Where in the field.
    pub(super) place: Place,
    /// Its name.
    pub(super) name: &'static str,
    /// The form of its bytes.
    pub(super) form: Form,
    /// Its unit, or nothing.
    pub(super) unit: &'static str,
}

/// Where in a field a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the field.
    Whole,
    /// From this byte on.
    At(usize),
    /// In these bits of this byte.
    Bits(usize, u8),
    /// This many bytes after the end of the value before.
    After(usize),
    /// Under this key of a JSON text, or under the second key of the object under the first.
    Key(&'static str, Option<&'static str>),
}

/// The form of the bytes of a value, where that is not as the frame says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Form {
    /// The type.
    pub(super) kind: Option<FieldKind>,
    /// Whether a number has a sign.
    pub(super) is_signed: Option<bool>,
    /// The factor of a number.
    pub(super) factor: Option<Factor>,
    /// Its length.
    pub(super) length: Option<Length>,
    /// The number of numbers of one byte each in it.
    pub(super) n_values: Option<u8>,
}

/// The length of a value in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// So many.
    Bytes(usize),
    /// One, and three for each that it counts.
    Schedule,
}

/// A decimal factor, such as 0.1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factor {
    /// The number as it is.
    pub(super) value: f64,
    /// Without its decimal point.
    pub(super) digits: i64,
    /// By which power of ten `digits` is to be divided.
    pub(super) n_decimals: u8,
}

impl MessageMap {
    /// The names of all its values.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.values.iter().map(|value| value.name)
    }

    /// The values that stand in the field with this tag.
    pub(super) fn values_of(&self, tag: u8) -> &[ValueMap] {
        let start = self.values.partition_point(|value| value.tag < tag);
        let end = self.values.partition_point(|value| value.tag <= tag);
        self.values.get(start..end).unwrap_or_default()
    }
}

impl Map {
    fn read(table: &'static str) -> Self {
        let mut map = Self::default();
        // A test holds that every line is understood.
        table.lines().for_each(|line| map.take_line(line).unwrap_or_default());
        for message in &mut map.messages {
            message.values.sort_by_key(|value| value.tag);
        }
        map
    }

    fn take_line(&mut self, line: &'static str) -> Option<()> {
        match line.strip_prefix('=') {
            Some(owners) => self.begin_message(owners),
            None if line.is_empty() || line.starts_with('#') => Some(()),
            None => self.add_value(line),
        }
    }

    fn begin_message(&mut self, owners: &'static str) -> Option<()> {
        let idx = self.messages.len();
        let mut message = MessageMap::default();
        for word in owners.split_whitespace() {
            if word == "embedded" {
                message.is_embedding = true;
                continue;
            }
            let (models, types) = word.split_once(':')?;
            for model in models.split(',') {
                for msg_type in types.split(',') {
                    let msg_type = if msg_type == "json" { MsgType::JSON } else { MsgType::parse(msg_type)? };
                    self.owners.entry(model).or_default().push((msg_type, idx));
                }
            }
        }
        self.messages.push(message);
        Some(())
    }

    fn add_value(&mut self, line: &'static str) -> Option<()> {
        let mut columns = line.split('\t');
        let (tag, place, name) = (columns.next()?, columns.next()?, columns.next()?);
        let value = ValueMap {
            tag: if tag.is_empty() { 0 } else { u8::from_str_radix(tag, 16).ok()? },
            place: Place::read(place)?,
            name,
            form: Form::read(columns.next().unwrap_or(""))?,
            unit: columns.next().unwrap_or(""),
        };
        self.messages.last_mut()?.values.push(value);
        Some(())
    }
}

impl Place {
    fn read(text: &'static str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Whole);
        }
        if let Some(path) = text.strip_prefix('.') {
            return Some(match path.split_once('.') {
                Some((outer, inner)) => Self::Key(outer, Some(inner)),
                None => Self::Key(path, None),
            });
        }
        if let Some(gap) = text.strip_prefix('+') {
            return gap.parse().ok().map(Self::After);
        }
        match text.split_once('&') {
            Some((offset, mask)) => {
                Some(Self::Bits(offset.parse().ok()?, u8::from_str_radix(mask, 16).ok()?))
            }
            None => text.parse().ok().map(Self::At),
        }
    }
}

impl Form {
    fn read(text: &str) -> Option<Self> {
        let mut form = Self::default();
        for word in text.split_whitespace() {
            match word {
                "str" => form.kind = Some(FieldKind::TEXT),
                "u8" => form.kind = Some(FieldKind::U8),
                "i16" => form.kind = Some(FieldKind::I16),
                "var" => form.kind = Some(FieldKind::VAR),
                "bin" => form.kind = Some(FieldKind::BIN),
                "f32" => form.kind = Some(FieldKind::F32),
                "signed" => form.is_signed = Some(true),
                "unsigned" => form.is_signed = Some(false),
                "length=1+3n" => form.length = Some(Length::Schedule),
                other => {
                    if let Some(length) = other.strip_prefix("length=") {
                        form.length = Some(Length::Bytes(length.parse().ok()?));
                    } else if let Some(n_values) = other.strip_prefix("values=") {
                        form.n_values = Some(n_values.parse().ok()?);
                    } else {
                        form.factor = Some(Factor::read(other.strip_prefix('x')?)?);
                    }
                }
            }
        }
        Some(form)
    }
}

impl Factor {
    fn read(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        Some(Self {
            value: text.parse().ok()?,
            digits: format!("{whole}{decimals}").parse().ok()?,
            n_decimals: u8::try_from(decimals.len()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::battery::anker::wire::models;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let mut map = Map::default();
        for line in include_str!("fieldmap.tsv").lines() {
            assert_eq!(map.take_line(line), Some(()), "{line}");
        }
    }

    #[test]
    fn every_product_has_a_map_and_every_map_a_product() {
        let mut mapped: Vec<&str> = MAP.owners.keys().copied().collect();
        let mut known: Vec<&str> = models().map(|model| model.code).collect();
        mapped.sort_unstable();
        known.sort_unstable();
        assert_eq!(mapped, known);
    }
}
