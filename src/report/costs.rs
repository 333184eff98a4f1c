//! The cost by currency: energy, and the charges that belong to months.

use super::axis::Axis;
use super::charges::{Due, dues, selection_note};
use super::data::Data;
use super::figures::{amount, kwh, price, two_digits};
use super::groups::{Group, summed};
use super::model::{Band, ChargeKind, Cost};
use super::rows::{site_cost, site_money};
use crate::reading::Energy;
use crate::tariff::{Money, PricePerKwh, Tariffs};

/// The costs of a report, and what has to be said of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Costs {
    pub(super) costs: Vec<Cost>,
    pub(super) bands: Vec<Band>,
    pub(super) notes: Vec<String>,
}

impl Costs {
    /// `is_selection`: the report is of some hosts alone, and has no charges, which are of all that a meter counts.
    pub(super) fn new(data: &Data, tariffs: &Tariffs, is_selection: bool) -> Self {
        if !data.prices.has_tariffs {
            return Self::default();
        }
        let (dues, notes) = match is_selection {
            true => (Vec::new(), selection_note(data, tariffs).into_iter().collect()),
            false => dues(data, tariffs),
        };
        let (axis, bands) = by_price(data);
        let bands = bands.iter().map(|group| band(data, &axis, group)).collect();
        let all = Axis::all();
        let energies = summed(data, (&Axis::currencies(&data.prices), &all), |_| true);
        let costs = (0..data.prices.currencies.len())
            .map(|currency| {
                let energy = energies.iter().find(|group| group.keys.0 == currency);
                cost(data, currency, energy, &dues)
            })
            .collect();
        Self { costs, bands, notes }
    }
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
    let uncertainty = sums.and_then(|sums| sums.expanded(&data.fleet.designs));
    let idle = of_currency.filter(|_| sums.is_some_and(|sums| sums.idle_mj.is_some()));
    Cost {
        currency: data.prices.code(currency),
        energy_cost,
        // The highest quarter-hour is read by the same sensors: their error is that of the energy.
        u_cost: uncertainty
            .zip(energy_cost)
            .map(|(u, energy_cost)| two_digits(u.relative * (energy_cost + demand_cost).abs())),
        demand_cost,
        fixed_cost: amount(fixed),
        cost: energy_money.map(|energy| amount(energy + demand + fixed)),
        idle_cost: idle.map(|cost| site_cost(data.prices.pue, cost.idle)),
        charges: due().map(|due| due.charge.clone()).collect(),
    }
}

/// The bands that have energy with their sums, the lowest mean price first; that of no price last.
pub(super) fn by_price(data: &Data) -> (Axis, Vec<Group>) {
    let (axis, all) = (Axis::bands(&data.prices), Axis::all());
    let mut groups = summed(data, (&axis, &all), |_| true);
    groups.retain(|group| group.sums.energy_mj != 0);
    groups.sort_by_key(|group| {
        let price = mean_price(group);
        (price.is_none(), price, axis.names.get(group.keys.0).cloned())
    });
    (axis, groups)
}

/// The mean price of a band's energy, which the PUE does not change: it multiplies energy.
fn mean_price(group: &Group) -> Option<PricePerKwh> {
    group.sums.costs.first()?.cost.mean_price(Energy::from_millijoules(group.sums.energy_mj))
}

fn band(data: &Data, axis: &Axis, group: &Group) -> Band {
    let cost = group.sums.costs.first();
    Band {
        name: axis.names.get(group.keys.0).cloned().unwrap_or_default(),
        energy_kwh: kwh(group.sums.energy_mj),
        energy_cost: cost.map(|cost| site_cost(data.prices.pue, cost.cost)),
        currency: cost.map(|cost| data.prices.code(cost.currency)),
        mean_price: mean_price(group).map(price),
    }
}
