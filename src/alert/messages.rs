//! Messages of alerts.

use std::time::Duration;

use super::PowerThreshold;
use crate::reading::{Power, Runtime, Share, Temperature};
use crate::support::counted;

/// Whether the alert is raised or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Raised,
    Cleared,
}

pub(super) fn temperature(name: &str, now: Temperature, above: Temperature, edge: Edge) -> String {
    format!("{name} is at {now}{} (limit {above})", again(edge))
}

pub(super) fn gpu_power(
    name: &str,
    now: Power,
    bound: Power,
    limit: Option<Power>,
    above: PowerThreshold,
    edge: Edge,
) -> String {
    let again = again(edge);
    match (above, limit) {
        (PowerThreshold::OfLimit(share), Some(limit)) => {
            format!("{name} draws {now}{again} ({share} of its limit of {limit} is {bound})")
        }
        (PowerThreshold::OfLimit(_) | PowerThreshold::Fixed(_), _) => {
            format!("{name} draws {now}{again} (limit {bound})")
        }
    }
}

pub(super) fn cluster_power(now: Power, budget: Power, edge: Edge) -> String {
    format!("all GPUs together draw {now}{} (budget {budget})", again(edge))
}

pub(super) fn silent(node: &str, reason: &str, lasted: Duration, edge: Edge) -> String {
    match edge {
        Edge::Raised => format!("{node} has given no answer{}: {reason}", for_as_long_as(lasted)),
        Edge::Cleared => format!("{node} answers again{}", after(lasted)),
    }
}

pub(super) fn jump_silent(jump: &str, n_hosts: usize, reason: &str, lasted: Duration) -> String {
    let hosts = if n_hosts == 1 { "the host".to_owned() } else { format!("{n_hosts} hosts") };
    let have = if n_hosts == 1 { "has" } else { "have" };
    format!("{hosts} behind the jump host {jump} {have} given no answer{}: {reason}", for_as_long_as(lasted))
}

pub(super) fn jump_works(jump: &str) -> String {
    format!("hosts behind the jump host {jump} answer again")
}

pub(super) fn spool(n_batches: u64, age: Duration, edge: Edge) -> String {
    match edge {
        Edge::Raised => {
            let wait = if n_batches == 1 { "waits" } else { "wait" };
            let batches = counted(n_batches, "batch", "batches");
            format!("{batches} {wait} in the spool, the oldest for {}", rounded_duration(age))
        }
        Edge::Cleared => "the spool is delivered again".to_owned(),
    }
}

pub(super) fn store_away(lasted: Duration, edge: Edge) -> String {
    match edge {
        Edge::Raised => format!("the store has been away{}", for_as_long_as(lasted)),
        Edge::Cleared => format!("the store is there again{}", after(lasted)),
    }
}

pub(super) fn rows_refused(n_rows: u64, edge: Edge) -> String {
    match edge {
        Edge::Raised => {
            let lie = if n_rows == 1 { "1 row lies" } else { &format!("{n_rows} rows lie") };
            format!("{lie} aside, refused by the store (`fleetwatt store dead-letters list`)")
        }
        Edge::Cleared => "no row lies aside any more".to_owned(),
    }
}

pub(super) fn reload(reason: &str, edge: Edge) -> String {
    match edge {
        Edge::Raised => format!("the edited inventory is not used, the one before it is: {reason}"),
        Edge::Cleared => "the inventory is used as it is written again".to_owned(),
    }
}

pub(super) fn battery(name: &str, now: Share, below: Share, runtime: Option<Runtime>, edge: Edge) -> String {
    let runtime = runtime.map(|runtime| format!(", {runtime}")).unwrap_or_default();
    format!("{name}: battery at {now}{} (limit {below}){runtime}", again(edge))
}

pub(super) fn grid(
    name: &str,
    soc: Option<Share>,
    runtime: Option<Runtime>,
    lasted: Duration,
    edge: Edge,
) -> String {
    let soc = soc.map(|soc| format!("; battery at {soc}")).unwrap_or_default();
    let runtime = runtime.map(|runtime| format!(", {runtime}")).unwrap_or_default();
    match edge {
        Edge::Raised => format!("{name}: the grid is gone{soc}{runtime}"),
        Edge::Cleared => format!("{name}: the grid is back{}{soc}", after(lasted)),
    }
}

pub(super) fn account_login(vendor: &str, trouble: &str) -> String {
    format!("{vendor}: action required: {trouble}")
}

pub(super) fn account_unreachable(vendor: &str, trouble: &str, lasted: Duration) -> String {
    format!("{vendor} has been in trouble{}: {trouble}", for_as_long_as(lasted))
}

pub(super) fn account_works(vendor: &str, lasted: Duration) -> String {
    format!("{vendor} works again{}", after(lasted))
}

pub(super) fn no_longer_in_account(source: &str) -> String {
    format!("{source} is no longer among the stations of the account")
}

pub(super) fn trouble_over(raised: &str) -> String {
    format!("over: {raised}")
}

pub(super) fn not_watched(source: &str) -> String {
    format!("{source} is no longer watched for this: the rule was taken out of the inventory")
}

pub(super) fn no_longer_in_inventory(name: &str) -> String {
    format!("{name} is no longer in the inventory")
}

pub(super) fn in_maintenance(name: &str) -> String {
    format!("{name} is in maintenance")
}

pub(super) fn no_longer_there(source: &str) -> String {
    format!("{source} is no longer there, and its host has all GPUs that it should have")
}

const fn again(edge: Edge) -> &'static str {
    match edge {
        Edge::Raised => "",
        Edge::Cleared => " again",
    }
}

fn for_as_long_as(lasted: Duration) -> String {
    if lasted < Duration::from_secs(1) { String::new() } else { format!(" for {}", rounded_duration(lasted)) }
}

fn after(lasted: Duration) -> String {
    if lasted < Duration::from_secs(1) {
        String::new()
    } else {
        format!(", after {}", rounded_duration(lasted))
    }
}

/// Whole seconds are fine enough, and above an hour whole minutes.
fn rounded_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let seconds = if seconds < 3_600 { seconds } else { seconds - seconds % 60 };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
