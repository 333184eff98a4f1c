//! Lines of cells below each other, as the tables of a cycle have them.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::{PLAIN, TextOptions, cut};

/// A line of a table.
pub(super) struct Line {
    /// One for each column of the table, shown or not.
    pub(super) cells: Vec<(String, Style)>,
    /// Words that stand across the columns from this one on, in place of their cells. Their style is that of the last cell.
    pub(super) across: Option<(usize, String)>,
}

/// A column that is shown.
#[derive(Clone, Copy)]
pub(super) struct Shown<C> {
    /// Its place among the cells of a line.
    pub(super) place: usize,
    pub(super) column: C,
    pub(super) width: usize,
    pub(super) is_left_aligned: bool,
}

/// The columns that are shown, and the blanks between them.
pub(super) struct Layout<C> {
    pub(super) columns: Vec<Shown<C>>,
    pub(super) gap: usize,
}

/// The columns that the widest cell of a place takes.
pub(super) fn widest<'a>(lines: impl Iterator<Item = &'a Line>, place: usize) -> usize {
    let lines = lines.filter(|line| line.across.as_ref().is_none_or(|(from, _)| place < *from));
    lines.filter_map(|line| line.cells.get(place)).map(|(text, _)| text.width()).max().unwrap_or(0)
}

impl<C> Layout<C> {
    pub(super) fn width(&self) -> usize {
        let columns: usize = self.columns.iter().map(|shown| shown.width).sum();
        columns + self.gap * self.columns.len().saturating_sub(1)
    }

    /// The line as text, without a line break.
    pub(super) fn line(&self, line: &Line, options: &TextOptions) -> String {
        let from = line.across.as_ref().map_or(usize::MAX, |(from, _)| *from);
        let mut text = String::new();
        let mut used = 0;
        for shown in self.columns.iter().filter(|shown| shown.place < from) {
            let Some((cell, style)) = line.cells.get(shown.place) else { continue };
            let cell = cut(cell, shown.width);
            let pad = " ".repeat(shown.width.saturating_sub(cell.width()));
            let cell = options.paint(*style, &cell);
            text += &if shown.is_left_aligned { cell + &pad } else { pad + &cell };
            text += &" ".repeat(self.gap);
            used += shown.width + self.gap;
        }
        let Some((_, message)) = &line.across else { return text.trim_end().to_owned() };
        let left = options.width.map_or(usize::MAX, usize::from).saturating_sub(used).max(1);
        let style = line.cells.last().map_or(PLAIN, |(_, style)| *style);
        text + &options.paint(style, &cut(message, left))
    }
}
