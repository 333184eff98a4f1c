//! The program in a shell beside the service: without the secrets of its unit, and without leaving a trace.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::PathBuf;

use crate::program::{Home, of_type};

fn scene() -> String {
    format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"))
}

/// A fleet whose secrets are those of a unit: none of them can be had.
fn fleet(home: &Home, store: &str) -> PathBuf {
    home.inventory(&format!(
        "[store]\n{store}\n[alerts]\nwebhook_credential = \"hook\"\n\
         [solix]\nuser_credential = \"anker-user\"\npassword_env = \"NO_SUCH_VARIABLE\"\napi_url = \"https://127.0.0.1:9\"\n\
         [[host]]\nname = \"zz\"\nscripted = \"{}\"\n",
        scene()
    ))
}

const POSTGRES: &str = "url = \"postgres://u@127.0.0.1:9/d\"\npassword_credential = \"db\"";

#[test]
fn a_dry_run_and_a_check_need_no_secret_and_the_check_names_those_that_are_missing() {
    let home = Home::new();
    let inventory = fleet(&home, POSTGRES);
    let dry = home.poll(&inventory, &["--dry-run", "--host", "zz"]);
    assert_eq!((dry.code, dry.stderr.as_str()), (Some(0), ""));
    let check = home.run(&["check", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    let n_missing = check.stderr.matches("cannot be had here: the ").count();
    assert_eq!(n_missing, 4, "{}", check.stderr);
    assert!(check.stderr.contains("the database password from systemd credential db"), "{}", check.stderr);
}

#[test]
fn a_check_names_variables_that_nothing_reads() {
    let home = Home::new()
        .with("FLEETWATT_INVENTROY", "x")
        .with("FLEETWATT_DB_PASSWORD", "canary")
        .with("FLEETWATT_HOOK", "https://127.0.0.1:9/x");
    let inventory = home.inventory(&format!(
        "[alerts]\nwebhook_env = \"FLEETWATT_HOOK\"\n[[host]]\nname = \"zz\"\nscripted = \"{}\"\n",
        scene()
    ));
    let ran = home.run(&["check", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!(ran.stderr, @r#"
    warning: nothing reads the variable FLEETWATT_DB_PASSWORD
      help: take it out; if it holds a secret, name it in the inventory, as `password_env = "FLEETWATT_DB_PASSWORD"` in [store] or `webhook_env` in [alerts]
    warning: nothing reads the variable FLEETWATT_INVENTROY
      help: did you mean FLEETWATT_INVENTORY?
    "#);
}

#[test]
fn a_webhook_that_cannot_be_had_is_a_warning_and_its_alerts_are_kept_for_a_run_that_has_it() {
    let home = Home::new();
    let inventory = home.inventory(&format!(
        "[alerts]\ngpu_temperature_above = \"1C\"\nwebhook_env = \"NO_SUCH_VARIABLE\"\n\
         [[host]]\nname = \"zz\"\nscripted = \"{}\"\n",
        scene()
    ));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("alerts are told to nobody: the webhook's URL from environment variable NO_SUCH_VARIABLE: it is not set, or empty"), "{}", ran.stderr);
    assert_eq!(of_type(&home.rows(), "alert").len(), 1);
    let waiting: Vec<(String,)> = home.query("SELECT message FROM fleetwatt_alert_outbox");
    assert!(matches!(waiting.as_slice(), [(message,)] if message.contains("gpu_temperature")), "{waiting:?}");
}

#[test]
fn a_database_whose_password_cannot_be_had_is_one_that_is_away() {
    let home = Home::new();
    let inventory = home
        .inventory(&format!("[store]\n{POSTGRES}\n[[host]]\nname = \"zz\"\nscripted = \"{}\"\n", scene()));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the database password from systemd credential db: CREDENTIALS_DIRECTORY is not set"),
        "{}",
        ran.stderr
    );
    let status = home.run(&["store", "status", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    assert!(status.stdout.contains("1 batch"), "{}", status.stdout);
    assert!(
        status.stdout.contains("store     not looked into: the database password from systemd credential db"),
        "{}",
        status.stdout
    );
}

#[test]
fn what_only_looks_leaves_nothing_in_an_empty_home_nor_in_one_that_is_in_use() {
    let home = Home::new();
    let inventory = home.inventory(&format!("[[host]]\nname = \"zz\"\nscripted = \"{}\"\n", scene()));
    let path = inventory.to_str().unwrap();
    let looks: [&[&str]; 5] = [
        &["store", "status"],
        &["store", "dead-letters", "list"],
        &["check", "--connect"],
        &["check", "--list"],
        &["poll", "--dry-run"],
    ];
    for _ in 0..2 {
        let before = home.everything();
        for look in looks {
            let ran = home.run(&[look, &["--inventory", path]].concat());
            assert_eq!(ran.code, Some(0), "{look:?}: {}", ran.stderr);
            assert_eq!(home.everything(), before, "{look:?}");
        }
        assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    }
}

#[test]
fn a_status_of_nothing_says_where_it_looked_and_where_a_services_state_is() {
    let home = Home::new();
    let inventory = home.inventory(&format!("[[host]]\nname = \"zz\"\nscripted = \"{}\"\n", scene()));
    let mut command = home.command(&["store", "status", "--inventory", inventory.to_str().unwrap()]);
    let output = command.env_remove("STATE_DIRECTORY").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).replace(home.path("").to_str().unwrap(), "HOME/");
    insta::assert_snapshot!(said, @r"
    spool     none
    state     HOME/.local/state/fleetwatt (not there)
    advice    nothing is kept in this user's own state directory; a service's is in /var/lib/fleetwatt: `STATE_DIRECTORY=/var/lib/fleetwatt fleetwatt store status`
    store     SQLite, the file is not there: the first poll creates it
    location  sqlite:HOME/.local/state/fleetwatt/fleetwatt.db
    ");
}
