//! Diagnostics of an inventory: message, location, source line and hint, all of them at once.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet as SourceSnippet,
};

use super::location::Location;
use super::snippet::{Snippet, merged, secrets, snippet};
use crate::reading::SafeText;

/// Columns that a rendered error may take; quoted lines are shorter than that already.
const TERM_WIDTH: usize = 160;

/// Everything that is wrong with an inventory, in the order of the files and lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

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
        self.0.iter()
    }

    /// All diagnostics as rustc prints them: what, where, the line with a mark, and what to do.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(TERM_WIDTH);
        let mut out = String::new();
        for diagnostic in &self.0 {
            out.push_str(&renderer.render(&[diagnostic.group(Level::ERROR)]));
            out.push_str("\n\n");
        }
        let count = if self.0.len() == 1 { "1 fault" } else { &format!("{} faults", self.0.len()) };
        out.push_str(
            &renderer.render(&[Group::with_title(
                Level::ERROR.primary_title(format!("the inventory has {count}")),
            )]),
        );
        out.push('\n');
        out
    }
}

/// Warnings, in the order of the files and lines: not wrong, but most likely not intended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings(Vec<Diagnostic>);

impl Warnings {
    /// The warnings in the order of the files and lines.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// All warnings as rustc prints warnings; empty where there are none.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(TERM_WIDTH);
        self.0
            .iter()
            .map(|diagnostic| renderer.render(&[diagnostic.group(Level::WARNING)]) + "\n\n")
            .collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn group<'a>(&'a self, level: Level<'a>) -> Group<'a> {
        let path = shown_path(&self.file).to_string();
        let title = level.primary_title(self.message.as_str());
        let mut group = match &self.snippet {
            // The snippet counts columns itself, which is right only for a line shown as it is.
            Some(snippet) if snippet.column() == self.column => {
                title.element(self.source(snippet).path(path))
            }
            Some(snippet) => title.element(self.origin(path)).element(self.source(snippet)),
            None => title.element(self.origin(path)),
        };
        if let Some(earlier) = &self.earlier {
            group = group.element(Level::NOTE.message(earlier.as_str()));
        }
        group.element(Level::HELP.message(self.hint.as_str()))
    }

    fn origin(&self, path: String) -> Origin<'_> {
        Origin::path(path).line(self.line).char_column(self.column)
    }

    fn source<'a>(&'a self, snippet: &'a Snippet) -> SourceSnippet<'a, Annotation<'a>> {
        let mark = AnnotationKind::Primary.span(snippet.mark.clone()).label(self.label.as_str());
        SourceSnippet::source(snippet.line.as_str()).line_start(self.line).annotation(mark)
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
    path: PathBuf,
    text: String,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
    secrets: Vec<Range<usize>>,
}

impl Text {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        let secrets = secrets(&text);
        Self { path, text, line_starts, secrets }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
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
}

impl ValueError {
    pub(super) fn new(message: impl Into<String>, label: &str, hint: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), label: label.to_owned(), hint: hint.into(), hides: false }
    }

    /// Says that the value must not be shown.
    pub(super) fn hiding(mut self) -> Self {
        self.hides = true;
        self
    }

    /// Narrows the error to a part of the value.
    pub(super) fn at(mut self, part: Range<usize>) -> Self {
        self.at = Some(part);
        self
    }
}

/// A error in the making: the place is not yet line and column.
#[derive(Debug)]
struct Reported {
    location: Location,
    error: ValueError,
    earlier: Option<(&'static str, Location)>,
}

/// Collects what is wrong while reading goes on.
#[derive(Debug, Default)]
pub(super) struct DiagnosticSink {
    sink: Vec<Reported>,
    warnings: Vec<Reported>,
    /// Values that must not be shown, whatever error stands beside them.
    hidden: Vec<Location>,
}

impl DiagnosticSink {
    pub(super) fn push(&mut self, location: Location, error: ValueError) {
        self.sink.push(Reported { location, error, earlier: None });
    }

    /// Warnings: not wrong, but most likely not intended.
    pub(super) fn warn(&mut self, location: Location, error: ValueError) {
        self.warnings.push(Reported { location, error, earlier: None });
    }

    /// A clash with another place; `message` go before that place.
    pub(super) fn push_clash(
        &mut self,
        location: Location,
        error: ValueError,
        message: &'static str,
        earlier: Location,
    ) {
        self.sink.push(Reported { location, error, earlier: Some((message, earlier)) });
    }

    /// Number of errors so far.
    pub(super) fn len(&self) -> usize {
        self.sink.len()
    }

    /// Keeps a value from being shown by any error.
    pub(super) fn hide(&mut self, location: Location) {
        self.hidden.push(location);
    }

    /// The diagnostics, if there are any, else the warnings.
    pub(super) fn into_result(self, texts: &mut [Text]) -> Result<Warnings, Diagnostics> {
        for location in self.hidden {
            if let (Some(text), Some((start, end))) = (texts.get_mut(location.file), location.span) {
                text.secrets.push(start..end);
            }
        }
        texts.iter_mut().for_each(|text| text.secrets = merged(std::mem::take(&mut text.secrets)));
        let in_order = |mut sink: Vec<Reported>| -> Vec<Diagnostic> {
            sink.sort_by(|a, b| a.location.cmp(&b.location));
            sink.into_iter().filter_map(|reported| reported.into_diagnostic(texts)).collect()
        };
        let diagnostics = in_order(self.sink);
        if diagnostics.is_empty() {
            Ok(Warnings(in_order(self.warnings)))
        } else {
            Err(Diagnostics(diagnostics))
        }
    }
}

impl Reported {
    fn into_diagnostic(self, texts: &[Text]) -> Option<Diagnostic> {
        // Every site is made with the index of a text that was read before it.
        let text = texts.get(self.location.file)?;
        let (line, column) = self.location.span.map_or((1, 1), |(start, _)| text.position(start));
        let snippet =
            self.location.span.map(|(start, end)| snippet(&text.text, &text.secrets, &(start..end)));
        let earlier = self.earlier.and_then(|(message, location)| {
            let text = texts.get(location.file)?;
            let (line, _) = location.span.map_or((1, 1), |(start, _)| text.position(start));
            Some(format!("{message} {}:{line}", shown_path(&text.path)))
        });
        let ValueError { message, label, hint, .. } = self.error;
        Some(Diagnostic { file: text.path.clone(), line, column, message, hint, label, snippet, earlier })
    }
}

/// A path as it may be shown.
fn shown_path(path: &Path) -> SafeText {
    SafeText::new(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_not_bytes() {
        let text = Text::new("f".into(), "a\näöü x".to_owned());
        assert_eq!(text.position(text.text.find('x').unwrap()), (2, 5));
    }

    #[test]
    fn a_position_past_the_end_is_the_end() {
        let text = Text::new("f".into(), "ab\n".to_owned());
        assert_eq!(text.position(99), (2, 1));
    }

    #[test]
    fn faults_come_in_the_order_of_the_lines() {
        let mut texts = [Text::new("f".into(), "ab\ncd\n".to_owned())];
        let mut sink = DiagnosticSink::default();
        sink.push(Location::new(0, &(3..4)), ValueError::new("second", "", ""));
        sink.push(Location::new(0, &(0..1)), ValueError::new("first", "", ""));
        let diagnostics = sink.into_result(&mut texts).unwrap_err();
        assert_eq!(
            diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>(),
            ["first", "second"]
        );
    }

    #[test]
    fn nothing_wrong_is_no_faults() {
        assert_eq!(DiagnosticSink::default().into_result(&mut []), Ok(Warnings::default()));
    }
}
