//! The fleet as meant: every value checked, every default applied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::Diagnostics;
use crate::alert::Rules;
use crate::ledger::Calibrations;
use crate::probe::Tool;
use crate::reading::Share;
use crate::tariff::TariffBook;

/// A fleet of at least one host, with the settings written beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// The hosts, in the order of the file, ranges expanded; names are unique.
    pub hosts: Vec<Host>,
    /// The places of each host by its name: the entry that gives it, then those that change it.
    pub origins: BTreeMap<String, Vec<Origin>>,
    /// Warnings: not wrong, but most likely not intended.
    pub warnings: Diagnostics,
    /// `[cycle]`.
    pub cycle: CycleSettings,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[alerts]`.
    pub alerts: AlertSettings,
    /// The account of stations, if it is there and enabled.
    pub account: Option<StationAccount>,
    /// The settings of energy and cost.
    pub energy: EnergySettings,
    /// `[prometheus]`.
    pub prometheus: PrometheusSettings,
    /// `[mqtt]`.
    pub mqtt: MqttSettings,
}

/// One host of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The node's name: letters, digits, `.`, `_` and `-`, not beginning with `-` or `.`.
    pub name: String,
    /// Labels of the inventory, written into the metadata of every event of this host.
    pub labels: BTreeMap<String, String>,
    /// Where and how its commands run.
    pub target: Target,
    /// Time limit of the whole answer, connecting included; below the cycle's interval.
    pub timeout: Duration,
    /// Interval of the daemon's samples, 100 ms to 10 s and below the cycle's; `None` for once a cycle.
    pub sample: Option<Duration>,
    /// The tools that it is asked by, in this order; at least one.
    pub probes: Vec<Tool>,
    /// The programs of tools for which the inventory names another one. Letters, digits and `/._+-` only.
    pub programs: BTreeMap<Tool, String>,
    /// Number of GPUs that it should have, if the inventory says so.
    pub gpus: Option<u32>,
    /// Whether somebody works on it: what fails there is no alert and no failure of the fleet.
    pub maintenance: bool,
}

/// Where a host stands in the inventory's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The line of its name, from 1.
    pub line: usize,
}

/// Where and how a host's commands run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On this machine.
    Local,
    /// Over SSH.
    Ssh(SshTarget),
    /// Answered from a file, without any machine: for trying fleetwatt out and for tests.
    Scripted {
        /// The scene file; relative paths are relative to the inventory file that names it.
        scene: PathBuf,
    },
}

/// An SSH target. A field that is `None` comes from the user's own `ssh_config`.
///
/// No field can begin with `-` or hold a control character, blank or shell metacharacter, so none can
/// become an ssh option or a shell word of its own. Two exceptions: the paths may hold blanks and other
/// printable characters, and `kex` may begin with `+`, `^` or `-`, as ssh allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// Host name, address, or alias of `ssh_config`.
    pub address: String,
    /// Login name.
    pub user: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Private key; only this one is offered. Here and in the next two, ssh expands a leading `~/`.
    pub identity_file: Option<PathBuf>,
    /// `ssh_config` file to read instead of the user's own.
    pub ssh_config: Option<PathBuf>,
    /// `known_hosts` file to use instead of the user's own.
    pub known_hosts: Option<PathBuf>,
    /// Jump hosts as `ssh -J` takes them: `[user@]host[:port]`, joined by commas.
    pub jump: Option<String>,
    /// Key exchange algorithms as `ssh -o KexAlgorithms=` takes them.
    pub kex: Option<String>,
    /// Policy for a host key that is not in `known_hosts`.
    pub host_key: HostKeyPolicy,
    /// Time limit of connecting.
    pub connect_timeout: Duration,
    /// Time that an idle connection is kept for the next run of `poll`.
    pub control_persist: Duration,
    /// Whether a shell waits on the host while its connection is kept, so that none is started for each call.
    pub keep_shell: bool,
}

/// Policy for a host key that is not in `known_hosts`. A changed key is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeyPolicy {
    /// Refuse (`StrictHostKeyChecking=yes`).
    #[default]
    Strict,
    /// Add it on first contact (`StrictHostKeyChecking=accept-new`).
    AcceptNew,
}

/// `[cycle]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleSettings {
    /// From one cycle to the next; a `poll` closes its cycle by then at the latest.
    pub interval: Duration,
    /// The most hosts that are asked at once.
    pub concurrency: usize,
    /// The most SSH connections that may be opening at once.
    pub connecting: usize,
}

/// `[store]`: where the timeline is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// The database's URL without a password, if the inventory gives one.
    pub url: Option<String>,
    /// Where the password comes from, if anywhere.
    pub password: Option<SecretSource>,
    /// The timeline table, `name` or `schema.name`.
    pub table: String,
    /// Whether facts that never change are repeated in each row.
    pub metadata: MetadataStyle,
    /// The most bytes of batches in the spool; beyond, the oldest is dropped.
    pub spool_size: u64,
    /// The longest that a batch may wait in the spool.
    pub spool_age: Duration,
    /// Retention of rows in a SQLite timeline; `None` is unlimited.
    pub keep: Option<Duration>,
}

/// `[alerts]`: what is watched, and who is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertSettings {
    /// From where on an alert is raised.
    pub rules: Rules,
    /// The webhook that alerts are sent to, if any.
    pub webhook: Option<WebhookSettings>,
}

/// The settings that make energy, cost and carbon of readings: `[ledger]`, `[[calibration]]`, `[site]`, `[[tariff]]`, `[carbon]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EnergySettings {
    /// `[ledger]`.
    pub ledger: LedgerSettings,
    /// `[[calibration]]`.
    pub calibrations: Calibrations,
    /// `[site]`, `[[tariff]]` and `[carbon]`. Price files are not read yet; their patterns are relative to the first file
    /// of the inventory.
    pub tariff_book: TariffBook,
}

/// `[ledger]`: how energies are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The longest time between two readings that is measured; `None` for three intervals, learnt from the readings.
    pub max_gap: Option<Duration>,
    /// The age from which quarter-hours are rolled up to local days.
    pub keep_quarters: Duration,
    /// The mean utilization of a quarter-hour below which a GPU is idle.
    pub idle_below: Share,
}

/// `[prometheus]`: where Prometheus finds the readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// Where the daemon listens; `None` for nowhere.
    pub listen: Option<ListenAddress>,
    /// Where the bearer token is to be read from that a scrape has to bring; `None` if it needs none.
    pub token: Option<SecretSource>,
    /// The file for a textfile collector, which each cycle writes anew; its name ends in `.prom`.
    pub textfile: Option<PathBuf>,
    /// The labels of hosts that their series have.
    pub labels: Vec<String>,
    /// The most series of one scrape of all hosts.
    pub max_series: usize,
}

/// Where a listener is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address of this machine, with its port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only users of this machine reach it.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Default for PrometheusSettings {
    /// 20,000 series are what one scrape a minute of one target should have at most.
    fn default() -> Self {
        Self { listen: None, token: None, textfile: None, labels: Vec::new(), max_series: 20_000 }
    }
}

/// `[mqtt]`: the broker by which Home Assistant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// The broker; `None` for nobody.
    pub url: Option<BrokerUrl>,
    /// Where the user name is to be read from, if the broker asks for one.
    pub user: Option<SecretSource>,
    /// Where the password is to be read from; never without a user name.
    pub password: Option<SecretSource>,
    /// A PEM file of the authorities that are trusted in place of this machine's.
    pub ca: Option<PathBuf>,
    /// The topic under which Home Assistant looks for devices.
    pub discovery_prefix: String,
    /// The topic under which everything else is.
    pub topic: String,
    /// Whether each GPU is a device of its own.
    pub gpus: bool,
}

/// Where an MQTT broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// The host; an IPv6 address is in brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub is_tls: bool,
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.is_tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            url: None,
            user: None,
            password: None,
            ca: None,
            discovery_prefix: "homeassistant".to_owned(),
            topic: "fleetwatt".to_owned(),
            gpus: false,
        }
    }
}

/// Where alerts are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where the URL is to be read from: it is a secret, as whoever has it can send.
    pub url: SecretSource,
    /// The format of messages.
    pub format: WebhookFormat,
    /// Time limit of one attempt.
    pub timeout: Duration,
}

/// The format of a webhook's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// A JSON document of our own.
    #[default]
    Json,
    /// Slack's format, which many others take too: `{"text": "…"}`.
    Slack,
    /// ntfy's format: text with headers, to the URL of a topic.
    Ntfy,
    /// The format of Alertmanager's API, version 2.
    Alertmanager,
}

/// Where a secret is to be read from. The secret itself is never in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// From this environment variable.
    Env(String),
    /// From this file; one trailing line break is not part of it.
    File(PathBuf),
    /// From this systemd credential, a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// The account of stations and how often they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationAccount {
    /// The source of the account's e-mail address, which is not needed while the cached login holds.
    pub user: SecretSource,
    /// The source of the account's password.
    pub password: SecretSource,
    /// The account's country, two letters in upper case; `None` is what the vendor's variable says, else `US`.
    pub country: Option<String>,
    /// Which of the vendor's servers; `None` follows the country.
    pub server: Option<AccountServer>,
    /// From one request to the next in normal mode.
    pub interval: Duration,
    /// From one request to the next in fast mode.
    pub fast_interval: Duration,
    /// Every so many intervals the REST interface is asked too.
    pub rest_every: u32,
    /// The longest that a `poll` listens.
    pub listen: Duration,
    /// Another REST interface than the vendor's, `https://host:port`, for tests.
    pub api_url: Option<String>,
    /// The public key of another `api_url` for the password: an uncompressed point of P-256, 130 hexadecimal
    /// digits.
    pub login_key: Option<String>,
    /// Another address of the MQTT broker than the one that the REST interface gives, `host:port`.
    pub mqtt_address: Option<String>,
    /// A PEM file of certificates that the REST interface may have beside those this machine trusts.
    pub extra_ca: Option<PathBuf>,
}

/// Which of the vendor's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountServer {
    /// The server for most of the world.
    Com,
    /// The server for Europe.
    Eu,
}

/// Whether facts that never change are repeated in the metadata of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataStyle {
    /// All of it, as the existing dashboards read it.
    #[default]
    Full,
    /// Only what changes; the rest goes into a `gpu_inventory` event when it changes, and once a day.
    Slim,
}

impl Host {
    /// The program that is run for a tool.
    pub fn program(&self, tool: Tool) -> &str {
        self.programs.get(&tool).map_or(tool.program(), String::as_str)
    }

    /// A host with every default, on this machine.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            target: Target::Local,
            timeout: Duration::from_secs(15),
            sample: None,
            probes: Tool::DEFAULT.to_vec(),
            programs: BTreeMap::new(),
            gpus: None,
            maintenance: false,
        }
    }

    /// Where it is, for a person and for the `ip` key of the metadata.
    pub fn address(&self) -> &str {
        match &self.target {
            Target::Local => "localhost",
            Target::Ssh(ssh) => &ssh.address,
            Target::Scripted { .. } => "scripted",
        }
    }

    /// The SSH target, if it is reached over SSH.
    pub const fn ssh_target(&self) -> Option<&SshTarget> {
        match &self.target {
            Target::Ssh(target) => Some(target),
            Target::Local | Target::Scripted { .. } => None,
        }
    }
}

impl SshTarget {
    /// A target with every default.
    pub fn new(address: String) -> Self {
        Self {
            address,
            user: None,
            port: None,
            identity_file: None,
            ssh_config: None,
            known_hosts: None,
            jump: None,
            kex: None,
            host_key: HostKeyPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            control_persist: Duration::from_secs(10 * 60),
            keep_shell: true,
        }
    }
}

impl Default for CycleSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60), concurrency: 256, connecting: 64 }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: None,
            password: None,
            table: "unified_timeline".to_owned(),
            metadata: MetadataStyle::default(),
            // 25 KB a minute for a thousand rows: a month of a fleet of that size.
            spool_size: 1 << 30,
            spool_age: Duration::from_secs(30 * 24 * 60 * 60),
            keep: None,
        }
    }
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            max_gap: None,
            // Two whole months, so that a month can be looked at by the hour when its bill comes.
            keep_quarters: Duration::from_secs(62 * 24 * 60 * 60),
            idle_below: Share::from_millipercent(5_000),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(name) => write!(f, "systemd credential {name}"),
        }
    }
}
