//! One table of an inventory file, read key by key; what does not fit is noted and reading goes on.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned as TomlSpanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::{DiagnosticSink, Location, ValueError};
use super::keys;
use super::snippet::is_secret_word;
use super::suggestion::{example_of, is_shown, suggested_flag, suggested_number, suggested_string};
use crate::reading::SafeText;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) location: Location,
}

/// A file that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) file: usize,
    pub(super) text: &'a str,
}

/// Which keys a table may have.
#[derive(Debug)]
pub(super) struct Schema {
    /// Where the table is, in words, such as `in [[host]]`.
    pub(super) title: &'static str,
    pub(super) keys: &'static [&'static str],
}

pub(super) const TOP: Schema = Schema {
    title: "at the top of the file",
    keys: &["include", "exclude", "defaults", "host", "cycle", "store", "alerts", "solix"],
};
pub(super) const DEFAULTS: Schema = Schema { title: "in [defaults]", keys: &HOST_KEYS };
pub(super) const HOST: Schema = Schema { title: "in [[host]]", keys: &ONE_HOST_KEYS };
pub(super) const CYCLE: Schema =
    Schema { title: "in [cycle]", keys: &["interval", "concurrency", "connecting"] };
pub(super) const STORE: Schema = Schema {
    title: "in [store]",
    keys: &[
        "url",
        "password_env",
        "password_file",
        "password_credential",
        "table",
        "metadata",
        "spool_size",
        "spool_age",
        "keep",
    ],
};

pub(super) const ALERTS: Schema = Schema {
    title: "in [alerts]",
    keys: &[
        "gpu_temperature_above",
        "gpu_temperature_for",
        "gpu_power_above",
        "gpu_power_for",
        "host_silent_for",
        "cluster_power_above",
        "spool_older_than",
        "store_away_for",
        "battery_below",
        "battery_critical_below",
        "grid_lost",
        "grid_lost_for",
        "station_silent_for",
        "webhook_env",
        "webhook_file",
        "webhook_credential",
        "webhook_format",
        "webhook_timeout",
    ],
};

pub(super) const SOLIX: Schema = Schema {
    title: "in [solix]",
    keys: &[
        "enabled",
        "country",
        "server",
        "user_env",
        "user_file",
        "user_credential",
        "password_env",
        "password_file",
        "password_credential",
        "interval",
        "fast_interval",
        "rest_every",
        "listen",
        "api_url",
        "login_key",
        "mqtt_address",
        "extra_ca",
    ],
};

/// Keys under which somebody may write the account's e-mail address itself.
const EMAIL_KEYS: &[&str] = &["user", "username", "email", "mail", "account"];

/// Sections that are planned. To pass over them in silence would let somebody believe in an alert that
/// never fires.
const PLANNED: &[&str] = &["tariff"];

const HOST_KEYS: [&str; 20] = [
    "local",
    "scripted",
    "labels",
    "user",
    "port",
    "identity_file",
    "ssh_config",
    "known_hosts",
    "jump",
    "kex",
    "host_key",
    "connect_timeout",
    "timeout",
    "sample",
    "control_persist",
    "keep_shell",
    "probes",
    "nvidia_smi",
    "gpus",
    "maintenance",
];

const ONE_HOST_KEYS: [&str; 24] = {
    let mut keys = ["name"; 24];
    keys[1] = "address";
    keys[2] = "exclude";
    keys[3] = "override";
    let (_, rest) = keys.split_at_mut(4);
    rest.copy_from_slice(&HOST_KEYS);
    keys
};

/// One table, with the place for what is wrong in it.
pub(super) struct Section<'a, 'i> {
    input: Input<'a>,
    table: &'a DeTable<'i>,
    sink: &'a mut DiagnosticSink,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Opens a table and notes every key that it may not have.
    pub(super) fn open(
        input: Input<'a>,
        table: &'a DeTable<'i>,
        schema: &Schema,
        sink: &'a mut DiagnosticSink,
    ) -> Self {
        for (key, value) in table {
            let name: &str = key.get_ref();
            if let Some(error) = key_error(name, schema) {
                if error.hides {
                    sink.hide(Location::new(input.file, &value.span()));
                }
                sink.push(Location::new(input.file, &key.span()), error);
            }
        }
        Self { input, table, sink }
    }

    /// Opens a table whose keys have been looked at.
    pub(super) fn reopen(input: Input<'a>, table: &'a DeTable<'i>, sink: &'a mut DiagnosticSink) -> Self {
        Self { input, table, sink }
    }

    /// Notes something in this table that is not wrong, but most likely not meant, either.
    pub(super) fn warn(&mut self, location: Location, error: ValueError) {
        self.sink.warn(location, error);
    }

    /// Notes an error of this table.
    pub(super) fn report(&mut self, location: Location, error: ValueError) {
        self.sink.push(location, error);
    }

    /// Where a key stands, if it does.
    pub(super) fn key_location(&self, key: &str) -> Option<Location> {
        let (key, _) = self.table.get_key_value(key)?;
        Some(Location::new(self.input.file, &key.span()))
    }

    /// A string that `parse` takes.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<T>> {
        let value = self.table.get(key)?;
        self.parsed_value(key, value, parse)
    }

    /// A list of strings that `parse` takes, each.
    pub(super) fn parsed_list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let value = self.table.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let one = value.get_ref().as_str().filter(|text| is_shown(key) && parse(text).is_ok());
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
        let is_one = self.table.get(key).is_some_and(|value| value.get_ref().is_str());
        if is_one {
            return self.parsed(key, parse).into_iter().collect();
        }
        self.parsed_list(key, parse).map(|list| list.value).unwrap_or_default()
    }

    /// A table of strings.
    pub(super) fn labels(&mut self, key: &str) -> BTreeMap<String, String> {
        let Some(value) = self.table.get(key) else { return BTreeMap::new() };
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
        let value = self.table.get(key)?;
        match value.get_ref().as_bool() {
            Some(flag) => Some(Spanned { value: flag, location: self.location(value) }),
            None => {
                let suggested = suggested_flag(value.get_ref()).unwrap_or(true);
                self.wrong_type(key, value, "true or false", &suggested.to_string());
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &str, bounds: RangeInclusive<u32>) -> Option<Spanned<u32>> {
        let value = self.table.get(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            let suggested = suggested_number(value.get_ref()).filter(|number| bounds.contains(number));
            let example = suggested.map_or_else(|| example_of(key), |number| number.to_string());
            self.wrong_type(key, value, "a whole number", &example);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        if let Some(number) = number.filter(|number| bounds.contains(number)) {
            return Some(Spanned { value: number, location: self.location(value) });
        }
        let (low, high) = (bounds.start(), bounds.end());
        self.sink.push(
            self.location(value),
            ValueError::new(
                format!("`{key}` is out of bounds"),
                "out of bounds",
                format!("write a number from {low} to {high}"),
            ),
        );
        None
    }

    fn parsed_value<T>(
        &mut self,
        key: &str,
        value: &TomlSpanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Spanned<T>> {
        let suggested =
            || suggested_string(key, value.get_ref()).filter(|suggested| parse(suggested).is_ok());
        let Some(text) = value.get_ref().as_str() else {
            let example = suggested().map_or_else(|| example_of(key), |suggested| toml_text(&suggested));
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

    /// Whether a value is written so that a password in it is recognised by the text alone; then the
    /// rest may be shown.
    fn is_plain_url(&self, span: Range<usize>) -> bool {
        self.input.text.get(span).is_some_and(|raw| raw.contains("://") && !raw.contains('\\'))
    }

    /// Where a part of a string's value stands in the file: exactly, if the string is written without
    /// escapes; else the whole of it.
    fn part_of(&self, value: &str, span: Range<usize>, part: Option<Range<usize>>) -> Range<usize> {
        let Some(part) = part else { return span };
        let raw = self.input.text.get(span.clone()).unwrap_or_default();
        match raw.find(value).filter(|_| !value.is_empty()) {
            Some(at) => span.start + at + part.start..(span.start + at + part.end).min(span.end),
            None => span,
        }
    }

    fn wrong_type(&mut self, key: &str, value: &TomlSpanned<DeValue<'_>>, expected: &str, example: &str) {
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

    fn location(&self, value: &TomlSpanned<DeValue<'_>>) -> Location {
        Location::new(self.input.file, &value.span())
    }
}

/// A text as TOML writes it, fit to be shown.
fn toml_text(text: &str) -> String {
    format!("\"{}\"", SafeText::new(text).as_str().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Notes every key of a document, at any depth, under which a secret is kept.
pub(super) fn find_secrets(input: Input<'_>, document: &DeTable<'_>, sink: &mut DiagnosticSink) {
    for entry in document {
        let section = if entry.0.get_ref() == "solix" { "[solix]" } else { "[store]" };
        find_secrets_in_entry(input, entry, section, sink);
    }
}

fn find_secrets_in_entry(
    input: Input<'_>,
    (key, value): (&TomlSpanned<std::borrow::Cow<'_, str>>, &TomlSpanned<DeValue<'_>>),
    section: &str,
    sink: &mut DiagnosticSink,
) {
    if let Some(error) = secret_key_error(key.get_ref(), section) {
        sink.push(Location::new(input.file, &key.span()), error);
        sink.hide(Location::new(input.file, &value.span()));
    }
    find_secrets_in_value(input, value.get_ref(), section, sink);
}

fn find_secrets_in_value(input: Input<'_>, value: &DeValue<'_>, section: &str, sink: &mut DiagnosticSink) {
    match value {
        DeValue::Table(table) => {
            table.iter().for_each(|entry| find_secrets_in_entry(input, entry, section, sink));
        }
        DeValue::Array(items) => {
            items.iter().for_each(|item| find_secrets_in_value(input, item.get_ref(), section, sink));
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn is_secret_key(key: &str) -> bool {
    secret_key_error(key, "").is_some()
}

/// The section that has password_env and its like for a secret in the section of this title.
fn secrets_of(title: &str) -> &'static str {
    if title == SOLIX.title { "[solix]" } else { "[store]" }
}

fn secret_key_error(key: &str, section: &str) -> Option<ValueError> {
    let key = key.to_ascii_lowercase();
    if matches!(key.as_str(), "passwd" | "passphrase") || key.ends_with("password") {
        return Some(check::secret_in_file("a password in the inventory", section));
    }
    matches!(key.as_str(), "webhook" | "webhook_url")
        .then(|| check::webhook_in_file("a webhook's URL in the inventory"))
}

/// Why a key may not stand in a table of this schema.
fn key_error(key: &str, schema: &Schema) -> Option<ValueError> {
    if schema.keys.contains(&key) || is_secret_key(key) {
        return None;
    }
    let title = schema.title;
    if title == TOP.title && PLANNED.contains(&key) {
        return Some(ValueError::new(
            format!("[{key}] is planned; this version does not read it yet"),
            "not read yet",
            format!("take the section [{key}] out for now: nothing would come of it"),
        ));
    }
    if title == SOLIX.title && EMAIL_KEYS.contains(&key) {
        let hint = "say where it is by user_env, user_file or user_credential; without them it is in the variable ANKER_USER";
        let error =
            ValueError::new(format!("`{key}` in [solix]"), "the account itself is not written here", hint);
        return Some(error.hiding());
    }
    let hint = keys::suggested(key, schema)
        .or_else(|| is_secret_word(key).then(|| check::secret_in_file("", secrets_of(title)).hint))
        .unwrap_or_else(|| format!("known here: {}", schema.keys.join(", ")));
    let message = format!("unknown key `{}` {title}", SafeText::new(key));
    Some(ValueError::new(message, "not a key that is known here", hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_key_may_stand_in_defaults_but_those_of_one_entry() {
        let of_one = ["name", "address", "exclude", "override"];
        assert_eq!(HOST.keys.get(..4), Some(of_one.as_slice()));
        assert_eq!(HOST.keys.get(4..), Some(DEFAULTS.keys));
    }
}
