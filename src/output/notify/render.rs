//! Messages by format. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::alert::{Severity, Transition};
use crate::inventory::WebhookFormat;
use crate::reading::Timestamp;
use crate::support::percent;

/// The name and version of the JSON document's shape, in its field `schema`.
const ALERTS_SCHEMA: &str = "fleetwatt.alerts/1";

/// The most transitions in one message, which a person can still read. Slack takes one message a second.
pub(super) const MAX_IN_MESSAGE: usize = 50;

/// ntfy makes an attachment of what is longer than 4,096 bytes; the rest is for the last line.
const MAX_NTFY_BYTES: usize = 4_000;

const JSON: &str = "application/json";

/// One message, ready to be sent by POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Headers; names and values are ASCII of our own.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(super) body: String,
}

/// The labels of the inventory, by host.
pub type HostLabels = BTreeMap<String, BTreeMap<String, String>>;

/// The message of these transitions. Alertmanager takes an alert for resolved that is not repeated by
/// `holds_until`.
pub(super) fn render(
    format: WebhookFormat,
    transitions: &[Transition],
    holds_until: Timestamp,
    labels: &HostLabels,
) -> Message {
    match format {
        WebhookFormat::Json => of_json(&json!({
            "schema": ALERTS_SCHEMA,
            "alerts": transitions.iter().map(alert).collect::<Vec<_>>(),
        })),
        WebhookFormat::Slack => of_json(&json!({ "text": lines(transitions, slack_escaped).join("\n") })),
        WebhookFormat::Ntfy => ntfy(transitions),
        WebhookFormat::Alertmanager => alertmanager(transitions, holds_until, labels),
    }
}

fn of_json(document: &Value) -> Message {
    Message { headers: vec![("content-type", JSON.to_owned())], body: document.to_string() }
}

fn alert(transition: &Transition) -> Value {
    json!({
        "status": if transition.raised { "raised" } else { "cleared" },
        "key": transition.key,
        "rule": transition.rule.label(),
        "severity": transition.severity.label(),
        "source": transition.source,
        "message": transition.message,
        "at": transition.at.to_string(),
        "raised_at": transition.raised_at.to_string(),
    })
}

/// One line each: how bad, and what.
fn lines(transitions: &[Transition], escaped: impl Fn(&str) -> String) -> Vec<String> {
    let line = |one: &Transition| format!("[{}] {}", severity_label(one), escaped(&one.message));
    transitions.iter().map(line).collect()
}

fn severity_label(transition: &Transition) -> &'static str {
    if transition.raised { transition.severity.label() } else { "cleared" }
}

/// In Slack's own escapes: words may hold text of a host, which must not call a channel together.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn ntfy(transitions: &[Transition]) -> Message {
    let worst = transitions.iter().filter(|one| one.raised).map(|one| one.severity).max();
    let (priority, tag) = match worst {
        Some(Severity::Critical) => ("5", "rotating_light"),
        Some(Severity::Warning) => ("4", "warning"),
        None => ("3", "white_check_mark"),
    };
    let title = match transitions {
        [one] => format!("fleetwatt: {} ({})", one.rule.label(), severity_label(one)),
        several => format!("fleetwatt: {} alerts", several.len()),
    };
    let mut body = String::new();
    let mut n_shown = 0;
    for line in lines(transitions, str::to_owned) {
        if body.len() + line.len() + 1 > MAX_NTFY_BYTES {
            break;
        }
        body.push_str(if body.is_empty() { "" } else { "\n" });
        body.push_str(&line);
        n_shown += 1;
    }
    if n_shown < transitions.len() {
        body.push_str(&format!("\n… and {} more", transitions.len() - n_shown));
    }
    let headers = vec![
        ("content-type", "text/plain; charset=utf-8".to_owned()),
        ("title", title),
        ("priority", priority.to_owned()),
        ("tags", tag.to_owned()),
    ];
    Message { headers, body }
}

fn alertmanager(transitions: &[Transition], holds_until: Timestamp, labels: &HostLabels) -> Message {
    // Alerts of the same labels are one alert: only how it is now counts.
    let latest: BTreeMap<&str, &Transition> =
        transitions.iter().map(|transition| (transition.key.as_str(), transition)).collect();
    let alerts = latest.into_values().map(|transition| {
        let ends_at = if transition.raised { holds_until } else { transition.at };
        json!({
            "labels": labels_of(transition, labels),
            "annotations": { "summary": transition.message },
            "startsAt": transition.raised_at.to_string(),
            // A clock that was set back must not make an alert that ends before it starts.
            "endsAt": ends_at.max(transition.raised_at).to_string(),
            "generatorURL": format!("fleetwatt:///{}", percent::encode(&transition.source)),
        })
    });
    of_json(&Value::Array(alerts.collect()))
}

/// An alert's labels, which Alertmanager knows it by: our own come before those of its host.
fn labels_of(transition: &Transition, labels: &HostLabels) -> BTreeMap<String, String> {
    let of_host = transition.node.as_ref().and_then(|node| labels.get(node)).into_iter().flatten();
    let mut all: BTreeMap<String, String> =
        of_host.map(|(name, value)| (label_name(name), value.clone())).collect();
    let node = transition.node.as_ref().map(|node| ("node", node.as_str()));
    let own = [
        ("alertname", transition.rule.label()),
        ("severity", transition.severity.label()),
        ("source", transition.source.as_str()),
        ("key", transition.key.as_str()),
        ("service", "fleetwatt"),
    ];
    all.extend(own.into_iter().chain(node).map(|(name, value)| (name.to_owned(), value.to_owned())));
    all
}

/// A name that every Alertmanager takes: another one would cost the whole message.
fn label_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::Rule;

    /// 2026-11-24T07:00:00Z.
    const AT: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

    fn raised() -> Transition {
        Transition {
            key: "gpu_temperature:gpu_node3_2".to_owned(),
            rule: Rule::GpuTemperature,
            severity: Severity::Warning,
            source: "gpu_node3_2".to_owned(),
            node: Some("node3".to_owned()),
            message: "node3 GPU 2 is at 91 °C (limit 85 °C)".to_owned(),
            raised: true,
            at: AT,
            raised_at: AT,
        }
    }

    fn cleared() -> Transition {
        Transition {
            message: "node3 GPU 2 is at 82 °C again (limit 85 °C)".to_owned(),
            raised: false,
            at: AT.plus(Duration::from_secs(60)),
            ..raised()
        }
    }

    fn lost() -> Transition {
        Transition {
            key: "gpu_missing:node_node3/00000000:0B:00.0".to_owned(),
            rule: Rule::GpuMissing,
            severity: Severity::Critical,
            source: "node_node3".to_owned(),
            node: Some("node3".to_owned()),
            message: "node3: a GPU is lost: <!channel> & more".to_owned(),
            ..raised()
        }
    }

    fn labels() -> HostLabels {
        let labels = [("rack", "r7"), ("site.name", "north"), ("severity", "not ours")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        HostLabels::from([("node3".to_owned(), labels.into()), ("node4".to_owned(), BTreeMap::new())])
    }

    fn shown(format: WebhookFormat, transitions: &[Transition]) -> String {
        let holds_until = AT.plus(Duration::from_secs(90 + 240));
        let Message { headers, body } = render(format, transitions, holds_until, &labels());
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let body = match serde_json::from_str::<Value>(&body) {
            Ok(document) => serde_json::to_string_pretty(&document).unwrap(),
            Err(_) => body,
        };
        format!("{}\n\n{body}", headers.join("\n"))
    }

    #[test]
    fn json_has_every_field_and_a_schema() {
        insta::assert_snapshot!(shown(WebhookFormat::Json, &[raised(), cleared()]), @r#"
        content-type: application/json

        {
          "alerts": [
            {
              "at": "2026-11-24T07:00:00.000000Z",
              "key": "gpu_temperature:gpu_node3_2",
              "message": "node3 GPU 2 is at 91 °C (limit 85 °C)",
              "raised_at": "2026-11-24T07:00:00.000000Z",
              "rule": "gpu_temperature",
              "severity": "warning",
              "source": "gpu_node3_2",
              "status": "raised"
            },
            {
              "at": "2026-11-24T07:01:00.000000Z",
              "key": "gpu_temperature:gpu_node3_2",
              "message": "node3 GPU 2 is at 82 °C again (limit 85 °C)",
              "raised_at": "2026-11-24T07:00:00.000000Z",
              "rule": "gpu_temperature",
              "severity": "warning",
              "source": "gpu_node3_2",
              "status": "cleared"
            }
          ],
          "schema": "fleetwatt.alerts/1"
        }
        "#);
    }

    #[test]
    fn slack_has_a_line_each_and_nothing_of_a_host_is_markup() {
        insta::assert_snapshot!(shown(WebhookFormat::Slack, &[raised(), lost(), cleared()]), @r#"
        content-type: application/json

        {
          "text": "[warning] node3 GPU 2 is at 91 °C (limit 85 °C)\n[critical] node3: a GPU is lost: &lt;!channel&gt; &amp; more\n[cleared] node3 GPU 2 is at 82 °C again (limit 85 °C)"
        }
        "#);
    }

    #[test]
    fn ntfy_says_in_its_headers_how_bad_it_is() {
        insta::assert_snapshot!(shown(WebhookFormat::Ntfy, &[raised()]), @r#"
        content-type: text/plain; charset=utf-8
        title: fleetwatt: gpu_temperature (warning)
        priority: 4
        tags: warning

        [warning] node3 GPU 2 is at 91 °C (limit 85 °C)
        "#);
        insta::assert_snapshot!(shown(WebhookFormat::Ntfy, &[cleared()]), @r#"
        content-type: text/plain; charset=utf-8
        title: fleetwatt: gpu_temperature (cleared)
        priority: 3
        tags: white_check_mark

        [cleared] node3 GPU 2 is at 82 °C again (limit 85 °C)
        "#);
        insta::assert_snapshot!(shown(WebhookFormat::Ntfy, &[cleared(), lost()]), @r#"
        content-type: text/plain; charset=utf-8
        title: fleetwatt: 2 alerts
        priority: 5
        tags: rotating_light

        [cleared] node3 GPU 2 is at 82 °C again (limit 85 °C)
        [critical] node3: a GPU is lost: <!channel> & more
        "#);
    }

    #[test]
    fn a_long_ntfy_message_says_how_much_it_leaves_out() {
        let body = render(
            WebhookFormat::Ntfy,
            &vec![Transition { message: "ä".repeat(200), ..raised() }; 30],
            AT,
            &labels(),
        )
        .body;
        assert!(body.len() < 4_096 && body.ends_with("\n… and 21 more"), "{body}");
    }

    #[test]
    fn alertmanager_gets_labels_the_end_of_a_cleared_alert_and_a_bound_for_one_that_fires() {
        insta::assert_snapshot!(shown(WebhookFormat::Alertmanager, &[raised(), lost(), cleared()]), @r#"
        content-type: application/json

        [
          {
            "annotations": {
              "summary": "node3: a GPU is lost: <!channel> & more"
            },
            "endsAt": "2026-11-24T07:05:30.000000Z",
            "generatorURL": "fleetwatt:///node_node3",
            "labels": {
              "alertname": "gpu_missing",
              "key": "gpu_missing:node_node3/00000000:0B:00.0",
              "node": "node3",
              "rack": "r7",
              "service": "fleetwatt",
              "severity": "critical",
              "site_name": "north",
              "source": "node_node3"
            },
            "startsAt": "2026-11-24T07:00:00.000000Z"
          },
          {
            "annotations": {
              "summary": "node3 GPU 2 is at 82 °C again (limit 85 °C)"
            },
            "endsAt": "2026-11-24T07:01:00.000000Z",
            "generatorURL": "fleetwatt:///gpu_node3_2",
            "labels": {
              "alertname": "gpu_temperature",
              "key": "gpu_temperature:gpu_node3_2",
              "node": "node3",
              "rack": "r7",
              "service": "fleetwatt",
              "severity": "warning",
              "site_name": "north",
              "source": "gpu_node3_2"
            },
            "startsAt": "2026-11-24T07:00:00.000000Z"
          }
        ]
        "#);
    }
}
