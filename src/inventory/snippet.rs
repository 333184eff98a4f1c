//! One line of an inventory file, made fit to be shown: no secret, no control character, bounded.

use std::ops::Range;

use crate::reading::SafeText;

/// The most characters of a source line that are shown.
const MAX_SNIPPET_CHARS: usize = 110;

/// Bytes on either side of a mark that are looked at, so that errors in an enormous line cost little each.
const REACH: usize = 1_000;

/// The replacement of a secret; its length says nothing about that of the secret.
const MASK: &str = "***";

/// Keys that speak of a secret and may be shown with their value.
const HARMLESS_KEYS: &[&str] = &[
    "password_env",
    "password_file",
    "password_credential",
    "webhook_env",
    "webhook_file",
    "webhook_credential",
    "webhook_format",
    "webhook_timeout",
];

/// A part of a source line and what is marked in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snippet {
    /// The text to show, one line.
    pub(super) line: String,
    /// The marked part, in bytes of `line`.
    pub(super) mark: Range<usize>,
}

impl Snippet {
    /// The column of the mark in the text to show, in characters from 1.
    pub(super) fn column(&self) -> usize {
        self.line.get(..self.mark.start).unwrap_or_default().chars().count() + 1
    }
}

/// The places of secrets by the text alone, so that it also holds where the document has a syntax error.
pub(super) fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut open: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if let Some(delimiter) = open {
            found.push(start..end);
            if line.contains(delimiter) {
                open = None;
            }
        } else {
            found.extend(url_password(line).map(|part| start + part.start..start + part.end));
            found.extend(web_path(line).map(|part| start + part.start..start + part.end));
            if let Some(at) = after_secret_word(line) {
                found.push(start + at..end.max(start + at));
                open = opened_string(line.get(at.saturating_sub(3)..).unwrap_or_default());
            }
        }
        start += line.len();
    }
    merged(found)
}

/// The ranges in order, those that touch made one, none of them empty.
pub(super) fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut out: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match out.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => out.push(range),
        }
    }
    out
}

/// Whether a key is one that would hold a password, or is a near miss of one.
pub(super) fn is_secret_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    if HARMLESS_KEYS.contains(&word.as_str()) {
        return false;
    }
    let is_near = |secret: &str, n_letters| strsim::osa_distance(&word, secret) <= n_letters;
    let near = word.len() <= 12 && (is_near("password", 2) || is_near("webhook", 1));
    near || ["password", "passwd", "passphrase", "secret", "webhook"].iter().any(|part| word.contains(part))
}

/// The password of a URL in this line: from the colon after the user to the last `@`.
fn url_password(line: &str) -> Option<Range<usize>> {
    let authority = line.find("://")? + 3;
    let at = line.rfind('@').filter(|at| *at > authority)?;
    let colon = authority + line.get(authority..at)?.find(':')?;
    Some(colon + 1..at)
}

/// All of a web address but its host: whoever has a webhook's path can send to it.
fn web_path(line: &str) -> Option<Range<usize>> {
    let scheme = ["https://", "http://"].into_iter().find_map(|scheme| Some((line.find(scheme)?, scheme)));
    let authority = scheme.map(|(at, scheme)| at + scheme.len())?;
    let path = authority + line.get(authority..)?.find(['/', '?', '#'])? + 1;
    Some(path..line.trim_end().len().max(path))
}

/// Where the value after a secret's key begins in this line.
fn after_secret_word(line: &str) -> Option<usize> {
    let mut word_start = None;
    for (at, c) in line.char_indices().chain([(line.len(), '\n')]) {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            word_start.get_or_insert(at);
        } else if let Some(start) = word_start.take()
            && line.get(start..at).is_some_and(is_secret_word)
        {
            let rest = line.get(at..)?;
            let value = rest.trim_start_matches([' ', '\t', '"', '\'', '=', ':', ']']);
            return (!value.trim().is_empty() || rest.contains(['"', '\'']))
                .then(|| line.len() - value.len());
        }
    }
    None
}

/// The delimiter of a multi-line string that begins in this piece of a line and does not end in it.
fn opened_string(piece: &str) -> Option<&'static str> {
    ["\"\"\"", "'''"].into_iter().find(|delimiter| piece.matches(delimiter).count() % 2 == 1)
}

/// One character to show, and the bytes of the source that it stands for.
struct Cell {
    shown: char,
    from: Range<usize>,
}

/// The line of `text` in which `span` begins, with `span` marked as far as that line goes.
pub(super) fn snippet(text: &str, secrets: &[Range<usize>], span: &Range<usize>) -> Snippet {
    let at = text.floor_char_boundary(span.start);
    let line_start = text.get(..at).unwrap_or_default().rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line_start..).unwrap_or_default().split('\n').next().unwrap_or_default();
    let line_end = line_start + line.trim_end_matches('\r').len();
    let from = text.floor_char_boundary(line_start.max(at.saturating_sub(REACH)));
    let to = text.floor_char_boundary(line_end.min(at.saturating_add(REACH))).max(from);

    let cells = cells(text, secrets, from..to);
    let first = cells.iter().position(|cell| cell.from.end > span.start).unwrap_or(cells.len());
    let n_marked = cells.iter().skip(first).take_while(|cell| cell.from.start < span.end).count();
    // The mark is what matters: it is in view, with a little of what stands before it.
    let skipped =
        if cells.len() > MAX_SNIPPET_CHARS { first.saturating_sub(MAX_SNIPPET_CHARS / 3) } else { 0 };
    let window = cells.get(skipped..).unwrap_or_default();
    let window = window.get(..MAX_SNIPPET_CHARS).unwrap_or(window);
    let cut_left = skipped > 0 || from > line_start;
    let cut_right = skipped + window.len() < cells.len() || to < line_end;

    let shown = |cells: &[Cell]| cells.iter().map(|cell| cell.shown).collect::<String>();
    let (before, rest) = window.split_at((first - skipped).min(window.len()));
    let (marked, after) = rest.split_at(n_marked.min(rest.len()));
    let mut line = if cut_left { "…" } else { "" }.to_owned() + &shown(before);
    let start = line.len();
    line += &shown(marked);
    let mark = start..line.len();
    line += &shown(after);
    line += if cut_right { "…" } else { "" };
    Snippet { line, mark }
}

fn cells(text: &str, secrets: &[Range<usize>], range: Range<usize>) -> Vec<Cell> {
    let first = secrets.partition_point(|secret| secret.end <= range.start);
    let secrets = secrets.get(first..).unwrap_or_default();
    let mut cells: Vec<Cell> = Vec::new();
    let mut masked_to = range.start;
    for (offset, c) in text.get(range.clone()).unwrap_or_default().char_indices() {
        let at = range.start + offset;
        if at < masked_to {
            continue;
        }
        let mut begun = secrets.iter().take_while(|secret| secret.start <= at);
        if let Some(secret) = begun.find(|secret| secret.contains(&at)) {
            masked_to = secret.end;
            cells.extend(MASK.chars().map(|shown| Cell { shown, from: at..secret.end }));
            continue;
        }
        cells.push(Cell { shown: harmless(c), from: at..at + c.len_utf8() });
    }
    cells
}

/// The character as it may be shown: no control character, none that hides or reorders text.
fn harmless(c: char) -> char {
    if c.is_whitespace() {
        ' '
    } else if SafeText::new(c.encode_utf8(&mut [0; 4])).is_empty() {
        '\u{fffd}'
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, needle: &str) -> Snippet {
        let start = text.find(needle).unwrap();
        snippet(text, &secrets(text), &(start..start + needle.len()))
    }

    #[test]
    fn the_mark_covers_the_span() {
        let snippet = shown("a = 1\nname = \"x\"\r\nb = 2", "\"x\"");
        assert_eq!(snippet.line, "name = \"x\"");
        assert_eq!(snippet.line.get(snippet.mark), Some("\"x\""));
    }

    #[test]
    fn control_characters_and_overrides_are_replaced() {
        let snippet = shown("name = \"a\u{1b}[31m\u{202e}b\tc\"", "name");
        assert_eq!(snippet.line, "name = \"a\u{fffd}[31m\u{fffd}b c\"");
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("x = \"{}\" , MARK, \"{}\"", "a".repeat(5_000), "b".repeat(5_000));
        let snippet = shown(&text, "MARK");
        assert!(snippet.line.chars().count() <= MAX_SNIPPET_CHARS + 2);
        assert_eq!(snippet.line.get(snippet.mark), Some("MARK"));
    }

    #[test]
    fn no_written_form_of_a_password_is_shown() {
        for text in [
            "password = \"hunter2\"",
            "password=hunter2",
            "password: hunter2",
            "\"password\" = 'hunter2'",
            "[store]\nx = 1\nstore.password = \"hunter2\"",
            "store = { url = \"x\", password = \"hunter2\" }",
            "pasword = \"hunter2\"",
            "db_password = \"hunter2\"",
            "password = \"\"\"\nhunter2\nhunter2\"\"\"",
            "password = '''hunter2\nhunter2'''",
            "url = \"postgres://me:hunter2@h/d\"",
            "url = \"postgres://me:hunter2@hunter2@h/d\"",
            "url = \"postgres://h/d?password=hunter2\"",
            "url = \"postgres://me:hunter2@h/d?password=hunter2",
            "password = \"hunter2\" # not postgres://a:b@c",
            "hook = \"https://hooks.example/hunter2/hunter2\"",
            "x = \"http://h?hunter2",
            "webhok = \"hunter2\"",
        ] {
            let hidden = secrets(text);
            for start in 0..text.len() {
                let line = snippet(text, &hidden, &(start..start + 3)).line;
                assert!(!line.contains("hunter2"), "{text:?} shows {line:?}");
            }
        }
    }

    #[test]
    fn where_a_password_comes_from_may_be_shown() {
        let snippet = shown("password_env = \"DB_PASS\"", "password_env");
        assert_eq!(snippet.line, "password_env = \"DB_PASS\"");
    }
}
