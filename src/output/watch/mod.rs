//! The terminal view of a fleet: the document of a cycle becomes a [`State`], keys change it, and [`frame`] draws it.
//! All of it is pure: who reads the keys, the socket and the clock is `app` and `cli`.

mod battery;
mod document;
mod draw;
mod figures;
mod filter;
mod fleet;
mod header;
mod help;
mod history;
mod keys;
mod lists;
mod pen;
mod printed;
mod rows;
mod state;
#[cfg(test)]
mod tests;

pub use document::{Document, DocumentError};
pub use draw::{frame, whole_frame};
pub use keys::{Key, Then};
pub use pen::{Colours, Theme};
pub use printed::printed;
pub use state::{Feed, Now, State};
