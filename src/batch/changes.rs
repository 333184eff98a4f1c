//! What changed since the last cycle, as lines for a log: a host that goes down and comes back, an alert, a
//! station, the store. What goes on is said once an hour in one line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{Scope, Severity, Transition};
use crate::reading::{AccountReport, Presence, Timestamp};
use crate::support::counted;

use super::problems::{Problem, Weight, grouped, named};
use super::{Batch, HostReport};

/// More hosts than this with the same news are one line.
const MAX_ALIKE: usize = 5;

/// How often it is said how things are when nothing happens.
const SUMMARY_EVERY: Duration = Duration::from_secs(3_600);

/// How long a remark that is no longer made is remembered, so that one that comes and goes is not news.
const REMARK_STAYS: Duration = Duration::from_secs(86_400);

/// A line for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub urgency: Urgency,
    /// The line, for a person.
    pub text: String,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody should look at it now.
    Error,
    /// Somebody should look at it.
    Warning,
    /// Good to know.
    Info,
}

/// How things are at the end of a cycle.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// The cycle.
    pub batch: &'a Batch,
    /// Whether it is about every host of the inventory.
    pub scope: Scope,
    /// The alerts that were raised and cleared with it.
    pub transitions: &'a [Transition],
    /// How many alerts are raised.
    pub n_alerts: usize,
    /// How many batches wait in the spool.
    pub n_waiting: u64,
    /// How the store does; `None` where somebody else says so.
    pub store: Option<StoreNow<'a>>,
}

/// How the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreNow<'a> {
    /// It takes what it is given.
    There,
    /// It takes nothing, for this reason.
    Away(&'a str),
}

/// What was last said of everything. Plain data, to be kept by the caller from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    hosts: BTreeMap<String, SaidOfHost>,
    /// The names of stations that give no answer, by their serial numbers.
    silent_stations: BTreeMap<String, String>,
    #[serde(rename = "solix_trouble")]
    account_trouble: Option<String>,
    store_away_us: Option<i64>,
    summary_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct SaidOfHost {
    down: Option<Down>,
    faults: BTreeMap<String, SaidFault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Down {
    since_us: i64,
    /// How it failed since then: a host that is down in turns in this way and that is no news.
    kinds: BTreeSet<String>,
    jump: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SaidFault {
    since_us: i64,
    seen_us: i64,
    // `words` in the state of earlier versions.
    #[serde(alias = "words")]
    message: String,
    is_remark: bool,
}

/// A host that answers again, and how long it did not.
struct Back {
    node: String,
    jump: Option<String>,
    after: Duration,
}

impl Said {
    /// What is new, the worst first in each part.
    pub fn changes(&mut self, now: &Now<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        self.hosts(now, &mut lines);
        lines.extend(alert_lines(now.transitions));
        if let Some(account) = &now.batch.account {
            self.account(account, &mut lines);
        }
        if let Some(store) = now.store {
            self.store(store, now, &mut lines);
        }
        let at = now.batch.closed_at();
        // A clock that was set back is no reason to be silent for longer.
        let is_due = self
            .summary_us
            .is_none_or(|said| at.micros() < said || at.since(Timestamp::from_micros(said)) >= SUMMARY_EVERY);
        if is_due && now.scope == Scope::Whole {
            self.summary_us = Some(at.micros());
            lines.push(Line::info(summary(now)));
        }
        lines
    }

    fn hosts(&mut self, now: &Now<'_>, lines: &mut Vec<Line>) {
        let at = now.batch.closed_at();
        let mut backs = Vec::new();
        let mut overs = Vec::new();
        for report in now.batch.reports.iter().filter(|report| report.outcome.is_up()) {
            let Some(said) = self.hosts.get_mut(&report.node) else { continue };
            if let Some(Down { since_us, jump, .. }) = said.down.take() {
                let after = at.since(Timestamp::from_micros(since_us));
                backs.push(Back { node: report.node.clone(), jump, after });
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
        lines.extend(grouped(&news, MAX_ALIKE).into_iter().map(|group| {
            let urgency = match group.weight {
                Weight::Failure | Weight::Fault => Urgency::Warning,
                Weight::Remark => Urgency::Info,
            };
            Line { urgency, text: format!("{}: {}", group.head, group.sentence) }
        }));
        lines.extend(back_lines(&backs));
        lines.extend(many(&overs).map(Line::info));
    }

    fn account(&mut self, account: &AccountReport, lines: &mut Vec<Line>) {
        for status in &account.stations {
            let (serial, name) = (status.station.serial.to_string(), account.name_of(&status.station));
            match status.presence {
                Presence::Awaited => (),
                Presence::Live => {
                    if self.silent_stations.remove(&serial).is_some() {
                        lines.push(Line::info(format!("{name} answers again")));
                    }
                }
                Presence::Stale(_) | Presence::Offline(_) => {
                    if self.silent_stations.insert(serial, name.clone()).is_none() {
                        lines.push(Line::warning(format!("{name}: {}", status.presence)));
                    }
                }
            }
        }
        let kind = account.trouble.as_ref().map(|trouble| trouble.kind.to_owned());
        if kind != self.account_trouble {
            let source = account.vendor.source;
            lines.push(match &account.trouble {
                Some(trouble) if trouble.needs_person => {
                    Line::error(format!("{source}: {}", trouble.message))
                }
                Some(trouble) => Line::warning(format!("{source}: {}", trouble.message)),
                None => Line::info(format!("{source} works again")),
            });
            self.account_trouble = kind;
        }
    }

    fn store(&mut self, store: StoreNow<'_>, now: &Now<'_>, lines: &mut Vec<Line>) {
        let at = now.batch.closed_at();
        match (store, self.store_away_us) {
            (StoreNow::Away(message), None) => {
                self.store_away_us = Some(at.micros());
                let waiting = counted(now.n_waiting, "batch", "batches");
                lines.push(Line::warning(format!("database unavailable, {waiting} in the spool: {message}")));
            }
            (StoreNow::There, Some(since)) => {
                self.store_away_us = None;
                let after = after(at.since(Timestamp::from_micros(since)));
                lines.push(Line::info(format!("the database takes batches again{after}")));
            }
            (StoreNow::Away(_), Some(_)) | (StoreNow::There, None) => (),
        }
    }
}

impl SaidOfHost {
    /// Whether this was not said so far; it counts as said from now on.
    fn is_news(&mut self, problem: &Problem<'_>, at: Timestamp) -> bool {
        if problem.weight == Weight::Failure {
            let jump = problem.jump.map(str::to_owned);
            let new = Down { since_us: at.micros(), kinds: BTreeSet::new(), jump };
            return self.down.get_or_insert(new).kinds.insert(problem.kind.to_owned());
        }
        let seen_us = at.micros();
        match self.faults.get_mut(&fault_key(problem.kind, problem.gpu)) {
            Some(said) => {
                said.seen_us = seen_us;
                false
            }
            None => {
                let is_remark = problem.weight == Weight::Remark;
                let message = problem.message.clone();
                let said = SaidFault { since_us: seen_us, seen_us, message, is_remark };
                self.faults.insert(fault_key(problem.kind, problem.gpu), said);
                true
            }
        }
    }

    /// What this host, which answered, no longer has. Remarks come and go, so that nothing is said of their end.
    fn drop_faults_that_are_over(&mut self, report: &HostReport, at: Timestamp) -> Vec<String> {
        let gpu = |gpu: &Option<crate::reading::SafeText>| gpu.as_ref().map(ToString::to_string);
        let present: BTreeSet<String> = report
            .faults
            .iter()
            .map(|fault| fault_key(fault.kind.label(), gpu(&fault.gpu).as_deref()))
            .collect();
        let mut overs = Vec::new();
        self.faults.retain(|key, said| {
            if present.contains(key) {
                return true;
            }
            if said.is_remark {
                return at.since(Timestamp::from_micros(said.seen_us)) < REMARK_STAYS;
            }
            let after = after(at.since(Timestamp::from_micros(said.since_us)));
            overs.push(format!("{}: over{after}: {}", report.node, said.message));
            false
        });
        overs
    }
}

impl Line {
    fn error(text: String) -> Self {
        Self { urgency: Urgency::Error, text }
    }

    fn warning(text: String) -> Self {
        Self { urgency: Urgency::Warning, text }
    }

    fn info(text: String) -> Self {
        Self { urgency: Urgency::Info, text }
    }
}

fn fault_key(kind: &str, gpu: Option<&str>) -> String {
    gpu.map_or_else(|| kind.to_owned(), |gpu| format!("{kind} {gpu}"))
}

/// Hosts behind one jump host come back in one line, and others if they are many.
fn back_lines(backs: &[Back]) -> Vec<Line> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Back>> = BTreeMap::new();
    for back in backs {
        groups.entry(back.jump.as_deref()).or_default().push(back);
    }
    let texts = groups.into_iter().flat_map(|(jump, group)| {
        let longest = after(group.iter().map(|back| back.after).max().unwrap_or_default());
        let names: Vec<&str> = group.iter().map(|back| back.node.as_str()).collect();
        let one = |back: &&Back| format!("{} answers again{}", back.node, after(back.after));
        match jump {
            Some(jump) if names.len() > 1 => {
                vec![format!("{} nodes behind {jump} answer again{longest}", names.len())]
            }
            Some(_) | None if names.len() > MAX_ALIKE => {
                vec![format!("{} answer again{longest}", named(&names))]
            }
            Some(_) | None => group.iter().map(one).collect(),
        }
    });
    texts.map(Line::info).collect()
}

/// Each text, or the first ones and how many more there are.
fn many(texts: &[String]) -> impl Iterator<Item = String> {
    let n_more = texts.len().saturating_sub(MAX_ALIKE);
    let more = (n_more > 0).then(|| format!("… and {n_more} more like it"));
    texts.iter().take(MAX_ALIKE).cloned().chain(more)
}

/// Many of one rule are one line.
fn alert_lines(transitions: &[Transition]) -> Vec<Line> {
    let mut groups: BTreeMap<_, Vec<&Transition>> = BTreeMap::new();
    for transition in transitions {
        let group = (!transition.raised, transition.severity != Severity::Critical, transition.rule);
        groups.entry(group).or_default().push(transition);
    }
    let mut lines = Vec::new();
    for ((is_over, is_mild, rule), group) in groups {
        let urgency = match (is_over, is_mild) {
            (true, _) => Urgency::Info,
            (false, true) => Urgency::Warning,
            (false, false) => Urgency::Error,
        };
        let what = if is_over { "cleared" } else { "raised" };
        let severity = if is_mild { Severity::Warning } else { Severity::Critical }.label();
        if group.len() > MAX_ALIKE {
            let sources: Vec<&str> = group.iter().map(|transition| transition.source.as_str()).collect();
            let text =
                format!("{} {severity} alerts {what}: {}: {}", group.len(), rule.label(), named(&sources));
            lines.push(Line { urgency, text });
        } else {
            lines.extend(group.iter().map(|transition| Line {
                urgency,
                text: format!("{severity} alert {what}: {}", transition.message),
            }));
        }
    }
    lines
}

/// How things are, in a line.
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
