//! Listening to stations for a person who watches: all that they say, as it comes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::asking::Send;
use super::connection::{Connection, Name};
use super::kept::N_NAMES;
use super::stations::Question;
use crate::reading::{Clean, Station, Timestamp};
use crate::solix::mqtt::{Heard, MqttError};
use crate::solix::rest::{BoundDevice, Cloud, SolixError};
use crate::solix::{Config, chance};

/// How long a trigger holds, and when it is renewed: as the phone app does it.
const TRIGGER_FOR: Duration = Duration::from_secs(300);
const RENEWED_AFTER: Duration = Duration::from_secs(295);

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    connection: Connection,
    devices: Vec<BoundDevice>,
    /// When stations are to be made to speak again; `None` if they are not to be made to.
    trigger_at: Option<Instant>,
    is_ready: bool,
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The broker is there, and these serial numbers cannot be heard.
    Connected {
        /// Serial numbers that the broker does not let us hear.
        refused: Vec<Clean>,
    },
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
        /// When it came.
        at: Timestamp,
    },
    /// The broker is lost.
    Lost {
        /// Why.
        error: MqttError,
        /// When it is tried again.
        again_in: Duration,
    },
}

impl Listener {
    /// Asks the cloud who there is, and begins to connect. `serial` is whom to listen to, all if `None`;
    /// `makes_speak` is whether stations are made to speak, as they are silent by themselves. Disturbs no
    /// session that is at work.
    ///
    /// # Errors
    /// The cloud refuses, or has no such device.
    pub async fn open(config: &Config, serial: Option<&str>, makes_speak: bool) -> Result<Self, ListenError> {
        let mut cloud = Cloud::open(config)?;
        let mut devices = cloud.devices().await?;
        devices.retain(|device| serial.is_none_or(|serial| device.serial.as_str() == serial));
        if devices.is_empty() {
            return Err(ListenError::NoDevice { serial: serial.map(Clean::new) });
        }
        let credentials = cloud.mqtt_credentials().await?;
        let stations: Vec<Station> = devices.iter().map(station).collect();
        let name = Name::Usual(chance::number() % N_NAMES);
        let connection = Connection::open(config, credentials, name, &stations)?;
        Ok(Self { connection, devices, trigger_at: makes_speak.then(Instant::now), is_ready: false })
    }

    /// Whom it listens to.
    pub fn devices(&self) -> &[BoundDevice] {
        &self.devices
    }

    /// Waits for what comes next.
    pub async fn said(&mut self) -> Said {
        loop {
            let trigger_at = self.trigger_at.filter(|_| self.is_ready);
            tokio::select! {
                heard = self.connection.heard() => return self.take(heard),
                () = until(trigger_at) => self.make_speak(),
            }
        }
    }

    fn take(&mut self, heard: Heard) -> Said {
        match heard {
            Heard::Ready { refused } => {
                self.is_ready = true;
                self.trigger_at = self.trigger_at.map(|_| Instant::now());
                Said::Connected { refused }
            }
            Heard::Message { topic, payload, at } => Said::Message { topic, payload, at },
            Heard::Lost { error, again_in } => {
                self.is_ready = false;
                Said::Lost { error, again_in }
            }
        }
    }

    /// Asks for the state at once, and for all that follows.
    fn make_speak(&mut self) {
        self.trigger_at = Some(Instant::now() + RENEWED_AFTER);
        for device in &self.devices {
            for send in [Send::StatusRequest, Send::Trigger] {
                let owner = device.owner_user_id.as_ref().map(|owner| owner.reveal().to_owned());
                self.connection.ask(&Question { station: station(device), owner, send }, TRIGGER_FOR);
            }
        }
    }

    /// Says goodbye, by `deadline` at the latest.
    pub async fn end(self, deadline: Instant) {
        self.connection.end(deadline).await;
    }
}

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The cloud.
    #[error(transparent)]
    Cloud(#[from] SolixError),
    /// The broker.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// There is nobody.
    #[error("the account has no device{}", serial.as_ref().map(|serial| format!(" {serial}")).unwrap_or_default())]
    NoDevice {
        /// Who was asked for.
        serial: Option<Clean>,
    },
}

impl ListenError {
    /// What happened and what to do, for a person.
    pub fn in_words(&self) -> String {
        match self {
            Self::Cloud(error) => error.trouble().words,
            Self::Mqtt(error) => error.to_string(),
            Self::NoDevice { .. } => format!("{self}; `fleetwatt solix devices` lists them"),
        }
    }
}

fn station(device: &BoundDevice) -> Station {
    Station { serial: device.serial.clone(), model: device.model.clone(), name: device.name.clone() }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
