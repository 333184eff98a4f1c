//! A frame: what is where.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;

use super::fleet::{self, NARROW};
use super::lists::{self, entries};
use super::pen::{BOLD, DIM, PLAIN, Piece, Theme, piece, put, put_line, to_ascii};
use super::rows::{Table, table};
use super::state::{Now, State, View};
use super::{battery, header, help};

/// Lines above the table's headings, and below its last line.
const ABOVE: u16 = 5;
const BELOW: u16 = 2;

/// Below this width and height there is only the total.
const TINY: (u16, u16) = (30, 5);

/// Below this height the header is one line.
const LOW: u16 = 10;

/// Panes below the table begin at this width.
const PANES_FROM: u16 = 100;

/// Alerts in the pane of them.
const MAX_SHORT: usize = 5;

/// The keys of the fleet's view. What does not fit is left out.
const KEYS: [(&str, &str); 9] = [
    ("↑↓", "move"),
    ("→", "open"),
    ("s", "sort"),
    ("/", "filter"),
    ("g", "group"),
    ("a", "alerts"),
    ("b", "battery"),
    ("?", "keys"),
    ("q", "quit"),
];

const BATTERY_KEYS: [(&str, &str); 4] = [("↑↓", "station"), ("Esc", "back"), ("?", "keys"), ("q", "quit")];

const LIST_KEYS: [(&str, &str); 5] =
    [("↑↓", "move"), ("→", "go to the node"), ("Esc", "back"), ("?", "keys"), ("q", "quit")];

/// A line of headings and as many lines as the table has room for.
pub(super) fn table_lines((width, height): (u16, u16)) -> u16 {
    if width < NARROW || height < LOW {
        height.saturating_sub(1)
    } else {
        height.saturating_sub(ABOVE + BELOW)
    }
}

/// The line of the table's headings.
pub(super) fn table_top((width, height): (u16, u16)) -> u16 {
    if width < NARROW || height < LOW { 1 } else { ABOVE }
}

/// A frame of the state's size.
pub fn frame(state: &State, now: &Now, theme: Theme) -> Buffer {
    let (width, height) = state.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(&mut buffer, state, now, theme);
    if theme.is_ascii {
        to_ascii(&mut buffer);
    }
    buffer
}

/// A frame as high as it must be to show every line, without the line of keys.
pub fn whole_frame(state: &State, now: &Now, theme: Theme) -> Buffer {
    let mut state = state.clone();
    let n_rows = table(&state).rows.len();
    let height =
        u16::try_from(n_rows).unwrap_or(u16::MAX).saturating_add(ABOVE + BELOW + 1 + pane_lines(&state, now));
    state.size.1 = height.max(LOW);
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.0, height.max(LOW)));
    if state.size.0 < NARROW {
        draw(&mut buffer, &state, now, theme);
    } else {
        header::draw(&mut buffer, (&state, now), theme);
        body(&mut buffer, &state, now, theme);
    }
    if theme.is_ascii {
        to_ascii(&mut buffer);
    }
    buffer
}

fn draw(buffer: &mut Buffer, state: &State, now: &Now, theme: Theme) {
    let (width, height) = state.size;
    if state.is_help && width >= NARROW && height >= LOW {
        return help::draw(buffer, theme);
    }
    let Some(document) = state.document.as_deref() else {
        return waiting(buffer, state, theme);
    };
    if width < NARROW || height < LOW {
        header::total(buffer, 0, (state, document), theme);
        if width >= TINY.0 && height >= TINY.1 {
            fleet::draw(buffer, (1, height - 1), (state, now), &table(state), theme);
        }
        return;
    }
    header::draw(buffer, (state, now), theme);
    body(buffer, state, now, theme);
    last_line(buffer, state, theme);
}

/// Nothing has come yet.
fn waiting(buffer: &mut Buffer, state: &State, theme: Theme) {
    let words = match &state.trouble {
        Some(trouble) => piece(trouble.as_str(), theme.warn()),
        None => piece("waiting for the first cycle", DIM),
    };
    put_line(buffer, 0, &[piece("fleetwatt", BOLD)], &[piece("q quit", DIM)]);
    put(buffer, (1, 2), buffer.area().width.saturating_sub(2), &words.0, words.1);
}

fn body(buffer: &mut Buffer, state: &State, now: &Now, theme: Theme) {
    let lines = (ABOVE, buffer.area().height.saturating_sub(ABOVE + BELOW));
    match state.view {
        View::Alerts | View::Down => lists::draw(buffer, lines, (state, now), theme),
        View::Battery => battery::draw(buffer, lines, (state, now), theme),
        View::Fleet => {
            let table = table(state);
            let used = fleet::draw(buffer, lines, (state, now), &table, theme);
            under(buffer, state, &table, theme);
            if usize::from(used) > table.rows.len() {
                panes(buffer, (ABOVE + used + 1, lines.1.saturating_sub(used + 1)), (state, now), theme);
            }
        }
    }
}

/// The line under the table.
fn under(buffer: &mut Buffer, state: &State, table: &Table<'_>, theme: Theme) {
    let y = buffer.area().height.saturating_sub(BELOW);
    let n_visible = usize::from(buffer.area().height.saturating_sub(ABOVE + BELOW + 1));
    let (hidden, scrolled) = fleet::status(state, table, n_visible);
    let left: Vec<Piece> = hidden.map(|text| piece(text, theme.warn())).into_iter().collect();
    let right: Vec<Piece> = scrolled.map(|text| piece(text, DIM)).into_iter().collect();
    put_line(buffer, y, &left, &right);
}

/// The lines that the panes take.
fn pane_lines(state: &State, now: &Now) -> u16 {
    let n_alerts = entries(state, View::Alerts, now).len().min(MAX_SHORT);
    if n_alerts == 0 { 0 } else { u16::try_from(n_alerts).unwrap_or_default() + 2 }
}

/// The panes below the table, where they have room.
fn panes(buffer: &mut Buffer, (y, n_lines): (u16, u16), (state, now): (&State, &Now), theme: Theme) {
    let alerts = entries(state, View::Alerts, now);
    let needed = pane_lines(state, now);
    if buffer.area().width < PANES_FROM || alerts.is_empty() || needed > n_lines + 1 {
        return;
    }
    let more = alerts.len().saturating_sub(MAX_SHORT);
    let more = if more > 0 { vec![piece(format!("{more} more: a"), DIM)] } else { Vec::new() };
    put_line(buffer, y, &[piece("ALERTS", BOLD)], &more);
    for (y, entry) in (y + 1..).zip(alerts.iter().take(MAX_SHORT)) {
        entry.draw_short(buffer, y, theme);
    }
}

/// The filter that is written, or the keys.
fn last_line(buffer: &mut Buffer, state: &State, theme: Theme) {
    let y = buffer.area().height.saturating_sub(1);
    if state.edited.is_some() {
        let right = [piece("Enter keep  Esc undo", DIM)];
        return put_line(buffer, y, &[piece(format!("/{}▏", state.filter), BOLD)], &right);
    }
    let keys: &[(&str, &str)] = match state.view {
        View::Fleet => &KEYS,
        View::Battery => &BATTERY_KEYS,
        View::Alerts | View::Down => &LIST_KEYS,
    };
    let room = buffer.area().width.saturating_sub(2);
    let size = |keys: &[&(&str, &str)]| -> u16 {
        keys.iter().map(|(key, word)| super::pen::width(key) + super::pen::width(word) + 3).sum::<u16>()
    };
    let mut shown: Vec<&(&str, &str)> = keys.iter().collect();
    // The last two stay the longest.
    while shown.len() > 2 && size(&shown) > room + 2 {
        shown.remove(shown.len() - 3);
    }
    let mut x = 1;
    for (key, word) in shown {
        put(buffer, (x, y), room, key, theme.key());
        x += super::pen::width(key) + 1;
        put(buffer, (x, y), room.saturating_sub(x), word, PLAIN);
        x += super::pen::width(word) + 2;
    }
}
