//! Some hosts of the fleet, by their names and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Error;
use crate::inventory::{Host, Inventory, Selector};

/// Which hosts of the inventory are meant; by default all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSelection {
    /// Host lists and patterns, as [`Selector`] reads them: a host of any of them is meant.
    pub hosts: Vec<String>,
    /// Labels and their values: a host must have each key that is named, with one of the values named for it.
    pub labels: Vec<(String, String)>,
}

impl HostSelection {
    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.hosts.is_empty() && self.labels.is_empty()
    }

    /// The hosts that are meant, in the order of the inventory.
    ///
    /// # Errors
    /// A name or pattern cannot be read or is of no host, a label is of none, or no host is all of it.
    pub fn of(&self, inventory: &Inventory) -> Result<Vec<Arc<Host>>, Error> {
        let named = self.named(inventory)?;
        let labels = self.labels(inventory)?;
        let is_named = |host: &&Host| named.as_ref().is_none_or(|names| names.contains(host.name.as_str()));
        let is_labelled = |host: &&Host| {
            let has = |key: &str, values: &BTreeSet<&str>| {
                host.labels.get(key).is_some_and(|value| values.contains(value.as_str()))
            };
            labels.iter().all(|(key, values)| has(key, values))
        };
        let hosts: Vec<Arc<Host>> =
            inventory.hosts.iter().filter(is_named).filter(is_labelled).cloned().map(Arc::new).collect();
        let is_nothing = hosts.is_empty() && !self.is_whole();
        if is_nothing { Err(Error::NothingSelected) } else { Ok(hosts) }
    }

    /// The names that are meant; `None` for all.
    fn named<'i>(&self, inventory: &'i Inventory) -> Result<Option<BTreeSet<&'i str>>, Error> {
        if self.hosts.is_empty() {
            return Ok(None);
        }
        let all: BTreeSet<&str> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
        let mut names = BTreeSet::new();
        for pattern in &self.hosts {
            let selector =
                Selector::parse(pattern).map_err(|reason| Error::Pattern(pattern.clone(), reason))?;
            let selection = selector.choose(&all);
            let n_more = selection.missing.len().saturating_sub(1);
            if let Some(missing) = selection.missing.into_iter().next() {
                return Err(Error::NoSuchHost(missing, n_more));
            }
            names.extend(selection.names);
        }
        Ok(Some(names))
    }

    fn labels(&self, inventory: &Inventory) -> Result<BTreeMap<&str, BTreeSet<&str>>, Error> {
        let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (key, value) in &self.labels {
            if !inventory.hosts.iter().any(|host| host.labels.get(key) == Some(value)) {
                return Err(Error::NoSuchLabel(format!("{key}={value}")));
            }
            labels.entry(key).or_default().insert(value);
        }
        Ok(labels)
    }
}
