//! The broker and the stations of a running cloud, as a test speaks with them.

use std::io;
use std::time::{Duration, Instant};

use super::broker_log;
use super::handle::Handle;
use super::types::{Broken, Connection, Refusal, Request, Subscription};

/// The broker: a real mosquitto.
#[derive(Debug, Clone, Copy)]
pub struct Broker<'a> {
    handle: &'a Handle,
}

impl<'a> Broker<'a> {
    pub(super) fn of(handle: &'a Handle) -> Self {
        Self { handle }
    }

    /// Ends it as a crash would.
    pub fn kill(&self) -> io::Result<()> {
        self.handle.kill_broker()
    }

    /// Starts it again at the same port; returns when all stations are back.
    pub fn start(&self) -> io::Result<()> {
        self.handle.start_broker()
    }

    /// It stands still; connections stay open.
    pub fn freeze(&self) -> io::Result<()> {
        self.handle.freeze_broker()
    }

    /// It goes on.
    pub fn thaw(&self) -> io::Result<()> {
        self.handle.thaw_broker()
    }

    /// Refuses subscriptions of the account from now on, by SUBACK 128. The broker is restarted for it.
    pub fn refuse(&self, refusal: Refusal) -> io::Result<()> {
        self.handle.refuse(refusal)
    }

    /// Refuses connections of the account, by CONNACK 5. The broker is restarted for it.
    pub fn refuse_connections(&self, is_so: bool) -> io::Result<()> {
        self.handle.refuse_connections(is_so)
    }

    /// A second client with the client id of the account's last connection: the first is thrown out. The
    /// second goes at once.
    pub fn evict(&self) -> io::Result<()> {
        self.handle.evict()
    }

    /// The account's connections so far, oldest first, those of [`Broker::evict`] included.
    pub fn connections(&self) -> Vec<Connection> {
        self.handle.connections()
    }

    /// The topics that the account has subscribed so far, with those that were refused.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        broker_log::subscriptions(&self.log(), &self.handle.shared.account.thing_name)
    }

    /// How many messages the account published where it must not.
    pub fn denied_publishes(&self) -> usize {
        broker_log::denied_publishes(&self.log(), &self.handle.shared.account.thing_name)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.handle.broker_log()
    }
}

/// One station, to be set and asked.
#[derive(Debug, Clone, Copy)]
pub struct Station<'a> {
    handle: &'a Handle,
    serial: &'a str,
}

impl<'a> Station<'a> {
    pub(super) fn of(handle: &'a Handle, serial: &'a str) -> Self {
        Self { handle, serial }
    }

    /// The state of charge, percent. A station's total and its own pack have the same.
    pub fn set_soc(&self, percent: u8) -> &Self {
        self.must(self.handle.set_soc(self.serial, percent.into()))
    }

    /// Watts from the grid.
    pub fn set_ac_input(&self, watts: i16) -> &Self {
        self.must(self.handle.set_ac_input(self.serial, watts.into()))
    }

    /// Watts from the two solar inputs; their sum goes along.
    pub fn set_solar(&self, first: i16, second: i16) -> &Self {
        self.must(self.handle.set_solar(self.serial, first.into(), second.into()))
    }

    /// Watts out, all of them AC.
    pub fn set_output(&self, watts: i16) -> &Self {
        self.must(self.handle.set_output(self.serial, watts.into()))
    }

    /// Degrees Celsius.
    pub fn set_temperature(&self, degrees: i8) -> &Self {
        self.set("temperature", degrees.into())
    }

    /// Any value by its name in the field map, in that one's unit. Panics if the model has none such.
    pub fn set(&self, name: &str, value: f64) -> &Self {
        self.must(self.handle.set(self.serial, name, value))
    }

    /// What a value is now.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.handle.shared.state().station(self.serial).value(name)
    }

    /// Whether it answers nothing and says nothing, as when its Wi-Fi is gone. The cloud shows it offline.
    pub fn silence(&self, is_silent: bool) -> &Self {
        self.handle.silence(self.serial, is_silent);
        self
    }

    /// Whether the app is told to show its numbers. The cloud gives zeros where it is not.
    pub fn display(&self, is_displayed: bool) -> &Self {
        self.handle.display(self.serial, is_displayed);
        self
    }

    /// Its last numbers came to the cloud so long ago; it may say of itself what it likes.
    pub fn heard_ago(&self, ago: Duration) -> &Self {
        self.handle.heard_ago(self.serial, ago);
        self
    }

    /// Whether it answers status requests.
    pub fn answer_status(&self, is_so: bool) -> &Self {
        self.handle.answer_status(self.serial, is_so);
        self
    }

    /// Publishes what is of this message type now, unasked: 0x0405, 0x0407, 0x0830, …. Panics if the model
    /// has no such message.
    pub fn publish(&self, message: u16) -> &Self {
        self.must(self.handle.publish(self.serial, message))
    }

    /// Publishes something broken now.
    pub fn publish_broken(&self, how: Broken) -> &Self {
        self.must(self.handle.publish_broken(self.serial, how))
    }

    /// Whether a trigger runs.
    pub fn is_triggered(&self) -> bool {
        let state = self.handle.shared.state();
        state.station(self.serial).triggered_until.is_some_and(|until| Instant::now() < until)
    }

    /// The requests to it so far.
    pub fn requests(&self) -> Vec<Request> {
        let all = self.handle.shared.state().requests.clone();
        all.into_iter().filter(|request| request.serial == self.serial).collect()
    }

    /// How many messages it has published.
    pub fn published(&self) -> u64 {
        self.handle.shared.state().station(self.serial).n_published
    }

    fn must(&self, result: Result<(), String>) -> &Self {
        result.unwrap_or_else(|words| panic!("{words}"));
        self
    }
}
