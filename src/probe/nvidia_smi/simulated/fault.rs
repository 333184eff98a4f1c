//! The faults of a simulated host, in the words and exit codes of the real programs.

use serde::Deserialize;

use super::driver::Driver;
use super::{Behavior, EXIT_NOT_FOUND, Reply};

/// The words are the captures' own, which are the same for all drivers measured.
const NO_DRIVER: &str = include_str!("../../../../fixtures/nvidia-smi/corpus/fail-no-driver-550.163.01.txt");
const NO_LIBRARY: &str =
    include_str!("../../../../fixtures/nvidia-smi/corpus/fail-no-nvml-library-550.163.01.txt");

/// The exit code when NVML itself is not there, of all drivers measured.
const EXIT_NO_LIBRARY: i32 = 12;
/// The bytes that a flooding host prints.
const FLOOD_BYTES: u64 = 1 << 30;
/// The bytes of garbage that a garbling host prints.
const GARBAGE_BYTES: usize = 4096;
/// The number of columns of a wide row.
const WIDE_COLUMNS: usize = 10_000;

/// The output of a chatty login script.
const CHATTER: [&str; 4] =
    ["Welcome to node, all use is monitored.", "", "  * Support: ask the operators", ""];

/// The failures of NVML to start: its error, and the words for it.
const INIT_FAILURES: [(Fault, &str, &str); 5] = [
    (Fault::Mismatch, "LIB_RM_VERSION_MISMATCH", "Driver/library version mismatch"),
    (Fault::InitUnknownError, "UNKNOWN", "Unknown Error"),
    (Fault::InitResetRequired, "RESET_REQUIRED", "GPU requires reset"),
    (Fault::InitGpuLost, "GPU_IS_LOST", "GPU is lost"),
    (Fault::NoPermission, "NO_PERMISSION", "Insufficient Permissions"),
];

/// The fault of a simulated host: the value of `fault` in a scenario, in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The kernel driver is not loaded.
    NoDriver,
    /// `libnvidia-ml.so` is not there.
    NoLibrary,
    /// Driver and library are of different versions.
    Mismatch,
    /// The driver has no GPU.
    NoDevices,
    /// NVML does not start, for no known reason: a container that lost its device cgroup.
    InitUnknownError,
    /// NVML does not start before the GPU is reset.
    InitResetRequired,
    /// NVML does not start since the GPU is lost.
    InitGpuLost,
    /// NVML does not start for this user.
    NoPermission,
    /// The shell finds no such command: the only answer on standard error.
    CommandMissing,
    /// Noise instead of an answer, with terminal escapes and invalid UTF-8.
    Garbage,
    /// Login chatter before the answer.
    Babble,
    /// Terminal escapes in the names.
    Escapes,
    /// A comma in the names, which nothing quotes.
    CommaInName,
    /// Rows of 10,000 columns.
    Wide,
    /// A gibibyte.
    Flood,
    /// No answer ever; TERM ends it.
    Hang,
    /// No answer ever; TERM does not end it.
    HangIgnoringTerm,
    /// Killed in the middle of the last number.
    Cut,
}

impl Fault {
    /// The reply in place of the program, whatever its arguments are.
    pub(super) fn instead_of_program(self) -> Option<Reply> {
        let behavior = match self {
            Self::Hang => Behavior::Hang,
            Self::HangIgnoringTerm => Behavior::HangIgnoringTerm,
            Self::Flood => Behavior::Flood { bytes: FLOOD_BYTES },
            Self::NoLibrary => return Some(Reply::said(NO_LIBRARY, EXIT_NO_LIBRARY)),
            Self::Garbage => return Some(Reply::said(garbage(), 0)),
            Self::CommandMissing => {
                let stderr = b"bash: line 1: nvidia-smi: command not found\n".to_vec();
                return Some(Reply { stderr, ..Reply::said("", 127) });
            }
            Self::None | Self::NoDriver | Self::Mismatch | Self::NoDevices => return None,
            Self::InitUnknownError | Self::InitResetRequired | Self::InitGpuLost => return None,
            Self::NoPermission | Self::Babble => return None,
            Self::Escapes | Self::CommaInName | Self::Wide | Self::Cut => return None,
        };
        Some(Reply { behavior, ..Reply::said("", 0) })
    }

    /// The message of the program when it cannot even start to ask.
    pub(super) fn at_start(self, driver: &Driver) -> Option<Reply> {
        if self == Self::NoDriver {
            return Some(Reply::said(NO_DRIVER, driver.init_exit("DRIVER_NOT_LOADED")));
        }
        if self == Self::NoDevices {
            return Some(Reply::said("No devices were found\n", EXIT_NOT_FOUND));
        }
        let (_, error, message) = INIT_FAILURES.iter().find(|(fault, _, _)| *fault == self)?;
        let mut text = format!("Failed to initialize NVML: {message}\n");
        if self == Self::Mismatch && driver.is_at_least(535) {
            let branch: Vec<_> = driver.text.split('.').take(2).collect();
            text.push_str(&format!("NVML library version: {}\n", branch.join(".")));
        }
        Some(Reply::said(text, driver.init_exit(error)))
    }

    /// A cell as this fault spoils it.
    pub(super) fn on_cell(self, name: &str, cell: String) -> String {
        if self == Self::Escapes && name == "name" {
            return format!("\u{1b}]0;owned\u{7}{cell}\u{1b}[31m\u{1b}[2J");
        }
        if self == Self::CommaInName && name == "name" {
            return format!("{cell}, Rev. B");
        }
        cell
    }

    /// The answer's lines as this fault spoils them.
    pub(super) fn on_answer(self, mut lines: Vec<String>) -> Reply {
        if self == Self::Babble {
            lines.splice(0..0, CHATTER.iter().map(|line| (*line).to_owned()));
        }
        if self == Self::Wide {
            for line in &mut lines {
                let n_missing = WIDE_COLUMNS.saturating_sub(line.split(", ").count());
                line.push_str(&", 0".repeat(n_missing));
            }
        }
        let mut text = lines.join("\n");
        if self == Self::Cut {
            cut_within_last_number(&mut text);
            return Reply { behavior: Behavior::Killed, ..Reply::said(text, 137) };
        }
        text.push('\n');
        Reply::said(text, 0)
    }
}

/// Drops everything behind the first digit of the last number that has several.
fn cut_within_last_number(text: &mut String) {
    let bytes = text.as_bytes();
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let inside = |at: &usize| is_digit(*at) && at.checked_sub(1).is_some_and(is_digit);
    let middle = (line_start..text.len()).rev().find(inside);
    text.truncate(middle.unwrap_or(line_start));
}

/// The same noise every time: terminal escapes, NULs, and bytes that are no UTF-8.
fn garbage() -> Vec<u8> {
    let mut noise = b"\x1b]0;owned\x07\x1b[2J\xff\xfe\x00".to_vec();
    let mut state = 0x2545_f491_u32;
    while noise.len() < GARBAGE_BYTES {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise
}
