//! Reports: rows of the ledger, prices and carbon become the figures that people read.
//!
//! Pure: the caller brings the rows, the names, the tariffs and what is known of gaps. Every form that is shown (text, CSV,
//! JSON, page) is made from one [`Report`] and nothing else.

mod model;

pub use model::*;
