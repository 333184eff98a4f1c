//! Errors of a webhook. They hold no more of its URL than the host: whoever has the rest can send.

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

/// Why something was not delivered by the webhook at this scheme and host.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// No answer: the name, the connection, TLS, or a break in between. The client's error is without the URL.
    #[error("no connection to the webhook at {0}")]
    Unreachable(String, #[source] reqwest::Error),
    /// No answer within this time.
    #[error("no answer from the webhook at {0} within {within}", within = humantime::format_duration(*.1))]
    Timeout(String, Duration),
    /// An answer with a status that says no, and the pause that it asks for.
    #[error("the webhook at {0} answered with HTTP status {1}")]
    Status(String, u16, Option<Duration>),
    /// There was no time left for an attempt.
    #[error("no time left for the webhook at {0}")]
    NoTime(String),
}

impl Diagnose for DeliveryError {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreachable(..) | Self::Timeout(..) => {
                "check that it is up and that this machine may reach it; it is tried again"
            }
            Self::Status(_, 300..=399, _) => {
                "write the URL that it redirects to: redirects are not followed, so that no other host gets the alerts"
            }
            Self::Status(_, 400, _) => "check that webhook_format is what it takes",
            Self::Status(_, 401 | 403 | 404 | 410, _) => {
                "check the webhook's URL and its token; they may have been withdrawn"
            }
            Self::Status(_, 413, _) => "it takes no message of this size",
            Self::Status(_, 429, _) => "it asks for fewer messages; it is tried again later",
            Self::Status(..) => "look into its own log",
            Self::NoTime(_) => "it is tried again in the next cycle",
        })
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Status(_, status, _) => !matches!(status, 300..=407 | 409..=428 | 430..=499),
            Self::Unreachable(..) | Self::Timeout(..) | Self::NoTime(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u16) -> DeliveryError {
        DeliveryError::Status("https://h".to_owned(), status, None)
    }

    #[test]
    fn a_refusal_is_lasting_unless_it_speaks_of_time() {
        assert!(![301, 400, 401, 404, 410, 422].into_iter().any(|status| of_status(status).is_transient()));
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(|status| of_status(status).is_transient()));
    }
}
