//! The power of the last hour, as far as it was seen, and its curve of blocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::document::Document;
use super::figures::Figures;
use crate::reading::Timestamp;

/// The time that a curve shows.
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// A reading stands for the time since the one before it, and at most so many intervals: the rest is not measured.
const MAX_INTERVALS: f64 = 1.5;

/// The interval of documents that name none.
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// The heights of a curve, lowest first.
const HEIGHTS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// A time that was not measured.
const UNMEASURED: char = '·';

/// The powers of one thing, oldest first: from when to when, and watts.
type Series = VecDeque<(Timestamp, Timestamp, f64)>;

/// The powers of the fleet and of each node.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    fleet: Series,
    nodes: BTreeMap<String, Series>,
    last: Option<Timestamp>,
}

impl History {
    /// Adds a cycle. One that is not after the last is known already.
    pub(super) fn add(&mut self, document: &Document) {
        let at = document.started_at;
        if self.last.is_some_and(|last| at <= last) {
            return;
        }
        let longest = interval(document).mul_f64(MAX_INTERVALS);
        let from = self.last.map_or(at.minus(interval(document)), |last| last.max(at.minus(longest)));
        self.last = Some(at);
        let begin = at.minus(HOUR);
        let add = |series: &mut Series, watts: Option<f64>| {
            series.extend(watts.map(|watts| (from, at, watts)));
            while series.front().is_some_and(|(_, to, _)| *to <= begin) {
                series.pop_front();
            }
        };
        add(&mut self.fleet, document.totals.power_w);
        for node in &document.nodes {
            let series = self.nodes.entry(node.node.to_string()).or_default();
            add(series, Figures::of(node.gpus.iter()).power);
        }
        self.nodes.retain(|name, _| document.nodes.iter().any(|node| node.node.as_str() == name));
    }

    /// The curve of the fleet in so many cells, from zero to `limit`.
    pub(super) fn fleet(&self, limit: Option<f64>, n_cells: usize) -> String {
        self.curve(&[&self.fleet], limit, n_cells)
    }

    /// The curve of the sum of some nodes.
    pub(super) fn nodes<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        limit: Option<f64>,
        n_cells: usize,
    ) -> String {
        let series: Vec<&Series> = names.filter_map(|name| self.nodes.get(name)).collect();
        self.curve(&series, limit, n_cells)
    }

    fn curve(&self, series: &[&Series], limit: Option<f64>, n_cells: usize) -> String {
        let Some(end) = self.last else { return String::new() };
        let cells = u32::try_from(n_cells).unwrap_or(u32::MAX).max(1);
        let step = HOUR / cells;
        let slot = |place: u32| (end.minus(step * (cells - place)), end.minus(step * (cells - place - 1)));
        let watts: Vec<Option<f64>> = (0..cells).map(|place| sum_in(series, slot(place))).collect();
        let highest = watts.iter().flatten().copied().fold(0.0, f64::max);
        let top = limit.filter(|limit| *limit > 0.0).unwrap_or(highest);
        watts.iter().map(|watts| watts.map_or(UNMEASURED, |watts| height(watts, top))).collect()
    }
}

/// The interval of a document's cycles.
pub(super) fn interval(document: &Document) -> Duration {
    let seconds = document.interval_s.filter(|seconds| *seconds > 0.0 && seconds.is_finite());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(DEFAULT_INTERVAL)
}

/// The sum of the means of what was measured in a time; none where nothing was.
fn sum_in(series: &[&Series], (from, to): (Timestamp, Timestamp)) -> Option<f64> {
    let mean = |series: &&Series| {
        let inside = series.iter().rev().take_while(|(_, end, _)| *end > from);
        let inside = inside.filter(|(begin, ..)| *begin < to).map(|(.., watts)| (*watts, 1.0));
        let (sum, n) = inside.reduce(|(a, b), (c, d)| (a + c, b + d))?;
        Some(sum / n)
    };
    series.iter().filter_map(mean).reduce(|sum, watts| sum + watts)
}

fn height(watts: f64, top: f64) -> char {
    let share = if top > 0.0 { watts / top } else { 0.0 };
    let steps = HEIGHTS.iter().zip(1_u8..);
    let reached = steps.take_while(|(_, step)| f64::from(*step) - 1.0 < share * 7.0 - 1e-9);
    reached.last().map_or('▁', |(block, _)| *block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_is_from_zero_to_the_limit() {
        let heights: String =
            [0.0, 1.0, 100.0, 101.0, 350.0, 700.0, 900.0].map(|watts| height(watts, 700.0)).iter().collect();
        assert_eq!(heights, "▁▁▁▂▄▇▇");
    }
}
