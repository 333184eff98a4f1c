//! Read-only views of what a cycle produced: one format a file. They render to text; who prints it, and
//! where, is the caller's business.

mod csv;
mod json;
mod text;
mod words;

pub use csv::csv;
pub use json::{SCHEMA, json};
pub use text::{TextOptions, text};
