//! The tariffs of an inventory, and what is most likely not intended with them: for `check`.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::ZonedDateTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Settings;
use super::price_error::PriceError;
use super::prices::{LoadedTariffs, PriceWarning, load_tariffs};
use super::tariff_day::{date_at, zoned};
use crate::cycle::Clock;
use crate::inventory::Host;
use crate::reading::{Quarter, SafeText, Timestamp};
use crate::support::counted;
use crate::tariff::{
    Carbon, CarbonIntensity, Currency, Labels, Pue, QuarterSeries, SiteSettings, Tariff, TariffBook,
    day_quarters,
};

/// The most holes of a series that are told one by one.
const MAX_HOLES: usize = 3;

const ADD_FILE: &str = "add a price file with these times: energy without a price is in no cost";

/// The tariffs of an installation.
#[derive(Debug, Clone, PartialEq)]
pub struct TariffOverview {
    /// The zone of the site; `None` where the inventory does not say one.
    pub timezone: Option<TimeZone>,
    /// The power usage effectiveness; `None` likewise.
    pub pue: Option<Pue>,
    /// The tariffs, in the order of the file.
    pub tariffs: Vec<TariffSummary>,
    /// The carbon intensity.
    pub carbon: Option<CarbonSummary>,
    /// Warnings.
    pub warnings: Vec<PriceWarning>,
}

/// A tariff.
#[derive(Debug, Clone, PartialEq)]
pub struct TariffSummary {
    /// Its name.
    pub name: String,
    /// Its currency.
    pub currency: Currency,
    /// The labels that it asks for.
    pub applies_to: Labels,
    /// Number of hosts that have them.
    pub n_hosts: usize,
    /// The first day.
    pub from: Option<Date>,
    /// The first day on which it holds no longer.
    pub until: Option<Date>,
    /// Whether its prices are from files.
    pub has_files: bool,
    /// The end of what its files know; `None` if there is no file.
    pub known_until: Option<ZonedDateTime>,
}

/// The carbon intensity.
#[derive(Debug, Clone, PartialEq)]
pub enum CarbonSummary {
    /// The same at all times.
    Flat(CarbonIntensity),
    /// From files, until then; `None` of none.
    Files(Option<ZonedDateTime>),
}

impl TariffOverview {
    /// Whether the inventory has nothing of it.
    pub const fn is_empty(&self) -> bool {
        self.timezone.is_none() && self.pue.is_none() && self.tariffs.is_empty() && self.carbon.is_none()
    }
}

/// Looks at the tariffs of the inventory, with their price files.
///
/// # Errors
/// Price files that are wrong or cannot be read.
pub fn check_tariffs(settings: &Settings) -> Result<TariffOverview, PriceError> {
    Ok(overview(load_tariffs(Some(settings), None)?, &settings.inventory.hosts, Clock.now()))
}

fn overview(loaded: LoadedTariffs, hosts: &[Host], now: Timestamp) -> TariffOverview {
    let LoadedTariffs { book, mut warnings } = loaded;
    let TariffBook { site: SiteSettings { timezone, pue, .. }, tariffs, carbon } = &book;
    let zone = book.site.zone();
    let today = date_at(now, &zone);
    let summary = |tariff: &Tariff| {
        let series = tariff.prices.as_ref().map(|prices| &prices.series);
        TariffSummary {
            name: tariff.name.clone(),
            currency: tariff.currency,
            applies_to: tariff.applies_to.clone(),
            n_hosts: hosts.iter().filter(|host| has(&host.labels, &tariff.applies_to)).count(),
            from: tariff.from,
            until: tariff.until,
            has_files: series.is_some(),
            known_until: series.and_then(|series| known_until(series, &zone)),
        }
    };
    let summaries: Vec<TariffSummary> = tariffs.as_slice().iter().map(summary).collect();
    warnings.extend(about_site(&book));
    warnings.extend(about_hosts(&book, hosts, today));
    for tariff in tariffs.as_slice() {
        if let Some(prices) = &tariff.prices {
            let of = format!("tariff \"{}\"", SafeText::new(&tariff.name));
            let [from, until] = [tariff.from, tariff.until].map(|day| Some(day_quarters(day?, &zone).start));
            warnings.extend(about_series(&of, &prices.series, (from, until), today, &zone));
        }
    }
    if let Some(Carbon::Files { series, .. }) = carbon {
        warnings.extend(about_series("carbon", series, (None, None), today, &zone));
    }
    let carbon = carbon.as_ref().map(|carbon| match carbon {
        Carbon::Flat(intensity) => CarbonSummary::Flat(*intensity),
        Carbon::Files { series, .. } => CarbonSummary::Files(known_until(series, &zone)),
    });
    TariffOverview { timezone: timezone.clone(), pue: *pue, tariffs: summaries, carbon, warnings }
}

fn has(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn known_until(series: &QuarterSeries, zone: &TimeZone) -> Option<ZonedDateTime> {
    series.span().map(|span| zoned(span.end, zone))
}

fn about_site(book: &TariffBook) -> Option<PriceWarning> {
    let needs_zone = book.site.timezone.is_none() && !book.tariffs.as_slice().is_empty();
    let message = "[site] has no timezone: the days and hours of tariffs are those of UTC";
    let hint = "write `timezone = \"Europe/Berlin\"` or where the site is in [site]";
    needs_zone.then(|| PriceWarning::new(message.to_owned(), hint))
}

/// Tariffs that no host has, and hosts that have none.
fn about_hosts(book: &TariffBook, hosts: &[Host], today: Date) -> Vec<PriceWarning> {
    let tariffs = book.tariffs.as_slice();
    if hosts.is_empty() || tariffs.is_empty() {
        return Vec::new();
    }
    let fits_none = |tariff: &&Tariff| !hosts.iter().any(|host| has(&host.labels, &tariff.applies_to));
    let mut warnings: Vec<PriceWarning> = tariffs
        .iter()
        .filter(fits_none)
        .map(|tariff| {
            let name = SafeText::new(&tariff.name);
            let message = format!("no host has the labels that tariff \"{name}\" applies to");
            PriceWarning::new(message, "correct `applies_to`, or give its hosts these labels")
        })
        .collect();
    warnings.extend(rivals(book, hosts, today));
    let is_without =
        |host: &&Host| book.tariffs.holding(&book.tariffs.of_site(&host.labels), today).is_none();
    let without: Vec<&Host> = hosts.iter().filter(is_without).collect();
    if let Some(first) = without.first() {
        let n_hosts = counted(without.len(), "host has", "hosts have");
        let message = format!("{n_hosts} no tariff today, such as `{}`", first.name);
        let hint = "write a [[tariff]] whose `from`, `until` and `applies_to` fit";
        warnings.push(PriceWarning::new(message, hint));
    }
    warnings
}

/// Tariffs of which only their place in the file says which one holds for a host: one warning for each pair.
fn rivals(book: &TariffBook, hosts: &[Host], today: Date) -> Vec<PriceWarning> {
    let tariffs = &book.tariffs;
    let name = |number: usize| tariffs.as_slice().get(number).map_or("", |tariff| tariff.name.as_str());
    let mut pairs = BTreeMap::new();
    for host in hosts {
        let of_site = tariffs.of_site(&host.labels);
        for rival in tariffs.rivals(&of_site, today) {
            let holding = tariffs.holding(&of_site, today);
            pairs.entry((holding, rival)).or_insert(host.name.as_str());
        }
    }
    let warning = |((holding, rival), host): ((Option<usize>, usize), &str)| {
        let [first, second] = [holding.map_or("", name), name(rival)].map(SafeText::new);
        let message =
            format!("tariffs \"{first}\" and \"{second}\" fit `{host}` equally well: the first one holds");
        PriceWarning::new(
            message,
            "give the one that is to hold a label more in `applies_to`, or a later `from`",
        )
    };
    pairs.into_iter().map(warning).collect()
}

/// Times without a value within a series, and an end before that of today.
fn about_series(
    of: &str,
    series: &QuarterSeries,
    (from, until): (Option<Quarter>, Option<Quarter>),
    today: Date,
    zone: &TimeZone,
) -> Vec<PriceWarning> {
    // That no file was found is said already.
    let Some(span) = series.span() else { return Vec::new() };
    let within = from.map_or(span.start, |from| from.max(span.start))
        ..until.map_or(span.end, |until| until.min(span.end));
    let holes = series.holes(within);
    let shown = |hole: &Range<Quarter>| {
        let [from, to] =
            [hole.start, hole.end].map(|at| zoned(at, zone).strftime("%Y-%m-%d %H:%M %:z").to_string());
        PriceWarning::new(format!("{of}: no value from {from} to {to}"), ADD_FILE)
    };
    let mut warnings: Vec<PriceWarning> = holes.iter().rev().take(MAX_HOLES).map(shown).collect();
    if let Some(n_more @ 1..) = holes.len().checked_sub(MAX_HOLES) {
        let times = counted(n_more, "earlier time", "earlier times");
        warnings.push(PriceWarning::new(format!("{of}: {times} without a value"), ADD_FILE));
    }
    let day = day_quarters(today, zone);
    let is_over = until.is_some_and(|until| until <= span.end);
    let has_begun = from.is_none_or(|from| from < day.end);
    if span.end < day.end && has_begun && !is_over {
        let end = zoned(span.end, zone).strftime("%Y-%m-%d %H:%M").to_string();
        warnings.push(PriceWarning::new(
            format!("{of}: its files end at {end}, before the end of today"),
            ADD_FILE,
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tariff::{PriceFile, SeriesColumn};

    /// 2026-03-29, 12:00 in Berlin, where the clock was changed that night.
    const NOON: i64 = 1_774_778_400_000_000;

    const SITE: &str = "[site]\ntimezone = \"Europe/Berlin\"\n";
    const MARKET: &str = "[[tariff]]\nname = \"m\"\ncurrency = \"EUR\"\nprices = { file = \"x\" }\n";

    fn host(name: &str, site: &str) -> Host {
        let text = format!("[[host]]\nname = \"{name}\"\nlabels = {{ site = \"{site}\" }}\n");
        crate::app::tariff_day::tests::hosts(&text).remove(0)
    }

    fn told(tables: &str, rows: &[(&str, &str)], hosts: &[Host]) -> Vec<String> {
        let mut book = TariffBook::parse(tables).unwrap();
        let rows: String =
            rows.iter().map(|(start, end)| format!("2026-03-{start},2026-03-{end},0.1\n")).collect();
        let file =
            PriceFile::parse("p.csv", &format!("start,end,price\n{rows}"), SeriesColumn::Price).unwrap();
        for tariff in book.tariffs.as_mut_slice() {
            if let Some(prices) = &mut tariff.prices {
                prices.series = QuarterSeries::new(std::slice::from_ref(&file)).0;
            }
        }
        let overview =
            overview(LoadedTariffs { book, warnings: vec![] }, hosts, Timestamp::from_micros(NOON));
        overview.warnings.into_iter().map(|warning| warning.message).collect()
    }

    #[test]
    fn holes_are_told_by_the_local_clock_and_only_while_the_tariff_holds() {
        let rows = [
            ("27T00:00Z", "27T01:00Z"),
            ("28T23:00Z", "28T23:30Z"),
            ("29T00:30Z", "29T01:30Z"),
            ("29T21:00Z", "29T22:00Z"),
        ];
        let tables = format!("{SITE}{MARKET}from = 2026-03-28\n")
            .replace("prices", "#")
            .replace("\nfrom", "\nprices = { file = \"x\" }\nfrom");
        let wanted = [
            "tariff \"m\": no value from 2026-03-29 03:30 +02:00 to 2026-03-29 23:00 +02:00",
            "tariff \"m\": no value from 2026-03-29 00:30 +01:00 to 2026-03-29 01:30 +01:00",
            "tariff \"m\": no value from 2026-03-28 00:00 +01:00 to 2026-03-29 00:00 +01:00",
        ];
        assert_eq!(told(&tables, &rows, &[]), wanted);
    }

    #[test]
    fn files_that_end_before_the_day_does_are_told_and_those_of_a_tariff_that_is_over_are_not() {
        let tables = format!("{SITE}{MARKET}");
        let ends_at = |end| told(&tables, &[("29T21:00Z", end)], &[]);
        assert_eq!(
            ends_at("29T21:30Z"),
            ["tariff \"m\": its files end at 2026-03-29 23:30, before the end of today"]
        );
        assert_eq!(ends_at("29T22:00Z"), [""; 0]);
        let over = format!(
            "{SITE}[[tariff]]\nname = \"m\"\ncurrency = \"EUR\"\nuntil = 2026-03-29\nprices = {{ file = \"x\" }}\n"
        );
        assert_eq!(told(&over, &[("28T22:00Z", "28T23:00Z")], &[]), [""; 0]);
    }

    #[test]
    fn tariffs_without_hosts_and_hosts_without_tariff_are_told() {
        let tables = format!(
            "{SITE}[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = {{ site = \"a\" }}\n\
             [[tariff]]\nname = \"b\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = {{ site = \"b\" }}\n"
        );
        let wanted = [
            "no host has the labels that tariff \"b\" applies to",
            "1 host has no tariff today, such as `n2`",
        ];
        assert_eq!(told(&tables, &[], &[host("n1", "a"), host("n2", "c")]), wanted);
        assert_eq!(told(&tables, &[], &[]), [""; 0]);
    }

    #[test]
    fn tariffs_that_fit_equally_well_are_told_once() {
        let tables = format!(
            "{SITE}[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = {{ site = \"a\" }}\n\
             [[tariff]]\nname = \"b\"\ncurrency = \"EUR\"\nper_kwh = 1\napplies_to = {{ rack = \"b\" }}\n"
        );
        let mut hosts = [host("n1", "a"), host("n2", "a")];
        hosts.iter_mut().for_each(|host| {
            host.labels.insert("rack".to_owned(), "b".to_owned());
        });
        let wanted = "tariffs \"a\" and \"b\" fit `n1` equally well: the first one holds";
        assert_eq!(told(&tables, &[], &hosts), [wanted]);
    }

    #[test]
    fn tariffs_without_a_time_zone_are_told_to_follow_utc() {
        let tables = "[[tariff]]\nname = \"a\"\ncurrency = \"EUR\"\nper_kwh = 1\n";
        assert_eq!(
            told(tables, &[], &[]),
            ["[site] has no timezone: the days and hours of tariffs are those of UTC"]
        );
        assert_eq!(told("[carbon]\ng_per_kwh = 1\n", &[], &[]), [""; 0]);
    }
}
