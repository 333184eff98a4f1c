//! What several rooms need and none of them owns.

pub mod state_file;
