//! The lines of the table: groups, nodes and GPUs, filtered and in order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::document::{Alert, Document, Gpu, Node};
use super::figures::Figures;
use super::filter::{Subject, holds};
use super::state::{GroupBy, RowId, SortBy, State};

/// The name of a group of nodes without the label or model that it goes by.
const NO_GROUP: &str = "(none)";

/// The sign of a line, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Down,
    Critical,
    Warning,
    None,
}

/// The kind of a line, with what it shows.
#[derive(Debug, Clone)]
pub(super) enum Subjects<'a> {
    Group(Vec<&'a Node>),
    Node(&'a Node),
    Gpu { gpu: &'a Gpu, node: &'a Node, is_last: bool },
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) id: RowId,
    pub(super) name: String,
    pub(super) of: Subjects<'a>,
    pub(super) figures: Figures,
    /// GPUs, or nodes of a group, that should be there.
    pub(super) n_expected: Option<usize>,
    pub(super) n_there: usize,
    pub(super) sign: Sign,
    pub(super) is_open: bool,
}

/// All lines, and what is not among them.
#[derive(Debug, Clone, Default)]
pub(super) struct Table<'a> {
    pub(super) rows: Vec<Row<'a>>,
    pub(super) n_nodes: usize,
    pub(super) n_hidden: usize,
    pub(super) n_hidden_down: usize,
    /// Of the nodes that are shown.
    pub(super) figures: Figures,
}

/// The table of a state.
pub(super) fn table(state: &State) -> Table<'_> {
    let Some(document) = state.document.as_deref() else { return Table::default() };
    let alerts = alerts_by_node(document);
    let none = Vec::new();
    let of = |node: &Node| alerts.get(node.node.as_str()).unwrap_or(&none);
    let all = document.nodes.iter().map(|node| (node, Figures::of(node.gpus.iter())));
    let (shown, hidden): (Vec<_>, Vec<_>) =
        all.partition(|(node, figures)| holds(&state.filter, Subject { node, figures, alerts: of(node) }));
    let mut nodes: Vec<Row<'_>> =
        shown.iter().map(|(node, figures)| node_row(state, node, *figures, of(node))).collect();
    nodes.sort_by(|a, b| order(state, a, b));
    Table {
        n_nodes: nodes.len(),
        n_hidden: hidden.len(),
        n_hidden_down: hidden.iter().filter(|(node, _)| !node.up).count(),
        figures: Figures::of(shown.iter().flat_map(|(node, _)| node.gpus.iter())),
        rows: match &state.group {
            None => nodes.into_iter().flat_map(opened).collect(),
            Some(group) => grouped(state, group, nodes),
        },
    }
}

fn node_row<'a>(state: &State, node: &'a Node, figures: Figures, alerts: &[&Alert]) -> Row<'a> {
    let id = RowId::Node(node.node.to_string());
    let sign = match alerts {
        _ if node.maintenance => Sign::None,
        _ if !node.up => Sign::Down,
        alerts if alerts.iter().any(|alert| alert.is_critical()) => Sign::Critical,
        [_, ..] => Sign::Warning,
        [] => Sign::None,
    };
    Row {
        name: node.node.to_string(),
        of: Subjects::Node(node),
        figures,
        n_expected: node.n_gpus(),
        n_there: figures.n_reporting,
        sign,
        is_open: state.open.contains(&id),
        id,
    }
}

/// A node with its GPUs, if it is open.
fn opened(row: Row<'_>) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    if let Subjects::Node(node) = row.of {
        let n_gpus = node.gpus.len();
        let gpus = node.gpus.iter().enumerate().filter(|_| row.is_open);
        rows.extend(gpus.map(|(place, gpu)| gpu_row(node, gpu, place, place + 1 == n_gpus)));
    }
    rows.insert(0, row);
    rows
}

fn gpu_row<'a>(node: &'a Node, gpu: &'a Gpu, place: usize, is_last: bool) -> Row<'a> {
    let figures = Figures::of(std::iter::once(gpu));
    Row {
        id: RowId::Gpu(node.node.to_string(), place),
        name: gpu.index.map_or_else(|| place.to_string(), |index| index.to_string()),
        of: Subjects::Gpu { gpu, node, is_last },
        figures,
        n_expected: None,
        n_there: figures.n_reporting,
        sign: if gpu.power_w.is_none() { Sign::Critical } else { Sign::None },
        is_open: false,
    }
}

fn grouped<'a>(state: &State, group: &GroupBy, nodes: Vec<Row<'a>>) -> Vec<Row<'a>> {
    let mut groups: BTreeMap<String, Vec<Row<'a>>> = BTreeMap::new();
    for row in nodes {
        let Subjects::Node(node) = row.of else { continue };
        let name = match group {
            GroupBy::Label(key) => node.label(key.as_str()),
            GroupBy::Model => node.model(),
        };
        groups.entry(name.unwrap_or(NO_GROUP).to_owned()).or_default().push(row);
    }
    let mut groups: Vec<(Row<'a>, Vec<Row<'a>>)> =
        groups.into_iter().map(|(name, members)| (group_row(state, name, &members), members)).collect();
    groups.sort_by(|(a, _), (b, _)| order(state, a, b));
    let lines = groups.into_iter().flat_map(|(row, members)| {
        let members: Vec<Row<'a>> =
            if row.is_open { members.into_iter().flat_map(opened).collect() } else { Vec::new() };
        std::iter::once(row).chain(members)
    });
    lines.collect()
}

fn group_row<'a>(state: &State, name: String, members: &[Row<'a>]) -> Row<'a> {
    let nodes: Vec<&'a Node> = members
        .iter()
        .filter_map(|row| if let Subjects::Node(node) = row.of { Some(node) } else { None })
        .collect();
    let id = RowId::Group(name.clone());
    let n_up = nodes.iter().filter(|node| node.up).count();
    // A group is down with all of its nodes.
    let sign = members.iter().map(|row| row.sign).filter(|sign| *sign != Sign::Down || n_up == 0).min();
    Row {
        is_open: state.open.contains(&id),
        id,
        name,
        figures: Figures::of(nodes.iter().flat_map(|node| node.gpus.iter())),
        n_expected: Some(nodes.len()),
        n_there: n_up,
        sign: sign.unwrap_or(Sign::None),
        of: Subjects::Group(nodes),
    }
}

/// The order of two lines: what is not known is last, and what is equal goes by name.
fn order(state: &State, a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let by_name = a.name.cmp(&b.name);
    let turned = |order: Ordering| if state.is_turned { order.reverse() } else { order };
    let value = |row: &Row<'_>| match state.sort {
        SortBy::Power => row.figures.power,
        SortBy::Temperature => row.figures.temperature,
        SortBy::Utilization => row.figures.utilization,
        SortBy::Memory => row.figures.memory.map(|(used, _)| used),
        SortBy::Name => None,
    };
    match (value(a), value(b)) {
        _ if state.sort == SortBy::Name => turned(by_name),
        (Some(a), Some(b)) => turned(b.total_cmp(&a)).then(by_name),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_name,
    }
}

/// The alerts of each node that some are about.
fn alerts_by_node(document: &Document) -> BTreeMap<&str, Vec<&Alert>> {
    let names: BTreeMap<&str, ()> = document.nodes.iter().map(|node| (node.node.as_str(), ())).collect();
    let mut alerts: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
    for alert in &document.alerts {
        let found = node_of(alert, |name| names.get_key_value(name).map(|(name, ())| *name));
        if let Some(name) = found {
            alerts.entry(name).or_default().push(alert);
        }
    }
    alerts
}

/// The node that an alert is about: its source is `node_<node>`, `gpu_<node>` or `gpu_<node>_<index>`.
pub(super) fn node_of<'a, T>(alert: &'a Alert, known: impl Fn(&'a str) -> Option<T>) -> Option<T> {
    let source = alert.source.as_str();
    let name = source.strip_prefix("node_").or_else(|| source.strip_prefix("gpu_"))?;
    known(name).or_else(|| name.rsplit_once('_').and_then(|(node, _)| known(node)))
}

/// The place of the selected line: where it is not there any more, the first.
pub(super) fn place(state: &State, table: &Table<'_>) -> usize {
    let selected = state.selected.as_ref();
    table.rows.iter().position(|row| Some(&row.id) == selected).unwrap_or(0)
}

/// The first line that is shown, so that the selected one is among so many.
pub(super) fn top(top: usize, place: usize, n_rows: usize, n_visible: usize) -> usize {
    let last = n_rows.saturating_sub(n_visible);
    let lowest = (place + 1).saturating_sub(n_visible.max(1));
    top.clamp(lowest, place.max(lowest)).min(last.max(lowest))
}
