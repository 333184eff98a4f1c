//! The readings that the ledger is kept by: from a cycle itself, and from the rows that it left in the timeline. Both
//! give the same, so that a ledger can be computed again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Batch, HostReport};
use crate::ledger::{EnergyReading, Flow, Sampled, SeriesKey, SeriesReading};
use crate::reading::event_type::{GPU_FACTS, GPU_POWER};
use crate::reading::{
    AccountReport, Device, Energy, Power, PowerSamples, Quantity, SafeText, Share, StationReading, Timestamp,
};

/// The figures of a station that are flows of energy.
pub(crate) const FLOWS: [(Quantity, Flow); 4] = [
    (Quantity::PowerInput, Flow::In),
    (Quantity::PowerOutput, Flow::Out),
    (Quantity::GridPower, Flow::Grid),
    (Quantity::SolarPower, Flow::Solar),
];

/// A row of a timeline, as far as the ledger needs it.
#[derive(Debug, Clone, Copy)]
pub struct TimelineRow<'a> {
    /// The type of the event.
    pub event_type: &'a str,
    /// The source of the event.
    pub source: &'a str,
    /// Its value.
    pub value: f64,
    /// Its metadata: a JSON object, of any program's making.
    pub metadata: &'a str,
    /// The time of measurement.
    pub at: Timestamp,
}

/// Reads a timeline for the ledger, row by row in the order of time. With slim metadata the facts of a GPU stand in
/// rows of their own, which it remembers.
#[derive(Debug, Default)]
pub struct TimelineReader {
    facts: BTreeMap<String, Facts>,
    /// The event types of stations, and the flow that each is.
    flows: BTreeMap<&'static str, Flow>,
    /// Whether rows count too that say that no ledger has their reading.
    counts_all: bool,
    /// The last time at which each source named its board by itself.
    named_at: BTreeMap<String, Timestamp>,
}

/// A row that does not name its board is of one that the same source named so shortly before: two programs read it.
const NAMED_WITHIN: Duration = Duration::from_mins(15);

/// The part of a row's metadata that the ledger needs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Facts {
    node: Option<String>,
    gpu_uuid: Option<String>,
    gpu_bus_id: Option<String>,
    gpu_model: Option<String>,
    gpu_utilization_pct: Option<f64>,
    counted_elsewhere: Option<String>,
    ledger: Option<bool>,
    device_sn: Option<String>,
    device_model: Option<String>,
    power_samples: Option<u64>,
    power_min_w: Option<f64>,
    power_max_w: Option<f64>,
    power_energy_j: Option<f64>,
    power_covered_ms: Option<u64>,
    power_variance_mj2: Option<u64>,
}

impl Batch {
    /// The readings of this cycle that the ledger takes, in the order of the timeline's rows.
    pub fn series_readings(&self) -> Vec<SeriesReading> {
        let hosts = self.reports.iter().flat_map(gpu_readings);
        let stations = self.account.iter().flat_map(station_readings);
        hosts.chain(stations).collect()
    }
}

impl HostReport {
    /// The series in the ledger of each GPU; none where it is counted at another host.
    pub fn series(&self) -> Vec<Option<SeriesKey>> {
        let series = |(gpu, source): (&Device, String)| {
            let text = |known: Result<&SafeText, _>| known.ok().map(SafeText::to_string);
            let is_own = self.counted_elsewhere(gpu).is_none();
            is_own.then(|| gpu_key(text(gpu.uuid()), Some(&self.node), text(gpu.bus_id()), &source))
        };
        self.gpus.iter().zip(super::timeline::gpu_sources(self)).map(series).collect()
    }
}

fn gpu_readings(report: &HostReport) -> impl Iterator<Item = SeriesReading> {
    report.gpus.iter().zip(report.series()).filter_map(|(gpu, key)| {
        let power = gpu.power().ok()?.power;
        Some(SeriesReading {
            key: key?,
            node: report.node.clone(),
            model: gpu.model().map(SafeText::to_string).unwrap_or_default(),
            reading: EnergyReading {
                at: report.span.answered_at,
                power,
                busy: gpu.utilization().ok().copied(),
                samples: gpu.power_samples.as_deref().map(sampled),
            },
        })
    })
}

fn sampled(samples: &PowerSamples) -> Sampled {
    Sampled {
        energy: samples.energy,
        covered: Duration::from_millis(crate::support::milliseconds(samples.covered)),
        samples: samples.counts.n_samples,
        min: samples.min,
        max: samples.max,
        variance_mj2: samples.variance_mj2,
    }
}

fn station_readings(account: &AccountReport) -> impl Iterator<Item = SeriesReading> {
    account.readings.iter().flat_map(|reading| FLOWS.into_iter().filter_map(|flow| of_flow(reading, flow)))
}

fn of_flow(reading: &StationReading, (quantity, flow): (Quantity, Flow)) -> Option<SeriesReading> {
    let power = *reading.device.typed::<Power>(quantity).ok()?;
    let serial = reading.station.serial.to_string();
    Some(SeriesReading {
        key: SeriesKey::Station { serial: serial.clone(), flow },
        node: serial,
        model: reading.station.model.to_string(),
        reading: EnergyReading { at: reading.at, power, busy: None, samples: None },
    })
}

/// The series of a GPU: by its identity, else by its place on its node, else by the source of its events.
fn gpu_key(uuid: Option<String>, node: Option<&str>, bus_id: Option<String>, source: &str) -> SeriesKey {
    match (uuid, node, bus_id) {
        (Some(uuid), ..) => SeriesKey::Gpu { uuid },
        (None, Some(node), Some(place)) => SeriesKey::GpuAt { node: node.to_owned(), place },
        (None, ..) => SeriesKey::Source(source.to_owned()),
    }
}

impl TimelineReader {
    /// A reader of timelines in which stations have these figures.
    pub fn new(figures: &[(Quantity, &'static str)]) -> Self {
        let flow = |(quantity, event_type): &(Quantity, &'static str)| {
            let (_, flow) = FLOWS.into_iter().find(|(flow, _)| flow == quantity)?;
            Some((*event_type, flow))
        };
        Self { flows: figures.iter().filter_map(flow).collect(), ..Self::default() }
    }

    /// The same for a timeline that has no ledger: rows of a poll by hand, which say that no ledger has them, count too.
    #[must_use]
    pub const fn without_ledger(mut self) -> Self {
        self.counts_all = true;
        self
    }

    /// Whether a ledger has a row with this metadata.
    fn counts(&self, facts: &Facts) -> bool {
        self.counts_all || facts.ledger != Some(false)
    }

    /// The event types that matter to the ledger.
    pub fn event_types(&self) -> impl Iterator<Item = &'static str> {
        [GPU_POWER, GPU_FACTS].into_iter().chain(self.flows.keys().copied())
    }

    /// The reading of a row; `None` of a row that is none, or that says nothing.
    pub fn read(&mut self, row: &TimelineRow<'_>) -> Option<SeriesReading> {
        match row.event_type {
            GPU_POWER => self.gpu(row),
            GPU_FACTS => {
                self.facts.insert(row.source.to_owned(), Facts::read(row.metadata));
                None
            }
            _ => self.station(row),
        }
    }

    fn gpu(&mut self, row: &TimelineRow<'_>) -> Option<SeriesReading> {
        let own = Facts::read(row.metadata);
        if own.counted_elsewhere.is_some() || !self.counts(&own) || self.is_read_twice(row, &own) {
            return None;
        }
        let kept = self.facts.get(row.source);
        let or_kept = |own: &Option<String>, of: fn(&Facts) -> &Option<String>| {
            own.clone().or_else(|| of(kept?).clone())
        };
        let node = or_kept(&own.node, |facts| &facts.node);
        let bus_id = or_kept(&own.gpu_bus_id, |facts| &facts.gpu_bus_id);
        let model = or_kept(&own.gpu_model, |facts| &facts.gpu_model);
        Some(SeriesReading {
            key: gpu_key(own.gpu_uuid.clone(), node.as_deref(), bus_id, row.source),
            node: node.unwrap_or_else(|| row.source.strip_prefix("gpu_").unwrap_or(row.source).to_owned()),
            model: model.unwrap_or_default(),
            reading: EnergyReading {
                at: row.at,
                power: Power::from_milliwatts(thousandths(row.value)?),
                busy: own.gpu_utilization_pct.and_then(thousandths).map(Share::from_millipercent),
                samples: own.samples(),
            },
        })
    }

    /// Whether it is another program's reading of a board that fleetwatt reads too: it would count twice.
    fn is_read_twice(&mut self, row: &TimelineRow<'_>, own: &Facts) -> bool {
        if own.gpu_uuid.is_none() && own.gpu_bus_id.is_none() {
            return self.named_at.get(row.source).is_some_and(|named| row.at.since(*named) <= NAMED_WITHIN);
        }
        match self.named_at.get_mut(row.source) {
            Some(named) => *named = row.at,
            None => drop(self.named_at.insert(row.source.to_owned(), row.at)),
        }
        false
    }

    fn station(&self, row: &TimelineRow<'_>) -> Option<SeriesReading> {
        let flow = *self.flows.get(row.event_type)?;
        let facts = Facts::read(row.metadata);
        let is_counted = self.counts(&facts);
        let serial = facts.device_sn.filter(|_| is_counted)?;
        Some(SeriesReading {
            key: SeriesKey::Station { serial: serial.clone(), flow },
            node: serial,
            model: facts.device_model.unwrap_or_default(),
            reading: EnergyReading {
                at: row.at,
                power: Power::from_milliwatts(thousandths(row.value)?),
                busy: None,
                samples: None,
            },
        })
    }
}

impl Facts {
    /// Of metadata that another program wrote, each key that has the type which it has here.
    fn read(metadata: &str) -> Self {
        serde_json::from_str(metadata).unwrap_or_else(|_| Self::read_leniently(metadata))
    }

    fn read_leniently(metadata: &str) -> Self {
        let object: serde_json::Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
        let single = |(key, value): (String, Value)| {
            let alone = Value::from_iter([(key.clone(), value.clone())]);
            Self::deserialize(alone).is_ok().then_some((key, value))
        };
        Self::deserialize(Value::from_iter(object.into_iter().filter_map(single))).unwrap_or_default()
    }

    fn samples(&self) -> Option<Sampled> {
        let power = |watts: f64| thousandths(watts).map(Power::from_milliwatts);
        Some(Sampled {
            energy: Energy::from_millijoules(thousandths(self.power_energy_j?)?),
            covered: Duration::from_millis(self.power_covered_ms?),
            samples: self.power_samples?,
            min: power(self.power_min_w?)?,
            max: power(self.power_max_w?)?,
            variance_mj2: self.power_variance_mj2.unwrap_or_default(),
        })
    }
}

/// A number in thousandths: exact for whatever was written in thousandths. `None` of what no 64 bits hold.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
fn thousandths(number: f64) -> Option<i64> {
    let scaled = (number * 1_000.0).round();
    (scaled.abs() < 9e15).then_some(scaled as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::InventorySent;
    use crate::batch::fixtures::{self, STARTED_AT};
    use crate::inventory::MetadataStyle;
    use crate::reading::{Absent, Fault, FaultKind, PowerKind, SampleCounts};

    const FIGURES: &[(Quantity, &str)] = &[
        (Quantity::PowerInput, "acme_power_input"),
        (Quantity::PowerOutput, "acme_power_output"),
        (Quantity::GridPower, "acme_grid_power"),
        (Quantity::SolarPower, "acme_solar_power"),
    ];

    fn read_back(batch: &Batch, style: MetadataStyle) -> Vec<SeriesReading> {
        let mut reader = TimelineReader::new(FIGURES);
        let events = batch.events(style, &mut InventorySent::default());
        events
            .iter()
            .filter_map(|event| {
                reader.read(&TimelineRow {
                    event_type: event.event_type,
                    source: &event.source,
                    value: event.value.unwrap_or_default(),
                    metadata: event.metadata.text(),
                    at: event.at,
                })
            })
            .collect()
    }

    fn with_stations() -> Batch {
        Batch { account: Some(fixtures::station_report()), ..fixtures::fleet() }
    }

    fn foreign(value: f64, metadata: &str) -> Option<SeriesReading> {
        foreign_from("gpu_redfin", value, metadata)
    }

    fn foreign_from(source: &str, value: f64, metadata: &str) -> Option<SeriesReading> {
        TimelineReader::new(FIGURES).read(&TimelineRow {
            event_type: "gpu_power_draw",
            source,
            value,
            metadata,
            at: STARTED_AT,
        })
    }

    #[test]
    fn the_rows_of_a_cycle_say_what_the_cycle_said() {
        let batch = with_stations();
        let mut own = batch.series_readings();
        // The rows of a slim timeline's stations have no model.
        assert!(own.iter().any(|one| one.key.to_string() == "station:9DNBH3D0PLDBLX1Y:solar"));
        assert_eq!(read_back(&batch, MetadataStyle::Full), own);
        for one in own.iter_mut().filter(|one| matches!(one.key, SeriesKey::Station { .. })) {
            one.model.clear();
        }
        assert_eq!(read_back(&batch, MetadataStyle::Slim), own);
    }

    #[test]
    fn a_board_that_two_hosts_show_is_read_once() {
        let mut batch = fixtures::fleet();
        let uuid = batch.reports[0].gpus[0].uuid().unwrap().clone();
        batch.reports[0].faults.push(Fault::new(FaultKind::CountedElsewhere, Some(uuid), "other"));
        let n_readings = fixtures::fleet().series_readings().len();
        assert_eq!(batch.series_readings().len(), n_readings - 1);
        assert_eq!(read_back(&batch, MetadataStyle::Full), batch.series_readings());
    }

    #[test]
    fn the_samples_of_a_cycle_come_back_whole() {
        let mut batch = fixtures::fleet();
        batch.reports[0].gpus[0].power_samples = Some(Box::new(PowerSamples {
            kind: PowerKind::Instant,
            mean: Power::from_milliwatts(123_457),
            min: Power::from_milliwatts(20_001),
            max: Power::from_milliwatts(299_999),
            counts: SampleCounts { n_samples: 59, n_absent: 1, ..SampleCounts::default() },
            energy: Energy::from_millijoules(7_345_679),
            covered: Duration::from_micros(59_876_543),
            variance_mj2: 12_345_678_901,
        }));
        assert_eq!(read_back(&batch, MetadataStyle::Full), batch.series_readings());
    }

    #[test]
    fn a_board_without_an_identity_is_known_by_its_place() {
        let mut batch = fixtures::fleet();
        batch.reports[0].gpus[0].set(Quantity::Uuid, Err(Absent::not_reported()));
        let key = batch.series_readings()[0].key.to_string();
        assert_eq!(key, "gpu:redfin/00000000:0B:00.0");
        assert_eq!(read_back(&batch, MetadataStyle::Slim)[0].key.to_string(), key);
    }

    #[test]
    fn a_row_of_another_program_is_a_series_by_its_source() {
        let read = foreign(231.4, r#"{"temp": 61, "gpu_utilization_pct": "98 %", "node": 3}"#).unwrap();
        assert_eq!((read.key.to_string().as_str(), read.node.as_str()), ("gpu_redfin", "redfin"));
        assert_eq!((read.reading.power, read.reading.busy), (Power::from_milliwatts(231_400), None));
        assert_eq!(foreign(1.0, "not JSON").unwrap().node, "redfin");
        assert_eq!(foreign(1.0, r#"{"ledger": false, "node": "n"}"#), None, "no ledger has it");
        assert!(foreign(f64::NAN, "{}").is_none() && foreign(1e300, "{}").is_none());
    }

    #[test]
    fn a_node_may_itself_be_called_gpu() {
        let nodes =
            ["gpu_gpu_1", "gpu_redfin", "redfin"].map(|source| foreign_from(source, 1.0, "{}").unwrap().node);
        assert_eq!(nodes, ["gpu_1", "redfin", "redfin"]);
    }

    #[test]
    fn a_board_that_two_programs_read_counts_once() {
        let mut reader = TimelineReader::new(FIGURES);
        let mut read = |minutes: u64, metadata| {
            let at = STARTED_AT.plus(Duration::from_mins(minutes));
            let row =
                TimelineRow { event_type: "gpu_power_draw", source: "gpu_redfin", value: 1.0, metadata, at };
            reader.read(&row).map(|read| read.key.to_string())
        };
        let (other, ours) = (r#"{"temp": 61}"#, r#"{"gpu_uuid": "GPU-1"}"#);
        assert_eq!(read(0, other).as_deref(), Some("gpu_redfin"));
        assert_eq!(read(1, ours).as_deref(), Some("gpu:GPU-1"));
        assert_eq!(read(16, other), None);
        // Ours has ended.
        assert_eq!(read(17, other).as_deref(), Some("gpu_redfin"));
    }

    proptest! {
        #[test]
        fn any_gpu_comes_back_as_it_was(gpu in fixtures::any_gpu()) {
            let mut batch = fixtures::fleet();
            batch.reports[0].gpus = vec![gpu];
            prop_assert_eq!(read_back(&batch, MetadataStyle::Full), batch.series_readings());
        }

        #[test]
        fn no_metadata_makes_it_panic(metadata in "\\PC*", value in any::<f64>()) {
            foreign(value, &metadata);
        }
    }
}
