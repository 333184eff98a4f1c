//! A frame as text.

#![allow(clippy::wildcard_enum_match_arm, reason = "other colours are not used")]

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier};

use anstyle::{Ansi256Color, AnsiColor, Style};

/// The lines of a frame without blanks at their ends, and without empty ones at its end.
pub fn printed(buffer: &Buffer, has_style: bool) -> String {
    let width = usize::from(buffer.area().width).max(1);
    let mut lines: Vec<String> = buffer.content().chunks(width).map(|cells| line(cells, has_style)).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn line(cells: &[ratatui_core::buffer::Cell], has_style: bool) -> String {
    let n_used = cells.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
    let mut text = String::new();
    let mut current = Style::new();
    // The second column of a wide letter has no text of its own.
    let mut covered = 0;
    for cell in cells.iter().take(n_used) {
        if covered > 0 {
            covered -= 1;
            continue;
        }
        covered = super::pen::width(cell.symbol()).saturating_sub(1);
        let style = if has_style { style(cell) } else { Style::new() };
        if style != current {
            text += &format!("{current:#}{style}");
            current = style;
        }
        text.push_str(cell.symbol());
    }
    text + &format!("{current:#}")
}

fn style(cell: &ratatui_core::buffer::Cell) -> Style {
    let style = Style::new().fg_color(colour(cell.fg)).bg_color(colour(cell.bg));
    let style = if cell.modifier.contains(Modifier::BOLD) { style.bold() } else { style };
    if cell.modifier.contains(Modifier::DIM) { style.dimmed() } else { style }
}

fn colour(colour: Color) -> Option<anstyle::Color> {
    Some(match colour {
        Color::Red => AnsiColor::Red.into(),
        Color::Yellow => AnsiColor::Yellow.into(),
        Color::Cyan => AnsiColor::Cyan.into(),
        Color::Blue => AnsiColor::Blue.into(),
        Color::LightCyan => AnsiColor::BrightCyan.into(),
        Color::White => AnsiColor::White.into(),
        Color::Indexed(number) => Ansi256Color(number).into(),
        _ => return None,
    })
}
