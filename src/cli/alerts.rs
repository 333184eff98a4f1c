//! `alerts`: which are raised, and whether the webhook takes one.

use serde_json::json;

use super::args::{AlertsCommand, Cli, ListFormat};
use super::exit::Exit;
use super::{Failure, block_on, colour_stderr, render, say, settings_to_read};
use crate::alert::{Severity, Transition};
use crate::app::{self, ActiveAlerts, Settings};
use crate::support::counted;

/// The name and version of the shape of `alerts --format json`.
const SCHEMA: &str = "fleetwatt.active_alerts/1";

pub(super) fn run(cli: &Cli, format: ListFormat, command: Option<&AlertsCommand>) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    if let Some(AlertsCommand::Test) = command {
        let answer = block_on(app::test_alert(&settings))?;
        return match answer.status {
            Ok(status) => say(format!("the webhook at {} took the test (HTTP {status})\n", answer.endpoint)),
            Err(error) => {
                render::eprint_error("", &error, colour_stderr(cli.colour));
                Ok(Exit::Nothing)
            }
        };
    }
    let active = block_on(app::active_alerts(&settings))?;
    say(match format {
        ListFormat::Text => text(&active, &settings),
        ListFormat::Json => as_json(&active),
    })
}

/// One line each, the worst first, and of these the oldest.
fn text(active: &ActiveAlerts, settings: &Settings) -> String {
    let mut alerts: Vec<&Transition> = active.alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.severity != Severity::Critical, alert.raised_at, alert.key.as_str()));
    let row = |alert: &&Transition| {
        let (severity, rule) = (format!("{:8}", alert.severity.label()), alert.rule.label().to_owned());
        [severity, rule, alert.source.clone(), format!("since {}", alert.raised_at), alert.message.clone()]
    };
    let mut text = render::columns(&alerts.iter().map(row).collect::<Vec<_>>(), false);
    if !active.is_known {
        let store = &settings.store_url;
        let path = if store.is_file() { store.to_string() } else { settings.state_dir.display().to_string() };
        text += &format!(
            "nothing is known of alerts in {path}: no cycle was judged yet, or the service has another \
             STATE_DIRECTORY\n"
        );
    } else if alerts.is_empty() {
        text += "no alert is raised\n";
    }
    if active.n_undelivered > 0 {
        let messages = counted(active.n_undelivered, "message waits", "messages wait");
        text += &format!("{messages} for the webhook\n");
    }
    text
}

fn as_json(active: &ActiveAlerts) -> String {
    let alert = |alert: &Transition| {
        json!({
            "key": alert.key,
            "rule": alert.rule.label(),
            "severity": alert.severity.label(),
            "source": alert.source,
            "node": alert.node,
            "message": alert.message,
            "raised_at": alert.raised_at.to_string(),
        })
    };
    let document = json!({
        "schema": SCHEMA,
        "known": active.is_known,
        "alerts": active.alerts.iter().map(alert).collect::<Vec<_>>(),
        "undelivered": active.n_undelivered,
    });
    format!("{document:#}\n")
}
