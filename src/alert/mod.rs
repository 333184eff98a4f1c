//! Rules and their state machine: facts in, transitions with a key for de-duplication out. Delivers
//! nothing, and knows no clock: the facts say when they hold.
//!
//! An alert is raised once and cleared once, and nothing comes in between. What is known of it is a plain
//! [`State`] that the caller keeps, also across runs, so that a restart raises nothing twice.

mod evaluation;
mod facts;
mod judge;
mod rule;
mod state;
#[cfg(test)]
mod station_tests;
mod stations;
#[cfg(test)]
mod tests;

pub use facts::{AccountFacts, Answer, Facts, GpuFacts, NodeFacts, Scope, StationFacts, Trouble};
pub use judge::evaluate;
pub use rule::{PowerThreshold, Rule, Rules, Severity, Threshold, Transition};
pub use state::{MAX_ACTIVE_ALERTS, MAX_STATIONS, State, StateError};
