//! Values of a wrong type, or without their unit: how the same value is written rightly.

use toml::de::DeValue;

/// What kind of number a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Time,
    Days,
    Temperature,
    /// Watts, or a share of the limit.
    GpuPower,
    Power,
    Percent,
    Bytes,
}

/// Keys whose value is a number with a unit, and a value as it may be written.
const WITH_UNIT: &[(&str, Unit, &str)] = &[
    ("interval", Unit::Time, "60s"),
    ("timeout", Unit::Time, "15s"),
    ("connect_timeout", Unit::Time, "5s"),
    ("control_persist", Unit::Time, "10m"),
    ("sample", Unit::Time, "1s"),
    ("webhook_timeout", Unit::Time, "10s"),
    ("fast_interval", Unit::Time, "30s"),
    ("listen", Unit::Time, "10s"),
    ("gpu_temperature_for", Unit::Time, "5m"),
    ("gpu_power_for", Unit::Time, "5m"),
    ("host_silent_for", Unit::Time, "5m"),
    ("store_away_for", Unit::Time, "5m"),
    ("grid_lost_for", Unit::Time, "5m"),
    ("station_silent_for", Unit::Time, "15m"),
    ("spool_older_than", Unit::Time, "10m"),
    ("spool_age", Unit::Days, "30d"),
    ("keep", Unit::Days, "90d"),
    ("gpu_temperature_above", Unit::Temperature, "85C"),
    ("gpu_power_above", Unit::GpuPower, "110%"),
    ("cluster_power_above", Unit::Power, "12kW"),
    ("battery_below", Unit::Percent, "30%"),
    ("battery_critical_below", Unit::Percent, "10%"),
    ("spool_size", Unit::Bytes, "1GiB"),
];

/// Other keys, and a value as it may be written.
const WITHOUT_UNIT: &[(&str, &str)] = &[
    ("name", "\"node1\""),
    ("address", "\"10.0.0.1\""),
    ("user", "\"monitor\""),
    ("identity_file", "\"~/.ssh/fleetwatt\""),
    ("jump", "\"bastion\""),
    ("kex", "\"curve25519-sha256\""),
    ("host_key", "\"strict\""),
    ("nvidia_smi", "\"nvidia-smi\""),
    ("table", "\"unified_timeline\""),
    ("url", "\"sqlite:fleetwatt.db\""),
    ("metadata", "\"slim\""),
    ("webhook_format", "\"json\""),
    ("country", "\"US\""),
    ("server", "\"com\""),
    ("mqtt_address", "\"127.0.0.1:8883\""),
    ("port", "22"),
    ("gpus", "8"),
    ("concurrency", "256"),
    ("connecting", "64"),
    ("rest_every", "5"),
];

/// Keys whose value, if it is something else, is shown again: nobody keeps a secret there.
const SHOWN: &[&str] =
    &["name", "address", "user", "jump", "kex", "nvidia_smi", "table", "country", "include", "exclude"];

/// What somebody wrote, as the string that was meant: with its unit, or in quotes. Not yet known to be good.
pub(super) fn suggested_string(key: &str, value: &DeValue<'_>) -> Option<String> {
    let unit = WITH_UNIT.iter().find(|(name, ..)| *name == key).map(|(_, unit, _)| *unit);
    match (value, unit) {
        (DeValue::Integer(number), Some(unit)) if number.radix() == 10 => with_unit(number.as_str(), unit),
        (DeValue::Float(number), Some(unit)) => with_unit(number.as_str(), unit),
        (DeValue::String(text), Some(unit)) => with_unit(text.trim(), unit),
        (DeValue::Boolean(false), _) if matches!(key, "sample" | "station_silent_for") => {
            Some("off".to_owned())
        }
        (DeValue::Boolean(is_strict), _) if key == "host_key" => {
            Some(if *is_strict { "strict" } else { "accept-new" }.to_owned())
        }
        (DeValue::Integer(number), None) if is_shown(key) => Some(number.as_str().to_owned()),
        (DeValue::Float(number), None) if is_shown(key) => Some(number.as_str().to_owned()),
        (DeValue::Boolean(flag), None) if is_shown(key) => Some(flag.to_string()),
        (DeValue::Array(items), None) if matches!(key, "name" | "address" | "jump") => {
            let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Whether a value under this key may be repeated.
pub(super) fn is_shown(key: &str) -> bool {
    SHOWN.contains(&key) || key.starts_with("labels.")
}

/// What somebody wrote in quotes or with a point, as the whole number that was meant.
pub(super) fn suggested_number(value: &DeValue<'_>) -> Option<u32> {
    match value {
        DeValue::String(text) => digits(text.trim())?.parse().ok(),
        DeValue::Float(number) => digits(number.as_str().strip_suffix(".0")?)?.parse().ok(),
        DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// What somebody wrote in other words, as true or false.
pub(super) fn suggested_flag(value: &DeValue<'_>) -> Option<bool> {
    let word = match value {
        DeValue::String(text) => text.trim().to_ascii_lowercase(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return None,
    };
    match word.as_str() {
        "true" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A value as it may be written for this key, where nothing can be made of what was.
pub(super) fn example_of(key: &str) -> String {
    if let Some((_, _, example)) = WITH_UNIT.iter().find(|(name, ..)| *name == key) {
        return format!("\"{example}\"");
    }
    WITHOUT_UNIT.iter().find(|(name, _)| *name == key).map_or("\"…\"", |(_, example)| example).to_owned()
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// A bare number above zero, with the unit that is meant where none is written.
fn with_unit(number: &str, unit: Unit) -> Option<String> {
    let number = number.replace('_', "");
    let (whole, decimals) = number.split_once('.').unwrap_or((&number, ""));
    digits(whole)?;
    if !decimals.is_empty() {
        digits(decimals)?;
    }
    let decimals = decimals.trim_end_matches('0');
    let thousandths: u64 = format!("{whole}{decimals:0<3}").parse().ok().filter(|_| decimals.len() <= 3)?;
    let plain = if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") };
    Some(match unit {
        _ if thousandths == 0 => return None,
        Unit::Time if thousandths.is_multiple_of(1_000) => format!("{plain}s"),
        Unit::Time => format!("{thousandths}ms"),
        Unit::Days => format!("{plain}d"),
        Unit::Temperature => format!("{plain}C"),
        // Nobody's board draws two watts: such a number is a share.
        Unit::GpuPower if thousandths <= 2_000 => format!("{}%", thousandths / 10),
        Unit::GpuPower | Unit::Power => format!("{plain}W"),
        Unit::Percent if thousandths < 1_000 => format!("{}%", thousandths / 10),
        Unit::Percent => format!("{plain}%"),
        Unit::Bytes => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_gets_the_unit_that_is_meant() {
        for (number, unit, suggested) in [
            ("15", Unit::Time, Some("15s")),
            ("0.5", Unit::Time, Some("500ms")),
            ("1.50", Unit::Time, Some("1500ms")),
            ("2.0", Unit::Time, Some("2s")),
            ("1_000", Unit::Time, Some("1000s")),
            ("85", Unit::Temperature, Some("85C")),
            ("600", Unit::GpuPower, Some("600W")),
            ("1.1", Unit::GpuPower, Some("110%")),
            ("0.3", Unit::Percent, Some("30%")),
            ("30", Unit::Days, Some("30d")),
            ("0", Unit::Time, None),
            ("-5", Unit::Time, None),
            ("5s", Unit::Time, None),
            ("1.2345", Unit::Time, None),
            ("", Unit::Time, None),
        ] {
            assert_eq!(with_unit(number, unit).as_deref(), suggested, "{number}");
        }
    }

    #[test]
    fn no_key_that_may_hold_a_secret_is_repeated() {
        for key in
            ["url", "password_env", "password_file", "webhook_credential", "user_env", "login_key", "api_url"]
        {
            assert!(!is_shown(key), "{key}");
            assert_eq!(suggested_string(key, &DeValue::Boolean(true)), None);
        }
    }
}
