//! The tables `[site]`, `[[tariff]]` and `[carbon]` of a TOML file.

use toml::de::DeTable;

use super::carbon::Carbon;
use super::invalid::Invalid;
use super::key_reader::{KeyFault, KeyReader};
use super::key_tables::{BAND, CARBON, DEMAND, EXPORT, PRICES, SITE, TABLES, TARIFF};
use super::keys;
use super::model::{Band, DemandCharge, Prices, Tariff, Tariffs};
use super::money::{Currency, PriceFactor, PricePerKwh};
use super::series::QuarterSeries;
use super::site::SiteSettings;
use super::window::{Days, Hours, Months, Window};

/// All that a file says of prices and carbon. Its price files are still to be read by its caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TariffBook {
    /// The site.
    pub site: SiteSettings,
    /// The tariffs.
    pub tariffs: Tariffs,
    /// The carbon intensity, if it was given.
    pub carbon: Option<Carbon>,
}

impl TariffBook {
    /// Reads the tables of a document and passes over all others, which are its caller's to check.
    ///
    /// # Errors
    /// Every fault, with its key and span.
    pub fn read(document: &DeTable<'_>) -> Result<Self, Vec<KeyFault>> {
        let mut faults = Vec::new();
        let mut top = KeyReader { raw: document, span: 0..0, path: String::new(), faults: &mut faults };
        let site = top.table("site").map(|mut site| read_site(&mut site)).unwrap_or_default();
        let mut tariffs = Vec::new();
        top.tables("tariff", |reader| {
            let tariff = read_tariff(reader)?;
            check_beside(reader, &tariff, &tariffs);
            tariffs.push(tariff);
            Some(())
        });
        let carbon = top.table("carbon").and_then(|mut carbon| read_carbon(&mut carbon));
        let book = Self { site, tariffs: Tariffs::new(tariffs), carbon };
        if faults.is_empty() { Ok(book) } else { Err(faults) }
    }

    /// Reads a file that has nothing but these tables.
    ///
    /// # Errors
    /// The text is not TOML; else every fault, with its key and span.
    pub fn parse(text: &str) -> Result<Self, Vec<KeyFault>> {
        let document = DeTable::parse(text).map_err(|error| {
            let invalid =
                Invalid::key(format!("is not TOML: {}", error.message()), "not TOML", "mend the line");
            vec![KeyFault {
                key: "the file".to_owned(),
                span: error.span().unwrap_or_default(),
                error: invalid,
            }]
        })?;
        let mut faults = Vec::new();
        let raw = document.get_ref();
        KeyReader { raw, span: 0..0, path: String::new(), faults: &mut faults }.only(&TABLES);
        let book = Self::read(raw).map_err(|others| faults.extend(others)).unwrap_or_default();
        // In the order of the file.
        faults.sort_by_key(|fault| fault.span.start);
        if faults.is_empty() { Ok(book) } else { Err(faults) }
    }
}

fn read_site(site: &mut KeyReader<'_, '_>) -> SiteSettings {
    site.only(&SITE.names());
    SiteSettings {
        timezone: site.text("timezone", "\"Europe/Berlin\"", keys::timezone),
        pue: site.number("pue", "1.35", keys::pue),
        battery: site.text("battery", "\"charged\"", keys::battery).unwrap_or_default(),
    }
}

fn read_tariff(reader: &mut KeyReader<'_, '_>) -> Option<Tariff> {
    reader.only(&TARIFF.names());
    reader.require("name", "\"home\"");
    reader.require("currency", "\"EUR\"");
    let name = reader.text("name", "\"home\"", keys::name);
    let currency = reader.text("currency", "\"EUR\"", Currency::parse);
    let from = reader.date("from", "\"2026-01-01\"", keys::date);
    let until = reader.date("until", "\"2027-01-01\"", keys::date);
    let applies_to = reader.labels("applies_to");
    let per_kwh = reader.number("per_kwh", "0.14", keys::per_kwh);
    let fixed_per_month = reader.number("fixed_per_month", "12.50", keys::charge);
    let bands = reader.tables("band", read_band);
    let export = reader.table("export").and_then(|mut export| read_export(&mut export));
    let mut demand = Vec::new();
    reader.tables("demand", |charge| read_demand(charge, &mut demand));
    let prices = reader.table("prices").and_then(|mut prices| read_prices(&mut prices));
    check_tariff(reader, from.zip(until).is_some_and(|(from, until)| until <= from));
    let (name, currency) = (name?, currency?);
    Some(Tariff {
        name,
        currency,
        from,
        until,
        applies_to,
        per_kwh,
        fixed_per_month,
        bands,
        export,
        demand,
        prices,
    })
}

/// The keys of a tariff beside each other.
fn check_tariff(reader: &mut KeyReader<'_, '_>, ends_first: bool) {
    if ends_first {
        let message = "is not after `from`: it is the first day on which the tariff holds no longer";
        reader.fault_of("until", Invalid::key(message, "never holds", "write a later day, or take it out"));
    }
    if reader.has("per_kwh") && reader.has("prices") {
        let message = "beside [tariff.prices] would never hold";
        let hint = "write what is added to each price as `add` in [tariff.prices], or take `per_kwh` out";
        reader.fault_of("per_kwh", Invalid::key(message, "never holds", hint));
    }
    if !["per_kwh", "prices", "band"].iter().any(|key| reader.has(key)) {
        let hint = "write `per_kwh`, a [[tariff.band]] or [tariff.prices]";
        reader.fault(Invalid::key("has no price", "incomplete", hint));
    }
}

/// A tariff beside those before it.
fn check_beside(reader: &mut KeyReader<'_, '_>, tariff: &Tariff, before: &[Tariff]) {
    if before.iter().any(|other| other.name == tariff.name) {
        let error = Invalid::value(&tariff.name, "the name of another tariff", "give each a name of its own");
        reader.fault_of("name", error);
    }
    let is_shadowed = |other: &&Tariff| other.applies_to == tariff.applies_to && other.from == tariff.from;
    if let Some(other) = before.iter().find(is_shadowed) {
        let message = format!("begins with \"{}\" and applies to the same", other.name);
        let hint = "give it another `from` or `applies_to`, so that one of them holds";
        reader.fault(Invalid::key(message, "two at once", hint));
    }
}

fn read_band(band: &mut KeyReader<'_, '_>) -> Option<Band> {
    band.only(&BAND.names());
    band.require("name", "\"peak\"");
    band.require("per_kwh", "0.31");
    let window = read_window(band);
    let name = band.text("name", "\"peak\"", keys::name);
    let per_kwh = band.number("per_kwh", "0.31", keys::per_kwh);
    Some(Band { name: name?, window, per_kwh: per_kwh? })
}

fn read_window(reader: &mut KeyReader<'_, '_>) -> Window {
    Window {
        days: reader.text("days", "\"Mon-Fri\"", Days::parse).unwrap_or(Days::ALL),
        hours: reader.text("hours", "\"16:00-21:00\"", Hours::parse).unwrap_or(Hours::ALL),
        months: reader.text("months", "\"Jun-Sep\"", Months::parse).unwrap_or(Months::ALL),
    }
}

fn read_export(export: &mut KeyReader<'_, '_>) -> Option<PricePerKwh> {
    export.only(&EXPORT.names());
    export.require("per_kwh", "0.05");
    export.number("per_kwh", "0.05", keys::per_kwh)
}

fn read_demand(demand: &mut KeyReader<'_, '_>, before: &mut Vec<DemandCharge>) -> Option<()> {
    demand.only(&DEMAND.names());
    demand.require("per_kw", "9.80");
    let window = read_window(demand);
    let name = demand.text("name", "\"peak\"", keys::name);
    let per_kw = demand.number("per_kw", "9.80", keys::charge)?;
    let is_same = |other: &&mut DemandCharge| name.is_some() && other.name == name;
    match before.iter_mut().find(is_same) {
        Some(other) if other.per_kw == per_kw => other.windows.push(window),
        Some(_) => {
            let message = "differs from that of the same name, whose hours it would add to";
            let hint = "write the same `per_kw`, or another `name`";
            demand.fault_of("per_kw", Invalid::key(message, "two charges", hint));
        }
        None => before.push(DemandCharge { name, windows: vec![window], per_kw }),
    }
    Some(())
}

fn read_prices(prices: &mut KeyReader<'_, '_>) -> Option<Prices> {
    prices.only(&PRICES.names());
    prices.require("file", "\"prices/*.csv\"");
    let add = prices.number("add", "0.031", keys::per_kwh).unwrap_or_default();
    let factor = prices.number("factor", "1.19", keys::factor).unwrap_or(PriceFactor::ONE);
    let file = prices.text("file", "\"prices/*.csv\"", keys::file)?;
    Some(Prices { file, add, factor, series: QuarterSeries::default() })
}

fn read_carbon(carbon: &mut KeyReader<'_, '_>) -> Option<Carbon> {
    carbon.only(&CARBON.names());
    if carbon.has("g_per_kwh") == carbon.has("file") {
        let hint = "write either `g_per_kwh = 380` or `file = \"carbon/*.csv\"`";
        carbon.fault(Invalid::key("needs one of `g_per_kwh` and `file`", "one of them", hint));
    }
    let flat = carbon.number("g_per_kwh", "380", keys::grams_per_kwh).map(Carbon::Flat);
    let file = carbon.text("file", "\"carbon/*.csv\"", keys::file);
    flat.or(file.map(|file| Carbon::Files { file, series: QuarterSeries::default() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the documentation, whole.
    const WHOLE: &str = r#"
[site]
timezone = "America/Chicago"
pue = 1.35
battery = "zero"

[[tariff]]
name = "home"
currency = "USD"
from = "2026-01-01"
until = 2027-01-01
applies_to = { site = "home" }
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

[[tariff]]
name = "market"
currency = "EUR"
[tariff.prices]
file = "prices/*.csv"
add = 0.031
factor = 1.19

[carbon]
g_per_kwh = 380
"#;

    fn told(text: &str) -> Vec<String> {
        let faults = TariffBook::parse(text).unwrap_err();
        assert!(faults.iter().all(|fault| !fault.error.hint.is_empty()));
        faults.iter().map(|fault| format!("{}: {fault}", fault.line(text))).collect()
    }

    #[test]
    fn the_whole_example_is_read() {
        let book = TariffBook::parse(WHOLE).unwrap();
        assert_eq!(book.site.zone().iana_name(), Some("America/Chicago"));
        assert_eq!(book.site.pue().millionths(), 1_350_000);
        assert_eq!(book.site.battery, crate::tariff::battery::BatteryRule::Zero);
        let [home, market] = book.tariffs.as_slice() else { panic!("two tariffs") };
        assert_eq!(
            (home.from, home.until),
            (Some("2026-01-01".parse().unwrap()), Some("2027-01-01".parse().unwrap()))
        );
        assert_eq!(home.per_kwh, Some(PricePerKwh::from_micros(140_000)));
        assert_eq!(home.fixed_per_month.unwrap().micros(), 12_500_000);
        assert_eq!(home.applies_to.get("site").map(String::as_str), Some("home"));
        let band = home.bands.first().unwrap();
        assert_eq!((band.name.as_str(), band.window.days.to_string()), ("peak", "Mon-Fri".to_owned()));
        assert_eq!(home.demand.first().unwrap().per_kw.micros(), 9_800_000);
        assert_eq!(home.export, Some(PricePerKwh::from_micros(50_000)));
        let prices = market.prices.as_ref().unwrap();
        assert_eq!((prices.add.micros(), prices.factor.billionths()), (31_000, 1_190_000_000));
        assert!(matches!(book.carbon, Some(Carbon::Flat(grams)) if grams.micrograms() == 380_000_000));
    }

    #[test]
    fn every_fault_is_told_with_its_line_key_and_value() {
        let text = "[site]\ntimezone = \"Mars\"\npue = \"1.3\"\n\
                    [[tariff]]\nname = \"a\"\ncurrency = \"eur\"\nper_kw = 1\nper_kwh = 1e-1\nfrom = \"2026-13-01\"\n\
                    [[tariff.band]]\nname = \"x\"\nhours = \"16-21\"\n\
                    [tariff.export]\n[[carbon]]\n";
        let wanted = [
            "2: `site.timezone` is \"Mars\": not a time zone",
            "3: `site.pue` must be a number, not a string",
            "6: `tariff.currency` is \"eur\": not the code of a currency",
            "7: `tariff.per_kw` is an unknown key",
            "8: `tariff.per_kwh` is \"1e-1\": not a plain number",
            "9: `tariff.from` is \"2026-13-01\": not a day",
            "10: `tariff.band` has no `per_kwh`",
            "12: `tariff.band.hours` is \"16-21\": not times of the day",
            "13: `tariff.export` has no `per_kwh`",
            "14: `carbon` must be a table, not a list",
        ];
        assert_eq!(told(text), wanted);
    }

    #[test]
    fn a_key_with_a_typing_error_is_told_the_right_one() {
        let faults = TariffBook::parse("[[tarif]]\n").unwrap_err();
        assert_eq!(faults.first().unwrap().error.hint, "write `tariff`");
    }

    #[test]
    fn a_key_under_another_name_is_told_ours_where_it_can_stand() {
        let text = "[site]\ntz = \"UTC\"\nprice = 1\n\
                    [[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\nprice = 0.3\n";
        let faults = TariffBook::parse(text).unwrap_err();
        let hints: Vec<&str> = faults.iter().map(|fault| fault.error.hint.as_str()).collect();
        let none = "take it out; keys here are timezone, pue, battery";
        assert_eq!(hints, ["write `timezone`", none, "write `per_kwh`"]);
    }

    #[test]
    fn keys_that_contradict_each_other_are_told() {
        let text = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nfrom = 2026-02-01\nuntil = 2026-02-01\n\
                    per_kwh = 1\nprices = { file = \"x\" }\n\
                    [[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nfrom = 2026-02-01\n\
                    [carbon]\ng_per_kwh = 1\nfile = \"y\"\n";
        let wanted = [
            "5: `tariff.until` is not after `from`: it is the first day on which the tariff holds no longer",
            "6: `tariff.per_kwh` beside [tariff.prices] would never hold",
            "8: `tariff` has no price",
            "8: `tariff` begins with \"a\" and applies to the same",
            "9: `tariff.name` is \"a\": the name of another tariff",
            "12: `carbon` needs one of `g_per_kwh` and `file`",
        ];
        assert_eq!(told(text), wanted);
        assert_eq!(told("x = \n").len(), 1);
    }

    proptest! {
        #[test]
        fn no_value_of_any_key_makes_it_panic(
            at in 0..WHOLE.len(),
            value in "[-0-9.e\"'\\[\\]{}=a-zA-Z: \n]{0,12}",
        ) {
            let Some((head, tail)) = WHOLE.split_at_checked(at) else { return Ok(()) };
            let rest = tail.split_once('\n').map_or("", |(_, rest)| rest);
            if let Err(faults) = TariffBook::parse(&format!("{head}{value}\n{rest}")) {
                prop_assert!(!faults.is_empty());
            }
        }
    }
}
