//! What is kept from one session to the next: who is asked, how, and in which mode. Nothing in it is worth
//! failing for: it can be learnt anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::requests::Learnt;
use crate::battery::anker::Config;
use crate::battery::anker::auth::PrivateFile;
use crate::battery::anker::rest::CloudError;
use crate::reading::{DataSource, PollingMode, SafeText, Station, Timestamp, error_chain};
use crate::support::jitter;

const FILE_NAME: &str = "solix-session.json";

/// How many names an account can have at the broker: five digits.
pub(super) const N_NAMES: u64 = 100_000;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PersistedSession {
    /// The end of our name at the broker: the same for ever on this installation, and hardly the same on
    /// another one.
    pub(super) client_number: u64,
    /// In fast mode when it ended.
    pub(super) is_fast: bool,
    /// How many times stations were asked.
    pub(super) n_polls: u64,
    /// When the REST interface was asked last, in microseconds since 1970.
    pub(super) rest_at: Option<i64>,
    /// What the account has, by serial number.
    pub(super) devices: BTreeMap<String, PersistedDevice>,
}

/// What is kept of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct PersistedDevice {
    pub(super) model: String,
    pub(super) name: String,
    /// Whose it is, if it is shared with this account. A secret; the file is for its owner's eyes only.
    pub(super) owner: Option<String>,
    /// Whether the cloud says that it is connected.
    pub(super) online: Option<bool>,
    /// Whether it is only known through a panel that speaks for it.
    #[serde(default)]
    pub(super) is_passive: bool,
    /// How it answers.
    #[serde(default, flatten)]
    pub(super) learnt: Learnt,
    /// Since when it is listened for, in microseconds since 1970.
    #[serde(default)]
    pub(super) awaited_since: Option<i64>,
    /// Whether REST is the way that it is read by.
    #[serde(default)]
    pub(super) by_rest: bool,
    /// How many expansion packs it has, if that is known.
    #[serde(default)]
    pub(super) packs: Option<u8>,
    /// When it said how many packs it has, or did not although it had been made to speak, in microseconds since
    /// 1970.
    #[serde(default)]
    pub(super) packs_sought_at: Option<i64>,
    /// When it said something last, in microseconds since 1970.
    #[serde(default)]
    pub(super) heard_at: Option<i64>,
    /// Whether it ever had the grid.
    #[serde(default)]
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
    /// What an earlier session left, or nothing.
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

    pub(super) fn heard_at(&self) -> Option<Timestamp> {
        self.heard_at.map(Timestamp::from_micros)
    }
}
