//! The price, the band and the carbon intensity of each quarter, by the site of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::calendar::Calendar;
use super::fleet::Node;
use crate::tariff::{
    CarbonIntensity, Currency, Hole, Labels, Price, PricePerKwh, Pue, Resolver, TariffBook, Tariffs,
};

/// The name of what has no price.
pub(super) const NO_PRICE: &str = "no price";

/// The prices of a report.
#[derive(Debug, Clone)]
pub(super) struct Prices {
    /// The table of each node.
    of_node: Vec<usize>,
    tables: Vec<Vec<Slot>>,
    /// The bands of all tables; the first stands for no price.
    pub(super) bands: Vec<PriceBand>,
    /// The currencies of the tariffs that hold.
    pub(super) currencies: Vec<Currency>,
    carbon: Vec<Option<CarbonIntensity>>,
    /// The factor from the energy of boards to that of the site.
    pub(super) pue: Pue,
    /// Whether there is a tariff at all.
    pub(super) has_tariffs: bool,
    /// Whether there is a carbon intensity at all.
    pub(super) has_carbon: bool,
}

/// A band, of all tariffs of one currency that have one of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PriceBand {
    pub(super) name: String,
    pub(super) currency: Option<usize>,
}

/// A quarter of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The price; else the reason why there is none.
    pub(super) price: Result<PricePerKwh, Unpriced>,
    /// The number of its band.
    pub(super) band: usize,
    /// The number of the currency of the tariff that holds.
    pub(super) currency: Option<usize>,
    /// The number of the tariff that holds.
    pub(super) tariff: Option<usize>,
}

/// Why energy has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unpriced {
    /// The quarter has none.
    Hole(Hole),
    /// The day was rolled up, and its quarters have several prices.
    RolledUp,
}

impl Slot {
    /// Of a quarter that no table has.
    pub(super) const NONE: Self =
        Self { price: Err(Unpriced::Hole(Hole::OutOfRange)), band: 0, currency: None, tariff: None };
}

impl Prices {
    pub(super) fn new(book: &TariffBook, nodes: &[Node], calendar: &Calendar) -> Self {
        let no_price = PriceBand { name: NO_PRICE.to_owned(), currency: None };
        let mut prices = Self {
            of_node: Vec::new(),
            tables: Vec::new(),
            bands: vec![no_price],
            currencies: Vec::new(),
            carbon: Vec::new(),
            pue: book.site.pue(),
            has_tariffs: !book.tariffs.as_slice().is_empty(),
            has_carbon: book.carbon.is_some(),
        };
        let mut resolver = Resolver::new(&book.tariffs, calendar.range().clone(), calendar.zone());
        let ids: Vec<_> = nodes.iter().map(|node| resolver.site(&node.labels)).collect();
        let mut known = BTreeMap::new();
        for id in ids {
            let table = *known.entry(id).or_insert_with(|| {
                let slots = resolver
                    .table(id)
                    .map(|table| table.iter().map(|(_, price)| prices.slot(&book.tariffs, price)).collect());
                prices.tables.push(slots.unwrap_or_default());
                prices.tables.len() - 1
            });
            prices.of_node.push(table);
        }
        let of_quarter = |number| book.carbon.as_ref().and_then(|carbon| carbon.at(calendar.quarter(number)));
        prices.carbon = calendar.quarters().map(of_quarter).collect();
        prices
    }

    fn slot(&mut self, tariffs: &Tariffs, price: Result<Price, Hole>) -> Slot {
        let tariff = match price {
            Ok(price) => Some(price.tariff),
            Err(Hole::NoBand { tariff } | Hole::NotInFiles { tariff } | Hole::Contradiction { tariff }) => {
                Some(tariff)
            }
            Err(Hole::NoTariff | Hole::OutOfRange) => None,
        };
        let currency = tariff.and_then(|tariff| Some(tariffs.as_slice().get(tariff)?.currency));
        let currency = currency.map(|currency| place(&mut self.currencies, currency));
        let band = price.as_ref().map_or(0, |price| {
            let name = tariffs.band_name(price).to_owned();
            place(&mut self.bands, PriceBand { name, currency })
        });
        Slot { price: price.map(|price| price.per_kwh).map_err(Unpriced::Hole), band, currency, tariff }
    }

    /// The table of a node.
    pub(super) fn table_of(&self, node: usize) -> usize {
        self.of_node.get(node).copied().unwrap_or(0)
    }

    /// All quarters of a table.
    pub(super) fn table(&self, table: usize) -> &[Slot] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// The numbers of the tariffs that hold at some time.
    pub(super) fn tariffs(&self) -> BTreeSet<usize> {
        self.tables.iter().flatten().filter_map(|slot| slot.tariff).collect()
    }

    pub(super) const fn n_tables(&self) -> usize {
        self.tables.len()
    }

    /// The carbon intensity of a quarter.
    pub(super) fn carbon(&self, quarter: usize) -> Option<CarbonIntensity> {
        self.carbon.get(quarter).copied().flatten()
    }

    /// The slot of a rolled-up day: its price if it has one price, else none.
    pub(super) fn slot_of_day(&self, table: usize, quarters: &Range<usize>) -> Slot {
        let slots = self.table(table).get(quarters.clone()).unwrap_or_default();
        let Some((first, others)) = slots.split_first() else { return Slot::NONE };
        if others.iter().all(|other| other == first) {
            return *first;
        }
        Slot { price: Err(Unpriced::RolledUp), band: 0, ..*first }
    }

    /// The carbon intensity of a rolled-up day, if it has one.
    pub(super) fn carbon_of_day(&self, quarters: &Range<usize>) -> Option<CarbonIntensity> {
        let values = self.carbon.get(quarters.clone()).unwrap_or_default();
        let (first, others) = values.split_first()?;
        first.filter(|_| others.iter().all(|other| other == first))
    }

    /// The code of a currency.
    pub(super) fn code(&self, currency: usize) -> String {
        self.currencies.get(currency).map_or_else(String::new, Currency::to_string)
    }
}

/// The prices of a place that is no node, such as a station: the table of its labels.
pub(super) fn grid_prices(book: &TariffBook, labels: &Labels, calendar: &Calendar) -> Vec<GridPrice> {
    let mut resolver = Resolver::new(&book.tariffs, calendar.range().clone(), calendar.zone());
    let id = resolver.site(labels);
    let Some(table) = resolver.table(id) else { return Vec::new() };
    let currency = |price: &Price| book.tariffs.as_slice().get(price.tariff).map(|tariff| tariff.currency);
    let price = |(quarter, price): (_, Result<Price, Hole>)| GridPrice {
        bought: price.ok().map(|price| price.per_kwh),
        sold: table.export_at(quarter),
        currency: price.ok().and_then(|price| currency(&price)),
    };
    table.iter().map(price).collect()
}

/// The prices of a quarter at the grid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GridPrice {
    pub(super) bought: Option<PricePerKwh>,
    pub(super) sold: Option<PricePerKwh>,
    pub(super) currency: Option<Currency>,
}

/// The place of something in a list, where it is put if it is not there.
fn place<T: PartialEq>(list: &mut Vec<T>, one: T) -> usize {
    list.iter().position(|known| *known == one).unwrap_or_else(|| {
        list.push(one);
        list.len() - 1
    })
}
