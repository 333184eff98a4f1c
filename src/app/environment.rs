//! The variables of the environment, and the secrets that they and files hold.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::inventory::SecretSource;
use crate::support::regular_file;
use crate::support::secret::Secret;

/// A secret is a line.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The environment's variables, as a function so that tests need not change the process's own.
#[derive(Debug, Clone, Copy)]
pub struct Environment(pub fn(&str) -> Option<OsString>);

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self(|name| std::env::var_os(name))
    }

    /// A variable that is set and not empty.
    pub(super) fn get(self, name: &str) -> Option<String> {
        self.0(name).filter(|value| !value.is_empty()).and_then(|value| value.into_string().ok())
    }

    /// A secret from where the inventory says that it is.
    pub(super) fn secret(self, what: &'static str, secret: &SecretSource) -> Result<Secret, Error> {
        self.read_secret(secret).map_err(|source| Error::Secret(what, secret.to_string(), source))
    }

    /// As [`Self::secret`], with the system's own error.
    pub(super) fn read_secret(self, secret: &SecretSource) -> io::Result<Secret> {
        let not_there = |message: &str| io::Error::new(io::ErrorKind::NotFound, message);
        let from_file = |path: &Path| {
            let text = regular_file::read_text(path, MAX_SECRET_BYTES)?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
        };
        match secret {
            SecretSource::Env(name) => {
                self.get(name).map(Secret::new).ok_or_else(|| not_there("it is not set, or empty"))
            }
            SecretSource::File(path) => from_file(path),
            SecretSource::Credential(name) => match self.path("CREDENTIALS_DIRECTORY") {
                Some(directory) => from_file(&directory.join(name)),
                None => Err(not_there(
                    "CREDENTIALS_DIRECTORY is not set: only a systemd unit with LoadCredential= has credentials",
                )),
            },
        }
    }

    /// A path variable; of a list, as systemd gives it for several directories, the first.
    pub(super) fn path(self, name: &str) -> Option<PathBuf> {
        let value = self.get(name)?;
        let first = value.split(':').next().filter(|first| !first.is_empty())?;
        Some(PathBuf::from(first))
    }
}
