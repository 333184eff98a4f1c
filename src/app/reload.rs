//! The inventory while the daemon runs: read again when its files change or SIGHUP asks for it.

use std::path::PathBuf;
use std::time::Duration;

use super::files::Fingerprint;
use super::{Environment, Error, Settings};

/// How often the files are looked at. A look is a `stat` for each, which also holds for editors that
/// rename, for links and for network mounts, where notifications of the kernel do not.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Watches the files that an inventory was read from.
#[derive(Debug)]
pub(super) struct Watch {
    named: Option<PathBuf>,
    environment: Environment,
    /// The files as they were when they were read.
    read: Fingerprint,
    /// A change that was seen, and must look the same once more: an editor may be in the middle of it.
    unsettled: Option<Fingerprint>,
}

impl Watch {
    pub(super) fn new(named: Option<PathBuf>, environment: Environment, settings: &Settings) -> Self {
        Self { named, environment, read: settings.files.clone(), unsettled: None }
    }

    /// Waits until the files have changed and rest. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.read.anew();
            if now == self.read {
                self.unsettled = None;
            } else if self.unsettled.as_ref() == Some(&now) {
                return;
            } else {
                self.unsettled = Some(now);
            }
        }
    }

    /// Reads everything again. After a fault the same files are watched on: the next edit may mend it.
    pub(super) fn reload(&mut self) -> Result<Settings, Error> {
        self.unsettled = None;
        let loaded = Settings::load(self.named.clone(), self.environment);
        match &loaded {
            Ok(settings) => self.read = settings.files.clone(),
            Err(_) => self.read = self.read.anew(),
        }
        loaded
    }
}
