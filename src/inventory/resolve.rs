//! Written hosts become hosts: ranges expanded, defaults applied, and checked against each other.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::fault::{Drafts, Flaw, Site};
use super::hostlist::{Hostlist, MAX_HOSTS};
use super::layer::{Kind, Layer};
use super::load::WrittenHost;
use super::model::{Host, SshTarget, Target};
use super::place;
use super::section::At;
use super::select::Selector;
use super::settings::Cycle;
use crate::reading::SafeText;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
const DEFAULT_CONTROL_PERSIST: Duration = Duration::from_secs(10 * 60);
const DEFAULT_NVIDIA_SMI: &str = "nvidia-smi";

/// How many changes of hosts by `override` an inventory may have.
const MAX_CHANGED: u64 = 4 * MAX_HOSTS;

/// Turns what is written into hosts, each with the places that it stands at; what cannot be is noted and
/// left out.
pub(super) fn resolve(
    written: &[WrittenHost],
    exclude: &[At<Selector>],
    cycle: &Cycle,
    drafts: &mut Drafts,
) -> Vec<(Host, Vec<Site>)> {
    let mut fleet = Fleet::default();
    let (overrides, entries): (Vec<_>, Vec<_>) = written.iter().partition(|entry| entry.is_override);
    for (entry_idx, entry) in entries.into_iter().enumerate() {
        fleet.check_times(&entry.layer, cycle, drafts);
        if fleet.has_room_for(&entry.name, drafts) {
            fleet.add(entry_idx, entry, drafts);
        }
    }
    // They may stand anywhere: of a fleet of many files, what one host has of its own is written in the first.
    for entry in overrides {
        fleet.change(entry, cycle, drafts);
    }
    fleet.exclude(exclude, drafts);
    fleet.note_machines(drafts);
    if let (Some(pattern), true) = (exclude.first(), fleet.is_all_excluded()) {
        let hint = "leave at least one host in the fleet";
        drafts.push(pattern.site.clone(), Flaw::new("every host is excluded", "nothing is left", hint));
    }
    let kept = fleet.hosts.into_iter().filter(|planned| !planned.is_excluded);
    kept.map(|planned| (host_of(&planned.layer, planned.name, planned.address), planned.sites)).collect()
}

/// A host in the making.
struct Planned<'w> {
    name: String,
    address: String,
    layer: Cow<'w, Layer>,
    /// The entry that gives it, then those that change it.
    sites: Vec<Site>,
    /// Where its address is written, or its name where there is none.
    address_site: Site,
    /// Which `[[host]]` gives it.
    entry_idx: usize,
    /// Its name or address is a fault already, so that its machine is not to be another one.
    is_faulty: bool,
    is_excluded: bool,
}

#[derive(Default)]
struct Fleet<'w> {
    hosts: Vec<Planned<'w>>,
    /// Every name, and its place in `hosts`.
    names: BTreeMap<String, usize>,
    n_expanded: u64,
    n_changed: u64,
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
                address: ssh.address.trim_end_matches('.').to_ascii_lowercase(),
                port: ssh.port,
                user: ssh.user.clone(),
                jump: ssh.jump.clone(),
                ssh_config: ssh.ssh_config.clone(),
            }),
        };
        Some(Self { ssh, nvidia_smi: host.nvidia_smi.clone() })
    }
}

impl<'w> Fleet<'w> {
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

    /// Adds the hosts of an entry, without those that it excludes: their names are free for other entries.
    fn add(&mut self, entry_idx: usize, entry: &'w WrittenHost, drafts: &mut Drafts) {
        let names = entry.name.value.expand();
        let left_out = {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            left_out(&entry.exclude, &names, "this [[host]]", drafts)
        };
        let addresses = addresses(entry, &names, drafts);
        let has_addresses = addresses.is_some();
        let addresses = addresses.unwrap_or_else(|| names.clone());
        let mut given: Vec<(String, String)> = names.into_iter().zip(addresses).collect();
        given.retain(|(name, _)| !left_out.contains(name));
        let is_double = !self.note_names(&given, &entry.name.site, drafts);
        let address_site = entry.address.as_ref().map_or(&entry.name.site, |address| &address.site);
        for (name, address) in given {
            self.names.entry(name.clone()).or_insert(self.hosts.len());
            self.hosts.push(Planned {
                name,
                address,
                layer: Cow::Borrowed(&entry.layer),
                sites: vec![entry.name.site.clone()],
                address_site: address_site.clone(),
                entry_idx,
                is_faulty: is_double || !has_addresses,
                is_excluded: false,
            });
        }
    }

    /// Notes whether all names are new: one fault for each `[[host]]`, however many names it repeats.
    fn note_names(&self, given: &[(String, String)], site: &Site, drafts: &mut Drafts) -> bool {
        let mut own = BTreeSet::new();
        let mut doubles = given.iter().filter_map(|(name, _)| {
            let is_own = !own.insert(name);
            let earlier = self.names.get(name).and_then(|idx| self.hosts.get(*idx)?.sites.first());
            earlier.or(is_own.then_some(site)).map(|earlier| (name, earlier.clone()))
        });
        let Some((name, earlier)) = doubles.next() else { return true };
        let others = and_more(doubles.count());
        let flaw = Flaw::new(
            format!("the name `{name}`{others} is given twice"),
            "given before",
            "each host has one name of its own: take one out or rename it; if this is to change that host, write `override = true` here",
        );
        drafts.push_clash(site.clone(), flaw, "first given at", earlier);
        false
    }

    /// Lays an entry with `override = true` over the hosts that other entries give.
    fn change(&mut self, entry: &WrittenHost, cycle: &Cycle, drafts: &mut Drafts) {
        if let Some(pattern) = entry.exclude.first() {
            let hint = "take it out here: `exclude` belongs to the [[host]] that gives the hosts, or to the top of the file";
            let flaw = Flaw::new("`exclude` beside `override = true`", "gives no hosts", hint);
            drafts.push(pattern.site.clone(), flaw);
        }
        self.n_changed = self.n_changed.saturating_add(entry.name.value.count());
        if self.n_changed > MAX_CHANGED {
            let hint =
                "check the range for a digit too many; what holds for all hosts belongs into [defaults]";
            let flaw = Flaw::new(format!("more than {MAX_CHANGED} changes of hosts"), "too many", hint);
            return drafts.push(entry.name.site.clone(), flaw);
        }
        let names = entry.name.value.expand();
        let unknown: Vec<&String> = names.iter().filter(|name| !self.names.contains_key(*name)).collect();
        if let [name, others @ ..] = unknown.as_slice() {
            let others = and_more(others.len());
            let flaw = Flaw::new(
                format!("`{name}`{others} is to be changed, but no [[host]] gives it"),
                "given nowhere",
                "correct the name, or take `override = true` out if this is a host of its own",
            );
            return drafts.push(entry.name.site.clone(), flaw);
        }
        let addresses = match &entry.address {
            Some(_) => addresses(entry, &names, drafts),
            None => Some(Vec::new()),
        };
        let Some(addresses) = addresses else { return };
        let mut addresses = addresses.into_iter();
        for name in &names {
            let address = addresses.next();
            let planned = self.names.get(name).and_then(|idx| self.hosts.get_mut(*idx));
            let Some(planned) = planned else { continue };
            if let (Some(address), Some(written)) = (address, &entry.address) {
                planned.address = address;
                planned.address_site = written.site.clone();
            }
            planned.sites.push(entry.name.site.clone());
            let layer = entry.layer.over(&planned.layer);
            planned.layer = Cow::Owned(layer.clone());
            self.check_times(&layer, cycle, drafts);
        }
    }

    /// Leaves hosts out, whichever entry gives them.
    fn exclude(&mut self, exclude: &[At<Selector>], drafts: &mut Drafts) {
        let names: Vec<&str> = self.hosts.iter().map(|planned| planned.name.as_str()).collect();
        let left_out = left_out(exclude, &names, "the fleet", drafts);
        for planned in &mut self.hosts {
            planned.is_excluded = left_out.contains(&planned.name);
        }
    }

    fn is_all_excluded(&self) -> bool {
        !self.hosts.is_empty() && self.hosts.iter().all(|planned| planned.is_excluded)
    }

    /// Notes machines that are in the fleet under two names: one fault for each `[[host]]`.
    fn note_machines(&self, drafts: &mut Drafts) {
        let mut machines: BTreeMap<Machine, &Planned<'_>> = BTreeMap::new();
        let mut noted = BTreeSet::new();
        for planned in self.hosts.iter().filter(|planned| !planned.is_excluded && !planned.is_faulty) {
            let host = host_of(&planned.layer, planned.name.clone(), planned.address.clone());
            let Some(machine) = Machine::of(&host) else { continue };
            let earlier = match machines.entry(machine) {
                Entry::Vacant(place) => {
                    place.insert(planned);
                    continue;
                }
                Entry::Occupied(earlier) => *earlier.get(),
            };
            if noted.insert(planned.entry_idx) {
                let flaw = Flaw::new(
                    format!("`{}` and `{}` are one machine", planned.name, earlier.name),
                    "a machine that is asked already",
                    "its GPUs would be counted twice: take one of the two out, or give the right `address`",
                );
                let earlier = earlier.address_site.clone();
                drafts.push_clash(planned.address_site.clone(), flaw, "first given at", earlier);
            }
        }
    }

    fn check_times(&mut self, layer: &Layer, cycle: &Cycle, drafts: &mut Drafts) {
        let (timeout, timeout_site) = parts(&layer.timeout, DEFAULT_TIMEOUT);
        if let Some(interval) = cycle.interval.filter(|interval| timeout >= *interval) {
            // With neither written there is nothing wrong, so one of the two sites is there.
            let site = timeout_site.clone().or_else(|| cycle.interval_site.clone());
            let flaw = Flaw::new(
                format!(
                    "the timeout of {} is not below the interval of {}",
                    message(timeout),
                    message(interval)
                ),
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
                    message(connect),
                    message(timeout)
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
                format!(
                    "the sample of {} is not below the interval of {}",
                    message(*sample),
                    message(interval)
                ),
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

/// Which of these names are to be left out. Every name and pattern must be of one of them, since a slip would
/// have a host polled that is to be left alone.
fn left_out(exclude: &[At<Selector>], names: &[&str], of: &str, drafts: &mut Drafts) -> BTreeSet<String> {
    let mut left_out = BTreeSet::new();
    if exclude.is_empty() {
        return left_out;
    }
    let all: BTreeSet<&str> = names.iter().copied().collect();
    for selector in exclude {
        let selection = selector.value.choose(&all);
        if let [name, others @ ..] = selection.missing.as_slice() {
            let others = and_more(others.len());
            let flaw = Flaw::new(
                format!("`exclude` names `{}`{others}, which is no host of {of}", SafeText::new(name)),
                "no such host",
                "correct it, or take it out",
            );
            drafts.push(selector.site.clone(), flaw);
        }
        left_out.extend(selection.names.into_iter().map(str::to_owned));
    }
    left_out
}

fn and_more(n_more: usize) -> String {
    if n_more == 0 { String::new() } else { format!(" (and {n_more} more)") }
}

/// One address for each name, or the fault that there is not.
fn addresses(host: &WrittenHost, names: &[String], drafts: &mut Drafts) -> Option<Vec<String>> {
    let Some(address) = &host.address else { return Some(names.to_vec()) };
    let (n_names, n_addresses) = (host.name.value.count(), address.value.count());
    if n_names != n_addresses {
        let hint = if address.value.has_ranges() {
            "let both ranges have the same count"
        } else {
            "give `address` a range of the same count, or leave it out to use the names"
        };
        let message = format!("`name` and `address` differ in count: {n_names} and {n_addresses}");
        drafts.push(address.site.clone(), Flaw::new(message, "not one for each name", hint));
        return None;
    }
    let addresses = address.value.expand();
    if let Some(mut flaw) = addresses.iter().find_map(|address| place::expanded_address(address).err()) {
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
        timeout: value_of(&layer.timeout).unwrap_or(DEFAULT_TIMEOUT),
        sample: value_of(&layer.sample).flatten(),
        nvidia_smi: value_of(&layer.nvidia_smi).unwrap_or_else(|| DEFAULT_NVIDIA_SMI.to_owned()),
        gpus: value_of(&layer.gpus),
        maintenance: value_of(&layer.maintenance).unwrap_or(false),
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

fn message(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
