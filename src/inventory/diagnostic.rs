//! Diagnostics of an inventory: message, location, source line and hint, all of them at once.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, iter};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet as SourceSnippet};

use super::location::Location;
use super::snippet::{Snippet, merged, secrets, snippet};
use crate::reading::SafeText;
use crate::support::counted;

/// Columns that a rendered error may take; quoted lines are shorter than that already.
const TERM_WIDTH: usize = 160;

/// Everything that is wrong with an inventory or a file of tariffs, or its warnings, in the order of the files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    told: Vec<Diagnostic>,
    of: Subject,
}

/// The files that diagnostics are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Subject {
    /// An inventory.
    #[default]
    Inventory,
    /// A file that has tariffs alone.
    Tariffs,
}

/// One thing that is wrong with an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file that it is in.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The message. Holds no secret and no control character.
    pub message: String,
    /// The hint.
    pub hint: String,
    /// Whether it is not wrong, but most likely not intended.
    is_warning: bool,
    /// A few words for the marked part of the line.
    label: String,
    /// The line, unless the error is about a file as a whole.
    snippet: Option<Snippet>,
    /// Another place that this one clashes with.
    earlier: Option<String>,
}

impl Diagnostics {
    /// The diagnostics in the order of the files and lines.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.told.iter()
    }

    /// All diagnostics as rustc prints them, and last the number of errors; empty where there are none.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(TERM_WIDTH);
        let mut out: String = self.iter().map(|one| renderer.render(&[one.group()]) + "\n\n").collect();
        let n_faults = self.iter().filter(|diagnostic| !diagnostic.is_warning).count();
        if n_faults > 0 {
            let subject = match self.of {
                Subject::Inventory => "the inventory has",
                Subject::Tariffs => "the tariffs have",
            };
            let title = format!("{subject} {}", counted(n_faults, "fault", "faults"));
            out += &renderer.render(&[Group::with_title(Level::ERROR.primary_title(title))]);
            out.push('\n');
        }
        out
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn group(&self) -> Group<'_> {
        let level = if self.is_warning { Level::WARNING } else { Level::ERROR };
        let path = shown_path(&self.file).to_string();
        let title = level.primary_title(self.message.as_str());
        let origin = Origin::path(path.clone()).line(self.line).char_column(self.column);
        let source = self.snippet.as_ref().map(|snippet| {
            let mark = AnnotationKind::Primary.span(snippet.mark.clone()).label(self.label.as_str());
            SourceSnippet::source(snippet.line.as_str()).line_start(self.line).annotation(mark)
        });
        // The snippet counts columns itself, which is right only for a line shown as it is.
        let is_whole = self.snippet.as_ref().is_some_and(|snippet| snippet.column() == self.column);
        let mut group = match source {
            Some(source) if is_whole => title.element(source.path(path)),
            Some(source) => title.element(origin).element(source),
            None => title.element(origin),
        };
        if let Some(earlier) = &self.earlier {
            group = group.element(Level::NOTE.message(earlier.as_str()));
        }
        group.element(Level::HELP.message(self.hint.as_str()))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", shown_path(&self.file), self.line, self.column, self.message)
    }
}

/// A file that has been read.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: PathBuf,
    text: String,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
    secrets: Vec<Range<usize>>,
}

impl Text {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let behind = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self { line_starts: iter::once(0).chain(behind).collect(), secrets: secrets(&text), path, text }
    }

    /// Line and column of a location in it, both from 1, the column in characters.
    pub(super) fn position(&self, location: &Location) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(location.span.map_or(0, |(start, _)| start));
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(line_start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// An error of a value, without its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValueError {
    /// Which bytes of the value, if not all of it.
    pub(super) at: Option<Range<usize>>,
    /// The message; it continues the name of the key, if there is one.
    pub(super) message: String,
    /// A few words for the marked part.
    pub(super) label: String,
    /// The hint.
    pub(super) hint: String,
    /// Whether the value may be a secret and must not be shown.
    pub(super) hides: bool,
    /// Whether it is not wrong, but most likely not intended.
    pub(super) is_warning: bool,
    /// Another place that this one clashes with, and the words before it.
    pub(super) earlier: Option<Box<(&'static str, Location)>>,
}

impl ValueError {
    pub(super) fn new(message: impl Into<String>, label: &str, hint: impl Into<String>) -> Self {
        let (message, label, hint) = (message.into(), label.to_owned(), hint.into());
        Self { at: None, message, label, hint, hides: false, is_warning: false, earlier: None }
    }

    /// Says that the value must not be shown.
    pub(super) fn hiding(self) -> Self {
        Self { hides: true, ..self }
    }

    pub(super) fn warning(self) -> Self {
        Self { is_warning: true, ..self }
    }

    /// Says that it clashes with another place; `words` go before that one.
    pub(super) fn clashing(self, words: &'static str, earlier: Location) -> Self {
        Self { earlier: Some(Box::new((words, earlier))), ..self }
    }

    /// Narrows the error to a part of the value.
    pub(super) fn at(self, part: Range<usize>) -> Self {
        Self { at: Some(part), ..self }
    }
}

/// Collects what is wrong while reading goes on.
#[derive(Debug, Default)]
pub(super) struct DiagnosticSink {
    reported: Vec<(Location, ValueError)>,
    /// Values that must not be shown, whatever error stands beside them.
    hidden: Vec<Location>,
}

impl DiagnosticSink {
    pub(super) fn push(&mut self, location: Location, error: ValueError) {
        self.reported.push((location, error));
    }

    /// Number of errors and warnings so far.
    pub(super) fn len(&self) -> usize {
        self.reported.len()
    }

    /// Keeps a value from being shown by any error.
    pub(super) fn hide(&mut self, location: Location) {
        self.hidden.push(location);
    }

    /// The errors, if there are any, else the warnings.
    pub(super) fn into_result(mut self, texts: &mut [Text], of: Subject) -> Result<Diagnostics, Diagnostics> {
        for location in self.hidden {
            if let (Some(text), Some((start, end))) = (texts.get_mut(location.file), location.span) {
                text.secrets.push(start..end);
            }
        }
        texts.iter_mut().for_each(|text| text.secrets = merged(std::mem::take(&mut text.secrets)));
        let is_wrong = self.reported.iter().any(|(_, error)| !error.is_warning);
        self.reported.retain(|(_, error)| !(is_wrong && error.is_warning));
        self.reported.sort_by(|(a, _), (b, _)| a.cmp(b));
        let told = self.reported.into_iter().filter_map(|(at, error)| diagnostic(&at, error, texts));
        let told = Diagnostics { told: told.collect(), of };
        if is_wrong { Err(told) } else { Ok(told) }
    }
}

fn diagnostic(location: &Location, error: ValueError, texts: &[Text]) -> Option<Diagnostic> {
    // Every location is made with the index of a text that was read before it.
    let text = texts.get(location.file)?;
    let (line, column) = text.position(location);
    let snippet = location.span.map(|(start, end)| snippet(&text.text, &text.secrets, &(start..end)));
    let earlier = error.earlier.and_then(|clash| {
        let (words, location) = *clash;
        let text = texts.get(location.file)?;
        Some(format!("{words} {}:{}", shown_path(&text.path), text.position(&location).0))
    });
    let ValueError { message, label, hint, is_warning, .. } = error;
    let file = text.path.clone();
    Some(Diagnostic { file, line, column, message, hint, is_warning, label, snippet, earlier })
}

/// A path as it may be shown.
pub(super) fn shown_path(path: &Path) -> SafeText {
    SafeText::new(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: usize) -> Location {
        Location::new(0, &(offset..offset + 1))
    }

    #[test]
    fn a_position_counts_characters_not_bytes() {
        let text = Text::new("f".into(), "a\näöü x".to_owned());
        assert_eq!(text.position(&at(text.text.find('x').unwrap())), (2, 5));
    }

    #[test]
    fn a_position_past_the_end_is_the_end() {
        let text = Text::new("f".into(), "ab\n".to_owned());
        assert_eq!(text.position(&at(99)), (2, 1));
    }

    #[test]
    fn faults_come_in_the_order_of_the_lines() {
        let mut texts = [Text::new("f".into(), "ab\ncd\n".to_owned())];
        let mut sink = DiagnosticSink::default();
        sink.push(Location::new(0, &(3..4)), ValueError::new("second", "", ""));
        sink.push(Location::new(0, &(0..1)), ValueError::new("first", "", ""));
        let diagnostics = sink.into_result(&mut texts, Subject::Inventory).unwrap_err();
        assert_eq!(
            diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>(),
            ["first", "second"]
        );
    }

    #[test]
    fn nothing_wrong_is_no_faults() {
        let result = DiagnosticSink::default().into_result(&mut [], Subject::Inventory);
        assert_eq!(result, Ok(Diagnostics::default()));
    }
}
