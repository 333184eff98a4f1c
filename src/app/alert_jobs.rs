//! The jobs of `alerts`, and what `check --connect` asks of the webhook.

use super::{Error, Settings};
use crate::alert::{Rule, Severity, State, Transition};
use crate::cycle::Clock;
use crate::output::notify::DeliveryError;
use crate::store;

/// The message of a test.
const TEST_WORDS: &str = "this is a test of fleetwatt's webhook; nothing is wrong";

/// The alerts that are raised.
#[derive(Debug)]
pub struct ActiveAlerts {
    /// Each as the transition that raised it.
    pub alerts: Vec<Transition>,
    /// Number of messages that wait for the webhook.
    pub n_undelivered: u64,
    /// Whether anything was ever kept of the alerts there; else nobody has judged them, or keeps that
    /// somewhere else.
    pub is_known: bool,
}

/// The answer of the webhook.
#[derive(Debug)]
pub struct WebhookAnswer {
    /// Scheme and host.
    pub endpoint: String,
    /// The HTTP status, or why there is none.
    pub status: Result<u16, DeliveryError>,
}

/// The alerts that are raised now, as the state directory or the SQLite timeline knows them. Changes nothing, takes no
/// lock, and needs no database server.
///
/// # Errors
/// They cannot be read.
pub async fn active_alerts(settings: &Settings) -> Result<ActiveAlerts, Error> {
    let kept = store::stored_alerts(&settings.state_dir, &settings.store_url).await?;
    let is_known = kept.state.is_some();
    let state = match kept.state {
        Some(kept) => State::from_text(&kept.text).map_err(Error::Alerts)?,
        None => State::default(),
    };
    Ok(ActiveAlerts { alerts: state.firing(), n_undelivered: kept.n_waiting, is_known })
}

/// Sends one message to the webhook that says that it is a test.
///
/// # Errors
/// The inventory names no webhook, or its URL cannot be had. That the webhook did not take it stands in the result.
pub async fn test_alert(settings: &Settings) -> Result<WebhookAnswer, Error> {
    let webhook = settings.named_webhook()?.ok_or(Error::NoWebhook)?;
    let at = Clock.now();
    let test = Transition {
        key: "test:fleetwatt".to_owned(),
        rule: Rule::Test,
        severity: Severity::Warning,
        source: "fleetwatt".to_owned(),
        node: None,
        message: TEST_WORDS.to_owned(),
        raised: true,
        at,
        raised_at: at,
    };
    let status = webhook.send_once(&test).await;
    Ok(WebhookAnswer { endpoint: webhook.endpoint().to_owned(), status })
}

/// Whether the webhook answers at all; `None` where there is none, or its URL cannot be had, which `check` says
/// elsewhere. No alert is sent.
pub(super) async fn reach_webhook(settings: &Settings) -> Option<WebhookAnswer> {
    let webhook = settings.named_webhook().ok().flatten()?;
    Some(WebhookAnswer { endpoint: webhook.endpoint().to_owned(), status: webhook.reach().await })
}
