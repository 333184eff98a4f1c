//! nvidia-smi: the exact command, and the pure reader of its answer.
//!
//! The room knows no host, no transport and no clock. Its centre is [`Conversation`], a state machine:
//! it says which call to make, takes the answer, and says the next call or what was probed. Every
//! function is total: whatever bytes a host sends, they become readings *and* faults, bounded in number.
//!
//! What nvidia-smi does, measured with the binaries of drivers 340 to 550 and seen in captures up to
//! 610, and what follows from it:
//! - all its messages are on stdout, and its exit codes differ by driver: text is judged before the code;
//! - one unknown field refuses the whole query, and only the first is named: a bounded negotiation;
//! - one GPU without a handle hides all the others: they are asked for one by one;
//! - a GPU that the user may not read is left out without a word: rows are compared with what is known;
//! - nothing is quoted, so the product name is asked last and keeps its commas.

mod account;
mod cell;
mod classify;
mod conversation;
mod fields;
mod knowledge;
mod rows;
mod sweeps;

pub use cell::cell_reason;
pub use conversation::{Answer, Call, Conversation, Probed, Step};
pub use fields::{FIELDS, Field, Need};
pub use knowledge::{Knowledge, KnownGpu};
pub use rows::{Ending, Rows, read_rows};
pub use sweeps::{Sample, Sweeps, Tally, went_dark};

/// A pattern for `pgrep -f` that finds a running call of ours. The brackets keep it from finding the
/// `pgrep` itself, and the shell around it. It holds for every call, since the first three fields are never dropped.
pub const OUTSTANDING_PATTERN: &str = "[q]uery-gpu=index,uuid,pci.bus_id";

/// The same for a call that keeps printing. It holds for those of any fleetwatt of the same user there; one
/// that is ended by mistake is started again by its own.
pub const LOOP_PATTERN: &str = "[q]uery-gpu=index,uuid,pci.bus_id.*--loop-ms=";

/// The most GPUs that one host may have. The largest machines have 16, or 32 with all of a vGPU host's
/// boards; more rows than this are not nvidia-smi's, and may not grow what is remembered of a host.
pub const MAX_GPUS: usize = 64;
