//! Fleets, and the rows that follow.

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
    report.gpus = vec![fixtures::gpu(0, 1), fixtures::gpu(0, 2), fixtures::gpu(2, 3), fixtures::gpu(3, 4)];
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
    for key in "node ip gpu_model power_draw_w power_limit_w temperature_c memory_used_mb memory_total_mb \
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

#[test]
fn numbers_stand_as_the_tool_wrote_them() {
    let sample = Metadata::of(&sample(&fixtures::fleet().reports[0].gpus[0])).text().to_owned();
    assert!(sample.contains(r#""power_draw_w":285.5,"#), "{sample}");
    assert!(sample.contains(r#""temperature_c":86,"#), "{sample}");
    assert!(sample.contains(r#""power_efficiency_pct":95.2,"#), "{sample}");
    assert!(sample.contains(r#""fan_speed_pct":71,"#), "{sample}");
    assert!(sample.contains(r#""clocks_event_reasons":"0x0000000000000004""#), "{sample}");
}

#[test]
fn a_limit_of_zero_gives_no_efficiency() {
    let mut gpu = fixtures::gpu(0, 100_000);
    gpu.set(Quantity::PowerLimitEnforced, Ok(Power::from_watts(0).into()));
    gpu.set(Quantity::PowerLimitRequested, Ok(Power::from_watts(0).into()));
    assert_eq!(gpu.power_of_limit().map_err(|absent| absent.reason), Err(Reason::NotSupported));
}

#[test]
fn an_efficiency_without_a_limit_is_absent_for_the_limits_reason() {
    let fleet = fixtures::fleet();
    let sample = sample(&fleet.reports[4].gpus[0]).into_value();
    assert_eq!(sample["power_efficiency_pct"], Value::Null);
    assert_eq!(sample["power_efficiency_pct_absent"], "not_supported");
    assert_eq!(sample["power_draw_w"], 11.32);
}

#[test]
fn the_kinds_of_power_stand_beside_the_recorded_one() {
    let mut gpu = fixtures::gpu(0, 612_250);
    gpu.set(Quantity::ModulePower, Ok(Power::from_watts(900).into()));
    let sample = sample(&gpu).into_value();
    assert_eq!(sample["power_kind"], "average");
    assert_eq!(sample["power_draw_average_w"], 612.25);
    assert_eq!(sample["power_draw_instant_w"], 613.38);
    assert_eq!(sample["module_power_w"], 900.0);
}

proptest! {
    #[test]
    fn each_quantity_is_a_value_or_null_with_its_reason(gpu in fixtures::any_gpu()) {
        let report = fixtures::host("n", 1);
        let mut all = sample(&gpu);
        put_facts(&mut all, &report, &gpu);
        let text = Metadata::of(&all).text().to_owned();
        let read: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        for quantity in gpu.quantities() {
            let Some(key) = quantity.columns().metadata else { continue };
            let has_reason = read.contains_key(&format!("{key}_absent"));
            match gpu.get(quantity) {
                Ok(value) => prop_assert_eq!((&read[key], has_reason), (&value.to_json(), false)),
                Err(_) if quantity.columns().role == Role::Extra => {
                    prop_assert!(!read.contains_key(key) && !has_reason, "{}", key);
                }
                Err(_) => prop_assert_eq!((&read[key], has_reason), (&Value::Null, true)),
            }
            prop_assert!(text.matches(&format!("\"{key}\":")).count() <= 1, "{}: {}", key, text);
        }
    }
}
