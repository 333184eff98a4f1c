//! What several rooms need and none of them owns.

mod counted;
pub mod regular_file;
pub mod state_file;

pub(crate) use counted::counted;
