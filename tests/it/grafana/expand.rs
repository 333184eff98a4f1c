//! Variables and macros of a query, put in as Grafana does: the variables in the browser, by the rules of each data
//! source, and the macros of SQL in its server.

use std::collections::BTreeMap;

use regex::{Captures, Regex};

/// The kind of a data source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    PostgreSql,
    Prometheus,
}

/// The chosen values of a variable.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) values: Vec<String>,
    /// Whether several, or all, can be chosen: then it is escaped, also where it is one.
    pub(super) is_several: bool,
}

/// The chosen time of a dashboard, and its variables.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// In seconds since 1970, as `to`.
    pub(super) from: i64,
    pub(super) to: i64,
    /// From one point to the next, in seconds.
    pub(super) interval: i64,
    /// From one scrape to the next, in seconds.
    pub(super) scrape: i64,
    pub(super) variables: BTreeMap<String, Chosen>,
}

impl View {
    /// The query as it goes to the data source.
    pub(super) fn expand(&self, query: &str, source: Source) -> Result<String, String> {
        let query = self.with_variables(query, source)?;
        if source == Source::PostgreSql { self.with_macros(&query) } else { Ok(query) }
    }

    fn with_variables(&self, query: &str, source: Source) -> Result<String, String> {
        let mut unknown = Vec::new();
        let named = Regex::new(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)").unwrap();
        let text = named.replace_all(query, |found: &Captures<'_>| {
            let name = found.get(1).or(found.get(3)).map_or("", |name| name.as_str());
            let format = found.get(2).map_or("", |format| format.as_str());
            let value = match (self.variables.get(name), format) {
                (Some(chosen), "") => Some(chosen.put_in(source)),
                (Some(_), _) => None,
                (None, _) => self.of_grafana(name, source),
            };
            value.unwrap_or_else(|| {
                unknown.push(found[0].to_owned());
                String::new()
            })
        });
        if unknown.is_empty() { Ok(text.into_owned()) } else { Err(format!("unknown: {unknown:?}")) }
    }

    /// A variable of Grafana's own. Macros of SQL stay for the server.
    fn of_grafana(&self, name: &str, source: Source) -> Option<String> {
        let range = self.to - self.from;
        Some(match (name, source) {
            ("__interval", _) => format!("{}s", self.interval),
            ("__interval_ms", _) => (self.interval * 1_000).to_string(),
            ("__range", Source::Prometheus) => format!("{range}s"),
            ("__range_s", Source::Prometheus) => range.to_string(),
            ("__rate_interval", Source::Prometheus) => {
                format!("{}s", (self.interval + self.scrape).max(4 * self.scrape))
            }
            (
                "__timeFilter" | "__timeGroupAlias" | "__timeGroup" | "__timeFrom" | "__timeTo",
                Source::PostgreSql,
            ) => {
                format!("${name}")
            }
            _ => return None,
        })
    }

    fn with_macros(&self, sql: &str) -> Result<String, String> {
        let mut wrong = Vec::new();
        // As in Grafana: nothing with a parenthesis is an argument.
        let called = Regex::new(r"\$(__\w+)\(([^)]*)\)").unwrap();
        let text = called.replace_all(sql, |found: &Captures<'_>| {
            let arguments: Vec<&str> = found[2].split(',').map(str::trim).collect();
            self.macro_of(&found[1], &arguments).unwrap_or_else(|| {
                wrong.push(found[0].to_owned());
                String::new()
            })
        });
        if text.contains('$') {
            wrong.push(text.to_string());
        }
        if wrong.is_empty() { Ok(text.into_owned()) } else { Err(format!("no macro: {wrong:?}")) }
    }

    fn macro_of(&self, name: &str, arguments: &[&str]) -> Option<String> {
        let group = |column: &str, interval: &str| {
            let seconds: i64 = interval.trim_matches('\'').strip_suffix('s')?.parse().ok()?;
            Some(format!("floor(extract(epoch from {column})/{seconds})*{seconds}"))
        };
        let (from, to) = (instant(self.from), instant(self.to));
        match (name, arguments) {
            ("__timeFilter", [column]) if !column.is_empty() && !column.contains('(') => {
                Some(format!("{column} BETWEEN '{from}' AND '{to}'"))
            }
            ("__timeFrom", [""]) => Some(format!("'{from}'")),
            ("__timeTo", [""]) => Some(format!("'{to}'")),
            // The third one says what is put in where a group has no row, which the server does afterwards.
            ("__timeGroup", [column, interval] | [column, interval, "NULL"]) => group(column, interval),
            ("__timeGroupAlias", [column, interval] | [column, interval, "NULL"]) => {
                group(column, interval).map(|group| format!("{group} AS \"time\""))
            }
            _ => None,
        }
    }
}

fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

impl Chosen {
    fn put_in(&self, source: Source) -> String {
        let each =
            |escape: fn(&str) -> String| self.values.iter().map(|value| escape(value)).collect::<Vec<_>>();
        match (source, self.is_several) {
            (Source::PostgreSql, true) => each(|value| format!("'{}'", value.replace('\'', "''"))).join(","),
            (Source::PostgreSql, false) => each(|value| value.replace('\'', "''")).concat(),
            (Source::Prometheus, false) => {
                each(|value| value.replace('\\', r"\\").replace('\'', r"\\'")).concat()
            }
            (Source::Prometheus, true) => match &each(in_expression)[..] {
                [one] => one.clone(),
                several => format!("({})", several.join("|")),
            },
        }
    }
}

/// A value in a regular expression, within a text of PromQL: so each escape is doubled.
fn in_expression(value: &str) -> String {
    let escaped = |letter: char| match letter {
        '\\' => r"\\\\".to_owned(),
        '$' | '^' | '*' | '{' | '}' | '[' | ']' | '\'' | '+' | '?' | '.' | '(' | ')' | '|' => {
            format!(r"\\{letter}")
        }
        other => other.to_string(),
    };
    value.chars().map(escaped).collect()
}

fn view(values: &[&str], is_several: bool) -> View {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let variables = BTreeMap::from([("node".to_owned(), Chosen { values, is_several })]);
    View { from: 0, to: 3_600, interval: 60, scrape: 15, variables }
}

#[test]
fn values_are_escaped_as_grafana_does() {
    let expand =
        |values: &[&str], is_several, source| view(values, is_several).expand("$node", source).unwrap();
    assert_eq!(expand(&["a.b", "o'c"], true, Source::PostgreSql), "'a.b','o''c'");
    assert_eq!(expand(&[], true, Source::PostgreSql), "");
    assert_eq!(expand(&["o'c"], false, Source::PostgreSql), "o''c");
    assert_eq!(expand(&["a.b", "c-1"], true, Source::Prometheus), r"(a\\.b|c-1)");
    assert_eq!(expand(&["a.b"], true, Source::Prometheus), r"a\\.b");
    assert_eq!(expand(&["a.b"], false, Source::Prometheus), "a.b");
}

#[test]
fn macros_are_those_of_grafana_and_no_others() {
    let expand = |sql: &str| view(&["a"], true).expand(sql, Source::PostgreSql);
    let between = "at BETWEEN '1970-01-01T00:00:00Z' AND '1970-01-01T01:00:00Z'";
    assert_eq!(expand("$__timeFilter(at)").unwrap(), between);
    let group = "floor(extract(epoch from at)/60)*60 AS \"time\"";
    assert_eq!(expand("$__timeGroupAlias(at, $__interval, NULL)").unwrap(), group);
    for wrong in ["$__timeFilter()", "$__timeFilter(lower(at))", "$__nothing(at)", "$other", "${node:regex}"]
    {
        assert!(expand(wrong).is_err(), "{wrong}");
    }
    let rate = view(&["a"], true).expand("rate(a[$__rate_interval])", Source::Prometheus);
    assert_eq!(rate.unwrap(), "rate(a[75s])");
}
