//! All hosts of one cycle at once, gathered to a batch by the cycle's deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::clock::Clock;
use super::host_task::{read_host, unread};
use super::memory::{HostMemory, Memory};
use crate::batch::{Batch, BatchId, HostReport};
use crate::inventory::{Host, Inventory};
use crate::reading::{Failure, FailureKind};
use crate::transport::Connections;

/// A host's own deadline ends its task; this much later the cycle closes without it.
const GRACE: Duration = Duration::from_millis(500);

/// How long a cycle of this fleet may take. The last quarter of the interval is for writing, unless a
/// host's own timeout, which is below the interval, needs it.
pub fn closes_after(inventory: &Inventory) -> Duration {
    let longest = inventory.hosts.iter().map(|host| host.timeout).max().unwrap_or_default();
    (inventory.cycle.interval * 3 / 4).max(longest)
}

/// One cycle over a fleet.
#[derive(Debug)]
pub struct Cycle {
    /// Who is asked.
    pub hosts: Vec<Arc<Host>>,
    /// How many are asked at once.
    pub concurrency: usize,
    /// By when the cycle is closed.
    pub closes_at: Instant,
    /// How they are reached.
    pub connections: Arc<Connections>,
    /// The wall clock.
    pub clock: Clock,
}

/// What a host's task brings: its place in the fleet, its report, and what it remembers.
type Read = (usize, HostReport, Option<HostMemory>);

impl Cycle {
    /// Reads every host. Exactly one report for each comes back, in the order of the fleet, at the latest
    /// shortly after `closes_at`; what the hosts' tasks remember goes into `memory`.
    pub async fn run(self, id: BatchId, memory: &mut Memory) -> Batch {
        let started_at = self.clock.now();
        let slots = Arc::new(Semaphore::new(self.concurrency.max(1)));
        let mut tasks = JoinSet::new();
        let mut places: BTreeMap<Id, usize> = BTreeMap::new();
        for (host_idx, host) in self.hosts.iter().enumerate() {
            let remembered = memory.of(&host.name);
            let task = self.host_task(host_idx, host.clone(), remembered, slots.clone());
            let span = tracing::debug_span!("host", node = host.name);
            places.insert(tasks.spawn(task.instrument(span)).id(), host_idx);
        }
        let mut reports: Vec<Option<HostReport>> = self.hosts.iter().map(|_| None).collect();
        let mut keep = |host_idx: usize, report: HostReport| {
            if let Some(slot) = reports.get_mut(host_idx) {
                *slot = Some(report);
            }
        };
        while let Ok(Some(joined)) = timeout_at(self.closes_at + GRACE, tasks.join_next()).await {
            match joined {
                Ok((host_idx, report, remembered)) => {
                    if let Some(remembered) = remembered {
                        memory.remember(&report.node, remembered);
                    }
                    keep(host_idx, report);
                }
                Err(error) => {
                    tracing::error!(%error, "a host's task failed");
                    let host_idx = places.get(&error.id()).copied();
                    if let Some((host_idx, host)) = host_idx.and_then(|i| Some((i, self.hosts.get(i)?))) {
                        let failure = Failure::new(FailureKind::Internal, "its task panicked");
                        keep(host_idx, unread(host, failure, self.clock.now()));
                    }
                }
            }
        }
        tasks.abort_all();
        let late = || Failure::new(FailureKind::Late, "");
        let reports = self
            .hosts
            .iter()
            .zip(reports)
            .map(|(host, report)| report.unwrap_or_else(|| unread(host, late(), self.clock.now())))
            .collect();
        Batch { id, started_at, reports }
    }

    /// Waits for a free place, then reads the host.
    fn host_task(
        &self,
        host_idx: usize,
        host: Arc<Host>,
        remembered: HostMemory,
        slots: Arc<Semaphore>,
    ) -> impl Future<Output = Read> + use<> {
        let (connections, clock, closes_at) = (self.connections.clone(), self.clock, self.closes_at);
        async move {
            let Ok(Ok(_slot)) = timeout_at(closes_at, slots.acquire()).await else {
                let failure = Failure::new(FailureKind::Late, "no place was free; raise `concurrency`");
                return (host_idx, unread(&host, failure, clock.now()), None);
            };
            let (report, memory) = read_host(&host, remembered, &connections, clock, closes_at).await;
            tracing::debug!(outcome = report.outcome.label(), gpus = report.gpus.len(), "host read");
            (host_idx, report, Some(memory))
        }
    }
}
