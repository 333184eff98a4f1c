//! All integration tests, as one binary: one module a feature.

mod corpus;
#[path = "../fleet/fleet.rs"]
mod fleet;
mod fleet_self;
mod inventory;
mod tidy;
