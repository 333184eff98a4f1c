//! One evaluation: verdicts beside the known alerts, and the transitions that follow.

use std::collections::BTreeSet;
use std::time::Duration;

use super::state::ActiveAlert;
use super::{Facts, MAX_ACTIVE_ALERTS, Rule, Rules, Severity, State, Transition};
use crate::reading::Timestamp;

/// One alert that may be.
pub(super) struct Subject<'a> {
    pub(super) rule: Rule,
    /// The subject's id in the key.
    pub(super) id: &'a str,
    pub(super) source: &'a str,
    pub(super) node: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// An alert whose id is its source.
    pub(super) fn new(rule: Rule, source: &'a str, node: Option<&'a str>) -> Self {
        Self { rule, id: source, source, node }
    }
}

/// The state of a condition by the facts.
pub(super) enum Verdict {
    /// It holds.
    Holds {
        severity: Severity,
        held_for: Duration,
        /// Since when, if the facts know.
        since: Option<Timestamp>,
    },
    /// It does not, but so closely that an alert stays.
    Close,
    /// It does not.
    Clear,
}

impl Verdict {
    pub(super) fn holds(severity: Severity, held_for: Duration) -> Self {
        Self::Holds { severity, held_for, since: None }
    }

    pub(super) fn at_once(severity: Severity) -> Self {
        Self::holds(severity, Duration::ZERO)
    }

    /// This one, which holds, only if the condition `holds`.
    pub(super) fn only_if(self, holds: bool, is_clear: bool) -> Self {
        match (holds, is_clear) {
            (true, _) => self,
            (false, true) => Self::Clear,
            (false, false) => Self::Close,
        }
    }
}

/// Whether the alert is raised or cleared, and how long its condition has held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) raised: bool,
    lasted: Duration,
}

impl Edge {
    pub(super) const fn again(self) -> &'static str {
        if self.raised { "" } else { " again" }
    }

    /// ` for 5m` where it is raised, `, after 5m` where it is cleared.
    pub(super) fn lasted(self) -> String {
        let before = if self.raised { " for " } else { ", after " };
        let is_long = self.lasted >= Duration::from_secs(1);
        if is_long { format!("{before}{}", rounded(self.lasted)) } else { String::new() }
    }
}

/// Whole seconds are fine enough, and above an hour whole minutes.
pub(super) fn rounded(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let seconds = if seconds < 3_600 { seconds } else { seconds - seconds % 60 };
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

pub(super) struct Evaluation<'s> {
    pub(super) rules: &'s Rules,
    pub(super) facts: &'s Facts,
    pub(super) state: &'s mut State,
    /// The keys that the facts said something about.
    pub(super) seen: BTreeSet<String>,
    pub(super) transitions: Vec<Transition>,
}

impl Evaluation<'_> {
    /// Takes a verdict beside what is known. The message is asked for only where something is to be told.
    pub(super) fn judge(
        &mut self,
        subject: &Subject<'_>,
        verdict: Verdict,
        message: impl FnOnce(Edge) -> String,
    ) {
        let at = self.facts.at;
        let key = key_of(subject.rule, subject.id);
        match verdict {
            Verdict::Holds { severity, held_for, since } => {
                let Some(active) = self.active(&key, subject, severity) else { return };
                // A clock that was set back must not keep an alert waiting.
                active.since = active.since.min(since.unwrap_or(at)).min(at);
                let lasted = at.since(active.since);
                if active.raised_at.is_none() && lasted >= held_for {
                    active.severity = severity;
                    active.raised_at = Some(at);
                    active.message = message(Edge { raised: true, lasted });
                    let transition = active.transition(&key, at, active.message.clone(), true);
                    self.transitions.push(transition);
                }
            }
            Verdict::Close => {
                // Only an alert that was raised outlasts its condition.
                if self.state.active.get(&key).is_some_and(|active| active.raised_at.is_none()) {
                    self.state.active.remove(&key);
                }
            }
            Verdict::Clear => self.clear(&key, message),
        }
        self.seen.insert(key);
    }

    /// The entry of this alert, or a new one where there is room.
    fn active(&mut self, key: &str, subject: &Subject<'_>, severity: Severity) -> Option<&mut ActiveAlert> {
        if !self.state.active.contains_key(key) && self.state.active.len() >= MAX_ACTIVE_ALERTS {
            return None;
        }
        let active = self.state.active.entry(key.to_owned()).or_insert_with(|| ActiveAlert {
            rule: subject.rule,
            severity,
            source: subject.source.to_owned(),
            node: subject.node.map(str::to_owned),
            since: self.facts.at,
            raised_at: None,
            message: String::new(),
        });
        Some(active)
    }

    pub(super) fn clear(&mut self, key: &str, message: impl FnOnce(Edge) -> String) {
        let Some(active) = self.state.active.remove(key) else { return };
        if active.raised_at.is_some() {
            let at = self.facts.at;
            let message = message(Edge { raised: false, lasted: at.since(active.since) });
            self.transitions.push(active.transition(key, at, message, false));
        }
    }
}

pub(super) fn key_of(rule: Rule, id: &str) -> String {
    format!("{}:{id}", rule.label())
}

pub(super) fn silence(name: &str, reason: &str, edge: Edge) -> String {
    let lasted = edge.lasted();
    if edge.raised {
        format!("{name} has given no answer{lasted}: {reason}")
    } else {
        format!("{name} answers again{lasted}")
    }
}

pub(super) fn no_longer_in_inventory(name: &str) -> String {
    format!("{name} is no longer in the inventory")
}
