//! The remarks of a report that belong to its figures.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::data::Data;
use super::figures::kwh;
use super::model::{Cost, Row};
use super::prices::Unpriced;
use crate::tariff::{Pue, SiteSettings, Tariffs};

/// The most times that a remark lists.
const MAX_TIMES: usize = 3;

/// The remarks on the energy.
pub(super) fn on_energy(data: &Data, total: &Row) -> Vec<String> {
    let estimated = total.estimated_kwh.map(|estimated| {
        format!("{estimated:.1} kWh are estimates of a driver, of which no uncertainty is known.")
    });
    let cut = kwh(data.fleet.cut_mj);
    let cut = (data.fleet.cut_mj != 0).then(|| {
        format!(
            "{cut:.1} kWh of days that were rolled up are left out: the range does not have those days whole."
        )
    });
    estimated.into_iter().chain(cut).collect()
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
            Some(pue) => format!("PUE {}: cost and CO2 are of the boards' energy times it.", shown(pue)),
            None => {
                "PUE 1.0, as `[site]` has no `pue`: cost and CO2 are of the boards' energy alone.".to_owned()
            }
        });
    }
    notes
}

/// As `1.35`, with one decimal or more.
fn shown(pue: Pue) -> String {
    let (whole, rest) = (pue.millionths() / 1_000_000, pue.millionths() % 1_000_000);
    let decimals = format!("{rest:06}");
    let decimals = decimals.trim_end_matches('0');
    format!("{whole}.{}", if decimals.is_empty() { "0" } else { decimals })
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
        let energy: i64 = quarters.values().map(|(_, energy)| energy).sum();
        let (reason, hint) = match unpriced {
            Unpriced::Hole(hole) => tariffs.reason(hole),
            Unpriced::RolledUp => {
                let reason = "days were rolled up that have several prices".to_owned();
                (reason, "keep quarters longer, by `keep_quarters` in `[ledger]`")
            }
        };
        notes.push(format!(
            "{:.1} kWh have no price: {reason}, {}; {hint}.",
            kwh(energy),
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
            for (quarter, cell) in part.lane.cells() {
                if let Some(Err(why)) = slots.get(quarter).map(|slot| slot.price) {
                    add(why, quarter..quarter + 1, cell.energy_mj);
                }
            }
        }
        for day in &part.lane.days {
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
    let has_days = data.fleet.flows.iter().any(|flow| !flow.lane.days.is_empty());
    has_days.then(|| {
        "Days of stations that were rolled up are in no figure of the supply: the sources of a load are known by \
         quarter-hour."
            .to_owned()
    })
}

/// The remark on energy without a carbon intensity.
pub(super) fn on_carbon(data: &Data, uncounted_mj: i64) -> Option<String> {
    let is_partly = data.prices.has_carbon && uncounted_mj != 0;
    let energy = kwh(uncounted_mj);
    is_partly.then(|| {
        format!("{energy:.1} kWh are not in the CO2: the files of `[carbon]` have no value for their times.")
    })
}
