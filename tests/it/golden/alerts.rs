//! Alerts that are raised and cleared, and what a webhook is told of them.

use std::path::PathBuf;

use super::Scene;
use crate::program::Home;
use crate::webhook::{Behaviour, Webhook};

/// What the hosts answer in each cycle: the temperature of `hot`, and the fault of `gone`.
const CYCLES: [(u32, &str); 5] =
    [(60, "none"), (91, "none"), (91, "no-driver"), (91, "no-driver"), (60, "none")];

fn inventory(home: &Home, (temperature, fault): (u32, &str), format: &str) -> PathBuf {
    let hot = format!("[set]\n\"temperature.gpu\" = \"{temperature}\"\n");
    std::fs::write(home.path("hot.toml"), hot).unwrap();
    std::fs::write(home.path("gone.toml"), format!("gpus = 2\nfault = \"{fault}\"\n")).unwrap();
    home.inventory(&format!(
        "[alerts]\ngpu_temperature_above = \"80C\"\nhost_silent_for = \"1ms\"\nwebhook_env = \"HOOK\"\n\
         webhook_format = \"{format}\"\nwebhook_timeout = \"2s\"\n\
         [[host]]\nname = \"hot\"\nscripted = \"hot.toml\"\n[[host]]\nname = \"gone\"\nscripted = \"gone.toml\"\n"
    ))
}

async fn told(scene_name: &'static str, format: &'static str) {
    let webhook = Webhook::start().await;
    let url = webhook.url().to_owned();
    let mood = |mood| webhook.set(mood);
    let mut scene = Scene::new(scene_name);
    let home = Home::new().with("HOOK", url);
    tokio::task::block_in_place(|| {
        for (number, cycle) in CYCLES.into_iter().enumerate() {
            mood(if number == 1 && format == "json" { Behaviour::Breaks } else { Behaviour::Takes });
            let path = inventory(&home, cycle, format);
            scene.keep_run(&format!("cycle-{number}"), "txt", &home, &home.poll(&path, &["--quiet"]));
            for (extension, args) in [("txt", &[][..]), ("json", &["--format", "json"])] {
                let args = [&["alerts"], args, &["--inventory", path.to_str().unwrap()]].concat();
                scene.keep(&format!("alerts-{number}.{extension}"), &home, &home.run(&args).stdout);
            }
        }
        let path = inventory(&home, CYCLES[0], format);
        let test = home.run(&["alerts", "test", "--inventory", path.to_str().unwrap()]);
        scene.keep_run("test", "txt", &home, &test);
        scene.keep_rows("rows.txt", &home);
    });
    scene.keep("webhook.json", &home, &(serde_json::to_string_pretty(&webhook.bodies()).unwrap() + "\n"));
    scene.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_by_a_webhook_of_ones_own() {
    told("alerts", "json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_by_slack() {
    told("alerts-slack", "slack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_by_alertmanager() {
    told("alerts-alertmanager", "alertmanager").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_by_ntfy() {
    told("alerts-ntfy", "ntfy").await;
}
