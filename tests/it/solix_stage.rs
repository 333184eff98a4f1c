//! fleetwatt beside a simulated Solix cloud and a host that is played from a file.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cloud::{Cloud, Options};
use crate::program::{Home, Row, of_type, signal};

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A cloud, and the folders of a fleetwatt that is to use it.
pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) home: Home,
    serial: Option<String>,
}

impl Stage {
    pub(crate) fn new(options: Options) -> Self {
        let serial = options.devices.first().map(|device| device.serial.clone());
        let cloud = Cloud::start_blocking(&options).unwrap();
        let variables = cloud.environment();
        let home = variables.iter().fold(Home::new(), |home, (name, value)| home.with(name, value));
        Self { cloud, home, serial }
    }

    /// One host and the account. `more` comes before `[solix]`, `of_solix` into it.
    pub(crate) fn inventory(&self, more: &str, of_solix: &str) -> PathBuf {
        let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo/redfin.toml");
        self.home.inventory(&format!(
            "[cycle]\ninterval = \"2s\"\n[[host]]\nname = \"redfin\"\nscripted = {:?}\ntimeout = \"1s\"\n{more}\n{}{of_solix}\n",
            scene,
            self.cloud.inventory_section(),
        ))
    }

    /// The same with the account asked every five seconds.
    pub(crate) fn hasty_inventory(&self, more: &str) -> PathBuf {
        self.inventory(more, "interval = \"5s\"\nfast_interval = \"5s\"\nrest_every = 1\n")
    }

    /// The daemon, asking every five seconds.
    pub(crate) fn run(&self, more: &str) -> Daemon<'_> {
        Daemon::start(self, &self.hasty_inventory(more), &["-v"])
    }

    /// One poll. Its cycle is long enough for a login.
    pub(crate) fn poll(&self, args: &[&str]) -> crate::program::Ran {
        let path = self.inventory("", "");
        let text = std::fs::read_to_string(&path).unwrap().replace("interval = \"2s\"", "interval = \"40s\"");
        std::fs::write(&path, text).unwrap();
        self.home.poll(&path, args)
    }

    pub(crate) fn serial(&self) -> String {
        self.serial.clone().unwrap()
    }

    /// Waits until the timeline is as wanted.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&[Row]) -> bool) -> Vec<Row> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.home.rows();
            if is_so(&rows) {
                return rows;
            }
            assert!(
                Instant::now() < deadline,
                "{what} did not come: {} rows, the last {:?}\n{}",
                rows.len(),
                rows.last(),
                self.cloud.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for so many more rows of a type than there are.
    pub(crate) fn wait_for_more(&self, event_type: &str, more: usize) -> Vec<Row> {
        let n_before = of_type(&self.home.rows(), event_type).len();
        self.wait_for(event_type, |rows| n_before + more <= of_type(rows, event_type).len())
    }
}

/// A running daemon. Killed when it is dropped.
pub(crate) struct Daemon<'a> {
    child: Child,
    said: Option<std::thread::JoinHandle<String>>,
    stage: &'a Stage,
}

impl<'a> Daemon<'a> {
    pub(crate) fn start(stage: &'a Stage, inventory: &Path, args: &[&str]) -> Self {
        let base = ["run", "--inventory", inventory.to_str().unwrap()];
        let mut child = stage.home.start(&[&base[..], args].concat());
        let mut stderr = child.stderr.take().unwrap();
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
            text
        });
        Self { child, said: Some(said), stage }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end in order, and gives what it said. It must end well, and no cycle may be missing.
    pub(crate) fn stop(mut self) -> String {
        signal(i32::try_from(self.child.id()).unwrap(), Signal::TERM);
        let status = self.child.wait().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        assert_eq!(self.stage.cloud.wrong_requests(), Vec::<String>::new());
        said
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// The batch that a row belongs to.
pub(crate) fn batch_of(row: &Row) -> &str {
    row.3["batch"].as_str().unwrap()
}

/// Alerts of a rule: raised is 1, cleared is 0.
pub(crate) fn alerts(rows: &[Row], rule: &str) -> Vec<f64> {
    let of_rule = of_type(rows, "alert").into_iter().filter(|row| row.3["rule"] == rule);
    of_rule.filter_map(|row| row.2).collect()
}

/// The values of an event type, in their order.
pub(crate) fn values(rows: &[Row], event_type: &str) -> Vec<Option<f64>> {
    of_type(rows, event_type).iter().map(|row| row.2).collect()
}
