//! Subcommands, exit codes, words for people. The only room that prints.

mod alerts;
mod args;
mod battery;
mod dead_letters;
mod demo;
mod exit;
mod ledger;
mod list;
mod man;
mod poll;
mod poll_args;
mod render;
mod report;
mod report_args;
mod select;
mod tariff;
mod watch;

use std::io::{IsTerminal, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::app::{self, Environment, HostSelection, RunEnd, RunRequest, Settings};
use crate::store;
use args::{Cli, Colour, Command, ConnectionsCommand, DeadLettersCommand, ListFormat, StoreCommand};
use exit::Exit;

/// The most worker threads.
const MAX_WORKERS: usize = 8;

/// Threads that the program may need beside: for SQLite, for files, for names to be resolved.
const SPARE_THREADS: usize = 6;

/// The longest that abandoned work may keep the program from ending.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Runs the program: the process's arguments in, its exit code out.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return said_by_clap(&error),
    };
    let log = app::log_to_stderr(cli.verbose, cli.command.log_of());
    forbid_core_dumps();
    app::raise_descriptor_limit();
    let exit = outcome(&cli);
    drop(log);
    exit.into()
}

/// Help, a version, or what is wrong with the call.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Nothing.into(),
        Ok(()) | Err(_) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

fn outcome(cli: &Cli) -> Exit {
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(Failure::App(error)) => {
            render::error(&error, colour_stderr(cli.colour));
            Exit::of_error(&error)
        }
        // The reader of our output has left, as `| head` does.
        Err(Failure::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(Failure::Print(error)) => {
            render::eprint_plain_error(&format!("standard output: {error}"));
            Exit::Nothing
        }
    }
}

/// Why a command ended without its own exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Print(#[from] std::io::Error),
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "fleetwatt", &mut script);
            say(script)
        }
        Command::Man { command } => match man::page(command) {
            Ok(page) => say(page),
            Err(error) => {
                render::eprint_plain_error(&error);
                Ok(Exit::Usage)
            }
        },
        Command::Poll(args) => poll::run(cli, args),
        Command::Run { snapshot_socket, listen } => {
            let settings = settings(cli)?;
            let request = RunRequest {
                named: cli.inventory.clone(),
                environment: Environment::of_process(),
                error_message: |error| render::error_message(error, false),
                snapshot_socket: snapshot_socket.clone(),
                listen: listen.clone(),
            };
            Ok(match block_on(app::run(settings, request))? {
                RunEnd::Stopped => Exit::Ok,
                RunEnd::Aborted => Exit::Nothing,
            })
        }
        Command::Watch { socket, once, width } => watch::run(cli, socket.as_deref(), once.then_some(*width)),
        Command::Report(args) => report::run(cli, args),
        Command::Check { connect, list, format, select } => {
            check(cli, *connect, *list, *format, &select.selection())
        }
        Command::Alerts { format, command } => alerts::run(cli, *format, command.as_ref()),
        Command::Connections { command } => connections(cli, command),
        Command::Store { command } => store(cli, command),
        Command::Ledger { command } => ledger::run(cli, command),
        Command::Tariff { command } => tariff::run(cli, command),
        Command::Battery { command } => battery::run(cli, command),
        Command::Demo { command } => demo::run(command),
    }
}

fn check(
    cli: &Cli,
    connect: bool,
    list: bool,
    format: ListFormat,
    selection: &HostSelection,
) -> Result<Exit, Failure> {
    let settings = settings_to_read(cli)?;
    let hosts = selection.of(&settings.inventory)?;
    print(&match (list, format) {
        (true, ListFormat::Text) => list::text(&settings.inventory, &hosts),
        (true, ListFormat::Json) => list::json(&settings.inventory, &hosts)?,
        (false, _) => render::settings(&settings),
    })?;
    let mut tariff_warnings = Vec::new();
    if !list {
        let tariffs = app::check_tariffs(&settings).map_err(app::Error::from)?;
        print(&tariff::overview(&tariffs))?;
        tariff_warnings = tariffs.warnings;
        print(&render::local_troubles(&block_on(async { Ok(app::check_files(&hosts).await) })?))?;
    }
    render::warnings(&settings, colour_stderr(cli.colour));
    render::price_warnings(&tariff_warnings, colour_stderr(cli.colour));
    if !connect {
        return Ok(Exit::Ok);
    }
    let report = block_on(app::check(&settings, selection, render::progress("hosts")))?;
    print(&render::check(&report, &settings))?;
    Ok(Exit::of_check(&report))
}

fn connections(cli: &Cli, command: &ConnectionsCommand) -> Result<Exit, Failure> {
    let settings = settings(cli)?;
    match command {
        ConnectionsCommand::List => say(render::connections(&app::kept_connections(&settings)?)),
        ConnectionsCommand::Close { select } => {
            let closed = block_on(app::close_connections(&settings, &select.selection()))?;
            say(format!("{}closed {}\n", render::connections(&closed), closed.len()))
        }
    }
}

fn store(cli: &Cli, command: &StoreCommand) -> Result<Exit, Failure> {
    let reads_only = matches!(
        command,
        StoreCommand::Status
            | StoreCommand::Prune { dry_run: true }
            | StoreCommand::DeadLetters { command: DeadLettersCommand::List { .. } }
    );
    let settings = if reads_only { settings_to_read(cli)? } else { settings(cli)? };
    match command {
        StoreCommand::Init => say(render::store_init(&block_on(app::store_init(&settings))?)),
        StoreCommand::Status => {
            // What waits is worth the most when the database does not answer, so it comes first.
            let spool = block_on(app::spool_status(&settings))?;
            print(&render::spool_status(spool.as_ref()))?;
            let status = block_on(app::store_status(&settings));
            let is_empty = spool.is_none() && matches!(status, Ok(None));
            print(&render::state_dir(&settings, is_empty))?;
            say(match status {
                Ok(Some(status)) => render::store_status(&status),
                Ok(None) => render::no_timeline(&settings),
                // Beside a service whose password this shell has not, what waits can be looked at all the same.
                Err(Failure::App(app::Error::Timeline(error @ store::Error::Password { .. }))) => {
                    render::unseen_timeline(&settings, &error)
                }
                Err(error) => return Err(error),
            })
        }
        StoreCommand::Replay => {
            let receipt = block_on(app::store_replay(&settings, render::replay_progress()))?;
            print(&render::replayed(&receipt, &settings))?;
            render::backlog(&receipt, colour_stderr(cli.colour));
            Ok(Exit::of_replay(&receipt))
        }
        StoreCommand::Prune { dry_run } => {
            say(render::pruned(&block_on(app::store_prune(&settings, *dry_run))?, *dry_run))
        }
        StoreCommand::DeadLetters { command } => dead_letters::run(cli, &settings, command),
    }
}

/// The settings of a command that only reads the state directory, which may be another user's: that is said.
fn settings_to_read(cli: &Cli) -> Result<Settings, app::Error> {
    let settings = settings(cli)?;
    if let Err(app::Error::StateOwner(path, owner)) = settings.may_write_state() {
        let path = path.display();
        render::eprint_line(&format!(
            "note: the state directory `{path}` belongs to user {owner}: it is only read"
        ));
    }
    Ok(settings)
}

fn settings(cli: &Cli) -> Result<Settings, app::Error> {
    Settings::load(cli.inventory.clone(), Environment::of_process())
}

fn block_on<T>(job: impl Future<Output = Result<T, app::Error>>) -> Result<T, Failure> {
    // A handful is plenty for work that waits for others.
    let n_workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS);
    // A runtime that is refused one of its threads panics, or waits for it for ever.
    app::can_start_threads(n_workers + SPARE_THREADS)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(n_workers).enable_all().build()?;
    let done = runtime.block_on(job);
    // A thread that waits for a file system that hangs is not waited for.
    runtime.shutdown_timeout(END_WITHIN);
    Ok(done?)
}

fn print(text: &str) -> std::io::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Prints all that a command has to say.
fn say(text: impl AsRef<[u8]>) -> Result<Exit, Failure> {
    print_bytes(text.as_ref())?;
    Ok(Exit::Ok)
}

fn colour_stdout(colour: Colour) -> bool {
    wants_colour(colour, std::io::stdout().is_terminal())
}

fn colour_stderr(colour: Colour) -> bool {
    wants_colour(colour, std::io::stderr().is_terminal())
}

fn wants_colour(colour: Colour, is_terminal: bool) -> bool {
    match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            is_terminal && !forbidden && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// One would hold passwords.
fn forbid_core_dumps() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::debug!(%error, "cannot forbid core dumps");
    }
}
