//! Tariffs of other formats, made into tables and price files of this one. No network: the caller has the text.

mod entsoe;
mod octopus;
mod prices;
mod raw_json;
mod tibber;
mod toml_text;
mod urdb;
mod urdb_grid;

use std::borrow::Cow;

use super::money::Currency;
use crate::support::error::Diagnose;

/// A format that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImportFormat {
    /// A rate of OpenEI's Utility Rate Database, as JSON.
    Urdb,
    /// Half-hourly unit rates of Octopus Energy, as JSON.
    Octopus,
    /// Prices of Tibber's API, as JSON.
    Tibber,
    /// Day-ahead prices of ENTSO-E's transparency platform, as XML.
    Entsoe,
}

impl ImportFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Urdb, Self::Octopus, Self::Tibber, Self::Entsoe];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urdb => "urdb",
            Self::Octopus => "octopus",
            Self::Tibber => "tibber",
            Self::Entsoe => "entsoe",
        }
    }
}

/// What a text does not say.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions<'a> {
    /// The name of the tariff; without it that of the rate or of the format.
    pub name: Option<&'a str>,
    /// The path under which the price file will be kept, as it is to stand in the table.
    pub price_file: &'a str,
    /// The currency, where the text does not have it.
    pub currency: Option<Currency>,
}

/// A tariff that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The tables, with the notes as comments.
    pub toml: String,
    /// The price file, if the format has prices by time.
    pub prices: Option<String>,
    /// What the tables do not say as the text does, and what is to be added by hand.
    pub notes: Vec<String>,
}

/// A text that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ImportError {
    /// The message.
    pub message: String,
    /// The hint.
    pub hint: String,
}

impl ImportError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl Diagnose for ImportError {
    fn hint(&self) -> Cow<'static, str> {
        self.hint.clone().into()
    }

    fn is_transient(&self) -> bool {
        false
    }
}

/// Makes tables, and a price file where the format has prices by time, of a text.
///
/// # Errors
/// A text of another format, and what these tables cannot say without changing the price.
pub fn import(
    format: ImportFormat,
    text: &str,
    options: &ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    match format {
        ImportFormat::Urdb => urdb::import(text, options),
        ImportFormat::Octopus => octopus::import(text, options),
        ImportFormat::Tibber => tibber::import(text, options),
        ImportFormat::Entsoe => entsoe::import(text, options),
    }
}

#[cfg(test)]
mod tests;
