//! The load profile of a series on one node, its figures by quarter-hour: a cell of 24 bytes each, in blocks that exist only where there is a
//! row, so that 800 boards take 55 MB in a month.

use std::ops::Range;

use crate::ledger::Entry;

/// Quarters of a block.
const BLOCK: usize = 96;

/// The busy time of a cell where it is not known.
const UNKNOWN: u32 = u32::MAX;

/// The figures of a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Cell {
    pub(super) energy_mj: i64,
    pub(super) covered_ms: u32,
    busy_ms: u32,
    pub(super) max_mw: u32,
    pub(super) variance_mj2: f32,
}

impl Cell {
    /// The time in which the GPU was busy, in milliseconds, if it is known.
    pub(super) fn busy_ms(&self) -> Option<u32> {
        Some(self.busy_ms).filter(|busy| *busy != UNKNOWN)
    }

    #[allow(clippy::cast_possible_truncation, reason = "a standard deviation needs no 24 bits")]
    fn add(&mut self, entry: &Entry) {
        self.energy_mj = self.energy_mj.saturating_add(entry.energy_mj);
        self.covered_ms = self.covered_ms.saturating_add(bounded(entry.covered_ms));
        let busy = self.busy_ms().zip(entry.busy_ms);
        self.busy_ms =
            busy.map_or(UNKNOWN, |(one, other)| one.saturating_add(bounded(other)).min(UNKNOWN - 1));
        self.max_mw = self.max_mw.max(entry.max_mw.map_or(0, bounded));
        self.variance_mj2 += entry.variance_mj2 as f32;
    }

    /// The same of a board whose energies are to be multiplied by a gain.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a gain has fewer digits than a float"
    )]
    fn times(&mut self, gain: f64) {
        self.energy_mj = (self.energy_mj as f64 * gain).round() as i64;
        self.max_mw = (f64::from(self.max_mw) * gain).round() as u32;
        self.variance_mj2 *= (gain * gain) as f32;
    }
}

fn bounded(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// The figures of a local day whose quarters were rolled up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Day {
    /// Its quarters within the range.
    pub(super) quarters: Range<usize>,
    /// Its sums; its covered and busy times are those of a day.
    pub(super) cell: Cell,
}

/// The rows of a series on a node, added up by quarter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadProfile {
    /// The number of the series.
    pub(super) series: i64,
    /// The number of the node.
    pub(super) node: i64,
    blocks: Vec<Option<Box<[Cell]>>>,
    /// Days that were rolled up, in order.
    pub(super) days: Vec<Day>,
    /// The first and last quarter with a row.
    pub(super) seen: Option<(usize, usize)>,
}

impl LoadProfile {
    /// Without rows, for a range of so many quarters.
    pub(super) fn new(series: i64, node: i64, n_quarters: usize) -> Self {
        let blocks = vec![None; n_quarters.div_ceil(BLOCK)];
        Self { series, node, blocks, days: Vec::new(), seen: None }
    }

    /// Adds a row of a quarter.
    pub(super) fn add(&mut self, quarter: usize, entry: &Entry) {
        if let Some(block) = self.blocks.get_mut(quarter / BLOCK) {
            let block = block.get_or_insert_with(|| vec![Cell::default(); BLOCK].into_boxed_slice());
            if let Some(cell) = block.get_mut(quarter % BLOCK) {
                cell.add(entry);
            }
        }
        self.see(quarter, quarter);
    }

    /// Adds a row of a rolled-up day.
    pub(super) fn add_day(&mut self, quarters: Range<usize>, entry: &Entry) {
        let place = self.days.binary_search_by_key(&quarters.start, |day| day.quarters.start);
        let place = place.unwrap_or_else(|place| {
            self.days.insert(place, Day { quarters: quarters.clone(), cell: Cell::default() });
            place
        });
        if let Some(day) = self.days.get_mut(place) {
            day.cell.add(entry);
        }
        self.see(quarters.start, quarters.end.saturating_sub(1));
    }

    fn see(&mut self, first: usize, last: usize) {
        let seen = self.seen.map_or((first, last), |seen| (seen.0.min(first), seen.1.max(last)));
        self.seen = Some(seen);
    }

    /// Multiplies all energies.
    pub(super) fn multiply(&mut self, gain: f64) {
        let cells = self.blocks.iter_mut().flatten().flat_map(|block| block.iter_mut());
        cells.chain(self.days.iter_mut().map(|day| &mut day.cell)).for_each(|cell| cell.times(gain));
    }

    /// The cell of a quarter, if there may be one.
    pub(super) fn cell(&self, quarter: usize) -> Option<&Cell> {
        self.blocks.get(quarter / BLOCK)?.as_ref()?.get(quarter % BLOCK)
    }

    /// The covered time of a quarter in milliseconds; none of rolled-up days.
    pub(super) fn covered_ms(&self, quarter: usize) -> u32 {
        self.cell(quarter).map_or(0, |cell| cell.covered_ms)
    }

    /// The cells that have energy or covered time, in order.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, &Cell)> {
        let blocks = self.blocks.iter().enumerate().filter_map(|(at, block)| Some((at, block.as_ref()?)));
        let cells = blocks.flat_map(|(at, block)| (at * BLOCK..).zip(block.iter()));
        cells.filter(|(_, cell)| cell.covered_ms > 0 || cell.energy_mj != 0)
    }
}
