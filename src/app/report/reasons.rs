//! The reasons of gaps, looked up in the timeline: a cycle that did not come, a host that did not answer, a board that
//! was missing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::alerts::split;
use crate::ledger::{Names, SeriesKey};
use crate::reading::{FailureKind, Timestamp};
use crate::report::{GapReason, GapScope, OpenGap};
use crate::store::{AlertEvent, Error, LedgerReader, NodeFailure};

/// Alerts that tell of a board that gives no reading, by their rules.
const BOARD_RULES: [&str; 2] = ["gpu_missing", "implausible_reading"];

/// An alert is raised at the first reading that is missing, which may be in the quarter before.
const BEFORE: Duration = Duration::from_mins(15);

/// The failures in which a host itself was not reached or did not answer.
const DOWN: [FailureKind; 7] = [
    FailureKind::Resolve,
    FailureKind::Connect,
    FailureKind::ConnectTimeout,
    FailureKind::Jump,
    FailureKind::Session,
    FailureKind::Timeout,
    FailureKind::Hung,
];

/// The reason of a gap, as far as the timeline tells one. `kept_from` is the first time of which the timeline may have
/// rows: before it nothing follows from their absence. `nodes` are all that are known.
pub(super) async fn reason(
    reader: &mut LedgerReader,
    gap: &OpenGap,
    names: &Names,
    (alerts, nodes): (&[AlertEvent], &BTreeSet<&str>),
    kept_from: Option<Timestamp>,
) -> Result<Option<GapReason>, Error> {
    let time = gap.quarters.start.start()..gap.quarters.end.start();
    let is_kept = kept_from.is_none_or(|kept_from| kept_from <= time.start);
    let no_longer_kept = || {
        let reason = "rows of that time are no longer kept".to_owned();
        (!is_kept).then_some(GapReason { reason, hint: None })
    };
    if gap.scope == GapScope::Boards {
        return Ok(of_boards(gap, names, alerts, nodes).or_else(no_longer_kept));
    }
    if is_kept && is_most(reader.longest_pause(time.clone()).await?, gap.missing_each()) {
        return Ok(Some(GapReason {
            reason: "fleetwatt was not running".to_owned(),
            hint: Some("run it as a service: README.md has a timer and a daemon".to_owned()),
        }));
    }
    // Of several nodes with one time the first one speaks for all.
    let Some(node) = gap.nodes.first() else { return Ok(no_longer_kept()) };
    Ok(reader.first_failure(node, time).await?.map(of_failure).or_else(no_longer_kept))
}

/// Whether a time without a cycle is what a gap is of. Its quarters have cycles at their edges, and where cycles went on,
/// what lies between two of them is a third of the least gap.
fn is_most(pause: Duration, missing: Duration) -> bool {
    !pause.is_zero() && pause >= missing * 4 / 5
}

fn of_failure(failure: NodeFailure) -> GapReason {
    let kind = FailureKind::ALL.iter().find(|kind| kind.label() == failure.outcome);
    // The message is `<what>; <hint>`, and both may have semicolons in them.
    let hint = kind.map(|kind| kind.wording().hint);
    let known = hint.and_then(|hint| Some((failure.message.strip_suffix(hint)?.strip_suffix("; ")?, hint)));
    let (message, hint) = match known.or_else(|| failure.message.split_once("; ")) {
        Some((message, hint)) => (message, Some(hint.to_owned())),
        None => (failure.message.as_str(), None),
    };
    let is_down = kind.is_some_and(|kind| DOWN.contains(kind));
    let reason = if is_down { format!("host down: {message}") } else { message.to_owned() };
    GapReason { reason, hint }
}

/// The message of an alert of a board that was missing then, else of another board of its node.
fn of_boards(
    gap: &OpenGap,
    names: &Names,
    alerts: &[AlertEvent],
    nodes: &BTreeSet<&str>,
) -> Option<GapReason> {
    let time = gap.quarters.start.start().minus(BEFORE)..gap.quarters.end.start();
    let node = gap.nodes.first()?;
    let is_it = |alert: &&AlertEvent| time.contains(&alert.at) && is_of_board_on(node, alert, nodes);
    let keys = gap.series.iter().filter_map(|series| names.series.get(series));
    let uuids: Vec<&str> = keys.filter_map(|name| SeriesKey::uuid_in(&name.key)).collect();
    let of_board = |alert: &&AlertEvent| uuids.iter().any(|uuid| alert.key.contains(uuid));
    let mut found: Vec<&AlertEvent> = alerts.iter().filter(is_it).collect();
    found.sort_by_key(|alert| (!of_board(alert), alert.at));
    let alert = found.first()?;
    // The gap says the node itself.
    let message = alert.message.strip_prefix(&format!("{node}: ")).unwrap_or(&alert.message);
    Some(GapReason { reason: said_once(message).to_owned(), hint: None })
}

/// Whether an alert was raised for a board of a node that gives no reading.
fn is_of_board_on(node: &str, alert: &AlertEvent, nodes: &BTreeSet<&str>) -> bool {
    let is_of_node = || split(&alert.source, nodes).is_some_and(|(of, _)| of == node);
    alert.is_raised && BOARD_RULES.contains(&alert.rule.as_str()) && is_of_node()
}

/// A message without the tool's own words in brackets at its end, if they only repeat it.
fn said_once(message: &str) -> &str {
    let own = message.strip_suffix(']').and_then(|message| message.rsplit_once(": ["));
    let is_repeat = |said: &str, own: &str| said.to_lowercase().contains(&own.to_lowercase());
    own.filter(|(said, own)| is_repeat(said, own)).map_or(message, |(said, _)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(outcome: &str, message: &str) -> (String, Option<String>) {
        let at = Timestamp::from_micros(0);
        let GapReason { reason, hint } =
            of_failure(NodeFailure { at, outcome: outcome.to_owned(), message: message.to_owned() });
        (reason, hint)
    }

    #[test]
    fn a_host_that_was_not_reached_is_down_and_keeps_its_hint() {
        let hint = FailureKind::Jump.wording().hint;
        assert!(hint.contains("; "), "the case of a hint with a semicolon");
        assert_eq!(
            failure("jump", &format!("the jump host failed; or not; {hint}")),
            ("host down: the jump host failed; or not".to_owned(), Some(hint.to_owned()))
        );
        assert_eq!(
            failure("gpu_lost", "the GPU is lost; a hint of a tool"),
            ("the GPU is lost".to_owned(), Some("a hint of a tool".to_owned()))
        );
        assert_eq!(failure("of another version", "odd"), ("odd".to_owned(), None));
    }

    #[test]
    fn a_pause_that_is_nearly_all_of_a_gap_is_its_reason_and_the_way_from_cycle_to_cycle_is_not() {
        let minutes = Duration::from_mins;
        assert!(is_most(minutes(8), minutes(8)) && is_most(minutes(27), minutes(30)));
        // A host that missed two cycles of ten minutes each, and one that was down longer than fleetwatt.
        assert!(!is_most(minutes(10), minutes(15)) && !is_most(minutes(20), minutes(60)));
        assert!(!is_most(Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn the_words_of_a_tool_are_not_repeated() {
        assert_eq!(said_once("a GPU is lost (GPU 6): [GPU is lost]"), "a GPU is lost (GPU 6)");
        assert_eq!(said_once("a GPU is lost (GPU 6): [No data]"), "a GPU is lost (GPU 6): [No data]");
        assert_eq!(said_once("odd]"), "odd]");
    }

    fn alert(source: &str) -> AlertEvent {
        AlertEvent {
            at: Timestamp::from_micros(0),
            is_raised: true,
            source: source.to_owned(),
            key: String::new(),
            rule: "gpu_missing".to_owned(),
            severity: "critical".to_owned(),
            message: format!("of {source}"),
        }
    }

    #[test]
    fn an_alert_of_a_node_with_a_longer_name_is_no_reason() {
        let nodes = BTreeSet::from(["a", "a_b"]);
        let is_reason = |source| is_of_board_on("a", &alert(source), &nodes);
        assert!(is_reason("gpu_a_6") && is_reason("node_a"));
        assert!(!is_reason("gpu_a_b") && !is_reason("gpu_ab"));
    }
}
