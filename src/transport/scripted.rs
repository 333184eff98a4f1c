//! Runs a scenario as a session: its file is read here, and a simulated host delays, hangs, floods and loops
//! as a real one would.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{MAX_STDOUT, no_answer};
use crate::probe::Output;
use crate::probe::simulated::{Behavior, PassOutput, Scenario, ScenarioError};
use crate::reading::Failure;
use crate::support::regular_file;

/// A capture of every field of hundreds of boards has less.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads a scenario and its dump.
///
/// # Errors
/// One of the files cannot be read, or is not what it should be.
pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    Scenario::parse(&read(path)?, path, |dump| {
        // Through links, so that a scenario may be linked into a host's folder.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        read(&real.parent().unwrap_or(Path::new(".")).join(dump))
    })
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    regular_file::read_text(path, MAX_FILE_BYTES)
        .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })
}

/// Answers a command from a scenario. It may also hang or flood.
pub(super) async fn run(scenario: &Scenario, args: &[String], deadline: Instant) -> Result<Output, Failure> {
    let started_at = Instant::now();
    let reply = scenario.answer(args);
    let mut output = Output {
        stdout: reply.stdout,
        stderr: reply.stderr,
        exit: Some(reply.exit),
        truncated: false,
        took: Duration::ZERO,
    };
    match reply.behavior {
        Behavior::Answer => (),
        Behavior::Delay(delay) if Instant::now() + delay < deadline => sleep(delay).await,
        Behavior::Delay(_) | Behavior::Loop(_) | Behavior::Hang | Behavior::HangIgnoringTerm => {
            sleep_until(deadline).await;
            return Err(no_answer(started_at));
        }
        Behavior::Killed => output.exit = None,
        Behavior::Flood { .. } => {
            output.stdout.resize(MAX_STDOUT, b'y');
            output.truncated = true;
            output.exit = None;
        }
    }
    output.took = started_at.elapsed();
    Ok(output)
}

/// A simulated command that keeps printing, at its pace.
#[derive(Debug)]
pub(super) struct SimulatedLoop {
    scenario: Scenario,
    args: Vec<String>,
    number: u64,
    next_at: Instant,
    pause: Duration,
    /// Printed and not read yet.
    printed: Vec<u8>,
    is_over: bool,
}

impl SimulatedLoop {
    pub(super) fn new(scenario: Scenario, args: &[String]) -> Self {
        Self {
            scenario,
            args: args.to_vec(),
            number: 0,
            next_at: Instant::now(),
            pause: Duration::ZERO,
            printed: Vec::new(),
            is_over: false,
        }
    }

    /// Fills a piece with what is printed next; 0 at the end.
    pub(super) async fn next(&mut self, piece: &mut [u8]) -> usize {
        if self.printed.is_empty() && !self.is_over {
            sleep_until(self.next_at).await;
            self.print().await;
        }
        let n = self.printed.len().min(piece.len());
        for (to, from) in piece.iter_mut().zip(self.printed.drain(..n)) {
            *to = from;
        }
        n
    }

    async fn print(&mut self) {
        if self.number == 0 {
            let first = self.scenario.answer(&self.args);
            let Behavior::Loop(pause) = first.behavior else {
                self.is_over = true;
                self.printed = first.stdout;
                return;
            };
            self.pause = pause;
        }
        match self.scenario.pass(&self.args, self.number) {
            PassOutput::Rows(rows) => {
                self.number += 1;
                self.next_at = Instant::now() + self.pause;
                self.printed = rows;
            }
            PassOutput::Stalled => std::future::pending().await,
            PassOutput::Died(message, _exit) => {
                self.is_over = true;
                self.printed = message;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_prints_at_its_pace() {
        let scenario = Scenario::parse("", Path::new("a.toml"), read).unwrap();
        let args = ["--query-gpu=index", "--format=csv,noheader", "--loop-ms=250"].map(str::to_owned);
        let mut simulated = SimulatedLoop::new(scenario, &args);
        let started_at = Instant::now();
        for _ in 0..5 {
            let mut piece = [0; 16];
            assert_eq!(simulated.next(&mut piece).await, 2);
            assert_eq!(piece[..2], *b"0\n");
        }
        assert_eq!(started_at.elapsed(), Duration::from_secs(1));
    }
}
