//! The state of the alerts from one evaluation to the next, and its JSON, to be kept across runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Rule, Severity, Transition};
use crate::reading::Timestamp;
use crate::support::error::Diagnose;

/// The most alerts that are raised or about to be at once. A fleet of a thousand nodes with eight GPUs
/// each, all of them too hot, is 8,000; an entry is about 300 bytes, so that the bound is 5 MB. Beyond it
/// new alerts are passed over.
pub const MAX_ACTIVE_ALERTS: usize = 16_384;

/// The most stations of which is remembered whether they have a grid. No account has so many.
pub const MAX_STATIONS: usize = 1_024;

/// The version of the JSON. Another one is not read.
const VERSION: u32 = 1;

/// The state of the alerts. Plain data, to be kept by the caller: [`State::to_value`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    #[serde(rename = "standing")]
    pub(super) active: BTreeMap<String, ActiveAlert>,
    /// Stations whose grid was seen, by their names in the timeline: only they can lose it. Not in the files of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) with_grid: BTreeSet<String>,
}

/// A condition that holds: its alert is raised, or will be if it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ActiveAlert {
    pub(super) rule: Rule,
    pub(super) severity: Severity,
    pub(super) source: String,
    /// The host that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    /// Since when the condition has been found to hold.
    #[serde(rename = "since_us")]
    pub(super) since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "raised_us")]
    pub(super) raised_at: Option<Timestamp>,
    /// The message that it was raised with; `words` in the files of earlier versions.
    #[serde(default, alias = "words", skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
}

/// Why a kept state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is of another shape.
    #[error("the kept alerts cannot be read")]
    Shape(#[source] serde_json::Error),
    /// It was written by another version of fleetwatt.
    #[error("the kept alerts are of version {found}, not {VERSION}")]
    Version {
        /// Their version.
        found: u32,
    },
}

impl Diagnose for StateError {
    fn hint(&self) -> Cow<'static, str> {
        "nothing: active alerts are raised again, so that some come a second time".into()
    }

    fn is_transient(&self) -> bool {
        false
    }
}

#[derive(Deserialize)]
struct Kept {
    version: u32,
    #[serde(flatten)]
    state: State,
}

impl State {
    /// Every alert that is raised at present, each as the transition that raised it: for a receiver that must be
    /// told again and again (Alertmanager), or to be shown.
    pub fn firing(&self) -> Vec<Transition> {
        let raised = |(key, active): (&String, &ActiveAlert)| {
            Some(active.transition(key, active.raised_at?, active.message.clone(), true))
        };
        self.active.iter().filter_map(raised).collect()
    }

    /// Number of alerts that are raised at present.
    pub fn n_firing(&self) -> usize {
        self.active.values().filter(|active| active.raised_at.is_some()).count()
    }

    /// Whether so many alerts are followed that no other one is.
    pub fn is_full(&self) -> bool {
        self.active.len() >= MAX_ACTIVE_ALERTS
    }

    /// As JSON, to be kept.
    pub fn to_value(&self) -> Value {
        let mut value = json!(self);
        if let Some(object) = value.as_object_mut() {
            object.insert("version".to_owned(), VERSION.into());
        }
        value
    }

    /// From the text of what [`State::to_value`] gave; `null` is an empty one.
    ///
    /// # Errors
    /// It was not that, or that of another version.
    pub fn from_text(text: &str) -> Result<Self, StateError> {
        match serde_json::from_str(text).map_err(StateError::Shape)? {
            None => Ok(Self::default()),
            Some(Kept { version: VERSION, state: Self { active, with_grid } }) => Ok(Self {
                active: active.into_iter().take(MAX_ACTIVE_ALERTS).collect(),
                with_grid: with_grid.into_iter().take(MAX_STATIONS).collect(),
            }),
            Some(Kept { version, .. }) => Err(StateError::Version { found: version }),
        }
    }
}

impl ActiveAlert {
    /// The transition that raised this alert, or that clears it.
    pub(super) fn transition(&self, key: &str, at: Timestamp, message: String, raised: bool) -> Transition {
        Transition {
            key: key.to_owned(),
            rule: self.rule,
            severity: self.severity,
            source: self.source.clone(),
            node: self.node.clone(),
            message,
            raised,
            at,
            raised_at: self.raised_at.unwrap_or(at),
        }
    }
}
