//! Everything that the program works with, and how each fault is done to it.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use sqlx::{AssertSqlSafe, Executor};

use super::daemon::{Daemon, masters};
use super::fleet::{Fleet, HostPlan};
use super::plan::Action;
use super::postgres::Database;
use super::spool_proxy::Proxy;

/// Any failure of the stage itself.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The disk that the table is on, so that it can be full.
const DISK_SIZE: &str = "256m";

/// The serial number says in which order rows came.
const TABLE: &str = "CREATE TABLE unified_timeline (id bigserial, event_type text NOT NULL, source text NOT NULL, \
    value double precision, metadata jsonb NOT NULL, created_at timestamptz NOT NULL)";
const INDEX: &str = "CREATE INDEX ON unified_timeline (event_type, source, created_at)";

/// How long a life of the program may take to keep its first batch.
const FIRST_BATCH_WITHIN: Duration = Duration::from_secs(20);

/// How long what the program left behind may take to end.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The fleet, the database with its proxy, and the program.
pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) fleet: Fleet,
    pub(crate) database: Database,
    pub(crate) proxy: Proxy,
    pub(crate) daemon: Daemon,
    /// The folder on the table's disk, if this may mount one.
    disk: Option<PathBuf>,
    /// The inventory without its hosts.
    head: String,
    n_hosts: u64,
    has_spare: bool,
}

impl Stage {
    /// Starts everything in a folder that is there and empty.
    pub(crate) async fn set(dir: &Path, n_hosts: u64, interval: &str) -> Result<Self> {
        let spare = n_hosts + 1;
        let fleet_dir = dir.join("fleet");
        fs::create_dir(&fleet_dir)?;
        let fleet = Fleet::start_in(&fleet_dir, HostPlan::many(usize::try_from(spare)?, "gpus = 2"))?;
        let database = Database::new("soak", "").await;
        let disk = if rustix::process::geteuid().is_root() { mount(dir) } else { None };
        if let Some(disk) = &disk {
            let space = format!("CREATE TABLESPACE small LOCATION '{}'", disk.display());
            database.run(&space).await;
        }
        let place = if disk.is_some() { " TABLESPACE small" } else { "" };
        database.run(&format!("{TABLE}{place}; {INDEX}{place}")).await;
        let proxy = Proxy::before(database.server.port).await;
        let fleets = fs::read_to_string(fleet.inventory())?;
        let (defaults, _) = fleets.split_once("[[host]]").ok_or("the fleet's inventory has no host")?;
        // An answer has to be in before the next cycle.
        let defaults = defaults.replace("\"15s\"", "\"900ms\"").replace("\"5s\"", "\"800ms\"");
        let head = format!(
            "{defaults}kex = \"curve25519-sha256\"\nsample = \"200ms\"\n\n[cycle]\ninterval = \"{interval}\"\n\n[store]\n\
             url = \"postgres://postgres@{}/soak?sslmode=disable\"\n",
            proxy.address
        );
        write_inventory(dir, &head, n_hosts)?;
        let init = Daemon::call(dir, &["store", "init"])?;
        if !init.status.success() {
            return Err(format!("store init: {}", String::from_utf8_lossy(&init.stderr)).into());
        }
        let daemon = Daemon::start(dir)?;
        let dir = dir.to_owned();
        Ok(Self { dir, fleet, database, proxy, daemon, disk, head, n_hosts, has_spare: false })
    }

    /// Does one thing of the schedule.
    pub(crate) async fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::KillProgram => self.daemon.kill()?,
            Action::CrashDatabase => self.database.server.crash(),
            Action::StartDatabase => self.database.server.start_again(),
            Action::CutConnections => self.proxy.cut(),
            Action::SwallowCommits(swallows) => self.proxy.swallow_commits(swallows),
            Action::DatabaseAway(true) => self.proxy.stop().await,
            Action::DatabaseAway(false) => self.proxy.start().await,
            Action::Blackhole(holds) => self.proxy.hold(holds),
            Action::DiskFull(is_full) => match &self.disk {
                Some(disk) => fill(disk, is_full)?,
                None => self.read_only(is_full).await?,
            },
            Action::ReadOnly(is_so) => self.read_only(is_so).await?,
            Action::Freeze(host) => self.fleet.freeze_host(&name(host))?,
            Action::Thaw(host) => self.fleet.thaw_host(&name(host))?,
            Action::StopHost(host) => self.fleet.stop_host(&name(host))?,
            Action::StartHost(host) => self.fleet.start_host(&name(host))?,
            Action::KillMaster(which) => self.kill_master(which)?,
            Action::AddHost => self.edit(true)?,
            Action::RemoveHost => self.edit(false)?,
            Action::BreakInventory => self.break_inventory()?,
            Action::MendInventory => self.edit(self.has_spare)?,
        }
        Ok(())
    }

    /// Delivers what waits, until nothing does.
    pub(crate) fn replay(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let done = Daemon::call(&self.dir, &["store", "replay"])?;
            let said = String::from_utf8_lossy(&done.stdout);
            if said.ends_with("the spool is empty\n") {
                return Ok(());
            }
            if deadline < Instant::now() {
                let error = String::from_utf8_lossy(&done.stderr);
                return Err(format!("the spool does not become empty: {said}{error}").into());
            }
        }
    }

    /// What the program left behind: masters, and commands on the hosts. A master says goodbye to its host
    /// after the program is gone, so there is some patience.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            let left = self.still_there();
            if left.is_empty() || deadline < Instant::now() {
                return left;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn still_there(&self) -> Vec<String> {
        let masters = masters(&self.dir).into_iter().map(|pid| {
            let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
            format!("process {}: {words}", pid.as_raw_pid())
        });
        let commands = self.fleet.names().into_iter().filter(|host| self.fleet.running(host) > 0);
        masters.chain(commands.map(|host| format!("a command on {host}"))).collect()
    }

    async fn read_only(&self, is_so: bool) -> Result<()> {
        let mut admin = self.database.admin().await;
        // It holds for this session as well, and in a read-only one the system cannot be altered.
        admin.execute("SET default_transaction_read_only = off").await?;
        let word = if is_so {
            "SET default_transaction_read_only = on"
        } else {
            "RESET default_transaction_read_only"
        };
        admin.execute(AssertSqlSafe(format!("ALTER SYSTEM {word}"))).await?;
        admin.execute("SELECT pg_reload_conf()").await?;
        Ok(())
    }

    fn kill_master(&self, which: u64) -> Result<()> {
        let masters = masters(&self.dir);
        let n_masters = u64::try_from(masters.len())?.max(1);
        if let Some(master) = masters.get(usize::try_from(which % n_masters)?) {
            kill_process(*master, Signal::KILL).or_else(gone_already)?;
        }
        Ok(())
    }

    fn edit(&mut self, has_spare: bool) -> Result<()> {
        self.has_spare = has_spare;
        write_inventory(&self.dir, &self.head, self.n_hosts + u64::from(has_spare))
    }

    /// Waits until the present life of the program does its work.
    pub(crate) fn wait_for_a_batch(&self) -> Result<()> {
        let deadline = Instant::now() + FIRST_BATCH_WITHIN;
        while !self.daemon.has_kept() {
            if deadline < Instant::now() {
                return Err("the program keeps no batch".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A start with a broken inventory is refused, so the present life has to have begun.
    fn break_inventory(&self) -> Result<()> {
        self.wait_for_a_batch()?;
        fs::write(self.dir.join("inventory.toml"), format!("{}[[host]]\nnmae = \"x\"\n", self.head))?;
        Ok(())
    }
}

impl Drop for Stage {
    #[allow(clippy::disallowed_methods, reason = "the soak unmounts as an operator would")]
    fn drop(&mut self) {
        if let Some(disk) = self.disk.as_deref().and_then(Path::parent) {
            // Lazily: the server, which ends after us, still has files open.
            std::process::Command::new("umount").arg("--lazy").arg(disk).status().ok();
        }
    }
}

fn gone_already(error: rustix::io::Errno) -> std::result::Result<(), rustix::io::Errno> {
    if error == rustix::io::Errno::SRCH { Ok(()) } else { Err(error) }
}

fn name(host: u64) -> String {
    format!("node{:03}", host + 1)
}

/// In one step, as a good editor does.
fn write_inventory(dir: &Path, head: &str, n_hosts: u64) -> Result<()> {
    let next = dir.join("inventory.next");
    fs::write(&next, format!("{head}\n[[host]]\nname = \"node[001-{n_hosts:03}]\"\n"))?;
    fs::rename(next, dir.join("inventory.toml"))?;
    Ok(())
}

/// A folder on a small disk for the table, in memory.
#[allow(clippy::disallowed_methods, reason = "the soak mounts as an operator would")]
fn mount(dir: &Path) -> Option<PathBuf> {
    let disk = dir.join("disk");
    fs::create_dir(&disk).ok()?;
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_SIZE},mode=0777"), "tmpfs"]).arg(&disk);
    if !mount.status().ok()?.success() {
        return None;
    }
    let space = disk.join("space");
    fs::create_dir(&space).ok()?;
    let mut chown = std::process::Command::new("chown");
    chown.arg("postgres").arg(&space).status().ok()?.success().then_some(space)
}

/// Takes all room that is left on the table's disk, or gives it back.
fn fill(space: &Path, is_full: bool) -> io::Result<()> {
    let ballast = space.with_file_name("ballast");
    if !is_full {
        return fs::remove_file(ballast);
    }
    let mut file = File::create(ballast)?;
    // Ends with the error that is wanted.
    io::copy(&mut io::repeat(0), &mut file).map_or(Ok(()), |_| Err(io::Error::other("the disk has no end")))
}
