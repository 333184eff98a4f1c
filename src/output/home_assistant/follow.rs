//! The connection to the broker, and the snapshots that are told over it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use tokio::pin;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::device::availability_topic;
use super::fault::in_words;
use super::known::Known;
use super::picture::{Choice, Message, picture};
use super::queue::Queue;
use crate::batch::Snapshot;
use crate::inventory::{BrokerUrl, MqttSettings};
use crate::output::Snapshots;
use crate::reading::error_chain;
use crate::support::backoff::Backoff;
use crate::support::secret::Secret;
use crate::support::{jitter, regular_file, state_file};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_WITHIN_SECONDS: u64 = 10;
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// The pause after the first loss; each further one doubles it, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A connection that held this long was a good one: the pauses start from the first again.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// So many messages may wait in the library; all others wait in the queue, where newer ones replace them.
const OUTBOX: usize = 16;

/// Only the word that Home Assistant has started comes in.
const MAX_INCOMING: usize = 64 << 10;
const MAX_OUTGOING: usize = 256 << 10;

/// The largest file of what is known: some 20,000 boards.
const MAX_KNOWN_BYTES: u64 = 16 << 20;

/// The topic on which Home Assistant says that it has started, unless it is set otherwise there.
const BIRTH: &str = "homeassistant/status";

const ONLINE: &str = "online";
const OFFLINE: &str = "offline";

/// The way to a broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Where it is.
    pub url: BrokerUrl,
    /// The user name and the password that it asks for, if it does.
    pub login: Option<(Secret, Secret)>,
    /// Whom to trust, where it speaks TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// The output that tells Home Assistant of a fleet.
#[derive(Debug)]
pub struct HomeAssistant {
    broker: Broker,
    choice: Choice,
    /// Where what is known is kept.
    path: PathBuf,
    known: Known,
    queue: Queue,
    /// The last trouble that the log told, until the broker is there again.
    told: Option<String>,
    /// Whether the log says that what is known cannot be kept.
    is_unkept: bool,
    connected_at: Option<Instant>,
}

/// Something that comes from a connection.
enum Heard {
    /// It stands.
    Connected,
    /// Home Assistant has started.
    Birth,
}

/// Why a connection ended.
enum End {
    /// Nothing more is to be said.
    Stopped,
    /// It is lost, or could not be made.
    Lost(String),
}

impl HomeAssistant {
    /// An output that is not connected yet. `path` is its own file, in the state directory.
    pub fn new(broker: Broker, settings: &MqttSettings, path: PathBuf) -> Self {
        let choice = Choice::from(settings);
        let online = Message { topic: availability_topic(&choice.topic), payload: ONLINE.to_owned() };
        let mut known = read(&path);
        if known.client_id.is_empty() {
            known.client_id = format!("fleetwatt-{:012x}", jitter::number() >> 16);
        }
        Self {
            broker,
            choice,
            path,
            known,
            queue: Queue::new(online),
            told: None,
            is_unkept: false,
            connected_at: None,
        }
    }

    /// Tells of each snapshot until there are no more. A broker that is away costs nothing but that.
    pub async fn follow(mut self, mut snapshots: Snapshots) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let End::Lost(fault) = self.one_connection(&mut snapshots).await {
            if self.told.as_ref() != Some(&fault) {
                tracing::warn!("Home Assistant is not told: {fault}");
                self.told = Some(fault);
            }
            if self.connected_at.take().is_some_and(|since| since.elapsed() >= GOOD_AFTER) {
                backoff.reset();
            }
            let again = sleep(jitter::half_to_whole(backoff.fail()));
            pin!(again);
            loop {
                tokio::select! {
                    () = &mut again => break,
                    snapshot = snapshots.next() => match snapshot {
                        Some(snapshot) => self.take(snapshot, false).await,
                        None => return,
                    },
                }
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn one_connection(&mut self, snapshots: &mut Snapshots) -> End {
        let (client, mut event_loop) = AsyncClient::new(self.options(), OUTBOX);
        event_loop.network_options.set_connection_timeout(CONNECT_WITHIN_SECONDS);
        let (sender, mut heard) = mpsc::channel(1);
        let driving = drive(event_loop, sender);
        pin!(driving);
        loop {
            let next = self.queue.next().filter(|_| self.connected_at.is_some()).cloned();
            tokio::select! {
                end = &mut driving => return end,
                Some(word) = heard.recv() => self.hear(&word, &client),
                snapshot = snapshots.next() => match snapshot {
                    Some(snapshot) => self.take(snapshot, self.connected_at.is_some()).await,
                    None => break,
                },
                is_said = say(&client, next) => if is_said { self.queue.next_is_said() },
            }
        }
        if self.connected_at.is_some() {
            let offline =
                Message { topic: availability_topic(&self.choice.topic), payload: OFFLINE.to_owned() };
            let goodbye = async {
                say(&client, Some(offline)).await;
                client.disconnect().await.unwrap_or_default();
            };
            drop(timeout(GOODBYE_WITHIN, async { tokio::join!(goodbye, driving) }).await);
        }
        End::Stopped
    }

    fn options(&self) -> MqttOptions {
        let BrokerUrl { host, port, .. } = &self.broker.url;
        let mut options = MqttOptions::new(&self.known.client_id, host, *port);
        let will = LastWill::new(availability_topic(&self.choice.topic), OFFLINE, QoS::AtLeastOnce, true);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(MAX_INCOMING, MAX_OUTGOING)
            .set_last_will(will);
        if let Some((user, password)) = &self.broker.login {
            options.set_credentials(user.expose(), password.expose());
        }
        if let Some(tls) = &self.broker.tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
        }
        options
    }

    fn hear(&mut self, word: &Heard, client: &AsyncClient) {
        if matches!(word, Heard::Connected) {
            self.connected_at = Some(Instant::now());
            self.told = None;
            tracing::info!("Home Assistant is told over {}", self.broker.url);
            let own = format!("{}/status", self.choice.discovery_prefix);
            for topic in [Some(BIRTH.to_owned()), (own != BIRTH).then_some(own)].into_iter().flatten() {
                // Nothing waits in a new connection, so that there is room.
                client.try_subscribe(topic, QoS::AtLeastOnce).unwrap_or_default();
            }
        }
        self.queue.begin();
    }

    /// Takes a snapshot, and keeps what is known from it on before anything is said of it. That takes its time with many
    /// boards, so that it is done beside.
    async fn take(&mut self, snapshot: Arc<Snapshot>, is_connected: bool) {
        let is_said = is_connected && self.queue.is_empty();
        let (mut known, choice, path) = (self.known.clone(), self.choice.clone(), self.path.clone());
        let taking = tokio::task::spawn_blocking(move || {
            let picture = picture(&mut known, &snapshot, &choice, is_said);
            let kept = state_file::write(&path, serde_json::json!(known).to_string().as_bytes());
            (known, picture, kept)
        });
        let (known, picture, kept) = match taking.await {
            Ok(taken) => taken,
            Err(error) => return tracing::error!(%error, "Home Assistant is not told of this cycle"),
        };
        self.known = known;
        self.queue.show(picture);
        match kept {
            Ok(()) => self.is_unkept = false,
            Err(error) if !self.is_unkept => {
                self.is_unkept = true;
                tracing::warn!("what Home Assistant was told is not kept: {}", error_chain(&error));
            }
            Err(_) => (),
        }
    }
}

/// Says a word, once there is room for it. Without one it waits for ever.
async fn say(client: &AsyncClient, message: Option<Message>) -> bool {
    match message {
        Some(Message { topic, payload }) => {
            client.publish(topic, QoS::AtLeastOnce, true, payload).await.is_ok()
        }
        None => std::future::pending().await,
    }
}

/// Keeps a connection going until it ends.
async fn drive(mut event_loop: EventLoop, heard: mpsc::Sender<Heard>) -> End {
    loop {
        let told = match event_loop.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Heard::Connected,
            Ok(Event::Incoming(Packet::Publish(message))) if message.payload == ONLINE => Heard::Birth,
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Stopped,
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => continue,
            Err(error) => return End::Lost(in_words(&error)),
        };
        if heard.send(told).await.is_err() {
            return End::Stopped;
        }
    }
}

/// All that is known from before. A file that cannot be read is put aside, and all begins again.
fn read(path: &Path) -> Known {
    let text = match regular_file::read_text(path, MAX_KNOWN_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Known::default(),
        Err(error) => {
            let error = error_chain(&error);
            tracing::warn!(error, "`{}` is put aside: energy counters of nodes begin again", path.display());
            state_file::set_aside(path).unwrap_or_default();
            return Known::default();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "`{}` is put aside: energy counters of nodes begin again", path.display());
        state_file::set_aside(path).unwrap_or_default();
        Known::default()
    })
}
