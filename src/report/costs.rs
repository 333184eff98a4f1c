//! The cost by currency: energy, and the charges that belong to months.

use std::collections::BTreeSet;

use super::axis::Axis;
use super::data::Data;
use super::figures::{amount, kwh, two_digits};
use super::fleet::Part;
use super::groups::{Group, summed};
use super::loads::each_load;
use super::model::{Band, Charge, ChargeKind, Cost};
use super::rows::{site_cost, site_money};

use crate::reading::{Energy, Power};
use crate::tariff::{
    BillingMonth, DemandCost, Labels, Money, PricePerKwh, QuarterLoad, Tariffs, billing_months,
};

/// The costs of a report, and what has to be said of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Costs {
    pub(super) costs: Vec<Cost>,
    pub(super) bands: Vec<Band>,
    pub(super) notes: Vec<String>,
}

/// A charge before it is shown.
struct Due {
    currency: usize,
    /// The tariff and month, to find the bill by.
    charge: Charge,
    money: Money,
}

impl Costs {
    /// `is_selection`: the report is of some hosts alone, and has no charges, which are of all that a meter counts.
    pub(super) fn new(data: &Data, tariffs: &Tariffs, is_selection: bool) -> Self {
        if !data.prices.has_tariffs {
            return Self::default();
        }
        let mut notes = Vec::new();
        let months = if is_selection { Vec::new() } else { months(data) };
        let mut dues = demand(data, tariffs, &months, &mut notes);
        dues.extend(fixed(data, tariffs, &months));
        notes.extend(part_note(data, &dues));
        notes.extend(selection_note(data, tariffs).filter(|_| is_selection));
        let all = Axis::all();
        let energies = summed(data, (&Axis::currencies(&data.prices), &all), |_| true);
        let costs = (0..data.prices.currencies.len())
            .map(|currency| {
                let energy = energies.iter().find(|group| group.keys.0 == currency);
                cost(data, currency, energy, &dues)
            })
            .collect();
        Self { costs, bands: bands(data), notes }
    }
}

/// The months that the report touches; that in which its readings begin is not complete.
fn months(data: &Data) -> Vec<BillingMonth> {
    let mut months = billing_months(data.calendar.range().clone(), data.calendar.zone());
    let begins = data.calendar.quarter(data.fleet.begins);
    for month in months.iter_mut().filter(|_| data.fleet.begins > 0) {
        let is_within = month.quarters.contains(&begins) && month.quarters.start < begins;
        month.is_complete &= !is_within;
    }
    months
}

/// The remark on charges of the month in which the readings begin.
fn part_note(data: &Data, dues: &[Due]) -> Option<String> {
    let begins = data.calendar.moment(data.fleet.begins).0.strftime("%Y-%m").to_string();
    let mut charges = dues.iter().map(|due| &due.charge).filter(|charge| charge.month == begins);
    let is_part = data.fleet.begins > 0 && charges.any(|charge| !charge.is_complete && charge.is_charged);
    is_part.then(|| format!("Demand and fixed charges of {begins} are from part of the month."))
}

/// The remark that there are no charges, where a tariff that holds has some.
fn selection_note(data: &Data, tariffs: &Tariffs) -> Option<String> {
    let mut holding = data.prices.tariffs().into_iter().filter_map(|tariff| tariffs.as_slice().get(tariff));
    let has_charges = holding.any(|tariff| !tariff.demand.is_empty() || tariff.fixed_per_month.is_some());
    has_charges.then(|| {
        "Demand and fixed charges are left out: they are of a whole site, and this report is of some hosts.".to_owned()
    })
}

fn cost(data: &Data, currency: usize, energy: Option<&Group>, dues: &[Due]) -> Cost {
    let sums = energy.map(|group| &group.sums);
    let of_currency = sums.and_then(|sums| sums.costs.iter().find(|cost| cost.currency == currency));
    let energy_money = of_currency.map(|cost| site_money(data.prices.pue, cost.cost));
    let energy_cost = energy_money.map(amount);
    let due = || dues.iter().filter(move |due| due.currency == currency);
    let charged = |kind: ChargeKind| {
        due()
            .filter(|due| due.charge.is_charged && due.charge.kind == kind)
            .map(|due| due.money)
            .sum::<Money>()
    };
    let (demand, fixed) = (charged(ChargeKind::Demand), charged(ChargeKind::Fixed));
    let demand_cost = amount(demand);
    let relative = sums.filter(|sums| sums.energy_mj != 0 && sums.energy_mj != sums.estimated_mj);
    let relative = relative
        .map(|sums| sums.uncertainty(&data.fleet.designs).expanded_mj() / 3.6e9 / kwh(sums.energy_mj).abs());
    let idle = of_currency.filter(|_| sums.is_some_and(|sums| sums.idle_mj.is_some()));
    Cost {
        currency: data.prices.code(currency),
        energy_cost,
        // The highest quarter-hour is read by the same sensors: their error is that of the energy.
        u_cost: relative
            .zip(energy_cost)
            .map(|(relative, energy_cost)| two_digits(relative * (energy_cost + demand_cost).abs())),
        demand_cost,
        fixed_cost: amount(fixed),
        cost: energy_money.map(|energy| amount(energy + demand + fixed)),
        idle_cost: idle.map(|cost| site_cost(data.prices.pue, cost.idle)),
        charges: due().map(|due| due.charge.clone()).collect(),
    }
}

/// The energy by band, the lowest mean price first; that without a price last.
fn bands(data: &Data) -> Vec<Band> {
    let (axis, all) = (Axis::bands(&data.prices), Axis::all());
    let mut groups = summed(data, (&axis, &all), |_| true);
    groups.retain(|group| group.sums.energy_mj != 0);
    groups.sort_by_key(|group| (price_rank(group), axis.names.get(group.keys.0).cloned()));
    groups.iter().map(|group| band(data, &axis, group)).collect()
}

/// The order of bands: by their mean price, that of no price last.
pub(super) fn price_rank(group: &Group) -> (bool, Option<PricePerKwh>) {
    let cost = group.sums.costs.first().map(|cost| cost.cost);
    let energy = Energy::from_millijoules(group.sums.energy_mj);
    let price = cost.and_then(|cost| cost.mean_price(energy));
    (price.is_none(), price)
}

fn band(data: &Data, axis: &Axis, group: &Group) -> Band {
    let energy_kwh = kwh(group.sums.energy_mj);
    let cost = group.sums.costs.first();
    let energy_cost = cost.map(|cost| site_cost(data.prices.pue, cost.cost));
    Band {
        name: axis.names.get(group.keys.0).cloned().unwrap_or_default(),
        energy_kwh,
        energy_cost,
        currency: cost.map(|cost| data.prices.code(cost.currency)),
        mean_price: energy_cost.map(|cost| cost / energy_kwh),
    }
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
    let span = data.calendar.number(month.quarters.start)..data.calendar.number(month.quarters.end);
    let is_measured = |part: &&Part| {
        let has_day = part.lane.days.iter().any(|day| span.contains(&day.quarters.start));
        has_day || span.clone().any(|quarter| part.lane.covered_ms(quarter) > 0)
    };
    let nodes: BTreeSet<usize> = data.fleet.parts.iter().filter(is_measured).map(|part| part.node).collect();
    nodes.into_iter().filter_map(|node| data.fleet.nodes.get(node)).map(|node| &node.labels).collect()
}

/// The fixed charges of the months, by tariff: of those in which there is a reading of its sites.
fn fixed(data: &Data, tariffs: &Tariffs, months: &[BillingMonth]) -> Vec<Due> {
    let mut dues = Vec::new();
    for month in months {
        for (number, money) in tariffs.fixed_charges(measured_sites(data, month), month.month) {
            let Some(tariff) = tariffs.as_slice().get(number) else { continue };
            let currency = data.prices.currencies.iter().position(|known| *known == tariff.currency);
            let charge = charge(ChargeKind::Fixed, month, &tariff.name, money);
            dues.extend(currency.map(|currency| Due { currency, charge, money }));
        }
    }
    dues
}

/// The demand charges of the months, by tariff: of all that it holds for together.
fn demand(data: &Data, tariffs: &Tariffs, months: &[BillingMonth], notes: &mut Vec<String>) -> Vec<Due> {
    let n_tariffs = tariffs.as_slice().len();
    let mut loads = vec![Vec::new(); n_tariffs + 1];
    if tariffs.as_slice().iter().any(|tariff| !tariff.demand.is_empty()) {
        let axes = (&Axis::tariffs(&data.prices, n_tariffs), &Axis::all());
        each_load(data, axes, |quarter, (tariff, _), load| {
            let energy = data.prices.pue.apply(Energy::from_millijoules(load.energy_mj));
            let load = QuarterLoad {
                quarter: data.calendar.quarter(quarter),
                energy,
                covered_ms: load.covered_ms,
                expected_ms: load.expected_ms,
            };
            if let Some(loads) = loads.get_mut(tariff) {
                loads.push(load);
            }
        });
    }
    let mut dues = Vec::new();
    for month in months.iter().filter(|month| !measured_sites(data, month).is_empty()) {
        for (tariff, loads) in tariffs.as_slice().iter().zip(&loads) {
            let loads: Vec<QuarterLoad> =
                loads.iter().copied().filter(|load| month.quarters.contains(&load.quarter)).collect();
            let currency = data.prices.currencies.iter().position(|known| *known == tariff.currency);
            for rule in tariff.demand.iter().filter(|_| !loads.is_empty()) {
                let cost = rule.cost(loads.iter().copied(), data.calendar.zone());
                notes.extend(demand_note(data, month, &tariff.name, &cost));
                let Some((currency, peak)) = currency.zip(cost.peak) else { continue };
                let charge = Charge {
                    per_kw: Some(amount(rule.per_kw)),
                    peak_kw: Some(kilowatts(peak.power())),
                    peak_at: Some(data.calendar.moment_at(peak.quarter.start())),
                    ..charge(ChargeKind::Demand, month, &tariff.name, cost.cost)
                };
                dues.push(Due { currency, charge, money: cost.cost });
            }
        }
    }
    dues
}

fn kilowatts(power: Power) -> f64 {
    power.watts() / 1_000.0
}

/// A peak that is not known, or may be higher.
fn demand_note(data: &Data, month: &BillingMonth, tariff: &str, cost: &DemandCost) -> Option<String> {
    let month = month.month;
    match (cost.peak, cost.uncovered_peak) {
        (_, Some(higher)) => Some(format!(
            "The demand charge of {month} by tariff \"{tariff}\" may be higher: in the quarter-hour of {} not all was \
             measured, and {:.1} kW of it alone is more than the highest that was.",
            data.calendar.moment_at(higher.quarter.start()),
            kilowatts(higher.power()),
        )),
        (None, None) if cost.n_uncovered > 0 => Some(format!(
            "The demand charge of {month} by tariff \"{tariff}\" is not known: no quarter-hour that counts was measured \
             to 90 %."
        )),
        _ => None,
    }
}
