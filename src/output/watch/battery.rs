//! The battery stations.

use ratatui_core::buffer::Buffer;

use super::document::{Account, Station, StationReading};
use super::figures::{age, power};
use super::pen::{BOLD, DIM, PLAIN, Piece, Theme, piece, put, put_bar, put_line, put_right};
use super::state::{Now, State};
use crate::output::figures::{NBSP, NOT_APPLICABLE, number};

/// Lines of a station with the one below it.
const N_LINES: u16 = 7;

/// The longest bar.
const MAX_BAR: u16 = 40;

/// The stations in a few words, for the header: the one with the lowest charge, if several.
pub(super) fn in_words(account: &Account, theme: Theme) -> Option<Piece> {
    let live = account.stations.iter().filter(|station| station.is_live());
    let charges =
        live.filter_map(|station| Some((station.reading.as_ref()?, station.reading.as_ref()?.soc_pct?)));
    let lowest = charges.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let Some((reading, soc)) = lowest else {
        let is_silent = !account.stations.is_empty();
        return is_silent.then(|| piece("Battery silent", theme.warn()));
    };
    let others = if account.stations.len() > 1 {
        format!(" (lowest of {})", account.stations.len())
    } else {
        String::new()
    };
    Some(piece(format!("Battery {}{NBSP}%{}{others}", number(soc, 0), flow(reading)), theme.calm()))
}

/// Down with what is left, or up.
fn flow(reading: &StationReading) -> String {
    let net = reading.power_input_w.zip(reading.power_output_w).map(|(into, out)| into - out);
    match (net, reading.runtime_h) {
        (Some(net), Some(hours)) if net < 0.0 => format!(" ↓ {}{NBSP}h", number(hours, 1)),
        (Some(net), None) if net < 0.0 => " ↓".to_owned(),
        (Some(net), _) if net > 0.0 => " ↑".to_owned(),
        (Some(_) | None, _) => String::new(),
    }
}

/// Draws the view: each station that has room.
pub(super) fn draw(
    buffer: &mut Buffer,
    (y, n_lines): (u16, u16),
    (state, now): (&State, &Now),
    theme: Theme,
) {
    let account = state.document.as_deref().and_then(|document| document.account.as_ref());
    let Some(account) = account.filter(|account| !account.stations.is_empty()) else {
        put_line(buffer, y, &[piece("BATTERY", BOLD)], &[]);
        return put_line(buffer, y + 2, &[piece("The inventory names no battery station.", PLAIN)], &[]);
    };
    let mut line = y;
    for station in account.stations.iter().skip(state.entry.min(account.stations.len() - 1)) {
        if line + N_LINES > y + n_lines + 1 {
            break;
        }
        one(buffer, line, station, now, theme);
        line += N_LINES;
    }
}

fn one(buffer: &mut Buffer, y: u16, station: &Station, now: &Now, theme: Theme) {
    let title = [piece("BATTERY", BOLD), piece(station.title().as_str(), PLAIN)];
    let Some(reading) = &station.reading else {
        put_line(buffer, y, &title, &[piece(station.presence.as_str(), theme.warn())]);
        return put_line(buffer, y + 1, &[piece("no reading yet", DIM)], &[]);
    };
    let at = format!("reading of {}, {} old", now.clock(reading.at), age(now.at.since(reading.at)));
    let presence =
        if station.is_live() { Vec::new() } else { vec![piece(station.presence.as_str(), theme.warn())] };
    put_line(buffer, y, &title, &presence.into_iter().chain([piece(at, DIM)]).collect::<Vec<_>>());
    charge(buffer, y + 1, reading, theme);
    let flows = [
        ("sun", reading.solar_power_w),
        ("grid", reading.grid_power_w),
        ("in", reading.power_input_w),
        ("load", reading.power_output_w),
    ];
    let highest = flows.iter().filter_map(|(_, watts)| *watts).map(f64::abs).fold(1.0, f64::max);
    for (line, (name, watts)) in (y + 2..).zip(flows) {
        put(buffer, (1, line), 6, name, DIM);
        let text = watts.map_or_else(|| NOT_APPLICABLE.to_owned(), power);
        put_right(buffer, (17, line), 9, &text, PLAIN);
        if let Some(watts) = watts {
            put_bar(buffer, (19, line), bar_width(buffer, 19), watts.abs() / highest, theme.calm());
        }
    }
}

/// The line of the charge.
fn charge(buffer: &mut Buffer, y: u16, reading: &StationReading, theme: Theme) {
    let Some(soc) = reading.soc_pct else {
        return put_line(buffer, y, &[piece("the state of charge is not known", DIM)], &[]);
    };
    let room = bar_width(buffer, 19);
    put(buffer, (1, y), 6, "charge", DIM);
    put_right(buffer, (17, y), 9, &format!("{}{NBSP}%", number(soc, 0)), BOLD);
    put_bar(buffer, (19, y), room, soc / 100.0, theme.calm());
    if let Some(hours) = reading.runtime_h {
        let left = format!("{}{NBSP}h left", number(hours, 1));
        put(buffer, (19 + room + 2, y), 20, &left, PLAIN);
    }
}

fn bar_width(buffer: &Buffer, x: u16) -> u16 {
    buffer.area().width.saturating_sub(x + 14).min(MAX_BAR)
}
