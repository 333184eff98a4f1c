//! Why the broker could not be reached, or was lost.

use std::error::Error as StdError;
use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
use rustls::AlertDescription;

use crate::reading::SafeText;

/// Why the broker could not be reached, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct MqttError {
    /// The class.
    pub kind: MqttErrorKind,
    /// What the system or the library said, cleaned; holds no secret.
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

impl MqttError {
    pub(in crate::battery::anker) fn new(kind: MqttErrorKind, detail: &str) -> Self {
        Self { kind, detail: SafeText::new(detail) }
    }

    /// What a failed connection means. What the system said counts, in whatever it was wrapped on the way.
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

    fn words(&self) -> String {
        let detail = self.detail.as_str();
        match self.kind {
            MqttErrorKind::Credentials => detail.to_owned(),
            MqttErrorKind::Unreachable => format!("the broker cannot be reached: {detail}"),
            MqttErrorKind::Timeout => format!("the broker gives no answer: {detail}"),
            MqttErrorKind::BrokerCertificate => {
                format!("the broker's certificate is not of the authority that the cloud gave: {detail}")
            }
            MqttErrorKind::Refused => format!("the broker refused the connection: {detail}"),
            MqttErrorKind::Closed => format!("the broker closed the connection: {detail}"),
            MqttErrorKind::Protocol => format!("the broker breaks the protocol: {detail}"),
            MqttErrorKind::SubscriptionRefused => {
                format!("the broker refuses the subscription to {detail}")
            }
        }
    }
}

/// An error and its causes, the outermost first.
fn causes(error: &ConnectionError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let outermost: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(outermost), |error: &&(dyn StdError + 'static)| (*error).source())
}

/// How the system says that the other side has hung up.
const CUT: [io::ErrorKind; 3] =
    [io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionAborted, io::ErrorKind::BrokenPipe];

/// What the system or TLS said, if this is that.
fn from_cause(cause: &(dyn StdError + 'static)) -> Option<MqttError> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(MqttError::new(from_tls(error), &error.to_string()));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    // An I/O error hides what it wraps from the chain.
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(MqttError::new(from_tls(inner), &inner.to_string()));
    }
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let kind = if is(&[io::ErrorKind::UnexpectedEof]) {
        // rustls says it with a page of its manual.
        return Some(MqttError::new(MqttErrorKind::Closed, "without a word"));
    } else if is(&[io::ErrorKind::TimedOut]) {
        MqttErrorKind::Timeout
    } else if is(&CUT) {
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
    let is_refusal = matches!(error, rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert));
    if is_refusal { MqttErrorKind::Refused } else { MqttErrorKind::Protocol }
}

/// The alerts by which a server says that it does not take a client's certificate (RFC 8446, 6.2).
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    [
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::CertificateRequired,
        AlertDescription::DecryptError,
    ]
    .contains(&alert)
}

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
