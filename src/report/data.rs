//! All that a report is computed from, once every row is known.

use super::calendar::Calendar;
use super::facts::Facts;
use super::fleet::Fleet;
use super::priced_rows::{PricedRows, board_means};
use super::prices::Prices;
use super::sums::Sums;
use super::tally::Tally;
use crate::reading::Share;

/// The boards, their rows and their prices.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) calendar: Calendar,
    pub(super) fleet: Fleet,
    pub(super) prices: Prices,
    idle_below: Share,
    means_mw: Vec<f64>,
    /// The sums of each part by band, of which all groups that are no times consist.
    pub(super) bases: Vec<Base>,
}

/// The sums of a board on a node in a band.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Base {
    pub(super) part: usize,
    pub(super) band: usize,
    pub(super) sums: Sums,
}

impl Data {
    pub(super) fn new(tally: Tally, facts: &Facts<'_>) -> Self {
        let calendar = Calendar::new(tally.range().clone(), tally.zone().clone());
        let fleet = Fleet::new(tally, facts, &calendar);
        let prices = Prices::new(facts.tariffs, &fleet.nodes, &calendar);
        let means_mw = board_means(&fleet);
        let mut data =
            Self { calendar, fleet, prices, idle_below: facts.idle_below, means_mw, bases: Vec::new() };
        data.bases = bases(&data.priced_rows());
        data
    }

    /// The rows of the boards with their prices.
    pub(super) fn priced_rows(&self) -> PricedRows<'_> {
        let Self { fleet, prices, idle_below, means_mw, .. } = self;
        PricedRows { fleet, prices, idle_below: *idle_below, means_mw }
    }
}

fn bases(rows: &PricedRows<'_>) -> Vec<Base> {
    let mut bases = Vec::new();
    for (number, part) in rows.fleet.parts.iter().enumerate() {
        let mut of_band = vec![None; rows.prices.bands.len()];
        rows.add(part, |_, slot, add| {
            if let Some(sums) = of_band.get_mut(slot.band) {
                add(sums.get_or_insert_with(Sums::default));
            }
        });
        let bands = of_band.into_iter().enumerate();
        bases.extend(bands.filter_map(|(band, sums)| Some(Base { part: number, band, sums: sums? })));
    }
    bases
}
