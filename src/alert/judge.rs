//! From facts to transitions: each rule's condition, and what follows from it for what is known already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evaluation::{Evaluation, Subject, Verdict, key_of};
use super::messages;
use super::state::ActiveAlert;
use super::stations::{is_about_account, why_account_is_over};
use super::{
    Answer, Facts, GpuFacts, NodeFacts, PowerThreshold, Rule, Rules, Scope, Severity, State, Threshold,
    Transition, Trouble,
};
use crate::reading::{Power, Temperature};

/// Hysteresis of a temperature, in millidegrees below its threshold: above the wobble of a
/// fan's control loop.
const TEMPERATURE_HYSTERESIS: i64 = 3_000;

/// Millidegrees above its threshold from which a temperature is critical.
const CRITICAL_OFFSET: i64 = 10_000;

/// To which share of its threshold a power must fall before the alert is cleared, in percent.
const POWER_CLEAR_PERCENT: i128 = 95;

/// The timeline's name for all GPUs together.
const CLUSTER: &str = "gpu_cluster";

/// The timeline's name for this program.
const PROGRAM: &str = "fleetwatt";

/// Judges the facts by the rules, beside what is known: gives what was raised and cleared by them.
///
/// What was not measured changes nothing: an alert about a host that gives no answer stays as it is.
pub fn evaluate(rules: &Rules, state: &mut State, facts: &Facts) -> Vec<Transition> {
    state.n_untracked = 0;
    let mut evaluation = Evaluation { at: facts.at, state, seen: BTreeSet::new(), transitions: Vec::new() };
    let working: BTreeSet<&str> = facts
        .nodes
        .iter()
        .filter(|node| node.answer.is_up())
        .filter_map(|node| node.jump.as_deref())
        .collect();
    for node in facts.nodes.iter().filter(|node| !node.maintenance) {
        for gpu in &node.gpus {
            evaluation.judge_temperature(rules, node, gpu);
            evaluation.judge_power(rules, node, gpu);
        }
        evaluation.judge_troubles(node);
        evaluation.judge_silence(rules, node, &working);
    }
    evaluation.judge_jumps(rules, facts, &working);
    evaluation.judge_cluster(rules, facts);
    evaluation.judge_program(rules, facts);
    evaluation.judge_account(rules, facts);
    evaluation.clear_unseen(rules, facts);
    evaluation.transitions
}

impl Evaluation<'_> {
    fn judge_temperature(&mut self, rules: &Rules, node: &NodeFacts, gpu: &GpuFacts) {
        let (Some(Threshold { above, held_for }), Some(temperature)) =
            (rules.gpu_temperature, gpu.temperature)
        else {
            return;
        };
        let critical_from =
            Temperature::from_millicelsius(above.millicelsius().saturating_add(CRITICAL_OFFSET));
        let is_critical = temperature >= critical_from;
        let severity = if is_critical { Severity::Critical } else { Severity::Warning };
        let message = |edge, _| messages::temperature(&gpu.name, temperature, above, edge);
        let subject = |rule| Subject { rule, id: &gpu.source, source: &gpu.source, node: Some(&node.node) };
        let verdict = if temperature > above {
            Verdict::Holds { severity, held_for, since: None }
        } else if is_below_hysteresis(temperature, above) {
            Verdict::Clear
        } else {
            Verdict::Close
        };
        self.judge(&subject(Rule::GpuTemperature), verdict, message);
        // An alert is raised once, so that getting worse is an alert of its own; but not for a GPU whose
        // alert was critical from its beginning.
        let base = self.state.active.get(&key_of(Rule::GpuTemperature, &gpu.source));
        let was_warned = base.is_some_and(|base| base.raised.is_some() && base.severity == Severity::Warning);
        let verdict = if !was_warned || is_below_hysteresis(temperature, critical_from) {
            Verdict::Clear
        } else if is_critical {
            Verdict::at_once(Severity::Critical)
        } else {
            Verdict::Close
        };
        let message = |edge, _| messages::temperature(&gpu.name, temperature, critical_from, edge);
        self.judge(&subject(Rule::GpuTemperatureCritical), verdict, message);
    }

    fn judge_power(&mut self, rules: &Rules, node: &NodeFacts, gpu: &GpuFacts) {
        let (Some(Threshold { above, held_for }), Some(power)) = (rules.gpu_power, gpu.power) else { return };
        let bound = match (above, gpu.limit) {
            (PowerThreshold::Fixed(bound), _) => bound,
            (PowerThreshold::OfLimit(share), Some(limit)) if limit > Power::default() => {
                let scaled = i128::from(limit.milliwatts()) * i128::from(share.millipercent()) / 100_000;
                Power::from_milliwatts(i64::try_from(scaled).unwrap_or(i64::MAX))
            }
            (PowerThreshold::OfLimit(_), _) => return,
        };
        let subject =
            Subject { rule: Rule::GpuPower, id: &gpu.source, source: &gpu.source, node: Some(&node.node) };
        let message = |edge, _| messages::gpu_power(&gpu.name, power, bound, gpu.limit, above, edge);
        self.judge(&subject, power_verdict(power, bound, Severity::Warning, held_for), message);
    }

    /// Raises problems; [`Self::clear_unseen`] sees that they are over, since no fact tells of it.
    fn judge_troubles(&mut self, node: &NodeFacts) {
        for trouble in &node.troubles {
            let node_source = format!("node_{}", node.node);
            let id_of = |gpu: &String| {
                if gpu.is_empty() { node_source.clone() } else { format!("{node_source}/{gpu}") }
            };
            let (rule, id, source, severity, message) = match trouble {
                Trouble::Missing { gpu, message } => {
                    (Rule::GpuMissing, id_of(gpu), &node_source, Severity::Critical, message)
                }
                Trouble::NotAsked { gpu } => {
                    let (id, source) = (&id_of(gpu), &node_source);
                    let subject = Subject { rule: Rule::GpuMissing, id, source, node: Some(&node.node) };
                    self.judge(&subject, Verdict::Close, |_, _| String::new());
                    continue;
                }
                Trouble::Implausible { source, message } => {
                    (Rule::ImplausibleReading, source.clone(), source, Severity::Warning, message)
                }
            };
            let subject = Subject { rule, id: &id, source, node: Some(&node.node) };
            self.judge(&subject, Verdict::at_once(severity), |_, _| message.clone());
        }
    }

    fn judge_silence(&mut self, rules: &Rules, node: &NodeFacts, working: &BTreeSet<&str>) {
        let Some(held_for) = rules.host_silent_for else { return };
        let jump_works = node.jump.as_deref().is_none_or(|jump| working.contains(jump));
        let (verdict, reason) = match &node.answer {
            Answer::Complete | Answer::Partial => (Verdict::Clear, ""),
            // The jump host's own alert stands for all hosts behind it.
            Answer::BehindJump(_) if !jump_works => return,
            Answer::BehindJump(reason) | Answer::Silent(reason) => {
                (Verdict::Holds { severity: Severity::Critical, held_for, since: None }, reason.as_str())
            }
        };
        let source = format!("node_{}", node.node);
        let subject =
            Subject { rule: Rule::HostSilent, id: &source, source: &source, node: Some(&node.node) };
        self.judge(&subject, verdict, |edge, lasted| messages::silent(&node.node, reason, lasted, edge));
    }

    /// One alert for each jump host that fails, not one for each host behind it.
    fn judge_jumps(&mut self, rules: &Rules, facts: &Facts, working: &BTreeSet<&str>) {
        let Some(held_for) = rules.host_silent_for else { return };
        let mut failing: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for node in facts.nodes.iter().filter(|node| !node.maintenance) {
            if let (Some(jump), Answer::BehindJump(reason)) = (&node.jump, &node.answer)
                && !working.contains(jump.as_str())
            {
                failing.entry(jump).or_insert((0, reason)).0 += 1;
            }
        }
        for jump in working {
            let source = format!("jump_{jump}");
            let subject = Subject { rule: Rule::JumpSilent, id: &source, source: &source, node: None };
            self.judge(&subject, Verdict::Clear, |_, _| messages::jump_works(jump));
        }
        for (jump, (n_hosts, reason)) in failing {
            let source = format!("jump_{jump}");
            let subject = Subject { rule: Rule::JumpSilent, id: &source, source: &source, node: None };
            let verdict = Verdict::Holds { severity: Severity::Critical, held_for, since: None };
            self.judge(&subject, verdict, |_, lasted| messages::jump_silent(jump, n_hosts, reason, lasted));
        }
    }

    fn judge_cluster(&mut self, rules: &Rules, facts: &Facts) {
        let (Scope::Whole, Some(above), Some(power)) =
            (facts.scope, rules.cluster_power, facts.cluster_power)
        else {
            return;
        };
        let subject = Subject { rule: Rule::ClusterPower, id: CLUSTER, source: CLUSTER, node: None };
        let verdict = power_verdict(power, above, Severity::Critical, Duration::ZERO);
        self.judge(&subject, verdict, |edge, _| messages::cluster_power(power, above, edge));
    }

    fn judge_program(&mut self, rules: &Rules, facts: &Facts) {
        let subject = |rule| Subject { rule, id: PROGRAM, source: PROGRAM, node: None };
        if let Some(older_than) = rules.spool_older_than {
            let age = facts.spool.map(|spool| facts.at.since(spool.oldest_at)).unwrap_or_default();
            let verdict = if age > older_than {
                Verdict::at_once(Severity::Warning)
            } else if facts.spool.is_none() || age <= older_than / 2 {
                Verdict::Clear
            } else {
                Verdict::Close
            };
            let n_batches = facts.spool.map_or(0, |spool| spool.n_batches);
            self.judge(&subject(Rule::SpoolOld), verdict, |edge, _| messages::spool(n_batches, age, edge));
        }
        if let Some(held_for) = rules.store_away_for {
            let verdict = match facts.store_away_since {
                Some(_) => {
                    Verdict::Holds { severity: Severity::Critical, held_for, since: facts.store_away_since }
                }
                None => Verdict::Clear,
            };
            self.judge(&subject(Rule::StoreAway), verdict, |edge, lasted| messages::store_away(lasted, edge));
        }
        let n_aside = facts.rows_aside;
        let verdict = if n_aside > 0 { Verdict::at_once(Severity::Warning) } else { Verdict::Clear };
        self.judge(&subject(Rule::RowsRefused), verdict, |edge, _| messages::rows_refused(n_aside, edge));
        let (verdict, reason) = match &facts.reload_failed {
            Some(reason) => (Verdict::at_once(Severity::Warning), reason.as_str()),
            None => (Verdict::Clear, ""),
        };
        self.judge(&subject(Rule::ReloadFailed), verdict, |edge, _| messages::reload(reason, edge));
    }

    /// Ends the alerts that the facts say nothing about because they are over.
    fn clear_unseen(&mut self, rules: &Rules, facts: &Facts) {
        let nodes: BTreeMap<&str, &NodeFacts> =
            facts.nodes.iter().map(|node| (node.node.as_str(), node)).collect();
        let unseen = self.state.active.iter().filter(|(key, _)| !self.seen.contains(*key));
        let over: Vec<(String, String)> = unseen
            .filter_map(|(key, active)| Some((key.clone(), why_over(active, rules, facts, &nodes)?)))
            .collect();
        for (key, message) in over {
            self.clear(&key, |_, _| message);
        }
    }
}

fn is_below_hysteresis(temperature: Temperature, threshold: Temperature) -> bool {
    temperature.millicelsius() <= threshold.millicelsius().saturating_sub(TEMPERATURE_HYSTERESIS)
}

fn power_verdict(power: Power, bound: Power, severity: Severity, held_for: Duration) -> Verdict {
    let (power_mw, bound_mw) = (i128::from(power.milliwatts()), i128::from(bound.milliwatts()));
    if bound < power {
        Verdict::Holds { severity, held_for, since: None }
    } else if power_mw * 100 <= bound_mw * POWER_CLEAR_PERCENT {
        Verdict::Clear
    } else {
        Verdict::Close
    }
}

/// Why an alert is over that nothing was said about; `None` if it is not.
fn why_over(
    active: &ActiveAlert,
    rules: &Rules,
    facts: &Facts,
    nodes: &BTreeMap<&str, &NodeFacts>,
) -> Option<String> {
    let scope = facts.scope;
    if !is_watched(active.rule, rules) {
        return Some(messages::not_watched(&active.source));
    }
    if is_about_account(active.rule) {
        return why_account_is_over(active, facts);
    }
    let Some(name) = &active.node else {
        if active.rule != Rule::JumpSilent || scope != Scope::Whole {
            return None;
        }
        let mut behind = nodes.values().filter(|node| is_jump_of(node, &active.source)).peekable();
        if behind.peek().is_none() {
            return Some(messages::no_longer_in_inventory(&active.source));
        }
        let is_quiet = behind.all(|node| node.maintenance);
        return is_quiet.then(|| messages::in_maintenance(&format!("all behind {}", active.source)));
    };
    let Some(node) = nodes.get(name.as_str()) else {
        return (scope == Scope::Whole).then(|| messages::no_longer_in_inventory(name));
    };
    if node.maintenance {
        return Some(messages::in_maintenance(name));
    }
    match active.rule {
        Rule::GpuMissing | Rule::ImplausibleReading => {
            let raised = active.raised.as_ref().map_or("", |raised| raised.message.as_str());
            node.answer.is_up().then(|| messages::trouble_over(raised))
        }
        Rule::GpuTemperature | Rule::GpuTemperatureCritical | Rule::GpuPower => {
            let is_there = node.gpus.iter().any(|gpu| gpu.source == active.source);
            let is_gone = node.answer == Answer::Complete && !is_there;
            is_gone.then(|| messages::no_longer_there(&active.source))
        }
        Rule::HostSilent
        | Rule::JumpSilent
        | Rule::ClusterPower
        | Rule::SpoolOld
        | Rule::StoreAway
        | Rule::RowsRefused
        | Rule::ReloadFailed
        | Rule::BatteryLow
        | Rule::BatteryCritical
        | Rule::GridLost
        | Rule::StationSilent
        | Rule::AccountLogin
        | Rule::AccountUnreachable
        | Rule::Test => None,
    }
}

fn is_jump_of(node: &NodeFacts, source: &str) -> bool {
    node.jump.as_ref().is_some_and(|jump| source.strip_prefix("jump_") == Some(jump))
}

fn is_watched(rule: Rule, rules: &Rules) -> bool {
    match rule {
        Rule::GpuTemperature | Rule::GpuTemperatureCritical => rules.gpu_temperature.is_some(),
        Rule::GpuPower => rules.gpu_power.is_some(),
        Rule::HostSilent | Rule::JumpSilent => rules.host_silent_for.is_some(),
        Rule::ClusterPower => rules.cluster_power.is_some(),
        Rule::SpoolOld => rules.spool_older_than.is_some(),
        Rule::StoreAway => rules.store_away_for.is_some(),
        Rule::BatteryLow => rules.battery_below.is_some(),
        Rule::BatteryCritical => rules.battery_critical_below.is_some(),
        Rule::GridLost => rules.grid_lost_for.is_some(),
        Rule::StationSilent | Rule::AccountUnreachable => rules.station_silent_for.is_some(),
        Rule::GpuMissing
        | Rule::ImplausibleReading
        | Rule::RowsRefused
        | Rule::ReloadFailed
        | Rule::AccountLogin => true,
        Rule::Test => false,
    }
}
