//! How fast the ledger is kept, read and computed again, beside the bare SQL of its database: `tests/bench/report`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]

mod fill;
mod keep;
#[path = "../../it/postgres.rs"]
mod postgres;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use fill::{Place, Size};

/// Fills a ledger in SQLite and in PostgreSQL, and measures what is done with it.
#[derive(Parser)]
struct Args {
    /// An empty folder.
    #[arg(long)]
    dir: PathBuf,
    /// Number of GPUs, eight a node.
    #[arg(long, default_value_t = 800)]
    gpus: i64,
    /// Number of days.
    #[arg(long, default_value_t = 30)]
    days: i64,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rows of the timeline for a rebuild; 0 for none.
    #[arg(long, default_value_t = 10_000_000)]
    timeline_rows: i64,
    /// Only one database: `sqlite` or `postgresql`.
    #[arg(long)]
    only: Option<String>,
}

/// A run of the program.
struct Ran {
    took: Duration,
    /// Its processor time, user's and system's, in steps of 10 ms.
    cpu: Duration,
    peak_mib: u64,
    bytes: usize,
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for place in places(&args).await {
            println!("\n{} ({} GPUs, {} days)", place.name, args.gpus, args.days);
            report(&args, &place).await;
            keep::measure(&place, args.rounds).await;
            if args.timeline_rows > 0 {
                rebuild(&args, &place).await;
            }
        }
    });
}

async fn places(args: &Args) -> Vec<Place> {
    let wants = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    let mut places = Vec::new();
    if wants("sqlite") {
        places.push(Place::sqlite(&args.dir.join("sqlite")));
    }
    if wants("postgresql") {
        places.push(Place::postgres(&args.dir.join("postgresql")).await);
    }
    places
}

/// The program beside this one.
fn program() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("fleetwatt")
}

fn command(place: &Place, inventory: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).arg("--inventory").arg(place.dir.join(inventory));
    command.env("STATE_DIRECTORY", place.dir.join("s")).env("RUNTIME_DIRECTORY", place.dir.join("r"));
    command.stdin(Stdio::null());
    command
}

/// Runs the program, with its output in a file.
fn run(place: &Place, inventory: &str, args: &[&str]) -> Ran {
    let path = place.dir.join("output");
    let output = std::fs::File::create(&path).unwrap();
    let (began_at, cpu_before) = (Instant::now(), cpu_of_children());
    let mut child = command(place, inventory, args).stdout(output).spawn().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_of(child.id()));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let took = began_at.elapsed();
    assert!(status.success(), "{args:?}: {status}");
    Ran {
        took,
        cpu: cpu_of_children() - cpu_before,
        peak_mib: peak_kib / 1_024,
        bytes: std::fs::read(&path).unwrap().len(),
    }
}

/// The processor time of all processes that this one has waited for.
fn cpu_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// The most memory that a process had so far, in KiB.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// What `ledger status` says of the ledger's size.
fn size_on_disk(place: &Place) -> String {
    let output = command(place, "flat.toml", &["ledger", "status"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("size ")).unwrap().trim().to_owned()
}

/// Reports against the bare sum, in turn.
async fn report(args: &Args, place: &Place) {
    let size = Size { gpus: args.gpus, days: args.days };
    let began_at = Instant::now();
    place.write_inventories(size);
    assert!(
        command(place, "flat.toml", &["store", "init"]).stdout(Stdio::null()).status().unwrap().success()
    );
    place.fill_ledger(size).await;
    println!("  filled {} rows in {:.1?}", size.rows(), began_at.elapsed());
    println!("  the ledger on the disk          {}", size_on_disk(place));
    let (from, to) = size.range();
    let range = ["report", "--from", from.as_str(), "--to", to.as_str()];
    let by_node = [&range[..], &["--by", "node", "--format", "csv"]].concat();
    let page = [&range[..], &["--format", "html"]].concat();
    let text = [&range[..], &["--by", "node"]].concat();
    let (mut bare, mut peaks) = (Vec::new(), Vec::new());
    let ways = [
        ("flat.toml", &by_node),
        ("quarters.toml", &by_node),
        ("quarters.toml", &text),
        ("quarters.toml", &page),
    ];
    let mut runs: [Vec<Ran>; 4] = Default::default();
    for _ in 0..args.rounds {
        bare.push(place.bare_sum(size).await);
        peaks.push(place.bare_peaks(size).await);
        for ((inventory, args), runs) in ways.iter().zip(&mut runs) {
            runs.push(run(place, inventory, args));
        }
    }
    let bare = median(bare);
    let peaks = median(peaks);
    println!("  bare SQL sum by node            {bare:>9.2?}");
    let ratio = |took: Duration| took.as_secs_f64() / bare.as_secs_f64();
    println!("  bare SQL, peak quarter by node  {peaks:>9.2?}  {:.2} times the sum", ratio(peaks));
    let names =
        ["report --by node, flat price", "the same, prices of 15 minutes", "the same as text", "the page"];
    for (name, runs) in names.iter().zip(&runs) {
        let took = median(runs.iter().map(|run| run.took).collect());
        let cpu = median(runs.iter().map(|run| run.cpu).collect());
        let peak = runs.iter().map(|run| run.peak_mib).max().unwrap_or_default();
        let bytes = runs.first().map_or(0, |run| run.bytes);
        println!(
            "  {name:31} {took:>9.2?}  {:.2} times the sum, {cpu:.0?} of CPU, {peak} MiB at most, {bytes} bytes",
            ratio(took)
        );
    }
}

/// The ledger computed again from the timeline's rows.
async fn rebuild(args: &Args, place: &Place) {
    let began_at = Instant::now();
    place.fill_timeline(args.gpus, args.timeline_rows).await;
    println!("  filled {} rows of the timeline in {:.1?}", args.timeline_rows, began_at.elapsed());
    let ran = run(place, "flat.toml", &["ledger", "rebuild"]);
    println!(
        "  ledger rebuild                  {:>9.1?}  {:.1?} of CPU, {} MiB at most",
        ran.took, ran.cpu, ran.peak_mib
    );
    place.empty().await;
}

/// Removes and creates a folder.
fn fresh(dir: &Path) {
    std::fs::remove_dir_all(dir).unwrap_or_default();
    std::fs::create_dir_all(dir).unwrap();
}
