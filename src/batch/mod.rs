//! What one cycle produced: a report of each host, and the timeline events that follow from them.
//!
//! Pure: the same reports give the same events. The only type that crosses from collecting to storing
//! and showing.

mod event;

pub use event::{Batch, BatchId, Event, HostReport};
