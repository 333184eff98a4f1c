//! The parts that read a fleet, put together in one way for a poll and for the daemon.

use std::sync::Arc;

use super::alerts::Alerting;
use super::limits::concurrency;
use super::{Error, Settings, runtime};
use crate::cycle::{Engine, Memory};
use crate::inventory::Host;
use crate::reading::error_chain;
use crate::transport::{Connections, MasterLifetime};

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
