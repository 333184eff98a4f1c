//! The simulated cloud itself: it lets in what is right, refuses what is wrong, and its stations speak and
//! keep silent as they must.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests are tests too"
)]

mod broker;
mod client;
mod control;
mod rest;
mod stations;
