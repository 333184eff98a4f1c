//! Why the broker could not be reached, or was lost.

use std::error::Error;
use std::io;

use rumqttc::{ConnectReturnCode, ConnectionError};

use crate::reading::SafeText;

const LOGIN: &str =
    "check what `user_…` and `password_…` in [mqtt] name, and what the broker lets this user do";
const REACH: &str = "it is tried again; check `url` in [mqtt], and that the broker runs";
const TRUST: &str = "name the certificate authority of the broker by `ca` in [mqtt]";

/// The trouble and the remedy, in one line. It holds no secret.
pub(super) fn in_words(error: &ConnectionError) -> String {
    let (what, hint) = match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => ("the broker refuses the user name or the password".to_owned(), LOGIN),
        ConnectionError::ConnectionRefused(code) => (format!("the broker refuses us ({code:?})"), REACH),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            ("the broker gives no answer".to_owned(), REACH)
        }
        // The packet could hold anything.
        ConnectionError::NotConnAck(_) => ("something else than a broker answers".to_owned(), REACH),
        ConnectionError::MqttState(_)
        | ConnectionError::Tls(_)
        | ConnectionError::Io(_)
        | ConnectionError::RequestsDone => by_cause(error),
    };
    format!("{what}; {hint}")
}

fn by_cause(error: &ConnectionError) -> (String, &'static str) {
    if let Some(tls) = causes(error).find_map(of_tls) {
        let is_untrusted = matches!(tls, rustls::Error::InvalidCertificate(_));
        let what = format!("the broker's side of TLS: {}", SafeText::new(&tls.to_string()));
        return (what, if is_untrusted { TRUST } else { REACH });
    }
    let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
    (format!("the broker is lost or not reached: {}", SafeText::new(&innermost)), REACH)
}

/// An error and its causes, the outermost first.
fn causes(error: &ConnectionError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let outermost: &(dyn Error + 'static) = error;
    std::iter::successors(Some(outermost), |error: &&(dyn Error + 'static)| (*error).source())
}

/// The error of TLS, which an I/O error hides from the chain.
fn of_tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let inner = || cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>();
    cause.downcast_ref::<rustls::Error>().or_else(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_is_refused_says_where_it_is_from() {
        let told = in_words(&ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized));
        assert!(told.starts_with("the broker refuses the user name or the password; "), "{told}");
        assert!(told.contains("password_"), "{told}");
    }

    #[test]
    fn a_certificate_of_nobody_says_how_to_trust_it() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        for error in [
            ConnectionError::Io(io::Error::new(io::ErrorKind::InvalidData, tls.clone())),
            ConnectionError::Tls(rumqttc::TlsError::Io(io::Error::other(tls))),
        ] {
            let told = in_words(&error);
            assert!(told.contains("UnknownIssuer") && told.contains("`ca`"), "{told}");
        }
    }

    #[test]
    fn nobody_at_the_address_is_told_in_the_words_of_the_system() {
        let told = in_words(&ConnectionError::Io(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(told.contains("connection refused") && told.contains("`url`"), "{told}");
    }
}
