//! The keys of `[alerts]` that are about battery stations.

use std::time::Duration;

use super::alerts::quantity;
use super::check;
use super::diagnostic::ValueError;
use super::model::AlertRules;
use super::section::{Section, Spanned};
use crate::reading::Share;

/// A station is silent for some minutes whenever its Wi-Fi or the vendor's cloud is.
const DEFAULT_SILENT_FOR: Duration = Duration::from_secs(15 * 60);

const KEYS: [&str; 5] =
    ["battery_below", "battery_critical_below", "grid_lost", "grid_lost_for", "station_silent_for"];

/// Whether there are stations to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stations {
    /// `[solix]` is there and enabled.
    Watched,
    /// It is there, but not enabled: what is written about stations waits for that.
    SwitchedOff,
    /// There is no `[solix]`.
    Missing,
}

/// What is watched of stations where `[alerts]` says nothing of them.
pub(super) fn default_station_rules(stations: Stations) -> AlertRules {
    match stations {
        Stations::Watched => AlertRules {
            grid_lost_for: Some(Duration::ZERO),
            station_silent_for: Some(DEFAULT_SILENT_FOR),
            ..AlertRules::default()
        },
        Stations::SwitchedOff | Stations::Missing => AlertRules::default(),
    }
}

/// Reads what `[alerts]` says about stations; the other rules are not set.
pub(super) fn read_station_rules(section: &mut Section<'_, '_>, stations: Stations) -> AlertRules {
    if stations == Stations::Missing {
        refuse_without_solix(section);
    }
    let default = default_station_rules(stations);
    let (battery_below, battery_critical_below) = read_battery(section);
    let rules = AlertRules {
        battery_below,
        battery_critical_below,
        grid_lost_for: read_grid(section, default.grid_lost_for),
        station_silent_for: section
            .parsed("station_silent_for", silent_for)
            .map_or(default.station_silent_for, |at| at.value),
        ..AlertRules::default()
    };
    if stations == Stations::Watched { rules } else { default }
}

fn refuse_without_solix(section: &mut Section<'_, '_>) {
    for key in KEYS {
        if let Some(location) = section.key_location(key) {
            let error = ValueError::new(
                format!("`{key}` without [solix]"),
                "there is no station to watch",
                format!("add the section [solix], or take `{key}` out: it would never raise an alert"),
            );
            section.report(location, error);
        }
    }
}

fn read_battery(section: &mut Section<'_, '_>) -> (Option<Share>, Option<Share>) {
    let below = section.parsed("battery_below", charge);
    let critical = section.parsed("battery_critical_below", charge);
    if let (Some(below), Some(critical)) = (&below, &critical)
        && below.value <= critical.value
    {
        let message = format!(
            "the battery_critical_below of {} is not below the battery_below of {}",
            critical.value, below.value
        );
        let hint = "lower it, or take one of them out";
        section.report(critical.location.clone(), ValueError::new(message, "not below the other", hint));
    }
    let value = |at: Option<Spanned<Share>>| at.map(|at| at.value);
    (value(below), value(critical))
}

fn read_grid(section: &mut Section<'_, '_>, default: Option<Duration>) -> Option<Duration> {
    let wanted = section.flag("grid_lost").map(|wanted| wanted.value);
    let held_for = section.parsed("grid_lost_for", duration_or_zero);
    if wanted != Some(false) {
        return held_for.map(|at| at.value).or(default);
    }
    if let Some(location) = section.key_location("grid_lost_for") {
        let error = ValueError::new(
            "`grid_lost_for` beside `grid_lost = false`",
            "nothing waits for it",
            "take one of them out",
        );
        section.report(location, error);
    }
    None
}

/// A state of charge that can be passed in both directions.
fn charge(text: &str) -> Result<Share, ValueError> {
    let hint = "write percent of a full battery, as \"30%\"";
    match quantity(text) {
        Some((thousandths @ 1_000..=99_000, "%")) if thousandths % 1_000 == 0 => {
            Ok(Share::from_millipercent(thousandths))
        }
        Some((_, "%")) => Err(ValueError::new("is out of bounds", "whole percent from 1 to 99", hint)),
        Some(_) | None => Err(ValueError::new("is not a state of charge", "not in percent", hint)),
    }
}

fn duration_or_zero(text: &str) -> Result<Duration, ValueError> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        Ok(_) | Err(_) => check::duration(text),
    }
}

/// `None` for `off`: this one is watched without being written.
fn silent_for(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" { Ok(None) } else { check::duration(text).map(Some) }
}
