//! Cells of a buffer: texts in places, bars, and styles with and without colour.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use crate::output::figures::NBSP;
use crate::output::text::cut;

/// The colours that a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// None, or none are wanted: bold, dim and signs say it all.
    None,
    /// The sixteen that each terminal has.
    Sixteen,
    /// 256.
    Many,
}

/// The looks of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Its colours.
    pub colours: Colours,
    /// Whether it shows ASCII alone.
    pub is_ascii: bool,
}

/// The styles of a share of the limit: below 30, 55 and 80 %, and above. Load is never red.
const LOAD: [(f64, Color, Color); 4] = [
    (0.30, Color::Indexed(31), Color::Blue),
    (0.55, Color::Indexed(38), Color::Cyan),
    (0.80, Color::Indexed(45), Color::LightCyan),
    (f64::INFINITY, Color::Indexed(159), Color::White),
];

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const DIM: Style = Style::new().add_modifier(Modifier::DIM);

impl Theme {
    pub(super) fn bad(self) -> Style {
        self.coloured(BOLD, Color::Red)
    }

    pub(super) fn warn(self) -> Style {
        self.coloured(PLAIN, Color::Yellow)
    }

    pub(super) fn key(self) -> Style {
        self.coloured(BOLD, Color::Cyan)
    }

    /// Of curves: one calm colour.
    pub(super) fn calm(self) -> Style {
        self.coloured(PLAIN, Color::Cyan)
    }

    pub(super) fn load(self, share: f64) -> Style {
        let row = LOAD.iter().find(|(below, ..)| share < *below);
        match (row, self.colours) {
            (Some((_, many, _)), Colours::Many) => PLAIN.fg(*many),
            (Some((.., sixteen)), Colours::Sixteen) => PLAIN.fg(*sixteen),
            (_, Colours::None) | (None, _) => PLAIN,
        }
    }

    /// The line of the selection.
    pub(super) fn selected(self) -> Style {
        match self.colours {
            Colours::None | Colours::Sixteen => BOLD,
            Colours::Many => BOLD.bg(Color::Indexed(236)),
        }
    }

    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.colours == Colours::None { style } else { style.fg(colour) }
    }
}

/// A text with its style.
pub(super) type Piece = (String, Style);

pub(super) fn piece(text: impl Into<String>, style: Style) -> Piece {
    (text.into(), style)
}

/// The columns that a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// A text from a column on, cut to so many with an ellipsis.
pub(super) fn put(buffer: &mut Buffer, (x, y): (u16, u16), room: u16, text: &str, style: Style) {
    let area = *buffer.area();
    let room = room.min(area.width.saturating_sub(x));
    if y >= area.height || room == 0 {
        return;
    }
    let text = cut(&text.replace(NBSP, " "), room.into());
    buffer.set_stringn(x, y, text, room.into(), style);
}

/// A text that ends before a column.
pub(super) fn put_right(buffer: &mut Buffer, (end, y): (u16, u16), room: u16, text: &str, style: Style) {
    let used = width(text).min(room);
    put(buffer, (end.saturating_sub(used), y), used, text, style);
}

/// A line of pieces on the left and on the right, with a margin of one column. Pieces that do not fit are left out: from
/// the end of the left ones all but two, then from the beginning of the right ones.
pub(super) fn put_line(buffer: &mut Buffer, y: u16, left: &[Piece], right: &[Piece]) {
    let total = buffer.area().width.saturating_sub(2);
    let size = |pieces: &[Piece]| -> u16 {
        let gaps = u16::try_from(pieces.len().saturating_sub(1)).unwrap_or(u16::MAX).saturating_mul(2);
        pieces.iter().fold(gaps, |sum, (text, _)| sum.saturating_add(width(text)))
    };
    let (mut left, mut right) = (left, right);
    let fits = |left, right| size(left).saturating_add(size(right)).saturating_add(2) <= total;
    while left.len() > 2 && !fits(left, right) {
        left = left.split_last().map_or(left, |(_, rest)| rest);
    }
    while !right.is_empty() && !fits(left, right) {
        right = right.split_first().map_or(right, |(_, rest)| rest);
    }
    let mut x = 1;
    for (text, style) in left {
        put(buffer, (x, y), total.saturating_sub(x - 1), text, *style);
        x = x.saturating_add(width(text)).saturating_add(2);
    }
    let mut x = (total + 1).saturating_sub(size(right));
    for (text, style) in right {
        put(buffer, (x, y), width(text), text, *style);
        x = x.saturating_add(width(text)).saturating_add(2);
    }
}

/// A bar of so many cells in half cells; the track shows the rest.
pub(super) fn bar(share: f64, n_cells: u16) -> (String, String) {
    let halves = (share.clamp(0.0, 1.0) * f64::from(n_cells) * 2.0).round();
    let mut filled = String::new();
    let mut n_filled = 0;
    while n_filled < n_cells && f64::from(n_filled) * 2.0 + 1.5 < halves {
        filled.push('━');
        n_filled += 1;
    }
    let has_half = f64::from(n_filled) * 2.0 + 0.5 < halves || (n_filled == 0 && share > 0.0);
    if has_half && n_filled < n_cells {
        filled.push('╸');
        n_filled += 1;
    }
    (filled, "┄".repeat((n_cells - n_filled).into()))
}

/// Draws a bar.
pub(super) fn put_bar(buffer: &mut Buffer, (x, y): (u16, u16), n_cells: u16, share: f64, style: Style) {
    let (filled, track) = bar(share, n_cells);
    put(buffer, (x, y), n_cells, &filled, style);
    let used = width(&filled);
    put(buffer, (x + used, y), n_cells - used, &track, DIM);
}

/// The ASCII letters that stand for other signs, where a terminal has no more.
const ASCII: &[(&str, &str)] = &[
    ("━", "#"),
    ("╸", "+"),
    ("┄", "-"),
    ("─", "-"),
    ("▲", "C"),
    ("△", "W"),
    ("✗", "D"),
    ("▸", ">"),
    ("▾", "v"),
    ("►", "*"),
    ("├", "|"),
    ("└", "`"),
    ("↓", "v"),
    ("↑", "^"),
    ("→", ">"),
    ("←", "<"),
    ("·", "."),
    ("…", "."),
    ("–", "-"),
    ("−", "-"),
    ("▁", "_"),
    ("▂", "_"),
    ("▃", "-"),
    ("▄", "-"),
    ("▅", "="),
    ("▆", "="),
    ("▇", "#"),
    ("█", "#"),
    ("°", "'"),
    ("▏", "_"),
];

/// Makes all cells ASCII; what has no letter of its own is `?`.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let letter =
                ASCII.iter().find(|(sign, _)| *sign == cell.symbol()).map_or("?", |(_, letter)| letter);
            cell.set_symbol(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_in_half_cells_and_never_empty_of_something() {
        let bars = [0.0, 0.01, 0.05, 0.10, 0.5, 0.95, 1.0, 1.2].map(|share| {
            let (filled, track) = bar(share, 10);
            filled + &track
        });
        assert_eq!(
            bars,
            [
                "┄┄┄┄┄┄┄┄┄┄",
                "╸┄┄┄┄┄┄┄┄┄",
                "╸┄┄┄┄┄┄┄┄┄",
                "━┄┄┄┄┄┄┄┄┄",
                "━━━━━┄┄┄┄┄",
                "━━━━━━━━━╸",
                "━━━━━━━━━━",
                "━━━━━━━━━━"
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let mut buffer = Buffer::empty(ratatui_core::layout::Rect::new(0, 0, 19, 1));
        let texts = |texts: &[&str]| texts.iter().map(|text| piece(*text, PLAIN)).collect::<Vec<_>>();
        put_line(&mut buffer, 0, &texts(&["one", "two", "three"]), &texts(&["far", "end"]));
        let line: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
        assert_eq!(line, " one  two      end ");
    }
}
