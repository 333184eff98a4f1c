//! One evaluation: verdicts beside the known alerts, and the transitions that follow.

use std::collections::BTreeSet;
use std::time::Duration;

use super::messages::Edge;
use super::state::{ActiveAlert, Raised};
use super::{MAX_ACTIVE_ALERTS, Rule, Severity, State, Transition};
use crate::reading::Timestamp;

/// One alert that may be.
pub(super) struct Subject<'a> {
    pub(super) rule: Rule,
    /// The subject's id in the key.
    pub(super) id: &'a str,
    pub(super) source: &'a str,
    pub(super) node: Option<&'a str>,
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
    pub(super) fn at_once(severity: Severity) -> Self {
        Self::Holds { severity, held_for: Duration::ZERO, since: None }
    }
}

pub(super) struct Evaluation<'s> {
    pub(super) at: Timestamp,
    pub(super) state: &'s mut State,
    /// The keys that the facts said something about.
    pub(super) seen: BTreeSet<String>,
    pub(super) transitions: Vec<Transition>,
}

impl Evaluation<'_> {
    /// Takes a verdict beside what is known. `message` are asked for only where something is to be told; they
    /// are given how long the condition has held.
    pub(super) fn judge(
        &mut self,
        subject: &Subject<'_>,
        verdict: Verdict,
        message: impl FnOnce(Edge, Duration) -> String,
    ) {
        let at = self.at;
        let key = key_of(subject.rule, subject.id);
        match verdict {
            Verdict::Holds { severity, held_for, since } => {
                let Some(active) = self.active(&key, subject, severity) else { return };
                // A clock that was set back must not keep an alert waiting.
                active.since = active.since.min(since.unwrap_or(at)).min(at);
                let lasted = at.since(active.since);
                if active.raised.is_none() && lasted >= held_for {
                    let raised = Raised { at, message: message(Edge::Raised, lasted) };
                    active.severity = severity;
                    active.raised = Some(raised.clone());
                    let transition = active.transition(&key, at, &raised, None);
                    self.transitions.push(transition);
                }
            }
            Verdict::Close => {
                // Only an alert that was raised outlasts its condition.
                if self.state.active.get(&key).is_some_and(|active| active.raised.is_none()) {
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
            self.state.n_untracked += 1;
            return None;
        }
        let active = self.state.active.entry(key.to_owned()).or_insert_with(|| ActiveAlert {
            rule: subject.rule,
            severity,
            source: subject.source.to_owned(),
            node: subject.node.map(str::to_owned),
            since: self.at,
            raised: None,
        });
        Some(active)
    }

    pub(super) fn clear(&mut self, key: &str, message: impl FnOnce(Edge, Duration) -> String) {
        let Some(active) = self.state.active.remove(key) else { return };
        if let Some(raised) = &active.raised {
            let message = message(Edge::Cleared, self.at.since(active.since));
            self.transitions.push(active.transition(key, self.at, raised, Some(message)));
        }
    }
}

pub(super) fn key_of(rule: Rule, id: &str) -> String {
    format!("{}:{id}", rule.label())
}
