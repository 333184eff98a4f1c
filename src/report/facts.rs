//! The facts beside the rows of a ledger: names, the inventory, prices, and what was seen before the range.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Calibrations, Names};
use crate::reading::{Quarter, Share, Timestamp};
use crate::tariff::{Labels, TariffBook};

/// The longest time before the range in which a board was seen that is expected from its beginning, in quarters: 31 days.
pub const MAX_SEEN_BEFORE: i64 = 31 * 96;

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
    /// Where series were last before the range, of those that were seen in the 31 days before it, by their numbers.
    pub seen_before: &'a BTreeMap<i64, LastSeen>,
    /// The present.
    pub now: Timestamp,
}

/// The last row of a series before the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// Its quarter.
    pub quarter: Quarter,
    /// The number of its node.
    pub node: i64,
}
