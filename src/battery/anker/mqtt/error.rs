//! Why the broker could not be reached, or was lost.

use std::error::Error as StdError;
use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
use rustls::AlertDescription;

use crate::reading::{AccountTrouble, SafeText};

/// Why the broker could not be reached, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", kind.texts().1)]
pub struct MqttError {
    /// The class.
    pub kind: MqttErrorKind,
    /// The words of the system or the library, cleaned; they hold no secret.
    pub detail: SafeText,
}

/// The class of a failure to reach the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MqttErrorKind {
    /// Certificate, key or authority are unusable here.
    Credentials,
    /// The name cannot be resolved, or nobody answers there.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The broker's certificate is not one that the authority vouches for.
    BrokerCertificate,
    /// The broker does not accept our certificate, or refuses the connection.
    Refused,
    /// The broker closed the connection.
    Closed,
    /// The broker answered something that MQTT does not allow.
    Protocol,
    /// The broker does not let us hear the stations.
    SubscriptionRefused,
}

impl MqttErrorKind {
    /// A short, stable label, what happened, and what to do.
    const fn texts(self) -> (&'static str, &'static str, &'static str) {
        const LOST: &str = "it is tried again; if it stays so, see whether this machine reaches the broker";
        const RENEWED: &str = "a new certificate is asked for once an hour; if it stays so, log in with the \
                               phone app and see whether the station is still bound to this account";
        const UNBOUND: &str = "see with the phone app whether it is still bound to this account, and remove and \
                               add it there if the app has no live values either";
        match self {
            Self::Credentials => ("mqtt_credentials", "", RENEWED),
            Self::Unreachable => ("mqtt_lost", "the broker cannot be reached: ", LOST),
            Self::Timeout => ("mqtt_lost", "the broker gives no answer: ", LOST),
            Self::BrokerCertificate => (
                "mqtt_broker_certificate",
                "the broker's certificate is not of the authority that the cloud gave: ",
                "somebody may stand between; nothing is sent there",
            ),
            Self::Refused => ("mqtt_refused", "the broker refused the connection: ", RENEWED),
            Self::Closed => ("mqtt_lost", "the broker closed the connection: ", LOST),
            Self::Protocol => ("mqtt_protocol", "the broker breaks the protocol: ", "it is tried again"),
            Self::SubscriptionRefused => {
                ("mqtt_subscription_refused", "the broker refuses the subscription to ", UNBOUND)
            }
        }
    }
}

impl MqttError {
    pub(crate) fn new(kind: MqttErrorKind, detail: &str) -> Self {
        Self { kind, detail: SafeText::new(detail) }
    }

    /// The class of a failed connection. The system's own error counts, in whatever it was wrapped on the way.
    pub(super) fn from_connection(error: &ConnectionError) -> Self {
        if let Some(told) = causes(error).find_map(from_cause) {
            return told;
        }
        let kind = match error {
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => MqttErrorKind::Timeout,
            ConnectionError::ConnectionRefused(code) => from_code(*code),
            ConnectionError::MqttState(StateError::AwaitPingResp) => MqttErrorKind::Timeout,
            ConnectionError::RequestsDone | ConnectionError::MqttState(StateError::ConnectionAborted) => {
                MqttErrorKind::Closed
            }
            ConnectionError::Io(_)
            | ConnectionError::Tls(_)
            | ConnectionError::NotConnAck(_)
            | ConnectionError::MqttState(_) => MqttErrorKind::Protocol,
        };
        // The packet could hold anything.
        let is_packet = matches!(error, ConnectionError::NotConnAck(_));
        let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
        Self::new(kind, if is_packet { "no CONNACK came first" } else { &innermost })
    }

    /// The same, as the session reports what keeps it from working.
    pub(crate) fn trouble(&self, needs_person: bool) -> AccountTrouble {
        let (kind, _, hint) = self.kind.texts();
        AccountTrouble { kind, message: format!("{self}: {hint}"), needs_person }
    }
}

/// An error and its causes, the outermost first.
fn causes(error: &ConnectionError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let outermost: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(outermost), |error: &&(dyn StdError + 'static)| (*error).source())
}

/// The error that the system or TLS reported, if this is one.
fn from_cause(cause: &(dyn StdError + 'static)) -> Option<MqttError> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};

    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(MqttError::new(from_tls(error), &error.to_string()));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    // An I/O error hides what it wraps from the chain.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(MqttError::new(from_tls(inner), &inner.to_string()));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // rustls says it with a page of its manual.
        return Some(MqttError::new(MqttErrorKind::Closed, "without a word"));
    }
    let kind = if error.kind() == io::ErrorKind::TimedOut {
        MqttErrorKind::Timeout
    } else if matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe) {
        // The other side has hung up.
        MqttErrorKind::Closed
    } else {
        MqttErrorKind::Unreachable
    };
    Some(MqttError::new(kind, &error.to_string()))
}

fn from_tls(error: &rustls::Error) -> MqttErrorKind {
    if matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) {
        return MqttErrorKind::BrokerCertificate;
    }
    let is_refusal =
        matches!(error, rustls::Error::AlertReceived(alert) if ABOUT_OUR_CERTIFICATE.contains(alert));
    if is_refusal { MqttErrorKind::Refused } else { MqttErrorKind::Protocol }
}

/// The alerts by which a server says that it does not take a client's certificate (RFC 8446, 6.2).
const ABOUT_OUR_CERTIFICATE: [AlertDescription; 9] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::CertificateRequired,
    AlertDescription::DecryptError,
];

fn from_code(code: ConnectReturnCode) -> MqttErrorKind {
    match code {
        ConnectReturnCode::BadClientId
        | ConnectReturnCode::BadUserNamePassword
        | ConnectReturnCode::NotAuthorized => MqttErrorKind::Refused,
        ConnectReturnCode::ServiceUnavailable => MqttErrorKind::Unreachable,
        ConnectReturnCode::Success | ConnectReturnCode::RefusedProtocolVersion => MqttErrorKind::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_about_our_certificate_is_a_refusal_wherever_it_stands() {
        let alert = || {
            let inner = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
            io::Error::new(io::ErrorKind::InvalidData, inner)
        };
        let errors = [
            ConnectionError::Io(alert()),
            ConnectionError::Tls(rumqttc::TlsError::Io(alert())),
            ConnectionError::MqttState(StateError::Io(alert())),
            ConnectionError::MqttState(StateError::Deserialization(rumqttc::mqttbytes::Error::Io(alert()))),
        ];
        for error in &errors {
            let told = MqttError::from_connection(error);
            assert_eq!(told.kind, MqttErrorKind::Refused, "{told}");
            assert!(told.to_string().contains("CertificateExpired"), "{told}");
        }
    }

    #[test]
    fn a_return_code_says_whether_we_are_refused_or_the_service_is_away() {
        let kind = |code| MqttError::from_connection(&ConnectionError::ConnectionRefused(code)).kind;
        assert_eq!(kind(ConnectReturnCode::NotAuthorized), MqttErrorKind::Refused);
        assert_eq!(kind(ConnectReturnCode::ServiceUnavailable), MqttErrorKind::Unreachable);
    }

    #[test]
    fn nobody_at_the_address_is_no_refusal() {
        let error = ConnectionError::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(MqttError::from_connection(&error).kind, MqttErrorKind::Unreachable);
    }
}
