//! A month of an invented fleet, as the tests of outputs need it: 12 nodes, 70 GPUs, 30 days, and the report that is
//! computed from it.

use std::sync::LazyLock;

use super::gaps::GapReason;
use super::measured::Told;
use super::model::{AlertRow, Report};
use super::question::Stack;
use super::test_ledger::TestLedger;
use crate::ledger::{Entry, Method, NumberedRow};
use crate::support::stable_hash;

/// Nodes with their number of GPUs, model, site, the watts of a GPU at work, and the tenths of days on which it works.
const NODES: [(&str, i64, &str, &str, i64, u64); 12] = [
    ("hgx-01", 8, "H100 80GB HBM3", "hall", 640, 9),
    ("hgx-02", 8, "H100 80GB HBM3", "hall", 620, 9),
    ("hgx-03", 8, "H100 80GB HBM3", "hall", 610, 9),
    ("hgx-04", 8, "H100 80GB HBM3", "hall", 480, 6),
    ("hgx-05", 8, "H100 80GB HBM3", "hall", 470, 6),
    ("hgx-06", 8, "H100 80GB HBM3", "hall", 460, 6),
    ("hgx-07", 8, "H100 80GB HBM3", "hall", 450, 6),
    ("hgx-08", 8, "H100 80GB HBM3", "hall", 440, 3),
    ("redfin", 1, "RTX PRO 6000", "home", 420, 6),
    ("turing-01", 2, "A100-PCIE-40GB", "hall", 210, 4),
    ("turing-02", 2, "A100-PCIE-40GB", "hall", 230, 4),
    ("bluefin", 1, "Quadro K620", "home", 40, 5),
];

/// Two sites with three bands, demand, fixed charges and carbon.
const TARIFFS: &str = r#"
[site]
timezone = "America/Chicago"
pue = 1.0

[[tariff]]
name = "hall"
currency = "USD"
applies_to = { site = "hall" }
per_kwh = 0.094
[[tariff.band]]
name = "peak"
days = "Mon-Fri"
hours = "16:00-21:00"
per_kwh = 0.182
[[tariff.band]]
name = "off-peak"
hours = "22:00-06:00"
per_kwh = 0.061
[[tariff.demand]]
per_kw = 9.80
hours = "12:00-20:00"

[[tariff]]
name = "home"
currency = "USD"
applies_to = { site = "home" }
per_kwh = 0.14
fixed_per_month = 12.50

[carbon]
g_per_kwh = 380
"#;

/// Thirty days, one of which has 25 hours.
const QUARTERS: i64 = 30 * 96 + 4;

/// Quarters in which a node is not measured: the node, the first one, and how many.
const DOWN: [(&str, i64, i64); 2] = [("hgx-03", 1_453, 36), ("turing-02", 2_767, 117)];

/// Quarters in which nothing is measured.
const STOPPED: std::ops::Range<i64> = 2_174..2_180;

/// The series, among eight, of the board that is lost on hgx-05, and its quarters.
const LOST: (i64, std::ops::Range<i64>) = (6, 2_440..2_604);

/// The month, by node, with all charts.
pub(crate) fn month() -> Report {
    MONTH.clone()
}

static MONTH: LazyLock<Report> = LazyLock::new(|| {
    let mut ledger = ledger();
    ledger.question.charts = Some(Stack::Auto);
    let measured = ledger.measured();
    let told = Told {
        reasons: measured.gaps().iter().map(|gap| Some(reason(&gap.what))).collect(),
        ..Told::default()
    };
    let mut report = measured.report(&told).unwrap();
    let alerts = alerts(&report);
    report.charts.as_mut().unwrap().alerts = alerts;
    report
});

fn reason(what: &str) -> GapReason {
    let (reason, hint) = match what {
        "all nodes" => ("fleetwatt was not running", None),
        "hgx-03" => ("host down: connection timed out", Some("see whether the machine is on and reachable")),
        "turing-02" => ("host down: no route to host", Some("see whether the machine is on and reachable")),
        _ => ("GPU is lost (fell off the bus)", Some("reset the GPU, or reboot the host")),
    };
    GapReason { reason: reason.to_owned(), hint: hint.map(str::to_owned) }
}

/// The ledger of the month.
fn ledger() -> TestLedger {
    let mut ledger =
        TestLedger::new("2026-10-28T00:00", "2026-11-27T00:00", "America/Chicago").tariffs(TARIFFS);
    for (node, n_gpus, model, site, watts, tenths) in NODES {
        ledger = ledger.node(node, site);
        let works: Vec<bool> = (0..=day_of(QUARTERS))
            .map(|day| stable_hash(&format!("{node} works on {day}")) % 10 < tenths)
            .collect();
        for gpu in 0..n_gpus {
            let uuid = format!("GPU-{:08x}-{node}", stable_hash(&format!("{node}/{gpu}")) >> 32);
            let series = ledger.series(&uuid, model);
            ledger.indices.insert(series, u32::try_from(gpu).unwrap());
            let (number, first) = (ledger.node_id(node), ledger.question.range.start);
            let seed = stable_hash(&uuid);
            for quarter in (0..QUARTERS).filter(|quarter| !is_missing(node, gpu, *quarter)) {
                let entry = entry(seed, works[day_of(quarter)], quarter, watts);
                ledger.rows.push(NumberedRow { series, node: number, quarter: first.plus(quarter), entry });
            }
        }
    }
    ledger
}

fn is_missing(node: &str, gpu: i64, quarter: i64) -> bool {
    let is_down = DOWN.iter().any(|(down, first, n)| *down == node && (*first..first + n).contains(&quarter));
    is_down || STOPPED.contains(&quarter) || (node == "hgx-05" && LOST.0 == gpu && LOST.1.contains(&quarter))
}

fn day_of(quarter: i64) -> usize {
    usize::try_from(quarter / 96).unwrap()
}

/// A quarter at work or at rest, with some noise, and a poll that fails now and then.
fn entry(seed: u64, is_working: bool, quarter: i64, watts: i64) -> Entry {
    let mixed = (seed ^ quarter.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise = i64::try_from((mixed >> 40) % 100).unwrap();
    let draw = if is_working { watts * 1_000 - noise * watts * 2 } else { watts * 120 + noise * 10 };
    let covered_ms = if noise == 7 { 840_000 } else { 900_000 };
    Entry {
        energy_mj: draw * covered_ms / 1_000,
        covered_ms,
        samples: covered_ms / 60_000,
        min_mw: Some(draw - draw / 50),
        max_mw: Some(draw + draw / 20),
        variance_mj2: 4.0e8,
        busy_ms: Some(if is_working { covered_ms * 9 / 10 } else { 0 }),
        method: Method::READINGS,
    }
}

fn alerts(report: &Report) -> Vec<AlertRow> {
    let gap = |what: &str| report.gaps.iter().find(|gap| gap.what == what).unwrap();
    let alert = |what: &str, rule: &str, message: &str, is_over: bool| AlertRow {
        from: gap(what).from.clone().unwrap(),
        to: gap(what).to.clone().filter(|_| is_over),
        is_critical: rule == "host_down",
        rule: rule.to_owned(),
        subject: what.to_owned(),
        message: message.to_owned(),
    };
    vec![
        alert("hgx-03", "host_down", "host down: connection timed out", true),
        alert("hgx-05 GPU 6", "gpu_lost", "GPU is lost (fell off the bus)", true),
        alert("turing-02", "host_down", "host down: no route to host", false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_has_what_the_outputs_show() {
        let month = month();
        assert_eq!((month.scope.nodes, month.scope.gpus, month.scope.days), (12, 70, 30));
        let gaps: Vec<_> = month.gaps.iter().map(|gap| (gap.what.as_str(), gap.gpu_hours)).collect();
        // 70 GPUs for 1.5 h, 8 for 9 h, 2 for 29.25 h, one for 41 h.
        assert_eq!(&gaps[..3], [("all nodes", 105.0), ("hgx-03", 72.0), ("turing-02", 58.5)]);
        assert_eq!(gaps[3], ("hgx-05 GPU 6", 41.0));
        assert_eq!((gaps.len(), gaps[4].0), (5, "single readings"));
        let charts = month.charts.unwrap();
        assert_eq!((charts.nodes.len(), charts.gpus.len(), charts.power.members.len()), (12, 70, 8));
        assert_eq!(
            (charts.power.by.as_str(), charts.power.members[7].name.as_str()),
            ("node", "5 more nodes")
        );
        assert_eq!((charts.power.columns, charts.power.quarters_per_column), (2_884, 1));
        assert_eq!((charts.periods.unit.as_str(), charts.periods.bars.len()), ("day", 30));
        assert!(charts.week.is_some() && charts.alerts.len() == 3);
    }
}
