//! Written hosts become hosts: ranges expanded, defaults applied, and checked against each other.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::check;
use super::fault::{Drafts, Flaw, Site};
use super::hostlist::{Hostlist, MAX_HOSTS};
use super::layer::{Kind, Layer};
use super::load::WrittenHost;
use super::model::{Host, Source, SshTarget, Target};
use super::section::At;
use super::settings::Cycle;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
const DEFAULT_CONTROL_PERSIST: Duration = Duration::from_secs(10 * 60);
const DEFAULT_NVIDIA_SMI: &str = "nvidia-smi";

/// Turns what is written into hosts; what cannot be is noted and left out.
pub(super) fn resolve(written: &[WrittenHost], cycle: &Cycle, drafts: &mut Drafts) -> Vec<Host> {
    let mut fleet = Fleet::default();
    for host in written {
        fleet.check_times(&host.layer, cycle, drafts);
        if fleet.has_room_for(&host.name, drafts) {
            fleet.add(host, drafts);
        }
    }
    fleet.hosts
}

#[derive(Default)]
struct Fleet {
    hosts: Vec<Host>,
    /// Every name, and where it was given first.
    names: BTreeMap<String, Site>,
    /// Every machine, by what it is asked with, and the name and place that it was given first.
    machines: BTreeMap<Machine, (String, Site)>,
    n_expanded: u64,
    is_full: bool,
    /// Times that were found wrong; defaults hold for many hosts and are one fault.
    wrong_times: BTreeSet<Option<Site>>,
}

/// What makes two hosts one machine for certain, whose GPUs would be counted twice. One address may lead to
/// several by port, by jump host, and through a gateway even by user.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Machine {
    /// `None` is this machine.
    ssh: Option<Route>,
    nvidia_smi: String,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    address: String,
    port: Option<u16>,
    user: Option<String>,
    jump: Option<String>,
    ssh_config: Option<PathBuf>,
}

impl Machine {
    /// `None` for a host that is played from a file, which may stand for any number.
    fn of(host: &Host) -> Option<Self> {
        let ssh = match &host.target {
            Target::Local => None,
            Target::Scripted { .. } => return None,
            Target::Ssh(ssh) => Some(Route {
                address: ssh.address.to_ascii_lowercase(),
                port: ssh.port,
                user: ssh.user.clone(),
                jump: ssh.jump.clone(),
                ssh_config: ssh.ssh_config.clone(),
            }),
        };
        Some(Self { ssh, nvidia_smi: host.nvidia_smi.clone() })
    }
}

impl Fleet {
    fn has_room_for(&mut self, name: &At<Hostlist>, drafts: &mut Drafts) -> bool {
        let total = self.n_expanded.saturating_add(name.value.count());
        if total <= MAX_HOSTS {
            self.n_expanded = total;
            return true;
        }
        if !self.is_full {
            self.is_full = true;
            let flaw = Flaw::new(
                format!("more than {MAX_HOSTS} hosts"),
                "too many hosts",
                "check the range for a digit too many; split a fleet that is larger among several inventories",
            );
            drafts.push(name.site.clone(), flaw);
        }
        false
    }

    fn add(&mut self, host: &WrittenHost, drafts: &mut Drafts) {
        let names = host.name.value.expand();
        let are_new = self.note_names(&names, &host.name.site, drafts);
        let Some(addresses) = addresses(host, &names, drafts) else { return };
        let hosts =
            names.into_iter().zip(addresses).map(|(name, address)| host_of(&host.layer, name, address));
        let hosts: Vec<Host> = hosts.collect();
        if are_new {
            let address = host.address.as_ref().map(|address| &address.site);
            self.note_machines(&hosts, address.unwrap_or(&host.name.site), drafts);
        }
        self.hosts.extend(hosts);
    }

    /// Notes machines that are in the fleet already under another name: one fault for each `[[host]]`.
    fn note_machines(&mut self, hosts: &[Host], site: &Site, drafts: &mut Drafts) {
        let mut first_double = None;
        for host in hosts {
            let Some(machine) = Machine::of(host) else { continue };
            match self.machines.entry(machine) {
                Entry::Vacant(place) => {
                    place.insert((host.name.clone(), site.clone()));
                }
                Entry::Occupied(earlier) => {
                    first_double.get_or_insert((host.name.clone(), earlier.get().clone()));
                }
            }
        }
        if let Some((name, (other, earlier))) = first_double {
            let flaw = Flaw::new(
                format!("`{name}` and `{other}` are one machine"),
                "a machine that is asked already",
                "its GPUs would be counted twice: take one of the two out, or give the right `address`",
            );
            drafts.push_clash(site.clone(), flaw, "first given at", earlier);
        }
    }

    /// Notes names, and whether all are new: one fault for each `[[host]]`, however many names it repeats.
    fn note_names(&mut self, names: &[String], site: &Site, drafts: &mut Drafts) -> bool {
        let mut first_double: Option<(&String, Site)> = None;
        let mut n_doubles = 0_usize;
        for name in names {
            if let Some(earlier) = self.names.get(name) {
                n_doubles += 1;
                first_double.get_or_insert((name, earlier.clone()));
            } else {
                self.names.insert(name.clone(), site.clone());
            }
        }
        let are_new = first_double.is_none();
        if let Some((name, earlier)) = first_double {
            let others = if n_doubles > 1 { format!(" (and {} more)", n_doubles - 1) } else { String::new() };
            let flaw = Flaw::new(
                format!("the name `{name}`{others} is given twice"),
                "given before",
                "each host has one name of its own; take one out or rename it",
            );
            drafts.push_clash(site.clone(), flaw, "first given at", earlier);
        }
        are_new
    }

    fn check_times(&mut self, layer: &Layer, cycle: &Cycle, drafts: &mut Drafts) {
        let (timeout, timeout_site) = parts(&layer.timeout, DEFAULT_TIMEOUT);
        if let Some(interval) = cycle.interval.filter(|interval| timeout >= *interval) {
            // With neither written there is nothing wrong, so one of the two sites is there.
            let site = timeout_site.clone().or_else(|| cycle.interval_site.clone());
            let flaw = Flaw::new(
                format!("the timeout of {} is not below the interval of {}", words(timeout), words(interval)),
                "not below the interval",
                "an answer must be in before the next cycle: lower `timeout` in [defaults], or raise `interval` in [cycle]",
            );
            self.wrong_time(site, flaw, drafts);
        }
        self.check_sample(layer, cycle, drafts);
        if matches!(layer.kind, Some(Kind::Local | Kind::Scripted(_))) {
            return;
        }
        let (connect, connect_site) = parts(&layer.connect_timeout, DEFAULT_CONNECT_TIMEOUT);
        if connect > timeout {
            let flaw = Flaw::new(
                format!(
                    "the connect_timeout of {} is above the timeout of {}",
                    words(connect),
                    words(timeout)
                ),
                "connecting is part of the timeout",
                "lower `connect_timeout`, or raise `timeout`: it is for connecting and answering together",
            );
            self.wrong_time(connect_site.or(timeout_site), flaw, drafts);
        }
    }

    fn check_sample(&mut self, layer: &Layer, cycle: &Cycle, drafts: &mut Drafts) {
        let Some(At { value: Some(sample), site }) = &layer.sample else { return };
        if let Some(interval) = cycle.interval.filter(|interval| sample >= interval) {
            let flaw = Flaw::new(
                format!("the sample of {} is not below the interval of {}", words(*sample), words(interval)),
                "not below the interval",
                "samples are what is read within a cycle: lower `sample`, or take it out to ask once a cycle",
            );
            self.wrong_time(Some(site.clone()), flaw, drafts);
        }
    }

    fn wrong_time(&mut self, site: Option<Site>, flaw: Flaw, drafts: &mut Drafts) {
        if self.wrong_times.insert(site.clone()) {
            drafts.push(site.unwrap_or(Site::whole_file(0)), flaw);
        }
    }
}

/// One address for each name, or the fault that there is not.
fn addresses(host: &WrittenHost, names: &[String], drafts: &mut Drafts) -> Option<Vec<String>> {
    let Some(address) = &host.address else { return Some(names.to_vec()) };
    let (n_names, n_addresses) = (host.name.value.count(), address.value.count());
    if n_names != n_addresses {
        let remedy = if address.value.has_ranges() {
            "let both ranges have the same count"
        } else {
            "give `address` a range of the same count, or leave it out to use the names"
        };
        let message = format!("`name` and `address` differ in count: {n_names} and {n_addresses}");
        drafts.push(address.site.clone(), Flaw::new(message, "not one for each name", remedy));
        return None;
    }
    let addresses = address.value.expand();
    if let Some(mut flaw) = addresses.iter().find_map(|address| check::expanded_address(address).err()) {
        flaw.message = format!("`address` {}", flaw.message);
        drafts.push(address.site.clone(), flaw);
        return None;
    }
    Some(addresses)
}

fn host_of(layer: &Layer, name: String, address: String) -> Host {
    let target = match &layer.kind {
        Some(Kind::Local) => Target::Local,
        Some(Kind::Scripted(scene)) => Target::Scripted { scene: scene.clone() },
        Some(Kind::Ssh) | None => Target::Ssh(ssh_target(layer, address)),
    };
    Host {
        name,
        labels: layer.labels.clone(),
        target,
        probes: value_of(&layer.probes).unwrap_or_else(|| vec![Source::NvidiaSmi]),
        timeout: value_of(&layer.timeout).unwrap_or(DEFAULT_TIMEOUT),
        sample: value_of(&layer.sample).flatten(),
        nvidia_smi: value_of(&layer.nvidia_smi).unwrap_or_else(|| DEFAULT_NVIDIA_SMI.to_owned()),
        gpus: value_of(&layer.gpus),
    }
}

fn ssh_target(layer: &Layer, address: String) -> SshTarget {
    SshTarget {
        address,
        user: value_of(&layer.user),
        port: value_of(&layer.port),
        identity_file: value_of(&layer.identity_file),
        ssh_config: value_of(&layer.ssh_config),
        known_hosts: value_of(&layer.known_hosts),
        jump: value_of(&layer.jump),
        kex: value_of(&layer.kex),
        host_key: value_of(&layer.host_key).unwrap_or_default(),
        connect_timeout: value_of(&layer.connect_timeout).unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        control_persist: value_of(&layer.control_persist).unwrap_or(DEFAULT_CONTROL_PERSIST),
        keep_shell: value_of(&layer.keep_shell).unwrap_or(true),
    }
}

fn value_of<T: Clone>(written: &Option<At<T>>) -> Option<T> {
    written.as_ref().map(|at| at.value.clone())
}

fn parts(written: &Option<At<Duration>>, default: Duration) -> (Duration, Option<Site>) {
    written.as_ref().map_or((default, None), |at| (at.value, Some(at.site.clone())))
}

fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
