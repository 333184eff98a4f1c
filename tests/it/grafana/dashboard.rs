//! The dashboards of `grafana/`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::expand::Source;

/// A dashboard as it is in its file.
#[derive(Debug, Clone)]
pub(super) struct Dashboard {
    /// The folder of its data source and its name, such as `postgresql/fleet`.
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) json: Value,
}

/// The place of a file of `grafana/`.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana").join(name)
}

impl Dashboard {
    /// All of them, by the names of their files.
    pub(super) fn names() -> Vec<String> {
        let of = |kind: &str| ["battery", "energy", "fleet", "node"].map(|name| format!("{kind}/{name}"));
        [of("postgresql"), of("prometheus")].concat()
    }

    pub(super) fn all() -> Vec<Self> {
        Self::names().iter().map(|name| Self::read(name)).collect()
    }

    pub(super) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(path(&format!("dashboards/{name}.json"))).unwrap();
        let source = if name.starts_with("prometheus/") { Source::Prometheus } else { Source::PostgreSql };
        Self { name: name.to_owned(), source, json: serde_json::from_str(&text).unwrap() }
    }

    /// The panels, in their order. None is within a row that is folded.
    pub(super) fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter()
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Value> {
        self.json["templating"]["list"].as_array().unwrap().iter()
    }

    /// Its annotations that ask a database.
    pub(super) fn annotations(&self) -> impl Iterator<Item = &Value> {
        let all = self.json["annotations"]["list"].as_array().unwrap().iter();
        all.filter(|annotation| annotation["builtIn"].is_null())
    }

    /// The data source of each of its queries: the variable.
    pub(super) fn datasource(&self) -> Value {
        let plugin = match self.source {
            Source::PostgreSql => "grafana-postgresql-datasource",
            Source::Prometheus => "prometheus",
        };
        json!({ "type": plugin, "uid": "${ds}" })
    }
}

/// Each text in a document.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Object(entries) => entries.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
