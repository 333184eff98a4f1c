//! The name of the timeline table, and how it stands in SQL.

use std::fmt;

use super::Error;

/// The five columns that are written. Every other one must be able to do without a value.
pub(super) const COLUMNS: [&str; 5] = ["event_type", "source", "value", "metadata", "created_at"];

/// `name` or `schema.name`, each part exactly as the catalog has it: nothing is folded to lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl TableName {
    /// Reads `name`, `schema.name`, or the same with parts in double quotes.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::TableName(text.to_owned(), reason);
        let part =
            |text| part(text).ok_or_else(|| refuse("a part is empty, or a double quote is not closed"));
        let (first, rest) = part(text)?;
        let table = match rest.map(part).transpose()? {
            None => Self { schema: None, name: first },
            Some((name, None)) => Self { schema: Some(first), name },
            Some((_, Some(_))) => return Err(refuse("it has more parts than a schema and a name")),
        };
        if text.chars().any(char::is_control) {
            return Err(refuse("it holds a control character"));
        }
        Ok(table)
    }
}

/// As SQL: every part in double quotes.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.name))
    }
}

/// An identifier in double quotes.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// The first part of a dotted name, and what follows its dot if there is one.
fn part(text: &str) -> Option<(String, Option<&str>)> {
    let (name, rest) = if let Some(mut inner) = text.strip_prefix('"') {
        let mut name = String::new();
        loop {
            let (head, tail) = inner.split_once('"')?;
            name.push_str(head);
            match tail.strip_prefix('"') {
                Some(tail) => {
                    name.push('"');
                    inner = tail;
                }
                None => break (name, tail),
            }
        }
    } else {
        let end = text.find('.').unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        (name.to_owned(), rest)
    };
    let rest = match rest {
        "" => None,
        rest => Some(rest.strip_prefix('.')?),
    };
    (!name.is_empty()).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_written_and_quoted_for_sql() {
        let sql = |text| TableName::parse(text).unwrap().to_string();
        assert_eq!(sql("unified_timeline"), r#""unified_timeline""#);
        assert_eq!(sql("Metrics.Unified Timeline"), r#""Metrics"."Unified Timeline""#);
        assert_eq!(sql(r#""a.b"."say ""hi""""#), r#""a.b"."say ""hi""""#);
        assert_eq!(sql(r#"t"; DROP TABLE x; --"#), r#""t""; DROP TABLE x; --""#);
    }

    #[test]
    fn half_a_name_is_refused() {
        for text in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"a\"b", "a\0b"] {
            assert!(TableName::parse(text).is_err(), "{text:?}");
        }
    }
}
