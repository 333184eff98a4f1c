//! What several rooms need and none of them owns.

pub mod backoff;
mod counted;
pub mod decimal;
pub mod error;
pub mod https;
pub mod jitter;
pub mod percent;
pub mod regular_file;
pub mod secret;
pub mod state_file;

pub(crate) use counted::counted;
