//! All integration tests, as one binary: one module a feature.

#[path = "../fleet/fleet.rs"]
mod fleet;
mod fleet_self;
