//! Why a webhook cannot be used, or an attempt failed. No error holds more of the URL than its host: whoever
//! has the rest can send.

use std::borrow::Cow;
use std::time::Duration;

use crate::support::error::Diagnose;

/// Why a webhook cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The text is not a URL.
    #[error("the webhook's URL is not a URL")]
    NotAUrl,
    /// It is the URL of something else.
    #[error("the webhook's URL does not begin with https:// or http://")]
    Scheme,
    /// Nobody's certificate could be checked.
    #[error("there are no root certificates on this machine")]
    NoRoots,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

impl Diagnose for WebhookError {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotAUrl | Self::Scheme => {
                "look at what webhook_env, webhook_file or webhook_credential in [alerts] names: it is the whole URL, such as https://ntfy.sh/my-topic"
            }
            Self::NoRoots => "install ca-certificates, or name a file of them in SSL_CERT_FILE",
            Self::Tls(_) | Self::Client(_) => "this is a defect of fleetwatt: please report it with the log",
        })
    }

    fn is_transient(&self) -> bool {
        false
    }
}

/// Why something was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// No answer: the name, the connection, TLS, or a break in between.
    #[error("no connection to the webhook at {endpoint}")]
    Unreachable {
        /// Scheme and host.
        endpoint: String,
        /// The client's error; without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("no answer from the webhook at {endpoint} within {}", humantime::format_duration(*within))]
    Timeout {
        /// Scheme and host.
        endpoint: String,
        /// The time waited.
        within: Duration,
    },
    /// An answer that says no.
    #[error("the webhook at {endpoint} answered with HTTP status {status}")]
    Status {
        /// Scheme and host.
        endpoint: String,
        /// The status of the answer.
        status: u16,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// There was no time left for an attempt.
    #[error("no time left for the webhook at {endpoint}")]
    NoTime {
        /// Scheme and host.
        endpoint: String,
    },
}

impl DeliveryError {
    /// Whether the webhook answered, and is not only away.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Status { .. })
    }

    /// The pause that the other side asks for, if any.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::NoTime { .. } => None,
        }
    }
}

impl Diagnose for DeliveryError {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => {
                "check that it is up and that this machine may reach it; it is tried again"
            }
            Self::Status { status: 300..=399, .. } => {
                "write the URL that it redirects to: redirects are not followed, so that no other host gets the alerts"
            }
            Self::Status { status: 400, .. } => "check that webhook_format is what it takes",
            Self::Status { status: 401 | 403 | 404 | 410, .. } => {
                "check the webhook's URL and its token; they may have been withdrawn"
            }
            Self::Status { status: 413, .. } => "it takes no message of this size",
            Self::Status { status: 429, .. } => "it asks for fewer messages; it is tried again later",
            Self::Status { .. } => "look into its own log",
            Self::NoTime { .. } => "it is tried again in the next cycle",
        })
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => !matches!(status, 300..=407 | 409..=428 | 430..=499),
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::NoTime { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u16) -> DeliveryError {
        DeliveryError::Status { endpoint: "https://h".to_owned(), status, retry_after: None }
    }

    #[test]
    fn a_refusal_is_lasting_unless_it_speaks_of_time() {
        assert!(![301, 400, 401, 404, 410, 422].into_iter().any(|status| of_status(status).is_transient()));
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(|status| of_status(status).is_transient()));
    }
}
