//! A TCP proxy before PostgreSQL that can lose the answer to a commit, break or hold up its connections,
//! and go away.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(dead_code, reason = "several programs use this module, each a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The proxy. It is gone when it is dropped, with all its connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    server: u16,
    orders: Arc<Orders>,
    /// Holds the task that accepts; that one holds those of the connections.
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Orders {
    swallows: AtomicBool,
    swallowed: AtomicUsize,
    /// Whether what is sent stays in the proxy.
    holds: watch::Sender<bool>,
    /// Connections break when it changes.
    cuts: watch::Sender<usize>,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut proxy = Self { address, server, orders: Arc::default(), tasks: JoinSet::new() };
        proxy.tasks.spawn(accept(listener, server, proxy.orders.clone()));
        proxy
    }

    /// From now on: the server gets each COMMIT, and the client gets a cut connection for an answer.
    pub(crate) fn swallow_commits(&self, swallows: bool) {
        self.orders.swallows.store(swallows, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub(crate) fn swallowed(&self) -> usize {
        self.orders.swallowed.load(Ordering::SeqCst)
    }

    /// From now on: nothing comes through, and nothing breaks; afterwards everything comes late.
    pub(crate) fn hold(&self, holds: bool) {
        self.orders.holds.send_replace(holds);
    }

    /// Breaks every connection once.
    pub(crate) fn cut(&self) {
        self.orders.cuts.send_modify(|n_cuts| *n_cuts += 1);
    }

    /// Nobody is there any more, as when the server is stopped.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.tasks.spawn(accept(listener, self.server, self.orders.clone()));
    }
}

async fn accept(listener: TcpListener, server: u16, orders: Arc<Orders>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // Without a server the client finds its connection closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
        let (orders, mut cuts) = (orders.clone(), orders.cuts.subscribe());
        connections.spawn(async move {
            // Either way the connection is over, so nothing is lost that matters.
            tokio::select! {
                () = relay(client, server, orders) => (),
                _ = cuts.changed() => (),
            }
        });
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, orders: Arc<Orders>) {
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut holds = orders.holds.subscribe();
    loop {
        if holds.wait_for(|holds| !holds).await.is_err() {
            return;
        }
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(n_bytes @ 1..) = read else { return };
                let some = question.get(..n_bytes).unwrap();
                if server.write_all(some).await.is_err() {
                    return;
                }
                if orders.swallows.load(Ordering::SeqCst) && some.ends_with(b"COMMIT\0") {
                    // The answer comes when the commit is made.
                    if let Ok(1..) = server.read(&mut answer).await {
                        orders.swallowed.fetch_add(1, Ordering::SeqCst);
                    }
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(n_bytes @ 1..) = read else { return };
                if client.write_all(answer.get(..n_bytes).unwrap()).await.is_err() {
                    return;
                }
            }
        }
    }
}
