//! One line for each problem, with what to do; the same for many nodes is said once. Then the alerts.

use std::time::Duration;

use crate::alert::{Severity, Transition};
use crate::batch::{Batch, HostReport, Weight, grouped};
use crate::reading::{Outcome, Timestamp};
use crate::support::{counted, named};

use super::{BAD, CARE, TextOptions, headed};

/// More alerts than this are counted.
const MAX_ALERTS: usize = 20;

/// More nodes than this with the same trouble are summed up.
const MAX_ALIKE: usize = 20;

/// The most nodes in maintenance that are named.
const N_NAMED: usize = 5;

/// Failures first, then faults, each in the order of the inventory. Empty when all is well.
pub(super) fn problems(batch: &Batch, options: &TextOptions) -> String {
    let groups = grouped(&batch.problems(), MAX_ALIKE);
    let line = |group: &crate::batch::Group| {
        let style = match group.weight {
            Weight::Failure => BAD,
            Weight::Fault | Weight::Remark => CARE,
        };
        headed(&group.head, &group.sentence, style, options)
    };
    let lines: String = groups.iter().map(line).collect();
    lines + &in_maintenance(batch, options)
}

/// One line for all hosts that somebody works on and that are not well: nobody is to do anything about them.
fn in_maintenance(batch: &Batch, options: &TextOptions) -> String {
    let is_ill = |report: &&HostReport| report.maintenance && report.outcome != Outcome::Complete;
    let ill: Vec<&str> = batch.reports.iter().filter(is_ill).map(|report| report.node.as_str()).collect();
    if ill.is_empty() {
        return String::new();
    }
    let message = format!("{}: not well, as may be expected", named(&ill, N_NAMED));
    headed("in maintenance", &message, CARE, options)
}

/// The alerts that are raised, one line each, the worst first. Ages are told from `now` on.
pub(super) fn alerts(alerts: &[Transition], now: Timestamp, options: &TextOptions) -> String {
    let mut sorted: Vec<&Transition> = alerts.iter().collect();
    // The longest raised first, as it is the likeliest cause of the others.
    sorted.sort_by_key(|alert| (alert.severity != Severity::Critical, alert.raised_at, alert.key.as_str()));
    let mut text = String::new();
    for alert in sorted.iter().take(MAX_ALERTS) {
        let (head, style) = match alert.severity {
            Severity::Critical => ("critical alert", BAD),
            Severity::Warning => ("warning alert", CARE),
        };
        let message = format!("{}{}", alert.message, raised(now.since(alert.raised_at)));
        text.push_str(&headed(head, &message, style, options));
    }
    let n_more = sorted.len().saturating_sub(MAX_ALERTS);
    if n_more > 0 {
        text.push_str(&format!("… and {}\n", counted(n_more, "more alert", "more alerts")));
    }
    text
}

/// Nothing is said of an alert of this cycle.
fn raised(ago: Duration) -> String {
    let minutes = ago.as_secs() / 60;
    if minutes == 0 {
        return String::new();
    }
    format!(" (raised {} ago)", humantime::format_duration(Duration::from_secs(60 * minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Rule;
    use crate::batch::fixtures;
    use crate::reading::{Failure, FailureKind, Fault, FaultKind, SafeText};

    const WIDE: TextOptions = TextOptions { colour: false, width: None };

    fn failing(n: usize, failure: impl Fn(&HostReport) -> Failure) -> Batch {
        let mut batch = fixtures::fleet();
        batch.reports = (1..=n)
            .map(|place| {
                let mut report = fixtures::failed(&format!("node{place:03}"));
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
                .map(|gpu| {
                    let gpu = SafeText::new(&format!("GPU-{gpu}-{}", report.node));
                    Fault::new(FaultKind::PersistenceOff, Some(gpu), "")
                })
                .collect();
        }
        let text = problems(&batch, &WIDE);
        assert!(text.starts_with("node001, node002 … and 28 more: persistence mode is off"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn nodes_in_maintenance_that_are_not_well_are_one_line_without_a_remedy() {
        let mut batch = failing(7, unreachable);
        batch.reports.iter_mut().for_each(|report| report.maintenance = true);
        insta::assert_snapshot!(problems(&batch, &WIDE), @"in maintenance: node001, node002, node003, node004, node005 … and 2 more: not well, as may be expected");
    }

    #[test]
    fn a_well_fleet_has_no_problems() {
        let mut batch = fixtures::fleet();
        batch.reports.truncate(1);
        assert_eq!(problems(&batch, &WIDE), "");
    }

    fn alert(severity: Severity, minute: u64, message: &str) -> Transition {
        let raised_at = Timestamp::from_micros(0).plus(Duration::from_secs(60 * minute));
        Transition {
            key: format!("host_silent:{message}"),
            rule: Rule::HostSilent,
            severity,
            source: "node_a".to_owned(),
            node: Some("a".to_owned()),
            message: message.to_owned(),
            raised: true,
            at: raised_at,
            raised_at,
        }
    }

    #[test]
    fn the_worst_come_first_and_then_the_oldest() {
        let now = Timestamp::from_micros(0).plus(Duration::from_secs(60 * 90));
        let raised = [
            alert(Severity::Warning, 1, "first"),
            alert(Severity::Critical, 90, "second"),
            alert(Severity::Critical, 30, "third"),
        ];
        insta::assert_snapshot!(alerts(&raised, now, &WIDE), @r"
        critical alert: third (raised 1h ago)
        critical alert: second
        warning alert: first (raised 1h 29m ago)
        ");
    }

    #[test]
    fn of_many_the_rest_is_counted() {
        let many: Vec<_> = (0..25).map(|n| alert(Severity::Critical, n, &n.to_string())).collect();
        let text = alerts(&many, Timestamp::from_micros(0), &WIDE);
        assert_eq!((text.lines().count(), text.lines().last()), (21, Some("… and 5 more alerts")));
    }
}
