//! From when to when the ledger and the timeline go, and what follows from it for a report.

use std::ops::Range;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::moment;
use crate::reading::{Quarter, Timestamp};
use crate::store::{DerivationRules, Error, LedgerReader};

/// Both, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Extents {
    /// From the first quarter of the ledger to the end of its last one, if there is one that can be read and it is not
    /// empty.
    pub(super) ledger: Option<Range<Quarter>>,
    /// The first and the last reading of the timeline.
    timeline: Option<(Timestamp, Timestamp)>,
}

impl Extents {
    /// Asks the database for both.
    pub(super) async fn read(reader: &mut LedgerReader, rules: &DerivationRules) -> Result<Self, Error> {
        let has_ledger = reader.access().is_readable();
        let ledger = if has_ledger { reader.span().await? } else { None };
        Ok(Self { ledger, timeline: reader.timeline_ends(rules).await? })
    }

    /// The first quarter of the ledger.
    pub(super) fn ledger_start(&self) -> Option<Quarter> {
        self.ledger.as_ref().map(|ledger| ledger.start)
    }

    /// The first quarter of the timeline, where the ledger does not have a range from its beginning.
    pub(super) fn timeline_of(&self, range: &Range<Quarter>) -> Option<Quarter> {
        let is_whole = self.ledger_start().is_some_and(|ledger| ledger <= range.start);
        self.timeline.filter(|_| !is_whole).map(|(first, _)| Quarter::at(first))
    }

    /// The time from which on the timeline has its rows, if earlier ones were removed: as `keep` says, or as its first row
    /// is later than the ledger.
    pub(super) fn kept_from(&self, keep: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let is_later =
            |first: &Timestamp| self.ledger_start().is_some_and(|ledger| ledger < Quarter::at(*first));
        keep.map(|keep| now.minus(keep)).max(self.timeline.map(|(first, _)| first).filter(is_later))
    }

    /// The remarks on a ledger that begins within the range and later than the timeline, and on one that ends before the
    /// timeline: what it lacks was measured, and only is not in it.
    pub(super) fn notes(&self, range: &Range<Quarter>, zone: &TimeZone) -> Vec<String> {
        let begins = self.ledger_start().zip(self.timeline_of(range));
        let begins = begins.filter(|(ledger, timeline)| timeline < ledger && *ledger < range.end);
        let begins = begins.map(|(ledger, timeline)| {
            let [ledger, timeline] = [ledger, timeline].map(|quarter| moment(quarter, zone));
            format!(
                "The ledger begins on {}, the timeline on {}: `fleetwatt ledger rebuild --from {timeline}` adds what is \
                 missing.",
                ledger.0.date(),
                timeline.0.date()
            )
        });
        let ends = self.ledger.as_ref().zip(self.timeline.map(|(_, last)| Quarter::at(last)));
        let ends = ends.filter(|(ledger, timeline)| ledger.end <= *timeline && ledger.end < range.end);
        let ends = ends.map(|(ledger, _)| {
            let end = moment(ledger.end, zone);
            format!(
                "The ledger ends on {}, and the timeline goes on: `fleetwatt ledger rebuild --from {end}` adds what is \
                 missing.",
                end.0.date()
            )
        });
        begins.into_iter().chain(ends).collect()
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

    /// Both until the hundredth hour.
    fn begins(ledger: i64, timeline: i64) -> Extents {
        let end = hour(100);
        Extents { ledger: Some(hour(ledger).1..end.1.next()), timeline: Some((hour(timeline).0, end.0)) }
    }

    #[test]
    fn a_timeline_that_begins_later_than_the_ledger_lost_its_rows() {
        let (hours, now) = (Duration::from_hours, hour(100).0);
        assert_eq!(begins(10, 20).kept_from(None, now), Some(hour(20).0));
        assert_eq!(begins(10, 10).kept_from(None, now), None);
        assert_eq!(begins(20, 10).kept_from(Some(hours(60)), now), Some(hour(40).0));
        assert_eq!(begins(10, 70).kept_from(Some(hours(60)), now), Some(hour(70).0));
        let no_ledger = Extents { ledger: None, ..begins(10, 70) };
        assert_eq!(no_ledger.kept_from(None, now), None);
    }

    #[test]
    fn a_ledger_that_begins_within_the_range_and_after_the_timeline_is_told() {
        let notes = |extents: Extents| extents.notes(&(hour(24).1..hour(96).1), &TimeZone::UTC);
        assert_eq!(
            notes(begins(49, 3)),
            [
                "The ledger begins on 1970-01-03, the timeline on 1970-01-01: `fleetwatt ledger rebuild --from \
              1970-01-01T03:00:00+00:00` adds what is missing."
            ]
        );
        assert_eq!(
            [begins(24, 3), begins(49, 49), begins(96, 3)].map(notes),
            [const { Vec::<String>::new() }; 3]
        );
    }

    #[test]
    fn a_ledger_that_ends_within_the_range_and_before_the_timeline_is_told() {
        let notes = |ledger_end: i64, timeline_end: i64| {
            let (ledger, timeline) = (hour(3).1..hour(ledger_end).1, (hour(3).0, hour(timeline_end).0));
            let extents = Extents { ledger: Some(ledger), timeline: Some(timeline) };
            extents.notes(&(hour(24).1..hour(96).1), &TimeZone::UTC)
        };
        assert_eq!(
            notes(50, 90),
            ["The ledger ends on 1970-01-03, and the timeline goes on: `fleetwatt ledger rebuild --from \
              1970-01-03T02:00:00+00:00` adds what is missing."]
        );
        assert_eq!([notes(50, 49), notes(96, 99)], [const { Vec::<String>::new() }; 2]);
    }
}
