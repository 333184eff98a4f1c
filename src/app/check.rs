//! The inventory and the settings, and on demand every step to every host and to the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::alerts::reach_webhook;
use super::assembly::{Lifetime, concurrency, connections};
use super::poll::PROGRESS_EVERY;
use super::{Error, HostSelection, Settings, WebhookAnswer, store_status};
use crate::battery::{Account, ask_once};
use crate::cycle::{Checked, check_host};
use crate::inventory::Host;
use crate::reading::AccountReport;
use crate::store::Status;
use crate::transport::look;

/// The time for stations, all steps to them included.
const STATIONS_WITHIN: Duration = Duration::from_secs(60);

/// The result of each step.
#[derive(Debug)]
pub struct CheckReport {
    /// The hosts that were selected, in the order of the inventory.
    pub hosts: Vec<HostCheck>,
    /// The timeline; `None` where a SQLite timeline is not there yet.
    pub store: Result<Option<Status>, Error>,
    /// The account of stations, if the inventory has one: what each station said, and what stood in the way.
    pub account: Option<AccountReport>,
    /// Whether the webhook for alerts answers, if the inventory has one. No alert is sent.
    pub webhook: Option<WebhookAnswer>,
}

/// One host's steps.
#[derive(Debug)]
pub struct HostCheck {
    /// The node's name.
    pub node: String,
    /// Where it is.
    pub address: String,
    /// Whether somebody works on it, so that what fails there is no failure of the fleet.
    pub maintenance: bool,
    /// The results of its steps; `None` if checking it failed in itself.
    pub checked: Option<Checked>,
}

/// Hosts whose files are looked at at once: that takes a few short processes each.
const LOOKING: usize = 16;

/// Something that keeps hosts from being logged in to, and is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTrouble {
    /// The hosts, in the order of the inventory.
    pub nodes: Vec<String>,
    /// The trouble, and the remedy.
    pub message: String,
}

/// Looks at the key files, `known_hosts` and ssh's configuration of each host, without connecting anywhere. What
/// is the same for several hosts is one.
pub async fn check_files(hosts: &[Arc<Host>]) -> Vec<LocalTrouble> {
    let slots = Arc::new(Semaphore::new(LOOKING));
    let mut tasks = JoinSet::new();
    let targets = hosts.iter().map(|host| host.ssh_target());
    for (host_idx, target) in targets.enumerate().filter_map(|(host_idx, target)| Some((host_idx, target?))) {
        let (target, slots) = (target.clone(), slots.clone());
        tasks.spawn(async move {
            let _slot = slots.acquire().await.ok();
            (host_idx, look(&target).await)
        });
    }
    let found: BTreeMap<usize, Vec<String>> = tasks.join_all().await.into_iter().collect();
    let mut troubles: Vec<LocalTrouble> = Vec::new();
    for (host_idx, messages) in found {
        let Some(host) = hosts.get(host_idx) else { continue };
        for message in messages {
            match troubles.iter_mut().find(|trouble| trouble.message == message) {
                Some(trouble) => trouble.nodes.push(host.name.clone()),
                None => troubles.push(LocalTrouble { nodes: vec![host.name.clone()], message }),
            }
        }
    }
    troubles
}

/// Tries every step to each host that is selected, and to the database. Leaves no trace. `progress` is
/// given how many hosts are done, of how many.
///
/// # Errors
/// The check could not be started. What a step says stands in the report.
pub async fn check(
    settings: &Settings,
    selection: &HostSelection,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<CheckReport, Error> {
    let inventory = &settings.inventory;
    let hosts = selection.of(inventory)?;
    let connections = connections(settings, &hosts, Lifetime::Traceless)?;
    let slots = Arc::new(Semaphore::new(concurrency(inventory, false)));
    let mut tasks = JoinSet::new();
    for (host_idx, host) in hosts.iter().cloned().enumerate() {
        let (connections, slots) = (connections.clone(), slots.clone());
        tasks.spawn(async move {
            let _slot = slots.acquire().await.ok();
            (host_idx, check_host(&host, &connections).await)
        });
    }
    let gather = async {
        let mut checks: Vec<HostCheck> = hosts.iter().map(|host| unchecked(host)).collect();
        let mut n_done = 0;
        let mut ticks = tokio::time::interval(PROGRESS_EVERY);
        while n_done < hosts.len() {
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                _ = ticks.tick() => {
                    progress(n_done as u64, hosts.len() as u64);
                    continue;
                }
            };
            n_done += 1;
            progress(n_done as u64, hosts.len() as u64);
            match joined {
                Some(Ok((host_idx, checked))) => {
                    if let Some(slot) = checks.get_mut(host_idx) {
                        slot.checked = Some(checked);
                    }
                }
                Some(Err(error)) => tracing::error!(%error, "checking a host failed"),
                None => break,
            }
        }
        checks
    };
    let stations = ask_stations(settings, selection);
    let (hosts, store, account, webhook) =
        tokio::join!(gather, store_status(settings), stations, reach_webhook(settings));
    Ok(CheckReport { hosts, store, account, webhook })
}

/// Asks every station as a dry run would: over the kept login, without a trace.
async fn ask_stations(settings: &Settings, selection: &HostSelection) -> Option<AccountReport> {
    let config = settings.account.as_ref().filter(|_| selection.is_whole())?;
    let config = Account { read_only: true, ..config.clone() };
    Some(ask_once(config, Instant::now() + STATIONS_WITHIN).await)
}

fn unchecked(host: &Host) -> HostCheck {
    HostCheck {
        node: host.name.clone(),
        address: host.address().to_owned(),
        maintenance: host.maintenance,
        checked: None,
    }
}
