//! One cycle, then exit: what the timer runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::alerts::{Alerting, SystemFacts};
use super::assembly::{Collector, Lifetime, save};
use super::commit::{Closed, commit};
use super::lock::lock_state;
use super::prometheus::write_after_poll;
use super::store::open_writer;
use super::writer_task::store_after;
use super::{Error, HostSelection, Settings};
use crate::alert::{Scope, Transition};
use crate::batch::{Batch, BatchId, Line, Now, Said, Snapshot, StoreState, Today};
use crate::battery::{Account, ask_once};
use crate::cycle::{Clock, Engine, Memory, closes_after};
use crate::reading::{AccountReport, error_chain};
use crate::store::{self, AlertRecord, Record, Writer};

/// The time for closing sessions: hosts that hang are left to their own deadlines.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The pause between two reports of progress.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// The time for telling of alerts; what is left is told by the next run.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// A poll is one cycle, and nothing waits for it: its price files have time also on a busy machine.
const PRICES_WITHIN: Duration = Duration::from_secs(5);

/// The options of a poll.
#[derive(Debug, Clone)]
pub struct PollRequest {
    /// Print, and leave no trace: no database, no state file, no connection.
    pub dry_run: bool,
    /// Which hosts are asked.
    pub selection: HostSelection,
    /// Say what changed since the last poll that was asked so.
    pub changes_only: bool,
    /// A person is there, and no timer.
    pub by_hand: bool,
    /// Judge the alerts also by hand.
    pub alerts: bool,
}

impl PollRequest {
    /// Whether this poll judges the alerts. What is known of them is where the timeline is, if that is a
    /// file; else it is in the state directory, and the one of a person beside the service knows nothing of
    /// what the service has raised: it would raise everything again, and never clear it.
    fn judges(&self, settings: &Settings) -> bool {
        self.alerts || !self.by_hand || settings.store_url.is_file() || settings.has_given_state
    }

    fn scope(&self) -> Scope {
        if self.selection.is_whole() { Scope::Whole } else { Scope::Part }
    }
}

/// The result of a poll.
#[derive(Debug)]
pub struct Polled {
    /// The cycle, the alerts that are active now, and the state of the store.
    pub snapshot: Snapshot,
    /// The fate of the batch.
    pub kept: Kept,
    /// Whether the alerts were judged.
    pub is_judged: bool,
    /// The changes since the last poll, if that was asked for.
    pub changes: Vec<Line>,
}

impl Polled {
    fn unjudged(snapshot: Snapshot, kept: Kept) -> Self {
        Self { snapshot, kept, is_judged: false, changes: Vec::new() }
    }
}

/// The fate of a batch.
#[derive(Debug)]
pub enum Kept {
    /// Nothing: it was a dry run.
    DryRun,
    /// It is durable: in the timeline, or in the spool.
    Durable(store::Receipt),
    /// It is lost, since not even the spool could take it.
    Lost(store::Error),
}

/// Runs one cycle over the fleet and keeps what it learnt: in the spool, and from there in the timeline.
/// `progress` is given how many hosts are done, of how many.
///
/// # Errors
/// The cycle could not be started. That a host failed, or the timeline, stands in the result.
pub async fn poll(
    settings: &Settings,
    request: &PollRequest,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<Polled, Error> {
    let hosts = request.selection.of(&settings.inventory)?;
    let _lock = if request.dry_run { None } else { Some(lock_state(&settings.state_dir)?) };
    let lifetime = if request.dry_run { Lifetime::Traceless } else { Lifetime::NextRun };
    let Collector { mut engine, mut alerting, .. } = Collector::assemble(settings, &hosts, lifetime)?;
    if request.scope() == Scope::Whole && !request.changes_only {
        alerting.begin_prices();
    }
    let (hosts_have, grace) = closes_after(&settings.inventory);
    let closes_at = Instant::now() + hosts_have;
    let hosts = async {
        engine.begin(BatchId(Uuid::now_v7()), closes_at, grace);
        let batch = closed(&mut engine, progress).await;
        (batch, engine.shutdown(Instant::now() + CLOSE_WITHIN).await)
    };
    let cycle = async {
        let ((batch, memory), account) = tokio::join!(hosts, stations(settings, request, closes_at));
        (Batch { account, ..batch }, memory)
    };
    if request.dry_run {
        let (batch, _) = cycle.await;
        alerting.read().await;
        let today = alerting.today(&batch, PRICES_WITHIN).await;
        let snapshot = Snapshot { alerts: alerting.firing(), today, ..batch.into() };
        return Ok(Polled::unjudged(snapshot, Kept::DryRun));
    }
    // The database's own login runs beside the cycle, so that it costs the cycle nothing.
    let ((batch, memory), writer) = tokio::join!(cycle, connected(settings));
    tracing::debug!(hosts = batch.reports.len(), "cycle closed");
    match writer {
        Ok(writer) => keep(settings, request, (batch, memory), writer, alerting).await,
        Err(error) => Ok(Polled::unjudged(batch.into(), Kept::Lost(error))),
    }
}

/// Keeps what a cycle brought, and the alerts that follow from it.
async fn keep(
    settings: &Settings,
    request: &PollRequest,
    (batch, mut memory): (Batch, Memory),
    mut writer: Writer,
    mut alerting: Alerting,
) -> Result<Polled, Error> {
    let scope = request.scope();
    let store = store_before(settings, &writer).await;
    let system = SystemFacts { store: store.clone(), reload_failed: None };
    let closed = Closed { batch: &batch, scope, style: settings.inventory.store.metadata, system };
    let is_judged = request.judges(settings);
    // A database that is away would only cost time.
    if is_judged && store.away.is_none() {
        alerting.read().await;
        alerting.look_up_totals().await;
    }
    let judging = Some(&mut alerting).filter(|_| is_judged);
    let submit = async |id, records: Vec<Record>, alerts: Option<AlertRecord>| {
        Ok(writer.keep(id, &records, alerts.as_ref()).await?)
    };
    let kept = commit(submit, &closed, &mut memory.written, judging).await;
    if scope == Scope::Whole {
        memory.retain(&settings.inventory.hosts);
    }
    let (kept, transitions) = became(kept)?;
    let is_said = !request.changes_only || memory.said.owes_summary(&batch);
    let today =
        if is_said && scope == Scope::Whole { alerting.today(&batch, PRICES_WITHIN).await } else { None };
    let mut changes = Vec::new();
    let rest = async {
        if let Kept::Durable(receipt) = &kept {
            let now = (&batch, &transitions[..], today.as_ref());
            changes = changed(&mut memory.said, request, now, receipt, alerting.n_firing());
            memory.alerts_before = alerting.before();
            send_alerts(settings, &alerting).await;
        }
        save(&memory, settings);
    };
    // The database tidies up while the rest is done here.
    tokio::join!(end(writer), rest);
    let store = match &kept {
        Kept::Durable(receipt) => store_after(receipt, &store),
        Kept::DryRun | Kept::Lost(_) => store,
    };
    let snapshot = Snapshot {
        batch: Arc::new(batch),
        alerts: alerting.firing(),
        store,
        today,
        energy: alerting.energy_totals(),
        is_reload_failed: false,
        interval: None,
    };
    // Some of the hosts are not the fleet, and one who judges no alerts would say that there are none.
    if scope == Scope::Whole && is_judged {
        write_after_poll(settings, &snapshot).await;
    }
    Ok(Polled { snapshot, kept, is_judged, changes })
}

/// The fate of the batch, with what was raised and cleared. That it is lost is no error here.
fn became(
    committed: Result<(store::Receipt, Vec<Transition>), Error>,
) -> Result<(Kept, Vec<Transition>), Error> {
    match committed {
        Ok((receipt, transitions)) => Ok((Kept::Durable(receipt), transitions)),
        Err(Error::Timeline(error)) => Ok((Kept::Lost(error), Vec::new())),
        Err(error) => Err(error),
    }
}

async fn end(mut writer: Writer) {
    writer.maintain().await;
    writer.close().await;
}

/// Tells what waits for the webhook, if there is one.
async fn send_alerts(settings: &Settings, alerting: &Alerting) {
    let Some(webhook) = settings.webhook() else { return };
    let deadline = Instant::now() + TELL_WITHIN;
    webhook.deliver_all(&mut alerting.outbox(), &alerting.firing(), deadline).await.unwrap_or_default();
}

/// Waits for the cycle's end, and tells a few times a second how far it has come.
async fn closed(engine: &mut Engine, mut progress: impl FnMut(u64, u64)) -> Batch {
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    loop {
        let (n_done, n_hosts) = engine.progress();
        progress(n_done as u64, n_hosts as u64);
        // Waiting for the end may be given up and begun again.
        tokio::select! {
            batch = engine.closed() => {
                progress(n_hosts as u64, n_hosts as u64);
                return batch;
            }
            _ = ticks.tick() => (),
        }
    }
}

/// The news, for a log that is asked for.
fn changed(
    said: &mut Said,
    request: &PollRequest,
    (batch, transitions, today): (&Batch, &[Transition], Option<&Today>),
    receipt: &store::Receipt,
    n_alerts: usize,
) -> Vec<Line> {
    if !request.changes_only {
        return Vec::new();
    }
    let left = receipt.backlog.as_ref();
    let error = left.and_then(|left| left.error.as_ref()).map(|error| error_chain(error));
    said.changes(&Now {
        batch,
        scope: request.scope(),
        transitions,
        n_alerts,
        n_waiting: left.map_or(0, |left| left.batches),
        today,
        store: Some(error.as_deref().map_or(Ok(()), Err)),
    })
}

/// The answers of the stations of the account. Whoever asks for some hosts does not ask for these.
async fn stations(settings: &Settings, request: &PollRequest, closes_at: Instant) -> Option<AccountReport> {
    let config = settings.account.as_ref().filter(|_| request.selection.is_whole())?;
    let config = Account { read_only: request.dry_run, ..config.clone() };
    Some(ask_once(config, closes_at).await)
}

/// The state of the store before the batch.
async fn store_before(settings: &Settings, writer: &Writer) -> StoreState {
    let now = Clock.now();
    let spool = store::spool_status(&settings.state_dir).await.ok().flatten();
    let dead_letters = spool.as_ref().map_or(0, |spool| spool.dead_letters);
    let dropped_batches = Some(spool.as_ref().map_or(0, |spool| spool.dropped_total));
    let waiting = spool.and_then(|spool| Some((spool.batches, now.minus(spool.oldest?))));
    StoreState {
        waiting,
        away: writer.is_away().then(|| (now, String::new())),
        dead_letters,
        dropped_batches,
    }
}

async fn connected(settings: &Settings) -> Result<Writer, store::Error> {
    let mut writer = open_writer(settings).await?;
    writer.connect().await;
    Ok(writer)
}
