//! One host in one cycle: connect, ask, ask again where the answer says so, and always an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::clock::Clock;
use super::memory::HostMemory;
use super::patience::Patience;
use crate::batch::HostReport;
use crate::inventory::{Host, Target};
use crate::probe::{Answer, Call, Conversation, OUTSTANDING_PATTERN, Step};
use crate::reading::{Failure, FailureKind, Outcome, Span, Timestamp};
use crate::transport::{Connections, Output, Session};

/// Where nobody can say whether an earlier call still hangs, this long after it a new one may be tried.
const HUNG_RETRY_AFTER: Duration = Duration::from_mins(10);

/// What all host tasks share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    /// Bounds how many hosts are asked at once.
    pub(super) slots: Arc<Semaphore>,
    pub(super) clock: Clock,
    pub(super) outbox: mpsc::Sender<HostRead>,
}

/// A cycle asks a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) cycle: u64,
    pub(super) closes_at: Instant,
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
    patience: Patience,
}

impl HostTask {
    pub(super) fn new(
        host: Arc<Host>,
        memory: HostMemory,
        ticks: mpsc::Receiver<Tick>,
        shared: Shared,
    ) -> Self {
        Self { host, memory, ticks, shared, patience: Patience::default() }
    }

    /// Reads the host at each tick until no more can come, then closes the session.
    pub(super) async fn run(mut self) {
        let mut session = Session::new(&self.host, &self.shared.connections);
        while let Some(tick) = self.ticks.recv().await {
            let report = match &mut session {
                Ok(session) => self.read(session, tick).await,
                Err(failure) => unread(&self.host, failure.clone(), self.shared.clock.now()),
            };
            tracing::debug!(outcome = report.outcome.label(), gpus = report.gpus.len(), "host read");
            let read =
                HostRead { host: self.host.clone(), cycle: tick.cycle, report, memory: self.memory.clone() };
            if self.shared.outbox.send(read).await.is_err() {
                break;
            }
        }
        if let Ok(session) = session {
            session.close().await;
        }
    }

    async fn read(&mut self, session: &mut Session, tick: Tick) -> HostReport {
        let clock = self.shared.clock;
        if let Some(failure) = self.patience.not_yet() {
            return unread(&self.host, failure, clock.now());
        }
        let Ok(Ok(_slot)) = timeout_at(tick.closes_at, self.shared.slots.acquire()).await else {
            let failure = Failure::new(FailureKind::Late, "no place was free; raise `concurrency`");
            return unread(&self.host, failure, clock.now());
        };
        let report = match session.wait_for_turn(tick.closes_at).await {
            Ok(()) => {
                let memory = std::mem::take(&mut self.memory);
                let (report, memory) = read_over(&self.host, session, memory, clock, tick.closes_at).await;
                self.memory = memory;
                report
            }
            Err(failure) => unread(&self.host, failure, clock.now()),
        };
        self.patience.note(&self.host.name, &report.outcome);
        report
    }
}

/// Reads one host over a session that may be connected already.
pub(super) async fn read_over(
    host: &Host,
    session: &mut Session,
    memory: HostMemory,
    clock: Clock,
    closes_at: Instant,
) -> (HostReport, HostMemory) {
    let deadline = closes_at.min(Instant::now() + host.timeout);
    let asked_at = clock.now();
    let mut memory = memory.valid_for(host);
    let mut probe_time = Duration::ZERO;
    let (mut conversation, first_call) = Conversation::open(memory.knowledge.clone(), expected(host));
    let probed = match outstanding_call(host, session, &mut memory, asked_at, deadline).await {
        Some(failure) => conversation.give_up(failure),
        None => {
            let mut call = first_call;
            loop {
                match ask(host, session, &mut conversation, &call, &mut probe_time, deadline).await {
                    Ok(Step::Done(probed)) => break *probed,
                    Ok(Step::Ask(next)) => call = next,
                    Err(failure) => {
                        if failure.kind == FailureKind::Timeout {
                            memory.hung_since = Some(asked_at);
                        }
                        break conversation.give_up(failure);
                    }
                }
            }
        }
    };
    memory.knowledge = probed.knowledge;
    let report = HostReport {
        span: Span { asked_at, answered_at: clock.now() },
        probe_time,
        gpus: probed.gpus,
        gpus_expected: probed.gpus_expected,
        faults: probed.faults,
        outcome: probed.outcome,
        ..unread(host, Failure::new(FailureKind::Internal, ""), asked_at)
    };
    (report, memory)
}

/// Makes one call of a conversation.
async fn ask(
    host: &Host,
    session: &mut Session,
    conversation: &mut Conversation,
    call: &Call,
    probe_time: &mut Duration,
    deadline: Instant,
) -> Result<Step, Failure> {
    let output = session.run(&host.nvidia_smi, &call.args, deadline).await?;
    *probe_time += output.took;
    let Output { stdout, stderr, exit, truncated, .. } = &output;
    Ok(conversation.answer(Answer { stdout, stderr, exit: *exit, truncated: *truncated }))
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
    }
}

/// Where the last call did not return: whether it still hangs. Then no second one is started behind it,
/// or stuck processes would pile up by one a cycle.
async fn outstanding_call(
    host: &Host,
    session: &mut Session,
    memory: &mut HostMemory,
    now: Timestamp,
    deadline: Instant,
) -> Option<Failure> {
    let since = memory.hung_since?;
    let args = ["-f".to_owned(), OUTSTANDING_PATTERN.to_owned()];
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
