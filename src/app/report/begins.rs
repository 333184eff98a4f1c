//! The beginnings of the ledger and of the timeline, and what follows from them for a report.

use std::ops::Range;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::moment;
use crate::reading::{Quarter, Timestamp};
use crate::store::{DerivationRules, Error, LedgerReader};

/// The beginnings, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begins {
    /// The first quarter of the ledger, if there is one that can be read and it is not empty.
    pub(super) ledger: Option<Quarter>,
    /// The first reading of the timeline.
    timeline: Option<Timestamp>,
}

impl Begins {
    /// Asks the database for both.
    pub(super) async fn read(reader: &mut LedgerReader, rules: &DerivationRules) -> Result<Self, Error> {
        let has_ledger = reader.access().is_readable();
        let ledger = if has_ledger { reader.span().await?.map(|span| span.start) } else { None };
        let timeline = reader.timeline_ends(rules).await?.map(|(first, _)| first);
        Ok(Self { ledger, timeline })
    }

    /// The first quarter of the timeline, where the ledger does not have a range from its beginning.
    pub(super) fn timeline_of(&self, range: &Range<Quarter>) -> Option<Quarter> {
        let is_whole = self.ledger.is_some_and(|ledger| ledger <= range.start);
        self.timeline.filter(|_| !is_whole).map(Quarter::at)
    }

    /// The time from which on the timeline has its rows, if earlier ones were removed: as `keep` says, or as its first row
    /// is later than the ledger.
    pub(super) fn kept_from(&self, keep: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let is_later = |first: &Timestamp| self.ledger.is_some_and(|ledger| ledger < Quarter::at(*first));
        keep.map(|keep| now.minus(keep)).max(self.timeline.filter(is_later))
    }

    /// The remark on a ledger that begins within the range and later than the timeline.
    pub(super) fn note(&self, range: &Range<Quarter>, zone: &TimeZone) -> Option<String> {
        let (ledger, timeline) = self.ledger.zip(self.timeline_of(range))?;
        if timeline >= ledger || ledger >= range.end {
            return None;
        }
        let [ledger, timeline] = [ledger, timeline].map(|quarter| moment(quarter, zone));
        Some(format!(
            "The ledger begins on {}, the timeline on {}: `fleetwatt ledger rebuild --from {timeline}` adds what is \
             missing.",
            ledger.0.date(),
            timeline.0.date()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An hour of 1970, and the quarter that begins with it.
    fn hour(hour: i64) -> (Timestamp, Quarter) {
        let at = Timestamp::from_micros(hour * 3_600_000_000);
        (at, Quarter::at(at))
    }

    fn begins(ledger: i64, timeline: i64) -> Begins {
        Begins { ledger: Some(hour(ledger).1), timeline: Some(hour(timeline).0) }
    }

    #[test]
    fn a_timeline_that_begins_later_than_the_ledger_lost_its_rows() {
        let (hours, now) = (Duration::from_hours, hour(100).0);
        assert_eq!(begins(10, 20).kept_from(None, now), Some(hour(20).0));
        assert_eq!(begins(10, 10).kept_from(None, now), None);
        assert_eq!(begins(20, 10).kept_from(Some(hours(60)), now), Some(hour(40).0));
        assert_eq!(begins(10, 70).kept_from(Some(hours(60)), now), Some(hour(70).0));
        let no_ledger = Begins { ledger: None, ..begins(10, 70) };
        assert_eq!(no_ledger.kept_from(None, now), None);
    }

    #[test]
    fn a_ledger_that_begins_within_the_range_and_after_the_timeline_is_told() {
        let note = |begins: Begins| begins.note(&(hour(24).1..hour(96).1), &TimeZone::UTC);
        assert_eq!(
            note(begins(49, 3)).unwrap(),
            "The ledger begins on 1970-01-03, the timeline on 1970-01-01: `fleetwatt ledger rebuild --from \
             1970-01-01T03:00:00+00:00` adds what is missing."
        );
        assert_eq!([begins(24, 3), begins(49, 49), begins(96, 3)].map(note), [const { None }; 3]);
    }
}
