//! The cost of energy at a time: tariffs, price files and carbon, in exact integers.
//!
//! A price is resolved for each quarter-hour of UTC by the local calendar of the site. Where none is known, a hole with
//! its reason stands in its place: nothing is priced at a guess. The caller reads the files and names the zone.

mod battery;
mod book;
mod calendar;
mod carbon;
mod charges;
pub mod import;
mod invalid;
mod key_reader;
mod key_tables;
pub mod keys;
mod model;
mod money;
mod number;
mod price;
mod price_file;
mod resolver;
mod series;
mod site;
#[cfg(test)]
mod vector_tests;
mod window;

pub use battery::{BatteryCharge, BatteryRule};
pub use book::TariffBook;
pub use calendar::{LocalQuarter, Month, day_quarters};
pub use carbon::{Carbon, CarbonIntensity, Emission};
pub use charges::{BillingMonth, DemandCost, QuarterLoad, billing_months, is_covered};
pub use invalid::Invalid;
pub use key_reader::KeyFault;
pub use key_tables::{KEY_TABLES, KeyTable, TABLES};
pub use model::{Band, DemandCharge, Labels, MARKET, Prices, SITE, Tariff, Tariffs};
pub use money::{Currency, EnergyCost, Money, PriceFactor, PricePerKwh};
pub use price::{Hole, Price, PriceSource, Priced};
pub use price_file::{FileFault, MAX_FILE_BYTES, MAX_ROWS, PriceFile, SeriesColumn};
pub use resolver::{HoleSpan, MAX_QUARTERS, PriceTable, Resolver, TableId};
pub use series::{Overlap, QuarterSeries, SeriesValue};
pub use site::{Pue, SiteSettings};
pub use window::{Days, Hours, Months, Window};
