//! A host that is simulated from a file: what the real `nvidia-smi` of one driver would print, worked
//! out from a captured full dump, and how it would misbehave. Used for trying fleetwatt out without
//! a GPU, for tests, and by the stub that stands behind a real sshd.
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
mod looping;
mod scenario;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use fault::Fault;
pub use gpu::gpu_uuid;
pub use looping::PassOutput;

use args::{Arguments, Header, Units};
use driver::Driver;
use gpu::{Answered, Board, Dump};
use scenario::RawScenario;

/// The exit code of a wrong argument or an unknown field.
const EXIT_USAGE: i32 = 2;
/// The exit code when there is no GPU, or not the one that was asked for.
const EXIT_NOT_FOUND: i32 = 6;
/// The exit code when a GPU's handle is lost.
const EXIT_LOST: i32 = 15;
/// The exit code of everything that has none of its own.
const EXIT_OTHER: i32 = 255;

/// One simulated host.
#[derive(Debug, Clone)]
pub struct Scenario {
    driver: Driver,
    dump: Dump,
    boards: Vec<Board>,
    seed: String,
    slow: Option<Duration>,
    handle_lost: Option<usize>,
    handle_unknown: Option<usize>,
    row_dropped: Option<usize>,
    cells_lost: Option<usize>,
    looping: looping::Looping,
    fault: Fault,
}

/// What one call prints, how it ends, and how it behaves meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Everything nvidia-smi says, messages included.
    pub stdout: Vec<u8>,
    /// Only what a shell says in its place.
    pub stderr: Vec<u8>,
    /// The exit code, once it ends.
    pub exit: i32,
    /// How it behaves.
    pub behavior: Behavior,
}

/// How a simulated call behaves.
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
        /// How many bytes, those of `stdout` not counted.
        bytes: u64,
    },
    /// Prints, and goes on with [`Scenario::pass`] after each pause of this length.
    Loop(Duration),
    /// Prints what it has and is killed.
    Killed,
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
    /// The dump is not a header and at least one row of as many cells.
    #[error("the dump has no header or no row")]
    BadDump,
    /// The driver's version is not one.
    #[error("`{0}` is not a driver version")]
    BadDriver(String),
    /// A cell is set that no driver has a field for.
    #[error("no driver knows a field `{0}`")]
    UnknownField(String),
    /// A GPU is named that the scenario does not have.
    #[error("there is no GPU {index}: the scene has {n_gpus}")]
    NoSuchGpu {
        /// The index given.
        index: usize,
        /// How many there are.
        n_gpus: usize,
    },
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
        let raw: RawScenario = toml::from_str(text)
            .map_err(|error| ScenarioError::Syntax { path: path.to_owned(), source: Box::new(error) })?;
        let dump = match &raw.dump {
            Some(dump) => Dump::parse(&read_dump(dump)?)?,
            None => Dump::parse(gpu::DEFAULT_DUMP)?,
        };
        raw.resolve(dump, &path.file_stem().unwrap_or_default().to_string_lossy())
    }

    /// The same scenario with UUIDs and serials of its own, for several hosts that share one file.
    #[must_use]
    pub fn seeded(mut self, seed: &str) -> Self {
        seed.clone_into(&mut self.seed);
        self
    }

    /// How many GPUs the scenario has.
    pub fn n_gpus(&self) -> usize {
        self.boards.len()
    }

    /// What `nvidia-smi` with these arguments (its own name not among them) answers.
    pub fn answer(&self, args: &[String]) -> Reply {
        if let Some(reply) = self.fault.instead_of_program() {
            return reply;
        }
        let mut reply = match Arguments::parse(args, &self.driver) {
            Ok(arguments) => {
                let mut reply =
                    self.fault.at_start(&self.driver).unwrap_or_else(|| self.query(&arguments, 0));
                if let (Some(every), Behavior::Answer, 0) = (arguments.every, reply.behavior, reply.exit) {
                    reply.behavior = Behavior::Loop(every + self.slow.unwrap_or_default());
                }
                reply
            }
            Err(refusal) => refusal,
        };
        if let (Some(pause), Behavior::Answer) = (self.slow, reply.behavior) {
            reply.behavior = Behavior::Delay(pause);
        }
        reply
    }

    /// The answer that is the pass with this number of a loop, or the only one.
    fn query(&self, arguments: &Arguments, pass: u64) -> Reply {
        if let Some(unknown) = arguments.fields.iter().find(|field| !self.driver.knows(field)) {
            return Reply::said(
                format!("Field \"{unknown}\" is not a valid field to query.\n\n"),
                EXIT_USAGE,
            );
        }
        let Some(chosen) = self.chosen(&arguments.ids) else {
            return Reply::said("No devices were found\n".to_owned(), EXIT_NOT_FOUND);
        };
        if let Some(reply) = self.handle_fails(&chosen) {
            return reply;
        }
        let asked: Vec<_> =
            arguments.fields.iter().map(|field| self.dump.answered(field, &self.driver)).collect();
        let mut lines = Vec::new();
        if arguments.header == Header::Shown && pass == 0 {
            lines.push(asked.iter().map(|field| field.header).collect::<Vec<_>>().join(", "));
        }
        for index in chosen {
            let cells = asked.iter().map(|field| self.cell(index, field, arguments.units, pass));
            lines.push(cells.collect::<Vec<_>>().join(", "));
        }
        self.fault.on_answer(lines)
    }

    /// The indices that were asked for, in the order asked; `None` if one is not there.
    fn chosen(&self, ids: &[String]) -> Option<Vec<usize>> {
        let visible = |index: &usize| Some(*index) != self.row_dropped;
        let all: Vec<usize> = (0..self.n_gpus()).filter(visible).collect();
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
        let failing = |gpu: Option<usize>| gpu.filter(|index| chosen.contains(index));
        let (index, message, exit) = match (failing(self.handle_lost), failing(self.handle_unknown)) {
            (Some(index), _) => (index, "GPU is lost.  Reboot the system to recover this GPU", EXIT_LOST),
            (None, Some(index)) => (index, "Unknown Error", EXIT_OTHER),
            (None, None) => return None,
        };
        let blank = if self.driver.is_at_least(535) { "" } else { " " };
        let long = self.bus_id(index);
        let bus_id = long.strip_prefix("0000").unwrap_or(&long);
        let text = format!("Unable to determine the device handle for GPU{blank}{bus_id}: {message}\n");
        Some(Reply::said(text, exit))
    }

    fn bus_id(&self, index: usize) -> String {
        self.plain_cell(index, &self.dump.answered("pci.bus_id", &self.driver))
    }

    fn plain_cell(&self, index: usize, asked: &Answered<'_>) -> String {
        if let Some(cell) = self.boards.get(index).and_then(|board| board.set(asked.name)) {
            return cell.to_owned();
        }
        match asked.name {
            "index" => index.to_string(),
            "count" => self.n_gpus().to_string(),
            "uuid" => gpu_uuid(&self.seed, index),
            "driver_version" => self.driver.text().to_owned(),
            _ => self.dump.cell(index, asked, &self.seed, &self.driver),
        }
    }

    fn cell(&self, index: usize, asked: &Answered<'_>, units: Units, pass: u64) -> String {
        if self.cells_lost == Some(index) && self.looping.lost_after <= pass {
            return "[GPU is lost]".to_owned();
        }
        let cell = self.looping.on_cell(asked.name, self.plain_cell(index, asked), pass);
        let cell = self.fault.on_cell(asked.name, cell);
        let Some(unit) = asked.unit() else {
            return cell;
        };
        let bare = cell.strip_suffix(unit).and_then(|cell| cell.strip_suffix(' ')).unwrap_or(&cell);
        match units {
            Units::Shown if bare.parse::<f64>().is_ok() => format!("{bare} {unit}"),
            Units::Shown => cell,
            Units::Hidden => bare.to_owned(),
        }
    }
}

impl Reply {
    /// A message on standard output, where nvidia-smi says everything, and the end.
    fn said(text: String, exit: i32) -> Self {
        Self { stdout: text.into_bytes(), stderr: Vec::new(), exit, behavior: Behavior::Answer }
    }

    /// Nothing, and a way to behave.
    fn with_behavior(behavior: Behavior) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), exit: 0, behavior }
    }
}

#[cfg(test)]
mod tests;
