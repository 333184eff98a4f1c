//! The daemon under every fault that there is, for minutes, and then the proof that each batch that it
//! acknowledged is in the timeline exactly once: `tests/soak/run`.

mod daemon;
#[path = "../fleet/fleet.rs"]
mod fleet;
mod plan;
#[path = "../it/postgres.rs"]
mod postgres;
mod proof;
#[path = "../it/spool_proxy.rs"]
mod spool_proxy;
mod stage;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

use plan::{Action, Step};
use proof::Check;
use stage::{Result, Stage};

/// How often the program is looked after between two faults.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs fleetwatt against a real fleet and a real database, breaks everything by a schedule, and proves
/// that nothing acknowledged is lost or doubled.
#[derive(Parser)]
struct Args {
    /// How long faults are made.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// How many hosts the fleet has.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(2..=900))]
    hosts: u64,
    /// The interval of the cycles.
    #[arg(long, default_value = "1s")]
    interval: String,
    /// What the schedule is made from; the same seed gives the same schedule.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the schedule, and do nothing.
    #[arg(long)]
    plan_only: bool,
    /// An empty folder for everything [default: a temporary one].
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let steps = plan::schedule(args.seed, Duration::from_secs(args.minutes * 60), args.hosts);
    let done = print_plan(&args, &steps).map_err(Into::into).and_then(|()| {
        if args.plan_only {
            return Ok(true);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(soak(&args, &steps))
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "soak: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn print_plan(args: &Args, steps: &[Step]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "seed {}, {} min, {} hosts, interval {}",
        args.seed, args.minutes, args.hosts, args.interval
    )?;
    steps.iter().try_for_each(|step| writeln!(out, "{step}"))
}

/// All of it; says whether everything held.
async fn soak(args: &Args, steps: &[Step]) -> Result<bool> {
    let temporary = match &args.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("fw-soak-").tempdir_in("/tmp")?),
    };
    let temporary = temporary.as_ref().map(tempfile::TempDir::path);
    let dir = args.dir.as_deref().or(temporary).ok_or("no folder")?;
    // The database's user has to reach the table's disk in it.
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    let mut stage = Stage::set(dir, args.hosts, &args.interval).await?;
    let started_at = Instant::now();
    let mut n_done: BTreeMap<String, u32> = BTreeMap::new();
    for step in steps {
        while Instant::now() < started_at + step.at {
            stage.daemon.watch()?;
            tokio::time::sleep_until((started_at + step.at).min(Instant::now() + LOOK_EVERY)).await;
        }
        stage.act(step.action).await.map_err(|error| format!("{step}: {error}"))?;
        *n_done.entry(kind(step.action)).or_default() += 1;
    }
    // A life that has only just begun has no handler for the signal yet.
    stage.wait_for_a_batch()?;
    let ended_as = stage.daemon.end()?;
    let left_behind = stage.left_behind();
    stage.replay()?;
    let acknowledged = stage.daemon.acknowledged()?;
    let n_kills = n_done.get(&kind(Action::KillProgram)).copied().unwrap_or_default();
    let mut checks = vec![
        Check::new("the program was killed at least 20 times", n_kills, n_kills >= 20),
        Check::none("no life of the program ended by itself", lives(&stage), &stage.daemon.own_ends),
        Check::new("SIGTERM ends it with exit code 0", &ended_as, ended_as == "0"),
        Check::none("no ssh master and no remote command is left", left_behind.len(), &left_behind),
    ];
    checks.extend(proof::timeline(&mut stage.database.admin().await, &acknowledged).await?);
    checks.extend(proof::spool(&dir.join("state")).await?);
    print_summary(&stage, started_at.elapsed(), &n_done, &acknowledged)?;
    Ok(print_checks(&checks)?)
}

fn lives(stage: &Stage) -> usize {
    usize::try_from(stage.daemon.n_lives()).unwrap_or(usize::MAX)
}

/// The action's words without the number of a host, to be counted.
fn kind(action: Action) -> String {
    let words = action.to_string();
    words.split_once(" (").map_or(words.clone(), |(words, _)| words.to_owned())
}

fn print_summary(
    stage: &Stage,
    took: Duration,
    n_done: &BTreeMap<String, u32>,
    acknowledged: &BTreeMap<String, i64>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{:<44} {:>6}", "what was done", "times")?;
    for (words, times) in n_done {
        writeln!(out, "{words:<44} {times:>6}")?;
    }
    let n_rows: i64 = acknowledged.values().sum();
    writeln!(out, "\n{:<44} {:>6}", "lives of the program", stage.daemon.n_lives())?;
    writeln!(out, "{:<44} {:>6}", "answers to COMMIT that were lost", stage.proxy.swallowed())?;
    writeln!(out, "{:<44} {:>6}", "batches acknowledged", acknowledged.len())?;
    writeln!(out, "{:<44} {n_rows:>6}", "rows acknowledged")?;
    writeln!(out, "{:<44} {:>6}\n", "seconds", took.as_secs())
}

fn print_checks(checks: &[Check]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for Check { words, found, holds } in checks {
        let sign = if *holds { "ok    " } else { "FAILED" };
        writeln!(out, "{sign} {words:<52} {found}")?;
    }
    let n_failed = checks.iter().filter(|check| !check.holds).count();
    writeln!(out, "\n{} passed, {n_failed} failed", checks.len() - n_failed)?;
    Ok(n_failed == 0)
}
