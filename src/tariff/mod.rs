//! What energy costs at a time: tariffs, price files and carbon, in exact integers.
//!
//! A price is resolved for each quarter-hour of UTC by the local calendar of the site. Where none is known, a hole with
//! its reason stands in its place: nothing is priced at a guess. The caller reads the files and names the zone.

mod calendar;
mod invalid;
mod money;
mod window;

pub use calendar::{LocalQuarter, Month, day_quarters};
pub use invalid::Invalid;
pub use money::{Cost, Currency, Factor, Money, PricePerKwh};
pub use window::{Days, Hours, Months, Window};
