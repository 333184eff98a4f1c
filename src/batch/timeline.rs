//! From reports to rows of the timeline. Which event exists under which condition, and the keys of its metadata, are
//! a contract.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::inventory::MetadataStyle;
use crate::reading::{Device, Power, Quantity, Role, SafeText, Timestamp, event_type};
use crate::support::milliseconds;

use super::entries::Entries;
use super::{Batch, Event, HostReport, Metadata};

const MICROS_A_DAY: i64 = 86_400_000_000;

/// The facts of each GPU as last written, as JSON, and the day of writing, in days since 1970 in UTC; by the source
/// of its events. The state that [`MetadataStyle::Slim`] needs from one cycle to the next, to be kept by the caller.
pub type InventorySent = BTreeMap<String, (String, i64)>;

impl Batch {
    /// The rows of the timeline that this cycle gives, host by host, then the stations, the cluster's total
    /// last.
    ///
    /// `written` is only read and changed in [`MetadataStyle::Slim`]. It then holds what this batch
    /// writes: a caller that may lose the batch keeps its old value.
    pub fn events(&self, style: MetadataStyle, written: &mut InventorySent) -> Vec<Event> {
        let mut events = Vec::new();
        for report in &self.reports {
            for (gpu, source) in report.gpus.iter().zip(gpu_sources(report)) {
                self.push_gpu(&mut events, report, gpu, &source, style, written);
            }
            self.push_node(&mut events, report);
        }
        events.extend(self.station_events(style));
        events.push(self.cluster_total());
        if style == MetadataStyle::Slim {
            // What is older is written again anyway, so it need not be kept.
            let yesterday = utc_day(self.started_at) - 1;
            written.retain(|_, (_, utc_day)| *utc_day >= yesterday);
        }
        events
    }

    fn push_gpu(
        &self,
        events: &mut Vec<Event>,
        report: &HostReport,
        gpu: &Device,
        source: &str,
        style: MetadataStyle,
        written: &mut InventorySent,
    ) {
        let at = report.span.answered_at;
        let mut metadata = sample(gpu);
        match style {
            MetadataStyle::Full => put_facts(&mut metadata, report, gpu),
            MetadataStyle::Slim => {
                let mut facts = Entries::new();
                facts.device(gpu, &[Role::Identity]);
                put_facts(&mut facts, report, gpu);
                if is_news(written, source, gpu, &facts, at) {
                    events.push(self.event(event_type::GPU_FACTS, source.to_owned(), None, facts, at));
                }
            }
        }
        if let Some(host) = report.counted_elsewhere(gpu) {
            metadata.text("counted_elsewhere", host.as_str());
        }
        let metadata = self.stamped(metadata);
        for quantity in gpu.quantities() {
            let Some(event_type) = quantity.columns().event else { continue };
            let value = gpu.get(quantity).ok().and_then(|value| value.number());
            if value.is_some() {
                let (source, metadata) = (source.to_owned(), metadata.clone());
                events.push(Event { event_type, source, value, metadata, at });
            }
        }
    }

    fn push_node(&self, events: &mut Vec<Event>, report: &HostReport) {
        let source = format!("node_{}", report.node);
        let at = report.span.answered_at;
        if let Some(power) = report.power() {
            let mut total = Entries::new();
            total.text("node", &report.node);
            total.text("ip", &report.address);
            put_gpu_counts(&mut total, report);
            events.push(self.event("node_gpu_power_total", source.clone(), Some(power.watts()), total, at));
        }
        let up = Some(f64::from(report.outcome.is_up()));
        events.push(self.event(event_type::NODE_UP, source, up, node_up(report), at));
    }

    /// When all of it holds: the end of the last attempt.
    pub(crate) fn closed_at(&self) -> Timestamp {
        let ends = self.reports.iter().map(|report| report.span.answered_at);
        ends.max().unwrap_or(self.started_at).max(self.started_at)
    }

    fn cluster_total(&self) -> Event {
        let totals = self.totals();
        // A host that failed measured nothing, so its end is no time of measurement.
        let answered = self.reports.iter().filter(|report| report.outcome.is_up());
        let at = answered.map(|report| report.span.answered_at).max().unwrap_or(self.started_at);
        let watts = totals.power.map(Power::watts);
        let mut metadata = Entries::new();
        metadata.put("nodes_reporting", totals.nodes_reporting);
        metadata.put("nodes_expected", totals.nodes_expected);
        metadata.put("nodes_without_gpu_count", totals.nodes_without_gpu_count);
        metadata.put("gpus_reporting", totals.gpus_reporting);
        metadata.put("gpus_expected", totals.gpus_expected);
        metadata.known("total_watts", watts, "no_reading");
        metadata.put("timestamp", at.to_string());
        self.event(event_type::CLUSTER_POWER, event_type::CLUSTER.to_owned(), watts, metadata, at)
    }

    pub(super) fn event(
        &self,
        event_type: &'static str,
        source: String,
        value: Option<f64>,
        metadata: Entries<'_>,
        at: Timestamp,
    ) -> Event {
        Event { event_type, source, value, metadata: self.stamped(metadata), at }
    }

    /// With the entries of every row: the batch, and the cycle's start.
    pub(super) fn stamped(&self, mut metadata: Entries<'_>) -> Metadata {
        metadata.put("batch", self.id.to_string());
        metadata.put("cycle", self.started_at.to_string());
        Metadata::of(&metadata)
    }
}

/// The sources of a host's GPUs, in their order.
///
/// The host's known size decides, not the rows of this answer, so that the one GPU that is left of eight
/// keeps its series.
pub(super) fn gpu_sources(report: &HostReport) -> Vec<String> {
    let several = report.gpus_known().is_some_and(|n_gpus| n_gpus > 1);
    if !several {
        return report.gpus.iter().map(|_| format!("gpu_{}", report.node)).collect();
    }
    let mut taken = BTreeSet::new();
    let mut sources = Vec::new();
    for (row, gpu) in report.gpus.iter().enumerate() {
        // Two rows with one index would be two values at one time in one series.
        let is_free = |name: &String| !taken.contains(name);
        let by_index = gpu.index().ok().map(u32::to_string).filter(is_free);
        let by_bus = || gpu.bus_id().ok().map(SafeText::to_string).filter(is_free);
        // The last group of a UUID differs between the GPUs of a host.
        let uuid_tail = || gpu.uuid().ok().and_then(|uuid| uuid.as_str().rsplit('-').next());
        let by_uuid = || uuid_tail().map(str::to_owned).filter(is_free);
        let free = by_index.or_else(by_bus).or_else(by_uuid);
        let name = free.unwrap_or_else(|| format!("row{row}"));
        sources.push(format!("gpu_{}_{name}", report.node));
        taken.insert(name);
    }
    sources
}

/// Whether these facts are not yet written today; they count as written from here on.
fn is_news(
    written: &mut InventorySent,
    source: &str,
    gpu: &Device,
    facts: &Entries<'_>,
    at: Timestamp,
) -> bool {
    // Some lost boards still say where they sit.
    let is_told = |quantity: Quantity| {
        let columns = quantity.columns();
        columns.role == Role::Fact && columns.metadata.is_some() && quantity != Quantity::BusId
    };
    if !gpu.quantities().any(|quantity| is_told(quantity) && gpu.get(quantity).is_ok()) {
        // A lost board forgets all that it was. What stands in the timeline about it stays true.
        return false;
    }
    let current = (Metadata::of(facts).text().to_owned(), utc_day(at));
    if written.get(source) == Some(&current) {
        return false;
    }
    written.insert(source.to_owned(), current);
    true
}

fn utc_day(at: Timestamp) -> i64 {
    at.micros().div_euclid(MICROS_A_DAY)
}

/// The metadata of a GPU's values in this cycle, with as much identity as it takes to find its facts.
fn sample(gpu: &Device) -> Entries<'_> {
    let mut sample = Entries::new();
    sample.device(gpu, &[Role::Identity, Role::Sample, Role::Extra]);
    // Their mean is the value itself.
    if let Some(samples) = &gpu.power_samples {
        sample.put("power_min_w", samples.min.watts());
        sample.put("power_max_w", samples.max.watts());
        sample.put("power_samples", samples.counts.n_samples);
        sample.put("power_samples_absent", samples.counts.n_absent);
        sample.put("power_samples_refused", samples.counts.n_refused);
        sample.put("power_energy_j", samples.energy.joules());
        sample.put("power_covered_ms", milliseconds(samples.covered));
        sample.put("power_variance_mj2", samples.variance_mj2);
    }
    sample
}

/// The facts of a GPU, which never or seldom change: repeated in every row, or in `gpu_inventory` only.
fn put_facts<'a>(to: &mut Entries<'a>, report: &'a HostReport, gpu: &'a Device) {
    to.text("node", &report.node);
    to.text("ip", &report.address);
    to.put("labels", json!(report.labels));
    to.device(gpu, &[Role::Fact]);
}

/// The metadata of `node_up`: how the attempt ended, and what is missing of this host.
fn node_up(report: &HostReport) -> Entries<'_> {
    let failure = report.outcome.failure();
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            let gpu = fault.gpu.as_ref().map(SafeText::as_str);
            let index = fault.index;
            json!({ "kind": fault.kind.label(), "gpu": gpu, "gpu_index": index, "message": fault.to_string() })
        })
        .collect();
    let span = report.span.answered_at.since(report.span.asked_at);
    let mut metadata = Entries::new();
    metadata.text("node", &report.node);
    metadata.text("ip", &report.address);
    metadata.put("labels", json!(report.labels));
    metadata.text("outcome", report.outcome.label());
    metadata.put("message", report.outcome.to_message());
    metadata.text("evidence", failure.map_or("", |failure| failure.evidence.as_str()));
    metadata.put("milliseconds", milliseconds(span));
    metadata.put("probe_ms", milliseconds(report.probe_time));
    metadata.put("faults", faults);
    metadata.put("gpus", report.gpus.iter().filter_map(without_power).collect::<Vec<_>>());
    if report.maintenance {
        metadata.put("maintenance", true);
    }
    if let Some(since) = failure.and_then(|failure| failure.since) {
        metadata.put("since", since.to_string());
    }
    put_gpu_counts(&mut metadata, report);
    if let Some(samples) = report.samples {
        metadata.put("samples", samples.n_samples);
        metadata.put("samples_absent", samples.n_absent);
        metadata.put("samples_refused", samples.n_refused);
        metadata.put("samples_unread", samples.n_unread);
    }
    metadata
}

/// A GPU without a power reading, as `node_up` lists it.
fn without_power(gpu: &Device) -> Option<Value> {
    let absent = gpu.power().err()?;
    let mut entry = Entries::new();
    entry.device(gpu, &[Role::Identity]);
    entry.quantity("gpu_bus_id", gpu.get(Quantity::BusId));
    entry.text("power_absent", absent.reason.label());
    Some(entry.into_value())
}

fn put_gpu_counts(metadata: &mut Entries<'_>, report: &HostReport) {
    metadata.put("gpus_reporting", report.gpus_reporting());
    metadata.known("gpus_expected", report.gpus_known(), "never_seen");
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
