//! The document of a cycle as `poll --format json` writes it, as far as it is shown. Its texts are made harmless while it
//! is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::output::SCHEMA;
use crate::reading::{SafeText, Timestamp};

/// A cycle to be shown.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    #[serde(deserialize_with = "instant")]
    pub(super) started_at: Timestamp,
    /// Seconds to the next cycle; none of a single one.
    pub(super) interval_s: Option<f64>,
    pub(super) totals: Totals,
    pub(super) nodes: Vec<Node>,
    pub(super) alerts: Vec<Alert>,
    pub(super) today: Option<Today>,
    #[serde(rename = "solix")]
    pub(super) account: Option<Account>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Totals {
    pub(super) power_w: Option<f64>,
    pub(super) gpus_reporting: usize,
    pub(super) gpus_expected: usize,
    pub(super) nodes_expected: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    pub(super) node: SafeText,
    pub(super) labels: BTreeMap<SafeText, SafeText>,
    #[serde(default)]
    pub(super) maintenance: bool,
    pub(super) up: bool,
    pub(super) failure: Option<Failure>,
    pub(super) gpus_expected: Option<usize>,
    pub(super) gpus: Vec<Gpu>,
    pub(super) faults: Vec<Fault>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Failure {
    pub(super) message: SafeText,
    pub(super) evidence: SafeText,
    pub(super) hint: SafeText,
    #[serde(deserialize_with = "maybe_instant")]
    pub(super) since: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Fault {
    pub(super) gpu: Option<SafeText>,
    pub(super) message: SafeText,
    pub(super) hint: SafeText,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Gpu {
    pub(super) index: Option<u32>,
    pub(super) uuid: Option<SafeText>,
    pub(super) bus_id: Option<SafeText>,
    pub(super) model: Option<SafeText>,
    pub(super) power_w: Option<f64>,
    pub(super) power_limit_w: Option<f64>,
    pub(super) temperature_c: Option<f64>,
    pub(super) utilization_pct: Option<f64>,
    pub(super) memory_used_mb: Option<f64>,
    pub(super) memory_total_mb: Option<f64>,
    #[serde(default)]
    pub(super) absent: BTreeMap<SafeText, Absent>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Absent {
    pub(super) reason: SafeText,
    pub(super) text: SafeText,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Alert {
    pub(super) severity: SafeText,
    pub(super) source: SafeText,
    pub(super) message: SafeText,
    #[serde(deserialize_with = "instant")]
    pub(super) raised_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Today {
    pub(super) energy_kwh: f64,
    pub(super) costs: Vec<Cost>,
    pub(super) measured_pct: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Cost {
    pub(super) currency: SafeText,
    pub(super) cost: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub(super) trouble: Option<Trouble>,
    pub(super) stations: Vec<Station>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trouble {
    pub(super) message: SafeText,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Station {
    pub(super) name: SafeText,
    pub(super) model: SafeText,
    pub(super) presence: SafeText,
    pub(super) reading: Option<StationReading>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct StationReading {
    #[serde(deserialize_with = "instant")]
    pub(super) at: Timestamp,
    pub(super) soc_pct: Option<f64>,
    pub(super) power_input_w: Option<f64>,
    pub(super) power_output_w: Option<f64>,
    pub(super) grid_power_w: Option<f64>,
    pub(super) solar_power_w: Option<f64>,
    pub(super) runtime_h: Option<f64>,
}

/// Why a text cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is none, or lacks something.
    #[error("it is no document of a cycle")]
    Malformed(#[from] serde_json::Error),
    /// It is one of another version.
    #[error("it is `{0}`, and this program shows `{SCHEMA}`: use the fleetwatt that the daemon has")]
    Schema(SafeText),
}

#[derive(Deserialize)]
struct Head {
    schema: SafeText,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let Head { schema } = serde_json::from_str(text)?;
        if schema.as_str() != SCHEMA {
            return Err(DocumentError::Schema(schema));
        }
        Ok(serde_json::from_str(text)?)
    }
}

impl Node {
    /// The GPUs that it has, as far as that is known.
    pub(super) fn n_gpus(&self) -> Option<usize> {
        self.gpus_expected
    }

    /// Since when it gives nothing, and why.
    pub(super) fn down(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|_| !self.up)
    }

    /// Of its GPUs, the model of the first.
    pub(super) fn model(&self) -> Option<&str> {
        self.gpus.iter().find_map(|gpu| gpu.model.as_ref()).map(SafeText::as_str)
    }

    /// The value of a label.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name.as_str() == key).map(|(_, value)| value.as_str())
    }
}

impl Failure {
    /// The message, with what the host said.
    pub(super) fn in_words(&self) -> String {
        if self.evidence.is_empty() {
            self.message.to_string()
        } else {
            format!("{}: {}", self.message, self.evidence)
        }
    }
}

impl Alert {
    pub(super) fn is_critical(&self) -> bool {
        self.severity.as_str() == "critical"
    }
}

impl Station {
    /// Its name, else its model.
    pub(super) fn title(&self) -> &SafeText {
        if self.name.is_empty() { &self.model } else { &self.name }
    }

    pub(super) fn is_live(&self) -> bool {
        self.presence.as_str() == "live"
    }
}

fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parsed(&text).map_err(serde::de::Error::custom)
}

fn maybe_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parsed(&text).map_err(serde::de::Error::custom)).transpose()
}

fn parsed(text: &str) -> Result<Timestamp, jiff::Error> {
    Ok(Timestamp::from_micros(text.parse::<jiff::Timestamp>()?.as_microsecond()))
}
