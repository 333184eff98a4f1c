//! The facts beside the rows of a ledger: names, the inventory, prices, and what was seen before the range.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Calibrations, LastSeen, Names};
use crate::reading::{Share, Timestamp};
use crate::tariff::{Labels, TariffBook};

/// The facts, all of them borrowed from their caller.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The names of the ledger's series and nodes.
    pub names: &'a Names,
    /// The nodes that the inventory has, with their labels.
    pub nodes: &'a BTreeMap<String, Labels>,
    /// The nodes and stations that the report is of; all without it.
    pub selected: Option<&'a BTreeSet<String>>,
    /// The index of boards on their nodes, by the number of their series, as far as it is known.
    pub indices: &'a BTreeMap<i64, u32>,
    /// Tariffs, carbon and the site.
    pub tariffs: &'a TariffBook,
    /// The figures of boards that the site has measured.
    pub calibrations: &'a Calibrations,
    /// A GPU that is busy for less than this is idle.
    pub idle_below: Share,
    /// Where series were last before the range.
    pub last_seen: &'a [LastSeen],
    /// The present.
    pub now: Timestamp,
}
