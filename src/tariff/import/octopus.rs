//! Half-hourly unit rates of Octopus Energy: `/v1/products/…/electricity-tariffs/…/standard-unit-rates/`.
//! <https://developer.octopus.energy/rest/guides/endpoints>: pence with value-added tax, the newest first.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::prices::{PriceRow, price_csv, quarter};
use super::{ImportError, ImportOptions, Imported, raw_json, toml_text};
use crate::tariff::money::{Currency, PricePerKwh};

/// Prices are in pence.
const HUNDREDTHS: i32 = -2;

#[derive(Debug, Deserialize)]
struct Page<'a> {
    next: Option<String>,
    #[serde(borrow)]
    results: Vec<Rate<'a>>,
}

#[derive(Debug, Deserialize)]
struct Rate<'a> {
    #[serde(borrow)]
    value_inc_vat: &'a RawValue,
    valid_from: String,
    valid_to: Option<String>,
    payment_method: Option<String>,
}

impl Rate<'_> {
    fn row(&self) -> Result<PriceRow, ImportError> {
        let Some(valid_to) = &self.valid_to else {
            let hint = "such a rate is no price by time: write it as `per_kwh` of a [[tariff]]";
            return Err(ImportError::new("has a rate without an end", hint));
        };
        let price = PricePerKwh::from_micros(raw_json::micros(self.value_inc_vat, HUNDREDTHS)?);
        Ok(PriceRow { start: quarter(&self.valid_from)?, end: quarter(valid_to)?, price })
    }

    /// A product may have each rate twice, the other one for customers who do not pay by direct debit.
    fn is_by_debit(&self) -> bool {
        self.payment_method.as_deref() != Some("NON_DIRECT_DEBIT")
    }
}

pub(super) fn import(text: &str, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let Page { next, mut results } = raw_json::parse(text, "Octopus Energy's unit rates")?;
    let mut notes = vec!["From Octopus Energy: unit rates with value-added tax.".to_owned()];
    if next.is_some() {
        notes.push(
            "This page is not the last one: import the others too, each into a file of its own.".to_owned(),
        );
    }
    if results.iter().any(Rate::is_by_debit) && !results.iter().all(Rate::is_by_debit) {
        results.retain(Rate::is_by_debit);
        notes.push("Rates for other customers than those who pay by direct debit were left out.".to_owned());
    }
    notes.push("The standing charge is not in it: write a month of it as `fixed_per_month`.".to_owned());
    let rows: Result<Vec<_>, _> = results.iter().map(Rate::row).collect();
    let currency = Currency::parse("GBP").ok().or(options.currency);
    let currency = currency.ok_or_else(|| ImportError::new("has no currency", "give the currency"))?;
    Ok(toml_text::with_prices("octopus", currency, price_csv(rows?)?, notes, options))
}
