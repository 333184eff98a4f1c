//! Reports that were made up, whose figures fit together: energies are sums of quarter-hours, and gaps of what is missing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fleetwatt::report::{
    AlertRow, BOUNDARY, Band, Charge, ChargeKind, Charts, Cost, Gap, ModelCount, Moment, NodeRow, PeriodBar,
    Periods, PowerStack, Report, Row, SCHEMA, Scope, StackMember, Supply, SupplyBar, SupplyCharts, Week,
};

/// A kilowatt-hour of the two bands.
const PRICES: [f64; 2] = [0.10, 0.30];

/// Up to two days are told by hours.
const MAX_BOUNDS_OF_HOURS: usize = 3;

/// A fleet and a time.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) nodes: Vec<String>,
    pub(crate) gpus_of_a_node: usize,
    /// The quarter-hours in which a node was not measured.
    pub(crate) holes: Vec<(usize, std::ops::Range<usize>)>,
    pub(crate) currencies: Vec<&'static str>,
    pub(crate) has_station: bool,
    pub(crate) alerts: Vec<AlertRow>,
}

impl Plan {
    /// Two days short of a month, across the end of daylight saving time, with nodes of these names.
    pub(crate) fn month(nodes: &[&str]) -> Self {
        Self {
            from: "2026-10-28T00:00",
            to: "2026-11-25T00:00",
            zone: "America/Chicago",
            nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
            gpus_of_a_node: 8,
            holes: vec![],
            currencies: vec!["USD"],
            has_station: false,
            alerts: vec![],
        }
    }

    pub(crate) fn at(&self, text: &str) -> Moment {
        Moment(format!("{text}[{}]", self.zone).parse().unwrap())
    }

    fn quarter(&self, idx: usize) -> Moment {
        thread_local! {
            // Parsing a time for each quarter-hour of each node would take a minute.
            static STARTS: RefCell<BTreeMap<(&'static str, &'static str), Moment>> = RefCell::default();
        }
        let start = STARTS.with_borrow_mut(|starts| {
            starts.entry((self.from, self.zone)).or_insert_with(|| self.at(self.from)).clone()
        });
        let seconds = i64::try_from(idx).unwrap() * 900;
        Moment(start.0.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap())
    }

    fn n_quarters(&self) -> usize {
        let seconds = self.at(self.from).0.duration_until(&self.at(self.to).0).as_secs();
        usize::try_from(seconds / 900).unwrap()
    }

    /// Watts of a node in a quarter-hour: more by day, and another for each node.
    fn watts(&self, node: usize, idx: usize) -> Option<i64> {
        if self.holes.iter().any(|(other, hole)| *other == node && hole.contains(&idx)) {
            return None;
        }
        let hour = self.quarter(idx).0.hour();
        let base = if (8..20).contains(&hour) { 540 } else { 300 };
        let wave = i64::try_from((idx * 7 + node * 13) % 40).unwrap();
        let rank = 60 * i64::try_from(node % 8).unwrap();
        Some((base + 2 * wave - rank).max(20) * i64::try_from(self.gpus_of_a_node).unwrap())
    }

    /// Whether a quarter-hour is in the dear band.
    fn is_peak(at: &Moment) -> bool {
        use jiff::civil::Weekday;
        let is_weekend = matches!(at.0.weekday(), Weekday::Saturday | Weekday::Sunday);
        !is_weekend && (12..20).contains(&at.0.hour())
    }

    pub(crate) fn report(&self) -> Report {
        let n = self.n_quarters();
        let watts: Vec<Vec<Option<i64>>> =
            (0..self.nodes.len()).map(|node| (0..n).map(|idx| self.watts(node, idx)).collect()).collect();
        let all: Vec<(usize, Option<i64>)> =
            watts.iter().flat_map(|node| node.iter().copied().enumerate()).collect();
        let bounds: Vec<usize> = self.bounds(&watts);
        let total = Row { group: "total".to_owned(), ..self.row("total", &watts) };
        let (costs, bands) = self.costs(&all);
        let charts = self.charts(&watts, &bounds);
        Report {
            schema: SCHEMA,
            from: self.at(self.from),
            to: self.at(self.to),
            now: None,
            timezone: self.zone.to_owned(),
            scope: Scope {
                days: bounds.len() - 1,
                nodes: self.nodes.len(),
                gpus: self.nodes.len() * self.gpus_of_a_node,
                sites: vec!["colo".to_owned()],
                silent_nodes: vec![],
                by: vec!["node".to_owned()],
            },
            rows: vec![],
            costs,
            bands,
            supply: self.has_station.then(supply),
            gaps: self.gaps(),
            notes: vec![BOUNDARY.to_owned(), "A month is played.".to_owned()],
            charts: Some(Box::new(charts)),
            total,
        }
    }

    /// The quarters at which local days begin, and the end.
    fn bounds(&self, watts: &[Vec<Option<i64>>]) -> Vec<usize> {
        let n = watts.first().map_or(0, Vec::len);
        let is_midnight = |idx: &usize| {
            let at = self.quarter(*idx).0;
            (at.hour(), at.minute()) == (0, 0)
        };
        let mut bounds: Vec<usize> = (0..n).filter(|idx| *idx == 0 || is_midnight(idx)).collect();
        bounds.push(n);
        bounds
    }

    fn row(&self, name: &str, watts: &[Vec<Option<i64>>]) -> Row {
        let n = watts.first().map_or(0, Vec::len);
        let sum: i64 = watts.iter().flatten().flatten().sum();
        let n_measured = watts.iter().flatten().flatten().count();
        let n_all = n * watts.len();
        let gpus = watts.len() * self.gpus_of_a_node;
        let energy_kwh = kwh(sum);
        let sums: Vec<i64> = (0..n).map(|idx| watts.iter().filter_map(|node| node[idx]).sum()).collect();
        let peak = (0..n).max_by_key(|idx| (sums[*idx], std::cmp::Reverse(*idx))).unwrap();
        let cost =
            |(idx, watts): (usize, i64)| PRICES[usize::from(Self::is_peak(&self.quarter(idx)))] * kwh(watts);
        let has_cost = self.currencies.len() == 1;
        Row {
            from: self.at(self.from),
            to: self.at(self.to),
            group: name.to_owned(),
            gpus,
            energy_kwh,
            u_kwh: Some((energy_kwh * 0.092).max(0.01)),
            measured_share: Some(n_measured as f64 / n_all as f64),
            unmeasured_h: (n_all - n_measured) as f64 * 0.25 * self.gpus_of_a_node as f64,
            mean_w: (n_measured > 0).then(|| sum as f64 / n_measured as f64 * watts.len() as f64),
            peak_w: None,
            peak_quarter_kw: (sums[peak] > 0).then(|| sums[peak] as f64 / 1000.0),
            peak_quarter_at: (sums[peak] > 0).then(|| self.quarter(peak)),
            idle_kwh: Some(energy_kwh * 0.06),
            energy_cost: has_cost.then(|| sums.iter().copied().enumerate().map(cost).sum()),
            currency: has_cost.then(|| self.currencies[0].to_owned()),
            idle_cost: has_cost.then_some(energy_kwh * 0.006),
            co2_kg: Some(energy_kwh * 0.38),
            co2_g_per_kwh: Some(380.0),
            share: None,
            unpriced_kwh: None,
            estimated_kwh: None,
            u_calibration_share: Some(0.092),
            u_sampling_share: Some(0.001),
            filled_kwh: None,
            billed_kwh: None,
            models: vec![ModelCount { model: "NVIDIA H100 80GB HBM3".to_owned(), gpus }],
            node: None,
            down_since: None,
        }
    }

    fn costs(&self, all: &[(usize, Option<i64>)]) -> (Vec<Cost>, Vec<Band>) {
        let is_peak = |idx: usize| usize::from(Self::is_peak(&self.quarter(idx)));
        let mut energies = [0, 0];
        for (idx, watts) in all {
            energies[is_peak(*idx)] += watts.unwrap_or_default();
        }
        let n = self.currencies.len() as f64;
        let band = |currency: &str, peak: usize| Band {
            name: ["off-peak", "peak"][peak].to_owned(),
            energy_kwh: kwh(energies[peak]) / n,
            energy_cost: Some(kwh(energies[peak]) / n * PRICES[peak]),
            currency: Some(currency.to_owned()),
            mean_price: Some(PRICES[peak]),
        };
        let charge = Charge {
            kind: ChargeKind::Demand,
            month: "2026-11".to_owned(),
            tariff: "colo".to_owned(),
            cost: 378.43,
            is_charged: true,
            is_complete: false,
            per_kw: Some(9.8),
            peak_kw: Some(38.615),
            peak_at: Some(self.at(self.from)),
        };
        let cost = |currency: &&str| {
            let bands = [band(currency, 0), band(currency, 1)];
            let energy_cost = bands.iter().filter_map(|band| band.energy_cost).sum::<f64>();
            Cost {
                currency: (*currency).to_owned(),
                energy_cost: Some(energy_cost),
                u_cost: Some(energy_cost * 0.1),
                demand_cost: 378.43,
                fixed_cost: 12.5,
                cost: Some(energy_cost + 378.43 + 12.5),
                idle_cost: Some(energy_cost * 0.06),
                charges: vec![charge.clone()],
            }
        };
        let bands =
            self.currencies.iter().flat_map(|currency| [band(currency, 0), band(currency, 1)]).collect();
        (self.currencies.iter().map(cost).collect(), bands)
    }

    fn charts(&self, watts: &[Vec<Option<i64>>], bounds: &[usize]) -> Charts {
        let names = self.nodes.iter().zip(watts);
        let mut nodes: Vec<NodeRow> = names
            .map(|(name, watts)| {
                let row = self.row(name, std::slice::from_ref(watts));
                NodeRow { row, days_kwh: bounds.windows(2).map(|day| day_of(watts, day)).collect() }
            })
            .collect();
        nodes.sort_by(|one, other| other.row.energy_kwh.total_cmp(&one.row.energy_kwh));
        let gpus = nodes.iter().flat_map(|node| self.gpus(node)).collect();
        let is_month = bounds.len() > 3;
        Charts {
            power: self.power(watts, &nodes, &of_bars(bounds)),
            periods: self.periods(watts, bounds),
            week: (bounds.len() > 7).then(|| week(watts.len())),
            supply: self.has_station.then(|| supply_charts(self, bounds, is_month)),
            alerts: self.alerts.clone(),
            nodes,
            gpus,
        }
    }

    fn gpus(&self, node: &NodeRow) -> Vec<Row> {
        let n = self.gpus_of_a_node as f64;
        let gpu = |idx| Row {
            group: format!("{} GPU {idx}", node.row.group),
            node: Some(node.row.group.clone()),
            gpus: 1,
            energy_kwh: node.row.energy_kwh / n,
            idle_kwh: node.row.idle_kwh.map(|kwh| kwh / n),
            energy_cost: node.row.energy_cost.map(|cost| cost / n),
            mean_w: node.row.mean_w.map(|watts| watts / n),
            peak_w: Some(699.5),
            ..node.row.clone()
        };
        (0..self.gpus_of_a_node).map(gpu).collect()
    }

    fn power(&self, watts: &[Vec<Option<i64>>], nodes: &[NodeRow], bars: &[usize]) -> PowerStack {
        let n = watts.first().map_or(0, Vec::len);
        let mut quarters = 1;
        while n.div_ceil(quarters) > 3000 {
            quarters *= 2;
        }
        let columns = n.div_ceil(quarters);
        let column = |node: &Vec<Option<i64>>, idx: usize| {
            let chunk = &node[idx * quarters..n.min((idx + 1) * quarters)];
            let sum = chunk.iter().flatten().copied().reduce(|one, other| one + other)?;
            Some(sum / i64::try_from(chunk.len()).unwrap())
        };
        let all = self.row("", watts).energy_kwh;
        let place = |name: &str| self.nodes.iter().position(|node| node == name).unwrap();
        let member = |name: String, own: Vec<&Vec<Option<i64>>>, is_rest| {
            let sum = |idx| own.iter().filter_map(|node| column(node, idx)).reduce(|one, other| one + other);
            let energy_kwh = kwh(own.iter().flat_map(|node| node.iter().flatten()).sum());
            let energy_of_bar = |bar: &[usize]| {
                let watts = own.iter().flat_map(|node| node[bar[0]..bar[1]].iter().flatten().copied());
                watts.reduce(|one, other| one + other).map(kwh)
            };
            StackMember {
                name,
                energy_kwh,
                share: energy_kwh / all,
                is_rest,
                watts: (0..columns).map(sum).collect(),
                periods_kwh: bars.windows(2).map(energy_of_bar).collect(),
            }
        };
        let order: Vec<usize> = nodes.iter().map(|node| place(&node.row.group)).collect();
        let (first, rest) = order.split_at(order.len().min(7));
        let mut members: Vec<StackMember> =
            first.iter().map(|idx| member(self.nodes[*idx].clone(), vec![&watts[*idx]], false)).collect();
        if !rest.is_empty() {
            let name = format!("{} more nodes", rest.len());
            members.push(member(name, rest.iter().map(|idx| &watts[*idx]).collect(), true));
        }
        let measured =
            |idx| watts.iter().filter(|node| column(node, idx).is_some()).count() as f64 / watts.len() as f64;
        PowerStack {
            by: "node".to_owned(),
            members,
            quarters_per_column: quarters,
            columns,
            measured: (0..columns).map(measured).collect(),
        }
    }

    fn periods(&self, watts: &[Vec<Option<i64>>], bounds: &[usize]) -> Periods {
        let n_parts = self.currencies.len().max(1) * 2;
        let bar = |day: &[usize]| {
            let quarters = || (day[0]..day[1]).flat_map(|idx| watts.iter().map(move |node| (idx, node[idx])));
            let mut parts = [0, 0];
            for (idx, watts) in quarters() {
                parts[usize::from(Self::is_peak(&self.quarter(idx)))] += watts.unwrap_or_default();
            }
            let n = n_parts as f64 / 2.0;
            let parts_kwh: Vec<f64> = (0..n_parts).map(|part| kwh(parts[part % 2]) / n).collect();
            let n_measured = quarters().filter(|(_, watts)| watts.is_some()).count();
            let costs = || parts_kwh.iter().enumerate().map(|(part, kwh)| kwh * PRICES[part % 2]);
            let has_tariff = !self.currencies.is_empty();
            PeriodBar {
                from: self.quarter(day[0]),
                to: self.quarter(day[1]),
                hours: (day[1] - day[0]) as f64 / 4.0,
                energy_kwh: kwh(parts.iter().sum()),
                parts_cost: costs().map(|cost| has_tariff.then_some(cost)).collect(),
                energy_cost: (self.currencies.len() == 1).then(|| costs().sum()),
                measured_share: Some(n_measured as f64 / quarters().count() as f64),
                parts_kwh: if has_tariff { parts_kwh } else { vec![kwh(parts.iter().sum())] },
            }
        };
        let parts = if self.currencies.is_empty() {
            vec!["energy"]
        } else {
            ["off-peak", "peak"].repeat(n_parts / 2)
        };
        let unit = if bounds.len() > MAX_BOUNDS_OF_HOURS { "day" } else { "hour" };
        Periods {
            unit: unit.to_owned(),
            parts: parts.into_iter().map(str::to_owned).collect(),
            bars: of_bars(bounds).windows(2).map(bar).collect(),
        }
    }

    fn gaps(&self) -> Vec<Gap> {
        let gap = |(idx, (node, hole)): (usize, &(usize, std::ops::Range<usize>))| Gap {
            number: Some(idx + 1),
            what: self.nodes[*node].clone(),
            from: Some(self.quarter(hole.start)),
            to: Some(self.quarter(hole.end)),
            gpu_hours: hole.len() as f64 * 0.25 * self.gpus_of_a_node as f64,
            reason: "host down: connection timed out".to_owned(),
            hint: Some("check that it is switched on".to_owned()),
        };
        self.holes.iter().enumerate().map(gap).collect()
    }
}

/// The quarters at which the bars of periods begin, and the end.
fn of_bars(bounds: &[usize]) -> Vec<usize> {
    if bounds.len() > MAX_BOUNDS_OF_HOURS {
        return bounds.to_vec();
    }
    (bounds[0]..=*bounds.last().unwrap()).step_by(4).collect()
}

fn kwh(quarter_watts: i64) -> f64 {
    quarter_watts as f64 / 4000.0
}

fn day_of(watts: &[Option<i64>], day: &[usize]) -> Option<f64> {
    let quarters = &watts[day[0]..day[1]];
    let is_known = quarters.iter().flatten().count() * 50 >= quarters.len();
    is_known.then(|| kwh(quarters.iter().flatten().sum()))
}

fn week(nodes: usize) -> Week {
    let hour = |hour: usize| if (8..20).contains(&hour) { 3.1 } else { 1.9 };
    let row = |day: usize| (0..24).map(|at| Some(hour(at) * nodes as f64 + day as f64 * 0.1)).collect();
    let mut mean_kw: Vec<Vec<Option<f64>>> = (0..7).map(row).collect();
    mean_kw[6][3] = None;
    let is_peak =
        (0..7).map(|day| (0..24).map(|hour| day < 5 && (12..20).contains(&hour)).collect()).collect();
    Week { mean_kw, is_peak, peak_band: Some("peak".to_owned()), peak_site: None }
}

fn supply() -> Supply {
    Supply {
        stations: vec!["Solix F3800 Plus, A1B2".to_owned()],
        load_kwh: 554.8,
        solar_kwh: 242.0,
        grid_kwh: 317.8,
        sun_direct_kwh: 178.8,
        battery_out_kwh: 58.2,
        grid_direct_kwh: 317.8,
        battery_in_kwh: 63.2,
        self_sufficiency: Some(0.4272),
        round_trip: Some(0.9209),
        hours_left: Some(7.25),
        measured_share: Some(0.9931),
        battery_rule: "Energy from the battery is priced by what charged it.".to_owned(),
        battery_price: None,
        currency: None,
    }
}

fn supply_charts(plan: &Plan, bounds: &[usize], is_month: bool) -> SupplyCharts {
    let bar = |idx: usize, at: usize| {
        let sun = [7.4, 7.7, 2.1, 4.4, 6.0][idx % 5];
        SupplyBar {
            from: plan.quarter(at),
            sun_kwh: sun,
            battery_kwh: 2.2,
            grid_kwh: 11.6 - sun,
            into_battery_kwh: sun / 3.0,
            is_whole: idx != 4,
            measured_share: if idx == 4 { 0.75 } else { 1.0 },
        }
    };
    let days = &bounds[..bounds.len() - 1];
    let quarters: Vec<usize> = (0..*bounds.last().unwrap()).collect();
    let starts = if is_month { days } else { quarters.as_slice() };
    let bars: Vec<SupplyBar> = starts.iter().enumerate().map(|(idx, at)| bar(idx, *at)).collect();
    let hours: Vec<SupplyBar> = (0..24).map(|hour| bar(hour, hour * 4)).collect();
    let charge = |idx: usize| (idx != 4).then_some((12.0, 60.0 + (idx % 5) as f64 * 10.0));
    SupplyCharts {
        charge: (0..bars.len()).map(charge).collect(),
        charge_by_hour: if is_month {
            (0..24).map(|hour| Some(f64::from(hour) * 4.0)).collect()
        } else {
            vec![]
        },
        mean_day: if is_month { hours } else { vec![] },
        bars,
    }
}
