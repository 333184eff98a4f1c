//! `[alerts]`: thresholds with their units, and where the webhook's URL is.

use std::path::Path;
use std::time::Duration;

use super::check;
use super::diagnostic::ValueError;
use super::host_options::file_path;
use super::model::{AlertRules, AlertSettings, PowerAbove, SecretSource, WebhookFormat, WebhookSettings};
use super::section::{Section, Spanned};
use super::station_alerts::{Stations, read_station_rules};
use crate::reading::{Power, Share, Temperature};

const DEFAULT_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// An attempt that takes longer has failed for all that anybody can tell.
const MAX_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// No GPU lives at such temperatures; a threshold beyond would never be passed.
const MAX_CELSIUS: i64 = 150;

/// 1 GW: more than any hall has.
const MAX_WATTS: i64 = 1_000_000_000;

/// Ten times its limit is more than any board can draw.
const MAX_PERCENT: i64 = 1_000;

/// Reads `[alerts]`.
pub(super) fn read_alerts(section: &mut Section<'_, '_>, base: &Path, stations: Stations) -> AlertSettings {
    let temperature = section.parsed("gpu_temperature_above", temperature);
    let power = section.parsed("gpu_power_above", gpu_power);
    let rules = AlertRules {
        gpu_temperature_above: temperature.map(|at| at.value),
        gpu_temperature_for: held_for(section, "gpu_temperature_for", "gpu_temperature_above"),
        gpu_power_above: power.map(|at| at.value),
        gpu_power_for: held_for(section, "gpu_power_for", "gpu_power_above"),
        host_silent_for: section.parsed("host_silent_for", check::duration).map(|at| at.value),
        cluster_power_above: section.parsed("cluster_power_above", power_alone).map(|at| at.value),
        spool_older_than: section.parsed("spool_older_than", check::duration).map(|at| at.value),
        store_away_for: section.parsed("store_away_for", check::duration).map(|at| at.value),
        ..read_station_rules(section, stations)
    };
    AlertSettings { rules, webhook: read_webhook(section, base) }
}

/// For how long a threshold must be passed; not at all is at once.
fn held_for(section: &mut Section<'_, '_>, key: &str, of: &str) -> Duration {
    let held_for = section.parsed(key, check::duration);
    if let (Some(location), None) = (section.key_location(key), section.key_location(of)) {
        let error = ValueError::new(
            format!("`{key}` without `{of}`"),
            "belongs to a threshold",
            format!("write `{of}` beside it, or take it out"),
        );
        section.report(location, error);
    }
    held_for.map(|at| at.value).unwrap_or_default()
}

fn read_webhook(section: &mut Section<'_, '_>, base: &Path) -> Option<WebhookSettings> {
    let env = section.parsed("webhook_env", |text| webhook_env(text).map(SecretSource::Env));
    let file = section.parsed("webhook_file", |text| webhook_file(text, base).map(SecretSource::File));
    let credential =
        section.parsed("webhook_credential", |text| webhook_credential(text).map(SecretSource::Credential));
    let format = section.parsed("webhook_format", webhook_format);
    let timeout = section.parsed("webhook_timeout", webhook_timeout);
    let mut sources: Vec<Spanned<SecretSource>> = [env, file, credential].into_iter().flatten().collect();
    sources.sort_by(|a, b| a.location.cmp(&b.location));
    let mut sources = sources.into_iter();
    let first = sources.next();
    for other in sources {
        let error = ValueError::new(
            "the webhook's URL is said to come from two places",
            "a second place",
            "keep one of them",
        );
        section.report(other.location, error);
    }
    // A webhook that is written wrongly, or whose URL stands in the file itself, is an error already.
    let is_written = ["webhook_env", "webhook_file", "webhook_credential", "webhook", "webhook_url"]
        .iter()
        .any(|key| section.key_location(key).is_some());
    if !is_written {
        for key in ["webhook_format", "webhook_timeout"] {
            if let Some(location) = section.key_location(key) {
                let error = ValueError::new(
                    format!("`{key}` without a webhook"),
                    "nothing would be sent",
                    "say where its URL is by webhook_env, webhook_file or webhook_credential",
                );
                section.report(location, error);
            }
        }
    }
    first.map(|url| WebhookSettings {
        url: url.value,
        format: format.map(|at| at.value).unwrap_or_default(),
        timeout: timeout.map_or(DEFAULT_WEBHOOK_TIMEOUT, |at| at.value),
    })
}

fn temperature(text: &str) -> Result<Temperature, ValueError> {
    let hint = "write degrees Celsius with their unit, as \"85C\"";
    let (thousandths, unit) =
        quantity(text).ok_or_else(|| ValueError::new("is not a temperature", "not a temperature", hint))?;
    if !matches!(unit, "C" | "°C") {
        return Err(ValueError::new("is not in degrees Celsius", "the unit is C", hint));
    }
    bounded(thousandths, MAX_CELSIUS, "C", hint)?;
    Ok(Temperature::from_millicelsius(thousandths))
}

fn gpu_power(text: &str) -> Result<PowerAbove, ValueError> {
    let hint = "write watts as \"600W\" or \"1.2kW\", or a share of each GPU's limit as \"110%\"";
    let (thousandths, unit) =
        quantity(text).ok_or_else(|| ValueError::new("is not a power", "not a power", hint))?;
    if unit == "%" {
        bounded(thousandths, MAX_PERCENT, "%", hint)?;
        return Ok(PowerAbove::OfLimit(Share::from_millipercent(thousandths)));
    }
    watts(thousandths, unit, hint).map(PowerAbove::Fixed)
}

fn power_alone(text: &str) -> Result<Power, ValueError> {
    let hint = "write watts as \"900W\" or \"12kW\"";
    let (thousandths, unit) =
        quantity(text).ok_or_else(|| ValueError::new("is not a power", "not a power", hint))?;
    if unit == "%" {
        return Err(ValueError::new("is a share", "a cluster has no limit to take a share of", hint));
    }
    watts(thousandths, unit, hint)
}

fn watts(thousandths: i64, unit: &str, hint: &str) -> Result<Power, ValueError> {
    let scale = match unit {
        "W" => 1,
        "kW" => 1_000,
        "MW" => 1_000_000,
        _ => return Err(ValueError::new("is not in watts", "the unit is W or kW", hint)),
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

/// A number with at most three decimals, in thousandths, and the unit behind it.
pub(super) fn quantity(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 3 || whole.len() > 12 {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    Some((thousandths, unit.trim_start_matches(' ')))
}

fn webhook_format(text: &str) -> Result<WebhookFormat, ValueError> {
    match text {
        "json" => Ok(WebhookFormat::Json),
        "slack" => Ok(WebhookFormat::Slack),
        "ntfy" => Ok(WebhookFormat::Ntfy),
        "alertmanager" => Ok(WebhookFormat::Alertmanager),
        _ => Err(ValueError::new(
            "is an unknown format",
            "not known",
            "use \"json\", \"slack\" (also for Mattermost and Discord's /slack URLs), \"ntfy\" or \"alertmanager\"",
        )),
    }
}

fn webhook_timeout(text: &str) -> Result<Duration, ValueError> {
    let timeout = check::duration(text)?;
    if timeout > MAX_WEBHOOK_TIMEOUT {
        return Err(ValueError::new("is above one minute", "at most \"1m\"", "the default is \"10s\""));
    }
    Ok(timeout)
}

fn webhook_env(text: &str) -> Result<String, ValueError> {
    check::environment_name(text, "URL", "FLEETWATT_WEBHOOK")
        .map_err(|error| ValueError { hint: not_the_url(text, &error.hint), ..error })
}

fn webhook_file(text: &str, base: &Path) -> Result<std::path::PathBuf, ValueError> {
    if text.contains("://") {
        return Err(check::webhook_in_file("is the URL itself"));
    }
    file_path(text, base)
}

fn webhook_credential(text: &str) -> Result<String, ValueError> {
    if text.contains("://") {
        return Err(check::webhook_in_file("is the URL itself"));
    }
    check::credential_name(text).map_err(ValueError::hiding)
}

fn not_the_url(text: &str, hint: &str) -> String {
    if text.contains("://") { check::webhook_in_file("").hint } else { hint.to_owned() }
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
        assert!(power_alone("110%").unwrap_err().hint.contains("12kW"));
    }

    #[test]
    fn a_power_is_watts_or_a_share() {
        assert_eq!(gpu_power("1.25kW"), Ok(PowerAbove::Fixed(Power::from_watts(1_250))));
        assert_eq!(gpu_power("110%"), Ok(PowerAbove::OfLimit(Share::from_millipercent(110_000))));
        assert_eq!(power_alone("2MW"), Ok(Power::from_watts(2_000_000)));
        assert_eq!(temperature("85.5 °C"), Ok(Temperature::from_millicelsius(85_500)));
    }
}
