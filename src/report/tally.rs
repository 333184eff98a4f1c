//! The rows of a ledger, added up by series, node and quarter.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::tz::TimeZone;

use super::load_profile::LoadProfile;
use crate::ledger::{Method, NumberedRow};
use crate::reading::Quarter;
use crate::tariff::{LocalQuarter, day_quarters};

/// Numbers of series up to this one are looked up in a table.
const MAX_DENSE: usize = 1 << 20;

/// Quarters of a day on which no clock is changed.
const DAY: i64 = 96;

/// The rows of a range, in any order.
#[derive(Debug, Clone)]
pub struct Tally {
    range: Range<Quarter>,
    n_quarters: usize,
    zone: TimeZone,
    profiles: Vec<LoadProfile>,
    /// The first profile of each series, plus one, by its number.
    dense: Vec<u32>,
    sparse: BTreeMap<i64, u32>,
    /// The next profile of the same series, plus one, by profile.
    next: Vec<u32>,
    /// The energy of days that are not wholly in the range, by node, in millijoules.
    cut_mj: BTreeMap<i64, i64>,
}

impl Tally {
    /// For rows of a range, whose end is excluded, and the local days of a zone.
    pub fn new(range: Range<Quarter>, zone: TimeZone) -> Self {
        let n_quarters = usize::try_from(range.end.since(range.start)).unwrap_or(0);
        Self {
            range,
            n_quarters,
            zone,
            profiles: Vec::new(),
            dense: Vec::new(),
            sparse: BTreeMap::new(),
            next: Vec::new(),
            cut_mj: BTreeMap::new(),
        }
    }

    /// Adds a row. One of a quarter outside of the range is passed over, and so is a rolled-up day that is not wholly in
    /// it.
    pub fn add(&mut self, row: &NumberedRow) {
        if row.entry.method.has(Method::DAY) {
            self.add_day(row);
        } else if let Some(quarter) = self.place(row.quarter).filter(|quarter| *quarter < self.n_quarters) {
            self.profile(row.series, row.node, |profile| profile.add(quarter, &row.entry));
        }
    }

    fn add_day(&mut self, row: &NumberedRow) {
        let day = day_quarters(LocalQuarter::new(row.quarter, &self.zone).date, &self.zone);
        let end = if day.start == row.quarter { day.end } else { row.quarter.plus(DAY) };
        let quarters =
            self.place(row.quarter).zip(self.place(end)).filter(|(_, end)| *end <= self.n_quarters);
        match quarters {
            Some((start, end)) => {
                self.profile(row.series, row.node, |profile| profile.add_day(start..end, &row.entry))
            }
            None => {
                let cut_mj = self.cut_mj.entry(row.node).or_default();
                *cut_mj = cut_mj.saturating_add(row.entry.energy_mj);
            }
        }
    }

    /// The place of a quarter in the range, if it is not before it.
    fn place(&self, quarter: Quarter) -> Option<usize> {
        usize::try_from(quarter.since(self.range.start)).ok()
    }

    /// Hands out the profile of a series on a node.
    fn profile(&mut self, series: i64, node: i64, add: impl FnOnce(&mut LoadProfile)) {
        let head = self.head(series);
        let mut at = *head;
        while let Some(place) = index(at) {
            if let Some(profile) = self.profiles.get_mut(place).filter(|profile| profile.node == node) {
                return add(profile);
            }
            at = self.next.get(place).copied().unwrap_or(0);
        }
        let mut profile = LoadProfile::new(series, node, self.n_quarters);
        add(&mut profile);
        self.profiles.push(profile);
        let new = u32::try_from(self.profiles.len()).unwrap_or(0);
        let first = std::mem::replace(self.head(series), new);
        self.next.push(first);
    }

    fn head(&mut self, series: i64) -> &mut u32 {
        match usize::try_from(series).ok().filter(|number| *number < MAX_DENSE) {
            Some(number) => {
                if self.dense.len() <= number {
                    self.dense.resize(number + 1, 0);
                }
                // It was made long enough above; the other map serves as well.
                match self.dense.get_mut(number) {
                    Some(head) => head,
                    None => self.sparse.entry(series).or_default(),
                }
            }
            None => self.sparse.entry(series).or_default(),
        }
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The range.
    pub(super) const fn range(&self) -> &Range<Quarter> {
        &self.range
    }

    /// The profiles by series and node, and the energy of days that are not wholly in the range, by node, in millijoules.
    pub(super) fn into_profiles(mut self) -> (Vec<LoadProfile>, BTreeMap<i64, i64>) {
        self.profiles.sort_by_key(|profile| (profile.series, profile.node));
        (self.profiles, self.cut_mj)
    }
}

fn index(place: u32) -> Option<usize> {
    usize::try_from(place).ok()?.checked_sub(1)
}
