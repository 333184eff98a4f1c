//! Keys that would hold a secret in the file itself.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::{DiagnosticSink, ValueError};
use super::location::Location;
use super::vendor;

/// Reports every key of a document, at any depth, under which a secret is kept.
pub(super) fn find_secrets(file: usize, document: &DeTable<'_>, sink: &mut DiagnosticSink) {
    for entry in document {
        let section = match entry.0.get_ref().as_ref() {
            vendor::KEY => vendor::SECTION,
            "mqtt" => "[mqtt]",
            _ => "[store]",
        };
        find_in_entry(file, entry, section, sink);
    }
}

fn find_in_entry(
    file: usize,
    (key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>),
    section: &str,
    sink: &mut DiagnosticSink,
) {
    if let Some(error) = secret_key_error(key.get_ref(), section) {
        sink.push(Location::new(file, &key.span()), error);
        sink.hide(Location::new(file, &value.span()));
    }
    find_in_value(file, value.get_ref(), section, sink);
}

fn find_in_value(file: usize, value: &DeValue<'_>, section: &str, sink: &mut DiagnosticSink) {
    for entry in value.as_table().into_iter().flatten() {
        find_in_entry(file, entry, section, sink);
    }
    for item in value.as_array().into_iter().flatten() {
        find_in_value(file, item.get_ref(), section, sink);
    }
}

/// Whether a secret stands under this key.
pub(super) fn is_secret_key(key: &str) -> bool {
    secret_key_error(key, "").is_some()
}

fn secret_key_error(key: &str, section: &str) -> Option<ValueError> {
    let key = key.to_ascii_lowercase();
    if matches!(key.as_str(), "passwd" | "passphrase") || key.ends_with("password") {
        return Some(check::secret_in_file("a password in the inventory", section));
    }
    matches!(key.as_str(), "webhook" | "webhook_url")
        .then(|| check::webhook_in_file("a webhook's URL in the inventory"))
}
