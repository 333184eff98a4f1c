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

use fleetwatt::battery::anker::wire::{ModelKind, model, models};
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
    root().join("src/battery/anker/wire/fieldmap.tsv")
}

fn published() -> Value {
    let text = std::fs::read_to_string(root().join("fixtures/solix/fieldmap.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The message types of one model that have the same lines.
struct Owner {
    model: String,
    types: Vec<String>,
}

/// The whole table, from the published maps.
fn table(published: &Value) -> String {
    // Equal messages of several models stand in the table once, where the first of them stands.
    let mut sections: Vec<(String, Vec<Owner>)> = Vec::new();
    for (model, facts) in published["models"].as_object().unwrap() {
        for (msg_type, message) in facts["messages"].as_object().unwrap() {
            let lines = message_lines(message);
            let at = sections.iter().position(|(known, _)| *known == lines).unwrap_or(sections.len());
            if at == sections.len() {
                sections.push((lines, Vec::new()));
            }
            let owners = &mut sections[at].1;
            match owners.iter_mut().find(|owner| owner.model == *model) {
                Some(owner) => owner.types.push(msg_type.clone()),
                None => owners.push(Owner { model: model.clone(), types: vec![msg_type.clone()] }),
            }
        }
    }
    let mut text = HEAD.to_owned();
    for (lines, mut owners) in sections {
        text.push_str("\n=");
        while let Some(first) = owners.first().map(|owner| owner.types.clone()) {
            let (alike, others): (Vec<Owner>, Vec<Owner>) =
                owners.into_iter().partition(|owner| owner.types == first);
            let models: Vec<String> = alike.into_iter().map(|owner| owner.model).collect();
            write!(text, " {}:{}", models.join(","), first.join(",")).unwrap();
            owners = others;
        }
        text.push_str(&lines);
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
    let message = ["type", "length", "converter", "var_values", "signed", "factor"];
    let unknown = facts.keys().find(|key| !known.contains(&key.as_str()) && !message.contains(&key.as_str()));
    assert_eq!(unknown, None, "{facts:?}");
    let mut how = Vec::new();
    for word in message {
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

#[test]
fn every_published_model_is_known_with_its_name_and_size() {
    let published = published();
    let published = published["models"].as_object().unwrap();
    assert_eq!((published.len(), models().count()), (45, 45));
    for model in models() {
        let facts = &published[model.code];
        let watt_hours = model.capacity.map(|capacity| capacity.millijoules() / 3_600_000);
        assert_eq!(
            (model.name, watt_hours),
            (facts["marketing_name"].as_str().unwrap(), facts["capacity_wh"].as_i64())
        );
        assert_eq!(model.kind, kind(facts["category"].as_str().unwrap()), "{}", model.code);
    }
}

fn kind(category: &str) -> ModelKind {
    match category {
        "pps" | "solarbank_pps" => ModelKind::Station,
        "powerpanel" => ModelKind::Panel,
        "hes" | "home_backup" | "combiner_box" => ModelKind::HomeSystem,
        "smartmeter" => ModelKind::Meter,
        "smartplug" => ModelKind::Plug,
        "charger" | "ev_charger" => ModelKind::Charger,
        "powercooler" => ModelKind::Cooler,
        "generator" => ModelKind::Generator,
        solarbank => {
            assert!(solarbank.starts_with("solarbank_"), "{solarbank}");
            ModelKind::Solarbank
        }
    }
}

#[test]
fn two_models_go_by_another_code_too() {
    let code = |code| model(code).map(|model| model.code);
    assert_eq!((code("A1765"), code("A1785"), code("A9999")), (Some("A1763"), Some("A1783"), None));
}
