//! The side of supply: what stations delivered, from where, and the price of what their batteries gave.

use super::data::Data;
use super::facts::Facts;
use super::figures::{QUARTER_MS, kwh, measured_share, price};
use super::flows::{Split, Station};
use super::model::Supply;
use super::prices::{GridPrice, grid_prices};
use crate::reading::{Energy, Share};
use crate::tariff::{BatteryCharge, BatteryRule, Currency, Labels, PricePerKwh};

/// Thousandths of a percent in a whole.
const WHOLE: i64 = 100_000;

/// The supply of a report; `None` without a station.
pub(super) fn supply(
    data: &Data,
    facts: &Facts<'_>,
    stations: &[Station],
    hours_left: Option<f64>,
) -> Option<Supply> {
    if stations.is_empty() {
        return None;
    }
    let mut sum = Split::default();
    stations.iter().flat_map(|station| station.splits.values()).for_each(|split| sum += *split);
    let expected: usize =
        stations.iter().map(|station| data.fleet.running.saturating_sub(station.first)).sum();
    let expected = i64::try_from(expected).unwrap_or(0).saturating_mul(QUARTER_MS.into());
    let covered: i64 = stations.iter().map(|station| station.covered_ms).sum();
    let rule = facts.tariffs.site.battery;
    let battery_price = battery_price(data, facts, stations, &sum, rule);
    let name = |station: &Station| format!("{} {}", station.model, station.serial);
    Some(Supply {
        stations: stations.iter().map(name).collect(),
        load_kwh: kwh(sum.load),
        solar_kwh: kwh(sum.solar),
        grid_kwh: kwh(sum.grid),
        sun_direct_kwh: kwh(sum.sun_direct),
        battery_out_kwh: kwh(sum.battery_out),
        grid_direct_kwh: kwh(sum.grid_direct),
        battery_in_kwh: kwh(sum.battery_in),
        self_sufficiency: self_sufficiency(&sum),
        round_trip: ratio(sum.battery_out, sum.battery_in),
        hours_left,
        measured_share: measured_share(covered, (expected - covered).max(0)),
        battery_rule: sentence(rule).to_owned(),
        battery_price: battery_price.map(|(out, _)| price(out)),
        currency: battery_price.map(|(_, currency)| currency.to_string()),
    })
}

/// The rule by which energy from a battery is priced.
const fn sentence(rule: BatteryRule) -> &'static str {
    match rule {
        BatteryRule::Charged => {
            "Energy from the battery is priced by what charged it, the sun at the price of the grid at that time."
        }
        BatteryRule::Opportunity => {
            "Energy from the battery is priced by what charged it, the sun at the price of export at that time."
        }
        BatteryRule::Zero => "Energy from the battery is priced by what charged it, the sun at nothing.",
    }
}

/// 1 - what came from the grid, directly or through the battery, over the load. The battery gives what it took in the
/// range; where it only gave, nobody knows from where.
#[allow(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
fn self_sufficiency(sum: &Split) -> Option<f64> {
    let of_grid = match sum.battery_out {
        0 => 0.0,
        out => out as f64 * ratio(sum.grid_charge, sum.battery_in)?,
    };
    (sum.load > 0).then(|| 1.0 - (sum.grid_direct as f64 + of_grid) / sum.load as f64)
}

#[allow(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The price of a kilowatt-hour out of the batteries: that of what charged them, over the round trip. `None` where a
/// part of that has no price, or it has prices of several currencies.
fn battery_price(
    data: &Data,
    facts: &Facts<'_>,
    stations: &[Station],
    sum: &Split,
    rule: BatteryRule,
) -> Option<(PricePerKwh, Currency)> {
    let mut charge = BatteryCharge::default();
    let mut currencies = Vec::new();
    for station in stations {
        let prices = grid_prices(facts.tariffs, &labels(data, facts, station), &data.calendar);
        for (quarter, split) in &station.splits {
            let price = prices.get(*quarter).copied().unwrap_or_default();
            add(&mut charge, split, price, rule);
            currencies.extend(price.currency.filter(|currency| !currencies.contains(currency)));
        }
    }
    let round_trip = i128::from(sum.battery_out) * i128::from(WHOLE);
    let round_trip = i64::try_from(round_trip.checked_div(sum.battery_in.into())?).ok()?;
    let price = charge.price_out(Share::from_millipercent(round_trip))?;
    match currencies.as_slice() {
        [currency] => Some((price, *currency)),
        _ => None,
    }
}

fn add(charge: &mut BatteryCharge, split: &Split, price: GridPrice, rule: BatteryRule) {
    let sun = split.battery_in - split.grid_charge;
    if split.grid_charge > 0 {
        charge.add(Energy::from_millijoules(split.grid_charge), price.bought);
    }
    if sun > 0 {
        charge.add(Energy::from_millijoules(sun), rule.price_of_sun(price.bought, price.sold));
    }
}

/// The labels of a station: its own in the inventory, else those of the nodes where they all have the same prices.
fn labels(data: &Data, facts: &Facts<'_>, station: &Station) -> Labels {
    let own = facts.nodes.get(&station.serial);
    let of_nodes = data.fleet.nodes.first().filter(|_| data.prices.n_tables() == 1).map(|node| &node.labels);
    own.or(of_nodes).cloned().unwrap_or_default()
}
