//! The fleet of `inventory/demo.toml`, which anybody can try.

use super::{Scene, repository};
use crate::program::Home;

/// The demo inventory with more to it.
fn demo_with(home: &Home, more: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(repository("inventory/demo.toml")).unwrap();
    let fixtures = repository("fixtures");
    home.inventory(&format!("{}\n{more}", text.replace("../fixtures", fixtures.to_str().unwrap())))
}

#[test]
fn the_demo_fleet() {
    let mut scene = Scene::new("demo");
    let demo = repository("inventory/demo.toml");
    let home = Home::new();
    for (name, extension, args) in [
        ("dry-json", "json", &["--dry-run", "--format", "json"][..]),
        ("dry-csv", "csv", &["--dry-run", "--format", "csv"]),
        ("dry-text", "txt", &["--dry-run"]),
        ("first", "txt", &[]),
        ("second", "txt", &[]),
    ] {
        scene.keep_run(name, extension, &home, &home.poll(&demo, args));
    }
    scene.keep_rows("rows.txt", &home);
    scene.keep_state("hosts.json", &home);
    for (name, args) in [
        ("alerts.txt", &["alerts"][..]),
        ("alerts.json", &["alerts", "--format", "json"]),
        ("store-status.txt", &["store", "status"]),
        ("check.txt", &["check"]),
        ("check-list.txt", &["check", "--list"]),
        ("check-list.json", &["check", "--list", "--format", "json"]),
        ("check-connect.txt", &["check", "--connect"]),
        ("one-label.txt", &["poll", "--dry-run", "--label", "rack=desk"]),
    ] {
        let ran = home.run(&[args, &["--inventory", demo.to_str().unwrap()]].concat());
        scene.keep(name, &home, &format!("{}{}", ran.stdout, ran.stderr));
    }
    scene.finish();
}

#[test]
fn the_demo_fleet_polled_by_a_timer() {
    let mut scene = Scene::new("demo-quiet");
    let (demo, home) = (repository("inventory/demo.toml"), Home::new());
    scene.keep_run("first", "txt", &home, &home.poll(&demo, &["--quiet"]));
    scene.keep_run("second", "txt", &home, &home.poll(&demo, &["--quiet"]));
    scene.finish();
}

#[test]
fn the_demo_fleet_with_slim_metadata() {
    let mut scene = Scene::new("demo-slim");
    let home = Home::new();
    let inventory = demo_with(&home, "[store]\nmetadata = \"slim\"\n");
    scene.keep_run("first", "txt", &home, &home.poll(&inventory, &["--quiet"]));
    scene.keep_run("second", "txt", &home, &home.poll(&inventory, &["--quiet"]));
    scene.keep_rows("rows.txt", &home);
    scene.keep_state("hosts.json", &home);
    scene.finish();
}
