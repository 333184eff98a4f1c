//! Why the cloud could not be asked, or what it answered instead. No error holds a secret, nor anything that
//! the server wrote.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use crate::reading::{AccountTrouble, SafeText, Timestamp, error_chain};
use crate::support::error::Diagnose;

/// Why a call to the cloud, or a login, did not lead to what was asked for.
///
/// The variants are grouped: what is set up wrongly, why there is no login, and what became of a call.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// `api_url` cannot be used.
    #[error("api_url in [solix] is not an https address without a path")]
    ApiUrl,
    /// The country is none.
    #[error("the country of the Solix account is not two capital letters, such as US or DE")]
    Country,
    /// `login_key` cannot be used.
    #[error("login_key in [solix] is not a point of P-256")]
    LoginKey,
    /// `extra_ca` cannot be used.
    #[error("the certificates in `{}`", .0.display())]
    ExtraCa(PathBuf, #[source] io::Error),
    /// Nobody's certificate could be checked.
    #[error("there are no root certificates on this machine")]
    NoRoots,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// A file that must outlive this process cannot be written. Without that there is no login, as its count would
    /// be forgotten.
    #[error("the Solix file `{}` in the state directory", .0.display())]
    State(PathBuf, #[source] io::Error),
    /// The system gave no random numbers.
    #[error("no random numbers from the system")]
    Random,

    /// Nobody is logged in, and there is no e-mail address or no password to log in with.
    #[error("there is no Solix login, and no e-mail address and password to log in with")]
    NoCredentials,
    /// Nobody is logged in, and whoever is to leave no trace does not log in.
    #[error("there is no Solix login, and what leaves no trace does not log in")]
    NotLoggedIn,
    /// The e-mail address or the password is wrong (26108, 26156), as was said then. They are not sent again.
    #[error("the Solix cloud refused the e-mail address or the password at {0}")]
    CredentialsRefused(Timestamp),
    /// A verification is demanded since then, with this code (26050 to 26055, 100032, 100033).
    #[error("the Solix cloud demands a verification (code {0}) since {1}")]
    VerificationNeeded(i64, Timestamp),
    /// No login before then: what the server demanded, or what we demand of ourselves.
    #[error("no login to the Solix cloud before {until}: {pause}")]
    LoginPaused {
        /// Until when.
        until: Timestamp,
        /// Why.
        pause: Pause,
    },
    /// A login was sent, and failed with this HTTP status and code in a way that says nothing of the credentials.
    #[error("the login to the Solix cloud failed{}", status_suffix(*.0, *.1))]
    LoginFailed(u16, Option<i64>),
    /// Another process of this state directory is logging in.
    #[error("another fleetwatt is logging in to the Solix cloud")]
    LoginUnderWay,

    /// No connection: the name, the address, or TLS. Nothing was sent.
    #[error("no connection to the Solix cloud for {0}")]
    NoConnection(Endpoint, #[source] reqwest::Error),
    /// The connection broke before the answer was there.
    #[error("the connection to the Solix cloud broke for {0}")]
    Interrupted(Endpoint, #[source] reqwest::Error),
    /// No answer within this time, twice.
    #[error("no answer from the Solix cloud to {0} within {within}", within = humantime::format_duration(*.1))]
    Timeout(Endpoint, Duration),
    /// [`Cloud::deadline`](super::Cloud::deadline) is too near.
    #[error("no time left to ask the Solix cloud for {0}")]
    NoTime(Endpoint),
    /// An answer that says no, with its HTTP status and code. It may be tried in the next cycle.
    #[error("the Solix cloud did not answer {0}{suffix}", suffix = status_suffix(*.1, *.2))]
    Failed(Endpoint, u16, Option<i64>),
    /// The token is not accepted, and a new login did not help or was not allowed.
    #[error("the Solix cloud does not accept the login for {0}")]
    NotAccepted(Endpoint),
    /// Too many calls to this endpoint from this network (429), also after waiting.
    #[error("too many calls to {0} of the Solix cloud from this network")]
    TooManyCalls(Endpoint),
    /// This server or this kind of site does not have it. It is not asked before then.
    #[error("the Solix cloud does not have {0} for this account; it is not asked before {1}")]
    Unsupported(Endpoint, Timestamp),
    /// This account may not read it (160003), such as a member of a family. It is not asked before then.
    #[error("this Solix account may not read {0}; it is not asked before {1}")]
    Forbidden(Endpoint, Timestamp),
    /// The answer is not what it should be, or larger than it may be.
    #[error("the answer of the Solix cloud to {0} {1}")]
    UnexpectedResponse(Endpoint, &'static str),
    /// New MQTT credentials were fetched a short while ago; others are not before then.
    #[error("new MQTT credentials are not fetched before {0}")]
    CredentialsTooSoon(Timestamp),
}

/// Why there is no login before a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// One login in ten minutes is allowed.
    #[error("at most one in ten minutes")]
    TooSoon,
    /// Six logins a day are allowed.
    #[error("at most six a day")]
    DailyLimit,
    /// The server has locked the account (100053).
    #[error("the server has locked the account after too many logins")]
    Locked,
    /// The server does not accept our key (26070), not even a second one.
    #[error("the server does not accept our key")]
    KeyRefused,
    /// The last login worked, but its token did not.
    #[error("the last login worked, but the server did not accept its token")]
    TokenUseless,
    /// Another login took this one's place (26084).
    #[error("another login took this one's place")]
    KickedOut,
    /// The count of logins was lost, so that one may just have been made.
    #[error("the count of earlier logins was lost")]
    CountLost,
}

/// A status and a code as people read them; nothing where all was well.
fn status_suffix(status: u16, code: Option<i64>) -> String {
    match code {
        Some(code) if status == 200 => format!(": code {code}"),
        Some(code) => format!(": HTTP status {status}, code {code}"),
        None => format!(": HTTP status {status}"),
    }
}

/// The hint about a login that failed with this HTTP status.
const fn login_hint(status: u16) -> &'static str {
    match status {
        429 => "too many programs and phones of this network ask at once: it is tried again by itself, later",
        401 | 403 => {
            "the cloud lets nobody of this network log in, as after too many failed logins: end other programs \
             that log in, and wait some hours; it is tried again by itself"
        }
        500..=599 => "the cloud has a trouble of its own: it is tried again by itself",
        _ => "it is tried again by itself; if it stays so, the vendor has changed its interface",
    }
}

/// The kinds that last until a person does something.
const LASTING_KINDS: [&str; 6] =
    ["settings", "state", "no_credentials", "not_logged_in", "login_refused", "forbidden"];

impl CloudError {
    /// A short, stable label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ApiUrl
            | Self::Country
            | Self::LoginKey
            | Self::ExtraCa { .. }
            | Self::NoRoots
            | Self::Tls(_)
            | Self::Client(_) => "settings",
            Self::State { .. } | Self::Random => "state",
            Self::NoCredentials => "no_credentials",
            Self::NotLoggedIn => "not_logged_in",
            Self::CredentialsRefused { .. } | Self::VerificationNeeded { .. } => "login_refused",
            Self::LoginPaused { .. } | Self::LoginUnderWay => "login_blocked",
            Self::LoginFailed { .. } => "login_failed",
            Self::NotAccepted { .. } => "not_accepted",
            Self::NoConnection { .. } | Self::Interrupted { .. } | Self::Timeout { .. } => "unreachable",
            Self::NoTime { .. } => "no_time",
            Self::TooManyCalls { .. } | Self::CredentialsTooSoon { .. } => "too_many_calls",
            Self::Unsupported { .. } => "unsupported",
            Self::Forbidden { .. } => "forbidden",
            Self::Failed { .. } | Self::UnexpectedResponse { .. } => "call_failed",
        }
    }

    /// The error of credentials that were refused at that time, or, with a code, need a verification.
    pub(crate) const fn from_refusal(verification: Option<i64>, at: Timestamp) -> Self {
        match verification {
            Some(code) => Self::VerificationNeeded(code, at),
            None => Self::CredentialsRefused(at),
        }
    }

    /// Whether a person has to know of it at once: it lasts until they do something, or the vendor has locked
    /// the account.
    pub fn needs_person(&self) -> bool {
        let is_lasting = LASTING_KINDS.contains(&self.kind()) && !matches!(self, Self::Random);
        is_lasting || matches!(self, Self::LoginPaused { pause: Pause::Locked | Pause::KeyRefused, .. })
    }

    /// The same, as the session reports what keeps it from working.
    pub fn trouble(&self) -> AccountTrouble {
        AccountTrouble {
            kind: self.kind(),
            message: format!("{}; {}", SafeText::new(&error_chain(self)), self.hint()),
            needs_person: self.needs_person(),
        }
    }
}

impl Diagnose for CloudError {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::ApiUrl => "write it as `https://host:port`, or leave it out: only tests need it",
            Self::LoginKey => {
                "write the uncompressed point, 130 hexadecimal digits, or leave it out: only tests need it"
            }
            Self::Country => {
                "write country in [solix], or ANKER_COUNTRY, as two letters: that of the phone app"
            }
            Self::ExtraCa { .. } => "name a PEM file with at least one certificate, or leave extra_ca out",
            Self::NoRoots => "install ca-certificates, or name a file of them in SSL_CERT_FILE",
            Self::Tls(_) | Self::Client(_) | Self::Random => {
                "this is a defect of fleetwatt or of this machine: please report it with the log"
            }
            Self::State { .. } => {
                "make the state directory writable for this user, and look for room on its disk"
            }
            Self::NoCredentials => {
                "run `fleetwatt solix login`, or set what [solix] names: ANKER_USER and ANKER_PASS unless it says otherwise"
            }
            Self::NotLoggedIn => "run `fleetwatt solix login`, or a poll that is no dry run",
            Self::CredentialsRefused { .. } => {
                "correct the e-mail address or the password: the same ones are not sent again"
            }
            Self::VerificationNeeded { .. } => {
                "log in with the phone app once, then run `fleetwatt solix login`"
            }
            Self::LoginPaused { pause: Pause::KickedOut, .. } => {
                "log out of the phone app, or wait: fleetwatt logs in again by itself"
            }
            Self::LoginPaused { pause: Pause::Locked | Pause::KeyRefused, .. } => {
                "see with the phone app whether the account still works; it is tried again by itself then"
            }
            Self::LoginPaused { .. } | Self::LoginUnderWay => "wait: it is tried again by itself",
            Self::LoginFailed(status, _) => login_hint(*status),
            Self::NotAccepted { .. } => {
                "it is tried again by itself; if it stays so, see with the phone app whether the account still \
                 works and owns the devices"
            }
            Self::NoConnection { .. } | Self::Interrupted { .. } | Self::Timeout { .. } => {
                "check that this machine may reach the internet; it is tried again by itself"
            }
            Self::NoTime { .. } | Self::Failed { .. } | Self::UnexpectedResponse { .. } => {
                "it is tried again by itself"
            }
            Self::TooManyCalls { .. } => {
                "phones and other programs of this network count too; it is tried again by itself"
            }
            Self::Unsupported { .. } => "nothing: it is optional",
            Self::Forbidden { .. } => "use the account that owns the devices",
            Self::CredentialsTooSoon { .. } => "wait: they are fetched at most once an hour",
        })
    }

    fn is_transient(&self) -> bool {
        !self.needs_person()
    }
}
