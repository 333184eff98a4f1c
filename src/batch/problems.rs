//! The problems of a cycle, host by host, and in groups: what is the same for many hosts is said once.

use std::collections::{BTreeMap, BTreeSet};

use crate::reading::{FailureKind, Outcome, SafeText};
use crate::support::named;

use super::{Batch, HostReport};

/// Number of hosts of a group that are named.
pub(super) const N_NAMED: usize = 2;

/// The weight of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The host gave nothing.
    Failure,
    /// A reading is missing.
    Fault,
    /// A remark: every reading is there.
    Remark,
}

/// One thing that is wrong with one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The host.
    pub node: &'a str,
    /// The jump host that failed, if that is the trouble.
    pub jump: Option<&'a str>,
    /// The short, stable label of the failure or fault.
    pub kind: &'static str,
    /// The GPU that it is about, if it is about one.
    pub gpu: Option<&'a str>,
    /// The message, with this host's own evidence.
    pub message: String,
    /// The remedy. May be empty.
    pub hint: &'static str,
    /// Its weight.
    pub weight: Weight,
    /// The words as they would be of another host.
    pattern: String,
}

/// Problems that are said in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The hosts: a host's name, or names and a number.
    pub head: String,
    /// The message and the remedy.
    pub sentence: String,
    /// Its weight.
    pub weight: Weight,
}

impl Batch {
    /// Failures first, then faults and remarks, each in the order of the inventory. Empty when all is well.
    /// Hosts in maintenance have none.
    pub fn problems(&self) -> Vec<Problem<'_>> {
        let reports = || self.reports.iter().filter(|report| !report.maintenance);
        reports().filter_map(failure).chain(reports().flat_map(faults)).collect()
    }
}

/// The problems in the order of their first ones. More than `max_alike` hosts with the same trouble are one
/// group, and hosts behind one failing jump host always.
pub fn grouped(problems: &[Problem<'_>], max_alike: usize) -> Vec<Group> {
    // The same: their kind, and their evidence without the names of the host and GPU.
    let mut alike: Vec<Vec<&Problem<'_>>> = Vec::new();
    let mut places = BTreeMap::new();
    for problem in problems {
        let place = *places.entry((problem.kind, problem.jump, &problem.pattern)).or_insert(alike.len());
        match alike.get_mut(place) {
            Some(group) => group.push(problem),
            None => alike.push(vec![problem]),
        }
    }
    alike.iter().flat_map(|alike| lines_of(alike, max_alike)).collect()
}

fn lines_of(alike: &[&Problem<'_>], max_alike: usize) -> Vec<Group> {
    let Some(first) = alike.first() else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let nodes: Vec<&str> =
        alike.iter().map(|problem| problem.node).filter(|node| seen.insert(*node)).collect();
    let n_nodes = nodes.len();
    let head = match first.jump {
        Some(jump) if n_nodes > 1 => format!("{n_nodes} nodes behind {jump}"),
        Some(_) | None if n_nodes > max_alike => named(&nodes, N_NAMED),
        Some(_) | None => {
            return alike
                .iter()
                .map(|problem| first.group(problem.node.to_owned(), &problem.message))
                .collect();
        }
    };
    vec![first.group(head, &first.pattern)]
}

impl Problem<'_> {
    fn group(&self, head: String, message: &str) -> Group {
        let separator = if self.hint.is_empty() { "" } else { "; " };
        // The tools end their sentences; ours goes on.
        let sentence = format!("{}{separator}{}", message.trim_end_matches('.'), self.hint);
        Group { head, sentence, weight: self.weight }
    }
}

fn failure(report: &HostReport) -> Option<Problem<'_>> {
    let Outcome::Failed(failure) = &report.outcome else { return None };
    let jump = (failure.kind == FailureKind::Jump).then(|| report.jump.as_deref().unwrap_or("one jump host"));
    let message = failure.to_string();
    Some(Problem {
        node: &report.node,
        jump,
        kind: failure.kind.label(),
        gpu: None,
        pattern: without_names(&message, report, ""),
        message,
        hint: failure.wording.hint,
        weight: Weight::Failure,
    })
}

fn faults(report: &HostReport) -> impl Iterator<Item = Problem<'_>> {
    report.faults.iter().map(|fault| {
        let message = fault.to_string();
        Problem {
            node: &report.node,
            jump: None,
            kind: fault.kind.label(),
            gpu: fault.gpu.as_ref().map(SafeText::as_str),
            pattern: without_names(&message, report, &fault.place()),
            message,
            hint: fault.wording.hint,
            weight: if fault.kind.costs_a_reading() { Weight::Fault } else { Weight::Remark },
        }
    })
}

/// The words as they would be of another host: ssh's messages hold the address.
fn without_names(message: &str, report: &HostReport, gpu: &str) -> String {
    let gpu = [(format!(" ({gpu})"), "")];
    let host = [&report.address, &report.node].map(|name| (name.clone(), "<host>"));
    // A name of a letter or two stands inside of ordinary words.
    let long_enough = |(name, _): &(String, &str)| name.len() > 2;
    gpu.into_iter()
        .chain(host)
        .filter(long_enough)
        .fold(message.to_owned(), |message, (name, other)| message.replace(&name, other))
}
