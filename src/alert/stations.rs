//! The rules of battery stations, and of the session that asks them.

use super::evaluation::{Edge, Evaluation, Subject, Verdict, no_longer_in_inventory, silence};
use super::{AccountFacts, MAX_STATIONS, Rule, Scope, Severity, StationFacts};
use crate::reading::{GridState, Presence, Share};

/// Hysteresis of a charge, in millipercent above its threshold: a battery that is charged and
/// drained in turn goes up and down by a percent.
const CHARGE_HYSTERESIS: i64 = 3_000;

const FULL: i64 = 100_000;

impl Evaluation<'_> {
    pub(super) fn judge_account(&mut self) {
        let (rules, Some(account)) = (self.rules, &self.facts.account) else { return };
        for station in &account.stations {
            self.judge_battery(Rule::BatteryLow, Severity::Warning, rules.battery_below, station);
            let below = rules.battery_critical_below;
            self.judge_battery(Rule::BatteryCritical, Severity::Critical, below, station);
            self.judge_grid(station);
            self.judge_station_silence(station, account);
        }
        self.judge_session(account);
        if is_complete(account) {
            let is_there = |source: &String| account.stations.iter().any(|station| station.source == *source);
            self.state.with_grid.retain(is_there);
        }
    }

    fn judge_battery(
        &mut self,
        rule: Rule,
        severity: Severity,
        below: Option<Share>,
        station: &StationFacts,
    ) {
        let (Some(below), Some(soc)) = (below, station.soc) else { return };
        let clear_from = below.millipercent().saturating_add(CHARGE_HYSTERESIS).min(FULL);
        let verdict = Verdict::at_once(severity).only_if(soc < below, soc.millipercent() >= clear_from);
        self.judge(&subject(rule, &station.source), verdict, |edge| {
            let (name, again, runtime) = (&station.name, edge.again(), runtime_of(station));
            format!("{name}: battery at {soc}{again} (limit {below}){runtime}")
        });
    }

    /// A station that never had a grid, such as one with nothing but solar panels, has not lost it.
    fn judge_grid(&mut self, station: &StationFacts) {
        let StationFacts { source, name, .. } = station;
        if station.grid_was_there && self.state.with_grid.len() < MAX_STATIONS {
            self.state.with_grid.insert(source.clone());
        }
        let Some(held_for) = self.rules.grid_lost_for else { return };
        let verdict = match station.grid {
            GridState::Present => Verdict::Clear,
            GridState::Absent if self.state.with_grid.contains(source) => {
                Verdict::holds(Severity::Critical, held_for)
            }
            GridState::Absent | GridState::Unknown => return,
        };
        self.judge(&subject(Rule::GridLost, source), verdict, |edge| {
            let soc = station.soc.map(|soc| format!("; battery at {soc}")).unwrap_or_default();
            if edge.raised {
                format!("{name}: the grid is gone{soc}{}", runtime_of(station))
            } else {
                format!("{name}: the grid is back{}{soc}", edge.lasted())
            }
        });
    }

    fn judge_station_silence(&mut self, station: &StationFacts, account: &AccountFacts) {
        let Some(held_for) = self.rules.station_silent_for else { return };
        let verdict = match station.presence {
            Presence::Live => Verdict::Clear,
            Presence::Stale(since) | Presence::Offline(since) => {
                Verdict::Holds { severity: Severity::Warning, held_for, since: Some(since) }
            }
            Presence::Awaited => return,
        };
        let trouble = account.trouble.as_ref().map(|trouble| trouble.message.as_str());
        let reason = trouble.unwrap_or("check that it is switched on and in its Wi-Fi");
        self.judge(&subject(Rule::StationSilent, &station.source), verdict, |edge| {
            silence(&station.name, reason, edge)
        });
    }

    /// Raises one alert for a trouble that needs an operator, another one for a trouble that may pass.
    fn judge_session(&mut self, account: &AccountFacts) {
        let vendor = account.vendor;
        let pass_within = self.rules.station_silent_for;
        let (login, unreachable, reason) = match &account.trouble {
            None => (Verdict::Clear, Verdict::Clear, ""),
            Some(trouble) if trouble.needs_person => {
                (Verdict::at_once(Severity::Critical), Verdict::Close, trouble.message.as_str())
            }
            Some(trouble) => {
                let holds = Verdict::holds(Severity::Warning, pass_within.unwrap_or_default());
                (Verdict::Close, holds, trouble.message.as_str())
            }
        };
        let message = |edge: Edge, raised: String| {
            let cleared = || format!("{} works again{}", vendor.label, edge.lasted());
            if edge.raised { format!("{}{raised}: {reason}", vendor.label) } else { cleared() }
        };
        self.judge(&subject(Rule::AccountLogin, vendor.source), login, |edge| {
            message(edge, ": action required".to_owned())
        });
        if pass_within.is_some() {
            self.judge(&subject(Rule::AccountUnreachable, vendor.source), unreachable, |edge| {
                message(edge, format!(" has been in trouble{}", edge.lasted()))
            });
        }
    }

    /// Why an alert about a station or the session is over that nothing was said about; `None` if it is not.
    pub(super) fn why_account_is_over(&self, source: &str) -> Option<String> {
        let Some(account) = &self.facts.account else {
            // The section of the inventory begins the names of the account's stations.
            let section = source.split_once('_').map_or(source, |(vendor, _)| vendor);
            let is_gone = self.facts.scope == Scope::Whole;
            return is_gone.then(|| no_longer_in_inventory(&format!("[{section}]")));
        };
        let is_listed = source == account.vendor.source
            || account.stations.iter().any(|station| station.source == source);
        (is_complete(account) && !is_listed)
            .then(|| format!("{source} is no longer among the stations of the account"))
    }
}

fn subject(rule: Rule, source: &str) -> Subject<'_> {
    Subject::new(rule, source, None)
}

fn runtime_of(station: &StationFacts) -> String {
    station.runtime.map(|runtime| format!(", {runtime}")).unwrap_or_default()
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
