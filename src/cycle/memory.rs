//! What is remembered of each host from one cycle to the next, also across runs: one JSON file in the
//! state directory.
//!
//! The file's shape is separate from the types it fills, so that a new version can change the one
//! without the other. A file that cannot be read is not fatal: everything in it can be learnt anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::batch::{InventorySent, Said, SentFacts};
use crate::inventory::Host;
use crate::probe::nvidia_smi::{HostProfile, KnownGpu};
use crate::reading::{Power, PowerKind, Temperature, Timestamp};
use crate::support::regular_file;
use crate::support::state_file::{self, WriteError};

/// The file's name in the state directory.
const FILE_NAME: &str = "hosts.json";

/// The file's version; another one is not read.
const VERSION: u32 = 1;

/// What is remembered of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// The address that it was learnt from: another machine under the same name starts anew.
    pub address: String,
    /// What its nvidia-smi taught.
    pub profile: HostProfile,
    /// What told its nvidia-smi from another one when it was last asked for every field.
    pub program: Option<String>,
    /// When that was.
    pub asked_all_at: Option<Timestamp>,
    /// Since when a call has not returned.
    pub hung_since: Option<Timestamp>,
}

impl HostMemory {
    /// This memory, if it is of the machine that the inventory names now; else an empty one.
    #[must_use]
    pub fn valid_for(self, host: &Host) -> Self {
        if self.address == host.address() {
            return self;
        }
        Self { address: host.address().to_owned(), ..Self::default() }
    }
}

/// What is remembered of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    hosts: BTreeMap<String, HostMemory>,
    /// The name of this collector in the commands of its loops; empty before there was one.
    collector: String,
    /// What the last `gpu_inventory` events said.
    pub written: InventorySent,
    /// What an earlier version kept of the alerts here, until it is kept with the batches.
    pub alerts_before: Value,
    /// What a poll's log last said, so that the next one says what changed.
    pub said: Said,
}

/// 256 KB a thousand hosts; the most hosts of an inventory are 65,536.
const MAX_BYTES: u64 = 256 << 20;

/// The memory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the memory of hosts in `{path}`")]
pub struct MemoryError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Memory {
    /// Reads it from the state directory. None there is an empty one.
    ///
    /// # Errors
    /// The file cannot be read, or is not one of ours.
    pub fn load(state_dir: &Path) -> Result<Self, MemoryError> {
        let path = state_dir.join(FILE_NAME);
        let fail = |source| MemoryError { path: path.clone(), source };
        let text = match regular_file::read(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fail(error)),
        };
        let file: File = serde_json::from_slice(&text).map_err(|error| fail(error.into()))?;
        if file.version != VERSION {
            return Err(fail(io::Error::other(format!("its version is {}, not {VERSION}", file.version))));
        }
        Ok(file.into())
    }

    /// Writes it to the state directory, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, state_dir: &Path) -> Result<(), WriteError> {
        let path = state_dir.join(FILE_NAME);
        match serde_json::to_vec(&File::from(self)) {
            Ok(content) => state_file::write(&path, &content),
            Err(error) => Err(WriteError { path, source: error.into() }),
        }
    }

    pub(super) fn of(&self, node: &str) -> HostMemory {
        self.hosts.get(node).cloned().unwrap_or_default()
    }

    pub(super) fn remember(&mut self, node: &str, host: HostMemory) {
        self.hosts.insert(node.to_owned(), host);
    }

    /// The name of this collector on the hosts, made when it is first asked for: who has this state directory is one
    /// collector, also across runs. Letters and digits.
    pub(super) fn collector(&mut self) -> &str {
        if self.collector.is_empty() {
            // The last part of such a UUID is random.
            let name = Uuid::now_v7().simple().to_string();
            self.collector = name.get(20..).unwrap_or(&name).to_owned();
        }
        &self.collector
    }

    /// Forgets hosts that are no longer in the inventory.
    pub fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.hosts.retain(|node, _| is_known(node));
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    hosts: BTreeMap<String, HostRow>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    collector: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written: BTreeMap<String, (String, i64)>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    alerts: Value,
    #[serde(default)]
    said: Said,
}

#[derive(Serialize, Deserialize)]
struct HostRow {
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    driver_version: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    refused: BTreeSet<String>,
    #[serde(default)]
    gpus: BTreeMap<String, GpuRow>,
    #[serde(default)]
    persistence_reported: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwalked: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_all_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hung_since_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct GpuRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bus_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(default)]
    gave_power: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    power_kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    power_mw: Option<i64>,
    #[serde(default)]
    n_same: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coldest_mc: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hottest_mc: Option<i64>,
}

impl From<&Memory> for File {
    fn from(memory: &Memory) -> Self {
        let written = memory.written.0.iter();
        Self {
            version: VERSION,
            hosts: memory.hosts.iter().map(|(node, host)| (node.clone(), host.into())).collect(),
            collector: memory.collector.clone(),
            alerts: memory.alerts_before.clone(),
            said: memory.said.clone(),
            written: written
                .map(|(source, facts)| (source.clone(), (facts.facts.clone(), facts.utc_day)))
                .collect(),
        }
    }
}

impl From<File> for Memory {
    fn from(file: File) -> Self {
        let facts = |(source, (facts, utc_day))| (source, SentFacts { facts, utc_day });
        Self {
            hosts: file.hosts.into_iter().map(|(node, row)| (node, row.into())).collect(),
            collector: file.collector,
            written: InventorySent(file.written.into_iter().map(facts).collect()),
            alerts_before: file.alerts,
            said: file.said,
        }
    }
}

impl From<&HostMemory> for HostRow {
    fn from(host: &HostMemory) -> Self {
        let HostProfile { driver_version, refused, gpus, unasked_from, persistence_reported } = &host.profile;
        Self {
            address: host.address.clone(),
            driver_version: driver_version.clone(),
            refused: refused.clone(),
            gpus: gpus.iter().map(|(uuid, gpu)| (uuid.clone(), gpu.into())).collect(),
            persistence_reported: *persistence_reported,
            unwalked: *unasked_from,
            program: host.program.clone(),
            asked_all_us: host.asked_all_at.map(Timestamp::micros),
            hung_since_us: host.hung_since.map(Timestamp::micros),
        }
    }
}

impl From<HostRow> for HostMemory {
    fn from(row: HostRow) -> Self {
        let profile = HostProfile {
            driver_version: row.driver_version,
            refused: row.refused,
            gpus: row.gpus.into_iter().map(|(uuid, gpu)| (uuid, gpu.into())).collect(),
            unasked_from: row.unwalked,
            persistence_reported: row.persistence_reported,
        };
        Self {
            address: row.address,
            profile,
            program: row.program,
            asked_all_at: row.asked_all_us.map(Timestamp::from_micros),
            hung_since: row.hung_since_us.map(Timestamp::from_micros),
        }
    }
}

impl From<&KnownGpu> for GpuRow {
    fn from(gpu: &KnownGpu) -> Self {
        Self {
            bus_id: gpu.bus_id.clone(),
            index: gpu.index,
            gave_power: gpu.gave_power,
            power_kind: gpu.kind.map(|kind| kind.label().to_owned()),
            power_mw: gpu.power.map(Power::milliwatts),
            n_same: gpu.n_same,
            coldest_mc: gpu.coldest.map(Temperature::millicelsius),
            hottest_mc: gpu.hottest.map(Temperature::millicelsius),
        }
    }
}

impl From<GpuRow> for KnownGpu {
    fn from(row: GpuRow) -> Self {
        Self {
            bus_id: row.bus_id,
            index: row.index,
            // Earlier versions only kept the last draw.
            gave_power: row.gave_power || row.power_mw.is_some(),
            kind: row.power_kind.as_deref().and_then(PowerKind::of_label),
            power: row.power_mw.map(Power::from_milliwatts),
            n_same: row.n_same,
            coldest: row.coldest_mc.map(Temperature::from_millicelsius),
            hottest: row.hottest_mc.map(Temperature::from_millicelsius),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let gpu = KnownGpu {
            bus_id: Some("00000000:0B:00.0".to_owned()),
            index: Some(3),
            gave_power: true,
            kind: Some(PowerKind::Average),
            power: Some(Power::from_milliwatts(26_200)),
            n_same: 3,
            coldest: Some(Temperature::from_millicelsius(30_000)),
            hottest: Some(Temperature::from_millicelsius(36_000)),
        };
        let profile = HostProfile {
            driver_version: Some("470.256.02".to_owned()),
            refused: BTreeSet::from(["power.draw.instant".to_owned()]),
            gpus: BTreeMap::from([("GPU-1".to_owned(), gpu)]),
            unasked_from: Some(4),
            persistence_reported: true,
        };
        let host = HostMemory {
            address: "gpu1".to_owned(),
            profile,
            program: Some("/usr/bin/nvidia-smi 700000 1795503600.000000001".to_owned()),
            asked_all_at: Some(Timestamp::from_micros(1_795_503_500_000_000)),
            hung_since: Some(Timestamp::from_micros(1_795_503_600_000_000)),
        };
        let facts = SentFacts { facts: "{}".to_owned(), utc_day: 20_781 };
        Memory {
            hosts: BTreeMap::from([("node1".to_owned(), host)]),
            collector: "0123456789ab".to_owned(),
            written: InventorySent(BTreeMap::from([("gpu_node1".to_owned(), facts)])),
            alerts_before: Value::Null,
            said: Said::default(),
        }
    }

    #[test]
    fn what_is_kept_is_what_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        memory().save(dir.path()).unwrap();
        assert_eq!(Memory::load(dir.path()).unwrap(), memory());
    }

    #[test]
    fn a_file_of_the_version_before_is_read_and_knows_who_gave_power() {
        let dir = tempfile::tempdir().unwrap();
        let before = r#"{"version":1,"hosts":{"node1":{"address":"gpu1","driver_version":"470.256.02",
            "refused":["power.draw.instant"],"gpus":{"GPU-1":{"bus_id":"0B:00.0","power_mw":26200,"n_same":1},
            "GPU-2":{"n_same":0}},"persistence_reported":true}},"alerts":null}"#;
        std::fs::write(dir.path().join(FILE_NAME), before).unwrap();
        let profile = Memory::load(dir.path()).unwrap().of("node1").profile;
        let gave_power = |uuid: &str| profile.gpus[uuid].gave_power;
        assert_eq!((gave_power("GPU-1"), gave_power("GPU-2"), profile.refused.len()), (true, false, 1));
    }

    #[test]
    fn a_collector_keeps_its_name_and_two_have_two() {
        let (mut one, mut other) = (Memory::default(), Memory::default());
        let name = one.collector().to_owned();
        assert_eq!((name.len(), one.collector() == name), (12, true));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(other.collector(), name);
    }

    #[test]
    fn no_file_is_an_empty_memory() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(dir.path()).unwrap(), Memory::default());
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "not json").unwrap();
        assert!(Memory::load(dir.path()).unwrap_err().to_string().contains(FILE_NAME));
    }

    #[test]
    fn another_machine_under_the_same_name_starts_anew() {
        let host = Host {
            name: "node1".to_owned(),
            labels: BTreeMap::new(),
            target: crate::inventory::Target::Local,
            timeout: std::time::Duration::from_secs(15),
            sample: None,
            nvidia_smi: "nvidia-smi".to_owned(),
            gpus: None,
            maintenance: false,
        };
        let remembered = memory().of("node1").valid_for(&host);
        assert_eq!(remembered, HostMemory { address: "localhost".to_owned(), ..HostMemory::default() });
    }
}
