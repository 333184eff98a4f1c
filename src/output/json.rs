//! One cycle as a JSON document. The shape has a version: a field may be added under the same one, never
//! renamed or given another meaning.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::alert::Transition;
use crate::batch::{HostReport, Snapshot, Today, Totals, bounded_fields};
use crate::reading::{Absent, AccountReport, AccountTrouble, Device, Failure, Fault, Power, PowerSamples};
use crate::reading::{SafeText, Share, StationReading, StationStatus};
use crate::support::{milliseconds, shape};
use crate::tariff::{Currency, Money};

/// The name and version of the document's shape, in its field `schema`.
pub const SCHEMA: &str = "fleetwatt.poll/1";

const CANNOT_FAIL: &str = "keys are text and numbers are finite, so that serialising to memory cannot fail";

/// The batch and the active alerts as one indented JSON document, with a line break at its end.
pub fn json(snapshot: &Snapshot) -> String {
    serde_json::to_string_pretty(&Poll(snapshot)).expect(CANNOT_FAIL) + "\n"
}

/// The same document in one line, with a line break at its end.
pub fn json_line(snapshot: &Snapshot) -> String {
    serde_json::to_string(&Poll(snapshot)).expect(CANNOT_FAIL) + "\n"
}

shape! { Poll(Snapshot { batch, alerts, today, interval, .. } = &'a Snapshot) {
    schema: SCHEMA,
    batch: batch.id.to_string(),
    started_at: batch.started_at.to_string(),
    interval_s: interval.map(|interval| interval.as_secs_f64()),
    totals: TotalsShape(&batch.totals()),
    nodes: batch.reports.iter().map(Node).collect::<Vec<_>>(),
    alerts: alerts.iter().map(Alert).collect::<Vec<_>>(),
    today: today.as_ref().map(Day),
    solix: batch.account.as_ref().map(Account),
} }

shape! { Day(today = &'a Today) {
    energy_kwh: today.energy.watt_hours() / 1_000.0,
    costs: today.costs.iter().map(Cost).collect::<Vec<_>>(),
    measured_pct: today.measured.map(Share::percent),
} }

shape! { Cost((currency, money) = &'a (Currency, Money)) {
    currency: currency.code(),
    cost: money.to_string().parse::<f64>().ok(),
} }

shape! { TotalsShape(totals = &'a Totals) {
    power_w: totals.power.map(Power::watts),
    gpus_reporting: totals.gpus_reporting,
    gpus_expected: totals.gpus_expected,
    nodes_reporting: totals.nodes_reporting,
    nodes_expected: totals.nodes_expected,
    nodes_without_gpu_count: totals.nodes_without_gpu_count,
} }

shape! { Node(report = &'a HostReport) {
    node: report.node,
    address: report.address,
    jump: report.jump,
    labels: report.labels,
    maintenance[report.maintenance]: true,
    up: report.outcome.is_up(),
    outcome: report.outcome.label(),
    failure: report.outcome.failure().map(FailureShape),
    asked_at: report.span.asked_at.to_string(),
    answered_at: report.span.answered_at.to_string(),
    duration_ms: milliseconds(report.span.answered_at.since(report.span.asked_at)),
    probe_ms: milliseconds(report.probe_time),
    power_w: report.power().map(Power::watts),
    gpus_reporting: report.gpus_reporting(),
    gpus_expected: report.gpus_known(),
    gpus: report.gpus.iter().map(Gpu).collect::<Vec<_>>(),
    faults: report.faults.iter().map(FaultShape).collect::<Vec<_>>(),
} }

shape! { Alert(alert = &'a Transition) {
    key: alert.key,
    rule: alert.rule.label(),
    severity: alert.severity.label(),
    source: alert.source,
    message: alert.message,
    raised_at: alert.raised_at.to_string(),
} }

shape! { FailureShape(failure = &'a Failure) {
    kind: failure.kind.label(),
    message: failure.wording.message,
    evidence: failure.evidence.as_str(),
    hint: failure.hint(),
    since: failure.since.map(|since| since.to_string()),
} }

shape! { FaultShape(fault = &'a Fault) {
    kind: fault.kind.label(),
    gpu: fault.gpu.as_ref().map(SafeText::as_str),
    message: fault.wording.message,
    evidence: fault.evidence.as_str(),
    hint: fault.wording.hint,
} }

shape! { Samples(samples = &'a PowerSamples) {
    power_min_w: samples.min.watts(),
    power_max_w: samples.max.watts(),
    count: samples.counts.n_samples,
    absent: samples.counts.n_absent,
    energy_j: samples.energy.joules(),
    covered_ms: milliseconds(samples.covered),
} }

shape! { AbsentShape(absent = Cow<'a, Absent>) {
    reason: absent.reason.label(),
    text: absent.text.as_str(),
} }

shape! { Account(account = &'a AccountReport) {
    up: account.trouble.is_none(),
    trouble: account.trouble.as_ref().map(Trouble),
    stations: account.stations.iter().map(|status| Station((account, status))).collect::<Vec<_>>(),
} }

shape! { Trouble(trouble = &'a AccountTrouble) {
    kind: trouble.kind,
    message: trouble.message,
    needs_person: trouble.needs_person,
} }

shape! { Station((account, status) = (&'a AccountReport, &'a StationStatus)) {
    serial: status.station.serial.as_str(),
    model: status.station.model.as_str(),
    name: status.station.name.as_str(),
    presence: status.presence.label(),
    since: status.presence.silent_since().map(|since| since.to_string()),
    reading: match account.readings_of(&status.station).next_back() {
        Some(fresh) => Some(Reading(fresh, true)),
        None => status.last.as_ref().map(|last| Reading(last, false)),
    },
} }

/// A reading, and whether it came in this cycle.
struct Reading<'a>(&'a StationReading, bool);

impl Serialize for Reading<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(reading, this_cycle) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("at", &reading.at.to_string())?;
        map.serialize_entry("this_cycle", this_cycle)?;
        map.serialize_entry("source", reading.source.label())?;
        map.serialize_entry("mode", reading.mode.label())?;
        let absent = quantities(&mut map, &reading.device)?;
        map.serialize_entry("runtime_h", &reading.runtime().map(|runtime| runtime.hours()))?;
        map.serialize_entry("grid", reading.grid.label())?;
        map.serialize_entry("absent", &absent)?;
        let (fields, fields_left_out) = bounded_fields(reading);
        map.serialize_entry("fields", &fields)?;
        map.serialize_entry("fields_left_out", &fields_left_out)?;
        map.end()
    }
}

/// Every quantity of a GPU by its key; where one is null, `absent` says why.
struct Gpu<'a>(&'a Device);

impl Serialize for Gpu<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let absent = quantities(&mut map, self.0)?;
        // Only where it was sampled; `power_w` is the mean then.
        if let Some(samples) = &self.0.power_samples {
            map.serialize_entry("samples", &Samples(samples))?;
        }
        map.serialize_entry("absent", &absent)?;
        map.end()
    }
}

/// Every quantity of a device by its key, null where it is absent, and why it is.
fn quantities<'a, M: SerializeMap>(
    map: &mut M,
    device: &'a Device,
) -> Result<BTreeMap<&'static str, AbsentShape<'a>>, M::Error> {
    let mut absent = BTreeMap::new();
    for quantity in device.quantities() {
        let columns = quantity.columns();
        let Some(key) = columns.json else { continue };
        match device.get(quantity) {
            Ok(value) => map.serialize_entry(key, &value.to_json())?,
            Err(why) => {
                map.serialize_entry(key, &Value::Null)?;
                if !quantity.is_untold() {
                    absent.insert(key, AbsentShape(why));
                }
            }
        }
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::{Presence, Quantity};

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
          "interval_s": null,
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
          "today": null,
          "solix": null
        }
        "#);
    }

    #[test]
    fn a_gpu_without_utilisation_reads_like_this() {
        let fleet = fixtures::fleet();
        let shape = Gpu(&fleet.reports[3].gpus[0]);
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
            let read = serde_json::to_value(Gpu(&gpu)).unwrap();
            for quantity in gpu.quantities().filter(|quantity| !quantity.is_untold()) {
                let Some(key) = quantity.columns().json else { continue };
                prop_assert_eq!(read[key].is_null(), read["absent"].get(key).is_some(), "{}", key);
                prop_assert_eq!(read[key].is_null(), gpu.get(quantity).is_err(), "{}", key);
            }
        }
    }

    fn account(report: &AccountReport) -> String {
        serde_json::to_string_pretty(&Account(report)).expect("valid JSON")
    }

    #[test]
    fn a_station_that_answered_reads_like_this() {
        let mut report = fixtures::station_report();
        report.readings[0].device.set(Quantity::GridPower, Err(Absent::not_reported()));
        insta::assert_snapshot!(account(&report), @r#"
        {
          "up": true,
          "trouble": null,
          "stations": [
            {
              "serial": "9DNBH3D0PLDBLX1Y",
              "model": "A1790P",
              "name": "F3800 Plus",
              "presence": "live",
              "since": null,
              "reading": {
                "at": "2026-11-24T06:59:57.500000Z",
                "this_cycle": true,
                "source": "mqtt",
                "mode": "normal",
                "soc_pct": 87,
                "power_input_w": 412.0,
                "power_output_w": 835.5,
                "grid_power_w": null,
                "solar_power_w": 412.0,
                "capacity_wh": 3840,
                "runtime_h": 7.888547777777778,
                "grid": "absent",
                "absent": {
                  "grid_power_w": {
                    "reason": "not_reported",
                    "text": ""
                  }
                },
                "fields": {
                  "ac_output_power": 820,
                  "battery_soc": 87,
                  "sw_version": "2.6.5"
                },
                "fields_left_out": 0
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_silent_station_keeps_its_last_reading_and_a_trouble_its_words() {
        let mut report = fixtures::station_report();
        report.readings.clear();
        report.stations[0].presence = Presence::Offline(fixtures::STARTED_AT);
        let message = "the password was refused".to_owned();
        report.trouble = Some(AccountTrouble { kind: "login_refused", message, needs_person: true });
        let document: Value = serde_json::from_str(&account(&report)).expect("valid JSON");
        assert_eq!(document["up"], false);
        assert_eq!(document["trouble"]["kind"], "login_refused");
        assert_eq!(document["stations"][0]["presence"], "offline");
        assert_eq!(document["stations"][0]["since"], "2026-11-24T07:00:00.000000Z");
        assert_eq!(document["stations"][0]["reading"]["this_cycle"], false);
        report.stations[0].last = None;
        assert_eq!(serde_json::to_value(Account(&report)).unwrap()["stations"][0]["reading"], Value::Null);
    }
}
