//! A loop, as a simulated host prints it pass by pass.

use std::path::{Path, PathBuf};

use super::args::Arguments;
use super::gpu::Board;
use super::{EXIT_OTHER, Scenario};

/// Powers start again with every pass whose number this divides.
const RISING_PASSES: u32 = 10;

/// What a scenario says about loops.
#[derive(Debug, Clone)]
pub(super) struct Looping {
    pub(super) lost_after: u64,
    pub(super) unknown: Option<String>,
    /// From which pass on cells of all GPUs are these, and exactly so.
    pub(super) steps: Vec<(u64, Board)>,
    pub(super) dies_after: Option<u64>,
    pub(super) stalls_after: Option<u64>,
    pub(super) log: Option<PathBuf>,
}

/// One pass of a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassOutput {
    /// It prints this.
    Rows(Vec<u8>),
    /// It prints nothing any more, and does not end.
    Stalled,
    /// It says this and ends with this exit code.
    Died(Vec<u8>, i32),
}

impl Scenario {
    /// The pass with this number, from 0, of the loop with these arguments.
    pub fn pass(&self, args: &[String], number: u64) -> PassOutput {
        let is_over = |after: Option<u64>| after.is_some_and(|n_passes| n_passes <= number);
        if is_over(self.looping.stalls_after) {
            return PassOutput::Stalled;
        }
        if is_over(self.looping.dies_after) {
            return PassOutput::Died(
                b"Unable to determine the device handle: Unknown Error\n".to_vec(),
                EXIT_OTHER,
            );
        }
        match Arguments::parse(args, &self.driver) {
            Ok(arguments) => PassOutput::Rows(self.query(&arguments, number).stdout),
            Err(refusal) => PassOutput::Died(refusal.stdout, refusal.exit),
        }
    }

    /// Where a stub writes down each pass that it has printed.
    pub fn loop_log(&self) -> Option<&Path> {
        self.looping.log.as_deref()
    }
}

impl Looping {
    /// A cell as it is in the pass with this number.
    pub(super) fn on_cell(&self, name: &str, cell: String, pass: u64) -> String {
        if pass > 0 && self.unknown.as_deref() == Some(name) {
            return "[Unknown Error]".to_owned();
        }
        let has_begun = |step: &&(u64, Board)| pass > 0 && step.0 <= pass;
        if let Some(set) =
            self.steps.iter().filter(has_begun).filter_map(|(_, cells)| cells.set(name)).next_back()
        {
            return set.to_owned();
        }
        let (digits, unit) = cell.split_once(' ').unwrap_or((&cell, ""));
        match (name, digits.parse::<f64>()) {
            ("power.draw" | "power.draw.average" | "power.draw.instant", Ok(watts)) if pass > 0 => {
                let rise = u32::try_from(pass % u64::from(RISING_PASSES)).unwrap_or_default();
                format!("{:.2} {unit}", watts + f64::from(rise)).trim_end().to_owned()
            }
            _ => cell,
        }
    }
}
