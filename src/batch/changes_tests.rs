//! A fleet from one cycle to the next, and the lines that follow.

use super::*;
use crate::alert::Rule;
use crate::batch::fixtures;
use crate::reading::{Failure, FailureKind, Outcome};

const MINUTE: Duration = Duration::from_secs(60);

/// A cycle of these hosts, so many minutes after the first one.
fn cycle(minute: u32, reports: Vec<HostReport>) -> Batch {
    let started_at = fixtures::STARTED_AT.plus(MINUTE * minute);
    let mut batch = Batch { started_at, reports, ..fixtures::fleet() };
    for report in &mut batch.reports {
        report.span.answered_at = started_at.plus(Duration::from_secs(1));
    }
    batch
}

fn up(node: &str) -> HostReport {
    fixtures::host(node, 1)
}

fn down(node: &str, kind: FailureKind) -> HostReport {
    HostReport { outcome: Outcome::Failed(Failure::new(kind, "")), ..up(node) }
}

fn behind(jump: &str, n: usize, kind: Option<FailureKind>) -> Vec<HostReport> {
    let host = |place| {
        let name = format!("node{place:03}");
        let report = kind.map_or_else(|| up(&name), |kind| down(&name, kind));
        HostReport { jump: Some(jump.to_owned()), ..report }
    };
    (1..=n).map(host).collect()
}

/// The lines of a cycle, without the summaries.
fn lines(said: &mut Said, batch: &Batch) -> Vec<String> {
    said.summary_us = Some(batch.closed_at());
    let now = now(batch, &[]);
    said.changes(&now).into_iter().map(|line| format!("{:?} {}", line.urgency, line.text)).collect()
}

fn now<'a>(batch: &'a Batch, transitions: &'a [Transition]) -> Now<'a> {
    Now {
        batch,
        scope: Scope::Whole,
        transitions,
        n_alerts: 0,
        n_waiting: 0,
        today: None,
        store: Some(Ok(())),
    }
}

fn transition(source: &str, severity: Severity, raised: bool) -> Transition {
    Transition {
        key: format!("host_silent:{source}"),
        rule: Rule::HostSilent,
        severity,
        source: source.to_owned(),
        node: None,
        message: format!("{source} has given no answer"),
        raised,
        at: fixtures::STARTED_AT,
        raised_at: fixtures::STARTED_AT,
    }
}

#[test]
fn a_host_that_goes_down_and_comes_back_is_two_lines_however_long_it_was_away() {
    let mut said = Said::default();
    assert_eq!(lines(&mut said, &cycle(0, vec![up("a")])), [""; 0]);
    let gone = |minute| cycle(minute, vec![down("a", FailureKind::Connect)]);
    insta::assert_snapshot!(lines(&mut said, &gone(1)).join("\n"), @"Warning a: no connection; check that the host is up and that sshd listens at this address and port");
    assert_eq!(lines(&mut said, &gone(2)), [""; 0]);
    assert_eq!(lines(&mut said, &gone(3)), [""; 0]);
    assert_eq!(lines(&mut said, &cycle(4, vec![up("a")])), ["Info a answers again, after 3m"]);
    assert_eq!(lines(&mut said, &cycle(5, vec![up("a")])), [""; 0]);
}

#[test]
fn a_host_that_fails_in_turns_in_two_ways_is_said_once_for_each() {
    let mut said = Said::default();
    let n_lines: Vec<usize> = (0..6)
        .map(|minute| if minute % 2 == 0 { FailureKind::Connect } else { FailureKind::Auth })
        .zip(0..)
        .map(|(kind, minute)| lines(&mut said, &cycle(minute, vec![down("a", kind)])).len())
        .collect();
    assert_eq!(n_lines, [1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_hundred_and_five_hosts_behind_one_jump_host_are_one_line_each_way() {
    let mut said = Said::default();
    let down = lines(&mut said, &cycle(1, behind("bastion", 105, Some(FailureKind::Jump))));
    assert_eq!(down.len(), 1, "{down:?}");
    assert!(down[0].starts_with("Warning 105 nodes behind bastion: the jump host failed"), "{down:?}");
    let back = lines(&mut said, &cycle(6, behind("bastion", 105, None)));
    assert_eq!(back, ["Info 105 nodes behind bastion answer again, after 5m"]);
}

#[test]
fn many_hosts_that_go_down_alike_are_one_line_each_way() {
    let mut said = Said::default();
    let hosts = |kind| behind("bastion", 30, kind);
    let down = lines(&mut said, &cycle(1, hosts(Some(FailureKind::Connect))));
    assert_eq!(down.len(), 1, "{down:?}");
    assert!(down[0].starts_with("Warning node001, node002 … and 28 more: no connection"), "{down:?}");
    let back = lines(&mut said, &cycle(2, hosts(None)));
    assert_eq!(back, ["Info node001, node002 … and 28 more answer again, after 1m"]);
}

#[test]
fn a_lost_gpu_is_said_once_and_its_end_once_and_not_while_its_host_is_down() {
    let mut said = Said::default();
    let lost = || fixtures::fleet().reports.swap_remove(1);
    let node = lost().node;
    assert!(lines(&mut said, &cycle(0, vec![lost()]))[0].starts_with("Warning node001: a GPU is lost"));
    assert_eq!(lines(&mut said, &cycle(1, vec![lost()])), [""; 0]);
    assert_eq!(lines(&mut said, &cycle(2, vec![down(&node, FailureKind::Connect)])).len(), 1);
    assert_eq!(lines(&mut said, &cycle(3, vec![lost()])), ["Info node001 answers again, after 1m"]);
    let well = HostReport { faults: Vec::new(), outcome: Outcome::Complete, ..lost() };
    let over = lines(&mut said, &cycle(4, vec![well]));
    assert!(over[0].starts_with("Info node001: over, after 4m: a GPU is lost (GPU-"), "{over:?}");
}

#[test]
fn a_remark_that_comes_and_goes_is_said_once() {
    let mut said = Said::default();
    let fault = crate::reading::Fault::new(crate::reading::FaultKind::PersistenceOff, None, "");
    let remarked = HostReport { faults: vec![fault], ..up("a") };
    assert!(
        lines(&mut said, &cycle(0, vec![remarked.clone()]))[0].starts_with("Info a: persistence mode is off")
    );
    assert_eq!(lines(&mut said, &cycle(1, vec![up("a")])), [""; 0]);
    assert_eq!(lines(&mut said, &cycle(2, vec![remarked])), [""; 0]);
}

#[test]
fn a_poll_of_one_host_says_nothing_of_the_others() {
    let mut said = Said::default();
    let both = vec![down("a", FailureKind::Connect), down("b", FailureKind::Connect)];
    assert_eq!(lines(&mut said, &cycle(0, both)).len(), 2);
    let one = cycle(1, vec![up("a")]);
    let part = Now { scope: Scope::Part, ..now(&one, &[]) };
    assert_eq!(said.changes(&part), [Urgency::Info.line("a answers again, after 1m".to_owned())]);
    let other = lines(&mut said, &cycle(2, vec![up("a"), up("b")]));
    assert_eq!(other, ["Info b answers again, after 2m"]);
}

#[test]
fn alerts_are_said_by_their_severity_and_many_of_a_rule_at_once() {
    let batch = cycle(0, vec![up("a")]);
    let alerts =
        [transition("node_a", Severity::Critical, true), transition("node_b", Severity::Warning, true)];
    let mut said = Said { summary_us: Some(batch.closed_at()), ..Said::default() };
    let lines = said.changes(&now(&batch, &alerts));
    assert_eq!(lines[0], Urgency::Error.line("critical alert raised: node_a has given no answer".to_owned()));
    assert_eq!(
        lines[1],
        Urgency::Warning.line("warning alert raised: node_b has given no answer".to_owned())
    );
    let cleared: Vec<_> =
        (0..40).map(|n| transition(&format!("node_{n}"), Severity::Critical, false)).collect();
    let lines = said.changes(&now(&batch, &cleared));
    let text = "40 critical alerts cleared: host_silent: node_0, node_1 … and 38 more";
    assert_eq!(lines, [Urgency::Info.line(text.to_owned())]);
}

#[test]
fn the_store_is_said_when_it_goes_and_when_it_returns() {
    let mut said = Said::default();
    let mut at = |minute, store| {
        let batch = cycle(minute, vec![up("a")]);
        said.summary_us = Some(batch.closed_at());
        said.changes(&Now { n_waiting: 1, store: Some(store), ..now(&batch, &[]) })
    };
    let text = "database unavailable, 1 batch in the spool: no route";
    assert_eq!(at(0, Err("no route")), [Urgency::Warning.line(text.to_owned())]);
    assert_eq!(at(1, Err("no route")), []);
    assert_eq!(at(2, Ok(())), [Urgency::Info.line("the database takes batches again, after 2m".to_owned())]);
}

#[test]
fn how_things_are_is_said_once_an_hour() {
    let mut said = Said::default();
    let n_lines: usize = (0..=120)
        .map(|minute| {
            let batch = cycle(minute, vec![up("a")]);
            said.changes(&now(&batch, &[])).len()
        })
        .sum();
    assert_eq!(n_lines, 3);
    let batch = cycle(500, fixtures::fleet().reports);
    let lines = said.changes(&Now { n_alerts: 1, n_waiting: 2, ..now(&batch, &[]) });
    let last = &lines.last().unwrap().text;
    assert_eq!(last, "4 of 5 nodes, 10 of 12 GPUs, 4794.0 W, 1 alert, 2 batches in the spool");
}

#[test]
fn a_station_that_falls_silent_is_said_once_and_its_return_too() {
    let mut said = Said::default();
    let mut at = |presence| {
        let mut account = fixtures::station_report();
        account.stations[0].presence = presence;
        let batch = Batch { account: Some(account), ..cycle(0, vec![up("a")]) };
        said.summary_us = Some(batch.closed_at());
        said.changes(&now(&batch, &[])).len()
    };
    let since = fixtures::STARTED_AT;
    let n_lines = [at(Presence::Live), at(Presence::Stale(since)), at(Presence::Offline(since))];
    assert_eq!(n_lines, [0, 1, 0]);
    assert_eq!(at(Presence::Live), 1);
}

#[test]
fn what_was_said_survives_being_kept() {
    let mut said = Said::default();
    lines(&mut said, &fixtures::fleet());
    let kept = serde_json::to_value(&said).unwrap();
    assert_eq!(serde_json::from_value::<Said>(kept).unwrap(), said);
    assert_eq!(serde_json::from_value::<Said>(serde_json::json!({})).unwrap(), Said::default());
}
