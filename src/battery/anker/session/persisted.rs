//! The state that outlives a session: who is asked, how, and in which mode. Nothing in it is worth failing for: it
//! can be learnt anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::requests::Learnt;
use crate::battery::anker::Config;
use crate::battery::anker::auth::PrivateFile;
use crate::battery::anker::rest::CloudError;
use crate::reading::{DataSource, PollingMode, SafeText, Station, Timestamp, error_chain};
use crate::support::jitter;

const FILE_NAME: &str = "solix-session.json";

/// The number of names that an account can have at the broker: five digits.
pub(super) const N_NAMES: u64 = 100_000;

/// The state of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PersistedSession {
    /// The end of our name at the broker: the same for ever on this installation, and hardly the same on
    /// another one.
    pub(super) client_number: u64,
    /// In fast mode when it ended.
    pub(super) is_fast: bool,
    /// The number of times that stations were asked.
    pub(super) n_polls: u64,
    /// When the REST interface was asked last.
    pub(super) rest_at: Option<Timestamp>,
    /// The devices of the account, by serial number.
    pub(super) devices: BTreeMap<String, PersistedDevice>,
}

/// The state of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PersistedDevice {
    pub(super) model: String,
    pub(super) name: String,
    /// Whose it is, if it is shared with this account. A secret; the file is for its owner's eyes only.
    pub(super) owner: Option<String>,
    /// Whether the cloud says that it is connected.
    pub(super) online: Option<bool>,
    /// Whether it is only known through a panel that speaks for it.
    pub(super) is_passive: bool,
    /// Its way to answer.
    #[serde(flatten)]
    pub(super) learnt: Learnt,
    /// Since when it is listened for.
    pub(super) awaited_since: Option<Timestamp>,
    /// Whether REST is the way that it is read by.
    pub(super) by_rest: bool,
    /// The number of its expansion packs, if it is known.
    pub(super) packs: Option<u8>,
    /// When it said how many packs it has, or did not although it had been made to speak.
    pub(super) packs_sought_at: Option<Timestamp>,
    /// When it said something last.
    pub(super) heard_at: Option<Timestamp>,
    /// Whether it ever had the grid.
    pub(super) grid_seen: bool,
}

impl Default for PersistedSession {
    fn default() -> Self {
        Self {
            client_number: jitter::number() % N_NAMES,
            is_fast: false,
            n_polls: 0,
            rest_at: None,
            devices: BTreeMap::new(),
        }
    }
}

impl PersistedSession {
    /// The state that an earlier session left, or none.
    pub(super) fn load(config: &Config) -> Self {
        match PrivateFile::from_config(config, FILE_NAME).load::<Self>() {
            Ok(persisted) => persisted.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot read the state of the last Solix session; starting without it"
                );
                Self::default()
            }
        }
    }

    /// Keeps it, unless no trace is to be left.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&self, config: &Config) -> Result<(), CloudError> {
        PrivateFile::from_config(config, FILE_NAME).save(self)
    }

    pub(super) fn mode(&self) -> PollingMode {
        if self.is_fast { PollingMode::Fast } else { PollingMode::Normal }
    }
}

impl PersistedDevice {
    pub(super) fn station(&self, serial: &str) -> Station {
        Station {
            serial: SafeText::new(serial),
            model: SafeText::new(&self.model),
            name: SafeText::new(&self.name),
        }
    }

    /// The way that it is read by.
    pub(super) fn way(&self) -> DataSource {
        if self.by_rest { DataSource::RestApi } else { DataSource::Mqtt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::battery::anker::session::requests::RequestMode;

    #[test]
    fn a_file_that_lacks_newer_fields_is_read() {
        let text = r#"{"client_number": 7, "is_fast": true, "n_polls": 3, "rest_at": 5, "devices": {"SN": {
            "model": "A1790P", "name": "Shed", "owner": null, "online": true, "habit": {"triggers_only": 9}}}}"#;
        let session: PersistedSession = serde_json::from_str(text).unwrap();
        let device = &session.devices["SN"];
        assert_eq!(session.rest_at, Some(Timestamp::from_micros(5)));
        assert_eq!(device.learnt.mode, RequestMode::TriggersOnly(Timestamp::from_micros(9)));
        assert_eq!((device.heard_at, device.packs, device.online), (None, None, Some(true)));
        let written = serde_json::to_value(&session).unwrap();
        assert_eq!(written["devices"]["SN"]["habit"]["triggers_only"], 9);
    }
}
