//! The battery stations, a line each, and what keeps their session from working.

use crate::reading::{AccountReport, Presence, StationReading, StationStatus, Timestamp};

use super::{BAD, CARE, PLAIN, TextOptions, headed};

/// One line for each station, and one for a trouble of the session. `started_at` is when the cycle began.
pub(super) fn stations(account: &AccountReport, started_at: Timestamp, options: &TextOptions) -> String {
    let mut text = String::new();
    for status in &account.stations {
        let style = match status.presence {
            Presence::Live => PLAIN,
            Presence::Awaited => CARE,
            Presence::Stale(_) | Presence::Offline(_) => BAD,
        };
        let message = station_words(account, status, started_at);
        text.push_str(&headed(&account.name_of(&status.station), &message, style, options));
    }
    match &account.trouble {
        Some(trouble) => text.push_str(&headed(account.vendor.label, &trouble.message, BAD, options)),
        None if account.stations.is_empty() => {
            text.push_str(&headed(account.vendor.label, "no station of the account is known", CARE, options));
        }
        None => (),
    }
    text
}

fn station_words(account: &AccountReport, status: &StationStatus, started_at: Timestamp) -> String {
    let fresh = account.readings_of(&status.station).next_back();
    let last = fresh.or(status.last.as_ref());
    let presence = status.presence;
    match last {
        Some(last) if presence != Presence::Live => format!("{presence}; last: {}", last.in_words()),
        Some(last) if fresh.is_some() => with_runtime(last),
        Some(last) => format!("{} ({})", with_runtime(last), age(last, started_at)),
        None => presence.to_string(),
    }
}

fn with_runtime(reading: &StationReading) -> String {
    let runtime = reading.runtime().map(|runtime| format!(", {runtime}")).unwrap_or_default();
    format!("{}{runtime}", reading.in_words())
}

/// The time of a reading before the cycle.
fn age(reading: &StationReading, started_at: Timestamp) -> String {
    let seconds = started_at.since(reading.at).as_secs();
    let age = humantime::format_duration(std::time::Duration::from_secs(seconds));
    format!("{age} ago")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::{Absent, AccountTrouble, Quantity};

    const WIDE: TextOptions = TextOptions { colour: false, width: None };

    fn page(report: &AccountReport) -> String {
        stations(report, fixtures::STARTED_AT, &WIDE)
    }

    fn with(presence: Presence) -> AccountReport {
        let mut report = fixtures::station_report();
        report.readings.clear();
        report.stations[0].presence = presence;
        report
    }

    #[test]
    fn a_reading_of_this_cycle_has_no_age() {
        insta::assert_snapshot!(page(&fixtures::station_report()), @r#"F3800 Plus: SOC 87 % in 412 W out 836 W grid 0 W solar 412 W, about 7.9 h at the present draw"#);
    }

    #[test]
    fn a_reading_of_an_earlier_cycle_says_how_old_it_is() {
        let mut report = with(Presence::Live);
        let reading = fixtures::station_reading();
        report.stations[0].last = Some(StationReading {
            at: fixtures::STARTED_AT.minus(Duration::from_secs(95)),
            device: reading.device.clone().without(Quantity::GridPower, Absent::not_reported()),
            ..reading
        });
        insta::assert_snapshot!(page(&report), @r#"F3800 Plus: SOC 87 % in 412 W out 836 W grid not reported solar 412 W, about 7.9 h at the present draw (1m 35s ago)"#);
    }

    #[test]
    fn a_silent_station_says_since_when_and_what_it_said_last() {
        let since = fixtures::STARTED_AT.minus(Duration::from_secs(900));
        insta::assert_snapshot!(page(&with(Presence::Stale(since))), @r#"F3800 Plus: no answer: stale since 2026-11-24T06:45:00.000000Z; last: SOC 87 % in 412 W out 836 W grid 0 W solar 412 W"#);
        insta::assert_snapshot!(page(&with(Presence::Offline(since))), @r#"F3800 Plus: no answer: offline since 2026-11-24T06:45:00.000000Z; last: SOC 87 % in 412 W out 836 W grid 0 W solar 412 W"#);
    }

    #[test]
    fn a_station_that_was_never_heard_has_no_numbers() {
        let mut report = with(Presence::Awaited);
        report.stations[0].last = None;
        assert_eq!(page(&report), "F3800 Plus: no answer yet\n");
    }

    #[test]
    fn a_trouble_is_told_below_the_stations() {
        let message = "the password was refused; log in with `fleetwatt acme login`".to_owned();
        let trouble = AccountTrouble { kind: "login_refused", message, needs_person: true };
        let mut report = AccountReport { trouble: Some(trouble), ..with(Presence::Awaited) };
        report.stations[0].last = None;
        insta::assert_snapshot!(page(&report), @r#"
        F3800 Plus: no answer yet
        Acme: the password was refused; log in with `fleetwatt acme login`
        "#);
    }

    #[test]
    fn an_account_without_stations_says_so() {
        assert_eq!(page(&fixtures::no_stations()), "Acme: no station of the account is known\n");
    }

    #[test]
    fn lines_are_broken_to_the_width() {
        let options = TextOptions { colour: false, width: Some(60) };
        let page = stations(&fixtures::station_report(), fixtures::STARTED_AT, &options);
        assert!(page.lines().count() > 1 && page.lines().all(|line| line.width() <= 60), "{page}");
    }
}
