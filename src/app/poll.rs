//! One cycle, then exit: what the timer runs.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::lock::lock_state;
use super::{Error, Settings};
use crate::batch::{Batch, BatchId, Event};
use crate::cycle::{Clock, Engine, Memory, closes_after};
use crate::inventory::{Host, SshTarget, Target};
use crate::store::{self, Timeline};
use crate::transport::{Connections, RuntimeDir};

/// The event that is only true of the whole fleet.
const CLUSTER_TOTAL: &str = "cluster_gpu_power_total";

/// How long closing sessions may take: hosts that hang are left to their own deadlines.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What is asked of a poll.
#[derive(Debug, Clone)]
pub struct PollRequest {
    /// Print, and leave no trace: no database, no state file, no connection.
    pub dry_run: bool,
    /// Only the hosts whose names match, as a shell matches file names.
    pub host: Option<String>,
}

/// What a poll brought.
#[derive(Debug)]
pub struct Polled {
    /// What was learnt.
    pub batch: Batch,
    /// What became of it.
    pub kept: Kept,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Kept {
    /// Nothing: it was a dry run.
    DryRun,
    /// It is in the timeline.
    Written(store::Written),
    /// It is lost, since the timeline could not take it.
    Lost(store::Error),
}

/// Runs one cycle over the fleet and writes what it learnt in one transaction.
///
/// # Errors
/// The cycle could not be started. That a host failed, or the timeline, stands in the result.
pub async fn poll(settings: &Settings, request: &PollRequest) -> Result<Polled, Error> {
    let hosts = selected(settings, request.host.as_deref())?;
    let lock = if request.dry_run { None } else { Some(lock_state(&settings.state_dir)?) };
    let memory = remembered(settings);
    let inventory = &settings.inventory;
    let connections = connections(settings, request.dry_run, &hosts)?;
    let (hosts_have, grace) = closes_after(inventory);
    let mut engine = Engine::start(&hosts, inventory.cycle.concurrency, connections, Clock, memory);
    let cycle = async {
        engine.begin(BatchId(Uuid::now_v7()), Instant::now() + hosts_have, grace);
        let batch = engine.closed().await;
        (batch, engine.shutdown(Instant::now() + CLOSE_WITHIN).await)
    };
    if request.dry_run {
        return Ok(Polled { batch: cycle.await.0, kept: Kept::DryRun });
    }
    // The database's own login runs beside the cycle, so that it costs the cycle nothing.
    let ((batch, mut memory), timeline) =
        tokio::join!(cycle, Timeline::open(&settings.location, &inventory.store.table));
    let mut written = memory.written.clone();
    let mut events = batch.events(inventory.store.metadata, &mut written);
    if request.host.is_some() {
        events.retain(|event| event.event_type != CLUSTER_TOTAL);
    } else {
        let names: BTreeSet<&str> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
        memory.retain(|node| names.contains(node));
    }
    let kept = match timeline {
        Ok(timeline) => write(timeline, &events).await,
        Err(error) => Kept::Lost(error),
    };
    if matches!(kept, Kept::Written(_)) {
        memory.written = written;
    }
    if let Err(error) = memory.save(&settings.state_dir) {
        tracing::error!(%error, source = ?std::error::Error::source(&error), "not kept; the next run learns anew");
    }
    drop(lock);
    Ok(Polled { batch, kept })
}

/// What earlier runs remember of the hosts. Nothing in it is worth failing for.
pub(super) fn remembered(settings: &Settings) -> Memory {
    Memory::load(&settings.state_dir).unwrap_or_else(|error| {
        tracing::warn!(%error, source = ?std::error::Error::source(&error), "forgotten, and learnt anew");
        Memory::default()
    })
}

async fn write(timeline: Timeline, events: &[Event]) -> Kept {
    let kept = match timeline.write(events).await {
        Ok(written) => Kept::Written(written),
        Err(error) => Kept::Lost(error),
    };
    timeline.close().await;
    kept
}

/// The hosts to read, in the order of the inventory.
fn selected(settings: &Settings, pattern: Option<&str>) -> Result<Vec<Arc<Host>>, Error> {
    let hosts = settings.inventory.hosts.iter();
    let Some(pattern) = pattern else { return Ok(hosts.cloned().map(Arc::new).collect()) };
    let matcher = glob::Pattern::new(pattern)
        .map_err(|error| Error::Pattern { pattern: pattern.to_owned(), reason: error.msg })?;
    let selected: Vec<_> = hosts.filter(|host| matcher.matches(&host.name)).cloned().map(Arc::new).collect();
    if selected.is_empty() {
        return Err(Error::NoSuchHost { pattern: pattern.to_owned() });
    }
    Ok(selected)
}

/// How hosts are reached: over masters that are kept for the next run, or without a trace.
pub(super) fn connections(
    settings: &Settings,
    leave_no_trace: bool,
    hosts: &[Arc<Host>],
) -> Result<Arc<Connections>, Error> {
    let path = &settings.runtime_dir;
    let fail = |source: io::Error| Error::Directory { what: "runtime", path: path.clone(), source };
    let connecting = settings.inventory.cycle.connecting;
    let mut targets = hosts.iter().filter_map(|host| ssh_target(host)).peekable();
    if leave_no_trace || targets.peek().is_none() {
        let runtime = RuntimeDir::existing(path).map_err(fail)?;
        return Ok(Arc::new(Connections::leaving_no_trace(runtime, connecting)));
    }
    let runtime = RuntimeDir::create(path).map_err(fail)?;
    runtime.sweep(targets);
    Ok(Arc::new(Connections::kept_in(runtime, connecting)))
}

pub(super) fn ssh_target(host: &Host) -> Option<&SshTarget> {
    match &host.target {
        Target::Ssh(target) => Some(target),
        Target::Local | Target::Scripted { .. } => None,
    }
}
