//! The memory of a fleet: the identity of each node, its energy counter, and what the broker has of us.
//!
//! The counter of a node goes up by what the counters of its boards go up while they are there. So it never falls, whatever
//! board comes, goes or is lost, and a board that comes does not bring along what it drew elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::device::slug;
use crate::batch::{HostReport, Snapshot};
use crate::ledger::SeriesKey;
use crate::reading::{SafeText, Timestamp};

/// A board that was not seen on its node for so long is not there any more.
const BOARD_GONE_AFTER: Duration = Duration::from_hours(31 * 24);

/// A station that its account does not list for so long is not its any more.
const STATION_GONE_AFTER: Duration = Duration::from_hours(24);

/// A node that left the inventory is waited for so long, while one that is new there has not answered: it may be the same.
const RENAMED_WITHIN: Duration = Duration::from_hours(1);

/// All that is remembered. Its text is a file in the state directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// The name by which the broker knows us; empty until it is made.
    pub(super) client_id: String,
    /// The counter of the fleet.
    pub(super) fleet: Meter,
    /// The nodes, by an identity that outlives their names.
    pub(super) nodes: BTreeMap<String, KnownNode>,
    /// The stations, by their serial numbers.
    pub(super) stations: BTreeMap<String, KnownStation>,
    /// The topics on which the broker may keep something of ours.
    given: BTreeSet<String>,
    /// Those of them that were last asked to be forgotten.
    leaving: BTreeSet<String>,
}

/// A node that has shown its boards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KnownNode {
    /// Its name in the inventory.
    pub(super) name: String,
    /// The energy of its boards.
    pub(super) meter: Meter,
    /// Its boards, by the names of their series in the ledger.
    pub(super) boards: BTreeMap<String, KnownBoard>,
    /// Since when the inventory does not have it.
    gone_since_us: Option<Timestamp>,
}

/// A board of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownBoard {
    /// Its place in the tool's list.
    pub(super) index: Option<u32>,
    /// Its product name; empty where it is not known.
    pub(super) model: String,
    /// When it was last seen.
    seen_us: Timestamp,
    /// Its counter then, in millijoules, where it was known.
    total_mj: Option<i64>,
}

/// A battery station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownStation {
    /// Its name for a person.
    pub(super) name: String,
    /// Its product code.
    pub(super) model: String,
    /// Its vendor.
    pub(super) vendor: String,
    /// When its account last listed it.
    seen_us: Timestamp,
}

/// A counter in millijoules, which never falls; not known until it has begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Meter(pub(super) Option<i64>);

/// A board as a host shows it.
struct Shown {
    series: String,
    index: Option<u32>,
    model: Option<String>,
    is_measured: bool,
    /// All that was measured of it, in millijoules.
    total_mj: Option<i64>,
}

/// The part of a board in counters.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    is_measured: bool,
    total_mj: Option<i64>,
    /// Its energy since it was last seen.
    since_mj: i64,
}

impl Meter {
    /// Begins with all that was measured of the boards, once that is known of each that is measured; then goes on with what
    /// they draw.
    fn go_on(&mut self, boards: &[Drawn]) {
        self.0 = match self.0 {
            Some(before) => Some(boards.iter().fold(before, |sum, one| sum.saturating_add(one.since_mj))),
            None => {
                let counted = || boards.iter().filter(|one| one.is_measured || one.total_mj.is_some());
                let first = counted().next();
                first.and_then(|_| counted().map(|one| one.total_mj).sum())
            }
        };
    }
}

impl Known {
    /// Takes what a cycle says of nodes, boards and stations.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        let (reports, now) = (&snapshot.batch.reports, snapshot.batch.started_at);
        let names: BTreeSet<&str> = reports.iter().map(|report| report.node.as_str()).collect();
        let ids = self.nodes.iter().map(|(id, node)| (node.name.clone(), id.clone()));
        let ids: BTreeMap<String, String> = ids.collect();
        let mut of_fleet = Vec::new();
        for report in reports {
            let shown = shown(report, snapshot);
            let id = ids.get(&report.node).cloned();
            if let Some(id) = id.or_else(|| self.id_of_new(&report.node, &shown, &names)) {
                let drawn: Vec<Drawn> = shown.into_iter().map(|one| self.seat(&id, one, now)).collect();
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.meter.go_on(&drawn);
                }
                of_fleet.extend(drawn);
            }
        }
        self.fleet.go_on(&of_fleet);
        self.drop_gone_nodes(reports, &names, now);
        self.take_stations(snapshot, now);
    }

    /// The identity of the node of a new name; `None` until it has shown its boards, by which it may be known.
    fn id_of_new(&mut self, name: &str, shown: &[Shown], names: &BTreeSet<&str>) -> Option<String> {
        let first = shown.first()?;
        let has_new_name = |node: &KnownNode| {
            !names.contains(node.name.as_str())
                && shown.iter().any(|one| one.uuid().is_some() && node.boards.contains_key(&one.series))
        };
        let id = match self.nodes.iter().find(|(_, node)| has_new_name(node)) {
            Some((id, _)) => id.clone(),
            None => self.new_id(name, shown, first),
        };
        name.clone_into(&mut self.nodes.entry(id.clone()).or_default().name);
        Some(id)
    }

    /// The lowest UUID of its boards, so that it is found again by one who has forgotten all; else by its name.
    fn new_id(&self, name: &str, shown: &[Shown], first: &Shown) -> String {
        let uuids: BTreeSet<&str> = shown.iter().filter_map(Shown::uuid).collect();
        let by_uuid = uuids.into_iter().map(slug);
        let by_name = (0..=self.nodes.len()).map(|n| match n {
            0 => format!("name-{}", slug(name)),
            n => format!("name-{}-{n}", slug(name)),
        });
        let free = by_uuid.chain(by_name).find(|id| !self.nodes.contains_key(id));
        free.unwrap_or_else(|| slug(&first.series))
    }

    /// Notes that a board is on a node, and on no other one.
    fn seat(&mut self, id: &str, shown: Shown, now: Timestamp) -> Drawn {
        let is_there = self.nodes.get(id).is_some_and(|node| node.boards.contains_key(&shown.series));
        let before = if is_there {
            self.nodes.get_mut(id).and_then(|node| node.boards.remove(&shown.series))
        } else {
            // It moved, or is new.
            self.nodes.values_mut().find_map(|node| node.boards.remove(&shown.series))
        };
        let Shown { series, index, model, is_measured, total_mj } = shown;
        let last_mj = before.as_ref().and_then(|board| board.total_mj);
        let since_mj = total_mj.zip(last_mj).map_or(0, |(total, last)| total.saturating_sub(last).max(0));
        let board = KnownBoard {
            index: index.or(before.as_ref().and_then(|board| board.index)),
            model: model.or(before.map(|board| board.model)).unwrap_or_default(),
            seen_us: now,
            total_mj: total_mj.or(last_mj),
        };
        if let Some(node) = self.nodes.get_mut(id) {
            node.boards.insert(series, board);
        }
        Drawn { is_measured, total_mj, since_mj }
    }

    fn drop_gone_nodes(&mut self, reports: &[HostReport], names: &BTreeSet<&str>, now: Timestamp) {
        let known: BTreeSet<&str> = self.nodes.values().map(|node| node.name.as_str()).collect();
        let may_be_renamed =
            reports.iter().any(|report| !report.outcome.is_up() && !known.contains(report.node.as_str()));
        self.nodes.retain(|_, node| {
            node.boards.retain(|_, board| now.since(board.seen_us) <= BOARD_GONE_AFTER);
            if names.contains(node.name.as_str()) {
                node.gone_since_us = None;
                return true;
            }
            let since = *node.gone_since_us.get_or_insert(now);
            may_be_renamed && now.since(since) <= RENAMED_WITHIN
        });
    }

    fn take_stations(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let Some(account) = &snapshot.batch.account else { return self.stations.clear() };
        for status in &account.stations {
            let station = KnownStation {
                name: account.name_of(&status.station),
                model: status.station.model.to_string(),
                vendor: account.vendor.label.to_owned(),
                seen_us: now,
            };
            self.stations.insert(status.station.serial.to_string(), station);
        }
        self.stations.retain(|_, station| now.since(station.seen_us) <= STATION_GONE_AFTER);
    }

    /// Notes that the broker gets something on these topics, and gives those that it is to forget: what is configured
    /// first, so that nobody listens any more when the states are taken away. `is_said` is whether all of the last time
    /// was said to it.
    pub(super) fn give(&mut self, topics: BTreeSet<String>, is_said: bool) -> Vec<String> {
        let leaving = std::mem::take(&mut self.leaving);
        if is_said {
            self.given.retain(|topic| !leaving.contains(topic));
        }
        self.given.extend(topics.iter().cloned());
        let stale = self.given.iter().filter(|topic| !topics.contains(*topic));
        let (configs, others): (Vec<&String>, Vec<&String>) =
            stale.partition(|topic| topic.ends_with("/config"));
        let first = if configs.is_empty() { others } else { configs };
        self.leaving = first.into_iter().cloned().collect();
        self.leaving.iter().cloned().collect()
    }
}

impl Shown {
    fn uuid(&self) -> Option<&str> {
        SeriesKey::uuid_in(&self.series)
    }
}

/// The boards that a host shows and that count there.
fn shown(report: &HostReport, snapshot: &Snapshot) -> Vec<Shown> {
    let board = |(gpu, key): (&crate::reading::Device, Option<SeriesKey>)| {
        let series = key?.to_string();
        Some(Shown {
            index: gpu.index().ok().copied(),
            model: gpu.model().ok().map(SafeText::to_string),
            is_measured: gpu.power().is_ok(),
            total_mj: snapshot.energy.get(&series).map(|total| total.energy_mj),
            series,
        })
    };
    report.gpus.iter().zip(report.series()).filter_map(board).collect()
}
