//! The estimates that `--fill` and `--bill` add to the rows of groups and to their sum.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::bill::shares;
use super::data::Data;
use super::figures::{MJ_PER_WH, kwh, to_kwh};
use super::fleet::Part;
use super::groups::{Group, summed};
use super::model::Row;
use super::question::{Bill, Question};
use super::rows::KeyedRow;
use super::sums::Sums;

/// Adds to rows of two axes what the question asks for; a remark for each bill that nothing is there to share it by.
pub(super) fn add_estimates(
    data: &Data,
    question: &Question,
    axes: (&Axis, &Axis),
    rows: &mut [KeyedRow],
) -> Vec<String> {
    if question.is_filled {
        fill(data, axes, rows);
    }
    question.bills.iter().filter_map(|bill| share_out(data, bill, axes, rows)).collect()
}

/// Estimates what was not measured, at the mean of each board.
fn fill(data: &Data, axes: (&Axis, &Axis), rows: &mut [KeyedRow]) {
    let mut groups = by_keys(summed(data, axes, |_| true));
    for row in rows {
        row.row.filled_kwh = groups.remove(&row.keys).map(|sums| to_kwh(sums.filled_mj));
    }
}

/// Shares out a bill; a remark if there is nothing to share it by.
fn share_out(data: &Data, bill: &Bill, axes: (&Axis, &Axis), rows: &mut [KeyedRow]) -> Option<String> {
    let nodes = &data.fleet.nodes;
    let is_of = |part: &Part| nodes.get(part.node).is_some_and(|node| bill.is_of(&node.labels));
    let groups = by_keys(summed(data, axes, is_of));
    let energy = |row: &KeyedRow| groups.get(&row.keys).map_or(0, |sums| sums.energy_mj);
    let weights: Vec<i64> = rows.iter().map(energy).collect();
    let Some(parts) = shares(bill.watt_hours, &weights) else {
        let site = bill.site.as_ref().map_or_else(String::new, |site| format!(" of site \"{site}\""));
        return Some(format!("The bill{site} is not shared out: no energy of it was measured."));
    };
    for (row, part) in rows.iter_mut().zip(&parts).filter(|(_, part)| **part != 0) {
        add_billed(&mut row.row, *part);
    }
    None
}

fn by_keys(groups: Vec<Group>) -> BTreeMap<(usize, usize), Sums> {
    groups.into_iter().map(|group| (group.keys, group.sums)).collect()
}

/// Adds watt-hours of a bill to a row.
fn add_billed(row: &mut Row, watt_hours: i64) {
    let billed = row.billed_kwh.map_or(0, watt_hours_of) + watt_hours;
    row.billed_kwh = Some(kwh(billed.saturating_mul(MJ_PER_WH)));
}

/// Kilowatt-hours that are whole watt-hours.
#[allow(clippy::cast_possible_truncation, reason = "it was made of whole watt-hours")]
fn watt_hours_of(kwh: f64) -> i64 {
    (kwh * 1_000.0).round() as i64
}
