//! The program itself, run as an operator would, with folders of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too"
)]

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::ConnectOptions;

use crate::energies::Energies;
use crate::fleet::Fleet;

/// State, sockets and home of a fleetwatt that shares nothing with any other.
pub(crate) struct Home {
    /// Short, since control sockets are in it.
    dir: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a run of the program came to.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// The most memory that it had at any time we looked, in KiB.
    pub(crate) peak_kib: u64,
}

/// A row of the timeline: event type, source, value, metadata.
pub(crate) type Row = (String, String, Option<f64>, Value);

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("fw-").tempdir_in("/tmp").unwrap();
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { dir, variables: Vec::new() }
    }

    /// The same with a variable in the environment.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes an inventory of its own.
    pub(crate) fn inventory(&self, text: &str) -> PathBuf {
        let path = self.path("inventory.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The program with its environment, for whoever does more with it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_fleetwatt"), args)
    }

    /// Another program with the same environment.
    pub(crate) fn command_of(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.dir.path()).env("TMPDIR", self.path("tmp"));
        command.env("STATE_DIRECTORY", self.path("s")).env("RUNTIME_DIRECTORY", self.path("r"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let started_at = Instant::now();
        let mut child = self.start(args);
        let out = read_all(child.stdout.take().unwrap());
        let err = read_all(child.stderr.take().unwrap());
        let mut peak_kib = 0;
        let status = loop {
            peak_kib = peak_kib.max(peak_of(child.id()).unwrap_or(0));
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let (stdout, stderr) = (out.join().unwrap(), err.join().unwrap());
        Ran { code: status.code(), stdout, stderr, took: started_at.elapsed(), peak_kib }
    }

    /// One `poll` of a fleet.
    pub(crate) fn poll(&self, inventory: &Path, args: &[&str]) -> Ran {
        let inventory = inventory.to_str().unwrap();
        self.run(&[&["poll", "--inventory", inventory], args].concat())
    }

    /// All rows of the SQLite timeline, in their order; none if there is no file.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let sql = "SELECT event_type, source, value, metadata FROM unified_timeline ORDER BY id";
        let rows: Vec<(String, String, Option<f64>, String)> = self.query(sql);
        let row = |(event_type, source, value, metadata): (_, _, _, String)| {
            (event_type, source, value, serde_json::from_str(&metadata).unwrap())
        };
        rows.into_iter().map(row).collect()
    }

    /// What the SQLite timeline answers; nothing if there is no file.
    pub(crate) fn query<T>(&self, sql: &'static str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + Send + Unpin,
    {
        let path = self.path("s/fleetwatt.db");
        if !path.exists() {
            return Vec::new();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut database =
                sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            match sqlx::query_as(sql).fetch_all(&mut database).await {
                // A file without its table is one whose first opener was ended, or has not come so far.
                Err(error) if error.to_string().contains("no such table") => Vec::new(),
                rows => rows.unwrap(),
            }
        })
    }

    /// The energies of the SQLite timeline.
    pub(crate) fn energies(&self) -> Energies {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Energies::of_file(&self.path("s/fleetwatt.db")))
    }

    /// Every path below the home, with the size of what is a file.
    pub(crate) fn everything(&self) -> BTreeSet<(PathBuf, u64)> {
        fn below(dir: &Path, found: &mut BTreeSet<(PathBuf, u64)>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let metadata = entry.metadata().unwrap();
                found.insert((entry.path(), if metadata.is_file() { metadata.len() } else { 0 }));
                below(&entry.path(), found);
            }
        }
        let mut found = BTreeSet::new();
        below(self.dir.path(), &mut found);
        found
    }

    /// Everything in the runtime directory: the sockets of masters, and what is beside each.
    pub(crate) fn runtime_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("r")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// The sockets of the masters that are kept for the next run.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        self.runtime_files().into_iter().filter(|path| path.extension().is_none()).collect()
    }
}

/// Masters outlive the program on purpose, and their folder is going away.
impl Drop for Home {
    fn drop(&mut self) {
        for pid in masters_below(self.dir.path()) {
            signal(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The processes of ssh masters whose sockets are below a folder.
pub(crate) fn masters_below(dir: &Path) -> Vec<i32> {
    let needle = dir.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_master = |pid: &i32| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline);
        cmdline.starts_with("ssh") && cmdline.contains(needle)
    };
    pids.filter(is_master).collect()
}

pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        rustix::process::kill_process(pid, signal).unwrap_or_default();
    }
}

/// The rows of one event type.
pub(crate) fn of_type<'a>(rows: &'a [Row], event_type: &str) -> Vec<&'a Row> {
    rows.iter().filter(|row| row.0 == event_type).collect()
}

/// The outcome of each host in the timeline, as `node: outcome`.
pub(crate) fn outcomes(rows: &[Row]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = |row: &&Row| format!("{}: {}", text(&row.3["node"]), text(&row.3["outcome"]));
    of_type(rows, "node_up").iter().map(outcome).collect()
}

/// How often each host of a fleet let us in.
pub(crate) fn logins(fleet: &Fleet) -> Vec<usize> {
    fleet.names().iter().map(|name| fleet.logins(name)).collect()
}

/// Reads a stream to its end beside us, so that its pipe never fills.
fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
}

fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Waits until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
