//! Why the broker could not be reached, or was lost.

use std::error::Error as StdError;
use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError};
use rustls::AlertDescription;

use crate::reading::Clean;

/// Why the broker could not be reached, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct MqttError {
    /// The class.
    pub kind: MqttErrorKind,
    /// What the system or the library said, cleaned; holds no secret.
    pub detail: Clean,
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
    /// The broker does not take our certificate, or does not let us in.
    Refused,
    /// The broker closed the connection.
    Closed,
    /// The broker answered something that MQTT does not allow.
    Protocol,
    /// The broker does not let us hear the stations.
    SubscriptionRefused,
}

impl MqttError {
    pub(in crate::solix) fn new(kind: MqttErrorKind, detail: &str) -> Self {
        Self { kind, detail: Clean::new(detail) }
    }

    /// What a failed connection means.
    pub(super) fn of_connection(error: &ConnectionError) -> Self {
        let kind = match error {
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => MqttErrorKind::Timeout,
            ConnectionError::Tls(TlsError::Io(error)) => of_io(error),
            ConnectionError::Tls(TlsError::TLS(error)) => of_tls(error),
            ConnectionError::Tls(_) | ConnectionError::NotConnAck(_) => MqttErrorKind::Protocol,
            ConnectionError::Io(error) => of_io(error),
            ConnectionError::ConnectionRefused(code) => of_code(*code),
            ConnectionError::RequestsDone => MqttErrorKind::Closed,
            ConnectionError::MqttState(error) => of_state(error),
        };
        // The packet could hold anything.
        let is_packet = matches!(error, ConnectionError::NotConnAck(_));
        let detail = if is_packet { "no CONNACK came first".to_owned() } else { innermost(error) };
        Self::new(kind, &detail)
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
            MqttErrorKind::Refused => format!("the broker does not let us in: {detail}"),
            MqttErrorKind::Closed => format!("the broker closed the connection: {detail}"),
            MqttErrorKind::Protocol => format!("the broker breaks the protocol: {detail}"),
            MqttErrorKind::SubscriptionRefused => {
                format!("the broker refuses the subscription to {detail}")
            }
        }
    }
}

/// The cause at the end of the chain, which says it best.
fn innermost(error: &ConnectionError) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn of_io(error: &io::Error) -> MqttErrorKind {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(tls), _) => of_tls(tls),
        (None, io::ErrorKind::TimedOut) => MqttErrorKind::Timeout,
        (
            None,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe,
        ) => MqttErrorKind::Closed,
        (None, _) => MqttErrorKind::Unreachable,
    }
}

fn of_state(error: &StateError) -> MqttErrorKind {
    match error {
        StateError::Io(error) => of_io(error),
        StateError::AwaitPingResp => MqttErrorKind::Timeout,
        StateError::ConnectionAborted => MqttErrorKind::Closed,
        StateError::InvalidState
        | StateError::Unsolicited(_)
        | StateError::WrongPacket
        | StateError::CollisionTimeout
        | StateError::EmptySubscription
        | StateError::Deserialization(_) => MqttErrorKind::Protocol,
    }
}

fn of_tls(error: &rustls::Error) -> MqttErrorKind {
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

fn of_code(code: ConnectReturnCode) -> MqttErrorKind {
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
            ConnectionError::Tls(TlsError::Io(alert())),
            ConnectionError::MqttState(StateError::Io(alert())),
        ];
        for error in &errors {
            let told = MqttError::of_connection(error);
            assert_eq!(told.kind, MqttErrorKind::Refused, "{told}");
            assert!(told.to_string().contains("CertificateExpired"), "{told}");
        }
    }

    #[test]
    fn a_return_code_says_whether_we_are_refused_or_the_service_is_away() {
        let kind = |code| MqttError::of_connection(&ConnectionError::ConnectionRefused(code)).kind;
        assert_eq!(kind(ConnectReturnCode::NotAuthorized), MqttErrorKind::Refused);
        assert_eq!(kind(ConnectReturnCode::ServiceUnavailable), MqttErrorKind::Unreachable);
    }

    #[test]
    fn nobody_at_the_address_is_no_refusal() {
        let error = ConnectionError::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(MqttError::of_connection(&error).kind, MqttErrorKind::Unreachable);
    }
}
