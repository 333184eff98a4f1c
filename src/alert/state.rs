//! The state of the alerts from one evaluation to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, Severity, Transition};
use crate::reading::Timestamp;

/// The most alerts that are raised or about to be at once. A fleet of a thousand nodes with eight GPUs
/// each, all of them too hot, is 8,000; an entry is about 300 bytes, so that the bound is 5 MB. Beyond it
/// new alerts are counted ([`State::n_untracked`]) and otherwise passed over.
pub const MAX_ACTIVE_ALERTS: usize = 16_384;

/// The most stations of which is remembered whether they have a grid. No account has so many.
pub const MAX_STATIONS: usize = 1_024;

/// The state of the alerts. Plain data, to be kept by the caller: [`State::to_value`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub(super) active: BTreeMap<String, ActiveAlert>,
    pub(super) n_untracked: u64,
    /// Stations whose grid was seen, by their names in the timeline: only they can lose it.
    pub(super) with_grid: BTreeSet<String>,
}

/// A condition that holds: its alert is raised, or will be if it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveAlert {
    pub(super) rule: Rule,
    pub(super) severity: Severity,
    pub(super) source: String,
    /// The host that it is about, if it is about one.
    pub(super) node: Option<String>,
    /// Since when the condition has been found to hold.
    pub(super) since: Timestamp,
    pub(super) raised: Option<Raised>,
}

/// When an alert was raised, and with which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raised {
    pub(super) at: Timestamp,
    pub(super) message: String,
}

impl State {
    /// Every alert that is raised at present, each as the transition that raised it. What must be told
    /// again and again (Alertmanager), or shown.
    pub fn firing(&self) -> Vec<Transition> {
        let firing = self.active.iter().filter_map(|(key, active)| {
            let raised = active.raised.as_ref()?;
            Some(active.transition(key, raised.at, raised, None))
        });
        firing.collect()
    }

    /// Number of alerts that are raised at present.
    pub fn n_firing(&self) -> usize {
        self.active.values().filter(|active| active.raised.is_some()).count()
    }

    /// Number of conditions that the last evaluation could not track, since too many hold at once.
    pub fn n_untracked(&self) -> u64 {
        self.n_untracked
    }
}

impl ActiveAlert {
    /// The transition that raised this alert, or with other words the one that clears it.
    pub(super) fn transition(
        &self,
        key: &str,
        at: Timestamp,
        raised: &Raised,
        cleared: Option<String>,
    ) -> Transition {
        Transition {
            key: key.to_owned(),
            rule: self.rule,
            severity: self.severity,
            source: self.source.clone(),
            node: self.node.clone(),
            raised: cleared.is_none(),
            message: cleared.unwrap_or_else(|| raised.message.clone()),
            at,
            raised_at: raised.at,
        }
    }
}
