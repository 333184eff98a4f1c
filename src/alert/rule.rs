//! The kinds of alert, how bad each is, and what comes out: one raised or cleared.

use crate::reading::Timestamp;

macro_rules! labelled {
    ($(#[$doc:meta])+ $name:ident { $($(#[$variant_doc:meta])+ $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])+ $variant,)+
        }

        impl $name {
            /// Each of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// A short, stable label for keys, database columns and messages.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The one with this label.
            pub fn of_label(label: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.label() == label)
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Which alert, the same when it is raised and when it is cleared, also across restarts:
    /// `gpu_temperature:gpu_node1_3`.
    pub key: String,
    /// The condition that is watched.
    pub rule: Rule,
    /// The severity; the same when it is cleared.
    pub severity: Severity,
    /// The source, as the timeline names it: `gpu_node1_3`, `node_node1`, `gpu_cluster`, …
    pub source: String,
    /// The host that it is about, if it is about one.
    pub node: Option<String>,
    /// The message for the operator.
    pub message: String,
    /// Raised, or cleared.
    pub raised: bool,
    /// When.
    pub at: Timestamp,
    /// When it was raised: `at` itself, if this is that.
    pub raised_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_is_found_by_its_own_label() {
        let labels: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.label()).collect();
        assert_eq!(labels.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| Rule::of_label(rule.label()) == Some(*rule)));
    }
}
