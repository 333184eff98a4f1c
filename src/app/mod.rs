//! Settings of all rooms, telemetry, and the program's jobs, put together from the rooms.
//!
//! A job returns what happened as a value; saying it is the business of `cli`.

mod alerts;
mod announce;
mod assembly;
mod check;
mod commit;
mod connections;
mod demo;
mod energy_totals;
mod environment;
mod files;
mod home_assistant;
mod ledger;
mod lock;
mod poll;
mod preflight;
mod price_error;
mod prices;
mod prometheus;
mod reload;
mod report;
mod run;
mod runtime;
mod selection;
mod settings;
mod store;
mod supervisor;
mod tariff_check;
mod tariff_day;
mod tariff_import;
mod telemetry;
mod today;
mod watch;
mod writer_task;

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

pub use crate::transport::raise_descriptor_limit;
pub use alerts::{ActiveAlerts, WebhookAnswer, active_alerts, test_alert};
pub use announce::log_lines;
pub use assembly::can_start_threads;
pub use check::{CheckReport, HostCheck, LocalTrouble, check, check_files};
pub use connections::{Connection, close_connections, kept_connections};
pub use demo::{History, HistoryRequest, demo_history};
pub use environment::Environment;
pub use ledger::{LedgerRange, LedgerStatus, ledger_rebuild, ledger_status};

pub use poll::{Kept, PollRequest, Polled, poll};
pub use price_error::PriceError;
pub use prices::{LoadedTariffs, PriceWarning, load_tariffs};
pub use report::{NoEnergy, Period, PeriodFault, ReportOutcome, ReportRequest, report};
pub use run::{RunEnd, RunRequest, run};
pub use selection::HostSelection;
pub use settings::{RuntimePlace, Settings};
pub use store::{
    spool_status, store_dead_letters, store_discard, store_init, store_prune, store_replay, store_retry,
    store_status,
};
pub use tariff_check::{CarbonSummary, TariffOverview, TariffSummary, check_tariffs};
pub use tariff_day::{Day, DayQuarter, NoPrice, SiteDay, TariffDay, TariffDayRequest, tariff_day};
pub use tariff_import::import_tariff;
pub use telemetry::{Log, LogOf, Priority, log_to_stderr, stderr_is_journal};
pub use watch::{WatchSource, WatchUpdate, daemon_socket, watch, watch_once};

use crate::alert::StateError;
use crate::inventory;
use crate::output::SocketError;
use crate::output::notify::WebhookError;
use crate::output::watch::DocumentError;
use crate::reading::error_chain;
use crate::report::BadQuestion;
use crate::store as timeline;
use crate::support::error::Diagnose;
use crate::support::state_file::WriteError;

/// Why a job could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No inventory was named, and none is where one is looked for.
    #[error("there is no inventory: looked for {}", .0.join(" and "))]
    NoInventory(Vec<String>),
    /// The daemon was given an inventory that cannot be read again.
    #[error("`run` reads the inventory again when it changes, and standard input cannot be read twice")]
    InventoryOfStdin,
    /// The inventory has faults.
    #[error("the inventory has faults")]
    Inventory(#[source] Box<inventory::Diagnostics>),
    /// Prices cannot be had.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// No host of the inventory has a name like that; nor like so many others of the same list.
    #[error("no host of the inventory matches `{}`{}", .0, if *.1 == 0 { String::new() } else { format!(", nor {} more", .1) })]
    NoSuchHost(String, usize),
    /// No host of the inventory has a label like that.
    #[error("no host of the inventory has the label `{0}`")]
    NoSuchLabel(String),
    /// Each of the names and labels is there, but no host has all that was asked for.
    #[error("no host of the inventory has both the names and the labels that were asked for")]
    NothingSelected,
    /// A text is neither a host list nor a pattern, for the reason that goes on from it.
    #[error("`{0}` {1}")]
    Pattern(String, String),
    /// A secret of this name cannot be read from where it should be.
    #[error("the {0} from {1}")]
    Secret(&'static str, String, #[source] io::Error),
    /// No host can be reached, since a file that this key of the inventory names cannot be read.
    #[error("no host can be reached: {} `{}`", .0, .1.display())]
    HostFile(&'static str, PathBuf, #[source] io::Error),
    /// The webhook cannot be used.
    #[error("the webhook for alerts")]
    Webhook(#[source] WebhookError),
    /// Nobody is to be told of alerts.
    #[error("the inventory names no webhook for alerts")]
    NoWebhook,
    /// The kept state of the alerts is of another version.
    #[error("what is known of the alerts")]
    Alerts(#[source] StateError),
    /// A folder of ours, `state`, `runtime` or `demo`, cannot be used.
    #[error("the {} directory `{}`", .0, .1.display())]
    Directory(&'static str, PathBuf, #[source] io::Error),
    /// The folder for played days has something in it.
    #[error("`{}` is there already, and has something in it: nothing is written there", .0.display())]
    DemoFolder(PathBuf),
    /// The state directory belongs to another user, of this number.
    #[error("the state directory `{}` belongs to user {}, and this is user {}: nothing is written", .0.display(), .1, rustix::process::geteuid().as_raw())]
    StateOwner(PathBuf, u32),
    /// Another fleetwatt works with the same state; with its process number, if it left one.
    #[error("another fleetwatt{} holds the state directory `{}`", .1.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .0.display())]
    Locked(PathBuf, Option<u32>),
    /// This machine refuses threads.
    #[error("this machine lets this user start no more threads")]
    Threads(#[source] io::Error),
    /// Signals cannot be received.
    #[error("listening for signals")]
    Signals(#[source] io::Error),
    /// The socket of `run --snapshot-socket` cannot be had.
    #[error("the snapshot socket `{}` cannot be had", .0.display())]
    SnapshotSocket(PathBuf, #[source] SocketError),
    /// No daemon gives its snapshots at a socket.
    #[error("no daemon answers at `{}`", .0.display())]
    NoDaemon(PathBuf, #[source] io::Error),
    /// The snapshot that was to be shown cannot be read.
    #[error("the snapshot of the fleet")]
    Snapshot(#[source] DocumentError),
    /// The listener for Prometheus would be open to other machines.
    #[error("`{0}` can be reached by other machines, and no token is asked for")]
    OpenToOthers(String),
    /// The address for Prometheus cannot be had.
    #[error("`{0}` cannot be listened on")]
    Listen(String, #[source] SocketError),
    /// A broker with TLS cannot be trusted, as with a file of authorities that cannot be read.
    #[error("TLS to the broker cannot be set up")]
    BrokerTls(#[source] io::Error),
    /// A task of the daemon ended although nobody asked it to.
    #[error("a task of the daemon ended by itself")]
    TaskEnded,
    /// A task of the daemon panicked.
    #[error("a task of the daemon failed")]
    Task(#[source] tokio::task::JoinError),
    /// `store prune` without `[store] keep`.
    #[error("the inventory does not say how long rows are kept")]
    NoKeep,
    /// The range of a report is none.
    #[error(transparent)]
    Period(PeriodFault),
    /// The file of a report cannot be written.
    #[error("the report")]
    Output(#[source] WriteError),
    /// A report cannot be made as it was asked for.
    #[error(transparent)]
    Question(BadQuestion),
    /// The timeline.
    #[error("the timeline")]
    Timeline(#[from] timeline::Error),
}

impl Error {
    /// The error in one line, with the place where an inventory is wrong first.
    pub(crate) fn in_one_line(&self) -> String {
        if let Self::Inventory(faults) = self {
            let first = faults.iter().next().map(ToString::to_string).unwrap_or_default();
            let n_more = faults.iter().count().saturating_sub(1);
            return if n_more == 0 { first } else { format!("{first} (and {n_more} more)") };
        }
        error_chain(self)
    }
}

/// The remedy for a folder that cannot be used.
fn directory_hint(kind: &str, source: &io::Error) -> &'static str {
    match kind {
        _ if source.kind() == io::ErrorKind::StorageFull => "make room on its disk",
        "runtime" => "set RUNTIME_DIRECTORY to a folder of this user's own, such as /run/fleetwatt",
        "demo" => "name another folder, in which this user may write",
        _ => "set STATE_DIRECTORY to a folder that this user may write to",
    }
}

impl Diagnose for Error {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoInventory(_) => {
                "name one with --inventory or $FLEETWATT_INVENTORY; `--inventory inventory/demo.toml` needs no GPU"
            }
            Self::InventoryOfStdin => "write it to a file, and name that one",
            Self::Inventory(_) | Self::Snapshot(_) => "",
            Self::Prices(error) => return error.hint(),
            Self::NoSuchHost(..) | Self::NoSuchLabel(_) | Self::NothingSelected => {
                "`fleetwatt check --list` lists the hosts of the inventory with their labels"
            }
            Self::Pattern(..) => {
                "write names, ranges and patterns, joined by commas: `node[001-016],login1`, `rack1-*`"
            }
            Self::Secret(..) => {
                "check where the inventory says that it is (`…_env`, `…_file` or `…_credential`), and who may read it"
            }
            Self::HostFile(..) => {
                "correct the path in the inventory, or let this user read the file; under systemd a credential is in `/run/credentials/<unit>/`"
            }
            Self::Webhook(_) => "write it as `https://host/path`; check this machine's CA certificates",
            Self::NoWebhook => "name one in [alerts] with webhook_env, webhook_file or webhook_credential",
            Self::Alerts(error) => return error.hint(),
            Self::Directory(kind, _, source) => directory_hint(kind, source),
            Self::DemoFolder(_) => {
                "name another folder, or remove this one if its played days are not needed"
            }
            Self::StateOwner(_, owner) => {
                return format!("run this as that user (`sudo -u '#{owner}' …`), or set STATE_DIRECTORY to a folder of this user's own").into();
            }
            Self::Locked(..) => {
                "wait for it, or give this one a state directory of its own with STATE_DIRECTORY"
            }
            Self::Threads(_) => {
                "raise the limit of processes (`ulimit -u`; TasksMax= in a unit), or end some of this user's"
            }
            Self::SnapshotSocket(..) => {
                "name another path for --snapshot-socket, in a folder that this user may write to"
            }
            Self::NoDaemon(..) => {
                "start `fleetwatt run --snapshot-socket PATH`, or leave --socket out to poll"
            }
            Self::OpenToOthers(_) => "listen on 127.0.0.1, or name a token in [prometheus], as by token_file",
            Self::Listen(..) => "name another address in [prometheus] or with --listen",
            Self::BrokerTls(_) => "name a PEM file by `ca` in [mqtt] that this user may read",
            Self::Signals(_) => "check the limits of this process",
            Self::TaskEnded | Self::Task(_) => "this is a defect of fleetwatt: please report it with the log",
            Self::NoKeep => "write `keep = \"90d\"` in [store]",
            Self::Output(_) => "name a file in a folder that is there and that this user may write to",
            Self::Period(error) => return error.hint(),
            Self::Question(error) => return error.hint(),
            Self::Timeline(error) => return error.hint(),
        })
    }

    fn is_transient(&self) -> bool {
        let is_full_disk = |source: &io::Error| source.kind() == io::ErrorKind::StorageFull;
        matches!(self, Self::Locked(..) | Self::Threads(_))
            || matches!(self, Self::Directory(_, _, source) if is_full_disk(source))
            || matches!(self, Self::Timeline(error) if error.is_transient())
    }
}
