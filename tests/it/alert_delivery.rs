//! Alerts to a real HTTP server on a loopback address: what arrives, how often, and what never shows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetwatt::alert::{Rule, Severity, Transition};
use fleetwatt::inventory::{SecretSource, WebhookFormat, WebhookSettings};
use fleetwatt::output::notify::{
    DeliveryError, Notifier, NotifierHandle, Outbox, QueuedMessage, RetryPolicy, Webhook, notifier,
};
use fleetwatt::reading::Timestamp;
use fleetwatt::support::error::Diagnose;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing_subscriber::util::SubscriberInitExt;

/// What must never be seen outside of a request.
const CANARY: &str = "canary-7f9a1c";

/// 2026-11-24T07:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

/// Far longer than anything here takes.
const PATIENT: Duration = Duration::from_secs(20);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
const ELSEWHERE: &str =
    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n";

/// A request as it came.
#[derive(Debug)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server that gives the answers of its script in turn, the last one for ever; an empty one is silence.
struct Server {
    url: String,
    requests: mpsc::UnboundedReceiver<Request>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(script: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/services/{CANARY}?auth={CANARY}", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut kept_open = Vec::new();
            for turn in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                // A client that gave up before it was through asked for nothing.
                let Some(request) = read_request(&mut stream).await else { continue };
                seen.send(request).unwrap();
                let answer = script.get(turn).or(script.last()).unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.is_empty() {
                    kept_open.push(stream);
                }
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    async fn next(&mut self) -> Request {
        timeout(PATIENT, self.requests.recv()).await.expect("a request in time").unwrap()
    }

    fn n_more(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: body.to_owned() };
            let n_bytes: usize = request.header("content-length").unwrap().parse().unwrap();
            if request.body.len() == n_bytes {
                return Some(request);
            }
        }
        let mut piece = vec![0; 65_536];
        let n_read = stream.read(&mut piece).await.ok().filter(|n_read| *n_read > 0)?;
        text.push_str(std::str::from_utf8(&piece[..n_read]).unwrap());
    }
}

fn webhook(url: &str, format: WebhookFormat, within: Duration) -> Webhook {
    let settings = WebhookSettings { url: SecretSource::Env("W".to_owned()), format, timeout: within };
    let mut webhook = Webhook::new(url, &settings, Duration::from_secs(60), || NOW).unwrap();
    webhook.retry_policy = RetryPolicy {
        initial_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        give_up_after: PATIENT,
    };
    webhook
}

fn transition(n: usize, raised: bool) -> Transition {
    Transition {
        key: format!("gpu_temperature:gpu_n{n}"),
        rule: Rule::GpuTemperature,
        severity: Severity::Warning,
        source: format!("gpu_n{n}"),
        node: Some(format!("n{n}")),
        message: format!("n{n} is at 91 °C (limit 85 °C)"),
        raised,
        at: NOW,
        raised_at: NOW,
    }
}

/// What waits, in memory.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<Vec<QueuedMessage>>>);

impl Shelf {
    fn of(transitions: impl IntoIterator<Item = Transition>) -> Self {
        let all = Self::default();
        all.push(transitions);
        all
    }

    fn push(&self, transitions: impl IntoIterator<Item = Transition>) {
        let mut waiting = self.0.lock().unwrap();
        for transition in transitions {
            let id = format!("{} {}", transition.key, transition.raised);
            waiting.push(QueuedMessage { id, transition });
        }
    }

    fn left(&self) -> Vec<Transition> {
        self.0.lock().unwrap().iter().map(|waiting| waiting.transition.clone()).collect()
    }
}

impl Outbox for Shelf {
    async fn oldest(&mut self, n_most: usize) -> Vec<QueuedMessage> {
        self.0.lock().unwrap().iter().take(n_most).cloned().collect()
    }

    async fn remove(&mut self, ids: Vec<String>) {
        self.0.lock().unwrap().retain(|waiting| !ids.contains(&waiting.id));
    }
}

/// Delivers these; gives what became of them and what is left.
async fn deliver(
    webhook: &Webhook,
    all: &[Transition],
    deadline: Instant,
) -> (Result<(), DeliveryError>, Vec<Transition>) {
    let mut waiting = Shelf::of(all.iter().cloned());
    let delivered = webhook.deliver_all(&mut waiting, &[], deadline).await;
    (delivered, waiting.left())
}

fn soon() -> Instant {
    Instant::now() + PATIENT
}

/// All log lines of this thread, down to the finest, those of the HTTP client included.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        (log, subscriber.finish().set_default())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_transition_arrives_once_as_it_is_rendered() {
    let mut server = Server::start(&[OK]).await;
    let webhook = webhook(&server.url, WebhookFormat::Ntfy, PATIENT);
    let (delivered, left) = deliver(&webhook, &[transition(1, true)], soon()).await;
    assert_eq!(left, []);
    delivered.unwrap();
    let request = server.next().await;
    assert!(request.head.starts_with(&format!("POST /services/{CANARY}?auth={CANARY} HTTP/1.1")));
    assert_eq!(request.header("title"), Some("fleetwatt: gpu_temperature (warning)"));
    assert_eq!(request.body, "[warning] n1 is at 91 °C (limit 85 °C)");
    assert_eq!(server.n_more(), 0);
}

#[tokio::test]
async fn a_server_that_is_broken_twice_gets_it_the_third_time_and_the_url_is_never_shown() {
    let (log, _guard) = Log::start();
    let mut server = Server::start(&[BROKEN, BROKEN, OK]).await;
    let webhook = webhook(&server.url, WebhookFormat::Json, PATIENT);
    let (delivered, left) = deliver(&webhook, &[transition(1, true)], soon()).await;
    assert_eq!(left, []);
    assert!(delivered.is_ok(), "{delivered:?}");
    for _ in 0..3 {
        assert_eq!(server.next().await.json()["alerts"][0]["key"], "gpu_temperature:gpu_n1");
    }
    let log = log.text();
    assert!(log.contains("alerts wait") && log.contains("takes alerts again"), "{log}");
    assert_eq!(log.matches("alerts wait").count(), 1, "only the change is logged: {log}");
    assert!(log.contains("reqwest") || log.contains("hyper"), "the client's own log is in it: {log}");
    assert!(!format!("{log}{webhook:?}{delivered:?}").contains(CANARY), "{log}");
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let mut server = Server::start(&[TOO_MANY, OK]).await;
    let webhook = webhook(&server.url, WebhookFormat::Slack, PATIENT);
    let started = Instant::now();
    let (delivered, left) = deliver(&webhook, &[transition(1, true)], soon()).await;
    assert_eq!(left, []);
    delivered.unwrap();
    assert!(Duration::from_secs(1) <= started.elapsed());
    server.next().await;
    assert_eq!(server.next().await.json()["text"], "[warning] n1 is at 91 °C (limit 85 °C)");
    assert_eq!(server.n_more(), 0);
}

#[tokio::test]
async fn a_pause_longer_than_there_is_time_ends_the_delivery_at_once_and_loses_nothing() {
    let mut server = Server::start(&[TOO_MANY]).await;
    let webhook = webhook(&server.url, WebhookFormat::Json, PATIENT);
    let deadline = Instant::now() + Duration::from_millis(900);
    let all: Vec<_> = (0..120).map(|n| transition(n, true)).collect();
    let (_, left) = deliver(&webhook, &all, deadline).await;
    assert!(Instant::now() < deadline);
    assert_eq!(left, all);
    server.next().await;
    assert_eq!(server.n_more(), 0, "the other messages are not tried either");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_deadline_and_no_more() {
    let mut server = Server::start(&[""]).await;
    let webhook = webhook(&server.url, WebhookFormat::Json, Duration::from_millis(150));
    let started = Instant::now();
    let (delivered, left) =
        deliver(&webhook, &[transition(1, true)], started + Duration::from_millis(500)).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(left, [transition(1, true)]);
    let error = delivered.unwrap_err().to_string();
    assert!(error.starts_with("no answer from the webhook at http://127.0.0.1:"), "{error}");
    server.next().await;
    assert!(server.n_more() >= 1, "it was tried again");
}

#[tokio::test]
async fn a_refusal_and_a_redirect_are_not_tried_again_and_say_what_to_do() {
    for (script, hint) in [(&[NOT_FOUND], "withdrawn"), (&[ELSEWHERE], "redirects are not followed")] {
        let mut server = Server::start(script).await;
        let webhook = webhook(&server.url, WebhookFormat::Json, PATIENT);
        let (delivered, left) = deliver(&webhook, &[transition(1, true)], soon()).await;
        assert_eq!(left, []);
        let error = delivered.unwrap_err();
        assert!(error.hint().contains(hint), "{error}: {}", error.hint());
        assert!(!format!("{error} {error:?}").contains(CANARY));
        server.next().await;
        assert_eq!(server.n_more(), 0);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_without_the_url() {
    let (log, _guard) = Log::start();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let webhook = webhook(&format!("http://{closed}/{CANARY}"), WebhookFormat::Json, PATIENT);
    let deadline = Instant::now() + Duration::from_millis(200);
    let (delivered, left) = deliver(&webhook, &[transition(1, true)], deadline).await;
    assert_eq!(left.len(), 1);
    let error = delivered.unwrap_err();
    assert_eq!(error.to_string(), format!("no connection to the webhook at http://{closed}"));
    assert!(!format!("{error:?} {}", log.text()).contains(CANARY));
}

#[tokio::test]
async fn many_transitions_are_few_messages_in_order() {
    let mut server = Server::start(&[OK]).await;
    let webhook = webhook(&server.url, WebhookFormat::Json, PATIENT);
    let all: Vec<_> = (0..120).map(|n| transition(n, true)).collect();
    let (delivered, left) = deliver(&webhook, &all, soon()).await;
    assert_eq!(left, []);
    delivered.unwrap();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let message = server.next().await.json();
        keys.extend(message["alerts"].as_array().unwrap().iter().map(|one| one["key"].clone()));
    }
    assert_eq!(keys, all.iter().map(|one| Value::from(one.key.as_str())).collect::<Vec<_>>());
    assert_eq!(server.n_more(), 0);
}

#[tokio::test]
async fn only_alertmanager_is_told_again_what_fires() {
    for (format, n_messages) in [(WebhookFormat::Alertmanager, 2), (WebhookFormat::Json, 1)] {
        let mut server = Server::start(&[OK]).await;
        let webhook = webhook(&server.url, format, PATIENT);
        let firing = [transition(1, true), transition(2, true)];
        webhook.deliver_all(&mut Shelf::of([transition(1, true)]), &firing, soon()).await.unwrap();
        let mut messages = vec![server.next().await.json()];
        if n_messages == 2 {
            messages.push(server.next().await.json());
            assert_eq!(messages[1][0]["labels"]["source"], "gpu_n2");
            assert_eq!(messages[1].as_array().unwrap().len(), 1, "what was just told is not told twice");
        }
        assert_eq!(server.n_more(), 0);
    }
}

/// A notifier that runs until the sender is used or dropped.
struct Running {
    handle: NotifierHandle,
    waiting: Shelf,
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl Running {
    fn start(webhook: Webhook, waiting: Shelf, firing: Vec<Transition>) -> Self {
        let (handle, notifier): (_, Notifier<Shelf>) = notifier(webhook, waiting.clone(), firing);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut task = JoinSet::new();
        task.spawn(notifier.run(async { drop(stopped.await) }));
        Self { handle, waiting, stop, task }
    }

    fn tell(&self, transition: Transition) {
        self.waiting.push([transition]);
        self.handle.wake(Vec::new);
    }

    async fn stop(mut self) -> Vec<Transition> {
        drop(self.stop);
        timeout(PATIENT, self.task.join_next()).await.expect("it stops").unwrap().unwrap();
        self.waiting.left()
    }
}

#[tokio::test]
async fn the_daemons_notifier_delivers_what_comes_while_it_runs() {
    let mut server = Server::start(&[OK, BROKEN, OK]).await;
    let running =
        Running::start(webhook(&server.url, WebhookFormat::Json, PATIENT), Shelf::default(), Vec::new());
    running.tell(transition(1, true));
    assert_eq!(server.next().await.json()["alerts"][0]["status"], "raised");
    running.tell(transition(1, false));
    server.next().await;
    assert_eq!(server.next().await.json()["alerts"][0]["status"], "cleared");
    assert_eq!(running.stop().await, []);
}

#[tokio::test]
async fn the_daemons_notifier_begins_with_what_waits_and_goes_on_when_it_is_stopped() {
    let mut server = Server::start(&[OK]).await;
    let waiting = Shelf::of((0..70).map(|n| transition(n, true)));
    let running = Running::start(webhook(&server.url, WebhookFormat::Json, PATIENT), waiting, Vec::new());
    assert_eq!(running.stop().await, []);
    assert_eq!(server.next().await.json()["alerts"].as_array().unwrap().len(), 50);
    assert_eq!(server.next().await.json()["alerts"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_dead_webhook_neither_stops_the_daemon_nor_loses_what_was_to_be_told() {
    let server = Server::start(&[""]).await;
    let webhook = webhook(&server.url, WebhookFormat::Json, Duration::from_millis(50));
    let waiting = Shelf::of([transition(1, true), transition(2, true)]);
    let running = Running::start(webhook, waiting, Vec::new());
    assert_eq!(running.stop().await, [transition(1, true), transition(2, true)]);
}

#[tokio::test]
async fn a_message_that_the_webhook_never_takes_is_given_up_and_one_that_is_away_is_waited_for() {
    let brief = RetryPolicy {
        initial_backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(5),
        give_up_after: Duration::from_millis(40),
    };
    let (log, _guard) = Log::start();
    let server = Server::start(&[BROKEN]).await;
    let mut broken = webhook(&server.url, WebhookFormat::Json, PATIENT);
    broken.retry_policy = brief;
    let running = Running::start(broken, Shelf::of([transition(1, true)]), Vec::new());
    timeout(PATIENT, async {
        while !running.waiting.left().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("given up");
    assert!(log.text().contains("given up"), "{}", log.text());
    let mut server = Server::start(&[""]).await;
    let mut away = webhook(&server.url, WebhookFormat::Json, brief.initial_backoff);
    away.retry_policy = brief;
    let running = Running::start(away, Shelf::of([transition(1, true)]), Vec::new());
    // Each takes as long as the pause before it, so that all are longer than a message may be refused.
    for _ in 0..40 {
        server.next().await;
    }
    assert_eq!(running.waiting.left(), [transition(1, true)]);
}

#[tokio::test]
async fn alertmanager_is_told_after_a_restart_what_fired_before_it() {
    let mut server = Server::start(&[OK]).await;
    let webhook = webhook(&server.url, WebhookFormat::Alertmanager, PATIENT);
    let running = Running::start(webhook, Shelf::default(), vec![transition(1, true)]);
    let told = server.next().await.json();
    assert_eq!(told[0]["labels"]["source"], "gpu_n1");
    assert_eq!(told[0]["endsAt"], "2026-11-24T07:04:00.000000Z");
    assert_eq!(running.stop().await, []);
}
