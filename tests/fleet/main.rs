//! Starts a fleet by hand: `cargo run --example fleet -- start --hosts 8`.

mod fleet;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::signal::unix::{SignalKind, signal};

use fleet::{Fleet, HostPlan, Mode};

/// Where a fleet is, if nothing else is said.
const DEFAULT_DIR: &str = "/tmp/fleet";
/// The process in the foreground, for `stop`.
const PID_FILE: &str = "fleet.pid";

/// How long the process in the foreground may take to stop its fleet.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// A fleet of real sshd's on loopback addresses, each with a played nvidia-smi behind it.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Start a fleet, and keep it until Ctrl-C or SIGTERM.
    Start(Start),
    /// Stop the fleet in a folder.
    Stop {
        /// The fleet's folder.
        #[arg(long, default_value = DEFAULT_DIR)]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
struct Start {
    /// How many hosts: node001 and so on.
    #[arg(long, default_value_t = 8)]
    hosts: usize,
    /// How many GPUs each has.
    #[arg(long, default_value_t = 1)]
    gpus: u16,
    /// A folder that is not there or empty; removed at the end.
    #[arg(long, default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// The captured full dump that all play [default: a loaded H100].
    #[arg(long)]
    dump: Option<PathBuf>,
    /// NODE=VALUE: a scene file, a fault (`hang`), a line of a scene (`handle-lost=1`), or one of
    /// down, refuse-key, changed-key, unknown-key, blackhole.
    #[arg(long = "scene", value_name = "NODE=VALUE")]
    scenes: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Cmd::Start(start) => run(&start),
        Cmd::Stop { dir } => stop(&dir),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "fleet: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(start: &Start) -> io::Result<()> {
    let plans = plans(start)?;
    fs::create_dir_all(&start.dir)?;
    if fs::read_dir(&start.dir)?.next().is_some() {
        let words = "is not empty: another fleet may run there; `stop` it, or remove it";
        return Err(io::Error::other(format!("{} {words}", start.dir.display())));
    }
    let result = keep(start, plans);
    // The folder was empty: whatever is in it is the fleet's.
    fs::remove_dir_all(&start.dir)?;
    result
}

fn keep(start: &Start, plans: Vec<HostPlan>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the first sshd: whoever interrupts the start must not leave them behind.
    let (mut interrupts, mut terms) = runtime.block_on(async {
        io::Result::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    let since = Instant::now();
    let fleet = Fleet::start_in(&start.dir, plans)?;
    fs::write(start.dir.join(PID_FILE), std::process::id().to_string())?;
    let dir = fleet.dir().display();
    writeln!(
        io::stdout(),
        "{n} hosts up in {seconds:.1} s\n\
         try:  ssh -F {dir}/ssh_config node001 nvidia-smi --query-gpu=name,power.draw --format=csv\n\
         poll: fleetwatt --inventory {dir}/inventory.toml poll --dry-run\n\
         Ctrl-C stops them all.",
        n = start.hosts,
        seconds = since.elapsed().as_secs_f64(),
    )?;
    runtime.block_on(async {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terms.recv() => {}
        }
    });
    drop(fleet);
    Ok(())
}

fn plans(start: &Start) -> io::Result<Vec<HostPlan>> {
    let mut common = format!("gpus = {}\n", start.gpus);
    if let Some(dump) = &start.dump {
        common.push_str(&format!("dump = {:?}\n", fs::canonicalize(dump)?));
    }
    let mut plans = HostPlan::many(start.hosts, &common);
    for scene in &start.scenes {
        let wrong = |why: &str| io::Error::other(format!("--scene {scene}: {why}"));
        let (name, value) = scene.split_once('=').ok_or_else(|| wrong("must be NODE=VALUE"))?;
        let plan = plans.iter_mut().find(|plan| plan.name == name).ok_or_else(|| wrong("no such node"))?;
        if let Some((_, mode)) = Mode::ALL.iter().find(|(word, _)| *word == value) {
            plan.mode = *mode;
        } else if Path::new(value).is_file() {
            *plan = HostPlan::from_file(name, Path::new(value))?;
        } else if let Some((key, value)) = value.split_once('=') {
            let quote = if value.parse::<u32>().is_ok() { "" } else { "'" };
            plan.scene.push_str(&format!("{key} = {quote}{value}{quote}\n"));
        } else {
            plan.scene.push_str(&format!("fault = '{value}'\n"));
        }
    }
    Ok(plans)
}

fn stop(dir: &Path) -> io::Result<()> {
    let pid = fs::read_to_string(dir.join(PID_FILE))?;
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("its pid file holds no process id"))?;
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    if exe.file_name().is_some_and(|name| name == "fleet") {
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_WITHIN;
        while test_kill_process(pid).is_ok() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("process {pid} does not end")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        return Ok(());
    }
    // It was killed, and left its sshd's behind.
    fleet::sweep(dir)?;
    fs::remove_dir_all(dir)
}
