//! Home Assistant's side of a real mosquitto: what it keeps for it, and what happens when somebody dies.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use rustix::process::Signal;
use serde_json::Value;

use crate::home_assistant_schema as schema;
use crate::program::{Home, signal, wait_until};

/// A process that is ended with the test.
struct Process(Child);

impl Process {
    fn signal(&self, which: Signal) {
        signal(i32::try_from(self.0.id()).unwrap(), which);
    }

    /// What it has said, once it has ended.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// A mosquitto that keeps nothing when it ends.
struct Mosquitto {
    config: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Mosquitto {
    /// One with these lines in its configuration, which is not started yet.
    fn new(home: &Home, lines: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
        let config = home.path("mosquitto.conf");
        let text = format!("{user}listener {port} 127.0.0.1\npersistence false\nlog_dest stderr\n{lines}");
        std::fs::write(&config, text).unwrap();
        Self { config, port, process: None }
    }

    fn started(home: &Home) -> Self {
        let mut broker = Self::new(home, "allow_anonymous true\n");
        broker.start();
        broker
    }

    fn start(&mut self) {
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(Process(command.spawn().unwrap()));
        wait_until("mosquitto", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn kill(&mut self) {
        self.process = None;
    }
}

/// One who hears everything from now on, and what the broker had kept.
struct Listener {
    client: Client,
    /// Topic, payload, and whether it was kept from before.
    heard: Arc<Mutex<Vec<(String, String, bool)>>>,
}

impl Listener {
    fn new(broker: &Mosquitto) -> Self {
        Self::with(broker, None)
    }

    fn with(broker: &Mosquitto, login: Option<(&str, &str)>) -> Self {
        let id = format!("listener-{:016x}", fleetwatt::support::jitter::number());
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.port);
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let (client, mut connection) = Client::new(options, 16);
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let payload = String::from_utf8(message.payload.to_vec()).unwrap();
                        hears.lock().unwrap().push((message.topic, payload, message.retain));
                    }
                    Ok(_) => (),
                    Err(_) => return,
                }
            }
        });
        Self { client, heard }
    }

    /// How often something was said on a topic.
    fn times(&self, topic: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|(heard, ..)| heard == topic).count()
    }

    /// The last word on each topic.
    fn last(&self) -> BTreeMap<String, String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(topic, payload, _)| (topic.clone(), payload.clone())).collect()
    }

    fn status(&self) -> Option<String> {
        self.last().remove("fleetwatt/status")
    }

    /// The energies that are known, by the topic of their state.
    fn energies(&self) -> BTreeMap<String, f64> {
        let energy = |(topic, payload): (String, String)| {
            let state: Value = serde_json::from_str(&payload).ok()?;
            Some((topic, state["energy"].as_f64()?))
        };
        self.last().into_iter().filter(|(topic, _)| topic.ends_with("/state")).filter_map(energy).collect()
    }

    /// The configurations that were kept, each as Home Assistant takes it, by the names of their devices.
    fn devices(&self) -> Vec<String> {
        let said = self.last();
        let config = |(topic, payload): (&String, &String)| {
            let config: Value = serde_json::from_str(payload).ok()?;
            let state: Value = serde_json::from_str(said.get(config["state_topic"].as_str()?)?).ok()?;
            assert_eq!(schema::check(&config, &state), Ok(()), "{topic}");
            Some(config["device"]["name"].as_str()?.to_owned())
        };
        said.iter().filter(|(topic, _)| topic.ends_with("/config")).filter_map(config).collect()
    }
}

fn scene(name: &str) -> String {
    format!("{}/fixtures/demo/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// A fleet of two played hosts, of which one has a GPU that is lost, with a cycle each two seconds.
fn inventory(home: &Home, broker: &Mosquitto, more: &str) -> PathBuf {
    home.inventory(&format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n{more}\n[cycle]\ninterval = \"2s\"\n[ledger]\nmax_gap = \"5m\"\n\
         [defaults]\ntimeout = \"1500ms\"\nconnect_timeout = \"1s\"\n\
         [[host]]\nname = \"redfin\"\nscripted = \"{}\"\n[[host]]\nname = \"node001\"\nscripted = \"{}\"\n",
        broker.port,
        scene("redfin"),
        scene("lost"),
    ))
}

fn daemon(home: &Home, inventory: &Path) -> Process {
    Process(home.start(&["run", "--inventory", inventory.to_str().unwrap()]))
}

const FLEET: &str = "fleetwatt/fleet/state";
const FLEET_CONFIG: &str = "homeassistant/device/fleetwatt_fleet/config";

#[test]
fn the_broker_keeps_all_for_whoever_comes_later_and_a_birth_is_answered() {
    let home = Home::new();
    let broker = Mosquitto::started(&home);
    let _daemon = daemon(&home, &inventory(&home, &broker, "gpus = true"));
    let first = Listener::new(&broker);
    wait_until("that it is there", || first.status().as_deref() == Some("online"));
    let late = Listener::new(&broker);
    wait_until("what was kept", || late.devices().len() == 1 + 2 + 1 + 7);
    let is_kept =
        |topic: &str| late.heard.lock().unwrap().iter().any(|(heard, _, kept)| heard == topic && *kept);
    assert!(is_kept(FLEET_CONFIG) && is_kept(FLEET) && is_kept("fleetwatt/status"));
    assert!(late.devices().contains(&"redfin".to_owned()));
    let before = late.times(FLEET_CONFIG);
    late.client.publish("homeassistant/status", QoS::AtLeastOnce, false, "online").unwrap();
    wait_until("discovery again", || late.times(FLEET_CONFIG) > before);
    assert_eq!(late.times(FLEET_CONFIG), before + 1, "it is said once more, and not with each cycle");
}

#[test]
fn whoever_is_killed_is_away_and_whoever_is_ended_says_so() {
    let home = Home::new();
    let broker = Mosquitto::started(&home);
    let inventory = inventory(&home, &broker, "");
    let listener = Listener::new(&broker);
    let is = |status: &str| listener.status().as_deref() == Some(status);
    let killed = daemon(&home, &inventory);
    wait_until("that it is there", || is("online"));
    killed.signal(Signal::KILL);
    wait_until("its last will", || is("offline"));
    let ended = daemon(&home, &inventory);
    wait_until("that it is there again", || is("online"));
    ended.signal(Signal::TERM);
    let (code, log) = ended.ended();
    assert_eq!(code, Some(0), "{log}");
    wait_until("its goodbye", || is("offline"));
}

#[test]
fn a_broker_that_comes_late_or_back_with_nothing_is_told_all_and_no_cycle_waits_for_it() {
    let home = Home::new();
    let mut broker = Mosquitto::new(&home, "allow_anonymous true\n");
    let daemon = daemon(&home, &inventory(&home, &broker, ""));
    let n_cycles = || {
        let rows: Vec<(i64,)> =
            home.query("SELECT count(*) FROM unified_timeline WHERE event_type = 'node_up'");
        rows.first().map_or(0, |(rows,)| rows / 2)
    };
    wait_until("cycles without a broker", || n_cycles() >= 3);
    for _ in 0..2 {
        broker.start();
        let listener = Listener::new(&broker);
        wait_until("everything", || listener.devices().len() == 3);
        wait_until("that it is there", || listener.status().as_deref() == Some("online"));
        broker.kill();
    }
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.ended();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("Home Assistant is told over").count(), 2, "{log}");
}

/// A hundred kills where slow tests are wanted, else some.
#[test]
fn no_counter_falls_when_the_daemon_is_killed() {
    let n_kills = if std::env::var_os("FLEETWATT_SLOW_TESTS").is_some() { 100 } else { 5 };
    let home = Home::new();
    let broker = Mosquitto::started(&home);
    let inventory = inventory(&home, &broker, "gpus = true");
    let listener = Listener::new(&broker);
    let mut last = BTreeMap::new();
    for kill in 0..n_kills {
        let daemon = daemon(&home, &inventory);
        let mut n_rises = 0;
        wait_until("a rise", || {
            let now = listener.energies();
            for (topic, before) in &last {
                let after = now.get(topic);
                assert!(
                    after.is_none_or(|after| before <= after),
                    "{topic} after {kill} kills: {before}, {after:?}"
                );
            }
            n_rises += u32::from(now.get(FLEET) > last.get(FLEET));
            last.extend(now);
            n_rises > kill % 3
        });
        daemon.signal(Signal::KILL);
        daemon.ended();
    }
    let _daemon = daemon(&home, &inventory);
    // Of the eight boards one is lost. No board moved, so that a node is what its boards are.
    wait_until("all counters of one cycle", || {
        let now = listener.energies();
        let of = |start: &str| -> f64 {
            now.iter().filter(|(topic, _)| topic.starts_with(start)).map(|(_, energy)| energy).sum()
        };
        now.len() == 1 + 2 + 1 + 7 && (of("fleetwatt/node/") - of("fleetwatt/gpu/")).abs() < 1e-4
    });
}

#[test]
fn a_login_that_is_refused_is_told_once_and_its_secrets_never() {
    let home = Home::new().with("MQTT_USER", "watcher").with("MQTT_PASSWORD", "canary-of-a-password");
    let passwords = home.path("passwords");
    let mut broker =
        Mosquitto::new(&home, &format!("allow_anonymous false\npassword_file {}\n", passwords.display()));
    let set = |password: &str| {
        let mut command = Command::new("mosquitto_passwd");
        command.args(["-b", "-c"]).arg(&passwords).args(["watcher", password]);
        assert!(command.output().unwrap().status.success());
    };
    set("another");
    broker.start();
    let login = "user_env = \"MQTT_USER\"\npassword_env = \"MQTT_PASSWORD\"";
    let daemon = daemon(&home, &inventory(&home, &broker, login));
    let refused = "Home Assistant is not told: the broker refuses the user name or the password";
    let mut log = daemon
        .0
        .stderr
        .as_ref()
        .map(|stderr| rustix::io::dup(stderr).unwrap())
        .map(std::fs::File::from)
        .unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4_096];
    while !said.contains(refused) {
        let n_bytes = log.read(&mut buffer).unwrap();
        assert!(n_bytes > 0, "{said}");
        said += &String::from_utf8_lossy(&buffer[..n_bytes]);
    }
    set("canary-of-a-password");
    broker.kill();
    broker.start();
    let listener = Listener::with(&broker, Some(("watcher", "canary-of-a-password")));
    wait_until("that it is there", || listener.status().as_deref() == Some("online"));
    daemon.signal(Signal::TERM);
    let (_, rest) = daemon.ended();
    said += &rest;
    assert_eq!(said.matches(refused).count(), 1, "{said}");
    assert!(said.contains("Home Assistant is told over mqtt://127.0.0.1"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn a_broker_with_tls_is_trusted_by_the_authority_that_is_named() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (home.path("broker.pem"), home.path("broker.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut broker = Mosquitto::new(
        &home,
        &format!("allow_anonymous true\ncertfile {}\nkeyfile {}\n", certificate.display(), key.display()),
    );
    broker.start();
    let url = format!("mqtts://localhost:{}", broker.port);
    let run = |ca: &str| {
        let plain = inventory(&home, &broker, ca);
        let text = std::fs::read_to_string(&plain).unwrap();
        std::fs::write(&plain, text.replace(&format!("mqtt://127.0.0.1:{}", broker.port), &url)).unwrap();
        let daemon = daemon(&home, &plain);
        wait_until("cycles", || home.path("s/home-assistant.json").exists());
        daemon.signal(Signal::TERM);
        daemon.ended().1
    };
    let trusted = run(&format!("ca = \"{}\"", certificate.display()));
    assert!(trusted.contains(&format!("Home Assistant is told over {url}")), "{trusted}");
    std::fs::remove_file(home.path("s/home-assistant.json")).unwrap();
    let untrusted = run("");
    assert!(untrusted.contains("name the certificate authority of the broker by `ca`"), "{untrusted}");
}

#[test]
fn an_authority_that_cannot_be_read_is_told_by_check_and_stops_no_cycle() {
    let home = Home::new();
    let broker = Mosquitto::new(&home, "");
    let path = inventory(&home, &broker, "ca = \"/nowhere/ca.pem\"");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("mqtt://", "mqtts://")).unwrap();
    let ran = home.run(&["check", "--inventory", path.to_str().unwrap()]);
    assert!((ran.stdout + &ran.stderr).contains("/nowhere/ca.pem"), "check says nothing of it");
    let daemon = daemon(&home, &path);
    wait_until("a cycle", || !home.rows().is_empty());
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains(
            "Home Assistant is not told: TLS to the broker cannot be set up: `/nowhere/ca.pem`: No such file"
        ),
        "{log}"
    );
}
