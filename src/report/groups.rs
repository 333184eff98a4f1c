//! The figures of groups, added up over the fleet.

use std::ops::Range;

use super::axis::{Axis, Line};
use super::data::Data;
use super::fleet::Part;
use super::priced_rows::When;
use super::sums::Sums;

/// A group with its keys on both axes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) keys: (usize, usize),
    pub(super) sums: Sums,
}

/// Sums by two axes, of the parts of the fleet that are wanted.
pub(super) fn summed(data: &Data, axes: (&Axis, &Axis), is_in: impl Fn(&Part) -> bool) -> Vec<Group> {
    let mut groups = Groups::new(axes);
    if axes.0.is_time() || axes.1.is_time() {
        for (number, part) in data.fleet.parts.iter().enumerate().filter(|(_, part)| is_in(part)) {
            let table = data.prices.table_of(part.node);
            let (x, y) = (axes.0.line(number, table), axes.1.line(number, table));
            data.priced_rows().add(part, |when, _, add| groups.update((key(&x, &when), key(&y, &when)), add));
        }
        return groups.groups;
    }
    for base in &data.bases {
        let Some(part) = data.fleet.parts.get(base.part).filter(|part| is_in(part)) else { continue };
        let model = data.fleet.boards.get(part.board).map_or(0, |board| board.model);
        let keys = (axes.0.of_base(base.part, base.band), axes.1.of_base(base.part, base.band));
        groups.update(keys, |sums| {
            sums.see(part.board, model);
            sums.merge(&base.sums);
        });
    }
    groups.groups
}

fn key(line: &Line<'_>, when: &When) -> usize {
    match when {
        When::Quarter(quarter) => line.at(*quarter),
        When::Day(quarters) => line.of_day(quarters),
    }
}

/// The groups that were found so far.
struct Groups {
    width: usize,
    /// The group of each pair of keys, plus one.
    places: Vec<u32>,
    groups: Vec<Group>,
}

impl Groups {
    fn new((x, y): (&Axis, &Axis)) -> Self {
        let width = y.names.len();
        Self { width, places: vec![0; x.names.len().saturating_mul(width)], groups: Vec::new() }
    }

    fn update(&mut self, keys: (usize, usize), change: impl FnOnce(&mut Sums)) {
        let Some(place) = self.places.get_mut(keys.0 * self.width + keys.1) else { return };
        if *place == 0 {
            self.groups.push(Group { keys, sums: Sums::default() });
            *place = u32::try_from(self.groups.len()).unwrap_or(0);
        }
        let at = usize::try_from(*place).ok().and_then(|place| place.checked_sub(1));
        if let Some(group) = at.and_then(|at| self.groups.get_mut(at)) {
            change(&mut group.sums);
        }
    }
}

/// The quarters of a group: its span on either axis, both together where both are times; else all of the range.
pub(super) fn span_of(data: &Data, axes: (&Axis, &Axis), keys: (usize, usize)) -> Range<usize> {
    let all = data.calendar.quarters();
    let span = |axis: &Axis, key: usize| axis.spans.get(key).cloned().unwrap_or_else(|| all.clone());
    let (one, other) = (span(axes.0, keys.0), span(axes.1, keys.1));
    one.start.max(other.start)..one.end.min(other.end)
}
