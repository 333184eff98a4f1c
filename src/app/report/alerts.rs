//! Alerts of a range for the page: each with its beginning and its end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::report::{AlertRow, Moment};
use crate::store::AlertEvent;

/// The alerts that were raised, with the time at which each was over, if it was. `nodes` are all that are known.
pub(super) fn alert_rows(events: &[AlertEvent], nodes: &BTreeSet<&str>, zone: &TimeZone) -> Vec<AlertRow> {
    let mut rows = Vec::<AlertRow>::new();
    let mut active = BTreeMap::<&str, usize>::new();
    for event in events {
        let at = Moment::new(event.at, zone);
        if event.is_raised {
            // One that is raised again while it is active was made worse, or was forgotten: it is one more.
            active.insert(&event.key, rows.len());
            rows.push(AlertRow {
                from: at,
                to: None,
                is_critical: event.severity == "critical",
                rule: event.rule.clone(),
                subject: subject(&event.source, nodes),
                message: event.message.clone(),
            });
        } else if let Some(row) = active.remove(event.key.as_str()).and_then(|place| rows.get_mut(place)) {
            row.to = Some(at);
        }
    }
    rows
}

/// The node of a source, and the board on it if it names one: `gpu_rack_7_0` is of GPU 0 of `rack_7`, if that is the longest
/// name of a node that fits. `None` of a source of no node that is known.
pub(super) fn split<'a>(source: &'a str, nodes: &BTreeSet<&str>) -> Option<(&'a str, Option<&'a str>)> {
    if let Some(node) = source.strip_prefix("node_") {
        return nodes.contains(node).then_some((node, None));
    }
    let rest = source.strip_prefix("gpu_")?;
    if nodes.contains(rest) {
        return Some((rest, None));
    }
    let mut parts = rest.rmatch_indices('_').filter_map(|(at, _)| rest.split_at_checked(at));
    let (node, board) = parts.find(|(node, _)| nodes.contains(node))?;
    Some((node, board.strip_prefix('_')))
}

/// The node or device in words: `hgx-03`, `hgx-05 GPU 6`; a source of no node that is known as it is.
fn subject(source: &str, nodes: &BTreeSet<&str>) -> String {
    match split(source, nodes) {
        Some((node, None)) => node.to_owned(),
        Some((node, Some(board))) if board.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{node} GPU {board}")
        }
        Some((node, Some(board))) => format!("{node} {board}"),
        None => {
            let rest = source.strip_prefix("node_").or_else(|| source.strip_prefix("gpu_"));
            rest.unwrap_or(source).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;

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
        let rows = alert_rows(&events, &["a", "b"].into(), &TimeZone::UTC);
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
    fn a_source_is_of_the_longest_node_that_fits_and_of_the_board_behind_it() {
        let nodes = BTreeSet::from(["a", "a_b", "rack_7"]);
        let of = |source| split(source, &nodes);
        assert_eq!(["gpu_rack_7", "node_rack_7"].map(of), [Some(("rack_7", None)); 2]);
        assert_eq!(of("gpu_rack_7_0"), Some(("rack_7", Some("0"))));
        assert_eq!(of("gpu_a_00000000:0B:00.0"), Some(("a", Some("00000000:0B:00.0"))));
        assert_eq!(of("gpu_a_b"), Some(("a_b", None)));
        assert_eq!(["node_a_c", "gpu_ab", "gpu_rack", "acme_a"].map(of), [None; 4]);
    }

    #[test]
    fn subjects_are_nodes_and_boards_in_words_and_other_sources_as_they_are() {
        let nodes = BTreeSet::from(["b", "rack_7"]);
        let sources = ["gpu_rack_7", "gpu_b_6", "gpu_b_00000000:0B:00.0", "gpu_my_box", "acme_9DN"];
        assert_eq!(
            sources.map(|source| subject(source, &nodes)),
            ["rack_7", "b GPU 6", "b 00000000:0B:00.0", "my_box", "acme_9DN"]
        );
    }
}
