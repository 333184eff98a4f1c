//! The views that are lists: alerts, and who is down and why.

use ratatui_core::buffer::Buffer;

use super::document::{Alert, Document, Node};
use super::figures::age;
use super::fleet::sign;
use super::pen::{BOLD, DIM, PLAIN, Theme, piece, put, put_line, put_right, width};
use super::rows::{Sign, node_of};
use super::state::{Now, State, View};
use crate::output::text::broken;
use crate::reading::SafeText;
use crate::support::counted;

/// The column in which the words of an entry begin.
const WORDS: u16 = 18;

/// An entry of a list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    sign: Sign,
    head: String,
    /// The first is the message, the others what to do.
    words: Vec<String>,
    since: String,
    /// The node that it is about.
    pub(super) node: Option<String>,
}

/// The entries of a view.
pub(super) fn entries(state: &State, view: View, now: &Now) -> Vec<Entry> {
    let Some(document) = state.document.as_deref() else { return Vec::new() };
    match view {
        View::Alerts => alerts(document, now),
        View::Down => down(document, now),
        View::Fleet | View::Battery => Vec::new(),
    }
}

/// Critical ones first, and the longest active ones of those.
fn alerts(document: &Document, now: &Now) -> Vec<Entry> {
    let mut alerts: Vec<&Alert> = document.alerts.iter().collect();
    alerts.sort_by_key(|alert| (!alert.is_critical(), alert.raised_at));
    alerts.into_iter().map(|alert| entry_of(document, alert, now)).collect()
}

fn entry_of(document: &Document, alert: &Alert, now: &Now) -> Entry {
    let known = |name: &str| document.nodes.iter().find(|node| node.node.as_str() == name);
    let node = node_of(alert, known);
    let source = alert.source.as_str();
    let head = node.map_or(source, |node| node.node.as_str());
    let message = alert.message.as_str();
    // The name stands before it already.
    let words = message.strip_prefix(head).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    Entry {
        sign: if alert.is_critical() { Sign::Critical } else { Sign::Warning },
        head: head.to_owned(),
        words: vec![words.to_owned()],
        since: format!("{}, {}", now.moment(alert.raised_at), age(now.at.since(alert.raised_at))),
        node: node.map(|node| node.node.to_string()),
    }
}

fn down(document: &Document, now: &Now) -> Vec<Entry> {
    let nodes = document.nodes.iter().filter_map(|node| Some((node, node.down()?)));
    let mut entries: Vec<Entry> = nodes
        .map(|(node, failure)| Entry {
            sign: if node.maintenance { Sign::None } else { Sign::Down },
            head: node.node.to_string(),
            words: [failure.in_words(), maintained(node, &failure.hint)]
                .into_iter()
                .filter(|words| !words.is_empty())
                .collect(),
            since: failure
                .since
                .map(|since| format!("{}, {}", now.moment(since), age(now.at.since(since))))
                .unwrap_or_default(),
            node: Some(node.node.to_string()),
        })
        .collect();
    let trouble = document.account.as_ref().and_then(|account| account.trouble.as_ref());
    entries.extend(trouble.map(|trouble| Entry {
        sign: Sign::Warning,
        head: "stations".to_owned(),
        words: vec![trouble.message.to_string()],
        since: String::new(),
        node: None,
    }));
    entries
}

fn maintained(node: &Node, hint: &SafeText) -> String {
    if node.maintenance { "in maintenance".to_owned() } else { hint.to_string() }
}

/// Draws a list from a line on, to the last but so many lines.
pub(super) fn draw(
    buffer: &mut Buffer,
    (y, n_lines): (u16, u16),
    (state, now): (&State, &Now),
    theme: Theme,
) {
    let entries = entries(state, state.view, now);
    let (title, none) = match state.view {
        View::Down => ("DOWN", "Every node answers."),
        View::Fleet | View::Alerts | View::Battery => ("ALERTS", "No alert is active."),
    };
    let count = if entries.is_empty() { String::new() } else { counted(entries.len(), "entry", "entries") };
    put_line(buffer, y, &[piece(title, BOLD)], &[piece(count, DIM)]);
    if entries.is_empty() {
        return put_line(buffer, y + 2, &[piece(none, PLAIN)], &[]);
    }
    let end = y + n_lines;
    let selected = state.entry.min(entries.len() - 1);
    let mut line = y + 2;
    for (place, entry) in entries.iter().enumerate().skip(first_of(&entries, selected, (buffer, n_lines))) {
        let n_used = entry.n_lines(buffer.area().width);
        if line + n_used > end {
            break;
        }
        entry.draw(buffer, line, place == selected, theme);
        line += n_used + 1;
    }
}

/// The first entry that is drawn so that the selected one has room.
fn first_of(entries: &[Entry], selected: usize, (buffer, n_lines): (&Buffer, u16)) -> usize {
    let total = buffer.area().width;
    let mut left = n_lines.saturating_sub(2);
    let mut first = selected;
    for (place, entry) in entries.iter().enumerate().take(selected + 1).rev() {
        let used = entry.n_lines(total) + u16::from(place < selected);
        if used > left {
            break;
        }
        left -= used;
        first = place;
    }
    first
}

impl Entry {
    /// Its lines in a terminal so wide.
    fn lines(&self, total: u16) -> Vec<String> {
        let first = total.saturating_sub(WORDS + width(&self.since) + 3).max(20);
        let rest = total.saturating_sub(WORDS + 1).max(20);
        let mut lines = Vec::new();
        for (place, words) in self.words.iter().enumerate() {
            let room = if place == 0 { first } else { rest };
            lines.extend(broken(words, room.into(), 0));
        }
        lines
    }

    fn n_lines(&self, total: u16) -> u16 {
        u16::try_from(self.lines(total).len()).unwrap_or(u16::MAX).max(1)
    }

    fn draw(&self, buffer: &mut Buffer, y: u16, is_selected: bool, theme: Theme) {
        let total = buffer.area().width;
        let (letter, style) = sign(self.sign, theme);
        put(buffer, (0, y), 1, if is_selected { "►" } else { " " }, theme.key());
        put(buffer, (1, y), 1, letter, style);
        put(buffer, (3, y), WORDS - 4, &self.head, BOLD);
        put_right(buffer, (total.saturating_sub(1), y), total / 2, &self.since, DIM);
        for (line, style) in
            (y..).zip(self.lines(total)).zip(std::iter::once(PLAIN).chain(std::iter::repeat(DIM)))
        {
            put(buffer, (WORDS, line.0), total.saturating_sub(WORDS + 1), &line.1, style);
        }
    }

    /// In one line, for a pane beside the table.
    pub(super) fn draw_short(&self, buffer: &mut Buffer, y: u16, theme: Theme) {
        let total = buffer.area().width;
        let (letter, style) = sign(self.sign, theme);
        put(buffer, (1, y), 1, letter, style);
        put(buffer, (3, y), WORDS - 4, &self.head, BOLD);
        put(buffer, (WORDS, y), 20, &self.since, DIM);
        let words = self.words.first().map(String::as_str).unwrap_or_default();
        put(buffer, (WORDS + 21, y), total.saturating_sub(WORDS + 22), words, PLAIN);
    }
}
