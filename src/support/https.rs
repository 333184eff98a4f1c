//! The one set-up of TLS and of HTTP clients: rustls with ring, so that no other provider is linked in.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

/// The root certificates of this machine; empty in a container without `ca-certificates`.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The certificates of a PEM text.
///
/// # Errors
/// A section of it cannot be read.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

/// A client's configuration that trusts `roots`; its own certificate is still to be chosen.
///
/// # Errors
/// ring has no suite for the protocol's versions.
pub fn client_config(
    roots: RootCertStore,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots))
}

/// A client for the servers at `urls`. It follows no redirect, since another host must not get a token or an
/// alert, and uses no proxy if one of them is on this machine.
pub fn client_builder(config: ClientConfig, urls: &[Url]) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("fleetwatt/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .tls_backend_preconfigured(config);
    // A proxy of the environment has a loopback of its own.
    if urls.iter().any(is_loopback) { builder.no_proxy() } else { builder }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
