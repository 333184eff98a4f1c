//! Prices of Tibber's GraphQL API: `priceInfo` with `today`, `tomorrow` and `range`, or a whole answer around it.
//! <https://developer.tibber.com/docs/reference>: `total` is energy and taxes in the currency's units.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::prices::{PriceRow, price_csv, quarter};
use super::{ImportError, ImportOptions, Imported, raw_json, toml_text};
use crate::reading::Quarter;
use crate::tariff::money::{Currency, PricePerKwh};

#[derive(Debug, Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    total: &'a RawValue,
    #[serde(rename = "startsAt")]
    starts_at: String,
    currency: Option<String>,
}

/// The prices of one home.
#[derive(Debug, Default)]
struct Home {
    prices: BTreeSet<(Quarter, PricePerKwh)>,
    currency: Option<String>,
}

impl Home {
    fn new(home: &RawValue) -> Result<Self, ImportError> {
        let subscription = raw_json::within(home, &["currentSubscription"]);
        let info = raw_json::within(subscription, &["priceInfo"]);
        let current = raw_json::member(info, "current").unwrap_or(info);
        let mut home = Self { currency: raw_json::typed(current, "currency"), ..Self::default() };
        let ranges = [raw_json::member(info, "range"), raw_json::member(subscription, "priceInfoRange")];
        let nodes = ranges.into_iter().flatten().filter_map(|range| raw_json::member(range, "nodes"));
        let days = ["today", "tomorrow"].iter().filter_map(|day| raw_json::member(info, day));
        for list in days.chain(nodes) {
            home.add(raw_json::parse(list.get(), "Tibber's prices")?)?;
        }
        Ok(home)
    }

    fn add(&mut self, entries: Vec<Entry<'_>>) -> Result<(), ImportError> {
        for entry in entries {
            let price = PricePerKwh::from_micros(raw_json::micros(entry.total, 0)?);
            self.prices.insert((quarter(&entry.starts_at)?, price));
            self.currency = self.currency.take().or(entry.currency);
        }
        Ok(())
    }

    /// Rows as long as the shortest distance of two prices: nothing else says how long one holds.
    fn rows(&self) -> Result<Vec<PriceRow>, ImportError> {
        let starts: BTreeSet<Quarter> = self.prices.iter().map(|(start, _)| *start).collect();
        let distances = starts.iter().zip(starts.iter().skip(1)).map(|(one, next)| next.since(*one));
        let length = distances.min().filter(|length| matches!(length, 1 | 2 | 4)).ok_or_else(|| {
            let hint = "ask for `today` or `tomorrow` with all their prices";
            ImportError::new("has no two prices that are a quarter-hour, half hour or hour apart", hint)
        })?;
        let row = |(start, price): &(Quarter, PricePerKwh)| PriceRow {
            start: *start,
            end: start.plus(length),
            price: *price,
        };
        Ok(self.prices.iter().map(row).collect())
    }
}

pub(super) fn import(text: &str, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let document: &RawValue = raw_json::parse(text, "Tibber's API")?;
    let viewer = raw_json::within(document, &["data", "viewer"]);
    let homes: Vec<&RawValue> = match raw_json::member(viewer, "homes") {
        Some(homes) => raw_json::parse(homes.get(), "Tibber's API")?,
        None => vec![raw_json::within(viewer, &["home"])],
    };
    let homes: Result<Vec<Home>, ImportError> = homes.into_iter().map(Home::new).collect();
    let mut homes: Vec<Home> = homes?.into_iter().filter(|home| !home.prices.is_empty()).collect();
    let (Some(home), None) = (homes.pop(), homes.pop()) else {
        let hint =
            "give the answer of a query for `priceInfo { today { total startsAt currency } }` of one home";
        return Err(ImportError::new("does not have the prices of just one home", hint));
    };
    let currency = home.currency.as_deref().and_then(|code| Currency::parse(code).ok()).or(options.currency);
    let currency = currency.ok_or_else(|| {
        let hint = "ask for `currency` beside `total`, or give it with the command";
        ImportError::new("does not have the currency of its prices", hint)
    })?;
    let notes = vec![
        "From Tibber: `total`, which is energy and taxes; what the grid operator charges is often not in it."
            .to_owned(),
    ];
    Ok(toml_text::with_prices("tibber", currency, price_csv(home.rows()?)?, notes, options))
}
