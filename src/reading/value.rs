//! A value of any unit, so that devices of all kinds are read, stored and shown by the same code.

use std::fmt;

use super::{Energy, Memory, Power, SafeText, Share, Temperature};

const MILLIJOULES_A_WATT_HOUR: i64 = 3_600_000;

/// A value in the unit of its quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Electrical power.
    Power(Power),
    /// Electrical energy.
    Energy(Energy),
    /// A temperature.
    Temperature(Temperature),
    /// A share of a whole.
    Share(Share),
    /// An amount of memory.
    Memory(Memory),
    /// A place in a list.
    Index(u32),
    /// A set of up to 64 bits.
    Mask(u64),
    /// On or off.
    Switch(bool),
    /// One of a fixed set of labels of our own.
    Label(&'static str),
    /// The device's own text.
    Text(SafeText),
}

impl Value {
    /// The value in JSON: watts, watt-hours, degrees Celsius, percent, mebibytes. Whole where it is whole,
    /// but for watts; a mask is hexadecimal text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Power(power) => power.watts().into(),
            Self::Energy(energy) => {
                whole_or(energy.millijoules(), MILLIJOULES_A_WATT_HOUR, energy.watt_hours())
            }
            Self::Temperature(degrees) => whole_or(degrees.millicelsius(), 1000, degrees.celsius()),
            Self::Share(share) => whole_or(share.millipercent(), 1000, share.percent()),
            Self::Memory(memory) => memory.mebibytes().into(),
            Self::Index(index) => (*index).into(),
            Self::Switch(is_on) => (*is_on).into(),
            Self::Label(label) => (*label).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Mask(_) => self.to_string().into(),
        }
    }

    /// The number of a timeline's row, in watts, watt-hours, degrees Celsius, percent or mebibytes; `None` of what is
    /// not a measured number.
    #[allow(clippy::cast_precision_loss, reason = "2^53 mebibytes are more than any memory")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Power(power) => Some(power.watts()),
            Self::Energy(energy) => Some(energy.watt_hours()),
            Self::Temperature(temperature) => Some(temperature.celsius()),
            Self::Share(share) => Some(share.percent()),
            Self::Memory(memory) => Some(memory.mebibytes() as f64),
            Self::Index(_) | Self::Mask(_) | Self::Switch(_) | Self::Label(_) | Self::Text(_) => None,
        }
    }
}

/// `parts` of a unit that has `a_unit` of them, as a number of JSON: whole where it is whole, else `value`.
fn whole_or(parts: i64, a_unit: i64, value: f64) -> serde_json::Value {
    if parts % a_unit == 0 { (parts / a_unit).into() } else { value.into() }
}

/// The bare value without its unit, as a cell of CSV has it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Power(power) => power.watts().fmt(f),
            Self::Energy(energy) => energy.watt_hours().fmt(f),
            Self::Temperature(temperature) => temperature.celsius().fmt(f),
            Self::Share(share) => share.percent().fmt(f),
            Self::Memory(memory) => memory.mebibytes().fmt(f),
            Self::Index(index) => index.fmt(f),
            Self::Mask(mask) => write!(f, "{mask:#018x}"),
            Self::Switch(is_on) => is_on.fmt(f),
            Self::Label(label) => f.write_str(label),
            Self::Text(text) => text.fmt(f),
        }
    }
}

macro_rules! conversions {
    ($($variant:ident($inner:ty),)+) => {
        $(
            impl From<$inner> for Value {
                fn from(inner: $inner) -> Self {
                    Self::$variant(inner)
                }
            }

            impl<'a> TryFrom<&'a Value> for &'a $inner {
                type Error = ();

                /// An error where the value is in another unit.
                fn try_from(value: &'a Value) -> Result<Self, ()> {
                    if let Value::$variant(inner) = value { Ok(inner) } else { Err(()) }
                }
            }
        )+
    };
}

conversions! {
    Power(Power),
    Energy(Energy),
    Temperature(Temperature),
    Share(Share),
    Memory(Memory),
    Index(u32),
    Mask(u64),
    Switch(bool),
    Text(SafeText),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_whole_in_json_and_watts_keep_their_point() {
        assert_eq!(Value::from(Share::from_millipercent(71_000)).to_json(), json!(71));
        assert_eq!(Value::from(Share::from_millipercent(95_200)).to_json(), json!(95.2));
        assert_eq!(Value::from(Power::from_watts(300)).to_json().to_string(), "300.0");
        assert_eq!(Value::from(4_u64).to_json(), json!("0x0000000000000004"));
    }

    #[test]
    fn a_cell_has_the_bare_number() {
        assert_eq!(Value::from(Power::from_watts(300)).to_string(), "300");
        assert_eq!(Value::from(Power::from_milliwatts(-1_500)).to_string(), "-1.5");
        assert_eq!(Value::from(Memory::from_mebibytes(876)).to_string(), "876");
    }
}
