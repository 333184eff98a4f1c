//! The rules of battery stations, and of the session that asks them.

use super::evaluation::{Evaluation, Subject, Verdict};
use super::messages::{self, Edge};
use super::state::ActiveAlert;
use super::{Facts, MAX_STATIONS, Rule, Rules, Scope, Severity, SolixFacts, StationAnswer, StationFacts};
use crate::reading::{GridState, Share};

/// Hysteresis of a charge, in millipercent above its threshold: a battery that is charged and
/// drained in turn goes up and down by a percent.
const CHARGE_HYSTERESIS: i64 = 3_000;

const FULL: i64 = 100_000;

/// The timeline's name for the session.
const SESSION: &str = "solix";

impl Evaluation<'_> {
    pub(super) fn judge_solix(&mut self, rules: &Rules, facts: &Facts) {
        let Some(solix) = &facts.solix else { return };
        for station in &solix.stations {
            self.judge_battery(Rule::BatteryLow, rules.battery_below, station);
            self.judge_battery(Rule::BatteryCritical, rules.battery_critical_below, station);
            self.judge_grid(rules, station);
            self.judge_station_silence(rules, station, solix);
        }
        self.judge_session(rules, solix);
        if is_complete(solix) {
            let is_there = |source: &String| solix.stations.iter().any(|station| station.source == *source);
            self.state.with_grid.retain(is_there);
        }
    }

    fn judge_battery(&mut self, rule: Rule, below: Option<Share>, station: &StationFacts) {
        let (Some(below), Some(soc)) = (below, station.soc) else { return };
        let severity = if rule == Rule::BatteryLow { Severity::Warning } else { Severity::Critical };
        let clear_from = below.millipercent().saturating_add(CHARGE_HYSTERESIS).min(FULL);
        let verdict = if soc < below {
            Verdict::at_once(severity)
        } else if soc.millipercent() >= clear_from {
            Verdict::Clear
        } else {
            Verdict::Close
        };
        let message = |edge, _| messages::battery(&station.name, soc, below, station.runtime, edge);
        self.judge(&subject(rule, &station.source), verdict, message);
    }

    /// A station that never had a grid, such as one with nothing but solar panels, has not lost it.
    fn judge_grid(&mut self, rules: &Rules, station: &StationFacts) {
        if station.grid_was_there && self.state.with_grid.len() < MAX_STATIONS {
            self.state.with_grid.insert(station.source.clone());
        }
        let Some(held_for) = rules.grid_lost_for else { return };
        let verdict = match station.grid {
            GridState::Present => Verdict::Clear,
            GridState::Absent if self.state.with_grid.contains(&station.source) => {
                Verdict::Holds { severity: Severity::Critical, held_for, since: None }
            }
            GridState::Absent | GridState::Unknown => return,
        };
        self.judge(&subject(Rule::GridLost, &station.source), verdict, |edge, lasted| {
            messages::grid(&station.name, station.soc, station.runtime, lasted, edge)
        });
    }

    fn judge_station_silence(&mut self, rules: &Rules, station: &StationFacts, solix: &SolixFacts) {
        let Some(held_for) = rules.station_silent_for else { return };
        let verdict = match station.answer {
            StationAnswer::Live => Verdict::Clear,
            StationAnswer::Silent(since) => {
                Verdict::Holds { severity: Severity::Warning, held_for, since: Some(since) }
            }
            StationAnswer::Awaited => return,
        };
        let reason = match &solix.trouble {
            Some(trouble) => trouble.message.as_str(),
            None => "check that it is switched on and in its Wi-Fi",
        };
        self.judge(&subject(Rule::StationSilent, &station.source), verdict, |edge, lasted| {
            messages::silent(&station.name, reason, lasted, edge)
        });
    }

    /// Raises one alert for a trouble that needs an operator, another one for a trouble that may pass.
    fn judge_session(&mut self, rules: &Rules, solix: &SolixFacts) {
        let (login, unreachable, reason) = match &solix.trouble {
            None => (Verdict::Clear, Verdict::Clear, ""),
            Some(trouble) if trouble.needs_person => {
                (Verdict::at_once(Severity::Critical), Verdict::Close, trouble.message.as_str())
            }
            Some(trouble) => {
                let held_for = rules.station_silent_for.unwrap_or_default();
                let holds = Verdict::Holds { severity: Severity::Warning, held_for, since: None };
                (Verdict::Close, holds, trouble.message.as_str())
            }
        };
        self.judge(&subject(Rule::SolixLogin, SESSION), login, |edge, lasted| match edge {
            Edge::Raised => messages::solix_login(reason),
            Edge::Cleared => messages::solix_works(lasted),
        });
        if rules.station_silent_for.is_some() {
            self.judge(&subject(Rule::SolixUnreachable, SESSION), unreachable, |edge, lasted| match edge {
                Edge::Raised => messages::solix_unreachable(reason, lasted),
                Edge::Cleared => messages::solix_works(lasted),
            });
        }
    }
}

fn subject(rule: Rule, source: &str) -> Subject<'_> {
    Subject { rule, id: source, source, node: None }
}

pub(super) const fn is_about_solix(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::BatteryLow
            | Rule::BatteryCritical
            | Rule::GridLost
            | Rule::StationSilent
            | Rule::SolixLogin
            | Rule::SolixUnreachable
    )
}

/// Whether these are all stations of the account. A session that has just begun, or that is in trouble, may
/// not know them.
fn is_complete(solix: &SolixFacts) -> bool {
    solix.trouble.is_none() && !solix.stations.is_empty()
}

/// Why an alert about a station or the session is over that nothing was said about; `None` if it is not.
pub(super) fn why_solix_is_over(active: &ActiveAlert, facts: &Facts) -> Option<String> {
    let Some(solix) = &facts.solix else {
        let is_gone = facts.scope == Scope::Whole;
        return is_gone.then(|| messages::no_longer_in_inventory("[solix]"));
    };
    let is_listed =
        active.source == SESSION || solix.stations.iter().any(|station| station.source == active.source);
    (is_complete(solix) && !is_listed).then(|| messages::no_longer_in_account(&active.source))
}
