//! The ledger that follows from a timeline, read from a SQLite file and from a PostgreSQL server alike: it is the one that
//! was kept.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::ops::Range;

use fleetwatt::batch::{BatchId, Event, Metadata};
use fleetwatt::battery::VENDOR;
use fleetwatt::ledger::{Book, EnergyReading, Flow, LastSeen, Names, NumberedRow, SeriesKey, SeriesReading};
use fleetwatt::reading::{Power, Quarter};
use fleetwatt::store::{DerivationRules, Derived, LedgerReader, Record, StoreUrl, Timeline};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ledger_reader::{TABLE, at, file, quarter, server};

/// The rules of who keeps the ledger here.
pub(crate) const RULES: DerivationRules = DerivationRules { figures: VENDOR.figures, max_gap: None };

/// Energy, covered time, samples, least and largest by series, its model, node and quarter.
pub(crate) type Figures =
    BTreeMap<(String, String, String, Quarter), (i64, i64, i64, Option<i64>, Option<i64>)>;

/// Minutes of readings that are kept: with two gaps.
fn minutes() -> impl Iterator<Item = i64> {
    (0..200).filter(|minute| !(40..55).contains(minute) && !(100..160).contains(minute))
}

/// A board that moves from one node to another, one of another program, one of a slim timeline, and a station.
const SERIES: [&str; 4] = ["full", "foreign", "slim", "station"];

/// A reading and its event; `None` where it has none at that time.
fn at_minute(kind: &str, minute: i64) -> Option<(SeriesReading, Event)> {
    let milliwatts = 100_000 + 1_237 * (minute % 17);
    let node = if minute < 90 { "n1" } else { "n2" };
    let uuid = |uuid: &str| SeriesKey::Gpu { uuid: uuid.to_owned() };
    let (key, node, model, event_type, source, metadata): (_, _, _, _, String, Value) = match kind {
        "full" => {
            let metadata =
                json!({"node": node, "gpu_uuid": "GPU-1", "gpu_bus_id": "0:1", "gpu_model": "H100"});
            (uuid("GPU-1"), node, "H100", "gpu_power_draw", format!("gpu_{node}"), metadata)
        }
        "foreign" if minute % 2 == 0 => {
            let key = SeriesKey::Source("gpu_redfin".to_owned());
            (key, "redfin", "", "gpu_power_draw", "gpu_redfin".to_owned(), json!({"temp": 61}))
        }
        "foreign" => return None,
        "slim" => (
            uuid("GPU-2"),
            "n3",
            "A100",
            "gpu_power_draw",
            "gpu_n3_0".to_owned(),
            json!({"gpu_uuid": "GPU-2"}),
        ),
        _ => {
            let key = SeriesKey::Station { serial: "S1".to_owned(), flow: Flow::Solar };
            (key, "S1", "", "solix_solar_power", "solix_s1".to_owned(), json!({"device_sn": "S1"}))
        }
    };
    let power = Power::from_milliwatts(milliwatts);
    let reading = EnergyReading { at: at(minute), power, busy: None, samples: None };
    let event = Event {
        event_type,
        source,
        value: Some(power.watts()),
        metadata: Metadata::of(&metadata),
        at: at(minute),
    };
    Some((SeriesReading { key, node: node.to_owned(), model: model.to_owned(), reading }, event))
}

/// The facts of the slim board, and rows that are no readings.
fn other_events() -> Vec<Event> {
    let event = |event_type, source: &str, value, minute, metadata: Value| Event {
        event_type,
        source: source.to_owned(),
        value,
        metadata: Metadata::of(&metadata),
        at: at(minute),
    };
    let elsewhere = json!({"node": "n9", "gpu_uuid": "GPU-1", "counted_elsewhere": "n1"});
    vec![
        event("gpu_inventory", "gpu_n3_0", None, 0, json!({"node": "n3", "gpu_model": "A100"})),
        event("gpu_power_draw", "gpu_n9", Some(900.0), 3, elsewhere),
        event("gpu_power_draw", "gpu_redfin", None, 5, json!({})),
        event("gpu_temperature", "gpu_n1", Some(70.0), 5, json!({})),
    ]
}

/// Batches of a quarter-hour each, and the book that their energies are kept by.
pub(crate) struct Batches {
    store_url: StoreUrl,
    book: Book,
}

impl Batches {
    pub(crate) async fn new(store_url: &StoreUrl) -> Self {
        Timeline::init(store_url, TABLE).await.unwrap();
        Self { store_url: store_url.clone(), book: Book::default() }
    }

    /// Writes some batches, with their energies or without.
    pub(crate) async fn write(&mut self, numbers: Range<usize>, with_energies: bool) {
        let timeline = Timeline::open(&self.store_url, TABLE).await.unwrap();
        let minutes: Vec<i64> = minutes().collect();
        for (number, chunk) in minutes.chunks(15).enumerate().filter(|(number, _)| numbers.contains(number)) {
            let of_minute = |minute: &i64| SERIES.map(|kind| at_minute(kind, *minute));
            let (readings, mut events): (Vec<_>, Vec<_>) = chunk.iter().flat_map(of_minute).flatten().unzip();
            if number == 0 {
                events.extend(other_events());
            }
            let mut records = Record::from_events(&events);
            if with_energies {
                let booking = self.book.book(&readings, None);
                self.book = self.book.after(&booking, at(0));
                records.extend(Record::from_energies(&booking.rows));
            }
            let id = BatchId(Uuid::from_u128(u128::try_from(number).unwrap()));
            timeline.write(id, &records).await.unwrap();
        }
        timeline.close().await;
    }
}

/// Writes all batches.
pub(crate) async fn write(store_url: &StoreUrl, with_energies: bool) {
    Batches::new(store_url).await.write(0..99, with_energies).await;
}

pub(crate) fn figures(rows: Vec<NumberedRow>, names: &Names) -> Figures {
    let n_rows = rows.len();
    let figure = |row: NumberedRow| {
        let (name, entry) = (&names.series[&row.series], row.entry);
        let key = (name.key.clone(), name.model.clone(), names.nodes[&row.node].clone(), row.quarter);
        (key, (entry.energy_mj, entry.covered_ms, entry.samples, entry.min_mw, entry.max_mw))
    };
    let figures: Figures = rows.into_iter().map(figure).collect();
    assert_eq!(figures.len(), n_rows, "a row came twice");
    figures
}

pub(crate) async fn kept(store_url: &StoreUrl, quarters: Range<Quarter>) -> Figures {
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    let mut rows = Vec::new();
    reader.rows(quarters, |row| rows.push(row)).await.unwrap();
    figures(rows, &reader.names().await.unwrap())
}

async fn derived(store_url: &StoreUrl, quarters: Range<Quarter>) -> Figures {
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    let mut rows = Vec::new();
    let derived = reader.derive(quarters, &RULES, |row| rows.push(row)).await.unwrap();
    figures(rows, &derived.names)
}

async fn is_the_one_that_was_kept(store_url: &StoreUrl) {
    write(store_url, true).await;
    let all = quarter(-9)..quarter(99);
    let figures = kept(store_url, all.clone()).await;
    assert_eq!(derived(store_url, all).await, figures);
    // 14 quarters, of which three are in a gap, and a part of one on another node.
    assert_eq!(figures.len(), 4 * 11 + 1);
    // A part has the segments that cross its ends.
    assert_eq!(
        derived(store_url, quarter(2)..quarter(4)).await,
        kept(store_url, quarter(2)..quarter(4)).await
    );
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    assert_eq!(reader.timeline_ends(&RULES).await.unwrap(), Some((at(0), at(199))));
}

/// The key and node of each series that was seen before a quarter, with the quarter of its last reading.
async fn seen_before(store_url: &StoreUrl, start: Quarter) -> BTreeMap<String, (String, Quarter)> {
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    let Derived { names, last_seen } = reader.derive(start..start.plus(4), &RULES, |_| ()).await.unwrap();
    let seen = |seen: LastSeen| {
        (names.series[&seen.series].key.clone(), (names.nodes[&seen.node].clone(), seen.quarter))
    };
    last_seen.into_iter().map(seen).collect()
}

async fn boards_that_went_down_before_are_known(store_url: &StoreUrl) {
    write(store_url, false).await;
    let last = |node: &str| (node.to_owned(), quarter(13));
    let boards = [("gpu:GPU-1", last("n2")), ("gpu:GPU-2", last("n3")), ("gpu_redfin", last("redfin"))];
    let boards: BTreeMap<_, _> = boards.map(|(key, seen)| (key.to_owned(), seen)).into();
    // Five days later, and an hour later, when the rows are read anyway.
    assert_eq!(seen_before(store_url, quarter(5 * 96)).await, boards);
    let mut all = boards;
    all.insert("station:S1:solar".to_owned(), last("S1"));
    assert_eq!(seen_before(store_url, quarter(18)).await, all);
    assert_eq!(seen_before(store_url, quarter(0)).await, BTreeMap::new());
    assert_eq!(seen_before(store_url, quarter(40 * 96)).await, BTreeMap::new());
}

#[tokio::test]
async fn in_a_file_boards_that_went_down_before_are_known() {
    let folder = tempfile::tempdir().unwrap();
    boards_that_went_down_before_are_known(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_boards_that_went_down_before_are_known() {
    boards_that_went_down_before_are_known(&server("derive_before", "").await).await;
}

#[tokio::test]
async fn in_a_file_it_is_the_one_that_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    is_the_one_that_was_kept(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_it_is_the_one_that_was_kept() {
    is_the_one_that_was_kept(&server("ledger_derived", "").await).await;
}

#[tokio::test]
async fn a_table_without_zones_and_json_gives_the_same() {
    let table = "CREATE TABLE unified_timeline (event_type varchar(64), source varchar(80), value numeric, metadata text, \
                 created_at timestamp); GRANT ALL ON unified_timeline TO ledger_zones";
    is_the_one_that_was_kept(&server("ledger_zones", table).await).await;
}

#[tokio::test]
async fn an_empty_timeline_has_none() {
    let folder = tempfile::tempdir().unwrap();
    Timeline::init(&file(&folder), TABLE).await.unwrap();
    assert_eq!(derived(&file(&folder), quarter(0)..quarter(99)).await, Figures::new());
    let mut reader = LedgerReader::open(&file(&folder), TABLE).await.unwrap().unwrap();
    assert_eq!(reader.timeline_ends(&RULES).await.unwrap(), None);
}

#[tokio::test]
async fn rows_that_no_ledger_has_count_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store_url = file(&folder);
    Timeline::init(&store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(&store_url, TABLE).await.unwrap();
    let events: Vec<Event> = (0..9).map(|minute| at_minute("full", minute).unwrap().1).collect();
    let mut records = Record::from_events(&events);
    records.iter_mut().for_each(Record::leave_out_of_ledger);
    timeline.write(BatchId(Uuid::from_u128(1)), &records).await.unwrap();
    timeline.close().await;
    assert_eq!(derived(&store_url, quarter(0)..quarter(9)).await, Figures::new());
    let path = store_url.to_string();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path.strip_prefix("sqlite:").unwrap());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("DROP TABLE fleetwatt_energy").execute(&mut connection).await.unwrap();
    assert_eq!(derived(&store_url, quarter(0)..quarter(9)).await.len(), 1);
}
