//! One cycle as a JSON document. The shape has a version: a field may be added under the same one, never
//! renamed or given another meaning.

mod stations;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use stations::AccountShape;

use crate::alert::Transition;
use crate::batch::{HostReport, Snapshot};
use crate::reading::{Absent, Device, Failure, Fault, Power, PowerSamples, SafeText};
use crate::support::milliseconds;

/// The name and version of the document's shape, in its field `schema`.
pub const SCHEMA: &str = "fleetwatt.poll/1";

const CANNOT_FAIL: &str = "keys are text and numbers are finite, so that serialising to memory cannot fail";

/// The batch and the active alerts as one indented JSON document, with a line break at its end.
pub fn json(snapshot: &Snapshot) -> String {
    let mut text = serde_json::to_string_pretty(&document(snapshot)).expect(CANNOT_FAIL);
    text.push('\n');
    text
}

/// The same document in one line, with a line break at its end.
pub fn json_line(snapshot: &Snapshot) -> String {
    let mut line = serde_json::to_string(&document(snapshot)).expect(CANNOT_FAIL);
    line.push('\n');
    line
}

fn document(snapshot: &Snapshot) -> Poll<'_> {
    let batch = &snapshot.batch;
    let totals = batch.totals();
    Poll {
        schema: SCHEMA,
        batch: batch.id.to_string(),
        started_at: batch.started_at.to_string(),
        totals: TotalsShape {
            power_w: totals.power.map(Power::watts),
            gpus_reporting: totals.gpus_reporting,
            gpus_expected: totals.gpus_expected,
            nodes_reporting: totals.nodes_reporting,
            nodes_expected: totals.nodes_expected,
            nodes_without_gpu_count: totals.nodes_without_gpu_count,
        },
        nodes: batch.reports.iter().map(node).collect(),
        alerts: snapshot.alerts.iter().map(alert).collect(),
        account: batch.account.as_ref().map(AccountShape::new),
    }
}

#[derive(Serialize)]
struct Poll<'a> {
    schema: &'static str,
    batch: String,
    started_at: String,
    totals: TotalsShape,
    nodes: Vec<NodeShape<'a>>,
    alerts: Vec<AlertShape<'a>>,
    #[serde(rename = "solix")]
    account: Option<AccountShape<'a>>,
}

#[derive(Serialize)]
struct TotalsShape {
    power_w: Option<f64>,
    gpus_reporting: usize,
    gpus_expected: usize,
    nodes_reporting: usize,
    nodes_expected: usize,
    nodes_without_gpu_count: usize,
}

#[derive(Serialize)]
struct NodeShape<'a> {
    node: &'a str,
    address: &'a str,
    jump: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    /// Only where somebody works on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maintenance: bool,
    up: bool,
    outcome: &'static str,
    failure: Option<FailureShape<'a>>,
    asked_at: String,
    answered_at: String,
    duration_ms: u64,
    probe_ms: u64,
    power_w: Option<f64>,
    gpus_reporting: usize,
    gpus_expected: Option<usize>,
    gpus: Vec<GpuShape<'a>>,
    faults: Vec<FaultShape<'a>>,
}

#[derive(Serialize)]
struct AlertShape<'a> {
    key: &'a str,
    rule: &'static str,
    severity: &'static str,
    source: &'a str,
    message: &'a str,
    raised_at: String,
}

#[derive(Serialize)]
struct FailureShape<'a> {
    kind: &'static str,
    message: &'static str,
    evidence: &'a str,
    hint: String,
    since: Option<String>,
}

#[derive(Serialize)]
struct FaultShape<'a> {
    kind: &'static str,
    gpu: Option<&'a str>,
    message: &'static str,
    evidence: &'a str,
    hint: &'static str,
}

/// Every quantity of a GPU by its key; where one is null, `absent` says why.
struct GpuShape<'a>(&'a Device);

#[derive(Serialize)]
struct SamplesShape {
    power_min_w: f64,
    power_max_w: f64,
    count: u64,
    absent: u64,
    energy_j: f64,
    covered_ms: u64,
}

#[derive(Serialize)]
struct AbsentShape {
    reason: &'static str,
    text: String,
}

fn node(report: &HostReport) -> NodeShape<'_> {
    NodeShape {
        node: &report.node,
        address: &report.address,
        jump: report.jump.as_deref(),
        labels: &report.labels,
        maintenance: report.maintenance,
        up: report.outcome.is_up(),
        outcome: report.outcome.label(),
        failure: report.outcome.failure().map(failure_shape),
        asked_at: report.span.asked_at.to_string(),
        answered_at: report.span.answered_at.to_string(),
        duration_ms: milliseconds(report.span.answered_at.since(report.span.asked_at)),
        probe_ms: milliseconds(report.probe_time),
        power_w: report.power().map(Power::watts),
        gpus_reporting: report.gpus_reporting(),
        gpus_expected: report.gpus_known(),
        gpus: report.gpus.iter().map(GpuShape).collect(),
        faults: report.faults.iter().map(fault_shape).collect(),
    }
}

fn alert(alert: &Transition) -> AlertShape<'_> {
    AlertShape {
        key: &alert.key,
        rule: alert.rule.label(),
        severity: alert.severity.label(),
        source: &alert.source,
        message: &alert.message,
        raised_at: alert.raised_at.to_string(),
    }
}

fn failure_shape(failure: &Failure) -> FailureShape<'_> {
    FailureShape {
        kind: failure.kind.label(),
        message: failure.wording.message,
        evidence: failure.evidence.as_str(),
        hint: failure.hint(),
        since: failure.since.map(|since| since.to_string()),
    }
}

fn fault_shape(fault: &Fault) -> FaultShape<'_> {
    FaultShape {
        kind: fault.kind.label(),
        gpu: fault.gpu.as_ref().map(SafeText::as_str),
        message: fault.wording.message,
        evidence: fault.evidence.as_str(),
        hint: fault.wording.hint,
    }
}

impl Serialize for GpuShape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let absent = quantities(&mut map, self.0)?;
        // Only where it was sampled; `power_w` is the mean then.
        if let Some(samples) = &self.0.power_samples {
            map.serialize_entry("samples", &samples_shape(samples))?;
        }
        map.serialize_entry("absent", &absent)?;
        map.end()
    }
}

/// Every quantity of a device by its key, null where it is absent, and why it is.
fn quantities<M: SerializeMap>(
    map: &mut M,
    device: &Device,
) -> Result<BTreeMap<&'static str, AbsentShape>, M::Error> {
    let mut absent = BTreeMap::new();
    for quantity in device.quantities() {
        let columns = quantity.columns();
        let Some(key) = columns.json else { continue };
        match device.get(quantity) {
            Ok(value) => map.serialize_entry(key, &value.to_json())?,
            Err(why) => {
                map.serialize_entry(key, &Value::Null)?;
                if !columns.is_untold {
                    absent.insert(key, absent_shape(&why));
                }
            }
        }
    }
    Ok(absent)
}

fn absent_shape(absent: &Absent) -> AbsentShape {
    AbsentShape { reason: absent.reason.label(), text: absent.text.to_string() }
}

fn samples_shape(samples: &PowerSamples) -> SamplesShape {
    SamplesShape {
        power_min_w: samples.min.watts(),
        power_max_w: samples.max.watts(),
        count: samples.n_samples,
        absent: samples.n_absent,
        energy_j: samples.energy.joules(),
        covered_ms: milliseconds(samples.covered),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::fixtures;

    #[test]
    fn the_document_is_one_poll_with_its_schema() {
        let document: Value = serde_json::from_str(&json(&fixtures::fleet().into())).expect("valid JSON");
        assert_eq!(document["schema"], "fleetwatt.poll/1");
        assert_eq!(document["nodes"].as_array().map(Vec::len), Some(5));
        assert_eq!(document["totals"]["power_w"], 4793.97);
        assert_eq!(document["nodes"][1]["gpus"][5]["power_w"], Value::Null);
        assert_eq!(document["nodes"][1]["gpus"][5]["absent"]["power_w"]["reason"], "gpu_lost");
        assert_eq!(document["nodes"][1]["faults"][0]["kind"], "gpu_lost");
    }

    #[test]
    fn a_failed_node_reads_like_this() {
        let mut batch = fixtures::fleet();
        batch.reports = vec![batch.reports.swap_remove(2)];
        insta::assert_snapshot!(json(&batch.into()), @r#"
        {
          "schema": "fleetwatt.poll/1",
          "batch": "019ab5c0-0000-7000-8000-000000000001",
          "started_at": "2026-11-24T07:00:00.000000Z",
          "totals": {
            "power_w": null,
            "gpus_reporting": 0,
            "gpus_expected": 1,
            "nodes_reporting": 0,
            "nodes_expected": 1,
            "nodes_without_gpu_count": 0
          },
          "nodes": [
            {
              "node": "node003",
              "address": "node003.example",
              "jump": null,
              "labels": {},
              "up": false,
              "outcome": "host_key_changed",
              "failure": {
                "kind": "host_key_changed",
                "message": "the host key has changed",
                "evidence": "Host key verification failed.",
                "hint": "if the host was reinstalled, remove the old key with `ssh-keygen -R`; if not, somebody may be in between",
                "since": null
              },
              "asked_at": "2026-11-24T07:00:00.010000Z",
              "answered_at": "2026-11-24T07:00:00.767000Z",
              "duration_ms": 757,
              "probe_ms": 231,
              "power_w": null,
              "gpus_reporting": 0,
              "gpus_expected": 1,
              "gpus": [],
              "faults": []
            }
          ],
          "alerts": [],
          "solix": null
        }
        "#);
    }

    #[test]
    fn a_gpu_without_utilisation_reads_like_this() {
        let fleet = fixtures::fleet();
        let shape = GpuShape(&fleet.reports[3].gpus[0]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&shape).expect("valid JSON"), @r#"
        {
          "index": 0,
          "uuid": "GPU-7f9a1c00-0000-0000-0000-000000000000",
          "bus_id": "00000000:0B:00.0",
          "model": "A100-SXM4-40GB",
          "driver_version": "590.48.01",
          "power_w": 211.4,
          "power_kind": "average",
          "power_draw_w": 211.4,
          "power_average_w": 211.4,
          "power_instant_w": 212.53,
          "power_limit_w": 400.0,
          "power_of_limit_pct": 52.9,
          "module_power_w": null,
          "temperature_c": 64,
          "memory_temperature_c": null,
          "utilization_pct": null,
          "memory_used_mb": 19802,
          "memory_total_mb": 40960,
          "fan_speed_pct": null,
          "persistence": true,
          "pstate": "P0",
          "clocks_event_reasons": "0x0000000000000004",
          "absent": {
            "fan_speed_pct": {
              "reason": "not_supported",
              "text": "[N/A]"
            },
            "memory_temperature_c": {
              "reason": "not_supported",
              "text": "[N/A]"
            },
            "module_power_w": {
              "reason": "not_supported",
              "text": "[N/A]"
            },
            "utilization_pct": {
              "reason": "not_supported",
              "text": "[N/A]"
            }
          }
        }
        "#);
    }

    proptest! {
        #[test]
        fn each_quantity_is_a_value_or_among_the_absent(gpu in fixtures::any_gpu()) {
            let read = serde_json::to_value(GpuShape(&gpu)).unwrap();
            for quantity in gpu.quantities().filter(|quantity| !quantity.columns().is_untold) {
                let Some(key) = quantity.columns().json else { continue };
                prop_assert_eq!(read[key].is_null(), read["absent"].get(key).is_some(), "{}", key);
                prop_assert_eq!(read[key].is_null(), gpu.get(quantity).is_err(), "{}", key);
            }
        }
    }
}
