//! Sampling between cycles over real sshd's: what is printed there is what is counted here, over one login
//! and one process a host, of which nothing stays behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "helpers of tests are tests too"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fleetwatt::batch::{Batch, HostReport};
use fleetwatt::reading::{Power, PowerSamples};
use fleetwatt::transport::{Connections, MasterLifetime, RuntimeDir};
use rustix::process::Signal;

use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, logins, masters_below, signal};
use crate::sampling::{Cycles, hosts};

const SECOND: Duration = Duration::from_secs(1);

/// What every host draws in the first sweep of a loop; each later one of ten is a watt more.
const WATTS: i64 = 100;

/// Held by who has a [`Site`], since what they measure is the pace of this machine.
static ALONE: Mutex<()> = Mutex::new(());

/// Hosts that write down each sweep that they print.
struct Site {
    fleet: Fleet,
    home: Home,
    /// Dropped last.
    _alone: MutexGuard<'static, ()>,
}

impl Site {
    fn new(n_hosts: usize, scene: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = Home::new();
        let plan = |number: usize| {
            let log = home.path(&format!("log{number}"));
            let scene = with_power(&format!("loop-log = '{}'\n{scene}", log.display()));
            HostPlan::new(&format!("node{number:03}"), &scene)
        };
        let plans: Vec<HostPlan> = (1..=n_hosts).map(plan).collect();
        Self { fleet: Fleet::start(plans).unwrap(), home, _alone: alone }
    }

    fn inventory(&self, sample: &str) -> PathBuf {
        let text = std::fs::read_to_string(self.fleet.inventory()).unwrap();
        self.home.inventory(
            &text.replace("timeout = \"15s\"", &format!("timeout = \"15s\"\nsample = \"{sample}\"")),
        )
    }

    fn cycles(&self, sample: &str, interval: Duration) -> Cycles {
        cycles(&self.inventory(sample), &self.home.path("r"), interval)
    }

    /// The processes that printed sweeps on a host, and how many sweeps.
    fn printed(&self, host: usize) -> (Vec<i32>, u64) {
        let log = std::fs::read_to_string(self.home.path(&format!("log{host}"))).unwrap_or_default();
        let mut pids: Vec<i32> =
            log.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
        pids.dedup();
        (pids, u64::try_from(log.lines().count()).unwrap())
    }

    /// Waits until no loop runs anywhere, and says how long that took.
    fn wait_for_quiet(&self, within: Duration) -> Duration {
        let started_at = Instant::now();
        while self.fleet.names().iter().any(|name| self.fleet.running(name) > 0) {
            assert!(started_at.elapsed() < within, "a loop still runs");
            std::thread::sleep(Duration::from_millis(10));
        }
        started_at.elapsed()
    }
}

/// A scene whose hosts draw [`WATTS`].
fn with_power(scene: &str) -> String {
    let power = ["power.draw", "power.draw.instant"].map(|name| format!("'{name}' = '{WATTS}.00 W'"));
    format!("{scene}\n[set]\n{}", power.join("\n"))
}

fn cycles(inventory: &Path, runtime: &Path, interval: Duration) -> Cycles {
    let runtime = RuntimeDir::create(runtime).unwrap();
    Cycles::new(&hosts(inventory), Connections::new(Some(runtime), MasterLifetime::Process, 64), interval)
}

async fn shut(cycles: Cycles) {
    cycles.engine.shutdown(tokio::time::Instant::now() + 5 * SECOND).await;
}

fn samples(report: &HostReport) -> Vec<PowerSamples> {
    report.gpus.iter().filter_map(|gpu| gpu.power_samples.as_deref().copied()).collect()
}

/// Checks one cycle against the sweeps that it must be made of: those from `from` on.
fn check_sweeps(samples: &PowerSamples, from: u64) {
    let watts =
        (from..from + samples.counts.n_samples).map(|sweep| WATTS + i64::try_from(sweep % 10).unwrap());
    let watts: Vec<i64> = watts.collect();
    let n = i64::try_from(watts.len()).unwrap();
    let mean = (2 * 1000 * watts.iter().sum::<i64>() + n) / (2 * n);
    let milli = |watts: Option<&i64>| Power::from_milliwatts(watts.unwrap() * 1000);
    assert_eq!((samples.min, samples.max), (milli(watts.iter().min()), milli(watts.iter().max())));
    assert_eq!(samples.mean, Power::from_milliwatts(mean));
    let covered = i64::try_from(samples.covered.as_millis()).unwrap();
    let energy = samples.energy.millijoules();
    assert!((WATTS * covered - 1000..=(WATTS + 9) * (covered + 1)).contains(&energy), "{samples:?}");
    assert_eq!(samples.counts.n_absent, 0);
}

/// Runs one cycle, checks it against what was printed, and adds what it counted of each host.
async fn count_one(cycles: &mut Cycles, counted: &mut [u64]) {
    let batch = cycles.next().await;
    for (report, counted) in batch.reports.iter().zip(counted) {
        let samples = samples(report);
        assert_eq!(report.outcome.label(), "complete", "{:?}", report.faults);
        if let [one, other] = &samples[..] {
            assert_eq!(one.counts.n_samples, other.counts.n_samples, "both GPUs are in every sweep");
            samples.iter().for_each(|samples| check_sweeps(samples, *counted));
            *counted += one.counts.n_samples;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_samples_a_second_of_four_hosts_are_all_in_their_cycles() {
    let site = Site::new(4, "gpus = 2");
    let mut cycles = site.cycles("100ms", SECOND);
    let mut counted = [0_u64; 4];
    for _ in 0..4 {
        count_one(&mut cycles, &mut counted).await;
    }
    assert!(counted.iter().all(|n| *n > 10), "{counted:?}");
    let commands: Vec<usize> = site.fleet.names().iter().map(|name| site.fleet.commands(name)).collect();
    assert_eq!(
        (logins(&site.fleet), commands),
        (vec![1; 4], vec![2; 4]),
        "the shell that waits, and the loop"
    );
    assert!(site.fleet.names().iter().all(|name| site.fleet.running(name) == 1));
    // With the loops ended, and none that comes later printing a row, what was printed is known.
    for (name, host) in site.fleet.names().iter().zip(1..) {
        site.fleet.set_scene(name, &with_power("gpus = 2\nloop-dies-after = 0")).unwrap();
        signal(site.printed(host).0[0], Signal::KILL);
    }
    let printed = || [1, 2, 3, 4].map(|host| site.printed(host).1);
    for _ in 0..5 {
        count_one(&mut cycles, &mut counted).await;
        if counted == printed() {
            break;
        }
    }
    assert_eq!(counted, printed(), "what was printed is what was counted");
    shut(cycles).await;
}

/// Runs cycles until something holds; every one must have its reading, and no host two loops.
async fn until(cycles: &mut Cycles, site: &Site, holds: impl Fn(&Batch) -> bool) -> Vec<Batch> {
    let mut batches = Vec::new();
    for _ in 0..40 {
        let batch = cycles.next().await;
        assert!(site.fleet.running("node001") <= 1);
        let is_done = holds(&batch);
        batches.push(batch);
        if is_done {
            return batches;
        }
    }
    let outcomes: Vec<_> = batches.iter().map(|batch| batch.reports[0].outcome.label()).collect();
    panic!("it never held: {outcomes:?}");
}

fn is_sampled(batch: &Batch) -> bool {
    !samples(&batch.reports[0]).is_empty()
}

fn n_samples(batches: &[Batch]) -> u64 {
    batches.iter().flat_map(|batch| samples(&batch.reports[0])).map(|samples| samples.counts.n_samples).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_is_killed_there_starts_again_and_shutting_down_leaves_none() {
    let site = Site::new(1, "");
    let mut cycles = site.cycles("100ms", SECOND / 2);
    let is_noted = |batch: &Batch| is_sampled(batch) && !site.printed(1).0.is_empty();
    let mut batches = until(&mut cycles, &site, is_noted).await;
    signal(site.printed(1).0[0], Signal::KILL);
    batches
        .extend(until(&mut cycles, &site, |batch| site.printed(1).0.len() == 2 && is_sampled(batch)).await);
    assert!(batches.iter().all(|batch| batch.reports[0].outcome.label() == "complete"));
    assert_eq!(logins(&site.fleet), [1]);
    let (counted, (_, printed)) = (n_samples(&batches), site.printed(1));
    shut(cycles).await;
    // A sweep is written down behind its printing: the killed loop's last may not be, the present one not yet.
    assert!(counted <= printed + 2 && printed <= counted + 10, "{counted} of {printed}");
    site.wait_for_quiet(5 * SECOND);
    assert_eq!(masters_below(&site.home.path("r")), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_stalls_is_ended_and_starts_again() {
    let site = Site::new(1, "loop-stalls-after = 3");
    let mut cycles = site.cycles("100ms", SECOND / 2);
    let batches = until(&mut cycles, &site, |batch| site.printed(1).1 == 6 && is_sampled(batch)).await;
    assert_eq!(site.printed(1).0.len(), 2);
    assert!(n_samples(&batches) >= 4);
    shut(cycles).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_started_behind_a_loop_that_hangs() {
    let site = Site::new(1, "");
    let mut cycles = site.cycles("100ms", SECOND / 2);
    until(&mut cycles, &site, is_sampled).await;
    let loop_pid = site.printed(1).0[0];
    let stat = std::fs::read_to_string(format!("/proc/{loop_pid}/stat")).unwrap();
    let timeout_pid: i32 =
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    // Stopped, neither takes a TERM, as in a driver that does not answer.
    [timeout_pid, loop_pid].iter().for_each(|pid| signal(*pid, Signal::STOP));
    let outcome = |batch: &Batch| batch.reports[0].outcome.label();
    until(&mut cycles, &site, |batch| outcome(batch) == "hung").await;
    for _ in 0..3 {
        assert_eq!(outcome(&cycles.next().await), "hung");
        assert_eq!((site.fleet.running("node001"), site.printed(1).0.len()), (1, 1));
    }
    [timeout_pid, loop_pid].iter().for_each(|pid| signal(*pid, Signal::CONT));
    until(&mut cycles, &site, |batch| outcome(batch) == "complete" && is_sampled(batch)).await;
    assert_eq!(site.printed(1).0.len(), 2);
    shut(cycles).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_froze_is_sampled_again_by_one_loop() {
    let site = Site::new(1, "");
    let text = std::fs::read_to_string(site.inventory("200ms")).unwrap();
    let text = text.replace("timeout = \"15s\"", "timeout = \"3s\"");
    let inventory =
        site.home.inventory(&text.replace("connect_timeout = \"5s\"", "connect_timeout = \"1s\""));
    let mut cycles = cycles(&inventory, &site.home.path("r"), SECOND / 2);
    until(&mut cycles, &site, is_sampled).await;
    site.fleet.freeze_host("node001").unwrap();
    until(&mut cycles, &site, |batch| !batch.reports[0].outcome.is_up()).await;
    let is_away = |batch: &Batch| matches!(batch.reports[0].outcome.label(), "connect_timeout" | "session");
    until(&mut cycles, &site, is_away).await;
    site.fleet.thaw_host("node001").unwrap();
    // The loop of before the frost may still be there, or just have been ended, when samples come again.
    let is_settled = |batch: &Batch| is_sampled(batch) && site.fleet.running("node001") == 1;
    until(&mut cycles, &site, is_settled).await;
    shut(cycles).await;
}

/// Where the process that is going to be killed finds its inventory and its runtime directory.
const VICTIM: &str = "FLEETWATT_TEST_SAMPLING_VICTIM";

#[test]
fn a_loop_ends_soon_after_its_fleetwatt_was_killed() {
    let site = Site::new(2, "");
    let (inventory, runtime) = (site.inventory("1s"), site.home.path("r"));
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sampling_ssh::a_victim_samples_until_it_is_killed"])
        .env(VICTIM, format!("{}:{}", inventory.display(), runtime.display()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + 20 * SECOND;
    while [1, 2].iter().any(|host| site.printed(*host).1 < 2) {
        assert!(Instant::now() < deadline, "the victim does not sample");
        std::thread::sleep(Duration::from_millis(10));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(site.fleet.names().iter().map(|name| site.fleet.running(name)).sum::<usize>(), 2);
    let took = site.wait_for_quiet(10 * SECOND);
    assert!(took < 5 * SECOND, "{took:?}");
    assert_eq!(masters_below(&runtime).len(), 2, "the masters outlived it, and did not keep the loops");
}

/// The process that is killed; nothing when run as a test of its own.
#[tokio::test]
async fn a_victim_samples_until_it_is_killed() {
    let Ok(told) = std::env::var(VICTIM) else { return };
    let (inventory, runtime) = told.split_once(':').unwrap();
    let mut cycles = cycles(Path::new(inventory), Path::new(runtime), SECOND);
    for _ in 0..60 {
        cycles.next().await;
    }
    panic!("nobody killed it");
}

/// The CPU time of a process, in milliseconds.
fn cpu_ms(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let on_cpu = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(on_cpu).sum::<f64>() / 1e6
}

/// What sixteen hosts at ten samples a second cost this machine; only where it is asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_of_sixteen_hosts_is_measured_where_it_is_asked_for() {
    let Ok(seconds) = std::env::var("FLEETWATT_TEST_SAMPLING_COST") else { return };
    let seconds: u64 = seconds.parse().unwrap();
    let site = Site::new(16, "gpus = 8");
    let mut cycles = site.cycles("100ms", SECOND);
    cycles.next().await;
    cycles.next().await;
    let masters: BTreeSet<i32> = masters_below(&site.home.path("r")).into_iter().collect();
    let of_masters = || masters.iter().map(|pid| cpu_ms(pid.unsigned_abs())).sum::<f64>();
    let (ours, theirs) = (cpu_ms(std::process::id()), of_masters());
    let mut n_samples = 0;
    for _ in 0..seconds {
        let batch = cycles.next().await;
        n_samples +=
            batch.reports.iter().flat_map(samples).map(|samples| samples.counts.n_samples).sum::<u64>();
    }
    let (ours, theirs) = (cpu_ms(std::process::id()) - ours, of_masters() - theirs);
    eprintln!("{seconds} s, {n_samples} samples: we {ours:.0} ms, {} masters {theirs:.0} ms", masters.len());
    shut(cycles).await;
}
