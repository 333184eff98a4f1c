//! `[alerts]`: what an operator writes, and what they are told when it is wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetwatt::alert::{PowerThreshold, Rules, Threshold};
use fleetwatt::inventory::{
    AlertSettings, Diagnostics, Files, Inventory, SecretSource, WebhookFormat, WebhookSettings, load,
};
use fleetwatt::reading::{Power, Share, Temperature};

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }

    fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn loaded(alerts: &str) -> Result<Inventory, Diagnostics> {
    let text = format!("[[host]]\nname = \"a\"\n[alerts]\n{alerts}");
    load(Path::new("etc/fleet.toml"), &OneFile(text))
}

fn good(alerts: &str) -> AlertSettings {
    loaded(alerts).unwrap_or_else(|faults| panic!("{faults}")).alerts
}

/// `line:column message` of each fault.
fn faults_of(alerts: &str) -> Vec<String> {
    let faults = loaded(alerts).expect_err("the section is wrong");
    faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect()
}

/// The commented section of an example, as a file with the marks taken away.
fn example(name: &str) -> AlertSettings {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory").join(name);
    let text = std::fs::read_to_string(path).expect("the example is there");
    let (_, section) = text.split_once("# [alerts]\n").expect("the example has the section");
    let lines: Vec<&str> = section.lines().map_while(|line| line.strip_prefix("# ")).collect();
    good(&lines.join("\n"))
}

#[test]
fn the_commented_section_of_the_cluster_has_every_rule() {
    assert_eq!(
        example("cluster.toml"),
        AlertSettings {
            rules: Rules {
                gpu_temperature: Some(Threshold {
                    above: Temperature::from_millicelsius(85_000),
                    held_for: Duration::ZERO,
                }),
                gpu_power: Some(Threshold {
                    above: PowerThreshold::OfLimit(Share::from_millipercent(105_000)),
                    held_for: Duration::from_secs(300),
                }),
                host_silent_for: Some(Duration::from_secs(300)),
                cluster_power: Some(Power::from_watts(1_200_000)),
                spool_older_than: Some(Duration::from_secs(600)),
                store_away_for: Some(Duration::from_secs(300)),
                ..Rules::default()
            },
            webhook: Some(WebhookSettings {
                url: SecretSource::Credential("alertmanager-url".to_owned()),
                format: WebhookFormat::Alertmanager,
                timeout: Duration::from_secs(10),
            }),
        }
    );
}

#[test]
fn the_commented_section_of_the_federation_loads() {
    let alerts = example("federation.toml");
    assert_eq!(alerts.rules.gpu_temperature.expect("it is set").held_for, Duration::from_secs(120));
    assert_eq!(alerts.webhook.expect("it has one").format, WebhookFormat::Ntfy);
}

#[test]
fn an_inventory_without_alerts_watches_only_what_is_always_watched() {
    assert_eq!(good(""), AlertSettings::default());
}

#[test]
fn a_webhooks_file_is_relative_to_the_inventory_and_its_defaults_are_json_and_ten_seconds() {
    let webhook = good("webhook_file = \"secret/webhook\"\n").webhook.expect("it has one");
    assert_eq!(webhook.url, SecretSource::File(PathBuf::from("etc/secret/webhook")));
    assert_eq!((webhook.format, webhook.timeout), (WebhookFormat::Json, Duration::from_secs(10)));
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is most of it")]
fn everything_wrong_is_shown_at_once_with_place_and_remedy() {
    let text = r#"gpu_temperature_above = "85F"
gpu_power_above       = 600
gpu_power_for         = "5"
cluster_power_above   = "110%"
host_silent_for       = "0s"
spool_older           = "5m"
battery_below         = "30%"
webhook               = "https://hooks.example/T0/hunter2"
webhook_format        = "teams"
webhook_timeout       = "5m"
"#;
    insta::assert_snapshot!(loaded(text).expect_err("all of it is wrong").render(false), @r#"
    error: `gpu_temperature_above` is not in degrees Celsius
     --> etc/fleet.toml:4:25
      |
    4 | gpu_temperature_above = "85F"
      |                         ^^^^^ the unit is C
      |
      = help: write degrees Celsius with their unit, as "85C"

    error: `gpu_power_above` must be a string, not a whole number
     --> etc/fleet.toml:5:25
      |
    5 | gpu_power_above       = 600
      |                         ^^^ expected a string
      |
      = help: write `gpu_power_above = "600W"`

    error: `gpu_power_for` is not a duration
     --> etc/fleet.toml:6:25
      |
    6 | gpu_power_for         = "5"
      |                         ^^^ not a duration
      |
      = help: write `gpu_power_for = "5s"`

    error: `cluster_power_above` is a share
     --> etc/fleet.toml:7:25
      |
    7 | cluster_power_above   = "110%"
      |                         ^^^^^^ a cluster has no limit to take a share of
      |
      = help: write watts as "900W" or "12kW"

    error: `host_silent_for` is zero
     --> etc/fleet.toml:8:25
      |
    8 | host_silent_for       = "0s"
      |                         ^^^^ must be above zero
      |
      = help: write a number with its unit, as "90s", "5m" or "1h 30m"

    error: unknown key `spool_older` in [alerts]
     --> etc/fleet.toml:9:1
      |
    9 | spool_older           = "5m"
      | ^^^^^^^^^^^ not a key that is known here
      |
      = help: did you mean `spool_older_than`?

    error: `battery_below` without [solix]
      --> etc/fleet.toml:10:1
       |
    10 | battery_below         = "30%"
       | ^^^^^^^^^^^^^ there is no station to watch
       |
       = help: add the section [solix], or take `battery_below` out: it would never raise an alert

    error: a webhook's URL in the inventory
      --> etc/fleet.toml:11:1
       |
    11 | webhook               = ***
       | ^^^^^^^ whoever has this URL can send to it: it does not belong in this file
       |
       = help: take it out, make a new one if others could read the file, and say where it is by webhook_env, webhook_file or webhook_credential in [alerts]

    error: `webhook_format` is an unknown format
      --> etc/fleet.toml:12:25
       |
    12 | webhook_format        = "teams"
       |                         ^^^^^^^ not known
       |
       = help: use "json", "slack" (also for Mattermost and Discord's /slack URLs), "ntfy" or "alertmanager"

    error: `webhook_timeout` is above one minute
      --> etc/fleet.toml:13:25
       |
    13 | webhook_timeout       = "5m"
       |                         ^^^^ at most "1m"
       |
       = help: the default is "10s"

    error: the inventory has 10 faults
    "#);
}

#[test]
fn a_duration_without_its_threshold_and_a_format_without_a_webhook_are_faults() {
    assert_eq!(
        faults_of("gpu_temperature_for = \"5m\"\nwebhook_format = \"slack\"\n"),
        [
            "4:1 `gpu_temperature_for` without `gpu_temperature_above`",
            "5:1 `webhook_format` without a webhook",
        ]
    );
}

#[test]
fn only_one_source_of_the_url_is_taken() {
    assert_eq!(
        faults_of("webhook_env = \"W\"\nwebhook_file = \"w\"\n"),
        ["5:16 the webhook's URL is said to come from two places"]
    );
}

#[test]
fn a_url_is_hidden_wherever_it_is_written_and_its_remedy_says_where_it_belongs() {
    for text in [
        "webhook = \"https://hooks.example/hunter2\"\n",
        "webhook_url = \"https://hooks.example/hunter2\"\n",
        "webhok = \"https://hooks.example/hunter2\"\nwebhook = \"x\"\n",
        "webhook_env = \"https://hooks.example/hunter2\"\n",
        "webhook_file = \"https://hooks.example/hunter2\"\n",
        "webhook_credential = \"https://hooks.example/hunter2\"\n",
        "webhook = \"https://hooks.example/hunter2\n",
    ] {
        let faults = loaded(text).expect_err("a URL in the file");
        let shown = format!("{faults} {faults:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("webhook_env") || shown.contains("not valid TOML"), "{shown}");
    }
}

#[test]
fn alerts_are_for_the_whole_fleet() {
    struct Two;
    impl Files for Two {
        fn read(&self, path: &Path) -> io::Result<String> {
            let is_first = path == Path::new("fleet.toml");
            Ok(if is_first { "include = [\"a.toml\"]\n" } else { "[alerts]\n[[host]]\nname = \"n\"\n" }
                .into())
        }
        fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(vec![PathBuf::from("a.toml")])
        }
    }
    let faults = load(Path::new("fleet.toml"), &Two).expect_err("it stands in the wrong file");
    assert!(faults.to_string().contains("[alerts] in an included file"), "{faults}");
}
