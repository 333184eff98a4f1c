//! The connection to the broker, kept by a task of its own.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::error::{MqttError, MqttErrorKind};
use super::reconnect::Reconnect;
use super::subscriptions::Subscriptions;
use crate::reading::{SafeText, Station, Timestamp};

const KEEP_ALIVE: Duration = Duration::from_secs(60);
const CONNECT_WITHIN_SECONDS: u64 = 15;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A panel's JSON with frames in it can be long; the library's own limit of 10 KiB is too small.
const MAX_INCOMING: usize = 256 * 1024;
const MAX_OUTGOING: usize = 16 * 1024;

/// How much that was heard may wait for the session. A broker that says more waits for us.
const INBOX: usize = 64;

/// How many requests may wait for the connection.
const OUTBOX: usize = 64;

/// Where and as whom to connect.
#[derive(Clone)]
pub struct Broker {
    /// The host's name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name there. A second connection of the same name ends the first.
    pub client_id: String,
    /// Certificate, key and authority.
    pub tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client id holds the account's id, which counts as a secret.
        f.debug_struct("Broker").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// What the connection tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttEvent {
    /// It stands, and every subscription is answered. What was asked on an earlier one is forgotten there.
    Ready {
        /// The serial numbers of stations that the broker does not let us hear.
        refused: Vec<SafeText>,
    },
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload; at most 256 KiB.
        payload: Vec<u8>,
        /// When it came.
        at: Timestamp,
    },
    /// It is lost, or could not be made.
    Lost {
        /// Why.
        error: MqttError,
        /// When it is tried again.
        again_in: Duration,
    },
}

/// A connection. Dropping it ends it.
#[derive(Debug)]
pub struct MqttClient {
    client: AsyncClient,
    events: mpsc::Receiver<MqttEvent>,
    task: JoinSet<()>,
}

impl MqttClient {
    /// Begins to connect, for these stations of the app called `app_name`. `now` is the wall clock.
    pub fn start(broker: Broker, app_name: &str, stations: &[Station], now: fn() -> Timestamp) -> Self {
        let subscriptions = Subscriptions::new(app_name, stations);
        let mut options = MqttOptions::new(broker.client_id, broker.host, broker.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(MAX_INCOMING, MAX_OUTGOING)
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(broker.tls)));
        let (client, mut event_loop) = AsyncClient::new(options, OUTBOX + subscriptions.capacity());
        event_loop.network_options.set_connection_timeout(CONNECT_WITHIN_SECONDS);
        let (outbox, events) = mpsc::channel(INBOX);
        let connection = Connection {
            client: client.clone(),
            event_loop,
            subscriptions,
            outbox,
            reconnect: Reconnect::new(),
            now,
        };
        let mut task = JoinSet::new();
        task.spawn(connection.run());
        Self { client, events, task }
    }

    /// Waits for the next thing that is told. May be dropped and called again: nothing is lost.
    pub async fn next_event(&mut self) -> MqttEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The task ends only when this end is dropped.
            None => std::future::pending().await,
        }
    }

    /// Publishes without waiting. Says whether there was room; without a connection it is lost.
    pub fn publish(&self, topic: &str, payload: String) -> bool {
        self.client.try_publish(topic, QoS::AtMostOnce, false, payload).is_ok()
    }

    /// Says goodbye, by `deadline` at the latest.
    pub async fn end(mut self, deadline: Instant) {
        if self.client.try_disconnect().is_ok() {
            // What is still heard must not keep the task from hearing us.
            let drained = async { while self.events.recv().await.is_some() {} };
            drop(timeout_at(deadline, drained).await);
        }
        self.task.abort_all();
    }
}

/// How the task goes on.
enum Next {
    GoOn,
    End,
}

/// The task's side.
struct Connection {
    client: AsyncClient,
    event_loop: EventLoop,
    subscriptions: Subscriptions,
    outbox: mpsc::Sender<MqttEvent>,
    reconnect: Reconnect,
    now: fn() -> Timestamp,
}

impl Connection {
    async fn run(mut self) {
        loop {
            let lost = match self.run_until_disconnected().await {
                Ok(()) => return,
                Err(error) => error,
            };
            let again_in = self.reconnect.lost();
            if send(&self.outbox, MqttEvent::Lost { error: lost, again_in }).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(again_in) => (),
                () = self.outbox.closed() => return,
            }
        }
    }

    /// One connection, from its beginning to its loss. `Ok` is the end for good.
    async fn run_until_disconnected(&mut self) -> Result<(), MqttError> {
        let mut is_answered_by = None;
        loop {
            let event = match is_answered_by {
                Some(deadline) => timeout_at(deadline, self.event_loop.poll()).await.map_err(|_late| {
                    self.event_loop.clean();
                    MqttError::new(MqttErrorKind::Timeout, "a subscription stays unanswered")
                })?,
                None => self.event_loop.poll().await,
            };
            let event = event.map_err(|error| MqttError::from_connection(&error))?;
            let was_settled = self.subscriptions.is_settled();
            let is_connected = matches!(event, Event::Incoming(Packet::ConnAck(_)));
            if is_connected {
                is_answered_by = Some(Instant::now() + ANSWER_WITHIN);
            }
            if let Next::End = self.take(event).await? {
                return Ok(());
            }
            if self.subscriptions.is_settled() && (is_connected || !was_settled) {
                is_answered_by = None;
                let refused = self.subscriptions.refused().to_vec();
                if send(&self.outbox, MqttEvent::Ready { refused }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<Next, MqttError> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.reconnect.connected();
                let topics = self.subscriptions.begin();
                self.subscribe(topics)?;
            }
            Event::Outgoing(Outgoing::Subscribe(packet_id)) => self.subscriptions.numbered(packet_id),
            Event::Incoming(Packet::SubAck(answer)) => {
                let is_granted = answer.return_codes.iter().all(|code| *code != SubscribeReasonCode::Failure);
                let instead = self.subscriptions.answered(answer.pkid, is_granted);
                self.subscribe(instead)?;
            }
            Event::Incoming(Packet::Publish(message)) => {
                let message = MqttEvent::Message {
                    topic: message.topic,
                    payload: message.payload.to_vec(),
                    at: (self.now)(),
                };
                if send(&self.outbox, message).await.is_err() {
                    return Ok(Next::End);
                }
            }
            Event::Outgoing(Outgoing::Disconnect) => return Ok(Next::End),
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(Next::GoOn)
    }

    fn subscribe(&mut self, topics: Vec<String>) -> Result<(), MqttError> {
        for topic in topics {
            self.client
                .try_subscribe(topic, QoS::AtMostOnce)
                .map_err(|_full| MqttError::new(MqttErrorKind::Protocol, "too many requests wait"))?;
        }
        Ok(())
    }
}

/// `Err` if nobody listens any more.
async fn send(outbox: &mpsc::Sender<MqttEvent>, event: MqttEvent) -> Result<(), ()> {
    outbox.send(event).await.map_err(|_nobody_listens| ())
}
