//! Facts for the rules: the results of one cycle, and the state of the program itself.

use crate::reading::{
    AccountTrouble, GridState, Power, Presence, Runtime, Share, Temperature, Timestamp, Vendor,
};

/// All that is known at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When all of it holds.
    pub at: Timestamp,
    /// Whether `nodes` are all hosts of the inventory.
    pub scope: Scope,
    /// The hosts that were asked.
    pub nodes: Vec<NodeFacts>,
    /// The power of all GPUs together; `None` where nothing reported. Only judged in [`Scope::Whole`].
    pub cluster_power: Option<Power>,
    /// Number of batches in the spool, and when the oldest of them was measured; `None` where none waits.
    pub spool: Option<(u64, Timestamp)>,
    /// Since when the store has been away, if it is. A caller that does not know since when gives the
    /// present: the earliest instant that was said counts.
    pub store_away_since: Option<Timestamp>,
    /// Number of rows that the store refused for what is in them.
    pub rows_aside: u64,
    /// Why the last edit of the inventory could not be taken, if it could not.
    pub reload_failed: Option<String>,
    /// The account of stations; `None` where there is none. Whatever the scope, it is about every station.
    pub account: Option<AccountFacts>,
}

/// The part of the fleet that the facts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every host of the inventory: an alert about any other host is over.
    Whole,
    /// Some hosts: alerts about the others stay as they are.
    Part,
}

/// One host that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's name.
    pub node: String,
    /// The jump host that it is asked through, if any.
    pub jump: Option<String>,
    /// Whether it answered.
    pub answer: Answer,
    /// Whether somebody works on it: nothing about it is an alert, and what was raised is over.
    pub maintenance: bool,
    /// The GPUs that answered.
    pub gpus: Vec<GpuFacts>,
    /// Problems of its GPUs.
    pub troubles: Vec<Trouble>,
}

/// Whether a host answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// With every GPU that it has.
    Complete,
    /// With some of its GPUs, or with all and no power of any.
    Partial,
    /// Not, for this reason in words.
    Silent(String),
    /// Not, since its jump host fails, for this reason in words.
    BehindJump(String),
}

impl Answer {
    /// Whether readings came.
    pub const fn is_up(&self) -> bool {
        match self {
            Self::Complete | Self::Partial => true,
            Self::Silent(_) | Self::BehindJump(_) => false,
        }
    }
}

/// One GPU that answered. What is `None` was not measured, and neither raises nor clears anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// Its name in the timeline: `gpu_node1_3`.
    pub source: String,
    /// Its name for a person: `node1 GPU 3`.
    pub name: String,
    /// Its temperature.
    pub temperature: Option<Temperature>,
    /// Its power.
    pub power: Option<Power>,
    /// The limit in force.
    pub limit: Option<Power>,
}

/// Something that is wrong with one of a host's GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A GPU is missing, lost, must be reset, or gives no power for another reason.
    Missing {
        /// Which one, as its bus id or UUID; empty where nobody knows.
        gpu: String,
        /// The message.
        message: String,
    },
    /// A GPU was not asked: whether it is missing, nobody knows, and what was said of it before stands.
    NotAsked {
        /// Which one, as its bus id or UUID.
        gpu: String,
    },
    /// A reading cannot be true.
    Implausible {
        /// The GPU's name in the timeline, or the node's where nobody knows which GPU it is.
        source: String,
        /// The message.
        message: String,
    },
}

/// Results of the session with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// Whose account it is.
    pub vendor: &'static Vendor,
    /// Every station of the account, as far as the session knows.
    pub stations: Vec<StationFacts>,
    /// The error that keeps the session from working, if any.
    pub trouble: Option<AccountTrouble>,
}

/// One station. Numbers are those of this cycle: an old one neither raises nor clears anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationFacts {
    /// Its name in the timeline: the vendor's source, `_` and the serial number.
    pub source: String,
    /// Its name for a person.
    pub name: String,
    /// The state of charge, if it was measured.
    pub soc: Option<Share>,
    /// Runtime of the battery, if it can be estimated.
    pub runtime: Option<Runtime>,
    /// Whether the grid is there, by the last reading that tells.
    pub grid: GridState,
    /// Whether the grid was there in any reading.
    pub grid_was_there: bool,
    /// Whether it is heard of.
    pub presence: Presence,
}
