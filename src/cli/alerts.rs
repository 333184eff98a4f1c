//! `alerts`: which are raised, and whether the webhook takes one.

use serde_json::json;

use super::args::{AlertsCommand, Cli, ListFormat};
use super::exit::Exit;
use super::{Failure, block_on, colour_stderr, print, render, settings_to_read};
use crate::alert::{Severity, Transition};
use crate::app::{self, ActiveAlerts, Settings};
use crate::support::counted;

/// The name and version of the shape of `alerts --format json`.
const SCHEMA: &str = "fleetwatt.active_alerts/1";

pub(super) fn run(cli: &Cli, format: ListFormat, command: Option<&AlertsCommand>) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    match command {
        None => {
            let active = block_on(app::active_alerts(&settings))?;
            print(&match format {
                ListFormat::Text => text(&active, &settings),
                ListFormat::Json => as_json(&active),
            })?;
            Ok(Exit::Ok)
        }
        Some(AlertsCommand::Test) => {
            let answer = block_on(app::test_alert(&settings))?;
            match answer.status {
                Ok(status) => {
                    print(&format!("the webhook at {} took the test (HTTP {status})\n", answer.endpoint))?;
                    Ok(Exit::Ok)
                }
                Err(error) => {
                    render::eprint_error("", &error, colour_stderr(cli.colour));
                    Ok(Exit::Nothing)
                }
            }
        }
    }
}

/// One line each, the worst first, and of these the oldest.
fn text(active: &ActiveAlerts, settings: &Settings) -> String {
    let mut alerts: Vec<&Transition> = active.alerts.iter().collect();
    alerts.sort_by_key(|alert| (alert.severity != Severity::Critical, alert.raised_at, alert.key.as_str()));
    let width = |of: fn(&Transition) -> usize| alerts.iter().map(|alert| of(alert)).max().unwrap_or(0);
    let (rules, sources) = (width(|alert| alert.rule.label().len()), width(|alert| alert.source.len()));
    let mut lines: Vec<String> = alerts
        .iter()
        .map(|alert| {
            format!(
                "{:8}  {:rules$}  {:sources$}  since {}  {}",
                alert.severity.label(),
                alert.rule.label(),
                alert.source,
                alert.raised_at,
                alert.message
            )
        })
        .collect();
    if !active.is_known {
        let path = if settings.store_url.is_file() {
            settings.store_url.to_string()
        } else {
            settings.state_dir.display().to_string()
        };
        lines.push(format!(
            "nothing is known of alerts in {path}: no cycle was judged yet, or the service has another \
             STATE_DIRECTORY"
        ));
    } else if alerts.is_empty() {
        lines.push("no alert is raised".to_owned());
    }
    match active.n_undelivered {
        0 => (),
        n => lines.push(format!("{} for the webhook", counted(n, "message waits", "messages wait"))),
    }
    lines.join("\n") + "\n"
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
    let alerts: Vec<_> = active.alerts.iter().map(alert).collect();
    let document = json!({
        "schema": SCHEMA,
        "known": active.is_known,
        "alerts": alerts,
        "undelivered": active.n_undelivered,
    });
    format!("{document:#}\n")
}
