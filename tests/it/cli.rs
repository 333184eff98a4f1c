//! The command line: exit codes, words, and what must never be shown.

use crate::fleet::{Fleet, HostPlan, Mode};
use crate::postgres::Database;
use crate::program::{Home, of_type};

const CANARY: &str = "canary-of-a-password";

fn demo() -> String {
    format!("{}/inventory/demo.toml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn without_an_inventory_it_says_where_it_looked_and_what_to_do() {
    let home = Home::new();
    let ran = home.run(&["poll"]);
    assert_eq!(ran.code, Some(2));
    insta::assert_snapshot!(ran.stderr, @r"
    error: there is no inventory: looked for inventory/fleet.toml and /etc/fleetwatt/inventory.toml
      help: name one with --inventory or $FLEETWATT_INVENTORY; `--inventory inventory/demo.toml` needs no GPU
    ");
}

#[test]
fn a_faulty_inventory_starts_nothing() {
    let home = Home::new();
    let inventory = home.inventory("[[host]]\nname = \"gpu1\"\nadress = \"10.0.0.1\"\n");
    let before = home.everything();
    let ran = home.poll(&inventory, &[]);
    assert_eq!((ran.code, home.everything()), (Some(2), before));
    assert!(ran.stderr.contains("did you mean `address`?"), "{}", ran.stderr);
}

#[test]
fn the_inventory_of_the_environment_is_used() {
    let home = Home::new().with("FLEETWATT_INVENTORY", demo());
    assert_eq!(home.run(&["poll", "--dry-run"]).code, Some(3));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let home = Home::new();
    let mut child = home.start(&["poll", "--dry-run", "--format", "csv", "--inventory", &demo()]);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    // One GPU of the demo is lost, whether somebody reads it or not.
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(3), &b""[..]));
}

#[test]
fn the_formats_are_one_document_each_on_standard_output() {
    let home = Home::new();
    let json = home.run(&["poll", "--format", "json", "--inventory", &demo()]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["schema"], "fleetwatt.poll/1");
    let csv = home.run(&["poll", "--dry-run", "--format", "csv", "--inventory", &demo()]);
    assert_eq!(csv.stdout.lines().count(), 1 + 21, "a header and a row a GPU");
}

#[test]
fn a_poll_by_group_has_a_row_a_group_and_a_total() {
    let home = Home::new();
    let ran =
        home.run(&["poll", "--dry-run", "--by", "label:site", "--sort", "power", "--inventory", &demo()]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let names: Vec<&str> = ran.stdout.lines().take(5).map(|line| line.split(' ').next().unwrap()).collect();
    assert!(matches!(names[..], ["SITE", "hall", "home", _, "total"]), "{}", ran.stdout);
    assert!(ran.stdout.contains("rack1-03: a GPU is missing"), "{}", ran.stdout);
}

#[test]
fn groups_that_cannot_be_shown_are_refused_before_anything_is_read() {
    let home = Home::new();
    let before = home.everything();
    let refused = |arguments: &[&str]| {
        let ran = home.run(&[&["poll", "--inventory", &demo()], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(home.everything(), before, "{arguments:?}");
        ran.stderr
    };
    insta::assert_snapshot!(refused(&["--by", "node", "--format", "json"]), @"error: --by is for the text alone: JSON and CSV have each GPU with its node, model and labels, to be grouped from there");
    insta::assert_snapshot!(refused(&["--by", "label:floor"]), @r"
    error: no host of the inventory has the label `floor`
      help: `fleetwatt check --list` lists the hosts of the inventory with their labels
    ");
    assert!(refused(&["--by", "day"]).contains("group by node, model or label:KEY"));
    assert!(refused(&["--sort", "power"]).contains("--by <GROUP>"));
    assert!(refused(&["--by", "node", "--quiet"]).contains("cannot be used with"));
}

#[test]
fn a_quiet_poll_says_what_changed_and_the_next_one_nothing() {
    let home = Home::new();
    let first = home.run(&["poll", "--quiet", "--inventory", &demo()]);
    assert_eq!(first.stdout, "");
    assert!(first.stderr.contains("6 of 6 nodes, 21 of 22 GPUs"), "{}", first.stderr);
    assert!(first.stderr.contains("critical alert raised: "), "{}", first.stderr);
    assert!(first.stderr.contains("rack1-03: a GPU is "), "{}", first.stderr);
    let second = home.run(&["poll", "--quiet", "--inventory", &demo()]);
    assert_eq!((second.code, second.stdout.as_str(), second.stderr.as_str()), (Some(3), "", ""));
}

#[test]
fn a_poll_for_a_person_leaves_the_news_to_the_timers_log() {
    let home = Home::new();
    home.run(&["poll", "--inventory", &demo()]);
    let quiet = home.run(&["poll", "--quiet", "--inventory", &demo()]);
    assert!(quiet.stderr.contains("rack1-03: a GPU is "), "{}", quiet.stderr);
}

#[test]
fn active_alerts_stand_in_the_table_and_in_the_document() {
    let home = Home::new();
    let first = home.run(&["poll", "--inventory", &demo()]);
    assert_eq!(first.stdout.matches("critical alert: ").count(), 1, "{}", first.stdout);
    let second = home.run(&["poll", "--format", "json", "--inventory", &demo()]);
    let document: serde_json::Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(document["alerts"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["alerts"][0]["rule"], "gpu_missing");
}

#[test]
fn a_check_without_connections_shows_the_settings_and_touches_nothing() {
    let home = Home::new();
    let before = home.everything();
    let ran = home.run(&["check", "--inventory", &demo()]);
    assert_eq!((ran.code, home.everything()), (Some(0), before));
    assert!(ran.stdout.contains("6 hosts (6 scripted)"), "{}", ran.stdout);
}

#[test]
fn a_check_with_connections_says_per_host_which_step_failed() {
    let plans = vec![
        HostPlan::new("good", "gpus = 2"),
        HostPlan::new("refusing", "").mode(Mode::RefuseKey),
        HostPlan::new("driverless", "fault = 'no-driver'"),
    ];
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let ran = home.run(&["check", "--connect", "--inventory", fleet.inventory().to_str().unwrap()]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let line =
        |name: &str| ran.stdout.lines().rfind(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("good").contains("ok") && line("good").contains("2 GPUs"), "{}", ran.stdout);
    assert!(line("refusing").contains("FAILED   connect: the login was refused"), "{}", ran.stdout);
    assert!(
        line("driverless").contains("FAILED   nvidia-smi: the NVIDIA driver is not running"),
        "{}",
        ran.stdout
    );
    assert!(line("store").contains("ok"), "{}", ran.stdout);
    assert!(home.runtime_files().is_empty());
}

#[test]
fn a_database_that_is_away_costs_nothing_and_says_so() {
    let home = Home::new();
    let demo = std::fs::read_to_string(demo()).unwrap();
    let fixtures = format!("{}/fixtures", env!("CARGO_MANIFEST_DIR"));
    let text = demo.replace("../fixtures", &fixtures);
    let inventory = home.inventory(&format!("{text}\n[store]\nurl = \"postgres://u@127.0.0.1:1/d\"\n"));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stdout.contains("Cluster: 6 of 6 nodes"), "the readings are still shown");
    assert!(ran.stderr.starts_with("warning: kept in the spool (1 batch, oldest "), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: check that the server runs"), "{}", ran.stderr);
    assert_eq!(home.poll(&inventory, &["--quiet"]).code, Some(4));
    let status = home.run(&["store", "status", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(status.code, Some(1));
    assert!(status.stdout.contains("spool     2 batches, "), "{}", status.stdout);
    assert!(status.stdout.contains("cannot reach the database server"), "{}", status.stdout);
    let replay = home.run(&["store", "replay", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(replay.code, Some(4), "{}", replay.stderr);
}

#[test]
fn a_dry_run_leaves_the_spool_alone_and_needs_no_database() {
    let home = Home::new().with("DATABASE_URL", "postgres://u@127.0.0.1:1/d");
    let before = home.everything();
    let ran = home.run(&["poll", "--dry-run", "--inventory", &demo()]);
    assert_eq!((ran.code, home.everything()), (Some(3), before));
}

#[test]
fn a_folder_in_the_place_of_the_spool_is_set_aside() {
    let home = Home::new().with("DATABASE_URL", "postgres://u@127.0.0.1:1/d");
    std::fs::create_dir_all(home.path("s/spool.db")).unwrap();
    let ran = home.run(&["poll", "--quiet", "--inventory", &demo()]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stderr.contains("spool was damaged and is set aside"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_variables_of_the_existing_installation_lead_to_its_table_and_hide_the_password() {
    let sql = format!(
        "CREATE ROLE cherokee LOGIN PASSWORD '{CANARY}'; \
         CREATE TABLE unified_timeline (id bigserial, event_type text, source text, value double precision, \
         metadata jsonb, created_at timestamptz); \
         GRANT INSERT, SELECT ON unified_timeline TO cherokee; \
         GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO cherokee;"
    );
    let database = Database::new("cli_cherokee", &sql).await;
    let home = |password: &str| {
        Home::new()
            .with("CHEROKEE_DB_HOST", "127.0.0.1")
            .with("CHEROKEE_DB_NAME", database.name)
            .with("CHEROKEE_DB_USER", "cherokee")
            .with("CHEROKEE_DB_PASS", password)
            .with("PGPORT", database.server.port)
    };
    let ran = home(CANARY).run(&["poll", "-vvv", "--inventory", &demo()]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(!(ran.stderr + &ran.stdout).contains(CANARY));
    let (n_hosts,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM unified_timeline WHERE event_type = 'node_up'")
            .fetch_one(&mut database.admin().await)
            .await
            .unwrap();
    assert_eq!(n_hosts, 6);
}

#[test]
fn what_a_host_answers_in_slim_metadata_is_not_repeated() {
    let home = Home::new();
    let demo = std::fs::read_to_string(demo()).unwrap();
    let fixtures = format!("{}/fixtures", env!("CARGO_MANIFEST_DIR"));
    let text = demo.replace("../fixtures", &fixtures);
    let inventory = home.inventory(&format!("{text}\n[store]\nmetadata = \"slim\"\n"));
    for _ in 0..2 {
        assert_eq!(home.poll(&inventory, &["--quiet"]).code, Some(3));
    }
    let rows = home.rows();
    assert_eq!(of_type(&rows, "gpu_power_draw").len(), 2 * 21);
    assert_eq!(of_type(&rows, "gpu_inventory").len(), 21, "the second cycle repeats none");
}

#[test]
fn the_store_says_what_it_is() {
    let home = Home::new();
    assert_eq!(home.run(&["store", "init", "--inventory", &demo()]).code, Some(0));
    let again = home.run(&["store", "init", "--inventory", &demo()]);
    assert!(again.stdout.contains("already there"), "{}", again.stdout);
    let status = home.run(&["store", "status", "--inventory", &demo()]);
    assert!(status.stdout.contains("SQLite") && status.stdout.contains("insert yes"), "{}", status.stdout);
}

#[test]
fn completions_are_printed() {
    let home = Home::new();
    assert!(home.run(&["completions", "bash"]).stdout.contains("_fleetwatt"));
}
