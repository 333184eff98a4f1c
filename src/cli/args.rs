//! The command line. Its doc comments are the help that people read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::battery::BatteryCommand;
use super::poll_args::PollArgs;
use super::report_args::ReportArgs;
use super::select::Select;
use super::tariff::TariffCommand;
use crate::app::LogOf;
use crate::inventory::ListenAddress;
use crate::reading::Timestamp;

/// Agentless power monitoring for GPU fleets and the batteries behind them
///
/// Reads an inventory of hosts, runs nvidia-smi on each of them, on this machine or over multiplexed
/// SSH, and writes what it learnt to one timeline table in SQLite or PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "fleetwatt", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Cli {
    /// The fleet; `-` is standard input [default: $FLEETWATT_INVENTORY, inventory/fleet.toml, /etc/fleetwatt/inventory.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) inventory: Option<PathBuf>,

    /// When to use colour; $NO_COLOR and a pipe switch it off
    #[arg(
        long = "color",
        visible_alias = "colour",
        global = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(super) colour: Colour,

    /// Increase log verbosity (-v, -vv, -vvv); $FLEETWATT_LOG takes a filter, such as `fleetwatt=debug`
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// A table for people
    Text,
    /// One JSON document
    Json,
}

/// The shortest and longest interval of played cycles.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_mins(15);

fn interval(text: &str) -> Result<Duration, &'static str> {
    let interval = humantime::parse_duration(text).ok().filter(|interval| INTERVALS.contains(interval));
    interval.ok_or("write a time from 10s to 15m, such as 5m")
}

fn instant(text: &str) -> Result<Timestamp, &'static str> {
    let instant: jiff::Timestamp =
        text.parse().map_err(|_| "write a time with its offset, such as 2026-11-27T06:00:00Z")?;
    Ok(Timestamp::from_micros(instant.as_microsecond()))
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// One cycle, then exit: what the timer runs
    ///
    /// Exit code: 0 all well; 1 no host gave a reading, or nothing could be kept; 2 the call or the
    /// inventory is wrong; 3 kept, but some host or battery station failed, or the database refused some rows; 4
    /// kept in the spool, since the database does not take it now; 75 another fleetwatt holds the state directory.
    Poll(PollArgs),
    /// Run as a daemon, polling every interval
    ///
    /// Logs what changes: hosts that go down and come back, alerts, the store, and a summary once an hour.
    /// Reads the inventory again when it changes or on SIGHUP; a broken edit keeps the old fleet and says
    /// where it is wrong. SIGTERM and SIGINT end it in order, a second one at once; on a terminal so does
    /// SIGHUP, which is what closing it sends.
    ///
    /// Exit code: 0 ended by a signal; 1 it could not go on; 2 the call, the inventory or a file that it names is
    /// wrong; 75 another fleetwatt holds the state directory.
    Run {
        /// Listen on this unix socket, and give each client the last snapshot and every new one: the document of
        /// `poll --format json`, a line each
        #[arg(long, value_name = "PATH")]
        snapshot_socket: Option<PathBuf>,
        /// Listen for Prometheus on this address with its port, or on a unix socket by its full path, in place of `listen`
        /// in [prometheus]: /metrics, /probe?target=HOST, /sd, /healthz and /readyz
        #[arg(long, value_name = "ADDRESS", value_parser = crate::inventory::listen_address)]
        listen: Option<ListenAddress>,
    },
    /// Watch the fleet in the terminal
    ///
    /// Follows the daemon by its snapshot socket. Where no daemon answers it polls by itself, as `poll --dry-run` does:
    /// nothing is written. The curves begin when it is started. `?` shows the keys.
    ///
    /// Exit code: 0 left, or printed; 1 no daemon answers at the socket that was named; 2 the call or the inventory is
    /// wrong, or this is no terminal.
    Watch {
        /// The snapshot socket of a daemon [default: snapshot.sock in $RUNTIME_DIRECTORY, then in /run/fleetwatt, if a
        /// daemon answers there]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        /// Print one frame with all nodes, and leave
        #[arg(long)]
        once: bool,
        /// Columns of the printed frame [default: those of the terminal, else 80]
        #[arg(long, value_name = "COLUMNS", requires = "once", value_parser = clap::value_parser!(u16).range(10..=1000))]
        width: Option<u16>,
    },
    /// Show the energy, the cost and what was not measured, of a range and by group
    ///
    /// The energy of each group has its uncertainty (k=2) and the part of the time that was measured; what was not
    /// measured is in no figure, and is listed with its reasons. Prices are those of the inventory now: after an edit the
    /// same range costs what the new tariff says. All forms have the same figures.
    ///
    /// Exit code: 0 shown; 1 there is no energy in this range, or the database does not answer; 2 the call, the
    /// inventory or a price file is wrong.
    Report(Box<ReportArgs>),
    /// Check the inventory, the settings, and what hosts are logged in to with
    ///
    /// Says how many hosts there are, and where the store, the state and the sockets are. Looks at key files,
    /// known_hosts and ssh's configuration on this machine, for each host, and connects nowhere; what it finds
    /// there is a warning.
    ///
    /// Exit code: 0 all well; 1 no host answered; 2 the call, the inventory or the settings are wrong; 3 some
    /// host, station or the database failed.
    Check {
        /// Also try each step to each host and to the database, and say what failed and what to do
        #[arg(long)]
        connect: bool,
        /// List the hosts as the inventory means them: name, address, way, labels, and where they stand
        #[arg(long)]
        list: bool,
        /// Output format
        #[arg(
            long,
            value_name = "FORMAT",
            default_value = "text",
            requires = "list",
            conflicts_with = "connect"
        )]
        format: ListFormat,
        #[command(flatten)]
        select: Select,
    },
    /// The SSH connections that are kept for the next run
    Connections {
        #[command(subcommand)]
        command: ConnectionsCommand,
    },
    /// List the alerts that are raised, and how many messages wait for the webhook
    ///
    /// Reads what the service keeps, beside it, and needs no database server.
    Alerts {
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ListFormat,
        #[command(subcommand)]
        command: Option<AlertsCommand>,
    },
    /// The timeline's database
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// The ledger of energies beside the timeline
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// The prices of electricity, and tariffs of other formats
    Tariff {
        #[command(subcommand)]
        command: TariffCommand,
    },
    /// The Anker Solix account and its battery stations
    #[command(name = "solix")]
    Battery {
        #[command(subcommand)]
        command: BatteryCommand,
    },
    /// A played fleet, to try reports on
    Demo {
        #[command(subcommand)]
        command: DemoCommand,
    },
    /// Print the completions of a shell
    ///
    /// Exit code: 0 printed.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, to be read by `man -l -`
    ///
    /// Exit code: 0 printed; 2 there is no such page.
    Man {
        /// The command whose page it is, such as `store status`; or `inventory`, for the keys of the inventory
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
}

impl Command {
    /// The reader of its log.
    pub(super) const fn log_of(&self) -> LogOf {
        match self {
            Self::Run { .. } => LogOf::Daemon,
            Self::Poll(PollArgs { quiet: true, .. }) => LogOf::Timer,
            Self::Watch { once: false, .. } => LogOf::Screen,
            Self::Poll(PollArgs { quiet: false, .. })
            | Self::Watch { once: true, .. }
            | Self::Report(_)
            | Self::Check { .. }
            | Self::Connections { .. }
            | Self::Alerts { .. }
            | Self::Store { .. }
            | Self::Ledger { .. }
            | Self::Tariff { .. }
            | Self::Battery { .. }
            | Self::Demo { .. }
            | Self::Completions { .. }
            | Self::Man { .. } => LogOf::Command,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum DemoCommand {
    /// Play some days of a fleet of 12 nodes with 70 GPUs and a battery station
    ///
    /// Creates a folder with an inventory, the scene files that answer for its hosts, and a timeline in SQLite with its
    /// ledger: days and nights of work, and all that goes wrong in a month. Nothing of it is measured. The same seed and
    /// the same end give the same days. A folder that has something in it is left alone.
    ///
    /// Exit code: 0 it is there; 1 it cannot be written; 2 the call is wrong, or the folder has something in it.
    History {
        /// The folder
        #[arg(value_name = "FOLDER", default_value = "fleetwatt-demo")]
        folder: PathBuf,
        /// Number of days
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
        days: u32,
        /// From one cycle to the next, 10s to 15m
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = interval)]
        interval: Duration,
        /// The time of the last cycle, as 2026-11-27T06:00:00Z [default: now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<Timestamp>,
        /// Other days for another number
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConnectionsCommand {
    /// List them: hosts, the process of each, and whether a shell waits on the host
    ///
    /// Exit code: 0 listed; 2 the call or the inventory is wrong.
    List,
    /// End them; the next poll logs in again
    ///
    /// Exit code: 0 closed; 2 the call or the inventory is wrong.
    Close {
        #[command(flatten)]
        select: Select,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// Send one test message to the webhook, and say what came back
    ///
    /// Exit code: 0 it was taken; 1 it was not; 2 the inventory names no webhook.
    Test,
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Show the ledger: from when to when, how large, whether this role may write it
    ///
    /// Exit code: 0 the database answers; 1 it does not; 2 the settings are wrong.
    Status {
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ListFormat,
    },
    /// Compute the ledger again from the timeline, and say what differs
    ///
    /// Takes in what was in the timeline before there was a ledger, also what another program wrote. What does not follow
    /// from the timeline stays: quarter-hours from before its first row, and days that were rolled up. A row may come out a
    /// millijoule off where earlier rows of the timeline are gone. It may run beside a daemon or a timer, whose cycles
    /// wait in the spool meanwhile.
    ///
    /// Exit code: 0 done, or nothing differs; 1 there is no ledger, or the database cannot be read or
    /// changed; 2 the settings are wrong.
    Rebuild {
        /// Only quarter-hours that begin then or later, as 2026-11-27T06:00:00Z [default: all of the timeline]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        from: Option<Timestamp>,
        /// Only quarter-hours that end then or earlier [default: until now]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        to: Option<Timestamp>,
        /// Only say what differs
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Create the timeline's table where there is none; an existing one is never altered
    ///
    /// Beside it comes the table of delivered batches, in a schema of its own: with it every batch is in
    /// the timeline exactly once. Where this role may not create it, the SQL for an owner is printed.
    ///
    /// Exit code: 0 it is there; 1 the database cannot be reached or refuses; 2 the settings are wrong.
    Init,
    /// Show the timeline: location, content, write access, and the backlog in the spool
    ///
    /// Exit code: 0 the database answers; 1 it does not; 2 the settings are wrong.
    Status,
    /// Flush the spool to the database now
    ///
    /// Exit code: 0 the spool is empty; 3 the database refused some rows for what is in them; 4 the database does
    /// not take it now.
    Replay,
    /// Remove the rows of a SQLite timeline that are older than `[store] keep`, and give their room back to the disk
    ///
    /// With `keep`, each batch does a part of it, so that the file stops growing; this does all of it now.
    ///
    /// Exit code: 0 removed, or nothing is that old; 1 the database cannot be changed; 2 the settings are
    /// wrong, or have no `keep`.
    Prune {
        /// Only count them
        #[arg(long)]
        dry_run: bool,
    },
    /// Rows that the database refused for what is in them, and that are laid aside
    DeadLetters {
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// Show them, with the database's words
    ///
    /// Exit code: 0 listed; 1 the spool cannot be read.
    List {
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ListFormat,
        /// At most so many, the oldest first
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Bring them into the timeline, once its table takes them; each is there once
    ///
    /// Exit code: 0 all are brought in; 3 the table still refuses some; 4 the database does not take them now.
    Retry {
        /// Their numbers, as `list` shows them [default: all]
        #[arg(value_name = "ID")]
        ids: Vec<i64>,
    },
    /// Remove them for good
    ///
    /// Exit code: 0 removed; 1 the spool cannot be written.
    Discard {
        /// Their numbers, as `list` shows them
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<i64>,
        /// All of them
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
}
