//! The simulated cloud with a station of each kind, and what recorded frames mean.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Scene, repository};
use crate::cloud::{Device, Model, Options};
use crate::program::Home;
use crate::solix_stage::Stage;

/// An account with a device of each model that answers at once, and with those that are not read.
fn quick() -> Vec<Device> {
    vec![
        Device::f3800_plus(),
        Device::new(Model::F3800, "9DNF38TEST000001"),
        Device::c1000_gen_2(),
        Device::inverter(),
        Device::meter(),
        Device::plug(),
    ]
}

/// Those that take their time: a panel with a station behind it, and two Solarbanks of which one is mute.
fn slow() -> Vec<Device> {
    let panel = Device::panel();
    let behind = Device::new(Model::F3800Plus, "9DNBH3TEST000001").behind(&panel.serial);
    let mute = Device {
        answers_status: false,
        first_frame_after: Some(Duration::from_secs(3_600)),
        ..Device::solarbank_2()
    };
    vec![mute, panel, behind, Device::solarbank(), Device::meter()]
}

/// The lines of a text in an order of their own, where the text has them as stations were heard, without those on
/// the fields of whatever message came before the poll was over.
fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.contains("MQTT fields for ")).collect();
    lines.sort_by_key(|line| line.split_once('Z').map_or(*line, |(_, rest)| rest));
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

/// A document of a poll whose stations stand in the order of their serial numbers.
fn sorted_stations(json: &str) -> String {
    let mut document: Value = serde_json::from_str(json).unwrap();
    let stations = document["solix"]["stations"].as_array_mut().unwrap();
    stations.sort_by_key(|station| station["serial"].to_string());
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

/// Polls in several formats, and keeps what was said and the rows.
fn poll(scene: &mut Scene, stage: &Stage, formats: &[(&str, &str, &[&str])]) {
    for (name, extension, args) in formats {
        let mut ran = stage.poll(args);
        ran.stdout = match *extension {
            "json" => sorted_stations(&ran.stdout),
            _ => sorted(&ran.stdout),
        };
        ran.stderr = sorted(&ran.stderr);
        scene.keep_run(name, extension, &stage.home, &ran);
    }
    scene.keep_sorted_rows("rows.txt", &stage.home);
}

#[test]
fn stations_that_answer_at_once() {
    let mut scene = Scene::new("solix");
    let stage = Stage::new(Options { devices: quick(), ..Options::default() });
    let serial = stage.serial();
    stage.cloud.station(&serial).set_soc(87).set_ac_input(200).set_solar(330, 310).set_output(435);
    let inventory = stage.inventory("", "");
    let inventory = ["--inventory", inventory.to_str().unwrap()];
    let run = |args: &[&str]| stage.home.run(&[args, &inventory].concat());
    scene.keep_run("login", "txt", &stage.home, &run(&["solix", "login"]));
    scene.keep_run("login-again", "txt", &stage.home, &run(&["solix", "login"]));
    scene.keep_run("devices", "txt", &stage.home, &run(&["solix", "devices"]));
    scene.keep_run("devices-json", "json", &stage.home, &run(&["solix", "devices", "--format", "json"]));
    let formats: [(&str, &str, &[&str]); 4] = [
        ("first", "txt", &[]),
        ("second-json", "json", &["--format", "json"]),
        ("third-csv", "csv", &["--dry-run", "--format", "csv"]),
        ("fourth-quiet", "txt", &["--quiet"]),
    ];
    poll(&mut scene, &stage, &formats);
    scene.keep("check.txt", &stage.home, &run(&["check"]).stdout);
    scene.finish();
}

#[test]
fn a_panel_and_solarbanks() {
    let mut scene = Scene::new("solix-slow");
    let stage = Stage::new(Options { devices: slow(), ..Options::default() });
    let serial = stage.serial();
    stage.cloud.station(&serial).set_soc(41).set("grid_to_home_power", 212.0);
    poll(&mut scene, &stage, &[("first", "json", &["--format", "json"])]);
    scene.finish();
}

#[test]
fn frames_that_were_recorded() {
    let (mut scene, home) = (Scene::new("solix-decode"), Home::new());
    let text = std::fs::read_to_string(repository("fixtures/solix/recordings.jsonl")).unwrap();
    // The last one of each type of message.
    let mut models = BTreeMap::<String, BTreeMap<String, String>>::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let frame = line["frame"].as_str().unwrap();
        let message_type = frame.split_whitespace().nth(3).unwrap().to_owned();
        let frames = models.entry(line["model"].as_str().unwrap().to_owned()).or_default();
        frames.insert(message_type, frame.replace(['/', '.'], ""));
    }
    for (model, frames) in models {
        let lines: Vec<String> = frames.into_values().collect();
        std::fs::write(home.path("frames"), lines.join("\n")).unwrap();
        for format in ["text", "json"] {
            let mut command = home.command(&["solix", "decode", "--model", &model, "--format", format]);
            let output = command.stdin(std::fs::File::open(home.path("frames")).unwrap()).output().unwrap();
            let both = [output.stdout, output.stderr].concat();
            scene.keep(&format!("{model}.{format}"), &home, &String::from_utf8(both).unwrap());
        }
    }
    scene.finish();
}
