//! Outputs: functions of the last [`Snapshot`](crate::batch::Snapshot), one format a file. They render to text;
//! the caller prints it. `notify` also sends alerts.

mod csv;
mod json;
pub mod notify;
mod publisher;
mod status_line;
mod text;

pub use csv::csv;
pub use json::{SCHEMA, json};
pub use publisher::{Publisher, Snapshots};
pub use status_line::status_line;
pub use text::{TextOptions, text};
