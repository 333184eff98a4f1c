//! A month of twelve nodes, as the renderers' tests see it.

use jiff::ToSpan as _;

use crate::report::{
    BOUNDARY, Charge, ChargeKind, Charts, Cost, Gap, Moment, PeriodBar, Periods, PowerStack, Report, Row,
    SCHEMA, Scope, Supply,
};

/// Name, GPUs, kWh, ±, share, idle share, cost, measured share.
type Node = (&'static str, usize, f64, f64, f64, f64, f64, f64);

const NODES: [Node; 12] = [
    ("hgx-01", 8, 3144.1, 290.0, 0.168, 0.01, 298.12, 0.998),
    ("hgx-02", 8, 3098.4, 290.0, 0.166, 0.01, 293.83, 0.998),
    ("hgx-03", 8, 3092.8, 280.0, 0.165, 0.01, 292.73, 0.985),
    ("hgx-05", 8, 1937.5, 180.0, 0.104, 0.18, 203.24, 0.990),
    ("hgx-07", 8, 1936.7, 180.0, 0.104, 0.19, 203.27, 0.998),
    ("hgx-06", 8, 1934.1, 180.0, 0.103, 0.10, 184.33, 0.998),
    ("hgx-04", 8, 1915.1, 180.0, 0.102, 0.19, 200.56, 0.998),
    ("hgx-08", 8, 1234.1, 110.0, 0.066, 0.24, 115.71, 0.998),
    ("redfin", 1, 187.5, 17.0, 0.010, 0.11, 17.99, 0.998),
    ("turing-02", 2, 97.7, 9.0, 0.005, 0.18, 10.51, 0.957),
    ("turing-01", 2, 85.8, 7.9, 0.0046, 0.24, 9.02, 0.998),
    ("bluefin", 1, 30.7, 2.8, 0.0016, 0.27, 5.19, 0.997),
];

/// The energy of each day, and whether it was measured whole.
const DAYS: [u32; 30] = [
    700, 710, 705, 620, 700, 702, 706, 732, 650, 720, 640, 652, 630, 560, 640, 600, 550, 545, 560, 655, 540,
    560, 556, 640, 548, 467, 610, 645, 700, 622,
];
const POOR_DAYS: [usize; 7] = [15, 22, 25, 26, 27, 28, 29];

/// A local time of the fixture.
pub(super) fn at(text: &str) -> Moment {
    Moment(format!("{text}[America/Chicago]").parse().unwrap())
}

pub(super) fn row(name: &str, gpus: usize, energy_kwh: f64) -> Row {
    Row {
        from: at("2026-10-28T00:00"),
        to: at("2026-11-27T00:00"),
        group: name.to_owned(),
        gpus,
        energy_kwh,
        u_kwh: None,
        measured_share: None,
        unmeasured_h: 0.0,
        mean_w: None,
        peak_w: None,
        peak_quarter_kw: None,
        peak_quarter_at: None,
        idle_kwh: None,
        energy_cost: None,
        currency: None,
        idle_cost: None,
        co2_kg: None,
        co2_g_per_kwh: None,
        share: None,
        unpriced_kwh: None,
        estimated_kwh: None,
        u_calibration_share: None,
        u_sampling_share: None,
        filled_kwh: None,
        billed_kwh: None,
        models: Vec::new(),
        node: None,
        down_since: None,
    }
}

fn node((name, gpus, energy, u, share, idle, cost, measured): Node) -> Row {
    Row {
        u_kwh: Some(u),
        measured_share: Some(measured),
        unmeasured_h: (1.0 - measured) * 720.0,
        mean_w: Some(energy / 0.72),
        idle_kwh: Some(energy * idle),
        energy_cost: Some(cost),
        currency: Some("USD".to_owned()),
        share: Some(share),
        ..row(name, gpus, energy)
    }
}

fn cost() -> Cost {
    let charge = |kind, cost, month: &str| Charge {
        kind,
        month: month.to_owned(),
        tariff: "home".to_owned(),
        cost,
        is_charged: true,
        is_complete: month != "2026-11",
        per_kw: None,
        peak_kw: None,
        peak_at: None,
    };
    let demand = Charge {
        per_kw: Some(9.80),
        peak_kw: Some(38.6),
        peak_at: Some(at("2026-11-04T19:15")),
        ..charge(ChargeKind::Demand, 378.43, "2026-11")
    };
    Cost {
        currency: "USD".to_owned(),
        energy_cost: Some(1834.50),
        u_cost: Some(200.0),
        demand_cost: 378.43,
        fixed_cost: 12.50,
        cost: Some(2225.43),
        idle_cost: Some(146.27),
        charges: vec![demand, charge(ChargeKind::Fixed, 12.50, "2026-11")],
    }
}

fn gap(number: Option<usize>, what: &str, when: Option<(&str, &str)>, reason: &str, gpu_hours: f64) -> Gap {
    Gap {
        number,
        what: what.to_owned(),
        from: when.map(|(from, _)| at(from)),
        to: when.map(|(_, to)| at(to)),
        gpu_hours,
        reason: reason.to_owned(),
        hint: None,
    }
}

fn gaps() -> Vec<Gap> {
    let when = |from: &'static str, to: &'static str| Some((from, to));
    vec![
        gap(
            Some(1),
            "all nodes",
            when("2026-11-19T14:30", "2026-11-19T16:00"),
            "fleetwatt was not running",
            105.0,
        ),
        gap(
            Some(2),
            "hgx-03",
            when("2026-11-12T02:15", "2026-11-12T11:15"),
            "host down: connection timed out during the login",
            72.0,
        ),
        gap(
            Some(3),
            "turing-02",
            when("2026-11-25T18:45", "2026-11-27T00:00"),
            "host down: no route to host",
            58.5,
        ),
        gap(
            Some(4),
            "hgx-05 GPU 6",
            when("2026-11-22T09:00", "2026-11-24T02:00"),
            "GPU is lost (fell off the bus); reboot the node",
            41.0,
        ),
        gap(None, "single readings", None, "time-outs of single polls", 13.9),
    ]
}

fn periods() -> Periods {
    let first = at("2026-10-28T00:00").0;
    let bar = |(idx, kwh): (usize, &u32)| {
        let from = first.checked_add(i64::try_from(idx).unwrap().days()).unwrap();
        let to = from.checked_add(1.day()).unwrap();
        PeriodBar {
            from: Moment(from),
            to: Moment(to),
            hours: 24.0,
            energy_kwh: f64::from(*kwh),
            parts_kwh: vec![f64::from(*kwh)],
            parts_cost: vec![None],
            energy_cost: None,
            measured_share: Some(if POOR_DAYS.contains(&idx) { 0.95 } else { 0.998 }),
        }
    };
    let bars = DAYS.iter().enumerate().map(bar).collect();
    Periods { unit: "day".to_owned(), parts: vec!["energy".to_owned()], bars }
}

/// The charts, of which only the days are filled.
pub(super) fn charts() -> Charts {
    let power = PowerStack {
        by: "node".to_owned(),
        members: Vec::new(),
        quarters_per_column: 1,
        columns: 0,
        measured: Vec::new(),
    };
    Charts {
        nodes: Vec::new(),
        gpus: Vec::new(),
        power,
        periods: periods(),
        week: None,
        supply: None,
        alerts: Vec::new(),
    }
}

/// Stations with sun and a battery.
pub(super) fn supply() -> Supply {
    Supply {
        stations: vec!["F3800 …9876".to_owned()],
        load_kwh: 320.0,
        solar_kwh: 150.0,
        grid_kwh: 190.0,
        sun_direct_kwh: 64.0,
        battery_out_kwh: 80.0,
        grid_direct_kwh: 176.0,
        battery_in_kwh: 100.0,
        self_sufficiency: Some(0.43),
        round_trip: Some(0.8),
        hours_left: Some(5.25),
        measured_share: Some(0.991),
        battery_rule: "charged".to_owned(),
        battery_price: None,
        currency: None,
    }
}

/// A month by node, without charts and without a station.
pub(super) fn month() -> Report {
    let total = Row {
        u_kwh: Some(1700.0),
        measured_share: Some(0.994),
        unmeasured_h: 290.4,
        peak_quarter_kw: Some(40.6),
        peak_quarter_at: Some(at("2026-11-02T20:30")),
        idle_kwh: Some(1709.0),
        energy_cost: Some(1834.50),
        currency: Some("USD".to_owned()),
        idle_cost: Some(146.27),
        co2_kg: Some(7040.0),
        share: Some(1.0),
        u_calibration_share: Some(0.092),
        u_sampling_share: Some(0.001),
        ..row("total", 70, 18_694.5)
    };
    Report {
        schema: SCHEMA,
        from: at("2026-10-28T00:00"),
        to: at("2026-11-27T00:00"),
        now: None,
        timezone: "America/Chicago".to_owned(),
        scope: Scope {
            days: 30,
            nodes: 12,
            gpus: 70,
            sites: vec!["home".to_owned()],
            silent_nodes: vec![],
            by: vec!["node".to_owned()],
        },
        rows: NODES.into_iter().map(node).collect(),
        total,
        costs: vec![cost()],
        bands: Vec::new(),
        supply: None,
        gaps: gaps(),
        notes: vec![
            BOUNDARY.to_owned(),
            "PUE 1.0: cost and CO2 are of the boards' energy times it.".to_owned(),
        ],
        charts: None,
    }
}
