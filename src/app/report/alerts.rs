//! Alerts of a range for the page: each with its beginning and its end.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::reading::Timestamp;
use crate::report::{AlertRow, Moment};
use crate::store::AlertEvent;

/// The alerts that were raised, with the time at which each was over, if it was.
pub(super) fn alert_rows(events: &[AlertEvent], zone: &TimeZone) -> Vec<AlertRow> {
    let mut rows = Vec::<AlertRow>::new();
    let mut active = BTreeMap::<&str, usize>::new();
    for event in events {
        let at = moment(event.at, zone);
        if event.is_raised {
            // One that is raised again while it is active was made worse, or was forgotten: it is one more.
            active.insert(&event.key, rows.len());
            rows.push(AlertRow {
                from: at,
                to: None,
                is_critical: event.severity == "critical",
                rule: event.rule.clone(),
                subject: subject(&event.source),
                message: event.message.clone(),
            });
        } else if let Some(row) = active.remove(event.key.as_str()).and_then(|place| rows.get_mut(place)) {
            row.to = Some(at);
        }
    }
    rows
}

fn moment(at: Timestamp, zone: &TimeZone) -> Moment {
    let instant = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default();
    Moment(instant.to_zoned_datetime(zone.clone()))
}

/// The node or device in words: `hgx-03`, `hgx-05 GPU 6`; another source as it is.
fn subject(source: &str) -> String {
    let node = source.strip_prefix("node_").map(str::to_owned);
    let gpu = source.strip_prefix("gpu_").map(|rest| match rest.rsplit_once('_') {
        Some((node, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{node} GPU {index}")
        }
        Some(_) | None => rest.to_owned(),
    });
    node.or(gpu).unwrap_or_else(|| source.to_owned())
}

/// The node that an alert is of, where it is of one.
pub(super) fn node_of(source: &str) -> Option<&str> {
    let rest = source.strip_prefix("node_").or_else(|| source.strip_prefix("gpu_"))?;
    match rest.rsplit_once('_') {
        Some((node, index))
            if source.starts_with("gpu_") && index.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(node)
        }
        Some(_) | None => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(minute: i64, is_raised: bool, source: &str, message: &str) -> AlertEvent {
        AlertEvent {
            at: Timestamp::from_micros(minute * 60_000_000),
            is_raised,
            source: source.to_owned(),
            key: format!("rule:{source}"),
            rule: "rule".to_owned(),
            severity: "critical".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn an_alert_ends_when_it_is_cleared_and_is_active_if_it_never_is() {
        let events = [
            event(0, false, "node_c", "raised before the range"),
            event(1, true, "node_a", "a is silent"),
            event(2, true, "gpu_b_6", "b GPU 6 is hot"),
            event(5, false, "node_a", "over"),
        ];
        let rows = alert_rows(&events, &TimeZone::UTC);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.subject.as_str(), row.message.as_str(), row.to.as_ref().map(Moment::to_string)))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "a is silent", Some("1970-01-01T00:05:00+00:00".to_owned())),
                ("b GPU 6", "b GPU 6 is hot", None)
            ]
        );
    }

    #[test]
    fn sources_of_other_things_stay_as_they_are() {
        assert_eq!(["acme_9DN", "gpu_my_box"].map(subject), ["acme_9DN", "my_box"]);
        assert_eq!(["gpu_b_6", "node_b_6", "acme_9"].map(node_of), [Some("b"), Some("b_6"), None]);
    }
}
