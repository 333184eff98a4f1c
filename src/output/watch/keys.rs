//! The keys: a state and a key give a state.

#![allow(clippy::wildcard_enum_match_arm, reason = "other keys do nothing")]

use super::draw::{table_lines, table_top};
use super::fleet::{columns_of, node_of, sort_at};
use super::lists::entries;
use super::rows::{Sign, Subjects, Table, place, table, top};
use super::state::{Now, RowId, SortBy, State, View, groupings};
use crate::reading::Timestamp;

/// A key, or what a mouse does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter.
    Char(char),
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Ctrl-C.
    Interrupt,
    /// A click at a column and line.
    Click(u16, u16),
}

/// The consequence of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Stay,
    /// The person leaves.
    Quit,
}

impl State {
    /// The state after a key.
    pub fn press(&mut self, key: Key) -> Then {
        if key == Key::Interrupt {
            return Then::Quit;
        }
        if self.is_help {
            self.is_help = false;
        } else if self.edited.is_some() {
            edit(self, key);
        } else if key == Key::Char('q') {
            return Then::Quit;
        } else if !turn_to(self, key) {
            match self.view {
                View::Fleet => in_fleet(self, key),
                View::Alerts | View::Battery | View::Down => in_list(self, key),
            }
        }
        Then::Stay
    }
}

/// Keys that hold in all views: to another view, or of the whole frame.
fn turn_to(state: &mut State, key: Key) -> bool {
    let view = match key {
        Key::Char('?') => {
            state.is_help = true;
            return true;
        }
        Key::Char(' ') => {
            state.freeze();
            return true;
        }
        Key::Char('1') => View::Fleet,
        Key::Char('2' | 'a') => View::Alerts,
        Key::Char('3' | 'b') => View::Battery,
        Key::Char('4' | 'd') => View::Down,
        Key::Escape if state.view != View::Fleet => View::Fleet,
        _ => return false,
    };
    state.view = view;
    state.entry = 0;
    true
}

/// The filter while it is written: it holds at once.
fn edit(state: &mut State, key: Key) {
    match key {
        Key::Char(letter) if !letter.is_control() => state.filter.push(letter),
        Key::Backspace => {
            state.filter.pop();
        }
        Key::Enter => state.edited = None,
        Key::Escape => state.filter = state.edited.take().unwrap_or_default(),
        _ => return,
    }
    state.top = 0;
    keep_selection(state);
}

/// A selected line that is gone is the first one.
fn keep_selection(state: &mut State) {
    let table = table(state);
    let id = table.rows.get(place(state, &table)).map(|row| row.id.clone());
    let place = place(state, &table);
    let n_rows = table.rows.len();
    state.selected = id;
    state.top = top(state.top, place, n_rows, n_visible(state));
}

fn n_visible(state: &State) -> usize {
    usize::from(table_lines(state.size).saturating_sub(1))
}

fn in_fleet(state: &mut State, key: Key) {
    keep_selection(state);
    match key {
        Key::Char('s') => state.sort = after(state.sort),
        Key::Char('S') => state.is_turned = !state.is_turned,
        Key::Char('g') => next_group(state),
        Key::Char('/') => state.edited = Some(state.filter.clone()),
        Key::Char('e') => open_all(state),
        Key::Escape if !state.filter.is_empty() => state.filter.clear(),
        Key::Click(x, y) => return click(state, (x, y)),
        _ => return step(state, key),
    }
    keep_selection(state);
}

fn after(sort: SortBy) -> SortBy {
    let mut columns = SortBy::ALL.into_iter().cycle().skip_while(|column| *column != sort);
    columns.nth(1).unwrap_or(sort)
}

fn next_group(state: &mut State) {
    let Some(document) = state.document.as_deref() else { return };
    let groups = groupings(document);
    let next = match &state.group {
        None => 0,
        Some(group) => groups.iter().position(|other| other == group).map_or(0, |place| place + 1),
    };
    state.group = groups.into_iter().nth(next);
    state.open.clear();
}

/// Opens every line that can be, or closes all if some are open.
fn open_all(state: &mut State) {
    if state.open.is_empty() {
        let ids: Vec<RowId> = table(state).rows.into_iter().map(|row| row.id).collect();
        state.open.extend(ids);
    } else {
        state.open.clear();
    }
}

/// Moves, opens and closes.
fn step(state: &mut State, key: Key) {
    let lines = table(state);
    let at = place(state, &lines);
    let page = n_visible(state).max(1);
    let last = lines.rows.len().saturating_sub(1);
    let selected = lines.rows.get(at).map(|row| row.id.clone());
    let to = match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => (at + 1).min(last),
        Key::PageUp => at.saturating_sub(page),
        Key::PageDown => (at + page).min(last),
        Key::Home => 0,
        Key::End => last,
        Key::Char('n') => trouble_after(&lines, at),
        Key::Char('N') => trouble_before(&lines, at),
        Key::Right | Key::Enter | Key::Char('l') => return open(state, selected),
        Key::Left | Key::Escape | Key::Char('h') => return close(state, selected),
        _ => return,
    };
    select(state, to);
}

/// Selects a line, and scrolls so far that it is seen.
fn select(state: &mut State, to: usize) {
    let lines = table(state);
    let id = lines.rows.get(to).map(|row| row.id.clone());
    let n_rows = lines.rows.len();
    state.selected = id;
    state.top = top(state.top, to, n_rows, n_visible(state));
}

fn has_trouble(sign: Sign) -> bool {
    sign != Sign::None
}

/// The next line with a sign; from the last one on, the first.
fn trouble_after(lines: &Table<'_>, at: usize) -> usize {
    let mut troubles = (0..lines.rows.len()).cycle().skip(at + 1).take(lines.rows.len());
    troubles.find(|place| lines.rows.get(*place).is_some_and(|row| has_trouble(row.sign))).unwrap_or(at)
}

fn trouble_before(lines: &Table<'_>, at: usize) -> usize {
    let n_rows = lines.rows.len();
    let mut troubles = (1..=n_rows).map(|back| (at + n_rows - back) % n_rows.max(1));
    troubles.find(|place| lines.rows.get(*place).is_some_and(|row| has_trouble(row.sign))).unwrap_or(at)
}

fn open(state: &mut State, selected: Option<RowId>) {
    state.selected.clone_from(&selected);
    state.open.extend(selected.filter(|id| !matches!(id, RowId::Gpu(..))));
}

/// Closes the line, or else goes to the one that it belongs to.
fn close(state: &mut State, selected: Option<RowId>) {
    let Some(id) = selected else { return };
    if state.open.remove(&id) {
        return keep_selection(state);
    }
    let lines = table(state);
    let at = place(state, &lines);
    let above = lines.rows.iter().take(at).rposition(|row| match (&id, &row.of) {
        (RowId::Gpu(name, _), Subjects::Node(_)) => row.name == *name,
        (RowId::Node(_), Subjects::Group(_)) => true,
        _ => false,
    });
    if let Some(above) = above {
        select(state, above);
    }
}

/// A click selects a line, and opens or closes the selected one; one on a heading sorts.
fn click(state: &mut State, (x, y): (u16, u16)) {
    let lines = table(state);
    let Some(line) = y.checked_sub(table_top(state.size)) else { return };
    if line == 0 {
        if let Some(sort) = sort_at(&columns_of(state, &lines), x) {
            state.is_turned = sort == state.sort && !state.is_turned;
            state.sort = sort;
        }
        return keep_selection(state);
    }
    let to = top(state.top, place(state, &lines), lines.rows.len(), n_visible(state)) + usize::from(line) - 1;
    let Some(id) = lines.rows.get(to).map(|row| row.id.clone()).filter(|_| line < table_lines(state.size))
    else {
        return;
    };
    if state.selected.as_ref() != Some(&id) {
        return select(state, to);
    }
    if state.open.contains(&id) { close(state, Some(id)) } else { open(state, Some(id)) }
}

/// A list's entries have no times in what is asked here.
fn any_time() -> Now {
    Now { at: Timestamp::from_micros(0), zone: jiff::tz::TimeZone::UTC }
}

fn in_list(state: &mut State, key: Key) {
    let entries = entries(state, state.view, &any_time());
    let last = match state.view {
        View::Battery => {
            let account = state.document.as_deref().and_then(|document| document.account.as_ref());
            account.map_or(0, |account| account.stations.len()).saturating_sub(1)
        }
        View::Fleet | View::Alerts | View::Down => entries.len().saturating_sub(1),
    };
    let at = state.entry.min(last);
    state.entry = match key {
        Key::Up | Key::Char('k') | Key::PageUp => at.saturating_sub(1),
        Key::Down | Key::Char('j') | Key::PageDown => (at + 1).min(last),
        Key::Home => 0,
        Key::End => last,
        Key::Left | Key::Char('h') => {
            state.view = View::Fleet;
            return;
        }
        Key::Right | Key::Enter | Key::Char('l') => {
            let node = entries.get(at).and_then(|entry| entry.node.clone());
            return go_to(state, node);
        }
        _ => at,
    };
}

/// To a node in the fleet's view. A filter or group that hides it gives way.
fn go_to(state: &mut State, node: Option<String>) {
    let Some(name) = node else { return };
    state.view = View::Fleet;
    state.selected = Some(RowId::Node(name.clone()));
    let is_seen = |state: &State| table(state).rows.iter().any(|row| node_of(&row.id) == Some(&name));
    if !is_seen(state) {
        state.filter.clear();
        state.group = None;
    }
    keep_selection(state);
}
