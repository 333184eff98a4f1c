//! The price of energy that comes out of a battery: that of what charged it, over the round trip.

use super::money::{EnergyCost, PricePerKwh};
use crate::reading::{Energy, Share};

/// Thousandths of a percent in a whole.
const WHOLE: i64 = 100_000;

/// The price of the sun that charged a battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BatteryRule {
    /// The price at which the grid would have charged it then.
    #[default]
    Charged,
    /// The price that was forgone: that of export at the time.
    Opportunity,
    /// Nothing.
    Zero,
}

impl BatteryRule {
    /// Its name in an inventory and in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charged => "charged",
            Self::Opportunity => "opportunity",
            Self::Zero => "zero",
        }
    }

    /// The price of sun that goes into a battery, by what the grid takes and pays at the time. `None` where the rule
    /// needs one that is not known: nothing is priced at a guess.
    pub fn price_of_sun(self, grid: Option<PricePerKwh>, export: Option<PricePerKwh>) -> Option<PricePerKwh> {
        match self {
            Self::Charged => grid,
            Self::Opportunity => export,
            Self::Zero => Some(PricePerKwh::from_micros(0)),
        }
    }
}

/// Energy that went into a battery, with its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatteryCharge {
    /// Energy with a price.
    priced: i128,
    /// Whether there is energy without one.
    has_unpriced: bool,
    cost: EnergyCost,
}

impl BatteryCharge {
    /// Adds energy that went in, at its price; `None` if it has none.
    pub fn add(&mut self, energy: Energy, price: Option<PricePerKwh>) {
        let millijoules = i128::from(energy.millijoules());
        match price {
            Some(price) => {
                self.priced = self.priced.saturating_add(millijoules);
                self.cost += EnergyCost::of(energy, price);
            }
            None => self.has_unpriced |= millijoules != 0,
        }
    }

    /// The price of a kilowatt-hour that comes out: the mean of what went in, over the efficiency of the round trip,
    /// rounded once to a millionth. `None` if nothing went in, a part of it has no price, or the efficiency is not above 0
    /// and at most 100 %.
    pub fn price_out(&self, efficiency: Share) -> Option<PricePerKwh> {
        let efficiency = efficiency.millipercent();
        let is_one = (1..=WHOLE).contains(&efficiency) && self.priced > 0 && !self.has_unpriced;
        let cost = self.cost.times(WHOLE.into());
        is_one.then(|| cost.price_over(self.priced.saturating_mul(efficiency.into())))?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn price(micros: i64) -> Option<PricePerKwh> {
        Some(PricePerKwh::from_micros(micros))
    }

    const fn kwh(n: i64) -> Energy {
        Energy::from_millijoules(n * 3_600_000_000)
    }

    /// 6 kWh of the grid at 0.10, then 2 kWh of the sun while the grid takes 0.30 and pays 0.05.
    fn day(rule: BatteryRule) -> BatteryCharge {
        let mut charged = BatteryCharge::default();
        charged.add(kwh(6), price(100_000));
        charged.add(kwh(2), rule.price_of_sun(price(300_000), price(50_000)));
        charged
    }

    #[test]
    fn each_rule_prices_the_sun_and_the_round_trip_makes_it_dearer() {
        let out = |rule| day(rule).price_out(Share::from_millipercent(80_000));
        // (6 * 0.10 + 2 * 0.30) / 8 = 0.15; over 80 %: 0.1875.
        assert_eq!(out(BatteryRule::Charged), price(187_500));
        // (0.60 + 2 * 0.05) / 8 = 0.0875; over 80 %: 0.109375.
        assert_eq!(out(BatteryRule::Opportunity), price(109_375));
        // 0.60 / 8 = 0.075; over 80 %: 0.09375.
        assert_eq!(out(BatteryRule::Zero), price(93_750));
    }

    #[test]
    fn a_charge_of_which_a_part_has_no_price_has_none_at_all() {
        let mut charged = day(BatteryRule::Zero);
        charged.add(kwh(0), None);
        assert_eq!(charged.price_out(Share::from_millipercent(100_000)), price(75_000));
        charged.add(kwh(2), BatteryRule::Opportunity.price_of_sun(price(300_000), None));
        assert_eq!(charged.price_out(Share::from_millipercent(100_000)), None);
        assert_eq!(BatteryCharge::default().price_out(Share::from_millipercent(90_000)), None);
        assert_eq!(
            [0, -1, 100_001].map(|share| day(BatteryRule::Zero).price_out(Share::from_millipercent(share))),
            [None; 3]
        );
    }

    proptest! {
        #[test]
        fn the_price_is_within_those_of_what_charged_it(
            parts in prop::collection::vec((1..1_000_000_000_000_i64, -500_000..900_000_i64), 1..20),
        ) {
            let mut charged = BatteryCharge::default();
            parts.iter().for_each(|(energy, micros)| charged.add(Energy::from_millijoules(*energy), price(*micros)));
            let out = charged.price_out(Share::from_millipercent(WHOLE)).unwrap().micros();
            let prices = parts.iter().map(|(_, micros)| *micros);
            prop_assert!(prices.clone().min().unwrap() <= out && out <= prices.max().unwrap());
        }
    }
}
