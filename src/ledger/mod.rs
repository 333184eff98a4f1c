//! Energy: from the readings of a series to kilowatt-hours by quarter-hour, with the time that they cover.
//!
//! Pure, and integers in millijoules throughout: the same readings in the same order give the same ledger, whether
//! they come one cycle at a time or from a timeline that is read again.
//!
//! A *series* is one flow of energy: the board of a GPU, or a direction of a battery station. The *segment* between two
//! neighbouring readings of a series has energy where the readings are close enough to each other
//! ([`SeriesState::advance`]); a longer one is a gap, which is never filled.

mod book;
mod calibrations;
mod day;
mod entry;
mod local_day;
mod numbered;
mod rebuild;
mod rhythm;
mod segment;
mod series_key;
mod total;
mod uncertainty;

pub use book::{Book, Booking, EnergyRow, SeriesReading};
pub use calibrations::{Calibrations, MeasuredBoard};
pub use day::DayTotals;
pub use entry::{Entry, Method};
pub use local_day::{local_day, rolled_up};
pub use numbered::{LOOK_BACK, LastSeen, MAX_COVERED_MS, Names, NumberedRow, SeriesName};
pub use rebuild::Rebuild;
pub use segment::{EnergyReading, Sampled, SeriesState};
pub use series_key::{Flow, SeriesKey};
pub use total::EnergyTotal;
pub use uncertainty::{Calibration, Uncertainty};
