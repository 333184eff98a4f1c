//! Reports: rows of the ledger, prices and carbon become the figures that people read.
//!
//! Pure: the caller brings the rows, the names, the tariffs and what is known of gaps. A [`Tally`] takes the rows,
//! [`MeasuredRange`] says what is missing in them, and [`MeasuredRange::report`] makes the report. Every form that is shown (text,
//! CSV, JSON, page) is made from one [`Report`] and nothing else.

mod axis;
mod bill;
mod calendar;
mod charges;
#[cfg(test)]
mod chart_tests;
mod charts;
#[cfg(test)]
mod cost_tests;
mod costs;
mod data;
mod estimates;
mod facts;
mod figures;
#[cfg(test)]
pub(crate) mod fixtures;
mod fleet;
mod flows;
mod gaps;
mod groups;
#[cfg(test)]
mod law_tests;
mod load_profile;
mod loads;
mod measured;
mod model;
mod names;
mod notes;
mod periods;
mod presence;
mod priced_rows;
mod prices;
mod question;
#[cfg(test)]
mod report_tests;
mod rows;
mod stack;
mod sums;
mod supply;
mod supply_charts;
mod tally;
#[cfg(test)]
mod test_ledger;

pub use facts::Facts;
pub use gaps::{GapReason, GapScope, MAX_GAPS, OpenGap};
pub use measured::{MeasuredRange, Told};
pub use model::*;
pub use notes::BOUNDARY;
pub use question::{BadQuestion, Bill, By, Question, Stack};
pub use supply_charts::ChargeSpan;
pub use tally::Tally;
