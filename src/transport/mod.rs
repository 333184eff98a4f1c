//! Run this argv there, by this deadline, with at most this much output; say which step failed.
//!
//! The only room that starts processes. A failure names the step and keeps the line of evidence; its hint stands with
//! [`FailureKind`].
//!
//! The deadline stands on both sides: here, and as `timeout` around the command there, since giving up
//! on an answer ends no process on another machine.

mod bounded;
mod classify;
mod limits;
mod local;
mod look;
mod master;
mod options;
mod runtime;
pub mod scripted;
mod shell;
mod ssh;
mod stream;

use std::time::Duration;

use tokio::time::Instant;

use crate::inventory::{Host, Target};
use crate::probe::Output;
use crate::probe::simulated::Scenario;
use crate::reading::{Failure, FailureKind};

use scripted::SimulatedLoop;

pub use limits::{descriptor_limit, hosts_at_once, raise_descriptor_limit};
pub use look::look;
pub use runtime::{KeptConnection, RuntimeDir};
pub use ssh::{Connections, MasterLifetime, SshSession};
pub use stream::{STREAM_BOUND, Stream};

/// The most bytes of standard output that one answer may have. Eight GPUs print about 2 KB.
pub const MAX_STDOUT: usize = 1 << 20;

/// The most bytes of standard error that one answer may have.
pub const MAX_STDERR: usize = 64 << 10;

/// The time by which the far side ends before our own deadline: for the way of the command and of its answer. A
/// command that ignores `timeout`'s first signal is killed a second later, when we have given up already.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// A way to run commands for one host.
#[derive(Debug)]
pub enum Session {
    /// On this machine.
    Local,
    /// Over a multiplexed SSH connection.
    Ssh(Box<SshSession>),
    /// From a file.
    Scripted(Box<Scenario>),
}

impl Session {
    /// A session for `host`. Connects nothing yet.
    ///
    /// # Errors
    /// A scene that cannot be read, or a control socket whose path would be too long.
    pub fn new(host: &Host, connections: &std::sync::Arc<Connections>) -> Result<Self, Failure> {
        match &host.target {
            Target::Local => Ok(Self::Local),
            Target::Ssh(target) => Ok(Self::Ssh(Box::new(SshSession::new(target, connections)))),
            Target::Scripted { scene } => match scripted::load(scene) {
                Ok(scenario) => Ok(Self::Scripted(Box::new(scenario.seeded(&host.name)))),
                Err(error) => Err(Failure::new(FailureKind::Spawn, &error.to_string())),
            },
        }
    }

    /// Waits until a connection may be opened, if one must be. That is this machine's business, so a
    /// host's own time is to start behind it.
    ///
    /// # Errors
    /// Too many other connections were opening until the deadline.
    pub async fn wait_for_turn(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Local | Self::Scripted(_) => Ok(()),
            Self::Ssh(ssh) => ssh.wait_for_turn(deadline).await,
        }
    }

    /// Makes the connection now, so that the commands that follow need not.
    ///
    /// # Errors
    /// The step of connecting that failed.
    pub async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        match self {
            Self::Local | Self::Scripted(_) => Ok(()),
            Self::Ssh(ssh) => ssh.connect(deadline).await,
        }
    }

    /// Runs `program` with `args` and waits for its end, its deadline, or its output's bound.
    ///
    /// A [`FailureKind::Timeout`] means that the command was started and has not returned: it may still
    /// be running there.
    ///
    /// # Errors
    /// The step that failed. A command that ran and ended with an error is an [`Output`].
    pub async fn run(
        &mut self,
        program: &str,
        args: &[String],
        deadline: Instant,
    ) -> Result<Output, Failure> {
        match self {
            Self::Local => local::run(&bounded_argv(program, args, deadline), deadline).await,
            Self::Ssh(ssh) => ssh.run(program, args, deadline).await,
            Self::Scripted(scenario) => scripted::run(scenario, args, deadline).await,
        }
    }

    /// Starts `program`, which keeps printing, and gives its standard output as it comes. Its life is bounded by
    /// [`STREAM_BOUND`]; it ends with its [`Stream`], at its next write over SSH, at once here.
    ///
    /// `deadline` is for connecting and starting. `mark`, a variable as `NAME=value`, stands in the command line, so
    /// that it can be told from the same command of others.
    ///
    /// # Errors
    /// The step that failed.
    pub async fn stream(
        &mut self,
        program: &str,
        args: &[String],
        mark: &str,
        deadline: Instant,
    ) -> Result<Stream, Failure> {
        let marked = [&["env".to_owned(), mark.to_owned(), program.to_owned()], args].concat();
        let argv = argv_within(&marked, STREAM_BOUND);
        match self {
            Self::Local => Stream::local(&argv),
            Self::Ssh(ssh) => ssh.stream(&argv, deadline).await,
            Self::Scripted(scenario) => Ok(Stream::scripted(SimulatedLoop::new((**scenario).clone(), args))),
        }
    }

    /// The identity of `program`, as far as it can be seen without asking the host: its name, and here its path, size
    /// and time of change, too.
    pub fn identity_of(&self, program: &str) -> String {
        match self {
            Self::Local => local::identity_of(program),
            Self::Ssh(_) | Self::Scripted(_) => program.to_owned(),
        }
    }

    /// Ends the connection, unless it is to outlive this session. A connection that is kept for the next run stays.
    pub async fn close(self) {
        match self {
            Self::Local | Self::Scripted(_) => (),
            Self::Ssh(ssh) => ssh.close().await,
        }
    }
}

/// The command with its bound around it: `timeout` sends TERM first, since a killed reader of NVML has
/// itself frozen GPUs (dcgm-exporter, issue 84), and KILL a second later.
fn bounded_argv(program: &str, args: &[String], deadline: Instant) -> Vec<String> {
    let left = deadline.saturating_duration_since(Instant::now());
    let command = [&[program.to_owned()], args].concat();
    argv_within(&command, left.saturating_sub(ROUND_TRIP))
}

/// Whole seconds, as older versions of `timeout` know no others.
fn argv_within(command: &[String], bound: Duration) -> Vec<String> {
    let seconds = bound.as_secs().max(1);
    let mut argv = vec!["timeout".to_owned(), "-k".to_owned(), "1".to_owned(), seconds.to_string()];
    argv.extend_from_slice(command);
    argv
}

/// A command's program and its arguments.
fn program_of(argv: &[String]) -> Result<(&String, &[String]), Failure> {
    argv.split_first().ok_or_else(|| Failure::new(FailureKind::Internal, "no command"))
}

/// The failure of a command that was started and has not returned.
fn no_answer(started_at: Instant) -> Failure {
    let waited = Duration::from_secs(started_at.elapsed().as_secs());
    Failure::new(FailureKind::Timeout, &format!("waited {}", humantime::format_duration(waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_far_side_is_told_to_end_before_our_deadline() {
        let deadline = Instant::now() + Duration::from_millis(15_000);
        let argv = bounded_argv("tool", &["-L".to_owned()], deadline);
        assert_eq!(argv, ["timeout", "-k", "1", "14", "tool", "-L"]);
        let short = bounded_argv("tool", &[], Instant::now() + Duration::from_millis(4_900));
        assert_eq!(short[3], "4", "of a timeout of 5 s, most of which is left");
    }

    #[tokio::test]
    async fn a_deadline_that_is_almost_over_still_gives_the_far_side_a_second() {
        assert_eq!(bounded_argv("tool", &[], Instant::now())[3], "1");
    }
}
