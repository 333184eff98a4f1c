//! Prometheus as it is installed: a server that scrapes the daemon, `promtool`, and a node exporter that reads the
//! textfile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, wait_until};

/// A process that is ended with the test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The body of an answer of 200; `None` of any other, and where nobody listens.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// A fleet of played hosts in which one has a GPU that is lost, with a cycle each two seconds.
fn inventory(home: &Home, more: &str) -> String {
    let scene = |name: &str| format!("{}/fixtures/demo/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "{more}\n[cycle]\ninterval = \"2s\"\n[defaults]\ntimeout = \"1500ms\"\nconnect_timeout = \"1s\"\n\
         [[host]]\nname = \"redfin\"\nscripted = \"{}\"\nlabels = {{ rack = \"a1\" }}\n\
         [[host]]\nname = \"node001\"\nscripted = \"{}\"\n",
        scene("redfin"),
        scene("lost"),
    );
    home.inventory(&text).to_str().unwrap().to_owned()
}

fn daemon(home: &Home, inventory: &str, port: u16) -> Process {
    let address = format!("127.0.0.1:{port}");
    let daemon = Process(home.start(&["run", "--inventory", inventory, "--listen", &address]));
    wait_until("a cycle", || get(port, "/metrics").is_some());
    daemon
}

/// A Prometheus with these scrapes, in a folder of its own.
pub(crate) fn prometheus(home: &Home, scrapes: &str) -> (Process, u16) {
    let port = free_port();
    let config = home.path("prometheus.yml");
    std::fs::write(&config, format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n{scrapes}"))
        .unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", home.path("tsdb").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    (Process(command.spawn().unwrap()), port)
}

/// The labels and values that a Prometheus answers a query with.
fn query(port: u16, query: &str) -> Vec<(Value, f64)> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let Some(body) = get(port, &format!("/api/v1/query?query={query}")) else { return Vec::new() };
    // The body comes in chunks, each behind its length.
    let json = body.lines().find(|line| line.starts_with('{')).unwrap();
    let document: Value = serde_json::from_str(json).unwrap();
    let results = document["data"]["result"].as_array().unwrap();
    let result =
        |result: &Value| (result["metric"].clone(), result["value"][1].as_str().unwrap().parse().unwrap());
    results.iter().map(result).collect()
}

fn promtool(metrics: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_prometheus_scrapes_the_daemon_and_answers_queries() {
    let home = Home::new();
    let port = free_port();
    let inventory = inventory(&home, "[prometheus]\nlabels = [\"rack\"]");
    let _daemon = daemon(&home, &inventory, port);
    let scrapes = format!(
        "- {{ job_name: all, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}\n\
         - job_name: each\n  metrics_path: /probe\n  http_sd_configs: [{{ url: 'http://127.0.0.1:{port}/sd' }}]\n  \
         relabel_configs:\n  \
         - {{ source_labels: [__address__], target_label: __param_target }}\n  \
         - {{ source_labels: [__address__], target_label: instance }}\n  \
         - {{ target_label: __address__, replacement: '127.0.0.1:{port}' }}\n"
    );
    let (_prometheus, prometheus) = prometheus(&home, &scrapes);
    wait_until("both ways", || {
        query(prometheus, r#"count by (job) (fleetwatt_gpu_power_watts{node="redfin"})"#).len() == 2
    });
    let (labels, watts) =
        query(prometheus, r#"fleetwatt_gpu_power_watts{job="all",node="redfin"}"#).remove(0);
    assert_eq!((watts, &labels["rack"], &labels["gpu"]), (412.87, &"a1".into(), &"0".into()));
    let probed = query(prometheus, r#"fleetwatt_gpu_power_watts{job="each",node="redfin"}"#).remove(0);
    assert_eq!((probed.1, &probed.0["instance"]), (412.87, &"redfin".into()));
    assert_eq!(query(prometheus, "up == 0"), []);
    let gpus =
        |what| query(prometheus, &format!(r#"fleetwatt_host_gpus_{what}{{job="all",node="node001"}}"#))[0].1;
    assert_eq!((gpus("reporting"), gpus("expected")), (7.0, 8.0));
}

#[test]
fn promtool_finds_nothing_and_a_node_exporter_serves_the_file_of_a_poll() {
    let home = Home::new();
    let textfile = home.path("textfile/fleetwatt.prom");
    std::fs::create_dir(textfile.parent().unwrap()).unwrap();
    let inventory = inventory(&home, &format!("[prometheus]\ntextfile = \"{}\"", textfile.display()));
    let ran = home.run(&["poll", "--inventory", &inventory]);
    assert_eq!(ran.code, Some(3), "a GPU is lost: {}", ran.stderr);
    let written = std::fs::read_to_string(&textfile).unwrap();
    assert_eq!(promtool(&written), (true, String::new()));
    let port = free_port();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    command.args(["--collector.disable-defaults", "--collector.textfile"]);
    command.arg(format!("--collector.textfile.directory={}", textfile.parent().unwrap().display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _exporter = Process(command.spawn().unwrap());
    wait_until("the node exporter", || get(port, "/metrics").is_some());
    let served = get(port, "/metrics").unwrap();
    assert!(served.contains("node_textfile_scrape_error 0"), "{served}");
    for sample in written.lines().filter(|line| line.starts_with("fleetwatt_gpu_power_watts")) {
        let (labels, watts) = sample.rsplit_once(' ').unwrap();
        // The exporter sorts labels by their names.
        let node = labels.split('"').nth(1).unwrap();
        assert!(served.contains(&format!("node=\"{node}\"")) && served.contains(watts), "{sample}");
    }
}

#[test]
fn a_dry_run_and_a_poll_of_some_hosts_leave_the_textfile_as_it_is() {
    let home = Home::new();
    let textfile = home.path("fleetwatt.prom");
    let inventory = inventory(&home, &format!("[prometheus]\ntextfile = \"{}\"", textfile.display()));
    assert_eq!(home.run(&["poll", "--dry-run", "--inventory", &inventory]).code, Some(3));
    assert_eq!(home.run(&["poll", "--host", "redfin", "--inventory", &inventory]).code, Some(0));
    assert!(!textfile.exists());
}

#[test]
fn an_open_address_without_a_token_is_refused() {
    let home = Home::new();
    let inventory = inventory(&home, "");
    let ran = home.run(&["run", "--inventory", &inventory, "--listen", "0.0.0.0:9836"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("no token is asked for") && ran.stderr.contains("token_file"),
        "{}",
        ran.stderr
    );
}

/// The value of the energy counter of the first host's GPU, as far as it is there.
fn joules(metrics: &str) -> Option<f64> {
    let start = "fleetwatt_gpu_energy_joules_total{node=\"redfin\"";
    let sample = metrics.lines().find(|line| line.starts_with(start))?;
    Some(sample.rsplit_once(' ').unwrap().1.parse().unwrap())
}

fn of_ledger(home: &Home) -> f64 {
    let sql = "SELECT sum(e.energy_mj) FROM fleetwatt_energy e JOIN fleetwatt_node n ON n.id = e.node \
               WHERE n.name = 'redfin'";
    let [(millijoules,)] = home.query::<(i64,)>(sql)[..] else { panic!("one row") };
    f64::from(i32::try_from(millijoules).unwrap()) / 1e3
}

#[test]
fn a_counter_is_absent_until_it_is_known_and_then_that_of_the_ledger() {
    let home = Home::new();
    let textfile = home.path("fleetwatt.prom");
    let settings = format!("[prometheus]\ntextfile = \"{}\"\n[ledger]\nmax_gap = \"5m\"", textfile.display());
    let inventory = inventory(&home, &settings);
    let mut before = 0.0;
    for poll in 0..4 {
        home.run(&["poll", "--inventory", &inventory]);
        let counter = joules(&std::fs::read_to_string(&textfile).unwrap());
        if poll == 0 {
            assert_eq!(counter, None);
        } else {
            assert_eq!(counter, Some(of_ledger(&home)), "poll {poll}");
            assert!(counter > Some(before));
            before = counter.unwrap();
        }
    }
}

/// A hundred kills where slow tests are wanted, else some.
#[test]
fn no_counter_falls_or_rises_by_more_than_was_drawn_when_the_daemon_is_killed() {
    let n_kills = if std::env::var_os("FLEETWATT_SLOW_TESTS").is_some() { 100 } else { 4 };
    let home = Home::new();
    let inventory = inventory(&home, "[ledger]\nmax_gap = \"5m\"");
    let (began_at, mut last, mut n_rises) = (Instant::now(), 0.0, 0);
    for kill in 0..n_kills {
        let port = free_port();
        let _daemon = daemon(&home, &inventory, port);
        let until = n_rises + 1 + kill % 2;
        wait_until("a rise", || {
            if let Some(now) = get(port, "/metrics").and_then(|metrics| joules(&metrics)) {
                assert!(last <= now, "it fell from {last} to {now} after {kill} kills");
                n_rises += u32::from(last < now);
                last = now;
            }
            n_rises >= until
        });
    }
    // The board draws 412.87 W all the time.
    assert!(last <= 413.0 * began_at.elapsed().as_secs_f64(), "{last} J");
}

#[test]
fn an_alert_reaches_an_alertmanager_and_is_resolved_there() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let home = Home::new().with("ALERTMANAGER", &url);
    let config = home.path("alertmanager.yml");
    std::fs::write(&config, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n").unwrap();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", home.path("alerts").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _alertmanager = Process(command.spawn().unwrap());
    wait_until("Alertmanager", || get(port, "/-/ready").is_some());
    let rule = |degrees: &str| {
        let alerts = "webhook_env = \"ALERTMANAGER\"\nwebhook_format = \"alertmanager\"";
        inventory(&home, &format!("[alerts]\n{alerts}\ngpu_temperature_above = \"{degrees}\""))
    };
    let hot = || {
        let body = get(port, "/api/v2/alerts").unwrap();
        let json = body.lines().find(|line| line.starts_with('[')).unwrap();
        let alerts: Vec<Value> = serde_json::from_str(json).unwrap();
        alerts.iter().filter(|alert| alert["labels"]["alertname"] == "gpu_temperature").count()
    };
    home.run(&["poll", "--inventory", &rule("20C")]);
    assert!(hot() > 0);
    home.run(&["poll", "--inventory", &rule("99C")]);
    wait_until("the end of it", || hot() == 0);
}

#[test]
fn a_node_that_is_renamed_keeps_the_counter_of_its_board_and_its_old_name_is_gone() {
    let fleet = Fleet::start(HostPlan::many(1, "gpus = 1")).unwrap();
    let home = Home::new();
    let textfile = home.path("fleetwatt.prom");
    let of_fleet = std::fs::read_to_string(fleet.inventory()).unwrap();
    let settings =
        format!("[prometheus]\ntextfile = \"{}\"\n[ledger]\nmax_gap = \"5m\"\n", textfile.display());
    let counters = |inventory: &str| {
        let path = home.inventory(&format!("{settings}{inventory}"));
        let ran = home.poll(&path, &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let metrics = std::fs::read_to_string(&textfile).unwrap();
        let samples = metrics.lines().filter(|line| line.starts_with("fleetwatt_gpu_energy_joules_total"));
        let sample = |line: &str| {
            let (labels, joules) = line.rsplit_once(' ').unwrap();
            (labels.split('"').nth(1).unwrap().to_owned(), joules.parse().unwrap())
        };
        samples.map(sample).collect::<Vec<(String, f64)>>()
    };
    let [_, _, before] = [(); 3].map(|()| counters(&of_fleet));
    let (name, joules) = before[0].clone();
    let after = counters(
        &of_fleet
            .replace(&format!("name = \"{name}\""), &format!("name = \"renamed\"\naddress = \"{name}\"")),
    );
    assert_eq!(after.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["renamed"]);
    assert!(joules > 0.0 && joules < after[0].1, "{joules} {after:?}");
}
