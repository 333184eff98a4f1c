//! One attempt: the client, the request, and what an answer means.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};

use super::render::{HostLabels, Message, render};
use super::{DeliveryError, WebhookError};
use crate::alert::Transition;
use crate::inventory::{WebhookFormat, WebhookSettings};
use crate::reading::Timestamp;
use crate::support::https;

/// Interval at which active alerts are repeated for Alertmanager, which drops them after five minutes.
pub(super) const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// So many repetitions may get lost before Alertmanager takes an alert for resolved; as Prometheus does it.
const REPETITIONS: u32 = 4;

/// Where Alertmanager takes alerts.
const ALERTMANAGER_PATH: &str = "/api/v2/alerts";

/// The longest pause that an answer may ask for: a wrong date must not silence us for ever.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Backoff and time limit of the delivery of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The pause after the first failure; each further one is twice as long, all of them with jitter.
    pub initial_backoff: Duration,
    /// The longest pause of its own choice. What the other side asks for may be longer.
    pub max_backoff: Duration,
    /// After this long a message is given up that the webhook answered and did not take; one that is away is
    /// waited for.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            give_up_after: Duration::from_secs(60 * 60),
        }
    }
}

/// Where alerts are sent. Its URL is a secret: it is shown as scheme and host only.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    endpoint: String,
    format: WebhookFormat,
    timeout: Duration,
    holds_for: Duration,
    /// The patience with one message.
    pub retry_policy: RetryPolicy,
    /// The labels of hosts, which Alertmanager gets.
    pub labels: HostLabels,
    now: fn() -> Timestamp,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("endpoint", &self.endpoint)
            .field("format", &self.format)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook at `url`, which was read from where the settings say. `interval` is that of the cycles;
    /// `now` is the wall clock.
    ///
    /// # Errors
    /// The text is no web address, or TLS cannot be set up. No error holds the URL.
    pub fn new(
        url: &str,
        settings: &WebhookSettings,
        interval: Duration,
        now: fn() -> Timestamp,
    ) -> Result<Self, WebhookError> {
        let mut url = Url::parse(url.trim()).map_err(|_names_the_url| WebhookError::NotAUrl)?;
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "https" | "http")) else {
            return Err(WebhookError::Scheme);
        };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let endpoint = format!("{}://{host}{port}", url.scheme());
        let client = client(&url)?;
        if settings.format == WebhookFormat::Alertmanager && url.path() == "/" {
            url.set_path(ALERTMANAGER_PATH);
        }
        Ok(Self {
            client,
            url,
            endpoint,
            format: settings.format,
            timeout: settings.timeout,
            holds_for: REPEAT_EVERY.max(interval).saturating_mul(REPETITIONS),
            retry_policy: RetryPolicy::default(),
            labels: HostLabels::default(),
            now,
        })
    }

    /// Whether messages go to the same place, and look the same.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.url, self.format, self.timeout, self.holds_for, &self.labels)
            == (&other.url, other.format, other.timeout, other.holds_for, &other.labels)
    }

    /// Scheme and host, which may be shown.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether firing alerts must be repeated until they are cleared.
    pub(super) fn must_repeat(&self) -> bool {
        self.format == WebhookFormat::Alertmanager
    }

    pub(super) fn render(&self, transitions: &[Transition]) -> Message {
        render(self.format, transitions, (self.now)().plus(self.holds_for), &self.labels)
    }

    /// Sends one transition once, by itself; gives the HTTP status of the answer that took it.
    ///
    /// # Errors
    /// It was not taken.
    pub async fn send_once(&self, transition: &Transition) -> Result<u16, DeliveryError> {
        self.post(&self.render(std::slice::from_ref(transition)), self.timeout).await
    }

    /// Tries the connection, and sends nothing of what the URL has behind the host; gives the HTTP status
    /// of the answer, whatever it is.
    ///
    /// # Errors
    /// No answer came.
    pub async fn reach(&self) -> Result<u16, DeliveryError> {
        let mut url = self.url.clone();
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        // A URL with a host can have both; an error would say that this one cannot.
        url.set_username("").and_then(|()| url.set_password(None)).unwrap_or_default();
        let request = self.client.head(url).timeout(self.timeout);
        self.answer(request, self.timeout).await.map(|answer| answer.status().as_u16())
    }

    /// Sends one message once, within the webhook's timeout and within `left`; gives the HTTP status.
    pub(super) async fn post(&self, message: &Message, left: Duration) -> Result<u16, DeliveryError> {
        let within = self.timeout.min(left);
        let mut request = self.client.post(self.url.clone()).timeout(within).body(message.body.clone());
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        let answer = self.answer(request, within).await?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(status);
        }
        let retry_after =
            answer.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, (self.now)()));
        Err(DeliveryError::Status(self.endpoint.clone(), status, retry_after))
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        within: Duration,
    ) -> Result<reqwest::Response, DeliveryError> {
        let endpoint = self.endpoint.clone();
        match request.send().await {
            Ok(answer) => Ok(answer),
            Err(error) if error.is_timeout() => Err(DeliveryError::Timeout(endpoint, within)),
            Err(error) => Err(DeliveryError::Unreachable(endpoint, error.without_url())),
        }
    }
}

fn client(url: &Url) -> Result<Client, WebhookError> {
    let is_https = url.scheme() == "https";
    let roots = if is_https { https::system_roots() } else { rustls::RootCertStore::empty() };
    if is_https && roots.is_empty() {
        return Err(WebhookError::NoRoots);
    }
    let config = https::client_config(roots).map_err(WebhookError::Tls)?.with_no_client_auth();
    https::client_builder(config, std::slice::from_ref(url))
        // Alerts are rare: a connection that is kept is dead when it is needed.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| WebhookError::Client(error.without_url()))
}

/// `Retry-After`: seconds, or a date as HTTP writes it.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let pause = match text.parse::<u32>() {
        Ok(seconds) => Duration::from_secs(seconds.into()),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_microsecond();
            Timestamp::from_micros(until).since(now)
        }
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::SecretSource;

    /// 2026-11-24T07:00:00Z.
    const NOW: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

    fn webhook(url: &str, format: WebhookFormat) -> Result<Webhook, WebhookError> {
        let settings = WebhookSettings {
            url: SecretSource::Env("W".to_owned()),
            format,
            timeout: Duration::from_secs(1),
        };
        Webhook::new(url, &settings, Duration::from_secs(600), || NOW)
    }

    #[test]
    fn only_scheme_and_host_of_the_url_are_shown() {
        let webhook = webhook("http://me:canary@h.example:8080/canary?t=canary", WebhookFormat::Json);
        let webhook = webhook.unwrap();
        assert_eq!(webhook.endpoint(), "http://h.example:8080");
        assert!(!format!("{webhook:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_web_address_is_refused_without_being_repeated() {
        for bad in ["", "canary", "ftp://canary/x", "https://", "mailto:canary", "//canary"] {
            let error = webhook(bad, WebhookFormat::Json).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn alertmanagers_own_address_is_enough() {
        let path = |url| webhook(url, WebhookFormat::Alertmanager).unwrap().url.path().to_owned();
        assert_eq!(path("http://am:9093"), "/api/v2/alerts");
        assert_eq!(path("http://am:9093/prefix/api/v2/alerts"), "/prefix/api/v2/alerts");
    }

    #[test]
    fn an_alert_holds_for_four_cycles_where_these_are_long() {
        assert_eq!(webhook("http://h", WebhookFormat::Json).unwrap().holds_for, Duration::from_secs(2_400));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let parsed = |text| retry_after(&HeaderValue::from_static(text), NOW).map(|pause| pause.as_secs());
        assert_eq!(parsed("120"), Some(120));
        assert_eq!(parsed("Tue, 24 Nov 2026 07:00:30 GMT"), Some(30));
        assert_eq!(parsed("Tue, 24 Nov 2026 06:00:30 GMT"), Some(0));
        assert_eq!(parsed("999999"), Some(3_600));
        assert_eq!(parsed("soon"), None);
    }
}
