//! Demand and fixed charges, which belong to months.

use std::collections::BTreeSet;
use std::ops::Range;

use super::axis::Axis;
use super::data::Data;
use super::figures::{amount, quarter_kw};
use super::fleet::Part;
use super::loads::each_load;
use super::model::{Charge, ChargeKind};
use crate::reading::Energy;
use crate::support::counted;
use crate::tariff::{
    BillingMonth, DemandCharge, DemandCost, Labels, Money, QuarterLoad, Tariff, Tariffs, billing_months,
};

/// A charge before it is shown.
pub(super) struct Due {
    pub(super) currency: usize,
    pub(super) charge: Charge,
    pub(super) money: Money,
}

/// The charges of all months that the report touches, with what has to be said of them.
pub(super) fn dues(data: &Data, tariffs: &Tariffs) -> (Vec<Due>, Vec<String>) {
    let (months, mut notes) = (months(data), Vec::new());
    let mut dues = demand(data, tariffs, &months, &mut notes);
    dues.extend(fixed(data, tariffs, &months));
    notes.extend(part_note(data, &months, &dues));
    (dues, notes)
}

/// The months that the report touches; that in which its readings begin is not complete.
fn months(data: &Data) -> Vec<BillingMonth> {
    let mut months = billing_months(data.calendar.range().clone(), data.calendar.zone());
    for month in months.iter_mut().filter(|month| begins_within(data, month)) {
        month.is_complete = false;
    }
    months
}

/// Whether the readings begin within a month, and later than the range.
fn begins_within(data: &Data, month: &BillingMonth) -> bool {
    let begins = data.calendar.quarter(data.fleet.begins);
    data.fleet.begins > 0 && month.quarters.start < begins && begins < month.quarters.end
}

/// The remark on charges of the month in which the readings begin.
fn part_note(data: &Data, months: &[BillingMonth], dues: &[Due]) -> Option<String> {
    let month = months.iter().find(|month| begins_within(data, month))?.month.to_string();
    let is_charged = dues.iter().any(|due| due.charge.month == month && due.charge.is_charged);
    is_charged.then(|| format!("Demand and fixed charges of {month} are from part of the month."))
}

/// The remark that there are no charges, where a tariff that holds has some.
pub(super) fn selection_note(data: &Data, tariffs: &Tariffs) -> Option<String> {
    let mut holding = data.prices.tariffs().into_iter().filter_map(|tariff| tariffs.as_slice().get(tariff));
    let has_charges = holding.any(|tariff| !tariff.demand.is_empty() || tariff.fixed_per_month.is_some());
    has_charges.then(|| {
        "Demand and fixed charges are left out: they are of a whole site, and this report is of some hosts.".to_owned()
    })
}

fn charge(kind: ChargeKind, month: &BillingMonth, tariff: &str, money: Money) -> Charge {
    Charge {
        kind,
        month: month.month.to_string(),
        tariff: tariff.to_owned(),
        cost: amount(money),
        is_charged: month.is_charged,
        is_complete: month.is_complete,
        per_kw: None,
        peak_kw: None,
        peak_at: None,
    }
}

/// The labels of the nodes that have a reading in a month.
fn measured_sites<'a>(data: &'a Data, month: &BillingMonth) -> Vec<&'a Labels> {
    let span = span_of(data, month);
    let is_measured = |part: &&Part| {
        let has_day = part.profile.days.iter().any(|day| span.contains(&day.quarters.start));
        has_day || span.clone().any(|quarter| part.profile.covered_ms(quarter) > 0)
    };
    let nodes: BTreeSet<usize> = data.fleet.parts.iter().filter(is_measured).map(|part| part.node).collect();
    nodes.into_iter().filter_map(|node| data.fleet.nodes.get(node)).map(|node| &node.labels).collect()
}

fn span_of(data: &Data, month: &BillingMonth) -> Range<usize> {
    data.calendar.number(month.quarters.start)..data.calendar.number(month.quarters.end)
}

fn currency_of(data: &Data, tariff: &Tariff) -> Option<usize> {
    data.prices.currencies.iter().position(|known| *known == tariff.currency)
}

/// The fixed charges of the months, by tariff: of those in which there is a reading of its sites.
fn fixed(data: &Data, tariffs: &Tariffs, months: &[BillingMonth]) -> Vec<Due> {
    let mut dues = Vec::new();
    for month in months {
        for (number, money) in tariffs.fixed_charges(measured_sites(data, month), month.month) {
            let Some(tariff) = tariffs.as_slice().get(number) else { continue };
            let charge = charge(ChargeKind::Fixed, month, &tariff.name, money);
            dues.extend(currency_of(data, tariff).map(|currency| Due { currency, charge, money }));
        }
    }
    dues
}

/// The demand charges of the months, by tariff: of all that it holds for together. One whose peak is not known has a remark
/// alone.
fn demand(data: &Data, tariffs: &Tariffs, months: &[BillingMonth], notes: &mut Vec<String>) -> Vec<Due> {
    if tariffs.as_slice().iter().all(|tariff| tariff.demand.is_empty()) {
        return Vec::new();
    }
    let (loads, days) = (loads(data, tariffs.as_slice().len()), RolledUpDays::new(data));
    let mut dues = Vec::new();
    for month in months.iter().filter(|month| !measured_sites(data, month).is_empty()) {
        for (number, (tariff, loads)) in tariffs.as_slice().iter().zip(&loads).enumerate() {
            let loads: Vec<QuarterLoad> =
                loads.iter().copied().filter(|load| month.quarters.contains(&load.quarter)).collect();
            for rule in tariff.demand.iter().filter(|_| !loads.is_empty()) {
                let cost = rule.cost(loads.iter().copied(), data.calendar.zone());
                let n_days = days.counting(data, number, rule, &span_of(data, month));
                notes.extend(demand_note(data, month, &tariff.name, &cost, n_days));
                let Some((currency, peak)) = currency_of(data, tariff).zip(cost.peak) else { continue };
                let own = charge(ChargeKind::Demand, month, &tariff.name, cost.cost);
                let charge = Charge {
                    is_complete: own.is_complete && n_days == 0,
                    per_kw: Some(amount(rule.per_kw)),
                    peak_kw: Some(quarter_kw(peak.energy.millijoules())),
                    peak_at: Some(data.calendar.moment_at(peak.quarter.start())),
                    ..own
                };
                dues.push(Due { currency, charge, money: cost.cost });
            }
        }
    }
    dues
}

/// The loads of the site by tariff, in the order of time.
fn loads(data: &Data, n_tariffs: usize) -> Vec<Vec<QuarterLoad>> {
    let mut loads = vec![Vec::new(); n_tariffs + 1];
    let axes = (&Axis::tariffs(&data.prices, n_tariffs), &Axis::all());
    each_load(data, axes, |quarter, (tariff, _), load| {
        let load = QuarterLoad {
            quarter: data.calendar.quarter(quarter),
            energy: data.prices.pue.apply(Energy::from_millijoules(load.energy_mj)),
            covered_ms: load.covered_ms,
            expected_ms: load.expected_ms,
        };
        if let Some(loads) = loads.get_mut(tariff) {
            loads.push(load);
        }
    });
    loads
}

/// The rolled-up days of all boards, by table of prices: their quarters, whose loads are no longer known.
struct RolledUpDays(BTreeSet<(usize, usize, usize)>);

impl RolledUpDays {
    fn new(data: &Data) -> Self {
        let of_part = |part: &Part| {
            let table = data.prices.table_of(part.node);
            let day = move |quarters: &Range<usize>| (table, quarters.start, quarters.end);
            part.profile.days.iter().map(|one| day(&one.quarters)).collect::<Vec<_>>()
        };
        Self(data.fleet.parts.iter().flat_map(of_part).collect())
    }

    /// The number of days that have a quarter of a month in which a rule of a tariff counts.
    fn counting(&self, data: &Data, tariff: usize, rule: &DemandCharge, month: &Range<usize>) -> usize {
        let counts = |table: usize, quarter: usize| {
            let slot = data.prices.table(table).get(quarter);
            let local = data.calendar.local().get(quarter);
            slot.is_some_and(|slot| slot.tariff == Some(tariff)) && local.is_some_and(|at| rule.counts(*at))
        };
        let within = self.0.iter().filter(|(_, start, _)| month.contains(start));
        let days = within.filter(|(table, start, end)| (*start..*end).any(|quarter| counts(*table, quarter)));
        days.map(|(_, start, _)| start).collect::<BTreeSet<_>>().len()
    }
}

/// A peak that is not known, or may be higher.
fn demand_note(
    data: &Data,
    month: &BillingMonth,
    tariff: &str,
    cost: &DemandCost,
    n_days: usize,
) -> Option<String> {
    let charge = format!("The demand charge of {} by tariff \"{tariff}\"", month.month);
    if n_days > 0 {
        let outcome = if cost.peak.is_some() { "may be higher" } else { "is not known" };
        let days = counted(
            n_days,
            "day of the month was rolled up, and its quarter-hours are",
            "days of the month were rolled up, and their quarter-hours are",
        );
        let hint = "keep quarters longer, by `keep_quarters` in `[ledger]`";
        return Some(format!("{charge} {outcome}: {days} no longer kept; {hint}."));
    }
    match (cost.peak, cost.uncovered_peak) {
        (Some(_), Some(higher)) => Some(format!(
            "{charge} may be higher: in the quarter-hour of {} not all was measured, and {:.1} kW of it alone is more \
             than the highest that was.",
            data.calendar.moment_at(higher.quarter.start()),
            quarter_kw(higher.energy.millijoules()),
        )),
        (None, _) if cost.n_uncovered > 0 => {
            Some(format!("{charge} is not known: no quarter-hour that counts was measured to 90 %."))
        }
        _ => None,
    }
}
