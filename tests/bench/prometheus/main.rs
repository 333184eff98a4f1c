//! What scrapes cost the daemon: `tests/bench/scrapes`.
//!
//! A daemon polls played hosts of eight GPUs while clients scrape it. One run has a time without scrapes and one with them,
//! so that the two are compared on the same machine.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;

/// Measures `/metrics` of a daemon with many hosts, and its cycles with and without clients.
#[derive(Parser)]
struct Args {
    /// An empty folder.
    #[arg(long)]
    dir: PathBuf,
    /// Number of hosts, each with eight GPUs.
    #[arg(long, default_value_t = 400)]
    hosts: usize,
    /// Scrapes a second.
    #[arg(long, default_value_t = 1_000)]
    scrapes: u32,
    /// Length of each of both times, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

/// The daemon; ended when it is dropped.
struct Daemon {
    child: Child,
    port: u16,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn main() {
    let args = Args::parse();
    let daemon = start(&args);
    let body = wait_for(&daemon, |body| body.contains("fleetwatt_gpu_energy_joules_total"));
    let series = body.lines().filter(|line| !line.starts_with('#')).count();
    println!("{} hosts, {} GPUs: {series} series, {} bytes", args.hosts, args.hosts * 8, body.len());
    first_of_a_cycle(&daemon);
    let before = peak_kib(daemon.child.id());
    let quiet = cycles(&daemon, args.seconds);
    let n_done = AtomicU64::new(0);
    let busy = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| scrape(&daemon, &args, &n_done));
        }
        cycles(&daemon, args.seconds)
    });
    let n_done = n_done.into_inner();
    println!("cycles without scrapes  {:>8.1?}", median(quiet.clone()));
    println!(
        "cycles with scrapes     {:>8.1?}  {:.2} times, {} scrapes a second",
        median(busy.clone()),
        median(busy).as_secs_f64() / median(quiet).as_secs_f64(),
        n_done / u64::from(args.seconds)
    );
    println!("memory at most          {before} KiB before, {} KiB after", peak_kib(daemon.child.id()));
}

const CLIENTS: u32 = 16;

fn start(args: &Args) -> Daemon {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo/h100x8.toml");
    let mut text = "[cycle]\ninterval = \"2s\"\n[defaults]\ntimeout = \"1900ms\"\nconnect_timeout = \"1s\"\n\
                    [ledger]\nmax_gap = \"1m\"\n[prometheus]\nmax_series = 1000000\n"
        .to_owned();
    for host in 0..args.hosts {
        write!(text, "[[host]]\nname = \"node{host:04}\"\nscripted = \"{}\"\n", scene.display()).unwrap();
    }
    let inventory = args.dir.join("inventory.toml");
    std::fs::write(&inventory, text).unwrap();
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("fleetwatt");
    let mut command = Command::new(program);
    command.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--inventory"]).arg(inventory);
    command.env("STATE_DIRECTORY", args.dir.join("s")).env("RUNTIME_DIRECTORY", args.dir.join("r"));
    command.stdin(Stdio::null()).stderr(std::fs::File::create(args.dir.join("log")).unwrap());
    Daemon { child: command.spawn().unwrap(), port }
}

/// The body of `/metrics`, and how long it took; `None` where it is not served.
fn get(port: u16, headers: &str) -> Option<(Vec<u8>, Duration)> {
    let began_at = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: a\r\n{headers}\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.1 200 ").then(|| (answer.split_off(end + 4), began_at.elapsed()))
}

fn wait_for(daemon: &Daemon, is_wanted: impl Fn(&str) -> bool) -> String {
    loop {
        if let Some((body, _)) = get(daemon.port, "") {
            let body = String::from_utf8(body).unwrap();
            if is_wanted(&body) {
                return body;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The first scrape after a cycle renders it, the next one does not.
fn first_of_a_cycle(daemon: &Daemon) {
    for (name, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
        let (mut firsts, mut others) = (Vec::new(), Vec::new());
        let mut last = Vec::new();
        while firsts.len() < 6 {
            let (body, took) = get(daemon.port, headers).unwrap();
            if body == last {
                others.push(took)
            } else {
                firsts.push(took)
            }
            last = body;
            std::thread::sleep(Duration::from_millis(20));
        }
        println!(
            "/metrics {name:5}  first of a cycle {:>8.1?}, others {:>8.1?}",
            median(firsts),
            median(others)
        );
    }
}

/// The lengths of the cycles in some seconds, as the daemon says them.
fn cycles(daemon: &Daemon, seconds: u32) -> Vec<Duration> {
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let mut cycles = std::collections::BTreeMap::new();
    while Instant::now() < until {
        if let Some((body, _)) = get(daemon.port, "") {
            let body = String::from_utf8(body).unwrap();
            let value = |name: &str| -> f64 {
                let line = body.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.trim().parse().unwrap()
            };
            let began_at = value("fleetwatt_last_cycle_timestamp_seconds ").to_bits();
            cycles.insert(began_at, Duration::from_secs_f64(value("fleetwatt_cycle_duration_seconds ")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    cycles.into_values().collect()
}

/// One of the clients, which together scrape at the wanted pace.
fn scrape(daemon: &Daemon, args: &Args, n_done: &AtomicU64) {
    let pause = Duration::from_secs(1) * CLIENTS / args.scrapes;
    let (began_at, mut n) = (Instant::now(), 0);
    while began_at.elapsed() < Duration::from_secs(args.seconds.into()) {
        if get(daemon.port, "Accept-Encoding: gzip\r\n").is_some() {
            n_done.fetch_add(1, Ordering::Relaxed);
        }
        n += 1;
        std::thread::sleep((pause * n).saturating_sub(began_at.elapsed()));
    }
}

/// The most memory that a process had so far, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}
