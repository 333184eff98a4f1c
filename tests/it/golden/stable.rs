//! What differs from run to run, taken out of what the program says.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::program::Home;

/// Keys of metadata and documents whose numbers are durations.
const DURATIONS: &[&str] = &["milliseconds", "duration_ms", "probe_ms", "last_reading_age_s"];

/// A text with placeholders for times, identifiers, durations, ports and folders.
pub(super) fn stable(text: &str, home: &Home) -> String {
    let home = home.path("");
    let mut text = text.replace(home.to_str().unwrap().trim_end_matches('/'), "<home>");
    text = text.replace(env!("CARGO_MANIFEST_DIR"), "<repository>");
    let rules = [
        // Said only where it was a second or more.
        (r"(again|no answer)(, after| for) \d+(ms|s|m|h|days?|months?|years?)( \d+[a-z]+)*\b", "$1"),
        (r"today [\d.,]+ kWh(, [\d.,]+ [A-Z]{3})*, \S+ % measured", "today <energy>"),
        (r"SQLite \d+\.\d+\.\d+", "SQLite <version>"),
        (r"\b\d+ bytes\b", "<size> bytes"),
        (r"\.sh \d+ ", ".sh <size> "),
        (r#""collector": ?"[0-9a-f]{12}""#, r#""collector": "<collector>""#),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?( UTC|Z)?", "<time>"),
        (
            r"(connected|GPUs?|written to \S+) in \d+(\.\d+)?(ns|us|ms|s)( \d+(ns|us|ms))*\b",
            "$1 in <duration>",
        ),
        (r"127\.0\.0\.1:\d{4,5}\b", "127.0.0.1:<port>"),
        (r"\blocalhost:\d{4,5}\b", "localhost:<port>"),
    ];
    for (pattern, placeholder) in rules {
        text = Regex::new(pattern).unwrap().replace_all(&text, placeholder).into_owned();
    }
    let keys = Regex::new(&format!(r#""({})": ?\d+(\.\d+)?"#, DURATIONS.join("|"))).unwrap();
    text = keys.replace_all(&text, r#""$1": "<duration>""#).into_owned();
    with_numbered_batches(&without_unix_times(&text))
}

/// When the files of before were made, in seconds since 1970. All recordings are older.
const MADE_AT: u64 = 1_795_000_000;

/// Seconds, milli- and microseconds since 1970 that are of these days as `<time>`; those of a recording stay.
fn without_unix_times(text: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let one = |found: &Captures<'_>| {
        let seconds: u64 = found[1].parse().unwrap();
        if MADE_AT < seconds || seconds.abs_diff(now) < 2 * 24 * 60 * 60 {
            "<time>".to_owned()
        } else {
            found[0].to_owned()
        }
    };
    Regex::new(r"\b(\d{10})(\d{3}|\d{6}|\.\d+)?\b").unwrap().replace_all(text, one).into_owned()
}

/// Identifiers of batches as `<batch 1>` and so on, so that it stays to be seen which are the same.
fn with_numbered_batches(text: &str) -> String {
    let batch = r"(^|[^-0-9A-Za-z])(0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})";
    let mut numbers = BTreeMap::new();
    let number = |found: &Captures<'_>| {
        let next = numbers.len() + 1;
        format!("{}<batch {}>", &found[1], numbers.entry(found[2].to_owned()).or_insert(next))
    };
    Regex::new(batch).unwrap().replace_all(text, number).into_owned()
}

/// A value with a placeholder in each place that changes.
pub(super) fn stable_value(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let one = |(key, value): (String, Value)| {
                let is_duration = DURATIONS.contains(&key.as_str()) && value.is_number();
                let value = if is_duration { Value::from("<duration>") } else { stable_value(value) };
                (key, value)
            };
            Value::Object(map.into_iter().map(one).collect())
        }
        Value::Array(values) => values.into_iter().map(stable_value).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
