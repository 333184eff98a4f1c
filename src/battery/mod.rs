//! Battery stations, a vendor in each folder: how its stations are reached, and what they say as readings.

pub mod anker;
