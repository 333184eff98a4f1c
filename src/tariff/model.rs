//! Tariffs as they were agreed, and which of several holds for a site on a day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::civil::Date;

use super::calendar::{LocalQuarter, Month};
use super::money::{Currency, Money, PriceFactor, PricePerKwh};
use super::price::{Hole, Price, PriceSource};
use super::series::{QuarterSeries, SeriesValue};
use super::window::Window;
use crate::reading::Quarter;

/// The name of the band of all prices that are of files.
pub const MARKET: &str = "market";

/// The label of a host that says at which site it is.
pub const SITE: &str = "site";

/// Labels of a host or a site, by name.
pub type Labels = BTreeMap<String, String>;

/// A tariff: what a kilowatt-hour, a month and a peak cost from a day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Its name, of which there is no other.
    pub name: String,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// The first local day on which it holds, if not since ever.
    pub from: Option<Date>,
    /// The first local day on which it holds no longer, if it ends.
    pub until: Option<Date>,
    /// The labels that a site must have, with their values; without any it holds for all.
    pub applies_to: Labels,
    /// The price where no band fits.
    pub per_kwh: Option<PricePerKwh>,
    /// The charge for a month, whatever is used.
    pub fixed_per_month: Option<Money>,
    /// Prices for some hours; the first that fits wins.
    pub bands: Vec<Band>,
    /// The price that is paid for a kilowatt-hour that goes out.
    pub export: Option<PricePerKwh>,
    /// Charges for the highest quarter-hour of a month; each is charged.
    pub demand: Vec<DemandCharge>,
    /// Prices of files, in place of `per_kwh`.
    pub prices: Option<Prices>,
}

/// A price that holds for some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// Its name. Bands of one name are shown as one.
    pub name: String,
    /// When it holds.
    pub window: Window,
    /// Its price.
    pub per_kwh: PricePerKwh,
}

/// A charge for the highest quarter-hour of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemandCharge {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When a quarter counts: within any of these.
    pub windows: Vec<Window>,
    /// For each kilowatt of the peak.
    pub per_kw: Money,
}

/// Prices of files, and what is made of them: `(price + add) * factor`, rounded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The files, as a shell pattern.
    pub file: String,
    /// Added to each price, before the factor: grid fees and levies without tax.
    pub add: PricePerKwh,
    /// Multiplies each price with its addition: the tax.
    pub factor: PriceFactor,
    /// The prices of the files, once their caller has read them.
    pub series: QuarterSeries,
}

impl Prices {
    /// The price of a quarter, if one file has it, or all that have it agree.
    fn at(&self, quarter: Quarter, tariff: usize) -> Result<PricePerKwh, Hole> {
        match self.series.at(quarter) {
            SeriesValue::Value(micros) => {
                let sum = micros.saturating_add(self.add.micros());
                Ok(PricePerKwh::from_micros(self.factor.times(sum)))
            }
            SeriesValue::Missing => Err(Hole::NotInFiles { tariff }),
            SeriesValue::Contradictory => Err(Hole::Contradiction { tariff }),
        }
    }
}

impl Tariff {
    /// Whether it holds for a site with these labels on some day.
    fn applies_to(&self, labels: &Labels) -> bool {
        self.applies_to.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    fn holds_on(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.until.is_none_or(|until| date < until)
    }

    fn price(&self, own: usize, quarter: Quarter, local: LocalQuarter) -> Result<Price, Hole> {
        let price = |per_kwh, source| Price { per_kwh, tariff: own, source };
        let mut bands = (0..).zip(&self.bands);
        if let Some((at, band)) = bands.find(|(_, band)| band.window.contains(local)) {
            return Ok(price(band.per_kwh, PriceSource::Band(at)));
        }
        match &self.prices {
            Some(prices) => prices.at(quarter, own).map(|per_kwh| price(per_kwh, PriceSource::File)),
            None => self
                .per_kwh
                .map(|per_kwh| price(per_kwh, PriceSource::Base))
                .ok_or(Hole::NoBand { tariff: own }),
        }
    }
}

/// All tariffs of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tariffs(Vec<Tariff>);

impl Tariffs {
    /// From tariffs in the order of their file.
    pub fn new(tariffs: Vec<Tariff>) -> Self {
        Self(tariffs)
    }

    /// The tariffs, by the numbers that prices and holes have.
    pub fn as_slice(&self) -> &[Tariff] {
        &self.0
    }

    /// The same to be changed, such as to give them the prices of their files.
    pub fn as_mut_slice(&mut self) -> &mut [Tariff] {
        &mut self.0
    }

    /// The tariffs that hold for these labels on some day, by number. Sites with the same ones have the same prices.
    pub fn of_site(&self, labels: &Labels) -> Vec<usize> {
        (0..).zip(&self.0).filter(|(_, tariff)| tariff.applies_to(labels)).map(|(number, _)| number).collect()
    }

    /// The one of a site's tariffs that holds on a day: that with the most labels in `applies_to`, of those the one that
    /// began last, of those the first in the file.
    pub fn holding(&self, of_site: &[usize], date: Date) -> Option<usize> {
        let known = of_site.iter().filter_map(|number| Some((*number, self.0.get(*number)?)));
        let holding = known.filter(|(_, tariff)| tariff.holds_on(date));
        let ranked =
            holding.max_by_key(|(number, tariff)| (tariff.applies_to.len(), tariff.from, Reverse(*number)));
        ranked.map(|(number, _)| number)
    }

    /// The tariffs that would hold on a day just as well as the one that does ([`Tariffs::holding`]): only their place in
    /// the file decides.
    pub fn rivals(&self, of_site: &[usize], date: Date) -> Vec<usize> {
        let Some(holding) = self.holding(of_site, date).and_then(|number| self.0.get(number)) else {
            return Vec::new();
        };
        let is_rival = |tariff: &Tariff| {
            tariff.name != holding.name
                && tariff.holds_on(date)
                && (tariff.applies_to.len(), tariff.from) == (holding.applies_to.len(), holding.from)
        };
        of_site.iter().copied().filter(|number| self.0.get(*number).is_some_and(is_rival)).collect()
    }

    /// The price of a quarter by a tariff.
    pub(super) fn price(&self, tariff: usize, quarter: Quarter, local: LocalQuarter) -> Result<Price, Hole> {
        self.0.get(tariff).ok_or(Hole::NoTariff)?.price(tariff, quarter, local)
    }

    /// The name of the band that a price is from: its own, `standard` for `per_kwh`, `market` for files.
    pub fn band_name(&self, price: &Price) -> &str {
        match price.source {
            PriceSource::Base => "standard",
            PriceSource::File => MARKET,
            PriceSource::Band(at) => {
                let band = self.0.get(price.tariff).and_then(|tariff| tariff.bands.get(at));
                band.map_or("", |band| band.name.as_str())
            }
        }
    }

    /// The reason of a hole, and what to do about it.
    pub fn reason(&self, hole: Hole) -> (String, &'static str) {
        let named = |number: usize| self.0.get(number).map_or("", |tariff| tariff.name.as_str());
        match hole {
            Hole::NoTariff => (
                "no tariff holds".to_owned(),
                "write a [[tariff]] whose `from`, `until` and `applies_to` fit",
            ),
            Hole::NoBand { tariff } => (
                format!("no band of tariff \"{}\" fits, and it has no per_kwh", named(tariff)),
                "give the tariff a `per_kwh`, or a band for these hours",
            ),
            Hole::NotInFiles { tariff } => (
                format!("the price files of tariff \"{}\" have no price", named(tariff)),
                "add a price file with these times",
            ),
            Hole::Contradiction { tariff } => (
                format!("the price files of tariff \"{}\" have two prices", named(tariff)),
                "take out the file whose price is not the one of your contract",
            ),
            Hole::OutOfRange => ("was not asked for".to_owned(), "resolve a longer range"),
        }
    }

    /// The fixed charges of a month by tariff. Each is charged once, however many sites it holds for, by the days on
    /// which it holds for any of them: for half a month, half of it, rounded once.
    pub fn fixed_charges<'a>(
        &self,
        sites: impl IntoIterator<Item = &'a Labels>,
        month: Month,
    ) -> Vec<(usize, Money)> {
        let sites: Vec<Vec<usize>> = sites.into_iter().map(|labels| self.of_site(labels)).collect();
        let n_days = i128::try_from(month.days().count()).unwrap_or_default();
        let charge = |(number, tariff): (usize, &Tariff)| {
            let is_held = |day| sites.iter().any(|site| self.holding(site, day) == Some(number));
            let held = month.days().filter(|day| is_held(*day)).count();
            let fixed = tariff.fixed_per_month.filter(|_| held > 0)?;
            Some((number, fixed.share(i128::try_from(held).ok()?, n_days)))
        };
        (0..).zip(&self.0).filter_map(charge).collect()
    }
}
