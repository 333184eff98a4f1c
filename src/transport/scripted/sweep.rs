//! A loop, as a played host prints it sweep by sweep.

use std::path::{Path, PathBuf};

use super::args::Question;
use super::gpu::Board;
use super::{EXIT_OTHER, Scene};

/// Powers begin anew with every sweep whose number this divides.
const RISING_SWEEPS: u32 = 10;

/// What a scene says about loops.
#[derive(Debug, Clone)]
pub(super) struct Looping {
    pub(super) lost_after: u64,
    pub(super) unknown: Option<String>,
    /// From which sweep on cells of all GPUs are these, and exactly so.
    pub(super) steps: Vec<(u64, Board)>,
    pub(super) dies_after: Option<u64>,
    pub(super) stalls_after: Option<u64>,
    pub(super) log: Option<PathBuf>,
}

/// One sweep of a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// It prints this.
    Printed(Vec<u8>),
    /// It prints nothing any more, and does not end.
    Stalled,
    /// It says this and ends with this exit code.
    Died(Vec<u8>, i32),
}

impl Scene {
    /// The sweep with this number, from 0, of the loop with these arguments.
    pub fn sweep(&self, args: &[String], number: u64) -> Swept {
        let is_over = |after: Option<u64>| after.is_some_and(|n_sweeps| n_sweeps <= number);
        if is_over(self.looping.stalls_after) {
            return Swept::Stalled;
        }
        if is_over(self.looping.dies_after) {
            return Swept::Died(
                b"Unable to determine the device handle: Unknown Error\n".to_vec(),
                EXIT_OTHER,
            );
        }
        match Question::parse(args, &self.driver) {
            Ok(question) => Swept::Printed(self.query(&question, number).stdout),
            Err(refusal) => Swept::Died(refusal.stdout, refusal.exit),
        }
    }

    /// Where a stub writes down each sweep that it has printed.
    pub fn loop_log(&self) -> Option<&Path> {
        self.looping.log.as_deref()
    }
}

impl Looping {
    /// A cell as it is in the sweep with this number.
    pub(super) fn on_cell(&self, name: &str, cell: String, sweep: u64) -> String {
        if sweep > 0 && self.unknown.as_deref() == Some(name) {
            return "[Unknown Error]".to_owned();
        }
        let has_begun = |step: &&(u64, Board)| sweep > 0 && step.0 <= sweep;
        if let Some(set) =
            self.steps.iter().filter(has_begun).filter_map(|(_, cells)| cells.set(name)).next_back()
        {
            return set.to_owned();
        }
        let (digits, unit) = cell.split_once(' ').unwrap_or((&cell, ""));
        match (name, digits.parse::<f64>()) {
            ("power.draw" | "power.draw.average" | "power.draw.instant", Ok(watts)) if sweep > 0 => {
                let rise = u32::try_from(sweep % u64::from(RISING_SWEEPS)).unwrap_or_default();
                format!("{:.2} {unit}", watts + f64::from(rise)).trim_end().to_owned()
            }
            _ => cell,
        }
    }
}
