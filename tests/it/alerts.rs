//! `alerts` and `alerts test`, who judges, and what an earlier version kept of the alerts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]
#![allow(clippy::disallowed_methods, reason = "a test starts what it tests")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Home, Ran, of_type};
use crate::webhook::{Behaviour, Webhook};

/// Waits for a database in a test that serves a webhook meanwhile.
fn beside<T>(look: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(look)
}

/// Nothing listens there: batches stay in the spool.
const AWAY: &str = "[store]\nurl = \"postgres://nobody@127.0.0.1:9/none\"\n";

/// A host whose GPU is too hot, or not; a webhook, if its URL is given.
fn inventory(home: &Home, temperature: u32, store: &str, has_webhook: bool) -> PathBuf {
    let scene = format!("[set]\n\"temperature.gpu\" = \"{temperature}\"\n");
    std::fs::write(home.path("scene.toml"), scene).unwrap();
    let webhook = if has_webhook { "webhook_env = \"HOOK\"\n" } else { "" };
    home.inventory(&format!(
        "{store}[alerts]\ngpu_temperature_above = \"80C\"\n{webhook}\
         [[host]]\nname = \"n1\"\nscripted = \"scene.toml\"\n"
    ))
}

fn alerts(home: &Home, inventory: &std::path::Path, args: &[&str]) -> Ran {
    home.run(&[&["alerts"], args, &["--inventory", inventory.to_str().unwrap()]].concat())
}

#[test]
fn what_is_raised_is_listed_for_people_and_for_programs_and_no_more_when_it_is_cleared() {
    for store in ["", AWAY] {
        let home = Home::new();
        let path = inventory(&home, 91, store, false);
        assert!(alerts(&home, &path, &[]).stdout.starts_with("nothing is known of alerts in "));
        home.poll(&path, &["--quiet"]);
        let listed = alerts(&home, &path, &[]);
        assert!(
            listed.stdout.starts_with("critical  gpu_temperature  gpu_n1  since 20"),
            "{}",
            listed.stdout
        );
        assert!(listed.stdout.ends_with("n1 is at 91 °C (limit 80 °C)\n"), "{}", listed.stdout);
        let document: Value =
            serde_json::from_str(&alerts(&home, &path, &["--format", "json"]).stdout).unwrap();
        assert_eq!(
            (&document["schema"], &document["undelivered"]),
            (&json!("fleetwatt.active_alerts/1"), &json!(0))
        );
        assert_eq!(
            (&document["alerts"][0]["node"], &document["alerts"][0]["rule"]),
            (&json!("n1"), &json!("gpu_temperature"))
        );
        home.poll(&inventory(&home, 60, store, false), &["--quiet"]);
        assert_eq!(alerts(&home, &path, &[]).stdout, "no alert is raised\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_wait_for_the_webhook_are_counted_and_told_by_the_next_poll() {
    let webhook = Webhook::start().await;
    webhook.set(Behaviour::Breaks);
    let home = Home::new().with("HOOK", webhook.url());
    let path = inventory(&home, 91, "", true);
    home.poll(&path, &["--quiet"]);
    assert!(alerts(&home, &path, &[]).stdout.ends_with("\n1 message waits for the webhook\n"));
    webhook.set(Behaviour::Takes);
    home.poll(&path, &["--quiet"]);
    let told = webhook.told();
    assert_eq!((told.len(), told[0].key.as_str()), (1, "gpu_temperature:gpu_n1"));
    assert!(!alerts(&home, &path, &[]).stdout.contains("webhook"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_is_sent_and_what_came_back_is_said() {
    let webhook = Webhook::start().await;
    let home = Home::new().with("HOOK", format!("{}canary", webhook.url()));
    let path = inventory(&home, 60, "", true);
    let taken = alerts(&home, &path, &["test"]);
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    let endpoint = webhook.url().trim_end_matches('/');
    assert_eq!(taken.stdout, format!("the webhook at {endpoint} took the test (HTTP 200)\n"));
    assert_eq!(webhook.told()[0].key, "test:fleetwatt");
    webhook.set(Behaviour::Breaks);
    let refused = alerts(&home, &path, &["test"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("answered with HTTP status 503") && !refused.stderr.contains("canary"));
    webhook.set(Behaviour::Refuses);
    let away = alerts(&home, &path, &["test"]);
    assert!(
        away.stderr.contains("no connection to the webhook") && !away.stderr.contains("Error {"),
        "{}",
        away.stderr
    );
    let none = alerts(&home, &inventory(&home, 60, "", false), &["test"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("webhook_env"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tries_the_webhook_and_sends_no_alert() {
    let webhook = Webhook::start().await;
    let home = Home::new().with("HOOK", webhook.url());
    let path = inventory(&home, 60, "", true);
    let check = || home.run(&["check", "--connect", "--inventory", path.to_str().unwrap()]);
    let well = check();
    assert_eq!(well.code, Some(0), "{}{}", well.stdout, well.stderr);
    assert!(well.stdout.contains("answers (HTTP 405)"), "{}", well.stdout);
    assert!(webhook.told().is_empty());
    webhook.set(Behaviour::Refuses);
    let away = check();
    assert_eq!(away.code, Some(3));
    assert!(
        away.stdout.contains("FAILED") && away.stdout.contains("no connection to the webhook at http://"),
        "{}",
        away.stdout
    );
}

/// A poll at a terminal, with the state directory of a person; gives what it said.
fn poll_by_hand(home: &Home, inventory: &std::path::Path, args: &str) -> String {
    let program = home.command(&[]);
    let program = program.get_program().to_str().unwrap();
    let mut script = Command::new("script");
    let poll = format!("{program} poll {args} --inventory {}", inventory.display());
    script.args(["-qec", &poll, "/dev/null"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    script.env("HOME", home.path("")).env("XDG_STATE_HOME", home.path("mine"));
    String::from_utf8_lossy(&script.output().unwrap().stdout).into_owned()
}

#[test]
fn a_poll_by_hand_beside_a_service_with_postgresql_leaves_the_alerts_to_it_unless_it_is_asked() {
    let home = Home::new();
    let path = inventory(&home, 91, AWAY, false);
    let listed = || {
        let mut command = home.command(&["alerts", "--inventory", path.to_str().unwrap()]);
        command.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", home.path("mine"));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(poll_by_hand(&home, &path, "").contains("alerts are not judged"));
    assert!(listed().starts_with("nothing is known of alerts"));
    assert!(!poll_by_hand(&home, &path, "--alerts").contains("alerts are not judged"));
    assert!(listed().starts_with("critical"));
}

#[test]
fn polls_of_two_state_directories_at_one_sqlite_timeline_raise_an_alert_once() {
    let home = Home::new();
    let store = format!("[store]\nurl = \"sqlite:{}\"\n", home.path("s/fleetwatt.db").display());
    let path = inventory(&home, 91, &store, false);
    home.poll(&path, &["--quiet"]);
    let said = poll_by_hand(&home, &path, "");
    assert!(!said.contains("not judged"), "{said}");
    inventory(&home, 60, &store, false);
    poll_by_hand(&home, &path, "");
    home.poll(&path, &["--quiet"]);
    let values: Vec<_> = of_type(&home.rows(), "alert").iter().map(|row| row.2).collect();
    assert_eq!(values, [Some(1.0), Some(0.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_kept_in_hosts_json_is_taken_over_once() {
    let webhook = Webhook::start().await;
    let home = Home::new().with("HOOK", webhook.url());
    let path = inventory(&home, 91, "", false);
    home.poll(&path, &["--quiet"]);
    let states: Vec<(String,)> = beside(|| home.query("DELETE FROM fleetwatt_alert_state RETURNING state"));
    let mut state: Value = serde_json::from_str(&states[0].0).unwrap();
    state["undelivered"] = json!([{
        "key": "host_silent:node_n9", "rule": "host_silent", "severity": "critical", "source": "node_n9",
        "words": "n9 gives no answer", "raised": true, "at_us": 1, "raised_at_us": 1,
    }]);
    let file = home.path("s/hosts.json");
    let mut hosts: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    hosts["alerts"] = state;
    std::fs::write(&file, hosts.to_string()).unwrap();
    let path = inventory(&home, 91, "", true);
    home.poll(&path, &["--quiet"]);
    home.poll(&path, &["--quiet"]);
    assert_eq!(beside(|| of_type(&home.rows(), "alert").len()), 1, "it is not raised again");
    let keys: Vec<String> = webhook.told().into_iter().map(|told| told.key).collect();
    assert_eq!(keys, ["host_silent:node_n9"]);
    let hosts: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(hosts.get("alerts"), None);
}
