//! The last snapshot as Prometheus reads it.

#[cfg(test)]
mod checked;
mod exposition;
mod metrics;
mod server;
mod textfile;

pub use exposition::Format;
pub use metrics::{Choice, metrics, probe};
pub use server::Server;
pub use textfile::write_textfile;
