//! A PostgreSQL and a Prometheus that a daemon has filled, asked as Grafana asks them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use regex::Regex;
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column, Connection, Row, ValueRef};
use tokio::runtime::Runtime;

use super::dashboard::{Dashboard, path};
use super::expand::{Chosen, Source, View};
use crate::cloud::Options;
use crate::postgres::Database;
use crate::program::wait_until;
use crate::prometheus::{Process, free_port, prometheus};
use crate::solix_stage::{Daemon, Stage};

/// From one scrape to the next, and from one point to the next where a panel says nothing, in seconds.
const SCRAPE: i64 = 1;
const INTERVAL: i64 = 2;

/// The chosen time, in seconds. The ledger's quarter-hour began within it.
const RANGE: i64 = 3_600;

/// The answer to a query: of each row, or of each series, which columns or labels have a value.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) columns: BTreeSet<String>,
    pub(super) rows: Vec<BTreeSet<String>>,
    /// The values of the last column, as far as they are texts, or of a label.
    pub(super) texts: Vec<String>,
}

/// A daemon, and what keeps what it says. The daemon is ended with it.
pub(super) struct Databases {
    runtime: Runtime,
    reader: PgConnection,
    prometheus: u16,
    _server: Process,
}

/// The stage of the daemon: one host that is well, one with a lost GPU, one that does not answer, and a battery.
pub(super) fn stage() -> Stage {
    Stage::new(Options::default())
}

fn inventory(stage: &Stage, store: &str) -> std::path::PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let hung = stage.home.path("hung.toml");
    let scene = std::fs::read_to_string(format!("{root}/fixtures/demo/redfin.toml")).unwrap();
    let scene = scene.replace("\"../nvidia-smi", &format!("\"{root}/fixtures/nvidia-smi"));
    std::fs::write(&hung, format!("fault = \"hang\"\n{scene}")).unwrap();
    stage.hasty_inventory(&format!(
        "labels = {{ rack = \"b2\" }}\n\
         [[host]]\nname = \"node001\"\nscripted = \"{root}/fixtures/demo/lost.toml\"\ntimeout = \"1500ms\"\n\
         labels = {{ rack = \"a1\" }}\n\
         [[host]]\nname = \"o.node\"\nscripted = \"{}\"\ntimeout = \"1s\"\n\
         [alerts]\nhost_silent_for = \"1s\"\ngpu_temperature_above = \"60C\"\n[prometheus]\nlabels = [\"rack\"]\n[store]\nurl = \"{store}\"\n",
        hung.display()
    ))
}

/// The block of SQL that `grafana/README.md` shows.
fn documented_sql() -> String {
    let text = std::fs::read_to_string(path("README.md")).unwrap();
    text.split("```sql\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

impl Databases {
    /// Starts the daemon, and waits until it has said all that there is to say.
    pub(super) fn filled(stage: &Stage) -> (Self, Daemon<'_>) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let role = "CREATE ROLE grafana_writer LOGIN; GRANT CREATE ON SCHEMA public TO grafana_writer; \
                    GRANT CREATE ON DATABASE grafana TO grafana_writer";
        let database = runtime.block_on(Database::new("grafana", role));
        let inventory = inventory(stage, &database.url("grafana_writer", ""));
        let ran = stage.home.run(&["store", "init", "--inventory", inventory.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        runtime.block_on(database.run(&documented_sql()));
        // It becomes emptier, so that its hours are known.
        stage.cloud.station(&stage.serial()).set_output(2_000);
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let daemon = Daemon::start(stage, &inventory, &["-v", "--listen", &address]);
        let scrapes = format!("- {{ job_name: fleetwatt, static_configs: [{{ targets: ['{address}'] }}] }}");
        let (server, prometheus) = prometheus(&stage.home, &scrapes);
        let reader = runtime.block_on(PgConnection::connect(&database.url("grafana", ""))).unwrap();
        let mut databases = Self { runtime, reader, prometheus, _server: server };
        databases.wait();
        (databases, daemon)
    }

    /// The last things to come are the second reading of the battery, and a counter that rose between two scrapes.
    fn wait(&mut self) {
        let flows = "SELECT 1 FROM fleetwatt.energy e JOIN fleetwatt.series s ON s.id = e.series \
                     WHERE s.key LIKE 'station:%' AND 0 < e.covered_ms";
        wait_until("the battery's energy", || {
            self.runtime
                .block_on(sqlx::query(flows).fetch_all(&mut self.reader))
                .is_ok_and(|rows| rows.len() >= 3)
        });
        for metric in ["fleetwatt_station_energy_joules_total", "fleetwatt_gpu_energy_joules_total"] {
            let rises = format!("increase({metric}[1m]) > 0");
            wait_until(metric, || self.instant(&rises, &now()).is_ok_and(|answer| !answer.rows.is_empty()));
        }
        let alerts = "count(count by (rule) (fleetwatt_alert_active)) > 2";
        wait_until("three alerts", || {
            self.instant(alerts, &now()).is_ok_and(|answer| !answer.rows.is_empty())
        });
    }

    /// The variables of a dashboard, each asked with those before it, and all of their values chosen. `chosen` are
    /// chosen in their place.
    pub(super) fn view(&mut self, board: &Dashboard, chosen: &[(&str, &str)]) -> Result<View, String> {
        let mut view = now();
        for variable in board.variables() {
            let name = variable["name"].as_str().unwrap();
            if variable["type"] == "datasource" {
                continue;
            }
            let mut is_several = variable["multi"] == true || variable["includeAll"] == true;
            let current = &variable["current"]["value"];
            let mut values: Vec<String> = match current {
                Value::Array(values) => {
                    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
                }
                Value::String(value) => vec![value.clone()],
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
            };
            if variable["type"] == "query" {
                let options =
                    self.options(board.source, variable, &view).map_err(|said| format!("${name}: {said}"))?;
                if options.is_empty()
                    || values.iter().any(|value| value != "$__all" && !options.contains(value))
                {
                    return Err(format!("${name}: {values:?} of {options:?}"));
                }
                if let (Some(all), true) = (variable["allValue"].as_str(), values == ["$__all"]) {
                    // Grafana puts it in as it is.
                    (values, is_several) = (vec![all.to_owned()], false);
                } else if values.is_empty() || values == ["$__all"] {
                    values = options;
                }
            }
            if let Some((_, value)) = chosen.iter().find(|(chosen, _)| *chosen == name) {
                values = vec![(*value).to_owned()];
            }
            view.variables.insert(name.to_owned(), Chosen { values, is_several });
        }
        Ok(view)
    }

    fn options(&mut self, source: Source, variable: &Value, view: &View) -> Result<Vec<String>, String> {
        if source == Source::PostgreSql {
            let query = view.expand(variable["query"].as_str().unwrap(), source)?;
            return Ok(self.sql(&query)?.texts);
        }
        let query = view.expand(variable["query"]["query"].as_str().unwrap(), source)?;
        let arguments = |function: &str| query.strip_prefix(function)?.strip_suffix(')').map(str::to_owned);
        if let Some(metric) = arguments("label_names(") {
            let names = self.api("/api/v1/labels", &[("match[]", &metric)])?;
            let regex = variable["regex"].as_str().unwrap();
            let left_out: Vec<_> =
                regex.trim_start_matches("/^(?!").trim_end_matches("$).+/").split("$|").collect();
            return Ok(texts(&names).into_iter().filter(|name| !left_out.contains(&name.as_str())).collect());
        }
        let of_label = arguments("label_values(").ok_or(format!("no function: {query}"))?;
        let (metric, label) = of_label.rsplit_once(", ").ok_or(format!("no label: {query}"))?;
        Ok(texts(&self.api(&format!("/api/v1/label/{label}/values"), &[("match[]", metric)])?))
    }

    /// Asks a target of a panel.
    pub(super) fn ask(&mut self, panel: &Value, target: &Value, view: &View) -> Result<Answer, String> {
        let interval = target["interval"].as_str().or(panel["interval"].as_str());
        let view = View { interval: interval.map_or(INTERVAL, seconds), ..view.clone() };
        if let Some(sql) = target["rawSql"].as_str() {
            return self.sql(&view.expand(sql, Source::PostgreSql)?);
        }
        let query = view.expand(target["expr"].as_str().unwrap(), Source::Prometheus)?;
        self.have_series(&query, &view)?;
        if target["instant"] == true { self.instant(&query, &view) } else { self.range(&query, &view) }
    }

    fn sql(&mut self, query: &str) -> Result<Answer, String> {
        let asked = sqlx::query(AssertSqlSafe(query)).persistent(false).fetch_all(&mut self.reader);
        let rows = self.runtime.block_on(asked).map_err(|error| format!("{error}: {query}"))?;
        let Some(first) = rows.first() else { return Ok(Answer::default()) };
        let name = |column: usize| first.column(column).name().to_owned();
        let has = |row: &PgRow| {
            let columns = (0..row.len()).filter(|column| !row.try_get_raw(*column).unwrap().is_null());
            columns.map(name).collect()
        };
        let text = |row: &PgRow| row.try_get::<String, _>(row.len() - 1).ok();
        Ok(Answer {
            columns: (0..first.len()).map(name).collect(),
            rows: rows.iter().map(has).collect(),
            texts: rows.iter().filter_map(text).collect(),
        })
    }

    /// That each selector of a query finds something: `or vector(0)` would hide it.
    fn have_series(&self, query: &str, view: &View) -> Result<(), String> {
        let selector = Regex::new(r"fleetwatt_\w+(?:\{[^}]*\})?").unwrap();
        for found in selector.find_iter(query) {
            if self.instant(found.as_str(), view)?.rows.is_empty() {
                return Err(format!("no series: {}", found.as_str()));
            }
        }
        Ok(())
    }

    fn instant(&self, query: &str, view: &View) -> Result<Answer, String> {
        let data = self.api("/api/v1/query", &[("query", query), ("time", &view.to.to_string())])?;
        Ok(series(&data))
    }

    /// Grafana asks at whole steps.
    fn range(&self, query: &str, view: &View) -> Result<Answer, String> {
        let whole = |at: i64| (at.div_euclid(view.interval) * view.interval).to_string();
        let (start, end, step) = (whole(view.from), whole(view.to), view.interval.to_string());
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        Ok(series(&self.api("/api/v1/query_range", &parameters)?))
    }

    fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let failed = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.prometheus)).map_err(failed)?;
        write!(stream, "GET {path}?{} HTTP/1.0\r\n\r\n", query.join("&")).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let document: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
        let said = || format!("{}: {parameters:?}", document["error"]);
        if document["status"] == "success" { Ok(document["data"].clone()) } else { Err(said()) }
    }
}

/// The last minutes.
fn now() -> View {
    let to = jiff::Timestamp::now().as_second();
    View { from: to - RANGE, to, interval: INTERVAL, scrape: SCRAPE, variables: BTreeMap::new() }
}

fn seconds(interval: &str) -> i64 {
    let (number, unit) = interval.split_at(interval.len() - 1);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => panic!("{interval}"),
    };
    number.parse::<i64>().unwrap() * unit
}

fn texts(data: &Value) -> Vec<String> {
    data.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The labels of each series as its columns.
fn series(data: &Value) -> Answer {
    let results = data["result"].as_array().unwrap();
    let labels =
        |result: &Value| result["metric"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let rows: Vec<_> = results.iter().map(labels).collect();
    Answer { columns: rows.iter().flatten().cloned().collect(), rows, texts: Vec::new() }
}
