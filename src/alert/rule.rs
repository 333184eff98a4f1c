//! The kinds of alert, which of them are wanted, and what comes out: one raised or cleared.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reading::{Power, Share, Temperature, Timestamp};

macro_rules! labelled {
    ($(#[$doc:meta])+ $name:ident { $($(#[$variant_doc:meta])+ $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])+ #[serde(rename = $label)] $variant,)+
        }

        impl $name {
            /// A short, stable label for keys, database columns and messages.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

labelled! {
    /// The condition that is watched.
    Rule {
        /// A GPU is too hot.
        GpuTemperature = "gpu_temperature",
        /// A GPU that was too hot already became far too hot.
        GpuTemperatureCritical = "gpu_temperature_critical",
        /// A GPU draws too much.
        GpuPower = "gpu_power",
        /// A GPU is missing, lost, must be reset, or gives no power for another reason.
        GpuMissing = "gpu_missing",
        /// A reading cannot be true, or its sensor is frozen.
        ImplausibleReading = "implausible_reading",
        /// A host gives no answer.
        HostSilent = "host_silent",
        /// A jump host fails, and with it all hosts behind it.
        JumpSilent = "jump_silent",
        /// All GPUs together draw too much.
        ClusterPower = "cluster_power",
        /// A batch waits too long in the spool.
        SpoolOld = "spool_old",
        /// The store is away.
        StoreAway = "store_away",
        /// The store refused rows for what is in them.
        RowsRefused = "rows_refused",
        /// An edit of the inventory could not be taken.
        ReloadFailed = "reload_failed",
        /// A station's battery is low.
        BatteryLow = "battery_low",
        /// A station's battery is nearly empty.
        BatteryCritical = "battery_critical",
        /// A station's grid is gone.
        GridLost = "grid_lost",
        /// Nothing comes from a station.
        StationSilent = "station_silent",
        /// Nothing can be asked of any station until a person does something.
        AccountLogin = "solix_login",
        /// Nothing can be asked of any station at present.
        AccountUnreachable = "solix_unreachable",
        /// Nothing is wrong: `fleetwatt alerts test` tries the webhook. Never raised by a cycle.
        Test = "test",
    }
}

labelled! {
    /// The severity.
    Severity {
        /// Somebody should look at it in the next days.
        Warning = "warning",
        /// Somebody should look at it now.
        Critical = "critical",
    }
}

/// An alert was raised, or cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The alert's name, the same when it is raised and when it is cleared, also across restarts:
    /// `gpu_temperature:gpu_node1_3`.
    pub key: String,
    /// The condition that is watched.
    pub rule: Rule,
    /// The severity; the same when it is cleared.
    pub severity: Severity,
    /// The source, as the timeline names it: `gpu_node1_3`, `node_node1`, `gpu_cluster`, …
    pub source: String,
    /// The host that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The message for the operator; `words` in the state of earlier versions.
    #[serde(alias = "words")]
    pub message: String,
    /// Raised, or cleared.
    pub raised: bool,
    /// When.
    #[serde(rename = "at_us")]
    pub at: Timestamp,
    /// When it was raised: `at` itself, if this is that.
    #[serde(rename = "raised_at_us")]
    pub raised_at: Timestamp,
}

impl Transition {
    /// Undelivered transitions in the state of earlier versions. One that cannot be read is passed over.
    pub fn undelivered_in(state: &Value) -> Vec<Self> {
        let kept = state["undelivered"].as_array().map(Vec::as_slice).unwrap_or_default();
        kept.iter().filter_map(|transition| Self::deserialize(transition).ok()).collect()
    }
}

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
