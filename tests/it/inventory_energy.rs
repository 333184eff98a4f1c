//! `[ledger]`, `[[calibration]]`, `[site]`, `[[tariff]]` and `[carbon]`: what they mean, and what is told of wrong ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use fleetwatt::inventory::LedgerSettings;
use fleetwatt::reading::Share;
use fleetwatt::tariff::{Carbon, CarbonIntensity};

use crate::inventory::{faults_of, good, loaded};
use crate::program::Home;

const HOST: &str = "[[host]]\nname = \"a\"\n";

const WHOLE: &str = r#"
[site]
timezone = "America/Chicago"
pue = 1.35

[[tariff]]
name = "home"
currency = "USD"
per_kwh = 0.14

[carbon]
g_per_kwh = 380

[ledger]
max_gap = "10m"
keep_quarters = "1d"
idle_below = "2.5%"

[[calibration]]
model = "NVIDIA A100-SXM4-80GB"
gain = 1.03
uncertainty = 0.01

[[calibration]]
uuid = "GPU-1"
uncertainty = "2.5%"
"#;

/// `line:column message` of the faults of a table beside a host, whose lines come first.
fn told(text: &str) -> Vec<String> {
    faults_of(loaded(&format!("{HOST}{text}")))
}

#[test]
fn everything_that_makes_energy_and_cost_is_in_one_place() {
    let energy = good(&format!("{HOST}{WHOLE}")).energy;
    let ledger = LedgerSettings {
        max_gap: Some(Duration::from_secs(600)),
        keep_quarters: Duration::from_secs(86_400),
        idle_below: Share::from_millipercent(2_500),
    };
    assert_eq!(energy.ledger, ledger);
    assert_eq!(energy.tariff_book.site.zone().iana_name(), Some("America/Chicago"));
    assert_eq!(energy.tariff_book.tariffs.as_slice().len(), 1);
    assert_eq!(energy.tariff_book.carbon, Some(Carbon::Flat(CarbonIntensity::from_micrograms(380_000_000))));
    let (design, model) = energy.calibrations.of(Some("GPU-2"), "NVIDIA A100-SXM4-80GB");
    assert_eq!((design, model.gain, model.relative), ("NVIDIA A100-SXM4-80GB", 1.03, Some(0.01)));
    let (design, board) = energy.calibrations.of(Some("GPU-1"), "NVIDIA A100-SXM4-80GB");
    assert_eq!((design, board.gain, board.relative), ("GPU-1", 1.0, Some(0.025)));
}

#[test]
fn the_commented_tariff_of_the_federation_loads_when_the_marks_are_taken_away() {
    let path = format!("{}/inventory/federation.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (_, from_site) = text.split_once("# [site]").unwrap();
    let (section, _) = from_site.split_once("\n\n").unwrap();
    let inventory = good(&format!("{HOST}[site]{}", section.replace("\n# ", "\n")));
    assert_eq!(inventory.warnings.iter().count(), 0);
    assert_eq!(inventory.energy.tariff_book.tariffs.as_slice()[0].bands.len(), 1);
    let (_, calibration) = inventory.energy.calibrations.of(None, "NVIDIA GeForce RTX 5070");
    assert_eq!((calibration.gain, calibration.relative), (1.03, Some(0.01)));
}

#[test]
fn without_any_of_it_the_defaults_hold() {
    let energy = good(HOST).energy;
    let ledger = LedgerSettings {
        max_gap: None,
        keep_quarters: Duration::from_secs(62 * 86_400),
        idle_below: Share::from_millipercent(5_000),
    };
    assert_eq!(energy.ledger, ledger);
    assert!(energy.tariff_book.tariffs.as_slice().is_empty() && energy.tariff_book.carbon.is_none());
}

#[test]
fn a_fault_of_a_tariff_is_told_with_its_line_and_column_as_any_other() {
    let found = told("[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\n  per_kwh = \"0.3\"\n[carbon]\n");
    let wanted = [
        "6:13 `tariff.per_kwh` must be a number, not a string",
        "7:1 `carbon` needs one of `g_per_kwh` and `file`",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_secret_in_a_tariff_is_one_fault_and_not_shown() {
    let faults = loaded(&format!(
        "{HOST}[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\napi_password = \"canary\"\n"
    ))
    .unwrap_err();
    assert_eq!(faults.iter().count(), 1);
    assert!(!faults.render(false).contains("canary"));
}

#[test]
fn ledger_values_out_of_bounds_are_refused() {
    let found = told("[ledger]\nmax_gap = \"0s\"\nkeep_quarters = \"23h\"\nidle_below = \"0%\"\n");
    let wanted = [
        "4:11 `max_gap` is zero",
        "5:17 `keep_quarters` is out of bounds",
        "6:14 `idle_below` is out of bounds",
    ];
    assert_eq!(found, wanted);
    assert_eq!(told("[ledger]\nidle_below = \"5 W\"\n"), ["4:14 `idle_below` is not a share"]);
}

#[test]
fn a_gap_that_is_shorter_than_the_interval_is_warned_of() {
    let inventory = good(&format!("[cycle]\ninterval = \"60s\"\n{HOST}[ledger]\nmax_gap = \"59s\"\n"));
    let warned: Vec<&str> = inventory.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warned, ["the max_gap of 59s is not above the interval of 1m"]);
    let inventory = good(&format!("[cycle]\ninterval = \"60s\"\n{HOST}[ledger]\nmax_gap = \"60s\"\n"));
    assert_eq!(inventory.warnings.iter().count(), 1, "the next cycle may begin a moment late");
    assert_eq!(
        good(&format!("[cycle]\ninterval = \"60s\"\n{HOST}[ledger]\nmax_gap = \"61s\"\n"))
            .warnings
            .iter()
            .count(),
        0
    );
}

#[test]
fn a_calibration_is_of_one_board_or_model_and_has_its_uncertainty() {
    let found = told(
        "[[calibration]]\nuncertainty = 0.01\n\
         [[calibration]]\nmodel = \"A\"\nuuid = \"GPU-1\"\nuncertainty = 4.6\n\
         [[calibration]]\nuuid = \"GPU-2\"\ngain = \"x\"\n",
    );
    let wanted = [
        "3:1 a calibration without a board",
        "7:1 `uuid` beside `model`",
        "8:15 `uncertainty` is out of bounds",
        "9:1 a calibration without its `uncertainty`",
        "11:8 `gain` is not a plain number",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_second_calibration_of_one_board_is_refused_with_the_place_of_the_first() {
    let text = "[[calibration]]\nuuid = \"GPU-1\"\nuncertainty = 0.01\n".repeat(2);
    let faults = loaded(&format!("{HOST}{text}")).unwrap_err();
    let rendered = faults.render(false);
    assert!(
        rendered.contains("calibrated twice") && rendered.contains("first at fleet.toml:4"),
        "{rendered}"
    );
}

#[test]
fn tables_that_are_no_tables_say_how_they_are_written() {
    let text = "calibration = 1\nledger = 1\nsite = 1\ntariff = 1\ncarbon = 1\n";
    let wanted = [
        "1:1 `calibration` must be a list of tables",
        "2:10 `ledger` must be a table",
        "3:8 `site` must be a table, not a whole number",
        "4:10 `tariff` must be a table, not a whole number",
        "5:10 `carbon` must be a table, not a whole number",
    ];
    assert_eq!(faults_of(loaded(&format!("{text}{HOST}"))), wanted);
}

/// The measured milliseconds after three polls with this in the inventory.
fn covered_ms(settings: &str) -> i64 {
    let home = Home::new();
    std::fs::write(home.path("played.toml"), "gpus = 1\n").unwrap();
    let inventory =
        home.inventory(&format!("[[host]]\nname = \"a\"\nscripted = \"played.toml\"\n{settings}"));
    for _ in 0..3 {
        assert_eq!(home.poll(&inventory, &["--quiet"]).code, Some(0));
    }
    home.query::<(i64,)>("SELECT coalesce(sum(covered_ms), 0) FROM fleetwatt_energy")[0].0
}

#[test]
fn max_gap_says_which_time_between_two_readings_is_measured() {
    assert!(covered_ms("[ledger]\nmax_gap = \"1h\"\n") > 0);
    assert_eq!(covered_ms("[ledger]\nmax_gap = \"1ms\"\n"), 0);
}
