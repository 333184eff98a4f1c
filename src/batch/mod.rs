//! The product of one cycle: a report of each host, and the timeline events that follow from them.
//!
//! Pure: the same reports give the same events. The only type that crosses from collecting to storing
//! and showing.

mod alerts;
mod changes;
mod dedup;
mod energy;
mod entries;
mod event;
#[cfg(test)]
pub(crate) mod fixtures;
mod groups;
mod meter;
mod problems;
mod stations;
mod timeline;
mod today;
mod totals;

pub use changes::{Line, Now, Said, Urgency};
pub use dedup::mark_duplicates;
pub(crate) use energy::FLOWS;
pub use energy::{TimelineReader, TimelineRow};
pub use entries::Metadata;
pub use event::{Batch, BatchId, Event, HostReport, Snapshot, StoreState};
pub use groups::{GroupBy, GroupOrder, GroupTotals, sort_groups};
pub use meter::PowerMeter;
pub use problems::{Group, Problem, Weight, grouped};
pub(crate) use stations::bounded_fields;
pub use timeline::InventorySent;
pub use today::Today;
pub use totals::Totals;
