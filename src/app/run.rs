//! The daemon: cycles for ever, whatever happens to the database, the network or the hosts.

use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use uuid::Uuid;

use super::alerts::{AlertNotifier, Alerting, SystemFacts};
use super::announce::{difference, log_lines, log_start};
use super::assembly::{Collector, Lifetime, save};
use super::commit::{Closed, commit, log_kept};
use super::files::STDIN;
use super::lock::lock_state;
use super::preflight::look_at_files;
use super::prometheus::{keep_textfile, listener};
use super::reload::{Reloaded, Watch};
use super::supervisor::{due, show_status, signs_of_life, tell, tell_reloading};
use super::writer_task::{WriterHandle, WriterTask};
use super::{Environment, Error, Settings};
use crate::alert::{Scope, Transition};
use crate::batch::{Batch, BatchId, Now, Said, Snapshot, Today};
use crate::battery::{Session, VENDOR};
use crate::cycle::{Clock, Engine, closes_after};
use crate::inventory::{Host, ListenAddress};
use crate::output::{Publisher, SnapshotSocket, notify::Webhook};
use crate::reading::{AccountReport, StationReading};
use crate::store::Record;
use crate::transport::Connections;

/// The time for closing down from SIGTERM on; systemd would kill us later.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(4);

/// A cycle waits so long for price files; the next one has them.
const PRICES_WITHIN: Duration = Duration::from_millis(250);

/// A cycle asks its hosts over this part of its interval, so that a bastion before them, and this machine, do
/// not have all questions in one moment.
const SPREAD_PART: u32 = 20;

/// Over how long a cycle asks its hosts at most.
const MAX_SPREAD: Duration = Duration::from_secs(1);

/// The pause between two writes of the memory of hosts, at least. It can be learnt anew, so it need not be exact.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// The end of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// A signal asked for it, and everything that was gathered is kept.
    Stopped,
    /// A second signal asked for it at once.
    Aborted,
}

/// The daemon's own settings, beside those of the inventory.
#[derive(Debug)]
pub struct RunRequest {
    /// The inventory that the caller named.
    pub named: Option<PathBuf>,
    /// The environment, from which settings are made again at a reload.
    pub environment: Environment,
    /// Describes what is wrong with an inventory, in several lines.
    pub error_message: fn(&Error) -> String,
    /// Where to listen for clients that follow the last snapshot.
    pub snapshot_socket: Option<PathBuf>,
    /// Where to listen for Prometheus, in place of the inventory's address.
    pub listen: Option<ListenAddress>,
}

/// Polls the fleet until SIGTERM or SIGINT, or until its terminal is closed.
///
/// # Errors
/// It could not be started, or what it learns can no longer be kept at all.
pub async fn run(settings: Settings, request: RunRequest) -> Result<RunEnd, Error> {
    look_at_files(&settings.inventory.hosts)?;
    if settings.inventory_path == Path::new(STDIN) {
        return Err(Error::InventoryOfStdin);
    }
    let lock = lock_state(&settings.state_dir)?;
    // Every listener hears every signal.
    let stops = [SignalKind::terminate(), SignalKind::interrupt()];
    let (mut first, mut second) = (listen(&stops)?, listen(&stops)?);
    let mut hangups = listen(&[SignalKind::hangup()])?;
    if ends_with_terminal() {
        // The end of a terminal may send several of those, so the second is not one of them.
        first.append(&mut hangups);
    }
    let daemon = Daemon::start(settings, request, hangups).await?;
    let at_once = async {
        received(&mut second).await;
        received(&mut second).await;
    };
    let end = tokio::select! {
        end = daemon.work(&mut first) => end,
        () = at_once => Ok(RunEnd::Aborted),
    };
    drop(lock);
    end
}

/// Whether SIGHUP says that our terminal is gone, and that nobody sees us any more. A process that has nothing to
/// do with a terminal is asked by it to read the inventory again; so is one that was told to ignore it (`nohup`).
fn ends_with_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    let is_seen = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    is_seen && ignored & 1 == 0
}

fn listen(kinds: &[SignalKind]) -> Result<Vec<Signal>, Error> {
    kinds.iter().map(|kind| signal(*kind).map_err(Error::Signals)).collect()
}

/// Waits for one of some signals; for ever where there is none.
async fn received(signals: &mut [Signal]) {
    let mut is_received =
        |context: &mut Context<'_>| signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
    poll_fn(|context| if is_received(context) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Everything that runs.
struct Daemon {
    settings: Settings,
    engine: Engine,
    connections: Arc<Connections>,
    ticks: Interval,
    watch: Watch,
    /// The signal that asks for a reload; none where SIGHUP ends us.
    hangups: Vec<Signal>,
    hand: WriterHandle,
    tasks: JoinSet<Result<(), Error>>,
    alerting: Alerting,
    webhook: Option<Webhook>,
    alert_notifier: Option<AlertNotifier>,
    session: Option<Session>,
    /// The readings of a session that was replaced since the last cycle.
    heard_before: Vec<StationReading>,
    publisher: Publisher,
    /// The outputs that follow the fleet. None of them can end the daemon.
    subscribers: JoinSet<()>,
    /// Why the last edit of the inventory could not be taken.
    reload_failed: Option<String>,
    signs_of_life: Option<Interval>,
    saved_at: Instant,
    /// The last words of the log on the fleet.
    said: Said,
    error_message: fn(&Error) -> String,
}

impl Daemon {
    async fn start(settings: Settings, request: RunRequest, hangups: Vec<Signal>) -> Result<Self, Error> {
        let publisher = Publisher::new();
        let subscribers = subscribers(&publisher, &settings, &request).await?;
        let RunRequest { named, environment, error_message, .. } = request;
        let Collector { mut engine, connections, mut alerting } =
            Collector::assemble(&settings, &hosts(&settings), Lifetime::Process)?;
        let cycle = &settings.inventory.cycle;
        engine.samples = true;
        engine.stagger = spread(cycle.interval);
        let (hand, writing, writer) = WriterTask::open(&settings).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(writing.run(writer));
        alerting.read().await;
        let webhook = settings.webhook();
        let alert_notifier = webhook.clone().map(|webhook| AlertNotifier::start(webhook, &alerting));
        let session = settings.account.clone().map(Session::start);
        let daemon = Self {
            publisher,
            subscribers,
            session,
            heard_before: Vec::new(),
            ticks: ticks(cycle.interval),
            watch: Watch::new(named, environment, &settings),
            hangups,
            engine,
            connections,
            hand,
            tasks,
            alerting,
            webhook,
            alert_notifier,
            reload_failed: None,
            signs_of_life: signs_of_life(),
            saved_at: Instant::now(),
            said: Said::default(),
            settings,
            error_message,
        };
        log_start(&daemon.settings);
        tell(&[NotifyState::Ready]);
        Ok(daemon)
    }

    /// Everything that can happen, until a signal ends it.
    async fn work(mut self, stop: &mut [Signal]) -> Result<RunEnd, Error> {
        loop {
            // No branch loses anything when another one wins: each waits for something that stays.
            tokio::select! {
                () = received(stop) => return Box::pin(self.shut_down()).await,
                batch = self.engine.closed() => self.close_cycle(batch).await?,
                _ = self.ticks.tick() => self.open_cycle(),
                () = due(&mut self.signs_of_life) => tell(&[NotifyState::Watchdog]),
                () = received(&mut self.hangups) => {
                    tell_reloading();
                    self.watch.ask();
                }
                loaded = self.watch.reloaded() => self.take(loaded),
                // One that ends by itself is the end of the daemon: its supervisor starts it anew.
                Some(ended) = self.tasks.join_next() => {
                    return ended.map_err(Error::Task).flatten().and(Err(Error::TaskEnded));
                }
            }
        }
    }

    fn open_cycle(&mut self) {
        if self.engine.is_open() {
            return tracing::warn!("the last cycle is still open; this one is skipped");
        }
        let (hosts_have, grace) = closes_after(&self.settings.inventory);
        self.engine.begin(BatchId(Uuid::now_v7()), Instant::now() + hosts_have, grace);
    }

    /// Judges the alerts, makes the batch durable, and only then tells anybody.
    async fn close_cycle(&mut self, batch: Batch) -> Result<(), Error> {
        let batch = Arc::new(Batch { account: self.station_report(), ..batch });
        let system =
            SystemFacts { store: self.hand.store.clone(), reload_failed: self.reload_failed.clone() };
        let style = self.settings.inventory.store.metadata;
        let closed = Closed { batch: &batch, scope: Scope::Whole, style, system };
        let written = &mut self.engine.memory.written;
        let submit = async |id, records, alerts| self.hand.submit(id, records, alerts).await;
        let transitions = match commit(submit, &closed, written, Some(&mut self.alerting)).await {
            Ok((_, transitions)) => transitions,
            // It is lost, which the writer has said.
            Err(Error::Timeline(error)) if !error.is_failing_disk() => Vec::new(),
            Err(error) => return Err(error),
        };
        self.alerting.begin_totals();
        let today = self.alerting.today(&batch, PRICES_WITHIN).await;
        self.say_changes(&batch, &transitions, today.as_ref());
        if let Some(alert_notifier) = self.alert_notifier.as_ref().filter(|_| !transitions.is_empty()) {
            alert_notifier.wake(&self.alerting);
        }
        self.publisher.publish(Snapshot {
            batch,
            alerts: self.alerting.firing(),
            store: self.hand.store.clone(),
            today,
            energy: self.alerting.energy_totals(),
            is_reload_failed: self.reload_failed.is_some(),
            interval: Some(self.settings.inventory.cycle.interval),
        });
        if self.saved_at.elapsed() >= SAVE_EVERY {
            self.save();
        }
        Ok(())
    }

    /// The store's own coming and going is said by the writer, which knows it first.
    fn say_changes(&mut self, batch: &Batch, transitions: &[Transition], today: Option<&Today>) {
        let n_alerts = self.alerting.n_firing();
        let n_waiting = self.hand.store.waiting.map_or(0, |(n_batches, _)| n_batches);
        let now = Now { batch, scope: Scope::Whole, transitions, n_alerts, n_waiting, today, store: None };
        log_lines(&self.said.changes(&now));
    }

    fn save(&mut self) {
        self.saved_at = Instant::now();
        self.engine.memory.alerts_before = self.alerting.before();
        save(&self.engine.memory, &self.settings);
    }

    /// Takes an inventory that was read again. A broken one changes nothing.
    fn take(&mut self, loaded: Result<Reloaded, Error>) {
        tell_reloading();
        match loaded {
            Ok(Reloaded { settings, webhook }) => self.adopt(settings, webhook),
            Err(error) => {
                tracing::error!(
                    "the inventory is broken; the old fleet stays\n{}",
                    (self.error_message)(&error)
                );
                self.reload_failed = Some(error.in_one_line());
            }
        }
        tell(&[NotifyState::Ready]);
    }

    fn adopt(&mut self, settings: Settings, webhook: Option<Webhook>) {
        if settings.store_url != self.settings.store_url
            || settings.inventory.store.table != self.settings.inventory.store.table
        {
            tracing::warn!("the new [store] takes effect after a restart");
        }
        if settings.inventory.prometheus != self.settings.inventory.prometheus {
            tracing::warn!("the new [prometheus] takes effect after a restart");
        }
        if settings.inventory.mqtt != self.settings.inventory.mqtt {
            tracing::warn!("the new [mqtt] takes effect after a restart");
        }
        self.reload_failed = None;
        self.alerting.adopt(&settings);
        let hosts = hosts(&settings);
        let n_anew = self.engine.reconcile(&hosts);
        self.engine.memory.retain(hosts.iter().map(Arc::as_ref));
        let difference = difference(&self.settings.inventory.hosts, &settings.inventory.hosts);
        tracing::info!("inventory reloaded: {difference}");
        let interval = settings.inventory.cycle.interval;
        if interval != self.settings.inventory.cycle.interval {
            self.ticks = ticks(interval);
            self.engine.stagger = spread(interval);
        } else if n_anew > 0 && !self.engine.is_open() {
            // The new ones are not to wait for the rest of a long interval.
            self.ticks.reset_immediately();
        }
        self.adopt_account(&settings);
        self.adopt_webhook(webhook);
        self.settings = settings;
    }

    /// Another webhook is told from now on, also what waits. What was just being told may be told twice.
    fn adopt_webhook(&mut self, webhook: Option<Webhook>) {
        let is_same = match (&self.webhook, &webhook) {
            (Some(old), Some(new)) => old.is_like(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same {
            self.webhook.clone_from(&webhook);
            self.alert_notifier = webhook.map(|webhook| AlertNotifier::start(webhook, &self.alerting));
        }
    }

    /// Another account or another pace is another session. What the old one heard last goes with the next cycle.
    fn adopt_account(&mut self, settings: &Settings) {
        if settings.account == self.settings.account {
            return;
        }
        tracing::info!("[{}] was changed; restarting its session", VENDOR.source);
        self.heard_before
            .extend(self.session.as_mut().map(|session| session.report().readings).unwrap_or_default());
        self.session = settings.account.clone().map(Session::start);
    }

    /// The readings since the last cycle; `None` where there is no session, and nothing left of one.
    fn station_report(&mut self) -> Option<AccountReport> {
        let heard_before = std::mem::take(&mut self.heard_before);
        let report = self.session.as_mut().map(Session::report);
        if report.is_none() && heard_before.is_empty() {
            return None;
        }
        let mut report = report.unwrap_or_else(|| AccountReport::new(&VENDOR));
        report.readings.splice(0..0, heard_before);
        Some(report)
    }

    /// Readings since the last cycle belong to none that would still close.
    async fn keep_last_readings(&mut self) -> Result<(), Error> {
        let Some(account) = self.station_report().filter(|account| !account.readings.is_empty()) else {
            return Ok(());
        };
        let id = BatchId(Uuid::now_v7());
        let batch = Batch { id, started_at: Clock.now(), reports: Vec::new(), account: Some(account) };
        let events = batch.station_events(self.settings.inventory.store.metadata);
        match self.hand.submit(id, Record::from_events(&events), None).await {
            Err(Error::Timeline(error)) if !error.is_failing_disk() => Ok(()),
            kept => kept.map(|receipt| log_kept(id, &receipt)),
        }
    }

    /// No new cycle; what is gathered is kept; then sessions, the writer and the memory.
    async fn shut_down(mut self) -> Result<RunEnd, Error> {
        let deadline = Instant::now() + SHUTDOWN_WITHIN;
        tell(&[NotifyState::Stopping]);
        if self.engine.is_open() {
            self.engine.close_soon();
            let batch = self.engine.closed().await;
            self.close_cycle(batch).await?;
        } else {
            self.keep_last_readings().await?;
        }
        let Self {
            engine, connections, hand, mut tasks, alert_notifier, session, alerting, settings, ..
        } = self;
        drop((hand, self.publisher));
        let closing = engine.shutdown(deadline);
        let leaving = async {
            if let Some(session) = session {
                session.end(deadline).await;
            }
        };
        let telling = async {
            if let Some(alert_notifier) = alert_notifier {
                alert_notifier.end(deadline).await;
            }
        };
        let writing = async {
            match tokio::time::timeout_at(deadline, tasks.join_next()).await {
                Ok(Some(ended)) => ended.map_err(Error::Task).flatten(),
                // Everything is in the spool: the next run delivers it.
                Ok(None) | Err(_) => Ok(()),
            }
        };
        let showing = tokio::time::timeout_at(deadline, self.subscribers.join_all());
        let (mut memory, (), written, (), _) = tokio::join!(closing, telling, writing, leaving, showing);
        connections.end_all();
        memory.alerts_before = alerting.before();
        save(&memory, &settings);
        written.map(|()| RunEnd::Stopped)
    }
}

/// The outputs that follow the fleet: a line each.
async fn subscribers(
    publisher: &Publisher,
    settings: &Settings,
    request: &RunRequest,
) -> Result<JoinSet<()>, Error> {
    let mut tasks = JoinSet::new();
    tasks.spawn(show_status(publisher.subscribe()));
    if let Some(path) = &request.snapshot_socket {
        let at = |source| Error::SnapshotSocket(path.clone(), source);
        tasks.spawn(SnapshotSocket::bind(path).await.map_err(at)?.serve(publisher.subscribe()));
    }
    if let Some(server) = listener(settings, request.listen.as_ref()).await? {
        tasks.spawn(server.serve(publisher.subscribe()));
    }
    let prometheus = &settings.inventory.prometheus;
    if let Some(path) = &prometheus.textfile {
        tasks.spawn(keep_textfile(path.clone(), prometheus.into(), publisher.subscribe()));
    }
    if let Some(home_assistant) = settings.home_assistant() {
        tasks.spawn(home_assistant.follow(publisher.subscribe()));
    }
    Ok(tasks)
}

/// Ticks that are missed are skipped and never pile up.
fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

fn spread(interval: Duration) -> Duration {
    (interval / SPREAD_PART).min(MAX_SPREAD)
}

fn hosts(settings: &Settings) -> Vec<Arc<Host>> {
    settings.inventory.hosts.iter().cloned().map(Arc::new).collect()
}
