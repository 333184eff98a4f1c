//! `report` on days of a played fleet: every form has the same figures, and groups sum to the whole.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use sqlx::ConnectOptions as _;
use tempfile::TempDir;

use crate::page::assert_figures_are_those_of_the_json;
use crate::program::{Home, Ran};

/// Midnight in Chicago on 26 November 2026.
const UNTIL: &str = "2026-11-26T06:00:00Z";

const TARIFF: &str = "[[tariff]]\nname = \"home\"\ncurrency = \"USD\"\nper_kwh = 0.10\nfixed_per_month = 12.50\n\
    [[tariff.band]]\nname = \"peak\"\nhours = \"16:00-21:00\"\nper_kwh = 0.31\n\
    [[tariff.demand]]\nper_kw = 9.80\n";

/// A home with played days, and an inventory of its own with `tables` beside the hosts.
pub(crate) struct Played {
    pub(crate) home: Home,
    pub(crate) inventory: PathBuf,
    _days: Arc<TempDir>,
}

/// The days as they were played, while any test has them: playing them takes longest.
static DAYS: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());

fn played_days() -> Arc<TempDir> {
    let mut days = DAYS.lock().unwrap_or_else(PoisonError::into_inner);
    days.upgrade().unwrap_or_else(|| {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let path = folder.path().to_str().unwrap();
        let args = ["demo", "history", path, "--interval", "15m", "--days", "3", "--until", UNTIL];
        let ran = Home::new().run(&args);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        *days = Arc::downgrade(&folder);
        folder
    })
}

impl Played {
    pub(crate) fn new(tables: &str) -> Self {
        let (home, days) = (Home::new(), played_days());
        let folder = home.path("s");
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(days.path()).unwrap().flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        let inventory = folder.join("fleet.toml");
        let text = std::fs::read_to_string(&inventory).unwrap();
        let [from, to] = [days.path(), &folder].map(|path| path.to_str().unwrap());
        std::fs::write(&inventory, text.replace(from, to)).unwrap();
        let played = Self { home, inventory, _days: days };
        played.set_tables(tables);
        played
    }

    /// Takes what the inventory says of energy out, and puts this in its place.
    fn set_tables(&self, tables: &str) {
        let text = std::fs::read_to_string(&self.inventory).unwrap();
        let ours =
            |name: &str| ["site", "tariff", "carbon", "ledger"].iter().any(|own| name.starts_with(own));
        let mut kept = String::new();
        let mut is_kept = true;
        for line in text.lines() {
            if let Some(name) =
                line.trim_start_matches('[').strip_suffix(']').map(|name| name.trim_end_matches(']'))
                && line.starts_with('[')
            {
                is_kept = !ours(name);
            }
            if is_kept {
                kept += &format!("{line}\n");
            }
        }
        std::fs::write(&self.inventory, format!("{kept}{tables}")).unwrap();
    }

    /// Changes the timeline's file.
    pub(crate) fn execute(&self, sql: &str) {
        let path = self.home.path("s/fleetwatt.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut database = options.connect().await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut database).await.unwrap();
        });
    }

    fn run(&self, args: &[&str]) -> Ran {
        let inventory = self.inventory.to_str().unwrap();
        self.home.run(&[&["report", "--inventory", inventory], args].concat())
    }

    fn output(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{args:?}");
        ran.stdout
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.output(&[&["--format", "json"], args].concat())).unwrap()
    }
}

/// The last two of the played days, in Chicago.
const TWO_DAYS: [&str; 4] = ["--from", "2026-11-24", "--to", "2026-11-26"];

pub(crate) fn chicago(tables: &str) -> String {
    format!("[site]\ntimezone = \"America/Chicago\"\n{tables}")
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

pub(crate) fn sum(rows: &Value, key: &str) -> f64 {
    rows.as_array().unwrap().iter().map(|row| row.get(key).map_or(0.0, number)).sum()
}

pub(crate) fn is_near(one: f64, two: f64, within: f64) -> bool {
    (one - two).abs() < within
}

#[test]
fn every_grouping_sums_to_the_same_energy_to_the_watt_hour() {
    let played = Played::new(&chicago(TARIFF));
    let total = number(&played.json(&TWO_DAYS)["total"]["energy_kwh"]);
    assert!(total > 100.0, "{total}");
    for by in ["node", "gpu", "model", "label:use", "day", "hour", "quarter", "band", "month", "node,day"] {
        let report = played.json(&[&TWO_DAYS[..], &["--by", by]].concat());
        let (rows, whole) = (&report["rows"], &report["total"]);
        assert!(is_near(sum(rows, "energy_kwh"), total, 0.001), "{by}");
        assert!(is_near(number(&whole["energy_kwh"]), total, 1e-9), "{by}");
        assert!(is_near(sum(rows, "energy_cost"), number(&whole["energy_cost"]), 0.01), "{by}");
        assert!(is_near(sum(rows, "share"), 1.0, 1e-6), "{by}");
    }
}

#[test]
fn gaps_sum_to_what_was_not_measured_and_charges_to_the_cost() {
    let played = Played::new(&chicago(TARIFF));
    let report = played.json(&["--from", "2026-11-01", "--to", "2026-11-26"]);
    assert!(is_near(sum(&report["gaps"], "gpu_hours"), number(&report["total"]["unmeasured_h"]), 0.01));
    let cost = &report["costs"][0];
    let parts = ["energy_cost", "demand_cost", "fixed_cost"].map(|key| number(&cost[key]));
    assert!(is_near(parts.iter().sum(), number(&cost["cost"]), 0.005), "{cost}");
    assert!(parts.iter().all(|part| *part > 0.0), "{cost}");
}

/// The numbers of a column of the text, by the name of their row.
fn column(text: &str, place: usize) -> Vec<(String, f64)> {
    let (_, table) = text.split_once("\nNODE ").unwrap();
    let is_total = |line: &&str| line.starts_with("total ");
    let n_lines = table.lines().position(|line| is_total(&line)).unwrap() + 1;
    let lines = table.lines().take(n_lines).skip(1).filter(|line| !line.starts_with(['─', ' ']));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            (cells[0].to_owned(), cells[place].replace(',', "").parse().unwrap())
        })
        .collect()
}

#[test]
fn text_csv_and_json_have_the_same_figures() {
    let played = Played::new(&chicago(TARIFF));
    let report = played.json(&TWO_DAYS);
    let text = played.output(&TWO_DAYS);
    let csv = played.output(&[&TWO_DAYS[..], &["--format", "csv"]].concat());
    let mut expected: Vec<(String, f64)> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["group"].as_str().unwrap().to_owned(), number(&row["energy_kwh"])))
        .collect();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), expected.len());
    for (record, (name, energy)) in records.iter().zip(&expected) {
        assert_eq!(&record[2], name);
        assert!(is_near(record[4].parse().unwrap(), *energy, 1e-8), "{name}");
    }
    expected.push(("total".to_owned(), number(&report["total"]["energy_kwh"])));
    let shown = column(&text, 2);
    assert_eq!(shown.len(), expected.len(), "{text}");
    for ((name, shown), (expected_name, energy)) in shown.iter().zip(&expected) {
        assert_eq!(name, expected_name);
        assert!(is_near(*shown, *energy, 0.0501), "{name}: {shown} and {energy}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\u{1b}'), "a pipe has no colour");
}

/// The times of the rows by day, and their lengths in hours.
fn days(played: &Played, from: &str, to: &str) -> Vec<(String, f64)> {
    let report = played.json(&["--from", from, "--to", to, "--by", "day"]);
    assert!(is_near(sum(&report["rows"], "energy_kwh"), number(&report["total"]["energy_kwh"]), 0.001));
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let day = |row: &Value| {
        let hours = time(&row["to"]).duration_since(time(&row["from"])).as_secs_f64() / 3600.0;
        (row["from"].as_str().unwrap().to_owned(), hours)
    };
    report["rows"].as_array().unwrap().iter().map(day).collect()
}

#[test]
fn days_are_those_of_the_site_where_offsets_are_no_whole_hours() {
    let played = Played::new("[site]\ntimezone = \"Asia/Kathmandu\"\n");
    let day = |text: &str, hours| (text.to_owned(), hours);
    assert_eq!(
        days(&played, "2026-11-24", "2026-11-26"),
        [day("2026-11-24T00:00:00+05:45", 24.0), day("2026-11-25T00:00:00+05:45", 24.0)]
    );
    played.set_tables("[site]\ntimezone = \"America/St_Johns\"\n");
    assert_eq!(
        days(&played, "2026-11-24", "2026-11-26"),
        [day("2026-11-24T00:00:00-03:30", 24.0), day("2026-11-25T00:00:00-03:30", 24.0)]
    );
}

#[test]
fn a_range_is_priced_anew_after_an_edit_and_as_before_by_the_old_file() {
    let played = Played::new(&chicago(TARIFF));
    let old = played.home.path("old.toml");
    std::fs::write(&old, chicago(TARIFF)).unwrap();
    let args = ["--from", "2026-11-24T06:00", "--to", "2026-11-26"];
    let before = played.output(&args);
    played.set_tables(&chicago(&TARIFF.replace("0.10", "0.20")));
    let after = played.output(&args);
    assert_ne!(before, after);
    let with_old = played.output(&[&args[..], &["--tariff", old.to_str().unwrap()]].concat());
    assert_eq!(with_old, before);
}

#[test]
fn without_a_tariff_no_figure_is_of_money() {
    let played = Played::new(&chicago(""));
    let args = ["--from", "2026-11-25", "--to", "2026-11-26"];
    let report = played.json(&args);
    assert_eq!(report["costs"].as_array().unwrap().len(), 0);
    assert_eq!(report["total"].get("energy_cost"), None);
    let text = played.output(&args);
    assert!(text.contains("no tariff set") && !text.contains('$'), "{text}");
}

#[test]
fn some_hosts_are_a_report_of_their_own() {
    let played = Played::new(&chicago(""));
    let args = ["--from", "2026-11-25", "--to", "2026-11-26"];
    let all = played.json(&args);
    let some = played.json(&[&args[..], &["--host", "hgx-[01-02]"]].concat());
    let names: Vec<&str> =
        some["rows"].as_array().unwrap().iter().map(|row| row["group"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2);
    for row in some["rows"].as_array().unwrap() {
        let same = all["rows"].as_array().unwrap().iter().find(|other| other["group"] == row["group"]);
        assert_eq!(same.unwrap()["energy_kwh"], row["energy_kwh"]);
    }
    assert_eq!(some["scope"]["gpus"], 16);
}

#[test]
fn a_bill_is_shared_out_to_the_watt_hour_and_what_was_not_measured_has_a_column() {
    let played = Played::new(&chicago(""));
    let args =
        ["--from", "2026-11-24T06:00", "--to", "2026-11-26", "--bill", "1234.567kWh", "--fill", "mean"];
    let report = played.json(&args);
    assert!(is_near(sum(&report["rows"], "billed_kwh"), 1234.567, 0.0005));
    assert!(report["total"].get("filled_kwh").is_some());
    let text = played.output(&args);
    assert!(text.contains("BILLED") && text.contains("FILLED") && text.contains("1,234.6"), "{text}");
}

#[test]
fn a_spreadsheet_reads_the_csv_and_sums_it() {
    let played = Played::new(&chicago(TARIFF));
    let file = played.home.path("report.csv");
    let args = ["--from", "2026-11-25", "--to", "2026-11-26"];
    let printed = played.output(&[&args[..], &["--output", file.to_str().unwrap()]].concat());
    assert_eq!(printed, "");
    let script = "import csv, sys\n\
                  rows = list(csv.DictReader(open(sys.argv[1], newline='')))\n\
                  print(sum(float(row['energy_kwh']) for row in rows), len(rows))";
    let ran = played.home.command_of("python3", &["-c", script, file.to_str().unwrap()]).output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    let (energy, n_rows) = printed.trim().split_once(' ').unwrap();
    let report = played.json(&args);
    assert!(is_near(energy.parse().unwrap(), number(&report["total"]["energy_kwh"]), 0.001), "{energy}");
    assert_eq!(n_rows, report["rows"].as_array().unwrap().len().to_string());
}

#[test]
fn a_range_without_energy_says_what_is_known_and_ends_with_1() {
    let played = Played::new(&chicago(""));
    let ran = played.run(&["--from", "2026-06-01", "--to", "2026-07-01"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(
        ran.stderr.starts_with(
            "No energy is known of 1–30 June 2026, America/Chicago.\nThe ledger begins on 23 November 2026"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_gap_has_its_reason_and_the_hint_of_the_product() {
    let played = Played::new(&chicago(""));
    let report = played.json(&["--from", "2026-11-24", "--to", "2026-11-26"]);
    let reason = |what: &str| {
        let gap = report["gaps"].as_array().unwrap().iter().find(|gap| gap["what"] == what);
        let gap = gap.unwrap_or_else(|| panic!("{what} is missing in {}", report["gaps"]));
        (gap["reason"].as_str().unwrap().to_owned(), gap["hint"].as_str().map(str::to_owned))
    };
    let hint = "run the tool on the host; if it is only slow, raise `timeout`";
    assert_eq!(reason("turing-02"), ("host down: no answer in time".to_owned(), Some(hint.to_owned())));
}

#[test]
fn a_gap_of_a_time_whose_rows_were_removed_says_so() {
    let played = Played::new(&chicago(""));
    // Before 2026-11-26T05:30Z.
    played.execute(
        "DELETE FROM unified_timeline WHERE created_at < 1795671000000000 OR source = 'node_turing-02'",
    );
    let report = played.json(&["--from", "2026-11-24", "--to", "2026-11-26"]);
    let gaps = report["gaps"].as_array().unwrap();
    assert!(!gaps.is_empty());
    let is_told = |gap: &Value| gap["reason"] == "rows of that time are no longer kept";
    assert!(gaps.iter().filter(|gap| !gap["from"].is_null()).all(is_told), "{gaps:?}");
}

#[test]
fn a_time_without_a_cycle_is_one_in_which_nothing_ran() {
    let played = Played::new(&chicago(""));
    let hours =
        "quarter >= 1764057600000000 + 31536000000000 AND quarter < 1764057600000000 + 31543200000000";
    played.execute(&format!("DELETE FROM fleetwatt_energy WHERE {hours}"));
    played.execute(&format!("DELETE FROM unified_timeline WHERE {}", hours.replace("quarter", "created_at")));
    // 1764057600 is 2025-11-25T08:00Z, and 31536000 s are a year.
    let report = played.json(&["--from", "2026-11-24", "--to", "2026-11-26"]);
    let gap = &report["gaps"][0];
    assert_eq!((&gap["what"], &gap["reason"]), (&"all nodes".into(), &"fleetwatt was not running".into()));
    assert_eq!(gap["from"], "2026-11-25T02:00:00-06:00");
    assert!(is_near(number(&gap["gpu_hours"]), 140.0, 20.0), "{gap}");
}

#[test]
fn a_ledger_that_begins_later_than_the_timeline_says_how_to_add_the_rest() {
    let played = Played::new(&chicago(""));
    let whole = played.json(&["--from", "2026-11-23", "--to", "2026-11-26"]);
    // Before 2026-11-25T06:00Z.
    played.execute("DELETE FROM fleetwatt_energy WHERE quarter < 1795586400000000");
    // The quarter of the first cycle.
    let command = "`fleetwatt ledger rebuild --from 2026-11-23T00:00:00-06:00`";
    let part = played.json(&["--from", "2026-11-23", "--to", "2026-11-26"]);
    let notes = part["notes"].to_string();
    assert!(notes.contains(command), "{notes}");
    let none = played.run(&["--from", "2026-11-23", "--to", "2026-11-24"]);
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains(command) && none.stderr.contains("25 November 2026"), "{}", none.stderr);
    let inventory = played.inventory.to_str().unwrap();
    let ran = played.home.run(&[
        "ledger",
        "rebuild",
        "--from",
        "2026-11-23T00:00:00-06:00",
        "--inventory",
        inventory,
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let again = played.json(&["--from", "2026-11-23", "--to", "2026-11-26"]);
    assert_eq!(again["total"]["energy_kwh"], whole["total"]["energy_kwh"]);
    assert!(!again["notes"].to_string().contains("rebuild"), "{}", again["notes"]);
}

#[test]
fn a_file_has_the_format_of_its_ending_and_the_charts_are_in_json_too() {
    let played = Played::new(&chicago(TARIFF));
    let file = played.home.path("november.html");
    let printed = played.output(&[&TWO_DAYS[..], &["--output", file.to_str().unwrap()]].concat());
    assert_eq!(printed, "");
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"), "{page:.80}");
    let bars = &played.json(&[&TWO_DAYS[..], &["--charts"]].concat())["charts"]["periods"]["bars"];
    let total = number(&played.json(&TWO_DAYS)["total"]["energy_kwh"]);
    assert!(is_near(sum(bars, "energy_kwh"), total, 0.001));
    let none = played.run(&[&TWO_DAYS[..], &["--output", "/nowhere/x.html"]].concat());
    assert_eq!(none.code, Some(1));
    assert!(none.stderr.contains("name a file in a folder that is there"), "{}", none.stderr);
}

#[test]
fn every_figure_of_the_page_is_a_number_of_the_json() {
    let played = Played::new(&chicago(TARIFF));
    let file = played.home.path("days.html");
    played.output(&[&TWO_DAYS[..], &["--output", file.to_str().unwrap()]].concat());
    let page = std::fs::read_to_string(&file).unwrap();
    let json = played.json(&[&TWO_DAYS[..], &["--charts"]].concat());
    assert_figures_are_those_of_the_json(&json, &page);
}

#[test]
fn a_call_that_is_wrong_says_how_it_is_right() {
    let home = Home::new();
    let inventory = home.inventory("[[host]]\nname = \"a\"\nlocal = true\n");
    let hint = |args: &[&str]| {
        let ran = home.run(&[&["report", "--inventory", inventory.to_str().unwrap()], args].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ran.stderr);
        ran.stderr
    };
    for (args, wanted) in [
        (&["--by", "user"][..], "group by node, gpu, model, label:KEY"),
        (&["--from", "yesterday"], "write a date (2026-11-01)"),
        (&["--from", "2026-11-01T10:07"], "end a time with :00, :15, :30 or :45"),
        (&["--from", "2026-11-02", "--to", "2026-11-01"], "give a --to that is later than --from"),
        (&["--month", "november"], "write it as 2026-11, or `last` or `this`"),
        (&["--bill", "much"], "1234.5kWh@home"),
        (&["--bill", "1kWh@nowhere"], "no host of the inventory has the label `site=nowhere`"),
        (&["--by", "label:nope"], "no host of the inventory has the label `nope`"),
        (&["--stack", "label:nope", "--format", "html"], "no host of the inventory has the label `nope`"),
        (&["--output", "out.xlsx"], "end it with .html, .csv, .json or .txt"),
        (&["--from", "2999-01-01"], "the range begins in the future"),
        (&["--since", "30d", "--from", "2026-11-01"], "cannot be used with"),
        (&["--to", "2026-11-01"], "--from <TIME>"),
    ] {
        let said = hint(args);
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
}
