//! When hosts are asked, over played ones and in made up time.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::*;
use crate::inventory::Files;
use crate::transport::MasterLifetime;

const SPAN: Duration = Duration::from_secs(1);

/// A timer's step.
const STEP: Duration = Duration::from_millis(1);

/// An inventory that is nowhere but here.
struct Text(String);

impl Files for Text {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }

    fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// Played hosts that answer in no time.
fn hosts(names: &str) -> Vec<Arc<Host>> {
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    let text = format!("[[host]]\nname = \"{names}\"\nscripted = \"{scene}\"\n");
    let inventory = crate::inventory::load(Path::new("inventory.toml"), &Text(text)).unwrap();
    inventory.hosts.into_iter().map(Arc::new).collect()
}

/// An engine that asks one host at a time, and an open cycle.
fn begun(hosts: &[Arc<Host>], stagger: Option<Duration>) -> Engine {
    let connections = Arc::new(Connections::new(None, MasterLifetime::Ephemeral, 1));
    let mut engine = Engine::start(hosts, 1, connections, Memory::default());
    if let Some(span) = stagger {
        engine.stagger = span;
    }
    begin(&mut engine);
    engine
}

fn begin(engine: &mut Engine) {
    engine.begin(BatchId(Uuid::nil()), Instant::now() + Duration::from_secs(20), GRACE);
}

/// The time that the open cycle took, each host of which has answered.
async fn took(engine: &mut Engine) -> Duration {
    let began_at = Instant::now();
    let batch = engine.closed().await;
    assert!(batch.reports.iter().all(|report| report.outcome.is_up()), "{:?}", batch.reports);
    began_at.elapsed()
}

fn latest(hosts: &[Arc<Host>]) -> Duration {
    hosts.iter().map(|host| offset_of(SPAN, &host.name)).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_spreads_nothing_asks_at_once() {
    let mut engine = begun(&hosts("node[001-020]"), None);
    assert_eq!(took(&mut engine).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_asked_at_the_same_distance_from_each_cycle_the_first_included() {
    let hosts = hosts("node001");
    let mut engine = begun(&hosts, Some(SPAN));
    let delay = latest(&hosts);
    for cycle in 0..3 {
        let took = took(&mut engine).await;
        assert!((delay..=delay + STEP).contains(&took), "cycle {cycle}: {took:?} for {delay:?}");
        tokio::time::sleep(SPAN).await;
        begin(&mut engine);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_moment_takes_no_place_from_those_that_are_asked() {
    let hosts = hosts("node[001-020]");
    let mut engine = begun(&hosts, Some(SPAN));
    let (took, latest) = (took(&mut engine).await, latest(&hosts));
    assert!(took <= latest + STEP, "{took:?}, and the last is asked at {latest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_new_in_an_open_cycle_is_asked_at_once() {
    let mut engine = begun(&hosts("node001"), Some(SPAN));
    engine.reconcile(&hosts("node[001-002]"));
    assert!(timeout_at(Instant::now() + STEP, engine.closed()).await.is_err());
    let answered: Vec<&String> = engine.open.as_ref().unwrap().reports.keys().collect();
    assert_eq!(answered, ["node002"]);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_to_close_soon_asks_now_who_was_to_be_asked_later() {
    let mut engine = begun(&hosts("node[001-020]"), Some(SPAN));
    engine.close_soon();
    assert_eq!(took(&mut engine).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_task_of_a_host_that_is_gone_does_not_wait_for_its_moment() {
    let mut engine = begun(&hosts("node[001-020]"), Some(SPAN));
    // All have heard the tick, and wait.
    tokio::time::sleep(STEP).await;
    let gone_at = Instant::now();
    engine.handles.clear();
    while engine.tasks.join_next().await.is_some() {}
    assert_eq!(gone_at.elapsed(), Duration::ZERO);
}
