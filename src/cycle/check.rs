//! One host, step by step, for a person who wants to know which step fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::memory::HostMemory;
use super::tool_query::{HostQuery, worded};
use crate::batch::HostReport;
use crate::inventory::Host;
use crate::reading::Failure;
use crate::transport::{Connections, Session};

/// The result of the steps to one host.
#[derive(Debug)]
pub struct Checked {
    /// The time that connecting took, or how it failed.
    pub connected: Result<Duration, Failure>,
    /// The names of the tools that it is asked by.
    pub tools: String,
    /// The answer of its tools; `None` if there was no connection to ask over.
    pub answered: Option<HostReport>,
}

/// Connects to `host`, then reads it as a cycle would, remembering nothing.
pub async fn check_host(host: &Host, connections: &Arc<Connections>) -> Checked {
    let started_at = Instant::now();
    let in_words = |failure| worded(host, failure);
    let tools: Vec<&str> = host.probes.iter().map(|tool| tool.label()).collect();
    let tools = tools.join(", ");
    let mut session = match Session::new(host, connections) {
        Ok(session) => session,
        Err(failure) => return Checked { connected: Err(in_words(failure)), tools, answered: None },
    };
    let connected = session.connect(started_at + host.timeout).await;
    let took = started_at.elapsed();
    let mut answered = None;
    if connected.is_ok() {
        let closes_at = Instant::now() + host.timeout;
        let query = HostQuery { host, collector: "check" };
        let (report, _) = query.read(&mut session, HostMemory::default(), None, closes_at).await;
        answered = Some(report);
    }
    session.close().await;
    Checked { connected: connected.map(|()| took).map_err(in_words), tools, answered }
}
