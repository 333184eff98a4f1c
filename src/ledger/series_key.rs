//! The names of series.

use std::fmt;

/// The name of a series, by which it is found again wherever it is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeriesKey {
    /// A board with an identity of its own, which it takes along to another node: `gpu:<uuid>`.
    Gpu {
        /// The board's UUID, as its tool prints it.
        uuid: String,
    },
    /// A board that does not say its UUID: `gpu:<node>/<bus id>`.
    GpuAt {
        /// The node.
        node: String,
        /// The board's place there.
        place: String,
    },
    /// A flow of a battery station: `station:<serial>:<flow>`.
    Station {
        /// The station's serial number.
        serial: String,
        /// Which of its flows.
        flow: Flow,
    },
    /// The source of events that another program wrote: the source itself.
    Source(String),
}

/// A direction in which energy goes at a battery station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// All that flows in.
    In,
    /// All that flows out to loads.
    Out,
    /// From the grid; what flows into it is negative.
    Grid,
    /// From solar panels.
    Solar,
}

impl Flow {
    /// Its label in the name of a series.
    pub const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Grid => "grid",
            Self::Solar => "solar",
        }
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu { uuid } => write!(f, "gpu:{uuid}"),
            Self::GpuAt { node, place } => write!(f, "gpu:{node}/{place}"),
            Self::Station { serial, flow } => write!(f, "station:{serial}:{}", flow.label()),
            Self::Source(source) => f.write_str(source),
        }
    }
}
