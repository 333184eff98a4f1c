//! One POST: the client, the headers, and a bounded answer.

use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use super::action::{Action, action};
use super::endpoint::Endpoint;
use super::{CloudError, json};
use crate::battery::anker::auth::gtoken;
use crate::support::secret::Secret;
use crate::support::{https, regular_file};

/// A larger answer is not read; the largest that was ever seen has 87 KB.
const MAX_ANSWER: usize = 2 << 20;

/// All root certificates of a machine have 250 KB.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The time that a connection may take. Shorter than that of an answer, so that a login that found no connection is known
/// not to have been sent.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The client. Its headers are those of anker-solix-api; we are in UTC wherever this machine stands, as the
/// reference's body says too.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    country: HeaderValue,
}

/// A response.
pub(super) struct Answer {
    /// The action that it calls for.
    pub(super) action: Action,
    pub(super) status: u16,
    /// `code` of the body; `None` if the body is not one of the vendor's.
    pub(super) code: Option<i64>,
    /// `data` of the body; null if there was none.
    pub(super) data: Value,
}

impl Http {
    /// A client for the servers at `urls`.
    pub(super) fn new(urls: &[Url], country: &str, extra_ca: Option<&Path>) -> Result<Self, CloudError> {
        let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        let country =
            HeaderValue::from_str(country).ok().filter(|_| is_country).ok_or(CloudError::Country)?;
        let builder = https::client_builder(tls(extra_ca)?, urls);
        let client = builder.https_only(true).connect_timeout(CONNECT_WITHIN).build();
        let client = client.map_err(|error| CloudError::Client(error.without_url()))?;
        Ok(Self { client, country })
    }

    /// Sends a body to an endpoint of a server, and gives the answer if it comes `within` this time. `credentials`
    /// are the token and the account's id.
    pub(super) async fn post(
        &self,
        mut server: Url,
        endpoint: Endpoint,
        credentials: Option<(&Secret, &Secret)>,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Answer, CloudError> {
        server.set_path(endpoint.path());
        let request = self.client.post(server).headers(headers(&self.country, credentials)).body(body);
        let exchange = async {
            let response = request.send().await.map_err(|error| {
                let failed =
                    if error.is_connect() { CloudError::NoConnection } else { CloudError::Interrupted };
                failed(endpoint, error.without_url())
            })?;
            answer(endpoint, response).await
        };
        let answered = tokio::time::timeout(within, exchange).await;
        answered.unwrap_or(Err(CloudError::Timeout(endpoint, within)))
    }
}

fn headers(country: &HeaderValue, credentials: Option<(&Secret, &Secret)>) -> HeaderMap {
    let fixed = [
        (CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("model-type"), "DESKTOP"),
        (HeaderName::from_static("app-name"), "anker_power"),
        (HeaderName::from_static("os-type"), "android"),
        (HeaderName::from_static("timezone"), "GMT+00:00"),
    ];
    let mut headers: HeaderMap =
        fixed.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    headers.insert(HeaderName::from_static("country"), country.clone());
    if let Some((token, user_id)) = credentials {
        for (name, secret) in [("x-auth-token", token), ("gtoken", &gtoken(user_id))] {
            if let Some(value) = secret_header(secret) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    headers
}

/// A secret as a header; `None` if no header can hold it, which is checked when it is taken in.
pub(super) fn secret_header(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn answer(endpoint: Endpoint, mut response: Response) -> Result<Answer, CloudError> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| CloudError::Interrupted(endpoint, error.without_url());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(CloudError::UnexpectedResponse(endpoint, "is larger than 2 MiB"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = json::integer(&body, "code");
    let action = action(status, code, &json::text(&body, "msg").unwrap_or_default());
    Ok(Answer { action, status, code, data: body.get_mut("data").map(Value::take).unwrap_or_default() })
}

/// Trusts the root certificates of this machine, and those of `extra_ca`.
fn tls(extra_ca: Option<&Path>) -> Result<rustls::ClientConfig, CloudError> {
    let mut roots = https::system_roots();
    if let Some(path) = extra_ca {
        let fail = |source| CloudError::ExtraCa(path.to_owned(), source);
        let pem = regular_file::read(path, MAX_PEM_BYTES).map_err(fail)?;
        let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(fail(io::Error::other("there is no certificate in it")));
        }
    }
    if roots.is_empty() {
        return Err(CloudError::NoRoots);
    }
    Ok(https::client_config(roots).map_err(CloudError::Tls)?.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const US: HeaderValue = HeaderValue::from_static("US");

    /// The headers that the reference was seen to send with its n-th request.
    fn captured(n: usize) -> BTreeMap<String, String> {
        let vectors = include_str!("../../../../fixtures/solix/login-vectors.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        serde_json::from_value(vectors["http_requests_captured"][n]["headers"].clone()).unwrap()
    }

    fn sent(credentials: Option<(&Secret, &Secret)>) -> BTreeMap<String, String> {
        let headers = headers(&US, credentials);
        let pairs =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        // The reference ran with a zone of its own.
        pairs.map(|(name, value)| (name, value.replace("GMT+00:00", "GMT-05:00"))).collect()
    }

    #[test]
    fn the_headers_are_those_of_the_reference() {
        let token = Secret::new("0123456789abcdef0123456789abcdef0123456789abcdef");
        let user_id = Secret::new("34bab2a5fbc5bef03fc7a66aec41f3ee3ef7dbe0");
        assert_eq!(sent(None), captured(0));
        assert_eq!(sent(Some((&token, &user_id))), captured(1));
    }

    #[test]
    fn a_secret_header_is_not_shown_by_debug() {
        let canary = Secret::new("canary");
        assert!(!format!("{:?}", headers(&US, Some((&canary, &canary)))).contains("canary"));
    }

    #[test]
    fn a_country_is_two_capital_letters() {
        for bad in ["", "U", "us", "USA", "U\n"] {
            assert!(matches!(Http::new(&[], bad, None), Err(CloudError::Country)), "{bad:?}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Http::new(&[], "US", Some(file.path())).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
}
