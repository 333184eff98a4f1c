//! When and whom: all hosts at once under a bound, one outcome each, and a deadline at which the cycle
//! closes whoever is missing.

mod backoff;
mod check;
mod clock;
mod engine;
mod host_task;
mod memory;
mod sampler;
mod stagger;
mod tool_query;

pub use check::{Checked, check_host};
pub use clock::Clock;
pub use engine::{Engine, closes_after};
pub use memory::{HostMemory, Memory, MemoryError};
