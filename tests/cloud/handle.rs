//! All that can be done to a running cloud, for a test and for a person alike.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, TlsConfiguration, Transport};

use super::broker::{self, Act, Keeper};
use super::broker_log;
use super::state::{Order, Shared, StationState};
use super::types::{Broken, Connection, Device, Failure, Refusal, Region};

/// How long all devices may take to be back on the broker, and a second client to push the first out.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// The inside of a cloud.
#[derive(Debug)]
pub struct Handle {
    pub shared: std::sync::Arc<Shared>,
    pub keeper: Keeper,
    pub plugin: PathBuf,
    pub runtime: tokio::runtime::Handle,
}

/// The REST interface.
impl Handle {
    pub fn fail(&self, endpoint: &str, failure: Failure, times: usize) {
        self.shared.state().failures.insert(endpoint.to_owned(), (failure, times));
    }

    pub fn heal(&self, endpoint: &str) {
        self.shared.state().failures.remove(endpoint);
    }

    pub fn expire_tokens(&self) {
        let now = SystemTime::now();
        self.shared.state().sessions.values_mut().for_each(|session| session.expires_at = now);
    }

    pub fn kick(&self) {
        self.shared.state().kick();
    }

    pub fn set_password(&self, password: &str) {
        self.shared.state().password = password.to_owned();
    }

    pub fn move_devices(&self, region: Region) {
        self.shared.state().home = region;
    }

    pub fn hand_out_expired_certificates(&self, is_so: bool) -> io::Result<()> {
        let account = &self.shared.account;
        let expired = is_so.then(|| account.authorities.account(&account.thing_name, true)).transpose()?;
        let mut state = self.shared.state();
        state.certificate_ids.extend(expired.iter().map(|certificate| certificate.id.clone()));
        state.expired = expired;
        Ok(())
    }

    pub fn hand_out_wrong_root(&self, is_so: bool) {
        self.shared.state().hands_out_wrong_root = is_so;
    }

    /// Calls and requests as text.
    pub fn log(&self) -> String {
        let state = self.shared.state();
        let calls = state.calls.iter().map(|call| {
            let code = call.code.map_or_else(String::new, |code| format!(" code {code}"));
            let seconds = super::state::millis(call.at) / 1000;
            format!("{seconds} {:?} {} HTTP {}{code} {}\n", call.region, call.endpoint, call.status, call.why)
        });
        let requests = state.requests.iter().map(|request| {
            let seconds = super::state::millis(request.at) / 1000;
            format!("{seconds} {} {:?}\n", request.serial, request.asked)
        });
        calls.chain(requests).collect()
    }
}

/// The broker.
impl Handle {
    pub fn kill_broker(&self) -> io::Result<()> {
        self.keeper.act(Act::Kill)?;
        self.shared.state().stations.iter_mut().for_each(|station| station.is_listening = false);
        Ok(())
    }

    pub fn start_broker(&self) -> io::Result<()> {
        self.keeper.act(Act::Start)?;
        self.wait_for_devices()
    }

    pub fn freeze_broker(&self) -> io::Result<()> {
        self.keeper.act(Act::Freeze)
    }

    pub fn thaw_broker(&self) -> io::Result<()> {
        self.keeper.act(Act::Thaw)
    }

    pub fn refuse(&self, refusal: Refusal) -> io::Result<()> {
        let account = &self.shared.account;
        self.kill_broker()?;
        broker::write_rights(&account.dir, &account.thing_name, &self.devices(), refusal)?;
        self.start_broker()
    }

    pub fn refuse_connections(&self, is_so: bool) -> io::Result<()> {
        let account = &self.shared.account;
        self.kill_broker()?;
        broker::write_config(&account.dir, account.mqtt_port, &self.plugin, is_so)?;
        self.start_broker()
    }

    pub fn revoke_certificate(&self) -> io::Result<()> {
        let account = &self.shared.account;
        let next = account.authorities.account(&account.thing_name, false)?;
        self.kill_broker()?;
        {
            let mut state = self.shared.state();
            state.certificate_ids.push(next.id.clone());
            let revoked = std::mem::replace(&mut state.certificate, next);
            state.revoked.push(revoked);
            account.authorities.write_revoked(&account.dir, &state.revoked)?;
        }
        self.start_broker()
    }

    pub fn evict(&self) -> io::Result<()> {
        let account = &self.shared.account;
        let known = self.connections();
        let victim = known.last().ok_or_else(|| io::Error::other("the account is not connected"))?;
        let certificate = self.shared.state().certificate.clone();
        let tls = account.authorities.client(&certificate.pem, &certificate.key_pem)?;
        let mut options = MqttOptions::new(&victim.client_id, "localhost", account.mqtt_port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let (done, result) = channel();
        self.runtime.spawn(async move {
            let (client, mut event_loop) = AsyncClient::new(options, 10);
            let first = event_loop.poll().await;
            let result = match first {
                Ok(Event::Incoming(Packet::ConnAck(_))) => Ok(()),
                other => Err(io::Error::other(format!("the second client: {other:?}"))),
            };
            drop(client);
            done.send(result).unwrap_or_default();
        });
        received(&result)
    }

    /// Those of the account.
    pub fn connections(&self) -> Vec<Connection> {
        broker_log::connections(&self.broker_log(), &self.shared.account.thing_name)
    }

    pub fn broker_log(&self) -> String {
        let log = std::fs::read(self.shared.account.dir.join("broker.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until each device that is on the broker hears what is sent to it.
    pub fn wait_for_devices(&self) -> io::Result<()> {
        let deadline = Instant::now() + BACK_WITHIN;
        let is_missing = |station: &&StationState| station.is_on_broker() && !station.is_listening;
        loop {
            let state = self.shared.state();
            let Some(missing) = state.stations.iter().find(is_missing) else { return Ok(()) };
            if deadline < Instant::now() {
                let words = format!("{} does not get onto the broker", missing.device.serial);
                drop(state);
                return Err(io::Error::other(format!("{words}:\n{}", self.broker_log())));
            }
            drop(state);
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn devices(&self) -> Vec<Device> {
        self.shared.state().stations.iter().map(|station| station.device.clone()).collect()
    }
}

/// The stations.
impl Handle {
    pub fn serials(&self) -> Vec<String> {
        self.devices().into_iter().map(|device| device.serial).collect()
    }

    pub fn first_serial(&self) -> String {
        self.serials().into_iter().next().unwrap_or_default()
    }

    pub fn set(&self, serial: &str, name: &str, value: f64) -> Result<(), String> {
        self.shared.state().station_mut(serial).set(name, value)
    }

    /// Sets those of these values that the model has: one at least.
    fn set_known(&self, serial: &str, values: &[(&str, f64)]) -> Result<(), String> {
        let mut state = self.shared.state();
        let station = state.station_mut(serial);
        let known: Vec<_> = values.iter().filter(|(name, _)| station.knows(name)).collect();
        if known.is_empty() {
            return Err(format!("{} has none of {values:?}", station.device.model.code()));
        }
        known.into_iter().try_for_each(|(name, value)| station.set(name, *value))
    }

    pub fn set_soc(&self, serial: &str, percent: f64) -> Result<(), String> {
        self.set_known(serial, &[("battery_soc", percent), ("main_battery_soc", percent)])
    }

    pub fn set_ac_input(&self, serial: &str, watts: f64) -> Result<(), String> {
        let names = ["ac_input_power", "ac_input_power_total", "grid_power_signed", "grid_to_home_power"];
        self.set_known(serial, &names.map(|name| (name, watts)))
    }

    pub fn set_solar(&self, serial: &str, first: f64, second: f64) -> Result<(), String> {
        let sum = first + second;
        let totals = ["photovoltaic_power", "dc_input_power_total"].map(|name| (name, sum));
        let strings = [("pv_1_power", first), ("pv_2_power", second)];
        self.set_known(serial, &[&totals[..], &strings[..]].concat())
    }

    pub fn set_output(&self, serial: &str, watts: f64) -> Result<(), String> {
        let names = ["ac_output_power", "output_power_total", "output_power"];
        self.set_known(serial, &names.map(|name| (name, watts)))
    }

    pub fn silence(&self, serial: &str, is_silent: bool) {
        self.shared.state().station_mut(serial).is_silent = is_silent;
    }

    pub fn display(&self, serial: &str, is_so: bool) {
        self.shared.state().station_mut(serial).is_displayed = is_so;
    }

    pub fn heard_ago(&self, serial: &str, ago: Duration) {
        self.shared.state().station_mut(serial).is_heard_ago = ago;
    }

    pub fn answer_status(&self, serial: &str, is_so: bool) {
        self.shared.state().station_mut(serial).answers_status = is_so;
    }

    pub fn publish(&self, serial: &str, message: u16) -> Result<(), String> {
        if !self.shared.state().station(serial).has(message) {
            return Err(format!("{serial} has no message {message:04x}"));
        }
        self.order(serial, Order::Publish(message))
    }

    pub fn publish_broken(&self, serial: &str, how: Broken) -> Result<(), String> {
        self.order(serial, Order::Break(how))
    }

    fn order(&self, serial: &str, order: Order) -> Result<(), String> {
        let sent = self.shared.state().station(serial).orders.send(order);
        sent.map_err(|_| format!("{serial} is not on the broker: it is behind a panel"))
    }
}

fn received(result: &Receiver<io::Result<()>>) -> io::Result<()> {
    result.recv_timeout(BACK_WITHIN).map_err(io::Error::other)?
}
