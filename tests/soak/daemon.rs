//! The program under test: one life after the other, each with a log of its own.

#![allow(clippy::disallowed_methods, reason = "the soak starts the program as an operator would")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What the log says of a batch from which on it may not be lost.
const KEPT: &str = "batch kept";

/// The folder of the program's control sockets, in its own.
const SOCKETS: &str = "r";

/// How long the program may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(15);

/// `fleetwatt run`, living.
#[derive(Debug)]
pub(crate) struct Daemon {
    dir: PathBuf,
    child: Child,
    n_lives: u32,
    /// How lives ended that nobody ended.
    pub(crate) own_ends: Vec<String>,
}

impl Daemon {
    pub(crate) fn start(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir.join("log"))?;
        let child = live(dir, 1)?;
        Ok(Self { dir: dir.to_owned(), child, n_lives: 1, own_ends: Vec::new() })
    }

    pub(crate) fn n_lives(&self) -> u32 {
        self.n_lives
    }

    /// Whether this life has kept a batch already.
    pub(crate) fn has_kept(&self) -> bool {
        fs::read_to_string(log(&self.dir, self.n_lives)).is_ok_and(|log| log.contains(KEPT))
    }

    /// Starts it again if it ended by itself, which is a violation.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(log(&self.dir, self.n_lives))?;
            let last = log.lines().rev().find(|line| !line.contains("DEBUG")).unwrap_or_default();
            self.own_ends.push(format!("life {} ended with {status}: {last}", self.n_lives));
            self.next_life()?;
        }
        Ok(())
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.watch()?;
        self.child.kill()?;
        self.child.wait()?;
        self.next_life()
    }

    fn next_life(&mut self) -> io::Result<()> {
        self.n_lives += 1;
        self.child = live(&self.dir, self.n_lives)?;
        Ok(())
    }

    /// SIGTERM; says how it ended.
    pub(crate) fn end(&mut self) -> io::Result<String> {
        self.watch()?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or_else(|| io::Error::other("it has no process"))?, Signal::TERM)?;
        let deadline = Instant::now() + END_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code().map_or(status.to_string(), |code| code.to_string()));
            }
            if deadline < Instant::now() {
                return Ok(format!("still there after {END_WITHIN:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `fleetwatt` with other words, to its end.
    pub(crate) fn call(dir: &Path, args: &[&str]) -> io::Result<Output> {
        command(dir, args)?.output()
    }

    /// What was acknowledged in all lives: batches, and how many rows each has.
    pub(crate) fn acknowledged(&self) -> io::Result<BTreeMap<String, i64>> {
        let mut batches = BTreeMap::new();
        for life in 1..=self.n_lives {
            let text = fs::read_to_string(log(&self.dir, life))?;
            // A kill may leave half a line at the end.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines().filter(|line| line.contains(KEPT)) {
                let field = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
                let (Some(batch), Some(rows)) = (field("batch="), field("rows=")) else {
                    return Err(io::Error::other(format!("not understood: {line}")));
                };
                batches.insert(batch.to_owned(), rows.parse().map_err(io::Error::other)?);
            }
        }
        Ok(batches)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        for master in masters(&self.dir) {
            kill_process(master, Signal::KILL).ok();
        }
    }
}

/// The ssh masters that the program in a folder has started, in the order of their process numbers.
pub(crate) fn masters(dir: &Path) -> Vec<Pid> {
    let sockets = dir.join(SOCKETS);
    let needle = sockets.to_string_lossy();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.retain(|pid| {
        let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline);
        cmdline.starts_with("ssh") && cmdline.contains(&*needle)
    });
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

fn log(dir: &Path, life: u32) -> PathBuf {
    dir.join("log").join(format!("{life:04}.log"))
}

fn live(dir: &Path, life: u32) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(log(dir, life))?;
    command(dir, &["run"])?.stdout(Stdio::null()).stderr(log).spawn()
}

fn command(dir: &Path, args: &[&str]) -> io::Result<Command> {
    // Cargo puts the program one folder above the examples.
    let this = std::env::current_exe()?;
    let program = this.ancestors().nth(2).map(|folder| folder.join("fleetwatt"));
    let mut command = Command::new(program.ok_or_else(|| io::Error::other("no folder of programs"))?);
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", dir).env("FLEETWATT_LOG", "fleetwatt=debug");
    command.env("FLEETWATT_INVENTORY", dir.join("inventory.toml"));
    command.env("STATE_DIRECTORY", dir.join("state")).env("RUNTIME_DIRECTORY", dir.join(SOCKETS));
    command.stdin(Stdio::null());
    Ok(command)
}
