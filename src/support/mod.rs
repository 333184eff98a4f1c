//! What several rooms need and none of them owns.

pub mod backoff;
mod counted;
pub mod decimal;
pub mod error;
pub mod https;
pub mod jitter;
mod milliseconds;
pub mod percent;
pub mod regular_file;
pub mod secret;
mod stable_hash;
pub mod state_file;

pub(crate) use counted::counted;
pub(crate) use milliseconds::milliseconds;
pub(crate) use stable_hash::stable_hash;
