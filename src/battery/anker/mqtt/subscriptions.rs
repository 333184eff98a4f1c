//! The subscriptions, and what the broker said to them.
//!
//! `dt/<app>/<model>/<serial>/#` is asked for first. In September 2026 brokers began to refuse it for
//! owned devices (ha-anker-solix 626); then the two topics in it are asked for by their names.

use std::collections::{BTreeMap, VecDeque};

use crate::reading::{SafeText, Station};

/// The topics of a station that carry what it says.
const NAMED: [&str; 2] = ["param_info", "state_info"];

/// One subscription of one station.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    /// Which station, by its place.
    station: usize,
    pub(super) topic: String,
    is_named: bool,
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    roots: Vec<(SafeText, String)>,
    /// Sent to the library, which has not said yet under which packet id.
    unnumbered: VecDeque<Filter>,
    /// Sent to the broker, which has not answered.
    unanswered: BTreeMap<u16, Filter>,
    refused: Vec<SafeText>,
}

impl Subscriptions {
    pub(super) fn new(app_name: &str, stations: &[Station]) -> Self {
        let root = |station: &Station| format!("dt/{app_name}/{}/{}", station.model, station.serial);
        let roots = stations.iter().map(|station| (station.serial.clone(), root(station)));
        Self {
            roots: roots.collect(),
            unnumbered: VecDeque::new(),
            unanswered: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    /// A new connection: everything is asked for again. Gives what to ask for.
    pub(super) fn begin(&mut self) -> Vec<String> {
        self.unnumbered.clear();
        self.unanswered.clear();
        self.refused.clear();
        let roots = self.roots.iter().enumerate();
        let filters: Vec<Filter> = roots
            .map(|(station, (_, root))| Filter { station, topic: format!("{root}/#"), is_named: false })
            .collect();
        self.ask(filters)
    }

    /// The oldest request that had no packet id has this one.
    pub(super) fn numbered(&mut self, packet_id: u16) {
        if let Some(filter) = self.unnumbered.pop_front() {
            self.unanswered.insert(packet_id, filter);
        }
    }

    /// The broker's answer to a request. Gives what to ask for instead.
    pub(super) fn answered(&mut self, packet_id: u16, is_granted: bool) -> Vec<String> {
        let Some(filter) = self.unanswered.remove(&packet_id).filter(|_| !is_granted) else {
            return Vec::new();
        };
        let Some((serial, root)) = self.roots.get(filter.station) else { return Vec::new() };
        if filter.is_named {
            if !self.refused.contains(serial) {
                self.refused.push(serial.clone());
            }
            return Vec::new();
        }
        let station = filter.station;
        let named = NAMED.map(|name| Filter { station, topic: format!("{root}/{name}"), is_named: true });
        self.ask(named.into())
    }

    /// Whether every request is answered.
    pub(super) fn is_settled(&self) -> bool {
        self.unnumbered.is_empty() && self.unanswered.is_empty()
    }

    /// The stations that cannot be heard.
    pub(super) fn refused(&self) -> &[SafeText] {
        &self.refused
    }

    /// The most requests that can be under way at once.
    pub(super) fn capacity(&self) -> usize {
        self.roots.len() * (1 + NAMED.len())
    }

    fn ask(&mut self, filters: Vec<Filter>) -> Vec<String> {
        let topics = filters.iter().map(|filter| filter.topic.clone()).collect();
        self.unnumbered.extend(filters);
        topics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Subscriptions {
        let station = |serial: &str| Station {
            serial: SafeText::new(serial),
            model: SafeText::new("A1790P"),
            name: SafeText::new("x"),
        };
        Subscriptions::new("anker_power", &[station("S1"), station("S2")])
    }

    #[test]
    fn all_below_a_station_is_asked_for_first() {
        let mut two = two();
        assert_eq!(two.begin(), ["dt/anker_power/A1790P/S1/#", "dt/anker_power/A1790P/S2/#"]);
        two.numbered(1);
        two.numbered(2);
        assert!(!two.is_settled());
        assert!(two.answered(1, true).is_empty() && two.answered(2, true).is_empty());
        assert!(two.is_settled() && two.refused().is_empty());
    }

    #[test]
    fn what_is_refused_is_asked_for_by_its_names_and_then_given_up() {
        let mut two = two();
        two.begin();
        two.numbered(1);
        two.numbered(2);
        two.answered(1, true);
        let instead = two.answered(2, false);
        assert_eq!(instead, ["dt/anker_power/A1790P/S2/param_info", "dt/anker_power/A1790P/S2/state_info"]);
        two.numbered(3);
        two.numbered(4);
        assert!(two.refused().is_empty());
        two.answered(3, false);
        two.answered(4, false);
        assert!(two.is_settled());
        assert_eq!(two.refused(), [SafeText::new("S2")]);
    }

    #[test]
    fn a_new_connection_forgets_what_the_last_one_was_refused() {
        let mut two = two();
        two.begin();
        two.numbered(1);
        two.answered(1, false);
        two.numbered(2);
        two.numbered(3);
        two.answered(2, false);
        assert_eq!(two.begin().len(), 2);
        assert!(two.refused().is_empty());
    }

    #[test]
    fn an_answer_to_nothing_is_passed_over() {
        assert!(two().answered(7, false).is_empty());
    }
}
