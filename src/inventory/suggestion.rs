//! Values of a wrong type, or without their unit: how the same value is written rightly.

use toml::de::DeValue;

use crate::support::decimal;

/// The form of a key's value, with an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A number with its unit.
    Quantity(Unit, &'static str),
    /// A string that may be a secret, so that it is never repeated.
    Text(&'static str),
    /// A string that may be repeated in a diagnostic.
    Public(&'static str),
    /// A whole number.
    Number(&'static str),
    Other,
}

/// The unit that a bare number is most likely in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Time,
    Days,
    Temperature,
    /// Watts, or a share of the limit.
    GpuPower,
    Power,
    Percent,
    Bytes,
}

impl Form {
    /// Whether a value may be repeated.
    pub(super) const fn is_shown(self) -> bool {
        matches!(self, Self::Public(_))
    }

    /// A value as it may be written.
    pub(super) fn example(self) -> String {
        match self {
            Self::Quantity(_, example) | Self::Text(example) | Self::Public(example) => {
                format!("\"{example}\"")
            }
            Self::Number(example) => example.to_owned(),
            Self::Other => "\"…\"".to_owned(),
        }
    }
}

/// Turns a value into the string that was most likely intended: with its unit, or in quotes. Not validated.
pub(super) fn suggested_string(key: &str, form: Form, value: &DeValue<'_>) -> Option<String> {
    let unit = match form {
        Form::Quantity(unit, _) => Some(unit),
        Form::Text(_) | Form::Public(_) | Form::Number(_) | Form::Other => None,
    };
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
        (DeValue::Integer(number), None) if form.is_shown() => Some(number.as_str().to_owned()),
        (DeValue::Float(number), None) if form.is_shown() => Some(number.as_str().to_owned()),
        (DeValue::Boolean(flag), None) if form.is_shown() => Some(flag.to_string()),
        (DeValue::Array(items), None) if matches!(key, "name" | "address" | "jump") => {
            let items: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Turns a value in quotes or with a point into the whole number that was intended.
pub(super) fn suggested_number(value: &DeValue<'_>) -> Option<u32> {
    let with_point = || value.as_float()?.as_str().strip_suffix(".0");
    let number = value.as_str().map(str::trim).or_else(with_point)?;
    number.parse().ok().filter(|_| decimal::is_digits(number))
}

/// Turns another word for true or false into a flag.
pub(super) fn suggested_flag(value: &DeValue<'_>) -> Option<bool> {
    let number = || value.as_integer().map(|number| number.as_str().to_owned());
    let word = value.as_str().map(|text| text.trim().to_ascii_lowercase()).or_else(number)?;
    match word.as_str() {
        "true" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A bare number above zero, with the unit that is meant where none is written.
fn with_unit(number: &str, unit: Unit) -> Option<String> {
    let number = number.replace('_', "");
    let number = number.strip_suffix('.').unwrap_or(&number);
    let thousandths = decimal::scaled_exactly(number, 3).filter(|thousandths| *thousandths > 0)?;
    let is_whole = thousandths % 1_000 == 0;
    let plain = if number.contains('.') { number.trim_end_matches('0') } else { number };
    let plain = plain.trim_end_matches('.');
    Some(match unit {
        Unit::Time if is_whole => format!("{plain}s"),
        Unit::Time => format!("{thousandths}ms"),
        Unit::Days => format!("{plain}d"),
        Unit::Temperature => format!("{plain}C"),
        // Nobody's board draws two watts: such a number is a share.
        Unit::GpuPower if thousandths <= 2_000 => format!("{}%", thousandths / 10),
        Unit::GpuPower | Unit::Power => format!("{plain}W"),
        Unit::Percent if thousandths < 1_000 => format!("{}%", thousandths / 10),
        Unit::Percent => format!("{plain}%"),
        Unit::Bytes => plain.to_owned(),
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
}
