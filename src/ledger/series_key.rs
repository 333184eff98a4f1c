//! The names of series.

use std::fmt;

/// The beginning of the names of boards' series.
const BOARD: &str = "gpu:";

/// The beginning of the names of stations' series.
const STATION: &str = "station:";

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

impl SeriesKey {
    /// The UUID in the name of a series, if it is of a board that has one.
    pub fn uuid_in(name: &str) -> Option<&str> {
        Self::board_in(name).filter(|board| !board.contains('/'))
    }

    /// The UUID, or the node and place, in the name of a series, if it is of a board.
    pub fn board_in(name: &str) -> Option<&str> {
        name.strip_prefix(BOARD)
    }

    /// The serial number and the flow in the name of a series, if it is of a station.
    pub fn station_in(name: &str) -> Option<(&str, &str)> {
        name.strip_prefix(STATION).map(|own| own.rsplit_once(':').unwrap_or((own, "")))
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu { uuid } => write!(f, "{BOARD}{uuid}"),
            Self::GpuAt { node, place } => write!(f, "{BOARD}{node}/{place}"),
            Self::Station { serial, flow } => write!(f, "{STATION}{serial}:{}", flow.label()),
            Self::Source(source) => f.write_str(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_back_what_it_was_made_of() {
        let uuid = SeriesKey::Gpu { uuid: "GPU-1".to_owned() }.to_string();
        let at = SeriesKey::GpuAt { node: "a".to_owned(), place: "00:0B".to_owned() }.to_string();
        let flow = SeriesKey::Station { serial: "S:1".to_owned(), flow: Flow::Grid }.to_string();
        let other = SeriesKey::Source("gpu_redfin".to_owned()).to_string();
        let names = [uuid.as_str(), &at, &flow, &other];
        assert_eq!(names.map(SeriesKey::uuid_in), [Some("GPU-1"), None, None, None]);
        assert_eq!(names.map(SeriesKey::board_in), [Some("GPU-1"), Some("a/00:0B"), None, None]);
        assert_eq!(names.map(SeriesKey::station_in), [None, None, Some(("S:1", "grid")), None]);
    }
}
