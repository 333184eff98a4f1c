//! Written hosts become hosts: ranges expanded, defaults applied, and checked against each other.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnostic::{DiagnosticSink, ValueError};
use super::host_entry::RawHost;
use super::host_options::HostOptions;
use super::hostlist::{Hostlist, MAX_HOSTS};
use super::location::{Location, Spanned};
use super::model::{Host, Target};
use super::place;
use super::sections::Cycle;
use super::select::Selector;
use crate::reading::SafeText;

/// The most changes of hosts by `override` in an inventory.
const MAX_CHANGED: u64 = 4 * MAX_HOSTS;

/// Turns entries into hosts with the places of each; an entry that is wrong is reported and left out.
pub(super) fn resolve(
    raw: &[RawHost],
    exclude: &[Spanned<Selector>],
    cycle: &Cycle,
    sink: &mut DiagnosticSink,
) -> Vec<(Host, Vec<Location>)> {
    let mut fleet = Fleet::default();
    let (overrides, entries): (Vec<_>, Vec<_>) = raw.iter().partition(|entry| entry.is_override);
    for (entry_idx, entry) in entries.into_iter().enumerate() {
        fleet.check_times(&entry.options, cycle, sink);
        if fleet.has_room_for(&entry.name, sink) {
            fleet.add(entry_idx, entry, sink);
        }
    }
    // They may stand anywhere: of a fleet of many files, what one host has of its own is written in the first.
    for entry in overrides {
        fleet.change(entry, cycle, sink);
    }
    fleet.exclude(exclude, sink);
    fleet.check_machines(sink);
    let is_all_excluded = !fleet.hosts.is_empty() && fleet.hosts.iter().all(|host| host.is_excluded);
    if let Some(pattern) = exclude.first().filter(|_| is_all_excluded) {
        let hint = "leave at least one host in the fleet";
        let error = ValueError::new("every host is excluded", "nothing is left", hint);
        sink.push(pattern.location.clone(), error);
    }
    let kept = fleet.hosts.into_iter().filter(|host| !host.is_excluded);
    kept.map(|host| (host.options.host(host.name, host.address), host.locations)).collect()
}

/// A host in the making.
struct ResolvedHost<'w> {
    name: String,
    address: String,
    options: Cow<'w, HostOptions>,
    /// The entry that gives it, then those that change it.
    locations: Vec<Location>,
    /// Where its address is written, or its name where there is none.
    address_location: Location,
    /// Which `[[host]]` gives it.
    entry_idx: usize,
    /// Its name or address is an error already, so that its machine is not to be another one.
    is_faulty: bool,
    is_excluded: bool,
}

#[derive(Default)]
struct Fleet<'w> {
    hosts: Vec<ResolvedHost<'w>>,
    /// Every name, and its place in `hosts`.
    names: BTreeMap<String, usize>,
    n_expanded: u64,
    n_changed: u64,
    is_full: bool,
    /// Times that were found wrong; defaults hold for many hosts and are one error.
    wrong_times: BTreeSet<Option<Location>>,
}

/// Identity of a machine, of which the GPUs are counted once; an address may lead to several by port, jump
/// host and user, and two programs may show different GPUs. `None` for a host that is played from a file.
fn machine(host: &Host) -> Option<String> {
    let route = match &host.target {
        Target::Local => None,
        Target::Scripted { .. } => return None,
        Target::Ssh(ssh) => {
            let address = ssh.address.trim_end_matches('.').to_ascii_lowercase();
            Some((address, ssh.port, &ssh.user, &ssh.jump, &ssh.ssh_config))
        }
    };
    let program = host.probes.iter().find(|tool| tool.can_sample()).map(|tool| host.program(*tool));
    Some(format!("{:?}", (route, program)))
}

impl<'w> Fleet<'w> {
    fn has_room_for(&mut self, name: &Spanned<Hostlist>, sink: &mut DiagnosticSink) -> bool {
        let total = self.n_expanded.saturating_add(name.value.count());
        if total <= MAX_HOSTS {
            self.n_expanded = total;
            return true;
        }
        if !self.is_full {
            self.is_full = true;
            let hint = "check the range for a digit too many; split a fleet that is larger among several inventories";
            let error = ValueError::new(format!("more than {MAX_HOSTS} hosts"), "too many hosts", hint);
            sink.push(name.location.clone(), error);
        }
        false
    }

    /// Adds the hosts of an entry, without those that it excludes: their names are free for other entries.
    fn add(&mut self, entry_idx: usize, entry: &'w RawHost, sink: &mut DiagnosticSink) {
        let names = entry.name.value.expand();
        let excluded = excluded(&entry.exclude, names.iter().map(String::as_str), "this [[host]]", sink);
        let addresses = addresses(entry, &names, sink);
        let has_addresses = addresses.is_some();
        let addresses = addresses.unwrap_or_else(|| names.clone());
        let mut given: Vec<(String, String)> = names.into_iter().zip(addresses).collect();
        given.retain(|(name, _)| !excluded.contains(name));
        let is_faulty = !self.check_names(&given, &entry.name.location, sink) || !has_addresses;
        let address = entry.address.as_ref().unwrap_or(&entry.name);
        for (name, address_of_host) in given {
            self.names.entry(name.clone()).or_insert(self.hosts.len());
            self.hosts.push(ResolvedHost {
                name,
                address: address_of_host,
                options: Cow::Borrowed(&entry.options),
                locations: vec![entry.name.location.clone()],
                address_location: address.location.clone(),
                entry_idx,
                is_faulty,
                is_excluded: false,
            });
        }
    }

    /// Notes whether all names are new: one error for each `[[host]]`, however many names it repeats.
    fn check_names(
        &self,
        given: &[(String, String)],
        location: &Location,
        sink: &mut DiagnosticSink,
    ) -> bool {
        let mut own = BTreeSet::new();
        let mut duplicates = given.iter().filter_map(|(name, _)| {
            let is_own = !own.insert(name);
            let earlier = self.names.get(name).and_then(|idx| self.hosts.get(*idx)?.locations.first());
            earlier.or(is_own.then_some(location)).map(|earlier| (name, earlier.clone()))
        });
        let Some((name, earlier)) = duplicates.next() else { return true };
        let others = and_more(duplicates.count());
        let hint = "each host has one name of its own: take one out or rename it; if this is to change that host, write `override = true` here";
        let error =
            ValueError::new(format!("the name `{name}`{others} is given twice"), "given before", hint);
        sink.push(location.clone(), error.clashing("first given at", earlier));
        false
    }

    /// Lays an entry with `override = true` over the hosts that other entries give.
    fn change(&mut self, entry: &RawHost, cycle: &Cycle, sink: &mut DiagnosticSink) {
        if let Some(pattern) = entry.exclude.first() {
            let hint = "take it out here: `exclude` belongs to the [[host]] that gives the hosts, or to the top of the file";
            let error = ValueError::new("`exclude` beside `override = true`", "gives no hosts", hint);
            sink.push(pattern.location.clone(), error);
        }
        self.n_changed = self.n_changed.saturating_add(entry.name.value.count());
        if self.n_changed > MAX_CHANGED {
            let hint =
                "check the range for a digit too many; what holds for all hosts belongs into [defaults]";
            let message = format!("more than {MAX_CHANGED} changes of hosts");
            return sink.push(entry.name.location.clone(), ValueError::new(message, "too many", hint));
        }
        let names = entry.name.value.expand();
        let unknown: Vec<&String> = names.iter().filter(|name| !self.names.contains_key(*name)).collect();
        if let [name, others @ ..] = unknown.as_slice() {
            let others = and_more(others.len());
            let message = format!("`{name}`{others} is to be changed, but no [[host]] gives it");
            let hint = "correct the name, or take `override = true` out if this is a host of its own";
            return sink.push(entry.name.location.clone(), ValueError::new(message, "given nowhere", hint));
        }
        let Some(addresses) = addresses(entry, &names, sink) else { return };
        for (name, address) in names.iter().zip(addresses) {
            let host = self.names.get(name).and_then(|idx| self.hosts.get_mut(*idx));
            let Some(host) = host else { continue };
            if let Some(raw) = &entry.address {
                host.address = address;
                host.address_location = raw.location.clone();
            }
            host.locations.push(entry.name.location.clone());
            let options = entry.options.over(&host.options);
            host.options = Cow::Owned(options.clone());
            self.check_times(&options, cycle, sink);
        }
    }

    /// Leaves hosts out, whichever entry gives them.
    fn exclude(&mut self, exclude: &[Spanned<Selector>], sink: &mut DiagnosticSink) {
        let names = self.hosts.iter().map(|host| host.name.as_str());
        let excluded = excluded(exclude, names, "the fleet", sink);
        for host in &mut self.hosts {
            host.is_excluded = excluded.contains(&host.name);
        }
    }

    /// Notes machines that are in the fleet under two names: one error for each `[[host]]`.
    fn check_machines(&self, sink: &mut DiagnosticSink) {
        let mut machines: BTreeMap<String, &ResolvedHost<'_>> = BTreeMap::new();
        let mut noted = BTreeSet::new();
        for host in self.hosts.iter().filter(|host| !host.is_excluded && !host.is_faulty) {
            let resolved = host.options.host(host.name.clone(), host.address.clone());
            let Some(machine) = machine(&resolved) else { continue };
            let earlier = *machines.entry(machine).or_insert(host);
            if !std::ptr::eq(earlier, host) && noted.insert(host.entry_idx) {
                let message = format!("`{}` and `{}` are one machine", host.name, earlier.name);
                let hint =
                    "its GPUs would be counted twice: take one of the two out, or give the right `address`";
                let error = ValueError::new(message, "a machine that is asked already", hint);
                let earlier = earlier.address_location.clone();
                sink.push(host.address_location.clone(), error.clashing("first given at", earlier));
            }
        }
    }

    fn check_times(&mut self, options: &HostOptions, cycle: &Cycle, sink: &mut DiagnosticSink) {
        let host = options.host(String::new(), String::new());
        let timeout_location = options.location("timeout");
        let interval = cycle.interval.unwrap_or(Duration::MAX);
        if host.timeout >= interval {
            // With neither written there is nothing wrong, so one of the two locations is there.
            let location = timeout_location.clone().or_else(|| cycle.interval_location.clone());
            let hint = "an answer must be in before the next cycle: lower `timeout` in [defaults], or raise `interval` in [cycle]";
            self.wrong_time(location, not_below_interval("timeout", host.timeout, interval, hint), sink);
        }
        if let Some(sample) = host.sample.filter(|sample| *sample >= interval) {
            let hint =
                "samples are what is read within a cycle: lower `sample`, or take it out to ask once a cycle";
            let error = not_below_interval("sample", sample, interval, hint);
            self.wrong_time(options.location("sample"), error, sink);
        }
        if let Target::Ssh(ssh) = host.target
            && ssh.connect_timeout > host.timeout
        {
            let [connect, timeout] = [ssh.connect_timeout, host.timeout].map(humantime::format_duration);
            let message = format!("the connect_timeout of {connect} is above the timeout of {timeout}");
            let hint =
                "lower `connect_timeout`, or raise `timeout`: it is for connecting and answering together";
            let error = ValueError::new(message, "connecting is part of the timeout", hint);
            self.wrong_time(options.location("connect_timeout").or(timeout_location), error, sink);
        }
    }

    fn wrong_time(&mut self, location: Option<Location>, error: ValueError, sink: &mut DiagnosticSink) {
        if self.wrong_times.insert(location.clone()) {
            sink.push(location.unwrap_or(Location::whole_file(0)), error);
        }
    }
}

/// The names that are left out. Every name and pattern must be of one of them: a slip would have a host
/// polled.
fn excluded<'n>(
    exclude: &[Spanned<Selector>],
    names: impl Iterator<Item = &'n str>,
    of: &str,
    sink: &mut DiagnosticSink,
) -> BTreeSet<String> {
    let mut excluded = BTreeSet::new();
    let all: BTreeSet<&str> = if exclude.is_empty() { BTreeSet::new() } else { names.collect() };
    for selector in exclude {
        let selection = selector.value.choose(&all);
        if let [name, others @ ..] = selection.missing.as_slice() {
            let others = and_more(others.len());
            let message =
                format!("`exclude` names `{}`{others}, which is no host of {of}", SafeText::new(name));
            let error = ValueError::new(message, "no such host", "correct it, or take it out");
            sink.push(selector.location.clone(), error);
        }
        excluded.extend(selection.names.into_iter().map(str::to_owned));
    }
    excluded
}

fn and_more(n_more: usize) -> String {
    if n_more == 0 { String::new() } else { format!(" (and {n_more} more)") }
}

/// One address for each name, or the error that there is not.
fn addresses(host: &RawHost, names: &[String], sink: &mut DiagnosticSink) -> Option<Vec<String>> {
    let Some(address) = &host.address else { return Some(names.to_vec()) };
    let (n_names, n_addresses) = (host.name.value.count(), address.value.count());
    if n_names != n_addresses {
        let hint = if address.value.has_ranges() {
            "let both ranges have the same count"
        } else {
            "give `address` a range of the same count, or leave it out to use the names"
        };
        let message = format!("`name` and `address` differ in count: {n_names} and {n_addresses}");
        sink.push(address.location.clone(), ValueError::new(message, "not one for each name", hint));
        return None;
    }
    let addresses = address.value.expand();
    if let Some(mut error) = addresses.iter().find_map(|address| place::expanded_address(address).err()) {
        error.message = format!("`address` {}", error.message);
        sink.push(address.location.clone(), error);
        return None;
    }
    Some(addresses)
}

fn not_below_interval(key: &str, time: Duration, interval: Duration, hint: &str) -> ValueError {
    let [time, interval] = [time, interval].map(humantime::format_duration);
    let message = format!("the {key} of {time} is not below the interval of {interval}");
    ValueError::new(message, "not below the interval", hint)
}
