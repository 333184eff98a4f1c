//! A fleet of real sshd's on loopback addresses, each with a played `nvidia-smi` behind it.
//!
//! Every host has its own address in 127.0.0.0/8, host key, configuration and log; all share one port
//! and one client key. Beside them stand an `ssh_config`, a `known_hosts` and an `inventory.toml`, so
//! that `ssh` and fleetwatt find them by name.

#![allow(clippy::disallowed_methods, reason = "the fleet is the far side: it starts sshd and ssh-keygen")]
#![allow(dead_code, unreachable_pub, reason = "several programs use this module, each a part of it")]

#[path = "files.rs"]
mod files;
#[path = "processes.rs"]
mod processes;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use files::Site;

/// How long all hosts together may take to come up.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How many `ssh-keygen` run at once.
const KEYGENS_AT_ONCE: usize = 4;
/// Hosts on one `127.66.x`.
const HOSTS_PER_NET: usize = 250;

/// Fleets of this process, for addresses of their own.
static N_FLEETS: AtomicUsize = AtomicUsize::new(0);

/// What a host of the fleet does when somebody connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Lets the fleet's key in and answers.
    Up,
    /// Nothing listens.
    Down,
    /// Lets another key in only.
    RefuseKey,
    /// `known_hosts` has another key for it.
    ChangedKey,
    /// `known_hosts` has no key for it.
    UnknownKey,
    /// Connects, and never says a word.
    Blackhole,
}

impl Mode {
    /// Every mode with its name on a command line.
    pub const ALL: [(&'static str, Self); 6] = [
        ("up", Self::Up),
        ("down", Self::Down),
        ("refuse-key", Self::RefuseKey),
        ("changed-key", Self::ChangedKey),
        ("unknown-key", Self::UnknownKey),
        ("blackhole", Self::Blackhole),
    ];

    fn has_sshd(self) -> bool {
        !matches!(self, Self::Down | Self::Blackhole)
    }
}

/// What one host shall be.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// Its name in the inventory and in `ssh_config`.
    pub name: String,
    /// What it does when somebody connects.
    pub mode: Mode,
    /// The text of its scene; relative dumps are found as those of `fixtures/demo` are.
    pub scene: String,
    /// The only thing that its sshd runs, whatever it is asked for (`ForceCommand`).
    pub forced: Option<String>,
}

impl HostPlan {
    /// A host that is up and plays this scene; an empty text is one loaded H100.
    pub fn new(name: &str, scene: &str) -> Self {
        Self { name: name.to_owned(), mode: Mode::Up, scene: scene.to_owned(), forced: None }
    }

    /// A host that plays a scene file, wherever that is.
    pub fn from_file(name: &str, path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let mut scene: toml::Table = toml::from_str(&fs::read_to_string(&path)?).map_err(io::Error::other)?;
        if let Some(toml::Value::String(dump)) = scene.get_mut("dump") {
            let absolute = path.parent().unwrap_or(Path::new("/")).join(&*dump);
            *dump = absolute.to_string_lossy().into_owned();
        }
        Ok(Self::new(name, &scene.to_string()))
    }

    /// The same host in another mode.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same host, whose sshd only runs `command`.
    #[must_use]
    pub fn forced(self, command: &str) -> Self {
        Self { forced: Some(command.to_owned()), ..self }
    }

    /// `n` hosts `node001` and so on, all up with the same scene.
    pub fn many(n: usize, scene: &str) -> Vec<Self> {
        (1..=n).map(|number| Self::new(&format!("node{number:03}"), scene)).collect()
    }
}

/// A running fleet. Dropping it stops every sshd with all that it started, and removes the folder.
#[derive(Debug)]
pub struct Fleet {
    site: Site,
    hosts: Vec<Host>,
    port: u16,
    /// Removes the folder, unless somebody else does.
    temporary: Option<tempfile::TempDir>,
}

/// One host of a running fleet.
#[derive(Debug)]
struct Host {
    plan: HostPlan,
    address: Ipv4Addr,
    sshd: Option<Child>,
    /// Holds a blackhole's port: the kernel accepts, and nobody takes the connection up.
    blackhole: Option<TcpListener>,
}

impl Fleet {
    /// Starts the hosts in a temporary folder, and waits until each answers with an SSH banner.
    pub fn start(plans: Vec<HostPlan>) -> io::Result<Self> {
        // Short, since sockets may be put into it: a Unix socket's path has 104 bytes.
        let temporary = tempfile::Builder::new().prefix("fw-").tempdir_in("/tmp")?;
        let mut fleet = Self::start_in(temporary.path(), plans)?;
        fleet.temporary = Some(temporary);
        Ok(fleet)
    }

    /// The same in a folder that is there and empty, and is left behind.
    pub fn start_in(dir: &Path, plans: Vec<HostPlan>) -> io::Result<Self> {
        let names: BTreeSet<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
        if plans.is_empty() || names.len() < plans.len() {
            return Err(io::Error::other("a fleet needs hosts, each with a name of its own"));
        }
        let hosts = with_addresses(plans);
        let first = hosts.first().map_or(Ipv4Addr::LOCALHOST, |host| host.address);
        // A port that is free on one of the fleet's addresses; on the others only fleets could have it.
        let port = TcpListener::bind(SocketAddrV4::new(first, 0))?.local_addr()?.port();
        let site = Site::new(dir)?;
        let mut fleet = Self { site, hosts, port, temporary: None };
        fleet.write()?;
        fleet.listen()?;
        fleet.wait_for_banners()?;
        Ok(fleet)
    }

    /// The inventory that fleetwatt can be given.
    pub fn inventory(&self) -> PathBuf {
        self.site.path("inventory.toml")
    }

    /// The configuration that `ssh -F` can be given.
    pub fn ssh_config(&self) -> PathBuf {
        self.site.path("ssh_config")
    }

    /// The folder with everything.
    pub fn dir(&self) -> &Path {
        self.site.dir()
    }

    /// The names, in the order of the plans.
    pub fn names(&self) -> Vec<&str> {
        self.hosts.iter().map(|host| host.plan.name.as_str()).collect()
    }

    /// How often a host let somebody in.
    pub fn logins(&self, host: &str) -> usize {
        self.log(host).matches("Accepted publickey").count()
    }

    /// How often the played `nvidia-smi` was started on a host.
    pub fn calls(&self, host: &str) -> usize {
        let calls = fs::read_to_string(self.site.scene(host).with_extension("calls"));
        calls.unwrap_or_default().lines().count()
    }

    /// How many commands a host's sshd has started, each with a login shell around it.
    pub fn commands(&self, host: &str) -> usize {
        self.log(host).matches("Starting session: command").count()
    }

    /// What a host's sshd has logged so far.
    pub fn log(&self, host: &str) -> String {
        let log = fs::read(self.site.host_file(host, "log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// How many played `nvidia-smi` run on a host at this moment.
    pub fn running(&self, host: &str) -> usize {
        processes::playing(&self.site.scene(host)).len()
    }

    /// Gives a host another scene, from the next call on.
    pub fn set_scene(&self, host: &str, scene: &str) -> io::Result<()> {
        self.host(host)?;
        self.site.write_scene(host, scene)
    }

    /// Stops a host as a power cut would: its sshd and every session.
    pub fn stop_host(&mut self, name: &str) -> io::Result<()> {
        let scene = self.site.scene(name);
        let host = self.host_mut(name)?;
        host.blackhole = None;
        if let Some(mut sshd) = host.sshd.take() {
            processes::end(&[sshd.id()], &[scene]);
            sshd.wait()?;
        }
        Ok(())
    }

    /// Starts a host again that was stopped.
    pub fn start_host(&mut self, name: &str) -> io::Result<()> {
        let sshd = start_sshd(&self.site, name)?;
        let host = self.host_mut(name)?;
        host.sshd = Some(sshd);
        let address = host.address;
        self.wait_for_banner(name, address, Instant::now() + START_WITHIN)
    }

    /// Freezes a host: its sshd and every session stand still, connections stay open.
    pub fn freeze_host(&self, name: &str) -> io::Result<()> {
        self.signal(name, Signal::STOP)
    }

    /// Lets a frozen host go on.
    pub fn thaw_host(&self, name: &str) -> io::Result<()> {
        self.signal(name, Signal::CONT)
    }

    fn signal(&self, name: &str, signal: Signal) -> io::Result<()> {
        let sshd = self.host(name)?.sshd.as_ref().ok_or_else(|| io::Error::other("it has no sshd"))?;
        processes::signal(&processes::with_descendants(&[sshd.id()]), signal);
        Ok(())
    }

    fn host(&self, name: &str) -> io::Result<&Host> {
        let host = self.hosts.iter().find(|host| host.plan.name == name);
        host.ok_or_else(|| io::Error::other(format!("the fleet has no host {name}")))
    }

    fn host_mut(&mut self, name: &str) -> io::Result<&mut Host> {
        let host = self.hosts.iter_mut().find(|host| host.plan.name == name);
        host.ok_or_else(|| io::Error::other(format!("the fleet has no host {name}")))
    }

    /// Keys, then everything that is written from them.
    fn write(&self) -> io::Result<()> {
        self.site.write_shared(&stub()?)?;
        let mut keys = vec![self.site.path("client_key"), self.site.path("stranger_key")];
        for host in &self.hosts {
            let name = &host.plan.name;
            fs::create_dir(self.site.host_file(name, ""))?;
            self.site.write_scene(name, &host.plan.scene)?;
            fs::write(self.site.scene(name).with_extension("calls"), "")?;
            if host.plan.mode.has_sshd() {
                keys.push(self.site.host_file(name, "key"));
            }
        }
        generate_keys(&keys)?;
        self.site.write_authorized_keys()?;
        for host in self.hosts.iter().filter(|host| host.plan.mode.has_sshd()) {
            self.site.write_sshd_config(&host.plan, host.address, self.port)?;
        }
        let hosts: Vec<_> = self.hosts.iter().map(|host| (&host.plan, host.address)).collect();
        self.site.write_client_side(&hosts, self.port)
    }

    fn listen(&mut self) -> io::Result<()> {
        if rustix::process::geteuid().is_root() {
            // Where sshd, as root, separates its privileges.
            fs::create_dir_all("/run/sshd")?;
        }
        for host in &mut self.hosts {
            if host.plan.mode.has_sshd() {
                host.sshd = Some(start_sshd(&self.site, &host.plan.name)?);
            }
            if host.plan.mode == Mode::Blackhole {
                host.blackhole = Some(TcpListener::bind(SocketAddrV4::new(host.address, self.port))?);
            }
        }
        Ok(())
    }

    fn wait_for_banners(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        let started = self.hosts.iter().filter(|host| host.sshd.is_some());
        let waiting: Vec<_> = started.map(|host| (host.plan.name.clone(), host.address)).collect();
        waiting.iter().try_for_each(|(name, address)| self.wait_for_banner(name, *address, deadline))
    }

    fn wait_for_banner(&mut self, name: &str, address: Ipv4Addr, deadline: Instant) -> io::Result<()> {
        let target = SocketAddrV4::new(address, self.port);
        while !has_banner(target) {
            let ended = match &mut self.host_mut(name)?.sshd {
                Some(sshd) => sshd.try_wait()?.is_some(),
                None => true,
            };
            if ended || Instant::now() > deadline {
                let log = self.log(name);
                return Err(io::Error::other(format!("{name} at {target} does not come up:\n{log}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let roots: Vec<_> = self.hosts.iter().filter_map(|host| Some(host.sshd.as_ref()?.id())).collect();
        let scenes: Vec<_> = self.hosts.iter().map(|host| self.site.scene(&host.plan.name)).collect();
        processes::end(&roots, &scenes);
        for host in &mut self.hosts {
            if let Some(sshd) = &mut host.sshd {
                sshd.wait().ok();
            }
        }
    }
}

/// Ends what a fleet in `dir` left behind when its process was killed.
pub fn sweep(dir: &Path) -> io::Result<()> {
    let dir = fs::canonicalize(dir)?;
    let scenes: Vec<_> = fs::read_dir(dir.join("scenes"))?.flatten().map(|entry| entry.path()).collect();
    processes::end(&processes::sshds_of(&dir), &scenes);
    Ok(())
}

/// An address for each plan, away from those of other fleets.
fn with_addresses(plans: Vec<HostPlan>) -> Vec<Host> {
    let process = usize::try_from(std::process::id()).unwrap_or_default();
    let first_net = process * 7 + N_FLEETS.fetch_add(1, Ordering::Relaxed);
    let to_host = |(number, plan): (usize, HostPlan)| {
        let net = u8::try_from((first_net + number / HOSTS_PER_NET) % 256).unwrap_or_default();
        let node = u8::try_from(number % HOSTS_PER_NET + 1).unwrap_or(1);
        let address = Ipv4Addr::new(127, 66, net, node);
        Host { plan, address, sshd: None, blackhole: None }
    };
    plans.into_iter().enumerate().map(to_host).collect()
}

/// The stub, which cargo builds beside the tests and the other examples.
pub fn stub() -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let mut folders = this.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| {
        [folder.join("fake-nvidia-smi"), folder.join("examples/fake-nvidia-smi")]
            .into_iter()
            .find(|path| path.is_file())
    });
    found.ok_or_else(|| {
        io::Error::other("fake-nvidia-smi is not built: run `cargo build --example fake-nvidia-smi`")
    })
}

fn generate_keys(keys: &[PathBuf]) -> io::Result<()> {
    let share = keys.len().div_ceil(KEYGENS_AT_ONCE).max(1);
    let generate = |keys: &[PathBuf]| keys.iter().try_for_each(|key| generate_key(key));
    thread::scope(|scope| {
        let workers: Vec<_> = keys.chunks(share).map(|keys| scope.spawn(move || generate(keys))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("generating keys does not panic"))
    })
}

fn generate_key(key: &Path) -> io::Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f"]).arg(key);
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ssh-keygen: {status}"))) }
}

fn start_sshd(site: &Site, name: &str) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(site.host_file(name, "log"))?;
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(site.host_file(name, "sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
}

fn has_banner(target: SocketAddrV4) -> bool {
    let Ok(mut stream) = TcpStream::connect(target) else {
        return false;
    };
    let mut banner = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(10))).is_ok()
        && stream.read_exact(&mut banner).is_ok()
        && &banner == b"SSH-"
}
