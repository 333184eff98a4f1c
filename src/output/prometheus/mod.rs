//! The last snapshot as Prometheus reads it.

#[cfg(test)]
mod checked;
mod exposition;
mod metrics;
mod server;

pub use exposition::Format;
pub use metrics::{Choice, MAX_SERIES, metrics, probe};
pub use server::{Address, Server};
