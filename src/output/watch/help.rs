//! The keys and signs.

use ratatui_core::buffer::Buffer;

use super::pen::{BOLD, DIM, PLAIN, Theme, piece, put, put_line};
use super::rows::Sign;

/// A group of keys with its heading: the key, and what it does.
type Group = (&'static str, &'static [(&'static str, &'static str)]);

const LEFT: [Group; 2] = [
    (
        "MOVE",
        &[
            ("↑ ↓ j k", "line"),
            ("PgUp PgDn", "page"),
            ("Home End", "first, last"),
            ("→ l Enter", "open, go in"),
            ("← h Esc", "close, go back"),
            ("n N", "next, previous trouble"),
        ],
    ),
    (
        "SHOW",
        &[
            ("/", "filter"),
            ("g", "group: none, labels, model"),
            ("s S", "sort: next column, turn"),
            ("e", "open all, close all"),
        ],
    ),
];

const RIGHT: [Group; 2] = [
    ("VIEWS", &[("1", "fleet"), ("2 a", "alerts"), ("3 b", "battery"), ("4 d", "who is down, and why")]),
    ("DO", &[("Space", "freeze, go on"), ("q Ctrl-C", "quit")]),
];

/// Draws them over the whole terminal.
pub(super) fn draw(buffer: &mut Buffer, theme: Theme) {
    put_line(buffer, 0, &[piece("fleetwatt watch: keys", BOLD)], &[piece("any key closes", DIM)]);
    let last = groups(buffer, 1, &LEFT, theme);
    groups(buffer, 42, &RIGHT, theme);
    put(buffer, (1, last), 20, "SIGNS", BOLD);
    let signs = [(Sign::Critical, "critical"), (Sign::Warning, "warning"), (Sign::Down, "down")];
    let mut pieces = Vec::new();
    for (sign, word) in signs {
        let (letter, style) = super::fleet::sign(sign, theme);
        pieces.push(piece(format!("{letter} {word}"), style));
    }
    pieces.extend([piece("~ stale", DIM), piece("· not measured", DIM)]);
    put_line(buffer, last + 1, &pieces, &[]);
    let shares = [(0.2, "below 30 %"), (0.5, "55 %"), (0.7, "80 %"), (0.9, "above")];
    let mut pieces = vec![piece("share of the limit:", DIM)];
    pieces.extend(shares.map(|(share, word)| piece(format!("━━ {word}"), theme.load(share))));
    put_line(buffer, last + 2, &pieces, &[]);
    let filter = "filter: words of names, models, labels, alerts; power>4kW temp>=68 util<5 mem>90%";
    put(buffer, (1, last + 4), buffer.area().width.saturating_sub(2), filter, DIM);
    let filter = "        is:down is:alert is:idle is:maintenance model:h100 rack=4";
    put(buffer, (1, last + 5), buffer.area().width.saturating_sub(2), filter, DIM);
}

/// Draws groups one under the other, and gives the line after them.
fn groups(buffer: &mut Buffer, x: u16, groups: &[Group], theme: Theme) -> u16 {
    let mut y = 2;
    for (heading, keys) in groups {
        put(buffer, (x, y), 20, heading, BOLD);
        for (key, does) in *keys {
            y += 1;
            put(buffer, (x, y), 12, key, theme.key());
            put(buffer, (x + 13, y), 27, does, PLAIN);
        }
        y += 2;
    }
    y
}
