//! What went wrong, one line each, with what to do; what is the same for many nodes is said once.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;

use crate::batch::{Batch, HostReport};
use crate::reading::{Clean, FailureKind, Outcome};

use super::{BAD, CARE, TextOptions, headed};

/// More nodes than this with the same trouble are summed up.
const MAX_ALIKE: usize = 20;
/// How many of them are named then.
const N_NAMED: usize = 2;

struct Problem<'a> {
    node: &'a str,
    /// The jump host that failed, if that is the trouble.
    jump: Option<&'a str>,
    /// What happened, with this node's own evidence.
    words: String,
    remedy: &'static str,
    style: Style,
}

/// What makes problems the same: their kind, and their evidence without the names of the host and GPU.
type Likeness<'a> = (&'static str, Option<&'a str>, String);

/// Failures first, then faults, each in the order of the inventory. Empty when all is well.
pub(super) fn problems(batch: &Batch, options: &TextOptions) -> String {
    let mut groups: Vec<(Likeness<'_>, Vec<Problem<'_>>)> = Vec::new();
    let mut places = BTreeMap::new();
    let failures = batch.reports.iter().filter_map(failure);
    let faults = batch.reports.iter().flat_map(faults);
    for (likeness, problem) in failures.chain(faults) {
        let place = *places.entry(likeness.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, alike)) => alike.push(problem),
            None => groups.push((likeness, vec![problem])),
        }
    }
    let mut text = String::new();
    for ((_, _, pattern), alike) in &groups {
        push_group(&mut text, pattern, alike, options);
    }
    text
}

fn push_group(text: &mut String, pattern: &str, alike: &[Problem<'_>], options: &TextOptions) {
    let Some(first) = alike.first() else { return };
    let nodes: BTreeSet<&str> = alike.iter().map(|problem| problem.node).collect();
    let head = match first.jump {
        Some(jump) if nodes.len() > 1 => format!("{} nodes behind {jump}", nodes.len()),
        Some(_) | None if nodes.len() > MAX_ALIKE => {
            let mut named: Vec<&str> = alike.iter().map(|problem| problem.node).collect();
            named.dedup();
            named.truncate(N_NAMED);
            format!("{} … and {} more", named.join(", "), nodes.len() - named.len())
        }
        Some(_) | None => {
            for problem in alike {
                push_problem(text, problem.node, &problem.words, problem, options);
            }
            return;
        }
    };
    push_problem(text, &head, pattern, first, options);
}

fn push_problem(text: &mut String, head: &str, words: &str, problem: &Problem<'_>, options: &TextOptions) {
    let separator = if problem.remedy.is_empty() { "" } else { "; " };
    // The tools end their sentences; ours goes on.
    let words = format!("{}{separator}{}", words.trim_end_matches('.'), problem.remedy);
    text.push_str(&headed(head, &words, problem.style, options));
}

fn failure(report: &HostReport) -> Option<(Likeness<'_>, Problem<'_>)> {
    let Outcome::Failed(failure) = &report.outcome else { return None };
    let jump = (failure.kind == FailureKind::Jump).then(|| report.jump.as_deref().unwrap_or("one jump host"));
    let words = failure.to_string();
    let likeness = (failure.kind.label(), jump, without_names(&words, report, None));
    Some((likeness, Problem { node: &report.node, jump, words, remedy: failure.kind.remedy(), style: BAD }))
}

fn faults(report: &HostReport) -> impl Iterator<Item = (Likeness<'_>, Problem<'_>)> {
    report.faults.iter().map(|fault| {
        let words = fault.to_string();
        let likeness = (fault.kind.label(), None, without_names(&words, report, fault.gpu.as_ref()));
        let remedy = fault.kind.remedy();
        (likeness, Problem { node: &report.node, jump: None, words, remedy, style: CARE })
    })
}

/// The words as they would be of another host: ssh's messages hold the address.
fn without_names(words: &str, report: &HostReport, gpu: Option<&Clean>) -> String {
    let gpu = gpu.map(|gpu| (format!(" ({gpu})"), ""));
    let host = [&report.address, &report.node].map(|name| (name.clone(), "<host>"));
    // A name of a letter or two stands inside of ordinary words.
    let long_enough = |(name, _): &(String, &str)| name.len() > 2;
    gpu.into_iter()
        .chain(host)
        .filter(long_enough)
        .fold(words.to_owned(), |words, (name, other)| words.replace(&name, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sample;
    use crate::reading::{Failure, Fault, FaultKind};

    const WIDE: TextOptions = TextOptions { colour: false, width: None };

    fn failing(n: usize, failure: impl Fn(&HostReport) -> Failure) -> Batch {
        let mut batch = sample::fleet();
        batch.reports = (1..=n)
            .map(|place| {
                let mut report = sample::failed(&format!("node{place:03}"));
                report.outcome = Outcome::Failed(failure(&report));
                report
            })
            .collect();
        batch
    }

    fn unreachable(report: &HostReport) -> Failure {
        Failure::new(FailureKind::Connect, &format!("connect to host {} port 22: No route", report.address))
    }

    #[test]
    fn nodes_behind_a_failing_jump_host_are_one_line() {
        let mut batch = failing(12, |_| Failure::new(FailureKind::Jump, "Connection refused"));
        for report in &mut batch.reports {
            report.jump = Some("bastion".to_owned());
        }
        insta::assert_snapshot!(problems(&batch, &WIDE), @r#"12 nodes behind bastion: the jump host failed: Connection refused; try `ssh <jump host>` as the user that runs fleetwatt; every host behind it fails with it"#);
    }

    #[test]
    fn two_failing_jump_hosts_are_two_lines() {
        let mut batch = failing(4, |_| Failure::new(FailureKind::Jump, "Connection refused"));
        for (place, report) in batch.reports.iter_mut().enumerate() {
            report.jump = Some(format!("bastion{}", place % 2));
        }
        assert_eq!(problems(&batch, &WIDE).lines().count(), 2);
    }

    #[test]
    fn a_few_alike_are_a_line_each_with_their_own_evidence() {
        let text = problems(&failing(MAX_ALIKE, unreachable), &WIDE);
        assert_eq!(text.lines().count(), MAX_ALIKE);
        assert!(
            text.starts_with("node001: no connection: connect to host node001.example port 22: No route; ")
        );
    }

    #[test]
    fn many_alike_are_summed_up_though_their_evidence_names_each_host() {
        insta::assert_snapshot!(problems(&failing(120, unreachable), &WIDE), @r#"node001, node002 … and 118 more: no connection: connect to host <host> port 22: No route; check that the host is up and that sshd listens at this address and port"#);
    }

    #[test]
    fn a_remark_on_every_gpu_of_many_nodes_is_one_line() {
        let mut batch = failing(30, unreachable);
        for report in &mut batch.reports {
            report.outcome = Outcome::Complete;
            report.faults = (0..8)
                .map(|gpu| Fault {
                    kind: FaultKind::PersistenceOff,
                    gpu: Some(Clean::new(&format!("GPU-{gpu}-{}", report.node))),
                    evidence: Clean::default(),
                })
                .collect();
        }
        let text = problems(&batch, &WIDE);
        assert!(text.starts_with("node001, node002 … and 28 more: persistence mode is off"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_well_fleet_has_no_problems() {
        let mut batch = sample::fleet();
        batch.reports.truncate(1);
        assert_eq!(problems(&batch, &WIDE), "");
    }
}
