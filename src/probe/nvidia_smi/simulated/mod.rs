//! A host that is simulated from a file: the answers of the real `nvidia-smi` of one driver, worked out from a
//! captured full dump, and its faults. Used for trying fleetwatt out without a GPU, for tests, and by the stub that
//! stands behind a real sshd.
//!
//! A scenario is a TOML file; every key may be left out.
//!
//! | key | meaning | without it |
//! |---|---|---|
//! | `dump` | CSV capture of one or more GPUs with all fields; relative to the scenario's folder | a loaded H100 |
//! | `driver` | version to simulate; what it does not know is refused, what the dump lacks is absent | the dump's |
//! | `gpus` | how many GPUs; the dump's rows are repeated with their own identities and small variations | the dump's |
//! | `seed` | what UUIDs and serials are made from | the scenario file's name |
//! | `[set]` | `"power.draw" = "512.00 W"`: cells of all GPUs; a bare number gets the column's unit | |
//! | `[[gpu]]` | `index = 3` and `set = { … }`: cells of one GPU | |
//! | `slow` | `"2s"`: how long it thinks before it answers | at once |
//! | `handle-lost` | index of a GPU whose handle is lost: no row of any GPU is printed | |
//! | `handle-unknown` | the same with `Unknown Error` | |
//! | `row-dropped` | index of a GPU that this user may not open: its row is silently missing | |
//! | `cells-lost` | index of a GPU lost after it was opened: `[GPU is lost]` in every cell | |
//! | `cells-lost-after` | how many passes of a loop come before the cells of `cells-lost` are | 0 |
//! | `unknown-in-loop` | a field that answers once, and with `[Unknown Error]` in each later pass of a loop | |
//! | `[[sweep]]` | `from = 3` and `set = { … }`: cells of all GPUs from that pass of a loop on, exactly so | |
//! | `loop-dies-after` | how many passes a loop prints before it ends with an error | |
//! | `loop-stalls-after` | how many passes a loop prints before it prints no more; TERM ends it | |
//! | `loop-log` | a file to which a stub adds a line with its process and the pass's number, behind each pass | |
//! | `fault` | what is wrong with the host or its answer: see [`Fault`] | `none` |
//!
//! GPU 0 is the capture itself, but for its UUID and serial, since captures have those blanked. The
//! timestamp is the capture's: there is no clock in here. In a loop every power rises by a watt from pass to
//! pass, and starts again with every tenth.

mod args;
mod driver;
mod fault;
mod gpu;
mod scenario;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use fault::Fault;
pub use gpu::gpu_uuid;

use args::Arguments;
use driver::Driver;
use gpu::{Answered, Cells, Dump};
use scenario::Keys;

/// The exit code of a wrong argument or an unknown field.
const EXIT_USAGE: i32 = 2;
/// The exit code when there is no GPU, or not the one that was asked for.
const EXIT_NOT_FOUND: i32 = 6;
/// The exit code when a GPU's handle is lost.
const EXIT_LOST: i32 = 15;
/// The exit code of everything that has none of its own.
const EXIT_OTHER: i32 = 255;

/// Powers start again with every pass of a loop whose number this divides.
const RISING_PASSES: u32 = 10;

/// One simulated host.
#[derive(Debug, Clone)]
pub struct Scenario {
    keys: Keys,
    driver: Driver,
    dump: Dump,
    /// The cells that are set for each GPU.
    boards: Vec<Cells>,
    /// From which pass of a loop on cells of all GPUs are these, and exactly so.
    sweeps: Vec<(u64, Cells)>,
    seed: String,
}

/// The output of one call, its end, and its behavior meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Everything nvidia-smi says, messages included.
    pub stdout: Vec<u8>,
    /// Only the messages of a shell in its place.
    pub stderr: Vec<u8>,
    /// The exit code, once it ends.
    pub exit: i32,
    /// The behavior.
    pub behavior: Behavior,
}

/// The behavior of a simulated call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// Prints and ends.
    Answer,
    /// Waits, then prints and ends.
    Delay(Duration),
    /// Prints nothing and never ends; TERM ends it.
    Hang,
    /// Prints nothing and never ends; only KILL ends it, as far as that goes with a stuck driver.
    HangIgnoringTerm,
    /// Keeps printing until it has printed this much.
    Flood {
        /// Number of bytes, those of `stdout` not counted.
        bytes: u64,
    },
    /// Prints, and goes on with [`Scenario::pass`] after each pause of this length.
    Loop(Duration),
    /// Prints what it has and is killed.
    Killed,
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

/// Why a scenario cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A file of the scenario cannot be read.
    #[error("reading `{path}`")]
    Read {
        /// The scenario or its dump.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The scenario is not the TOML that it should be.
    #[error("scene `{path}`")]
    Syntax {
        /// The scenario.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value of the scenario, or its dump, is not one.
    #[error("{0}")]
    Invalid(String),
}

impl Scenario {
    /// A scenario from its text. `path` is its file, whose name seeds it; `read_dump` reads the dump that it
    /// names, relative to that file.
    ///
    /// # Errors
    /// The text or the dump is not what it should be, or `read_dump` failed.
    pub fn parse(
        text: &str,
        path: &Path,
        read_dump: impl FnOnce(&Path) -> Result<String, ScenarioError>,
    ) -> Result<Self, ScenarioError> {
        let keys: Keys = toml::from_str(text)
            .map_err(|error| ScenarioError::Syntax { path: path.to_owned(), source: Box::new(error) })?;
        let dump = match &keys.dump {
            Some(dump) => Dump::parse(&read_dump(dump)?)?,
            None => Dump::parse(gpu::DEFAULT_DUMP)?,
        };
        keys.resolve(dump, &path.file_stem().unwrap_or_default().to_string_lossy())
    }

    /// The same scenario with UUIDs and serials of its own, for several hosts that share one file.
    #[must_use]
    pub fn seeded(self, seed: &str) -> Self {
        Self { seed: seed.to_owned(), ..self }
    }

    /// The file into which a stub writes a line for each pass that it has printed.
    pub fn loop_log(&self) -> Option<&Path> {
        self.keys.loop_log.as_deref()
    }

    /// The answer of `nvidia-smi` with these arguments (its own name not among them).
    pub fn answer(&self, args: &[String]) -> Reply {
        if let Some(reply) = self.keys.fault.instead_of_program() {
            return reply;
        }
        let mut reply = match Arguments::parse(args, &self.driver) {
            Ok(arguments) => {
                let failed = self.keys.fault.at_start(&self.driver);
                let mut reply = failed.unwrap_or_else(|| self.query(&arguments, 0));
                if let (Some(every), Behavior::Answer, 0) = (arguments.every, reply.behavior, reply.exit) {
                    reply.behavior = Behavior::Loop(every + self.keys.slow.unwrap_or_default());
                }
                reply
            }
            Err(refusal) => refusal,
        };
        if let (Some(pause), Behavior::Answer) = (self.keys.slow, reply.behavior) {
            reply.behavior = Behavior::Delay(pause);
        }
        reply
    }

    /// The pass with this number, from 0, of the loop with these arguments.
    pub fn pass(&self, args: &[String], number: u64) -> PassOutput {
        let is_over = |after: Option<u64>| after.is_some_and(|n_passes| n_passes <= number);
        if is_over(self.keys.loop_stalls_after) {
            return PassOutput::Stalled;
        }
        if is_over(self.keys.loop_dies_after) {
            let message = b"Unable to determine the device handle: Unknown Error\n";
            return PassOutput::Died(message.to_vec(), EXIT_OTHER);
        }
        match Arguments::parse(args, &self.driver) {
            Ok(arguments) => PassOutput::Rows(self.query(&arguments, number).stdout),
            Err(refusal) => PassOutput::Died(refusal.stdout, refusal.exit),
        }
    }

    /// The answer that is the pass with this number of a loop, or the only one.
    fn query(&self, arguments: &Arguments, pass: u64) -> Reply {
        if let Some(unknown) = arguments.fields.iter().find(|field| !self.driver.knows(field)) {
            let message = format!("Field \"{unknown}\" is not a valid field to query.\n\n");
            return Reply::said(message, EXIT_USAGE);
        }
        let Some(chosen) = self.chosen(&arguments.ids) else {
            return Reply::said("No devices were found\n", EXIT_NOT_FOUND);
        };
        if let Some(reply) = self.handle_fails(&chosen) {
            return reply;
        }
        let asked: Vec<_> =
            arguments.fields.iter().map(|field| self.dump.answered(field, &self.driver)).collect();
        let mut lines = Vec::new();
        if arguments.has_header && pass == 0 {
            lines.push(asked.iter().map(|field| field.header).collect::<Vec<_>>().join(", "));
        }
        for index in chosen {
            let cells = asked.iter().map(|field| self.cell(index, field, arguments.has_units, pass));
            lines.push(cells.collect::<Vec<_>>().join(", "));
        }
        self.keys.fault.on_answer(lines)
    }

    /// The indices that were asked for, in the order asked; `None` if one is not there.
    fn chosen(&self, ids: &[String]) -> Option<Vec<usize>> {
        let visible = |index: &usize| Some(*index) != self.keys.row_dropped;
        let all: Vec<usize> = (0..self.boards.len()).filter(visible).collect();
        if ids.is_empty() {
            return Some(all).filter(|all| !all.is_empty());
        }
        ids.iter().map(|id| all.iter().copied().find(|index| self.is_called(*index, id))).collect()
    }

    fn is_called(&self, index: usize, id: &str) -> bool {
        let bus_id = self.bus_id(index);
        id == index.to_string()
            || id == gpu_uuid(&self.seed, index)
            || bus_id.eq_ignore_ascii_case(id)
            || bus_id.strip_prefix("0000").is_some_and(|short| short.eq_ignore_ascii_case(id))
    }

    /// One GPU whose handle cannot be had ends the program before any row.
    fn handle_fails(&self, chosen: &[usize]) -> Option<Reply> {
        let lost = (self.keys.handle_lost, "GPU is lost.  Reboot the system to recover this GPU", EXIT_LOST);
        let unknown = (self.keys.handle_unknown, "Unknown Error", EXIT_OTHER);
        let is_chosen = |(gpu, ..): &(Option<usize>, _, _)| gpu.is_some_and(|index| chosen.contains(&index));
        let (index, message, exit) = [lost, unknown].into_iter().find(is_chosen)?;
        let blank = if self.driver.is_at_least(535) { "" } else { " " };
        let long = self.bus_id(index?);
        let bus_id = long.strip_prefix("0000").unwrap_or(&long);
        let text = format!("Unable to determine the device handle for GPU{blank}{bus_id}: {message}\n");
        Some(Reply::said(text, exit))
    }

    fn bus_id(&self, index: usize) -> String {
        self.plain_cell(index, &self.dump.answered("pci.bus_id", &self.driver))
    }

    fn plain_cell(&self, index: usize, asked: &Answered<'_>) -> String {
        if let Some(cell) = self.boards.get(index).and_then(|cells| cells.get(asked.name)) {
            return cell.clone();
        }
        match asked.name {
            "index" => index.to_string(),
            "count" => self.boards.len().to_string(),
            "uuid" => gpu_uuid(&self.seed, index),
            "driver_version" => self.driver.text.clone(),
            _ => self.dump.cell(index, asked, &self.seed, &self.driver),
        }
    }

    fn cell(&self, index: usize, asked: &Answered<'_>, has_units: bool, pass: u64) -> String {
        if self.keys.cells_lost == Some(index) && self.keys.cells_lost_after.unwrap_or(0) <= pass {
            return "[GPU is lost]".to_owned();
        }
        let cell = self.plain_cell(index, asked);
        let cell = if pass > 0 { self.cell_of_pass(asked.name, cell, pass) } else { cell };
        let cell = self.keys.fault.on_cell(asked.name, cell);
        let Some(unit) = asked.unit() else {
            return cell;
        };
        let bare = cell.strip_suffix(unit).and_then(|cell| cell.strip_suffix(' ')).unwrap_or(&cell);
        match (has_units, bare.parse::<f64>()) {
            (true, Ok(_)) => format!("{bare} {unit}"),
            (true, Err(_)) => cell,
            (false, _) => bare.to_owned(),
        }
    }

    /// A cell as it is in a later pass of a loop.
    fn cell_of_pass(&self, name: &str, cell: String, pass: u64) -> String {
        if self.keys.unknown_in_loop.as_deref() == Some(name) {
            return "[Unknown Error]".to_owned();
        }
        let begun = self.sweeps.iter().filter(|(from, _)| *from <= pass);
        if let Some(set) = begun.filter_map(|(_, cells)| cells.get(name)).next_back() {
            return set.clone();
        }
        let (digits, unit) = cell.split_once(' ').unwrap_or((&cell, ""));
        match digits.parse::<f64>() {
            Ok(watts) if gpu::DRAWS.contains(&name) => {
                let rise = u32::try_from(pass % u64::from(RISING_PASSES)).unwrap_or_default();
                format!("{:.2} {unit}", watts + f64::from(rise)).trim_end().to_owned()
            }
            _ => cell,
        }
    }
}

impl Reply {
    /// A message on standard output, where nvidia-smi says everything, and the end.
    fn said(text: impl Into<Vec<u8>>, exit: i32) -> Self {
        Self { stdout: text.into(), stderr: Vec::new(), exit, behavior: Behavior::Answer }
    }
}

#[cfg(test)]
mod tests;
