//! Host lists as pdsh and Slurm write them: `node[001-128,200]`, `r[1-2]n[01-04]`, `gpu[1-2],login1`.

use std::ops::Range;

use super::diagnostic::ValueError;

/// The most hosts that one inventory may have.
pub(super) const MAX_HOSTS: u64 = 65_536;

/// The longest name that DNS allows.
const MAX_NAME_CHARS: usize = 253;

/// More digits than any range needs; what is longer is a slip of the keyboard.
const MAX_DIGITS: usize = 18;

/// Names or addresses with ranges in them, as one text; expanding it cannot fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hostlist {
    /// The parts of what stands between two commas.
    terms: Vec<Vec<Part>>,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Bracket(Vec<Series>),
}

/// `low-high`, zero padded to `width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Series {
    low: u64,
    high: u64,
    width: usize,
}

impl Hostlist {
    /// Reads names with ranges, joined by commas. What stands outside the brackets is not checked here.
    pub(super) fn parse(text: &str) -> Result<Self, ValueError> {
        Self::parse_where(text, |_inside| true)
    }

    /// The same for a pattern, without brackets of which a shell makes classes of characters, as `[1-3]` and
    /// `[12]`.
    pub(super) fn parse_pattern(text: &str) -> Result<Self, ValueError> {
        Self::parse_where(text, is_range_for_certain)
    }

    fn parse_where(text: &str, is_range: fn(&str) -> bool) -> Result<Self, ValueError> {
        let mut terms = Vec::new();
        for (at, term) in split_terms(text) {
            if term.is_empty() && !text.is_empty() {
                let comma = at.min(text.len() - 1);
                let message = "has an empty place in its list";
                return Err(bad_range(message, "a name is missing", comma..comma + 1));
            }
            terms.push(parse_term(term, at, is_range)?);
        }
        let count = |term: &Vec<Part>| term.iter().map(Part::count).fold(1, u64::saturating_mul);
        let count = terms.iter().map(count).fold(0, u64::saturating_add);
        Ok(Self { terms, count })
    }

    /// Number of names that it expands to; saturates.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Whether it has brackets or several names, even if only one name comes out of the brackets.
    pub(super) fn has_ranges(&self) -> bool {
        self.terms.len() > 1 || self.terms.iter().flatten().any(|part| matches!(part, Part::Bracket(_)))
    }

    /// All names in their order, the last bracket of each running fastest; [`Self::count`] is looked at
    /// before.
    pub(super) fn expand(&self) -> Vec<String> {
        let term = |term: &Vec<Part>| term.iter().fold(vec![String::new()], |names, part| part.behind(names));
        self.terms.iter().flat_map(term).collect()
    }
}

impl Part {
    fn count(&self) -> u64 {
        match self {
            Self::Literal(_) => 1,
            Self::Bracket(series) => {
                series.iter().map(|one| one.high - one.low + 1).fold(0, u64::saturating_add)
            }
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::Literal(text) => text.chars().count(),
            Self::Bracket(series) => {
                series.iter().map(|one| one.width.max(one.high.to_string().len())).max().unwrap_or(0)
            }
        }
    }

    /// Each of these names, followed by each text of this part.
    fn behind(&self, mut names: Vec<String>) -> Vec<String> {
        match self {
            Self::Literal(text) => names.iter_mut().for_each(|name| name.push_str(text)),
            Self::Bracket(series) => names = names.iter().flat_map(|name| continued(name, series)).collect(),
        }
        names
    }
}

/// `name` followed by each number of the bracket.
fn continued(name: &str, bracket: &[Series]) -> impl Iterator<Item = String> {
    bracket.iter().flat_map(move |&Series { low, high, width }| {
        (low..=high).map(move |number| format!("{name}{number:0width$}"))
    })
}

/// Splits at the commas that are not within brackets; gives each term with its offset.
pub(super) fn split_terms(text: &str) -> Vec<(usize, &str)> {
    let mut terms = Vec::new();
    let (mut start, mut is_inside) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' => is_inside = true,
            ']' => is_inside = false,
            ',' if !is_inside => {
                terms.push((start, text.get(start..at).unwrap_or_default()));
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push((start, text.get(start..).unwrap_or_default()));
    terms
}

/// `offset` is where the term stands in the whole text.
fn parse_term(text: &str, offset: usize, is_range: fn(&str) -> bool) -> Result<Vec<Part>, ValueError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, behind) = rest.split_at(rest.find(['[', ']']).unwrap_or(rest.len()));
        parts.push(Part::Literal(literal.to_owned()));
        let at = offset + text.len() - behind.len();
        if behind.is_empty() {
            break;
        }
        let Some(opened) = behind.strip_prefix('[') else {
            return Err(unbalanced("has a `]` without a `[` before it", at));
        };
        let Some((inside, after)) = opened.split_once(']').filter(|(inside, _)| !inside.contains('[')) else {
            return Err(unbalanced("has a `[` without a `]` after it", at));
        };
        parts.push(if is_range(inside) {
            Part::Bracket(bracket(inside, at + 1)?)
        } else {
            Part::Literal(format!("[{inside}]"))
        });
        rest = after;
    }
    if parts.iter().map(Part::longest).sum::<usize>() > MAX_NAME_CHARS {
        let message = format!("is longer than {MAX_NAME_CHARS} characters");
        return Err(ValueError::new(message, "too long", "use a shorter name"));
    }
    Ok(parts)
}

/// Whether what stands in brackets is numbers, and would be another set as a class of characters.
fn is_range_for_certain(inside: &str) -> bool {
    let is_numeric = inside.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b','));
    let is_long = |number: &str| number.len() > 1;
    is_numeric && (inside.contains(',') || (inside.contains('-') && inside.split('-').any(is_long)))
}

/// Parses the text between two brackets; `at` is its offset in the whole text.
fn bracket(inside: &str, at: usize) -> Result<Vec<Series>, ValueError> {
    if inside.is_empty() {
        return Err(bad_range("has an empty bracket", "no number in here", at.saturating_sub(1)..at + 1));
    }
    let mut series = Vec::new();
    let mut start = at;
    for item in inside.split(',') {
        series.push(one_series(item, start)?);
        start += item.len() + 1;
    }
    Ok(series)
}

fn one_series(item: &str, at: usize) -> Result<Series, ValueError> {
    let whole = at..at + item.len();
    let (low_text, high_text) = item.split_once('-').unwrap_or((item, item));
    let high_at = whole.end - high_text.len();
    let low = number(low_text, at)?;
    let high = number(high_text, high_at)?;
    if low > high {
        return Err(bad_range("has a descending range", "ends below its start", whole));
    }
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    if padded(high_text) && high_text.len() != low_text.len() {
        return Err(bad_range("has a range whose ends are padded differently", "not the same width", whole));
    }
    let width = if padded(low_text) { low_text.len() } else { 1 };
    Ok(Series { low, high, width })
}

fn number(text: &str, at: usize) -> Result<u64, ValueError> {
    // An empty place is marked by its neighbour, since nothing cannot be seen.
    let whole = at..at + text.len().max(1);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad_range("has a range that is not of whole numbers", "expected digits", whole));
    }
    let too_large = || bad_range("has a number too large for a range", "too large", whole.clone());
    if text.len() > MAX_DIGITS {
        return Err(too_large());
    }
    text.parse().map_err(|_overflow| too_large())
}

fn bad_range(message: &str, label: &str, part: Range<usize>) -> ValueError {
    ValueError::new(message, label, "write ranges as `node[1-8]`, `node[001-128,200]` or `r[1-2]n[01-04]`")
        .at(part)
}

fn unbalanced(message: &str, at: usize) -> ValueError {
    ValueError::new(message, "unbalanced", "write ranges as `node[001-128]`; brackets do not nest")
        .at(at..at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Vec<String> {
        Hostlist::parse(text).unwrap().expand()
    }

    fn error_at(text: &str) -> Range<usize> {
        Hostlist::parse(text).unwrap_err().at.unwrap()
    }

    #[test]
    fn a_plain_name_is_itself() {
        assert_eq!(expanded("node7"), ["node7"]);
    }

    #[test]
    fn zero_padding_is_kept() {
        assert_eq!(expanded("n[098-101,200]"), ["n098", "n099", "n100", "n101", "n200"]);
    }

    #[test]
    fn several_brackets_are_multiplied_the_last_running_fastest() {
        assert_eq!(expanded("r[1-2]n[01-02]x"), ["r1n01x", "r1n02x", "r2n01x", "r2n02x"]);
    }

    #[test]
    fn a_range_from_zero_is_not_padded() {
        assert_eq!(expanded("g[0-1]"), ["g0", "g1"]);
    }

    #[test]
    fn a_list_as_slurm_prints_it_is_all_its_names_in_order() {
        assert_eq!(
            expanded("node[001-003,007],gpu[1-2],login1"),
            ["node001", "node002", "node003", "node007", "gpu1", "gpu2", "login1"]
        );
        assert_eq!(Hostlist::parse("a[1-3],b[1-2]c[1-2],d").unwrap().count(), 8);
    }

    #[test]
    fn an_empty_place_in_a_list_is_marked() {
        for (text, at) in [("a,,b", 2), (",a", 0), ("a,", 1)] {
            assert_eq!(error_at(text), at..at + 1, "{text:?}");
        }
    }

    #[test]
    fn a_flaw_in_a_later_name_is_marked_in_the_whole_text() {
        assert_eq!(error_at("a[1,2],b[9-3]"), 9..12);
    }

    #[test]
    fn a_descending_range_is_marked() {
        assert_eq!(error_at("node[1,9-3]"), 7..10);
    }

    #[test]
    fn an_empty_bracket_is_marked() {
        assert_eq!(error_at("node[]"), 4..6);
    }

    #[test]
    fn unbalanced_brackets_are_marked() {
        assert_eq!(error_at("node[1-2"), 4..5);
        assert_eq!(error_at("node1-2]"), 7..8);
        assert_eq!(error_at("n[1-[2]]"), 1..2);
    }

    #[test]
    fn a_number_that_overflows_is_marked() {
        assert_eq!(error_at("n[1-99999999999999999999]"), 4..24);
    }

    #[test]
    fn a_range_without_an_end_is_marked() {
        assert_eq!(error_at("n[1-]"), 4..5);
    }

    #[test]
    fn ends_that_are_padded_differently_are_a_flaw() {
        assert_eq!(error_at("n[1-010]"), 2..7);
    }

    #[test]
    fn a_count_beyond_all_bounds_saturates_and_is_not_expanded() {
        let list = Hostlist::parse("a[1-999999999999]b[1-999999999999]").unwrap();
        assert_eq!(list.count(), u64::MAX);
    }

    #[test]
    fn an_enormous_padding_is_too_long() {
        assert!(Hostlist::parse(&format!("n[{}1]", "0".repeat(100))).is_err());
        assert!(Hostlist::parse(&"[000000000000000001]".repeat(20)).is_err());
    }
}
