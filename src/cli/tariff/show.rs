//! The prices of a day as text, JSON and CSV.

use jiff::ZonedDateTime;

use crate::app::{DayQuarter, NoPrice, PriceWarning, SiteDay, TariffDay};
use crate::cli::render::columns;
use crate::output;
use crate::reading::SafeText;
use crate::support::{counted, named, shape};
use crate::tariff::{Days, DemandCharge, Hours, Money, Months, PricePerKwh, Tariff, Window};

/// The version of the JSON document; a number is never given to two shapes.
const SCHEMA: &str = "fleetwatt.tariff/1";

/// Hosts that are named in the text.
const N_NAMED: usize = 4;

/// The quarter-hours of a day on which no clock is changed.
const ORDINARY: usize = 96;

/// The day, and a block a site: its tariff, and a line for neighbouring quarter-hours of one price.
pub(super) fn text(day: &TariffDay) -> String {
    let n_quarters = day.sites.first().map_or(0, |site| site.quarters.len());
    let zone = day.zone.iana_name().unwrap_or("UTC");
    let mut text = format!("{}, {zone}: {n_quarters} quarter-hours\n", day.date.strftime("%A %Y-%m-%d"));
    for site in &day.sites {
        text.push('\n');
        text.push_str(&heading(site));
        text.push_str(&columns(&spans(site), false));
    }
    text
}

fn heading(site: &SiteDay) -> String {
    let names: Vec<&str> = site.hosts.iter().map(String::as_str).collect();
    let hosts = match names.len() {
        0 => String::new(),
        n_hosts => format!(", {}: {}", counted(n_hosts, "host", "hosts"), named(&names, N_NAMED)),
    };
    let Some(tariff) = &site.tariff else { return format!("no tariff{hosts}\n") };
    let currency = tariff.currency;
    let mut text = format!("{} ({currency}){hosts}\n", SafeText::new(&tariff.name));
    if let Some(fixed) = tariff.fixed_per_month {
        text.push_str(&format!("fixed   {fixed} {currency} a month\n"));
    }
    if let Some(export) = tariff.export {
        text.push_str(&format!("export  {} {currency} for a kWh\n", in_money(export)));
    }
    text.extend(tariff.demand.iter().map(|demand| demand_line(demand, tariff)));
    text
}

/// As in `demand  9.8 USD for a kW of the month's peak: 12:00-20:00, Jun-Sep`.
fn demand_line(demand: &DemandCharge, tariff: &Tariff) -> String {
    let windows: Vec<String> = demand.windows.iter().map(in_words).collect();
    let when = match windows.iter().all(String::is_empty) {
        true => String::new(),
        false => format!(": {}", windows.join("; ")),
    };
    format!("demand  {} {} for a kW of the month's peak{when}\n", demand.per_kw, tariff.currency)
}

/// The days, hours and months of a window, as far as they are not all.
fn in_words(window: &Window) -> String {
    let Window { days, hours, months } = window;
    let parts = [
        (*days != Days::ALL).then(|| days.to_string()),
        (*hours != Hours::ALL).then(|| hours.to_string()),
        (*months != Months::ALL).then(|| months.to_string()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Times, band and price of neighbouring quarter-hours that have the same.
fn spans(site: &SiteDay) -> Vec<[String; 3]> {
    let currency = site.tariff.as_ref().map(|tariff| tariff.currency.to_string()).unwrap_or_default();
    let shows_zone = site.quarters.len() != ORDINARY;
    // As many decimals as the longest has, so that points are under each other.
    let prices = site.quarters.iter().filter_map(|quarter| Some(in_money(quarter.price.as_ref().ok()?.0)));
    let decimals = |price: Money| price.to_string().rsplit('.').next().map_or(0, str::len);
    let places = prices.map(decimals).max().unwrap_or(0);
    let span = |same: &[DayQuarter]| {
        let (first, last) = (same.first()?, same.last()?);
        let times = format!("{}-{}", time(&first.from, shows_zone), end(first, last, shows_zone));
        Some(match &first.price {
            Ok((price, band)) => {
                let price = format!("{:.places$} {currency}", in_money(*price));
                [times, SafeText::new(band).to_string(), price]
            }
            Err(hole) => [times, "no price".to_owned(), SafeText::new(&hole.reason).to_string()],
        })
    };
    site.quarters.chunk_by(|one, other| one.price == other.price).filter_map(span).collect()
}

/// A warning for each reason why quarter-hours have no price.
pub(super) fn without_price(day: &TariffDay) -> Vec<PriceWarning> {
    let mut reasons: Vec<(&NoPrice, usize)> = Vec::new();
    let quarters = day.sites.iter().flat_map(|site| &site.quarters);
    for hole in quarters.filter_map(|quarter| quarter.price.as_ref().err()) {
        match reasons.iter_mut().find(|(reason, _)| *reason == hole) {
            Some((_, n_quarters)) => *n_quarters += 1,
            None => reasons.push((hole, 1)),
        }
    }
    let warning = |(hole, n_quarters): (&NoPrice, usize)| {
        let n_quarters = counted(n_quarters, "quarter-hour has", "quarter-hours have");
        PriceWarning { message: format!("{n_quarters} no price: {}", hole.reason), hint: hole.hint }
    };
    reasons.into_iter().map(warning).collect()
}

/// A price with two decimals or more, as 0.30.
fn in_money(price: PricePerKwh) -> Money {
    Money::from_micros(price.micros().into())
}

/// By the local clock; on a day on which it is changed with its zone's short name, as an hour may come twice.
fn time(at: &ZonedDateTime, shows_zone: bool) -> String {
    at.strftime(if shows_zone { "%H:%M %Z" } else { "%H:%M" }).to_string()
}

/// The end of a span: that of the day is 24:00.
fn end(first: &DayQuarter, last: &DayQuarter, shows_zone: bool) -> String {
    let is_next_day = last.to.date() != first.from.date();
    let shown = time(&last.to, shows_zone);
    if is_next_day { shown.replacen("00:00", "24:00", 1) } else { shown }
}

shape! { Document(day = &'a TariffDay) {
    schema: SCHEMA,
    day: day.date.to_string(),
    timezone: day.zone.iana_name().unwrap_or("UTC"),
    sites: day.sites.iter().map(Site).collect::<Vec<_>>(),
} }

shape! { Site(site = &'a SiteDay) {
    tariff: site.tariff.as_ref().map(|tariff| &tariff.name),
    currency: site.tariff.as_ref().map(|tariff| tariff.currency.to_string()),
    hosts: site.hosts,
    fixed_per_month: site.tariff.as_ref().and_then(|tariff| number(&tariff.fixed_per_month?)),
    export_per_kwh: site.tariff.as_ref().and_then(|tariff| number(&tariff.export?)),
    quarters: site.quarters.iter().map(Quarter).collect::<Vec<_>>(),
} }

shape! { Quarter(quarter = &'a DayQuarter) {
    start: rfc_3339(&quarter.from),
    end: rfc_3339(&quarter.to),
    band[quarter.price.is_ok()]: quarter.price.as_ref().ok().map(|(_, band)| band),
    per_kwh[quarter.price.is_ok()]: quarter.price.as_ref().ok().and_then(|(price, _)| number(price)),
    reason[quarter.price.is_err()]: quarter.price.as_ref().err().map(|hole| &hole.reason),
} }

/// An exact decimal as a number of JSON.
fn number(decimal: &impl ToString) -> Option<serde_json::Number> {
    decimal.to_string().parse().ok()
}

fn rfc_3339(at: &ZonedDateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// One JSON document.
///
/// # Errors
/// None that could happen: every part is text or a number.
pub(super) fn json(day: &TariffDay) -> std::io::Result<String> {
    Ok(serde_json::to_string(&Document(day))? + "\n")
}

/// A row a site and quarter-hour.
pub(super) fn csv(day: &TariffDay) -> String {
    let header = ["tariff", "start", "end", "band", "per_kwh", "currency", "export_per_kwh", "reason"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for site in &day.sites {
        let tariff = site.tariff.as_ref();
        let name = tariff.map(|tariff| output::csv_text(&tariff.name)).unwrap_or_default();
        let currency = tariff.map(|tariff| tariff.currency.to_string()).unwrap_or_default();
        let export = tariff.and_then(|tariff| Some(tariff.export?.to_string())).unwrap_or_default();
        rows.extend(site.quarters.iter().map(|quarter| {
            let (band, price, reason) = match &quarter.price {
                Ok((price, band)) => (output::csv_text(band), price.to_string(), String::new()),
                Err(hole) => (String::new(), String::new(), output::csv_text(&hole.reason)),
            };
            let [start, end] = [&quarter.from, &quarter.to].map(rfc_3339);
            vec![name.clone(), start, end, band, price, currency.clone(), export.clone(), reason]
        }));
    }
    output::csv_rows(&rows)
}
