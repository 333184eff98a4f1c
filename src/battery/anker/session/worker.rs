//! The session itself: the cloud is asked who there is, the broker is listened to, stations are asked.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::{AccountConnection, Name};
use super::pace::Pace;
use super::persisted::{N_NAMES, PersistedSession};
use super::recovery::{BrokerRecovery, RecoveryAction};
use super::requests::AnswerTimeout;
use super::stations::{StationRequest, StationView, Stations};
use crate::battery::anker::Config;
use crate::battery::anker::mqtt::{MqttError, MqttErrorKind, MqttEvent};
use crate::battery::anker::rest::{
    BoundDevice, Cloud, CloudError, NoReading, Received, Site, SiteReading, is_panel_offline, rest_line,
    site_readings,
};
use crate::reading::{
    AccountTrouble, DataSource, PollingMode, SafeText, StationReading, Timestamp, error_chain,
};
use crate::support::backoff::Backoff;
use crate::support::jitter;

/// A station has this long to answer a status request, and then a trigger.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A trigger lets a station speak for this long. The shortest that is common: a station that streams is awake.
const TRIGGER_FOR: Duration = Duration::from_secs(60);

/// The same in fast mode, and where a poll ends soon anyway; the shortest that stations take.
const SHORT_TRIGGER_FOR: Duration = Duration::from_secs(30);

/// Every so many polls the session says how it fares.
const HEARTBEAT_EVERY: u64 = 10;

/// A failed REST poll is repeated after a minute, then after twice as long, up to a quarter of an hour.
const REST_AGAIN: Duration = Duration::from_secs(60);
const REST_AGAIN_LONGEST: Duration = Duration::from_secs(15 * 60);

/// The most that is taken of what waits before anything else is looked at, and after how many others may work.
const MOST_WAITING: usize = 1_024;
const TAKEN_AT_ONCE: usize = 32;

/// A poll waits for the broker for this long, before it listens.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The session's knowledge, for whoever reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionState {
    pub(super) stations: Vec<StationView>,
    pub(super) trouble: Option<AccountTrouble>,
    /// The pace at which stations are asked at present.
    pub(super) pace: Pace,
}

impl SessionState {
    /// Before anything is known.
    pub(super) fn new() -> Self {
        Self {
            stations: Vec::new(),
            trouble: Some(connecting()),
            pace: Pace { interval: Duration::ZERO, rest_every: 1 },
        }
    }
}

/// The session at work.
pub(super) struct Worker {
    config: Config,
    cloud: Cloud,
    persisted: PersistedSession,
    stations: Stations,
    connection: Option<AccountConnection>,
    /// Its subscriptions are answered, since then.
    ready_since: Option<Instant>,
    recovery: BrokerRecovery,
    readings: mpsc::Sender<StationReading>,
    state: watch::Sender<SessionState>,
    rest_trouble: Option<AccountTrouble>,
    mqtt_trouble: Option<AccountTrouble>,
    rest_backoff: Backoff,
    rest_again_at: Option<Instant>,
    next_poll: Instant,
    /// Answers that are only of interest for their names of fields were asked for.
    has_discovered: bool,
    /// For a poll: how long is listened to stations.
    listens: Option<Duration>,
}

impl Worker {
    /// Asks nothing yet.
    pub(super) fn new(
        config: Config,
        readings: mpsc::Sender<StationReading>,
        state: watch::Sender<SessionState>,
    ) -> Result<Self, CloudError> {
        let cloud = Cloud::open(&config)?;
        let persisted = PersistedSession::load(&config);
        let stations = Stations::new(&persisted, config.fast_below, (config.now)());
        Ok(Self {
            cloud,
            persisted,
            stations,
            connection: None,
            ready_since: None,
            recovery: BrokerRecovery::default(),
            readings,
            state,
            rest_trouble: None,
            mqtt_trouble: None,
            rest_backoff: Backoff::new(REST_AGAIN, REST_AGAIN_LONGEST),
            rest_again_at: None,
            next_poll: Instant::now(),
            has_discovered: false,
            listens: None,
            config,
        })
    }

    /// Works until it is dropped.
    pub(super) async fn work(&mut self) {
        loop {
            self.step().await;
        }
    }

    /// Works until every station has answered, or cannot answer, or has had its time: the inventory's
    /// `listen` from when the broker is there, and never beyond `deadline`.
    pub(super) async fn work_once(&mut self, deadline: Instant) {
        let listen = self.config.settings.listen;
        self.listens = Some(listen);
        let connected_by = (Instant::now() + CONNECT_WITHIN).min(deadline);
        // The cloud gives up by itself, a little earlier: a login that is cut off in the middle would count.
        self.cloud.deadline = Some(connected_by - connected_by.duration_since(Instant::now()) / 10);
        loop {
            let until = self.ready_since.map_or(connected_by, |since| since + listen).min(deadline);
            let is_late = timeout_at(until, self.step()).await.is_err();
            if is_late || self.has_asked_all() {
                return;
            }
        }
    }

    /// Every station was asked and has answered, or none can be asked.
    fn has_asked_all(&self) -> bool {
        self.connection.is_none() || (self.ready_since.is_some() && !self.stations.are_asked())
    }

    /// One thing that happens.
    async fn step(&mut self) {
        let wake_at = self.wake_at();
        // No branch loses anything when the other one wins: each only waits.
        tokio::select! {
            event = next_event(&mut self.connection) => self.take(event).await,
            () = sleep_until(wake_at) => self.wake().await,
        }
        self.publish_known();
    }

    fn wake_at(&self) -> Instant {
        let requests = self.stations.due().filter(|_| self.ready_since.is_some());
        [self.rest_again_at, requests].into_iter().flatten().fold(self.next_poll, Instant::min)
    }

    async fn wake(&mut self) {
        self.drain_events().await;
        let now = Instant::now();
        if self.next_poll <= now {
            self.begin_poll().await;
        }
        if self.rest_again_at.is_some_and(|at| at <= now) {
            self.ask_cloud().await;
        }
        // An answer that came while REST was asked is one in time.
        self.drain_events().await;
        let requests = self.stations.take_overdue(Instant::now(), self.now(), self.timeout());
        self.send(&requests);
    }

    /// Takes all that the broker has said and that waits.
    async fn drain_events(&mut self) {
        for n_taken in 1..=MOST_WAITING {
            let event = tokio::select! {
                biased;
                event = next_event(&mut self.connection) => event,
                () = std::future::ready(()) => return,
            };
            self.take(event).await;
            if n_taken % TAKEN_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A new interval.
    async fn begin_poll(&mut self) {
        self.next_poll = Instant::now() + self.interval();
        self.persisted.n_polls += 1;
        self.stations.judge_mode(self.pace(), self.now());
        self.ask_stations();
        if self.is_rest_due() {
            self.ask_cloud().await;
        }
        if self.persisted.n_polls.is_multiple_of(HEARTBEAT_EVERY) {
            self.log_heartbeat();
        }
        self.save();
    }

    fn ask_stations(&mut self) {
        if self.ready_since.is_some() {
            let requests = self.stations.begin(Instant::now(), self.now(), self.timeout());
            self.send(&requests);
        }
    }

    /// REST is asked every so many intervals of the pace in force, and as long as there is no connection to the
    /// broker.
    fn is_rest_due(&self) -> bool {
        let every = self.pace().rest_interval();
        let last = self.persisted.rest_at;
        // A tenth is for intervals that are a little short.
        let is_old = last.is_none_or(|last| last > self.now() || every * 9 / 10 <= self.now().since(last));
        (is_old || self.connection.is_none()) && self.rest_again_at.is_none()
    }

    /// Asks the cloud who there is, and connects to the broker if that is still to be done. That the cloud
    /// fails is told; who is known and connected is not touched by it.
    async fn ask_cloud(&mut self) {
        self.rest_again_at = None;
        match self.ask_cloud_or_fail().await {
            Ok(()) => {
                self.rest_backoff.reset();
                self.rest_trouble = None;
            }
            Err(error) => {
                let pause = self.rest_backoff.fail();
                self.rest_again_at = Some(Instant::now() + pause);
                tracing::warn!(error = error_chain(&error), again_in = ?pause, "Solix request failed");
                self.rest_trouble = Some(error.trouble());
            }
        }
    }

    async fn ask_cloud_or_fail(&mut self) -> Result<(), CloudError> {
        // Who is known already can be listened to before the list is asked for again.
        if self.connection.is_none() && !self.stations.is_empty() {
            self.connect(false).await?;
        }
        if self.is_rest_due() {
            let devices = self.cloud.devices().await?;
            if self.stations.bind(&devices, self.now()) {
                self.disconnect();
            }
            if self.connection.is_none() && !self.stations.is_empty() {
                self.connect(false).await?;
            }
            let sites = self.ask_sites(&devices).await?;
            // Only now: what failed is asked for again.
            self.persisted.rest_at = Some(self.now());
            self.discover(&devices, &sites).await;
        }
        Ok(())
    }

    /// Asks once for what no reading needs, so that the log has the names of its fields: whoever adds a model
    /// looks for them there. Not in a poll, which has no time for it. That it fails harms nothing.
    async fn discover(&mut self, devices: &[BoundDevice], sites: &[Site]) {
        if self.has_discovered || self.listens.is_some() {
            return;
        }
        self.has_discovered = true;
        for site in sites.iter().filter(|site| site.has_panel()) {
            note_failure(self.cloud.discover_panel(site).await);
        }
        for device in devices {
            note_failure(self.cloud.discover_device(device).await);
        }
    }

    /// Asks for what REST alone knows: panels that are not heard over the broker, and solarbanks. Gives the
    /// sites. One that fails keeps nobody from the others.
    async fn ask_sites(&mut self, devices: &[BoundDevice]) -> Result<Vec<Site>, CloudError> {
        let sites = if self.stations.may_have_site() { self.cloud.sites().await? } else { Vec::new() };
        let (mut message, mut failed) = (Vec::new(), None);
        for site in &sites {
            match self.ask_site(site, devices).await {
                Ok(of_site) => message.extend(of_site),
                Err(error) => failed = Some(error),
            }
        }
        for site_reading in &message {
            if let Some(reading) = self.stations.take_rest(site_reading, self.pace(), self.now()) {
                self.emit(reading);
            }
        }
        self.log_rest(&message);
        failed.map_or(Ok(sites), Err)
    }

    async fn ask_site(
        &mut self,
        site: &Site,
        devices: &[BoundDevice],
    ) -> Result<Vec<SiteReading>, CloudError> {
        let scene = if_supported(self.cloud.scene(site).await)?.unwrap_or_default();
        let is_asked = site.has_panel() && !is_panel_offline(devices, &scene);
        let average =
            if is_asked { if_supported(self.cloud.panel_average(site).await)?.flatten() } else { None };
        let received = Received { at: self.now(), max_age: self.pace().stale_after(DataSource::RestApi) };
        Ok(site_readings(devices, &scene, average.as_ref(), received))
    }

    /// A line in the log for each station.
    fn log_rest(&self, message: &[SiteReading]) {
        for station in self.stations.all() {
            let site_reading =
                message.iter().find(|site_reading| site_reading.station.serial == station.serial);
            let reading =
                site_reading.map_or(Err(NoReading::NotShown), |site_reading| site_reading.reading.clone());
            tracing::info!("{}", rest_line(station, &reading));
        }
    }

    /// Begins to connect to the broker, with a new certificate if the old one is refused.
    async fn connect(&mut self, is_refused: bool) -> Result<(), CloudError> {
        let credentials = if is_refused {
            self.cloud.new_mqtt_credentials().await?
        } else {
            self.cloud.mqtt_credentials().await?
        };
        // The old one goes first: both have the same name.
        self.disconnect();
        let stations = self.stations.subscribed();
        match AccountConnection::open(&self.config, credentials, self.name(), &stations) {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                tracing::warn!("{error}");
                self.mqtt_trouble = Some(error.trouble(false));
            }
        }
        Ok(())
    }

    fn disconnect(&mut self) {
        self.ready_since = None;
        self.connection = None;
    }

    /// Somebody who leaves no trace must not take the name of one who is connected.
    fn name(&self) -> Name {
        let number =
            if self.config.read_only { jitter::number() % N_NAMES } else { self.persisted.client_number };
        if self.recovery.uses_app_name { Name::App(number) } else { Name::Usual(number) }
    }

    async fn take(&mut self, event: MqttEvent) {
        match event {
            MqttEvent::Message { topic, payload, at } => self.take_message(&topic, &payload, at),
            MqttEvent::Ready { refused } => self.take_ready(refused).await,
            MqttEvent::Lost { error, again_in } => self.take_lost(error, again_in).await,
        }
    }

    fn take_message(&mut self, topic: &str, payload: &[u8], at: Timestamp) {
        let mode = self.stations.mode;
        for reading in self.stations.take(topic, payload, at, self.pace()) {
            self.emit(reading);
        }
        if (mode, self.stations.mode) == (PollingMode::Normal, PollingMode::Fast) {
            // The others were asked at the slower pace, and must not look stale by the faster one.
            self.next_poll = Instant::now();
        }
    }

    async fn take_ready(&mut self, refused: Vec<SafeText>) {
        self.ready_since = Some(Instant::now());
        if refused.is_empty() {
            tracing::info!(stations = self.stations.subscribed().len(), "connected to the broker");
            self.recovery.subscribed();
            self.mqtt_trouble = None;
        } else {
            let names: Vec<&str> = refused.iter().map(SafeText::as_str).collect();
            let error = MqttError::new(MqttErrorKind::SubscriptionRefused, &names.join(", "));
            tracing::warn!("{error}");
            let hint = self.recovery.subscription_refused(Instant::now());
            self.mqtt_trouble = Some(error.trouble(hint == RecoveryAction::None));
            if self.apply(hint).await {
                return;
            }
        }
        self.ask_stations();
    }

    async fn take_lost(&mut self, error: MqttError, again_in: Duration) {
        tracing::warn!(?again_in, "{error}");
        self.ready_since = None;
        let hint = self.recovery.lost(error.kind, Instant::now());
        self.mqtt_trouble = Some(error.trouble(self.recovery.is_refused_again));
        self.apply(hint).await;
    }

    /// Does what may help. Says whether there is a new connection.
    async fn apply(&mut self, hint: RecoveryAction) -> bool {
        let anew = match hint {
            RecoveryAction::None => return false,
            RecoveryAction::AppName => self.connect(false).await,
            RecoveryAction::NewCertificate => self.connect(true).await,
        };
        if let Err(error) = &anew {
            tracing::warn!(error = error_chain(error), "no new connection to the broker");
        }
        anew.is_ok()
    }

    fn send(&self, requests: &[StationRequest]) {
        if let Some(connection) = &self.connection {
            requests.iter().for_each(|request| connection.ask(request, self.trigger_for()));
        }
    }

    fn trigger_for(&self) -> Duration {
        if self.listens.is_some() || self.stations.mode == PollingMode::Fast {
            SHORT_TRIGGER_FOR
        } else {
            TRIGGER_FOR
        }
    }

    fn emit(&self, reading: StationReading) {
        tracing::info!("{}", reading.summary());
        if self.readings.try_send(reading).is_err() {
            tracing::warn!("dropping reading: receiver is full");
        }
    }

    fn log_heartbeat(&self) {
        let trouble = self.trouble().map_or("none", |trouble| trouble.kind);
        tracing::info!(
            polls = self.persisted.n_polls,
            mode = self.stations.mode.label(),
            stations = self.stations.views().len(),
            connected = self.ready_since.is_some(),
            trouble,
            "the Solix session is alive"
        );
    }

    fn interval(&self) -> Duration {
        match self.stations.mode {
            PollingMode::Normal => self.config.settings.interval,
            PollingMode::Fast => self.config.settings.fast_interval,
        }
    }

    fn pace(&self) -> Pace {
        Pace { interval: self.interval(), rest_every: self.config.settings.rest_every }
    }

    /// Request and trigger must both have their time before the next question, or before a poll ends.
    fn timeout(&self) -> AnswerTimeout {
        let each = AnswerTimeout::Each((self.interval() / 3).min(ANSWER_WITHIN));
        self.listens.map_or(each, AnswerTimeout::Both)
    }

    fn now(&self) -> Timestamp {
        (self.config.now)()
    }

    /// The trouble that keeps the session from working. That the cloud is away is none as long as the broker is there,
    /// unless a person has to do something about it.
    fn trouble(&self) -> Option<AccountTrouble> {
        let is_ready = self.ready_since.is_some();
        let rest = self.rest_trouble.as_ref().filter(|trouble| trouble.needs_person || !is_ready);
        let trouble = rest.or(self.mqtt_trouble.as_ref()).cloned();
        let is_empty = self.stations.is_empty() && self.persisted.rest_at.is_some();
        trouble.or_else(|| is_empty.then(no_stations)).or_else(|| (!is_ready).then(connecting))
    }

    fn publish_known(&self) {
        let state =
            SessionState { stations: self.stations.views(), trouble: self.trouble(), pace: self.pace() };
        self.state.send_replace(state);
    }

    fn save(&mut self) {
        self.stations.keep(&mut self.persisted);
        if let Err(error) = self.persisted.save(&self.config) {
            tracing::warn!(error = error_chain(&error), "cannot save the state of the Solix session");
        }
    }

    /// Keeps what was learnt and says goodbye to the broker.
    pub(super) async fn end(mut self, deadline: Instant) {
        self.save();
        if let Some(connection) = self.connection.take() {
            connection.client.end(deadline).await;
        }
    }
}

/// The session has only just begun, or a poll had no more time.
fn connecting() -> AccountTrouble {
    AccountTrouble {
        kind: "connecting",
        message: "there is no connection to the Solix cloud and its broker yet: it is tried by itself".into(),
        needs_person: false,
    }
}

/// The account has nothing to read. It is the wrong one, or the wrong server: both let everybody in.
fn no_stations() -> AccountTrouble {
    AccountTrouble {
        kind: "no_stations",
        message:
            "the Solix account has no power station, solarbank or panel: see that it is the account of the \
                phone app's owner, and write its `country` into [solix]"
                .to_owned(),
        needs_person: true,
    }
}

/// That a server does not have something is no failure.
fn if_supported<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(CloudError::Unsupported(..) | CloudError::Forbidden(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn note_failure<T>(answer: Result<T, CloudError>) {
    if let Err(error) = answer {
        tracing::debug!(error = error_chain(&error), "not discovered");
    }
}

/// The next thing that the broker tells, if there is a connection.
async fn next_event(connection: &mut Option<AccountConnection>) -> MqttEvent {
    match connection {
        Some(connection) => connection.client.next_event().await,
        None => std::future::pending().await,
    }
}
