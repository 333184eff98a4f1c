//! What a cloud knows: of its account, which stays, and of everything that changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

use super::keys::{AccountCertificate, Authorities};
use super::login::LoginKey;
use super::models::Manner;
use super::panel;
use super::types::{Broken, Call, Device, Failure, Model, Region, Request};

/// What stays as it is while the cloud runs.
#[derive(Debug)]
pub struct Account {
    pub dir: PathBuf,
    pub email: String,
    pub country: String,
    pub user_id: String,
    /// The certificate's common name, and the beginning of the client id.
    pub thing_name: String,
    pub site_id: String,
    pub token_for: Duration,
    pub single_session: bool,
    pub calls_per_minute: usize,
    pub logins_per_hour: usize,
    pub pace: Duration,
    pub login_key: LoginKey,
    pub authorities: Authorities,
    pub mqtt_port: u16,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    pub password: String,
    pub home: Region,
    pub sessions: BTreeMap<String, Session>,
    /// When logins came that got as far as their contents.
    pub logins: Vec<SystemTime>,
    /// By endpoint as it was named, with how often still.
    pub failures: BTreeMap<String, (Failure, usize)>,
    pub calls: Vec<Call>,
    pub requests: Vec<Request>,
    pub certificate: AccountCertificate,
    /// Handed out in its place, while it is wanted.
    pub expired: Option<AccountCertificate>,
    /// Whether the REST interface's CA is said to be the broker's.
    pub hands_out_wrong_root: bool,
    /// Every one that was handed out or could be.
    pub certificate_ids: Vec<String>,
    pub revoked: Vec<AccountCertificate>,
    /// In the order of the account's list.
    pub stations: Vec<StationState>,
}

/// A token.
#[derive(Debug)]
pub struct Session {
    pub expires_at: SystemTime,
    /// Taken away by another login.
    pub is_kicked: bool,
}

/// One device.
#[derive(Debug)]
pub struct StationState {
    pub device: Device,
    pub manner: Manner,
    /// What was set; all else is the template's.
    pub values: BTreeMap<String, f64>,
    pub is_silent: bool,
    /// Whether the app is told to show its numbers; the cloud gives zeros where it is not.
    pub is_displayed: bool,
    /// How long ago its last numbers came to the cloud.
    pub is_heard_ago: Duration,
    /// How many expansion packs the cloud says it has.
    pub n_packs: u8,
    /// What it tells once a trigger has begun, before its telemetry: how many packs it has.
    pub has_told_packs: bool,
    pub answers_status: bool,
    pub triggered_until: Option<Instant>,
    /// Whether the broker has its subscription.
    pub is_listening: bool,
    pub n_published: u64,
    /// To its task. Unbounded: only tests write to it.
    pub orders: UnboundedSender<Order>,
}

/// What a test tells a station to do at once.
#[derive(Debug)]
pub enum Order {
    Publish(u16),
    Break(Broken),
}

/// Both, for whoever serves or asks.
#[derive(Debug)]
pub struct Shared {
    pub account: Account,
    state: Mutex<State>,
}

impl Shared {
    pub fn new(account: Account, state: State) -> Self {
        Self { account, state: Mutex::new(state) }
    }

    /// The state. A test that panicked does not take it away from the others.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes all tokens away.
    pub fn kick(&mut self) {
        self.sessions.values_mut().for_each(|session| session.is_kicked = true);
    }

    pub fn station(&self, serial: &str) -> &StationState {
        let station = self.stations.iter().find(|station| station.device.serial == serial);
        station.unwrap_or_else(|| panic!("the cloud has no device {serial}"))
    }

    pub fn station_mut(&mut self, serial: &str) -> &mut StationState {
        let station = self.stations.iter_mut().find(|station| station.device.serial == serial);
        station.unwrap_or_else(|| panic!("the cloud has no device {serial}"))
    }

    /// What the next call of an endpoint shall do instead of answering.
    pub fn next_failure(&mut self, endpoint: &str) -> Option<Failure> {
        // From behind, where `*` comes last.
        let mut orders = self.failures.iter_mut().rev();
        let (_, (failure, times)) = orders.find(|(name, _)| is_named(endpoint, name))?;
        let failure = failure.clone();
        if *times != super::FOREVER {
            *times -= 1;
        }
        self.failures.retain(|_, (_, times)| *times > 0);
        Some(failure)
    }

    /// The panel, if the account has one.
    pub fn panel(&self) -> Option<&StationState> {
        self.stations.iter().find(|station| station.device.model == Model::Panel)
    }

    /// The devices behind a panel.
    pub fn members(&self, panel: &str) -> impl Iterator<Item = &StationState> {
        self.stations.iter().filter(move |station| station.device.behind_panel.as_deref() == Some(panel))
    }
}

impl StationState {
    /// Whether it is on the broker itself.
    pub fn is_on_broker(&self) -> bool {
        self.device.behind_panel.is_none() && self.device.model != Model::Inverter
    }

    /// Whether it has a value of this name.
    pub fn knows(&self, name: &str) -> bool {
        match self.device.model {
            Model::Panel => panel::knows(name),
            _ => self.manner.knows(name),
        }
    }

    /// What a value is.
    pub fn value(&self, name: &str) -> Option<f64> {
        match self.device.model {
            Model::Panel => panel::value(name, &self.values),
            _ => self.manner.value(name, &self.values),
        }
    }

    /// Whether it has messages of this type.
    pub fn has(&self, message: u16) -> bool {
        match self.device.model {
            Model::Panel => panel::OWN_MESSAGES.contains(&message) || message == panel::EMBEDDED,
            _ => self.manner.has(message),
        }
    }

    /// Sets a value, or says that there is none such.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), String> {
        if !self.knows(name) {
            return Err(format!("{} has no value {name}", self.device.model.code()));
        }
        self.manner.check(name, value);
        self.values.insert(name.to_owned(), value);
        Ok(())
    }
}

/// Whether an endpoint is the one that is meant: its path, or the end of it. `*` is all but the login.
pub fn is_named(endpoint: &str, name: &str) -> bool {
    if name == "*" {
        return endpoint != super::rest::LOGIN;
    }
    endpoint.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Unix time, milliseconds.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
