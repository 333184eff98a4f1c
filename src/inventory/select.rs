//! Some hosts of a fleet, as people name them: host lists and patterns, joined by commas.

use std::collections::BTreeSet;

use super::hostlist::{Hostlist, MAX_HOSTS, split_terms};

/// The most patterns that the ranges in one pattern may make of it.
const MAX_PATTERNS: u64 = 1_024;

/// Names of hosts as people write them to choose some: `node[001-016],login1,rack1-*`.
///
/// A term with `*` or `?` in it is a pattern as a shell knows it, where `[12]` is a class of characters and
/// `[01-12]` a range of numbers all the same; the rest are host lists. In them `[12]` is the number 12 if there
/// is such a host, else a class of characters too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    text: String,
    /// The names; `None` for patterns.
    names: Option<Hostlist>,
    /// Of names, the one that a shell would make of brackets such as `[12]`.
    patterns: Vec<glob::Pattern>,
}

/// The hosts of a fleet that a [`Selector`] chooses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection<'n> {
    /// The names that are meant.
    pub names: BTreeSet<&'n str>,
    /// Names and patterns that no host has: most likely slips.
    pub missing: Vec<String>,
}

impl Selector {
    /// Reads names and patterns.
    ///
    /// # Errors
    /// Why it cannot be read, going on from what was written: `has a descending range`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms: Result<_, String> =
            split_terms(text).into_iter().map(|(_, term)| Term::parse(term)).collect();
        Ok(Self { terms: terms? })
    }

    /// The names that are meant. Every name of a host list must be one of them, every pattern must match one.
    pub fn choose<'n>(&self, all: &BTreeSet<&'n str>) -> Selection<'n> {
        let mut selection = Selection::default();
        for term in &self.terms {
            let is_meant = |name: &&&str| term.patterns.iter().any(|pattern| pattern.matches(name));
            let of_patterns: Vec<&str> = all.iter().filter(is_meant).copied().collect();
            let names = term.names.as_ref().map(Hostlist::expand);
            let are_there = names.iter().flatten().all(|name| all.contains(name.as_str()));
            match names {
                Some(names) if are_there || of_patterns.is_empty() => {
                    for name in names {
                        match all.get(name.as_str()) {
                            Some(known) => drop(selection.names.insert(known)),
                            None => selection.missing.push(name),
                        }
                    }
                }
                None if of_patterns.is_empty() => selection.missing.push(term.text.clone()),
                Some(_) | None => selection.names.extend(of_patterns),
            }
        }
        selection
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("has an empty place in its list".to_owned());
        }
        if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("has `{}` in it", bad.escape_default()));
        }
        let is_pattern = text.contains(['*', '?']);
        let list = if is_pattern { Hostlist::parse_pattern(text) } else { Hostlist::parse(text) };
        let list = list.map_err(|error| error.message)?;
        let (most, what) = if is_pattern { (MAX_PATTERNS, "patterns") } else { (MAX_HOSTS, "hosts") };
        if most < list.count() {
            return Err(format!("stands for more than {most} {what}"));
        }
        let text = text.to_owned();
        if is_pattern {
            let patterns: Result<_, _> = list.expand().iter().map(|text| glob::Pattern::new(text)).collect();
            let patterns = patterns.map_err(|error| format!("is not a pattern: {}", error.msg))?;
            return Ok(Self { text, names: None, patterns });
        }
        let pattern = has_class(&text).then(|| glob::Pattern::new(&text).ok()).flatten();
        Ok(Self { text, names: Some(list), patterns: pattern.into_iter().collect() })
    }
}

/// Whether there is a bracket of digits alone, several of them.
fn has_class(text: &str) -> bool {
    let is_class = |inside: &str| inside.len() > 1 && inside.bytes().all(|byte| byte.is_ascii_digit());
    text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).any(|(inside, _)| is_class(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str, all: &[&str]) -> (Vec<String>, Vec<String>) {
        let all: BTreeSet<&str> = all.iter().copied().collect();
        let selection = Selector::parse(text).unwrap().choose(&all);
        (selection.names.iter().map(|name| (*name).to_owned()).collect(), selection.missing)
    }

    fn names(text: &str, all: &[&str]) -> Vec<String> {
        let (names, missing) = chosen(text, all);
        assert!(missing.is_empty(), "{text}: {missing:?}");
        names
    }

    #[test]
    fn host_lists_and_patterns_may_be_mixed() {
        let all = ["login1", "n01", "n02", "n03", "rack1-a", "rack2-a"];
        assert_eq!(names("n[01-02],login1,rack?-*", &all), ["login1", "n01", "n02", "rack1-a", "rack2-a"]);
    }

    #[test]
    fn brackets_are_numbers_in_a_host_list_and_characters_in_a_pattern() {
        let all = ["n1", "n12", "n2"];
        assert_eq!(names("n[12]", &all), ["n12"]);
        assert_eq!(names("n[12]", &["n1", "n2", "n3"]), ["n1", "n2"]);
        assert_eq!(chosen("n[45]", &all).1, ["n45"]);
        assert_eq!(chosen("n[12]*", &["n1", "n2", "n3"]).0, ["n1", "n2"]);
    }

    #[test]
    fn a_range_of_numbers_in_a_pattern_is_never_taken_for_characters() {
        let all = ["r1-a", "r10-a", "r11-a", "r2-a", "r9-a"];
        assert_eq!(names("r[1-11]-*", &all), all);
        assert_eq!(names("r[9,11]-?", &all), ["r11-a", "r9-a"]);
    }

    #[test]
    fn what_no_host_has_is_named() {
        let all = ["n1", "n2"];
        assert_eq!(
            chosen("n[1-4]", &all),
            (vec!["n1".to_owned(), "n2".to_owned()], vec!["n3".to_owned(), "n4".to_owned()])
        );
        assert_eq!(chosen("x*", &all).1, ["x*"]);
    }

    #[test]
    fn what_cannot_be_read_or_is_without_bound_says_so() {
        for bad in [
            "",
            "a,,b",
            "a,",
            "n[9-1]",
            "n[1-",
            "n[1-999999999]",
            "n[1-99999]*",
            "a b",
            "a\n",
            "a**[b",
            "***x**",
        ] {
            assert!(Selector::parse(bad).is_err(), "{bad:?}");
        }
    }
}
