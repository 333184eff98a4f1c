//! transport

pub mod scripted;
