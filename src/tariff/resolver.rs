//! Prices of a range of quarters for each site: worked out once for sites that are alike, then looked up by index.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::calendar::LocalQuarter;
use super::model::{Labels, Tariffs};
use super::money::PricePerKwh;
use super::price::{Hole, Price};
use crate::reading::Quarter;

/// The most quarters of a range: eleven years.
pub const MAX_QUARTERS: i64 = 400_000;

/// Prices of sites in a range of quarters.
#[derive(Debug)]
pub struct Resolver<'a> {
    tariffs: &'a Tariffs,
    range: Range<Quarter>,
    /// The local calendar of the range, once for all sites.
    local: Vec<LocalQuarter>,
    tables: Vec<PriceTable>,
}

/// The prices of sites that have the same tariffs.
#[derive(Debug)]
pub struct PriceTable {
    of_site: Vec<usize>,
    first: Quarter,
    quarters: Vec<Slot>,
}

/// A quarter of a table.
#[derive(Debug)]
struct Slot {
    price: Result<Price, Hole>,
    export: Option<PricePerKwh>,
}

/// The number of a table in its resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(usize);

/// Neighbouring quarters without a price, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoleSpan {
    /// The quarters.
    pub quarters: Range<Quarter>,
    /// The reason.
    pub hole: Hole,
}

impl<'a> Resolver<'a> {
    /// For a range of quarters, cut to its first [`MAX_QUARTERS`], on the calendar of a zone.
    pub fn new(tariffs: &'a Tariffs, range: Range<Quarter>, zone: &TimeZone) -> Self {
        let end = range.end.min(range.start.plus(MAX_QUARTERS));
        let local = range.start.until(end).map(|quarter| LocalQuarter::new(quarter, zone)).collect();
        Self { tariffs, range: range.start..end, local, tables: Vec::new() }
    }

    /// The table of a site with these labels; made if no site before it had the same tariffs.
    pub fn site(&mut self, labels: &Labels) -> TableId {
        let of_site = self.tariffs.of_site(labels);
        let known = self.tables.iter().position(|table| table.of_site == of_site);
        TableId(known.unwrap_or_else(|| {
            self.tables.push(self.resolved(of_site));
            self.tables.len() - 1
        }))
    }

    /// A table.
    pub fn table(&self, id: TableId) -> Option<&PriceTable> {
        self.tables.get(id.0)
    }

    fn resolved(&self, of_site: Vec<usize>) -> PriceTable {
        let mut quarters = Vec::with_capacity(self.local.len());
        let days = self.local.chunk_by(|one, other| one.date == other.date);
        let mut at = self.range.start;
        for day in days {
            let holding = day.first().and_then(|local| self.tariffs.holding(&of_site, local.date));
            let tariff = holding.and_then(|number| self.tariffs.as_slice().get(number));
            let export = tariff.and_then(|tariff| tariff.export);
            for local in day {
                let price =
                    holding.ok_or(Hole::NoTariff).and_then(|tariff| self.tariffs.price(tariff, at, *local));
                quarters.push(Slot { price, export });
                at = at.next();
            }
        }
        PriceTable { of_site, first: self.range.start, quarters }
    }
}

impl PriceTable {
    /// The price of a quarter.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn at(&self, quarter: Quarter) -> Result<Price, Hole> {
        self.slot(quarter).map_or(Err(Hole::OutOfRange), |slot| slot.price)
    }

    /// The price that is paid for energy that goes out in a quarter.
    pub fn export_at(&self, quarter: Quarter) -> Option<PricePerKwh> {
        self.slot(quarter)?.export
    }

    /// All quarters, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Quarter, Result<Price, Hole>)> {
        (0..).zip(&self.quarters).map(|(at, slot)| (self.first.plus(at), slot.price))
    }

    /// The quarters without a price, neighbours of one reason as one.
    pub fn holes(&self) -> Vec<HoleSpan> {
        let mut spans = Vec::<HoleSpan>::new();
        for (quarter, price) in self.iter() {
            let Err(hole) = price else { continue };
            match spans.last_mut().filter(|last| last.hole == hole && last.quarters.end == quarter) {
                Some(last) => last.quarters.end = quarter.next(),
                None => spans.push(HoleSpan { quarters: quarter..quarter.next(), hole }),
            }
        }
        spans
    }

    fn slot(&self, quarter: Quarter) -> Option<&Slot> {
        self.quarters.get(usize::try_from(quarter.since(self.first)).ok()?)
    }
}
