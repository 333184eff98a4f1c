//! The memory of a host between cycles and across runs, for one tool. Serialized as it stands in the state file, so
//! that a renamed field keeps its old name there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::reading::{Power, PowerKind, Temperature};

/// The capabilities and devices of one host, as one tool showed them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostProfile {
    /// The kernel driver's version that the refusals were learnt from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_version: Option<String>,
    /// The names of fields that this driver does not know. Only names that were asked for get in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<String>,
    /// The GPUs that were seen on this host, by UUID. Bounded.
    ///
    /// A GPU stays known, and is reported missing in each cycle, until another board answers at its bus
    /// id or as many GPUs answer as the inventory says that there are. Without a count in the inventory
    /// a board that was taken out for good is thus reported until one is written there: forgetting it
    /// silently would hide a board that fell off the bus.
    pub gpus: BTreeMap<String, KnownGpu>,
    /// The place in the tool's list from which on nobody was asked yet: a host whose GPUs had to be asked for one by
    /// one from its first answer on, and not in time. `None` where all were.
    #[serde(skip_serializing_if = "Option::is_none", rename = "unwalked")]
    pub unasked_from: Option<u32>,
    /// Persistence mode off was reported, and has not been on since.
    pub persistence_reported: bool,
}

/// The memory of one GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownGpu {
    /// Its PCI address, as last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus_id: Option<String>,
    /// Its index, as last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// It gave its power in any answer. From then on an answer without it is a fault.
    pub gave_power: bool,
    /// Which kind of power was recorded of it last.
    #[serde(skip_serializing_if = "Option::is_none", rename = "power_kind")]
    pub kind: Option<PowerKind>,
    /// The power draw in its last answer.
    #[serde(skip_serializing_if = "Option::is_none", rename = "power_mw")]
    pub power: Option<Power>,
    /// Number of answers in a row that had that very draw, the last one included.
    pub n_same: u32,
    /// The lowest temperature in those answers.
    #[serde(skip_serializing_if = "Option::is_none", rename = "coldest_mc")]
    pub coldest: Option<Temperature>,
    /// The highest temperature in those answers.
    #[serde(skip_serializing_if = "Option::is_none", rename = "hottest_mc")]
    pub hottest: Option<Temperature>,
}
