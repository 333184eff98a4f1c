//! The lines of `check` about tariffs.

use crate::app::{CarbonSummary, TariffOverview, TariffSummary};
use crate::reading::SafeText;
use crate::support::counted;

/// A line for the site, for each tariff and for carbon; nothing where the inventory has none of it.
pub(in crate::cli) fn text(overview: &TariffOverview) -> String {
    if overview.is_empty() {
        return String::new();
    }
    let zone = overview.timezone.as_ref().and_then(|zone| zone.iana_name());
    let pue = overview.pue.map(|pue| format!(", pue {pue}")).unwrap_or_default();
    let mut text = format!("site       {}{pue}\n", zone.unwrap_or("UTC (no timezone is given)"));
    text.extend(overview.tariffs.iter().map(|tariff| format!("tariff     {}\n", tariff_line(tariff))));
    match &overview.carbon {
        Some(CarbonSummary::Flat(intensity)) => text.push_str(&format!("carbon     {intensity} g/kWh\n")),
        Some(CarbonSummary::Files(end)) => {
            text.push_str(&format!("carbon     g/kWh {}\n", known_until(end.as_ref())))
        }
        None => (),
    }
    text
}

/// As in `home: USD, 12 hosts with site=home, from 2026-01-01, prices until 2026-11-30 00:00`.
fn tariff_line(tariff: &TariffSummary) -> String {
    let labels: Vec<String> = tariff
        .applies_to
        .iter()
        .map(|(name, value)| format!("{}={}", SafeText::new(name), SafeText::new(value)))
        .collect();
    let hosts = match labels.is_empty() {
        true => "all hosts".to_owned(),
        false => format!("{} with {}", counted(tariff.n_hosts, "host", "hosts"), labels.join(",")),
    };
    let mut line = format!("{}: {}, {hosts}", SafeText::new(&tariff.name), tariff.currency);
    line.extend(tariff.from.map(|day| format!(", from {day}")));
    line.extend(tariff.until.map(|day| format!(", until {day}")));
    if tariff.has_files {
        line.push_str(&format!(", prices {}", known_until(tariff.known_until.as_ref())));
    }
    line
}

fn known_until(end: Option<&jiff::ZonedDateTime>) -> String {
    match end {
        Some(end) => format!("known until {}", end.strftime("%Y-%m-%d %H:%M")),
        None => "not known yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tariff::{CarbonIntensity, Currency, Labels};

    #[test]
    fn tariffs_read_like_this() {
        let home = TariffSummary {
            name: "home".to_owned(),
            currency: Currency::parse("USD").unwrap(),
            applies_to: Labels::from([("site".to_owned(), "home".to_owned())]),
            n_hosts: 12,
            from: Some(jiff::civil::date(2026, 1, 1)),
            until: None,
            has_files: false,
            known_until: None,
        };
        let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let end = jiff::civil::date(2026, 11, 30).to_zoned_datetime(berlin.clone()).unwrap();
        let market = TariffSummary {
            name: "market\u{1b}[2J".to_owned(),
            currency: Currency::parse("EUR").unwrap(),
            applies_to: Labels::new(),
            from: None,
            until: Some(jiff::civil::date(2027, 1, 1)),
            has_files: true,
            known_until: Some(end),
            ..home.clone()
        };
        let none = TariffSummary { known_until: None, until: None, ..market.clone() };
        let overview = TariffOverview {
            timezone: Some(berlin),
            pue: None,
            tariffs: vec![home, market, none],
            carbon: Some(CarbonSummary::Flat(CarbonIntensity::from_micrograms(380_500_000))),
            warnings: vec![],
        };
        insta::assert_snapshot!(text(&overview), @r"
        site       Europe/Berlin
        tariff     home: USD, 12 hosts with site=home, from 2026-01-01
        tariff     market[2J: EUR, all hosts, until 2027-01-01, prices known until 2026-11-30 00:00
        tariff     market[2J: EUR, all hosts, prices not known yet
        carbon     380.5 g/kWh
        ");
    }
}
