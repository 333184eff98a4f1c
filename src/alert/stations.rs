//! The rules of battery stations, and of the session that asks them.

use super::evaluation::{Evaluation, Subject, Verdict};
use super::messages::{self, Edge};
use super::state::ActiveAlert;
use super::{AccountFacts, Facts, MAX_STATIONS, Rule, Rules, Scope, Severity, StationAnswer, StationFacts};
use crate::reading::{GridState, Share};

/// Hysteresis of a charge, in millipercent above its threshold: a battery that is charged and
/// drained in turn goes up and down by a percent.
const CHARGE_HYSTERESIS: i64 = 3_000;

const FULL: i64 = 100_000;

impl Evaluation<'_> {
    pub(super) fn judge_account(&mut self, rules: &Rules, facts: &Facts) {
        let Some(account) = &facts.account else { return };
        for station in &account.stations {
            self.judge_battery(Rule::BatteryLow, rules.battery_below, station);
            self.judge_battery(Rule::BatteryCritical, rules.battery_critical_below, station);
            self.judge_grid(rules, station);
            self.judge_station_silence(rules, station, account);
        }
        self.judge_session(rules, account);
        if is_complete(account) {
            let is_there = |source: &String| account.stations.iter().any(|station| station.source == *source);
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

    fn judge_station_silence(&mut self, rules: &Rules, station: &StationFacts, account: &AccountFacts) {
        let Some(held_for) = rules.station_silent_for else { return };
        let verdict = match station.answer {
            StationAnswer::Live => Verdict::Clear,
            StationAnswer::Silent(since) => {
                Verdict::Holds { severity: Severity::Warning, held_for, since: Some(since) }
            }
            StationAnswer::Awaited => return,
        };
        let reason = match &account.trouble {
            Some(trouble) => trouble.message.as_str(),
            None => "check that it is switched on and in its Wi-Fi",
        };
        self.judge(&subject(Rule::StationSilent, &station.source), verdict, |edge, lasted| {
            messages::silent(&station.name, reason, lasted, edge)
        });
    }

    /// Raises one alert for a trouble that needs an operator, another one for a trouble that may pass.
    fn judge_session(&mut self, rules: &Rules, account: &AccountFacts) {
        let vendor = account.vendor;
        let (login, unreachable, reason) = match &account.trouble {
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
        self.judge(&subject(Rule::AccountLogin, vendor.source), login, |edge, lasted| match edge {
            Edge::Raised => messages::account_login(vendor.label, reason),
            Edge::Cleared => messages::account_works(vendor.label, lasted),
        });
        if rules.station_silent_for.is_some() {
            self.judge(&subject(Rule::AccountUnreachable, vendor.source), unreachable, |edge, lasted| {
                match edge {
                    Edge::Raised => messages::account_unreachable(vendor.label, reason, lasted),
                    Edge::Cleared => messages::account_works(vendor.label, lasted),
                }
            });
        }
    }
}

fn subject(rule: Rule, source: &str) -> Subject<'_> {
    Subject { rule, id: source, source, node: None }
}

pub(super) const fn is_about_account(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::BatteryLow
            | Rule::BatteryCritical
            | Rule::GridLost
            | Rule::StationSilent
            | Rule::AccountLogin
            | Rule::AccountUnreachable
    )
}

/// Whether these are all stations of the account. A session that has just begun, or that is in trouble, may
/// not know them.
fn is_complete(account: &AccountFacts) -> bool {
    account.trouble.is_none() && !account.stations.is_empty()
}

/// Why an alert about a station or the session is over that nothing was said about; `None` if it is not.
pub(super) fn why_account_is_over(active: &ActiveAlert, facts: &Facts) -> Option<String> {
    let Some(account) = &facts.account else {
        let is_gone = facts.scope == Scope::Whole;
        return is_gone.then(|| messages::no_longer_in_inventory(&section_of(&active.source)));
    };
    let is_listed = active.source == account.vendor.source
        || account.stations.iter().any(|station| station.source == active.source);
    (is_complete(account) && !is_listed).then(|| messages::no_longer_in_account(&active.source))
}

/// The section of the inventory that a source is from: its name begins the names of the account's stations.
fn section_of(source: &str) -> String {
    format!("[{}]", source.split_once('_').map_or(source, |(vendor, _)| vendor))
}
