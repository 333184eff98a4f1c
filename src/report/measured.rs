//! The rows of a report's range once all are known, and the report that is made of them.

use std::collections::BTreeSet;

use super::axis::Axis;
use super::charts::charts;
use super::costs::{Costs, by_price};
use super::data::Data;
use super::estimates::add_estimates;
use super::facts::Facts;
use super::flows::stations;
use super::gaps::{GapReason, Gaps, OpenGap};
use super::groups::summed;
use super::model::{AlertRow, Report, SCHEMA, Scope};
use super::notes;
use super::question::{BadQuestion, By, Question};
use super::rows::{KeyedRow, add_identity, rows, total};
use super::supply::supply;
use super::supply_charts::{ChargeSpan, supply_charts};
use super::tally::Tally;
use crate::tariff::SITE;

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
        let profiles = self.data.fleet.parts.iter().map(|part| &part.profile);
        let mut profiles = profiles.chain(self.data.fleet.flows.iter().map(|flow| &flow.profile));
        profiles.all(|profile| profile.cells().next().is_none() && profile.days.is_empty())
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
        let mut notes: Vec<String> = notes::on_beginning(data).into_iter().collect();
        let scope = self.scope();
        notes.extend(notes::on_silent_nodes(&scope));
        notes.extend(notes::on_energy(data, &total.row));
        notes.extend(notes::on_days(data));
        notes.extend(notes::on_doubles(data));
        notes.extend(notes::on_calibrations(data, &self.facts));
        let all = Axis::all();
        add_estimates(data, self.question, (&axes.0, &axes.1), &mut rows);
        notes.extend(add_estimates(data, self.question, (&all, &all), std::slice::from_mut(&mut total)));
        let tariffs = &self.facts.tariffs.tariffs;
        let costs = Costs::new(data, tariffs, self.facts.selected.is_some());
        notes.extend(notes::on_site(data, &self.facts.tariffs.site));
        notes.extend(notes::on_prices(data, tariffs));
        notes.extend(notes::on_months(&costs.costs));
        notes.extend(costs.notes);
        let uncounted =
            summed(data, (&all, &all), |_| true).first().map_or(0, |group| group.sums.uncounted_mj);
        notes.extend(notes::on_carbon(data, uncounted));
        notes.extend(notes::on_supply(data));
        let stations = stations(data);
        let charts = self.question.charts.as_ref().map(|stack| {
            let supply = supply_charts(data, &stations, &told.charge);
            Box::new(charts(data, self.question, stack, total.energy_mj, supply, told.alerts.clone()))
        });
        let now = Some(self.facts.now).filter(|now| *now < data.calendar.range().end.start());
        Ok(Report {
            schema: SCHEMA,
            from: data.calendar.moment(0),
            to: data.calendar.moment(data.calendar.quarters().end),
            now: now.map(|now| data.calendar.moment_at(now)),
            timezone: data.calendar.zone().iana_name().unwrap_or("UTC").to_owned(),
            scope,
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
            sites: data.fleet.label_values(SITE).into_iter().collect(),
            silent_nodes: notes::silent_nodes(data, &self.facts),
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
        let (_, groups) = by_price(&self.data);
        let place = |row: &KeyedRow| groups.iter().position(|group| group.keys == row.keys);
        rows.sort_by_key(|row| place(row).unwrap_or(usize::MAX));
    }
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
