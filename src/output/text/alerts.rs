//! The alerts that are raised, one line each, the worst first.

use std::time::Duration;

use crate::alert::{Severity, Transition};
use crate::reading::Timestamp;
use crate::support::counted;

use super::{BAD, CARE, TextOptions, headed};

/// More alerts than this are counted.
const MAX_SHOWN: usize = 20;

/// The lines, with a line break at the end of each. Ages are told from `now` on.
pub(super) fn alerts(alerts: &[Transition], now: Timestamp, options: &TextOptions) -> String {
    let mut sorted: Vec<&Transition> = alerts.iter().collect();
    // The longest raised first, as it is the likeliest cause of the others.
    sorted.sort_by_key(|alert| (alert.severity != Severity::Critical, alert.raised_at, alert.key.as_str()));
    let mut text = String::new();
    for alert in sorted.iter().take(MAX_SHOWN) {
        let (head, style) = match alert.severity {
            Severity::Critical => ("critical alert", BAD),
            Severity::Warning => ("warning alert", CARE),
        };
        let message = format!("{}{}", alert.message, raised(now.since(alert.raised_at)));
        text.push_str(&headed(head, &message, style, options));
    }
    let n_more = sorted.len().saturating_sub(MAX_SHOWN);
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

    const WIDE: TextOptions = TextOptions { colour: false, width: None };

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
