//! The listeners: HTTPS for both regions, and plain HTTP for the control interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::rest::{self, Incoming};
use super::state::Shared;
use super::types::Region;

/// No request is longer.
const MAX_BODY: usize = 64 << 10;

/// A handshake that takes longer is nobody's.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A listener on a free port of the loopback address.
pub fn listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves one region until it is dropped.
pub async fn serve(shared: Arc<Shared>, region: Region, listener: TcpListener, tls: Arc<ServerConfig>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this process");
    let address = listener.local_addr().expect("it listens");
    // One, so that a slow server is felt at the socket.
    let (ready, received) = channel(1);
    let mut handshakes = JoinSet::new();
    handshakes.spawn(async move {
        let acceptor = TlsAcceptor::from(tls);
        let mut running = JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            running.spawn(async move {
                let done = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
                if let Ok(Ok(stream)) = done {
                    ready.send((stream, peer)).await.unwrap_or_default();
                }
            });
            while running.try_join_next().is_some() {}
        }
    });
    let router = Router::new().fallback(move |request: Request| {
        let shared = shared.clone();
        async move { answer(&shared, region, request).await }
    });
    axum::serve(Secured { received, address }, router).await.expect("serving does not end");
}

/// Connections that have their handshake behind them.
struct Secured {
    received: Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl axum::serve::Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.received.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

async fn answer(shared: &Shared, region: Region, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default().to_vec();
    let endpoint = parts.uri.path().trim_start_matches('/').to_owned();
    let incoming = Incoming { region, method: parts.method, endpoint, headers: parts.headers, body };
    let Some(reply) = rest::answer(shared, &incoming, SystemTime::now()) else {
        return std::future::pending().await;
    };
    tokio::time::sleep(reply.after).await;
    text(reply.status, reply.content_type, reply.body)
}

/// A response with a text.
pub fn text(status: u16, content_type: &str, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, content_type);
    response.body(Body::from(body)).expect("status and header are valid")
}
