//! The times that were not measured: those of neighbouring series with one time as one, the largest by themselves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::data::Data;
use super::figures::{QUARTER_MS, hours};
use super::model::Gap;
use super::names::folded;
use crate::reading::Quarter;
use crate::support::counted;

/// The most gaps that are told apart.
pub const MAX_GAPS: usize = 12;

/// The most of a quarter that may be missing where it is no gap, in milliseconds.
const HALF: u32 = QUARTER_MS / 2;

/// A gap whose reason is to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenGap {
    /// The nodes or boards in words: `hgx-[037-048]`.
    pub what: String,
    /// Whether all nodes, whole nodes or single boards are missing.
    pub scope: GapScope,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The numbers of the boards' series in the ledger.
    pub series: Vec<i64>,
    /// The quarters; the end is excluded.
    pub quarters: Range<Quarter>,
    span: Range<usize>,
    missing_ms: i64,
}

impl OpenGap {
    /// The time that a board of it was not measured, in the mean of all.
    pub fn missing_each(&self) -> Duration {
        let n_boards = i64::try_from(self.series.len()).unwrap_or(i64::MAX).max(1);
        Duration::from_millis(u64::try_from(self.missing_ms / n_boards).unwrap_or(0))
    }
}

/// The extent of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapScope {
    /// All nodes, of more than one.
    Fleet,
    /// All boards of the nodes.
    Nodes,
    /// Some boards of a node.
    Boards,
}

/// The reason of a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapReason {
    /// The reason, in the words of the product.
    pub reason: String,
    /// More of it, or advice.
    pub hint: Option<String>,
}

/// All that was not measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// The largest, by GPU-hours.
    pub(super) largest: Vec<OpenGap>,
    shorter: (usize, i64),
    single_ms: i64,
    rolled_up_ms: i64,
}

/// A time in which less than half of each quarter of a board was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    part: usize,
    span: Range<usize>,
    missing_ms: i64,
}

impl Gaps {
    pub(super) fn new(data: &Data) -> Self {
        let (mut runs, mut gaps) = (Vec::new(), Self::default());
        for (number, part) in data.fleet.parts.iter().enumerate() {
            gaps.rolled_up_ms += part.presence.missing_days.iter().map(|(_, missing)| missing).sum::<i64>();
            gaps.single_ms += add_runs(data, number, &mut runs);
        }
        let mut open = merged(data, runs);
        open.sort_by_key(|gap| (Reverse(gap.missing_ms), gap.span.start, gap.what.clone()));
        let shorter = open.split_off(open.len().min(MAX_GAPS));
        gaps.shorter = (shorter.len(), shorter.iter().map(|gap| gap.missing_ms).sum());
        gaps.largest = open;
        gaps
    }

    /// With the reasons of the largest, in their order.
    pub(super) fn told(&self, data: &Data, reasons: &[Option<GapReason>]) -> Vec<Gap> {
        let unknown = || GapReason { reason: "the reason is not known".to_owned(), hint: None };
        let largest = self.largest.iter().enumerate().map(|(at, gap)| {
            let told = reasons.get(at).cloned().flatten().unwrap_or_else(unknown);
            Gap {
                number: Some(at + 1),
                what: gap.what.clone(),
                from: Some(data.calendar.moment(gap.span.start)),
                to: Some(data.calendar.moment(gap.span.end)),
                gpu_hours: hours(gap.missing_ms),
                reason: told.reason,
                hint: told.hint,
            }
        });
        let n_shorter = counted(self.shorter.0, "shorter gap", "shorter gaps");
        let rest = |what: &str, missing_ms, reason: &str| (what.to_owned(), missing_ms, reason.to_owned());
        let rests = [
            rest(&n_shorter, self.shorter.1, "each of less than those above"),
            rest("single readings", self.single_ms, "readings that are missing here and there"),
            rest("rolled-up days", self.rolled_up_ms, "their times of day are no longer kept"),
        ];
        let rests = rests.into_iter().filter(|(_, missing_ms, _)| *missing_ms > 0);
        let rests = rests.map(|(what, missing_ms, reason)| Gap {
            number: None,
            what,
            from: None,
            to: None,
            gpu_hours: hours(missing_ms),
            reason,
            hint: None,
        });
        largest.chain(rests).collect()
    }
}

/// Adds the runs of a part; gives what is missing besides, in milliseconds.
fn add_runs(data: &Data, number: usize, runs: &mut Vec<Run>) -> i64 {
    let mut single_ms = 0;
    let first = runs.len();
    for missing in data.fleet.parts.get(number).map_or(&[][..], |part| &part.presence.missing) {
        let n_quarters = i64::try_from(missing.quarters.len()).unwrap_or(0);
        let missing_ms = i64::from(missing.each_ms) * n_quarters;
        if missing.each_ms <= HALF {
            single_ms += missing_ms;
            continue;
        }
        let last = runs.get_mut(first..).and_then(<[Run]>::last_mut);
        match last.filter(|run| run.span.end == missing.quarters.start) {
            Some(run) => {
                run.span.end = missing.quarters.end;
                run.missing_ms += missing_ms;
            }
            None => runs.push(Run { part: number, span: missing.quarters.clone(), missing_ms }),
        }
    }
    single_ms
}

/// Runs of one time as one gap: of whole nodes together, else of the boards of each node.
fn merged(data: &Data, runs: Vec<Run>) -> Vec<OpenGap> {
    let mut spans = BTreeMap::<usize, Vec<Range<usize>>>::new();
    runs.iter().for_each(|run| spans.entry(run.part).or_default().push(run.span.clone()));
    let outage = Outage { data, spans };
    let mut by_time = BTreeMap::<(usize, usize), BTreeMap<usize, Vec<Run>>>::new();
    for run in runs {
        let Some(part) = data.fleet.parts.get(run.part) else { continue };
        let of_time = by_time.entry((run.span.start, run.span.end)).or_default();
        of_time.entry(part.node).or_default().push(run);
    }
    let mut gaps = Vec::new();
    for ((start, end), nodes) in by_time {
        let span = start..end;
        let (whole, parts): (Vec<_>, Vec<_>) =
            nodes.into_iter().partition(|(node, _)| outage.is_whole(*node, &span));
        gaps.extend(parts.iter().map(|(node, runs)| outage.of_boards(*node, runs, &span)));
        if !whole.is_empty() {
            gaps.push(outage.of_nodes(&whole, &span));
        }
    }
    gaps
}

/// The times that are missing, by part.
struct Outage<'a> {
    data: &'a Data,
    spans: BTreeMap<usize, Vec<Range<usize>>>,
}

impl Outage<'_> {
    /// Whether no board that was expected on a node was measured in a time.
    fn is_whole(&self, node: usize, span: &Range<usize>) -> bool {
        let parts = self.data.fleet.parts.iter().enumerate();
        let mut there = parts
            .filter(|(_, part)| part.node == node && part.presence.is_alive(span.start))
            .map(|(at, _)| at);
        there.all(|part| {
            let spans = self.spans.get(&part).map_or(&[][..], Vec::as_slice);
            spans.iter().any(|other| other.start <= span.start && span.end <= other.end)
        })
    }

    fn of_nodes(&self, nodes: &[(usize, Vec<Run>)], span: &Range<usize>) -> OpenGap {
        let own: Vec<usize> = nodes.iter().map(|(node, _)| *node).collect();
        let there = self.data.fleet.parts.iter().filter(|part| part.presence.is_alive(span.start));
        let there: BTreeSet<usize> = there.map(|part| part.node).collect();
        let is_all =
            own.len() > 1 && there.iter().all(|node| own.contains(node) || self.is_whole(*node, span));
        let names = self.names(&own);
        let what = if is_all { "all nodes".to_owned() } else { folded(&names) };
        let scope = if is_all { GapScope::Fleet } else { GapScope::Nodes };
        let runs: Vec<&Run> = nodes.iter().flat_map(|(_, runs)| runs).collect();
        self.open(what, scope, &names, &runs, span)
    }

    fn of_boards(&self, node: usize, runs: &[Run], span: &Range<usize>) -> OpenGap {
        let names = self.names(&[node]);
        let boards = runs.iter().filter_map(|run| self.data.fleet.parts.get(run.part));
        let boards = boards.filter_map(|part| self.data.fleet.boards.get(part.board));
        let boards: Vec<&str> = boards.map(|board| board.short.as_str()).collect();
        let what = format!("{} {}", names.join(", "), boards.join(", "));
        self.open(what, GapScope::Boards, &names, &runs.iter().collect::<Vec<_>>(), span)
    }

    fn open(
        &self,
        what: String,
        scope: GapScope,
        nodes: &[&str],
        runs: &[&Run],
        span: &Range<usize>,
    ) -> OpenGap {
        let board = |run: &&&Run| {
            let part = self.data.fleet.parts.get(run.part)?;
            self.data.fleet.boards.get(part.board).map(|board| board.series)
        };
        OpenGap {
            what,
            scope,
            nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
            series: runs.iter().filter_map(|run| board(&run)).collect(),
            quarters: self.data.calendar.quarter(span.start)..self.data.calendar.quarter(span.end),
            span: span.clone(),
            missing_ms: runs.iter().map(|run| run.missing_ms).sum(),
        }
    }

    fn names(&self, nodes: &[usize]) -> Vec<&str> {
        nodes
            .iter()
            .filter_map(|node| self.data.fleet.nodes.get(*node))
            .map(|node| node.name.as_str())
            .collect()
    }
}
