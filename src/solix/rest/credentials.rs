//! What the MQTT broker takes for a login: a certificate of the account.

use crate::reading::Timestamp;
use crate::solix::Hidden;

/// The MQTT credentials of the account (`get_user_mqtt_info`). They belong to the account and outlive the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttCredentials {
    /// The account, as it stands in published payloads.
    pub user_id: Hidden,
    /// Part of the topics: `anker_power`.
    pub app_name: String,
    /// The stem of the client id. It has the user id in it.
    pub thing_name: Hidden,
    /// Part of `head.client_id` of published payloads.
    pub certificate_id: Hidden,
    /// The client certificate, PEM.
    pub certificate_pem: Hidden,
    /// Its key, PEM (`BEGIN RSA PRIVATE KEY`).
    pub private_key: Hidden,
    /// The only certificates that the broker's may be signed by, PEM.
    pub ca_pem: Hidden,
    /// The broker's host name, without a port.
    pub endpoint: String,
    /// When the certificate ends, as it says itself.
    pub not_after: Option<Timestamp>,
}
