//! A host behind a link of its own, in a network namespace: when the link is down, every packet is lost in
//! both directions, and nobody says so.

#![allow(clippy::disallowed_methods, reason = "a test sets up its network")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Daemon, PATIENCE, say, wait_until};
use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, Row, of_type};

/// Both ends of the link. The net is reserved for such tests (RFC 2544), and known to this machine only as
/// long as the link is there.
const HERE: &str = "198.18.77.1/30";
const THERE: &str = "198.18.77.2";

/// How long the link is down, and then up.
const HALF_THE_TIME: Duration = Duration::from_millis(2_500);

/// How many cycles are counted.
const N_CYCLES: usize = 6;

fn ip(args: &[&str]) -> bool {
    let status = Command::new("ip").args(args).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A namespace with one host in it. Removed when it is dropped.
struct Island {
    name: String,
    link: String,
    port: u16,
    sshd: Option<Child>,
}

impl Island {
    /// `None` where this user may not make one.
    fn make() -> Option<Self> {
        let pid = std::process::id();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let island = Self { name: format!("fw{pid}"), link: format!("fwa{pid}"), port, sshd: None };
        let (name, link, far) = (island.name.as_str(), island.link.as_str(), format!("fwb{pid}"));
        let is_made = ip(&["netns", "add", name])
            && ip(&["link", "add", link, "type", "veth", "peer", "name", &far, "netns", name])
            && ip(&["addr", "add", HERE, "dev", link])
            && ip(&["link", "set", link, "up"])
            && ip(&["-n", name, "addr", "add", &format!("{THERE}/30"), "dev", &far])
            && ip(&["-n", name, "link", "set", &far, "up"])
            && ip(&["-n", name, "link", "set", "lo", "up"]);
        is_made.then_some(island)
    }

    /// Lets a host of the fleet listen in here too, with its own key, and makes that key known.
    fn settle(&mut self, fleet: &Fleet, host: &str) {
        let file = |name: &str| fleet.dir().join(host).join(name);
        let mut sshd = Command::new("ip");
        sshd.args(["netns", "exec", &self.name, "/usr/sbin/sshd", "-D", "-f"]).arg(file("sshd_config"));
        sshd.arg("-o").arg(format!("ListenAddress={THERE}:{}", self.port)).args(["-o", "PidFile=none"]);
        self.sshd = Some(sshd.stderr(Stdio::null()).spawn().unwrap());
        let known = fleet.dir().join("known_hosts");
        let key = std::fs::read_to_string(file("key.pub")).unwrap();
        let line = format!("[{THERE}]:{} {key}", self.port);
        std::fs::write(&known, std::fs::read_to_string(&known).unwrap() + &line).unwrap();
    }

    /// Takes the link down or up.
    fn link(&self, state: &str) {
        assert!(ip(&["-n", &self.name, "link", "set", &self.link.replace("fwa", "fwb"), state]));
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        if let Some(sshd) = &mut self.sshd {
            sshd.kill().unwrap_or_default();
            sshd.wait().map(drop).unwrap_or_default();
        }
        ip(&["netns", "del", &self.name]);
        ip(&["link", "del", &self.link]);
    }
}

fn inventory(fleet: &Fleet, home: &Home, island: &Island) -> std::path::PathBuf {
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let defaults = defaults.replace("\"15s\"", "\"1500ms\"").replace("\"5s\"", "\"1s\"");
    home.inventory(&format!(
        "{defaults}[cycle]\ninterval = \"2s\"\n[[host]]\nname = \"node[001-003]\"\n\
         [[host]]\nname = \"island\"\naddress = \"{THERE}\"\nport = {}\n",
        island.port
    ))
}

fn n_up(rows: &[Row], node: &str) -> usize {
    let source = format!("node_{node}");
    of_type(rows, "node_up").iter().filter(|row| row.1 == source && row.2 == Some(1.0)).count()
}

fn n_cycles(rows: &[Row]) -> usize {
    of_type(rows, "cluster_gpu_power_total").len()
}

#[test]
fn a_host_that_loses_every_packet_half_of_the_time_costs_the_others_nothing_and_comes_back() {
    let Some(mut island) = Island::make().filter(|_| Path::new("/usr/sbin/sshd").exists()) else {
        return say("passed over: this user may not make a network namespace");
    };
    let (fleet, home) = (Fleet::start(HostPlan::many(4, "")).unwrap(), Home::new());
    island.settle(&fleet, "node004");
    let daemon = Daemon::start(&home, &inventory(&fleet, &home, &island));
    wait_until("the island", PATIENCE, || n_up(&home.rows(), "island"), |n_up| 1 <= *n_up);

    let before = home.rows();
    let (started_at, mut state) = (Instant::now(), "up");
    let counted = || {
        let half = started_at.elapsed().as_millis() / HALF_THE_TIME.as_millis();
        let wanted = if half.is_multiple_of(2) { "down" } else { "up" };
        if wanted != state {
            state = wanted;
            island.link(state);
        }
        n_cycles(&home.rows()) - n_cycles(&before)
    };
    wait_until("cycles with a bad link", PATIENCE, counted, |n_cycles| N_CYCLES <= *n_cycles);
    let took = started_at.elapsed();
    let during = home.rows();
    for node in ["node001", "node002", "node003"] {
        let n_ups = n_up(&during, node) - n_up(&before, node);
        assert_eq!(n_ups, n_cycles(&during) - n_cycles(&before), "{node}");
    }
    say(&format!("{N_CYCLES} cycles of 2 s in {took:?}; island up in {}", n_up(&during, "island")));
    island.link("up");
    let n_ups = n_up(&during, "island");
    wait_until("the island again", PATIENCE, || n_up(&home.rows(), "island"), |now| n_ups + 2 <= *now);
    assert_eq!(daemon.stop().0, Some(0));
}
