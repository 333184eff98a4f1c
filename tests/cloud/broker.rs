//! The broker: a real mosquitto with mutual TLS, and what it may allow.
//!
//! What each client may do is decided by mosquitto's own dynamic security plugin, since a mosquitto 2.0 with
//! an `acl_file` grants every subscription and then sends nothing: only the plugin answers 128.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::types::{Device, Refusal};

/// How long it may take to listen.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Client ids of devices begin so.
pub const DEVICE_PREFIX: &str = "device-";

/// What the keeper does.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Start,
    Kill,
    Freeze,
    Thaw,
}

type Job = (Act, Sender<io::Result<()>>);

/// Keeps mosquitto, in a thread of its own: a process that is to die with its parent dies with the parent's
/// thread.
#[derive(Debug)]
pub struct Keeper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// A keeper of the mosquitto in `dir`, which is not started yet.
    pub fn new(dir: &Path, port: u16) -> Self {
        let (jobs, received) = channel();
        let dir = dir.to_owned();
        let thread = thread::spawn(move || keep(&dir, port, &received));
        Self { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Does something, and waits until it is done.
    pub fn act(&self, act: Act) -> io::Result<()> {
        let (done, result) = channel();
        let jobs = self.jobs.as_ref().ok_or_else(|| io::Error::other("the broker's keeper has ended"))?;
        jobs.send((act, done)).map_err(io::Error::other)?;
        result.recv().map_err(io::Error::other)?
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.take().map(JoinHandle::join);
    }
}

fn keep(dir: &Path, port: u16, jobs: &Receiver<Job>) {
    let mut broker: Option<Child> = None;
    for (act, done) in jobs {
        let result = match act {
            Act::Start => start(dir, port, &mut broker),
            Act::Kill => kill(&mut broker),
            Act::Freeze => signal(broker.as_ref(), Signal::STOP),
            Act::Thaw => signal(broker.as_ref(), Signal::CONT),
        };
        // Whoever asked may have given up.
        done.send(result).unwrap_or_default();
    }
    kill(&mut broker).unwrap_or_default();
}

fn start(dir: &Path, port: u16, broker: &mut Option<Child>) -> io::Result<()> {
    if broker.is_some() {
        return Ok(());
    }
    let log = File::options().create(true).append(true).open(dir.join("broker.log"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", MOSQUITTO, "-c"]).arg(dir.join("mosquitto.conf"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    let child = broker.insert(child);
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let deadline = Instant::now() + START_WITHIN;
    while TcpStream::connect(address).is_err() {
        if child.try_wait()?.is_some() || deadline < Instant::now() {
            let log = fs::read_to_string(dir.join("broker.log")).unwrap_or_default();
            kill(broker)?;
            return Err(io::Error::other(format!("mosquitto does not come up:\n{log}")));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn kill(broker: &mut Option<Child>) -> io::Result<()> {
    let Some(mut child) = broker.take() else { return Ok(()) };
    child.kill()?;
    child.wait().map(drop)
}

fn signal(broker: Option<&Child>, signal: Signal) -> io::Result<()> {
    let pid = broker.and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
    let pid = pid.ok_or_else(|| io::Error::other("the broker does not run"))?;
    kill_process(pid, signal)?;
    Ok(())
}

/// Debian's place for it, which is not in everybody's PATH.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// Says what to install, if it is not there.
pub fn look_for_mosquitto() -> io::Result<PathBuf> {
    let plugins = ["/usr/lib/*/mosquitto_dynamic_security.so", "/usr/lib/mosquitto_dynamic_security.so"];
    let found = plugins.iter().flat_map(|pattern| glob::glob(pattern).into_iter().flatten()).flatten().next();
    let missing = |what: &str| {
        io::Error::other(format!(
            "{what} is not there: RUNLEVEL=1 apt-get install mosquitto (RUNLEVEL=1 keeps its own server from \
             starting)"
        ))
    };
    if !Path::new(MOSQUITTO).exists() {
        return Err(missing(MOSQUITTO));
    }
    found.ok_or_else(|| missing("mosquitto_dynamic_security.so"))
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `mosquitto.conf`. With `refuses_all`, the account's connections get CONNACK 5.
pub fn write_config(dir: &Path, port: u16, plugin: &Path, refuses_all: bool) -> io::Result<()> {
    let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
    let prefix = if refuses_all { format!("clientid_prefixes {DEVICE_PREFIX}\n") } else { String::new() };
    let text = format!(
        "{user}per_listener_settings false\n\
         {prefix}\
         plugin {plugin}\n\
         plugin_opt_config_file {dir}/rights.json\n\
         listener {port} 127.0.0.1\n\
         allow_anonymous false\n\
         cafile {dir}/iot-ca.pem\n\
         crlfile {dir}/crl.pem\n\
         certfile {dir}/broker.pem\n\
         keyfile {dir}/broker.key\n\
         require_certificate true\n\
         use_identity_as_username true\n\
         set_tcp_nodelay true\n\
         persistence false\n\
         log_dest stderr\n\
         log_type all\n\
         log_timestamp false\n",
        plugin = plugin.display(),
        dir = dir.display(),
    );
    fs::write(dir.join("mosquitto.conf"), text)
}

/// `rights.json`: what the account and each of its devices may do.
pub fn write_rights(dir: &Path, thing_name: &str, devices: &[Device], refusal: Refusal) -> io::Result<()> {
    let mut clients = vec![client(thing_name)];
    let mut account = Vec::new();
    let mut roles = Vec::new();
    for device in devices {
        let (code, serial) = (device.model.code(), &device.serial);
        let (data, requests) =
            (format!("dt/anker_power/{code}/{serial}"), format!("cmd/anker_power/{code}/{serial}/req"));
        match refusal {
            Refusal::Foreign => account.push(right("subscribePattern", &format!("{data}/#"))),
            Refusal::Wildcards => {
                let topics = ["param_info", "state_info"];
                account.extend(topics.map(|topic| right("subscribeLiteral", &format!("{data}/{topic}"))));
            }
            Refusal::All => {}
        }
        account.push(right("publishClientSend", &requests));
        clients.push(client(serial));
        let of_device =
            [right("publishClientSend", &format!("{data}/#")), right("subscribeLiteral", &requests)];
        roles.push(json!({"rolename": serial, "acls": of_device}));
    }
    roles.push(json!({"rolename": thing_name, "acls": account}));
    let rights = json!({
        "defaultACLAccess": {
            "publishClientSend": false, "publishClientReceive": true, "subscribe": false, "unsubscribe": true,
        },
        "clients": clients, "groups": [], "roles": roles,
    });
    fs::write(dir.join("rights.json"), rights.to_string())
}

fn client(name: &str) -> Value {
    json!({"username": name, "roles": [{"rolename": name}]})
}

fn right(kind: &str, topic: &str) -> Value {
    json!({"acltype": kind, "topic": topic, "priority": 0, "allow": true})
}
