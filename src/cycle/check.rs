//! One host, step by step, for a person who wants to know which step fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::host_task::read_over;
use super::memory::HostMemory;
use crate::batch::HostReport;
use crate::inventory::Host;
use crate::reading::Failure;
use crate::transport::{Connections, Session};

/// What became of the steps to one host.
#[derive(Debug)]
pub struct Checked {
    /// How long connecting took, or how it failed.
    pub connected: Result<Duration, Failure>,
    /// What nvidia-smi answered; `None` if there was no connection to ask over.
    pub answered: Option<HostReport>,
}

/// Connects to `host`, then reads it as a cycle would, remembering nothing.
pub async fn check_host(host: &Host, connections: &Arc<Connections>, clock: Clock) -> Checked {
    let started_at = Instant::now();
    let mut session = match Session::new(host, connections) {
        Ok(session) => session,
        Err(failure) => return Checked { connected: Err(failure), answered: None },
    };
    let connected = session.connect(started_at + host.timeout).await;
    let took = started_at.elapsed();
    let mut answered = None;
    if connected.is_ok() {
        let closes_at = Instant::now() + host.timeout;
        let (report, _) =
            read_over(host, &mut session, HostMemory::default(), clock, "check", closes_at).await;
        answered = Some(report);
    }
    session.close().await;
    Checked { connected: connected.map(|()| took), answered }
}
