//! Listening to stations for a person who watches: all that they say, as it comes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::connection::{AccountConnection, Name};
use super::persisted::N_NAMES;
use super::requests::RequestKind;
use super::stations::StationRequest;
use crate::battery::anker::Config;
use crate::battery::anker::mqtt::{MqttError, MqttEvent};
use crate::battery::anker::rest::{BoundDevice, Cloud, CloudError};
use crate::reading::{SafeText, Station};
use crate::support::jitter;

/// A trigger holds for this long, and is renewed before. The phone app's hold for five minutes; with these the
/// stations sleep again a minute after nobody listens any more.
const TRIGGER_FOR: Duration = Duration::from_secs(60);
const RENEWED_AFTER: Duration = Duration::from_secs(55);

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    connection: AccountConnection,
    /// The devices that it listens to.
    pub devices: Vec<BoundDevice>,
    /// When stations are to be made to speak again; `None` if they are not to be made to.
    trigger_at: Option<Instant>,
    is_ready: bool,
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
            return Err(ListenError::NoDevice(serial.map(SafeText::new)));
        }
        let credentials = cloud.mqtt_credentials().await?;
        let stations: Vec<Station> = devices.iter().map(BoundDevice::station).collect();
        let name = Name::Usual(jitter::number() % N_NAMES);
        let connection = AccountConnection::open(config, credentials, name, &stations)?;
        Ok(Self { connection, devices, trigger_at: makes_speak.then(Instant::now), is_ready: false })
    }

    /// Waits for what comes next.
    pub async fn next_event(&mut self) -> MqttEvent {
        loop {
            let trigger_at = self.trigger_at.filter(|_| self.is_ready);
            tokio::select! {
                event = self.connection.client.next_event() => {
                    match &event {
                        MqttEvent::Ready { .. } => {
                            self.is_ready = true;
                            self.trigger_at = self.trigger_at.map(|_| Instant::now());
                        }
                        MqttEvent::Lost { .. } => self.is_ready = false,
                        MqttEvent::Message { .. } => (),
                    }
                    return event;
                }
                () = sleep_until(trigger_at.unwrap_or_else(Instant::now)), if trigger_at.is_some() => {
                    self.make_speak();
                }
            }
        }
    }

    /// Asks for the state at once, and for all that follows.
    fn make_speak(&mut self) {
        self.trigger_at = Some(Instant::now() + RENEWED_AFTER);
        for device in &self.devices {
            for kind in [RequestKind::StatusRequest, RequestKind::Trigger] {
                let owner = device.owner_user_id.as_ref().map(|owner| owner.expose().to_owned());
                self.connection.ask(&StationRequest { station: device.station(), owner, kind }, TRIGGER_FOR);
            }
        }
    }

    /// Says goodbye, by `deadline` at the latest.
    pub async fn end(self, deadline: Instant) {
        self.connection.client.end(deadline).await;
    }
}

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The cloud.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The broker.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// There is nobody, or not the one with this serial number.
    #[error("the account has no device{}", .0.as_ref().map(|serial| format!(" {serial}")).unwrap_or_default())]
    NoDevice(Option<SafeText>),
}

impl ListenError {
    /// The error and its remedy, for a person.
    pub fn to_message(&self) -> String {
        match self {
            Self::Cloud(error) => error.trouble().message,
            Self::Mqtt(error) => error.to_string(),
            Self::NoDevice(_) => format!("{self}; `fleetwatt solix devices` lists them"),
        }
    }
}
