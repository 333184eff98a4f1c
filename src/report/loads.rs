//! The loads of groups by quarter, for peaks and charts.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::axis::Axis;
use super::data::Data;
use super::figures::QUARTER_MS;
use super::fleet::Part;
use super::groups::Group;
use crate::tariff::is_covered;

/// The load of a group in a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) energy_mj: i64,
    pub(super) covered_ms: u64,
    /// That of all boards that were expected.
    pub(super) expected_ms: u64,
}

impl Load {
    /// Whether enough of it was measured to be a peak.
    pub(super) fn is_covered(&self) -> bool {
        is_covered(self.covered_ms, self.expected_ms)
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.energy_mj = self.energy_mj.saturating_add(other.energy_mj);
        self.covered_ms += other.covered_ms;
        self.expected_ms += other.expected_ms;
    }
}

/// Calls `visit` with the load of each group in each quarter in which any of its boards was expected; of each group in
/// the order of time.
pub(super) fn each_load(
    data: &Data,
    axes: (&Axis, &Axis),
    mut visit: impl FnMut(usize, (usize, usize), Load),
) {
    let mut by_keys = BTreeMap::<(usize, usize), Vec<&Part>>::new();
    for (number, part) in data.fleet.parts.iter().enumerate() {
        by_keys.entry((axes.0.of_part(number), axes.1.of_part(number))).or_default().push(part);
    }
    let (n_quarters, width) = (data.calendar.quarters().end, axes.1.n_slots());
    let mut loads = vec![Load::default(); n_quarters * axes.0.n_slots() * width];
    for ((x, y), parts) in by_keys {
        for part in parts {
            let table = data.prices.table_of(part.node);
            let slot = |quarter| axes.0.slot(table, quarter) * width + axes.1.slot(table, quarter);
            add_loads(part, data.fleet.running, |quarter, load| {
                if let Some(sum) = loads.get_mut(slot(quarter) * n_quarters + quarter) {
                    *sum += load;
                }
            });
        }
        for (place, load) in loads.iter_mut().enumerate().filter(|(_, load)| load.expected_ms > 0) {
            let (slot, quarter) = (place / n_quarters, place % n_quarters);
            let keys = (axes.0.key(x, slot / width, quarter), axes.1.key(y, slot % width, quarter));
            visit(quarter, keys, std::mem::take(load));
        }
    }
}

/// The loads of a board on a node. Where it moved within a quarter, each node expects what it measured; the quarter that
/// is running is expected whole, as it is no peak before it was measured.
fn add_loads(part: &Part, running: usize, mut add: impl FnMut(usize, Load)) {
    let expected = Load { expected_ms: QUARTER_MS.into(), ..Load::default() };
    part.presence.alive.iter().flat_map(Clone::clone).for_each(|quarter| add(quarter, expected));
    for (quarter, cell) in part.profile.cells() {
        let covered_ms = u64::from(cell.covered_ms);
        let expected_ms = match part.presence.is_alive(quarter) {
            true => 0,
            false if quarter >= running => QUARTER_MS.into(),
            false => covered_ms,
        };
        add(quarter, Load { energy_mj: cell.energy_mj, covered_ms, expected_ms });
    }
}

/// Adds the highest quarters that were measured well enough; the first of several.
pub(super) fn add_peaks(data: &Data, axes: (&Axis, &Axis), groups: &mut [Group]) {
    let width = axes.1.names.len();
    let mut places = vec![None; axes.0.names.len().saturating_mul(width)];
    for (at, group) in groups.iter().enumerate() {
        if let Some(place) = places.get_mut(group.keys.0 * width + group.keys.1) {
            *place = Some(at);
        }
    }
    each_load(data, axes, |quarter, (x, y), load| {
        let group = places.get(x * width + y).copied().flatten().and_then(|at| groups.get_mut(at));
        if let Some(group) = group.filter(|_| load.is_covered() && load.covered_ms > 0) {
            let is_higher = group.sums.peak.is_none_or(|(_, energy)| energy < load.energy_mj);
            if is_higher {
                group.sums.peak = Some((quarter, load.energy_mj));
            }
        }
    });
}
