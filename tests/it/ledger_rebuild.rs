//! A ledger that is computed again, in a SQLite file and in a PostgreSQL server alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use fleetwatt::batch::{BatchId, Event, Metadata};
use fleetwatt::ledger::{Book, EnergyReading, SeriesKey, SeriesReading};
use fleetwatt::reading::{Power, Timestamp, error_chain};
use fleetwatt::store::{
    CountedTwice, Error, KeptQuarters, LedgerReader, LedgerTotals, RebuildReport, RebuildRequest, Record,
    StoreUrl, Timeline, rebuild_ledger,
};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions};
use uuid::Uuid;

use crate::ledger_derive::{Batches, Figures, RULES, kept, write};
use crate::ledger_reader::{TABLE, at, file, quarter, server};
use crate::postgres::Database;
use crate::program::Home;

const REQUEST: RebuildRequest = RebuildRequest { from: None, to: None, dry_run: false, rules: RULES };
const DRY: RebuildRequest = RebuildRequest { dry_run: true, ..REQUEST };

async fn rebuild(store_url: &StoreUrl, request: RebuildRequest) -> RebuildReport {
    rebuild_ledger(store_url, TABLE, request, |_, _| ()).await.unwrap()
}

async fn all(store_url: &StoreUrl) -> Figures {
    kept(store_url, quarter(-99)..quarter(999)).await
}

/// A ledger that was kept.
async fn reference() -> Figures {
    let folder = tempfile::tempdir().unwrap();
    write(&file(&folder), true).await;
    all(&file(&folder)).await
}

/// Runs SQL in either database; `{}` stands before the names of the ledger's tables.
async fn run(store_url: &StoreUrl, sql: &str) {
    let url = store_url.to_string();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let sql = sql.replace("{}", "fleetwatt_");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut options.connect().await.unwrap()).await.unwrap();
    } else {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let sql = sql.replace("{}", "fleetwatt.");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut options.connect().await.unwrap()).await.unwrap();
    }
}

/// From now on a trigger keeps rows away from the ledger, without a word.
pub(crate) async fn keep_rows_away(store_url: &StoreUrl) {
    let sql = if store_url.is_file() {
        "CREATE TRIGGER away BEFORE INSERT ON fleetwatt_energy BEGIN SELECT RAISE(IGNORE); END"
    } else {
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER away BEFORE INSERT ON fleetwatt.energy FOR EACH ROW EXECUTE FUNCTION away()"
    };
    run(store_url, sql).await;
}

async fn nothing_is_removed_that_does_not_come_again(store_url: &StoreUrl) {
    write(store_url, true).await;
    let before = all(store_url).await;
    keep_rows_away(store_url).await;
    let refused = rebuild_ledger(store_url, TABLE, REQUEST, |_, _| ()).await.unwrap_err();
    assert!(error_chain(&refused).contains("some rows did not come to the ledger"), "{refused:?}");
    assert_eq!(all(store_url).await, before);
}

#[tokio::test]
async fn in_a_file_nothing_is_removed_that_does_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    nothing_is_removed_that_does_not_come_again(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_nothing_is_removed_that_does_not_come_again() {
    nothing_is_removed_that_does_not_come_again(&server("rebuild_away", "").await).await;
}

async fn one_that_was_kept_is_right(store_url: &StoreUrl) {
    write(store_url, true).await;
    let before = all(store_url).await;
    let report = rebuild(store_url, REQUEST).await;
    assert_eq!(report.quarters, Some(quarter(0)..quarter(14)));
    assert_eq!((report.n_different, report.differences.as_slice()), (0, &[][..]));
    assert_eq!(report.before, report.after);
    assert_eq!(all(store_url).await, before);
}

async fn a_timeline_of_before_gets_its_ledger(store_url: &StoreUrl) {
    write(store_url, false).await;
    let reference = reference().await;
    let energy = |is_wanted: fn(&str) -> bool| -> i64 {
        reference.iter().filter(|(key, _)| is_wanted(&key.0)).map(|(_, figures)| figures.0).sum()
    };
    let computed = LedgerTotals {
        rows: u64::try_from(reference.len()).unwrap(),
        energy_mj: energy(|key| !key.starts_with("station:")),
        flows_mj: energy(|key| key.starts_with("station:")),
    };
    let dry = rebuild(store_url, DRY).await;
    assert_eq!((dry.before, dry.after), (LedgerTotals::default(), computed));
    assert_eq!(dry.n_different, computed.rows);
    assert_eq!(all(store_url).await, Figures::new(), "a dry run writes nothing");
    let report = rebuild(store_url, REQUEST).await;
    assert_eq!(report, dry);
    assert_eq!(all(store_url).await, reference);
    // The first day of the largest series comes first.
    let first = &report.differences[0];
    assert_eq!((first.day, first.before_mj), (at(0), 0));
    assert!(report.differences.is_sorted_by_key(|one| -one.after_mj));
}

async fn what_is_wrong_is_told_and_mended(store_url: &StoreUrl) {
    write(store_url, true).await;
    let before = all(store_url).await;
    run(
        store_url,
        "UPDATE {}energy SET energy_mj = energy_mj + 5000 WHERE covered_ms = 900000 AND series = \
         (SELECT id FROM {}series WHERE key = 'gpu:GPU-2')",
    )
    .await;
    let report = rebuild(store_url, REQUEST).await;
    let n_whole = before.iter().filter(|(key, figures)| key.0 == "gpu:GPU-2" && figures.1 == 900_000).count();
    assert!(n_whole > 0);
    assert_eq!(report.n_different, u64::try_from(n_whole).unwrap());
    assert_eq!(report.differences.len(), 1);
    assert_eq!(report.before.energy_mj - report.after.energy_mj, 5_000 * i64::try_from(n_whole).unwrap());
    assert_eq!(all(store_url).await, before);
}

/// A ledger that began in the middle of its timeline, is computed again while its book is open, and goes on.
async fn the_ledger_goes_on_from_its_ends(store_url: &StoreUrl) {
    let mut batches = Batches::new(store_url).await;
    batches.write(0..3, false).await;
    batches.write(3..6, true).await;
    let report = rebuild(store_url, REQUEST).await;
    assert!(report.n_different > 0);
    batches.write(6..99, true).await;
    assert_eq!(all(store_url).await, reference().await);
    assert_eq!(rebuild(store_url, REQUEST).await.n_different, 0);
}

/// An hour of a board that draws 100 W and of its collector, which begins each cycle so late in its minute; the second
/// collector calls the node by another name.
fn an_hour(node: &str, late_us: i64) -> Vec<Record> {
    let reading = |minute: i64| {
        let time = Timestamp::from_micros(at(minute).micros() + late_us);
        let power = Power::from_watts(100);
        let reading = EnergyReading { at: time, power, busy: None, samples: None };
        let key = SeriesKey::Gpu { uuid: "GPU-1".to_owned() };
        let metadata = json!({"node": node, "gpu_uuid": "GPU-1", "gpu_model": "H100"});
        let event = Event {
            event_type: "gpu_power_draw",
            source: format!("gpu_{node}"),
            value: Some(power.watts()),
            metadata: Metadata::of(&metadata),
            at: time,
        };
        (SeriesReading { key, node: node.to_owned(), model: "H100".to_owned(), reading }, event)
    };
    let (readings, events): (Vec<_>, Vec<_>) = (0..60).map(reading).unzip();
    let energies = Book::default().book(&readings, None).rows;
    [Record::from_events(&events), Record::from_energies(&energies)].concat()
}

async fn what_two_collectors_added_is_told_and_mended(store_url: &StoreUrl) {
    Timeline::init(store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    let twice = async || {
        let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
        reader.counted_twice().await.unwrap()
    };
    timeline.write(BatchId(Uuid::from_u128(1)), &an_hour("n1", 0)).await.unwrap();
    assert_eq!(twice().await, None);
    timeline.write(BatchId(Uuid::from_u128(2)), &an_hour("n1.lab", 1_500_000)).await.unwrap();
    timeline.close().await;
    let expected =
        CountedTwice { series: 1, example: "gpu:GPU-1".to_owned(), quarters: quarter(0)..quarter(4) };
    assert_eq!(twice().await, Some(expected));
    let report = rebuild(store_url, REQUEST).await;
    assert_eq!(twice().await, None);
    // Of 59 minutes the first ones are measured in part, until the second collector is known.
    let hours_mj = |minutes: i64| minutes * 60 * 100_000;
    assert!((hours_mj(54)..=hours_mj(59)).contains(&report.after.energy_mj), "{report:?}");
    assert_eq!(report.before.energy_mj, 2 * hours_mj(58));
}

#[tokio::test]
async fn in_a_file_what_two_collectors_added_is_told_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    what_two_collectors_added_is_told_and_mended(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_what_two_collectors_added_is_told_and_mended() {
    what_two_collectors_added_is_told_and_mended(&server("rebuild_two", "").await).await;
}

async fn a_pruned_timeline_takes_nothing_from_its_ledger(store_url: &StoreUrl, before_minute: &str) {
    write(store_url, true).await;
    let before = all(store_url).await;
    run(store_url, &format!("DELETE FROM unified_timeline WHERE created_at < {before_minute}")).await;
    let report = rebuild(store_url, REQUEST).await;
    assert_eq!((report.quarters, report.kept), (None, Some(KeptQuarters::BeforeTimeline)));
    assert_eq!(all(store_url).await, before);
}

/// Others may keep the facts of boards longer than their readings.
async fn facts_from_before_the_readings_take_nothing_from_the_ledger(
    store_url: &StoreUrl,
    before_minute: &str,
) {
    write(store_url, true).await;
    let before = all(store_url).await;
    let sql = "DELETE FROM unified_timeline WHERE event_type <> 'gpu_inventory' AND created_at < ";
    run(store_url, &format!("{sql}{before_minute}")).await;
    let report = rebuild(store_url, REQUEST).await;
    assert_eq!((report.quarters, report.kept), (None, Some(KeptQuarters::BeforeTimeline)));
    assert_eq!(all(store_url).await, before);
}

#[tokio::test]
async fn in_a_file_facts_from_before_the_readings_take_nothing_from_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let minute = at(80).micros().to_string();
    facts_from_before_the_readings_take_nothing_from_the_ledger(&file(&folder), &minute).await;
}

#[tokio::test]
async fn in_a_server_facts_from_before_the_readings_take_nothing_from_the_ledger() {
    let store_url = server("rebuild_facts", "").await;
    let minute = format!("timestamptz '{}'", at(80));
    facts_from_before_the_readings_take_nothing_from_the_ledger(&store_url, &minute).await;
}

#[tokio::test]
async fn in_a_file_one_that_was_kept_is_right() {
    let folder = tempfile::tempdir().unwrap();
    one_that_was_kept_is_right(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_one_that_was_kept_is_right() {
    one_that_was_kept_is_right(&server("rebuild_right", "").await).await;
}

#[tokio::test]
async fn in_a_file_a_timeline_of_before_gets_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    a_timeline_of_before_gets_its_ledger(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_a_timeline_of_before_gets_its_ledger() {
    a_timeline_of_before_gets_its_ledger(&server("rebuild_before", "").await).await;
}

#[tokio::test]
async fn in_a_file_what_is_wrong_is_told_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    what_is_wrong_is_told_and_mended(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_what_is_wrong_is_told_and_mended() {
    what_is_wrong_is_told_and_mended(&server("rebuild_wrong", "").await).await;
}

#[tokio::test]
async fn in_a_file_the_ledger_goes_on_from_its_ends() {
    let folder = tempfile::tempdir().unwrap();
    the_ledger_goes_on_from_its_ends(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_the_ledger_goes_on_from_its_ends() {
    the_ledger_goes_on_from_its_ends(&server("rebuild_on", "").await).await;
}

#[tokio::test]
async fn in_a_file_a_pruned_timeline_takes_nothing_from_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    a_pruned_timeline_takes_nothing_from_its_ledger(&file(&folder), &at(80).micros().to_string()).await;
}

#[tokio::test]
async fn in_a_server_a_pruned_timeline_takes_nothing_from_its_ledger() {
    let store_url = server("rebuild_pruned", "").await;
    a_pruned_timeline_takes_nothing_from_its_ledger(&store_url, &format!("timestamptz '{}'", at(80))).await;
}

#[tokio::test]
async fn a_role_that_may_not_replace_rows_is_given_the_grant() {
    let sql = "CREATE ROLE rebuild_role LOGIN; GRANT CREATE ON SCHEMA public TO rebuild_role; \
               GRANT CREATE ON DATABASE rebuild_role TO rebuild_role";
    let database = Database::new("rebuild_role", sql).await;
    let store_url = StoreUrl::parse(&database.url("rebuild_role", ""), None).unwrap();
    Timeline::init(&store_url, TABLE).await.unwrap();
    database.run("ALTER TABLE fleetwatt.energy OWNER TO postgres").await;
    database.run("GRANT SELECT, INSERT, UPDATE ON fleetwatt.energy TO rebuild_role").await;
    let refused = rebuild_ledger(&store_url, TABLE, REQUEST, |_, _| ()).await;
    let Err(Error::Permission(_, grants, _)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        grants,
        [
            "GRANT SELECT, INSERT, UPDATE, DELETE ON fleetwatt.series, fleetwatt.node, fleetwatt.energy TO \"rebuild_role\";"
        ]
    );
}

fn demo(home: &Home) -> String {
    let demo = format!("{}/fixtures/demo", env!("CARGO_MANIFEST_DIR"));
    let text = format!("[[host]]\nname = \"redfin\"\nscripted = \"{demo}/redfin.toml\"\n");
    home.inventory(&text).to_str().unwrap().to_owned()
}

#[test]
fn the_program_says_what_is_in_its_ledger_and_what_differs() {
    let home = Home::new();
    let inventory = demo(&home);
    let ledger = |args: &[&str]| home.run(&[&["ledger", "--inventory", &inventory], args].concat());
    let nothing = ledger(&["status"]);
    assert_eq!(nothing.code, Some(0));
    assert!(nothing.stdout.contains("the file is not there"), "{}", nothing.stdout);
    assert_eq!(ledger(&["rebuild"]).code, Some(1));
    assert!(!home.path("s/fleetwatt.db").exists(), "status and rebuild create no timeline");
    for _ in 0..2 {
        assert_eq!(home.poll(std::path::Path::new(&inventory), &[]).code, Some(0));
    }
    let status = ledger(&["status"]);
    assert!(status.stdout.starts_with("ledger    there, and kept by this role\n"), "{}", status.stdout);
    assert!(status.stdout.contains("content   1 GPU on 1 node\n"), "{}", status.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&ledger(&["status", "--format", "json"]).stdout).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["series"].as_i64()),
        (Some("fleetwatt.ledger_status/1"), Some(1))
    );
    home.query::<(i64,)>("UPDATE fleetwatt_energy SET samples = samples + 1 RETURNING 1");
    let before = home.query::<(i64,)>("SELECT sum(samples) FROM fleetwatt_energy");
    let from = json["from"].as_str().unwrap();
    for (args, n_more) in
        [(&["rebuild", "--from", from, "--dry-run"][..], 0), (&["rebuild", "--from", from], 1)]
    {
        let rebuilt = ledger(args);
        assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.stderr);
        assert!(rebuilt.stdout.contains("differ    "), "{}", rebuilt.stdout);
        let after = home.query::<(i64,)>("SELECT sum(samples) FROM fleetwatt_energy");
        assert!(before[0].0 - after[0].0 >= n_more, "{before:?} {after:?} {}", rebuilt.stdout);
    }
    assert!(ledger(&["rebuild", "--from", from]).stdout.contains("differ    none"));
}
