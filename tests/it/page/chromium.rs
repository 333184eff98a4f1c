//! Chromium without a window, driven over its pipe: the DevTools protocol in JSON, each message ended by a zero byte.

#![allow(clippy::disallowed_methods, reason = "a test starts the browser")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The program; `None` if it is not installed.
fn program() -> Option<&'static str> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .into_iter()
        .find(|program| Path::new(program).exists())
}

/// A running Chromium with one page.
pub(crate) struct Chromium {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: String,
    n_sent: u64,
    /// What the page said: messages of the console, exceptions, and requests.
    pub(crate) events: Vec<Value>,
    _home: tempfile::TempDir,
}

impl Chromium {
    /// Starts it; `None` if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        // The pipe is on descriptors 3 and 4.
        let script = r#"program=$1; shift; exec "$program" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
        let mut child = Command::new("bash")
            .args(["-c", script, "bash", program()?])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--remote-debugging-pipe",
                "--hide-scrollbars",
                "--disable-background-networking",
                "about:blank",
            ])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (session, events) = (String::new(), vec![]);
        let mut chromium = Self { child, input, output, session, n_sent: 0, events, _home: home };
        let target = chromium.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = chromium
            .call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        chromium.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            chromium.call(&format!("{domain}.enable"), json!({}));
        }
        Some(chromium)
    }

    /// Calls a method and waits for its answer; events that come before it are kept.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.n_sent += 1;
        let mut message = json!({ "id": self.n_sent, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.input.write_all(message.to_string().as_bytes()).unwrap();
        self.input.write_all(&[0]).unwrap();
        loop {
            let message = self.receive();
            if message["id"] == json!(self.n_sent) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn receive(&mut self) -> Value {
        let mut bytes = vec![];
        self.output.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "Chromium ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Opens a file and waits until it is loaded.
    pub(crate) fn open(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(is_loaded) {
            let event = self.receive();
            self.events.push(event);
        }
    }

    /// The width of the screen, its colours, and whether scripts run.
    pub(crate) fn set_up(&mut self, width: u32, scheme: &str, has_script: bool) {
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme }));
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !has_script }));
    }

    /// The value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        decoded(&answer["data"])
    }

    /// The page on A4 paper, and the number of its sheets.
    pub(crate) fn print(&mut self) -> (Vec<u8>, usize) {
        let paper = json!({ "preferCSSPageSize": true, "printBackground": true });
        let answer = self.call("Page.printToPDF", paper);
        let pdf = decoded(&answer["data"]);
        let n_sheets = pdf.windows(12).filter(|window| window.starts_with(b"/Type /Page\n")).count();
        (pdf, n_sheets)
    }

    /// All that a page must not do: log, fail, or ask for anything but itself.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Value| {
            let parameters = &event["params"];
            match event["method"].as_str()? {
                "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded" => {
                    Some(parameters.to_string())
                }
                "Network.requestWillBeSent" if parameters["type"] != "Document" => {
                    Some(format!("request: {}", parameters["request"]["url"]))
                }
                _ => None,
            }
        };
        self.events.iter().filter_map(complaint).collect()
    }
}

fn decoded(data: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(data.as_str().unwrap()).unwrap()
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
