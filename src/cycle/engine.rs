//! The fleet at work: one task for each host, which owns the host's session, and cycles that ask all of them.
//!
//! A cycle is a state of the engine. `begin` opens it and sends each task that is not busy a tick; `closed` gathers
//! reports until all have come or the cycle's deadline is over, and may be dropped and called again. There is exactly
//! one report for each host: one without a report by then is late, one that was still busy says so, and one whose task
//! panicked gets a new task. A report that comes after its cycle has closed only frees its host.
//! `reconcile` exchanges the hosts, also in the middle of a cycle; dropping a task's channel ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::clock::Clock;
use super::host_task::{HostRead, HostTask, Shared, Tick};
use super::memory::Memory;
use super::stagger::offset_of;
use super::tool_query::unread;
use crate::batch::{Batch, BatchId, HostReport, mark_duplicates};
use crate::inventory::{Host, Inventory};
use crate::reading::{Failure, FailureKind, Timestamp};
use crate::transport::Connections;

/// A host's own deadline ends its work; at most this much later the cycle closes without it.
const GRACE: Duration = Duration::from_millis(500);

/// The time for hosts that are answering when a cycle is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The most reports that wait for the gatherer. A task that finds no room waits, and its host is late at worst.
const OUTBOX: usize = 64;

/// The time that the hosts of a cycle have, and how much later it closes. The last quarter of the interval is
/// for writing, unless a host's own timeout, which is below the interval, needs it.
pub fn closes_after(inventory: &Inventory) -> (Duration, Duration) {
    let interval = inventory.cycle.interval;
    let longest = inventory.hosts.iter().map(|host| host.timeout).max().unwrap_or_default();
    let hosts_have = (interval * 3 / 4).max(longest);
    (hosts_have, (interval.saturating_sub(hosts_have) / 2).min(GRACE))
}

/// The side of a host's task that the engine holds. Dropping it ends the task, which closes its session.
#[derive(Debug)]
struct HostHandle {
    host: Arc<Host>,
    /// One tick fits: a host that is busy is not sent another.
    ticks: mpsc::Sender<Tick>,
    is_busy: bool,
}

/// All hosts of a fleet, each with its task.
#[derive(Debug)]
pub struct Engine {
    /// In the order of the inventory.
    handles: Vec<HostHandle>,
    /// Where in `handles` a node is.
    places: BTreeMap<String, usize>,
    tasks: JoinSet<()>,
    /// Which host each task is of.
    nodes: BTreeMap<Id, String>,
    shared: Shared,
    inbox: mpsc::Receiver<HostRead>,
    /// The memory of the hosts.
    pub memory: Memory,
    n_cycles: u64,
    open: Option<OpenCycle>,
    /// Whether hosts whose inventory says `sample` are sampled from one cycle to the next: in a series of cycles.
    pub samples: bool,
    /// The span over which the hosts of a cycle are asked, each at its own distance from the cycle's beginning, which
    /// is always the same. For a series of cycles over many hosts; a cycle closes no later for it, so it is to be
    /// short against the hosts' time.
    pub stagger: Duration,
    /// Tells hosts that wait for their moment that the cycle does not.
    closes_soon: watch::Sender<bool>,
}

impl Engine {
    /// Starts a task for each host. Connects nothing yet.
    pub fn start(
        hosts: &[Arc<Host>],
        concurrency: usize,
        connections: Arc<Connections>,
        mut memory: Memory,
    ) -> Self {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let slots = Arc::new(Semaphore::new(concurrency.max(1)));
        let (closes_soon, told) = watch::channel(false);
        let collector = memory.collector().into();
        let shared = Shared { connections, slots, collector, outbox, closes_soon: told };
        let mut engine = Self {
            handles: Vec::new(),
            places: BTreeMap::new(),
            tasks: JoinSet::new(),
            nodes: BTreeMap::new(),
            shared,
            inbox,
            memory,
            n_cycles: 0,
            open: None,
            samples: false,
            stagger: Duration::ZERO,
            closes_soon,
        };
        engine.reconcile(hosts);
        engine
    }

    /// Makes the fleet be `hosts`: new ones get a task, changed ones a new task, and those that are gone
    /// lose theirs. The others are not touched. New and changed ones are asked at once if a cycle is open.
    /// Gives back how many are new or changed.
    pub fn reconcile(&mut self, hosts: &[Arc<Host>]) -> usize {
        let handles = self.handles.drain(..);
        let mut running: BTreeMap<String, HostHandle> =
            handles.map(|handle| (handle.host.name.clone(), handle)).collect();
        let mut handles = Vec::with_capacity(hosts.len());
        let mut spawned = Vec::new();
        for (place, host) in hosts.iter().enumerate() {
            let unchanged = running.remove(&host.name).filter(|handle| handle.host == *host);
            handles.push(unchanged.unwrap_or_else(|| {
                spawned.push(place);
                self.spawn(host.clone())
            }));
        }
        let places = handles.iter().enumerate();
        self.places = places.map(|(place, handle)| (handle.host.name.clone(), place)).collect();
        self.handles = handles;
        if let Some(open) = &mut self.open {
            open.missing.retain(|node| self.places.contains_key(node));
        }
        spawned.iter().for_each(|place| self.send_tick(*place, Duration::ZERO));
        spawned.len()
    }

    fn spawn(&mut self, host: Arc<Host>) -> HostHandle {
        let (ticks, inbox) = mpsc::channel(1);
        let task = HostTask::new(
            host.clone(),
            self.memory.hosts.get(&host.name).cloned().unwrap_or_default(),
            inbox,
            self.shared.clone(),
        );
        let span = tracing::debug_span!("host", node = host.name);
        let id = self.tasks.spawn(task.run().instrument(span)).id();
        self.nodes.insert(id, host.name.clone());
        HostHandle { host, ticks, is_busy: false }
    }

    /// Opens a cycle: asks every host that is not still busy. Hosts have until `closes_at`, and the cycle closes
    /// `grace` later.
    ///
    /// A cycle that is still open is given up, which cannot be if the interval is longer than both.
    pub fn begin(&mut self, id: BatchId, closes_at: Instant, grace: Duration) {
        if self.open.is_some() {
            tracing::error!("a cycle was still open when the next one began; its readings are lost");
        }
        self.n_cycles += 1;
        self.shared.connections.forget_failures();
        self.closes_soon.send_replace(false);
        self.open = Some(OpenCycle {
            id,
            started_at: Clock.now(),
            hosts_by: closes_at,
            closes_at: closes_at + grace,
            reports: BTreeMap::new(),
            missing: BTreeSet::new(),
        });
        for place in 0..self.handles.len() {
            self.send_tick(place, self.stagger);
        }
    }

    /// Whether a cycle is open.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The number of hosts of the open cycle that are done, and of all hosts.
    pub fn progress(&self) -> (usize, usize) {
        (self.open.as_ref().map_or(0, |open| open.reports.len()), self.handles.len())
    }

    /// Lets the open cycle, if there is one, close soon: answers are still gathered for a moment, and hosts that were
    /// to be asked later are asked now.
    pub fn close_soon(&mut self) {
        if let Some(open) = &mut self.open {
            open.closes_at = open.closes_at.min(Instant::now() + STOP_GRACE);
            self.closes_soon.send_replace(true);
        }
    }

    /// Waits until the open cycle is closed: every host has answered, or its time is over. Exactly one
    /// report for each host comes back, in the order of the fleet. Waits for ever if no cycle is open.
    ///
    /// May be dropped and called again: nothing is lost.
    pub async fn closed(&mut self) -> Batch {
        while let Some(open) = self.open.as_ref()
            && !open.missing.is_empty()
        {
            // No branch loses anything when another one wins: each only waits for a message.
            tokio::select! {
                Some(read) = self.inbox.recv() => self.take(read),
                Some(ended) = self.tasks.join_next_with_id() => self.take_ended(ended),
                () = tokio::time::sleep_until(open.closes_at) => break,
            }
        }
        let Some(mut open) = self.open.take() else { return std::future::pending().await };
        let now = Clock.now();
        let late = || Failure::new(FailureKind::Late, "");
        let reports = self.handles.iter().map(|handle| {
            open.reports.remove(&handle.host.name).unwrap_or_else(|| unread(&handle.host, late(), now))
        });
        let mut reports: Vec<HostReport> = reports.collect();
        mark_duplicates(&mut reports);
        Batch { id: open.id, started_at: open.started_at, reports, account: None }
    }

    /// Asks one host in the open cycle, at its moment of the next `span`, unless it is still busy with an
    /// earlier one.
    fn send_tick(&mut self, place: usize, span: Duration) {
        let (Some(open), Some(handle)) = (&mut self.open, self.handles.get_mut(place)) else { return };
        let name = &handle.host.name;
        let tick = Tick {
            cycle: self.n_cycles,
            ask_at: Instant::now() + offset_of(span, name),
            closes_at: open.hosts_by,
            then_sample: self.samples,
        };
        if handle.is_busy {
            let busy = Failure::new(FailureKind::StillBusy, "");
            open.reports.insert(name.clone(), unread(&handle.host, busy, Clock.now()));
        } else if handle.ticks.try_send(tick).is_ok() {
            handle.is_busy = true;
            open.missing.insert(name.clone());
        }
    }

    /// Puts a report in its place. One of an earlier cycle, whose batch is closed, only frees its host.
    fn take(&mut self, read: HostRead) {
        let node = read.report.node.clone();
        let handle = self.places.get(&node).and_then(|place| self.handles.get_mut(*place));
        // A host that has left the fleet, or was changed meanwhile, is of no interest.
        let Some(handle) = handle.filter(|handle| Arc::ptr_eq(&handle.host, &read.host)) else { return };
        handle.is_busy = false;
        self.memory.hosts.insert(node.clone(), read.memory);
        if let Some(open) = &mut self.open
            && read.cycle == self.n_cycles
        {
            open.missing.remove(&node);
            open.reports.insert(node, read.report);
        }
    }

    /// A task that ended: of a host that left the fleet, or by a panic, which is that host's outcome.
    fn take_ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let (Some(node), Some(error)) = (self.nodes.remove(&id), panic) else { return };
        tracing::error!(node, %error, "a host's task failed; it is started anew");
        let Some(place) = self.places.get(&node).copied() else { return };
        let Some(host) = self.handles.get(place).map(|handle| handle.host.clone()) else { return };
        if let Some(open) = &mut self.open {
            let failure = Failure::new(FailureKind::Internal, "its task panicked");
            open.reports.insert(node.clone(), unread(&host, failure, Clock.now()));
            open.missing.remove(&node);
        }
        let anew = self.spawn(host);
        if let Some(handle) = self.handles.get_mut(place) {
            *handle = anew;
        }
    }

    /// Ends every host's task and with it the sessions, by `deadline` at the latest, and gives back what
    /// is remembered.
    pub async fn shutdown(mut self, deadline: Instant) -> Memory {
        self.handles.clear();
        while let Ok(Some(_)) = timeout_at(deadline, self.tasks.join_next()).await {}
        // Only when they are gone is nothing started any more.
        self.tasks.shutdown().await;
        self.memory
    }
}

/// A cycle that is open, and what it has so far.
#[derive(Debug)]
struct OpenCycle {
    id: BatchId,
    started_at: Timestamp,
    /// By when a host has to be done.
    hosts_by: Instant,
    /// When the cycle closes without those that are missing.
    closes_at: Instant,
    reports: BTreeMap<String, HostReport>,
    missing: BTreeSet<String>,
}

#[cfg(test)]
mod tests;
