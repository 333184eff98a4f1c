//! A small mixed fleet for the tests of this room and of `output`. The numbers are those of captured
//! answers where the board is one of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::reading::{
    Absent, AccountReport, DataSource, Device, DeviceKind, Energy, Failure, FailureKind, Fault, FaultKind,
    GridState, Memory, Outcome, PollingMode, Power, Presence, Quantity, Reason, SafeText, Share, Span,
    Station, StationReading, StationStatus, Temperature, Timestamp, Value, Vendor,
};

use super::{Batch, BatchId, Event, HostReport};

/// 2026-11-24T07:00:00Z.
pub(crate) const STARTED_AT: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

/// A single GPU, eight with one lost, a changed host key, MIG without utilisation, a GB10 without limit
/// and memory.
pub(crate) fn fleet() -> Batch {
    Batch {
        id: BatchId(Uuid::from_u128(0x019a_b5c0_0000_7000_8000_0000_0000_0001)),
        started_at: STARTED_AT,
        reports: vec![single(), eight_with_one_lost(), failed("node003"), mig(), gb10()],
        account: None,
    }
}

/// A host without GPUs that is up.
pub(crate) fn host(node: &str, n_gpus: usize) -> HostReport {
    HostReport {
        node: node.to_owned(),
        address: format!("{node}.example"),
        jump: None,
        labels: BTreeMap::new(),
        span: Span {
            asked_at: STARTED_AT.plus(Duration::from_millis(10)),
            answered_at: STARTED_AT.plus(Duration::from_millis(767)),
        },
        probe_time: Duration::from_millis(231),
        outcome: Outcome::Complete,
        gpus: Vec::new(),
        gpus_expected: Some(n_gpus),
        faults: Vec::new(),
        samples: None,
        maintenance: false,
    }
}

/// A GPU that draws this many milliwatts.
pub(crate) fn gpu(index: u32, milliwatts: i64) -> Device {
    Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::NotSupported, "[N/A]"))
        .with(Quantity::Index, index)
        .with(Quantity::Uuid, SafeText::new(&format!("GPU-7f9a1c00-0000-0000-0000-00000000000{index}")))
        .with(Quantity::BusId, SafeText::new(&format!("00000000:{:02X}:00.0", 0x0b + index)))
        .with(Quantity::Model, SafeText::new("H100 80GB HBM3"))
        .with(Quantity::DriverVersion, SafeText::new("590.48.01"))
        .with(Quantity::PowerDraw, Power::from_milliwatts(milliwatts))
        .with(Quantity::PowerAverage, Power::from_milliwatts(milliwatts))
        .with(Quantity::PowerInstant, Power::from_milliwatts(milliwatts + 1_130))
        .with(Quantity::PowerLimitRequested, Power::from_watts(700))
        .with(Quantity::PowerLimitEnforced, Power::from_watts(700))
        .with(Quantity::Temperature, Temperature::from_millicelsius(64_000))
        .with(Quantity::MemoryUsed, Memory::from_mebibytes(71_232))
        .with(Quantity::MemoryTotal, Memory::from_mebibytes(81_559))
        .with(Quantity::Utilization, Share::from_millipercent(98_000))
        .with(Quantity::Persistence, true)
        .with(Quantity::PerformanceState, SafeText::new("P0"))
        .with(Quantity::ClocksEventReasons, 4_u64)
}

/// Any GPU: each quantity is there or absent.
pub(crate) fn any_gpu() -> impl Strategy<Value = Device> {
    prop::collection::vec(any::<bool>(), Quantity::ALL.len()).prop_map(|has| {
        let mut gpu =
            Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::UnknownError, "[Unknown Error]"));
        for (quantity, _) in Quantity::of(DeviceKind::Gpu).zip(has).filter(|(_, has)| *has) {
            let value = match quantity.columns().unit {
                Value::Power(_) => Power::from_watts(100).into(),
                Value::Temperature(_) => Temperature::from_millicelsius(50_000).into(),
                Value::Share(_) => Share::from_millipercent(50_000).into(),
                Value::Energy(_) => Energy::from_millijoules(3_600_000).into(),
                Value::Memory(_) => Memory::from_mebibytes(1024).into(),
                Value::Index(_) => 0_u32.into(),
                Value::Mask(_) => 0_u64.into(),
                Value::Switch(_) => true.into(),
                Value::Text(_) => SafeText::new("text").into(),
                Value::Label(_) => continue,
            };
            if Device::derivation(quantity).is_none() {
                gpu.set(quantity, Ok(value));
            }
        }
        gpu
    })
}

fn single() -> HostReport {
    let mut report = host("redfin", 1);
    report.address = "localhost".to_owned();
    report.labels = BTreeMap::from([("room".to_owned(), "lab".to_owned())]);
    report.gpus = vec![
        gpu(0, 285_500)
            .with(Quantity::Model, SafeText::new("GeForce RTX 3090"))
            .with(Quantity::PowerLimitRequested, Power::from_watts(300))
            .without(Quantity::PowerLimitEnforced, Absent::not_asked())
            .without(Quantity::PowerAverage, Absent::not_asked())
            .without(Quantity::PowerInstant, Absent::not_asked())
            .with(Quantity::Temperature, Temperature::from_millicelsius(86_000))
            .with(Quantity::MemoryUsed, Memory::from_mebibytes(876))
            .with(Quantity::MemoryTotal, Memory::from_mebibytes(24_576))
            .with(Quantity::FanSpeed, Share::from_millipercent(71_000)),
    ];
    report
}

fn eight_with_one_lost() -> HostReport {
    let mut report = host("node001", 8);
    report.outcome = Outcome::Partial;
    report.gpus = (0..8).map(|index| gpu(index, 612_250)).collect();
    let known = report.gpus[5].clone();
    report.gpus[5] = Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::GpuLost, "[GPU is lost]"));
    for quantity in [Quantity::Index, Quantity::Uuid, Quantity::BusId] {
        report.gpus[5].set(quantity, known.get(quantity).map(Cow::into_owned).map_err(Cow::into_owned));
    }
    let lost = Fault::new(FaultKind::GpuLost, known.uuid().ok().cloned(), "[GPU is lost]");
    report.faults = vec![lost];
    report
}

/// A host with one GPU whose host key has changed.
pub(crate) fn failed(node: &str) -> HostReport {
    let evidence = "Host key verification failed.";
    HostReport {
        outcome: Outcome::Failed(Failure::new(FailureKind::HostKeyChanged, evidence)),
        ..host(node, 1)
    }
}

fn mig() -> HostReport {
    let mut report = host("mig01", 1);
    report.gpus = vec![
        gpu(0, 211_400)
            .with(Quantity::Model, SafeText::new("A100-SXM4-40GB"))
            .without(Quantity::Utilization, Absent::new(Reason::NotSupported, "[N/A]"))
            .with(Quantity::PowerLimitRequested, Power::from_watts(400))
            .with(Quantity::PowerLimitEnforced, Power::from_watts(400))
            .with(Quantity::MemoryTotal, Memory::from_mebibytes(40_960))
            .with(Quantity::MemoryUsed, Memory::from_mebibytes(19_802)),
    ];
    report
}

fn gb10() -> HostReport {
    let mut report = host("spark", 1);
    let absent = Absent::new(Reason::NotSupported, "[N/A]");
    report.gpus = vec![
        gpu(0, 11_320)
            .with(Quantity::Model, SafeText::new("GB10"))
            .without(Quantity::PowerLimitRequested, absent.clone())
            .without(Quantity::PowerLimitEnforced, absent.clone())
            .without(Quantity::MemoryUsed, Absent::new(Reason::NotSupported, "[Not Supported]"))
            .without(Quantity::MemoryTotal, absent)
            .with(Quantity::Utilization, Share::from_millipercent(0))
            .with(Quantity::Temperature, Temperature::from_millicelsius(41_000)),
    ];
    report
}

/// The vendor of the fixtures.
static VENDOR: Vendor = Vendor {
    label: "Acme",
    source: "acme",
    up: "acme_up",
    heartbeat: "acme_heartbeat",
    figures: &[
        (Quantity::StateOfCharge, "acme_battery_soc"),
        (Quantity::PowerInput, "acme_power_input"),
        (Quantity::PowerOutput, "acme_power_output"),
        (Quantity::GridPower, "acme_grid_power"),
        (Quantity::SolarPower, "acme_solar_power"),
    ],
};

/// An account of which no station is known.
pub(crate) fn no_stations() -> AccountReport {
    AccountReport::new(&VENDOR)
}

/// A session that works, with one station that answered once.
pub(crate) fn station_report() -> AccountReport {
    let reading = station_reading();
    AccountReport {
        stations: vec![StationStatus {
            station: reading.station.clone(),
            presence: Presence::Live,
            last: Some(reading.clone()),
        }],
        readings: vec![reading],
        ..no_stations()
    }
}

/// An F3800 Plus on solar panels that draws from its battery, two and a half seconds before the cycle.
pub(crate) fn station_reading() -> StationReading {
    let fields =
        [("ac_output_power", 820.into()), ("battery_soc", 87.into()), ("sw_version", "2.6.5".into())];
    StationReading {
        station: Station {
            serial: SafeText::new("9DNBH3D0PLDBLX1Y"),
            model: SafeText::new("A1790P"),
            name: SafeText::new("F3800 Plus"),
        },
        at: STARTED_AT.minus(Duration::from_millis(2_500)),
        source: DataSource::Mqtt,
        mode: PollingMode::Normal,
        device: Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
            .with(Quantity::StateOfCharge, Share::from_millipercent(87_000))
            .with(Quantity::PowerInput, Power::from_watts(412))
            .with(Quantity::PowerOutput, Power::from_milliwatts(835_500))
            .with(Quantity::GridPower, Power::from_watts(0))
            .with(Quantity::SolarPower, Power::from_watts(412))
            .with(Quantity::Capacity, Energy::from_millijoules(3_840 * 3_600_000)),
        grid: GridState::Absent,
        raw_keys: fields.iter().map(|(key, _)| (*key).to_owned()).collect(),
        fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

/// An event with its metadata read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) event_type: &'static str,
    pub(crate) source: String,
    pub(crate) value: Option<f64>,
    pub(crate) metadata: Map<String, Json>,
    pub(crate) at: Timestamp,
}

pub(crate) fn seen(events: &[Event]) -> Vec<Seen> {
    let read = |event: &Event| Seen {
        event_type: event.event_type,
        source: event.source.clone(),
        value: event.value,
        metadata: serde_json::from_str(event.metadata.text()).expect("metadata is an object"),
        at: event.at,
    };
    events.iter().map(read).collect()
}
