//! The devices' side of the broker: each has a connection, hears its requests, and publishes when triggered.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::broker::DEVICE_PREFIX;
use super::envelope::{self, Addressee, Sender};
use super::frame::{self, Moment};
use super::panel::{self, Member};
use super::state::{Order, Shared, State, StationState, millis};
use super::types::{Asked, Broken, Model, Request};

/// From one attempt to connect to the next.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);

/// A device whose last numbers are so old is gone, whatever the lists say of it.
const GONE_AFTER: Duration = Duration::from_secs(10 * 60);

/// The message with the expansion packs.
const PACKS: u16 = 0x040a;

/// A message on its way: the last part of its topic, and its contents.
type Message = (&'static str, Vec<u8>);

/// One device, until its orders end.
pub async fn run(
    shared: Arc<Shared>,
    serial: String,
    tls: Arc<ClientConfig>,
    mut orders: UnboundedReceiver<Order>,
) {
    let code = shared.state().station(&serial).device.model.code();
    let (client, event_loop) = connect(&shared, &serial, tls);
    let (requests, mut received) = unbounded_channel();
    let mut tasks = JoinSet::new();
    let request_topic = format!("cmd/anker_power/{code}/{serial}/req");
    tasks.spawn(listen(shared.clone(), serial.clone(), request_topic, client.clone(), event_loop, requests));
    let publish = |messages: Vec<Message>| {
        for (part, message) in messages {
            let topic = format!("dt/anker_power/{code}/{serial}/{part}");
            // Full only while the broker stands still: then telemetry is lost, as a device's is.
            if client.try_publish(topic, QoS::AtMostOnce, false, message).is_ok() {
                shared.state().station_mut(&serial).n_published += 1;
            }
        }
    };
    let mut ticks = tokio::time::interval(shared.account.pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let messages = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => Device { shared: &shared, serial: &serial }.obey(order),
                None => return,
            },
            Some(request) = received.recv() => {
                let (asked, messages) = Device { shared: &shared, serial: &serial }.hear(&request);
                if matches!(asked, Some(Asked::Trigger(_))) {
                    // The first frame comes a pace after the trigger, or when this device does that.
                    let first = shared.state().station(&serial).device.first_frame_after;
                    ticks.reset_after(first.unwrap_or(shared.account.pace));
                }
                messages
            }
            _ = ticks.tick() => Device { shared: &shared, serial: &serial }.tick(),
        };
        publish(messages);
    }
}

fn connect(shared: &Shared, serial: &str, tls: Arc<ClientConfig>) -> (AsyncClient, EventLoop) {
    let mut options =
        MqttOptions::new(format!("{DEVICE_PREFIX}{serial}"), "localhost", shared.account.mqtt_port);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
    options.set_max_packet_size(16 << 20, 16 << 20);
    AsyncClient::new(options, 256)
}

/// Keeps the connection, and hands on what comes.
async fn listen(
    shared: Arc<Shared>,
    serial: String,
    topic: String,
    client: AsyncClient,
    mut event_loop: EventLoop,
    requests: UnboundedSender<Vec<u8>>,
) {
    loop {
        match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client.try_subscribe(&topic, QoS::AtMostOnce).expect("an empty queue takes one");
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                shared.state().station_mut(&serial).is_listening = true;
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                if requests.send(message.payload.to_vec()).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => {
                shared.state().station_mut(&serial).is_listening = false;
                // What could not be published is of no use later.
                event_loop.clean();
                event_loop.pending.clear();
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        }
    }
}

/// What a device does, each time to the end.
struct Device<'a> {
    shared: &'a Shared,
    serial: &'a str,
}

impl Device<'_> {
    fn hear(&self, message: &[u8]) -> (Option<Asked>, Vec<Message>) {
        let now = SystemTime::now();
        let mut state = self.shared.state();
        let station = state.station(self.serial);
        // What has not spoken to the cloud for long does not speak to others either.
        if station.is_silent || station.is_heard_ago > GONE_AFTER {
            return (None, Vec::new());
        }
        let asked = envelope::read_request(
            message,
            Addressee {
                serial: self.serial,
                code: station.device.model.code(),
                user_id: &self.shared.account.user_id,
                certificate_ids: &state.certificate_ids,
                status_request: station.manner.status_request,
                seconds: millis(now) / 1000,
            },
        );
        state.requests.push(Request { at: now, serial: self.serial.to_owned(), asked: asked.clone() });
        let messages = asked.as_ref().map_or_else(|_| Vec::new(), |asked| self.react(&mut state, *asked));
        (asked.ok(), messages)
    }

    fn react(&self, state: &mut State, asked: Asked) -> Vec<Message> {
        let station = state.station_mut(self.serial);
        let until = match asked {
            Asked::Trigger(duration) => Some(Instant::now() + duration),
            Asked::TriggerOff => None,
            Asked::Status => {
                let is_answered = station.answers_status && station.manner.status_request.is_some();
                let answer = station.manner.status_answer;
                return if is_answered { self.messages(state, answer) } else { Vec::new() };
            }
            Asked::Versions => return self.messages(state, 0x0830),
        };
        station.triggered_until = until;
        station.has_told_packs = false;
        vec![("state_info", self.wrapped(state, &frame::acknowledgement()))]
    }

    fn tick(&self) -> Vec<Message> {
        let mut state = self.shared.state();
        let station = state.station(self.serial);
        let is_due = station.triggered_until.is_some_and(|until| Instant::now() < until);
        if !is_due || station.is_silent || !station.is_listening {
            return Vec::new();
        }
        let telemetry = station.manner.telemetry;
        let tells_packs = !station.has_told_packs && station.has(PACKS);
        let mut messages = self.messages(&mut state, telemetry);
        if tells_packs {
            state.station_mut(self.serial).has_told_packs = true;
            messages.extend(self.messages(&mut state, PACKS));
        }
        if state.station(self.serial).device.model == Model::Panel {
            messages.extend(self.messages(&mut state, panel::EMBEDDED));
        }
        messages
    }

    fn obey(&self, order: Order) -> Vec<Message> {
        let mut state = self.shared.state();
        let broken = match order {
            Order::Publish(message) => return self.messages(&mut state, message),
            Order::Break(broken) => broken,
        };
        let telemetry = state.station(self.serial).manner.telemetry;
        let frames = frames(&state, self.serial, telemetry, SystemTime::now());
        let Some((part, mut frame)) = frames else { return Vec::new() };
        let message = match broken {
            Broken::Checksum => {
                *frame.last_mut().expect("a frame has bytes") ^= 0x5a;
                self.wrapped(&mut state, &frame)
            }
            Broken::Truncated => {
                frame.truncate(frame.len() / 2);
                self.wrapped(&mut state, &frame)
            }
            Broken::WrongModel => {
                let code = if state.station(self.serial).device.model == Model::C1000Gen2 {
                    "A1765"
                } else {
                    "A1763"
                };
                self.wrapped_as(&mut state, &frame, code)
            }
            Broken::TooLong(length) => {
                let message = self.wrapped(&mut state, &frame);
                let room = "A".repeat(length.saturating_sub(message.len()));
                let message = String::from_utf8_lossy(&message);
                message.replacen("\"seed\":\"", &format!("\"seed\":\"{room}"), 1).into_bytes()
            }
            Broken::Frame(frame) => self.wrapped(&mut state, &frame),
            Broken::Garbage => (0..=255).rev().collect(),
            Broken::Raw(bytes) => bytes,
        };
        vec![(part, message)]
    }

    fn messages(&self, state: &mut State, message: u16) -> Vec<Message> {
        let frame = frames(state, self.serial, message, SystemTime::now());
        frame.map(|(part, frame)| (part, self.wrapped(state, &frame))).into_iter().collect()
    }

    fn wrapped(&self, state: &mut State, frame: &[u8]) -> Vec<u8> {
        let code = state.station(self.serial).device.model.code();
        self.wrapped_as(state, frame, code)
    }

    fn wrapped_as(&self, state: &mut State, frame: &[u8], code: &str) -> Vec<u8> {
        let station = state.station_mut(self.serial);
        let sequence = 6175 + station.n_published;
        let seconds = millis(SystemTime::now()) / 1000;
        envelope::message(Sender { serial: self.serial, code, sequence, seconds }, frame)
    }
}

/// A message of a device without its envelope, if it has one of this type.
fn frames(state: &State, serial: &str, message: u16, now: SystemTime) -> Option<Message> {
    let station = state.station(serial);
    if station.device.model != Model::Panel {
        return station.manner.message(message, moment(station, now));
    }
    let members: Vec<Member> = state.members(serial).filter_map(|member| as_member(member, now)).collect();
    if message == panel::EMBEDDED {
        return Some(("param_info", panel::embedded_frame(&members)));
    }
    let localtime = jiff::Timestamp::try_from(now).ok()?.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let frame = panel::own_frame(message, serial, &station.values, &members, &localtime);
    panel::OWN_MESSAGES.contains(&message).then_some(("param_info", frame))
}

fn as_member(station: &StationState, now: SystemTime) -> Option<Member> {
    if station.is_silent {
        return None;
    }
    let (_, frame) = station.manner.message(station.manner.telemetry, moment(station, now))?;
    Some(Member {
        serial: station.device.serial.clone(),
        code: station.device.model.code(),
        soc: station.value("battery_soc").unwrap_or_default(),
        frame,
    })
}

fn moment(station: &StationState, now: SystemTime) -> Moment<'_> {
    Moment { values: &station.values, serial: &station.device.serial, millis: millis(now) }
}
