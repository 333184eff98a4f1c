//! The tools of one host, asked one after the other over its session, and the one report that comes of it.
//!
//! All of them share the host's deadline: each may take an equal part of what is left, and what one leaves goes to
//! those behind it. So a tool that hangs costs no other its readings. A connection that fails is everybody's failure,
//! and is not tried again for the next tool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::is_of_connecting;
use super::clock::Clock;
use super::memory::{HostMemory, ToolMemory};
use super::stagger::offset_of;
use crate::batch::HostReport;
use crate::inventory::Host;
use crate::probe::{Command, Next, Product, Query, Tool};
use crate::reading::{Failure, FailureKind, Fault, FaultKind, Outcome, Span, Timestamp};
use crate::transport::Session;

/// Where nobody can say whether an earlier command still hangs, this long after it a new one may be tried.
const HUNG_RETRY_AFTER: Duration = Duration::from_mins(10);

/// After so long a tool is asked for every field again, and a little later by the host's name, so that not all hosts
/// are in one cycle.
const ASK_ALL_AFTER: Duration = Duration::from_hours(24);

/// The span over which that is staggered.
const ASK_ALL_STAGGER: Duration = Duration::from_hours(1);

/// With less time than this no further command is run: it would be ended before it could answer.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The reading of one tool in one cycle.
#[derive(Debug)]
pub(super) struct ToolReading {
    pub(super) tool: Tool,
    pub(super) product: Product,
    pub(super) span: Span,
    /// The time that its commands took.
    pub(super) probe_time: Duration,
}

impl ToolReading {
    /// Nothing, for this reason.
    pub(super) fn failed(host: &Host, tool: Tool, failure: Failure, at: Timestamp) -> Self {
        let product = Product {
            outcome: Outcome::Failed(tool.failure(failure)),
            gpus: Vec::new(),
            labels: BTreeMap::new(),
            faults: Vec::new(),
            gpus_expected: expected(host),
            profile: Default::default(),
        };
        let span = Span { asked_at: at, answered_at: at };
        Self { tool, product, span, probe_time: Duration::ZERO }
    }
}

/// A query of all tools of one host.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostQuery<'a> {
    pub(super) host: &'a Host,
    /// The name of this collector in the commands of its loops.
    pub(super) collector: &'a str,
}

impl HostQuery<'_> {
    /// Reads the host over a session that may be connected already. A tool that was `sampled` is not asked.
    pub(super) async fn read(
        self,
        session: &mut Session,
        memory: HostMemory,
        sampled: Option<ToolReading>,
        closes_at: Instant,
    ) -> (HostReport, HostMemory) {
        let deadline = closes_at.min(Instant::now() + self.host.timeout);
        let mut memory = memory.valid_for(self.host);
        let is_asked = |tool: &Tool| sampled.as_ref().is_none_or(|sampled| sampled.tool != *tool);
        let tools: Vec<Tool> = self.host.probes.iter().copied().filter(is_asked).collect();
        let mut readings = Vec::from_iter(sampled);
        for (n_left, tool) in (1..=tools.len()).rev().zip(tools) {
            let left = deadline.saturating_duration_since(Instant::now());
            let part = left / u32::try_from(n_left).unwrap_or(1);
            let by = if n_left == 1 { deadline } else { Instant::now() + part };
            let reading = self.read_tool(tool, session, memory.of(tool), by).await;
            let is_cut_off =
                matches!(&reading.product.outcome, Outcome::Failed(why) if is_of_connecting(why.kind));
            readings.push(reading);
            if is_cut_off {
                break;
            }
        }
        (report_of(self.host, readings), memory)
    }

    async fn read_tool(
        self,
        tool: Tool,
        session: &mut Session,
        memory: &mut ToolMemory,
        deadline: Instant,
    ) -> ToolReading {
        let asked_at = Clock.now();
        let refused_before = self.forget_refusals(tool, session, memory, asked_at);
        let mut probe_time = Duration::ZERO;
        let (query, command) = tool.query(memory.profile.clone(), expected(self.host));
        let product = match self.still_hangs(tool, session, memory, asked_at, deadline).await {
            Some(failure) => query.give_up(failure),
            None => {
                let (product, is_stuck) =
                    run_query(self.host.program(tool), session, query, command, &mut probe_time, deadline)
                        .await;
                if is_stuck {
                    memory.hung_since = Some(asked_at);
                }
                product
            }
        };
        memory.profile = product.profile.clone();
        if !product.outcome.is_up() {
            // What was known to be refused is not to cost the next cycle's time again.
            memory.profile.refused.extend(refused_before);
        }
        let span = Span { asked_at, answered_at: Clock.now() };
        ToolReading { tool, product, span, probe_time }
    }

    /// Forgets which fields the tool refused where it is another program by now, as far as that can be seen, and
    /// at times anyway: one may be exchanged under a driver whose version stays. Gives what was forgotten.
    fn forget_refusals(
        self,
        tool: Tool,
        session: &Session,
        memory: &mut ToolMemory,
        now: Timestamp,
    ) -> BTreeSet<String> {
        let program = session.identity_of(self.host.program(tool));
        let again_after = ASK_ALL_AFTER + offset_of(ASK_ALL_STAGGER, &self.host.name);
        let is_due = memory.asked_all_at.is_none_or(|asked_at| again_after <= now.since(asked_at));
        if !is_due && memory.program.as_ref() == Some(&program) {
            return BTreeSet::new();
        }
        memory.asked_all_at = Some(now);
        memory.program = Some(program);
        std::mem::take(&mut memory.profile.refused)
    }

    /// Where the tool's last command did not return: the failure if it still hangs. Then no second one is started
    /// behind it, or stuck processes would pile up by one a cycle.
    async fn still_hangs(
        self,
        tool: Tool,
        session: &mut Session,
        memory: &mut ToolMemory,
        now: Timestamp,
        deadline: Instant,
    ) -> Option<Failure> {
        let since = memory.hung_since?;
        let args = ["-f".to_owned(), tool.outstanding_pattern(self.collector)];
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
        tracing::info!(node = self.host.name, "a call that hung has ended");
        memory.hung_since = None;
        None
    }
}

/// Runs the commands of a query until it is done; `true` if the last one has not returned.
async fn run_query(
    program: &str,
    session: &mut Session,
    mut query: Query,
    mut command: Command,
    probe_time: &mut Duration,
    deadline: Instant,
) -> (Product, bool) {
    loop {
        let output = match session.run(program, &command.args, deadline).await {
            Ok(output) => output,
            Err(failure) => {
                let is_stuck = failure.kind == FailureKind::Timeout;
                return (query.give_up(failure), is_stuck);
            }
        };
        *probe_time += output.took;
        command = match query.answer(&output) {
            Next::Done(product) => return (*product, false),
            Next::Ask(_) if deadline < Instant::now() + LEAST_TIME => {
                let failure = Failure::new(FailureKind::Timeout, "no time was left for another call");
                return (query.give_up(failure), false);
            }
            Next::Ask(next) => next,
        };
    }
}

/// The report of a host that was asked by these tools. It has failed if all of them have, and is partial if one has.
pub(super) fn report_of(host: &Host, readings: Vec<ToolReading>) -> HostReport {
    let at = readings.first().map_or(Timestamp::from_micros(0), |reading| reading.span.asked_at);
    let mut report = unread(host, Failure::new(FailureKind::Internal, "no tool was asked"), at);
    for (place, ToolReading { tool, product, span, probe_time }) in readings.into_iter().enumerate() {
        report.span.asked_at = report.span.asked_at.min(span.asked_at);
        report.span.answered_at = report.span.answered_at.max(span.answered_at);
        report.probe_time += probe_time;
        report.gpus.extend(product.gpus);
        report.gpus_expected = report.gpus_expected.max(product.gpus_expected);
        report.faults.extend(product.faults);
        for (name, value) in product.labels {
            report.labels.entry(name).or_insert(value);
        }
        report.outcome = match place {
            0 => product.outcome,
            _ => both(report.outcome, product.outcome, tool, &mut report.faults),
        };
    }
    report
}

/// The outcome of two tools: what one of them failed to give is a fault of the host that the other could read.
fn both(one: Outcome, other: Outcome, other_tool: Tool, faults: &mut Vec<Fault>) -> Outcome {
    match (one, other) {
        (Outcome::Complete, Outcome::Complete) => Outcome::Complete,
        (Outcome::Failed(first), Outcome::Failed(_)) => Outcome::Failed(first),
        (Outcome::Failed(failure), _) => {
            faults.push(Fault::new(FaultKind::ToolFailed, None, &failure.to_string()));
            Outcome::Partial
        }
        (_, Outcome::Failed(failure)) => {
            let evidence = format!("{}: {failure}", other_tool.label());
            faults.push(Fault::new(FaultKind::ToolFailed, None, &evidence));
            Outcome::Partial
        }
        _ => Outcome::Partial,
    }
}

/// A report of a host of which nothing was asked.
pub(super) fn unread(host: &Host, failure: Failure, at: Timestamp) -> HostReport {
    HostReport {
        node: host.name.clone(),
        address: host.address().to_owned(),
        jump: host.ssh_target().and_then(|ssh| ssh.jump.clone()),
        labels: host.labels.clone(),
        span: Span { asked_at: at, answered_at: at },
        probe_time: Duration::ZERO,
        outcome: Outcome::Failed(worded(host, failure)),
        gpus: Vec::new(),
        gpus_expected: expected(host),
        faults: Vec::new(),
        samples: None,
        maintenance: host.maintenance,
    }
}

/// A failure in the words of the host's first tool.
pub(super) fn worded(host: &Host, failure: Failure) -> Failure {
    match host.probes.first() {
        Some(tool) => tool.failure(failure),
        None => failure,
    }
}

/// The number of GPUs that the inventory says that a host has.
pub(super) fn expected(host: &Host) -> Option<usize> {
    host.gpus.and_then(|n_gpus| usize::try_from(n_gpus).ok())
}
