//! `[solix]`, and what `[alerts]` says of stations: what an operator writes, and what they are told when it
//! is wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetwatt::alert::Rules;
use fleetwatt::inventory::{
    AccountServer, Diagnostics, Files, Inventory, SecretSource, StationAccount, load,
};
use fleetwatt::reading::Share;

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }

    fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn loaded(rest: &str) -> Result<Inventory, Diagnostics> {
    load(Path::new("etc/fleet.toml"), &OneFile(format!("[[host]]\nname = \"a\"\n{rest}")))
}

fn good(rest: &str) -> Inventory {
    loaded(rest).unwrap_or_else(|faults| panic!("{faults}"))
}

/// `line:column message` of each fault.
fn faults_of(rest: &str) -> Vec<String> {
    let faults = loaded(rest).expect_err("the inventory is wrong");
    faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn defaults() -> StationAccount {
    StationAccount {
        user: SecretSource::Env("ANKER_USER".to_owned()),
        password: SecretSource::Env("ANKER_PASS".to_owned()),
        country: None,
        server: None,
        interval: seconds(120),
        fast_interval: seconds(30),
        rest_every: 5,
        listen: seconds(10),
        api_url: None,
        login_key: None,
        mqtt_address: None,
        extra_ca: None,
    }
}

fn watched_by_default() -> Rules {
    Rules { grid_lost_for: Some(Duration::ZERO), station_silent_for: Some(seconds(900)), ..Rules::default() }
}

#[test]
fn the_commented_section_of_the_federation_loads_and_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory/federation.toml");
    let text = std::fs::read_to_string(path).expect("the example is there");
    let after = |mark: &str| {
        let (_, section) = text.split_once(mark).expect("the example has it");
        let lines: Vec<&str> = section.lines().map_while(|line| line.strip_prefix("# ")).collect();
        lines.join("\n")
    };
    let alerts = after("the last three hold without being written:\n#\n");
    let inventory = good(&format!("[solix]\n{}\n[alerts]\n{alerts}", after("# [solix]\n")));
    let country = Some("US".to_owned());
    assert_eq!(
        inventory.account,
        Some(StationAccount { country, server: Some(AccountServer::Com), ..defaults() })
    );
    assert_eq!(
        inventory.alerts.rules,
        Rules {
            battery_below: Some(Share::from_millipercent(30_000)),
            battery_critical_below: Some(Share::from_millipercent(10_000)),
            ..watched_by_default()
        }
    );
}

#[test]
fn the_fuzzers_seed_has_the_whole_section() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/inventory/solix.toml");
    let text = std::fs::read_to_string(path).expect("the seed is there");
    let inventory = load(Path::new("fleet.toml"), &OneFile(text)).unwrap_or_else(|faults| panic!("{faults}"));
    let solix = inventory.account.expect("it is enabled");
    assert_eq!(solix.country.as_deref(), Some("DE"));
    assert_eq!(solix.api_url.as_deref(), Some("https://[::1]:4443"));
    assert!(solix.login_key.is_some_and(|key| key.starts_with("040217e6")));
    assert_eq!(solix.mqtt_address.as_deref(), Some("127.0.0.1:8883"));
    assert_eq!(inventory.alerts.rules.station_silent_for, None);
}

#[test]
fn a_login_key_belongs_to_another_server_and_is_a_point() {
    let written = |line: &str| faults_of(&format!("[solix]\n{line}\n"));
    let point = format!("login_key = \"04{}\"", "ab".repeat(64));
    assert_eq!(written(&point), ["4:1 `login_key` without `api_url`"]);
    assert!(good(&format!("[solix]\napi_url = \"https://h\"\n{point}\n")).account.is_some());
    assert_eq!(
        written("api_url = \"https://h\"\nlogin_key = \"04abc\""),
        ["5:13 `login_key` is not a public key"]
    );
}

#[test]
fn an_empty_section_is_enabled_and_has_every_default() {
    let inventory = good("[solix]\n");
    assert_eq!(inventory.account, Some(defaults()));
    assert_eq!(inventory.alerts.rules, watched_by_default());
}

#[test]
fn an_inventory_without_the_section_has_no_stations_and_watches_none() {
    let inventory = good("");
    assert_eq!((inventory.account, inventory.alerts.rules), (None, Rules::default()));
}

#[test]
fn what_is_switched_off_is_neither_read_nor_watched_but_still_checked() {
    let inventory = good("[solix]\nenabled = false\ncountry = \"US\"\n[alerts]\nbattery_below = \"30%\"\n");
    assert_eq!((inventory.account, inventory.alerts.rules), (None, Rules::default()));
    assert_eq!(faults_of("[solix]\nenabled = false\ncountry = \"U\"\n"), ["5:11 `country` is not a country"]);
}

#[test]
fn files_are_relative_to_the_inventory() {
    let solix =
        good("[solix]\nuser_file = \"user\"\npassword_file = \"/run/pass\"\nextra_ca = \"ca.pem\"\n").account;
    let solix = solix.expect("it is enabled");
    assert_eq!(solix.user, SecretSource::File("etc/user".into()));
    assert_eq!(solix.password, SecretSource::File("/run/pass".into()));
    assert_eq!(solix.extra_ca, Some("etc/ca.pem".into()));
}

#[test]
fn the_fast_interval_is_never_the_longer_one() {
    let solix = good("[solix]\ninterval = \"10s\"\n").account.expect("it is enabled");
    assert_eq!((solix.interval, solix.fast_interval), (seconds(10), seconds(10)));
    assert_eq!(
        faults_of("[solix]\nfast_interval = \"3m\"\n"),
        ["4:17 the fast_interval of 3m is above the interval of 2m"]
    );
    // Nothing is measured by an interval that cannot be read.
    assert_eq!(
        faults_of("[solix]\nfast_interval = \"3m\"\ninterval = \"5\"\n"),
        ["5:12 `interval` is not a duration"]
    );
}

#[test]
fn bounds_hold_at_both_ends() {
    for good_value in ["interval = \"1h\"", "listen = \"1s\"", "listen = \"1m\"", "rest_every = 1000"] {
        good(&format!("[solix]\n{good_value}\n"));
    }
    good("[solix]\ninterval = \"5s\"\nfast_interval = \"5s\"\n");
    for bad_value in [
        "interval = \"4s\"",
        "interval = \"1h 1s\"",
        "fast_interval = \"4999ms\"",
        "listen = \"999ms\"",
        "listen = \"61s\"",
        "rest_every = 0",
        "rest_every = 1001",
    ] {
        let found = faults_of(&format!("[solix]\n{bad_value}\n"));
        assert_eq!(found.len(), 1, "{bad_value}: {found:?}");
        assert!(found.concat().contains("is out of bounds"), "{bad_value}: {found:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is most of it")]
fn everything_wrong_is_shown_at_once_with_place_and_remedy() {
    let text = r#"[solix]
enabled       = "yes"
country       = "Germany"
server        = "us"
user_env      = "me@example.com"
user_file     = "user"
email         = "me@example.com"
password      = "hunter2"
password_env  = "A"
password_file = "b"
interval      = "1s"
fast_interval = 30
rest_every    = 0
listen        = "2m"
api_url       = "https://me:hunter2@api.example/x"
mqtt_address  = "broker"
extra_ca      = ""
adress        = "x"

[alerts]
battery_below          = "30"
battery_critical_below = "100%"
grid_lost              = "no"
grid_lost_for          = "-1s"
station_silent_for     = "never"
"#;
    let rendered = loaded(text).expect_err("all of it is wrong").render(false);
    assert!(!rendered.contains("hunter2") && !rendered.contains("me@example"), "{rendered}");
    insta::assert_snapshot!(rendered, @r#"
    error: `enabled` must be true or false, not a string
     --> etc/fleet.toml:4:17
      |
    4 | enabled       = "yes"
      |                 ^^^^^ expected true or false
      |
      = help: write `enabled = true`

    error: `country` is not a country
     --> etc/fleet.toml:5:17
      |
    5 | country       = "Germany"
      |                 ^^^^^^^^^ not two letters
      |
      = help: write the two letters of the country that the Anker app is set to, as "US" or "DE"

    error: `server` is an unknown server
     --> etc/fleet.toml:6:17
      |
    6 | server        = "us"
      |                 ^^^^ not known
      |
      = help: use "com" or "eu", or take it out: it follows the country

    error: `user_env` is not the name of an environment variable
     --> etc/fleet.toml:7:17
      |
    7 | user_env      = ***
      |                 ^^^ not a variable's name
      |
      = help: write the name of the variable that holds the e-mail address, such as `ANKER_USER`, not the e-mail address

    error: `email` in [solix]
     --> etc/fleet.toml:9:1
      |
    9 | email         = ***
      | ^^^^^ the account itself is not written here
      |
      = help: say where it is by user_env, user_file or user_credential; without them it is in the variable ANKER_USER

    error: a password in the inventory
      --> etc/fleet.toml:10:1
       |
    10 | password      = ***
       | ^^^^^^^^ a secret does not belong in this file
       |
       = help: take it out, change it if others could read the file, and say where it is by password_env, password_file or password_credential in [solix]

    error: the password is said to come from two places
      --> etc/fleet.toml:12:17
       |
    12 | password_file = "b"
       |                 ^^^ a second place
       |
       = help: keep one of them

    error: `interval` is out of bounds
      --> etc/fleet.toml:13:17
       |
    13 | interval      = "1s"
       |                 ^^^^ from "5s" to "1h"
       |
       = help: write "5s" to "1h"; the default is "2m"

    error: `fast_interval` must be a string, not a whole number
      --> etc/fleet.toml:14:17
       |
    14 | fast_interval = 30
       |                 ^^ expected a string
       |
       = help: write `fast_interval = "30s"`

    error: `rest_every` is out of bounds
      --> etc/fleet.toml:15:17
       |
    15 | rest_every    = 0
       |                 ^ out of bounds
       |
       = help: write a number from 1 to 1000

    error: `listen` is out of bounds
      --> etc/fleet.toml:16:17
       |
    16 | listen        = "2m"
       |                 ^^^^ from "1s" to "1m"
       |
       = help: write "1s" to "1m"; the default is "10s"

    error: `api_url` has a login in it
      --> etc/fleet.toml:17:17
       |
    17 | api_url       = ***
       |                 ^^^ a login does not belong here
       |
       = help: write `https://host:port`, without login, path or question mark

    error: `mqtt_address` is not a host and a port
      --> etc/fleet.toml:18:17
       |
    18 | mqtt_address  = "broker"
       |                 ^^^^^^^^ not `host:port`
       |
       = help: write `host:port`, as "127.0.0.1:8883" or "[::1]:8883"

    error: `extra_ca` is empty
      --> etc/fleet.toml:19:17
       |
    19 | extra_ca      = ""
       |                 ^^ empty
       |
       = help: write a value, or take the key out

    error: unknown key `adress` in [solix]
      --> etc/fleet.toml:20:1
       |
    20 | adress        = "x"
       | ^^^^^^ not a key that is known here
       |
       = help: known here: enabled, country, server, user_env, user_file, user_credential, password_env, password_file, password_credential, interval, fast_interval, rest_every, listen, api_url, login_key, mqtt_address, extra_ca

    error: `battery_below` is not a state of charge
      --> etc/fleet.toml:23:26
       |
    23 | battery_below          = "30"
       |                          ^^^^ not in percent
       |
       = help: write `battery_below = "30%"`

    error: `battery_critical_below` is out of bounds
      --> etc/fleet.toml:24:26
       |
    24 | battery_critical_below = "100%"
       |                          ^^^^^^ whole percent from 1 to 99
       |
       = help: write percent of a full battery, as "30%"

    error: `grid_lost` must be true or false, not a string
      --> etc/fleet.toml:25:26
       |
    25 | grid_lost              = "no"
       |                          ^^^^ expected true or false
       |
       = help: write `grid_lost = false`

    error: `grid_lost_for` is not a duration
      --> etc/fleet.toml:26:26
       |
    26 | grid_lost_for          = "-1s"
       |                          ^^^^^ not a duration
       |
       = help: write a number with its unit, as "90s", "5m" or "1h 30m"

    error: `station_silent_for` is not a duration
      --> etc/fleet.toml:27:26
       |
    27 | station_silent_for     = "never"
       |                          ^^^^^^^ not a duration
       |
       = help: write a number with its unit, as "90s", "5m" or "1h 30m"

    error: the inventory has 20 faults
    "#);
}

#[test]
fn the_rules_of_stations_contradict_neither_each_other_nor_a_fleet_without_stations() {
    let solix = "[solix]\n[alerts]\n";
    assert_eq!(
        faults_of(&format!("{solix}battery_below = \"20%\"\nbattery_critical_below = \"20%\"\n")),
        ["6:26 the battery_critical_below of 20 % is not below the battery_below of 20 %"]
    );
    assert_eq!(
        faults_of(&format!("{solix}grid_lost = false\ngrid_lost_for = \"1m\"\n")),
        ["6:1 `grid_lost_for` beside `grid_lost = false`"]
    );
    assert_eq!(
        faults_of(
            "[alerts]\ngrid_lost = false\nstation_silent_for = \"5m\"\nbattery_critical_below = \"9%\"\n"
        ),
        [
            "4:1 `grid_lost` without [solix]",
            "5:1 `station_silent_for` without [solix]",
            "6:1 `battery_critical_below` without [solix]",
        ]
    );
}

#[test]
fn what_is_watched_without_being_written_can_be_switched_off() {
    let rules = good("[solix]\n[alerts]\ngrid_lost = false\nstation_silent_for = \"off\"\n").alerts.rules;
    assert_eq!(rules, Rules::default());
    let rules = good("[solix]\n[alerts]\ngrid_lost_for = \"1m\"\n").alerts.rules;
    assert_eq!(rules.grid_lost_for, Some(seconds(60)));
}

#[test]
fn a_charge_is_whole_percent_of_a_full_battery() {
    for bad in ["0%", "100%", "12.5%", "30", "30W", "%"] {
        let found = faults_of(&format!("[solix]\n[alerts]\nbattery_below = \"{bad}\"\n"));
        assert_eq!(found.len(), 1, "{bad}: {found:?}");
    }
    let rules = good("[solix]\n[alerts]\nbattery_below = \"99 %\"\n").alerts.rules;
    assert_eq!(rules.battery_below, Some(Share::from_millipercent(99_000)));
}

#[test]
fn stations_are_for_the_whole_fleet() {
    struct Two;
    impl Files for Two {
        fn read(&self, path: &Path) -> io::Result<String> {
            let is_first = path == Path::new("fleet.toml");
            Ok(if is_first { "include = [\"a.toml\"]\n" } else { "[solix]\n[[host]]\nname = \"n\"\n" }.into())
        }
        fn glob(&self, _pattern: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(vec![PathBuf::from("a.toml")])
        }
    }
    let faults = load(Path::new("fleet.toml"), &Two).expect_err("it stands in the wrong file");
    assert!(faults.to_string().contains("[solix] in an included file"), "{faults}");
}

#[test]
fn a_section_that_is_no_table_is_one_fault() {
    // At the top, since a key below a [[host]] would be that host's.
    let file =
        OneFile("solix = true\n[[host]]\nname = \"a\"\n[alerts]\nbattery_below = \"30%\"\n".to_owned());
    let faults = load(Path::new("fleet.toml"), &file).expect_err("it is no table");
    let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(messages, ["`solix` must be a table"]);
}

#[test]
fn no_secret_is_shown_wherever_it_is_written() {
    for line in [
        "password = \"hunter2\"",
        "passwd = \"hunter2\"",
        "pasword = \"hunter2\"",
        "password_env = \"hunter2!\"",
        "user = \"hunter2@example.com\"",
        "email = \"hunter2@example.com\"",
        "user_env = \"hunter2@example.com\"",
        "api_url = \"https://me:hunter2@api.example\"",
        "api_url = \"https://me:hunter2\\u0040api.example\"",
        "api_url = \"https://api.example/hunter2\"",
        "api_url = \"https://api.example?hunter2\"",
        "api_url = \"http://me:hunter2@api.example\"",
    ] {
        let faults = loaded(&format!("[solix]\n{line}\n")).expect_err(line);
        let shown = format!("{faults} {faults:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let is_secret = line.starts_with("pass");
        assert!(!is_secret || shown.contains("[solix]") || shown.contains("ANKER_PASS"), "{shown}");
    }
}
