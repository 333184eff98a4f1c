//! Daemons that are killed at random moments while alerts are raised and cleared, the webhook and the database come
//! and go, and a second process delivers what waits at the same time; and what must hold afterwards, judged from the
//! database and from the webhook's own record: each alert event is in the timeline exactly once, each message was at
//! the webhook at least once, and the ledger is what follows from the timeline, to the millijoule.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]
#![allow(clippy::disallowed_methods, reason = "a test starts and kills what it tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetwatt::reading::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::time::sleep;

use crate::energies::Energies;
use crate::gate::Gate;
use crate::webhook::{Behaviour, Told, Webhook};

/// A timeline as an installation has it.
pub(crate) const TABLE: &str = "CREATE TABLE unified_timeline (id bigserial, event_type varchar(64) NOT NULL, \
    source varchar(128) NOT NULL, value double precision, metadata jsonb, created_at timestamptz)";

/// How long the last messages and batches may take when nobody is killed any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// How often a host may become hot or cool.
const STEP: Duration = Duration::from_millis(50);

const N_HOSTS: usize = 3;

/// How long a file waits for its lock before a batch goes to the spool, and somewhat more.
const LOCKED_FOR: Duration = Duration::from_millis(5_500);

/// What is done to one daemon.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) program: PathBuf,
    /// An empty folder of its own.
    pub(crate) dir: PathBuf,
    /// A PostgreSQL with a timeline; else SQLite.
    pub(crate) postgres: Option<String>,
    /// How often it is killed.
    pub(crate) n_kills: u32,
    /// The interval of its cycles.
    pub(crate) interval: Duration,
    /// What all chance is made from.
    pub(crate) seed: u64,
}

/// What was found.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "two programs use this module, each a part of it")]
pub(crate) struct Found {
    /// How often it was killed.
    pub(crate) n_kills: u32,
    /// Alert events in the timeline.
    pub(crate) n_events: usize,
    /// Messages that were at the webhook.
    pub(crate) n_told: usize,
    /// Those that were there more than once.
    pub(crate) n_told_again: usize,
    /// How often a second process delivered what waited.
    pub(crate) n_replays: u32,
    /// The energy and the covered time of the ledger.
    pub(crate) energy_mj: i64,
    pub(crate) covered_ms: i64,
    /// What does not hold.
    pub(crate) faults: Vec<String>,
}

/// Chance that is the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn below_millis(&mut self, bound: Duration) -> Duration {
        Duration::from_millis(self.next() % u64::try_from(bound.as_millis()).unwrap())
    }
}

/// A daemon's folder, its hosts and its webhook.
struct Trial {
    plan: Plan,
    webhook: Webhook,
    gate: Gate,
    chance: Chance,
    is_hot: [bool; N_HOSTS],
    n_replays: u32,
}

/// Does all of it.
pub(crate) async fn run(plan: Plan) -> Found {
    let webhook = Webhook::start().await;
    let chance = Chance(plan.seed);
    let gate = match &plan.postgres {
        Some(url) => Gate::before(url).await,
        None => Gate::of_file(&plan.dir.join("s/fleetwatt.db")),
    };
    let mut trial = Trial { plan, webhook, gate, chance, is_hot: [false; N_HOSTS], n_replays: 0 };
    trial.set();
    for _ in 0..trial.plan.n_kills {
        trial.live_and_be_killed().await;
    }
    trial.settle().await
}

impl Trial {
    /// Writes the inventory and the scenes.
    fn set(&self) {
        let hosts: Vec<String> =
            (0..N_HOSTS).map(|n| format!("[[host]]\nname = \"n{n}\"\nscripted = \"n{n}.toml\"\n")).collect();
        let store = format!("[store]\nurl = \"{}\"\n", self.gate.url());
        let interval = humantime::format_duration(self.plan.interval);
        let timeout = humantime::format_duration(self.plan.interval * 9 / 10);
        let text = format!(
            "[cycle]\ninterval = \"{interval}\"\n[defaults]\ntimeout = \"{timeout}\"\n{store}\
             [alerts]\ngpu_temperature_above = \"80C\"\nwebhook_env = \"HOOK\"\n{}",
            hosts.concat()
        );
        std::fs::write(self.plan.dir.join("inventory.toml"), text).unwrap();
        for n in 0..N_HOSTS {
            self.write_scene(n);
        }
        assert!(self.succeeds(&["store", "init"]));
    }

    /// In one step, so that nobody reads half of it.
    fn write_scene(&self, host: usize) {
        let temperature = if self.is_hot[host] { 88 } else { 60 };
        let (next, path) = (self.plan.dir.join("next"), self.plan.dir.join(format!("n{host}.toml")));
        std::fs::write(&next, format!("[set]\n\"temperature.gpu\" = \"{temperature}\"\n")).unwrap();
        std::fs::rename(next, path).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let dir = &self.plan.dir;
        let mut command = Command::new(&self.plan.program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", dir).env("FLEETWATT_INVENTORY", dir.join("inventory.toml"));
        command.env("STATE_DIRECTORY", dir.join("s")).env("RUNTIME_DIRECTORY", dir.join("r"));
        command.env("HOOK", self.webhook.url()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs the program to its end, beside the proxy that it needs.
    fn succeeds(&self, args: &[&str]) -> bool {
        tokio::task::block_in_place(|| self.command(args).status().unwrap().success())
    }

    fn start(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.plan.dir.join("run.log")).unwrap();
        self.command(&["run"]).stderr(log).spawn().unwrap()
    }

    /// One life: hosts become hot and cool, the webhook and the database come and go, and then it is over.
    async fn live_and_be_killed(&mut self) {
        let mut second = if self.chance.below(5) == 0 { self.second_deliverer() } else { None };
        let mut child = self.start();
        let mut life = self.chance.below_millis(self.plan.interval * 2 + Duration::from_millis(300));
        if self.gate.is_closed() && self.plan.postgres.is_none() && self.chance.below(4) == 0 {
            life += LOCKED_FOR;
        }
        let ends_at = Instant::now() + life;
        while Instant::now() < ends_at {
            self.step().await;
            sleep(STEP.min(ends_at.saturating_duration_since(Instant::now()))).await;
        }
        for one in [Some(&mut child), second.as_mut()].into_iter().flatten() {
            one.kill().unwrap();
            one.wait().unwrap();
        }
    }

    /// A process that delivers a copy of what waits, beside the daemon, as after a spool was put back from a backup.
    fn second_deliverer(&mut self) -> Option<Child> {
        let (own, copy) = (self.plan.dir.join("s"), self.plan.dir.join("copy"));
        std::fs::remove_dir_all(&copy).unwrap_or_default();
        std::fs::create_dir(&copy).unwrap();
        for name in ["spool.db", "spool.db-wal"] {
            if own.join(name).exists() {
                std::fs::copy(own.join(name), copy.join(name)).unwrap();
            }
        }
        if !copy.join("spool.db").exists() {
            return None;
        }
        self.n_replays += 1;
        let log = File::options().create(true).append(true).open(self.plan.dir.join("copy.log")).unwrap();
        Some(self.command(&["store", "replay"]).env("STATE_DIRECTORY", copy).stderr(log).spawn().unwrap())
    }

    async fn step(&mut self) {
        if self.chance.below(6) == 0 {
            let host = self.chance.below(N_HOSTS);
            self.is_hot[host] ^= true;
            self.write_scene(host);
        }
        if self.chance.below(12) == 0 {
            let behaviours = [
                Behaviour::Takes,
                Behaviour::Takes,
                Behaviour::Breaks,
                Behaviour::TakesAndDies,
                Behaviour::Refuses,
            ];
            self.webhook.set(behaviours[self.chance.below(behaviours.len())]);
        }
        match self.gate.is_closed() {
            true if self.chance.below(12) == 0 => self.gate.open().await,
            false if self.chance.below(40) == 0 => self.gate.close().await,
            true | false => {}
        }
        if self.chance.below(20) == 0 {
            self.gate.lose_answers(self.chance.below(4) == 0);
        }
    }

    /// All hosts cool, the webhook there, and nobody is killed: now everything comes to its end.
    async fn settle(mut self) -> Found {
        self.is_hot = [false; N_HOSTS];
        (0..N_HOSTS).for_each(|host| self.write_scene(host));
        self.webhook.set(Behaviour::Takes);
        self.gate.lose_answers(false);
        if self.gate.is_closed() {
            self.gate.open().await;
        }
        let n_cycles = self.cycles().await;
        let mut child = self.start();
        let deadline = Instant::now() + SETTLED_WITHIN;
        let mut faults = self.faults().await;
        // What is on its way is a fault until it is there. A life without a cycle may not even have come to listen for
        // SIGTERM.
        while (!faults.is_empty() || self.cycles().await == n_cycles) && Instant::now() < deadline {
            sleep(Duration::from_millis(300)).await;
            faults = self.faults().await;
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        if !status.success() {
            faults.push(format!("the last life ended with {status}"));
        }
        if !self.succeeds(&["store", "replay"]) {
            faults.push("something still waits in the spool".to_owned());
        }
        let energies = self.energies().await;
        faults.extend(energies.faults());
        let (energy_mj, covered_ms) = energies.total();
        let (events, told) = (self.events().await, self.webhook.told());
        let different: BTreeSet<&Told> = told.iter().collect();
        Found {
            n_kills: self.plan.n_kills,
            n_events: events.len(),
            n_told: different.len(),
            n_told_again: told.len() - different.len(),
            n_replays: self.n_replays,
            energy_mj,
            covered_ms,
            faults,
        }
    }

    /// What does not hold, or does not hold yet.
    async fn faults(&self) -> Vec<String> {
        let events = self.events().await;
        let mut faults = Vec::new();
        let mut is_raised: BTreeMap<&str, bool> = BTreeMap::new();
        for Told { key, raised, at } in &events {
            let before = is_raised.insert(key, *raised).unwrap_or(false);
            if before == *raised {
                let what = if *raised { "raised" } else { "cleared" };
                faults.push(format!("{key} was {what} twice in a row, the second time at {at}"));
            }
        }
        let standing = is_raised.iter().filter(|(_, is_raised)| **is_raised);
        faults.extend(standing.map(|(key, _)| format!("{key} was never cleared")));
        let told: BTreeSet<Told> = self.webhook.told().into_iter().collect();
        let events: BTreeSet<Told> = events.into_iter().collect();
        faults.extend(events.difference(&told).map(|one| format!("the webhook was not told: {one:?}")));
        faults.extend(told.difference(&events).map(|one| format!("not in the timeline: {one:?}")));
        faults
    }

    async fn energies(&self) -> Energies {
        match &self.plan.postgres {
            Some(url) => Energies::of_server(url).await,
            None => Energies::of_file(&self.plan.dir.join("s/fleetwatt.db")).await,
        }
    }

    /// How many cycles are in the timeline.
    async fn cycles(&self) -> i64 {
        let sql = "SELECT count(*) FROM unified_timeline WHERE event_type = 'cluster_gpu_power_total'";
        match &self.plan.postgres {
            Some(url) => {
                let options: PgConnectOptions = url.parse().unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut options.connect().await.unwrap()).await.unwrap()
            }
            None => sqlite_count(&self.plan.dir.join("s/fleetwatt.db"), sql).await,
        }
    }

    /// The alert events of the timeline, in their order.
    async fn events(&self) -> Vec<Told> {
        type Row = (String, f64, i64);
        let rows: Vec<Row> = match &self.plan.postgres {
            Some(url) => {
                let sql = "SELECT metadata ->> 'key', value::float8, \
                           (extract(epoch FROM created_at) * 1000000)::bigint \
                           FROM unified_timeline WHERE event_type = 'alert' ORDER BY created_at, id";
                let options: PgConnectOptions = url.parse().unwrap();
                sqlx::query_as(sql).fetch_all(&mut options.connect().await.unwrap()).await.unwrap()
            }
            None => {
                let sql = "SELECT metadata ->> 'key', value, created_at FROM unified_timeline \
                           WHERE event_type = 'alert' ORDER BY created_at, id";
                sqlite(&self.plan.dir.join("s/fleetwatt.db"), sql).await
            }
        };
        let told =
            |(key, value, at)| Told { key, raised: value > 0.5, at: Timestamp::from_micros(at).to_string() };
        rows.into_iter().map(told).collect()
    }
}

/// None as long as the file is not there.
async fn sqlite(path: &Path, sql: &'static str) -> Vec<(String, f64, i64)> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(20));
    let Ok(mut connection) = options.connect().await else { return Vec::new() };
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap_or_default()
}

async fn sqlite_count(path: &Path, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(20));
    let Ok(mut connection) = options.connect().await else { return 0 };
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap_or_default()
}
