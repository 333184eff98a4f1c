//! The spool: a SQLite file in the state directory in which batches wait until the timeline has them.
//!
//! Constraints:
//! - What is appended survives a power failure: every change is synced before it returns (WAL with
//!   `synchronous=FULL`).
//! - Batches leave in the order in which they came. The same batch appended twice is there once.
//! - Size and age are bounded ([`SpoolLimits`]): the oldest batches are dropped first, and the batch that made it
//!   necessary says so in an event of its own.
//! - Damage costs the damaged batches alone: the file is set aside, and [`rescue`] reads the others page by page.
//! - A full disk does not stop the delivery: [`reserve`] holds the room that removing a batch needs.
//!
//! Layout: `batch` has one row for each batch: its records as JSON lines ([`payload`]), compressed, with a checksum.
//! `dead_letter` has the rows that the database refused. `meta` has counters, the schema's version and the spool's
//! clock, which adds up what SQLite's clock moved between two batches, at most a day each: a clock that is wrong for
//! once makes nothing old.
//!
//! Life cycle: [`Spool::open`] creates, checks or rescues the file; `append`, then `oldest`, `delivered` or
//! `dead_letter` for each batch; `close`. A file that was moved away is left with [`Spool::abandon`].

mod dead_letters;
mod open;
mod payload;
mod queue;
mod rescue;
mod reserve;
mod scan;
mod schema;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_tests;

pub use dead_letters::DeadLetter;
pub(super) use dead_letters::MAX_DEAD_LETTERS;
pub use payload::n_rows_of_payload;
pub(super) use queue::Spool;
pub use queue::{Dropped, Rescued, SpoolLimits, SpoolStatus};
