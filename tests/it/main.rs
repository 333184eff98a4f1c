//! All integration tests, as one binary: one module a feature.

mod cli;
mod corpus;
#[path = "../fleet/fleet.rs"]
mod fleet;
mod fleet_self;
mod inventory;
mod poll;
mod postgres;
mod program;
mod sampling;
mod sampling_ssh;
mod store_postgres;
mod store_sqlite;
mod store_story;
mod tidy;
