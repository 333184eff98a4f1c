//! The login at the MQTT broker: a certificate of the account.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::{CloudError, json};
use crate::battery::anker::auth::{AccountId, exposed};
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// The file's name in the state directory.
pub(super) const CREDENTIALS_FILE: &str = "solix-mqtt.json";

/// A certificate is replaced this long before its end. They are said to hold for ten years.
const REPLACE_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// From one certificate to the next, when the broker refuses them.
const RENEW_EVERY: Duration = Duration::from_secs(60 * 60);

/// The MQTT credentials of the account (`get_user_mqtt_info`). They belong to the account and outlive the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttCredentials {
    /// The account, as it stands in published payloads.
    #[serde(with = "exposed")]
    pub user_id: Secret,
    /// Part of the topics: `anker_power`.
    pub app_name: String,
    /// The stem of the client id. It has the user id in it.
    #[serde(with = "exposed")]
    pub thing_name: Secret,
    /// Part of `head.client_id` of published payloads.
    #[serde(with = "exposed")]
    pub certificate_id: Secret,
    /// The client certificate, PEM.
    #[serde(with = "exposed")]
    pub certificate_pem: Secret,
    /// Its key, PEM (`BEGIN RSA PRIVATE KEY`).
    #[serde(with = "exposed")]
    pub private_key: Secret,
    /// The only certificates that the broker's may be signed by, PEM.
    #[serde(with = "exposed")]
    pub ca_pem: Secret,
    /// The broker's host name, without a port.
    pub endpoint: String,
}

/// Credentials as they are kept for the next process, and whose they are.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCredentials {
    pub(super) account: AccountId,
    pub(super) server: String,
    /// When they took the place of others that the broker had refused, or that had ended.
    #[serde(rename = "anew_at_us")]
    pub(super) renewed_at: Option<Timestamp>,
    #[serde(flatten)]
    pub(super) credentials: MqttCredentials,
}

impl StoredCredentials {
    /// Whether they are of this account, or of any if none is known, and of this server.
    pub(super) fn belongs_to(&self, account: Option<&AccountId>, server: &str) -> bool {
        account.is_none_or(|account| *account == self.account) && self.server == server
    }

    /// Whether the certificate holds, and for more than a day.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        not_after(&self.credentials.certificate_pem).is_none_or(|end| now.plus(REPLACE_BEFORE) < end)
    }

    /// Until when no other ones are fetched; `None` if they are of a clock that was ahead.
    pub(super) fn not_renewed_before(&self, now: Timestamp) -> Option<Timestamp> {
        let renewed_at = self.renewed_at?;
        let until = renewed_at.plus(RENEW_EVERY);
        (now < until && renewed_at <= now).then_some(until)
    }
}

/// The credentials in an answer.
pub(super) fn parse(data: &Value) -> Result<MqttCredentials, CloudError> {
    let garbled = |what| CloudError::UnexpectedResponse(Endpoint::MqttCredentials, what);
    let text = |key| json::text(data, key).ok_or_else(|| garbled("has not all that the broker needs"));
    let secret = |key| text(key).map(Secret::new);
    let app_name = text("app_name")?;
    // It becomes part of topics, where `+`, `#` and `/` have a meaning.
    if !app_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Err(garbled("has an app name that is none"));
    }
    let endpoint = text("endpoint_addr")?;
    if !endpoint.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-') {
        return Err(garbled("has a broker that is no host name"));
    }
    Ok(MqttCredentials {
        user_id: secret("user_id")?,
        app_name,
        thing_name: secret("thing_name")?,
        certificate_id: secret("certificate_id")?,
        certificate_pem: secret("certificate_pem")?,
        private_key: secret("private_key")?,
        ca_pem: secret("aws_root_ca1_pem")?,
        endpoint,
    })
}

/// The end of a certificate's validity.
fn not_after(pem: &Secret) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.expose().as_bytes()).ok()?;
    let seconds = pem.parse_x509().ok()?.validity().not_after.timestamp();
    seconds.checked_mul(1_000_000).map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::battery::anker::auth::PrivateFile;

    /// 2026-11-24T07:00:00Z.
    const NOW: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

    fn answer(certificate: &str) -> Value {
        json!({
            "user_id": "u", "app_name": "anker_power", "thing_name": "u-anker_power", "certificate_id": 12345,
            "certificate_pem": certificate, "private_key": "k", "aws_root_ca1_pem": "c",
            "endpoint_addr": "aiot-mqtt-us.anker.com", "public_key": "", "origin": "", "pkcs12": "",
        })
    }

    fn certificate() -> String {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(2036, 1, 2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn kept(account: &str, renewed_at: Option<Timestamp>) -> StoredCredentials {
        let dir = tempfile::tempdir().unwrap();
        let credentials = parse(&answer(&certificate())).unwrap();
        let file = PrivateFile::new(dir.path(), CREDENTIALS_FILE);
        let (account, server) = (AccountId::from_email(account), "https://h/".to_owned());
        let stored = StoredCredentials { account, server, renewed_at, credentials };
        file.save(&stored).unwrap();
        let kept = file.load::<StoredCredentials>().unwrap().unwrap();
        assert_eq!(kept.credentials, stored.credentials);
        kept
    }

    #[test]
    fn a_certificate_says_itself_when_it_ends() {
        let end = not_after(&Secret::new(certificate())).unwrap();
        assert_eq!(end.to_string(), "2036-01-02T00:00:00.000000Z");
        assert_eq!(not_after(&Secret::new("none")), None);
    }

    #[test]
    fn what_is_missing_or_no_name_is_refused() {
        for key in ["user_id", "private_key", "certificate_pem", "aws_root_ca1_pem", "endpoint_addr"] {
            let mut answer = answer("p");
            answer[key] = json!("");
            assert!(parse(&answer).is_err(), "{key}");
        }
        for (key, bad) in [("app_name", "a/#"), ("endpoint_addr", "h:8883"), ("endpoint_addr", "a b")] {
            let mut answer = answer("p");
            answer[key] = json!(bad);
            assert!(parse(&answer).is_err(), "{bad}");
        }
    }

    #[test]
    fn kept_ones_are_of_one_account_and_server() {
        let kept = kept("me@example.com", None);
        let me = AccountId::from_email("me@example.com");
        assert!(kept.belongs_to(Some(&me), "https://h/") && kept.belongs_to(None, "https://h/"));
        assert!(!kept.belongs_to(Some(&AccountId::from_email("you@example.com")), "https://h/"));
        assert!(!kept.belongs_to(Some(&me), "https://other/"));
    }

    #[test]
    fn a_certificate_is_replaced_on_its_last_day() {
        let kept = kept("me@example.com", None);
        let end = not_after(&kept.credentials.certificate_pem).unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        assert!(kept.holds(end.minus(hours(25))));
        assert!(!kept.holds(end.minus(hours(23))));
    }

    #[test]
    fn the_first_ones_may_be_replaced_at_once() {
        assert_eq!(kept("me@example.com", None).not_renewed_before(NOW), None);
    }

    #[test]
    fn other_ones_are_fetched_at_most_once_an_hour() {
        let kept = kept("me@example.com", Some(NOW));
        let after = |minutes: u64| NOW.plus(Duration::from_secs(minutes * 60));
        assert!(kept.not_renewed_before(after(59)).is_some());
        assert_eq!(kept.not_renewed_before(after(60)), None);
        assert_eq!(kept.not_renewed_before(NOW.minus(RENEW_EVERY)), None);
    }
}
