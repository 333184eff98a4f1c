//! Mutual TLS from PEM texts in memory: nothing is written to a file for it.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::error::{MqttError, MqttErrorKind};
use crate::support::https::{self, certificates};

/// The client's side of the connection: it trusts only the authority that the REST interface gave, and
/// shows the certificate that it gave.
///
/// # Errors
/// One of the three is not what it should be. The error says which, and nothing of it.
pub fn client_config(
    authority_pem: &str,
    certificate_pem: &str,
    private_key_pem: &str,
) -> Result<Arc<ClientConfig>, MqttError> {
    let bad = |what: &str| {
        MqttError::new(MqttErrorKind::Credentials, &format!("{what} that the cloud gave cannot be read"))
    };
    let mut roots = RootCertStore::empty();
    let authorities =
        certificates(authority_pem.as_bytes()).map_err(|_may_show_it| bad("the broker's authority"))?;
    roots.add_parsable_certificates(authorities);
    let chain = certificates(certificate_pem.as_bytes()).ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| bad("the client certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(private_key_pem.as_bytes())
        .map_err(|_may_show_it| bad("the private key"))?;
    if roots.is_empty() {
        return Err(bad("the broker's authority"));
    }
    let config = https::client_config(roots)
        .map_err(|error| MqttError::new(MqttErrorKind::Credentials, &error.to_string()))?
        .with_client_auth_cert(chain, key)
        .map_err(|_may_show_it| bad("the certificate and the private key"))?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_without_being_shown() {
        let made = rcgen::generate_simple_self_signed(vec!["h".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let key = made.signing_key.serialize_pem();
        assert!(client_config(&certificate, &certificate, &key).is_ok());
        let cases = [
            (["canary", &certificate, &key], "authority"),
            ([&certificate, "canary", &key], "client certificate"),
            ([&certificate, &certificate, "-----BEGIN RSA PRIVATE KEY-----\ncanary"], "private key"),
        ];
        for ([authority, certificate, key], named) in cases {
            let error = client_config(authority, certificate, key).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.contains(named) && !told.contains("canary"), "{told}");
        }
    }
}
