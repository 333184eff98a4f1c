//! Which alerts are wanted, as values.

use std::time::Duration;

use crate::reading::{Power, Share, Temperature};

/// Which alerts are wanted, and from where on. What is `None` is not watched.
///
/// A GPU that is missing or lost, an implausible reading, rows that the store refused, an edit of the inventory
/// that could not be taken and a session with an account that waits for a person are always watched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// A GPU is hotter than this.
    pub gpu_temperature: Option<Threshold<Temperature>>,
    /// A GPU draws more than this.
    pub gpu_power: Option<Threshold<PowerThreshold>>,
    /// A host has given no answer for this long.
    pub host_silent_for: Option<Duration>,
    /// All GPUs together draw more than this.
    pub cluster_power: Option<Power>,
    /// The oldest batch in the spool waits longer than this.
    pub spool_older_than: Option<Duration>,
    /// The store has been away for this long.
    pub store_away_for: Option<Duration>,
    /// A station's battery is below this.
    pub battery_below: Option<Share>,
    /// A station's battery is below this, and somebody should look at it now.
    pub battery_critical_below: Option<Share>,
    /// A station's grid has been gone for this long. Only judged where the grid was seen before.
    pub grid_lost_for: Option<Duration>,
    /// Nothing has come from a station for this long, or nothing could be asked of any.
    pub station_silent_for: Option<Duration>,
}

/// A threshold, and for how long it must be passed before the alert is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold<T> {
    /// The threshold. At the threshold itself nothing is raised.
    pub above: T,
    /// Zero raises at once.
    pub held_for: Duration,
}

/// From which draw on a GPU draws too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerThreshold {
    /// The same for each GPU.
    Fixed(Power),
    /// A share of the limit in force on that GPU. A GPU without a limit is not judged.
    OfLimit(Share),
}
