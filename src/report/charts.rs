//! The further figures of the page.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::calendar::Unit;
use super::data::Data;
use super::estimates::add_estimates;
use super::figures::kwh;
use super::groups::summed;
use super::model::{AlertRow, Charts, MAX_BOARD_ROWS, NodeRow, Row, SupplyCharts};
use super::periods::{periods, week};
use super::question::{By, Question, Stack};
use super::rows::{add_identity, rows};
use super::stack::power_stack;

/// The least part of a day that has to be measured for it to be shown.
const LEAST_OF_DAY: f64 = 0.02;

/// The charts of a report.
pub(super) fn charts(
    data: &Data,
    question: &Question,
    stack: &Stack,
    total_mj: i64,
    supply: Option<SupplyCharts>,
    alerts: Vec<AlertRow>,
) -> Charts {
    let has_boards = data.fleet.boards.len() <= MAX_BOARD_ROWS;
    Charts {
        nodes: nodes(data, question, total_mj),
        gpus: if has_boards { identified(data, question, &By::Gpu, total_mj).1 } else { Vec::new() },
        power: power_stack(data, stack, total_mj),
        periods: periods(data),
        week: week(data),
        supply,
        alerts,
    }
}

/// The rows of nodes or boards with their keys.
fn identified(data: &Data, question: &Question, by: &By, total_mj: i64) -> (Vec<usize>, Vec<Row>) {
    let (axis, all) = (Axis::new(by, data), Axis::all());
    let mut rows = rows(data, (&axis, &all), total_mj);
    add_identity(data, by, &axis, &mut rows);
    add_estimates(data, question, (&axis, &all), &mut rows);
    rows.into_iter().map(|row| (row.keys.0, row.row)).unzip()
}

fn nodes(data: &Data, question: &Question, total_mj: i64) -> Vec<NodeRow> {
    let (nodes, days) = (Axis::new(&By::Node, data), Axis::times(data, Unit::Day));
    let mut of_day = BTreeMap::new();
    for group in summed(data, (&nodes, &days), |_| true) {
        let is_shown = group.sums.measured_share().is_some_and(|share| share >= LEAST_OF_DAY);
        of_day.extend(is_shown.then_some((group.keys, kwh(group.sums.energy_mj))));
    }
    let (keys, rows) = identified(data, question, &By::Node, total_mj);
    let n_days = days.spans.len();
    let row = |(key, row): (usize, Row)| NodeRow {
        row,
        days_kwh: (0..n_days).map(|day| of_day.get(&(key, day)).copied()).collect(),
    };
    keys.into_iter().zip(rows).map(row).collect()
}
