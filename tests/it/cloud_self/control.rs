//! The control interface, and what is left of a cloud.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetwatt::inventory::{Files, SecretSource, load};

use crate::cloud::{Cloud, Options};

/// Status and body of a plain HTTP call.
fn call(cloud: &Cloud, method: &str, path: &str) -> (u16, String) {
    let address = cloud.control_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_person_can_turn_every_screw() {
    let cloud = Cloud::start_blocking(&Options::default()).unwrap();
    let done = |path: &str| {
        let (status, message) = call(&cloud, "POST", path);
        assert_eq!(status, 200, "{path}: {message}");
    };
    let station = cloud.station("9DNC2C0TEST00001");
    done("/soc/15");
    done("/station/9DNC2C0TEST00001/ac_input/0");
    done("/output/800");
    done("/temperature/-5");
    done("/solar/300/250");
    let values = ["battery_soc", "ac_input_power", "output_power_total", "temperature", "photovoltaic_power"];
    let values = values.map(|name| station.value(name).unwrap());
    assert!(
        values.iter().zip([15.0, 0.0, 800.0, -5.0, 550.0]).all(|(has, wanted)| (has - wanted).abs() < 0.01)
    );
    for path in [
        "/fail/get_site_list/10000/3",
        "/fail/get_site_list/http/503",
        "/fail/get_site_list/hang",
        "/heal/get_site_list",
        "/expire",
        "/kick",
        "/password/new-one",
        "/region/eu",
        "/silent/true",
        "/answers-status/false",
        "/publish/0407",
        "/broker/freeze",
        "/broker/thaw",
        "/broker/kill",
        "/broker/start",
        "/broker/refuse/wildcards",
        "/broker/refuse-connections/false",
        "/revoke",
        "/expired-certificates/true",
        "/wrong-root/true",
    ] {
        done(path);
    }
    assert_eq!(cloud.environment()[1].1, "new-one");
    assert_eq!(cloud.api_url(), cloud.api_url_of(crate::cloud::Region::Eu));
}

#[test]
fn what_cannot_be_turned_is_said() {
    let cloud = Cloud::start_blocking(&Options::default()).unwrap();
    let refused = |path: &str, message: &str| {
        let (status, text) = call(&cloud, "POST", path);
        assert!(status == 400 && text.contains(message), "{path}: {status} {text}");
    };
    refused("/soc/300", "battery_soc cannot be 300");
    refused("/soc/much", "much is no number");
    refused("/no_such_value/1", "A1790P has no value no_such_value");
    refused("/station/OTHER/soc/1", "no device OTHER; there are 9DNC2C0TEST00001");
    refused("/publish/0999", "9DNC2C0TEST00001 has no message 0999");
    refused("/broker/evict", "the account is not connected");
    assert_eq!(call(&cloud, "GET", "/").1, Cloud::help());
    assert_eq!(call(&cloud, "GET", "/soc").0, 400);
}

#[test]
fn nothing_is_left_of_a_dropped_cloud() {
    let cloud = Cloud::start_blocking(&Options::default()).unwrap();
    let dir = cloud.dir().to_owned();
    let addresses = [
        cloud.mqtt_address(),
        cloud.api_url().replace("https://", ""),
        cloud.control_url().replace("http://", ""),
    ];
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()));
    drop(cloud);
    assert!(!dir.exists());
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()));
}

/// An inventory that is no file.
struct Text(String);

impl Files for Text {
    fn read(&self, _path: &Path) -> std::io::Result<String> {
        Ok(self.0.clone())
    }

    fn glob(&self, _pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

#[test]
fn the_section_is_one_that_an_inventory_may_have() {
    let cloud = Cloud::start_blocking(&Options::default()).unwrap();
    let text = format!("[[host]]\nname = 'a'\n{}interval = '5s'\n", cloud.inventory_section());
    let inventory = load(Path::new("fleet.toml"), &Text(text)).unwrap_or_else(|faults| panic!("{faults}"));
    let settings = inventory.account.unwrap();
    assert_eq!(settings.api_url, Some(cloud.api_url()));
    assert_eq!(settings.login_key, Some(cloud.login_key()));
    assert_eq!(settings.mqtt_address, Some(cloud.mqtt_address()));
    assert_eq!(settings.extra_ca, Some(cloud.extra_ca()));
    assert_eq!(settings.user, SecretSource::Env(cloud.environment()[0].0.clone()));
}

/// The example, which cargo builds beside the tests.
fn example() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.ancestors().nth(2).unwrap().join("examples/cloud")
}

#[test]
fn the_broker_of_a_cloud_that_is_killed_dies_with_it() {
    #[allow(clippy::disallowed_methods, reason = "the cloud is the far side")]
    let mut child = Command::new(example())
        .stdout(Stdio::piped())
        .spawn()
        .expect("built by `cargo build --example cloud`");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<String> = lines.take_while(|line| !line.contains("Ctrl-C")).collect();
    let value = |key: &str| {
        let line = shown.iter().find(|line| line.starts_with(key)).expect("it shows all that is needed");
        line.split('"').nth(1).unwrap().to_owned()
    };
    let broker = value("mqtt_address");
    let ca = PathBuf::from(value("extra_ca"));
    assert!(TcpStream::connect(&broker).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&broker).is_ok() {
        assert!(Instant::now() < deadline, "the broker lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_dir_all(ca.parent().unwrap()).unwrap();
}
