//! A grouping as numbers: to which group a board on a node belongs in a quarter.

use std::collections::BTreeMap;
use std::ops::Range;

use super::calendar::Unit;
use super::data::Data;
use super::fleet::{Node, Part};
use super::prices::{Prices, Slot};
use super::question::By;
use crate::reading::SafeText;

/// The name of the energy of rolled-up days where the groups are shorter than a day.
const WHOLE_DAYS: &str = "whole days, rolled up";

/// A grouping.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    keys: Keys,
    /// The names of the groups.
    pub(super) names: Vec<String>,
    /// The spans of the groups, if they are times; that of rolled-up days has none.
    pub(super) spans: Vec<Range<usize>>,
    /// The group of days that belong to several groups.
    mixed: usize,
    /// The groups that stand alone in a merged grouping, by their keys before; all that are not stand together.
    kept: Option<Vec<usize>>,
}

#[derive(Debug, Clone)]
enum Keys {
    /// One group.
    All,
    /// By part of the fleet.
    Part(Vec<u32>),
    /// By quarter.
    Quarter(Vec<u32>),
    /// By table of prices and quarter, and by band where each belongs to one group.
    Slot(Vec<Vec<u32>>, Vec<u32>),
}

/// The groups of a part.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'a> {
    /// It has one.
    One(usize),
    /// It has one in each quarter; days of several belong to the last.
    Each(&'a [u32], usize),
}

impl Line<'_> {
    /// The group in a quarter.
    pub(super) fn at(&self, quarter: usize) -> usize {
        match self {
            Self::One(group) => *group,
            Self::Each(groups, mixed) => groups.get(quarter).map_or(*mixed, |group| index(*group)),
        }
    }

    /// The group of a rolled-up day.
    pub(super) fn of_day(&self, quarters: &Range<usize>) -> usize {
        match self {
            Self::One(group) => *group,
            Self::Each(groups, mixed) => match groups.get(quarters.clone()).and_then(<[u32]>::split_first) {
                Some((first, others)) if others.iter().all(|other| other == first) => index(*first),
                _ => *mixed,
            },
        }
    }
}

impl Axis {
    /// All in one group.
    pub(super) fn all() -> Self {
        Self { keys: Keys::All, names: vec!["total".to_owned()], spans: Vec::new(), mixed: 0, kept: None }
    }

    /// A grouping that a report may have.
    pub(super) fn new(by: &By, data: &Data) -> Self {
        let fleet = &data.fleet;
        let node = |part: &Part| fleet.nodes.get(part.node);
        match by {
            By::Node => Self::nodes(data),
            By::Gpu => {
                let names = fleet.boards.iter().map(|board| board.name.clone()).collect();
                Self::parts(names, fleet.parts.iter().map(|part| part.board))
            }
            By::Model => {
                let model = |part: &Part| fleet.boards.get(part.board).map_or(0, |board| board.model);
                Self::parts(fleet.models.clone(), fleet.parts.iter().map(model))
            }
            By::Label(key) => {
                let none = || format!("no {}", SafeText::new(key));
                let value = |node: &Node| node.label(key);
                Self::named(fleet.parts.iter().map(|part| node(part).and_then(value).unwrap_or_else(none)))
            }
            By::Day => Self::times(data, Unit::Day),
            By::Hour => Self::times(data, Unit::Hour),
            By::Quarter => Self::times(data, Unit::Quarter),
            By::Month => Self::times(data, Unit::Month),
            By::Band => Self::bands(&data.prices),
        }
    }

    /// By node.
    fn nodes(data: &Data) -> Self {
        let names = data.fleet.nodes.iter().map(|node| node.name.clone()).collect();
        Self::parts(names, data.fleet.parts.iter().map(|part| part.node))
    }

    /// By spans of time.
    pub(super) fn times(data: &Data, unit: Unit) -> Self {
        let spans = data.calendar.spans(unit);
        let mut keys = Vec::with_capacity(data.calendar.quarters().end);
        for (key, span) in (0..).zip(&spans) {
            keys.extend(span.quarters.clone().map(|_| key));
        }
        let mixed = spans.len();
        let (mut names, spans): (Vec<_>, Vec<_>) =
            spans.into_iter().map(|span| (span.name, span.quarters)).unzip();
        names.push(WHOLE_DAYS.to_owned());
        Self { keys: Keys::Quarter(keys), names, spans, mixed, kept: None }
    }

    /// By band of the tariffs; the first is that of no price.
    pub(super) fn bands(prices: &Prices) -> Self {
        let is_several = |name: &str| prices.bands.iter().filter(|band| band.name == name).count() > 1;
        let name = |band: &super::prices::PriceBand| match band.currency {
            Some(currency) if is_several(&band.name) => format!("{} ({})", band.name, prices.code(currency)),
            _ => band.name.clone(),
        };
        let of_band = (0..prices.bands.len()).map(number).collect();
        Self::slots(prices, prices.bands.iter().map(name).collect(), 0, of_band, |slot| slot.band)
    }

    /// By currency of the price; the last is that of no price.
    pub(super) fn currencies(prices: &Prices) -> Self {
        let none = prices.currencies.len();
        let names = (0..=none).map(|currency| prices.code(currency)).collect();
        let of_band = prices.bands.iter().map(|band| band.currency.unwrap_or(none));
        let of_band: Vec<u32> = of_band.map(number).collect();
        let key = |slot: &Slot| of_band.get(slot.band).map_or(none, |key| index(*key));
        Self::slots(prices, names, none, of_band.clone(), key)
    }

    /// By number of the tariff that holds, of so many; the last is that of none.
    pub(super) fn tariffs(prices: &Prices, n_tariffs: usize) -> Self {
        let names = vec![String::new(); n_tariffs + 1];
        Self::slots(prices, names, n_tariffs, Vec::new(), move |slot| slot.tariff.unwrap_or(n_tariffs))
    }

    fn slots(
        prices: &Prices,
        names: Vec<String>,
        mixed: usize,
        of_band: Vec<u32>,
        key: impl Fn(&Slot) -> usize,
    ) -> Self {
        let tables = (0..prices.n_tables()).map(|table| prices.table(table));
        let keys = tables.map(|table| table.iter().map(|slot| number(key(slot))).collect()).collect();
        Self { keys: Keys::Slot(keys, of_band), names, spans: Vec::new(), mixed, kept: None }
    }

    fn parts(names: Vec<String>, keys: impl Iterator<Item = usize>) -> Self {
        Self { keys: Keys::Part(keys.map(number).collect()), names, spans: Vec::new(), mixed: 0, kept: None }
    }

    fn named(names: impl Iterator<Item = String>) -> Self {
        let mut known = BTreeMap::new();
        let mut in_order = Vec::new();
        let mut keys = Vec::new();
        for name in names {
            let key = *known.entry(name.clone()).or_insert_with(|| {
                in_order.push(name);
                in_order.len() - 1
            });
            keys.push(key);
        }
        Self::parts(in_order, keys.into_iter())
    }

    /// The same with some groups alone, in this order, and all others in one group behind them.
    pub(super) fn merged(&self, kept: &[usize], rest: String) -> Self {
        let mut new = vec![kept.len(); self.names.len()];
        for (place, old) in kept.iter().enumerate() {
            if let Some(key) = new.get_mut(*old) {
                *key = place;
            }
        }
        let changed = |keys: &Vec<u32>| -> Vec<u32> {
            keys.iter().map(|key| number(new.get(index(*key)).copied().unwrap_or(kept.len()))).collect()
        };
        let keys = match &self.keys {
            Keys::All => Keys::All,
            Keys::Part(keys) => Keys::Part(changed(keys)),
            Keys::Quarter(keys) => Keys::Quarter(changed(keys)),
            Keys::Slot(tables, of_band) => Keys::Slot(tables.iter().map(changed).collect(), changed(of_band)),
        };
        let names = kept.iter().filter_map(|old| self.names.get(*old).cloned()).chain([rest]).collect();
        let spans = kept.iter().filter_map(|old| self.spans.get(*old).cloned()).collect();
        Self {
            keys,
            names,
            spans,
            mixed: new.get(self.mixed).copied().unwrap_or(kept.len()),
            kept: Some(kept.to_vec()),
        }
    }

    /// The groups of a part with a number and a table of prices.
    pub(super) fn line(&self, part: usize, table: usize) -> Line<'_> {
        match &self.keys {
            Keys::All => Line::One(0),
            Keys::Part(keys) => Line::One(keys.get(part).map_or(0, |key| index(*key))),
            Keys::Quarter(keys) => Line::Each(keys, self.mixed),
            Keys::Slot(tables, _) => Line::Each(tables.get(table).map_or(&[], Vec::as_slice), self.mixed),
        }
    }

    /// The group of a part in a band, of an axis that is no time.
    pub(super) fn of_base(&self, part: usize, band: usize) -> usize {
        match &self.keys {
            Keys::All | Keys::Quarter(_) => 0,
            Keys::Part(keys) => keys.get(part).map_or(0, |key| index(*key)),
            Keys::Slot(_, of_band) => of_band.get(band).map_or(self.mixed, |key| index(*key)),
        }
    }

    /// The group of a part where it has one.
    pub(super) fn of_part(&self, part: usize) -> usize {
        match &self.keys {
            Keys::Part(keys) => keys.get(part).map_or(0, |key| index(*key)),
            Keys::All | Keys::Quarter(_) | Keys::Slot(..) => 0,
        }
    }

    /// The groups that a quarter may belong to by its price; 1 where it is one.
    pub(super) const fn n_slots(&self) -> usize {
        if matches!(self.keys, Keys::Slot(..)) { self.names.len() } else { 1 }
    }

    /// The one of them in a quarter of a table of prices.
    pub(super) fn slot(&self, table: usize, quarter: usize) -> usize {
        let Keys::Slot(tables, _) = &self.keys else { return 0 };
        let key = tables.get(table).and_then(|keys| keys.get(quarter));
        key.map_or(self.mixed, |key| index(*key))
    }

    /// The group of a part's group, a slot and a quarter.
    pub(super) fn key(&self, of_part: usize, slot: usize, quarter: usize) -> usize {
        match &self.keys {
            Keys::All | Keys::Part(_) => of_part,
            Keys::Slot(..) => slot,
            Keys::Quarter(keys) => keys.get(quarter).map_or(self.mixed, |key| index(*key)),
        }
    }

    /// Whether a group stands for all that are not alone.
    pub(super) fn is_rest(&self, key: usize) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.len() == key)
    }

    /// The key of a group before the grouping was merged.
    pub(super) fn original(&self, key: usize) -> usize {
        self.kept.as_ref().map_or(key, |kept| kept.get(key).copied().unwrap_or(usize::MAX))
    }

    /// Whether it has one group, of all.
    pub(super) const fn is_all(&self) -> bool {
        matches!(self.keys, Keys::All)
    }

    /// Whether the groups are spans of time.
    pub(super) const fn is_time(&self) -> bool {
        matches!(self.keys, Keys::Quarter(_))
    }
}

fn number(key: usize) -> u32 {
    u32::try_from(key).unwrap_or(u32::MAX)
}

fn index(key: u32) -> usize {
    usize::try_from(key).unwrap_or(usize::MAX)
}
