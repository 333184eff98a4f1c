//! The standard output of a command that keeps printing.
//!
//! Read in pieces of bounded size, and only when somebody asks: a reader that falls behind makes the command
//! wait in its write. Nothing is kept here.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

use super::local::{cannot_start, clean_command, group_of, signal_group};
use super::program_of;
use super::scripted::SimulatedLoop;
use crate::reading::Failure;

/// The longest life of a command that keeps printing, on its side. For longer it is started anew.
pub const STREAM_BOUND: Duration = Duration::from_mins(15);

/// The most bytes of one piece: some passes of eight GPUs.
const PIECE: usize = 8 << 10;

/// A command that keeps printing. Dropping it ends the command: here by TERM, over SSH by the closed pipe at
/// its next write.
#[derive(Debug)]
pub struct Stream {
    source: Source,
    piece: Box<[u8; PIECE]>,
}

#[derive(Debug)]
enum Source {
    Local(LocalChild),
    Ssh(Box<openssh::Child<Arc<openssh::Session>>>),
    Scripted(Box<SimulatedLoop>),
}

#[derive(Debug)]
struct LocalChild(Child);

impl Drop for LocalChild {
    fn drop(&mut self) {
        signal_group(group_of(&self.0), Signal::TERM);
    }
}

impl Stream {
    pub(super) fn local(argv: &[String]) -> Result<Self, Failure> {
        let (program, args) = program_of(argv)?;
        let mut command = clean_command(program);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().map_err(|error| cannot_start(program, &error))?;
        Ok(Self::of(Source::Local(LocalChild(child))))
    }

    pub(super) fn ssh(child: openssh::Child<Arc<openssh::Session>>) -> Self {
        Self::of(Source::Ssh(Box::new(child)))
    }

    pub(super) fn scripted(simulated: SimulatedLoop) -> Self {
        Self::of(Source::Scripted(Box::new(simulated)))
    }

    fn of(source: Source) -> Self {
        Self { source, piece: Box::new([0; PIECE]) }
    }

    /// The bytes that were printed next; empty at the end. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub async fn next(&mut self) -> io::Result<&[u8]> {
        let piece = &mut *self.piece;
        let n_read = match &mut self.source {
            Source::Local(LocalChild(child)) => read(child.stdout.as_mut(), piece).await?,
            Source::Ssh(child) => read(child.stdout().as_mut(), piece).await?,
            Source::Scripted(simulated) => simulated.next(piece).await,
        };
        Ok(self.piece.get(..n_read).unwrap_or_default())
    }
}

async fn read(pipe: Option<&mut (impl AsyncRead + Unpin)>, piece: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(piece).await,
        None => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The lines that a command has printed once there are `n` of them.
    async fn lines(stream: &mut Stream, n: usize) -> Vec<String> {
        let mut text = String::new();
        while text.lines().count() < n {
            let piece = stream.next().await.unwrap();
            assert!(!piece.is_empty(), "it ended: {text}");
            text.push_str(std::str::from_utf8(piece).unwrap());
        }
        text.lines().map(str::to_owned).collect()
    }

    fn shell(script: &str) -> Stream {
        Stream::local(&["sh", "-c", script].map(str::to_owned)).unwrap()
    }

    #[tokio::test]
    async fn what_is_printed_comes_at_once_and_dropping_ends_all_that_was_started() {
        let mut stream = shell("echo $$; sleep 600 & echo $!; wait");
        let pids: Vec<String> = lines(&mut stream, 2).await;
        drop(stream);
        let is_there = |pid: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while pids.iter().any(is_there) {
            assert!(Instant::now() < deadline, "something is left of it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn the_end_is_empty_and_stays_so() {
        let mut stream = shell("echo one");
        assert_eq!(lines(&mut stream, 1).await, ["one"]);
        for _ in 0..2 {
            assert!(stream.next().await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_flood_comes_in_pieces_and_waits_for_its_reader() {
        let mut stream = shell("yes");
        for _ in 0..100 {
            assert!((1..=PIECE).contains(&stream.next().await.unwrap().len()));
        }
    }
}
