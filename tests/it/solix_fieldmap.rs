//! The table of the field map is what is made from the published maps, and it covers every model.
//!
//! After a change of `fixtures/solix/fieldmap.json`, make the table again:
//! `FLEETWATT_WRITE_FIELDMAP=1 cargo test --test it solix_fieldmap`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "maps that are not as expected fail their test"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

const HEAD: &str = "\
# What stands where in the frames of each model. Made from fixtures/solix/fieldmap.json, which says where
# the facts come from, by tests/it/solix_fieldmap.rs. A line with `=` names models and message types; the
# lines below it are their values, with a tab between columns:
#   tag    of the field, in hexadecimal; empty for JSON that comes without a frame
#   place  empty: the whole field; 12: from byte 12 on; 12&40: the bits 40 (hexadecimal) of byte 12;
#          +5: after the value before and a gap of 5 bytes; .data.soc: that key of a JSON text
#   name   a ? at its end: a guess
#   how    a type, where it is not that of the frame; its sign, where it is not usual; x0.1: times 0.1;
#          length=17: so many bytes; length=1+3n: n is the first byte; values=4: each byte is a number,
#          values=1: the first byte is the number, and the rest nothing
#   unit
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table_path() -> PathBuf {
    root().join("src/solix/wire/fieldmap.tsv")
}

fn published() -> Value {
    let text = std::fs::read_to_string(root().join("fixtures/solix/fieldmap.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The whole table, from the published maps.
fn table(published: &Value) -> String {
    // Equal messages of several models stand in the table once, where the first of them stands.
    let mut sections: Vec<(String, Vec<(String, Vec<String>)>)> = Vec::new();
    for (model, facts) in published["models"].as_object().unwrap() {
        for (msg_type, message) in facts["messages"].as_object().unwrap() {
            let body = message_lines(message);
            let at = sections.iter().position(|(known, _)| *known == body).unwrap_or(sections.len());
            if at == sections.len() {
                sections.push((body, Vec::new()));
            }
            let owners = &mut sections[at].1;
            match owners.iter_mut().find(|(owner, _)| owner == model) {
                Some((_, types)) => types.push(msg_type.clone()),
                None => owners.push((model.clone(), vec![msg_type.clone()])),
            }
        }
    }
    let mut text = HEAD.to_owned();
    for (body, owners) in sections {
        let mut by_types: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (model, types) in owners {
            match by_types.iter_mut().find(|(known, _)| *known == types) {
                Some((_, models)) => models.push(model),
                None => by_types.push((types, vec![model])),
            }
        }
        text.push_str("\n=");
        for (types, models) in by_types {
            write!(text, " {}:{}", models.join(","), types.join(",")).unwrap();
        }
        text.push_str(&body);
    }
    text
}

/// The rest of the line with `=`, and the lines below it.
fn message_lines(message: &Value) -> String {
    let mut text = if message["kind"] == "embedded" { " embedded\n" } else { "\n" }.to_owned();
    if let Some(json) = message.get("json") {
        json_lines("", "", json, &mut text);
    }
    for (tag, field) in message.get("fields").and_then(Value::as_object).into_iter().flatten() {
        if let Some(json) = field.get("json") {
            json_lines(tag, "", json, &mut text);
        }
        if field.get("name").is_some() {
            line(tag, "", field, &mut text);
        }
        for part in field.get("parts").and_then(Value::as_array).into_iter().flatten() {
            let offset = part["offset"].to_string();
            match part.get("bits").and_then(Value::as_array) {
                None => line(tag, &offset, part, &mut text),
                Some(bits) => {
                    for bit in bits {
                        let place = format!("{offset}&{:02x}", bit["mask"].as_u64().unwrap());
                        line(tag, &place, bit, &mut text);
                    }
                }
            }
        }
        for item in field.get("sequence").and_then(Value::as_array).into_iter().flatten() {
            let gap = item.get("gap").map_or("0".to_owned(), Value::to_string);
            line(tag, &format!("+{gap}"), item, &mut text);
        }
    }
    text
}

fn json_lines(tag: &str, path: &str, keys: &Value, text: &mut String) {
    for (key, value) in keys.as_object().unwrap() {
        let path = format!("{path}.{key}");
        match value.get("object") {
            Some(object) => json_lines(tag, &path, object, text),
            None => line(tag, &path, value, text),
        }
    }
}

fn line(tag: &str, place: &str, value: &Value, text: &mut String) {
    let facts = value.as_object().unwrap();
    let name = facts["name"].as_str().unwrap();
    let unit = facts.get("unit").map_or("", |unit| unit.as_str().unwrap());
    assert_eq!(facts.get("verified").is_some(), name.ends_with('?'), "{name}");
    let line = [tag, place, name, &how(facts), unit].join("\t");
    text.push_str(line.trim_end());
    text.push('\n');
}

fn how(facts: &Map<String, Value>) -> String {
    let known = ["name", "unit", "offset", "mask", "gap", "verified", "parts", "sequence"];
    let words = ["type", "length", "converter", "var_values", "signed", "factor"];
    let unknown = facts.keys().find(|key| !known.contains(&key.as_str()) && !words.contains(&key.as_str()));
    assert_eq!(unknown, None, "{facts:?}");
    let mut how = Vec::new();
    for word in words {
        let Some(value) = facts.get(word) else { continue };
        how.push(match word {
            "type" => value.as_str().unwrap().to_owned(),
            "signed" => (if value == true { "signed" } else { "unsigned" }).to_owned(),
            "factor" => format!("x{}", decimal(value)),
            "length" => format!("length={value}"),
            "converter" if value == "pps_tou_schedule" => "length=1+3n".to_owned(),
            // Other binary forms that nobody here reads: their bytes are shown.
            "converter" => continue,
            _ => format!("values={value}"),
        });
    }
    how.join(" ")
}

/// A factor without an exponent: 0.00001.
fn decimal(factor: &Value) -> String {
    match factor.as_f64().unwrap() {
        small if small.abs() < 1.0 => format!("{small:.5}").trim_end_matches('0').to_owned(),
        whole => whole.to_string(),
    }
}

#[test]
fn the_table_is_what_is_made_from_the_published_maps() {
    let made = table(&published());
    if std::env::var_os("FLEETWATT_WRITE_FIELDMAP").is_some() {
        std::fs::write(table_path(), &made).unwrap();
    }
    let kept = std::fs::read_to_string(table_path()).unwrap();
    let differing = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert_eq!(differing, None);
    assert_eq!(made.lines().count(), kept.lines().count());
}
