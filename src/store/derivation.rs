//! The rows of a ledger from those of the timeline, in place of a ledger or to compute it again.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use super::ledger_types::{Derived, GPU_FACTS, GPU_POWER, LOOK_BACK, LastSeen};
use crate::batch::{TimelineReader, TimelineRow};
use crate::ledger::{NumberedRow, Rebuild, SeriesReading};
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

impl DerivationRules {
    /// The event types that are to be read.
    pub(super) fn event_types(&self) -> Vec<&'static str> {
        TimelineReader::new(self.figures).event_types().collect()
    }

    /// Those of them that are readings: the timeline of a ledger begins and ends with one.
    pub(super) fn reading_types(&self) -> Vec<&'static str> {
        self.event_types().into_iter().filter(|event_type| *event_type != GPU_FACTS).collect()
    }
}

/// Rows of the timeline on their way to the ledger.
#[derive(Debug)]
pub(super) struct Derivation {
    reader: TimelineReader,
    rebuild: Rebuild,
    quarters: Range<Quarter>,
    rules: DerivationRules,
    /// Reads the rows of [`Derivation::look_back`].
    earlier_reader: TimelineReader,
    /// The last reading of each source in that time, of those that have none between it and the quarters.
    earlier: HashMap<String, SeriesReading>,
    /// The last rows of the ledger before the quarters, by series.
    seen: BTreeMap<i64, LastSeen>,
}

impl Derivation {
    /// Of some quarters. Without a ledger, rows count too that say that no ledger has them.
    pub(super) fn new(quarters: Range<Quarter>, rules: &DerivationRules, has_ledger: bool) -> Self {
        let reader = || {
            let reader = TimelineReader::new(rules.figures);
            if has_ledger { reader } else { reader.without_ledger() }
        };
        Self {
            reader: reader(),
            rebuild: Rebuild::new(rules.max_gap).of_one_collector(),
            quarters,
            rules: *rules,
            earlier_reader: reader(),
            earlier: HashMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// The time before that of the rows, in which boards were seen that are expected in the quarters.
    pub(super) fn look_back(&self) -> Range<Timestamp> {
        let start = self.quarters.start.start();
        start.minus(LOOK_BACK)..start.minus(LEAD)
    }

    /// Takes the last row of a source in the time of [`Derivation::look_back`], of facts before values.
    pub(super) fn take_earlier(&mut self, row: &TimelineRow<'_>) {
        if let Some(reading) = self.earlier_reader.read(row) {
            self.earlier.insert(row.source.to_owned(), reading);
        }
    }

    /// The event types that are to be read.
    pub(super) fn event_types(&self) -> Vec<&'static str> {
        self.rules.event_types()
    }

    /// The time of the rows that are to be read.
    pub(super) fn time(&self) -> Range<Timestamp> {
        let tail = TAIL.max(self.rules.max_gap.unwrap_or_default());
        self.quarters.start.start().minus(LEAD)..self.quarters.end.start().plus(tail)
    }

    /// Takes the next row in the order of time, of facts before values, and gives the rows of the ledger that are complete.
    pub(super) fn take(&mut self, row: &TimelineRow<'_>, mut on_row: impl FnMut(NumberedRow)) {
        let Some(reading) = self.reader.read(row) else { return };
        let Self { quarters, seen, .. } = self;
        if !self.earlier.is_empty() && row.event_type == GPU_POWER && row.at < quarters.start.start() {
            self.earlier.remove(row.source);
        }
        self.rebuild.take(&reading, |row| give_or_note(row, quarters, seen, &mut on_row));
    }

    /// Gives the rest, the names, and what was seen before.
    pub(super) fn finish(self, mut on_row: impl FnMut(NumberedRow)) -> Derived {
        let Self { mut rebuild, quarters, earlier, mut seen, .. } = self;
        rebuild.finish(|row| give_or_note(row, &quarters, &mut seen, &mut on_row));
        for reading in earlier.values() {
            let (series, node) = rebuild.numbers(reading);
            note_last(&mut seen, LastSeen { series, node, quarter: Quarter::at(reading.reading.at) });
        }
        Derived { names: rebuild.names(), last_seen: seen.into_values().collect() }
    }
}

/// Gives a row of the quarters; notes one before them.
fn give_or_note(
    row: NumberedRow,
    quarters: &Range<Quarter>,
    seen: &mut BTreeMap<i64, LastSeen>,
    mut on_row: impl FnMut(NumberedRow),
) {
    let NumberedRow { series, node, quarter, .. } = row;
    if quarters.contains(&quarter) {
        on_row(row);
    } else if quarter < quarters.start {
        note_last(seen, LastSeen { series, node, quarter });
    }
}

/// Notes where a series was, if it is later than what is known.
fn note_last(seen: &mut BTreeMap<i64, LastSeen>, now: LastSeen) {
    let last = seen.entry(now.series).or_insert(now);
    if last.quarter <= now.quarter {
        *last = now;
    }
}
