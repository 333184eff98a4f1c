//! The session with an account: when stations are asked, and which of their messages become readings.
//!
//! # Constraints
//! - A cycle never waits for the session. [`Session::report`] returns what came since the last cycle, at once.
//! - Stations are silent unless they are asked, and a trigger keeps them awake. So a status request is sent first,
//!   and a trigger only if no answer comes.
//! - The vendor locks accounts and bans addresses: no request is repeated without a pause, and logins are counted on
//!   the disk (`auth`).
//! - The broker ends the first of two connections with the same client id. An installation keeps its id; a dry run, a
//!   check and a listener take a random one.
//!
//! # Life cycle
//! [`Session::start`] spawns a task with a `Worker`. Each turn of its loop takes one event: a message of the broker, or
//! a timer (the next poll, an overdue answer, the next REST request). After each turn it publishes its state in a
//! watch channel; readings go through a bounded channel. [`Session::end`] saves the state and disconnects. If the task
//! ends by a defect, the next report restarts it. [`ask_once`] runs the same loop until every station has answered or
//! the time of `listen` is over.

mod connection;
mod listen;
mod pace;
mod persisted;
mod recovery;
mod requests;
mod stations;
mod worker;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use self::listen::{ListenError, Listener};
use self::worker::{SessionState, Worker};
use super::Config;
use super::rest::CloudError;
use crate::reading::{AccountReport, Quantity, StationReading, Timestamp, Vendor, error_chain};

/// The names of the account and its stations in the timeline.
pub static VENDOR: Vendor = Vendor {
    label: "Solix",
    source: "solix",
    up: "solix_up",
    heartbeat: "solix_heartbeat",
    figures: &[
        (Quantity::StateOfCharge, "solix_battery_soc"),
        (Quantity::PowerInput, "solix_power_input"),
        (Quantity::PowerOutput, "solix_power_output"),
        (Quantity::GridPower, "solix_grid_power"),
        (Quantity::SolarPower, "solix_solar_power"),
    ],
};

/// So many readings may wait to be fetched: more than a cycle of the longest interval brings.
const INBOX: usize = 1_024;

/// Saying goodbye to the broker may take this long.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(1);

/// A session at work.
#[derive(Debug)]
pub struct Session {
    config: Config,
    readings: mpsc::Receiver<StationReading>,
    state: watch::Receiver<SessionState>,
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl Session {
    /// Begins a session. Never waits and never fails: what goes wrong stands in the reports.
    pub fn start(config: Config) -> Self {
        let (outbox, readings) = mpsc::channel(INBOX);
        let (knows, state) = watch::channel(SessionState::new());
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        match Worker::new(config.clone(), outbox, knows.clone()) {
            Ok(worker) => drop(task.spawn(until_stopped(worker, stopped))),
            Err(error) => cannot_start(&knows, &error),
        }
        Self { config, readings, state, stop, task }
    }

    /// The readings since the last report, and the state of the stations now.
    pub fn report(&mut self) -> AccountReport {
        let taken = taken(&mut self.readings);
        if let Some(ended) = self.task.try_join_next() {
            tracing::error!(failed = ended.is_err(), "the Solix session ended unexpectedly; restarting it");
        }
        // One that could not start is tried again too: a file may be there now.
        if self.task.is_empty() {
            *self = Self::start(self.config.clone());
        }
        report(taken, &self.state.borrow(), (self.config.now)())
    }

    /// Ends the session, by `deadline` at the latest. The last report is fetched before.
    pub async fn end(self, deadline: Instant) {
        let Self { stop, mut task, .. } = self;
        drop(stop);
        drop(timeout_at(deadline, task.join_next()).await);
    }
}

/// Asks every station once, for as long as the inventory says and never beyond `deadline`.
pub async fn ask_once(config: Config, deadline: Instant) -> AccountReport {
    let (outbox, mut readings) = mpsc::channel(INBOX);
    let (knows, state) = watch::channel(SessionState::new());
    let now = config.now;
    match Worker::new(config, outbox, knows.clone()) {
        Ok(mut worker) => {
            worker.work_once(deadline).await;
            worker.end(Instant::now() + GOODBYE).await;
        }
        Err(error) => cannot_start(&knows, &error),
    }
    let state = state.borrow().clone();
    report(taken(&mut readings), &state, now())
}

async fn until_stopped(mut worker: Worker, stopped: oneshot::Receiver<()>) {
    tokio::select! {
        () = worker.work() => (),
        // Dropped or sent, it is the end.
        _ = stopped => (),
    }
    worker.end(Instant::now() + GOODBYE).await;
}

fn cannot_start(knows: &watch::Sender<SessionState>, error: &CloudError) {
    tracing::error!(error = error_chain(error), "the Solix session cannot start");
    knows.send_modify(|state| state.trouble = Some(error.trouble()));
}

/// The readings that wait to be fetched, oldest first.
fn taken(readings: &mut mpsc::Receiver<StationReading>) -> Vec<StationReading> {
    std::iter::from_fn(|| readings.try_recv().ok()).collect()
}

fn report(readings: Vec<StationReading>, state: &SessionState, now: Timestamp) -> AccountReport {
    let stations = state.stations.iter().map(|view| view.status(state.pace, now));
    AccountReport { vendor: &VENDOR, readings, stations: stations.collect(), trouble: state.trouble.clone() }
}
