//! The state as JSON, for whoever keeps it across runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{ActiveAlert, Raised};
use super::{Rule, Severity, State, Transition};
use crate::reading::Timestamp;
use crate::support::error::Diagnose;

/// The shape's version. Another one is not read.
const VERSION: u32 = 1;

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
    /// It has a rule or a severity that is not one.
    #[error("the kept alerts have an unknown {what}")]
    Unknown {
        /// `rule` or `severity`.
        what: &'static str,
    },
}

impl Diagnose for StateError {
    fn kind(&self) -> &'static str {
        "alert_state"
    }

    fn hint(&self) -> Cow<'static, str> {
        "nothing: active alerts are raised again, so that some come a second time".into()
    }

    fn is_transient(&self) -> bool {
        false
    }
}

#[derive(Serialize, Deserialize)]
struct StateShape {
    version: u32,
    #[serde(rename = "standing")]
    active: BTreeMap<String, ActiveAlertShape>,
    // Not in the files of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    with_grid: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct ActiveAlertShape {
    rule: String,
    severity: String,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    since_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raised_us: Option<i64>,
    // `words` in the state of earlier versions.
    #[serde(default, alias = "words", skip_serializing_if = "String::is_empty")]
    message: String,
}

#[derive(Serialize, Deserialize)]
struct TransitionShape {
    key: String,
    rule: String,
    severity: String,
    source: String,
    // Not in the files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    // `words` in the state of earlier versions.
    #[serde(alias = "words")]
    message: String,
    raised: bool,
    at_us: i64,
    raised_at_us: i64,
}

impl State {
    /// As JSON, to be kept.
    pub fn to_value(&self) -> Value {
        let active = self.active.iter().map(|(key, active)| (key.clone(), active.into()));
        let shape =
            StateShape { version: VERSION, active: active.collect(), with_grid: self.with_grid.clone() };
        serde_json::to_value(shape).expect("keys are text, so that serialising to memory cannot fail")
    }

    /// From the text of what [`State::to_value`] gave; `null` is an empty one.
    ///
    /// # Errors
    /// It was not that, or that of another version.
    pub fn from_text(text: &str) -> Result<Self, StateError> {
        let Some(shape) = serde_json::from_str::<Option<StateShape>>(text).map_err(StateError::Shape)? else {
            return Ok(Self::default());
        };
        if shape.version != VERSION {
            return Err(StateError::Version { found: shape.version });
        }
        let active = shape.active.into_iter().take(super::MAX_ACTIVE_ALERTS);
        Ok(Self {
            active: active.map(|(key, shape)| Ok((key, shape.try_into()?))).collect::<Result<_, _>>()?,
            with_grid: shape.with_grid.into_iter().take(super::MAX_STATIONS).collect(),
            ..Self::default()
        })
    }
}

impl Transition {
    /// As JSON, to be kept until it is delivered.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(TransitionShape::from(self)).expect("text and numbers are JSON")
    }

    /// From the text of what [`Transition::to_value`] gave.
    ///
    /// # Errors
    /// It was not that, or that of another version.
    pub fn from_text(text: &str) -> Result<Self, StateError> {
        serde_json::from_str::<TransitionShape>(text).map_err(StateError::Shape)?.try_into()
    }

    /// Undelivered transitions in the state of earlier versions. Those that cannot be
    /// read of it is passed over.
    pub fn undelivered_in(state: &Value) -> Vec<Self> {
        let shapes = state["undelivered"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shapes = shapes.iter().filter_map(|shape| TransitionShape::deserialize(shape).ok());
        shapes.filter_map(|shape| shape.try_into().ok()).collect()
    }
}

fn rule(label: &str) -> Result<Rule, StateError> {
    Rule::of_label(label).ok_or(StateError::Unknown { what: "rule" })
}

fn severity(label: &str) -> Result<Severity, StateError> {
    Severity::of_label(label).ok_or(StateError::Unknown { what: "severity" })
}

impl From<&ActiveAlert> for ActiveAlertShape {
    fn from(active: &ActiveAlert) -> Self {
        Self {
            rule: active.rule.label().to_owned(),
            severity: active.severity.label().to_owned(),
            source: active.source.clone(),
            node: active.node.clone(),
            since_us: active.since.micros(),
            raised_us: active.raised.as_ref().map(|raised| raised.at.micros()),
            message: active.raised.as_ref().map(|raised| raised.message.clone()).unwrap_or_default(),
        }
    }
}

impl TryFrom<ActiveAlertShape> for ActiveAlert {
    type Error = StateError;

    fn try_from(shape: ActiveAlertShape) -> Result<Self, StateError> {
        let message = shape.message;
        Ok(Self {
            rule: rule(&shape.rule)?,
            severity: severity(&shape.severity)?,
            source: shape.source,
            node: shape.node,
            since: Timestamp::from_micros(shape.since_us),
            raised: shape.raised_us.map(|micros| Raised { at: Timestamp::from_micros(micros), message }),
        })
    }
}

impl From<&Transition> for TransitionShape {
    fn from(transition: &Transition) -> Self {
        Self {
            key: transition.key.clone(),
            rule: transition.rule.label().to_owned(),
            severity: transition.severity.label().to_owned(),
            source: transition.source.clone(),
            node: transition.node.clone(),
            message: transition.message.clone(),
            raised: transition.raised,
            at_us: transition.at.micros(),
            raised_at_us: transition.raised_at.micros(),
        }
    }
}

impl TryFrom<TransitionShape> for Transition {
    type Error = StateError;

    fn try_from(shape: TransitionShape) -> Result<Self, StateError> {
        Ok(Self {
            rule: rule(&shape.rule)?,
            severity: severity(&shape.severity)?,
            key: shape.key,
            source: shape.source,
            node: shape.node,
            message: shape.message,
            raised: shape.raised,
            at: Timestamp::from_micros(shape.at_us),
            raised_at: Timestamp::from_micros(shape.raised_at_us),
        })
    }
}
