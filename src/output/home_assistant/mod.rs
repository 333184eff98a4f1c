//! The fleet in Home Assistant, by MQTT discovery.
//!
//! `known` is what is remembered from one start to the next, `picture` what a snapshot says to the broker, and `queue` what
//! of it is still to be said: all three are pure. `follow` keeps the connection.

mod device;
mod fault;
mod follow;
mod known;
mod picture;
mod queue;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

pub use follow::{Broker, HomeAssistant};
