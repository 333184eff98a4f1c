//! A network namespace with one host in it, behind a link of its own. When the link is down, every packet is
//! lost in both directions, and nobody says so. Behind another link is a router that swallows what it is sent.

#![allow(clippy::disallowed_methods, reason = "a test sets up its network")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use crate::fleet::Fleet;
use crate::program::signal;

/// Islands of this process, for nets of their own.
static N_ISLANDS: AtomicU32 = AtomicU32::new(0);

fn ip(args: &str) -> bool {
    let status = Command::new("ip").args(args.split(' ')).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Removed with all that runs in it when it is dropped.
pub(super) struct Island {
    /// The namespace's name, and what the names of its links begin with.
    name: String,
    /// The net is reserved for such tests (RFC 2544), and known to this machine only as long as the links are
    /// there.
    net: String,
    port: u16,
}

impl Island {
    /// `None` where this user may not make one, or there is no sshd for its host.
    pub(super) fn make() -> Option<Self> {
        let (pid, number) = (std::process::id(), N_ISLANDS.fetch_add(1, Ordering::Relaxed));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let net = format!("198.18.{}", (pid * 7 + number) % 256);
        let island = Self { name: format!("fw{pid}-{number}"), net, port };
        let is_made = Path::new("/usr/sbin/sshd").exists()
            && ip(&format!("netns add {}", island.name))
            && ip(&format!("-n {} link set lo up", island.name))
            && island.is_linked("a", 1)
            && island.is_linked("b", 5)
            && ip(&format!("route add {} via {}.6", island.swallowed(), island.net))
            && ip(&format!("-n {} route add blackhole {}", island.name, island.swallowed()));
        is_made.then_some(island)
    }

    /// Links this machine, which is `number` in the net there, with the next number in the namespace.
    fn is_linked(&self, link: &str, number: u8) -> bool {
        let Self { name, net, .. } = self;
        let (near, far) = (format!("{name}{link}"), format!("{name}{link}f"));
        ip(&format!("link add {near} type veth peer name {far} netns {name}"))
            && ip(&format!("addr add {net}.{number}/30 dev {near}"))
            && ip(&format!("link set {near} up"))
            && ip(&format!("-n {name} addr add {net}.{}/30 dev {far}", number + 1))
            && ip(&format!("-n {name} link set {far} up"))
    }

    /// Where its host is.
    pub(super) fn address(&self) -> String {
        format!("{}.2", self.net)
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// An address at which every packet ends, and none comes back.
    pub(super) fn swallowed(&self) -> String {
        format!("{}.9", self.net)
    }

    /// Lets a host of the fleet listen in here too, with its own key, and makes that key known.
    pub(super) fn settle(&self, fleet: &Fleet, host: &str) {
        let file = |name: &str| fleet.dir().join(host).join(name);
        let place = format!("{}:{}", self.address(), self.port);
        // It goes into the background when it listens.
        let mut sshd = Command::new("ip");
        sshd.args(["netns", "exec", &self.name, "/usr/sbin/sshd", "-f"]).arg(file("sshd_config"));
        sshd.arg("-o").arg(format!("ListenAddress={place}")).args(["-o", "PidFile=none"]);
        sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(sshd.status().unwrap().success(), "no sshd at {place}");
        let known = fleet.dir().join("known_hosts");
        let key = std::fs::read_to_string(file("key.pub")).unwrap();
        let line = format!("[{}]:{} {key}", self.address(), self.port);
        std::fs::write(&known, std::fs::read_to_string(&known).unwrap() + &line).unwrap();
    }

    /// Takes the link to its host down or up.
    pub(super) fn link(&self, state: &str) {
        assert!(ip(&format!("-n {0} link set {0}af {state}", self.name)));
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let pids = Command::new("ip").args(["netns", "pids", &self.name]).output();
        let pids =
            pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        pids.split_whitespace().filter_map(|pid| pid.parse().ok()).for_each(|pid| signal(pid, Signal::KILL));
        ip(&format!("link del {}a", self.name));
        ip(&format!("link del {}b", self.name));
        ip(&format!("netns del {}", self.name));
    }
}
