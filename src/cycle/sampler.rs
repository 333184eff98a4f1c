//! One host between two cycles: a tool that keeps printing, and the meters that its samples fill.
//!
//! The loop follows an ordinary answer, whose GPUs and fields it takes over. It is replaced from time to
//! time, since it opens the GPUs once and sees none that comes later. While it is down, cycles ask as they
//! would without it; what was sampled until then is told with the next report that has the GPU.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::clock::Clock;
use crate::batch::{HostReport, PowerMeter};
use crate::inventory::Host;
use crate::probe::{HostProfile, LoopCounts, LoopReader, Tool, sensor_stopped};
use crate::reading::{
    Device, Failure, FailureKind, Fault, FaultKind, Outcome, PowerKind, Reason, SafeText, SampleCounts,
    Timestamp,
};
use crate::transport::{STREAM_BOUND, Session, Stream};

/// A loop is replaced after this long, well before its side ends it.
const REPLACE_AFTER: Duration = Duration::from_mins(10);

/// A loop that ends after this long was ended by its bound, which is no failure.
const EXPIRES_AFTER: Duration = STREAM_BOUND.saturating_sub(Duration::from_secs(2));

/// A loop that lives so long pardons those before it; one that dies sooner makes the next pause longer.
const PROVEN_AFTER: Duration = Duration::from_mins(1);

/// Samples further apart than this many periods have uncovered time between them; so long may a loop be
/// silent, too, and [`SILENCE_MARGIN`] longer.
const PERIODS: u32 = 3;

/// The time that a busy host or network may add to the silence.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

/// The most bytes that a loop may print at once. Bytes that were held up by the network come together, and no
/// connection holds more than this.
const BURST_BYTES: u64 = 4 << 20;

/// The factor by which a loop may print more rows than its period allows.
const PACE: u64 = 4;

/// The longest row, as the allowance counts.
const MAX_ROW_BYTES: u64 = 2048;

/// The number of cycles in a row in which a number must be an error that was one when the loop was started.
const STOPPED_CYCLES: u32 = 2;

/// The news of the loop.
#[derive(Debug)]
pub(super) enum Event {
    /// It printed something, which is in the meters.
    Sampled,
    /// It ended. It is gone.
    Ended(Failure),
    /// It prints no more. It is gone as far as we are concerned; its process may hang.
    Stalled,
    /// The time has come to start it again.
    Due,
}

/// The loop of one host, if one runs, and what came of it.
#[derive(Debug)]
pub(super) struct Sampler {
    /// The tool that samples the host, if one of its tools can.
    pub(super) tool: Option<Tool>,
    /// The instant from which the meters count time.
    epoch: Instant,
    /// The time that the first pass may take.
    first_within: Duration,
    running: Option<Running>,
    /// The GPUs and the period that the last loop was started with, to start it again.
    pub(super) started: Option<(Vec<Device>, Duration)>,
    meters: Vec<Meter>,
    restarts: Backoff,
    restart_at: Option<Instant>,
    /// Lines that were no rows since the last report, and one of them.
    n_bad: u64,
    evidence: Option<SafeText>,
    /// A mark of this collector in the loop's command, so that no other ends it.
    mark: String,
}

/// The meter of one GPU. It outlives the loops.
#[derive(Debug)]
struct Meter {
    uuid: Option<SafeText>,
    power: PowerMeter,
    /// A number that was thrown away.
    refused: Option<SafeText>,
}

/// The bytes that a loop may print: an allowance that grows with time, up to a burst.
#[derive(Debug)]
struct Allowance {
    bytes_per_second: u64,
    /// When the allowance for everything that was printed has grown.
    paid_at: Instant,
}

impl Allowance {
    /// That of a loop over some GPUs.
    fn new(n_gpus: usize, period: Duration) -> Self {
        let n_gpus = u64::try_from(n_gpus).unwrap_or(u64::MAX);
        let periods_a_second = 1_000_000 / u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1) + 1;
        let bytes_per_second = n_gpus.saturating_mul(MAX_ROW_BYTES).saturating_mul(periods_a_second * PACE);
        Self { bytes_per_second: bytes_per_second.max(1), paid_at: Instant::now() }
    }

    /// Takes what was printed; false if that is more than a loop has to say.
    fn take(&mut self, n_bytes: usize) -> bool {
        let time_for = |n_bytes: u64| {
            Duration::from_nanos(n_bytes.saturating_mul(1_000_000_000) / self.bytes_per_second)
        };
        let now = Instant::now();
        self.paid_at = self.paid_at.max(now) + time_for(u64::try_from(n_bytes).unwrap_or(u64::MAX));
        self.paid_at - now <= time_for(BURST_BYTES)
    }
}

#[derive(Debug)]
struct Running {
    stream: Stream,
    reader: LoopReader,
    /// The meter of each place.
    meters: Vec<usize>,
    /// The longest time from one pass to the next: the loop stalls beyond it.
    max_silence: Duration,
    started_at: Instant,
    /// When the last whole pass came.
    passed_at: Option<Instant>,
    /// When the last row came, by the wall clock.
    row_at: Timestamp,
    /// Number of whole passes since the last report.
    n_passes: u64,
    allowance: Allowance,
    has_unknown_gpu: bool,
    n_stopped_cycles: u32,
}

/// Puts the samples in what was printed into their meters.
fn add_samples(reader: &mut LoopReader, places: &[usize], bytes: &[u8], at: Duration, meters: &mut [Meter]) {
    reader.take(bytes, |sample| {
        let meter = places.get(sample.place).and_then(|place| meters.get_mut(*place));
        match (meter, sample.power) {
            (Some(meter), Ok(power)) => meter.power.add(at, power),
            (Some(meter), Err(absent)) if absent.reason == Reason::Implausible => {
                meter.power.counts.n_refused += 1;
                meter.refused = Some(absent.text);
            }
            (Some(meter), Err(_)) => meter.power.counts.n_absent += 1,
            (None, _) => {}
        }
    });
}

impl Sampler {
    pub(super) fn new(host: &Host, mark: String) -> Self {
        Self {
            tool: host.probes.iter().copied().find(|tool| tool.can_sample()),
            epoch: Instant::now(),
            first_within: host.timeout,
            running: None,
            started: None,
            meters: Vec::new(),
            restarts: Backoff::default(),
            restart_at: None,
            n_bad: 0,
            evidence: None,
            mark,
        }
    }

    /// Waits for what comes next, and takes it. Waits for ever if nothing can come. May be dropped and called
    /// again: nothing is lost.
    pub(super) async fn event(&mut self) -> Event {
        let Some(running) = &mut self.running else {
            let Some(at) = self.restart_at else { return std::future::pending().await };
            sleep_until(at).await;
            self.restart_at = None;
            return Event::Due;
        };
        let first_by = running.started_at + self.first_within;
        let silent_until = running.passed_at.map_or(first_by, |at| at + running.max_silence);
        // A read that is dropped has taken nothing. What is there is read first, should we have been slow.
        let mut is_flood = false;
        let ended = tokio::select! {
            biased;
            read = running.stream.next() => match read {
                Ok([]) => Failure::new(FailureKind::Session, "it ended"),
                // To read what does not end would be work without end.
                Ok(bytes) if !running.allowance.take(bytes.len()) => {
                    is_flood = true;
                    Failure::new(FailureKind::Session, "it prints without pause")
                }
                Ok(bytes) => {
                    let at = self.epoch.elapsed();
                    add_samples(&mut running.reader, &running.meters, bytes, at, &mut self.meters);
                    running.row_at = Clock.now();
                    self.take_counts();
                    return Event::Sampled;
                }
                Err(error) => Failure::new(FailureKind::Session, &error.to_string()),
            },
            () = sleep_until(silent_until) => {
                self.stop();
                return Event::Stalled;
            }
        };
        // A flood has nothing to say.
        let message = running.reader.last_message().filter(|_| !is_flood).cloned();
        let is_expired = running.started_at.elapsed() >= EXPIRES_AFTER;
        let has_passed = running.passed_at.is_some();
        self.stop();
        if is_expired {
            self.restart_at = Some(Instant::now());
            return Event::Sampled;
        }
        if !has_passed {
            // What it was started with does not hold any more.
            self.started = None;
        }
        Event::Ended(Failure { evidence: message.unwrap_or(ended.evidence), ..ended })
    }

    /// Does other work for this host, and meanwhile reads what the loop prints.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            // The work goes on where it was when an event is through.
            tokio::select! {
                done = &mut work => return done,
                event = self.event() => tracing::trace!(?event, "sampled beside a call"),
            }
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether a whole pass has come since the last report.
    pub(super) fn has_pass(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.n_passes > 0)
    }

    /// Whether the loop should be replaced by a new one.
    pub(super) fn is_due(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.has_unknown_gpu
                || running.n_stopped_cycles >= STOPPED_CYCLES
                || running.started_at.elapsed() >= REPLACE_AFTER
        })
    }

    /// Whether a loop may be started behind an ordinary answer.
    pub(super) fn may_start(&self) -> bool {
        self.restart_at.is_none() && self.restarts.not_yet().is_none()
    }

    /// The last row of each GPU as an answer, and when the last of them came; `None` if there is no loop.
    pub(super) fn last_pass(&mut self) -> Option<(String, Timestamp)> {
        let running = self.running.as_mut()?;
        running.n_passes = 0;
        Some((running.reader.last_pass()?, running.row_at))
    }

    /// Compares the last pass with the answer that the loop followed.
    pub(super) fn compare(&mut self, gpus: &[Device]) {
        let (Some(running), Some((before, _))) = (&mut self.running, &self.started) else { return };
        if running.started_at.elapsed() >= PROVEN_AFTER {
            self.restarts.note("", &Outcome::Complete);
        }
        let has_stopped = before
            .iter()
            .any(|before| gpus.iter().any(|now| before.uuid() == now.uuid() && sensor_stopped(before, now)));
        running.n_stopped_cycles = if has_stopped { running.n_stopped_cycles.saturating_add(1) } else { 0 };
    }

    /// Adds to each GPU of a report what was sampled of it, and what could not be read.
    pub(super) fn add_samples(&mut self, report: &mut HostReport) {
        let mut all = None;
        for gpu in &mut report.gpus {
            let is_its = |meter: &&mut Meter| meter.uuid.is_some() && meter.uuid.as_ref() == gpu.uuid().ok();
            let Some(meter) = self.meters.iter_mut().find(is_its) else { continue };
            let counts = meter.power.counts;
            gpu.power_samples = meter.power.take().map(Box::new);
            if let Some(refused) = meter.refused.take().filter(|_| counts.is_mostly_refused()) {
                let fault = mostly_refused(gpu, counts, &refused);
                report.faults.push(self.tool.iter().fold(fault, |fault, tool| tool.fault(fault)));
            }
            all = Some(all.unwrap_or(SampleCounts::default()).plus(counts));
        }
        if let Some(all) = &mut all {
            all.n_unread = self.n_bad;
        }
        report.samples = all;
        if report.outcome.is_up() && self.n_bad > 0 {
            let message = self.evidence.take().unwrap_or_else(|| SafeText::new(""));
            let evidence = format!("{} bad lines, such as {message}", self.n_bad);
            report.faults.push(Fault::new(FaultKind::SamplesLost, None, &evidence));
            self.n_bad = 0;
        }
        // What was sampled until a GPU stopped to tell is a reading of this cycle.
        let is_powerless = report.faults.iter().any(|fault| fault.kind.costs_a_reading());
        if is_powerless && !report.outcome.is_up() && report.gpus_reporting() > 0 {
            report.outcome = Outcome::Partial;
        }
    }

    /// Starts a loop over the GPUs of an ordinary answer, in the place of one that may run.
    pub(super) async fn start(
        &mut self,
        host: &Host,
        session: &mut Session,
        profile: &HostProfile,
        gpus: Vec<Device>,
        period: Duration,
    ) {
        let Some(tool) = self.tool else { return };
        let Some((reader, command)) = tool.sampling(profile, &gpus, period) else { return self.stop() };
        let until = Instant::now() + host.timeout;
        let started = session.stream(host.program(tool), &command.args, &self.mark, until).await;
        self.stop();
        match started {
            Ok(stream) => {
                let max_gap = period * PERIODS;
                self.running = Some(Running {
                    stream,
                    meters: self.meters_for(&gpus, &reader, max_gap),
                    reader,
                    max_silence: max_gap + SILENCE_MARGIN,
                    started_at: Instant::now(),
                    passed_at: None,
                    row_at: Clock.now(),
                    n_passes: 0,
                    allowance: Allowance::new(gpus.len(), period),
                    has_unknown_gpu: false,
                    n_stopped_cycles: 0,
                });
                self.started = Some((gpus, period));
                tracing::debug!(node = host.name, "sampling started");
            }
            Err(failure) => {
                tracing::warn!(node = host.name, %failure, "sampling cannot be started");
                self.restarts.note(&host.name, &Outcome::Failed(failure));
                self.started = None;
            }
        }
    }

    /// Notes that the loop failed: one that only ended starts again after a pause, one that may hang does not
    /// before a cycle has found that it is gone.
    pub(super) fn plan_restart(&mut self, node: &str, why: &Failure) {
        self.restarts.note(node, &Outcome::Failed(why.clone()));
        self.restart_at = self.restarts.until().filter(|_| self.started.is_some());
    }

    /// Ends the loop.
    pub(super) fn stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.reader.end();
            self.take_counts();
        }
        self.running = None;
    }

    fn take_counts(&mut self) {
        let Some(running) = &mut self.running else { return };
        let LoopCounts { n_passes, n_bad, evidence, has_unknown_gpu } = running.reader.take_counts();
        if n_passes > 0 {
            running.n_passes += n_passes;
            running.passed_at = Some(Instant::now());
        }
        running.has_unknown_gpu |= has_unknown_gpu;
        self.n_bad += n_bad;
        self.evidence = evidence.or_else(|| self.evidence.take());
    }

    /// A meter for each GPU: the one that it has, or a new one.
    fn meters_for(&mut self, gpus: &[Device], reader: &LoopReader, max_gap: Duration) -> Vec<usize> {
        let is_there = |uuid: &SafeText| gpus.iter().any(|gpu| gpu.uuid() == Ok(uuid));
        self.meters.retain(|meter| meter.uuid.as_ref().is_some_and(is_there));
        let mut places = Vec::with_capacity(gpus.len());
        for (place, gpu) in gpus.iter().enumerate() {
            let kind = reader.kind(place).unwrap_or(PowerKind::Draw);
            let uuid = gpu.uuid().ok().cloned();
            let known = self.meters.iter().position(|meter| uuid.is_some() && meter.uuid == uuid);
            let at = known.unwrap_or(self.meters.len());
            places.push(at);
            match self.meters.get_mut(at) {
                Some(meter) => meter.power.set_kind(kind),
                None => {
                    let power = PowerMeter::new(kind, max_gap);
                    self.meters.push(Meter { uuid, power, refused: None });
                }
            }
        }
        places
    }
}

/// The fault of a GPU of which more than half of the samples were thrown away.
fn mostly_refused(gpu: &Device, counts: SampleCounts, refused: &SafeText) -> Fault {
    let n_all = counts.n_samples + counts.n_absent + counts.n_refused;
    let evidence = format!("{} of {n_all} samples, the last of them {refused} W", counts.n_refused);
    let name = gpu.bus_id().or_else(|_| gpu.uuid()).ok().cloned();
    let index = gpu.index().ok().copied();
    Fault { index, ..Fault::new(FaultKind::Implausible, name, &evidence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_more_than_a_loop_has_to_say_and_what_was_held_up_is_not() {
        let mut allowance = Allowance::new(8, Duration::from_millis(100));
        assert!(allowance.take(2 << 20), "two minutes of eight boards, held up by the network");
        let n_taken = (0..1_000_000).take_while(|_| allowance.take(8 << 10)).count();
        assert!(n_taken < 1000, "{n_taken} pieces of a flood");
        for _ in 0..600 {
            tokio::time::advance(Duration::from_millis(100)).await;
            assert!(allowance.take(8 * 400));
        }
    }
}
