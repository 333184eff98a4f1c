//! Battery stations, a vendor in each folder: how its stations are reached, and their readings.
//!
//! Other rooms name an [`Account`] and its [`Session`]; only what a person does with an account of one vendor names
//! the vendor.

pub mod anker;

pub use anker::Config as Account;
pub use anker::session::{Session, VENDOR, ask_once};
