//! A report as text, CSV and JSON: pure functions of a [`Report`](crate::report::Report).

mod csv;
#[cfg(test)]
mod fixture;
mod json;
mod text;

pub use csv::csv;
pub use json::json;
pub use text::{ReportTextOptions, text};
