//! Commands on this machine.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

use super::bounded::read_to_end;
use super::{no_answer, program_of};
use crate::probe::Output;
use crate::reading::{Failure, FailureKind};

/// The time that an abandoned command has to end after TERM, before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(1);

/// The variables of our environment that a child inherits. Everything else, and so every secret, stays here.
const INHERITED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "LD_LIBRARY_PATH"];

/// A command with a cleaned environment and nothing to read; English messages, whatever our own locale.
#[allow(clippy::disallowed_methods, reason = "this room is the one that starts processes")]
pub(super) fn clean_command(program: &str) -> Command {
    // By its path, or the standard library would have to copy this whole process to look for it in `PATH`.
    let mut command = Command::new(path_of(program).unwrap_or_else(|| program.into()));
    command.arg0(program);
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The path of a program with its size and time of change.
pub(super) fn identity_of(program: &str) -> String {
    let path = path_of(program).unwrap_or_else(|| program.into());
    match std::fs::metadata(&path) {
        Ok(file) => format!("{} {} {}.{:09}", path.display(), file.len(), file.mtime(), file.mtime_nsec()),
        Err(_) => path.display().to_string(),
    }
}

/// Where a program is that is named without a folder.
fn path_of(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return None;
    }
    let is_program = |path: &PathBuf| rustix::fs::access(path, Access::EXEC_OK).is_ok() && path.is_file();
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(is_program)
}

/// Why a program could not be started: this machine is short of something, or it is not there.
pub(super) fn cannot_start(program: &str, error: &io::Error) -> Failure {
    // Of a fork, EAGAIN says that there may be no more processes.
    let no_process = Errno::from_io_error(error) == Some(Errno::AGAIN);
    let kind = if no_process { FailureKind::LocalShortage } else { FailureKind::Spawn };
    local_failure(kind, program, error)
}

/// A failure of this side, which is a shortage if the error says so.
pub(super) fn local_failure(otherwise: FailureKind, what: &str, error: &io::Error) -> Failure {
    let kind = if is_shortage(error) { FailureKind::LocalShortage } else { otherwise };
    Failure::new(kind, &format!("{what}: {error}"))
}

/// Whether an error says that this process or this machine may have no more of something.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS]
        .into_iter()
        .any(|errno| Errno::from_io_error(error) == Some(errno))
}

/// Runs `argv` here, with our own deadline behind that of its `timeout`.
pub(super) async fn run(argv: &[String], deadline: Instant) -> Result<Output, Failure> {
    let (program, args) = program_of(argv)?;
    let started_at = Instant::now();
    let mut command = clean_command(program);
    command.args(args).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|error| cannot_start(program, &error))?;
    let (stdout, stderr, group) = (child.stdout.take(), child.stderr.take(), group_of(&child));
    let reading = read_to_end(stdout, stderr, child.wait(), |signal| signal_group(group, signal));
    let read = timeout_at(deadline, reading).await;
    if !matches!(read, Ok(Ok((_, Some(_))))) {
        stop(&mut child).await;
    }
    let read = read.map_err(|_| no_answer(started_at))?;
    let failed = |error| local_failure(FailureKind::Session, "its output", &error);
    let (output, ended) = read.map_err(failed)?;
    let exit = ended.and_then(Result::ok).and_then(|status| status.code());
    Ok(Output { exit, took: started_at.elapsed(), ..output })
}

/// Ends a command and everything it started: TERM first, KILL after a grace. A process that is stuck in
/// the kernel survives both; it is left behind then.
async fn stop(child: &mut Child) {
    let group = group_of(child);
    signal_group(group, Signal::TERM);
    if timeout(TERM_GRACE, child.wait()).await.is_err() {
        signal_group(group, Signal::KILL);
        if timeout(TERM_GRACE, child.wait()).await.is_err() {
            tracing::warn!(pid = child.id(), "a command does not end even when killed");
        }
    }
}

/// The process group that a command was started in. To be asked for while it runs.
pub(super) fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)
}

pub(super) fn signal_group(group: Option<Pid>, signal: Signal) {
    // None may be left of it.
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, signal)
        && error != Errno::SRCH
    {
        tracing::debug!(%error, "cannot signal a command that should end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(message: &[&str]) -> Vec<String> {
        message.iter().map(|&word| word.to_owned()).collect()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn both_streams_and_the_exit_code_come_back() {
        let output = run(&argv(&["sh", "-c", "echo out; echo err >&2; exit 15"]), soon()).await.unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.exit, Some(15));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failure_to_spawn() {
        let failure = run(&argv(&["/nonexistent/program"]), soon()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Spawn);
    }

    #[test]
    fn what_this_machine_is_short_of_is_no_fault_of_the_program() {
        let kind = |errno: Errno| cannot_start("ssh", &io::Error::from(errno)).kind;
        for errno in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
            assert_eq!(kind(errno), FailureKind::LocalShortage, "{errno}");
        }
        assert_eq!(kind(Errno::NOENT), FailureKind::Spawn);
    }

    #[tokio::test]
    async fn a_command_that_ignores_term_is_gone_after_its_deadline() {
        let deadline = Instant::now() + Duration::from_millis(200);
        let script = "trap '' TERM; echo $$ >&2; while :; do sleep 0.1; done";
        let failure = run(&argv(&["sh", "-c", script]), deadline).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert!(Instant::now() < deadline + Duration::from_secs(3));
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_holds_up_no_answer_and_is_ended() {
        let script = "(trap '' TERM; while :; do sleep 0.1; done) & echo $!; exit 3";
        let output = run(&argv(&["sh", "-c", script]), soon()).await.unwrap();
        assert_eq!(output.exit, Some(3));
        let pid = String::from_utf8(output.stdout).unwrap();
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let by = soon();
        while !(stat().is_empty() || stat().contains(") Z")) {
            assert!(Instant::now() < by, "{}", stat());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_flood_is_cut_off_and_its_command_ended() {
        let output = run(&argv(&["yes"]), soon()).await.unwrap();
        assert!(output.truncated);
        assert_eq!(output.exit, None);
    }

    #[tokio::test]
    async fn a_program_is_found_by_its_name_and_keeps_it() {
        let output = run(&argv(&["sh", "-c", "echo $0"]), soon()).await.unwrap();
        assert_eq!(output.stdout, b"sh\n");
        assert!(path_of("sh").unwrap().is_absolute() && path_of("/bin/sh").is_none());
    }

    #[tokio::test]
    async fn a_secret_of_our_environment_does_not_reach_the_command() {
        let output = run(&argv(&["env"]), soon()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("PATH=") && text.contains("LC_ALL=C"));
        assert!(!text.contains("CARGO"), "cargo's own variables stand for any that a child has no use for");
    }
}
