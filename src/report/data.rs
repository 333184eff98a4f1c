//! All that a report is computed from, once every row is known.

use super::calendar::Calendar;
use super::facts::Facts;
use super::fleet::Fleet;
use super::lane::Cell;
use super::prices::Prices;
use super::tally::Tally;
use crate::reading::Share;

/// The boards, their rows and their prices.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) calendar: Calendar,
    pub(super) fleet: Fleet,
    pub(super) prices: Prices,
    idle_below: Share,
}

impl Data {
    pub(super) fn new(tally: Tally, facts: &Facts<'_>) -> Self {
        let calendar = Calendar::new(tally.range().clone(), tally.zone().clone());
        let fleet = Fleet::new(tally, facts, &calendar);
        let prices = Prices::new(facts.tariffs, &fleet.nodes, &calendar);
        Self { calendar, fleet, prices, idle_below: facts.idle_below }
    }

    /// Whether a board was idle in the time of a cell, if that is known.
    pub(super) fn is_idle(&self, cell: &Cell) -> Option<bool> {
        const WHOLE: i64 = 100_000;
        let busy = i64::from(cell.busy_ms()?) * WHOLE;
        Some(busy < self.idle_below.millipercent().saturating_mul(cell.covered_ms.into()))
    }
}
