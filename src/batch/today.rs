//! The energy of the fleet's boards in the local day so far, with its cost.

use std::fmt;

use crate::reading::{Energy, Share};
use crate::support::with_thousands;
use crate::tariff::{Currency, Money};

/// The energy of the day so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Today {
    /// The energy that was measured.
    pub energy: Energy,
    /// The cost of it, by currency. Empty without a tariff, or where a part has no price.
    pub costs: Vec<(Currency, Money)>,
    /// The measured part of the time since midnight of all GPUs; `None` of no time.
    pub measured: Option<Share>,
}

/// `41.2 kWh, 5.77 USD, 98.9 % measured`.
impl fmt::Display for Today {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kwh = self.energy.watt_hours() / 1_000.0;
        let places = if kwh < 10.0 { 2 } else { usize::from(kwh < 1_000.0) };
        write!(f, "{} kWh", with_thousands(&format!("{kwh:.places$}")))?;
        for (currency, money) in &self.costs {
            write!(f, ", {} {currency}", with_thousands(&format!("{money:.2}")))?;
        }
        self.measured.map_or(Ok(()), |measured| write!(f, ", {} measured", in_words(measured)))
    }
}

/// With one decimal, and neither all nor nothing unless it is.
fn in_words(measured: Share) -> String {
    match measured.millipercent() {
        ..=0 => "0 %".to_owned(),
        1..50 => "<0.1 %".to_owned(),
        100_000.. => "100 %".to_owned(),
        99_950.. => ">99.9 %".to_owned(),
        between => {
            let tenths = (between + 50) / 100;
            format!("{}.{} %", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn today(milliwatt_hours: i64, costs: &[(&str, i128)], measured: Option<i64>) -> String {
        let cost =
            |(code, micros): &(&str, i128)| (Currency::parse(code).unwrap(), Money::from_micros(*micros));
        Today {
            energy: Energy::from_millijoules(milliwatt_hours * 3_600),
            costs: costs.iter().map(cost).collect(),
            measured: measured.map(Share::from_millipercent),
        }
        .to_string()
    }

    #[test]
    fn it_reads_like_this() {
        assert_eq!(
            today(41_234_567, &[("USD", 5_772_839)], Some(98_912)),
            "41.2 kWh, 5.77 USD, 98.9 % measured"
        );
        assert_eq!(today(1_234, &[], None), "0.00 kWh");
        assert_eq!(
            today(1_234_567_000, &[("EUR", 1_005_000), ("USD", -1_230_000_000)], Some(100_000)),
            "1,235 kWh, 1.01 EUR, -1,230.00 USD, 100 % measured"
        );
    }

    #[test]
    fn a_share_is_neither_all_nor_nothing_unless_it_is() {
        let shares = [0, 49, 50, 91_667, 99_949, 99_950, 99_999, 100_000]
            .map(|share| in_words(Share::from_millipercent(share)));
        assert_eq!(shares, ["0 %", "<0.1 %", "0.1 %", "91.7 %", "99.9 %", ">99.9 %", ">99.9 %", "100 %"]);
    }
}
