//! Texts in the form of the real ones, and the tables that must come out.

use proptest::prelude::*;

use super::urdb_grid::Grid;
use super::*;
use crate::tariff::{LocalQuarter, Window};

const URDB: &str = include_str!("../../../fixtures/tariff/urdb.json");
const OCTOPUS: &str = include_str!("../../../fixtures/tariff/octopus.json");
const TIBBER: &str = include_str!("../../../fixtures/tariff/tibber.json");
const ENTSOE: &str = include_str!("../../../fixtures/tariff/entsoe.xml");

const OPTIONS: ImportOptions<'_> = ImportOptions { name: None, price_file: "prices/a.csv", currency: None };

fn imported(format: ImportFormat, text: &str) -> Imported {
    import(format, text, &OPTIONS).unwrap()
}

fn refused(format: ImportFormat, text: &str) -> String {
    let error = import(format, text, &OPTIONS).unwrap_err();
    assert!(!error.hint.is_empty() && !error.is_transient());
    error.message
}

#[test]
fn a_rate_of_urdb_becomes_bands_and_demand_charges() {
    let wanted = r#"# From OpenEI's Utility Rate Database: Example Electric Co, Business TOU (Secondary), https://apps.openei.org/USURDB/rate/view/5d0000000000000000000000
# Left out: the charge for reactive power.
[[tariff]]
name = "Business TOU (Secondary)"
currency = "USD"
from = "2026-01-01"
until = "2027-01-01"
fixed_per_month = 447.44
per_kwh = 0.18081
[[tariff.band]]
name = "Super Off-Peak"
hours = "09:00-14:00"
per_kwh = 0.15754
[[tariff.band]]
name = "Peak"
days = "Mon-Fri"
hours = "16:00-21:00"
months = "Jun-Sep"
per_kwh = 0.406386
[tariff.export]
per_kwh = 0.05
[[tariff.demand]]
per_kw = 1.91
[[tariff.demand]]
name = "demand 1"
days = "Mon-Fri"
hours = "12:00-20:00"
months = "Jun-Sep"
per_kw = 9.80
"#;
    assert_eq!(imported(ImportFormat::Urdb, URDB).toml, wanted);
}

#[test]
fn a_rate_that_tables_cannot_say_is_refused() {
    let tiered =
        URDB.replace(r#""rate": 0.15754, "sell": 0.05}"#, r#""rate": 0.1, "max": 500}, {"rate": 0.2}"#);
    assert!(refused(ImportFormat::Urdb, &tiered).contains("2 tiers in period 1"));
    assert!(
        refused(ImportFormat::Urdb, &URDB.replace("\"unit\": \"kWh\"", "\"unit\": \"kWh daily\""))
            .contains("kWh daily")
    );
    assert_eq!(refused(ImportFormat::Urdb, r#"{"items": []}"#), "has 0 rates");
    assert!(refused(ImportFormat::Urdb, "{}").contains("has no `energyratestructure`"));
    assert!(refused(ImportFormat::Urdb, "[1").contains("is not JSON"));
    let flat = r#"{"energyratestructure": [[{"rate": 0.1}]], "fixedchargefirstmeter": 3, "fixedchargeunits": "$/day",
        "flatdemandstructure": [[{"rate": 1}]], "flatdemandunit": "kVA"}"#;
    let notes = imported(ImportFormat::Urdb, flat).notes;
    assert_eq!(
        notes.get(1..),
        Some(
            &["Left out: the fixed charge of 3.00 $/day.", "Left out: demand charges by kVA."]
                .map(str::to_owned)[..]
        )
    );
}

#[test]
fn rates_of_octopus_become_pounds_in_the_order_of_time() {
    // 9.90003 p = 0.0990003 GBP, which is 99_000.3 millionths; -2.999955 p = -29_999.55, half away from zero.
    let wanted = "start,end,price\n\
                  2026-05-25T13:00:00Z,2026-05-25T13:30:00Z,-0.03\n\
                  2026-05-25T21:30:00Z,2026-05-25T22:00:00Z,0.099\n\
                  2026-05-25T22:00:00Z,2026-05-25T22:30:00Z,0.122\n\
                  2026-05-25T22:30:00Z,2026-05-25T23:00:00Z,0.141\n";
    let imported = imported(ImportFormat::Octopus, OCTOPUS);
    assert_eq!(imported.prices.as_deref(), Some(wanted));
    assert!(imported.toml.ends_with(
        "[[tariff]]\nname = \"octopus\"\ncurrency = \"GBP\"\n[tariff.prices]\nfile = \"prices/a.csv\"\n"
    ));
}

#[test]
fn rates_without_an_end_for_other_payers_and_further_pages_are_told() {
    let rate = |payment: &str, to: &str| {
        format!(
            r#"{{"value_inc_vat": 7.5, "valid_from": "2026-01-01T00:30:00Z", "valid_to": {to}, "payment_method": {payment}}}"#
        )
    };
    let page = |rates: &[String]| format!(r#"{{"next": "https://…", "results": [{}]}}"#, rates.join(","));
    let (debit, other) = (r#""DIRECT_DEBIT""#, r#""NON_DIRECT_DEBIT""#);
    let until = r#""2026-01-01T04:15:00Z""#;
    let imported = imported(ImportFormat::Octopus, &page(&[rate(debit, until), rate(other, until)]));
    // Three hours, a half and a quarter.
    let lines: Vec<String> = imported.prices.unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines.get(4..),
        Some(
            &[
                "2026-01-01T03:30:00Z,2026-01-01T04:00:00Z,0.075",
                "2026-01-01T04:00:00Z,2026-01-01T04:15:00Z,0.075"
            ]
            .map(str::to_owned)[..]
        )
    );
    assert_eq!(imported.notes.len(), 4);
    assert_eq!(refused(ImportFormat::Octopus, &page(&[rate(debit, "null")])), "has a rate without an end");
    assert_eq!(refused(ImportFormat::Octopus, &page(&[])), "has no prices");
    assert!(
        refused(ImportFormat::Octopus, &page(&[rate(debit, "\"2026-01-01\"")]))
            .contains("not a time with its offset")
    );
}

#[test]
fn prices_of_tibber_are_as_long_as_their_shortest_distance() {
    let wanted = "start,end,price\n\
                  2026-03-29T00:30:00Z,2026-03-29T00:45:00Z,0.3127\n\
                  2026-03-29T00:45:00Z,2026-03-29T01:00:00Z,0.2999\n\
                  2026-03-29T01:00:00Z,2026-03-29T01:15:00Z,0.1981\n\
                  2026-03-29T01:15:00Z,2026-03-29T01:30:00Z,-0.0042\n";
    let whole = imported(ImportFormat::Tibber, TIBBER);
    assert_eq!(whole.prices.as_deref(), Some(wanted));
    assert!(whole.toml.contains("currency = \"EUR\""));

    // A bare `priceInfo` by hours, of which one is missing: it is a hole, and not a longer hour.
    let entry = |hour: &str, total: &str| {
        format!(r#"{{"total": {total}, "startsAt": "2026-01-01T{hour}:00:00+01:00"}}"#)
    };
    let today = [entry("00", "0.1"), entry("01", "2e-1"), entry("03", "0.3")].join(",");
    let bare = format!(r#"{{"today": [{today}], "range": {{"nodes": [{}]}}}}"#, entry("00", "0.1"));
    assert_eq!(refused(ImportFormat::Tibber, &bare), "does not have the currency of its prices");
    let options = ImportOptions { currency: Currency::parse("SEK").ok(), name: Some("a \"b\"\n"), ..OPTIONS };
    let imported = import(ImportFormat::Tibber, &bare, &options).unwrap();
    let starts: Vec<&str> =
        imported.prices.as_deref().unwrap().lines().filter_map(|line| line.get(11..16)).collect();
    assert_eq!(starts, ["23:00", "00:00", "02:00"]);
    assert_eq!(
        TariffBook::parse(&imported.toml).unwrap().tariffs.as_slice().first().unwrap().name,
        "a \"b\""
    );
}

#[test]
fn prices_of_several_homes_or_of_none_are_refused() {
    let home = |total: &str| {
        format!(
            r#"{{"currentSubscription": {{"priceInfo": {{"today": [
                {{"total": {total}, "startsAt": "2026-01-01T00:00:00Z"}},
                {{"total": 1, "startsAt": "2026-01-01T01:00:00Z"}}]}}}}}}"#
        )
    };
    let homes = |homes: &[String]| format!(r#"{{"viewer": {{"homes": [{}]}}}}"#, homes.join(","));
    assert_eq!(
        refused(ImportFormat::Tibber, &homes(&[home("1"), home("2")])),
        "does not have the prices of just one home"
    );
    assert_eq!(refused(ImportFormat::Tibber, "{}"), "does not have the prices of just one home");
    assert!(refused(ImportFormat::Tibber, &homes(&[home("\"x\"")])).contains("in place of a price"));
}

#[test]
fn a_document_of_entsoe_goes_from_hours_to_quarter_hours() {
    // The second auction of the same hours is left out; positions 3 and, of the hours, none are missing.
    let wanted = "start,end,price\n\
                  2025-09-30T20:00:00Z,2025-09-30T21:00:00Z,0.10456\n\
                  2025-09-30T21:00:00Z,2025-09-30T22:00:00Z,0.0931\n\
                  2025-09-30T22:00:00Z,2025-09-30T22:15:00Z,0.08812\n\
                  2025-09-30T22:15:00Z,2025-09-30T22:30:00Z,-0.00501\n\
                  2025-09-30T22:30:00Z,2025-09-30T22:45:00Z,-0.00501\n\
                  2025-09-30T22:45:00Z,2025-09-30T23:00:00Z,0.0\n";
    let whole = imported(ImportFormat::Entsoe, ENTSOE);
    assert_eq!(whole.prices.as_deref(), Some(wanted));
    assert!(whole.notes.iter().any(|note| note == "Left out: 1 series of other auctions."));
    assert!(whole.notes.iter().any(|note| note.contains("10Y1001A1001A82H")));

    // By curve type A01 a position that is missing has no price.
    let points = imported(ImportFormat::Entsoe, &ENTSOE.replace("A03", "A01"));
    assert!(!points.prices.unwrap().contains("22:30:00Z,2025-09-30T22:45:00Z"));
    let noted = "No price: 2025-09-30T22:30:00Z to 2025-09-30T22:45:00Z.";
    assert_eq!(points.notes.last().map(String::as_str), Some(noted));
}

#[test]
fn documents_that_are_not_day_ahead_prices_are_refused() {
    let acknowledgement = "<Acknowledgement_MarketDocument><Reason><code>999</code>\
                           <text>No matching data found</text></Reason></Acknowledgement_MarketDocument>";
    assert_eq!(refused(ImportFormat::Entsoe, acknowledgement), "has no prices: No matching data found");
    assert!(refused(ImportFormat::Entsoe, "{}").contains("is not XML"));
    for (from, to, told) in [
        (">A44<", ">A65<", "of type \"A65\""),
        ("MWH", "KWH", "\"KWH\" instead of MWH"),
        ("PT60M", "P1D", "the resolution \"P1D\""),
        ("<position>2<", "<position>9<", "position \"9\" of 2"),
        ("104.56", "n/a", "the price \"n/a\""),
        ("2025-09-30T22:00Z</end>", "2025-09-30T19:00Z</end>", "a period of -4 quarter-hours"),
    ] {
        assert!(refused(ImportFormat::Entsoe, &ENTSOE.replace(from, to)).contains(told), "{told}");
    }
    // The coupled auction is not published yet.
    let early = ENTSOE.replace(
        "<curveType>",
        "<contract_MarketAgreement.type>A07</contract_MarketAgreement.type><curveType>",
    );
    let early = early.replace("<contract_MarketAgreement.type>A01</contract_MarketAgreement.type>", "");
    assert_eq!(refused(ImportFormat::Entsoe, &early), "has prices of other auctions alone");
    let mixed = ENTSOE.replacen("EUR", "GBP", 1);
    assert_eq!(refused(ImportFormat::Entsoe, &mixed), "has prices in several currencies");
}

#[test]
fn a_deep_document_is_no_deep_stack() {
    let deep = format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000));
    assert!(import(ImportFormat::Entsoe, &deep, &OPTIONS).is_err());
    let deep = "[".repeat(200_000);
    for format in [ImportFormat::Urdb, ImportFormat::Octopus, ImportFormat::Tibber] {
        assert!(import(format, &deep, &OPTIONS).is_err());
        assert!(import(format, &"{\"data\":".repeat(200_000), &OPTIONS).is_err());
    }
}

/// A month in which each hour has one of four periods.
fn schedule() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0..4_usize, 24), 12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_windows_of_the_periods_share_out_the_hours(weekday in schedule(), weekend in schedule()) {
        let grid = Grid::new(Some(weekday), Some(weekend), 4).unwrap();
        let windows: Vec<Vec<Window>> = (0..4).map(|period| grid.windows(period)).collect();
        for (month, day) in (1..=12).flat_map(|month| (1..=7).map(move |day| (month, day))) {
            let date = jiff::civil::date(2026, month, day);
            let is_weekend = date.weekday().to_monday_zero_offset() >= 5;
            for hour in 0..24_u8 {
                let local = LocalQuarter { date, slot: hour * 4 + 3 };
                let month = usize::try_from(date.month()).unwrap() - 1;
                let own = grid.at(is_weekend, month, usize::from(hour));
                for (period, windows) in windows.iter().enumerate() {
                    let n = windows.iter().filter(|window| window.contains(local)).count();
                    prop_assert_eq!(n, usize::from(period == own));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_converter_panic(
        at in 0..3_000_usize,
        length in 0..40_usize,
        text in "[-0-9.eE\"{}\\[\\],:<>/ a-zT]{0,12}",
    ) {
        for (format, whole) in [
            (ImportFormat::Urdb, URDB), (ImportFormat::Octopus, OCTOPUS), (ImportFormat::Tibber, TIBBER), (ImportFormat::Entsoe, ENTSOE),
        ] {
            let at = at % whole.len();
            let end = (at + length).min(whole.len());
            let changed = [whole.get(..at).unwrap(), &text, whole.get(end..).unwrap()].concat();
            if let Ok(imported) = import(format, &changed, &OPTIONS) {
                prop_assert!(TariffBook::parse(&imported.toml).is_ok());
                let file = imported.prices.map(|csv| PriceFile::parse("a", &csv, SeriesColumn::Price));
                prop_assert!(file.is_none_or(|file| file.is_ok()));
            }
            prop_assert!(import(format, &text, &OPTIONS).is_err());
        }
    }
}
