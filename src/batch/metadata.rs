//! The metadata of events: what a dashboard reads beside the value. The keys are a contract.

use serde_json::{Number, Value, json};

use crate::reading::{Device, Power, PowerSamples, Quantity, Role, SafeText};
use crate::support::milliseconds;

use super::entries::Entries;
use super::{Batch, HostReport, Totals};

/// What a GPU said in this cycle, with as much identity as it takes to find its facts.
pub(super) fn sample(gpu: &Device) -> Entries<'_> {
    let mut sample = Entries::new();
    sample.device(gpu, &[Role::Identity, Role::Sample, Role::Extra]);
    if let Some(samples) = &gpu.power_samples {
        put_samples(&mut sample, samples);
    }
    sample
}

/// What never or seldom changes about a GPU: repeated in every row, or in `gpu_inventory` only.
pub(super) fn put_facts<'a>(to: &mut Entries<'a>, report: &'a HostReport, gpu: &'a Device) {
    to.text("node", &report.node);
    to.text("ip", &report.address);
    to.put("labels", json!(report.labels));
    to.device(gpu, &[Role::Fact]);
}

/// What the samples of a cycle add to its mean, which is the value itself.
fn put_samples(to: &mut Entries<'_>, samples: &PowerSamples) {
    to.put("power_min_w", samples.min.watts());
    to.put("power_max_w", samples.max.watts());
    to.put("power_samples", samples.counts.n_samples);
    to.put("power_samples_absent", samples.counts.n_absent);
    to.put("power_samples_refused", samples.counts.n_refused);
    to.put("power_energy_j", samples.energy.joules());
    to.put("power_covered_ms", milliseconds(samples.covered));
}

/// The metadata of `node_gpu_power_total`.
pub(super) fn node_total(report: &HostReport) -> Entries<'_> {
    let mut metadata = Entries::new();
    metadata.text("node", &report.node);
    metadata.text("ip", &report.address);
    put_gpu_counts(&mut metadata, report);
    metadata
}

/// The metadata of `cluster_gpu_power_total`, without its timestamp.
pub(super) fn cluster_total(totals: &Totals) -> Entries<'static> {
    let mut metadata = Entries::new();
    metadata.put("nodes_reporting", totals.nodes_reporting);
    metadata.put("nodes_expected", totals.nodes_expected);
    metadata.put("nodes_without_gpu_count", totals.nodes_without_gpu_count);
    metadata.put("gpus_reporting", totals.gpus_reporting);
    metadata.put("gpus_expected", totals.gpus_expected);
    metadata.known("total_watts", totals.power.map(Power::watts), "no_reading");
    metadata
}

/// The metadata of `node_up`: how the attempt ended, and what is missing of this host.
pub(super) fn node_up(report: &HostReport) -> Entries<'_> {
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

/// What stands in every row: the batch, and the cycle's start.
pub(super) fn stamp(metadata: &mut Entries<'_>, batch: &Batch) {
    metadata.put("batch", batch.id.to_string());
    metadata.put("cycle", batch.started_at.to_string());
}

/// A number as the tool writes it: whole where it is whole. Never anything that JSON cannot hold.
pub(crate) fn number(value: f64) -> Value {
    value.to_string().parse::<Number>().map_or(Value::Null, Value::Number)
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::Reason;

    #[test]
    fn numbers_stand_as_the_tool_wrote_them() {
        let sample = sample(&fixtures::fleet().reports[0].gpus[0]).into_metadata().text().to_owned();
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
            let text = all.into_metadata().text().to_owned();
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
}
