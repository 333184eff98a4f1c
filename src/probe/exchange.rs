//! The values that pass between a query and the runner of its commands.

use std::collections::BTreeMap;
use std::time::Duration;

use super::profile::HostProfile;
use crate::reading::{Device, Fault, Outcome};

/// One run of a tool's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The arguments after the program's name. They hold letters, digits and `/-_.,=` only.
    pub args: Vec<String>,
}

/// The answer of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its standard output, bounded.
    pub stdout: Vec<u8>,
    /// Its standard error, bounded.
    pub stderr: Vec<u8>,
    /// Its exit code; `None` if a signal ended it, or if there was more output than is kept.
    pub exit: Option<i32>,
    /// Whether there was more output than is kept; the command was abandoned then.
    pub truncated: bool,
    /// The time from its start to its end; connecting is not in it.
    pub took: Duration,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run this command and give its answer.
    Ask(Command),
    /// The query is over.
    Done(Box<Product>),
}

/// The result of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its outcome.
    pub outcome: Outcome,
    /// One reading a GPU that has a row.
    pub gpus: Vec<Device>,
    /// Labels of the host itself: written beside the labels of the inventory, which win.
    pub labels: BTreeMap<String, String>,
    /// Faults and remarks. Bounded.
    pub faults: Vec<Fault>,
    /// Number of GPUs that there should be: by the inventory, else as many as are known or told of; `None` if none is.
    pub gpus_expected: Option<usize>,
    /// The memory of the host.
    pub profile: HostProfile,
}

/// The mark of one collector: what `env` is told in front of a command that keeps printing, since several collectors
/// may ask one host under one login. `collector` is letters and digits.
pub fn loop_mark(collector: &str) -> String {
    format!("FLEETWATT_COLLECTOR={collector}")
}

/// A pattern for `pkill -f` that finds the commands of one collector that keep printing: by what stands in front of
/// them. The brackets keep it from finding the `pkill` itself, and the shell around it.
pub fn loop_pattern(collector: &str) -> String {
    format!("[F]LEETWATT_COLLECTOR={collector} ")
}
