//! The time in which a board should have been measured, and what of it was not.
//!
//! A board is expected from the quarter of its first row until the end of the range, or of what is past of it; from the
//! beginning of the range if it was seen before. Where its node has left the inventory, or another board has taken its
//! place, it is expected until its last row. The quarter in which a board begins or ends, and the one that is running,
//! count as far as they were measured. What was not measured belongs to the node where the board was last.

use std::ops::Range;

use super::figures::QUARTER_MS;
use super::load_profile::LoadProfile;
use crate::ledger::MAX_COVERED_MS;

/// When a board is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// The quarters.
    pub(super) quarters: Range<usize>,
    /// Whether the board was not seen before them.
    pub(super) is_new: bool,
    /// Whether the board is gone after them.
    pub(super) is_gone: bool,
}

impl Expected {
    /// Whether a part of the time counts only as far as it was measured.
    fn is_edge(&self, part: &Range<usize>) -> bool {
        (self.is_new && part.start <= self.quarters.start) || (self.is_gone && self.quarters.end <= part.end)
    }
}

/// Neighbouring quarters that miss the same time each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// The quarters.
    pub(super) quarters: Range<usize>,
    /// Milliseconds that were not measured, in each.
    pub(super) each_ms: u32,
}

/// The presence of a board on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Presence {
    /// The quarters in which the board was expected there.
    pub(super) alive: Vec<Range<usize>>,
    /// The time of them that was not measured.
    pub(super) missing: Vec<Missing>,
    /// The time of rolled-up days that was not measured, in milliseconds.
    pub(super) missing_days: Vec<(Range<usize>, i64)>,
    /// The quarters of which more was measured than there is.
    pub(super) twice: Vec<Range<usize>>,
}

impl Presence {
    /// Whether the board was expected there.
    pub(super) fn is_alive(&self, quarter: usize) -> bool {
        self.alive.iter().any(|span| span.contains(&quarter))
    }

    fn add_alive(&mut self, quarters: Range<usize>) {
        match self.alive.last_mut().filter(|last| last.end == quarters.start) {
            Some(last) => last.end = quarters.end,
            None => self.alive.push(quarters),
        }
    }

    fn add_twice(&mut self, quarters: Range<usize>) {
        match self.twice.last_mut().filter(|last| last.end == quarters.start) {
            Some(last) => last.end = quarters.end,
            None => self.twice.push(quarters),
        }
    }

    fn add_missing(&mut self, quarter: usize, each_ms: u32) {
        let last = self.missing.last_mut();
        match last.filter(|last| last.quarters.end == quarter && last.each_ms == each_ms) {
            Some(last) => last.quarters.end = quarter + 1,
            None => self.missing.push(Missing { quarters: quarter..quarter + 1, each_ms }),
        }
    }
}

/// The presence of a board in each of its profiles.
pub(super) fn of_board(profiles: &[LoadProfile], expected: &Expected) -> Vec<Presence> {
    let mut presences = vec![Presence::default(); profiles.len()];
    let mut owner = first_owner(profiles);
    let mut quarter = expected.quarters.start;
    while quarter < expected.quarters.end {
        let part = day_at(profiles, quarter).unwrap_or(quarter..quarter + 1);
        let part = quarter..part.end.min(expected.quarters.end).max(quarter + 1);
        let covered = covered_ms(profiles, &part);
        owner = next_owner(profiles, &part, owner);
        if let Some(presence) = presences.get_mut(owner) {
            let whole = i64::from(QUARTER_MS).saturating_mul(i64::try_from(part.len()).unwrap_or(0));
            let missing = if expected.is_edge(&part) { 0 } else { (whole - covered).max(0) };
            let is_day = part.len() > 1;
            if is_day && missing > 0 {
                presence.missing_days.push((part.clone(), missing));
            } else if missing > 0 {
                presence.add_missing(quarter, u32::try_from(missing).unwrap_or(QUARTER_MS));
            }
            let most = MAX_COVERED_MS.saturating_mul(i64::try_from(part.len()).unwrap_or(i64::MAX));
            if covered > most {
                presence.add_twice(part.clone());
            }
            presence.add_alive(part.clone());
        }
        quarter = part.end;
    }
    presences
}

/// The profile with the first row; the first of all if none has any.
fn first_owner(profiles: &[LoadProfile]) -> usize {
    let seen = profiles.iter().enumerate().filter_map(|(at, profile)| Some((profile.seen?.0, at)));
    seen.min().map_or(0, |(_, at)| at)
}

/// The profile where the board was last within a part of the time: where it changes, the one that it went to.
fn next_owner(profiles: &[LoadProfile], part: &Range<usize>, owner: usize) -> usize {
    if profiles.len() < 2 {
        return owner;
    }
    let is_covered = |profile: &LoadProfile| covered_ms(std::slice::from_ref(profile), part) > 0;
    let mut others = profiles.iter().enumerate().filter(|(at, profile)| *at != owner && is_covered(profile));
    // Of a board that comes back within a part, the later profile would be another: the one that goes on.
    let goes_on =
        |profile: &LoadProfile| covered_ms(std::slice::from_ref(profile), &(part.end..part.end + 1)) > 0;
    if profiles.get(owner).is_some_and(goes_on) { owner } else { others.next().map_or(owner, |(at, _)| at) }
}

/// The covered time of quarters and of days that begin in them.
fn covered_ms(profiles: &[LoadProfile], part: &Range<usize>) -> i64 {
    let of_profile = |profile: &LoadProfile| {
        let quarters: i64 = part.clone().map(|quarter| i64::from(profile.covered_ms(quarter))).sum();
        let days = profile.days.iter().filter(|day| part.contains(&day.quarters.start));
        quarters.saturating_add(days.map(|day| i64::from(day.cell.covered_ms)).sum())
    };
    profiles.iter().map(of_profile).sum()
}

/// The rolled-up day that has a quarter.
fn day_at(profiles: &[LoadProfile], quarter: usize) -> Option<Range<usize>> {
    let in_profile = |profile: &LoadProfile| {
        let after = profile.days.partition_point(|day| day.quarters.start <= quarter);
        let day = profile.days.get(after.checked_sub(1)?)?;
        day.quarters.contains(&quarter).then(|| day.quarters.clone())
    };
    profiles.iter().find_map(in_profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Method};

    fn entry(covered_ms: i64) -> Entry {
        Entry {
            energy_mj: covered_ms,
            covered_ms,
            samples: 1,
            min_mw: None,
            max_mw: None,
            variance_mj2: 0.0,
            busy_ms: None,
            method: Method::READINGS,
        }
    }

    /// A profile of eight quarters, with the covered seconds of some of them.
    fn profile(node: i64, covered: &[(usize, i64)]) -> LoadProfile {
        let mut profile = LoadProfile::new(1, node, 8);
        covered.iter().for_each(|(quarter, seconds)| profile.add(*quarter, &entry(seconds * 1_000)));
        profile
    }

    fn only(quarters: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(quarters).collect()
    }

    fn whole(quarters: Range<usize>) -> Expected {
        Expected { quarters, is_new: false, is_gone: false }
    }

    #[test]
    fn the_edges_of_a_new_and_of_a_gone_board_count_as_far_as_they_were_measured() {
        let profiles = [profile(1, &[(2, 60), (3, 900), (5, 600), (6, 300)])];
        let expected = Expected { quarters: 2..7, is_new: true, is_gone: true };
        let presence = &of_board(&profiles, &expected)[0];
        assert_eq!(presence.alive, only(2..7));
        let missing = |quarters: Range<usize>, each_ms| Missing { quarters, each_ms };
        assert_eq!(presence.missing, [missing(4..5, 900_000), missing(5..6, 300_000)]);
    }

    #[test]
    fn a_board_that_moves_is_expected_once_and_its_gap_is_where_it_was_last() {
        let profiles = [profile(1, &[(0, 900), (1, 300)]), profile(2, &[(3, 500), (4, 900)])];
        let [old, new] = &of_board(&profiles, &whole(0..6))[..] else { panic!() };
        assert_eq!((&old.alive, &new.alive), (&only(0..3), &only(3..6)));
        let missing = |quarters: Range<usize>, each_ms| Missing { quarters, each_ms };
        assert_eq!(old.missing, [missing(1..2, 600_000), missing(2..3, 900_000)]);
        assert_eq!(new.missing, [missing(3..4, 400_000), missing(5..6, 900_000)]);
    }

    #[test]
    fn a_quarter_that_two_nodes_share_misses_what_neither_measured() {
        let profiles = [profile(1, &[(0, 900), (1, 400)]), profile(2, &[(1, 300), (2, 900)])];
        let [old, new] = &of_board(&profiles, &whole(0..3))[..] else { panic!() };
        assert_eq!((&old.alive, &new.alive), (&only(0..1), &only(1..3)));
        assert_eq!((old.missing.len(), new.missing[0].each_ms), (0, 200_000));
    }

    #[test]
    fn a_day_that_was_rolled_up_misses_a_time_of_its_own() {
        let mut one = profile(1, &[(0, 900), (7, 900)]);
        one.add_day(2..6, &entry(3_000_000));
        let presence = &of_board(&[one], &whole(0..8))[0];
        // Four quarters are 3,600,000 ms.
        assert_eq!(presence.missing_days, [(2..6, 600_000)]);
        let quarters: Vec<_> = presence.missing.iter().map(|missing| missing.quarters.clone()).collect();
        assert_eq!((quarters, &presence.alive), (vec![1..2, 6..7], &only(0..8)));
    }

    #[test]
    fn a_board_without_a_row_misses_all_its_time() {
        let presence = &of_board(&[profile(1, &[])], &whole(0..8))[0];
        assert_eq!(presence.missing, [Missing { quarters: 0..8, each_ms: 900_000 }]);
    }
}
