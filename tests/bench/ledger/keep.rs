//! The time that a batch of a thousand GPUs takes without and with its ledger, from the readings to the commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleetwatt::batch::{Batch, BatchId, HostReport, InventorySent};
use fleetwatt::inventory::MetadataStyle;
use fleetwatt::ledger::Book;
use fleetwatt::reading::{
    Absent, Device, DeviceKind, Memory, Outcome, Power, Quantity, Reason, SafeText, Share, Span, Temperature,
    Timestamp,
};
use fleetwatt::store::{Record, StoreUrl, Timeline};
use uuid::Uuid;

use super::fill::Place;
use super::median;

const N_NODES: u32 = 125;

/// 2026-12-15T00:00:00Z, after all that is filled.
const FROM: i64 = 1_797_292_800;

/// Batches of a round: two quarter-hours.
const N_BATCHES: i64 = 30;

/// Writes batches a minute apart, in turn without and with their energies.
pub(super) async fn measure(place: &Place, rounds: usize) {
    let store_url = StoreUrl::parse(&place.url(), None).unwrap();
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut book = Book::default();
    for minute in 0..i64::try_from(rounds).unwrap() * N_BATCHES {
        let batch = batch(FROM + minute * 60);
        without.push(events_alone(&timeline, &batch).await);
        let (took, after) = with_ledger(&timeline, &batch, &book).await;
        book = after;
        with.push(took);
    }
    timeline.close().await;
    let (without, with) = (median(without), median(with));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("  a batch of 1,000 GPUs, events   {without:>9.1?}");
    println!("  the same with its ledger        {with:>9.1?}  {ratio:.2} times");
}

async fn events_alone(timeline: &Timeline, batch: &Batch) -> Duration {
    let began_at = Instant::now();
    let records = Record::from_events(&batch.events(MetadataStyle::Full, &mut InventorySent::default()));
    timeline.write(BatchId(Uuid::now_v7()), &records).await.unwrap();
    began_at.elapsed()
}

/// The ends of the series are written out too, as they are for each batch.
async fn with_ledger(timeline: &Timeline, batch: &Batch, book: &Book) -> (Duration, Book) {
    let began_at = Instant::now();
    let mut records = Record::from_events(&batch.events(MetadataStyle::Full, &mut InventorySent::default()));
    let booking = book.book(&batch.series_readings(), None);
    let after = book.after(&booking, batch.started_at);
    records.extend(Record::from_energies(&booking.rows));
    std::hint::black_box(serde_json::to_string(&after).unwrap());
    timeline.write(BatchId(Uuid::now_v7()), &records).await.unwrap();
    (began_at.elapsed(), after)
}

fn batch(seconds: i64) -> Batch {
    let at = Timestamp::from_micros(seconds * 1_000_000);
    Batch {
        id: BatchId(Uuid::now_v7()),
        started_at: at,
        reports: (0..N_NODES).map(|node| report(node, at)).collect(),
        account: None,
    }
}

fn report(node: u32, at: Timestamp) -> HostReport {
    HostReport {
        node: format!("keep{node:03}"),
        address: format!("10.0.0.{node}"),
        jump: None,
        labels: BTreeMap::from([("site".to_owned(), "hall".to_owned())]),
        span: Span { asked_at: at, answered_at: at.plus(Duration::from_millis(300)) },
        probe_time: Duration::from_millis(100),
        outcome: Outcome::Complete,
        gpus: (0..8).map(|index| gpu(node, index, at)).collect(),
        gpus_expected: Some(8),
        faults: Vec::new(),
        samples: None,
        maintenance: false,
    }
}

fn gpu(node: u32, index: u32, at: Timestamp) -> Device {
    let watts =
        300 + i32::try_from((i64::from(node * 8 + index) * 7_919 + at.micros() / 60_000_000) % 360).unwrap();
    let power = Power::from_watts(watts);
    Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::NotSupported, "[N/A]"))
        .with(Quantity::Index, index)
        .with(Quantity::Uuid, SafeText::new(&format!("GPU-{node:08x}-0000-0000-0000-{index:012x}")))
        .with(Quantity::BusId, SafeText::new(&format!("00000000:{:02X}:00.0", 0x0b + index)))
        .with(Quantity::Model, SafeText::new("NVIDIA H100 80GB HBM3"))
        .with(Quantity::DriverVersion, SafeText::new("590.48.01"))
        .with(Quantity::PowerDraw, power)
        .with(Quantity::PowerAverage, power)
        .with(Quantity::PowerInstant, power)
        .with(Quantity::PowerLimitRequested, Power::from_watts(700))
        .with(Quantity::PowerLimitEnforced, Power::from_watts(700))
        .with(Quantity::Temperature, Temperature::from_millicelsius(61_000))
        .with(Quantity::MemoryUsed, Memory::from_mebibytes(71_232))
        .with(Quantity::MemoryTotal, Memory::from_mebibytes(81_559))
        .with(Quantity::Utilization, Share::from_millipercent(97_000))
        .with(Quantity::PerformanceState, SafeText::new("P0"))
}
