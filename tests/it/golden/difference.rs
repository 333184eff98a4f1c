//! Where two texts differ, in a few lines.

use std::fmt::Write as _;

/// How many lines of each text are shown.
const N_LINES: usize = 8;
/// How much of a line is shown, from a little before the place where it differs.
const WIDTH: usize = 240;
const BEFORE: usize = 60;

/// The lines that differ first: `-` as they were, `+` as they are.
pub(super) fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let n_same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[n_same..], &new[n_same..]);
    let n_same_at_end =
        old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[..old.len() - n_same_at_end], &new[..new.len() - n_same_at_end]);
    if old.len() == new.len() {
        let pairs = old.iter().zip(new).enumerate().filter(|(_, (one, other))| one != other);
        let pair = |(at, (one, other)): (usize, (&&str, &&str))| {
            format!("@@ line {} @@\n-{}\n+{}\n", n_same + at + 1, around(one, other), around(other, one))
        };
        return pairs.take(N_LINES).map(pair).collect();
    }
    let mut text = format!("@@ line {}: {} lines become {} @@\n", n_same + 1, old.len(), new.len());
    let shown = |lines: &[&str], others: &[&str], sign: char, text: &mut String| {
        for (at, line) in lines.iter().enumerate().take(N_LINES) {
            let other = others.get(at).copied().unwrap_or_default();
            writeln!(text, "{sign}{}", around(line, other)).unwrap();
        }
        if N_LINES < lines.len() {
            writeln!(text, "{sign}… {} more", lines.len() - N_LINES).unwrap();
        }
    };
    shown(old, new, '-', &mut text);
    shown(new, old, '+', &mut text);
    text
}

/// A line, of a long one only the part in which it differs from another.
fn around(line: &str, other: &str) -> String {
    let n_same = line.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let from = if line.chars().count() <= WIDTH { 0 } else { n_same.saturating_sub(BEFORE) };
    let part: String = line.chars().skip(from).take(WIDTH).collect();
    let mark = |is_cut| if is_cut { "…" } else { "" };
    format!("{}{part}{}", mark(0 < from), mark(from + WIDTH < line.chars().count()))
}

#[test]
fn only_what_differs_is_shown() {
    assert_eq!(difference("a\nb\nc\nd\n", "a\nx\nd\n"), "@@ line 2: 2 lines become 1 @@\n-b\n-c\n+x\n");
    assert_eq!(difference("a\nb\nc\n", "x\nb\ny\n"), "@@ line 1 @@\n-a\n+x\n@@ line 3 @@\n-c\n+y\n");
    let long = "=".repeat(300);
    let told = difference(&format!("{long}a"), &format!("{long}b"));
    assert!(told.contains("=a\n") && told.contains("=b\n") && told.len() < 200, "{told}");
}
