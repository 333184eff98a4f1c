//! The broker: certificate, connection, subscriptions.
//!
//! One task owns the connection. It connects, subscribes, listens, and after each loss does so again; what
//! it hears it tells over a bounded channel. It decides nothing: what a refused certificate calls for, or
//! a station that is silent, is for the session to say.

mod client;
mod error;
mod subscriptions;
mod tls;

pub use client::{MqttClient, MqttEvent};
pub use error::{MqttError, MqttErrorKind};
pub use tls::client_config;
