//! Which fields an answer has. Their names are logged, for whoever wants to know what could be read of a device
//! that we do not have. Their contents are not.

use std::collections::BTreeSet;

use serde_json::Value;

/// How deep names are looked for.
const MAX_DEPTH: usize = 3;

/// So many names are kept of one answer.
const MAX_NAMES: usize = 200;

/// The names of an answer's fields, those of inner objects behind a point. Of a list, those of its first object.
pub(super) fn field_names(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(value, "", MAX_DEPTH, &mut names);
    names
}

fn gather(value: &Value, before: &str, depth: usize, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter().filter(|(name, _)| is_name(name)) {
                if names.len() >= MAX_NAMES {
                    return;
                }
                let name = format!("{before}{name}");
                if depth > 1 {
                    gather(inner, &format!("{name}."), depth - 1, names);
                }
                names.insert(name);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.iter().find(|item| item.is_object()) {
                gather(first, before, depth, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// Whether a key is the name of a field, and not content: some answers have serial numbers for keys, and an
/// account or a token would look alike. Names are short and have small letters, and are not hex.
pub(super) fn is_name(key: &str) -> bool {
    let is_hex = key.len() >= 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    key.len() <= 40
        && !is_hex
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && key.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_inner_objects_stand_behind_a_point() {
        let answer = json!({"a": 1, "info": {"list": [{"power": "0"}], "b": null}});
        let names: Vec<String> = field_names(&answer).into_iter().collect();
        assert_eq!(names, ["a", "info", "info.b", "info.list", "info.list.power"]);
    }

    #[test]
    fn a_key_that_is_content_is_no_name() {
        let keys = [
            "UUBABYAH2ONIAPD4",
            "34bab2a5fbc5bef03fc7a66aec41f3ee3ef7dbe0",
            "me@example.com",
            "with blank",
            "a\u{1b}[31m",
            "a_name_that_is_longer_than_any_field_has_been_seen_to_be",
        ];
        for key in keys {
            assert!(field_names(&json!({ key: 1 })).is_empty(), "{key}");
        }
    }
}
