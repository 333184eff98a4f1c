//! The four lines that never move: the source and the clock, power, the day, and what is wrong.

use ratatui_core::buffer::Buffer;

use super::battery;
use super::document::{Document, Node, Today};
use super::figures::{Figures, age, power};
use super::history::interval;
use super::pen::{BOLD, DIM, PLAIN, Piece, Theme, piece, put_line};
use super::state::{Feed, Now, State};
use crate::output::figures::{NBSP, count, energy, measured, money, share};
use crate::support::counted;

/// The cells of the fleet's curve, by the width of the terminal.
const CURVES: [(u16, usize); 3] = [(160, 60), (100, 60), (60, 26)];

/// Draws them.
pub(super) fn draw(buffer: &mut Buffer, (state, now): (&State, &Now), theme: Theme) {
    source(buffer, (state, now), theme);
    let Some(document) = state.document.as_deref() else { return };
    let is_stale = state.stale_for(now).is_some();
    total(buffer, 1, (state, document), theme);
    let figure = if is_stale { DIM } else { BOLD };
    let mut left = vec![piece("Today", DIM)];
    left.extend(document.today.as_ref().map_or_else(
        || vec![piece("nothing measured yet", DIM)],
        |today| day(today).into_iter().map(|text| piece(text, figure)).collect(),
    ));
    let battery = document.account.as_ref().and_then(|account| battery::in_words(account, theme));
    put_line(buffer, 2, &left, &battery.into_iter().collect::<Vec<_>>());
    wrong(buffer, 3, (state, document, now), theme);
}

fn source(buffer: &mut Buffer, (state, now): (&State, &Now), theme: Theme) {
    let every = state.document.as_deref().map(|document| format!(", every {}", age(interval(document))));
    let every = every.unwrap_or_default();
    let mut left = vec![piece("fleetwatt", BOLD)];
    match (&state.feed, state.stale_for(now), &state.trouble) {
        (_, Some(old), _) => {
            let at =
                state.document.as_deref().map(|document| now.clock(document.started_at)).unwrap_or_default();
            let silent = if matches!(state.feed, Feed::Daemon(_)) { "daemon silent" } else { "no new cycle" };
            left.push(piece(format!("{silent}: data of {at}, {} old", age(old)), theme.warn()));
        }
        (_, None, Some(trouble)) => left.push(piece(trouble.as_str(), theme.warn())),
        (Feed::Daemon(_), None, None) => left.push(piece(format!("daemon{every}"), DIM)),
        (Feed::Polling(inventory), None, None) => {
            left.push(piece(format!("polling itself{every}"), DIM));
            left.push(piece(inventory.as_str(), DIM));
        }
    }
    if state.is_frozen {
        left.insert(1, piece("frozen", theme.warn()));
    }
    let next =
        state.document.as_deref().filter(|document| document.interval_s.is_some()).and_then(|document| {
            let due = document.started_at.plus(interval(document));
            (due > now.at).then(|| piece(format!("next {}", age(due.since(now.at))), DIM))
        });
    let mut right = vec![piece(now.clock(now.at), DIM)];
    right.extend(next);
    right.push(piece("? keys", DIM));
    put_line(buffer, 0, &left, &right);
}

/// The line of the power; alone where there is no room for more.
pub(super) fn total(buffer: &mut Buffer, y: u16, (state, document): (&State, &Document), theme: Theme) {
    let figures = Figures::of(document.nodes.iter().flat_map(|node| node.gpus.iter()));
    let totals = &document.totals;
    let watts = totals.power_w.map_or_else(|| "no reading".to_owned(), power);
    let mut left = vec![piece("Power", DIM), piece(watts, BOLD)];
    let width = buffer.area().width;
    if let Some((_, n_cells)) = CURVES.iter().find(|(from, _)| width >= *from) {
        left.push(piece(state.history.fleet(figures.limit, *n_cells), theme.calm()));
        left.push(piece(format!("60{NBSP}min"), DIM));
    }
    let is_short = totals.gpus_reporting < totals.gpus_expected;
    let (reporting, expected) = (count(totals.gpus_reporting), count(totals.gpus_expected));
    let gpus = if width < 100 {
        format!("{reporting}/{expected} GPUs")
    } else {
        format!("{reporting} of {expected} GPUs")
    };
    let mut right: Vec<Piece> =
        figures.share.map(|part| piece(format!("{} of limit", share(part)), PLAIN)).into_iter().collect();
    right.push(piece(gpus, if is_short { theme.bad() } else { PLAIN }));
    put_line(buffer, y, &left, &right);
}

/// Energy, costs and the measured part of the day.
fn day(today: &Today) -> Vec<String> {
    let costs = today.costs.iter().map(|cost| money(cost.cost, cost.currency.as_str()));
    let part = today.measured_pct.map(|percent| format!("measured {}", measured(percent / 100.0)));
    std::iter::once(energy(today.energy_kwh).to_string()).chain(costs).chain(part).collect()
}

/// The number of GPUs that a node which answered should have shown and did not; `None` where none is missing.
fn missing(node: &Node) -> Option<usize> {
    let expected = node.gpus_expected.filter(|_| !node.maintenance && node.down().is_none())?;
    let n_reporting = node.gpus.iter().filter(|gpu| gpu.power_w.is_some()).count();
    let n_missing = expected.saturating_sub(n_reporting);
    (n_missing > 0).then_some(n_missing)
}

/// The worst of what is wrong, in words.
fn wrong(buffer: &mut Buffer, y: u16, (state, document, now): (&State, &Document, &Now), theme: Theme) {
    let (critical, warnings): (Vec<_>, Vec<_>) =
        document.alerts.iter().partition(|alert| alert.is_critical());
    let down: Vec<_> = document
        .nodes
        .iter()
        .filter(|node| !node.maintenance)
        .filter_map(|node| Some((node, node.down()?)))
        .collect();
    let mut left = Vec::new();
    if !critical.is_empty() {
        left.push(piece(format!("▲ {} critical", count(critical.len())), theme.bad()));
    }
    if !down.is_empty() {
        left.push(piece(format!("✗ {} down", count(down.len())), theme.bad()));
    }
    if !warnings.is_empty() {
        left.push(piece(format!("△ {}", counted(warnings.len(), "warning", "warnings")), theme.warn()));
    }
    // Where no alert says so, as when it polls by itself.
    let short: Vec<_> = document.nodes.iter().filter_map(|node| Some((node, missing(node)?))).collect();
    if !short.is_empty() && document.alerts.is_empty() {
        let n_missing = short.iter().map(|(_, n_missing)| n_missing).sum::<usize>();
        left.push(piece(format!("△ {} missing", counted(n_missing, "GPU", "GPUs")), theme.warn()));
    }
    if left.is_empty() {
        let nodes = counted(document.totals.nodes_expected, "node", "nodes");
        let alerts =
            if matches!(state.feed, Feed::Polling(_)) { "alerts not judged here" } else { "no alert" };
        return put_line(
            buffer,
            y,
            &[piece(format!("{nodes}: none down, no GPU missing, {alerts}"), DIM)],
            &[],
        );
    }
    let mut keys = Vec::new();
    if !document.alerts.is_empty() {
        keys.push(piece("a alerts", DIM));
    }
    if !down.is_empty() {
        keys.push(piece("d down", DIM));
    }
    let told = critical.iter().chain(&warnings).map(|alert| alert.message.to_string());
    let silent = down.iter().map(|(node, failure)| {
        let since =
            failure.since.map(|since| format!(" for {}", age(now.at.since(since)))).unwrap_or_default();
        format!("{} down{since}", node.node)
    });
    let used: u16 = left.iter().chain(&keys).map(|(text, _)| super::pen::width(text) + 2).sum();
    let room = buffer.area().width.saturating_sub(used + 4);
    let short = short.iter().filter(|_| document.alerts.is_empty());
    let short = short
        .map(|(node, n_missing)| format!("{}: {} missing", node.node, counted(*n_missing, "GPU", "GPUs")));
    let words = silent.chain(told).chain(short).collect::<Vec<_>>().join("; ");
    if room > 12 {
        left.push(piece(crate::output::text::cut(&words, room.into()), PLAIN));
    }
    put_line(buffer, y, &left, &keys);
}
