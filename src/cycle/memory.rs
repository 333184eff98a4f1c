//! The memory of each host from one cycle to the next, also across runs: one JSON file in the state directory.
//! A file that cannot be read is not fatal: everything in it can be learnt again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::batch::{InventorySent, Said};
use crate::inventory::Host;
use crate::probe::{HostProfile, Tool};
use crate::reading::Timestamp;
use crate::support::regular_file;
use crate::support::state_file::{self, WriteError};

/// The file's name in the state directory.
const FILE_NAME: &str = "hosts.json";

/// The file's version; another one is not read.
const VERSION: u32 = 1;

/// The memory of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMemory {
    /// The address that it was learnt from: another machine under the same name has a memory of its own.
    pub address: String,
    /// That of the tool that is asked where the inventory names none.
    #[serde(flatten)]
    default_tool: ToolMemory,
    /// That of the others, by their labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tools: BTreeMap<String, ToolMemory>,
}

/// The memory of one tool on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolMemory {
    /// Facts from its answers.
    #[serde(flatten)]
    pub profile: HostProfile,
    /// The identity of its program when it was last asked for every field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "asked_all_us")]
    pub asked_all_at: Option<Timestamp>,
    /// Since when a command has not returned.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "hung_since_us")]
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

    /// The memory of a tool.
    pub fn of(&mut self, tool: Tool) -> &mut ToolMemory {
        if tool == Tool::default() {
            return &mut self.default_tool;
        }
        self.tools.entry(tool.label().to_owned()).or_default()
    }
}

/// The memory of all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub(super) hosts: BTreeMap<String, HostMemory>,
    /// The name of this collector in the commands of its loops; empty before there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    collector: String,
    /// The content of the last `gpu_inventory` events.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written: InventorySent,
    /// The alerts that an earlier version kept here, until they are kept with the batches.
    #[serde(default, skip_serializing_if = "Value::is_null", rename = "alerts")]
    pub alerts_before: Value,
    /// The last line of a poll's log, so that the next one says what changed.
    #[serde(default)]
    pub said: Said,
}

#[derive(Serialize, Deserialize)]
struct File<M> {
    version: u32,
    #[serde(flatten)]
    memory: M,
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
    /// The indices of boards on their hosts, as last seen, by UUID.
    pub fn gpu_indices(&self) -> impl Iterator<Item = (&str, u32)> {
        let tools = self
            .hosts
            .values()
            .flat_map(|host| std::iter::once(&host.default_tool).chain(host.tools.values()));
        let gpus = tools.flat_map(|tool| &tool.profile.gpus);
        gpus.filter_map(|(uuid, known)| Some((uuid.as_str(), known.index?)))
    }

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
        let File { version, mut memory } =
            serde_json::from_slice::<File<Self>>(&text).map_err(|error| fail(error.into()))?;
        if version != VERSION {
            return Err(fail(io::Error::other(format!("its version is {version}, not {VERSION}"))));
        }
        // Earlier versions only kept the last draw.
        for gpu in memory.hosts.values_mut().flat_map(|host| host.default_tool.profile.gpus.values_mut()) {
            gpu.gave_power |= gpu.power.is_some();
        }
        Ok(memory)
    }

    /// Writes it to the state directory, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, state_dir: &Path) -> Result<(), WriteError> {
        let path = state_dir.join(FILE_NAME);
        match serde_json::to_vec(&File { version: VERSION, memory: self }) {
            Ok(content) => state_file::write(&path, &content),
            Err(error) => Err(WriteError { path, source: error.into() }),
        }
    }

    /// The name of this collector on the hosts: letters and digits, made when it is first asked for. The owner of a
    /// state directory is one collector, also across runs.
    pub(super) fn collector(&mut self) -> &str {
        if self.collector.is_empty() {
            // The last part of such a UUID is random.
            let name = Uuid::now_v7().simple().to_string();
            self.collector = name.get(20..).unwrap_or(&name).to_owned();
        }
        &self.collector
    }

    /// Forgets all hosts but these.
    pub fn retain<'h>(&mut self, hosts: impl IntoIterator<Item = &'h Host>) {
        let names: BTreeSet<&str> = hosts.into_iter().map(|host| host.name.as_str()).collect();
        self.hosts.retain(|node, _| names.contains(node.as_str()));
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::probe::KnownGpu;
    use crate::reading::{Power, PowerKind, Temperature};

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
            default_tool: ToolMemory {
                profile,
                program: Some("/usr/bin/tool 700000 1795503600.000000001".to_owned()),
                asked_all_at: Some(Timestamp::from_micros(1_795_503_500_000_000)),
                hung_since: Some(Timestamp::from_micros(1_795_503_600_000_000)),
            },
            tools: BTreeMap::from([("other".to_owned(), ToolMemory::default())]),
        };
        let facts = ("{}".to_owned(), 20_781);
        Memory {
            hosts: BTreeMap::from([("node1".to_owned(), host)]),
            collector: "0123456789ab".to_owned(),
            written: BTreeMap::from([("gpu_node1".to_owned(), facts)]),
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
        let profile = Memory::load(dir.path()).unwrap().hosts["node1"].default_tool.profile.clone();
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
            probes: Vec::new(),
            programs: BTreeMap::new(),
            gpus: None,
            maintenance: false,
        };
        let remembered = memory().hosts["node1"].clone().valid_for(&host);
        assert_eq!(remembered, HostMemory { address: "localhost".to_owned(), ..HostMemory::default() });
    }
}
