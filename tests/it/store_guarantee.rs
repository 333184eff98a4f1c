//! What keeps batches from being doubled is tried, and rows that a table swallows are said.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use fleetwatt::store::{Guarantee, Record, Status, StoreUrl, Timeline};

use crate::postgres::Database;
use crate::spool_once::{TABLE, batch, writer};

async fn status(database: &Database, role: &str) -> Status {
    let store_url = StoreUrl::parse(&database.url(role, ""), None).unwrap();
    Timeline::open(&store_url, "unified_timeline").await.unwrap().status().await.unwrap()
}

fn role(name: &str) -> String {
    format!(
        "CREATE ROLE {name} LOGIN; GRANT SELECT, INSERT ON unified_timeline TO {name}; \
         GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO {name};"
    )
}

const TO_OTHERS: &str = "CREATE TABLE other (LIKE unified_timeline)";

#[tokio::test]
async fn a_guarantee_holds_only_if_it_does_when_it_is_tried() {
    let security = "ALTER TABLE unified_timeline ENABLE ROW LEVEL SECURITY; \
                    CREATE POLICY i ON unified_timeline FOR INSERT WITH CHECK (true);";
    let readable = "CREATE POLICY s ON unified_timeline FOR SELECT USING (true);";
    let function = |body: &str| {
        format!(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
             CREATE TRIGGER t BEFORE INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION f();"
        )
    };
    let cases = [
        ("try_plain", String::new(), Guarantee::Lookup),
        ("try_rls_blind", security.to_owned(), Guarantee::AtLeastOnce),
        ("try_rls_seen", format!("{security}{readable}"), Guarantee::Lookup),
        (
            "try_no_batch",
            function("new.metadata := new.metadata - 'batch'; RETURN new;"),
            Guarantee::AtLeastOnce,
        ),
        ("try_swallow", function("RETURN NULL;"), Guarantee::AtLeastOnce),
        (
            "try_rule",
            format!(
                "{TO_OTHERS}; CREATE RULE r AS ON INSERT TO unified_timeline DO INSTEAD INSERT INTO other SELECT new.*;"
            ),
            Guarantee::AtLeastOnce,
        ),
    ];
    for (name, sql, wanted) in cases {
        let database = Database::new(name, &format!("{TABLE}; {}{sql}", role(name))).await;
        let status = status(&database, name).await;
        assert_eq!(status.guarantee, wanted, "{name}: {:?}", status.hints);
        let is_doubted = status.hints.iter().any(|hints| hints.contains("is not found by its batch"));
        assert_eq!(is_doubted, wanted == Guarantee::AtLeastOnce, "{name}: {:?}", status.hints);
        let sql = "SELECT count(*) FROM unified_timeline";
        let n_rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
        assert_eq!(n_rows, 0, "what was tried is rolled back");
    }
}

#[tokio::test]
async fn a_table_of_delivered_batches_that_forgets_at_once_is_none() {
    let database = Database::new("try_ledger", TABLE).await;
    let store_url = StoreUrl::parse(&database.url("postgres", ""), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    assert_eq!(status(&database, "postgres").await.guarantee, Guarantee::DeliveryLog);
    database.run("CREATE RULE r AS ON INSERT TO fleetwatt.delivered_batch DO INSTEAD NOTHING").await;
    let status = status(&database, "postgres").await;
    assert_eq!(status.guarantee, Guarantee::Lookup, "{:?}", status.hints);
    assert!(status.hints.iter().any(|hints| hints.contains("delivered_batch")), "{:?}", status.hints);
}

#[tokio::test]
async fn a_view_with_a_trigger_that_writes_elsewhere_is_looked_through() {
    let sql = TABLE.replace("unified_timeline", "real")
        + "; CREATE VIEW unified_timeline AS SELECT * FROM real; \
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        INSERT INTO real (event_type, source, value, metadata, created_at) \
        VALUES (new.event_type, new.source, new.value, new.metadata, new.created_at); RETURN new; END $$; \
        CREATE TRIGGER t INSTEAD OF INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION f()";
    let database = Database::new("try_view", &sql).await;
    assert_eq!(status(&database, "postgres").await.guarantee, Guarantee::Lookup);
}

#[tokio::test]
async fn rows_that_a_trigger_swallows_are_said_and_those_it_puts_into_a_child_count() {
    let trigger = |body: &str| {
        format!(
            "{TABLE}; CREATE TABLE child () INHERITS (unified_timeline); \
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$; \
             CREATE TRIGGER t BEFORE INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION f()"
        )
    };
    let to_child = "INSERT INTO child (event_type, source, value, metadata, created_at) \
                    VALUES (new.event_type, new.source, new.value, new.metadata, new.created_at);";
    for (name, body, wanted) in [("swallowed", "", (0, 5)), ("to_child", to_child, (5, 0))] {
        let database = Database::new(name, &trigger(body)).await;
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
        let (id, events) = batch(1);
        let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
        assert_eq!((receipt.rows, receipt.swallowed), wanted, "{name}");
        assert_eq!(receipt.cost_something(), wanted.1 > 0, "{name}");
    }
}
