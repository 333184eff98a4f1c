//! The listener for Prometheus: `/metrics`, `/probe`, `/sd`, `/healthz` and `/readyz`.
//!
//! Everything comes from the last snapshot. `/metrics` is rendered once for all who ask, off the threads of the cycle;
//! `/probe` and `/sd` are small, and made for each. A connection is for one request, within [`WITHIN`] from its first byte to the last of its answer, so that no client
//! can hold one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Choice, Format, metrics, probe};
use crate::batch::Snapshot;
use crate::inventory::ListenAddress;
use crate::output::unix_socket::UnixSocket;
use crate::output::{Snapshots, SocketError};
use crate::support::secret::Secret;

/// Connections at one time. One more is closed at once.
const MAX_CONNECTIONS: usize = 64;

/// A request, its answer and the reading of it have this time.
const WITHIN: Duration = Duration::from_secs(10);

/// The headers of a request must be there within this time.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);

/// The most bytes of a request's headers: the least that hyper takes.
const MAX_HEADER_BYTES: usize = 8 * 1_024;

/// The pause after an accept that failed, which is for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

type Answer = Response<Full<Bytes>>;

/// A listener that is bound.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    site: Arc<Site>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// All that a request is answered from.
#[derive(Debug)]
struct Site {
    choice: Choice,
    /// The digest of the bearer token; `None` where everybody who reaches us may ask.
    token: Option<[u8; 32]>,
    rendered: Mutex<Rendered>,
}

/// The bodies of `/metrics` of one snapshot, as far as they were asked for.
#[derive(Debug, Default)]
struct Rendered {
    snapshot: Option<Arc<Snapshot>>,
    bodies: HashMap<(Format, bool), Bytes>,
}

impl Server {
    /// Listens at an address. With a token, only those who bring it are answered.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn bind(
        address: &ListenAddress,
        token: Option<&Secret>,
        choice: Choice,
    ) -> Result<Self, SocketError> {
        let listener = match address {
            ListenAddress::Tcp(address) => Listener::Tcp(TcpListener::bind(address).await?),
            ListenAddress::Unix(path) => Listener::Unix(UnixSocket::bind(path).await?),
        };
        let token = token.map(|token| digest(token.expose()));
        Ok(Self { listener, site: Arc::new(Site { choice, token, rendered: Mutex::default() }) })
    }

    /// The address in use, where it is one of the network: a port of 0 has become another.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Serves clients until nothing more is published.
    pub async fn serve(self, mut snapshots: Snapshots) {
        let mut connections = JoinSet::new();
        loop {
            let connection = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                next = snapshots.next() => if next.is_none() { return } else { continue },
            };
            match connection {
                Ok(connection) if connections.len() < MAX_CONNECTIONS => {
                    let (site, snapshots) = (Arc::clone(&self.site), snapshots.clone());
                    connections.spawn(timeout(WITHIN, connection.serve(site, snapshots)));
                }
                // Whoever opens so many is not told one by one.
                Ok(_) => tracing::debug!(MAX_CONNECTIONS, "prometheus: a connection too many is closed"),
                Err(error) => {
                    tracing::warn!(%error, "prometheus: a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

/// An accepted connection.
enum Connection {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Connection> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Connection::Tcp(stream)),
            Self::Unix(socket) => socket.listener.accept().await.map(|(stream, _)| Connection::Unix(stream)),
        }
    }
}

impl Connection {
    async fn serve(self, site: Arc<Site>, snapshots: Snapshots) {
        match self {
            Self::Tcp(stream) => serve(stream, site, snapshots).await,
            Self::Unix(stream) => serve(stream, site, snapshots).await,
        }
    }
}

/// Answers the one request of a connection.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, site: Arc<Site>, snapshots: Snapshots) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (site, snapshot) = (Arc::clone(&site), snapshots.last());
        async move { Ok::<_, Infallible>(site.answer(&request, snapshot).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    server.keep_alive(false).max_buf_size(MAX_HEADER_BYTES);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!(%error, "prometheus: a connection ended early");
    }
}

impl Site {
    async fn answer<B>(&self, request: &Request<B>, snapshot: Option<Arc<Snapshot>>) -> Answer {
        if request.method() != Method::GET {
            return with(text(StatusCode::METHOD_NOT_ALLOWED, "only GET"), header::ALLOW, "GET");
        }
        let path = request.uri().path();
        // A check whether we live gives nothing away.
        if path == "/healthz" {
            return text(StatusCode::OK, "ok");
        }
        if !self.may_ask(request.headers()) {
            let refusal = text(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            return with(refusal, header::WWW_AUTHENTICATE, "Bearer");
        }
        let Some(snapshot) = snapshot else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no cycle has ended yet");
        };
        match path {
            "/metrics" => self.metrics(request.headers(), snapshot).await,
            "/probe" => self.probe(request, &snapshot),
            "/sd" => json_answer(&service_discovery(&snapshot)),
            "/readyz" => text(StatusCode::OK, "ok"),
            "/" => text(StatusCode::OK, "fleetwatt: /metrics, /probe?target=HOST, /sd, /healthz, /readyz"),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /probe?target=HOST, /sd, /healthz and /readyz",
            ),
        }
    }

    fn may_ask(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        // Digests are compared, so that the time of it tells nothing of the token.
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && digest(given.trim()) == *token
        })
    }

    async fn metrics(&self, headers: &HeaderMap, snapshot: Arc<Snapshot>) -> Answer {
        let (format, is_zipped) = (wanted_format(headers), takes_gzip(headers));
        let mut rendered = self.rendered.lock().await;
        if !rendered.snapshot.as_ref().is_some_and(|known| Arc::ptr_eq(known, &snapshot)) {
            *rendered = Rendered { snapshot: Some(Arc::clone(&snapshot)), bodies: HashMap::new() };
        }
        if let Some(body) = rendered.bodies.get(&(format, is_zipped)) {
            return exposition(body.clone(), format, is_zipped);
        }
        let choice = self.choice.clone();
        let render = move || body(metrics(&snapshot, &choice, format), is_zipped);
        let Ok(body) = tokio::task::spawn_blocking(render).await else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written");
        };
        rendered.bodies.insert((format, is_zipped), body.clone());
        exposition(body, format, is_zipped)
    }

    fn probe<B>(&self, request: &Request<B>, snapshot: &Snapshot) -> Answer {
        let Some(node) = target(request.uri().query().unwrap_or_default()) else {
            return text(StatusCode::BAD_REQUEST, "name a host: /probe?target=HOST");
        };
        let (format, is_zipped) = (wanted_format(request.headers()), takes_gzip(request.headers()));
        match probe(snapshot, &node, &self.choice, format) {
            Some(of_host) => exposition(body(of_host, is_zipped), format, is_zipped),
            None => text(StatusCode::NOT_FOUND, "the inventory has no host of this name"),
        }
    }
}

/// The host that a query asks for.
fn target(query: &str) -> Option<String> {
    let target = query.split('&').find_map(|pair| pair.strip_prefix("target="))?;
    Some(percent_decode_str(target).decode_utf8_lossy().into_owned()).filter(|target| !target.is_empty())
}

/// The hosts with their labels, as Prometheus' `http_sd_config` reads them. The labels are for relabeling, so that they
/// collide with none of a metric.
fn service_discovery(snapshot: &Snapshot) -> String {
    let group = |report: &crate::batch::HostReport| {
        let label = |(key, value): (&String, &String)| {
            let key = key.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
            (format!("__meta_fleetwatt_label_{key}"), value.clone().into())
        };
        let labels: serde_json::Map<_, _> = report.labels.iter().map(label).collect();
        json!({ "targets": [report.node], "labels": labels })
    };
    serde_json::Value::from_iter(snapshot.batch.reports.iter().map(group)).to_string()
}

fn wanted_format(headers: &HeaderMap) -> Format {
    // Whoever names OpenMetrics can read it; Prometheus prefers it.
    if accepts(headers, header::ACCEPT, "application/openmetrics-text") {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    accepts(headers, header::ACCEPT_ENCODING, "gzip")
}

/// Whether a list of what is accepted has a name, and not with a weight of nothing.
fn accepts(headers: &HeaderMap, list: HeaderName, name: &str) -> bool {
    let lists = headers.get_all(list).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|own| own.eq_ignore_ascii_case(name));
        is_it && !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0)))
    })
}

fn body(text: String, is_zipped: bool) -> Bytes {
    if !is_zipped {
        return text.into();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail.
    encoder.write_all(text.as_bytes()).unwrap_or_default();
    encoder.finish().unwrap_or_default().into()
}

fn exposition(body: Bytes, format: Format, is_zipped: bool) -> Answer {
    let answer = with(Response::new(Full::new(body)), header::CONTENT_TYPE, format.content_type());
    if is_zipped { with(answer, header::CONTENT_ENCODING, "gzip") } else { answer }
}

fn json_answer(body: &str) -> Answer {
    with(Response::new(Full::new(body.to_owned().into())), header::CONTENT_TYPE, "application/json")
}

fn text(status: StatusCode, words: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(format!("{words}\n").into()));
    *answer.status_mut() = status;
    with(answer, header::CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    answer
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
