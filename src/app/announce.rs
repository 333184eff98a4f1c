//! Lines of the log that say how things are: at the start, at a reload, and what a cycle changed.

use std::collections::BTreeMap;

use super::Settings;
use crate::batch::{Line, Urgency};
use crate::inventory::Host;
use crate::support::{counted, named};

/// Hosts of a kind that are named in a line, at most.
const MAX_NAMED: usize = 5;

/// Writes lines to the log.
pub fn log_lines(lines: &[Line]) {
    for Line { urgency, text } in lines {
        match urgency {
            Urgency::Error => tracing::error!("{text}"),
            Urgency::Warning => tracing::warn!("{text}"),
            Urgency::Info => tracing::info!("{text}"),
        }
    }
}

/// The daemon's first line.
pub(super) fn log_start(settings: &Settings) {
    tracing::info!(
        "fleetwatt {} polls {} of {} every {}; store {}, state directory {}",
        env!("CARGO_PKG_VERSION"),
        counted(settings.inventory.hosts.len(), "host", "hosts"),
        settings.inventory_path.display(),
        humantime::format_duration(settings.inventory.cycle.interval),
        settings.store_url,
        settings.state_dir.display(),
    );
}

/// The change by a reload: hosts that are new, gone or described in another way.
pub(super) fn difference(before: &[Host], after: &[Host]) -> String {
    fn by_name(hosts: &[Host]) -> BTreeMap<&str, &Host> {
        hosts.iter().map(|host| (host.name.as_str(), host)).collect()
    }
    let (old, new) = (by_name(before), by_name(after));
    let added: Vec<&str> = new.keys().filter(|name| !old.contains_key(*name)).copied().collect();
    let removed: Vec<&str> = old.keys().filter(|name| !new.contains_key(*name)).copied().collect();
    let is_changed = |name: &&&str| old.get(**name).is_some_and(|was| new.get(**name) != Some(was));
    let changed: Vec<&str> = new.keys().filter(is_changed).copied().collect();
    let mut parts = vec![counted(after.len(), "host", "hosts")];
    for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
        if !names.is_empty() {
            parts.push(format!("{} {what} ({})", names.len(), named(&names, MAX_NAMED)));
        }
    }
    if parts.len() == 1 {
        parts.push("none added, removed or changed".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::inventory::Target;

    fn host(name: &str) -> Host {
        Host {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            target: Target::Local,

            timeout: Duration::from_secs(15),
            sample: None,
            probes: Vec::new(),
            programs: BTreeMap::new(),
            gpus: None,
            maintenance: false,
        }
    }

    #[test]
    fn a_reload_names_what_came_what_went_and_what_is_another() {
        let before = [host("a"), host("b"), host("c")];
        let after = [host("a"), Host { gpus: Some(8), ..host("b") }, host("d")];
        assert_eq!(difference(&before, &after), "3 hosts, 1 added (d), 1 removed (c), 1 changed (b)");
        assert_eq!(difference(&before[..1], &before[..1]), "1 host, none added, removed or changed");
    }

    #[test]
    fn of_many_hosts_a_few_are_named() {
        let many: Vec<Host> = (0..105).map(|n| host(&format!("node{n:03}"))).collect();
        let text = "105 hosts, 105 added (node000, node001, node002, node003, node004 … and 100 more)";
        assert_eq!(difference(&[], &many), text);
    }
}
