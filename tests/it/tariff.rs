//! `tariff show` and `tariff import`, and what `check` says of tariffs and their price files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Home, Ran};

const HOME: &str = r#"
[site]
timezone = "America/Chicago"

[[tariff]]
name = "home"
currency = "USD"
per_kwh = 0.14
fixed_per_month = 12.50
[[tariff.band]]
name = "peak"
days = "Mon-Fri"
hours = "16:00-21:00"
months = "Jun-Sep"
per_kwh = 0.31
[tariff.export]
per_kwh = 0.05
[tariff.demand]
per_kw = 9.80
hours = "12:00-20:00"
months = "Jun-Sep"
"#;

const MARKET: &str = r#"
[site]
timezone = "Europe/Berlin"

[[tariff]]
name = "market"
currency = "EUR"
prices = { file = "prices/*.csv", add = 0.10, factor = 1.19 }
"#;

const HOSTS: &str = "[[host]]\nname = \"a[1-6]\"\nlabels = { site = \"lab\" }\n[[host]]\nname = \"b\"\n";

/// Writes a file below the home, with its folder.
fn put(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// `tariff show` of a file of tariffs, without any inventory.
fn show(home: &Home, tables: &str, args: &[&str]) -> Ran {
    let file = put(home, "tariffs.toml", tables);
    home.run(&[&["tariff", "show", "--tariff", file.to_str().unwrap()], args].concat())
}

fn show_fleet(home: &Home, inventory: &str, args: &[&str]) -> Ran {
    let inventory = home.inventory(inventory);
    home.run(&[&["tariff", "show", "--inventory", inventory.to_str().unwrap()], args].concat())
}

/// Rows of a price file from a UTC hour on, one an hour.
fn hours(first: &str, prices: &[&str]) -> String {
    let first: jiff::Timestamp = first.parse().unwrap();
    let at = |hour: usize| first + jiff::SignedDuration::from_hours(i64::try_from(hour).unwrap());
    let rows =
        prices.iter().enumerate().map(|(hour, price)| format!("{},{},{price}\n", at(hour), at(hour + 1)));
    format!("start,end,price\n{}", rows.collect::<String>())
}

#[test]
fn a_day_is_shown_as_spans_of_one_price() {
    let shown = show(&Home::new(), HOME, &["--day", "2026-07-01"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(shown.stdout, @r#"
    Wednesday 2026-07-01, America/Chicago: 96 quarter-hours

    home (USD)
    fixed   12.50 USD a month
    export  0.05 USD for a kWh
    demand  9.80 USD for a kW of the month's peak: 12:00-20:00 Jun-Sep
    00:00-16:00  standard  0.14 USD
    16:00-21:00  peak      0.31 USD
    21:00-24:00  standard  0.14 USD
    "#);
}

#[test]
fn where_the_clock_is_changed_each_time_says_which_it_is() {
    // 01:00 to 02:00 comes twice that night.
    let tables = "[site]\ntimezone = \"America/Chicago\"\n[[tariff]]\nname = \"a\"\ncurrency = \"USD\"\nper_kwh = 0.14\n\
                  band = [{ name = \"night\", hours = \"00:00-01:30\", per_kwh = 0.1 }]\n";
    let shown = show(&Home::new(), tables, &["--day", "2026-11-01"]);
    insta::assert_snapshot!(shown.stdout, @r#"
    Sunday 2026-11-01, America/Chicago: 100 quarter-hours

    a (USD)
    00:00 CDT-01:30 CDT  night     0.10 USD
    01:30 CDT-01:00 CST  standard  0.14 USD
    01:00 CST-01:30 CST  night     0.10 USD
    01:30 CST-24:00 CST  standard  0.14 USD
    "#);
}

#[test]
fn json_and_csv_have_every_quarter_hour_of_the_local_day() {
    let home = Home::new();
    let tables = HOME.replace("America/Chicago", "Europe/Berlin");
    for (day, n_quarters, first, last) in [
        ("2026-03-29", 92, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2026-10-25", 100, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("2026-07-01", 96, "2026-07-01T00:00:00+02:00", "2026-07-02T00:00:00+02:00"),
    ] {
        let json = show(&home, &tables, &["--day", day, "--format", "json"]).stdout;
        let json: Value = serde_json::from_str(&json).unwrap();
        let quarters = json["sites"][0]["quarters"].as_array().unwrap();
        assert_eq!(quarters.len(), n_quarters, "{day}");
        assert_eq!((&quarters[0]["start"], &quarters[n_quarters - 1]["end"]), (&first.into(), &last.into()));
        let csv = show(&home, &tables, &["--day", day, "--format", "csv"]).stdout;
        assert_eq!(csv.lines().count(), n_quarters + 1, "{day}");
    }
}

#[test]
fn the_json_has_exact_prices_and_the_charges() {
    let json = show(&Home::new(), HOME, &["--day", "2026-07-01", "--format", "json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let site = &json["sites"][0];
    assert_eq!(
        (&json["schema"], &json["timezone"]),
        (&"fleetwatt.tariff/1".into(), &"America/Chicago".into())
    );
    assert_eq!((&site["tariff"], &site["currency"]), (&"home".into(), &"USD".into()));
    assert_eq!(
        (site["fixed_per_month"].to_string(), site["export_per_kwh"].to_string()),
        ("12.5".into(), "0.05".into())
    );
    let peak = &site["quarters"][64];
    assert_eq!((peak["band"].as_str(), peak["per_kwh"].to_string()), (Some("peak"), "0.31".to_owned()));
    assert_eq!(peak["start"], "2026-07-01T16:00:00-05:00");
}

#[test]
fn prices_of_files_are_shown_with_holes_and_their_reason_and_code_3() {
    let home = Home::new();
    // 00:00 to 04:00 in Berlin; (0.20 + 0.10) * 1.19 = 0.357, (-0.30 + 0.10) * 1.19 = -0.238; (0.15 + 0.10) * 1.19
    // = 0.2975: the text has four decimals then.
    put(&home, "prices/a.csv", &hours("2026-11-27T23:00Z", &["0.20", "0.20", "-0.30", "0.15"]));
    let shown = show(&home, MARKET, &["--day", "2026-11-28"]);
    assert_eq!(shown.code, Some(3));
    insta::assert_snapshot!(shown.stdout, @r#"
    Saturday 2026-11-28, Europe/Berlin: 96 quarter-hours

    market (EUR)
    00:00-02:00  market    0.3570 EUR
    02:00-03:00  market    -0.2380 EUR
    03:00-04:00  market    0.2975 EUR
    04:00-24:00  no price  the price files of tariff "market" have no price
    "#);
    insta::assert_snapshot!(shown.stderr, @r#"
    warning: 80 quarter-hours have no price: the price files of tariff "market" have no price
      help: add a price file with these times
    "#);
    let csv = show(&home, MARKET, &["--day", "2026-11-28", "--format", "csv"]).stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[1], "market,2026-11-28T00:00:00+01:00,2026-11-28T00:15:00+01:00,market,0.357,EUR,,");
    assert!(
        lines[96].ends_with(",,,EUR,,\"the price files of tariff \"\"market\"\" have no price\""),
        "{}",
        lines[96]
    );
}

#[test]
fn sites_of_different_tariffs_are_a_block_each() {
    let tables = "[site]\ntimezone = \"Asia/Kolkata\"\n[[tariff]]\nname = \"all\"\ncurrency = \"INR\"\nper_kwh = 8.15\n\
                  [[tariff]]\nname = \"lab\"\ncurrency = \"EUR\"\nper_kwh = 0.30\napplies_to = { site = \"lab\" }\n";
    let home = Home::new();
    let shown = show_fleet(&home, &format!("{tables}{HOSTS}"), &["--day", "2026-11-28"]);
    assert_eq!(shown.code, Some(0));
    insta::assert_snapshot!(shown.stdout, @r#"
    Saturday 2026-11-28, Asia/Kolkata: 96 quarter-hours

    lab (EUR), 6 hosts: a1, a2, a3, a4 … and 2 more
    00:00-24:00  standard  0.30 EUR

    all (INR), 1 host: b
    00:00-24:00  standard  8.15 INR
    "#);
    let one = show_fleet(&home, &format!("{tables}{HOSTS}"), &["--day", "2026-11-28", "--site", "site=lab"]);
    assert!(one.stdout.contains("lab (EUR), 6 hosts") && !one.stdout.contains("all"), "{}", one.stdout);
    let other = show_fleet(&home, &format!("{tables}{HOSTS}"), &["--day", "2026-11-28", "--site", "site=x"]);
    assert!(other.stdout.contains("all (INR)\n"), "{}", other.stdout);
}

#[test]
fn a_file_of_tariffs_takes_the_place_of_those_of_the_inventory_and_not_of_its_site() {
    let home = Home::new();
    let other = put(&home, "other.toml", "[[tariff]]\nname = \"other\"\ncurrency = \"EUR\"\nper_kwh = 1\n");
    let args = ["--day", "2026-03-08", "--tariff", other.to_str().unwrap()];
    let shown = show_fleet(&home, &format!("{HOME}{HOSTS}"), &args);
    assert!(
        shown.stdout.starts_with("Sunday 2026-03-08, America/Chicago: 92 quarter-hours"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("other (EUR), 7 hosts: a1, a2, a3, a4 … and 3 more"), "{}", shown.stdout);
}

#[test]
fn without_a_tariff_and_with_a_wrong_day_the_code_is_2() {
    let home = Home::new();
    let none = show_fleet(&home, HOSTS, &[]);
    assert_eq!(none.code, Some(2));
    assert!(
        none.stderr.contains("there is no tariff") && none.stderr.contains("--tariff"),
        "{}",
        none.stderr
    );
    let day = show_fleet(&home, HOSTS, &["--day", "29.3.2026"]);
    assert_eq!(day.code, Some(2));
    assert!(day.stderr.contains("2026-03-29"), "{}", day.stderr);
}

#[test]
fn today_and_tomorrow_are_days_of_the_site() {
    let home = Home::new();
    let [today, tomorrow] = ["today", "tomorrow"]
        .map(|day| show(&home, HOME, &["--day", day]).stdout.lines().next().unwrap().to_owned());
    let day = |text: &str| text.split([' ', ',']).nth(1).unwrap().parse::<jiff::civil::Date>().unwrap();
    // The days are read one after the other, and midnight may be between.
    let days = day(&tomorrow).duration_since(day(&today)).as_hours();
    assert!((24..=48).contains(&days), "{today} {tomorrow}");
}

#[test]
fn faults_of_tables_and_of_price_files_are_told_with_file_and_line() {
    let home = Home::new();
    let wrong = show(&home, &HOME.replace("0.31", "\"0.31\""), &[]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("tariffs.toml:15:11"), "{}", wrong.stderr);
    put(&home, "prices/a.csv", "start,end,price\n2026-01-01T00:00Z,2026-01-01T01:00Z,0,30\n");
    put(&home, "prices/b.csv", "start;end;price\n");
    let wrong = show(&home, MARKET, &[]);
    assert_eq!(wrong.code, Some(2));
    let stderr = wrong.stderr.replace(home.path("").to_str().unwrap(), "");
    insta::assert_snapshot!(stderr, @r#"
    error: prices/a.csv:2: has 4 fields instead of 3
      help: a row has a start, an end and a value with a point, joined by commas
    error: prices/b.csv:1: has another separator than a comma
      help: save it with commas, and points in its numbers: `start,end,price`
    "#);
}

fn check(home: &Home, inventory: &str) -> Ran {
    let inventory = home.inventory(inventory);
    home.run(&["check", "--inventory", inventory.to_str().unwrap()])
}

#[test]
fn check_says_which_tariffs_there_are_and_what_is_not_intended() {
    let home = Home::new();
    put(&home, "prices/a.csv", &hours("2026-01-01T00:00Z", &["1", "1"]));
    put(&home, "prices/b.csv", &hours("2026-01-01T03:00Z", &["1"]));
    let tables =
        format!("{MARKET}applies_to = {{ site = \"nowhere\" }}\n[carbon]\nfile = \"carbon/*.csv\"\n");
    let checked = check(&home, &format!("{tables}{HOSTS}"));
    assert_eq!(checked.code, Some(0));
    let about: Vec<&str> = checked
        .stdout
        .lines()
        .filter(|line| ["site", "tariff", "carbon"].iter().any(|name| line.starts_with(name)))
        .collect();
    insta::assert_snapshot!(about.join("\n"), @r#"
    site       Europe/Berlin
    tariff     market: EUR, 0 hosts with site=nowhere, prices known until 2026-01-01 05:00
    carbon     g/kWh not known yet
    "#);
    insta::assert_snapshot!(checked.stderr, @r#"
    warning: carbon: no file is `carbon/*.csv`
      help: correct `file`, which is relative to the file that it stands in, or add the files
    warning: no host has the labels that tariff "market" applies to
      help: correct `applies_to`, or give its hosts these labels
    warning: 7 hosts have no tariff today, such as `a1`
      help: write a [[tariff]] whose `from`, `until` and `applies_to` fit
    warning: tariff "market": no value from 2026-01-01 03:00 +01:00 to 2026-01-01 04:00 +01:00
      help: add a price file with these times: energy without a price is in no cost
    warning: tariff "market": its files end at 2026-01-01 05:00, before the end of today
      help: add a price file with these times: energy without a price is in no cost
    "#);
}

#[test]
fn check_without_any_of_it_says_nothing_of_it() {
    let checked = check(&Home::new(), HOSTS);
    assert!(!checked.stdout.contains("tariff") && !checked.stdout.contains("site"), "{}", checked.stdout);
}

#[test]
fn check_refuses_price_files_that_are_wrong() {
    let home = Home::new();
    put(&home, "prices/a.csv", "nonsense\n");
    let checked = check(&home, &format!("{MARKET}{HOSTS}"));
    assert_eq!(checked.code, Some(2));
    assert!(checked.stderr.contains("prices/a.csv:1: begins with \"nonsense\""), "{}", checked.stderr);
}

fn fixture(name: &str) -> String {
    format!("{}/fixtures/tariff/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_imported_rate_is_a_file_of_tariffs() {
    let home = Home::new();
    let imported = home.run(&["tariff", "import", "urdb", &fixture("urdb.json")]);
    assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
    let shown = show(&home, &imported.stdout, &["--day", "2026-07-01"]);
    assert_eq!(shown.code, Some(0), "{}\n{}", imported.stdout, shown.stderr);
}

#[test]
fn imported_prices_are_a_price_file_and_the_table_that_names_it() {
    for (source, file, day) in [
        ("octopus", "octopus.json", "2026-05-25"),
        ("tibber", "tibber.json", "2026-03-29"),
        ("entsoe", "entsoe.xml", "2025-09-30"),
    ] {
        let home = Home::new();
        let imported = home.run(&["tariff", "import", source, &fixture(file), "--name", "bought"]);
        assert_eq!(imported.code, Some(0), "{source}: {}", imported.stderr);
        put(&home, "prices/bought.csv", &imported.stdout);
        let shown = show(&home, &imported.stderr, &["--day", day, "--format", "json"]);
        assert!(matches!(shown.code, Some(0 | 3)), "{source}: {}", shown.stderr);
        let json: Value = serde_json::from_str(&shown.stdout).unwrap();
        let quarters = json["sites"][0]["quarters"].as_array().unwrap();
        assert!(quarters.iter().any(|quarter| quarter["per_kwh"].is_number()), "{source}: {}", shown.stdout);
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_its_file_and_what_to_do() {
    let home = Home::new();
    let other = home.run(&["tariff", "import", "urdb", &fixture("tibber.json")]);
    assert_eq!((other.code, other.stdout.as_str()), (Some(2), ""));
    assert!(other.stderr.contains("tibber.json` has no `energyratestructure`"), "{}", other.stderr);
    assert!(other.stderr.contains("help: "), "{}", other.stderr);
    let none = home.run(&["tariff", "import", "urdb", "/nowhere.json"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("cannot read `/nowhere.json`"), "{}", none.stderr);
    let device = home.run(&["tariff", "import", "urdb", "/dev/zero"]);
    assert!(device.stderr.contains("it is a device, not a regular file"), "{}", device.stderr);
}

#[test]
fn an_import_reads_standard_input_by_the_name_of_a_hyphen() {
    let home = Home::new();
    let mut command = home.command(&["tariff", "import", "entsoe", "-"]);
    let output = command.stdin(std::fs::File::open(fixture("entsoe.xml")).unwrap()).output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"start,end,price\n"));
}

/// The block of the README that begins with this line, without its fences.
fn of_readme(first_line: &str) -> String {
    let readme = std::fs::read_to_string(format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, rest) = readme.split_once(first_line).unwrap();
    format!("{first_line}{}", rest.split("```").next().unwrap())
}

#[test]
fn the_readme_shows_what_its_tariffs_give() {
    let shown = of_readme("$ fleetwatt tariff show");
    let (call, wanted) = shown.split_once('\n').unwrap();
    let args: Vec<&str> = call.split(' ').skip(4).collect();
    let ran = show(&Home::new(), &of_readme("[site]\ntimezone"), &args);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), wanted), "{}", ran.stderr);
}
