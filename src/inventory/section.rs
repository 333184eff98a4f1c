//! One table of an inventory file, read key by key; errors are collected and reading goes on.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::{DiagnosticSink, ValueError};
use super::host_options::HostOptions;
use super::location::{Location, Spanned};
use super::secret_keys::is_secret_key;
use super::sections::Sections;
use super::suggestion::{Form, suggested_flag, suggested_number, suggested_string};
use crate::reading::SafeText;

/// A file that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) file: usize,
    pub(super) text: &'a str,
    /// The folder of the file, which relative paths in it start from.
    pub(super) base: &'a Path,
}

/// The keys that a table of the file may have.
#[derive(Debug)]
pub(super) struct Table {
    /// Where the table is, such as `in [[host]]`.
    pub(super) title: &'static str,
    pub(super) keys: &'static [&'static [Key]],
}

/// One key: all that is known of it, but for the field that it sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Its meaning in a sentence, for the manual page.
    pub(super) help: &'static str,
    pub(super) form: Form,
    /// Other names that people use for it: those of ssh and of other tools.
    pub(super) synonyms: &'static [&'static str],
    /// Whether it only makes sense over SSH.
    pub(super) is_for_ssh: bool,
    pub(super) read: Read,
}

/// The way to read a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// Together with another key, or by the reader of its table.
    WithOthers,
    Setting(fn(&mut Section<'_, '_>, &'static str, &mut Sections)),
    HostOption(fn(&mut Section<'_, '_>, &'static str, &mut HostOptions)),
}

impl Table {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().flat_map(|keys| keys.iter())
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.keys().map(|key| key.name).collect()
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// One table of a file, and the sink for its diagnostics.
pub(super) struct Section<'a, 'i> {
    pub(super) input: Input<'a>,
    pub(super) raw: &'a DeTable<'i>,
    pub(super) table: &'static Table,
    pub(super) sink: &'a mut DiagnosticSink,
}

impl Section<'_, '_> {
    /// Reads every key that sets something of the whole fleet.
    pub(super) fn read_settings(&mut self, to: &mut Sections) {
        for key in self.table.keys() {
            if let Read::Setting(read) = key.read {
                read(self, key.name, to);
            }
        }
    }

    /// Reads every key that is an option of a host.
    pub(super) fn read_host_options(&mut self, to: &mut HostOptions) {
        to.labels = self.labels("labels");
        for key in self.table.keys() {
            if let Read::HostOption(read) = key.read {
                read(self, key.name, to);
            }
        }
    }

    /// Reports an error of this table.
    pub(super) fn report(&mut self, location: Location, error: ValueError) {
        self.sink.push(location, error);
    }

    /// Where a key stands, if it does.
    pub(super) fn key_location(&self, key: &str) -> Option<Location> {
        let (key, _) = self.raw.get_key_value(key)?;
        Some(Location::new(self.input.file, &key.span()))
    }

    /// Where the value of a key stands, if it does.
    pub(super) fn value_location(&self, key: &str) -> Option<Location> {
        self.raw.get(key).map(|value| self.location(value))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.raw.contains_key(key)
    }

    /// Reports a key, if it stands here.
    pub(super) fn refuse(&mut self, key: &str, error: ValueError) {
        if let Some(location) = self.key_location(key) {
            self.report(location, error);
        }
    }

    /// A path, relative to the file.
    pub(super) fn path(&mut self, key: &str) -> Option<Spanned<PathBuf>> {
        let base = self.input.base;
        self.parsed(key, |text| check::file_path(text, base))
    }

    /// A string that `parse` takes.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<T>> {
        let value = self.raw.get(key)?;
        self.parsed_value(key, value, parse)
    }

    /// A list of strings that `parse` takes, each.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let value = self.raw.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let one =
                value.get_ref().as_str().filter(|text| self.form(key).is_shown() && parse(text).is_ok());
            self.wrong_type(key, value, "a list of strings", &format!("[{}]", toml_text(one.unwrap_or("…"))));
            return None;
        };
        let taken = items.iter().filter_map(|item| self.parsed_value(key, item, &parse)).collect();
        Some(Spanned { value: taken, location: self.location(value) })
    }

    /// A list of strings that `parse` takes, each, or one such string.
    pub(super) fn parsed_some<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Vec<Spanned<T>> {
        match self.raw.get(key) {
            Some(value) if value.get_ref().is_str() => self.parsed(key, parse).into_iter().collect(),
            _ => self.parsed_list(key, parse).map(|list| list.value).unwrap_or_default(),
        }
    }

    /// A table of strings.
    pub(super) fn labels(&mut self, key: &str) -> BTreeMap<String, String> {
        let Some(value) = self.raw.get(key) else { return BTreeMap::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, value, "a table of strings", "{ rack = \"a1\" }");
            return BTreeMap::new();
        };
        let mut labels = BTreeMap::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match check::label(name) {
                Err(mut error) => {
                    error.message = format!("a label's key {}", error.message);
                    self.sink.push(Location::new(self.input.file, &key.span()), error);
                }
                // The error of a secret's key is noted for the whole document at once.
                Ok(_) if is_secret_key(name) => {}
                Ok(name) => {
                    let shown = format!("labels.{}", SafeText::new(&name));
                    if let Some(text) = self.parsed_value(&shown, value, check::label) {
                        labels.insert(name, text.value);
                    }
                }
            }
        }
        labels
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Option<Spanned<bool>> {
        let value = self.raw.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            let suggested = suggested_flag(value.get_ref()).unwrap_or(true);
            self.wrong_type(key, value, "true or false", &suggested.to_string());
        }
        Some(Spanned { value: flag?, location: self.location(value) })
    }

    /// A whole number within bounds.
    pub(super) fn integer<T: TryFrom<u32> + PartialOrd + Display>(
        &mut self,
        key: &str,
        bounds: RangeInclusive<T>,
    ) -> Option<Spanned<T>> {
        let value = self.raw.get(key)?;
        let bounded = |number: u32| T::try_from(number).ok().filter(|number| bounds.contains(number));
        let Some(integer) = value.get_ref().as_integer() else {
            let suggested = suggested_number(value.get_ref()).and_then(bounded);
            let example = suggested.map_or_else(|| self.form(key).example(), |number| number.to_string());
            self.wrong_type(key, value, "a whole number", &example);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(bounded);
        if number.is_none() {
            let hint = format!("write a number from {} to {}", bounds.start(), bounds.end());
            let error = ValueError::new(format!("`{key}` is out of bounds"), "out of bounds", hint);
            self.report(self.location(value), error);
        }
        Some(Spanned { value: number?, location: self.location(value) })
    }

    fn parsed_value<T>(
        &mut self,
        key: &str,
        value: &TomlSpanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<T>> {
        let form = self.form(key);
        let suggested =
            || suggested_string(key, form, value.get_ref()).filter(|suggested| parse(suggested).is_ok());
        let Some(text) = value.get_ref().as_str() else {
            let example = suggested().map_or_else(|| form.example(), |suggested| toml_text(&suggested));
            self.wrong_type(key, value, "a string", &example);
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(Spanned { value: parsed, location: self.location(value) }),
            Err(mut error) => {
                error.message = format!("`{key}` {}", error.message);
                if let Some(suggested) = suggested() {
                    error.hint = format!("write `{key} = {}`", toml_text(&suggested));
                }
                if error.hides && !(key == "url" && self.is_plain_url(value.span())) {
                    self.sink.hide(self.location(value));
                }
                let span = self.part_of(text, value.span(), error.at.clone());
                self.sink.push(Location::new(self.input.file, &span), error);
                None
            }
        }
    }

    /// Whether a password in a value is recognised by the text alone; then the rest may be shown.
    fn is_plain_url(&self, span: Range<usize>) -> bool {
        self.input.text.get(span).is_some_and(|raw| raw.contains("://") && !raw.contains('\\'))
    }

    /// The place of a part of a string's value: the whole of it, if the string is written with escapes.
    fn part_of(&self, value: &str, span: Range<usize>, part: Option<Range<usize>>) -> Range<usize> {
        let Some(part) = part else { return span };
        let raw = self.input.text.get(span.clone()).unwrap_or_default();
        match raw.find(value).filter(|_| !value.is_empty()) {
            Some(at) => span.start + at + part.start..(span.start + at + part.end).min(span.end),
            None => span,
        }
    }

    pub(super) fn wrong_type(
        &mut self,
        key: &str,
        value: &TomlSpanned<DeValue<'_>>,
        expected: &str,
        example: &str,
    ) {
        // A value may be a secret; only its type is told.
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let error = ValueError::new(
            format!("`{key}` must be {expected}, not {found}"),
            &format!("expected {expected}"),
            format!("write `{key} = {example}`"),
        );
        self.sink.push(self.location(value), error);
    }

    fn form(&self, key: &str) -> Form {
        let is_label = key.starts_with("labels.");
        if is_label { Form::Public("…") } else { self.table.key(key).map_or(Form::Other, |key| key.form) }
    }

    fn location(&self, value: &TomlSpanned<DeValue<'_>>) -> Location {
        Location::new(self.input.file, &value.span())
    }
}

/// A text as TOML writes it, fit to be shown.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", SafeText::new(text).as_str().replace('\\', "\\\\").replace('"', "\\\""))
}
