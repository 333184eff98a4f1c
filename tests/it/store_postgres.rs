//! The timeline in a real PostgreSQL, in tables as others make them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use fleetwatt::batch::Event;
use fleetwatt::store::{Error, Password, Record, StoreUrl, Timeline};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::postgres::Database;
use crate::store_story::{AT, Row, event, expected, killed_before_commit, nasty_events, new_id, sorted};
use fleetwatt::support::error::Diagnose;

const PLAIN: &str = "CREATE TABLE unified_timeline (id serial PRIMARY KEY, event_type varchar(64) NOT NULL, \
    source varchar(128) NOT NULL, value double precision, metadata jsonb, created_at timestamptz DEFAULT now())";

fn table_with(value: &str, metadata: &str, created_at: &str) -> String {
    format!(
        "CREATE TABLE unified_timeline (event_type text, source text, value {value}, metadata {metadata}, created_at {created_at})"
    )
}

async fn open_table(database: &Database, user: &str, table: &str) -> Result<Timeline, Error> {
    Timeline::open(&StoreUrl::parse(&database.url(user, ""), None).unwrap(), table).await
}

async fn open(database: &Database) -> Result<Timeline, Error> {
    open_table(database, "postgres", "unified_timeline").await
}

async fn read(database: &Database, table: &str) -> Vec<Row> {
    let sql = format!(
        "SELECT event_type::text, source::text, value::float8, metadata::text, \
         (extract(epoch FROM created_at) * 1000000)::int8 FROM {table}"
    );
    let rows: Vec<(String, String, Option<f64>, String, i64)> =
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut database.admin().await).await.unwrap();
    sorted(rows.into_iter().map(|(a, b, c, d, e)| (a, b, c, serde_json::from_str(&d).unwrap(), e)).collect())
}

async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

fn one() -> [Event; 1] {
    [event("gpu_a", Some(1.5), json!({"batch": "b"}), AT)]
}

async fn story(database: &Database) {
    let timeline = open(database).await.unwrap();
    let events = nasty_events();
    assert_eq!(timeline.write(new_id(), &Record::from_events(&events)).await.unwrap().rows, 7);
    assert_eq!(read(database, "unified_timeline").await, sorted(expected(&events)));
    assert_eq!(timeline.write(new_id(), &[]).await.unwrap().rows, 0);
    timeline.close().await;
}

#[tokio::test]
async fn what_is_written_is_read_back_from_jsonb() {
    story(&Database::new("story_jsonb", PLAIN).await).await;
}

#[tokio::test]
async fn what_is_written_is_read_back_from_json_numeric_and_timestamp() {
    let sql = table_with("numeric", "json", "timestamp");
    story(&Database::new("story_json", &sql).await).await;
}

#[tokio::test]
async fn what_is_written_is_read_back_from_text() {
    let sql = table_with("double precision", "text", "timestamp without time zone");
    story(&Database::new("story_text", &sql).await).await;
}

#[tokio::test]
async fn a_timestamp_without_zone_holds_utc_whatever_the_zone_of_the_server() {
    let database = Database::new("utc", &table_with("real", "jsonb", "timestamp")).await;
    database.run("ALTER DATABASE utc SET timezone = 'Asia/Kathmandu'").await;
    open(&database).await.unwrap().write(new_id(), &Record::from_events(&one())).await.unwrap();
    let mut admin = database.admin().await;
    assert_eq!(
        text(&mut admin, "SELECT created_at::text FROM unified_timeline").await,
        "2026-11-24 07:00:00.000001"
    );
}

#[tokio::test]
async fn a_table_that_cannot_hold_events_is_refused_with_everything_that_is_wrong() {
    let sql = "CREATE TABLE unified_timeline (event_type text, source int, metadata hstore_like, created_at date, \
               tenant int NOT NULL, region text NOT NULL DEFAULT 'x', n int GENERATED ALWAYS AS IDENTITY)";
    let database = Database::new("misfit", &format!("CREATE TYPE hstore_like AS (a int); {sql}")).await;
    let error = open(&database).await.unwrap_err();
    assert!(!error.is_transient());
    insta::assert_snapshot!(format!("{error}\n{}", error.hint()), @r#"
    the table "public"."unified_timeline" does not fit: column `source` is integer (it should be text or character varying); there is no column `value` (it should be double precision, real or numeric, and may be NULL); column `metadata` is hstore_like (it should be jsonb, json or text); column `created_at` is date (it should be timestamp with time zone, or timestamp without, which then holds UTC); column `tenant` (integer) is NOT NULL without a default, and fleetwatt has no value for it
    let its owner change it, or set `[store] table` to another table; fleetwatt never alters one. `fleetwatt store init` creates one that fits
    "#);
    // Nothing was altered.
    assert_eq!(open(&database).await.unwrap_err().to_string(), error.to_string());
}

#[tokio::test]
async fn a_missing_table_is_said_with_what_may_have_been_meant() {
    let sql = "CREATE SCHEMA metrics; CREATE TABLE metrics.\"Unified_Timeline\" (a int)";
    let database = Database::new("missing", sql).await;
    let error = open(&database).await.unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.hint()), @r#"
    there is no table "unified_timeline"; there is metrics."Unified_Timeline"
    run `fleetwatt store init` to create it, or set `[store] table` to the table that is there
    "#);
}

#[tokio::test]
async fn extra_columns_that_can_do_without_us_are_fine() {
    let sql = "CREATE TABLE unified_timeline (id bigint GENERATED ALWAYS AS IDENTITY, note text, event_type text, source text, \
               value real, metadata jsonb, created_at timestamptz, day int GENERATED ALWAYS AS (1) STORED, k uuid NOT NULL DEFAULT gen_random_uuid())";
    let database = Database::new("extra", sql).await;
    open(&database).await.unwrap().write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(read(&database, "unified_timeline").await, expected(&one()));
}

#[tokio::test]
async fn a_role_that_may_only_insert_suffices() {
    let grants = "CREATE ROLE only_insert LOGIN; GRANT INSERT ON unified_timeline TO only_insert; \
                  GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO only_insert";
    let database = Database::new("only_insert", &format!("{PLAIN}; {grants}")).await;
    let timeline = open_table(&database, "only_insert", "unified_timeline").await.unwrap();
    timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(read(&database, "unified_timeline").await, expected(&one()));
    let status = timeline.status().await.unwrap();
    assert!(status.may_insert && !status.may_select);
    assert_eq!((status.recent, status.newest), (None, None));
    assert_eq!(status.columns.len(), 6);
}

#[tokio::test]
async fn a_role_that_may_not_insert_is_told_the_grant() {
    let sql =
        format!("{PLAIN}; CREATE ROLE \"may not\" LOGIN; GRANT SELECT ON unified_timeline TO \"may not\"");
    let database = Database::new("no_insert", &sql).await;
    let error = open_table(&database, "may%20not", "unified_timeline").await.unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}", error.hint()), @r#"
    the database role lacks permission (insert)
    let an owner of it run: GRANT INSERT ON "public"."unified_timeline" TO "may not"; GRANT USAGE ON SEQUENCE public.unified_timeline_id_seq TO "may not";
    "#);
}

#[tokio::test]
async fn partitioned_tables_and_odd_names_work() {
    let sql = "CREATE SCHEMA \"Odd Schema\"; CREATE TABLE \"Odd Schema\".\"Time.Line\" (event_type text, source text, value real, \
               metadata jsonb, created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at); \
               CREATE TABLE p2026 PARTITION OF \"Odd Schema\".\"Time.Line\" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')";
    let database = Database::new("partitioned", sql).await;
    let timeline = open_table(&database, "postgres", "Odd Schema.\"Time.Line\"").await.unwrap();
    timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(read(&database, "p2026").await, expected(&one()));
    let error = timeline
        .write(new_id(), &Record::from_events(&[event("gpu_a", None, json!({}), 0)]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "no partition for 1970");
    let status = timeline.status().await.unwrap();
    assert_eq!(status.table_kind, "partitioned table");
    assert!(status.size_bytes.unwrap() > 0);
}

#[tokio::test]
async fn a_view_takes_rows_only_with_a_trigger() {
    let sql = "CREATE TABLE raw (a text, b text, c real, d jsonb, e timestamptz); \
               CREATE VIEW unified_timeline AS SELECT a AS event_type, b AS source, c AS value, d AS metadata, e AS created_at FROM raw LIMIT 99";
    let database = Database::new("a_view", sql).await;
    let error = open(&database).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"the table "public"."unified_timeline" does not fit: it is a view that takes no rows (a view needs an INSTEAD OF INSERT trigger)"#);
    let trigger = "CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO raw VALUES \
                   (new.event_type, new.source, new.value, new.metadata, new.created_at); RETURN new; END $$; \
                   CREATE TRIGGER put INSTEAD OF INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION put()";
    database.run(trigger).await;
    open(&database).await.unwrap().write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(read(&database, "unified_timeline").await, expected(&one()));
}

#[tokio::test]
async fn twelve_thousand_events_are_one_transaction() {
    let database = Database::new(
        "chunks",
        &format!("{PLAIN}; ALTER TABLE unified_timeline ADD CHECK (source <> 'bad')"),
    )
    .await;
    let timeline = open(&database).await.unwrap();
    let mut events: Vec<_> = (0..11_999).map(|i| event("good", Some(1.0), json!({}), AT + i)).collect();
    events.push(event("bad", None, json!({}), AT));
    let error = timeline.write(new_id(), &Record::from_events(&events)).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert!(read(&database, "unified_timeline").await.is_empty());
    events.pop();
    events.push(event("good", None, json!({}), AT));
    assert_eq!(timeline.write(new_id(), &Record::from_events(&events)).await.unwrap().rows, 12_000);
    assert_eq!(read(&database, "unified_timeline").await.len(), 12_000);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_said_with_its_column_before_the_insert() {
    let database = Database::new("too_long", PLAIN).await;
    let timeline = open(&database).await.unwrap();
    let fits = event(&"ü".repeat(128), None, json!({}), AT);
    let error = timeline
        .write(new_id(), &Record::from_events(&[fits.clone(), event(&"ü".repeat(129), None, json!({}), AT)]))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `source` holds 128 characters, and an event of type `gpu_power_draw` has 129 for it"
    );
    assert_eq!(timeline.write(new_id(), &Record::from_events(&[fits])).await.unwrap().rows, 1);
}

#[tokio::test]
async fn init_creates_what_open_takes_and_leaves_what_is_there() {
    let database = Database::new("init", "").await;
    let store_url = StoreUrl::parse(&database.url("postgres", ""), None).unwrap();
    let report = Timeline::init(&store_url, "fleet.power").await.unwrap();
    assert_eq!(report.created.len(), 4, "{report:?}");
    let timeline = Timeline::open(&store_url, "fleet.power").await.unwrap();
    timeline.write(new_id(), &Record::from_events(&nasty_events())).await.unwrap();
    assert!(timeline.status().await.unwrap().hints.is_empty());
    database.run("CREATE TABLE other (a int)").await;
    assert!(Timeline::init(&store_url, "fleet.power").await.unwrap().already_there());
    assert!(Timeline::init(&store_url, "other").await.unwrap().already_there());
}

#[tokio::test]
async fn init_without_permission_says_the_grant() {
    let database = Database::new("init_denied", "CREATE ROLE init_denied LOGIN").await;
    let store_url = StoreUrl::parse(&database.url("init_denied", ""), None).unwrap();
    let error = Timeline::init(&store_url, "power").await.unwrap_err();
    assert_eq!(
        error.hint(),
        "let an owner of it run: GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"init_denied\";"
    );
}

#[tokio::test]
async fn status_tells_the_server_the_rows_and_the_missing_indexes() {
    let database = Database::new("a_status", PLAIN).await;
    let timeline = open(&database).await.unwrap();
    timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    database
        .run("INSERT INTO unified_timeline (event_type, source) VALUES ('node_up', 'n'), ('node_up', 'm')")
        .await;
    let status = timeline.status().await.unwrap();
    assert!(status.recent.unwrap().contains(&("node_up".to_owned(), 2)));
    assert!(status.newest.is_some());
    assert!(status.tls.unwrap().unwrap().starts_with("TLSv1.3"));
    assert_eq!(
        status.hints,
        [
            "panels of one source are slow without: CREATE INDEX ON \"public\".\"unified_timeline\" (event_type, source, created_at);",
            "panels of the whole fleet are slow without: CREATE INDEX ON \"public\".\"unified_timeline\" USING brin (created_at);",
        ]
    );
}

#[tokio::test]
async fn tls_is_verified_against_the_given_ca() {
    let database = Database::new("tls", PLAIN).await;
    let open = async |query: String| {
        let store_url = StoreUrl::parse(&database.url("postgres", &query), None).unwrap();
        Timeline::open(&store_url, "unified_timeline").await
    };
    let (ca, other) = (database.file("ca.pem"), database.file("other.pem"));
    for mode in ["require", "verify-ca", "verify-full"] {
        let timeline = open(format!("?sslmode={mode}&sslrootcert={}", ca.display())).await.unwrap();
        timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
        assert!(timeline.status().await.unwrap().tls.unwrap().is_some());
        let error = open(format!("?sslmode={mode}&sslrootcert={}", other.display())).await.unwrap_err();
        assert!(matches!(error, Error::Tls(..)), "{error:?}");
    }
    let error = open("?sslmode=verify-full".to_owned()).await.unwrap_err();
    insta::with_settings!({filters => [(r":\d+/", ":[port]/")]}, {
        insta::assert_snapshot!(format!("{error}\n{}", error.hint()), @r#"
    no TLS with the database server postgres://postgres@localhost:[port]/tls as `sslmode` asks for it
    check `sslmode`, and that `sslrootcert` names the CA that signed the server's certificate and that the certificate names the host as the URL does
    "#);
    });
    let clear = open("?sslmode=disable".to_owned()).await.unwrap();
    assert_eq!(clear.status().await.unwrap().tls, Some(None));
    let error = open("?sslmode=require&sslrootcert=/nonexistent.pem".to_owned()).await.unwrap_err();
    assert!(matches!(error, Error::Certificate(..)));
    assert!(matches!(open("?sslmode=verify-ca".to_owned()).await.unwrap_err(), Error::Url(_)));
}

#[tokio::test]
async fn the_host_name_is_verified_only_by_verify_full() {
    let database = Database::new("tls_host", PLAIN).await;
    let ca = database.file("ca.pem");
    for (mode, works) in [("verify-ca", true), ("verify-full", false)] {
        let port = database.server.port;
        let url = format!(
            "postgres://postgres@127.0.0.1:{port}/tls_host?sslmode={mode}&sslrootcert={}",
            ca.display()
        );
        let opened = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await;
        assert_eq!(opened.is_ok(), works, "{mode}: {opened:?}");
    }
}

#[tokio::test]
async fn allow_tries_tls_after_a_refusal_in_clear() {
    let sql = format!("{PLAIN}; CREATE ROLE tls_only LOGIN SUPERUSER");
    let database = Database::new("tls_only", &sql).await;
    for (mode, works) in [("disable", false), ("allow", true), ("prefer", true)] {
        let store_url =
            StoreUrl::parse(&database.url("tls_only", &format!("?sslmode={mode}")), None).unwrap();
        let opened = Timeline::open(&store_url, "unified_timeline").await;
        assert_eq!(opened.is_ok(), works, "{mode}: {opened:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let sql = format!("{PLAIN}; CREATE ROLE scram LOGIN SUPERUSER PASSWORD 'right: @/%'");
    let database = Database::new("scram", &sql).await;
    let open = async |password: &str| {
        let store_url = StoreUrl::parse(&database.url("scram", ""), Some(Password::new(password))).unwrap();
        Timeline::open(&store_url, "unified_timeline").await
    };
    open("right: @/%").await.unwrap();
    let error = open("hunter2").await.unwrap_err();
    assert!(matches!(error, Error::Login(..)));
    assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"));
}

#[tokio::test]
async fn a_unix_socket_works_and_has_no_tls() {
    let database = Database::new("a_socket", PLAIN).await;
    let folder = database.server.folder.display();
    let url = format!("postgres://postgres@:{}/a_socket?host={folder}", database.server.port);
    let timeline = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap();
    timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(timeline.status().await.unwrap().tls, None);
}

#[tokio::test]
async fn who_is_not_there_is_away_and_what_is_wrong_is_not() {
    let database = Database::new("away", PLAIN).await;
    let open = async |url: &str| {
        Timeline::open(&StoreUrl::parse(url, None).unwrap(), "unified_timeline").await.unwrap_err()
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = open(&format!("postgres://postgres@127.0.0.1:{free}/x")).await;
    assert!(matches!(error, Error::Unreachable(..)) && error.is_transient());
    let error = open(&database.url("postgres", "").replace("/away", "/nowhere")).await;
    assert!(matches!(error, Error::NoDatabase(..)) && !error.is_transient());
    let error = open(&database.url("nobody_of_that_name", "")).await;
    assert!(matches!(error, Error::Login(..)) && !error.is_transient());
}

#[tokio::test]
async fn a_locked_table_is_a_timeout_and_the_next_write_works() {
    let database = Database::new("locked", PLAIN).await;
    let timeline = open(&database).await.unwrap();
    let mut admin = database.admin().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE unified_timeline").execute(&mut admin).await.unwrap();
    let error = timeline.write(new_id(), &Record::from_events(&one())).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(..)) && error.is_transient(), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut admin).await.unwrap();
    assert_eq!(timeline.write(new_id(), &Record::from_events(&one())).await.unwrap().rows, 1);
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced() {
    let database = Database::new("broken", PLAIN).await;
    let timeline = open(&database).await.unwrap();
    let sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
               WHERE datname = 'broken' AND pid <> pg_backend_pid()";
    let ended: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert!(ended >= 1);
    // Just used, the connection is trusted; the write fails cleanly or has been made on a new one.
    if let Err(error) = timeline.write(new_id(), &Record::from_events(&one())).await {
        assert!(error.is_transient(), "{error:?}");
        timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    }
    assert_eq!(read(&database, "unified_timeline").await, expected(&one()));
}

#[tokio::test]
async fn a_kill_before_the_commit_leaves_nothing() {
    let database = Database::new("killed", PLAIN).await;
    killed_before_commit(&database.url("postgres", ""));
    assert!(read(&database, "unified_timeline").await.is_empty());
    open(&database).await.unwrap().write(new_id(), &Record::from_events(&one())).await.unwrap();
    assert_eq!(read(&database, "unified_timeline").await, expected(&one()));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    // The kernel accepts for it, and nobody reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@{}/x", silent.local_addr().unwrap());
    let error = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout(..)) && error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_table_that_was_changed_meanwhile_is_looked_up_anew() {
    let database = Database::new("changed", &table_with("real", "text", "timestamptz")).await;
    let timeline = open(&database).await.unwrap();
    timeline.write(new_id(), &Record::from_events(&one())).await.unwrap();
    let sql = "ALTER TABLE unified_timeline ALTER metadata TYPE jsonb USING metadata::jsonb";
    database.run(sql).await;
    assert!(matches!(
        timeline.write(new_id(), &Record::from_events(&one())).await.unwrap_err(),
        Error::Other(..)
    ));
    assert_eq!(timeline.write(new_id(), &Record::from_events(&one())).await.unwrap().rows, 1);
    assert_eq!(read(&database, "unified_timeline").await.len(), 2);
}
