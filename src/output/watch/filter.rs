//! The filter: words that must all hold of a node.

use super::document::{Alert, Node};
use super::figures::Figures;

/// A figure that a word may compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Power,
    Temperature,
    Utilization,
    Memory,
}

const QUANTITIES: [(&str, Quantity); 4] = [
    ("power", Quantity::Power),
    ("temp", Quantity::Temperature),
    ("util", Quantity::Utilization),
    ("mem", Quantity::Memory),
];

type Comparison = fn(f64, f64) -> bool;

/// Comparisons; the longer of two that begin alike is first.
const COMPARISONS: [(&str, Comparison); 5] = [
    (">=", |a, b| a >= b),
    ("<=", |a, b| a <= b),
    (">", |a, b| a > b),
    ("<", |a, b| a < b),
    ("=", |a, b| (a - b).abs() < 0.5),
];

/// A node with what is known beside its own report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) node: &'a Node,
    pub(super) figures: &'a Figures,
    /// The alerts about it.
    pub(super) alerts: &'a [&'a Alert],
}

/// All words of a filter hold of a node.
pub(super) fn holds(filter: &str, subject: Subject<'_>) -> bool {
    filter.split_whitespace().all(|word| word_holds(&word.to_lowercase(), subject))
}

fn word_holds(word: &str, subject: Subject<'_>) -> bool {
    if let Some(comparison) = comparison(word, subject.figures) {
        return comparison;
    }
    if let Some(kind) = word.strip_prefix("is:") {
        return is(kind, subject);
    }
    if let Some(model) = word.strip_prefix("model:") {
        return subject.node.model().is_some_and(|name| name.to_lowercase().contains(model));
    }
    let label = |(key, value): (&str, &str)| {
        let labels = subject.node.labels.iter();
        let mut same = labels.filter(|(name, _)| name.as_str().to_lowercase() == key);
        same.any(|(_, text)| text.as_str().to_lowercase().starts_with(value))
    };
    word.split_once('=').is_some_and(label)
        || word.split_once(':').is_some_and(label)
        || is_in_texts(word, subject)
}

/// `None` of a word that compares nothing.
fn comparison(word: &str, figures: &Figures) -> Option<bool> {
    let (quantity, rest) =
        QUANTITIES.iter().find_map(|(name, quantity)| Some((quantity, word.strip_prefix(name)?)))?;
    let (number, holds) =
        COMPARISONS.iter().find_map(|(sign, holds)| Some((rest.strip_prefix(sign)?, holds)))?;
    let bound = bound(number)?;
    let value = match quantity {
        Quantity::Power => figures.power,
        Quantity::Temperature => figures.temperature,
        Quantity::Utilization => figures.utilization,
        Quantity::Memory => {
            figures.memory.filter(|(_, total)| *total > 0.0).map(|(used, total)| used / total * 100.0)
        }
    };
    Some(value.is_some_and(|value| holds(value, bound)))
}

/// A number with its unit: `4kW`, `700`, `90%`.
fn bound(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text.strip_prefix(digits)? {
        "" | "w" | "%" | "c" | "°c" => 1.0,
        "kw" | "k" => 1e3,
        "mw" => 1e6,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

fn is(kind: &str, Subject { node, figures, alerts }: Subject<'_>) -> bool {
    match kind {
        "down" => !node.up,
        "up" => node.up,
        "alert" => !alerts.is_empty(),
        "idle" => figures.utilization.is_some_and(|percent| percent < 1.0),
        "maintenance" => node.maintenance,
        _ => false,
    }
}

fn is_in_texts(word: &str, Subject { node, alerts, .. }: Subject<'_>) -> bool {
    let texts = std::iter::once(node.node.as_str()).chain(node.model());
    let texts = texts.chain(node.labels.values().map(crate::reading::SafeText::as_str));
    let mut texts = texts.chain(alerts.iter().map(|alert| alert.message.as_str()));
    texts.any(|text| text.to_lowercase().contains(word))
}
