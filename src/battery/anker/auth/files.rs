//! Files for this user alone, whole or not at all: the login, the count of logins, the certificate.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::battery::anker::Config;
use crate::battery::anker::rest::CloudError;
use crate::support::{regular_file, state_file};

/// The version of all of them; a file of another one is set aside.
const VERSION: u32 = 1;

/// No file of ours is larger: it bounds what a wrong file can cost.
const MAX_BYTES: u64 = 1 << 20;

/// The file that is locked while somebody logs in. It stays, since a lock on a file that is removed protects
/// nothing.
const LOCK_NAME: &str = "solix-login.lock";

/// From one try of a lock that somebody else holds to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The time that somebody else's login may take: its timeout, twice, and some pace.
const LOCK_WITHIN: Duration = Duration::from_secs(25);

/// One file in the state directory.
#[derive(Debug, Clone)]
pub(crate) struct PrivateFile {
    path: PathBuf,
    read_only: bool,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    content: T,
}

/// Why a file has no content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    Missing,
    /// It could not be understood, and was set aside.
    Corrupt,
}

impl PrivateFile {
    /// The file `name` in the state directory.
    pub(crate) fn new(state_dir: &Path, name: &str) -> Self {
        Self { path: state_dir.join(name), read_only: false }
    }

    /// The same as the settings have it: one that is to leave no trace is read, and never changed.
    pub(crate) fn from_config(config: &Config, name: &str) -> Self {
        Self { read_only: config.read_only, ..Self::new(&config.state_dir, name) }
    }

    /// Reads it. A file that cannot be understood, or is of another version, is renamed to `….damaged` and said.
    /// Rights of others are taken away.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Result<T, Unusable>, CloudError> {
        let bytes = match self.read() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(Unusable::Missing)),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Zeroizing::default(),
            Err(source) => return Err(self.failed(source)),
        };
        // The parser's own words would quote what it stumbled over.
        match serde_json::from_slice::<Versioned<T>>(&bytes) {
            Ok(Versioned { version: VERSION, content }) => Ok(Ok(content)),
            Ok(_) | Err(_) => {
                self.set_aside();
                Ok(Err(Unusable::Corrupt))
            }
        }
    }

    fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let file = regular_file::open(&self.path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 && !self.read_only {
            tracing::warn!(path = %self.path.display(), "others could read this file; they no longer can");
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        regular_file::read(&self.path, MAX_BYTES).map(Zeroizing::new)
    }

    /// Puts the file out of the way, so that it can be looked at.
    fn set_aside(&self) {
        let path = self.path.display();
        if self.read_only {
            tracing::warn!(%path, "this file cannot be understood");
            return;
        }
        match state_file::set_aside(&self.path) {
            Ok(()) => tracing::warn!(
                %path, "this file cannot be understood; it was renamed to ….damaged; starting with an empty one"
            ),
            Err(error) => tracing::warn!(
                %path, %error, "this file cannot be understood, nor renamed; starting with an empty one"
            ),
        }
    }

    /// Writes it, whole or not at all. Creates the state directory if it is not there.
    pub(crate) fn save<T: Serialize>(&self, content: &T) -> Result<(), CloudError> {
        let write = || {
            self.path.parent().map_or(Ok(()), state_file::create_folder)?;
            let bytes = Zeroizing::new(serde_json::to_vec(&Versioned { version: VERSION, content })?);
            state_file::write(&self.path, &bytes).map_err(|error| error.source)
        };
        if self.read_only { Ok(()) } else { write().map_err(|source| self.failed(source)) }
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(&self) -> Result<(), CloudError> {
        if self.read_only {
            return Ok(());
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> CloudError {
        CloudError::State(self.path.clone(), source)
    }
}

/// A secret as a text, for `#[serde(with = …)]` in the files of this module: a secret has no form by itself.
pub(crate) mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::support::secret::Secret;

    pub(crate) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// Waits until no other process of this state directory logs in, and keeps it so until the file is dropped.
///
/// # Errors
/// The state directory cannot be written, or the other one takes too long.
pub(crate) async fn take_lock(state_dir: &Path, deadline: Option<Instant>) -> Result<File, CloudError> {
    let fail = |source| CloudError::State(state_dir.join(LOCK_NAME), source);
    let file = state_file::open_lock(state_dir, LOCK_NAME).map_err(fail)?;
    let until = Instant::now() + LOCK_WITHIN;
    let until = deadline.map_or(until, |deadline| deadline.min(until));
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
            Err(TryLockError::WouldBlock) if until <= Instant::now() => {
                return Err(CloudError::LoginUnderWay);
            }
            Err(TryLockError::WouldBlock) => sleep(LOOK_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (tempfile::TempDir, PrivateFile) {
        let dir = tempfile::tempdir().unwrap();
        let kept = PrivateFile::new(&dir.path().join("state"), "solix-x.json");
        (dir, kept)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_saved_is_read_again_and_nobody_else_can() {
        let (_dir, kept) = kept();
        assert_eq!(kept.load::<u32>().unwrap(), Err(Unusable::Missing));
        kept.save(&7).unwrap();
        kept.save(&8).unwrap();
        assert_eq!(kept.load::<u32>().unwrap(), Ok(8));
        assert_eq!(mode(&kept.path), 0o600);
        assert_eq!(mode(kept.path.parent().unwrap()), 0o700);
    }

    #[test]
    fn rights_of_others_are_taken_away() {
        let (_dir, kept) = kept();
        kept.save(&7).unwrap();
        std::fs::set_permissions(&kept.path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(kept.load::<u32>().unwrap(), Ok(7));
        assert_eq!(mode(&kept.path), 0o600);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_huge_one_too() {
        for content in ["{\"token\":", &" ".repeat(2 << 20)] {
            let (_dir, kept) = kept();
            kept.save(&7).unwrap();
            std::fs::write(&kept.path, content).unwrap();
            assert_eq!(kept.load::<u32>().unwrap(), Err(Unusable::Corrupt));
            assert_eq!(kept.load::<u32>().unwrap(), Err(Unusable::Missing));
            assert!(kept.path.with_extension("json.damaged").exists());
        }
    }

    #[test]
    fn a_file_of_another_version_is_set_aside() {
        let (_dir, kept) = kept();
        kept.save(&7).unwrap();
        let text = std::fs::read_to_string(&kept.path).unwrap();
        std::fs::write(&kept.path, text.replace("\"version\":1", "\"version\":2")).unwrap();
        assert_eq!(kept.load::<u32>().unwrap(), Err(Unusable::Corrupt));
        assert!(!kept.path.exists());
    }

    #[test]
    fn who_leaves_no_trace_changes_nothing() {
        let (_dir, kept) = kept();
        kept.save(&7).unwrap();
        std::fs::set_permissions(&kept.path, Permissions::from_mode(0o644)).unwrap();
        let watcher = PrivateFile { read_only: true, ..kept.clone() };
        assert_eq!(watcher.load::<u32>().unwrap(), Ok(7));
        watcher.save(&8).unwrap();
        watcher.remove().unwrap();
        assert_eq!(watcher.load::<String>().unwrap(), Err(Unusable::Corrupt));
        assert_eq!((mode(&kept.path), kept.load::<u32>().unwrap()), (0o644, Ok(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_waits_for_another_ones_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let held = take_lock(dir.path(), None).await.unwrap();
        let begun_at = Instant::now();
        let refused = take_lock(dir.path(), Some(begun_at + Duration::from_secs(2))).await;
        assert!(matches!(refused, Err(CloudError::LoginUnderWay)));
        assert_eq!((Instant::now() - begun_at).as_secs(), 2);
        drop(held);
        assert!(take_lock(dir.path(), None).await.is_ok());
    }
}
