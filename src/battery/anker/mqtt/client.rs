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
use super::subscriptions::Subscriptions;
use crate::reading::{SafeText, Station, Timestamp};
use crate::support::backoff::Backoff;
use crate::support::jitter;

const KEEP_ALIVE: Duration = Duration::from_secs(60);
const CONNECT_WITHIN_SECONDS: u64 = 15;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A panel's JSON with frames in it can be long; the library's own limit of 10 KiB is too small.
const MAX_INCOMING: usize = 256 * 1024;
const MAX_OUTGOING: usize = 16 * 1024;

/// So many messages may wait for the session. A broker that says more waits for us.
const INBOX: usize = 64;

/// So many requests may wait for the connection.
const OUTBOX: usize = 64;

/// The pause after the first loss; each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// A connection that held this long was a good one: the pauses start from the first again.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// An event of the connection.
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
    /// Begins to connect to a broker, for these stations of the app called `app_name`. A second connection with the
    /// same `client_id` ends the first. `now` is the wall clock.
    pub fn start(
        (host, port): (String, u16),
        client_id: String,
        tls: Arc<ClientConfig>,
        app_name: &str,
        stations: &[Station],
        now: fn() -> Timestamp,
    ) -> Self {
        let subscriptions = Subscriptions::new(app_name, stations);
        let mut options = MqttOptions::new(client_id, host, port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(MAX_INCOMING, MAX_OUTGOING)
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let (client, mut event_loop) = AsyncClient::new(options, OUTBOX + subscriptions.capacity());
        event_loop.network_options.set_connection_timeout(CONNECT_WITHIN_SECONDS);
        let (outbox, events) = mpsc::channel(INBOX);
        let (sender, reconnect) = (client.clone(), Reconnect::new());
        let connection = Connection { client: sender, event_loop, subscriptions, outbox, reconnect, now };
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
            if self.outbox.send(MqttEvent::Lost { error: lost, again_in }).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(again_in) => (),
                () = self.outbox.closed() => return,
            }
        }
    }

    /// One connection, from its beginning to its loss. `Ok` is the end for good: we have said goodbye, or nobody
    /// listens any more.
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
            if event == Event::Outgoing(Outgoing::Disconnect) {
                return Ok(());
            }
            let message = self.take(event)?;
            let is_ready = self.subscriptions.is_settled() && (is_connected || !was_settled);
            let ready = is_ready.then(|| MqttEvent::Ready { refused: self.subscriptions.refused().to_vec() });
            if is_ready {
                is_answered_by = None;
            }
            for event in message.into_iter().chain(ready) {
                if self.outbox.send(event).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<MqttEvent>, MqttError> {
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
                let (topic, payload) = (message.topic, message.payload.to_vec());
                return Ok(Some(MqttEvent::Message { topic, payload, at: (self.now)() }));
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(None)
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

/// The pauses between a lost connection and the next.
#[derive(Debug)]
struct Reconnect {
    backoff: Backoff,
    connected_at: Option<Instant>,
}

impl Reconnect {
    fn new() -> Self {
        Self { backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), connected_at: None }
    }

    fn connected(&mut self) {
        self.connected_at = Some(Instant::now());
    }

    /// Notes a loss. Returns the pause before the next attempt.
    fn lost(&mut self) -> Duration {
        let held = self.connected_at.take().map(|since| since.elapsed());
        if held.is_some_and(|held| held >= GOOD_AFTER) {
            self.backoff.reset();
        }
        jitter::half_to_whole(self.backoff.fail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_half_to_whole_of(pause: Duration, seconds: u64) -> bool {
        let whole = Duration::from_secs(seconds);
        whole / 2 <= pause && pause <= whole
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_held_makes_the_next_pause_short_again() {
        let mut backoff = Reconnect::new();
        backoff.lost();
        backoff.lost();
        backoff.connected();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(is_half_to_whole_of(backoff.lost(), 4));
        backoff.connected();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(is_half_to_whole_of(backoff.lost(), 1));
    }
}
