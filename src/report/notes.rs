//! The remarks of a report that belong to its figures.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::calendar::Unit;
use super::data::Data;
use super::facts::Facts;
use super::figures::kwh;
use super::fleet::Board;
use super::model::{Cost, Row, Scope};
use super::prices::Unpriced;
use crate::ledger::{MeasuredBoard, SeriesKey, SeriesName};
use crate::reading::SafeText;
use crate::support::{counted, named};
use crate::tariff::{SiteSettings, Tariffs};

/// The most times that a remark lists.
const MAX_TIMES: usize = 3;

/// The most models or boards that a remark lists.
const MAX_NAMES: usize = 4;

/// The remark of every report of boards: what their energy is of.
pub const BOUNDARY: &str = "Energy of GPU boards as their driver reports it, on the side of direct current: processors, \
    fans and power supplies are not in it.";

/// The remark on a range whose first readings are later than it begins.
pub(super) fn on_beginning(data: &Data) -> Option<String> {
    let begins = data.fleet.begins;
    if begins == 0 {
        return None;
    }
    let days = data.calendar.spans(Unit::Day);
    let n_days = days.iter().filter(|day| day.quarters.end <= begins).count();
    let before = match n_days {
        0 => format!("{} h {} min of the range are", begins / 4, begins % 4 * 15),
        1 => "1 day of the range is".to_owned(),
        n_days => format!("{n_days} days of the range are"),
    };
    let at = data.calendar.moment(begins).0;
    let is_midnight = days.iter().any(|day| day.quarters.start == begins);
    let at = at.strftime(if is_midnight { "%-d %B %Y" } else { "%-d %B %Y, %H:%M" });
    Some(format!("Readings begin on {at}: {before} before it, and in no figure."))
}

/// Nodes of the inventory of which the range has no board at all.
pub(super) fn silent_nodes(data: &Data, facts: &Facts<'_>) -> Vec<String> {
    let heard: BTreeSet<&str> = data.fleet.nodes.iter().map(|node| node.name.as_str()).collect();
    let is_asked = |node: &&String| facts.selected.is_none_or(|selected| selected.contains(*node));
    let names = facts.nodes.keys().filter(is_asked).map(|node| SafeText::new(node).as_str().to_owned());
    names.filter(|node| !heard.contains(node.as_str())).collect()
}

/// The remark on those nodes.
pub(super) fn on_silent_nodes(scope: &Scope) -> Option<String> {
    let shown = scope.silent_in_words()?;
    let [have, are] =
        if scope.silent_nodes.len() == 1 { ["it has", "it is"] } else { ["they have", "they are"] };
    Some(format!(
        "{shown} gave no reading in this time, and how many GPUs {have} is not known: {are} in no figure."
    ))
}

/// The remarks on the energy.
pub(super) fn on_energy(data: &Data, total: &Row) -> Vec<String> {
    let boundary = (!data.fleet.boards.is_empty()).then(|| BOUNDARY.to_owned());
    let estimated = total.estimated_kwh.map(|estimated| {
        format!("{} are estimates of a driver, of which no uncertainty is known.", energy(estimated))
    });
    let cut = (data.fleet.cut_mj != 0).then(|| {
        format!(
            "{} of days that were rolled up are left out: the range does not have those days whole.",
            energy(kwh(data.fleet.cut_mj))
        )
    });
    boundary.into_iter().chain(estimated).chain(cut).collect()
}

/// The remark on days that were rolled up, of which a part of the figures is not known.
pub(super) fn on_days(data: &Data) -> Option<String> {
    let days = data.fleet.parts.iter().flat_map(|part| &part.profile.days);
    let days: BTreeSet<usize> = days.map(|day| day.quarters.start).collect();
    let n_days = counted(days.len(), "day that was", "days that were");
    (!days.is_empty()).then(|| {
        format!(
            "Peaks and idle energy are without {n_days} rolled up: both are known by quarter-hour, which \
             `keep_quarters` in `[ledger]` keeps."
        )
    })
}

/// The remark on boards whose energy was added more than once.
pub(super) fn on_doubles(data: &Data) -> Option<String> {
    let parts = data.fleet.parts.iter().filter(|part| !part.presence.twice.is_empty());
    let boards: BTreeSet<usize> = parts.clone().map(|part| part.board).collect();
    let boards = boards.into_iter().filter_map(|board| data.fleet.boards.get(board));
    let boards: Vec<&str> = boards.map(|board| board.name.as_str()).collect();
    let spans = || parts.clone().flat_map(|part| &part.presence.twice);
    let (first, last) = (spans().map(|span| span.start).min()?, spans().map(|span| span.end).max()?);
    let at = |quarter: usize| data.calendar.moment(quarter).0.strftime("%Y-%m-%d %H:%M").to_string();
    Some(format!(
        "Energy was counted more than once: of {}, more time was measured between {} and {} than there is, as two \
         collectors keep one ledger. Let one of them read each board, then `fleetwatt ledger rebuild` mends it.",
        named(&boards, MAX_NAMES),
        at(first),
        at(last)
    ))
}

/// The remarks on boards that were calibrated and are none of the report's: a name may be misspelt. None where the report
/// is of some nodes only.
pub(super) fn on_calibrations(data: &Data, facts: &Facts<'_>) -> Vec<String> {
    if facts.selected.is_some() || data.fleet.boards.is_empty() {
        return Vec::new();
    }
    let name = |board: &Board| facts.names.series.get(&board.series);
    let names: Vec<&SeriesName> = data.fleet.boards.iter().filter_map(name).collect();
    let models: BTreeSet<String> = names.iter().map(|name| quoted(&name.model)).collect();
    let models: Vec<&str> = models.iter().map(String::as_str).filter(|model| *model != "\"\"").collect();
    let note = |measured: &MeasuredBoard| match measured {
        MeasuredBoard::Model(model) => {
            let advice = match models.is_empty() {
                true => String::new(),
                false => format!(": its models are {}", named(&models, MAX_NAMES)),
            };
            let is_there = names.iter().any(|name| name.model == *model);
            (!is_there).then(|| {
                format!("`[[calibration]]` of model {} fits no board of this report{advice}.", quoted(model))
            })
        }
        MeasuredBoard::Uuid(uuid) => {
            let is_there = names.iter().any(|name| SeriesKey::uuid_in(&name.key) == Some(uuid));
            (!is_there).then(|| {
                format!(
                    "`[[calibration]]` of board {} fits no board of this report: `fleetwatt poll --format json` \
                     prints their UUIDs.",
                    quoted(uuid)
                )
            })
        }
    };
    facts.calibrations.boards().filter_map(note).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", SafeText::new(name))
}

/// An energy with one decimal; what would be nothing is told to be less than that.
fn energy(kwh: f64) -> String {
    if kwh > 0.0 && kwh < 0.05 { "less than 0.1 kWh".to_owned() } else { format!("{kwh:.1} kWh") }
}

/// The remarks on the site: its zone and what its cooling adds.
pub(super) fn on_site(data: &Data, site: &SiteSettings) -> Vec<String> {
    let mut notes = Vec::new();
    if site.timezone.is_none() {
        let zone = data.calendar.zone().iana_name().unwrap_or("UTC");
        notes.push(format!("Days are those of {zone}: `[site]` has no `timezone`."));
    }
    if data.prices.has_tariffs || data.prices.has_carbon {
        notes.push(match site.pue {
            Some(pue) => format!("PUE {pue}: cost and CO2 are of the boards' energy times it."),
            None => {
                "PUE 1.0, as `[site]` has no `pue`: cost and CO2 are of the boards' energy alone.".to_owned()
            }
        });
    }
    notes
}

/// The remarks on months that are shown and not charged.
pub(super) fn on_months(costs: &[Cost]) -> Vec<String> {
    let charges = costs.iter().flat_map(|cost| &cost.charges).filter(|charge| !charge.is_charged);
    let months: BTreeSet<&str> = charges.map(|charge| charge.month.as_str()).collect();
    let note = |month: &&str| {
        format!(
            "Demand and fixed charges of {month} are shown and not charged: the report begins within that month."
        )
    };
    months.iter().map(note).collect()
}

/// The remarks on energy without a price, by reason.
pub(super) fn on_prices(data: &Data, tariffs: &Tariffs) -> Vec<String> {
    if !data.prices.has_tariffs {
        return Vec::new();
    }
    let mut notes = Vec::new();
    for (unpriced, quarters) in unpriced(data) {
        let energy_mj: i64 = quarters.values().map(|(_, energy_mj)| energy_mj).sum();
        let (reason, hint) = match unpriced {
            Unpriced::Hole(hole) => tariffs.reason(hole),
            Unpriced::RolledUp => {
                let reason = "days were rolled up that have several prices".to_owned();
                (reason, "keep quarters longer, by `keep_quarters` in `[ledger]`")
            }
        };
        notes.push(format!(
            "{} have no price: {reason}, {}; {hint}.",
            energy(kwh(energy_mj)),
            times(data, &quarters)
        ));
    }
    notes
}

/// The energy without a price by reason, and by the quarter in which it begins with the one in which it ends.
fn unpriced(data: &Data) -> BTreeMap<Unpriced, BTreeMap<usize, (usize, i64)>> {
    let mut unpriced = BTreeMap::<Unpriced, BTreeMap<usize, (usize, i64)>>::new();
    let mut add = |why: Unpriced, span: Range<usize>, energy_mj: i64| {
        let sum = unpriced.entry(why).or_default().entry(span.start).or_insert((span.end, 0));
        sum.1 = sum.1.saturating_add(energy_mj);
    };
    for part in &data.fleet.parts {
        let table = data.prices.table_of(part.node);
        let slots = data.prices.table(table);
        if slots.iter().any(|slot| slot.price.is_err()) {
            for (quarter, cell) in part.profile.cells() {
                if let Some(Err(why)) = slots.get(quarter).map(|slot| slot.price) {
                    add(why, quarter..quarter + 1, cell.energy_mj);
                }
            }
        }
        for day in &part.profile.days {
            if let Err(why) = data.prices.slot_of_day(table, &day.quarters).price {
                add(why, day.quarters.clone(), day.cell.energy_mj);
            }
        }
    }
    unpriced
}

/// Times in words, neighbours as one: `2026-11-12 02:15 to 2026-11-12 11:15`.
fn times(data: &Data, quarters: &BTreeMap<usize, (usize, i64)>) -> String {
    let mut spans = Vec::<Range<usize>>::new();
    for (start, (end, _)) in quarters {
        match spans.last_mut().filter(|last| *start <= last.end) {
            Some(last) => last.end = last.end.max(*end),
            None => spans.push(*start..*end),
        }
    }
    let at = |quarter: usize| data.calendar.moment(quarter).0.strftime("%Y-%m-%d %H:%M").to_string();
    let shown = spans.iter().take(MAX_TIMES).map(|span| format!("{} to {}", at(span.start), at(span.end)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match spans.len().saturating_sub(MAX_TIMES) {
        0 => shown,
        n_more => format!("{shown} and {n_more} more times"),
    }
}

/// The remark on stations whose days were rolled up.
pub(super) fn on_supply(data: &Data) -> Option<String> {
    let has_days = data.fleet.flows.iter().any(|flow| !flow.profile.days.is_empty());
    has_days.then(|| {
        "Days of stations that were rolled up are in no figure of the supply: the sources of a load are known by \
         quarter-hour."
            .to_owned()
    })
}

/// The remark on energy without a carbon intensity.
pub(super) fn on_carbon(data: &Data, uncounted_mj: i64) -> Option<String> {
    let is_partly = data.prices.has_carbon && uncounted_mj != 0;
    is_partly.then(|| {
        format!(
            "{} are not in the CO2: the files of `[carbon]` have no value for their times.",
            energy(kwh(uncounted_mj))
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_energy_is_not_told_to_be_none() {
        let told = [0.04, 0.05, 12.34, -0.3].map(energy);
        assert_eq!(told, ["less than 0.1 kWh", "0.1 kWh", "12.3 kWh", "-0.3 kWh"]);
    }
}
