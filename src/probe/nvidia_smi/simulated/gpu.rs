//! The captured GPUs. One capture becomes several boards, with identities of their own, and with power, temperature
//! and load a little apart. Everything follows from the seed and the index, so the same scenario always gives the
//! same answer.

use std::collections::BTreeMap;

use super::ScenarioError;
use super::driver::{Driver, renamed};
use crate::support::stable_hash;

/// The dump of a scenario without one: a loaded H100 of driver 590.
pub(super) const DEFAULT_DUMP: &str =
    include_str!("../../../../fixtures/nvidia-smi/corpus/smi-full-linux-h100-80gb-hbm3-590.48.01-load.csv");

/// The fields of a board's draw.
pub(super) const DRAWS: [&str; 3] = ["power.draw", "power.draw.average", "power.draw.instant"];

/// Cells by the names of their columns.
pub(super) type Cells = BTreeMap<String, String>;

/// Bus numbers of neighbouring boards are this far apart.
const BUS_STEP: u32 = 0x11;

/// The answer to a field that was asked for.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    /// Its name, aliases resolved, without unit.
    pub(super) name: &'a str,
    /// Its header: as measured, else the capture's, else its name.
    pub(super) header: &'a str,
    /// Its column of the capture.
    column: Option<usize>,
}

impl Answered<'_> {
    /// The unit that the header names.
    pub(super) fn unit(&self) -> Option<&str> {
        self.header.split_once(" [").and_then(|(_, unit)| unit.strip_suffix(']'))
    }
}

/// A captured answer with all fields.
#[derive(Debug, Clone)]
pub(super) struct Dump {
    /// Headers with units.
    headers: Vec<String>,
    /// The same without.
    names: Vec<String>,
    /// As many cells in each row as there are headers.
    rows: Vec<Vec<String>>,
}

fn bad_dump() -> ScenarioError {
    ScenarioError::Invalid("the dump has no header or no row".to_owned())
}

impl Dump {
    pub(super) fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let headers = lines.next().map(cells).ok_or_else(bad_dump)?;
        let rows: Vec<_> = lines.map(cells).collect();
        if rows.is_empty() || rows.iter().any(|row| row.len() != headers.len()) {
            return Err(bad_dump());
        }
        let bare = |header: &String| header.split(" [").next().unwrap_or(header).to_owned();
        Ok(Self { names: headers.iter().map(bare).collect(), headers, rows })
    }

    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// A cell of the first row as captured; empty if there is no such column.
    pub(super) fn captured(&self, name: &str) -> &str {
        self.column(name).and_then(|column| self.rows.first()?.get(column)).map_or("", String::as_str)
    }

    /// The answer to `field`: looked up once, and then used for every row.
    pub(super) fn answered<'a>(&'a self, field: &'a str, driver: &Driver) -> Answered<'a> {
        let name = driver.canonical(field);
        let column = self.column(name);
        let captured = || column.and_then(|column| self.headers.get(column)).map_or(name, String::as_str);
        Answered { name, header: driver.mapped_header(field).unwrap_or_else(captured), column }
    }

    /// The cell of the GPU at `index` in a column.
    pub(super) fn cell(&self, index: usize, asked: &Answered<'_>, seed: &str, driver: &Driver) -> String {
        let name = asked.name;
        let row = self.rows.get(index % self.rows.len());
        let captured = asked.column.and_then(|column| row?.get(column));
        let Some(cell) = captured.filter(|cell| !is_unsupported(cell, driver)) else {
            return driver.not_supported().to_owned();
        };
        // A capture with a row for each GPU already has them apart.
        let index = index / self.rows.len();
        match name {
            "serial" if !cell.starts_with('[') => serial(seed, index),
            "pci.bus_id" | "pci.bus" | "pci.domain" => {
                moved_on_bus(cell, name, self.captured("pci.bus"), index)
            }
            _ if index == 0 => cell.clone(),
            _ => self.varied(index, name, cell),
        }
    }

    fn column(&self, name: &str) -> Option<usize> {
        let find = |name: &str| self.names.iter().position(|known| known == name);
        find(name).or_else(|| find(&renamed(name)?))
    }

    /// The board's cell with its own small deviation, the same at every call.
    fn varied(&self, index: usize, name: &str, cell: &str) -> String {
        let (digits, unit) = cell.split_once(' ').unwrap_or((cell, ""));
        let Ok(value) = digits.parse::<f64>() else {
            return cell.to_owned();
        };
        let sway = sway(index);
        let text = match name {
            _ if DRAWS.contains(&name) => {
                let limit = self.captured("enforced.power.limit").trim_end_matches(" W").parse::<f64>();
                format!("{:.2}", (value * (1.0 + 0.06 * sway)).min(limit.unwrap_or(f64::MAX)))
            }
            "temperature.gpu" | "temperature.memory" => format!("{:.0}", (value + 4.0 * sway).max(1.0)),
            "utilization.gpu" | "utilization.memory" | "fan.speed" if value > 10.0 => {
                format!("{:.0}", (value + 5.0 * sway).min(100.0))
            }
            _ => return cell.to_owned(),
        };
        if unit.is_empty() { text } else { format!("{text} {unit}") }
    }
}

/// The UUID of the GPU at `index` of the scenario with this seed.
pub fn gpu_uuid(seed: &str, index: usize) -> String {
    let (a, b) = (stable_hash(&format!("{seed}/{index}/a")), stable_hash(&format!("{seed}/{index}/b")));
    let (head, tail) = (a >> 32, b & 0xffff_ffff_ffff);
    format!("GPU-{head:08x}-{:04x}-{:04x}-{:04x}-{tail:012x}", (a >> 16) & 0xffff, a & 0xffff, b >> 48)
}

fn serial(seed: &str, index: usize) -> String {
    format!("{:013}", stable_hash(&format!("{seed}/{index}/serial")) % 10_000_000_000_000)
}

/// Whether this driver says of such a cell that there is nothing. That something is deprecated is
/// only said from 535 on; what stood there before, a younger capture cannot know.
fn is_unsupported(cell: &str, driver: &Driver) -> bool {
    match cell {
        "[N/A]" | "[Not Supported]" => true,
        "[Requested functionality has been deprecated]" => !driver.is_at_least(535),
        _ => false,
    }
}

/// The place on the bus, some slots on: `00000000:1B:00.0`, `0x1B` or `0x0000`.
fn moved_on_bus(cell: &str, name: &str, first_bus: &str, index: usize) -> String {
    let bus = u32::from_str_radix(first_bus.trim_start_matches("0x"), 16).unwrap_or(1);
    let slot = bus + BUS_STEP * u32::try_from(index).unwrap_or_default();
    let (domain, bus) = (slot / 0x100, slot % 0x100);
    match (name, index) {
        (_, 0) => cell.to_owned(),
        ("pci.bus", _) => format!("0x{bus:02X}"),
        ("pci.domain", _) => format!("0x{domain:04X}"),
        _ => format!("{domain:08X}:{bus:02X}:{}", cell.rsplit(':').next().unwrap_or("00.0")),
    }
}

/// Between -1 and 1, from the index alone.
fn sway(index: usize) -> f64 {
    let step = u32::try_from(stable_hash(&index.to_string()) % 2001).unwrap_or(1000);
    f64::from(step) / 1000.0 - 1.0
}
