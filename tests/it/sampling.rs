//! Sampling between cycles, by the engine itself over played hosts: time is made up, and nothing waits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fleetwatt::batch::{Batch, BatchId, HostReport};
use fleetwatt::cycle::{Engine, Memory};
use fleetwatt::inventory::{Files, Host, MetadataStyle};
use fleetwatt::reading::{Energy, FaultKind, Power, PowerKind};
use fleetwatt::transport::{Connections, MasterLifetime};
use tokio::time::Instant;
use uuid::Uuid;

struct OnDisk;

impl Files for OnDisk {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// The hosts of an inventory file.
pub(crate) fn hosts(inventory: &Path) -> Vec<Arc<Host>> {
    let inventory = fleetwatt::inventory::load(inventory, &OnDisk).unwrap();
    inventory.hosts.into_iter().map(Arc::new).collect()
}

/// Cycles over an engine, one after the other at a fixed pace.
pub(crate) struct Cycles {
    pub(crate) engine: Engine,
    interval: Duration,
    next_at: Instant,
}

impl Cycles {
    pub(crate) fn new(hosts: &[Arc<Host>], connections: Connections, interval: Duration) -> Self {
        let mut engine = Engine::start(hosts, 256, Arc::new(connections), Memory::default());
        engine.samples = true;
        Self { engine, interval, next_at: Instant::now() }
    }

    /// The next cycle, when its time has come. A cycle that takes longer moves the next one.
    pub(crate) async fn next(&mut self) -> Batch {
        tokio::time::sleep_until(self.next_at).await;
        self.next_at = Instant::now() + self.interval;
        let hosts_by = Instant::now() + Duration::from_secs(20);
        self.engine.begin(BatchId(Uuid::now_v7()), hosts_by, Duration::from_millis(500));
        self.engine.closed().await
    }
}

/// Cycles over one played host.
struct Played {
    has_begun: bool,
    cycles: Cycles,
    _dir: tempfile::TempDir,
}

impl Played {
    fn new(scene: &str, sample: &str, interval: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("scene.toml"), scene).unwrap();
        let inventory = dir.path().join("inventory.toml");
        let text = format!("[[host]]\nname = \"a\"\nscripted = \"scene.toml\"\nsample = \"{sample}\"\n");
        std::fs::write(&inventory, text).unwrap();
        let cycles =
            Cycles::new(&hosts(&inventory), Connections::new(None, MasterLifetime::Ephemeral, 1), interval);
        Self { has_begun: false, cycles, _dir: dir }
    }

    async fn next_batch(&mut self) -> Batch {
        let batch = self.cycles.next().await;
        if !std::mem::replace(&mut self.has_begun, true) {
            // From here on no cycle begins in the very moment of a sweep.
            self.cycles.next_at -= Duration::from_millis(50);
        }
        batch
    }

    async fn next(&mut self) -> HostReport {
        self.next_batch().await.reports.remove(0)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const STEADY: &str = "[set]\n'power.draw' = '100.00 W'\n'power.draw.instant' = '200.00 W'\n'power.draw.average' = '300.00 W'\n";

#[tokio::test(start_paused = true)]
async fn a_cycle_has_the_mean_the_extremes_and_the_energy_of_its_samples() {
    let mut played = Played::new(STEADY, "100ms", SECOND);
    let first = played.next().await;
    assert_eq!(first.gpus[0].power_samples, None, "the first cycle asks, and starts the loop");
    assert_eq!(first.gpus[0].power().unwrap().power, Power::from_watts(300));
    let report = played.next().await;
    let samples = report.gpus[0].power_samples.clone().unwrap();
    assert_eq!(
        (samples.counts.n_samples, samples.counts.n_absent, samples.kind),
        (10, 0, PowerKind::Instant)
    );
    assert_eq!((samples.min, samples.max), (Power::from_watts(200), Power::from_watts(209)));
    assert_eq!(samples.mean, Power::from_milliwatts(204_500));
    assert_eq!(samples.covered, Duration::from_millis(900));
    assert_eq!(samples.energy, Energy::from_millijoules(184_050));
    let next = played.next().await.gpus[0].power_samples.clone().unwrap();
    assert_eq!(
        (next.counts.n_samples, next.covered),
        (10, SECOND),
        "the last sample of the cycle before counts"
    );
    assert_eq!(next.energy, Energy::from_millijoules(204_500));
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_sampled_gpu_has_the_mean_as_its_value_and_the_rest_beside_it() {
    let mut played = Played::new(STEADY, "1s", 10 * SECOND);
    played.next().await;
    let batch = played.next_batch().await;
    let events = batch.events(MetadataStyle::Full, &mut Default::default());
    let power = events.iter().find(|event| event.event_type == "gpu_power_draw").unwrap();
    assert_eq!(power.value, Some(304.5));
    let keys =
        ["power_draw_w", "power_min_w", "power_max_w", "power_samples", "power_energy_j", "power_covered_ms"];
    let metadata: serde_json::Value = serde_json::from_str(power.metadata.text()).unwrap();
    let values = keys.map(|key| metadata[key].to_string());
    assert_eq!(values, ["304.5", "300.0", "309.0", "10", "2740.5", "9000"]);
    assert_eq!(metadata["power_kind"], "average");
    assert_eq!(metadata["power_draw_average_w"], 309.0, "the last sweep's");
    let cluster = events.last().unwrap();
    assert_eq!(cluster.value, Some(304.5), "totals are of what is recorded");
}

/// Draws and caps of a board of at most 700 W, at five samples a second.
fn capped(steps: &[(u32, &str, &str)]) -> Played {
    let set = |watts: &str, cap: &str| {
        let draws = ["power.draw", "power.draw.instant", "power.draw.average"].map(|name| (name, watts));
        let caps = ["power.limit", "enforced.power.limit"].map(|name| (name, cap));
        let cells = draws.iter().chain(&caps).map(|(name, value)| format!("'{name}' = '{value} W'"));
        cells.collect::<Vec<_>>().join(", ")
    };
    let (_, watts, cap) = steps[0];
    let mut scene = format!("set = {{ {} }}\n", set(watts, cap));
    for (from, watts, cap) in steps {
        scene.push_str(&format!("[[sweep]]\nfrom = {from}\nset = {{ {} }}\n", set(watts, cap)));
    }
    Played::new(&scene, "200ms", 2 * SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_cap_that_is_moved_under_load_costs_no_sample_and_invents_none() {
    let mut played = capped(&[(0, "190.00", "200.00"), (4, "650.00", "700.00"), (8, "290.00", "300.00")]);
    played.next().await;
    let report = played.next().await;
    let samples = report.gpus[0].power_samples.clone().unwrap();
    assert_eq!((samples.counts.n_samples, samples.counts.n_absent, samples.counts.n_refused), (10, 0, 0));
    assert_eq!((samples.min, samples.max), (Power::from_watts(190), Power::from_watts(650)));
    assert_eq!(samples.mean, Power::from_watts(394), "(4 x 190 + 4 x 650 + 2 x 290) / 10");
    assert_eq!((report.outcome.label(), report.faults.len()), ("complete", 0));
    let next = played.next().await.gpus[0].power_samples.clone().unwrap();
    assert_eq!(
        (next.counts.n_samples, next.min, next.max),
        (10, Power::from_watts(290), Power::from_watts(290))
    );
}

#[tokio::test(start_paused = true)]
async fn samples_that_are_thrown_away_are_counted_and_most_of_a_cycles_are_a_fault() {
    let steps = [(0, "300.00", "700.00"), (13, "1500.00", "700.00"), (27, "300.00", "700.00")];
    let mut played = capped(&steps);
    played.next().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let batch = played.next_batch().await;
        let report = &batch.reports[0];
        let n_refused = report.samples.unwrap().n_refused;
        let events = batch.events(MetadataStyle::Full, &mut Default::default());
        let up = events.iter().find(|event| event.event_type == "node_up").unwrap();
        let metadata: serde_json::Value = serde_json::from_str(up.metadata.text()).unwrap();
        assert_eq!(metadata["samples_refused"], n_refused);
        let kinds: Vec<_> = report.faults.iter().map(|fault| fault.kind).collect();
        seen.push((report.samples.unwrap().n_samples, n_refused, report.outcome.label(), kinds));
    }
    let lost = FaultKind::ImplausiblePower;
    assert_eq!(
        seen,
        [
            (10, 0, "complete", vec![]),
            (3, 7, "partial", vec![lost, FaultKind::Implausible]),
            (3, 7, "complete", vec![FaultKind::Implausible]),
            (10, 0, "complete", vec![]),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_asked_later_than_its_cycle_begins_is_sampled_for_whole_cycles_too() {
    let mut played = Played::new(STEADY, "100ms", SECOND);
    played.cycles.engine.stagger = SECOND / 20;
    played.next().await;
    played.next().await;
    for _ in 0..3 {
        let samples = played.next().await.gpus[0].power_samples.clone().unwrap();
        assert_eq!((samples.counts.n_samples, samples.covered), (10, SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn who_runs_one_cycle_is_asked_once() {
    let mut played = Played::new(STEADY, "100ms", SECOND);
    let hosts: Vec<Arc<Host>> = hosts(&played._dir.path().join("inventory.toml"));
    let connections = Arc::new(Connections::new(None, MasterLifetime::Ephemeral, 1));
    played.cycles.engine = Engine::start(&hosts, 1, connections, Memory::default());
    for _ in 0..3 {
        assert_eq!(played.next().await.gpus[0].power_samples, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_lost_between_two_cycles_keeps_its_samples_and_its_name() {
    let scene = format!("gpus = 3\ncells-lost = 1\ncells-lost-after = 4\n{STEADY}");
    let mut played = Played::new(&scene, "100ms", SECOND);
    let first = played.next().await;
    let report = played.next().await;
    assert_eq!(report.outcome.label(), "partial");
    let faults: Vec<_> = report.faults.iter().filter(|fault| fault.kind == FaultKind::GpuLost).collect();
    assert_eq!((faults.len(), &faults[0].gpu), (1, &first.gpus[1].bus_id().ok().cloned()));
    assert_eq!(report.gpus[1].uuid(), first.gpus[1].uuid());
    assert!(report.gpus[1].temperature().is_err());
    let counts: Vec<_> = report.gpus.iter().map(|gpu| *gpu.power_samples.clone().unwrap()).collect();
    let counts: Vec<_> =
        counts.iter().map(|samples| (samples.counts.n_samples, samples.counts.n_absent)).collect();
    assert_eq!(counts, [(10, 0), (4, 6), (10, 0)]);
    let later = played.next().await;
    assert_eq!(later.gpus[1].power_samples, None);
    assert!(later.gpus[1].power().is_err(), "what is lost draws nothing that is known, and not zero");
}

#[tokio::test(start_paused = true)]
async fn noise_between_the_rows_costs_no_sample_and_is_told() {
    let mut played = Played::new(&format!("fault = 'babble'\n{STEADY}"), "100ms", SECOND);
    played.next().await;
    let report = played.next().await;
    assert_eq!(
        (report.outcome.label(), report.gpus[0].power_samples.as_ref().unwrap().counts.n_samples),
        ("complete", 10)
    );
    let kinds: Vec<_> = report.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::SamplesLost]);
    assert!(report.faults[0].evidence.as_str().starts_with("18 bad lines, such as "), "{:?}", report.faults);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_dies_starts_again_and_every_cycle_has_its_reading() {
    let mut played = Played::new(&format!("loop-dies-after = 5\n{STEADY}"), "100ms", SECOND);
    let mut counts = Vec::new();
    for _ in 0..40 {
        let report = played.next().await;
        assert_eq!(report.outcome.label(), "complete");
        assert!(report.gpus[0].power().is_ok());
        counts.push(report.gpus[0].power_samples.as_ref().map_or(0, |samples| samples.counts.n_samples));
    }
    let n_loops = counts.iter().sum::<u64>() / 5;
    assert!((3..=8).contains(&n_loops), "it starts again, at growing distances: {counts:?}");
    assert_eq!(counts.iter().sum::<u64>() % 5, 0, "no sample is missing");
}

/// A loop that is not replaced loses its board at this sweep, which no cycle may see.
async fn never_lives_for(n_sweeps: u32, scene: &str, sample: &str, interval: Duration, n_cycles: u32) {
    let scene = format!("cells-lost = 0\ncells-lost-after = {n_sweeps}\n{scene}");
    let mut played = Played::new(&scene, sample, interval);
    for cycle in 0..n_cycles {
        assert_eq!(played.next().await.outcome.label(), "complete", "cycle {cycle}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_is_replaced_after_ten_minutes_so_that_new_gpus_are_seen() {
    never_lives_for(680, STEADY, "1s", 60 * SECOND, 30).await;
}

#[tokio::test(start_paused = true)]
async fn a_loop_whose_number_became_an_error_for_good_is_replaced() {
    never_lives_for(35, &format!("unknown-in-loop = 'utilization.gpu'\n{STEADY}"), "100ms", SECOND, 12).await;
}

#[tokio::test(start_paused = true)]
async fn replacing_a_loop_leaves_no_gap() {
    let mut played = Played::new(STEADY, "1s", 60 * SECOND);
    played.next().await;
    let (mut covered, mut n_samples) = (Duration::ZERO, 0);
    for _ in 0..30 {
        let samples = played.next().await.gpus[0].power_samples.clone().unwrap();
        covered += samples.covered;
        n_samples += samples.counts.n_samples;
    }
    assert!(covered >= (30 * 60 - 2) * SECOND, "{covered:?}");
    assert!((1798..=1806).contains(&n_samples), "{n_samples}");
}
