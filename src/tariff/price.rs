//! The price of a quarter, or why there is none.

use std::ops::AddAssign;

use super::money::{EnergyCost, PricePerKwh};
use crate::reading::Energy;

/// The price of a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price {
    /// The price.
    pub per_kwh: PricePerKwh,
    /// The number of its tariff.
    pub tariff: usize,
    /// The part of the tariff that it is from.
    pub source: PriceSource,
}

/// The part of a tariff that a price is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriceSource {
    /// The tariff's `per_kwh`.
    Base,
    /// A price file.
    File,
    /// A band, by its place in the tariff.
    Band(usize),
}

/// Why a quarter has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hole {
    /// No tariff holds for the site on that day.
    NoTariff,
    /// No band fits, and the tariff has no price for the rest.
    NoBand {
        /// The number of the tariff.
        tariff: usize,
    },
    /// The price files do not have the quarter.
    NotInFiles {
        /// The number of the tariff.
        tariff: usize,
    },
    /// The price files have it twice, with different prices.
    Contradiction {
        /// The number of the tariff.
        tariff: usize,
    },
    /// The quarter is not in the range that was resolved.
    OutOfRange,
}

/// Energy and its cost, with the energy that has no price beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Priced {
    /// The exact cost of the energy that has a price.
    pub cost: EnergyCost,
    /// The energy that has a price.
    pub priced: Energy,
    /// The energy that has none.
    pub unpriced: Energy,
}

impl Priced {
    /// Adds energy at a price, or without one.
    pub fn add(&mut self, energy: Energy, price: Result<Price, Hole>) {
        match price {
            Ok(price) => {
                self.cost += EnergyCost::of(energy, price.per_kwh);
                self.priced = sum(self.priced, energy);
            }
            Err(_) => self.unpriced = sum(self.unpriced, energy),
        }
    }
}

impl AddAssign for Priced {
    fn add_assign(&mut self, other: Self) {
        self.cost += other.cost;
        self.priced = sum(self.priced, other.priced);
        self.unpriced = sum(self.unpriced, other.unpriced);
    }
}

fn sum(one: Energy, other: Energy) -> Energy {
    Energy::from_millijoules(one.millijoules().saturating_add(other.millijoules()))
}
