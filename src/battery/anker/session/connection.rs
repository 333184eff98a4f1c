//! A connection to the broker in the name of the account, and what is asked over it.

use std::time::Duration;

use super::requests::RequestKind;
use super::stations::StationRequest;
use crate::battery::anker::mqtt::{MqttClient, MqttError, client_config};
use crate::battery::anker::rest::MqttCredentials;
use crate::battery::anker::{Config, wire};
use crate::reading::{Station, Timestamp};

const PORT: u16 = 8883;

/// Our name at the broker, besides the account's. A second connection of the same name
/// ends the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// As the vendor's tools do, with a number of five digits.
    Usual(u64),
    /// As the phone app does, with the same number.
    App(u64),
}

/// A connection, and as whom it is made.
#[derive(Debug)]
pub(super) struct AccountConnection {
    pub(super) client: MqttClient,
    credentials: MqttCredentials,
    now: fn() -> Timestamp,
}

impl AccountConnection {
    /// Begins to connect, and to listen to these stations.
    ///
    /// # Errors
    /// The certificate, its key or the authority cannot be used.
    pub(super) fn open(
        config: &Config,
        credentials: MqttCredentials,
        name: Name,
        stations: &[Station],
    ) -> Result<Self, MqttError> {
        let tls = client_config(
            credentials.ca_pem.expose(),
            credentials.certificate_pem.expose(),
            credentials.private_key.expose(),
        )?;
        let named = config.settings.mqtt_address.as_deref();
        let address = address(named.unwrap_or(&credentials.endpoint));
        let client_id = client_id(&credentials, name, (config.now)());
        let client = MqttClient::start(address, client_id, tls, &credentials.app_name, stations, config.now);
        Ok(Self { client, credentials, now: config.now })
    }

    /// Asks a station. Without a connection the question is lost.
    pub(super) fn ask(&self, request: &StationRequest, trigger_for: Duration) {
        let (model, serial) = (request.station.model.as_str(), request.station.serial.as_str());
        let now = (self.now)();
        let frame = match request.kind {
            RequestKind::StatusRequest => wire::status_request(model, now),
            RequestKind::Trigger => wire::trigger(true, trigger_for, now),
        };
        let account = wire::Account {
            app_name: &self.credentials.app_name,
            user_id: self.credentials.user_id.expose(),
            certificate_id: self.credentials.certificate_id.expose(),
        };
        let envelope = wire::request_envelope(&account, request.owner.as_deref(), model, serial, &frame, now);
        let topic = format!("cmd/{}/{model}/{serial}/req", self.credentials.app_name);
        let station = request.station.name.as_str();
        tracing::debug!(station, what = ?request.kind, "asked");
        if !self.client.publish(&topic, envelope) {
            tracing::warn!(station, "not asked: too many requests wait for the broker");
        }
    }
}

/// `host` or `host:port`.
fn address(named: &str) -> (String, u16) {
    let parts = named.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.unwrap_or((named, PORT));
    (host.trim_matches(['[', ']']).to_owned(), port)
}

fn client_id(credentials: &MqttCredentials, name: Name, now: Timestamp) -> String {
    match name {
        Name::Usual(number) => format!("{}_{number:05}", credentials.thing_name.expose()),
        Name::App(number) => {
            let (app, user) = (&credentials.app_name, credentials.user_id.expose());
            format!("android-{app}-{user}-{number:05}-{}", now.micros() / 1_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_has_the_usual_one() {
        assert_eq!(address("aiot-mqtt-us.anker.com"), ("aiot-mqtt-us.anker.com".to_owned(), 8883));
        assert_eq!(address("localhost:4711"), ("localhost".to_owned(), 4711));
        assert_eq!(address("[::1]:4711"), ("::1".to_owned(), 4711));
    }
}
