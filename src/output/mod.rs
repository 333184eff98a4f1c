//! Read-only views of what a cycle produced: one format a file. They render to text; who prints it, and
//! where, is the caller's business. Alerts are also sent, by `notify`.

mod csv;
mod json;
pub mod notify;
mod text;

pub use csv::csv;
pub use json::{SCHEMA, json};
pub use text::{TextOptions, text};
