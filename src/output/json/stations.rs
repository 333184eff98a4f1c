//! The battery stations in the JSON document.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::batch::bounded_fields;
use crate::reading::{AccountReport, AccountTrouble, StationReading, StationStatus};

use super::quantities;

/// What the session learnt.
#[derive(Serialize)]
pub(super) struct AccountShape<'a> {
    up: bool,
    trouble: Option<TroubleShape<'a>>,
    stations: Vec<StationShape<'a>>,
}

#[derive(Serialize)]
struct TroubleShape<'a> {
    kind: &'static str,
    message: &'a str,
    needs_person: bool,
}

#[derive(Serialize)]
struct StationShape<'a> {
    serial: &'a str,
    model: &'a str,
    name: &'a str,
    presence: &'static str,
    since: Option<String>,
    /// The last one, however old; `this_cycle` says whether it came in this cycle.
    reading: Option<ReadingShape<'a>>,
}

/// A reading, and whether it came in this cycle. Every figure by its key; where one is null, `absent` says why.
struct ReadingShape<'a>(&'a StationReading, bool);

impl<'a> AccountShape<'a> {
    pub(super) fn new(account: &'a AccountReport) -> Self {
        Self {
            up: account.trouble.is_none(),
            trouble: account.trouble.as_ref().map(trouble),
            stations: account.stations.iter().map(|status| station(account, status)).collect(),
        }
    }
}

fn trouble(trouble: &AccountTrouble) -> TroubleShape<'_> {
    TroubleShape { kind: trouble.kind, message: &trouble.message, needs_person: trouble.needs_person }
}

fn station<'a>(account: &'a AccountReport, status: &'a StationStatus) -> StationShape<'a> {
    let fresh = account.readings_of(&status.station).next_back();
    let last = fresh.or(status.last.as_ref());
    StationShape {
        serial: status.station.serial.as_str(),
        model: status.station.model.as_str(),
        name: status.station.name.as_str(),
        presence: status.presence.label(),
        since: status.presence.silent_since().map(|since| since.to_string()),
        reading: last.map(|last| ReadingShape(last, fresh.is_some())),
    }
}

impl Serialize for ReadingShape<'_> {
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::{Absent, Presence, Quantity};

    fn document(report: &AccountReport) -> String {
        serde_json::to_string_pretty(&AccountShape::new(report)).expect("valid JSON")
    }

    #[test]
    fn a_station_that_answered_reads_like_this() {
        let mut report = fixtures::station_report();
        report.readings[0].device.set(Quantity::GridPower, Err(Absent::not_reported()));
        insta::assert_snapshot!(document(&report), @r#"
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
        let document: Value = serde_json::from_str(&document(&report)).expect("valid JSON");
        assert_eq!(document["up"], false);
        assert_eq!(document["trouble"]["kind"], "login_refused");
        assert_eq!(document["stations"][0]["presence"], "offline");
        assert_eq!(document["stations"][0]["since"], "2026-11-24T07:00:00.000000Z");
        assert_eq!(document["stations"][0]["reading"]["this_cycle"], false);
        report.stations[0].last = None;
        assert!(super::station(&report, &report.stations[0]).reading.is_none());
    }
}
