//! Everything Anker: login, REST, MQTT, frames. Its product is readings of stations.
//!
//! The vendor's interface is not documented. What is known of it was found out by the authors of
//! anker-solix-api and others; see NOTICE.
//!
//! | part | what it is |
//! |---|---|
//! | [`wire`] | frames and envelopes to values, and back. Pure |
//! | [`auth`] | the login: key agreement, token cache, and when another login is allowed |
//! | [`rest`] | the REST interface: one call, its result, its pace |
//! | [`mqtt`] | the broker: certificate, connection, subscriptions |
//! | [`session`] | when and what is asked, and what follows from the answers |

pub mod auth;
pub mod mqtt;
pub mod rest;
pub mod session;
pub mod wire;

use std::path::PathBuf;

use crate::inventory::StationAccount;
use crate::reading::{Share, Timestamp};
use crate::support::secret::Secret;

/// All that the session needs to know before it starts. Two are equal if everything but the clock is.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[solix]`.
    pub settings: StationAccount,
    /// The account's country, two letters in upper case.
    pub country: String,
    /// The account's e-mail address. Without it, and without a cached login, nothing can be asked.
    pub email: Option<Secret>,
    /// The account's password. Without it only a cached login works.
    pub password: Option<Secret>,
    /// Where the login, the certificate and what is remembered are kept, each in a file of mode 0600.
    pub state_dir: PathBuf,
    /// At or below this state of charge stations are asked at the fast interval.
    pub fast_below: Share,
    /// Nothing is written, and nobody else who is connected is disturbed.
    pub read_only: bool,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

impl Config {
    /// The account's e-mail address and its password, as a person is told of them.
    pub const EMAIL: &str = "Solix account's e-mail address";
    /// See [`Self::EMAIL`].
    pub const PASSWORD: &str = "Solix account's password";

    /// The environment variable with the account's country, for an inventory without one.
    pub const COUNTRY_VARIABLE: &str = "ANKER_COUNTRY";
}

impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        let Self { settings, country, email, password, state_dir, fast_below, read_only, now: _ } = self;
        *settings == other.settings
            && *country == other.country
            && *email == other.email
            && *password == other.password
            && *state_dir == other.state_dir
            && *fast_below == other.fast_below
            && *read_only == other.read_only
    }
}
