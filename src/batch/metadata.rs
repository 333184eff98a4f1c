//! The metadata of events: what a dashboard reads beside the value. The keys are a contract.

use serde_json::{Map, Number, Value, json};

use crate::reading::{
    Absent, Clean, GpuReading, Measured, Memory, Power, PowerSamples, Reason, Share, Temperature,
};

use super::{Batch, HostReport, Totals};

/// What never or seldom changes about a GPU: repeated in every row, or in `gpu_inventory` only.
pub(super) fn facts(report: &HostReport, gpu: &GpuReading) -> Map<String, Value> {
    let mut facts = identity(gpu);
    facts.insert("node".to_owned(), json!(report.node));
    facts.insert("ip".to_owned(), json!(report.address));
    facts.insert("labels".to_owned(), json!(report.labels));
    put(&mut facts, "gpu_bus_id", &gpu.bus_id, words);
    put(&mut facts, "gpu_model", &gpu.model, words);
    put(&mut facts, "driver_version", &gpu.driver_version, words);
    put(&mut facts, "power_limit_w", &gpu.limit(), watts);
    put(&mut facts, "memory_total_mb", &gpu.memory_total, mebibytes);
    facts
}

/// What a GPU said in this cycle, with as much identity as it takes to find its facts.
pub(super) fn sample(gpu: &GpuReading) -> Map<String, Value> {
    let mut sample = identity(gpu);
    put(&mut sample, "power_draw_w", &gpu.power().map(|draw| draw.power), watts);
    put(&mut sample, "temperature_c", &gpu.temperature, celsius);
    put(&mut sample, "memory_used_mb", &gpu.memory_used, mebibytes);
    put(&mut sample, "gpu_utilization_pct", &gpu.utilization, percent);
    put(&mut sample, "fan_speed_pct", &gpu.fan_speed, percent);
    put(&mut sample, "power_efficiency_pct", &efficiency(gpu), percent);
    put(&mut sample, "pstate", &gpu.pstate, words);
    put(&mut sample, "clocks_event_reasons", &gpu.clocks_event_reasons, |mask| {
        json!(format!("{mask:#018x}"))
    });
    if let Ok(draw) = gpu.power() {
        sample.insert("power_kind".to_owned(), json!(draw.kind.label()));
    }
    if let Some(samples) = &gpu.power_samples {
        sample.extend(sampled(samples));
    }
    // Most boards have none of these, and their absence says nothing about the reading.
    let extras = [
        ("power_draw_instant_w", &gpu.power_instant),
        ("power_draw_average_w", &gpu.power_average),
        ("module_power_w", &gpu.module_power_instant),
    ];
    for (key, measured) in extras {
        if let Ok(power) = measured {
            sample.insert(key.to_owned(), watts(power));
        }
    }
    sample
}

/// What the samples of a cycle add to its mean, which is the value itself.
fn sampled(samples: &PowerSamples) -> Map<String, Value> {
    object([
        ("power_min_w", watts(&samples.min)),
        ("power_max_w", watts(&samples.max)),
        ("power_samples", json!(samples.n_samples)),
        ("power_samples_absent", json!(samples.n_absent)),
        ("power_energy_j", json!(samples.energy.joules())),
        ("power_covered_ms", json!(milliseconds(samples.covered))),
    ])
}

/// The metadata of `node_gpu_power_total`.
pub(super) fn node_total(report: &HostReport) -> Map<String, Value> {
    let mut metadata = object([("node", json!(report.node)), ("ip", json!(report.address))]);
    put_gpu_counts(&mut metadata, report);
    metadata
}

/// The metadata of `cluster_gpu_power_total`, without its timestamp.
pub(super) fn cluster_total(totals: &Totals) -> Map<String, Value> {
    let mut metadata = object([
        ("nodes_reporting", json!(totals.nodes_reporting)),
        ("nodes_expected", json!(totals.nodes_expected)),
        ("nodes_of_unknown_size", json!(totals.nodes_of_unknown_size)),
        ("gpus_reporting", json!(totals.gpus_reporting)),
        ("gpus_expected", json!(totals.gpus_expected)),
        ("total_watts", json!(totals.power.map(Power::watts))),
    ]);
    if totals.power.is_none() {
        metadata.insert("total_watts_absent".to_owned(), json!("no_reading"));
    }
    metadata
}

/// The metadata of `node_up`: how the attempt ended, and what is missing of this host.
pub(super) fn node_up(report: &HostReport) -> Map<String, Value> {
    use crate::reading::Outcome;

    let failure = match &report.outcome {
        Outcome::Complete | Outcome::Partial => None,
        Outcome::Failed(failure) => Some(failure),
    };
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| {
            let gpu = fault.gpu.as_ref().map(Clean::as_str);
            json!({ "kind": fault.kind.label(), "gpu": gpu, "words": fault.to_string() })
        })
        .collect();
    let span = report.span.answered_at.since(report.span.asked_at);
    let mut metadata = object([
        ("node", json!(report.node)),
        ("ip", json!(report.address)),
        ("labels", json!(report.labels)),
        ("outcome", json!(report.outcome.label())),
        ("words", json!(report.outcome.advice())),
        ("evidence", json!(failure.map_or("", |failure| failure.evidence.as_str()))),
        ("milliseconds", json!(milliseconds(span))),
        ("probe_ms", json!(milliseconds(report.probe_time))),
        ("faults", Value::Array(faults)),
        ("gpus", Value::Array(report.gpus.iter().filter_map(without_power).collect())),
    ]);
    if let Some(since) = failure.and_then(|failure| failure.since) {
        metadata.insert("since".to_owned(), json!(since.to_string()));
    }
    put_gpu_counts(&mut metadata, report);
    metadata
}

/// What stands in every row: the batch, and the cycle's start.
pub(super) fn stamp(metadata: &mut Map<String, Value>, batch: &Batch) {
    metadata.insert("batch".to_owned(), json!(batch.id.to_string()));
    metadata.insert("cycle".to_owned(), json!(batch.started_at.to_string()));
}

/// Draw of limit, rounded to one decimal.
pub(crate) fn efficiency(gpu: &GpuReading) -> Measured<Share> {
    let (draw, limit) = (gpu.power()?.power.milliwatts(), gpu.limit()?.milliwatts());
    let tenths_of_percent = draw
        .checked_mul(1000)
        .and_then(|scaled| scaled.checked_add(limit / 2))
        .and_then(|scaled| scaled.checked_div(limit))
        .filter(|_| limit > 0);
    tenths_of_percent
        .and_then(|tenths| tenths.checked_mul(100))
        .map(Share::from_millipercent)
        .ok_or_else(|| Absent::new(Reason::Implausible, &format!("{draw} of {limit} mW")))
}

/// A number as the tool writes it: whole where it is whole. Never anything that JSON cannot hold.
pub(crate) fn number(value: f64) -> Value {
    value.to_string().parse::<Number>().map_or(Value::Null, Value::Number)
}

fn identity(gpu: &GpuReading) -> Map<String, Value> {
    let mut identity = Map::new();
    put(&mut identity, "gpu_index", &gpu.index, |index| json!(index));
    put(&mut identity, "gpu_uuid", &gpu.uuid, words);
    identity
}

/// A GPU without a power reading, as `node_up` lists it.
fn without_power(gpu: &GpuReading) -> Option<Value> {
    let absent = gpu.power().err()?;
    let mut entry = identity(gpu);
    put(&mut entry, "gpu_bus_id", &gpu.bus_id, words);
    entry.insert("power_absent".to_owned(), json!(absent.reason.label()));
    Some(Value::Object(entry))
}

fn put_gpu_counts(metadata: &mut Map<String, Value>, report: &HostReport) {
    metadata.insert("gpus_reporting".to_owned(), json!(report.gpus_reporting()));
    metadata.insert("gpus_expected".to_owned(), json!(report.gpus_known()));
    if report.gpus_known().is_none() {
        metadata.insert("gpus_expected_absent".to_owned(), json!("never_seen"));
    }
}

/// The value under `key`; or null, and the reason under `<key>_absent`.
pub(super) fn put<T>(
    to: &mut Map<String, Value>,
    key: &str,
    measured: &Measured<T>,
    value: impl Fn(&T) -> Value,
) {
    match measured {
        Ok(measured) => {
            to.insert(key.to_owned(), value(measured));
        }
        Err(absent) => {
            to.insert(key.to_owned(), Value::Null);
            to.insert(format!("{key}_absent"), json!(absent.reason.label()));
        }
    }
}

pub(super) fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn words(text: &Clean) -> Value {
    json!(text.as_str())
}

pub(super) fn watts(power: &Power) -> Value {
    json!(power.watts())
}

fn celsius(temperature: &Temperature) -> Value {
    number(temperature.celsius())
}

pub(super) fn percent(share: &Share) -> Value {
    number(share.percent())
}

fn mebibytes(memory: &Memory) -> Value {
    json!(memory.mebibytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sample as fleet;

    #[test]
    fn numbers_stand_as_the_tool_wrote_them() {
        let sample = Value::Object(sample(&fleet::fleet().reports[0].gpus[0])).to_string();
        assert!(sample.contains(r#""power_draw_w":285.5,"#), "{sample}");
        assert!(sample.contains(r#""temperature_c":86}"#), "{sample}");
        assert!(sample.contains(r#""power_efficiency_pct":95.2,"#), "{sample}");
        assert!(sample.contains(r#""fan_speed_pct":71,"#), "{sample}");
        assert!(sample.contains(r#""clocks_event_reasons":"0x0000000000000004""#), "{sample}");
    }

    #[test]
    fn a_limit_of_zero_gives_no_efficiency() {
        let mut gpu = fleet::gpu(0, 100_000);
        gpu.enforced_power_limit = Ok(Power::from_watts(0));
        assert_eq!(efficiency(&gpu).map_err(|absent| absent.reason), Err(Reason::Implausible));
    }

    #[test]
    fn an_efficiency_without_a_limit_is_absent_for_the_limits_reason() {
        let sample = sample(&fleet::fleet().reports[4].gpus[0]);
        assert_eq!(sample["power_efficiency_pct"], Value::Null);
        assert_eq!(sample["power_efficiency_pct_absent"], "not_supported");
        assert_eq!(sample["power_draw_w"], 11.32);
    }

    #[test]
    fn the_kinds_of_power_stand_beside_the_recorded_one() {
        let mut gpu = fleet::gpu(0, 612_250);
        gpu.module_power_instant = Ok(Power::from_watts(900));
        let sample = sample(&gpu);
        assert_eq!(sample["power_kind"], "average");
        assert_eq!(sample["power_draw_average_w"], 612.25);
        assert_eq!(sample["power_draw_instant_w"], 613.38);
        assert_eq!(sample["module_power_w"], 900.0);
    }
}
