//! A REST server that answers as it is told, over TLS on the loopback address. It is strict: what a call has
//! that it should not have, or lacks, is a fault of the test.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) const USER_ID: &str = "34bab2a5fbc5bef03fc7a66aec41f3ee3ef7dbe0";
pub(crate) const GTOKEN: &str = "bd15705780c3275f9113287013455de2";
/// The first token; later ones count up.
pub(crate) const TOKEN: &str = "f00dcafe";

pub(crate) const LOGIN: &str = "login";
pub(crate) const DEVICES: &str = "get_relate_and_bind_devices";
pub(crate) const SITES: &str = "get_site_list";
pub(crate) const SCENE: &str = "get_scen_info";
pub(crate) const MQTT: &str = "get_user_mqtt_info";
pub(crate) const ENERGY: &str = "energy_statistics";

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A body with this HTTP status.
    Body(u16, String),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    pub(crate) fn data(data: &Value) -> Self {
        Self::Body(200, json!({"code": 0, "msg": "success!", "data": data, "trace_id": "t"}).to_string())
    }

    pub(crate) fn code(code: i64) -> Self {
        Self::said(code, "Failed to request.")
    }

    pub(crate) fn said(code: i64, msg: &str) -> Self {
        Self::Body(200, json!({"code": code, "msg": msg}).to_string())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Body(status, "<html><body>gateway</body></html>".to_owned())
    }
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) endpoint: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    faults: Vec<String>,
    once: HashMap<String, VecDeque<Reply>>,
    always: HashMap<String, Reply>,
    /// The token of the last login; others are refused with 401, if any login was made here.
    token: Option<String>,
    takes_any_token: bool,
}

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

/// The certificate that all servers of one test have, and the file of it.
pub(crate) struct Authority {
    pub(crate) path: PathBuf,
    _file: tempfile::NamedTempFile,
    acceptor: TlsAcceptor,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(certificate.pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        Self { path: file.path().to_owned(), _file: file, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Server {
    pub(crate) async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let acceptor = authority.acceptor.clone();
        let of_router = state.clone();
        let router = Router::new().fallback(move |request: Request| answer(of_router.clone(), request));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(Tls { listener, acceptor }, router).await.unwrap() });
        Self { url, state, _tasks: tasks }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next answer of an endpoint.
    pub(crate) fn once(&self, endpoint: &str, reply: Reply) -> &Self {
        self.state().once.entry(endpoint.to_owned()).or_default().push_back(reply);
        self
    }

    /// All other answers of an endpoint.
    pub(crate) fn always(&self, endpoint: &str, reply: Reply) -> &Self {
        self.state().always.insert(endpoint.to_owned(), reply);
        self
    }

    /// As before a month of answers: tokens that were made elsewhere are good here too.
    pub(crate) fn take_any_token(&self) -> &Self {
        self.state().takes_any_token = true;
        self
    }

    /// Tokens that were made so far are no longer good.
    pub(crate) fn forget_token(&self) {
        self.state().token = Some("forgotten".to_owned());
    }

    /// How often an endpoint was called.
    pub(crate) fn n(&self, endpoint: &str) -> usize {
        self.calls(endpoint).len()
    }

    pub(crate) fn calls(&self, endpoint: &str) -> Vec<Call> {
        self.state().calls.iter().filter(|call| call.endpoint == endpoint).cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let faults = std::mem::take(&mut self.state.lock().unwrap().faults);
        if !std::thread::panicking() {
            assert!(faults.is_empty(), "{faults:#?}");
        }
    }
}

/// Connections that have their handshake behind them.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = self.listener.accept().await.unwrap();
            // Who does not trust the certificate breaks it off.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let endpoint = parts.uri.path().rsplit('/').next().unwrap().to_owned();
    let reply = {
        let mut state = state.lock().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let faults = faults(&endpoint, &parts.headers, &body);
        let faults: Vec<String> =
            faults.into_iter().map(|fault| format!("{} {}: {fault}", parts.method, parts.uri)).collect();
        state.faults.extend(faults);
        let token = header(&parts.headers, "x-auth-token");
        state.calls.push(Call { endpoint: endpoint.clone(), token: token.clone(), body });
        state.reply(&endpoint, token.as_deref())
    };
    match reply {
        Reply::Body(status, body) => {
            (axum::http::StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Reply::Silence => std::future::pending().await,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn faults(endpoint: &str, headers: &HeaderMap, body: &Value) -> Vec<String> {
    let expected = [
        ("content-type", "application/json"),
        ("model-type", "DESKTOP"),
        ("app-name", "anker_power"),
        ("os-type", "android"),
        ("country", "US"),
        ("timezone", "GMT+00:00"),
    ];
    let wrong = expected.iter().filter(|(name, value)| header(headers, name).as_deref() != Some(*value));
    let mut faults: Vec<String> = wrong.map(|(name, _)| format!("{name} is not as it should be")).collect();
    let is_login = endpoint == LOGIN;
    if header(headers, "x-auth-token").is_some() == is_login {
        faults.push("a token belongs into every call but a login".to_owned());
    }
    if header(headers, "gtoken") != (!is_login).then(|| GTOKEN.to_owned()) {
        faults.push("the hash of the account belongs into every call but a login".to_owned());
    }
    if !body.is_object() {
        faults.push("the body is no object".to_owned());
    }
    faults
}

impl State {
    fn reply(&mut self, endpoint: &str, token: Option<&str>) -> Reply {
        let said = self.once.get_mut(endpoint).and_then(VecDeque::pop_front);
        if let Some(reply) = said.or_else(|| self.always.get(endpoint).cloned()) {
            return reply;
        }
        if endpoint == LOGIN {
            let n_logins = self.calls.iter().filter(|call| call.endpoint == LOGIN).count();
            let token = format!("{TOKEN}{n_logins}");
            self.token = Some(token.clone());
            // 2026-12-01T07:00:00Z, a week after the tests begin; as a text, to see that it is read.
            let end = "1796108400";
            return Reply::data(&json!({"auth_token": token, "user_id": USER_ID, "token_expires_at": end}));
        }
        if !self.takes_any_token && token != self.token.as_deref() {
            return Reply::status(401);
        }
        Reply::data(&default_data(endpoint))
    }
}

/// The account of the recording: a panel and two stations.
fn default_data(endpoint: &str) -> Value {
    let recorded = |text: &str| serde_json::from_str::<Value>(text).unwrap()["data"].take();
    match endpoint {
        DEVICES => recorded(include_str!("../../../fixtures/solix/rest/bind_devices.json")),
        SITES => recorded(include_str!("../../../fixtures/solix/rest/site_list.json")),
        SCENE => recorded(include_str!("../../../fixtures/solix/rest/scene_panel.json")),
        _ => json!({}),
    }
}
