//! The boards of a report with their rows: named, calibrated, and with the time in which they were expected.

use std::collections::{BTreeMap, BTreeSet};

use super::calendar::Calendar;
use super::facts::Facts;
use super::load_profile::LoadProfile;
use super::presence::{Expected, Presence, of_board};
use super::tally::Tally;
use crate::ledger::{LastSeen, SeriesKey, SeriesName};
use crate::reading::{Quarter, SafeText};
use crate::tariff::Labels;

/// Characters of a UUID that tell boards apart: `GPU-7f9a1c00`.
const SHORT_UUID: usize = 12;

/// The boards of a report.
#[derive(Debug, Clone, Default)]
pub(super) struct Fleet {
    pub(super) nodes: Vec<Node>,
    pub(super) models: Vec<String>,
    pub(super) designs: Vec<Design>,
    pub(super) boards: Vec<Board>,
    /// The parts of boards on nodes, by board.
    pub(super) parts: Vec<Part>,
    /// The flows of stations.
    pub(super) flows: Vec<StationFlow>,
    /// The energy of rolled-up days that are not wholly in the range, in millijoules.
    pub(super) cut_mj: i64,
    /// The first quarter that is not past, within the range; its end if all are.
    pub(super) running: usize,
    /// The first quarter in which a board was measured or expected.
    pub(super) begins: usize,
}

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) labels: Labels,
}

impl Node {
    /// The value of a label, made harmless.
    pub(super) fn label(&self, key: &str) -> Option<String> {
        self.labels.get(key).map(|value| SafeText::new(value).as_str().to_owned())
    }
}

/// Boards whose errors are the same.
#[derive(Debug, Clone)]
pub(super) struct Design {
    pub(super) name: String,
    /// The standard uncertainty as a share; `None` of an estimate.
    pub(super) relative: Option<f64>,
}

/// A board.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) series: i64,
    pub(super) name: String,
    /// Its name on its node: `GPU 6`.
    pub(super) short: String,
    /// The beginning of its UUID, or its place.
    identity: String,
    pub(super) model: usize,
    pub(super) design: usize,
    /// The node where it was last.
    pub(super) node: usize,
}

/// A board on a node.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) board: usize,
    pub(super) node: usize,
    pub(super) profile: LoadProfile,
    pub(super) presence: Presence,
}

/// A flow of a station.
#[derive(Debug, Clone)]
pub(super) struct StationFlow {
    pub(super) serial: String,
    pub(super) model: String,
    pub(super) flow: String,
    pub(super) profile: LoadProfile,
}

/// A series with all its rows.
#[derive(Debug)]
struct Candidate {
    profiles: Vec<LoadProfile>,
    /// Its first and last quarter with a row.
    seen: Option<(usize, usize)>,
    before: Option<LastSeen>,
    /// The number of the node where it was last.
    node: i64,
    /// Whether another board has taken its place.
    is_replaced: bool,
}

impl Fleet {
    pub(super) fn new(tally: Tally, facts: &Facts<'_>, calendar: &Calendar) -> Self {
        let (profiles, cut_mj) = tally.into_profiles();
        let running = calendar.number(Quarter::at(facts.now));
        let mut builder = Builder::new(Self { running, ..Self::default() }, *facts);
        let cut_mj = cut_mj.into_iter().filter(|(node, _)| builder.is_selected(*node));
        let cut_mj = cut_mj.map(|(_, energy)| energy).sum();
        builder.fleet.cut_mj = cut_mj;
        let candidates = candidates(profiles, facts, calendar);
        let (flows, mut boards): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| SeriesKey::station_in(builder.key(candidate.series())).is_some());
        flows.into_iter().for_each(|flow| builder.add_flow(flow));
        mark_replaced(&mut boards);
        boards.into_iter().for_each(|board| builder.add_board(board));
        builder.fleet.tell_apart();
        builder.fleet.begins = builder.fleet.first_quarter();
        builder.fleet
    }

    fn first_quarter(&self) -> usize {
        let first = |part: &Part| {
            let alive = part.presence.alive.first().map(|alive| alive.start);
            alive.into_iter().chain(part.profile.seen.map(|seen| seen.0)).min()
        };
        self.parts.iter().filter_map(first).min().unwrap_or(0)
    }

    /// The values of a label, in the order of their names.
    pub(super) fn label_values(&self, key: &str) -> BTreeSet<String> {
        let nodes: BTreeSet<usize> = self.parts.iter().map(|part| part.node).collect();
        let nodes = nodes.into_iter().filter_map(|node| self.nodes.get(node));
        nodes.filter_map(|node| node.label(key)).collect()
    }

    /// Boards of one name get their identity beside it.
    fn tell_apart(&mut self) {
        let mut counts = BTreeMap::<String, usize>::new();
        self.boards.iter().for_each(|board| *counts.entry(board.name.clone()).or_default() += 1);
        for board in &mut self.boards {
            if counts.get(&board.name).is_some_and(|count| *count > 1) {
                board.name = format!("{} ({})", board.name, board.identity);
            }
        }
    }
}

impl Candidate {
    fn series(&self) -> i64 {
        self.profiles.first().map_or(0, |profile| profile.series)
    }

    /// When it is expected, up to the quarter that is running. `None` if it never was.
    fn expected(&self, is_in_inventory: bool, running: usize) -> Option<Expected> {
        let is_gone = !is_in_inventory || self.is_replaced;
        let start = if self.before.is_some() { 0 } else { self.seen?.0 };
        let behind = self.seen.map(|(_, last)| last + 1);
        let end = if is_gone { behind?.min(running) } else { running };
        let is_gone = is_gone && behind.is_some_and(|behind| behind <= running);
        Some(Expected { quarters: start..end.max(start), is_new: self.before.is_none(), is_gone })
    }
}

/// Profiles by series, with one for each series that was seen before the range and not in it.
fn candidates(profiles: Vec<LoadProfile>, facts: &Facts<'_>, calendar: &Calendar) -> Vec<Candidate> {
    let mut by_series = BTreeMap::<i64, Vec<LoadProfile>>::new();
    profiles.into_iter().for_each(|profile| by_series.entry(profile.series).or_default().push(profile));
    let first = calendar.range().start;
    let recent = facts.last_seen.iter().filter(|seen| seen.is_recent(first));
    let before: BTreeMap<i64, LastSeen> = recent.map(|seen| (seen.series, *seen)).collect();
    for (series, seen) in &before {
        let none = || vec![LoadProfile::new(*series, seen.node, calendar.quarters().end)];
        by_series.entry(*series).or_insert_with(none);
    }
    let candidate = |(series, profiles): (i64, Vec<LoadProfile>)| {
        let seen = profiles.iter().filter_map(|profile| profile.seen);
        let seen = seen.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let last = profiles.iter().max_by_key(|profile| (profile.seen.map(|seen| seen.1), profile.node));
        let node = last.map_or(0, |profile| profile.node);
        Candidate { seen, before: before.get(&series).copied(), node, profiles, is_replaced: false }
    };
    by_series.into_iter().map(candidate).collect()
}

/// Pairs boards that end with boards that are new on the same node behind their end: a board that was exchanged is not
/// missed. One that was not seen in the range at all may have been exchanged before it, and is missed.
fn mark_replaced(boards: &mut [Candidate]) {
    let first = |board: &Candidate| board.seen.map(|seen| seen.0);
    let new: Vec<&Candidate> = boards.iter().filter(|board| board.before.is_none()).collect();
    let mut begun: Vec<_> = new.iter().filter_map(|board| Some((first(board)?, board.node))).collect();
    begun.sort_unstable();
    let mut ended: Vec<_> =
        (0..).zip(boards.iter()).filter_map(|(at, board)| Some((board.seen?.1, at))).collect();
    ended.sort_unstable();
    let mut replaced = BTreeSet::<usize>::new();
    for (first, node) in begun {
        let is_free = |(last, at): &&(usize, usize)| {
            *last <= first
                && !replaced.contains(at)
                && boards.get(*at).is_some_and(|board| board.node == node)
        };
        // Itself it never is, unless it has nothing but one row.
        let is_older = |(_, at): &&(usize, usize)| {
            boards.get(*at).and_then(|board| board.seen).is_some_and(|seen| seen.0 < first)
        };
        if let Some((_, at)) = ended.iter().filter(is_free).find(is_older) {
            replaced.insert(*at);
        }
    }
    for at in replaced {
        if let Some(board) = boards.get_mut(at) {
            board.is_replaced = true;
        }
    }
}

/// A fleet that is being put together.
struct Builder<'a> {
    fleet: Fleet,
    facts: Facts<'a>,
    nodes: BTreeMap<i64, usize>,
}

impl<'a> Builder<'a> {
    const fn new(fleet: Fleet, facts: Facts<'a>) -> Self {
        Self { fleet, facts, nodes: BTreeMap::new() }
    }

    fn named(&self, series: i64) -> Option<&'a SeriesName> {
        self.facts.names.series.get(&series)
    }

    fn key(&self, series: i64) -> &'a str {
        self.named(series).map_or("", |name| name.key.as_str())
    }

    fn model(&self, series: i64) -> String {
        let model = self.named(series).map_or("", |name| name.model.as_str());
        if model.is_empty() { "unknown model".to_owned() } else { SafeText::new(model).as_str().to_owned() }
    }

    fn add_flow(&mut self, flow: Candidate) {
        let series = flow.series();
        let (serial, name) = SeriesKey::station_in(self.key(series)).unwrap_or_default();
        let model = self.model(series);
        // One that was told before the range and not in it is not told.
        for profile in flow.profiles {
            if profile.seen.is_none() || !self.is_selected(profile.node) {
                continue;
            }
            let (serial, flow) = (SafeText::new(serial).as_str().to_owned(), name.to_owned());
            self.fleet.flows.push(StationFlow { serial, model: model.clone(), flow, profile });
        }
    }

    /// Whether the report is of a node or station.
    fn is_selected(&self, node: i64) -> bool {
        let name = self.facts.names.nodes.get(&node);
        self.facts.selected.is_none_or(|selected| name.is_some_and(|name| selected.contains(name)))
    }

    fn add_board(&mut self, board: Candidate) {
        let names = self.facts.names;
        let is_in_inventory =
            names.nodes.get(&board.node).is_some_and(|node| self.facts.nodes.contains_key(node));
        let Some(expected) = board.expected(is_in_inventory, self.fleet.running) else { return };
        let series = board.series();
        let presences = of_board(&board.profiles, &expected);
        let parts = board.profiles.into_iter().zip(presences);
        // A board that moved is followed over all nodes first, so that it is not missed where it left.
        let parts: Vec<_> = parts.filter(|(profile, _)| self.is_selected(profile.node)).collect();
        let last = parts.iter().max_by_key(|(profile, _)| (profile.seen.map(|seen| seen.1), profile.node));
        let Some(node) = last.map(|(profile, _)| profile.node) else { return };
        let gain = self.name_board(series, node);
        for (mut profile, presence) in parts {
            if (gain - 1.0).abs() > f64::EPSILON {
                profile.multiply(gain);
            }
            let (board, node) = (self.fleet.boards.len() - 1, self.node(profile.node));
            self.fleet.parts.push(Part { board, node, profile, presence });
        }
    }

    /// Adds a board without its parts; gives the gain of its readings.
    fn name_board(&mut self, series: i64, node: i64) -> f64 {
        let key = self.key(series);
        let model = self.model(series);
        let uuid = SeriesKey::uuid_in(key);
        let raw_model = self.named(series).map_or("", |name| name.model.as_str());
        let (design, calibration) = self.facts.calibrations.of(uuid, raw_model);
        let design = place(
            &mut self.fleet.designs,
            |known| known.name == design,
            || Design { name: design.to_owned(), relative: calibration.relative },
        );
        let model = place(&mut self.fleet.models, |known| *known == model, || model.clone());
        let node = self.node(node);
        let (short, identity) = self.short_name(series, key);
        let on_node = self.fleet.nodes.get(node).map_or("", |node| node.name.as_str());
        let name =
            if SeriesKey::board_in(key).is_some() { format!("{on_node} {short}") } else { short.clone() };
        self.fleet.boards.push(Board { series, name, short, identity, model, design, node });
        calibration.gain
    }

    /// The number of a node in the fleet.
    fn node(&mut self, id: i64) -> usize {
        if let Some(known) = self.nodes.get(&id) {
            return *known;
        }
        let raw = self.facts.names.nodes.get(&id);
        let name = raw.map_or_else(|| format!("node {id}"), |raw| SafeText::new(raw).as_str().to_owned());
        let labels = raw.and_then(|raw| self.facts.nodes.get(raw)).cloned().unwrap_or_default();
        self.fleet.nodes.push(Node { name, labels });
        let number = self.fleet.nodes.len() - 1;
        self.nodes.insert(id, number);
        number
    }

    /// The name of a board on its node, and its identity.
    fn short_name(&self, series: i64, key: &str) -> (String, String) {
        let own =
            SeriesKey::board_in(key).map_or(key, |own| own.split_once('/').map_or(own, |(_, place)| place));
        let own = SafeText::new(own);
        let is_uuid = SeriesKey::uuid_in(key).is_some();
        let n_chars = if is_uuid { SHORT_UUID } else { usize::MAX };
        let identity: String = own.as_str().chars().take(n_chars).collect();
        let index = self.facts.indices.get(&series).map(|index| format!("GPU {index}"));
        (index.unwrap_or_else(|| identity.clone()), identity)
    }
}

/// The place of something in a list, where it is put if it is not there.
fn place<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    list.iter().position(is_it).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    })
}
