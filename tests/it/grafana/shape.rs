//! The shape of dashboards: which keys and words Grafana knows, of those that are used here. It finds no typing errors
//! itself; a wrong key is passed over in silence.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::dashboard::{Dashboard, strings};

const DASHBOARD: &[&str] = &[
    "id",
    "uid",
    "title",
    "description",
    "tags",
    "schemaVersion",
    "version",
    "editable",
    "graphTooltip",
    "refresh",
    "time",
    "timezone",
    "fiscalYearStartMonth",
    "weekStart",
    "links",
    "annotations",
    "templating",
    "timepicker",
    "panels",
];
const PANEL: &[&str] = &[
    "id",
    "type",
    "title",
    "description",
    "gridPos",
    "datasource",
    "targets",
    "interval",
    "fieldConfig",
    "options",
    "transformations",
];
const ROW: &[&str] = &["id", "type", "title", "collapsed", "gridPos", "panels"];
const VARIABLE: &[&str] = &[
    "type",
    "name",
    "label",
    "description",
    "datasource",
    "query",
    "regex",
    "multi",
    "includeAll",
    "allValue",
    "refresh",
    "sort",
    "hide",
    "options",
    "current",
];
const POSTGRESQL: &[&str] = &["refId", "datasource", "editorMode", "format", "rawQuery", "rawSql"];
const PROMETHEUS: &[&str] =
    &["refId", "datasource", "editorMode", "expr", "format", "instant", "range", "legendFormat", "interval"];
const DEFAULTS: &[&str] =
    &["unit", "decimals", "min", "max", "noValue", "color", "mappings", "thresholds", "custom"];
const OVERRIDDEN: &[&str] = &[
    "unit",
    "decimals",
    "min",
    "max",
    "color",
    "mappings",
    "thresholds",
    "links",
    "custom.width",
    "custom.cellOptions",
];
const UNITS: &[&str] = &[
    "watt",
    "kwatth",
    "percentunit",
    "celsius",
    "bytes",
    "s",
    "h",
    "none",
    "dateTimeFromNow",
    "dateTimeAsLocal",
];
const TRANSFORMATIONS: &[&str] = &["merge", "organize"];

const REDUCED: [(&str, &[&str]); 3] =
    [("reduceOptions.calcs", &["lastNotNull"]), ("reduceOptions.fields", &[]), ("reduceOptions.values", &[])];
const TOOLTIP: [(&str, &[&str]); 2] =
    [("tooltip.mode", &["multi", "single"]), ("tooltip.sort", &["none", "desc"])];
const LEGEND: [(&str, &[&str]); 4] = [
    ("legend.displayMode", &["list", "table"]),
    ("legend.placement", &["bottom", "right"]),
    ("legend.showLegend", &[]),
    ("legend.calcs", &["lastNotNull", "max", "sum"]),
];

type Words = Vec<(&'static str, &'static [&'static str])>;

/// The paths in the options of a type of panel, each with the words that it may have; none is anything.
fn options(panel: &str) -> Words {
    let own: &[(&str, &[&str])] = match panel {
        "stat" => &[
            ("orientation", &["auto"]),
            ("textMode", &["auto", "value", "name", "value_and_name"]),
            ("colorMode", &["value", "background"]),
            ("graphMode", &["none"]),
            ("justifyMode", &["auto"]),
            ("wideLayout", &[]),
        ],
        "gauge" => &[
            ("orientation", &["auto"]),
            ("showThresholdLabels", &[]),
            ("showThresholdMarkers", &[]),
            ("sizing", &["auto"]),
            ("minVizWidth", &[]),
            ("minVizHeight", &[]),
        ],
        "timeseries" => &[],
        "state-timeline" => {
            &[("mergeValues", &[]), ("showValue", &["never"]), ("alignValue", &["left"]), ("rowHeight", &[])]
        }
        "piechart" => &[
            ("pieType", &["donut"]),
            ("displayLabels", &["percent"]),
            ("legend.values", &["value", "percent"]),
        ],
        "table" => &[("showHeader", &[]), ("cellHeight", &["sm"]), ("sortBy", &[])],
        "text" => &[("mode", &["markdown"]), ("content", &[])],
        _ => &[],
    };
    let mut words = own.to_vec();
    if ["stat", "gauge", "piechart"].contains(&panel) {
        words.extend(REDUCED);
    }
    if ["timeseries", "state-timeline", "piechart"].contains(&panel) {
        words.extend(TOOLTIP.iter().chain(&LEGEND));
    }
    words
}

/// The same of what a type of panel has of its own for each field.
fn custom(panel: &str) -> Words {
    match panel {
        "timeseries" => vec![
            ("drawStyle", &["line", "bars"]),
            ("lineInterpolation", &["linear", "stepAfter"]),
            ("lineWidth", &[]),
            ("fillOpacity", &[]),
            ("gradientMode", &["none"]),
            ("showPoints", &["auto", "never"]),
            ("pointSize", &[]),
            ("spanNulls", &[]),
            ("axisPlacement", &["auto"]),
            ("stacking.mode", &["none", "normal"]),
            ("stacking.group", &["A"]),
            ("thresholdsStyle.mode", &["off", "dashed"]),
        ],
        "state-timeline" => vec![("lineWidth", &[]), ("fillOpacity", &[]), ("spanNulls", &[])],
        "table" => {
            vec![("align", &["auto"]), ("cellOptions.type", &["auto"]), ("filterable", &[]), ("inspect", &[])]
        }
        _ => vec![],
    }
}

/// Each problem of a dashboard's shape.
pub(super) fn problems(dashboard: &Dashboard) -> Vec<String> {
    let mut said = Said { name: dashboard.name.clone(), problems: Vec::new() };
    said.dashboard(dashboard);
    said.variables(dashboard);
    said.places(dashboard);
    for panel in dashboard.panels() {
        said.name = format!("{}: {}", dashboard.name, panel["title"]);
        said.panel(dashboard, panel);
    }
    said.problems
}

struct Said {
    name: String,
    problems: Vec<String>,
}

impl Said {
    fn hold(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.problems.push(format!("{}: {}", self.name, problem.into()));
        }
    }

    fn keys(&mut self, what: &str, value: &Value, known: &[&str]) {
        let keys =
            value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        self.hold(value.is_object(), format!("{what} is no object"));
        for key in keys {
            self.hold(known.contains(&key.as_str()), format!("{what} has an unknown key `{key}`"));
        }
    }

    fn words(&mut self, what: &str, value: &Value, known: &Words) {
        for (path, leaf) in leaves("", value) {
            let Some((_, words)) = known.iter().find(|(known, _)| *known == path) else {
                self.hold(false, format!("{what} has an unknown key `{path}`"));
                continue;
            };
            let texts = leaf.as_array().cloned().unwrap_or_else(|| vec![leaf.clone()]);
            for text in texts.iter().filter(|_| !words.is_empty()) {
                let is_known = text.as_str().is_some_and(|text| words.contains(&text));
                self.hold(is_known, format!("{what} has `{path}` {text}"));
            }
        }
    }

    fn dashboard(&mut self, dashboard: &Dashboard) {
        let json = &dashboard.json;
        self.keys("the dashboard", json, DASHBOARD);
        self.hold(json["id"].is_null(), "it has an id");
        self.hold(json["schemaVersion"] == 42, "it is of another schema");
        let uid = format!("fleetwatt-{}", dashboard.name.replace('/', "-"));
        self.hold(json["uid"] == uid.as_str(), format!("its uid is not {uid}"));
        let tags = dashboard.name.split('/').next().unwrap();
        self.hold(json["tags"] == serde_json::json!(["fleetwatt", tags]), "its tags");
        for link in json["links"].as_array().unwrap() {
            let url = link["url"].as_str().unwrap();
            let target = url.trim_start_matches("/d/fleetwatt-").trim_end_matches("?${ds:queryparam}");
            let file = target.replacen('-', "/", 1);
            self.hold(Dashboard::names().contains(&file), format!("a link to nothing: {url}"));
        }
    }

    fn variables(&mut self, dashboard: &Dashboard) {
        let mut defined = BTreeSet::new();
        for variable in dashboard.variables() {
            self.keys("a variable", variable, VARIABLE);
            let name = variable["name"].as_str().unwrap();
            self.hold(defined.insert(name), format!("`{name}` is there twice"));
            let kind = variable["type"].as_str().unwrap_or_default();
            self.hold(["datasource", "query", "textbox"].contains(&kind), format!("`{name}` is a {kind}"));
        }
        let named = Regex::new(r"\$\{(\w+)(?:[.:]\w+)?\}|\$([A-Za-z_]\w*)").unwrap();
        let mut used = BTreeSet::new();
        for text in strings(&dashboard.json) {
            let names = named.captures_iter(text).filter_map(|found| found.get(1).or(found.get(2)));
            used.extend(names.map(|name| name.as_str()).filter(|name| !name.starts_with("__")));
        }
        self.hold(used == defined, format!("defined are {defined:?}, used {used:?}"));
    }

    /// Each panel has a place of its own.
    fn places(&mut self, dashboard: &Dashboard) {
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard.panels() {
            let title = panel["title"].as_str().unwrap_or_default();
            self.hold(ids.insert(panel["id"].as_u64()), format!("{title} has the id of another panel"));
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            self.hold(place("x") + place("w") <= 24 && place("w") > 0, format!("{title} is out of the grid"));
            let rows = place("y")..place("y") + place("h");
            let mut all = rows.flat_map(|y| (place("x")..place("x") + place("w")).map(move |x| (x, y)));
            let is_free = all.all(|cell| cells.insert(cell));
            self.hold(is_free, format!("{title} is over another panel"));
        }
    }

    fn panel(&mut self, dashboard: &Dashboard, panel: &Value) {
        let kind = panel["type"].as_str().unwrap_or_default();
        let known = ["stat", "gauge", "timeseries", "state-timeline", "piechart", "table", "text", "row"];
        self.hold(known.contains(&kind), format!("a {kind}"));
        self.keys("the panel", panel, if kind == "row" { ROW } else { PANEL });
        if kind == "row" {
            return;
        }
        self.words("options", &panel["options"], &options(kind));
        let Some(targets) = panel["targets"].as_array() else {
            return self.hold(kind == "text", "it has no query");
        };
        self.hold(panel["datasource"] == dashboard.datasource(), "its data source is not the variable");
        let mut references = BTreeSet::new();
        for target in targets {
            let known = if target.get("expr").is_some() { PROMETHEUS } else { POSTGRESQL };
            self.keys("a target", target, known);
            self.hold(
                target["datasource"] == dashboard.datasource(),
                "a target's data source is not the variable",
            );
            self.hold(references.insert(target["refId"].as_str().unwrap()), "two targets of one refId");
            let is_series = kind.starts_with("time") || kind == "state-timeline";
            self.hold(!is_series || target["format"] == "time_series", "it wants a series");
        }
        self.fields(panel, kind);
    }

    fn fields(&mut self, panel: &Value, kind: &str) {
        let defaults = &panel["fieldConfig"]["defaults"];
        self.keys("defaults", defaults, DEFAULTS);
        self.words("custom", &defaults["custom"], &custom(kind));
        let units = strings_of(panel, "unit");
        for unit in units {
            self.hold(UNITS.contains(&unit.as_str()), format!("the unit `{unit}`"));
        }
        self.hold(kind == "table" || defaults["unit"].is_string(), "no unit");
        let names = field_names(panel);
        for overridden in panel["fieldConfig"]["overrides"].as_array().unwrap() {
            let name = overridden["matcher"]["options"].as_str().unwrap();
            self.hold(names.contains(name), format!("an override of `{name}`, which is no field"));
            for property in overridden["properties"].as_array().unwrap() {
                let id = property["id"].as_str().unwrap();
                self.hold(OVERRIDDEN.contains(&id), format!("an override of `{id}`"));
            }
        }
        for transformation in panel["transformations"].as_array().into_iter().flatten() {
            let id = transformation["id"].as_str().unwrap();
            self.hold(TRANSFORMATIONS.contains(&id), format!("the transformation `{id}`"));
        }
    }
}

/// Each value that is no object, with its path.
fn leaves(path: &str, value: &Value) -> Vec<(String, Value)> {
    let Some(object) = value.as_object() else {
        return if value.is_null() { Vec::new() } else { vec![(path.to_owned(), value.clone())] };
    };
    let below = |(key, value): (&String, &Value)| {
        leaves(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value)
    };
    object.iter().flat_map(below).collect()
}

/// The units of a panel's fields.
fn strings_of(panel: &Value, key: &str) -> Vec<String> {
    let of_default = panel["fieldConfig"]["defaults"][key].as_str();
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let properties = overrides.flat_map(|one| one["properties"].as_array().into_iter().flatten());
    let of_overrides = properties.filter(|one| one["id"] == key).filter_map(|one| one["value"].as_str());
    of_default.into_iter().chain(of_overrides).map(str::to_owned).collect()
}

/// The names of a panel's fields, as far as its queries and transformations say them.
fn field_names(panel: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let quoted = Regex::new(r#""([^"]+)"|'([^']+)'"#).unwrap();
    for target in panel["targets"].as_array().into_iter().flatten() {
        names.extend(target["legendFormat"].as_str().map(str::to_owned));
        let sql = target["rawSql"].as_str().unwrap_or_default();
        let found = quoted.captures_iter(sql).filter_map(|found| found.get(1).or(found.get(2)));
        names.extend(found.map(|name| name.as_str().to_owned()));
    }
    for transformation in panel["transformations"].as_array().into_iter().flatten() {
        let renamed = transformation["options"]["renameByName"].as_object().into_iter().flatten();
        names.extend(renamed.filter_map(|(_, name)| name.as_str()).map(str::to_owned));
    }
    names
}
