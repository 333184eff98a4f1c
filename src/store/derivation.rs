//! The rows of a ledger from those of the timeline, in place of a ledger or to compute it again.

use std::ops::Range;
use std::time::Duration;

use crate::batch::{TimelineReader, TimelineRow};
use crate::ledger::{Names, NumberedRow, Rebuild};
use crate::reading::{Quantity, Quarter, Timestamp};

/// Rows are read from so long before a time on: the segment that crosses its beginning needs the reading before it and
/// the interval, and boards of a slim timeline their facts, which are there every day.
const LEAD: Duration = Duration::from_hours(48);

/// Rows are read until so long after a time, if no gap may be longer: three intervals of 20 minutes.
const TAIL: Duration = Duration::from_hours(1);

/// The rules by which readings become energy, as the one who keeps the ledger has them.
#[derive(Debug, Clone, Copy)]
pub struct DerivationRules {
    /// The figures of stations that the timeline may have.
    pub figures: &'static [(Quantity, &'static str)],
    /// `[ledger] max_gap`.
    pub max_gap: Option<Duration>,
}

/// Rows of the timeline on their way to the ledger.
#[derive(Debug)]
pub(super) struct Derivation {
    reader: TimelineReader,
    rebuild: Rebuild,
    quarters: Range<Quarter>,
    max_gap: Option<Duration>,
}

impl Derivation {
    /// Of some quarters. Without a ledger, rows count too that say that no ledger has them.
    pub(super) fn new(quarters: Range<Quarter>, rules: &DerivationRules, has_ledger: bool) -> Self {
        let reader = TimelineReader::new(rules.figures);
        let reader = if has_ledger { reader } else { reader.without_ledger() };
        Self { reader, rebuild: Rebuild::new(rules.max_gap), quarters, max_gap: rules.max_gap }
    }

    /// The event types that are to be read.
    pub(super) fn event_types(&self) -> Vec<&'static str> {
        self.reader.event_types().collect()
    }

    /// The time of the rows that are to be read.
    pub(super) fn time(&self) -> Range<Timestamp> {
        let tail = TAIL.max(self.max_gap.unwrap_or_default());
        self.quarters.start.start().minus(LEAD)..self.quarters.end.start().plus(tail)
    }

    /// Takes the next row in the order of time, of facts before values, and gives the rows of the ledger that are complete.
    pub(super) fn take(&mut self, row: &TimelineRow<'_>, mut on_row: impl FnMut(NumberedRow)) {
        let Some(reading) = self.reader.read(row) else { return };
        let quarters = &self.quarters;
        self.rebuild.take(&reading, |row| {
            if quarters.contains(&row.quarter) {
                on_row(row);
            }
        });
    }

    /// Gives the rest, and the names.
    pub(super) fn finish(mut self, mut on_row: impl FnMut(NumberedRow)) -> Names {
        let quarters = self.quarters;
        self.rebuild.finish(|row| {
            if quarters.contains(&row.quarter) {
                on_row(row);
            }
        });
        self.rebuild.names()
    }
}
