//! A webhook that comes and goes, and writes down everything that it was told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]
#![allow(dead_code, reason = "several programs use this module, each a part of it")]

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes it.
    Takes,
    /// Takes it, and dies before it can say so.
    TakesAndDies,
    /// Says that it cannot work now.
    Breaks,
    /// Ends every connection.
    Refuses,
}

/// One alert of a message, or of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) key: String,
    pub(crate) raised: bool,
    pub(crate) at: String,
}

/// What it does, and what it took: the alerts and the bodies as they came.
#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    told: Vec<Told>,
    bodies: Vec<Value>,
}

/// A server on a loopback address.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: String,
    shared: Arc<Mutex<Shared>>,
    _task: JoinSet<()>,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            behaviour: Behaviour::Takes,
            told: Vec::new(),
            bodies: Vec::new(),
        }));
        let mut task = JoinSet::new();
        let of_task = Arc::clone(&shared);
        task.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of_task);
                calls.spawn(async move { serve(stream, &shared).await.unwrap_or_default() });
            }
        });
        Self { url, shared, _task: task }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap().behaviour = behaviour;
    }

    /// Everything it took, in its order, twice what it took twice.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.shared.lock().unwrap().told.clone()
    }

    /// The bodies of all that it took, in their order.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.shared.lock().unwrap().bodies.clone()
    }
}

/// One request. Whoever is killed while it writes has said nothing.
async fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) -> Option<()> {
    if shared.lock().unwrap().behaviour == Behaviour::Refuses {
        return None;
    }
    let mut request = Vec::new();
    let body = loop {
        let mut piece = [0; 4_096];
        let n_read = stream.read(&mut piece).await.ok().filter(|n_read| *n_read > 0)?;
        request.extend_from_slice(&piece[..n_read]);
        if request.starts_with(b"HEAD ") && request.ends_with(b"\r\n\r\n") {
            return stream.write_all(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n").await.ok();
        }
        if let Some(body) = whole_body(&request) {
            break body;
        }
    };
    let behaviour = {
        let mut shared = shared.lock().unwrap();
        if matches!(shared.behaviour, Behaviour::Takes | Behaviour::TakesAndDies) {
            shared.told.extend(body["alerts"].as_array().into_iter().flatten().filter_map(told));
            shared.bodies.push(body);
        }
        shared.behaviour
    };
    let answer = match behaviour {
        Behaviour::Takes => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Behaviour::Breaks => "HTTP/1.1 503 Not Now\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Behaviour::TakesAndDies | Behaviour::Refuses => return None,
    };
    stream.write_all(answer.as_bytes()).await.ok()
}

/// The body of a request that is there to its end, as a text where it is no JSON.
fn whole_body(request: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(request).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    (Some(body.len()) == length).then(|| serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)))
}

fn told(alert: &Value) -> Option<Told> {
    let text = |name: &str| alert[name].as_str().map(str::to_owned);
    Some(Told { key: text("key")?, raised: alert["status"] == "raised", at: text("at")? })
}
