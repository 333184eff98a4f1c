//! The tools that are run on hosts, and the contract that each of them fulfils.
//!
//! [`Tool`] names a tool. [`Query`] is the state machine of one tool on one host: it gives a [`Command`], takes the
//! [`Output`], and gives the [`Next`] command or is done with a [`Product`]. It knows no host, no transport and no
//! clock, and it is total: whatever bytes come, they become readings and faults, bounded in number.
//!
//! A further tool is a folder, a variant in each of the two enums, and an arm in each `match` of this file.

mod exchange;
pub mod nvidia_smi;
mod profile;
#[cfg(any(test, feature = "test-tools"))]
mod uptime;

use std::time::Duration;

use crate::reading::{Device, Failure, Fault};

pub use exchange::{Command, Next, Output, Product, loop_mark, loop_pattern};
pub use nvidia_smi::{LoopCounts, LoopReader, Sample, sensor_stopped, simulated};
pub use profile::{HostProfile, KnownGpu};

/// A tool that is run on hosts: what the key `probes` of the inventory names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// NVIDIA's command-line tool, for the GPUs of a host.
    #[default]
    NvidiaSmi,
    /// The uptime of the host, and its load.
    #[cfg(any(test, feature = "test-tools"))]
    Uptime,
}

impl Tool {
    /// Every tool.
    pub const ALL: &[Self] = &[
        Self::NvidiaSmi,
        #[cfg(any(test, feature = "test-tools"))]
        Self::Uptime,
    ];

    /// The tools that a host is asked by whose inventory names none.
    pub const DEFAULT: &[Self] = &[Self::NvidiaSmi];

    /// Its name in the inventory, in the state file and for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NvidiaSmi => nvidia_smi::LABEL,
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => uptime::LABEL,
        }
    }

    /// The tool with this name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tool| tool.label() == label)
    }

    /// The program that is run where the inventory names no other.
    pub const fn program(self) -> &'static str {
        match self {
            Self::NvidiaSmi => nvidia_smi::LABEL,
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => uptime::PROGRAM,
        }
    }

    /// Starts a query of a host with what is remembered of it, and with how many GPUs the inventory says it has.
    pub fn query(self, profile: HostProfile, gpus_expected: Option<usize>) -> (Query, Command) {
        match self {
            Self::NvidiaSmi => {
                let (query, command) = nvidia_smi::Query::open(profile, gpus_expected);
                (Query::NvidiaSmi(Box::new(query)), command)
            }
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => {
                let (query, command) = uptime::Query::open(profile, gpus_expected);
                (Query::Uptime(query), command)
            }
        }
    }

    /// Whether it can keep printing the readings of a host's GPUs.
    pub const fn can_sample(self) -> bool {
        match self {
            Self::NvidiaSmi => true,
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => false,
        }
    }

    /// The command that keeps printing the readings of these GPUs, and the reader of its output. `None` if the tool
    /// cannot do so, or not for these GPUs.
    pub fn sampling(
        self,
        profile: &HostProfile,
        gpus: &[Device],
        period: Duration,
    ) -> Option<(LoopReader, Command)> {
        match self {
            Self::NvidiaSmi => LoopReader::open(profile, gpus, period),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => None,
        }
    }

    /// A pattern for `pgrep -f` of each of its commands that may hang: one that answers once, of any collector, and
    /// the loops of this one.
    pub fn outstanding_pattern(self, collector: &str) -> String {
        match self {
            Self::NvidiaSmi => nvidia_smi::outstanding_pattern(collector),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => uptime::outstanding_pattern(),
        }
    }

    /// A failure in the words of this tool.
    #[must_use]
    pub fn failure(self, failure: Failure) -> Failure {
        match self {
            Self::NvidiaSmi => failure.worded(nvidia_smi::FAILURES),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => failure,
        }
    }

    /// A fault in the words of this tool.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Fault {
        match self {
            Self::NvidiaSmi => fault.worded(nvidia_smi::FAULTS),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime => fault,
        }
    }
}

/// A query of one tool on one host.
#[derive(Debug)]
pub enum Query {
    /// That of nvidia-smi.
    NvidiaSmi(Box<nvidia_smi::Query>),
    /// That of the host's uptime.
    #[cfg(any(test, feature = "test-tools"))]
    Uptime(uptime::Query),
}

impl Query {
    /// Takes the answer to the last command.
    pub fn answer(&mut self, output: &Output) -> Next {
        match self {
            Self::NvidiaSmi(query) => query.answer(output),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime(query) => query.answer(output),
        }
    }

    /// Ends it without a further answer: what is known so far, else `failure`.
    pub fn give_up(self, failure: Failure) -> Product {
        match self {
            Self::NvidiaSmi(query) => query.give_up(failure),
            #[cfg(any(test, feature = "test-tools"))]
            Self::Uptime(query) => query.give_up(failure),
        }
    }
}
