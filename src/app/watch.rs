//! `watch`: the cycles of a daemon by its socket, or of polls that leave no trace.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::poll::{PollRequest, poll};
use super::{Environment, Error, HostSelection, Settings};
use crate::batch::Snapshot;
use crate::output::json_line;
use crate::output::watch::{Document, Feed};

/// The name of the socket in its folder, and the folder of the service.
const SOCKET: &str = "snapshot.sock";
const SERVICE_FOLDER: &str = "/run/fleetwatt";

/// A daemon has a snapshot at once, unless its first cycle is still open.
const FIRST_WITHIN: Duration = Duration::from_secs(30);

/// The pause before a daemon that has left is looked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Where the cycles come from.
#[derive(Debug)]
pub enum WatchSource {
    /// A daemon, by its socket.
    Daemon(PathBuf),
    /// Polls of this inventory.
    Poll(Box<Settings>),
}

/// News for the view.
#[derive(Debug)]
pub enum WatchUpdate {
    /// A cycle.
    Cycle(Box<Document>),
    /// Nothing comes, for this reason.
    Trouble(String),
}

impl WatchSource {
    /// Its words for the view.
    pub fn feed(&self) -> Feed {
        match self {
            Self::Daemon(path) => Feed::Daemon(path.display().to_string()),
            Self::Poll(settings) => Feed::Polling(settings.inventory_path.display().to_string()),
        }
    }
}

/// The socket to follow: the one that was named, or the first of the usual ones at which a daemon answers.
///
/// # Errors
/// None answers at the one that was named.
pub async fn daemon_socket(named: Option<&Path>, environment: Environment) -> Result<Option<PathBuf>, Error> {
    if let Some(path) = named {
        let connected = UnixStream::connect(path).await;
        return connected
            .map(|_| Some(path.to_owned()))
            .map_err(|error| Error::NoDaemon(path.to_owned(), error));
    }
    let folders = environment.path("RUNTIME_DIRECTORY").into_iter().chain([PathBuf::from(SERVICE_FOLDER)]);
    for path in folders.map(|folder| folder.join(SOCKET)) {
        if UnixStream::connect(&path).await.is_ok() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// One cycle.
///
/// # Errors
/// The daemon gives none in time, or the fleet cannot be polled.
pub async fn watch_once(source: &WatchSource) -> Result<Document, Error> {
    match source {
        WatchSource::Poll(settings) => polled(settings).await,
        WatchSource::Daemon(path) => {
            let first = timeout(FIRST_WITHIN, first_line(path)).await.map_err(io::Error::from).flatten();
            let line = first.map_err(|error| Error::NoDaemon(path.clone(), error))?;
            Document::parse(&line).map_err(Error::Snapshot)
        }
    }
}

async fn first_line(path: &Path) -> io::Result<String> {
    let mut lines = BufReader::new(UnixStream::connect(path).await?).lines();
    lines.next_line().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Gives each new cycle until nobody takes them any more.
pub async fn watch(source: &WatchSource, updates: &Sender<WatchUpdate>) {
    match source {
        WatchSource::Daemon(path) => follow(path, updates).await,
        WatchSource::Poll(settings) => poll_on(settings, updates).await,
    }
}

async fn follow(path: &Path, updates: &Sender<WatchUpdate>) {
    loop {
        let trouble = match read_all(path, updates).await {
            Ok(()) => "the daemon has ended; waiting for it".to_owned(),
            Err(error) => format!("no daemon answers: {error}"),
        };
        if updates.send(WatchUpdate::Trouble(trouble)).await.is_err() {
            return;
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// All that a daemon says until it ends.
async fn read_all(path: &Path, updates: &Sender<WatchUpdate>) -> io::Result<()> {
    let mut lines = BufReader::new(UnixStream::connect(path).await?).lines();
    while let Some(line) = lines.next_line().await? {
        let update = match Document::parse(&line) {
            Ok(document) => WatchUpdate::Cycle(Box::new(document)),
            Err(error) => WatchUpdate::Trouble(Error::Snapshot(error).in_one_line()),
        };
        if updates.send(update).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn poll_on(settings: &Settings, updates: &Sender<WatchUpdate>) {
    let mut ticks = interval(settings.inventory.cycle.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let update = match polled(settings).await {
            Ok(document) => WatchUpdate::Cycle(Box::new(document)),
            Err(error) => WatchUpdate::Trouble(error.in_one_line()),
        };
        if updates.send(update).await.is_err() {
            return;
        }
    }
}

/// A poll that leaves no trace.
async fn polled(settings: &Settings) -> Result<Document, Error> {
    let request = PollRequest {
        dry_run: true,
        selection: HostSelection::default(),
        changes_only: false,
        by_hand: true,
        alerts: false,
    };
    let snapshot = Box::pin(poll(settings, &request, |_, _| ())).await?.snapshot;
    let interval = Some(settings.inventory.cycle.interval);
    Document::parse(&json_line(&Snapshot { interval, ..snapshot })).map_err(Error::Snapshot)
}
