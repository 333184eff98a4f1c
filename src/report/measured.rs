//! The rows of a report's range once all are known, and the report that is made of them.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::bill::shares;
use super::charts::charts;
use super::costs::{Costs, price_rank};
use super::data::Data;
use super::facts::Facts;
use super::figures::kwh;
use super::flows::stations;
use super::gaps::{GapReason, Gaps, OpenGap};
use super::groups::{Group, summed};
use super::model::{AlertRow, Report, Row, SCHEMA, Scope};
use super::notes;
use super::question::{BadQuestion, Bill, By, Question};
use super::rows::{KeyedRow, add_identity, rows, total};
use super::sums::Sums;
use super::supply::supply;
use super::supply_charts::{ChargeSpan, supply_charts};
use super::tally::Tally;

/// The most groups of a report.
const MAX_GROUPS: usize = 1_000_000;

/// All rows of a range, with the facts beside them.
#[derive(Debug, Clone)]
pub struct MeasuredRange<'a> {
    question: &'a Question,
    facts: Facts<'a>,
    data: Data,
    gaps: Gaps,
}

/// The facts that the caller has looked up once the gaps are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// The reasons of [`MeasuredRange::gaps`], in their order.
    pub reasons: Vec<Option<GapReason>>,
    /// The states of charge of stations in the range, for its charts.
    pub charge: Vec<ChargeSpan>,
    /// Hours that the batteries last at the present draw.
    pub battery_hours: Option<f64>,
    /// Alerts that were raised in the range, in the order of time.
    pub alerts: Vec<AlertRow>,
}

impl<'a> MeasuredRange<'a> {
    /// Ends the reading of rows.
    pub fn new(tally: Tally, question: &'a Question, facts: Facts<'a>) -> Self {
        let data = Data::new(tally, &facts);
        let gaps = Gaps::new(&data);
        Self { question, facts, data, gaps }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        let lanes = self.data.fleet.parts.iter().map(|part| &part.lane);
        let mut lanes = lanes.chain(self.data.fleet.flows.iter().map(|flow| &flow.lane));
        lanes.all(|lane| lane.cells().next().is_none() && lane.days.is_empty())
    }

    /// The largest times that were not measured, whose reasons [`MeasuredRange::report`] takes.
    pub fn gaps(&self) -> &[OpenGap] {
        &self.gaps.largest
    }

    /// The report.
    ///
    /// # Errors
    /// Groupings with more groups than a report may have.
    pub fn report(&self, told: &Told) -> Result<Report, BadQuestion> {
        let data = &self.data;
        let mut total = total(data);
        let mut axes = self.axes()?;
        if let Some(top) = self.question.top {
            axes.0 = topped(data, &axes.0, top);
        }
        let mut rows = rows(data, (&axes.0, &axes.1), total.energy_mj);
        self.in_order_of_price(&mut rows);
        if let [by @ (By::Node | By::Gpu)] = self.question.by.as_slice() {
            add_identity(data, by, &axes.0, &mut rows);
        }
        let mut notes = notes::on_energy(data, &total.row);
        notes.extend(notes::on_calibrations(data, &self.facts));
        if self.question.is_filled {
            self.fill(&axes, &mut rows, &mut total);
        }
        for bill in &self.question.bills {
            notes.extend(self.share_out(bill, &axes, &mut rows, &mut total));
        }
        let tariffs = &self.facts.tariffs.tariffs;
        let costs = Costs::new(data, tariffs);
        notes.extend(notes::on_site(data, &self.facts.tariffs.site));
        notes.extend(notes::on_prices(data, tariffs));
        notes.extend(notes::on_months(&costs.costs));
        notes.extend(costs.notes);
        let all = Axis::all();
        let uncounted =
            summed(data, (&all, &all), |_| true).first().map_or(0, |group| group.sums.uncounted_mj);
        notes.extend(notes::on_carbon(data, uncounted));
        notes.extend(notes::on_supply(data));
        let stations = stations(data);
        let charts = self.question.charts.as_ref().map(|stack| {
            let supply = supply_charts(data, &stations, &told.charge);
            Box::new(charts(data, stack, total.energy_mj, supply, told.alerts.clone()))
        });
        Ok(Report {
            schema: SCHEMA,
            from: data.calendar.moment(0),
            to: data.calendar.moment(data.calendar.quarters().end),
            timezone: data.calendar.zone().iana_name().unwrap_or("UTC").to_owned(),
            scope: self.scope(),
            rows: rows.into_iter().map(|row| row.row).collect(),
            total: total.row,
            costs: costs.costs,
            bands: costs.bands,
            supply: supply(data, &self.facts, &stations, told.battery_hours),
            gaps: self.gaps.told(data, &told.reasons),
            notes,
            charts,
        })
    }

    fn scope(&self) -> Scope {
        let data = &self.data;
        let nodes: BTreeSet<usize> = data.fleet.parts.iter().map(|part| part.node).collect();
        Scope {
            days: data.calendar.spans(super::calendar::Unit::Day).len(),
            nodes: nodes.len(),
            gpus: data.fleet.boards.len(),
            sites: data.fleet.label_values("site").into_iter().collect(),
            by: self.question.by.iter().map(By::to_string).collect(),
        }
    }

    /// The groupings; where there is one, the other has all in one.
    fn axes(&self) -> Result<(Axis, Axis), BadQuestion> {
        let mut axes = self.question.by.iter().map(|by| Axis::new(by, &self.data));
        let axes = (axes.next().unwrap_or_else(Axis::all), axes.next().unwrap_or_else(Axis::all));
        let n_groups = axes.0.names.len().saturating_mul(axes.1.names.len());
        if n_groups > MAX_GROUPS { Err(BadQuestion::too_many(n_groups)) } else { Ok(axes) }
    }

    /// Puts rows by band alone in the order of their mean price.
    fn in_order_of_price(&self, rows: &mut [KeyedRow]) {
        if self.question.by.as_slice() != [By::Band] || self.question.top.is_some() {
            return;
        }
        let (axis, all) = (Axis::bands(&self.data.prices), Axis::all());
        let groups = summed(&self.data, (&axis, &all), |_| true);
        rows.sort_by_cached_key(|row| {
            let group = groups.iter().find(|group| group.keys == row.keys);
            group.map(price_rank)
        });
    }

    /// Estimates what was not measured, at the mean of each board.
    fn fill(&self, axes: &(Axis, Axis), rows: &mut [KeyedRow], total: &mut KeyedRow) {
        let groups = summed(&self.data, (&axes.0, &axes.1), |_| true);
        total.row.filled_kwh = Some(groups.iter().map(|group| group.sums.filled_mj).sum::<f64>() / 3.6e9);
        let mut groups = by_keys(groups);
        for row in rows {
            row.row.filled_kwh = groups.remove(&row.keys).map(|sums| sums.filled_mj / 3.6e9);
        }
    }

    /// Shares out a bill; a remark if there is nothing to share it by.
    fn share_out(
        &self,
        bill: &Bill,
        axes: &(Axis, Axis),
        rows: &mut [KeyedRow],
        total: &mut KeyedRow,
    ) -> Option<String> {
        let nodes = &self.data.fleet.nodes;
        let is_there = |node: usize, site: &String| {
            nodes.get(node).is_some_and(|node| node.labels.get("site") == Some(site))
        };
        let groups = summed(&self.data, (&axes.0, &axes.1), |part| {
            bill.site.as_ref().is_none_or(|site| is_there(part.node, site))
        });
        let groups = by_keys(groups);
        let energy = |row: &KeyedRow| groups.get(&row.keys).map_or(0, |sums| sums.energy_mj);
        let weights: Vec<i64> = rows.iter().map(energy).collect();
        let Some(parts) = shares(bill.watt_hours, &weights) else {
            let site = bill.site.as_ref().map_or_else(String::new, |site| format!(" of site \"{site}\""));
            return Some(format!("The bill{site} is not shared out: no energy of it was measured."));
        };
        for (row, part) in rows.iter_mut().zip(&parts).filter(|(_, part)| **part != 0) {
            add_billed(&mut row.row, *part);
        }
        add_billed(&mut total.row, bill.watt_hours);
        None
    }
}

fn by_keys(groups: Vec<Group>) -> BTreeMap<(usize, usize), Sums> {
    groups.into_iter().map(|group| (group.keys, group.sums)).collect()
}

/// Adds watt-hours of a bill to a row.
fn add_billed(row: &mut Row, watt_hours: i64) {
    let billed = row.billed_kwh.map_or(0, watt_hours_of) + watt_hours;
    row.billed_kwh = Some(kwh(billed.saturating_mul(3_600_000)));
}

/// Kilowatt-hours that are whole watt-hours.
#[allow(clippy::cast_possible_truncation, reason = "it was made of whole watt-hours")]
fn watt_hours_of(kwh: f64) -> i64 {
    (kwh * 1_000.0).round() as i64
}

/// The grouping with the so many largest groups, and one of all others.
fn topped(data: &Data, axis: &Axis, top: usize) -> Axis {
    let all = Axis::all();
    let mut groups = summed(data, (axis, &all), |_| true);
    let n_more = groups.len().saturating_sub(top);
    if n_more == 0 {
        return axis.clone();
    }
    groups.sort_by_key(|group| {
        let name = axis.names.get(group.keys.0).cloned();
        (std::cmp::Reverse(group.sums.energy_mj), name)
    });
    let mut kept: Vec<usize> = groups.iter().take(top).map(|group| group.keys.0).collect();
    if axis.is_time() {
        kept.sort_unstable();
    }
    axis.merged(&kept, format!("{n_more} more"))
}
