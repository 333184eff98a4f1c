//! The meaning of an answer without a row: by its text first, then by the exit code.
//!
//! The codes alone do not tell: a version mismatch is 231, 255 or 18 by driver, and 255 is also what
//! ssh says when it fails. Texts and codes: `fixtures/nvidia-smi/nvml-init-exit-codes.tsv` and the
//! `fail-*` captures; the shells' words are those of bash, dash, busybox, ksh, zsh, fish, csh,
//! PowerShell, and of the `timeout` of GNU, busybox and uutils.

use crate::probe::exchange::Output;
use crate::reading::{Failure, FailureKind, Fault, FaultKind, SafeText};

/// The message when one GPU's handle cannot be had, and then no row at all. The bus id follows: after a blank up to driver 470, without one on newer ones.
const NO_HANDLE: &str = "Unable to determine the device handle for GPU";

/// The failure that an answer without any row shows.
pub(super) fn classify(output: &Output, stdout: &str, stderr: &str) -> Failure {
    for line in stdout.lines().chain(stderr.lines()) {
        if let Some(kind) = by_text(line) {
            return Failure::new(kind, line);
        }
    }
    let kind = if output.truncated { FailureKind::OutputTooLarge } else { by_exit(output.exit, stdout) };
    // The last line, since what a login prints comes before.
    let last = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let evidence =
        last(stdout).or_else(|| last(stderr)).unwrap_or_else(|| format!("{}, no output", ended(output)));
    Failure::new(kind, &evidence)
}

/// The end of the call, in words. 124 and 137 are what `timeout` ends with when the time was up.
pub(super) fn ended(output: &Output) -> String {
    match output.exit {
        Some(124 | 137) => format!("nvidia-smi was ended after {:.1} s", output.took.as_secs_f64()),
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".to_owned(),
    }
}

/// The field that the tool says it does not know, and the line that says so.
pub(super) fn unknown_field(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let (head, _) = line.split_once("\" is not a valid field to query")?;
        head.split_once("Field \"").map(|(_, name)| name)
    })
}

/// The fault in a line that says that a GPU's handle cannot be had.
pub(super) fn no_handle(line: &str) -> Option<Fault> {
    let (_, rest) = line.split_once(NO_HANDLE)?;
    let is_bus_id = |word: &&str| {
        word.len() <= 32
            && word.bytes().filter(|b| *b == b':').count() == 2
            && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
    };
    let gpu = rest.split_whitespace().map(|word| word.trim_end_matches([':', '.'])).find(is_bus_id);
    Some(Fault::new(FaultKind::GpuMissing, gpu.map(SafeText::new), line))
}

/// Messages in lower case, and their kinds.
type Texts = &'static [(&'static str, FailureKind)];

const TEXTS: Texts = &[
    ("couldn't communicate with the nvidia driver", FailureKind::NoDriver),
    ("couldn't find libnvidia-ml", FailureKind::NoLibrary),
    ("driver/library version mismatch", FailureKind::DriverMismatch),
    // Where MIG is on and no instance was made, the GPU itself still answers; this is a query for instances.
    ("no devices were found", FailureKind::NoGpus),
    ("no supported gpus were found", FailureKind::NoGpus),
    ("is not a valid field to query", FailureKind::Refused),
];

/// The words of NVML's errors.
const NVML_ERRORS: Texts = &[
    ("gpu is lost", FailureKind::GpuLost),
    ("requires reset", FailureKind::ResetRequired),
    ("insufficient permissions", FailureKind::NoPermission),
    ("driver not loaded", FailureKind::NoDriver),
    ("library not found", FailureKind::NoLibrary),
    ("version mismatch", FailureKind::DriverMismatch),
    // A library of another age than its program.
    ("function not found", FailureKind::DriverMismatch),
    ("access blocked by the operating system", FailureKind::Blocked),
    ("unknown error", FailureKind::InitUnknown),
    ("timeout", FailureKind::DriverTimeout),
    ("interrupt request issue", FailureKind::Interrupt),
    ("insufficient external power", FailureKind::ExternalPower),
    ("corrupted inforom", FailureKind::Inforom),
    ("insufficient memory", FailureKind::OutOfMemory),
    ("insufficient resources", FailureKind::OutOfMemory),
    ("not in ready state", FailureKind::DriverTimeout),
    ("in use by another client", FailureKind::DriverTimeout),
    ("nvml: n/a", FailureKind::NotSupported),
    ("nvml: not supported", FailureKind::NotSupported),
    ("nvml: no supported gpus", FailureKind::NoGpus),
];

fn kind_in(texts: Texts, line: &str) -> Option<FailureKind> {
    texts.iter().find(|(text, _)| line.contains(text)).map(|(_, kind)| *kind)
}

/// The kind of failure that one line of output tells, if it tells any.
fn by_text(line: &str) -> Option<FailureKind> {
    let line = line.to_ascii_lowercase();
    let has = |message: &str| line.contains(message);
    if has("unable to determine the device handle") {
        // An unknown error of one board is mostly one that fell off the bus.
        let kind = kind_in(NVML_ERRORS, &line).filter(|kind| *kind != FailureKind::InitUnknown);
        return kind.or(Some(FailureKind::GpuLost));
    }
    // The loader's message about a tool that links the library.
    if has("libnvidia-ml") && has("cannot open shared object") {
        return Some(FailureKind::NoLibrary);
    }
    let of_nvml = has("failed to initialize nvml") || has("failed to properly shut down nvml");
    let nvml = || of_nvml.then(|| kind_in(NVML_ERRORS, &line).unwrap_or(FailureKind::RemoteExit));
    kind_in(TEXTS, &line).or_else(nvml).or_else(|| missing_command(&line))
}

/// Whether a shell or `timeout` says in this line (in lower case) that it could not start a command, and which.
fn missing_command(line: &str) -> Option<FailureKind> {
    const REFUSALS: &[&str] = &[
        "not found",
        "no such file",
        "unknown command",
        "is not recognized",
        "can't execute",
        "cannot execute",
        "failed to execute",
        "exec format error",
        "permission denied",
    ];
    if !REFUSALS.iter().any(|message| line.contains(message)) {
        return None;
    }
    // `timeout` names itself when it cannot start its command, which need not be called nvidia-smi.
    let by_timeout = ["timeout: failed to", "timeout: can't execute"];
    if line.contains("nvidia-smi") || by_timeout.iter().any(|message| line.contains(message)) {
        return Some(FailureKind::CommandMissing);
    }
    let is_timeout = |word: &str| word == "timeout" || word.ends_with("/timeout");
    line.split(|c: char| c.is_whitespace() || ":'`\"‘’".contains(c))
        .any(is_timeout)
        .then_some(FailureKind::TimeoutMissing)
}

/// The meaning of an exit code where the text says nothing: nvidia-smi's own codes from its manual page,
/// 124 and 137 of `timeout`, 126 and 127 of every shell.
fn by_exit(exit: Option<i32>, stdout: &str) -> FailureKind {
    match exit {
        // Every driver measured says "No devices were found" and 6 when there are none. An empty answer
        // with 0 comes when every GPU is refused, one by one, without a word; no GPU is to be had either way.
        Some(0) if stdout.trim().is_empty() => FailureKind::NoGpus,
        Some(0) => FailureKind::Garbled,
        Some(2) => FailureKind::Refused,
        Some(4) => FailureKind::NoPermission,
        Some(3) => FailureKind::NotSupported,
        Some(6) => FailureKind::NoGpus,
        Some(8) => FailureKind::ExternalPower,
        Some(9) => FailureKind::NoDriver,
        // The manual says 10, the programs say 11.
        Some(10 | 11) => FailureKind::Interrupt,
        Some(12) => FailureKind::NoLibrary,
        Some(13) => FailureKind::DriverMismatch,
        Some(14) => FailureKind::Inforom,
        Some(15) => FailureKind::GpuLost,
        // Drivers from 390 and from 535 on.
        Some(17) => FailureKind::Blocked,
        Some(18) => FailureKind::DriverMismatch,
        Some(124 | 137) => FailureKind::Timeout,
        Some(126 | 127) => FailureKind::CommandMissing,
        Some(_) | None => FailureKind::RemoteExit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::nvidia_smi::wording::FAILURES;

    fn kind_of(stdout: &str, stderr: &str, exit: Option<i32>) -> FailureKind {
        let answer = Output { stdout: stdout.into(), stderr: stderr.into(), exit, ..Output::default() };
        classify(&answer, stdout, stderr).kind
    }

    #[test]
    fn a_missing_command_is_told_in_the_words_of_every_shell() {
        for line in [
            "bash: line 1: nvidia-smi: command not found",
            "sh: 1: nvidia-smi: not found",
            "-sh: nvidia-smi: not found",
            "zsh:1: command not found: nvidia-smi",
            "fish: Unknown command: nvidia-smi",
            "nvidia-smi: Command not found.",
            "ksh: nvidia-smi: not found [No such file or directory]",
            "'nvidia-smi' is not recognized as an internal or external command,",
            "timeout: failed to run command ‘nvidia-smi’: No such file or directory",
            "timeout: failed to run command ‘/opt/tools/smi’: No such file or directory",
            "timeout: can't execute 'nvidia-smi': No such file or directory",
            "bash: /usr/bin/nvidia-smi: Permission denied",
        ] {
            assert_eq!(kind_of("", line, Some(127)), FailureKind::CommandMissing, "{line}");
        }
    }

    #[test]
    fn a_missing_timeout_is_not_a_missing_nvidia_smi() {
        for line in [
            "bash: line 1: timeout: command not found",
            "sh: 1: timeout: not found",
            "zsh:1: command not found: timeout",
            "fish: Unknown command: timeout",
            "timeout: Command not found.",
            "sh: 1: /usr/bin/timeout: not found",
        ] {
            assert_eq!(kind_of("", line, Some(127)), FailureKind::TimeoutMissing, "{line}");
        }
    }

    #[test]
    fn text_is_judged_before_the_exit_code() {
        let mismatch =
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.126\n";
        for exit in [Some(231), Some(255), Some(18), Some(0), None] {
            assert_eq!(kind_of(mismatch, "", exit), FailureKind::DriverMismatch);
        }
        assert_eq!(
            kind_of("Failed to initialize NVML: Unknown Error\n", "", Some(255)),
            FailureKind::InitUnknown
        );
        assert_eq!(kind_of("No devices were found\n", "", Some(6)), FailureKind::NoGpus);
    }

    #[test]
    fn a_silent_answer_is_judged_by_its_exit_code() {
        let expected = [
            (Some(0), FailureKind::NoGpus),
            (Some(2), FailureKind::Refused),
            (Some(9), FailureKind::NoDriver),
            (Some(124), FailureKind::Timeout),
            (Some(137), FailureKind::Timeout),
            (Some(126), FailureKind::CommandMissing),
            (Some(255), FailureKind::RemoteExit),
            (None, FailureKind::RemoteExit),
        ];
        for (exit, kind) in expected {
            assert_eq!(kind_of("", "", exit), kind, "{exit:?}");
        }
        assert_eq!(kind_of("Welcome to node 7\n", "", Some(0)), FailureKind::Garbled);
    }

    #[test]
    fn the_evidence_is_the_telling_line_and_not_the_greeting() {
        let stdout = "Welcome to node 7\nNo devices were found\n";
        let answer = Output { stdout: stdout.into(), exit: Some(6), ..Output::default() };
        assert_eq!(classify(&answer, stdout, "").evidence.as_str(), "No devices were found");
    }

    #[test]
    fn every_way_that_nvml_can_fail_to_start_has_a_kind_and_words_of_its_own() {
        let table = include_str!("../../../fixtures/nvidia-smi/nvml-init-exit-codes.tsv");
        for line in table.lines().skip(2) {
            let cells: Vec<&str> = line.split('\t').collect();
            let message = cells.last().unwrap().replace("\\n", "\n");
            for exit in &cells[2..cells.len() - 1] {
                let kind = kind_of(&message, "", exit.parse().ok());
                assert!(!matches!(kind, FailureKind::RemoteExit | FailureKind::Garbled), "{line}: {kind:?}");
            }
        }
        let wsl = "Failed to initialize NVML: GPU access blocked by the operating system\n";
        assert_eq!(kind_of(wsl, "", Some(255)), FailureKind::Blocked);
        let hint = |kind| Failure::new(kind, "").worded(FAILURES).hint();
        assert!(hint(FailureKind::Blocked).contains("wsl --shutdown"));
        assert!(hint(FailureKind::InitUnknown).contains("daemon-reload"));
        assert!(hint(FailureKind::NoGpus).contains("DevicePolicy"));
    }

    #[test]
    fn a_call_that_was_ended_says_after_how_long() {
        let took = std::time::Duration::from_millis(4_012);
        let answer = Output { exit: Some(124), took, ..Output::default() };
        let evidence = classify(&answer, "", "").evidence;
        assert_eq!(evidence.as_str(), "nvidia-smi was ended after 4.0 s, no output");
    }

    #[test]
    fn the_bus_id_of_a_lost_handle_is_found_in_every_wording() {
        for (line, bus_id) in [
            ("for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU", "0000:02:00.0"),
            ("for GPU 0000:0B:00.0: Unknown Error.", "0000:0B:00.0"),
            ("for GPU0000:07:00.0: Unknown Error", "0000:07:00.0"),
            ("for GPU3: 0000:4E:00.0: Unknown Error", "0000:4E:00.0"),
        ] {
            let fault = no_handle(&format!("Unable to determine the device handle {line}")).unwrap();
            assert_eq!(fault.gpu, Some(SafeText::new(bus_id)), "{line}");
        }
        assert_eq!(no_handle("Unable to determine the device handle for GPU").unwrap().gpu, None);
    }
}
