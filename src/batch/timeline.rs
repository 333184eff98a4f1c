//! From reports to rows of the timeline. Which event exists under which condition is a contract.

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::MetadataStyle;
use crate::reading::{Device, Power, Quantity, Role, SafeText, Timestamp};

use super::entries::Entries;
use super::{Batch, Event, HostReport, Metadata, metadata};

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
        self.push_account(&mut events, style);
        events.push(self.cluster_total());
        if style == MetadataStyle::Slim {
            // What is older is written again anyway, so it need not be kept.
            let yesterday = utc_day(self.started_at) - 1;
            written.retain(|_, (_, utc_day)| *utc_day >= yesterday);
        }
        events
    }

    /// The rows of what stations said alone: for a session that ends between two cycles.
    pub fn station_events(&self, style: MetadataStyle) -> Vec<Event> {
        let mut events = Vec::new();
        self.push_account(&mut events, style);
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
        let mut metadata = metadata::sample(gpu);
        match style {
            MetadataStyle::Full => metadata::put_facts(&mut metadata, report, gpu),
            MetadataStyle::Slim => {
                let mut facts = Entries::new();
                facts.device(gpu, &[Role::Identity]);
                metadata::put_facts(&mut facts, report, gpu);
                if is_news(written, source, gpu, &facts, at) {
                    events.push(self.event("gpu_inventory", source.to_owned(), None, facts, at));
                }
            }
        }
        metadata::stamp(&mut metadata, self);
        let metadata = metadata.into_metadata();
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
            let total = metadata::node_total(report);
            events.push(self.event("node_gpu_power_total", source.clone(), Some(power.watts()), total, at));
        }
        let up = if report.outcome.is_up() { 1.0 } else { 0.0 };
        events.push(self.event("node_up", source, Some(up), metadata::node_up(report), at));
    }

    /// When all of it holds: the end of the last attempt.
    pub(super) fn closed_at(&self) -> Timestamp {
        let ends = self.reports.iter().map(|report| report.span.answered_at);
        ends.max().unwrap_or(self.started_at).max(self.started_at)
    }

    fn cluster_total(&self) -> Event {
        let totals = self.totals();
        // A host that failed measured nothing, so its end is no time of measurement.
        let answered = self.reports.iter().filter(|report| report.outcome.is_up());
        let at = answered.map(|report| report.span.answered_at).max().unwrap_or(self.started_at);
        let mut metadata = metadata::cluster_total(&totals);
        metadata.put("timestamp", at.to_string());
        let watts = totals.power.map(Power::watts);
        self.event("cluster_gpu_power_total", "gpu_cluster".to_owned(), watts, metadata, at)
    }

    pub(super) fn event(
        &self,
        event_type: &'static str,
        source: String,
        value: Option<f64>,
        mut metadata: Entries<'_>,
        at: Timestamp,
    ) -> Event {
        metadata::stamp(&mut metadata, self);
        Event { event_type, source, value, metadata: metadata.into_metadata(), at }
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
        let by_uuid = || gpu.uuid().ok().map(|uuid| uuid_tail(uuid).to_owned()).filter(is_free);
        let free = by_index.or_else(by_bus).or_else(by_uuid);
        let name = free.unwrap_or_else(|| format!("row{row}"));
        sources.push(format!("gpu_{}_{name}", report.node));
        taken.insert(name);
    }
    sources
}

/// The last group of a UUID, which differs between the GPUs of a host.
fn uuid_tail(uuid: &SafeText) -> &str {
    uuid.as_str().rsplit('-').next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::fixtures::{self, Seen, seen};
    use crate::reading::{Absent, DeviceKind, Outcome, Reason};

    fn full(batch: &Batch) -> Vec<Seen> {
        seen(&batch.events(MetadataStyle::Full, &mut InventorySent::default()))
    }

    fn of<'a>(events: &'a [Seen], event_type: &str, source: &str) -> Vec<&'a Seen> {
        events.iter().filter(|event| event.event_type == event_type && event.source == source).collect()
    }

    fn batch_of(reports: Vec<HostReport>) -> Batch {
        Batch { reports, ..fixtures::fleet() }
    }

    #[test]
    fn a_single_gpu_is_named_after_its_node() {
        let events = full(&fixtures::fleet());
        assert_eq!(of(&events, "gpu_power_draw", "gpu_redfin")[0].value, Some(285.5));
        assert_eq!(of(&events, "gpu_temperature", "gpu_redfin")[0].value, Some(86.0));
        assert_eq!(of(&events, "gpu_utilization", "gpu_redfin")[0].value, Some(98.0));
    }

    #[test]
    fn the_last_gpu_of_eight_keeps_its_name() {
        let mut report = fixtures::host("node001", 8);
        report.gpus = vec![fixtures::gpu(3, 100_000)];
        assert_eq!(of(&full(&batch_of(vec![report])), "gpu_power_draw", "gpu_node001_3").len(), 1);
    }

    #[test]
    fn a_gpu_without_an_index_or_with_a_doubled_one_is_named_by_bus_or_uuid() {
        let mut report = fixtures::host("n", 4);
        report.gpus =
            vec![fixtures::gpu(0, 1), fixtures::gpu(0, 2), fixtures::gpu(2, 3), fixtures::gpu(3, 4)];
        report.gpus[2].set(Quantity::Index, Err(Absent::not_asked()));
        report.gpus[2].set(Quantity::BusId, Err(Absent::not_asked()));
        report.gpus[3].set(Quantity::Index, Err(Absent::not_asked()));
        report.gpus[3].set(Quantity::BusId, Err(Absent::not_asked()));
        report.gpus[3].set(Quantity::Uuid, Err(Absent::not_asked()));
        let names = ["gpu_n_0", "gpu_n_00000000:0B:00.0", "gpu_n_000000000002", "gpu_n_row3"];
        assert_eq!(gpu_sources(&report), names);
    }

    #[test]
    fn a_gpu_without_power_gives_no_power_row_and_stands_in_node_up() {
        let events = full(&fixtures::fleet());
        assert!(of(&events, "gpu_power_draw", "gpu_node001_5").is_empty());
        let up = of(&events, "node_up", "node_node001")[0];
        assert_eq!(up.value, Some(1.0));
        assert_eq!(up.metadata["outcome"], "partial");
        assert_eq!((&up.metadata["gpus_reporting"], &up.metadata["gpus_expected"]), (&json!(7), &json!(8)));
        assert_eq!(
            up.metadata["gpus"],
            json!([{
                "gpu_index": 5, "gpu_uuid": "GPU-7f9a1c00-0000-0000-0000-000000000005",
                "gpu_bus_id": "00000000:10:00.0", "power_absent": "gpu_lost",
            }])
        );
        assert_eq!(up.metadata["faults"][0]["kind"], "gpu_lost");
    }

    #[test]
    fn an_absent_value_gives_no_row_of_its_own_and_is_null_with_its_reason() {
        let events = full(&fixtures::fleet());
        assert!(of(&events, "gpu_utilization", "gpu_mig01").is_empty());
        let power = of(&events, "gpu_power_draw", "gpu_mig01")[0];
        assert_eq!(power.metadata["gpu_utilization_pct"], Value::Null);
        assert_eq!(power.metadata["gpu_utilization_pct_absent"], "not_supported");
        assert!(!power.metadata.contains_key("gpu_model_absent"));
    }

    #[test]
    fn a_gpus_metadata_holds_every_key_of_the_contract() {
        let events = full(&fixtures::fleet());
        let metadata = &of(&events, "gpu_power_draw", "gpu_redfin")[0].metadata;
        for key in
            "node ip gpu_model power_draw_w power_limit_w temperature_c memory_used_mb memory_total_mb \
                    gpu_utilization_pct fan_speed_pct power_efficiency_pct gpu_index gpu_uuid driver_version \
                    labels cycle batch power_kind pstate clocks_event_reasons gpu_bus_id"
                .split(' ')
                .filter(|key| !key.is_empty())
        {
            assert!(metadata.contains_key(key), "{key} is missing");
        }
        assert_eq!(metadata["ip"], "localhost");
        assert_eq!(metadata["power_limit_w"], 300.0);
        assert_eq!(metadata["labels"], json!({ "room": "lab" }));
        assert_eq!(metadata["cycle"], "2026-11-24T07:00:00.000000Z");
    }

    #[test]
    fn a_node_total_is_the_sum_of_what_reported() {
        let events = full(&fixtures::fleet());
        let total = of(&events, "node_gpu_power_total", "node_node001")[0];
        assert_eq!(total.value, Some(4285.75));
        assert_eq!(total.metadata["gpus_reporting"], 7);
        assert!(of(&events, "node_gpu_power_total", "node_node003").is_empty());
    }

    #[test]
    fn a_failed_host_is_down_with_words_evidence_and_time() {
        let events = full(&fixtures::fleet());
        let down = of(&events, "node_up", "node_node003")[0];
        assert_eq!(down.value, Some(0.0));
        assert_eq!(down.metadata["outcome"], "host_key_changed");
        assert_eq!(down.metadata["evidence"], "Host key verification failed.");
        assert_eq!(down.metadata["milliseconds"], 757);
        assert_eq!(down.metadata["probe_ms"], 231);
        assert!(down.metadata["message"].as_str().is_some_and(|message| message.contains("ssh-keygen -R")));
    }

    #[test]
    fn the_cluster_total_stands_at_the_latest_answer() {
        let mut batch = fixtures::fleet();
        let late = batch.reports[0].span.answered_at.plus(Duration::from_secs(2));
        batch.reports[3].span.answered_at = late;
        batch.reports[2].span.answered_at = late.plus(Duration::from_secs(9));
        let events = full(&batch);
        let total = events.last().expect("the cluster total is always there");
        assert_eq!((total.event_type, total.source.as_str()), ("cluster_gpu_power_total", "gpu_cluster"));
        assert_eq!(total.at, late);
        assert_eq!(total.metadata["timestamp"], late.to_string());
        assert_eq!(total.metadata["total_watts"], 4793.97);
        assert_eq!(total.metadata["nodes_reporting"], 4);
        assert_eq!(total.metadata["nodes_expected"], 5);
    }

    #[test]
    fn a_silent_cluster_has_a_row_without_a_value() {
        let events = full(&batch_of(vec![fixtures::failed("node003")]));
        let total = events.last().expect("the cluster total is always there");
        assert_eq!(total.value, None);
        assert_eq!(total.at, fixtures::STARTED_AT);
        assert_eq!(total.metadata["nodes_reporting"], 0);
        assert_eq!(total.metadata["total_watts"], Value::Null);
    }

    #[test]
    fn slim_rows_leave_the_facts_to_an_inventory_row() {
        let mut written = InventorySent::default();
        let events = seen(&fixtures::fleet().events(MetadataStyle::Slim, &mut written));
        let facts = of(&events, "gpu_inventory", "gpu_redfin")[0];
        assert_eq!(facts.value, None);
        assert_eq!(facts.metadata["gpu_model"], "GeForce RTX 3090");
        let sample = of(&events, "gpu_power_draw", "gpu_redfin")[0];
        for key in
            ["gpu_model", "power_limit_w", "gpu_bus_id", "driver_version", "labels", "ip", "memory_total_mb"]
        {
            assert!(!sample.metadata.contains_key(key), "{key} is repeated");
            assert!(facts.metadata.contains_key(key), "{key} is nowhere");
        }
        assert_eq!(sample.metadata["power_draw_w"], 285.5);
        assert!(sample.metadata.contains_key("gpu_uuid"));
    }

    #[test]
    fn facts_are_written_when_they_change_and_once_a_day() {
        let n_facts = |batch: &Batch, written: &mut InventorySent| {
            let events = batch.events(MetadataStyle::Slim, written);
            events.iter().filter(|event| event.event_type == "gpu_inventory").count()
        };
        let mut batch = fixtures::fleet();
        let mut written = InventorySent::default();
        assert_eq!(n_facts(&batch, &mut written), 10);
        assert_eq!(n_facts(&batch, &mut written), 0);
        batch.reports[0].gpus[0].set(Quantity::PowerLimitRequested, Ok(Power::from_watts(250).into()));
        assert_eq!(n_facts(&batch, &mut written), 1);
        let before = written.clone();
        // A board that falls off the bus is no new board.
        batch.reports[0].gpus[0] =
            Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::GpuLost, "[GPU is lost]"));
        assert_eq!(n_facts(&batch, &mut written), 0);
        assert_eq!(written, before);
        for report in &mut batch.reports {
            report.span.answered_at = report.span.answered_at.plus(Duration::from_secs(86_400));
        }
        assert_eq!(n_facts(&batch, &mut written), 9);
    }

    prop_compose! {
        fn any_report()(
            node in 0..1000_u32,
            n_expected in proptest::option::of(0..9_usize),
            milliwatts in proptest::collection::vec(proptest::option::of(0..3_000_000_i64), 0..9),
        ) -> HostReport {
            let mut report = fixtures::host(&format!("n{node}"), 0);
            report.gpus_expected = n_expected;
            report.gpus = (0..).zip(&milliwatts).map(|(index, draw)| match draw {
                Some(draw) => fixtures::gpu(index, *draw),
                None => Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::UnknownError, "[Unknown Error]")),
            }).collect();
            if report.gpus.is_empty() {
                report.outcome = fixtures::failed("x").outcome;
            } else if milliwatts.contains(&None) {
                report.outcome = Outcome::Partial;
            }
            report
        }
    }

    fn milliwatts(event: &Seen) -> Option<i64> {
        event.value.map(|watts| format!("{:.0}", watts * 1000.0).parse().expect("a whole number"))
    }

    proptest! {
        #[test]
        fn any_batch_adds_up_and_is_fit_for_the_timeline(
            reports in proptest::collection::vec(any_report(), 0..20),
            slim in any::<bool>(),
        ) {
            let batch = batch_of(reports);
            let style = if slim { MetadataStyle::Slim } else { MetadataStyle::Full };
            let events = seen(&batch.events(style, &mut InventorySent::default()));
            let node_totals: Vec<i64> = events
                .iter()
                .filter(|event| event.event_type == "node_gpu_power_total")
                .filter_map(milliwatts)
                .collect();
            let cluster = events.last().and_then(milliwatts);
            prop_assert_eq!(cluster, (!node_totals.is_empty()).then(|| node_totals.iter().sum()));
            let n_up = events.iter().filter(|event| event.event_type == "node_up").count();
            prop_assert_eq!(n_up, batch.reports.len());
            for event in &events {
                prop_assert!(event.value.is_none_or(f64::is_finite));
                prop_assert_eq!(&event.metadata["batch"], &json!(batch.id.to_string()));
            }
        }
    }
}
