//! One host in one cycle: connect, ask, ask again where the answer says so, and always an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::memory::HostMemory;
use crate::batch::HostReport;
use crate::inventory::{Host, Target};
use crate::probe::{Answer, Call, Conversation, OUTSTANDING_PATTERN, Step};
use crate::reading::{Failure, FailureKind, Outcome, Span, Timestamp};
use crate::transport::{Connections, Output, Session};

/// Where nobody can say whether an earlier call still hangs, this long after it a new one may be tried.
const HUNG_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Reads one host by `closes_at` at the latest. What it remembers for the next cycle comes back with the
/// report.
pub(super) async fn read_host(
    host: &Host,
    memory: HostMemory,
    connections: &Arc<Connections>,
    clock: Clock,
    closes_at: Instant,
) -> (HostReport, HostMemory) {
    match Session::new(host, connections) {
        Ok(mut session) => {
            let read = match session.wait_for_turn(closes_at).await {
                Ok(()) => read_over(host, &mut session, memory, clock, closes_at).await,
                Err(failure) => (unread(host, failure, clock.now()), memory),
            };
            session.close().await;
            read
        }
        Err(failure) => (unread(host, failure, clock.now()), memory),
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
