//! Alerts of a cycle: the rules judged, their events for the batch, and whom to tell. The jobs of `alerts`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::energy_totals::{LedgerPlace, Search};
use super::today::DayMeter;
use super::{Error, Settings};
use crate::alert::{Facts, MAX_ACTIVE_ALERTS, Rule, Rules, Scope, Severity, State, Transition, evaluate};
use crate::batch::{Batch, StoreState, Today};
use crate::cycle::Clock;
use crate::ledger::{Book, DayTotals, EnergyRow, EnergyTotal};
use crate::output::notify::{self, DeliveryError, NotifierHandle, QueuedMessage, Webhook, notifier};
use crate::reading::error_chain;
use crate::store::{self, AlertRecord, StoreUrl, StoredAlertState};

/// The message of a test.
const TEST_WORDS: &str = "this is a test of fleetwatt's webhook; nothing is wrong";

/// The rules and what is known of the alerts.
#[derive(Debug)]
pub(super) struct Alerting {
    rules: Rules,
    /// The longest time between two readings that the ledger counts as measured.
    max_gap: Option<Duration>,
    meter: DayMeter,
    state_dir: PathBuf,
    store_url: StoreUrl,
    /// Whether anybody is to be told: messages wait also for a webhook whose URL cannot be had now.
    has_webhook: bool,
    /// `None` until it could be read.
    known: Option<Known>,
    /// The alerts of `hosts.json`, where they stood before they were kept with the batches.
    before: Value,
    ledger_place: LedgerPlace,
    /// The search for what was measured of series before, while it runs.
    search: Option<Search>,
}

/// The state of the alerts, as far as it is known.
#[derive(Debug, Default)]
struct Known {
    state: State,
    /// The revision that is kept; 0 where none is.
    revision: i64,
    /// Messages that an earlier version could not send.
    undelivered: Vec<Transition>,
    ledger: KeptLedger,
}

/// The part of the kept state that is the ledger's.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct KeptLedger {
    /// The ends of the ledger's series.
    #[serde(rename = "ledger")]
    book: Book,
    /// The day so far.
    today: DayTotals,
}

/// The facts beside the cycle itself, for the rules.
#[derive(Debug, Default, Clone)]
pub(super) struct SystemFacts {
    pub(super) store: StoreState,
    /// Why the last edit of the inventory could not be taken.
    pub(super) reload_failed: Option<String>,
}

/// The effect of a cycle on the alerts. It holds when its record is kept.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) transitions: Vec<Transition>,
    /// The energies that the cycle adds to the ledger.
    pub(super) energies: Vec<EnergyRow>,
    state: State,
    ledger: KeptLedger,
}

impl Alerting {
    /// `before` is what `hosts.json` has of the alerts.
    pub(super) fn new(settings: &Settings, before: Value) -> Self {
        Self {
            rules: settings.inventory.alerts.rules.clone(),
            max_gap: settings.inventory.energy.ledger.max_gap,
            meter: DayMeter::new(settings),
            state_dir: settings.state_dir.clone(),
            store_url: settings.store_url.clone(),
            has_webhook: settings.inventory.alerts.webhook.is_some(),
            known: None,
            before,
            ledger_place: LedgerPlace {
                store_url: settings.store_url.clone(),
                table: settings.inventory.store.table.clone(),
                state_dir: settings.state_dir.clone(),
            },
            search: None,
        }
    }

    /// Takes the rules of another inventory; what is raised stays so until they say otherwise.
    pub(super) fn adopt(&mut self, settings: &Settings) {
        self.rules = settings.inventory.alerts.rules.clone();
        self.max_gap = settings.inventory.energy.ledger.max_gap;
        self.has_webhook = settings.inventory.alerts.webhook.is_some();
        self.meter = DayMeter::new(settings);
    }

    /// Reads what is kept of the alerts, unless it is known. What cannot be read is not taken for nothing:
    /// that would raise everything anew.
    pub(super) async fn read(&mut self) {
        if self.known.is_some() {
            return;
        }
        match store::stored_alerts(&self.state_dir, &self.store_url).await {
            Ok(kept) => self.take_over(kept.state),
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "alerts are not judged until they can be read");
            }
        }
    }

    /// Takes what is kept for what is known.
    pub(super) fn take_over(&mut self, kept: Option<StoredAlertState>) {
        let known = match kept {
            Some(StoredAlertState { revision, text }) => {
                Known { state: state_of(&text), revision, undelivered: Vec::new(), ledger: ledger_of(&text) }
            }
            None => Known {
                state: state_of(&self.before.to_string()),
                revision: 0,
                undelivered: Transition::undelivered_in(&self.before),
                ledger: KeptLedger::default(),
            },
        };
        self.known = Some(known);
    }

    /// Judges a cycle. What changed is to be kept with it, and holds [when it is](Self::accept). `None` as
    /// long as nothing is known of the alerts.
    pub(super) fn judge(&self, batch: &Batch, scope: Scope, system: SystemFacts) -> Option<Judged> {
        let known = self.known.as_ref()?;
        let facts = Facts {
            spool: system.store.waiting,
            store_away_since: system.store.away.map(|(since, _)| since),
            rows_aside: system.store.dead_letters,
            reload_failed: system.reload_failed,
            ..batch.alert_facts(scope)
        };
        let mut state = known.state.clone();
        let transitions = evaluate(&self.rules, &mut state, &facts);
        let booking = known.ledger.book.book(&batch.series_readings(), self.max_gap);
        let ledger = KeptLedger {
            book: known.ledger.book.after(&booking, batch.started_at),
            today: self.meter.after(&known.ledger.today, &booking.rows, batch.started_at),
        };
        Some(Judged { transitions, energies: booking.rows, state, ledger })
    }

    /// The record that is kept with the batch.
    pub(super) fn record(&self, batch: &Batch, judged: &Judged) -> AlertRecord {
        let Some(known) = &self.known else { return AlertRecord::default() };
        let messages = known.undelivered.iter().chain(&judged.transitions).filter(|_| self.has_webhook);
        AlertRecord {
            events: batch.alert_events(&judged.transitions),
            judged_by: known.revision,
            state: known.is_new(judged).then(|| judged.to_text()),
            messages: messages.map(|transition| json!(transition).to_string()).collect(),
        }
    }

    /// The record is kept, so its alerts are what is known from now on.
    pub(super) fn accept(&mut self, judged: Judged) -> Vec<Transition> {
        if let Some(known) = &mut self.known {
            let revision = known.revision + i64::from(known.is_new(&judged));
            *known = Known { state: judged.state, revision, undelivered: Vec::new(), ledger: judged.ledger };
            if known.state.is_full() {
                tracing::error!(
                    "{MAX_ACTIVE_ALERTS} alerts are followed, and no more: others are not raised until some are over"
                );
            }
        }
        judged.transitions
    }

    /// Every alert that is raised.
    pub(super) fn firing(&self) -> Vec<Transition> {
        self.known.as_ref().map(|known| known.state.firing()).unwrap_or_default()
    }

    /// Begins to read the prices of the day, so that [`Self::today`] has them at once.
    pub(super) fn begin_prices(&mut self) {
        self.meter.begin_prices();
    }

    /// The day so far at the end of a cycle of the whole fleet, if it is added up here. Waits so long for price files, which
    /// may be on a disk that hangs.
    pub(super) async fn today(&mut self, batch: &Batch, within: Duration) -> Option<Today> {
        self.meter.read_prices(within).await;
        let totals = &self.known.as_ref()?.ledger.today;
        self.meter.today(totals, batch.started_at, batch.totals().gpus_expected)
    }

    /// Begins to look for what was measured before of series of which that is not known, once nothing waits for the
    /// database.
    pub(super) fn begin_totals(&mut self) {
        if self.search.is_none() {
            self.search = self.search(true);
        }
    }

    /// The same without waiting for the database, and takes what is found.
    pub(super) async fn look_up_totals(&mut self) {
        self.search = self.search(false);
        self.take_totals(true).await;
    }

    fn search(&self, may_wait: bool) -> Option<Search> {
        let known = self.known.as_ref()?;
        let series = known.ledger.book.without_total();
        (!series.is_empty())
            .then(|| Search::begin(self.ledger_place.clone(), series, known.revision, may_wait))
    }

    /// Takes what a search has found, if no batch was kept since it began. Without `waits` one that still runs is given up:
    /// a batch is about to be kept.
    pub(super) async fn take_totals(&mut self, waits: bool) {
        let Some(mut search) = self.search.take() else { return };
        let found = search.found(waits).await;
        let Some((known, (revision, totals))) = self.known.as_mut().zip(found) else { return };
        if revision == known.revision {
            let book = std::mem::take(&mut known.ledger.book);
            known.ledger.book = book.with_totals(&totals);
        }
    }

    /// All that was measured of each series, where that is known.
    pub(super) fn energy_totals(&self) -> BTreeMap<String, EnergyTotal> {
        self.known.as_ref().map(|known| known.ledger.book.totals()).unwrap_or_default()
    }

    /// The alerts for `hosts.json`: those that it had, until they are kept with the batches.
    pub(super) fn before(&self) -> Value {
        let is_taken_over = self.known.as_ref().is_some_and(|known| known.revision > 0);
        if is_taken_over { Value::Null } else { self.before.clone() }
    }

    /// The number of active alerts.
    pub(super) fn n_firing(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.state.n_firing())
    }

    /// Where messages wait for the webhook.
    pub(super) fn outbox(&self) -> Outbox {
        Outbox(store::Outbox::new(&self.state_dir, &self.store_url))
    }
}

impl Known {
    /// Whether what was judged is another state than the kept one.
    fn is_new(&self, judged: &Judged) -> bool {
        self.revision == 0 || self.state != judged.state || self.ledger != judged.ledger
    }
}

impl Judged {
    /// The state of the alerts, and with it the ends of the ledger's series.
    fn to_text(&self) -> String {
        let mut state = self.state.to_value();
        if let Some(object) = state.as_object_mut() {
            object.insert("ledger".to_owned(), json!(self.ledger.book));
            object.insert("today".to_owned(), json!(self.ledger.today));
        }
        state.to_string()
    }
}

fn ledger_of(text: &str) -> KeptLedger {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the ends of the ledger's series cannot be read: each series begins again");
        KeptLedger::default()
    })
}

fn state_of(text: &str) -> State {
    State::from_text(text).unwrap_or_else(|error| {
        tracing::warn!(error = error_chain(&error), "what was known of the alerts is forgotten");
        State::default()
    })
}

/// The outbox of the store, as delivery sees it.
#[derive(Debug)]
pub(super) struct Outbox(store::Outbox);

impl notify::Outbox for Outbox {
    async fn oldest(&mut self, n_most: usize) -> Vec<QueuedMessage> {
        let messages = match self.0.oldest(n_most).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "alerts that wait for the webhook cannot be read"
                );
                return Vec::new();
            }
        };
        let mut waiting = Vec::with_capacity(messages.len());
        let mut unreadable = Vec::new();
        for store::OutboxMessage { id, text } in messages {
            match serde_json::from_str(&text) {
                Ok(transition) => waiting.push(QueuedMessage { id, transition }),
                Err(_) => unreadable.push(id),
            }
        }
        if !unreadable.is_empty() {
            let n_lost = unreadable.len();
            tracing::error!(n_lost, "messages of another version cannot be read: nobody is told");
            self.remove(unreadable).await;
        }
        waiting
    }

    async fn remove(&mut self, ids: Vec<String>) {
        if let Err(error) = self.0.remove(ids).await {
            // They are not given again by this process; after a restart somebody may be told twice.
            tracing::warn!(error = error_chain(&error), "alerts that were told cannot be removed yet");
        }
    }
}

/// The delivery of messages, in a task of its own.
#[derive(Debug)]
pub(super) struct AlertNotifier {
    handle: NotifierHandle,
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl AlertNotifier {
    /// Begins with what waits, and what fires.
    pub(super) fn start(webhook: Webhook, alerting: &Alerting) -> Self {
        let (handle, notifier) = notifier(webhook, alerting.outbox(), alerting.firing());
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(notifier.run(async {
            // Dropped or sent, it is the end.
            drop(stopped.await);
        }));
        Self { handle, stop, task }
    }

    /// Something may wait. Never waits itself.
    pub(super) fn wake(&self, alerting: &Alerting) {
        self.handle.wake(|| alerting.firing());
    }

    /// Tells the rest until `deadline`. What is left waits for the next start.
    pub(super) async fn end(self, deadline: Instant) {
        let Self { stop, mut task, .. } = self;
        drop(stop);
        if timeout_at(deadline, task.join_next()).await.is_err() {
            tracing::debug!("no time to tell the last alerts: they wait for the next start");
        }
    }
}

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
