//! Costs that were worked out by hand: each test has its arithmetic beside it.

use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::reading::{Energy, Quarter, Timestamp};

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn book(text: &str) -> TariffBook {
    TariffBook::parse(text).unwrap()
}

fn at(text: &str) -> Quarter {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Quarter::at(Timestamp::from_micros(instant.as_microsecond()))
}

/// Energy in watt-hours.
const fn wh(watt_hours: i64) -> Energy {
    Energy::from_millijoules(watt_hours * 3_600_000)
}

/// The cost of the same energy in each quarter, of a site without labels.
fn cost(tariffs: &Tariffs, zone: &TimeZone, quarters: std::ops::Range<Quarter>, each: Energy) -> Priced {
    let mut resolver = Resolver::new(tariffs, quarters, zone);
    let site = resolver.site(&Labels::new());
    let mut priced = Priced::default();
    resolver.table(site).unwrap().iter().for_each(|(_, price)| priced.add(each, price));
    priced
}

fn money(priced: Priced) -> String {
    priced.cost.to_money().to_string()
}

/// The prices of quarters, with their bands; a hole has neither.
fn prices(tariffs: &Tariffs, zone: &TimeZone, quarters: &[&str]) -> Vec<(String, String)> {
    let quarter = |text: &&str| {
        let quarter = at(text);
        let mut resolver = Resolver::new(tariffs, quarter..quarter.next(), zone);
        let site = resolver.site(&Labels::new());
        let price = resolver.table(site).unwrap().at(quarter);
        let band = price.map(|price| tariffs.band_name(&price).to_owned()).unwrap_or_default();
        (price.map_or_else(|hole| tariffs.reason(hole).0, |price| price.per_kwh.to_string()), band)
    };
    quarters.iter().map(quarter).collect()
}

fn with_prices(text: &str, csv: &[&str]) -> Tariffs {
    let files: Vec<PriceFile> = (0..)
        .zip(csv)
        .map(|(at, rows): (u32, _)| {
            let text = format!("start,end,price\n{rows}");
            PriceFile::parse(&format!("{at}.csv"), &text, SeriesColumn::Price).unwrap()
        })
        .collect();
    let mut tariffs = book(text).tariffs;
    for tariff in tariffs.as_mut_slice() {
        if let Some(prices) = &mut tariff.prices {
            prices.series = QuarterSeries::new(&files).0;
        }
    }
    tariffs
}

const HOME: &str = r#"
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
[tariff.demand]
per_kw = 9.80
hours = "12:00-20:00"
months = "Jun-Sep"
"#;

const NIGHT: &str = r#"
[[tariff]]
name = "night and day"
currency = "EUR"
per_kwh = 0.30
[[tariff.band]]
name = "night"
hours = "22:00-06:00"
per_kwh = 0.20
"#;

#[test]
fn energy_on_both_sides_of_a_band_is_priced_by_each() {
    // Wednesday 2026-07-15 in Chicago, 5 hours behind UTC: the peak begins at 21:00Z.
    // Two quarters of 2.5 kWh before it, two in it: 5 * 0.14 + 5 * 0.31 = 0.70 + 1.55 = 2.25.
    let (chicago, tariffs) = (zone("America/Chicago"), book(HOME).tariffs);
    let quarters = at("2026-07-15T20:30Z")..at("2026-07-15T21:30Z");
    assert_eq!(money(cost(&tariffs, &chicago, quarters, wh(2_500))), "2.25");
    let found = prices(
        &tariffs,
        &chicago,
        &[
            "2026-07-15T20:45Z",
            "2026-07-15T21:00Z",
            "2026-07-16T01:45Z", // 20:45, the last of the peak
            "2026-07-16T02:00Z",
            "2026-07-18T21:00Z", // a Saturday
            "2026-10-14T21:00Z", // a Wednesday in October
        ],
    );
    let wanted = [
        ("0.14", "standard"),
        ("0.31", "peak"),
        ("0.31", "peak"),
        ("0.14", "standard"),
        ("0.14", "standard"),
        ("0.14", "standard"),
    ];
    assert_eq!(found, wanted.map(|(price, band)| (price.to_owned(), band.to_owned())));
}

#[test]
fn the_first_band_that_fits_wins() {
    let text = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\n\
                [[tariff.band]]\nname = \"one\"\nhours = \"10:00-12:00\"\nper_kwh = 1\n\
                [[tariff.band]]\nname = \"two\"\nhours = \"11:00-13:00\"\nper_kwh = 2\n";
    let quarters = ["2026-01-01T11:45Z", "2026-01-01T12:00Z", "2026-01-01T13:00Z"];
    let found = prices(&book(text).tariffs, &TimeZone::UTC, &quarters);
    let wanted =
        [("1.0", "one"), ("2.0", "two"), ("no band of tariff \"a\" fits, and it has no per_kwh", "")];
    assert_eq!(found, wanted.map(|(price, band)| (price.to_owned(), band.to_owned())));
}

#[test]
fn a_band_over_midnight_holds_on_both_days() {
    // Berlin in winter, an hour before UTC. From 21:00 to 07:00, a kilowatt-hour each quarter: an hour of day, eight of
    // night, one of day: 4 * 0.30 + 32 * 0.20 + 4 * 0.30 = 8.80.
    let quarters = at("2026-01-15T20:00Z")..at("2026-01-16T06:00Z");
    assert_eq!(money(cost(&book(NIGHT).tariffs, &zone("Europe/Berlin"), quarters, wh(1_000))), "8.80");
}

#[test]
fn a_tariff_begins_at_the_local_midnight_of_its_day() {
    let text = format!(
        "{HOME}[[tariff]]\nname = \"dearer\"\ncurrency = \"USD\"\nfrom = \"2027-01-01\"\nper_kwh = 0.16\n"
    );
    let (chicago, tariffs) = (zone("America/Chicago"), book(&text).tariffs);
    // 2027-01-01T00:00 in Chicago is 06:00Z. An hour before and one after, 1 kWh a quarter: 4 * 0.14 + 4 * 0.16 = 1.20.
    let quarters = at("2027-01-01T05:00Z")..at("2027-01-01T07:00Z");
    assert_eq!(money(cost(&tariffs, &chicago, quarters, wh(1_000))), "1.20");
}

#[test]
fn a_tariff_ends_at_the_local_midnight_of_its_until() {
    let text = "[[tariff]]\nname = \"old\"\ncurrency = \"EUR\"\nuntil = 2026-07-01\nper_kwh = 0.30\n\
                [[tariff]]\nname = \"new\"\ncurrency = \"EUR\"\nfrom = 2026-07-01\nper_kwh = 0.20\n";
    // Midnight in Berlin is 22:00Z. An hour before and one after, 1 kWh a quarter: 4 * 0.30 + 4 * 0.20 = 2.00.
    let quarters = at("2026-06-30T21:00Z")..at("2026-06-30T23:00Z");
    assert_eq!(money(cost(&book(text).tariffs, &zone("Europe/Berlin"), quarters, wh(1_000))), "2.00");
}

#[test]
fn two_tariffs_that_fit_equally_well_are_rivals() {
    let text = "[[tariff]]\nname = \"all\"\ncurrency = \"EUR\"\nper_kwh = 1\n\
                [[tariff]]\nname = \"site\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = { site = \"a\" }\n\
                [[tariff]]\nname = \"rack\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = { rack = \"b\" }\n";
    let tariffs = book(text).tariffs;
    let rivals = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        tariffs.rivals(&tariffs.of_site(&labels), date(2026, 1, 1))
    };
    assert_eq!(rivals(&[("site", "a"), ("rack", "b")]), [2]);
    assert_eq!(rivals(&[("site", "a")]), [0; 0]);
    assert_eq!(rivals(&[]), [0; 0]);
}

#[test]
fn a_band_has_fewer_and_more_quarters_where_the_clock_is_changed() {
    // The night is 00:00 to 06:00 and 22:00 to 24:00 by the clock; a kilowatt-hour each quarter.
    // 2026-03-29 has 92 quarters, 28 of them night: 28 * 0.20 + 64 * 0.30 = 5.60 + 19.20 = 24.80.
    // 2026-10-25 has 100, 36 of them night: 36 * 0.20 + 64 * 0.30 = 7.20 + 19.20 = 26.40.
    // Another day has 96, 32 of them night: 6.40 + 19.20 = 25.60.
    let (berlin, tariffs) = (zone("Europe/Berlin"), book(NIGHT).tariffs);
    for (day, n_quarters, wanted) in [
        (date(2026, 3, 29), 92, "24.80"),
        (date(2026, 10, 25), 100, "26.40"),
        (date(2026, 7, 1), 96, "25.60"),
    ] {
        let quarters = day_quarters(day, &berlin);
        assert_eq!(quarters.end.since(quarters.start), n_quarters, "{day}");
        assert_eq!(money(cost(&tariffs, &berlin, quarters, wh(1_000))), wanted, "{day}");
    }
}

#[test]
fn a_band_begins_by_the_clock_of_half_hour_and_quarter_hour_zones() {
    let text = "[[tariff]]\nname = \"a\"\ncurrency = \"NPR\"\nper_kwh = 10\n\
                [[tariff.band]]\nname = \"evening\"\nhours = \"17:00-23:00\"\nper_kwh = 15\n";
    let tariffs = book(text).tariffs;
    // 17:00 is 11:15Z in Kathmandu (+5:45), and 20:30Z in winter in St. John's (-3:30). In the hour that the evening begins
    // in, 1 kWh a quarter: from 11:00Z 10 + 3 * 15 = 55; from 20:00Z 2 * 10 + 2 * 15 = 50.
    for (name, from, wanted) in
        [("Asia/Kathmandu", "2026-01-15T11:00Z", "55.00"), ("America/St_Johns", "2026-01-15T20:00Z", "50.00")]
    {
        let quarters = at(from)..at(from).plus(4);
        assert_eq!(money(cost(&tariffs, &zone(name), quarters, wh(1_000))), wanted, "{name}");
    }
}

#[test]
fn a_month_is_charged_if_the_range_begins_by_its_first_local_midnight() {
    // A report from 15 January to 10 March in St. John's (-3:30, and -2:30 from 8 March): January is entered late and only
    // shown, February is charged, March as it stands so far.
    let st_johns = zone("America/St_Johns");
    let range =
        day_quarters(date(2026, 1, 15), &st_johns).start..day_quarters(date(2026, 3, 10), &st_johns).start;
    let months: Vec<_> = billing_months(range.clone(), &st_johns)
        .into_iter()
        .map(|month| (month.month.to_string(), month.is_charged, month.is_complete))
        .collect();
    let wanted = [("2026-01", false, true), ("2026-02", true, true), ("2026-03", true, false)];
    assert_eq!(months, wanted.map(|(month, charged, complete)| (month.to_owned(), charged, complete)));
    // February begins at 03:30Z of its first day: a range from there charges it, one quarter later it does not.
    let is_charged = |from: Quarter| billing_months(from..range.end, &st_johns).first().unwrap().is_charged;
    assert!(is_charged(at("2026-02-01T03:30Z")) && !is_charged(at("2026-02-01T03:45Z")));
    assert_eq!(billing_months(range.end..range.start, &st_johns), []);
    let whole = Month::of(date(2026, 2, 1)).quarters(&st_johns);
    let months = billing_months(whole, &st_johns);
    assert!(matches!(months.as_slice(), [month] if month.is_charged && month.is_complete));
}

#[test]
fn a_fixed_charge_is_shared_out_by_the_days_of_the_month() {
    // The second tariff begins on 11 February 2026. The first holds for 10 days of 28, the second for 18:
    // 12.50 * 10 / 28 = 4.464285714…, rounded 4.464286; 14.00 * 18 / 28 = 9.00.
    let text = format!(
        "{HOME}[[tariff]]\nname = \"later\"\ncurrency = \"USD\"\nfrom = \"2026-02-11\"\nper_kwh = 1\nfixed_per_month = 14\n"
    );
    let tariffs = book(&text).tariffs;
    let (one, other) = (Labels::from([("rack".to_owned(), "a".to_owned())]), Labels::new());
    let charges = |day| tariffs.fixed_charges([&one, &other], Month::of(day));
    let shown = |day| {
        charges(day).into_iter().map(|(tariff, amount)| (tariff, amount.to_string())).collect::<Vec<_>>()
    };
    // Two sites of one tariff have one contract.
    assert_eq!(shown(date(2026, 1, 1)), [(0, "12.50".to_owned())]);
    assert_eq!(shown(date(2026, 2, 28)), [(0, "4.464286".to_owned()), (1, "9.00".to_owned())]);
    assert_eq!(shown(date(2026, 3, 1)), [(1, "14.00".to_owned())]);
    assert_eq!(tariffs.fixed_charges([], Month::of(date(2026, 1, 1))), []);
}

const MARKET: &str = r#"
[[tariff]]
name = "market"
currency = "EUR"
[tariff.prices]
file = "prices/*.csv"
add = 0.031
factor = 1.19
"#;

#[test]
fn a_negative_price_makes_a_negative_cost() {
    // (-0.05 + 0.031) * 1.19 = -0.02261. An hour at 16 kW: 16 * -0.02261 = -0.36176.
    let tariffs = with_prices(MARKET, &["2026-05-01T11:00Z,2026-05-01T12:00Z,-0.05\n"]);
    let quarters = at("2026-05-01T11:00Z")..at("2026-05-01T12:00Z");
    let priced = cost(&tariffs, &zone("Europe/Berlin"), quarters, wh(4_000));
    assert_eq!((money(priced), priced.unpriced), ("-0.36176".to_owned(), wh(0)));
}

#[test]
fn files_of_hours_and_quarter_hours_price_one_range() {
    // 2025-09-30, 22:00Z: the day-ahead auction goes from hours to quarter-hours (midnight in Berlin).
    // Four quarters at (0.0931 + 0.031) * 1.19 = 0.147679, then (0.08812 + 0.031) * 1.19 = 0.1417528, rounded 0.141753,
    // and (-0.00501 + 0.031) * 1.19 = 0.0309281, rounded 0.030928. A kilowatt-hour each:
    // 4 * 0.147679 + 0.141753 + 0.030928 = 0.763397.
    let tariffs = with_prices(
        MARKET,
        &[
            "2025-09-30T23:00+02:00,2025-10-01T00:00+02:00,0.0931\n",
            "2025-09-30T22:00Z,2025-09-30T22:15Z,0.08812\n2025-09-30T22:15Z,2025-09-30T22:30Z,-0.00501\n",
        ],
    );
    let quarters = at("2025-09-30T21:00Z")..at("2025-09-30T22:30Z");
    assert_eq!(money(cost(&tariffs, &zone("Europe/Berlin"), quarters, wh(1_000))), "0.763397");
}

#[test]
fn a_hole_is_told_with_its_times_and_the_energy_that_has_no_price() {
    let tariffs = with_prices(
        MARKET,
        &[
            "2026-05-01T00:00Z,2026-05-01T01:00Z,0.1\n2026-05-01T02:00Z,2026-05-01T03:00Z,0.1\n",
            "2026-05-01T02:30Z,2026-05-01T03:00Z,0.2\n",
        ],
    );
    let range = at("2026-05-01T00:00Z")..at("2026-05-01T03:15Z");
    let mut resolver = Resolver::new(&tariffs, range.clone(), &TimeZone::UTC);
    let site = resolver.site(&Labels::new());
    let table = resolver.table(site).unwrap();
    let missing = |from, to| HoleSpan { quarters: at(from)..at(to), hole: Hole::NotInFiles { tariff: 0 } };
    let wanted = [
        missing("2026-05-01T01:00Z", "2026-05-01T02:00Z"),
        HoleSpan {
            quarters: at("2026-05-01T02:30Z")..at("2026-05-01T03:00Z"),
            hole: Hole::Contradiction { tariff: 0 },
        },
        missing("2026-05-01T03:00Z", "2026-05-01T03:15Z"),
    ];
    assert_eq!(table.holes(), wanted);
    assert_eq!(table.at(range.end), Err(Hole::OutOfRange));
    assert!(tariffs.reason(Hole::NotInFiles { tariff: 0 }).0.contains("\"market\""));
    // Six quarters have a price, seven have none.
    let priced = cost(&tariffs, &TimeZone::UTC, range, wh(1_000));
    assert_eq!((priced.priced, priced.unpriced), (wh(6_000), wh(7_000)));
}

fn load(quarter: &str, watt_hours: i64, covered_s: u64) -> QuarterLoad {
    QuarterLoad {
        quarter: at(quarter),
        energy: wh(watt_hours),
        covered_ms: covered_s * 1_000,
        expected_ms: 900_000,
    }
}

#[test]
fn a_demand_peak_in_an_uncovered_quarter_is_told_and_not_charged() {
    // Chicago in July, 12:00 to 20:00 is 17:00Z to 01:00Z. 3 kWh in a quarter are 12 kW, but only 13 of 15 minutes (87 %) of
    // it were measured; 2.5 kWh with 13.5 minutes (90 %) are 10 kW and count: 10 * 9.80 = 98.00. 5 kWh before noon and
    // at 20:00 do not.
    let (chicago, tariffs) = (zone("America/Chicago"), book(HOME).tariffs);
    let charge = tariffs.as_slice().first().unwrap().demand.first().unwrap();
    let loads = [
        load("2026-07-15T16:45Z", 5_000, 900),
        load("2026-07-15T17:00Z", 2_400, 900),
        load("2026-07-15T18:00Z", 3_000, 780),
        load("2026-07-15T19:00Z", 2_500, 810),
        load("2026-07-16T00:45Z", 2_500, 900),
        load("2026-07-16T01:00Z", 5_000, 900),
    ];
    let demand = charge.cost(loads, &chicago);
    assert_eq!(demand.peak, Some(load("2026-07-15T19:00Z", 2_500, 810)));
    assert_eq!(demand.peak.unwrap().power().milliwatts(), 10_000_000);
    assert_eq!((demand.cost.to_string(), demand.n_uncovered), ("98.00".to_owned(), 1));
    assert_eq!(demand.uncovered_peak, Some(load("2026-07-15T18:00Z", 3_000, 780)));
    // Nothing measured well enough: no peak, and no charge at a guess.
    let demand = charge.cost([load("2026-07-15T18:00Z", 3_000, 0)], &chicago);
    assert_eq!((demand.peak, demand.cost), (None, Money::ZERO));
    // Nothing was expected, so nothing was measured.
    let unexpected = QuarterLoad { expected_ms: 0, ..load("2026-07-15T18:00Z", 3_000, 0) };
    assert_eq!(charge.cost([unexpected], &chicago).peak, None);
    // Not in May.
    assert_eq!(charge.cost([load("2026-05-15T18:00Z", 3_000, 900)], &chicago).peak, None);
}

#[test]
fn demand_charges_of_one_name_have_one_peak() {
    let text = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\n\
                [[tariff.demand]]\nname = \"day\"\nper_kw = 2\ndays = \"Mon-Fri\"\nhours = \"08:00-20:00\"\n\
                [[tariff.demand]]\nname = \"day\"\nper_kw = 2\ndays = \"Sat\"\nhours = \"10:00-14:00\"\n";
    let tariffs = book(text).tariffs;
    let [charge] = tariffs.as_slice().first().unwrap().demand.as_slice() else { panic!("one charge") };
    // 1 kWh on Friday and 1.5 kWh on Saturday, 2026-01-10: 6 kW, 12.00 once.
    let loads = [load("2026-01-09T12:00Z", 1_000, 900), load("2026-01-10T12:00Z", 1_500, 900)];
    assert_eq!(charge.cost(loads, &TimeZone::UTC).cost.to_string(), "12.00");
}

#[test]
fn the_tariff_of_a_site_is_the_most_special_and_then_the_latest() {
    let tariff = |name: &str, keys: &str| {
        format!("[[tariff]]\nname = \"{name}\"\ncurrency = \"EUR\"\nper_kwh = 1\n{keys}\n")
    };
    let text = [
        tariff("all", ""),
        tariff("all, later", "from = \"2026-06-01\""),
        tariff("lab", "applies_to = { site = \"lab\" }\nuntil = \"2026-09-01\""),
        tariff("lab, room 2", "applies_to = { site = \"lab\", room = \"2\" }\nfrom = \"2026-03-01\""),
        tariff("room 2", "applies_to = { room = \"2\" }"),
    ];
    let tariffs = book(&text.concat()).tariffs;
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let holding = |pairs: &[(&str, &str)], day: &str| {
        let number = tariffs.holding(&tariffs.of_site(&labels(pairs)), day.parse().unwrap());
        number.map(|number| tariffs.as_slice()[number].name.clone())
    };
    for (pairs, day, wanted) in [
        (&[][..], "2026-05-31", "all"),
        (&[], "2026-06-01", "all, later"),
        (&[("site", "lab")], "2026-08-31", "lab"),
        (&[("site", "lab")], "2026-09-01", "all, later"),
        (&[("site", "lab"), ("room", "2")], "2026-02-28", "lab"),
        (&[("site", "lab"), ("room", "2")], "2026-03-01", "lab, room 2"),
        (&[("site", "home")], "2026-01-01", "all"),
        (&[("room", "2")], "2026-01-01", "room 2"),
    ] {
        assert_eq!(holding(pairs, day).as_deref(), Some(wanted), "{pairs:?} {day}");
    }
}

#[test]
fn sites_that_are_alike_have_one_table() {
    let tariffs = with_prices(MARKET, &[]);
    let mut resolver =
        Resolver::new(&tariffs, at("2026-01-01T00:00Z")..at("2026-02-01T00:00Z"), &TimeZone::UTC);
    let sites: Vec<TableId> =
        (0..800).map(|rack| resolver.site(&Labels::from([("rack".to_owned(), rack.to_string())]))).collect();
    assert!(sites.iter().all(|site| *site == sites[0]));
    assert_eq!(resolver.table(sites[0]).unwrap().iter().count(), 2_976);
}

/// A tariff with bands, files with holes, and an end.
fn any_tariffs() -> impl Strategy<Value = Tariffs> {
    let band = (1..128_u8, any::<u128>(), 1..4096_u16, -500_000..900_000_i64);
    let row = (0..900_i64, prop::sample::select(vec![1, 2, 4]), -500..500_i64);
    let parts =
        (prop::collection::vec(band, 0..3), prop::collection::vec(row, 0..60), any::<bool>(), 1..28_i8);
    parts.prop_map(|(bands, rows, has_files, day)| {
        let day = date(2026, 3, day);
        let mut tariffs = book(if has_files { MARKET } else { HOME }).tariffs;
        let first = at("2026-03-20T00:00Z");
        let rows: Vec<String> = rows
            .into_iter()
            .map(|(start, length, price)| {
                let (start, end) = (first.plus(start), first.plus(start + length));
                format!("{},{},{price}e-3\n", start.start(), end.start())
            })
            .collect();
        let file = PriceFile::parse("a", &format!("start,end,price\n{}", rows.concat()), SeriesColumn::Price)
            .unwrap();
        for tariff in tariffs.as_mut_slice() {
            tariff.until = Some(day);
            tariff.bands = bands
                .iter()
                .map(|(days, hours, months, price)| Band {
                    name: "band".to_owned(),
                    window: Window {
                        days: Days::from_bits(*days),
                        hours: Hours::from_bits(*hours),
                        months: Months::from_bits(*months),
                    },
                    per_kwh: PricePerKwh::from_micros(*price),
                })
                .collect();
            if let Some(prices) = &mut tariff.prices {
                prices.series = QuarterSeries::new(std::slice::from_ref(&file)).0;
            }
        }
        tariffs
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_quarter_of_a_local_day_has_a_price_or_is_a_hole(
        tariffs in any_tariffs(),
        day in 20..31_i8,
        name in prop::sample::select(vec!["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
    ) {
        let zone = zone(name);
        let quarters = day_quarters(date(2026, 3, day), &zone);
        let mut resolver = Resolver::new(&tariffs, quarters.clone(), &zone);
        let site = resolver.site(&Labels::new());
        let table = resolver.table(site).unwrap();
        let holes = table.holes();
        prop_assert_eq!(i64::try_from(table.iter().count()).unwrap(), quarters.end.since(quarters.start));
        for quarter in quarters.start.until(quarters.end) {
            let hole = holes.iter().find(|span| span.quarters.contains(&quarter)).map(|span| span.hole);
            prop_assert_eq!(hole, table.at(quarter).err());
            prop_assert_ne!(hole, Some(Hole::OutOfRange));
        }
        prop_assert_eq!(table.at(quarters.end), Err(Hole::OutOfRange));
        prop_assert_eq!(table.at(quarters.start.plus(-1)), Err(Hole::OutOfRange));
    }

    #[test]
    fn any_split_of_the_energy_of_a_day_costs_what_the_whole_does(
        tariffs in any_tariffs(),
        parts in prop::collection::vec(0..10_000_000_000_i64, 1..8),
    ) {
        let zone = zone("Europe/Berlin");
        let quarters = day_quarters(date(2026, 3, 29), &zone);
        let whole = cost(&tariffs, &zone, quarters.clone(), Energy::from_millijoules(parts.iter().sum()));
        // By board, and then by hour of each board.
        let mut sum = EnergyCost::ZERO;
        let mut rounded = Money::ZERO;
        for part in &parts {
            let of_hours: Vec<EnergyCost> = (0..23)
                .map(|hour| quarters.start.plus(hour * 4))
                .map(|hour| cost(&tariffs, &zone, hour..hour.plus(4), Energy::from_millijoules(*part)).cost)
                .collect();
            let of_board: EnergyCost = of_hours.into_iter().sum();
            rounded = rounded + of_board.to_money();
            sum += of_board;
        }
        prop_assert_eq!(sum, whole.cost);
        let off = (rounded.micros() - whole.cost.to_money().micros()).unsigned_abs();
        prop_assert!(off * 2 <= parts.len() as u128 + 1);
    }
}
