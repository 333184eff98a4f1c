//! Rows that a table refuses: what waits, what is laid aside, and how it is brought in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::Path;

use fleetwatt::reading::error_chain;
use fleetwatt::store::{
    Error, Record, SpoolLimits, StoreUrl, Timeline, Writer, dead_letters, discard_dead_letters,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::ledger::energies;
use crate::ledger_reader::file;
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::{TABLE, batch, delivered, writer};
use crate::spool_proxy::Proxy;
use crate::store_story::{AT, event, new_id};

/// A trigger that refuses rows for which `condition` holds, each in words of its own.
fn trigger(condition: &str) -> String {
    format!(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF {condition} THEN RAISE EXCEPTION 'no place for % at %', new.source, new.created_at; END IF; \
         RETURN new; END $$; \
         CREATE TRIGGER no BEFORE INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION no()"
    )
}

async fn count(database: &Database, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap()
}

async fn n_aside(state_dir: &Path) -> usize {
    dead_letters(state_dir, 1_000).await.unwrap().len()
}

#[tokio::test]
async fn a_trigger_that_refuses_every_row_in_its_own_words_keeps_the_batches() {
    let database = Database::new("letters_all", &format!("{TABLE}; {}", trigger("true"))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    for number in 0..3 {
        let (id, events) = batch(number);
        let records = [Record::from_events(&events), energies(0..11)].concat();
        let left = writer.keep(id, &records, None).await.unwrap().backlog.unwrap();
        assert_eq!(left.batches, u64::from(number) + 1);
        assert!(matches!(left.error, Some(Error::Refused(_))));
    }
    database.run("DROP TRIGGER no ON unified_timeline").await;
    assert!(writer.replay(|_| ()).await.unwrap().backlog.is_none());
    assert_eq!((delivered(&database).await, n_aside(folder.path()).await), (vec![0, 1, 2], 0));
}

/// A server's timeline in which something was done to the ledger before two batches came: their events are there, and
/// that their energies are not is told. Afterwards no event says that it is not for the ledger, so that a rebuild finds
/// all of them.
async fn events_come_without_energies(name: &'static str, sql: &str) -> Error {
    let database = Database::new(name, TABLE).await;
    let (role, url) = (format!("{name}_role"), database.url("postgres", ""));
    Timeline::init(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap();
    let grants = format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON unified_timeline TO {role}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}; GRANT USAGE ON SCHEMA fleetwatt TO {role}; \
         GRANT ALL ON ALL TABLES IN SCHEMA fleetwatt TO {role}"
    );
    database.run(&format!("{grants}; {sql}")).await;
    let url = database.url(&role, "");
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &url).await;
    for number in 0..2 {
        let (id, events) = batch(number);
        let records = [Record::from_events(&events), energies(0..11)].concat();
        let receipt = writer.keep(id, &records, None).await.unwrap();
        assert!(receipt.backlog.is_none() && receipt.dead_letters == 0 && receipt.rows == 5, "{receipt:?}");
        assert!(receipt.energies_refused == 1 && receipt.cost_something(), "{receipt:?}");
    }
    assert_eq!((delivered(&database).await, n_aside(folder.path()).await), (vec![0, 1], 0));
    let marked = "SELECT count(*) FROM unified_timeline WHERE metadata ->> 'ledger' = 'false'";
    assert_eq!(count(&database, marked).await, 0, "a rebuild takes them");
    let timeline = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap();
    timeline.write(new_id(), &energies(0..11)).await.unwrap_err()
}

#[tokio::test]
async fn a_server_whose_ledger_refuses_energies_gets_the_events() {
    let sql = "ALTER TABLE fleetwatt.energy ADD CHECK (energy_mj < 0)";
    let error = events_come_without_energies("letters_energy", sql).await;
    assert!(matches!(error, Error::LedgerRefused(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_whose_ledger_is_hidden_from_its_writer_gets_the_events() {
    let sql = "ALTER TABLE fleetwatt.energy ENABLE ROW LEVEL SECURITY";
    let error = events_come_without_energies("letters_hidden", sql).await;
    assert!(matches!(error, Error::LedgerRefused(_)), "{error:?}");
}

#[tokio::test]
async fn a_trigger_that_keeps_energies_without_a_word_is_told() {
    let sql = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
               CREATE TRIGGER no BEFORE INSERT ON fleetwatt.energy FOR EACH ROW EXECUTE FUNCTION no()";
    let error = events_come_without_energies("letters_silent", sql).await;
    assert!(error_chain(&error).contains("some rows did not come to the ledger"), "{error:?}");
}

async fn a_file_gets_the_events_without_energies(action: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store_url = file(&folder);
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    let path = store_url.to_string();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path.strip_prefix("sqlite:").unwrap());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let trigger =
        format!("CREATE TRIGGER no BEFORE INSERT ON fleetwatt_energy BEGIN SELECT RAISE({action}); END");
    sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut connection).await.unwrap();
    let limits = SpoolLimits { bytes: 1 << 30, age: std::time::Duration::from_secs(3_600) };
    let mut writer =
        Writer::open(&folder.path().join("s"), &store_url, "unified_timeline", limits).await.unwrap();
    let (id, events) = batch(0);
    let records = [Record::from_events(&events), energies(0..11)].concat();
    let receipt = writer.keep(id, &records, None).await.unwrap();
    assert!(receipt.backlog.is_none() && receipt.dead_letters == 0 && receipt.rows == 5, "{receipt:?}");
    assert!(receipt.energies_refused == 1 && receipt.cost_something(), "{receipt:?}");
    let marked = "SELECT count(*) FROM unified_timeline WHERE metadata ->> 'ledger' = 0";
    let n_marked: i64 = sqlx::query_scalar(marked).fetch_one(&mut connection).await.unwrap();
    assert_eq!(n_marked, 0, "a rebuild takes them");
}

#[tokio::test]
async fn a_file_whose_ledger_refuses_energies_gets_the_events() {
    a_file_gets_the_events_without_energies("ABORT, 'no place'").await;
}

#[tokio::test]
async fn a_trigger_that_keeps_energies_of_a_file_without_a_word_is_told() {
    a_file_gets_the_events_without_energies("IGNORE").await;
}

#[tokio::test]
async fn a_batch_that_alone_is_refused_waits_for_the_next_and_holds_nobody_up() {
    let database = Database::new("letters_one", &format!("{TABLE}; {}", trigger("new.value = 0"))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    let (id, events) = batch(0);
    assert_eq!(
        writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap().batches,
        1
    );
    let (id, events) = batch(1);
    let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
    assert!(receipt.backlog.is_none() && receipt.dead_letters == 5 && receipt.batches == 1, "{receipt:?}");
    assert_eq!((delivered(&database).await, n_aside(folder.path()).await), (vec![1], 5));
}

#[tokio::test]
async fn what_was_laid_aside_comes_in_once_also_when_the_answer_to_its_commit_is_lost() {
    let sql = format!("{TABLE}; {}", trigger("new.source = 'gpu_2'"));
    for (name, has_ledger) in [("letters_ledger", true), ("letters_lookup", false)] {
        let database = Database::new(name, &sql).await;
        if has_ledger {
            let store_url = StoreUrl::parse(&database.url("postgres", ""), None).unwrap();
            Timeline::init(&store_url, "unified_timeline").await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let proxy = Proxy::before(database.server.port).await;
        let url = format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address);
        let mut writer = writer(folder.path(), &url).await;
        for number in 0..2 {
            let (id, events) = batch(number);
            assert_eq!(writer.keep(id, &Record::from_events(&events), None).await.unwrap().dead_letters, 1);
        }
        let retried = writer.retry_dead_letters(None).await.unwrap();
        assert_eq!((retried.taken, retried.refused, n_aside(folder.path()).await), (0, 2, 2));
        database.run("DROP TRIGGER no ON unified_timeline").await;
        proxy.swallow_commits(true);
        let retried = writer.retry_dead_letters(None).await.unwrap();
        assert_eq!((retried.taken, retried.receipt.unwrap().backlog.unwrap().batches), (2, 1));
        proxy.swallow_commits(false);
        assert!(writer.replay(|_| ()).await.unwrap().backlog.is_none());
        assert!(proxy.swallowed() > 0);
        assert_eq!((delivered(&database).await, n_aside(folder.path()).await), (vec![0, 1], 0), "{name}");
    }
}

#[tokio::test]
async fn many_rows_that_are_refused_among_good_ones_are_all_found() {
    let database =
        Database::new("letters_many", &format!("{TABLE}; {}", trigger("new.source = 'bad'"))).await;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    let name = |i| if i % 2 == 0 { "bad" } else { "good" };
    let events: Vec<_> = (0..1_600).map(|i| event(name(i), Some(1.0), json!({}), AT + i)).collect();
    assert_eq!(writer.keep(new_id(), &Record::from_events(&events), None).await.unwrap().dead_letters, 800);
    assert!(writer.replay(|_| ()).await.unwrap().backlog.is_none());
    assert_eq!(count(&database, "SELECT count(*) FROM unified_timeline WHERE source = 'good'").await, 800);
    let locks = "SELECT setting::bigint FROM pg_settings WHERE name = 'max_locks_per_transaction'";
    assert!(count(&database, locks).await < 800, "this is about more savepoints than there are locks for");
}

#[tokio::test]
async fn the_program_says_what_lies_aside_and_brings_it_in_or_discards_it() {
    let database =
        Database::new("letters_cli", &format!("{TABLE}; {}", trigger("new.event_type = 'node_up'"))).await;
    let home = Home::new().with("DATABASE_URL", database.url("postgres", ""));
    let demo = format!("{}/inventory/demo.toml", env!("CARGO_MANIFEST_DIR"));
    let run = |args: &[&str]| home.run(&[args, &["--inventory", &demo]].concat());
    let letters = |args: &[&str]| run(&[&["store", "dead-letters"], args].concat());
    let ran = run(&["poll", "--quiet"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("n_rows=6"), "{}", ran.stderr);
    let ran = letters(&["list", "--limit", "2"]);
    assert!(
        ran.stdout.contains("1  node_up node_redfin 1 of ") && ran.stdout.contains("no place for"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.ends_with("and 4 more; --limit shows them\n"), "{}", ran.stdout);
    let ran = letters(&["list", "--format", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((listed.len(), &listed[0]["source"]), (6, &json!("node_redfin")));
    // The next poll says it as an alert, and lays its own rows aside.
    assert_eq!(run(&["poll", "--quiet"]).code, Some(3));
    let alerts = "SELECT count(*) FROM unified_timeline WHERE event_type = 'alert' AND metadata ->> 'rule' = 'rows_refused'";
    assert_eq!(count(&database, alerts).await, 1);
    assert_eq!(letters(&["discard"]).code, Some(2), "neither numbers nor --all");
    assert!(letters(&["discard", "12"]).stdout.starts_with("1 row discarded"));
    let ran = letters(&["retry"]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    database.run("DROP TRIGGER no ON unified_timeline").await;
    let ran = letters(&["retry", "1", "2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "2 rows brought into the timeline\n"));
    assert_eq!(letters(&["retry"]).stdout, "9 rows brought into the timeline\n");
    let twice = "SELECT count(*) - count(DISTINCT (source, created_at)) FROM unified_timeline WHERE event_type = 'node_up'";
    assert_eq!(count(&database, twice).await, 0);
    assert_eq!(
        count(&database, "SELECT count(*) FROM unified_timeline WHERE event_type = 'node_up'").await,
        11
    );
    assert_eq!(letters(&["list"]).stdout, "no row lies aside\n");
    assert_eq!(discard_dead_letters(&home.path("s"), None).await.unwrap(), 0);
}
