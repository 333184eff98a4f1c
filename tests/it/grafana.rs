//! The dashboards of `grafana/`: their shape, and each of their queries asked of real databases. What is put into the
//! queries, and how, is as Grafana does it; Grafana itself is not here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

mod dashboard;
mod databases;
mod expand;
mod shape;

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use dashboard::{Dashboard, strings};
use databases::{Answer, Databases, stage};
use expand::View;

#[test]
fn every_dashboard_has_a_shape_that_grafana_knows() {
    let problems: Vec<String> = Dashboard::all().iter().flat_map(shape::problems).collect();
    assert_eq!(problems, [""; 0]);
}

#[test]
fn a_slip_in_a_dashboard_is_found() {
    let slips: [(&str, Value); 7] = [
        ("/panels/0/tittle", "Power".into()),
        ("/panels/0/gridPos/w", 25.into()),
        ("/panels/1/id", 1.into()),
        ("/panels/1/gridPos/x", 0.into()),
        ("/panels/0/targets/0/datasource/uid", "mine".into()),
        ("/panels/0/options/colorMode", "rainbow".into()),
        ("/panels/0/targets/0/rawSql", "SELECT $nothing".into()),
    ];
    for (pointer, value) in slips {
        let mut dashboard = Dashboard::read("postgresql/fleet");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        dashboard.json.pointer_mut(parent).unwrap()[key] = value;
        assert!(!shape::problems(&dashboard).is_empty(), "{pointer}");
    }
}

/// The names that the source of the exposition has.
fn exported() -> BTreeSet<String> {
    let name = Regex::new(r#""(fleetwatt_[a-z_]+)""#).unwrap();
    let files = ["src/output/prometheus/metrics.rs", "src/reading/quantity.rs"];
    let texts =
        files.map(|file| std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap());
    texts.iter().flat_map(|text| name.captures_iter(text)).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_metric_of_a_dashboard_is_one_that_is_exported() {
    let (exported, name) = (exported(), Regex::new(r"\bfleetwatt_[a-z_]+").unwrap());
    for dashboard in Dashboard::all().iter().filter(|board| board.name.starts_with("prometheus/")) {
        let used: BTreeSet<_> = strings(&dashboard.json)
            .iter()
            .flat_map(|text| name.find_iter(text))
            .map(|found| found.as_str().to_owned())
            .collect();
        let unknown: Vec<_> = used.difference(&exported).collect();
        assert!(unknown.is_empty() && !used.is_empty(), "{}: {unknown:?}", dashboard.name);
    }
}

/// What is wrong with an answer: nothing came, a column that has no value, or a series without its time.
fn problem(target: &Value, answer: &Answer) -> Option<String> {
    if answer.rows.is_empty() {
        return Some("no rows".to_owned());
    }
    let known: BTreeSet<&String> = answer.rows.iter().flatten().collect();
    let empty: Vec<_> = answer.columns.iter().filter(|column| !known.contains(column)).collect();
    if !empty.is_empty() {
        return Some(format!("without any value: {empty:?}"));
    }
    let is_series = target["format"] == "time_series" && target.get("rawSql").is_some();
    if is_series && !answer.rows.iter().all(|row| row.contains("time")) {
        return Some(format!("no time in {:?}", answer.columns));
    }
    let label = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let legend = target["legendFormat"].as_str().unwrap_or_default();
    let mut labels = label.captures_iter(legend).map(|found| found[1].to_owned());
    labels.find(|label| !answer.columns.contains(label)).map(|label| format!("no label {label}"))
}

/// The problems of all queries of a dashboard.
fn problems(databases: &mut Databases, board: &Dashboard) -> Vec<String> {
    let view = match databases.view(board, &[]) {
        Ok(view) => view,
        Err(said) => return vec![format!("{}: {said}", board.name)],
    };
    let mut problems = Vec::new();
    let mut ask = |title: &str, panel: &Value, target: &Value| {
        let found = match databases.ask(panel, target, &view) {
            Ok(answer) => problem(target, &answer),
            Err(said) => Some(said),
        };
        problems.extend(found.map(|said| format!("{}: {title}: {} {said}", board.name, target["refId"])));
    };
    for annotation in board.annotations() {
        ask("annotations", annotation, &annotation["target"]);
    }
    for panel in board.panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            ask(panel["title"].as_str().unwrap(), panel, target);
        }
    }
    problems
}

/// A dashboard with another word in one of its queries.
fn with_slip(board: &Dashboard, from: &str, to: &str) -> Dashboard {
    let text = board.json["panels"].to_string();
    assert!(text.contains(from), "{from}");
    let mut slip = board.clone();
    slip.json["panels"] = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
    slip
}

/// The nodes that a view has.
fn nodes(view: Result<View, String>) -> Vec<String> {
    view.unwrap().variables["node"].values.clone()
}

#[test]
fn every_query_is_answered_and_a_slip_is_not() {
    let stage = stage();
    let (mut databases, daemon) = Databases::filled(&stage);
    let found: Vec<_> = Dashboard::all().iter().flat_map(|board| problems(&mut databases, board)).collect();
    assert_eq!(found, [""; 0]);

    let [tables, series] = ["postgresql/fleet", "prometheus/fleet"].map(Dashboard::read);
    for (board, from, to) in [
        (&tables, "created_at", "createdat"),
        (&tables, "'outcome'", "'outcom'"),
        (&tables, "'node_gpu_power_total'", "'node_power'"),
        (&series, "fleetwatt_host_up{", "fleetwatt_host_is_up{"),
        (&series, "sum(", "summ("),
        (&series, "{{node}}", "{{host}}"),
    ] {
        assert_eq!(problems(&mut databases, &with_slip(board, from, to)).len(), 1, "{from}");
    }

    let all = ["node001", "o.node", "redfin"];
    assert_eq!(nodes(databases.view(&tables, &[])), all);
    assert_eq!(nodes(databases.view(&tables, &[("label", "rack=a1")])), ["node001"]);
    assert_eq!(nodes(databases.view(&series, &[])), all);
    assert_eq!(nodes(databases.view(&series, &[("label", "rack"), ("value", "a1")])), ["node001"]);
    daemon.stop();
}
