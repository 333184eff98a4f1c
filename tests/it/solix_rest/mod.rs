//! The REST interface against a server over real TLS: each result code, the login's limits, and what is kept.
//!
//! The wall clock is the tests' own, so that days pass at once; the pauses between calls are short, and
//! measured by their own tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod codes;
mod data;
mod login;
mod secrets;
mod server;

use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fleetwatt::battery::anker::Config;
use fleetwatt::battery::anker::rest::{Cloud, Pace};
use fleetwatt::inventory::{SecretSource, StationAccount};
use fleetwatt::reading::{Share, Timestamp};
use fleetwatt::support::secret::Secret;
use server::{Authority, Server};

/// 2026-11-24T07:00:00Z.
const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

thread_local! {
    /// Every test has a thread, and so a clock of its own.
    static NOW: Cell<Timestamp> = const { Cell::new(START) };
}

fn now() -> Timestamp {
    NOW.with(Cell::get)
}

/// The clock goes on.
fn pass(time: Duration) {
    NOW.with(|now| now.set(now.get().plus(time)));
}

/// No pauses to speak of, so that tests do not wait.
const PACE: Pace = Pace {
    between: Duration::ZERO,
    timeout: Duration::from_secs(10),
    repeat_after_least: Duration::ZERO,
    repeat_after_most: Duration::from_millis(1),
};

/// A server, and the settings of somebody who uses it.
struct Stage {
    server: Server,
    config: Config,
    authority: Authority,
    _dir: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let authority = Authority::new();
        let server = Server::start(&authority).await;
        let dir = tempfile::tempdir().unwrap();
        let settings = StationAccount {
            user: SecretSource::Env("ANKER_USER".to_owned()),
            password: SecretSource::Env("ANKER_PASS".to_owned()),
            country: None,
            server: None,
            interval: 2 * MINUTE,
            fast_interval: Duration::from_secs(30),
            rest_every: 5,
            listen: Duration::from_secs(10),
            api_url: Some(server.url.clone()),
            login_key: None,
            mqtt_address: None,
            extra_ca: Some(authority.path.clone()),
        };
        let config = Config {
            settings,
            country: "US".to_owned(),
            email: Some(hidden("me@example.com")),
            password: Some(hidden("right")),
            state_dir: dir.path().join("state"),
            fast_below: Share::from_millipercent(20_000),
            read_only: false,
            now,
        };
        Self { server, config, authority, _dir: dir }
    }

    /// A new process.
    fn cloud(&self) -> Cloud {
        let mut cloud = Cloud::open(&self.config).unwrap();
        cloud.pace = PACE;
        cloud
    }

    fn state(&self) -> &Path {
        &self.config.state_dir
    }

    fn set_password(&mut self, password: &str) {
        self.config.password = Some(hidden(password));
    }
}

fn hidden(text: &str) -> Secret {
    Secret::new(text)
}

/// The names and modes of the files in a folder.
fn files(dir: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<(String, u32)> = entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        })
        .collect();
    files.sort();
    files
}
