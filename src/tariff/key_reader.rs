//! One table of a TOML file, read key by key; faults are collected with their spans, and reading goes on.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::invalid::Invalid;
use super::model::Labels;
use crate::reading::SafeText;
use crate::support::error::Diagnose;

/// The most entries of a list of tables that are read.
const MAX_ENTRIES: usize = 1_000;

/// Edits between a key and the one that was most likely intended.
const MAX_EDITS: usize = 2;

/// Other names that people use for a key.
const SYNONYMS: [(&str, &str); 12] = [
    ("price", "per_kwh"),
    ("price_per_kwh", "per_kwh"),
    ("rate", "per_kwh"),
    ("standing_charge", "fixed_per_month"),
    ("fixed", "fixed_per_month"),
    ("to", "until"),
    ("labels", "applies_to"),
    ("tz", "timezone"),
    ("files", "file"),
    ("path", "file"),
    ("tax", "factor"),
    ("vat", "factor"),
];

/// A fault of a key, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {}", error.message)]
pub struct KeyFault {
    /// The key with its tables, as `tariff.band.hours`.
    pub key: String,
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// The fault; its message goes on from the key.
    pub error: Invalid,
}

impl Diagnose for KeyFault {
    fn hint(&self) -> Cow<'static, str> {
        self.error.hint.clone().into()
    }

    fn is_transient(&self) -> bool {
        false
    }
}

impl KeyFault {
    /// The line of a text in which it begins, from 1.
    pub fn line(&self, text: &str) -> usize {
        text.bytes().take(self.span.start).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct KeyReader<'a, 'i> {
    pub(super) raw: &'a DeTable<'i>,
    pub(super) span: Range<usize>,
    /// Its name with those of the tables that it is in; empty at the top.
    pub(super) path: String,
    pub(super) faults: &'a mut Vec<KeyFault>,
}

type Parse<T> = fn(&str) -> Result<T, Invalid>;

impl<'i> KeyReader<'_, 'i> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.raw.contains_key(key)
    }

    /// Reports a fault of the table as a whole.
    pub(super) fn fault(&mut self, error: Invalid) {
        self.faults.push(KeyFault { key: self.path.clone(), span: self.span.clone(), error });
    }

    /// Reports a fault of a key, if it stands here.
    pub(super) fn fault_of(&mut self, key: &str, error: Invalid) {
        if let Some(value) = self.raw.get(key) {
            self.faults.push(KeyFault { key: self.path_of(key), span: value.span(), error });
        }
    }

    /// Reports keys that the table may not have.
    pub(super) fn only(&mut self, known: &[&str]) {
        let raw = self.raw;
        for key in raw.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name: &str = key.get_ref();
            let meant = SYNONYMS.iter().find(|(other, ours)| *other == name && known.contains(ours));
            let near = || known.iter().find(|other| strsim::damerau_levenshtein(name, other) <= MAX_EDITS);
            let hint = match meant.map(|(_, ours)| ours).or_else(near) {
                Some(near) => format!("write `{near}`"),
                None => format!("take it out; keys here are {}", known.join(", ")),
            };
            let key_path = self.path_of(SafeText::new(name).as_str());
            let error = Invalid::key("is an unknown key", "unknown key", hint);
            self.faults.push(KeyFault { key: key_path, span: key.span(), error });
        }
    }

    /// A string.
    pub(super) fn text<T>(&mut self, key: &str, example: &str, parse: Parse<T>) -> Option<T> {
        self.parsed(key, "a string", example, parse, |value| value.as_str().map(str::to_owned))
    }

    /// A decimal number, as it is written.
    pub(super) fn number<T>(&mut self, key: &str, example: &str, parse: Parse<T>) -> Option<T> {
        self.parsed(key, "a number", example, parse, |value| match value {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        })
    }

    /// A date, in quotes or as TOML has it.
    pub(super) fn date<T>(&mut self, key: &str, example: &str, parse: Parse<T>) -> Option<T> {
        self.parsed(key, "a date", example, parse, |value| match value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Datetime(date) => Some(date.to_string()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        })
    }

    /// A table of strings.
    pub(super) fn labels(&mut self, key: &str) -> Labels {
        let Some(table) = self.table(key) else { return Labels::new() };
        let mut reader = table;
        let names: Vec<String> = reader.raw.keys().map(|name| name.get_ref().to_string()).collect();
        let label = |text: &str| Ok(text.to_owned());
        names
            .into_iter()
            .filter_map(|name| Some((name.clone(), reader.text(&name, "\"home\"", label)?)))
            .collect()
    }

    /// A table.
    pub(super) fn table(&mut self, key: &str) -> Option<KeyReader<'_, 'i>> {
        let value = self.raw.get(key)?;
        let path = self.path_of(key);
        if let DeValue::Table(raw) = value.get_ref() {
            return Some(KeyReader { raw, span: value.span(), path, faults: &mut *self.faults });
        }
        self.wrong_type(key, value, "a table", &format!("write it as [{path}]"));
        None
    }

    /// A list of tables, or one of them; each is read by `read`.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut KeyReader<'_, 'i>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.raw.get(key) else { return Vec::new() };
        let path = self.path_of(key);
        let one = std::slice::from_ref(value);
        let items = value.get_ref().as_array().map_or(one, |items| items.as_ref());
        if items.len() > MAX_ENTRIES {
            let message = format!("has {} entries, at most {MAX_ENTRIES}", items.len());
            self.fault_of(key, Invalid::key(message, "too many", "take some of them out"));
            return Vec::new();
        }
        let mut taken = Vec::new();
        for item in items {
            if let DeValue::Table(raw) = item.get_ref() {
                let mut reader =
                    KeyReader { raw, span: item.span(), path: path.clone(), faults: &mut *self.faults };
                taken.extend(read(&mut reader));
            } else {
                self.wrong_type(key, item, "a table", &format!("write it as [[{path}]]"));
            }
        }
        taken
    }

    /// Reports a key that is missing.
    pub(super) fn require(&mut self, key: &str, example: &str) {
        if !self.has(key) {
            let message = format!("has no `{key}`");
            self.fault(Invalid::key(message, "incomplete", format!("write `{key} = {example}`")));
        }
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        wanted: &str,
        example: &str,
        parse: Parse<T>,
        as_text: impl Fn(&DeValue<'_>) -> Option<String>,
    ) -> Option<T> {
        let value = self.raw.get(key)?;
        let Some(text) = as_text(value.get_ref()) else {
            self.wrong_type(key, value, wanted, &format!("write `{key} = {example}`"));
            return None;
        };
        parse(&text).map_err(|error| self.fault_of(key, error)).ok()
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str, hint: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let error =
            Invalid::key(format!("must be {wanted}, not {found}"), &format!("expected {wanted}"), hint);
        self.faults.push(KeyFault { key: self.path_of(key), span: value.span(), error });
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
