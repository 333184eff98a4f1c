//! `[alerts]`: thresholds with their units, and where the webhook's URL is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::location::{Spanned, put};
use super::model::{WebhookFormat, WebhookSettings};
use super::section::Section;
use super::sections::{Sections, Stations};
use super::vendor;
use crate::alert::{PowerThreshold, Rules, Threshold};
use crate::reading::{Power, Share, Temperature};
use crate::support::decimal;

const DEFAULT_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt that takes longer has failed for all that anybody can tell.
const MAX_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// No GPU lives at such temperatures; a threshold beyond would never be passed.
const MAX_CELSIUS: i64 = 150;

/// 1 GW: more than any hall has.
const MAX_WATTS: i64 = 1_000_000_000;

/// Ten times its limit is more than any board can draw.
const MAX_PERCENT: i64 = 1_000;

/// A station is silent for some minutes whenever its Wi-Fi or the vendor's cloud is.
const DEFAULT_SILENT_FOR: Duration = Duration::from_secs(15 * 60);

const STATION_KEYS: [&str; 5] =
    ["battery_below", "battery_critical_below", "grid_lost", "grid_lost_for", "station_silent_for"];

/// The rules about stations where `[alerts]` says nothing of them.
pub(super) fn default_rules(stations: Stations) -> Rules {
    match stations {
        Stations::Watched => Rules {
            grid_lost_for: Some(Duration::ZERO),
            station_silent_for: Some(DEFAULT_SILENT_FOR),
            ..Rules::default()
        },
        Stations::SwitchedOff | Stations::Missing => Rules::default(),
    }
}

/// Checks the rules about stations beside each other; without stations to watch, none of them is set.
pub(super) fn check_station_rules(section: &mut Section<'_, '_>, rules: &mut Rules, stations: Stations) {
    if let (Some(below), Some(critical)) = (rules.battery_below, rules.battery_critical_below)
        && below <= critical
        && let Some(location) = section.value_location("battery_critical_below")
    {
        let message =
            format!("the battery_critical_below of {critical} is not below the battery_below of {below}");
        let hint = "lower it, or take one of them out";
        section.report(location, ValueError::new(message, "not below the other", hint));
    }
    if stations == Stations::Missing {
        for key in STATION_KEYS {
            let message = format!("`{key}` without {}", vendor::SECTION);
            let hint = format!(
                "add the section {}, or take `{key}` out: it would never raise an alert",
                vendor::SECTION
            );
            section.refuse(key, ValueError::new(message, "there is no station to watch", hint));
        }
    }
    if stations != Stations::Watched {
        rules.battery_below = None;
        rules.battery_critical_below = None;
        rules.grid_lost_for = None;
        rules.station_silent_for = None;
    }
}

impl Section<'_, '_> {
    /// A threshold and the key for how long it must be passed; without that key the alert is raised at once.
    pub(super) fn threshold<T>(
        &mut self,
        key: &str,
        parse: fn(&str) -> Result<T, ValueError>,
        for_key: &str,
    ) -> Option<Spanned<Threshold<T>>> {
        let above = self.parsed(key, parse);
        let mut held_for = Duration::ZERO;
        put(self.parsed(for_key, check::duration), &mut held_for);
        if !self.has(key) {
            let message = format!("`{for_key}` without `{key}`");
            let hint = format!("write `{key}` beside it, or take it out");
            self.refuse(for_key, ValueError::new(message, "belongs to a threshold", hint));
        }
        above.map(|Spanned { value: above, location }| Spanned {
            value: Threshold { above, held_for },
            location,
        })
    }
}

/// Reads `grid_lost` and `grid_lost_for`.
pub(super) fn read_grid(section: &mut Section<'_, '_>, to: &mut Sections) {
    let is_wanted = section.flag("grid_lost").is_none_or(|wanted| wanted.value);
    put(section.parsed("grid_lost_for", duration_or_zero), &mut to.alerts.rules.grid_lost_for);
    if !is_wanted {
        to.alerts.rules.grid_lost_for = None;
        let message = "`grid_lost_for` beside `grid_lost = false`";
        let error = ValueError::new(message, "nothing waits for it", "take one of them out");
        section.refuse("grid_lost_for", error);
    }
}

/// Reads the keys of the webhook.
pub(super) fn read_webhook(section: &mut Section<'_, '_>, to: &mut Sections) {
    let url = section.source("webhook", "the webhook's URL", webhook_env, webhook_file, webhook_credential);
    let (mut format, mut timeout) = (WebhookFormat::default(), DEFAULT_WEBHOOK_TIMEOUT);
    put(section.parsed("webhook_format", webhook_format), &mut format);
    put(section.parsed("webhook_timeout", webhook_timeout), &mut timeout);
    // A webhook with an error, or whose URL stands in the file itself, is reported already.
    let url_keys = ["webhook_env", "webhook_file", "webhook_credential", "webhook", "webhook_url"];
    if !url_keys.iter().any(|key| section.has(key)) {
        for key in ["webhook_format", "webhook_timeout"] {
            let hint = "say where its URL is by webhook_env, webhook_file or webhook_credential";
            let message = format!("`{key}` without a webhook");
            section.refuse(key, ValueError::new(message, "nothing would be sent", hint));
        }
    }
    to.alerts.webhook = url.map(|url| WebhookSettings { url: url.value, format, timeout });
}

pub(super) fn temperature(text: &str) -> Result<Temperature, ValueError> {
    let hint = "write degrees Celsius with their unit, as \"85C\"";
    let not_one = || ValueError::new("is not a temperature", "not a temperature", hint);
    let (thousandths, unit) = quantity(text).ok_or_else(not_one)?;
    if !matches!(unit, "C" | "°C") {
        return Err(ValueError::new("is not in degrees Celsius", "the unit is C", hint));
    }
    bounded(thousandths, MAX_CELSIUS, "C", hint)?;
    Ok(Temperature::from_millicelsius(thousandths))
}

pub(super) fn gpu_power(text: &str) -> Result<PowerThreshold, ValueError> {
    let hint = "write watts as \"600W\" or \"1.2kW\", or a share of each GPU's limit as \"110%\"";
    if let Some((thousandths, "%")) = quantity(text) {
        bounded(thousandths, MAX_PERCENT, "%", hint)?;
        return Ok(PowerThreshold::OfLimit(Share::from_millipercent(thousandths)));
    }
    watts(text, hint).map(PowerThreshold::Fixed)
}

pub(super) fn power(text: &str) -> Result<Power, ValueError> {
    let hint = "write watts as \"900W\" or \"12kW\"";
    if let Some((_, "%")) = quantity(text) {
        return Err(ValueError::new("is a share", "a cluster has no limit to take a share of", hint));
    }
    watts(text, hint)
}

fn watts(text: &str, hint: &str) -> Result<Power, ValueError> {
    let (thousandths, scale) = match quantity(text) {
        Some((thousandths, "W")) => (thousandths, 1),
        Some((thousandths, "kW")) => (thousandths, 1_000),
        Some((thousandths, "MW")) => (thousandths, 1_000_000),
        Some(_) => return Err(ValueError::new("is not in watts", "the unit is W or kW", hint)),
        None => return Err(ValueError::new("is not a power", "not a power", hint)),
    };
    let milliwatts = thousandths.saturating_mul(scale);
    bounded(milliwatts, MAX_WATTS, "W", hint)?;
    Ok(Power::from_milliwatts(milliwatts))
}

fn bounded(thousandths: i64, most: i64, unit: &str, hint: &str) -> Result<(), ValueError> {
    if thousandths == 0 {
        return Err(ValueError::new("is zero", "must be above zero", hint));
    }
    if most.saturating_mul(1_000) < thousandths {
        return Err(ValueError::new("would never be passed", &format!("at most {most} {unit}"), hint));
    }
    Ok(())
}

/// No quantity of an inventory is as large; its unit may still multiply it by a thousand.
const MAX_THOUSANDTHS: i64 = 1_000_000_000_000_000;

/// A number with at most three decimals, in thousandths, and the unit behind it.
pub(super) fn quantity(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let thousandths = decimal::scaled_exactly(number, 3).filter(|one| *one < MAX_THOUSANDTHS)?;
    Some((thousandths, unit.trim_start_matches(' ')))
}

fn webhook_format(text: &str) -> Result<WebhookFormat, ValueError> {
    let formats = [
        ("json", WebhookFormat::Json),
        ("slack", WebhookFormat::Slack),
        ("ntfy", WebhookFormat::Ntfy),
        ("alertmanager", WebhookFormat::Alertmanager),
    ];
    let hint = "use \"json\", \"slack\" (also for Mattermost and Discord's /slack URLs), \"ntfy\" or \"alertmanager\"";
    check::one_of(text, &formats, "is an unknown format", hint)
}

fn webhook_timeout(text: &str) -> Result<Duration, ValueError> {
    let timeout = check::duration(text)?;
    if timeout > MAX_WEBHOOK_TIMEOUT {
        return Err(ValueError::new("is above one minute", "at most \"1m\"", "the default is \"10s\""));
    }
    Ok(timeout)
}

fn webhook_env(text: &str) -> Result<String, ValueError> {
    check::environment_name(text, "URL", "FLEETWATT_WEBHOOK").map_err(|error| match not_the_url(text) {
        Err(of_url) => ValueError { hint: of_url.hint, ..error },
        Ok(()) => error,
    })
}

fn webhook_file(text: &str, base: &Path) -> Result<PathBuf, ValueError> {
    not_the_url(text)?;
    check::file_path(text, base)
}

fn webhook_credential(text: &str) -> Result<String, ValueError> {
    not_the_url(text)?;
    check::credential_name(text).map_err(ValueError::hiding)
}

fn not_the_url(text: &str) -> Result<(), ValueError> {
    if text.contains("://") { Err(check::webhook_in_file("is the URL itself")) } else { Ok(()) }
}

/// A state of charge that can be passed in both directions.
pub(super) fn charge(text: &str) -> Result<Share, ValueError> {
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
pub(super) fn station_silent_for(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" { Ok(None) } else { check::duration(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact_and_may_have_a_blank_before_the_unit() {
        assert_eq!(quantity("85C"), Some((85_000, "C")));
        assert_eq!(quantity("12.5 kW"), Some((12_500, "kW")));
        assert_eq!(quantity("0.001W"), Some((1, "W")));
        for bad in ["", "C", "-5C", "1.C", ".5C", "1.2345W", "9999999999999W", "1.2.3W"] {
            assert_eq!(quantity(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_threshold_without_its_unit_or_with_a_wrong_one_is_refused_with_an_example() {
        for bad in ["85", "85F", "85K", "85 c", "0C", "151C", "C"] {
            assert!(temperature(bad).unwrap_err().hint.contains("85C"), "{bad:?}");
        }
        for bad in ["600", "600w", "600 VA", "0W", "2000MW", "0%", "1001%", "watts"] {
            assert!(gpu_power(bad).unwrap_err().hint.contains("110%"), "{bad:?}");
        }
        assert!(power("110%").unwrap_err().hint.contains("12kW"));
    }

    #[test]
    fn a_power_is_watts_or_a_share() {
        assert_eq!(gpu_power("1.25kW"), Ok(PowerThreshold::Fixed(Power::from_watts(1_250))));
        assert_eq!(gpu_power("110%"), Ok(PowerThreshold::OfLimit(Share::from_millipercent(110_000))));
        assert_eq!(power("2MW"), Ok(Power::from_watts(2_000_000)));
        assert_eq!(temperature("85.5 °C"), Ok(Temperature::from_millicelsius(85_500)));
    }
}
