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

use super::book::TariffBook;
use super::calendar::shown;
use super::money::Currency;
use super::price_file::{PriceFile, SeriesColumn};
use super::series::QuarterSeries;
use crate::reading::Quarter;
use crate::support::error::Diagnose;

/// The most times that are noted one by one.
const MAX_NOTED_TIMES: usize = 5;

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

/// Choices that a text does not make.
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
    /// Where the tables differ from the text, and values to be added by hand.
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
    let mut imported = match format {
        ImportFormat::Urdb => urdb::import(text, options)?,
        ImportFormat::Octopus => octopus::import(text, options)?,
        ImportFormat::Tibber => tibber::import(text, options)?,
        ImportFormat::Entsoe => entsoe::import(text, options)?,
    };
    if let Some(prices) = &imported.prices {
        imported.notes.extend(notes_of_prices(prices)?);
    }
    imported.toml.insert_str(0, &toml_text::comments(&imported.notes));
    TariffBook::parse(&imported.toml).map_err(|faults| unusable(faults.first()))?;
    Ok(imported)
}

/// The times that a price file has no price for between its first and its last, and those that it has two for.
fn notes_of_prices(prices: &str) -> Result<Vec<String>, ImportError> {
    let file = PriceFile::parse("prices", prices, SeriesColumn::Price);
    let file = file.map_err(|faults| unusable(faults.first()))?;
    let (series, overlaps) = QuarterSeries::new(&[file]);
    let holes = series.span().map(|span| series.holes(span)).unwrap_or_default();
    let contradictions = overlaps.iter().filter(|overlap| overlap.is_contradiction);
    let times = |from: Quarter, to: Quarter| format!("{} to {}.", shown(from), shown(to));
    let mut notes: Vec<String> =
        holes.iter().map(|hole| format!("No price: {}", times(hole.start, hole.end))).collect();
    notes.extend(contradictions.map(|two| format!("Two prices, so none: {}", times(two.from, two.to))));
    let n_more = notes.len().saturating_sub(MAX_NOTED_TIMES);
    notes.truncate(MAX_NOTED_TIMES);
    notes.extend((n_more > 0).then(|| format!("And {n_more} other times without a price.")));
    Ok(notes)
}

/// A text whose values are beyond what a tariff may have.
fn unusable<E: std::fmt::Display + Diagnose>(fault: Option<&E>) -> ImportError {
    let (message, hint) =
        fault.map(|fault| (fault.to_string(), fault.hint().into_owned())).unwrap_or_default();
    ImportError::new(format!("has values that no tariff has: {message}"), hint)
}

#[cfg(test)]
mod tests;
