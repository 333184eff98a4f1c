//! The inventory while the daemon runs: read again when its files change or SIGHUP asks for it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, timeout};

use super::files::Fingerprint;
use super::{Environment, Error, Settings};
use crate::output::notify::Webhook;

/// The pause between two looks at the files. A look is a `stat` for each, which also holds for editors that rename,
/// for links and for network mounts, where notifications of the kernel do not.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// A file system that takes longer than this over a look is said to hang.
const SLOW: Duration = Duration::from_secs(10);

/// Watches the files that an inventory was read from. They are looked at and read in a thread of their own: a
/// network mount that hangs holds up no cycle.
#[derive(Debug)]
pub(super) struct Watch {
    named: Option<PathBuf>,
    environment: Environment,
    /// The files as they were when they were read.
    read: Fingerprint,
    /// A change that was seen, and must look the same once more: an editor may be in the middle of it.
    unsettled: Option<Fingerprint>,
    looks: Interval,
    is_asked: bool,
    /// The look or reading that goes on; at most one.
    at_work: JoinSet<Found>,
    is_slow_said: bool,
}

/// An inventory that was read again, with the secret that it names.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub(super) settings: Settings,
    pub(super) webhook: Option<Webhook>,
}

#[derive(Debug)]
enum Found {
    /// The files as they are now.
    Looked(Fingerprint),
    /// Their content, and as they were then.
    Loaded(Box<Result<Reloaded, Error>>, Fingerprint),
}

impl Watch {
    pub(super) fn new(named: Option<PathBuf>, environment: Environment, settings: &Settings) -> Self {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            named,
            environment,
            read: settings.files.clone(),
            unsettled: None,
            looks,
            is_asked: false,
            at_work: JoinSet::new(),
            is_slow_said: false,
        }
    }

    /// The files are to be read again, whether they changed or not.
    pub(super) const fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Waits until the files have changed and rest, or somebody asked, and gives everything anew. After a fault
    /// the same files are watched on: the next edit may mend it. May be dropped and called again.
    pub(super) async fn reloaded(&mut self) -> Result<Reloaded, Error> {
        loop {
            if self.at_work.is_empty() {
                self.begin().await;
            }
            let found = match timeout(SLOW, self.at_work.join_next()).await {
                Ok(Some(Ok(found))) => found,
                Ok(Some(Err(error))) => {
                    tracing::error!(%error, "looking at the inventory failed");
                    continue;
                }
                Ok(None) => continue,
                Err(_) => {
                    if !std::mem::replace(&mut self.is_slow_said, true) {
                        tracing::warn!(
                            "the file system of the inventory does not answer; no edit is seen meanwhile"
                        );
                    }
                    continue;
                }
            };
            self.is_slow_said = false;
            match found {
                Found::Looked(now) if now == self.read => self.unsettled = None,
                Found::Looked(now) if self.unsettled.as_ref() == Some(&now) => self.is_asked = true,
                Found::Looked(now) => self.unsettled = Some(now),
                Found::Loaded(loaded, files) => {
                    self.read = files;
                    self.unsettled = None;
                    return *loaded;
                }
            }
        }
    }

    /// Begins to read where that is asked for, else to look as soon as a look is due.
    async fn begin(&mut self) {
        if !self.is_asked {
            self.looks.tick().await;
        }
        let before = self.read.clone();
        // Somebody may have asked while this waited.
        if !std::mem::take(&mut self.is_asked) {
            self.at_work.spawn_blocking(move || Found::Looked(before.anew()));
            return;
        }
        let (named, environment) = (self.named.clone(), self.environment);
        self.at_work.spawn_blocking(move || {
            let loaded = Settings::load(named, environment);
            let files = match &loaded {
                Ok(settings) => settings.files.clone(),
                Err(_) => before.anew(),
            };
            let loaded = loaded.map(|settings| Reloaded { webhook: settings.webhook(), settings });
            Found::Loaded(Box::new(loaded), files)
        });
    }
}
