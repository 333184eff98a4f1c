//! A scenario as written, and its checks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::driver::{self, Driver};
use super::gpu::{Board, Dump};
use super::looping::Looping;
use super::{Fault, Scenario, ScenarioError};

/// The file's keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawScenario {
    pub(super) dump: Option<PathBuf>,
    driver: Option<String>,
    gpus: Option<u16>,
    seed: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    gpu: Vec<RawGpu>,
    #[serde(default, deserialize_with = "duration")]
    slow: Option<Duration>,
    handle_lost: Option<usize>,
    handle_unknown: Option<usize>,
    row_dropped: Option<usize>,
    cells_lost: Option<usize>,
    cells_lost_after: Option<u64>,
    unknown_in_loop: Option<String>,
    #[serde(default)]
    sweep: Vec<RawPass>,
    loop_dies_after: Option<u64>,
    loop_stalls_after: Option<u64>,
    loop_log: Option<PathBuf>,
    #[serde(default)]
    fault: Fault,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGpu {
    index: usize,
    set: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPass {
    from: u64,
    set: BTreeMap<String, String>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

impl RawScenario {
    pub(super) fn resolve(self, dump: Dump, stem: &str) -> Result<Scenario, ScenarioError> {
        let version = self.driver.unwrap_or_else(|| dump.captured("driver_version").to_owned());
        let driver = Driver::new(&version).ok_or(ScenarioError::BadDriver(version))?;
        let n_gpus = self.gpus.map_or(dump.n_rows(), usize::from);
        let mut boards = vec![Board::new(checked(self.set)?, &driver); n_gpus];
        for gpu in self.gpu {
            let no_such = ScenarioError::NoSuchGpu { index: gpu.index, n_gpus };
            boards.get_mut(gpu.index).ok_or(no_such)?.add(checked(gpu.set)?, &driver);
        }
        let named = [self.handle_lost, self.handle_unknown, self.row_dropped, self.cells_lost];
        if let Some(index) = named.into_iter().flatten().find(|index| *index >= n_gpus) {
            return Err(ScenarioError::NoSuchGpu { index, n_gpus });
        }
        let step = |pass: RawPass| Ok((pass.from, Board::new(checked(pass.set)?, &driver)));
        let steps = self.sweep.into_iter().map(step).collect::<Result<_, ScenarioError>>()?;
        Ok(Scenario {
            driver,
            dump,
            boards,
            seed: self.seed.unwrap_or_else(|| stem.to_owned()),
            slow: self.slow,
            handle_lost: self.handle_lost,
            handle_unknown: self.handle_unknown,
            row_dropped: self.row_dropped,
            cells_lost: self.cells_lost,
            looping: Looping {
                lost_after: self.cells_lost_after.unwrap_or(0),
                unknown: self.unknown_in_loop,
                steps,
                dies_after: self.loop_dies_after,
                stalls_after: self.loop_stalls_after,
                log: self.loop_log,
            },
            fault: self.fault,
        })
    }
}

fn checked(set: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ScenarioError> {
    match set.keys().find(|name| !driver::any_knows(name)) {
        Some(unknown) => Err(ScenarioError::UnknownField(unknown.clone())),
        None => Ok(set),
    }
}
