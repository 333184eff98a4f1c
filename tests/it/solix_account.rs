//! `solix login` and `solix devices` against the simulated cloud.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use serde_json::Value;

use crate::cloud::Options;
use crate::program::{Home, Ran};
use crate::solix_stage::Stage;

fn run(stage: &Stage, args: &[&str]) -> Ran {
    let inventory = stage.inventory("", "");
    let ran = stage.home.run(&[args, &["--inventory", inventory.to_str().unwrap()]].concat());
    for secret in stage.cloud.secrets() {
        assert!(!ran.stdout.contains(&secret) && !ran.stderr.contains(&secret));
    }
    ran
}

#[test]
fn a_login_is_made_once_and_says_until_when_it_holds() {
    let stage = Stage::new(Options::default());
    let ran = run(&stage, &["solix", "login"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("logged in until 20"), "{}", ran.stdout);
    let again = run(&stage, &["solix", "login"]);
    assert!(again.stdout.starts_with("already logged in until 20"), "{}", again.stdout);
    assert_eq!(stage.cloud.logins(), 1);
    // What a person asks for has its limits too.
    let anew = run(&stage, &["solix", "login", "--force"]);
    assert_eq!(anew.code, Some(1));
    assert!(anew.stderr.contains("at most one in ten minutes"), "{}", anew.stderr);
    assert_eq!(stage.cloud.logins(), 1);
}

#[test]
fn a_wrong_password_is_told_and_not_sent_again() {
    let stage = Stage::new(Options::default());
    stage.cloud.set_password("another");
    for _ in 0..2 {
        let ran = run(&stage, &["solix", "login"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("refused the e-mail address or the password"), "{}", ran.stderr);
    }
    assert_eq!(stage.cloud.logins(), 1);
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let mut stage = Stage::new(Options::default());
    stage.home = Home::new();
    let ran = run(&stage, &["solix", "login"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("ANKER_USER"), "{}", ran.stderr);
    assert_eq!(stage.cloud.logins(), 0);
}

#[test]
fn an_inventory_without_an_account_is_told_what_it_lacks() {
    let home = Home::new();
    let inventory = home.inventory("[[host]]\nname = \"a\"\n");
    for args in [["solix", "login"], ["solix", "devices"]] {
        let ran = home.run(&[&args[..], &["--inventory", inventory.to_str().unwrap()]].concat());
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains("has no [solix]"), "{}", ran.stderr);
    }
}

#[test]
fn devices_are_listed_for_people_and_for_programs() {
    let stage = Stage::new(Options::default());
    let text = run(&stage, &["solix", "devices"]);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    assert!(text.stdout.starts_with("name"), "{}", text.stdout);
    let json = run(&stage, &["solix", "devices", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["schema"], "fleetwatt.solix.devices/1");
    assert!(
        json["devices"].as_array().unwrap().iter().any(|device| device["serial"] == stage.serial().as_str())
    );
    assert!(text.stdout.contains(&stage.serial()));
    assert_eq!(stage.cloud.logins(), 1);
}
