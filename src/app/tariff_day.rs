//! The prices of a local day, resolved: `tariff show`.

use std::path::Path;

use jiff::ZonedDateTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Settings;
use super::price_error::PriceError;
use super::prices::{LoadedTariffs, PriceWarning, load_tariffs};
use crate::cycle::Clock;
use crate::inventory::Host;
use crate::reading::{Quarter, Timestamp};
use crate::tariff::{Hole, Labels, PricePerKwh, Resolver, Tariff, TariffBook, day_quarters};

/// A local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// The present one.
    Today,
    /// The next one.
    Tomorrow,
    /// This one.
    Date(Date),
}

/// The prices that are asked for.
#[derive(Debug, Clone, Copy)]
pub struct TariffDayRequest<'a> {
    /// The day.
    pub day: Day,
    /// The labels of one site; without any, all sites of the inventory.
    pub site: &'a Labels,
    /// A file of tariffs in place of the inventory's.
    pub tariff_file: Option<&'a Path>,
}

/// The prices of a local day.
#[derive(Debug, Clone, PartialEq)]
pub struct TariffDay {
    /// The day.
    pub date: Date,
    /// The zone whose day it is.
    pub zone: TimeZone,
    /// The sites; those that have one tariff that day are one.
    pub sites: Vec<SiteDay>,
    /// Warnings about price files.
    pub warnings: Vec<PriceWarning>,
}

/// The prices of sites that have the same ones.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteDay {
    /// The hosts, in the order of the inventory.
    pub hosts: Vec<String>,
    /// The tariff, if one holds.
    pub tariff: Option<Tariff>,
    /// Every quarter-hour: 92 to 100.
    pub quarters: Vec<DayQuarter>,
}

/// A quarter-hour.
#[derive(Debug, Clone, PartialEq)]
pub struct DayQuarter {
    /// Its beginning.
    pub from: ZonedDateTime,
    /// Its end.
    pub to: ZonedDateTime,
    /// The price and the name of its band.
    pub price: Result<(PricePerKwh, String), NoPrice>,
}

/// Why a quarter-hour has no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPrice {
    /// The reason.
    pub reason: String,
    /// The hint.
    pub hint: &'static str,
}

impl TariffDay {
    /// Whether every quarter-hour of every site has a price.
    pub fn is_priced(&self) -> bool {
        let mut quarters = self.sites.iter().flat_map(|site| &site.quarters);
        quarters.all(|quarter| quarter.price.is_ok())
    }
}

/// Resolves the prices of a day. Without an inventory each tariff of the file is a site.
///
/// # Errors
/// Faults of the tariffs or of price files; no tariff at all; no host with these labels.
pub fn tariff_day(
    settings: Option<&Settings>,
    request: &TariffDayRequest<'_>,
) -> Result<TariffDay, PriceError> {
    let loaded = load_tariffs(settings, request.tariff_file)?;
    if loaded.book.tariffs.as_slice().is_empty() {
        return Err(PriceError::NoTariff);
    }
    let hosts = settings.map(|settings| settings.inventory.hosts.as_slice()).unwrap_or_default();
    let zone = loaded.book.site.zone();
    let today = date_at(Clock.now(), &zone);
    let date = match request.day {
        Day::Today => today,
        Day::Tomorrow => today.tomorrow().unwrap_or(today),
        Day::Date(date) => date,
    };
    let LoadedTariffs { book, warnings } = loaded;
    Ok(TariffDay { date, sites: resolved(&book, &sites(&book, hosts, request.site), date), zone, warnings })
}

/// The labels of each site, with the host that has them.
fn sites(book: &TariffBook, hosts: &[Host], site: &Labels) -> Vec<(Labels, Option<String>)> {
    if !site.is_empty() {
        let has = |host: &&Host| site.iter().all(|(name, value)| host.labels.get(name) == Some(value));
        let named: Vec<_> =
            hosts.iter().filter(has).map(|host| (site.clone(), Some(host.name.clone()))).collect();
        return if named.is_empty() { vec![(site.clone(), None)] } else { named };
    }
    if hosts.is_empty() {
        return book.tariffs.as_slice().iter().map(|tariff| (tariff.applies_to.clone(), None)).collect();
    }
    hosts.iter().map(|host| (host.labels.clone(), Some(host.name.clone()))).collect()
}

fn resolved(book: &TariffBook, sites: &[(Labels, Option<String>)], date: Date) -> Vec<SiteDay> {
    let (tariffs, zone) = (&book.tariffs, book.site.zone());
    let mut resolver = Resolver::new(tariffs, day_quarters(date, &zone), &zone);
    // Which tariff holds is the same all day, and says all about the prices.
    let mut days: Vec<(Option<usize>, SiteDay)> = Vec::new();
    for (labels, host) in sites {
        let holding = tariffs.holding(&tariffs.of_site(labels), date);
        if let Some((_, known)) = days.iter_mut().find(|(known, _)| *known == holding) {
            known.hosts.extend(host.clone());
            continue;
        }
        let table = resolver.site(labels);
        let Some(table) = resolver.table(table) else { continue };
        let quarters = table.iter().map(|(quarter, price)| DayQuarter {
            from: zoned(quarter, &zone),
            to: zoned(quarter.next(), &zone),
            price: price
                .map(|price| (price.per_kwh, tariffs.band_name(&price).to_owned()))
                .map_err(|hole| no_price(book, hole)),
        });
        let tariff = holding.and_then(|number| tariffs.as_slice().get(number)).cloned();
        let day = SiteDay { hosts: host.iter().cloned().collect(), tariff, quarters: quarters.collect() };
        days.push((holding, day));
    }
    days.into_iter().map(|(_, day)| day).collect()
}

fn no_price(book: &TariffBook, hole: Hole) -> NoPrice {
    let (reason, hint) = book.tariffs.reason(hole);
    NoPrice { reason, hint }
}

/// The local day of an instant.
pub(super) fn date_at(instant: Timestamp, zone: &TimeZone) -> Date {
    zoned(Quarter::at(instant), zone).date()
}

/// The beginning of a quarter by the local clock.
pub(super) fn zoned(quarter: Quarter, zone: &TimeZone) -> ZonedDateTime {
    let start = jiff::Timestamp::from_microsecond(quarter.start().micros()).unwrap_or_default();
    start.to_zoned_datetime(zone.clone())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const TABLES: &str = r#"
[site]
timezone = "Europe/Berlin"
[[tariff]]
name = "lab"
currency = "EUR"
applies_to = { site = "lab" }
per_kwh = 0.30
[[tariff]]
name = "night"
currency = "EUR"
until = 2026-12-01
band = [{ name = "night", hours = "22:00-06:00", per_kwh = 0.2 }]
"#;

    /// One file, whatever its name.
    struct Written<'a>(&'a str);

    impl crate::inventory::Files for Written<'_> {
        fn read(&self, _path: &Path) -> std::io::Result<String> {
            Ok(self.0.to_owned())
        }

        fn glob(&self, _pattern: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
            Ok(Vec::new())
        }
    }

    /// The hosts of an inventory.
    pub(in crate::app) fn hosts(text: &str) -> Vec<Host> {
        crate::inventory::load(Path::new("fleet.toml"), &Written(text)).unwrap().hosts
    }

    fn day(hosts: &[Host], site: &Labels, date: Date) -> Vec<SiteDay> {
        let book = TariffBook::parse(TABLES).unwrap();
        resolved(&book, &sites(&book, hosts, site), date)
    }

    fn names(days: &[SiteDay]) -> Vec<(Option<&str>, Vec<&str>)> {
        fn name(day: &SiteDay) -> Option<&str> {
            day.tariff.as_ref().map(|tariff| tariff.name.as_str())
        }
        days.iter().map(|day| (name(day), day.hosts.iter().map(String::as_str).collect())).collect()
    }

    const FLEET: &str = "[[host]]\nname = \"a[1-2]\"\nlabels = { site = \"lab\" }\n[[host]]\nname = \"b\"\n";

    #[test]
    fn hosts_of_one_tariff_are_one_site() {
        let hosts = hosts(FLEET);
        let found = day(&hosts, &Labels::new(), jiff::civil::date(2026, 11, 28));
        assert_eq!(names(&found), [(Some("lab"), vec!["a1", "a2"]), (Some("night"), vec!["b"])]);
    }

    #[test]
    fn a_day_has_92_to_100_quarters_and_each_says_its_price_or_why_it_has_none() {
        let labels = Labels::from([("site".to_owned(), "other".to_owned())]);
        for (date, n_quarters, n_night) in
            [((2026, 3, 29), 92, 28), ((2026, 10, 25), 100, 36), ((2026, 7, 1), 96, 32)]
        {
            let found = day(&[], &labels, jiff::civil::date(date.0, date.1, date.2));
            let quarters = &found[0].quarters;
            // 22:00 to 06:00 are 32 quarters, an hour less or more where the clock is changed.
            let priced = quarters.iter().filter(|quarter| quarter.price.is_ok()).count();
            assert_eq!((found.len(), quarters.len(), priced), (1, n_quarters, n_night), "{date:?}");
            let hole = quarters[50].price.clone().unwrap_err();
            assert_eq!(hole.reason, "no band of tariff \"night\" fits, and it has no per_kwh");
        }
    }

    #[test]
    fn a_day_on_which_no_tariff_holds_says_so() {
        let found = day(&hosts(FLEET), &Labels::new(), jiff::civil::date(2026, 12, 1));
        assert_eq!(names(&found), [(Some("lab"), vec!["a1", "a2"]), (None, vec!["b"])]);
        assert_eq!(found[1].quarters[0].price.clone().unwrap_err().reason, "no tariff holds");
    }

    #[test]
    fn without_hosts_each_tariff_is_a_site() {
        let found = day(&[], &Labels::new(), jiff::civil::date(2026, 11, 28));
        assert_eq!(names(&found), [(Some("lab"), vec![]), (Some("night"), vec![])]);
    }
}
