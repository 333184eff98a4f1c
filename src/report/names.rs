//! Names of several nodes as one text, in the way in which host lists are written: `hgx-[037-048]`.

use std::collections::{BTreeMap, BTreeSet};

/// The most parts of a text.
const MAX_PARTS: usize = 3;

/// Names with their numbers folded into ranges; of many the first ones, and how many more there are.
pub(super) fn folded(names: &[&str]) -> String {
    let split: Vec<(&str, &str)> = names.iter().map(|name| numbered(name)).collect();
    let is_padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    let padded: BTreeSet<&str> =
        split.iter().filter(|(_, digits)| is_padded(digits)).map(|(prefix, _)| *prefix).collect();
    let mut by_prefix = BTreeMap::<(&str, usize), Vec<u64>>::new();
    let mut plain = Vec::new();
    for (prefix, digits) in split {
        let width = if padded.contains(prefix) { digits.len() } else { 0 };
        match digits.parse() {
            Ok(number) if !prefix.is_empty() => by_prefix.entry((prefix, width)).or_default().push(number),
            _ => plain.push(format!("{prefix}{digits}")),
        }
    }
    let mut parts: Vec<(String, usize)> = by_prefix
        .into_iter()
        .map(|((prefix, width), mut numbers)| {
            numbers.sort_unstable();
            (bracketed(prefix, width, &numbers), numbers.len())
        })
        .chain(plain.into_iter().map(|name| (name, 1)))
        .collect();
    parts.sort();
    let n_shown = if parts.len() > MAX_PARTS { MAX_PARTS - 1 } else { parts.len() };
    let n_more: usize = parts.iter().skip(n_shown).map(|(_, count)| count).sum();
    let shown: Vec<&str> = parts.iter().take(n_shown).map(|(part, _)| part.as_str()).collect();
    let shown = shown.join(", ");
    if n_more > 0 { format!("{shown} and {n_more} more") } else { shown }
}

/// A name as its beginning and the digits at its end.
fn numbered(name: &str) -> (&str, &str) {
    let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.split_at(prefix.len())
}

fn bracketed(prefix: &str, width: usize, numbers: &[u64]) -> String {
    let number = |number: u64| format!("{number:0width$}");
    let runs: Vec<String> = numbers
        .chunk_by(|one, next| one + 1 == *next)
        .filter_map(|run| {
            let (first, last) = (*run.first()?, *run.last()?);
            Some(match last - first {
                0 => number(first),
                _ => format!("{}-{}", number(first), number(last)),
            })
        })
        .collect();
    match runs.as_slice() {
        [one] if !one.contains('-') => format!("{prefix}{one}"),
        _ => format!("{prefix}[{}]", runs.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_a_range_and_padding_is_kept() {
        let names: Vec<String> = (37..=48).map(|n| format!("hgx-{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(folded(&names), "hgx-[037-048]");
        assert_eq!(folded(&["n1", "n2", "n7"]), "n[1-2,7]");
        assert_eq!(folded(&["n9", "n10"]), "n[9-10]");
        assert_eq!(folded(&["n099", "n100"]), "n[099-100]");
        assert_eq!(folded(&["turing-02"]), "turing-02");
        assert_eq!(folded(&["login", "gpu1"]), "gpu1, login");
    }

    #[test]
    fn of_many_that_have_nothing_in_common_the_first_are_named() {
        assert_eq!(folded(&["ant", "bee", "cat", "d1", "d2"]), "ant, bee and 3 more");
        assert_eq!(folded(&["17", "18"]), "17, 18");
    }
}
