//! A scenario as written, and its checks.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::driver::{Driver, any_knows};
use super::gpu::{Cells, Dump};
use super::{Fault, Scenario, ScenarioError};

/// The file's keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keys {
    pub(super) dump: Option<PathBuf>,
    driver: Option<String>,
    gpus: Option<u16>,
    seed: Option<String>,
    #[serde(default)]
    set: Cells,
    #[serde(default)]
    gpu: Vec<OfGpu>,
    #[serde(default, deserialize_with = "duration")]
    pub(super) slow: Option<Duration>,
    pub(super) handle_lost: Option<usize>,
    pub(super) handle_unknown: Option<usize>,
    pub(super) row_dropped: Option<usize>,
    pub(super) cells_lost: Option<usize>,
    pub(super) cells_lost_after: Option<u64>,
    pub(super) unknown_in_loop: Option<String>,
    #[serde(default)]
    sweep: Vec<OfPass>,
    pub(super) loop_dies_after: Option<u64>,
    pub(super) loop_stalls_after: Option<u64>,
    pub(super) loop_log: Option<PathBuf>,
    #[serde(default)]
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfGpu {
    index: usize,
    set: Cells,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPass {
    from: u64,
    set: Cells,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

impl Keys {
    pub(super) fn resolve(self, dump: Dump, stem: &str) -> Result<Scenario, ScenarioError> {
        let version = self.driver.as_deref().unwrap_or_else(|| dump.captured("driver_version"));
        let no_driver = || ScenarioError::Invalid(format!("`{version}` is not a driver version"));
        let driver = Driver::new(version).ok_or_else(no_driver)?;
        let n_gpus = self.gpus.map_or(dump.n_rows(), usize::from);
        let no_such =
            |index| ScenarioError::Invalid(format!("there is no GPU {index}: the scene has {n_gpus}"));
        let mut boards = vec![cells(&self.set, &driver)?; n_gpus];
        for OfGpu { index, set } in &self.gpu {
            boards.get_mut(*index).ok_or_else(|| no_such(*index))?.extend(cells(set, &driver)?);
        }
        let named = [self.handle_lost, self.handle_unknown, self.row_dropped, self.cells_lost];
        if let Some(index) = named.into_iter().flatten().find(|index| *index >= n_gpus) {
            return Err(no_such(index));
        }
        let sweep = |pass: &OfPass| Ok((pass.from, cells(&pass.set, &driver)?));
        let sweeps = self.sweep.iter().map(sweep).collect::<Result<_, ScenarioError>>()?;
        let seed = self.seed.clone().unwrap_or_else(|| stem.to_owned());
        Ok(Scenario { keys: self, driver, dump, boards, sweeps, seed })
    }
}

/// Cells that are set, each under the name that this driver answers it under.
fn cells(set: &Cells, driver: &Driver) -> Result<Cells, ScenarioError> {
    let cell = |(name, cell): (&String, &String)| {
        let unknown = || ScenarioError::Invalid(format!("no driver knows a field `{name}`"));
        any_knows(name).then(|| (driver.simulated_name(name), cell.clone())).ok_or_else(unknown)
    };
    set.iter().map(cell).collect()
}
