//! Outputs of the last [`Snapshot`](crate::batch::Snapshot), one format a file; `report` are those of a report, and
//! `notify` also sends alerts, `home_assistant` speaks with a broker.

mod csv;
pub mod figures;
pub mod home_assistant;
mod json;
pub mod notify;
mod page;
pub mod prometheus;
mod publisher;
pub mod report;
mod snapshot_socket;
mod status_line;
mod text;
mod unix_socket;
pub mod watch;

pub use csv::{as_text as csv_text, csv, csv_rows};
pub use json::{SCHEMA, json, json_line};
pub use page::page;
pub use publisher::{Publisher, Snapshots};
pub use snapshot_socket::SnapshotSocket;
pub use status_line::status_line;
pub use text::{GroupView, TextOptions, text, text_by_group};
pub use unix_socket::SocketError;
