//! A simulated Anker Solix cloud: the REST interface over HTTPS, a real mosquitto with mutual TLS, and
//! stations that speak with it. As strict as the vendor's, as far as that is known; and it can be made to
//! fail in all the ways that the vendor's does.
//!
//! Nothing here is made with fleetwatt's own code: it is the judge of that.

#![allow(clippy::disallowed_methods, reason = "the cloud is the far side: it has a clock, starts mosquitto")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "all of this is test code; what fails here fails a test"
)]
#![allow(dead_code, unreachable_pub, reason = "several programs use this module, each a part of it")]

#[path = "answers.rs"]
mod answers;
#[path = "beside.rs"]
mod beside;
#[path = "broker.rs"]
mod broker;
#[path = "broker_log.rs"]
mod broker_log;
#[path = "control.rs"]
mod control;
#[path = "envelope.rs"]
mod envelope;
#[path = "frame.rs"]
mod frame;
#[path = "handle.rs"]
mod handle;
#[path = "https.rs"]
mod https;
#[path = "keys.rs"]
mod keys;
#[path = "login.rs"]
mod login;
#[path = "models.rs"]
mod models;
#[path = "panel.rs"]
mod panel;
#[path = "parts.rs"]
mod parts;
#[path = "rest.rs"]
mod rest;
#[path = "solarbanks.rs"]
mod solarbanks;
#[path = "start.rs"]
mod start;
#[path = "state.rs"]
mod state;
#[path = "station.rs"]
mod station;
#[path = "types.rs"]
mod types;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use parts::{Broker, Station};
#[allow(unused_imports, reason = "several programs use this module, each a part of it")]
pub use types::{
    Asked, Broken, Call, Connection, Device, Failure, Model, Options, Refusal, Region, Request, Subscription,
};

use handle::Handle;
use start::{Ports, Running};

/// For [`Cloud::fail`]: until [`Cloud::heal`].
pub const FOREVER: usize = usize::MAX;

/// The variables that the inventory section names.
const USER_VARIABLE: &str = "SIMULATED_ANKER_USER";
const PASSWORD_VARIABLE: &str = "SIMULATED_ANKER_PASS";

/// How long [`Cloud::until`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running cloud. Dropping it stops everything, and removes its folder.
#[derive(Debug)]
pub struct Cloud {
    running: Running,
    handle: Arc<Handle>,
    ports: Ports,
    /// Last: the folder goes when nothing writes into it any more.
    dir: tempfile::TempDir,
}

impl Cloud {
    /// Starts it in a temporary folder; returns when it answers and all its stations are connected.
    pub async fn start(options: Options) -> io::Result<Self> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(&options)).await;
        started.map_err(io::Error::other)?
    }

    /// The same where there is no runtime.
    pub fn start_blocking(options: &Options) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("fw-cloud-").tempdir_in("/tmp")?;
        let (running, handle, ports) = start::start(dir.path(), options)?;
        handle.wait_for_devices()?;
        Ok(Self { running, handle, ports, dir })
    }

    /// The folder with `ca.pem` and the broker's files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `https://localhost:PORT`, of the region where the devices live now.
    pub fn api_url(&self) -> String {
        let home = self.handle.shared.state().home;
        self.api_url_of(home)
    }

    /// The same of either region.
    pub fn api_url_of(&self, region: Region) -> String {
        let port = match region {
            Region::Com => self.ports.com,
            Region::Eu => self.ports.eu,
        };
        format!("https://localhost:{port}")
    }

    /// `localhost:PORT`.
    pub fn mqtt_address(&self) -> String {
        format!("localhost:{}", self.handle.shared.account.mqtt_port)
    }

    /// `http://127.0.0.1:PORT`, where a person can turn the screws.
    pub fn control_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.control)
    }

    /// The public key that passwords are encrypted for: 130 hexadecimal digits.
    pub fn login_key(&self) -> String {
        self.handle.shared.account.login_key.public_hex()
    }

    /// The CA of the REST interface as PEM.
    pub fn extra_ca(&self) -> PathBuf {
        self.dir().join("ca.pem")
    }

    /// `[solix]` for an inventory, as the last section: more of its keys can be written behind it.
    pub fn inventory_section(&self) -> String {
        format!(
            "[solix]\n\
             country = \"{country}\"\n\
             user_env = \"{USER_VARIABLE}\"\n\
             password_env = \"{PASSWORD_VARIABLE}\"\n\
             api_url = \"{api}\"\n\
             login_key = \"{key}\"\n\
             mqtt_address = \"{mqtt}\"\n\
             extra_ca = \"{ca}\"\n",
            country = self.handle.shared.account.country,
            api = self.api_url(),
            key = self.login_key(),
            mqtt = self.mqtt_address(),
            ca = self.extra_ca().display(),
        )
    }

    /// The variables with the account that the section names.
    pub fn environment(&self) -> Vec<(String, String)> {
        let password = self.handle.shared.state().password.clone();
        let email = self.handle.shared.account.email.clone();
        vec![(USER_VARIABLE.to_owned(), email), (PASSWORD_VARIABLE.to_owned(), password)]
    }

    /// The account's user id, the name of its certificate, and its password: what must be in no log.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.handle.shared.state();
        let account = &self.handle.shared.account;
        let mut secrets =
            vec![state.password.clone(), account.user_id.clone(), login::gtoken(&account.user_id)];
        secrets.extend(state.sessions.keys().cloned());
        let key = state.certificate.key_pem.lines().nth(1).unwrap_or_default();
        secrets.push(key.to_owned());
        secrets
    }

    /// What an installation keeps that has logged in, by name: a session is let in that nobody asked for.
    pub fn admit(&self) -> Vec<(&'static str, String)> {
        let account = &self.handle.shared.account;
        let mut state = self.handle.shared.state();
        let (token, expires_at) = login::new_session(account, &mut state, SystemTime::now());
        let certificate = state.certificate.clone();
        vec![
            ("server", format!("https://localhost:{}/", self.ports.com)),
            ("token", token),
            ("expires_at_us", (state::millis(expires_at) * 1_000).to_string()),
            ("user_id", account.user_id.clone()),
            ("certificate_id", certificate.id),
            ("certificate_pem", certificate.pem),
            ("private_key", certificate.key_pem),
            ("ca_pem", account.authorities.iot_pem().to_owned()),
        ]
    }

    /// How many logins were tried, whatever became of them.
    pub fn logins(&self) -> usize {
        self.calls("passport/login")
    }

    /// How many calls an endpoint has had, named by its path or the path's last part.
    pub fn calls(&self, endpoint: &str) -> usize {
        rest::count(&self.handle.shared.state().calls, endpoint)
    }

    /// Every call so far.
    pub fn call_log(&self) -> Vec<Call> {
        self.handle.shared.state().calls.clone()
    }

    /// What stations were asked so far, wrong requests included.
    pub fn requests(&self) -> Vec<Request> {
        self.handle.shared.state().requests.clone()
    }

    /// What was wrong with requests to stations: empty, unless the client has a fault.
    pub fn wrong_requests(&self) -> Vec<String> {
        self.requests().into_iter().filter_map(|request| request.asked.err()).collect()
    }

    /// Lets the next `times` calls of an endpoint fail, or of every one but the login (`*`).
    pub fn fail(&self, endpoint: &str, failure: Failure, times: usize) {
        self.handle.fail(endpoint, failure, times);
    }

    /// Takes [`Cloud::fail`] back.
    pub fn heal(&self, endpoint: &str) {
        self.handle.heal(endpoint);
    }

    /// All tokens expire now: 401.
    pub fn expire_tokens(&self) {
        self.handle.expire_tokens();
    }

    /// Somebody else logs in, and all tokens are taken away: code 26084.
    pub fn kick(&self) {
        self.handle.kick();
    }

    /// Another password, as if it had been changed in the app.
    pub fn set_password(&self, password: &str) {
        self.handle.set_password(password);
    }

    /// The devices live elsewhere from now on.
    pub fn move_devices(&self, region: Region) {
        self.handle.move_devices(region);
    }

    /// The account's certificate is revoked, the broker restarted; the next that is handed out is good.
    pub fn revoke_certificate(&self) -> io::Result<()> {
        self.handle.revoke_certificate()
    }

    /// Whether certificates are handed out that expired yesterday.
    pub fn hand_out_expired_certificates(&self, is_so: bool) -> io::Result<()> {
        self.handle.hand_out_expired_certificates(is_so)
    }

    /// Whether the broker's CA is handed out as another than it is: a client must not connect then.
    pub fn hand_out_wrong_root(&self, is_so: bool) {
        self.handle.hand_out_wrong_root(is_so);
    }

    /// The broker.
    pub fn broker(&self) -> Broker<'_> {
        Broker::of(&self.handle)
    }

    /// A station. Its methods panic if there is none with this serial.
    pub fn station<'a>(&'a self, serial: &'a str) -> Station<'a> {
        Station::of(&self.handle, serial)
    }

    /// What the control interface can do, for a person.
    pub fn help() -> &'static str {
        control::HELP
    }

    /// Calls and requests as text, for a person.
    pub fn log(&self) -> String {
        self.handle.log()
    }

    /// Waits until `is_so`; panics with the cloud's log if that does not come within ten seconds.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what} did not come:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
