//! The fleet at work: one task a host, which owns the host's session, and cycles that ask all of them and
//! close on time whoever is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::clock::Clock;
use super::host_task::{HostRead, HostTask, Tick, unread};
use super::memory::Memory;
use crate::batch::{Batch, BatchId, HostReport};
use crate::inventory::{Host, Inventory};
use crate::reading::{Failure, FailureKind};
use crate::transport::Connections;

/// A host's own deadline ends its work; this much later the cycle closes without it.
const GRACE: Duration = Duration::from_millis(500);

/// How long a cycle that is told to stop still waits for hosts that are answering.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How many reports may wait for the gatherer. It only puts them in their places, so a few are plenty; a
/// task that finds no room waits, and its host is late at worst.
const OUTBOX: usize = 64;

/// How long a cycle of this fleet may take. The last quarter of the interval is for writing, unless a
/// host's own timeout, which is below the interval, needs it.
pub fn closes_after(inventory: &Inventory) -> Duration {
    let longest = inventory.hosts.iter().map(|host| host.timeout).max().unwrap_or_default();
    (inventory.cycle.interval * 3 / 4).max(longest)
}

/// What all host tasks share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    /// Bounds how many hosts are asked at once.
    pub(super) slots: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) outbox: mpsc::Sender<HostRead>,
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
    memory: Memory,
    n_cycles: u64,
}

impl Engine {
    /// Starts a task for each host. Connects nothing yet.
    pub fn start(
        hosts: &[Arc<Host>],
        concurrency: usize,
        connections: Arc<Connections>,
        clock: Clock,
        memory: Memory,
    ) -> Self {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let slots = Arc::new(Semaphore::new(concurrency.max(1)));
        let shared = Shared { connections, slots, clock, outbox };
        let mut engine = Self {
            handles: Vec::new(),
            places: BTreeMap::new(),
            tasks: JoinSet::new(),
            nodes: BTreeMap::new(),
            shared,
            inbox,
            memory,
            n_cycles: 0,
        };
        engine.reconcile(hosts);
        engine
    }

    /// Makes the fleet be `hosts`: new ones get a task, changed ones a new task, and those that are gone
    /// lose theirs. The others are not touched.
    pub fn reconcile(&mut self, hosts: &[Arc<Host>]) {
        let mut running: BTreeMap<String, HostHandle> = BTreeMap::new();
        for handle in self.handles.drain(..) {
            running.insert(handle.host.name.clone(), handle);
        }
        let mut handles = Vec::with_capacity(hosts.len());
        for host in hosts {
            let unchanged = running.remove(&host.name).filter(|handle| handle.host == *host);
            handles.push(unchanged.unwrap_or_else(|| self.spawn(host.clone())));
        }
        let places = handles.iter().enumerate();
        self.places = places.map(|(place, handle)| (handle.host.name.clone(), place)).collect();
        self.handles = handles;
    }

    /// What is remembered of the hosts.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What is remembered of the hosts, to be changed.
    pub fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    fn spawn(&mut self, host: Arc<Host>) -> HostHandle {
        let (ticks, inbox) = mpsc::channel(1);
        let task = HostTask::new(host.clone(), self.memory.of(&host.name), inbox, self.shared.clone());
        let span = tracing::debug_span!("host", node = host.name);
        let id = self.tasks.spawn(task.run().instrument(span)).id();
        self.nodes.insert(id, host.name.clone());
        HostHandle { host, ticks, is_busy: false }
    }

    /// Reads every host. Exactly one report for each comes back, in the order of the fleet, at the latest
    /// shortly after `closes_at`; earlier when all have answered, or when `stop` becomes true.
    pub async fn cycle(
        &mut self,
        id: BatchId,
        closes_at: Instant,
        stop: &mut watch::Receiver<bool>,
    ) -> Batch {
        let started_at = self.shared.clock.now();
        self.n_cycles += 1;
        self.shared.connections.forget_failures();
        let mut gathered = self.send_ticks(closes_at);
        let mut closes_at = closes_at + GRACE;
        let mut stopping = *stop.borrow();
        while !gathered.missing.is_empty() {
            // No branch loses anything when another one wins: each only waits for a message.
            tokio::select! {
                Some(read) = self.inbox.recv() => self.take(read, &mut gathered),
                Some(ended) = self.tasks.join_next_with_id() => self.take_ended(ended, &mut gathered),
                changed = stop.changed(), if !stopping => {
                    stopping = true;
                    if changed.is_ok() && *stop.borrow() {
                        closes_at = closes_at.min(Instant::now() + STOP_GRACE);
                    }
                }
                () = tokio::time::sleep_until(closes_at) => break,
            }
        }
        let now = self.shared.clock.now();
        let late = || Failure::new(FailureKind::Late, "");
        let reports = self.handles.iter().map(|handle| {
            gathered.reports.remove(&handle.host.name).unwrap_or_else(|| unread(&handle.host, late(), now))
        });
        Batch { id, started_at, reports: reports.collect() }
    }

    /// Asks every host that is not still busy.
    fn send_ticks(&mut self, closes_at: Instant) -> Gathered {
        let mut gathered = Gathered::default();
        let now = self.shared.clock.now();
        for handle in &mut self.handles {
            let tick = Tick { cycle: self.n_cycles, closes_at };
            let name = &handle.host.name;
            if handle.is_busy {
                let busy = Failure::new(FailureKind::StillBusy, "");
                gathered.reports.insert(name.clone(), unread(&handle.host, busy, now));
            } else if handle.ticks.try_send(tick).is_ok() {
                handle.is_busy = true;
                gathered.missing.insert(name.clone());
            }
        }
        gathered
    }

    /// Puts a report in its place. One of an earlier cycle, whose batch is closed, only frees its host.
    fn take(&mut self, read: HostRead, gathered: &mut Gathered) {
        let node = read.report.node.clone();
        let handle = self.places.get(&node).and_then(|place| self.handles.get_mut(*place));
        let Some(handle) = handle else { return };
        handle.is_busy = false;
        self.memory.remember(&node, read.memory);
        if read.cycle == self.n_cycles {
            gathered.missing.remove(&node);
            gathered.reports.insert(node, read.report);
        }
    }

    /// A task that ended: of a host that left the fleet, or by a panic, which is that host's outcome.
    fn take_ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>, gathered: &mut Gathered) {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let (Some(node), Some(error)) = (self.nodes.remove(&id), panic) else { return };
        tracing::error!(node, %error, "a host's task failed; it is started anew");
        let Some(place) = self.places.get(&node).copied() else { return };
        let Some(host) = self.handles.get(place).map(|handle| handle.host.clone()) else { return };
        let failure = Failure::new(FailureKind::Internal, "its task panicked");
        gathered.reports.insert(node.clone(), unread(&host, failure, self.shared.clock.now()));
        gathered.missing.remove(&node);
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
        self.tasks.abort_all();
        self.memory
    }
}

/// What a cycle has so far.
#[derive(Default)]
struct Gathered {
    reports: BTreeMap<String, HostReport>,
    missing: BTreeSet<String>,
}
