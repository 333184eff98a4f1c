//! Changes since the last cycle as lines for a log: a host that goes down and comes back, an alert, a station, the
//! store. The state of the fleet is said once an hour in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Scope, Severity, Transition};
use crate::reading::{AccountReport, Fault, Presence, SafeText, StationStatus, Timestamp};
use crate::support::{counted, named};

use super::problems::{N_NAMED, Problem, Weight, grouped};
use super::{Batch, HostReport, Today};

/// More hosts than this with the same news are one line.
const MAX_ALIKE: usize = 5;

/// The time between summaries when nothing happens.
const SUMMARY_EVERY: Duration = Duration::from_secs(3_600);

/// The time for which a remark that is no longer made is remembered, so that one that comes and goes is not news.
const REMARK_STAYS: Duration = Duration::from_secs(86_400);

/// A line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its urgency.
    pub urgency: Urgency,
    /// The line, for a person.
    pub text: String,
}

/// The urgency of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody should look at it now.
    Error,
    /// Somebody should look at it.
    Warning,
    /// Good to know.
    Info,
}

/// The state of things at the end of a cycle.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The cycle.
    pub batch: &'a Batch,
    /// Whether it is about every host of the inventory.
    pub scope: Scope,
    /// The alerts that were raised and cleared with it.
    pub transitions: &'a [Transition],
    /// Number of alerts that are raised.
    pub n_alerts: usize,
    /// Number of batches that wait in the spool.
    pub n_waiting: u64,
    /// The day so far.
    pub today: Option<&'a Today>,
    /// Whether the store takes what it is given, or why it does not; `None` where somebody else says so.
    pub store: Option<Result<(), &'a str>>,
}

/// All that was last said. Plain data, to be kept by the caller from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    hosts: BTreeMap<String, SaidOfHost>,
    /// The names of stations that give no answer, by their serial numbers.
    silent_stations: BTreeMap<String, String>,
    #[serde(rename = "solix_trouble")]
    account_trouble: Option<String>,
    store_away_us: Option<Timestamp>,
    summary_us: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct SaidOfHost {
    down: Option<Down>,
    faults: BTreeMap<String, SaidFault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Down {
    since_us: Timestamp,
    /// The failures since then: a host that is down in turns in this way and that is no news.
    kinds: BTreeSet<String>,
    jump: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SaidFault {
    since_us: Timestamp,
    seen_us: Timestamp,
    // `words` in the state of earlier versions.
    #[serde(alias = "words")]
    message: String,
    is_remark: bool,
}

/// A host that answers again, and how long it did not.
struct Back<'a> {
    node: &'a str,
    jump: Option<String>,
    after: Duration,
}

impl Said {
    /// The news, the worst first in each part.
    pub fn changes(&mut self, now: &Now<'_>) -> Vec<Line> {
        let at = now.batch.closed_at();
        let mut lines = self.hosts(now, at);
        lines.extend(alert_lines(now.transitions));
        if let Some(account) = &now.batch.account {
            lines.extend(account.stations.iter().filter_map(|status| self.station(account, status)));
            lines.extend(self.trouble(account));
        }
        lines.extend(now.store.and_then(|store| self.store(store, now.n_waiting, at)));
        if now.scope == Scope::Whole && self.owes_summary(now.batch) {
            self.summary_us = Some(at);
            lines.push(Urgency::Info.line(summary(now)));
        }
        lines
    }

    /// Whether the next cycle of the whole fleet is summed up in a line.
    pub fn owes_summary(&self, batch: &Batch) -> bool {
        let at = batch.closed_at();
        // A clock that was set back is no reason to be silent for longer.
        self.summary_us.is_none_or(|said| at < said || at.since(said) >= SUMMARY_EVERY)
    }

    fn hosts(&mut self, now: &Now<'_>, at: Timestamp) -> Vec<Line> {
        let mut backs = Vec::new();
        let mut overs = Vec::new();
        for report in now.batch.reports.iter().filter(|report| report.outcome.is_up()) {
            let Some(said) = self.hosts.get_mut(&report.node) else { continue };
            if let Some(Down { since_us, jump, .. }) = said.down.take() {
                backs.push(Back { node: &report.node, jump, after: at.since(since_us) });
            }
            overs.extend(said.drop_faults_that_are_over(report, at));
        }
        let mut news: Vec<Problem<'_>> = now.batch.problems();
        news.retain(|problem| self.hosts.entry(problem.node.to_owned()).or_default().is_news(problem, at));
        if now.scope == Scope::Whole {
            let names: BTreeSet<&str> = now.batch.reports.iter().map(|report| report.node.as_str()).collect();
            self.hosts.retain(|node, _| names.contains(node.as_str()));
        }
        self.hosts.retain(|_, said| said.down.is_some() || !said.faults.is_empty());
        news.sort_by_key(|problem| problem.weight);
        let groups = grouped(&news, MAX_ALIKE).into_iter().map(|group| {
            let is_remark = group.weight == Weight::Remark;
            let urgency = if is_remark { Urgency::Info } else { Urgency::Warning };
            urgency.line(format!("{}: {}", group.head, group.sentence))
        });
        let n_more = overs.len().saturating_sub(MAX_ALIKE);
        overs.truncate(MAX_ALIKE);
        overs.extend((n_more > 0).then(|| format!("… and {n_more} more like it")));
        let ends = back_lines(&backs).into_iter().chain(overs).map(|text| Urgency::Info.line(text));
        groups.chain(ends).collect()
    }

    fn station(&mut self, account: &AccountReport, status: &StationStatus) -> Option<Line> {
        let (serial, name) = (status.station.serial.to_string(), account.name_of(&status.station));
        match status.presence {
            Presence::Awaited => None,
            Presence::Live => {
                self.silent_stations.remove(&serial)?;
                Some(Urgency::Info.line(format!("{name} answers again")))
            }
            Presence::Stale(_) | Presence::Offline(_) => {
                let is_new = self.silent_stations.insert(serial, name.clone()).is_none();
                is_new.then(|| Urgency::Warning.line(format!("{name}: {}", status.presence)))
            }
        }
    }

    fn trouble(&mut self, account: &AccountReport) -> Option<Line> {
        let kind = account.trouble.as_ref().map(|trouble| trouble.kind.to_owned());
        if kind == self.account_trouble {
            return None;
        }
        self.account_trouble = kind;
        let source = account.vendor.source;
        let Some(trouble) = &account.trouble else {
            return Some(Urgency::Info.line(format!("{source} works again")));
        };
        let urgency = if trouble.needs_person { Urgency::Error } else { Urgency::Warning };
        Some(urgency.line(format!("{source}: {}", trouble.message)))
    }

    fn store(&mut self, store: Result<(), &str>, n_waiting: u64, at: Timestamp) -> Option<Line> {
        match (store, self.store_away_us) {
            (Err(message), None) => {
                self.store_away_us = Some(at);
                let waiting = counted(n_waiting, "batch", "batches");
                let text = format!("database unavailable, {waiting} in the spool: {message}");
                Some(Urgency::Warning.line(text))
            }
            (Ok(()), Some(since)) => {
                self.store_away_us = None;
                let after = after(at.since(since));
                Some(Urgency::Info.line(format!("the database takes batches again{after}")))
            }
            (Err(_), Some(_)) | (Ok(()), None) => None,
        }
    }
}

impl SaidOfHost {
    /// Whether this was not said so far; it counts as said from now on.
    fn is_news(&mut self, problem: &Problem<'_>, at: Timestamp) -> bool {
        if problem.weight == Weight::Failure {
            let jump = problem.jump.map(str::to_owned);
            let new = Down { since_us: at, kinds: BTreeSet::new(), jump };
            return self.down.get_or_insert(new).kinds.insert(problem.kind.to_owned());
        }
        let key = fault_key(problem.kind, problem.gpu);
        if let Some(said) = self.faults.get_mut(&key) {
            said.seen_us = at;
            return false;
        }
        let (is_remark, message) = (problem.weight == Weight::Remark, problem.message.clone());
        self.faults.insert(key, SaidFault { since_us: at, seen_us: at, message, is_remark });
        true
    }

    /// The faults that this host, which answered, no longer has. Remarks come and go, so that nothing is said of
    /// their end.
    fn drop_faults_that_are_over(&mut self, report: &HostReport, at: Timestamp) -> Vec<String> {
        let key = |fault: &Fault| fault_key(fault.kind.label(), fault.gpu.as_ref().map(SafeText::as_str));
        let present: BTreeSet<String> = report.faults.iter().map(key).collect();
        let mut overs = Vec::new();
        self.faults.retain(|key, said| {
            if present.contains(key) {
                return true;
            }
            if said.is_remark {
                return at.since(said.seen_us) < REMARK_STAYS;
            }
            overs.push(format!("{}: over{}: {}", report.node, after(at.since(said.since_us)), said.message));
            false
        });
        overs
    }
}

impl Urgency {
    fn line(self, text: String) -> Line {
        Line { urgency: self, text }
    }
}

fn fault_key(kind: &str, gpu: Option<&str>) -> String {
    gpu.map_or_else(|| kind.to_owned(), |gpu| format!("{kind} {gpu}"))
}

/// Hosts behind one jump host come back in one line, and others if they are many.
fn back_lines(backs: &[Back<'_>]) -> Vec<String> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Back<'_>>> = BTreeMap::new();
    for back in backs {
        groups.entry(back.jump.as_deref()).or_default().push(back);
    }
    let lines = groups.into_iter().flat_map(|(jump, group)| {
        let longest = after(group.iter().map(|back| back.after).max().unwrap_or_default());
        let names: Vec<&str> = group.iter().map(|back| back.node).collect();
        match jump {
            Some(jump) if names.len() > 1 => {
                vec![format!("{} nodes behind {jump} answer again{longest}", names.len())]
            }
            Some(_) | None if names.len() > MAX_ALIKE => {
                vec![format!("{} answer again{longest}", named(&names, N_NAMED))]
            }
            Some(_) | None => {
                let one = |back: &&Back<'_>| format!("{} answers again{}", back.node, after(back.after));
                group.iter().map(one).collect()
            }
        }
    });
    lines.collect()
}

/// Many of one rule are one line.
fn alert_lines(transitions: &[Transition]) -> Vec<Line> {
    let mut groups: BTreeMap<_, Vec<&Transition>> = BTreeMap::new();
    for transition in transitions {
        let is_mild = transition.severity != Severity::Critical;
        let urgency = match (transition.raised, is_mild) {
            (false, _) => Urgency::Info,
            (true, true) => Urgency::Warning,
            (true, false) => Urgency::Error,
        };
        let group = (!transition.raised, is_mild, transition.rule, urgency);
        groups.entry(group).or_default().push(transition);
    }
    let mut lines = Vec::new();
    for ((is_over, is_mild, rule, urgency), group) in groups {
        let what = if is_over { "cleared" } else { "raised" };
        let severity = if is_mild { Severity::Warning } else { Severity::Critical }.label();
        if group.len() > MAX_ALIKE {
            let sources: Vec<&str> = group.iter().map(|transition| transition.source.as_str()).collect();
            let (n, named) = (group.len(), named(&sources, N_NAMED));
            lines.push(urgency.line(format!("{n} {severity} alerts {what}: {}: {named}", rule.label())));
        } else {
            let one = |transition: &&Transition| format!("{severity} alert {what}: {}", transition.message);
            lines.extend(group.iter().map(|transition| urgency.line(one(transition))));
        }
    }
    lines
}

/// The state of things, in a line.
fn summary(now: &Now<'_>) -> String {
    let totals = now.batch.totals();
    let power = totals.power.map_or_else(|| "no power reading".to_owned(), |power| power.to_string());
    let mut text = format!(
        "{} of {} nodes, {} of {} GPUs, {power}",
        totals.nodes_reporting, totals.nodes_expected, totals.gpus_reporting, totals.gpus_expected
    );
    let account = now.batch.account.iter();
    for status in account.flat_map(|account| &account.stations) {
        if let Some(Ok(soc)) = status.last.as_ref().map(|last| last.device.soc()) {
            text.push_str(&format!(", {} at {soc}", status.station.called()));
        }
    }
    if let Some(today) = now.today {
        text.push_str(&format!(", today {today}"));
    }
    if now.n_alerts > 0 {
        text.push_str(&format!(", {}", counted(now.n_alerts, "alert", "alerts")));
    }
    if now.n_waiting > 0 {
        text.push_str(&format!(", {} in the spool", counted(now.n_waiting, "batch", "batches")));
    }
    text
}

fn after(lasted: Duration) -> String {
    let seconds = lasted.as_secs();
    if seconds == 0 {
        return String::new();
    }
    // Above an hour whole minutes are fine enough.
    let seconds = if seconds < 3_600 { seconds } else { seconds - seconds % 60 };
    format!(", after {}", humantime::format_duration(Duration::from_secs(seconds)))
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
