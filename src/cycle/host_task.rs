//! One host in one cycle: connect, ask, ask again where the answer says so, and always an outcome. And
//! between cycles, if it is sampled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::backoff::Backoff;
use super::clock::Clock;
use super::memory::HostMemory;
use super::sampler::{Event, Sampler};
use super::stagger::offset_of;
use crate::batch::HostReport;
use crate::inventory::{Host, Target};
use crate::probe::nvidia_smi::{
    Answer, Command, Next, Probed, Query, loop_mark, loop_pattern, outstanding_pattern,
};
use crate::reading::{Device, Failure, FailureKind, Outcome, Span, Timestamp};
use crate::transport::{Connections, Output, Session};

/// Where nobody can say whether an earlier call still hangs, this long after it a new one may be tried.
const HUNG_RETRY_AFTER: Duration = Duration::from_mins(10);

/// After so long a host is asked for every field again, and a little later by its name, so that not all are in
/// one cycle.
const ASK_ALL_AFTER: Duration = Duration::from_hours(24);

/// Over how long that is staggered.
const ASK_ALL_STAGGER: Duration = Duration::from_hours(1);

/// With less time than this no further call is made: it would be ended before it could answer.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// How long ending a loop that may be left behind may take.
const END_STRAY_WITHIN: Duration = Duration::from_secs(5);

/// What all host tasks share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    /// Bounds how many hosts are asked at once.
    pub(super) slots: Arc<Semaphore>,
    pub(super) clock: Clock,
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

/// What a host's task wakes for.
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
        let sampler = Sampler::new(host.timeout, shared.clock, loop_mark(&shared.collector));
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
                (Woken::Tick(tick), Ok(session)) => {
                    let report = self.read(session, tick).await;
                    let basis = report.outcome.is_up().then(|| report.gpus.clone());
                    if !self.send(tick, report).await {
                        break;
                    }
                    self.keep_sampling(session, tick, basis).await;
                }
                (Woken::Tick(tick), Err(failure)) => {
                    let report = unread(&self.host, failure.clone(), self.shared.clock.now());
                    if !self.send(tick, report).await {
                        break;
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
        if let Some(report) = self.read_sampled(session, tick).await {
            return report;
        }
        let mut report = self.read_once(session, tick.closes_at).await;
        self.sampler.add_samples(&mut report);
        report
    }

    /// The report of a host that is being sampled: its last pass, which is waited for if none has come yet.
    /// No second call is made meanwhile, since it would hang behind the loop if that hangs. `None` if there
    /// is no loop, or no longer.
    async fn read_sampled(&mut self, session: &mut Session, tick: Tick) -> Option<HostReport> {
        let deadline = tick.closes_at.min(Instant::now() + self.host.timeout);
        while self.sampler.is_running() && !self.sampler.has_pass() {
            match timeout_at(deadline, self.sampler.event()).await {
                Ok(event) => self.follow(event, session).await,
                Err(_) => {
                    let failure = Failure::new(FailureKind::Timeout, "its samples do not come");
                    return Some(unread(&self.host, failure, self.shared.clock.now()));
                }
            }
        }
        let (text, at) = self.sampler.last_pass()?;
        let (mut query, _) = Query::open(self.memory.profile.clone(), expected(&self.host));
        let answer = Answer { stdout: text.as_bytes(), exit: Some(0), ..Answer::default() };
        let Next::Done(probed) = query.answer(answer) else { return None };
        self.memory.profile = probed.profile.clone();
        let span = Span { asked_at: at, answered_at: at };
        let mut report = report_of(&self.host, *probed, span, Duration::ZERO);
        self.sampler.compare(&report.gpus);
        self.sampler.add_samples(&mut report);
        Some(report)
    }

    async fn read_once(&mut self, session: &mut Session, closes_at: Instant) -> HostReport {
        let clock = self.shared.clock;
        if let Some(failure) = self.backoff.not_yet() {
            return unread(&self.host, failure, clock.now());
        }
        let Ok(Ok(_slot)) = timeout_at(closes_at, self.shared.slots.clone().acquire_owned()).await else {
            let failure = Failure::new(
                FailureKind::Late,
                "no place was free, as too many other hosts were being asked",
            );
            return unread(&self.host, failure, clock.now());
        };
        let ready = match session.wait_for_turn(closes_at).await {
            Ok(()) => self.end_stray(session, closes_at.min(Instant::now() + self.host.timeout)).await,
            Err(failure) => Err(failure),
        };
        let report = match ready {
            Ok(()) => {
                let memory = std::mem::take(&mut self.memory);
                let reading =
                    read_over(&self.host, session, memory, clock, &self.shared.collector, closes_at);
                // A loop that is to be replaced goes on meanwhile.
                let (report, memory) = self.sampler.beside(reading).await;
                self.memory = memory;
                report
            }
            Err(failure) => unread(&self.host, failure, clock.now()),
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
            let report = self.read_once(session, tick.closes_at).await;
            if report.outcome.is_up() {
                self.sampler.start(&self.host, session, &self.memory.profile, report.gpus, period).await;
            } else {
                self.sampler.stop();
            }
        } else if let (Some(gpus), true) = (basis, self.sampler.may_start()) {
            self.sampler.start(&self.host, session, &self.memory.profile, gpus, period).await;
        }
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
                if self.end_stray(session, soon).await.is_ok() {
                    self.sampler.restart(&self.host, session, &self.memory.profile).await;
                }
            }
            Event::Stalled => {
                tracing::warn!(node, "samples do not come any more");
                self.sampler.plan_restart(&node, &Failure::new(FailureKind::Hung, ""));
                // Until it is known that it ended, nothing is started behind it.
                self.memory.hung_since = Some(self.shared.clock.now());
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

/// Reads one host over a session that may be connected already.
pub(super) async fn read_over(
    host: &Host,
    session: &mut Session,
    memory: HostMemory,
    clock: Clock,
    collector: &str,
    closes_at: Instant,
) -> (HostReport, HostMemory) {
    let deadline = closes_at.min(Instant::now() + host.timeout);
    let asked_at = clock.now();
    let mut memory = memory.valid_for(host);
    let refused_before = forget_refusals(host, session, &mut memory, asked_at);
    let mut probe_time = Duration::ZERO;
    let (mut query, first_call) = Query::open(memory.profile.clone(), expected(host));
    let probed = match outstanding_call(host, session, &mut memory, asked_at, collector, deadline).await {
        Some(failure) => query.give_up(failure),
        None => {
            let mut command = first_call;
            loop {
                match ask(host, session, &mut query, &command, &mut probe_time, deadline).await {
                    Ok(Next::Done(probed)) => break *probed,
                    Ok(Next::Ask(_)) if deadline < Instant::now() + LEAST_TIME => {
                        let message = "no time was left for another call";
                        break query.give_up(Failure::new(FailureKind::Timeout, message));
                    }
                    Ok(Next::Ask(next)) => command = next,
                    Err(failure) => {
                        if failure.kind == FailureKind::Timeout {
                            memory.hung_since = Some(asked_at);
                        }
                        break query.give_up(failure);
                    }
                }
            }
        }
    };
    memory.profile = probed.profile.clone();
    if !probed.outcome.is_up() {
        // What was known to be refused is not to cost the next cycle's time again.
        memory.profile.refused.extend(refused_before);
    }
    let span = Span { asked_at, answered_at: clock.now() };
    (report_of(host, probed, span, probe_time), memory)
}

fn report_of(host: &Host, probed: Probed, span: Span, probe_time: Duration) -> HostReport {
    HostReport {
        span,
        probe_time,
        gpus: probed.gpus,
        gpus_expected: probed.gpus_expected,
        faults: probed.faults,
        outcome: probed.outcome,
        ..unread(host, Failure::new(FailureKind::Internal, ""), span.asked_at)
    }
}

/// Makes one call of a query.
async fn ask(
    host: &Host,
    session: &mut Session,
    query: &mut Query,
    command: &Command,
    probe_time: &mut Duration,
    deadline: Instant,
) -> Result<Next, Failure> {
    let output = session.run(&host.nvidia_smi, &command.args, deadline).await?;
    *probe_time += output.took;
    let Output { stdout, stderr, exit, truncated, took } = &output;
    Ok(query.answer(Answer { stdout, stderr, exit: *exit, truncated: *truncated, took: *took }))
}

/// Forgets which fields nvidia-smi refused where it is another program by now, as far as that can be seen, and
/// at times anyway: one may be exchanged under a driver whose version stays. Gives what was forgotten.
fn forget_refusals(
    host: &Host,
    session: &Session,
    memory: &mut HostMemory,
    now: Timestamp,
) -> BTreeSet<String> {
    let program = session.identity_of(&host.nvidia_smi);
    let again_after = ASK_ALL_AFTER + offset_of(ASK_ALL_STAGGER, &host.name);
    let is_due = memory.asked_all_at.is_none_or(|asked_at| again_after <= now.since(asked_at));
    if !is_due && memory.program.as_ref() == Some(&program) {
        return BTreeSet::new();
    }
    memory.asked_all_at = Some(now);
    memory.program = Some(program);
    std::mem::take(&mut memory.profile.refused)
}

/// A report of a host that nothing was asked of.
pub(super) fn unread(host: &Host, failure: Failure, at: Timestamp) -> HostReport {
    HostReport {
        node: host.name.clone(),
        address: host.address().to_owned(),
        jump: jump(host),
        labels: host.labels.clone(),
        span: Span { asked_at: at, answered_at: at },
        probe_time: Duration::ZERO,
        outcome: Outcome::Failed(failure),
        gpus: Vec::new(),
        gpus_expected: expected(host),
        faults: Vec::new(),
        samples: None,
        maintenance: host.maintenance,
    }
}

/// Where the last call did not return: whether it still hangs. Then no second one is started behind it,
/// or stuck processes would pile up by one a cycle.
async fn outstanding_call(
    host: &Host,
    session: &mut Session,
    memory: &mut HostMemory,
    now: Timestamp,
    collector: &str,
    deadline: Instant,
) -> Option<Failure> {
    let since = memory.hung_since?;
    let args = ["-f".to_owned(), outstanding_pattern(collector)];
    let exit = match session.run("pgrep", &args, deadline).await {
        Ok(output) => output.exit,
        Err(failure) => return Some(failure),
    };
    let still_hangs = match exit {
        Some(0) => true,
        Some(1) => false,
        // No pgrep there.
        _ => now.since(since) < HUNG_RETRY_AFTER,
    };
    if still_hangs {
        return Some(Failure { since: Some(since), ..Failure::new(FailureKind::Hung, "") });
    }
    tracing::info!(node = host.name, "a call that hung has ended");
    memory.hung_since = None;
    None
}

fn jump(host: &Host) -> Option<String> {
    match &host.target {
        Target::Ssh(ssh) => ssh.jump.clone(),
        Target::Local | Target::Scripted { .. } => None,
    }
}

fn expected(host: &Host) -> Option<usize> {
    host.gpus.and_then(|n_gpus| usize::try_from(n_gpus).ok())
}
