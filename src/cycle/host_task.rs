//! One host in one cycle: connect, ask, ask again where the answer says so, and always an outcome. And
//! between cycles, if it is sampled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backoff::Backoff;
use super::clock::Clock;
use super::memory::HostMemory;
use super::sampler::{Event, Sampler};
use super::tool_query::{HostQuery, ToolReading, expected, report_of, unread};
use crate::batch::HostReport;
use crate::inventory::{Host, Target};
use crate::probe::{Next, Output, loop_mark, loop_pattern};
use crate::reading::{Device, Failure, FailureKind, Span};
use crate::transport::{Connections, Session};

/// The time that ending a loop that may be left behind may take.
const END_STRAY_WITHIN: Duration = Duration::from_secs(5);

/// The things that all host tasks share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    /// Bounds how many hosts are asked at once.
    pub(super) slots: Arc<Semaphore>,
    /// The name of this collector in the commands of its loops.
    pub(super) collector: Arc<str>,
    pub(super) outbox: mpsc::Sender<HostRead>,
    /// The open cycle is to close soon: nobody waits for a moment to be asked any more.
    pub(super) closes_soon: watch::Receiver<bool>,
}

/// A cycle asks a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) cycle: u64,
    /// When the host is to be asked: with the cycle's beginning, or a little later.
    pub(super) ask_at: Instant,
    pub(super) closes_at: Instant,
    /// Another cycle will come, and the host may be sampled until then.
    pub(super) then_sample: bool,
}

/// A host's report for a cycle, and what is to be remembered of it.
#[derive(Debug)]
pub(super) struct HostRead {
    pub(super) host: Arc<Host>,
    pub(super) cycle: u64,
    pub(super) report: HostReport,
    pub(super) memory: HostMemory,
}

/// The task of one host: owns its session, and reads it at each tick.
#[derive(Debug)]
pub(super) struct HostTask {
    host: Arc<Host>,
    memory: HostMemory,
    ticks: mpsc::Receiver<Tick>,
    shared: Shared,
    backoff: Backoff,
    sampler: Sampler,
    /// A loop of ours may still be there: it fell silent, or its connection broke.
    has_stray: bool,
}

/// The reasons for which a host's task wakes.
enum Woken {
    Tick(Tick),
    Sampler(Event),
}

impl HostTask {
    pub(super) fn new(
        host: Arc<Host>,
        memory: HostMemory,
        ticks: mpsc::Receiver<Tick>,
        shared: Shared,
    ) -> Self {
        let sampler = Sampler::new(&host, loop_mark(&shared.collector));
        Self { host, memory, ticks, shared, backoff: Backoff::default(), sampler, has_stray: false }
    }

    /// Reads the host at each tick until no more can come, then closes the session.
    pub(super) async fn run(mut self) {
        let mut session = Session::new(&self.host, &self.shared.connections);
        let mut waiting = None;
        loop {
            // None loses anything to another: a tick stays in its channel or waits here, samples in their pipe.
            let woken = tokio::select! {
                tick = self.ticks.recv() => match tick {
                    Some(tick) => {
                        waiting = Some(tick);
                        continue;
                    }
                    None => break,
                },
                tick = due(waiting, &mut self.shared.closes_soon) => {
                    waiting = None;
                    Woken::Tick(tick)
                }
                event = self.sampler.event() => Woken::Sampler(event),
            };
            match (woken, &mut session) {
                (Woken::Tick(tick), session) => {
                    let report = match session {
                        Ok(session) => self.read(session, tick).await,
                        Err(failure) => unread(&self.host, failure.clone(), Clock.now()),
                    };
                    let basis = report.outcome.is_up().then(|| report.gpus.clone());
                    if !self.send(tick, report).await {
                        break;
                    }
                    if let Ok(session) = session {
                        self.keep_sampling(session, tick, basis).await;
                    }
                }
                (Woken::Sampler(event), Ok(session)) => self.follow(event, session).await,
                (Woken::Sampler(_), Err(_)) => {}
            }
        }
        self.sampler.stop();
        if let Ok(session) = session {
            session.close().await;
        }
    }

    /// Hands a report over; false if nobody is there to take it.
    async fn send(&self, tick: Tick, report: HostReport) -> bool {
        tracing::debug!(outcome = report.outcome.label(), gpus = report.gpus.len(), "host read");
        let read =
            HostRead { host: self.host.clone(), cycle: tick.cycle, report, memory: self.memory.clone() };
        self.shared.outbox.send(read).await.is_ok()
    }

    async fn read(&mut self, session: &mut Session, tick: Tick) -> HostReport {
        let sampled = self.read_sampled(session, tick).await;
        let is_all = sampled.is_some() && self.host.probes.len() == 1;
        let mut report = match sampled {
            Some(sampled) if is_all => report_of(&self.host, vec![sampled]),
            sampled => self.read_once(session, sampled, tick.closes_at).await,
        };
        self.sampler.add_samples(&mut report);
        report
    }

    /// The reading of the tool that samples the host: its last pass, which is waited for if none has come yet.
    /// No second command of it is run meanwhile, since that would hang behind the loop if the loop hangs. `None`
    /// if there is no loop, or no longer.
    async fn read_sampled(&mut self, session: &mut Session, tick: Tick) -> Option<ToolReading> {
        let tool = self.sampler.tool?;
        let deadline = tick.closes_at.min(Instant::now() + self.host.timeout);
        while self.sampler.is_running() && !self.sampler.has_pass() {
            match timeout_at(deadline, self.sampler.event()).await {
                Ok(event) => self.follow(event, session).await,
                Err(_) => {
                    let failure = Failure::new(FailureKind::Timeout, "its samples do not come");
                    return Some(ToolReading::failed(&self.host, tool, failure, Clock.now()));
                }
            }
        }
        let (text, at) = self.sampler.last_pass()?;
        let memory = self.memory.of(tool);
        let (mut query, _) = tool.query(memory.profile.clone(), expected(&self.host));
        let output = Output { stdout: text.into(), exit: Some(0), ..Output::default() };
        let Next::Done(product) = query.answer(&output) else { return None };
        memory.profile = product.profile.clone();
        self.sampler.compare(&product.gpus);
        let span = Span { asked_at: at, answered_at: at };
        Some(ToolReading { tool, product: *product, span, probe_time: Duration::ZERO })
    }

    /// Asks the tools of the host; one that was `sampled` is not asked.
    async fn read_once(
        &mut self,
        session: &mut Session,
        sampled: Option<ToolReading>,
        closes_at: Instant,
    ) -> HostReport {
        if let Some(failure) = self.backoff.not_yet() {
            return unread(&self.host, failure, Clock.now());
        }
        let Ok(Ok(_slot)) = timeout_at(closes_at, self.shared.slots.clone().acquire_owned()).await else {
            let why = "no place was free, as too many other hosts were being asked";
            let failure = Failure::new(FailureKind::Late, why);
            return unread(&self.host, failure, Clock.now());
        };
        let ready = match session.wait_for_turn(closes_at).await {
            Ok(()) => self.end_stray(session, closes_at.min(Instant::now() + self.host.timeout)).await,
            Err(failure) => Err(failure),
        };
        let report = match ready {
            Ok(()) => {
                let memory = std::mem::take(&mut self.memory);
                let query = HostQuery { host: &self.host, collector: &self.shared.collector };
                // A loop that is to be replaced goes on meanwhile.
                let reading = query.read(session, memory, sampled, closes_at);
                let (report, memory) = self.sampler.beside(reading).await;
                self.memory = memory;
                report
            }
            Err(failure) => unread(&self.host, failure, Clock.now()),
        };
        self.backoff.note(&self.host.name, &report.outcome);
        report
    }

    /// Starts the loop of a host that shall be sampled until the next tick, or replaces one that is due.
    async fn keep_sampling(&mut self, session: &mut Session, tick: Tick, basis: Option<Vec<Device>>) {
        let Some(period) = self.host.sample.filter(|_| tick.then_sample) else { return };
        if self.sampler.is_running() {
            if !self.sampler.is_due() {
                return;
            }
            // The GPUs may be others by now, which only a new call sees.
            let report = self.read_once(session, None, tick.closes_at).await;
            if report.outcome.is_up() {
                self.start_sampling(session, report.gpus, period).await;
            } else {
                self.sampler.stop();
            }
        } else if let (Some(gpus), true) = (basis, self.sampler.may_start()) {
            self.start_sampling(session, gpus, period).await;
        }
    }

    async fn start_sampling(&mut self, session: &mut Session, gpus: Vec<Device>, period: Duration) {
        let Some(tool) = self.sampler.tool else { return };
        let profile = &self.memory.of(tool).profile;
        self.sampler.start(&self.host, session, profile, gpus, period).await;
    }

    /// Follows what became of the loop.
    async fn follow(&mut self, event: Event, session: &mut Session) {
        let node = self.host.name.clone();
        let soon = Instant::now() + END_STRAY_WITHIN.min(self.host.timeout);
        match event {
            Event::Sampled => {}
            Event::Ended(why) => {
                tracing::warn!(node, %why, "sampling ended");
                self.sampler.plan_restart(&node, &why);
                self.has_stray = true;
            }
            Event::Due => {
                if self.end_stray(session, soon).await.is_ok()
                    && let Some((gpus, period)) = self.sampler.started.take()
                {
                    self.start_sampling(session, gpus, period).await;
                }
            }
            Event::Stalled => {
                tracing::warn!(node, "samples do not come any more");
                self.sampler.plan_restart(&node, &Failure::new(FailureKind::Hung, ""));
                // Until it is known that it ended, nothing is started behind it.
                if let Some(tool) = self.sampler.tool {
                    self.memory.of(tool).hung_since = Some(Clock.now());
                }
                self.has_stray = true;
                if let Err(failure) = self.end_stray(session, soon).await {
                    tracing::debug!(node, %failure, "a loop that may be there cannot be ended yet");
                }
            }
        }
    }

    /// Ends a loop that may be left there: one that cannot write never notices that nobody reads. Where it
    /// cannot be reached now, this is tried again before the next call.
    async fn end_stray(&mut self, session: &mut Session, deadline: Instant) -> Result<(), Failure> {
        if self.has_stray && matches!(self.host.target, Target::Ssh(_)) {
            let args = ["-TERM", "-f", &loop_pattern(&self.shared.collector)].map(str::to_owned);
            session.run("pkill", &args, deadline).await?;
        }
        self.has_stray = false;
        Ok(())
    }
}

/// Waits until the host of a tick is to be asked, which is at once if the cycle is to close soon; without a
/// tick for ever.
async fn due(waiting: Option<Tick>, closes_soon: &mut watch::Receiver<bool>) -> Tick {
    let Some(tick) = waiting else { return std::future::pending().await };
    // A timer needs a millisecond also for what is due.
    if Instant::now() < tick.ask_at {
        tokio::select! {
            () = sleep_until(tick.ask_at) => {}
            _ = closes_soon.wait_for(|is_soon| *is_soon) => {}
        }
    }
    tick
}
