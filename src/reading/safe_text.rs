//! Text from a host, made harmless: bounded, on one line, without control characters.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// The most characters that a piece of foreign text may keep. One line of a terminal or a log.
pub const MAX_SAFE_TEXT_CHARS: usize = 200;

/// Foreign text that can be shown, logged and stored: no control character (so no terminal escape,
/// no NUL, no line break), no invisible or bidirectional mark, at most [`MAX_SAFE_TEXT_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SafeText(String);

impl SafeText {
    /// No text.
    pub const EMPTY: Self = Self(String::new());

    /// Cleans `text`: line breaks and tabs become one blank, other unsafe characters are dropped, and
    /// what is too long is cut with an ellipsis.
    ///
    /// ```
    /// use fleetwatt::reading::SafeText;
    ///
    /// assert_eq!(SafeText::new("\u{1b}[31mno\tdriver\n").as_str(), "[31mno driver");
    /// ```
    pub fn new(text: &str) -> Self {
        let mut out = String::new();
        let mut n_chars = 0;
        let mut blank_due = false;
        for c in text.chars() {
            if c.is_whitespace() {
                blank_due = !out.is_empty();
                continue;
            }
            if is_unsafe(c) {
                continue;
            }
            if n_chars + usize::from(blank_due) + 1 >= MAX_SAFE_TEXT_CHARS {
                out.push('…');
                return Self(out);
            }
            if blank_due {
                out.push(' ');
                n_chars += 1;
                blank_due = false;
            }
            out.push(c);
            n_chars += 1;
        }
        Self(out)
    }

    /// Cleans bytes that may not be UTF-8; what is not becomes U+FFFD.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let head = bytes.get(..MAX_SAFE_TEXT_CHARS * 8).unwrap_or(bytes);
        Self::new(&String::from_utf8_lossy(head))
    }

    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whatever it is read from.
impl<'de> Deserialize<'de> for SafeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// Control characters, and the invisible ones that reorder or hide text on a screen: Unicode's category of
/// format characters (Cf), which has every bidirectional mark, and what it calls default-ignorable.
fn is_unsafe(c: char) -> bool {
    c.is_control() || INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// The ranges of `General_Category=Cf` and `Default_Ignorable_Code_Point` in Unicode 16, ends included.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_and_line_breaks_do_not_survive() {
        let hostile = "\u{1b}]0;owned\u{7}Tesla\u{1b}[31m L4\r\nnext\0line";
        assert_eq!(SafeText::new(hostile).as_str(), "]0;ownedTesla[31m L4 nextline");
    }

    #[test]
    fn no_mark_that_reorders_or_hides_text_survives() {
        let bidi =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let hidden = "\u{ad}\u{34f}\u{180e}\u{200b}\u{2060}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e0041}";
        for c in bidi.chars().chain(hidden.chars()) {
            assert_eq!(SafeText::new(&format!("1{c}2")).as_str(), "12", "{}", c.escape_unicode());
        }
        assert_eq!(SafeText::new("Ünï 漢字 عربي").as_str(), "Ünï 漢字 عربي");
    }

    #[test]
    fn long_text_is_cut_to_the_bound_with_an_ellipsis() {
        let cleaned = SafeText::new(&"ä".repeat(10_000));
        assert_eq!(cleaned.as_str().chars().count(), MAX_SAFE_TEXT_CHARS);
        assert!(cleaned.as_str().ends_with('…'));
    }

    #[test]
    fn bytes_that_are_not_utf8_stay_one_line_of_text() {
        assert_eq!(SafeText::from_bytes(b"a\xff\xfeb").as_str(), "a\u{fffd}\u{fffd}b");
    }
}
