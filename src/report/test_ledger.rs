//! Rows of a ledger that tests write by hand, and the report that is made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::tz::TimeZone;

use super::{BadQuestion, Bill, By, Facts, GapReason, MeasuredRange, Question, Report, Row, Tally, Told};
use crate::ledger::{Calibrations, Entry, LastSeen, Method, Names, NumberedRow, SeriesName};
use crate::reading::{Quarter, Share, Timestamp};
use crate::tariff::{Labels, TariffBook};

/// A ledger, an inventory and a question.
#[derive(Debug, Clone)]
pub(crate) struct TestLedger {
    pub(crate) question: Question,
    pub(crate) names: Names,
    pub(crate) nodes: BTreeMap<String, Labels>,
    pub(crate) selected: Option<BTreeSet<String>>,
    pub(crate) indices: BTreeMap<i64, u32>,
    pub(crate) book: TariffBook,
    pub(crate) calibrations: Calibrations,
    pub(crate) last_seen: Vec<LastSeen>,
    pub(crate) now: Timestamp,
    pub(crate) rows: Vec<NumberedRow>,
    pub(crate) told: Told,
}

/// The quarter of a local time, as `2026-11-02T00:00`.
pub(crate) fn quarter(text: &str, zone: &TimeZone) -> Quarter {
    let local: jiff::civil::DateTime = text.parse().unwrap();
    let instant = zone.to_ambiguous_timestamp(local).compatible().unwrap();
    Quarter::at(Timestamp::from_micros(instant.as_microsecond()))
}

impl TestLedger {
    /// From one local time to another, by node, without prices, long past.
    pub(crate) fn new(from: &str, to: &str, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let range = quarter(from, &zone)..quarter(to, &zone);
        let now = range.end.plus(96 * 365).start();
        let question = Question {
            range,
            zone,
            by: vec![By::Node],
            is_filled: false,
            bills: Vec::new(),
            top: None,
            charts: None,
        };
        Self {
            question,
            names: Names::default(),
            nodes: BTreeMap::new(),
            selected: None,
            indices: BTreeMap::new(),
            book: TariffBook::default(),
            calibrations: Calibrations::default(),
            last_seen: Vec::new(),
            now,
            rows: Vec::new(),
            told: Told::default(),
        }
    }

    pub(crate) fn by(mut self, by: &str) -> Self {
        self.question.by = By::parse_list(by).unwrap();
        self
    }

    pub(crate) fn tariffs(mut self, toml: &str) -> Self {
        self.book = TariffBook::parse(toml).unwrap();
        self
    }

    pub(crate) fn bill(mut self, bill: &str) -> Self {
        self.question.bills.push(bill.parse::<Bill>().unwrap());
        self
    }

    /// Adds a node to the inventory, at a site.
    pub(crate) fn node(mut self, name: &str, site: &str) -> Self {
        let labels =
            if site.is_empty() { Labels::new() } else { Labels::from([("site".into(), site.into())]) };
        self.nodes.insert(name.to_owned(), labels);
        self
    }

    /// The number of a board with this UUID, or of another series with this key.
    pub(crate) fn series(&mut self, key: &str, model: &str) -> i64 {
        let key = if key.contains(':') { key.to_owned() } else { format!("gpu:{key}") };
        if let Some((id, _)) = self.names.series.iter().find(|(_, known)| known.key == key) {
            return *id;
        }
        let id = i64::try_from(self.names.series.len()).unwrap() + 1;
        self.names.series.insert(id, SeriesName { key, model: model.to_owned() });
        id
    }

    /// The number of a node in the ledger.
    pub(crate) fn node_id(&mut self, name: &str) -> i64 {
        if let Some((id, _)) = self.names.nodes.iter().find(|(_, known)| *known == name) {
            return *id;
        }
        let id = i64::try_from(self.names.nodes.len()).unwrap() + 1;
        self.names.nodes.insert(id, name.to_owned());
        id
    }

    /// A board that draws the same in quarters of the range, all of them measured, busy for half of the time.
    pub(crate) fn steady(self, node: &str, uuid: &str, quarters: Range<i64>, watts: i64) -> Self {
        self.covered(node, uuid, quarters, watts, 900_000)
    }

    /// The same, of which only a part of each quarter was measured.
    pub(crate) fn covered(
        mut self,
        node: &str,
        uuid: &str,
        quarters: Range<i64>,
        watts: i64,
        covered_ms: i64,
    ) -> Self {
        for quarter in quarters {
            let entry = entry(watts, covered_ms);
            self.add(node, uuid, "H100", quarter, entry);
        }
        self
    }

    /// A board that is idle.
    pub(crate) fn idle(mut self, node: &str, uuid: &str, quarters: Range<i64>, watts: i64) -> Self {
        for quarter in quarters {
            let entry = Entry { busy_ms: Some(0), ..entry(watts, 900_000) };
            self.add(node, uuid, "H100", quarter, entry);
        }
        self
    }

    /// A row of a day that was rolled up, with its covered hours.
    pub(crate) fn day(mut self, node: &str, uuid: &str, quarter: i64, watts: i64, covered_h: i64) -> Self {
        let entry = Entry { method: Method::DAY, ..entry(watts, covered_h * 3_600_000) };
        self.add(node, uuid, "H100", quarter, entry);
        self
    }

    /// A flow of a station with this serial number, at a mean power in each quarter.
    pub(crate) fn flow(mut self, serial: &str, flow: &str, quarters: Range<i64>, watts: i64) -> Self {
        for quarter in quarters {
            self.add(serial, &format!("station:{serial}:{flow}"), "F3800", quarter, entry(watts, 900_000));
        }
        self
    }

    pub(crate) fn add(&mut self, node: &str, key: &str, model: &str, quarter: i64, entry: Entry) {
        let (series, node) = (self.series(key, model), self.node_id(node));
        let quarter = self.question.range.start.plus(quarter);
        self.rows.push(NumberedRow { series, node, quarter, entry });
    }

    /// A board was seen so many quarters before the range.
    pub(crate) fn seen(mut self, node: &str, uuid: &str, quarters_before: i64) -> Self {
        let (series, node) = (self.series(uuid, "H100"), self.node_id(node));
        let quarter = self.question.range.start.plus(-quarters_before);
        self.last_seen.push(LastSeen { series, node, quarter });
        self
    }

    /// The present is so many quarters and seconds behind the beginning.
    pub(crate) fn now(mut self, quarters: i64, seconds: i64) -> Self {
        let start = self.question.range.start.plus(quarters).start();
        self.now = Timestamp::from_micros(start.micros() + seconds * 1_000_000);
        self
    }

    pub(crate) fn measured(&self) -> MeasuredRange<'_> {
        let mut tally = Tally::new(self.question.range.clone(), self.question.zone.clone());
        self.rows.iter().for_each(|row| tally.add(row));
        let facts = Facts {
            names: &self.names,
            nodes: &self.nodes,
            selected: self.selected.as_ref(),
            indices: &self.indices,
            tariffs: &self.book,
            calibrations: &self.calibrations,
            idle_below: Share::from_millipercent(5_000),
            last_seen: &self.last_seen,
            now: self.now,
        };
        MeasuredRange::new(tally, &self.question, facts)
    }

    pub(crate) fn try_report(&self) -> Result<Report, BadQuestion> {
        self.measured().report(&self.told)
    }

    pub(crate) fn report(&self) -> Report {
        self.try_report().unwrap()
    }

    /// Reasons for the gaps, in their order.
    pub(crate) fn reasons(mut self, reasons: &[&str]) -> Self {
        let reason = |text: &&str| Some(GapReason { reason: (*text).to_owned(), hint: None });
        self.told.reasons = reasons.iter().map(reason).collect();
        self
    }
}

fn entry(watts: i64, covered_ms: i64) -> Entry {
    Entry {
        energy_mj: watts * covered_ms,
        covered_ms,
        samples: 15,
        min_mw: Some(watts * 1_000),
        max_mw: Some(watts * 1_000),
        variance_mj2: 0.0,
        busy_ms: Some(covered_ms / 2),
        method: Method::READINGS,
    }
}

/// The row of a group.
#[track_caller]
pub(crate) fn row<'a>(report: &'a Report, group: &str) -> &'a Row {
    let names: Vec<&str> = report.rows.iter().map(|row| row.group.as_str()).collect();
    report.rows.iter().find(|row| row.group == group).unwrap_or_else(|| panic!("no {group} in {names:?}"))
}
