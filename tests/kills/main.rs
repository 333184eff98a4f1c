//! A thousand kills of the daemon at random moments, and then the proof that each alert event is in the
//! timeline exactly once, that the webhook was told each of them, and that the ledger is what follows from
//! the timeline: `tests/kills/run`.

mod energies;
mod gate;
mod kills;
#[path = "../it/postgres.rs"]
mod postgres;
#[path = "../it/spool_proxy.rs"]
mod spool_proxy;
mod webhook;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::task::JoinSet;

use kills::{Found, Plan};
use postgres::Database;

/// Kills daemons, half of them with SQLite and half with PostgreSQL, while alerts and their databases come and go.
#[derive(Parser)]
struct Args {
    /// How often one is killed, all daemons together.
    #[arg(long, default_value_t = 1_000)]
    kills: u32,
    /// How many daemons there are at once.
    #[arg(long, default_value_t = 8)]
    daemons: u32,
    /// The interval of their cycles.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// What all chance is made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// An empty folder for everything.
    #[arg(long)]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.and_then(|runtime| runtime.block_on(kill_all(&args)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "kills: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Says whether everything held.
async fn kill_all(args: &Args) -> io::Result<bool> {
    let began_at = Instant::now();
    // Cargo puts the program one folder above the examples.
    let this = std::env::current_exe()?;
    let program = this.ancestors().nth(2).map(|folder| folder.join("fleetwatt"));
    let program = program.ok_or_else(|| io::Error::other("no folder of programs"))?;
    let mut tasks = JoinSet::new();
    let mut databases = Vec::new();
    for n in 0..args.daemons.max(1) {
        let dir = args.dir.join(n.to_string());
        std::fs::create_dir_all(&dir)?;
        let postgres = if n % 2 == 1 {
            let database = Database::new(format!("kills_{n}").leak(), kills::TABLE).await;
            let url = database.url("postgres", "");
            databases.push(database);
            Some(url)
        } else {
            None
        };
        let n_kills = args.kills / args.daemons + u32::from(n < args.kills % args.daemons);
        let seed = args.seed.wrapping_mul(1_000).wrapping_add(n.into());
        let plan = Plan { program: program.clone(), dir, postgres, n_kills, interval: args.interval, seed };
        tasks.spawn(kills::run(plan));
    }
    let mut all = Found::default();
    while let Some(found) = tasks.join_next().await {
        let found = found.map_err(io::Error::other)?;
        all.n_kills += found.n_kills;
        all.n_events += found.n_events;
        all.n_told += found.n_told;
        all.n_told_again += found.n_told_again;
        all.n_replays += found.n_replays;
        all.energy_mj += found.energy_mj;
        all.covered_ms += found.covered_ms;
        all.faults.extend(found.faults);
    }
    let mut out = io::stdout().lock();
    for fault in &all.faults {
        writeln!(out, "FAULT  {fault}")?;
    }
    writeln!(
        out,
        "seed {}: {} kills of {} daemons, {} alert events in the timelines, {} of them told, {} more than once; \
         {} mJ in {} ms in the ledgers; {} second deliverers; {} faults; {} s",
        args.seed,
        all.n_kills,
        args.daemons,
        all.n_events,
        all.n_told,
        all.n_told_again,
        all.energy_mj,
        all.covered_ms,
        all.n_replays,
        all.faults.len(),
        began_at.elapsed().as_secs()
    )?;
    Ok(all.faults.is_empty())
}
