//! Tables as text.

use std::fmt::Display;

use super::{ImportOptions, Imported};
use crate::reading::SafeText;
use crate::tariff::keys::MAX_NAME_CHARS;
use crate::tariff::money::Currency;

/// A text as TOML writes it. Foreign text loses its control characters.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(SafeText::new(text).as_str()).to_string()
}

/// A name as TOML writes it, cut to what a name may have.
pub(super) fn quoted_name(text: &str, default: &str) -> String {
    let text: String = text.chars().take(MAX_NAME_CHARS).collect();
    let name = SafeText::new(text.trim());
    quoted(if name.as_str().trim().is_empty() { default } else { name.as_str() })
}

/// Adds `key = value`.
pub(super) fn line(to: &mut String, key: &str, value: impl Display) {
    to.push_str(&format!("{key} = {value}\n"));
}

/// Adds `key = "value"`, unless it is the default.
pub(super) fn window_line<T: Display + PartialEq>(to: &mut String, key: &str, value: &T, default: &T) {
    if value != default {
        line(to, key, quoted(&value.to_string()));
    }
}

/// Notes as comments, each on a line of its own.
pub(super) fn comments(notes: &[String]) -> String {
    notes.iter().map(|note| format!("# {}\n", SafeText::new(note))).collect()
}

/// A tariff that has its prices from a file.
pub(super) fn with_prices(
    name: &str,
    currency: Currency,
    csv: String,
    notes: Vec<String>,
    options: &ImportOptions<'_>,
) -> Imported {
    let mut toml = "[[tariff]]\n".to_owned();
    line(&mut toml, "name", quoted_name(options.name.unwrap_or(name), name));
    line(&mut toml, "currency", quoted(currency.code()));
    toml.push_str("[tariff.prices]\n");
    line(&mut toml, "file", quoted(options.price_file));
    Imported { toml, prices: Some(csv), notes }
}
