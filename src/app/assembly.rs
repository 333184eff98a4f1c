//! The parts that read a fleet, put together in one way for a poll and for the daemon.

use std::sync::{Arc, mpsc};

use super::alerts::Alerting;
use super::{Error, Settings, runtime};
use crate::cycle::{Engine, Memory};
use crate::inventory::{Host, Inventory};
use crate::reading::error_chain;
use crate::transport::{Connections, MasterLifetime, descriptor_limit, hosts_at_once};

/// The lifetime of connections and state beside that of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It leaves no trace: nothing is written, and no connection stays.
    Traceless,
    /// Connections stay for the next run.
    NextRun,
    /// Connections end with the process.
    Process,
}

/// The engine that asks hosts, and the alerts that judge their answers.
pub(super) struct Collector {
    pub(super) engine: Engine,
    pub(super) connections: Arc<Connections>,
    pub(super) alerting: Alerting,
}

impl Collector {
    /// # Errors
    /// The folder of connections cannot be had.
    pub(super) fn assemble(
        settings: &Settings,
        hosts: &[Arc<Host>],
        lifetime: Lifetime,
    ) -> Result<Self, Error> {
        let memory = remembered(settings);
        let alerting = Alerting::new(settings, memory.alerts_before.clone());
        let connections = connections(settings, hosts, lifetime)?;
        let places = concurrency(&settings.inventory, lifetime == Lifetime::Process);
        let engine = Engine::start(hosts, places, connections.clone(), memory);
        Ok(Self { engine, connections, alerting })
    }
}

/// The connections over which hosts are reached.
///
/// # Errors
/// Their folder cannot be had.
pub(super) fn connections(
    settings: &Settings,
    hosts: &[Arc<Host>],
    lifetime: Lifetime,
) -> Result<Arc<Connections>, Error> {
    let connecting = settings.inventory.cycle.connecting;
    let mut targets = hosts.iter().filter_map(|host| host.ssh_target()).peekable();
    let has_targets = targets.peek().is_some();
    let created = || {
        let runtime = runtime::create(settings)?;
        runtime.sweep(targets);
        Ok::<_, Error>(runtime)
    };
    let (runtime, masters) = match lifetime {
        // A reload may bring the first host that is reached over SSH.
        Lifetime::Process => (Some(created()?), MasterLifetime::Process),
        Lifetime::NextRun if has_targets => (Some(created()?), MasterLifetime::Persistent),
        Lifetime::Traceless if has_targets => (runtime::existing(settings)?, MasterLifetime::Ephemeral),
        Lifetime::NextRun | Lifetime::Traceless => (None, MasterLifetime::Ephemeral),
    };
    Ok(Arc::new(Connections::new(runtime, masters, connecting)))
}

/// The memory of hosts that earlier runs kept. A damaged one is no reason to fail.
fn remembered(settings: &Settings) -> Memory {
    Memory::load(&settings.state_dir).unwrap_or_else(|error| {
        tracing::warn!(error = error_chain(&error), "forgotten, and learnt anew");
        Memory::default()
    })
}

/// Keeps the memory of hosts. Nothing in it is worth ending for.
pub(super) fn save(memory: &Memory, settings: &Settings) {
    if let Err(error) = memory.save(&settings.state_dir) {
        tracing::error!(error = error_chain(&error), "the memory of hosts is not kept");
    }
}

/// The stack of a thread that only waits.
const MIN_STACK: usize = 16 << 10;

/// That this user may start so many more threads: all are there at once, and end.
///
/// # Errors
/// This machine refuses one.
pub fn can_start_threads(n_threads: usize) -> Result<(), Error> {
    let mut started = Vec::new();
    let refused = (0..n_threads).find_map(|_| {
        let (release, released) = mpsc::channel::<()>();
        match std::thread::Builder::new().stack_size(MIN_STACK).spawn(move || released.recv()) {
            Ok(thread) => {
                started.push((release, thread));
                None
            }
            Err(error) => Some(error),
        }
    });
    let (hold, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    drop(hold);
    for thread in threads {
        // It ends as it is released, with an error that says so.
        thread.join().map(drop).unwrap_or_default();
    }
    refused.map_or(Ok(()), |error| Err(Error::Threads(error)))
}

/// `concurrency`, or as many hosts as this process has file descriptors for, which is said then.
pub(super) fn concurrency(inventory: &Inventory, samples: bool) -> usize {
    let wanted = inventory.cycle.concurrency.max(1);
    let Some(limit) = descriptor_limit() else { return wanted };
    let n_sampled = inventory.hosts.iter().filter(|host| samples && host.sample.is_some()).count();
    let possible = hosts_at_once(limit, n_sampled);
    if possible < wanted.min(inventory.hosts.len()) {
        tracing::warn!(
            "{possible} hosts are asked at once instead of {wanted}: this process may have {limit} open files; \
             raise `ulimit -n` (LimitNOFILE= in a unit), or lower `concurrency`"
        );
    }
    wanted.min(possible)
}
