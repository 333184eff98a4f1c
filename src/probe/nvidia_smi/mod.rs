//! nvidia-smi: the exact command, and the pure reader of its answer.
//!
//! The behaviour of nvidia-smi, measured with the binaries of drivers 340 to 550 and seen in captures up to 610, and
//! what follows from it:
//! - all its messages are on stdout, and its exit codes differ by driver: text is judged before the code;
//! - one unknown field refuses the whole query, and only the first is named: it tells the driver's age;
//! - one GPU without a handle hides all the others: they are asked for together in a second call;
//! - a GPU that the user may not read is left out without a word: rows are compared with what is known;
//! - nothing is quoted, so a row with more cells than were asked for cannot be read, and is refused whole.

mod bound;
mod cell;
mod classify;
mod fields;
mod loop_reader;
mod query;
mod reconcile;
mod rows;
pub mod simulated;
mod wording;

use super::exchange::loop_pattern;

pub use cell::cell_reason;
pub use fields::{FIELDS, Field, Need};
pub use loop_reader::{LoopCounts, LoopReader, Sample, sensor_stopped};
pub use query::Query;
pub use rows::{Ending, Rows, read_rows};
pub(super) use wording::{FAILURES, FAULTS};

/// The tool's name, which is its program's, too.
pub(super) const LABEL: &str = "nvidia-smi";

/// A pattern for `pgrep -f` of every call that may hang: one that answers once, of whichever collector, and the loops
/// of this one. The first three fields are never dropped.
pub fn outstanding_pattern(collector: &str) -> String {
    // Behind the format a loop says how often, and another call names GPUs or nothing.
    let once = "[q]uery-gpu=index,uuid,pci.bus_id[^ ]* --format=[^ ]*( [^-]| -[^-]|$)";
    format!("{once}|{}", loop_pattern(collector))
}

/// The most GPUs that one host may have. The largest machines have 16, or 32 with all of a vGPU host's
/// boards; more rows than this are not nvidia-smi's, and may not grow what is remembered of a host.
pub const MAX_GPUS: usize = 64;
