//! A simulated Anker Solix cloud: the REST interface over HTTPS, a real mosquitto with mutual TLS, and
//! stations that speak with it. As strict as the vendor's, as far as that is known; and it can be made to
//! fail in all the ways that the vendor's does.
//!
//! Nothing here is made with fleetwatt's own code: it is the judge of that.

#![allow(clippy::disallowed_methods, reason = "the cloud is the far side: it has a clock, starts mosquitto")]
#![allow(dead_code, unreachable_pub, reason = "several programs use this module, each a part of it")]

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// For [`Cloud::fail`]: until [`Cloud::heal`].
pub const FOREVER: usize = usize::MAX;

/// What a cloud shall be. Start from [`Options::default`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Its country.
    pub country: String,
    /// What the account owns.
    pub devices: Vec<Device>,
    /// Where the devices live; the other region lets one in and shows empty lists.
    pub home: Region,
    /// From one telemetry frame of a triggered station to the next.
    pub pace: Duration,
    /// How long a token holds.
    pub token_for: Duration,
    /// Whether a login takes the token of the one before away, as until 2025.
    pub single_session: bool,
    /// How many calls a minute each endpoint answers; more are 429.
    pub calls_per_minute: usize,
    /// How many logins an hour are looked at; more are 100053.
    pub logins_per_hour: usize,
}

/// One device of the account.
#[derive(Debug, Clone)]
pub struct Device {
    /// What it is.
    pub model: Model,
    /// Its serial number.
    pub serial: String,
    /// What its owner calls it.
    pub alias: String,
    /// Whether it answers status requests. Some stations only know triggers.
    pub answers_status: bool,
    /// The serial of the Home Power Panel that speaks for it: then it is not on the broker itself.
    pub behind_panel: Option<String>,
}

/// The models that are simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// A1790P, SOLIX F3800 Plus.
    F3800Plus,
    /// A1790, SOLIX F3800.
    F3800,
    /// A17B1, Home Power Panel.
    Panel,
    /// A17C0, Solarbank E1600.
    Solarbank,
    /// A17C1, Solarbank 2 E1600 Pro.
    Solarbank2,
    /// A1763, SOLIX C1000 Gen 2.
    C1000Gen2,
}

/// The two hosts of the vendor, here two ports of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// `ankerpower-api.anker.com`.
    Com,
    /// `ankerpower-api-eu.anker.com`.
    Eu,
}

/// What an endpoint does instead of answering.
#[derive(Debug, Clone)]
pub enum Failure {
    /// HTTP 200 with this code in the body.
    Code(i64),
    /// The same with a message.
    CodeWithMessage(i64, String),
    /// This HTTP status, with the body that the vendor's gateway gives.
    Http(u16),
    /// HTTP 200 with this body.
    Body(String),
    /// Never an answer.
    Hang,
}

/// One call of the REST interface.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came.
    pub at: SystemTime,
    /// At which of the two hosts.
    pub region: Region,
    /// The path without the first slash.
    pub endpoint: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The code in the body of the answer, if there was one.
    pub code: Option<i64>,
    /// Why it was refused, for who reads the log; empty when it was not.
    pub why: String,
}

/// One message that a station received.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came.
    pub at: SystemTime,
    /// To which station.
    pub serial: String,
    /// What it asked for, or what was wrong with it.
    pub asked: Result<Asked, String>,
}

/// What a station can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// 0057: telemetry for so long.
    Trigger(Duration),
    /// 0057: no telemetry any more.
    TriggerOff,
    /// 0040, 0100: the status, once.
    Status,
    /// 0030: the versions, once.
    Versions,
}

/// Which subscriptions the broker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Those to topics of others only.
    Foreign,
    /// Those with a `#` too.
    Wildcards,
    /// All.
    All,
}

/// A running cloud. Dropping it stops everything, and removes its folder.
#[derive(Debug)]
pub struct Cloud {}

impl Cloud {
    /// Starts it in a temporary folder; returns when it answers and all its stations are connected.
    pub async fn start(options: Options) -> io::Result<Self> {
        todo!("{options:?}")
    }

    /// The same where there is no runtime.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        todo!("{options:?}")
    }

    /// The folder with `ca.pem`, `ca.pem.login-key` and the broker's files.
    pub fn dir(&self) -> &Path {
        todo!()
    }

    /// `https://localhost:PORT`, of the region where the devices lived at the start.
    pub fn api_url(&self) -> String {
        todo!()
    }

    /// The same of either region.
    pub fn api_url_of(&self, region: Region) -> String {
        todo!("{region:?}")
    }

    /// `localhost:PORT`.
    pub fn mqtt_address(&self) -> String {
        todo!()
    }

    /// `http://127.0.0.1:PORT`, where a person can turn the screws.
    pub fn control_url(&self) -> String {
        todo!()
    }

    /// The HTTPS CA as PEM. Beside it, under the same name with `.login-key` behind it, is the public key
    /// for the login: 130 hexadecimal digits.
    pub fn extra_ca(&self) -> PathBuf {
        todo!()
    }

    /// `[solix]` for an inventory, as the last section: more of its keys can be written behind it.
    pub fn inventory_section(&self) -> String {
        todo!()
    }

    /// The variables with the account that the section names.
    pub fn environment(&self) -> Vec<(String, String)> {
        todo!()
    }

    /// How many logins were tried, whatever became of them.
    pub fn logins(&self) -> usize {
        todo!()
    }

    /// How many calls an endpoint has had, named by its path or the path's last part.
    pub fn calls(&self, endpoint: &str) -> usize {
        todo!("{endpoint}")
    }

    /// Every call so far.
    pub fn call_log(&self) -> Vec<Call> {
        todo!()
    }

    /// What stations were asked so far, wrong requests included.
    pub fn requests(&self) -> Vec<Request> {
        todo!()
    }

    /// What was wrong with requests to stations: empty, unless the client has a fault.
    pub fn wrong_requests(&self) -> Vec<String> {
        todo!()
    }

    /// Lets the next `times` calls of an endpoint fail.
    pub fn fail(&self, endpoint: &str, failure: Failure, times: usize) {
        todo!("{endpoint} {failure:?} {times}")
    }

    /// Takes [`Cloud::fail`] back.
    pub fn heal(&self, endpoint: &str) {
        todo!("{endpoint}")
    }

    /// All tokens expire now: 401.
    pub fn expire_tokens(&self) {
        todo!()
    }

    /// Somebody else logs in, and all tokens are taken away: code 26084.
    pub fn kick(&self) {
        todo!()
    }

    /// Another password, as if it had been changed in the app.
    pub fn set_password(&self, password: &str) {
        todo!("{password}")
    }

    /// The devices live elsewhere from now on.
    pub fn move_devices(&self, region: Region) {
        todo!("{region:?}")
    }

    /// The account's certificate is revoked, the broker restarted; the next that is handed out is good.
    pub fn revoke_certificate(&self) -> io::Result<()> {
        todo!()
    }

    /// Whether certificates are handed out that expired yesterday.
    pub fn hand_out_expired_certificates(&self, is_so: bool) {
        todo!("{is_so}")
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        todo!()
    }

    /// A station. Panics if there is none with this serial.
    pub fn station(&self, serial: &str) -> Station<'_> {
        todo!("{serial}")
    }

    /// Waits until `is_so`; panics with the log of the cloud if that does not come within ten seconds.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        todo!("{what} {}", is_so(self))
    }
}

/// The broker: a real mosquitto.
#[derive(Debug)]
pub struct Broker {}

/// Who connected to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its client id.
    pub client_id: String,
    /// The common name of its certificate.
    pub name: String,
    /// Whether the session was a clean one.
    pub is_clean: bool,
    /// Its keep alive, in seconds.
    pub keep_alive: u16,
}

impl Broker {
    /// Ends it as a crash would.
    pub fn kill(&self) -> io::Result<()> {
        todo!()
    }

    /// Starts it again at the same port; returns when all stations are back.
    pub fn start(&self) -> io::Result<()> {
        todo!()
    }

    /// It stands still; connections stay open.
    pub fn freeze(&self) -> io::Result<()> {
        todo!()
    }

    /// It goes on.
    pub fn thaw(&self) -> io::Result<()> {
        todo!()
    }

    /// Refuses subscriptions of the account from now on, by SUBACK 128. Its connections are closed.
    pub fn refuse(&self, refusal: Refusal) -> io::Result<()> {
        todo!("{refusal:?}")
    }

    /// A second client with the client id of the account's connected one: the first is thrown out.
    pub fn evict(&self) -> io::Result<()> {
        todo!()
    }

    /// The connections of the account so far, oldest first; not those of stations.
    pub fn connections(&self) -> Vec<Connection> {
        todo!()
    }

    /// The topics that the account has subscribed so far, with those that were refused.
    pub fn subscriptions(&self) -> Vec<String> {
        todo!()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        todo!()
    }
}

/// One station, to be set and asked.
#[derive(Debug)]
pub struct Station<'a> {
    cloud: &'a Cloud,
}

impl Station<'_> {
    /// The state of charge, percent. A station's total and its own pack have the same.
    pub fn set_soc(&self, percent: u8) -> &Self {
        self.set("battery_soc", f64::from(percent)).set("main_battery_soc", f64::from(percent))
    }

    /// Watts from the grid.
    pub fn set_ac_input(&self, watts: i16) -> &Self {
        self.set("ac_input_power", f64::from(watts))
    }

    /// Watts from the two solar inputs; their sum goes along.
    pub fn set_solar(&self, first: i16, second: i16) -> &Self {
        self.set("pv_1_power", f64::from(first))
            .set("pv_2_power", f64::from(second))
            .set("photovoltaic_power", f64::from(first) + f64::from(second))
    }

    /// Watts out, all of them AC.
    pub fn set_output(&self, watts: i16) -> &Self {
        self.set("ac_output_power", f64::from(watts)).set("output_power_total", f64::from(watts))
    }

    /// Degrees Celsius.
    pub fn set_temperature(&self, degrees: i8) -> &Self {
        self.set("temperature", f64::from(degrees))
    }

    /// Any value by its name in the field map, in that one's unit. Panics if the model has none such.
    pub fn set(&self, name: &str, value: f64) -> &Self {
        todo!("{name} {value}")
    }

    /// Whether it answers nothing and says nothing, as when its Wi-Fi is gone. The cloud shows it offline.
    pub fn silence(&self, is_silent: bool) -> &Self {
        todo!("{is_silent}")
    }

    /// Whether it answers status requests.
    pub fn answer_status(&self, is_so: bool) -> &Self {
        todo!("{is_so}")
    }

    /// Publishes what is of this message type now, unasked: `0405`, `0407`, `0830`, ….
    pub fn publish(&self, message_type: u16) -> &Self {
        todo!("{message_type:04x}")
    }

    /// Publishes something broken now.
    pub fn publish_broken(&self, how: Broken) -> &Self {
        todo!("{how:?}")
    }

    /// Whether a trigger runs.
    pub fn is_triggered(&self) -> bool {
        todo!()
    }

    /// The requests to it so far.
    pub fn requests(&self) -> Vec<Request> {
        todo!()
    }

    /// How many messages it has published.
    pub fn published(&self) -> usize {
        todo!()
    }
}

/// What can be wrong with a message.
#[derive(Debug, Clone)]
pub enum Broken {
    /// The frame's last byte.
    Checksum,
    /// The frame's end is missing.
    Truncated,
    /// Bytes that are no envelope.
    Garbage,
    /// A frame that says it is another model's.
    WrongModel,
    /// An envelope of so many bytes.
    TooLong(usize),
    /// This payload as it is.
    Raw(Vec<u8>),
}
