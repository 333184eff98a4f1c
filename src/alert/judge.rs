//! From facts to transitions: each rule's condition and message, and what follows for what is known already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evaluation::{
    Edge, Evaluation, Subject, Verdict, key_of, no_longer_in_inventory, rounded, silence,
};
use super::state::ActiveAlert;
use super::stations::is_about_account;
use super::{
    Answer, Facts, GpuFacts, NodeFacts, PowerThreshold, Rule, Rules, Scope, Severity, State, Threshold,
    Transition, Trouble,
};
use crate::reading::{Power, Temperature, event_type};
use crate::support::counted;

/// Hysteresis of a temperature, in millidegrees below its threshold: above the wobble of a
/// fan's control loop.
const TEMPERATURE_HYSTERESIS: i64 = 3_000;

/// Millidegrees above its threshold from which a temperature is critical.
const CRITICAL_OFFSET: i64 = 10_000;

/// The share of its threshold to which a power must fall before the alert is cleared, in percent.
const POWER_CLEAR_PERCENT: i128 = 95;

/// The timeline's name for this program.
const PROGRAM: &str = "fleetwatt";

/// Judges the facts by the rules, beside what is known: gives what was raised and cleared by them.
///
/// An absent reading changes nothing: an alert about a host that gives no answer stays as it is.
pub fn evaluate(rules: &Rules, state: &mut State, facts: &Facts) -> Vec<Transition> {
    let (seen, transitions) = (BTreeSet::new(), Vec::new());
    let mut evaluation = Evaluation { rules, facts, state, seen, transitions };
    let up = facts.nodes.iter().filter(|node| node.answer.is_up());
    let working: BTreeSet<&str> = up.filter_map(|node| node.jump.as_deref()).collect();
    for node in facts.nodes.iter().filter(|node| !node.maintenance) {
        for gpu in &node.gpus {
            evaluation.judge_temperature(node, gpu);
            evaluation.judge_power(node, gpu);
        }
        evaluation.judge_troubles(node);
        evaluation.judge_silence(node, &working);
    }
    evaluation.judge_jumps(&working);
    evaluation.judge_cluster();
    evaluation.judge_program();
    evaluation.judge_account();
    evaluation.clear_unseen();
    evaluation.transitions
}

impl Evaluation<'_> {
    fn judge_temperature(&mut self, node: &NodeFacts, gpu: &GpuFacts) {
        let (Some(Threshold { above, held_for }), Some(now)) = (self.rules.gpu_temperature, gpu.temperature)
        else {
            return;
        };
        let critical_from =
            Temperature::from_millicelsius(above.millicelsius().saturating_add(CRITICAL_OFFSET));
        let is_critical = now >= critical_from;
        let severity = if is_critical { Severity::Critical } else { Severity::Warning };
        let is_clear = |limit: Temperature| {
            now.millicelsius() <= limit.millicelsius().saturating_sub(TEMPERATURE_HYSTERESIS)
        };
        let subject = |rule| Subject::new(rule, &gpu.source, Some(&node.node));
        let message = |edge: Edge, limit| format!("{} is at {now}{} (limit {limit})", gpu.name, edge.again());
        let verdict = Verdict::holds(severity, held_for).only_if(now > above, is_clear(above));
        self.judge(&subject(Rule::GpuTemperature), verdict, |edge| message(edge, above));
        // An alert is raised once, so that getting worse is an alert of its own; but not for a GPU whose
        // alert was critical from its beginning.
        let base = self.state.active.get(&key_of(Rule::GpuTemperature, &gpu.source));
        let was_warned =
            base.is_some_and(|base| base.raised_at.is_some() && base.severity == Severity::Warning);
        let verdict = Verdict::at_once(Severity::Critical)
            .only_if(was_warned && is_critical, !was_warned || is_clear(critical_from));
        self.judge(&subject(Rule::GpuTemperatureCritical), verdict, |edge| message(edge, critical_from));
    }

    fn judge_power(&mut self, node: &NodeFacts, gpu: &GpuFacts) {
        let (Some(Threshold { above, held_for }), Some(now)) = (self.rules.gpu_power, gpu.power) else {
            return;
        };
        let (bound, of_what) = match (above, gpu.limit) {
            (PowerThreshold::Fixed(bound), _) => (bound, "limit".to_owned()),
            (PowerThreshold::OfLimit(share), Some(limit)) if limit > Power::default() => {
                let scaled = i128::from(limit.milliwatts()) * i128::from(share.millipercent()) / 100_000;
                let bound = Power::from_milliwatts(i64::try_from(scaled).unwrap_or(i64::MAX));
                (bound, format!("{share} of its limit of {limit} is"))
            }
            (PowerThreshold::OfLimit(_), _) => return,
        };
        let verdict = power_verdict(now, bound, Severity::Warning, held_for);
        self.judge(&Subject::new(Rule::GpuPower, &gpu.source, Some(&node.node)), verdict, |edge| {
            format!("{} draws {now}{} ({of_what} {bound})", gpu.name, edge.again())
        });
    }

    /// Raises problems; [`Self::clear_unseen`] sees that they are over, since no fact tells of it.
    fn judge_troubles(&mut self, node: &NodeFacts) {
        let node_source = format!("node_{}", node.node);
        let id_of =
            |gpu: &str| if gpu.is_empty() { node_source.clone() } else { format!("{node_source}/{gpu}") };
        for trouble in &node.troubles {
            let (rule, id, source, verdict, message) = match trouble {
                Trouble::Missing { gpu, message } => {
                    let verdict = Verdict::at_once(Severity::Critical);
                    (Rule::GpuMissing, id_of(gpu), &node_source, verdict, message.as_str())
                }
                Trouble::NotAsked { gpu } => (Rule::GpuMissing, id_of(gpu), &node_source, Verdict::Close, ""),
                Trouble::Implausible { source, message } => {
                    let verdict = Verdict::at_once(Severity::Warning);
                    (Rule::ImplausibleReading, source.clone(), source, verdict, message.as_str())
                }
            };
            let subject = Subject { rule, id: &id, source, node: Some(&node.node) };
            self.judge(&subject, verdict, |_| message.to_owned());
        }
    }

    fn judge_silence(&mut self, node: &NodeFacts, working: &BTreeSet<&str>) {
        let Some(held_for) = self.rules.host_silent_for else { return };
        let jump_works = node.jump.as_deref().is_none_or(|jump| working.contains(jump));
        let (verdict, reason) = match &node.answer {
            Answer::Complete | Answer::Partial => (Verdict::Clear, ""),
            // The jump host's own alert stands for all hosts behind it.
            Answer::BehindJump(_) if !jump_works => return,
            Answer::BehindJump(reason) | Answer::Silent(reason) => {
                (Verdict::holds(Severity::Critical, held_for), reason.as_str())
            }
        };
        let source = format!("node_{}", node.node);
        let subject = Subject::new(Rule::HostSilent, &source, Some(&node.node));
        self.judge(&subject, verdict, |edge| silence(&node.node, reason, edge));
    }

    /// One alert for each jump host that fails, not one for each host behind it.
    fn judge_jumps(&mut self, working: &BTreeSet<&str>) {
        let Some(held_for) = self.rules.host_silent_for else { return };
        let mut failing: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for node in self.facts.nodes.iter().filter(|node| !node.maintenance) {
            if let (Some(jump), Answer::BehindJump(reason)) = (&node.jump, &node.answer)
                && !working.contains(jump.as_str())
            {
                failing.entry(jump).or_insert((0, reason)).0 += 1;
            }
        }
        for jump in working {
            let source = format!("jump_{jump}");
            self.judge(&Subject::new(Rule::JumpSilent, &source, None), Verdict::Clear, |_| {
                format!("hosts behind the jump host {jump} answer again")
            });
        }
        for (jump, (n_hosts, reason)) in failing {
            let source = format!("jump_{jump}");
            let verdict = Verdict::holds(Severity::Critical, held_for);
            self.judge(&Subject::new(Rule::JumpSilent, &source, None), verdict, |edge| {
                let many = format!("{n_hosts} hosts");
                let (hosts, have) = if n_hosts == 1 { ("the host", "has") } else { (many.as_str(), "have") };
                let lasted = edge.lasted();
                format!("{hosts} behind the jump host {jump} {have} given no answer{lasted}: {reason}")
            });
        }
    }

    fn judge_cluster(&mut self) {
        let (Scope::Whole, Some(budget), Some(now)) =
            (self.facts.scope, self.rules.cluster_power, self.facts.cluster_power)
        else {
            return;
        };
        let verdict = power_verdict(now, budget, Severity::Critical, Duration::ZERO);
        self.judge(&Subject::new(Rule::ClusterPower, event_type::CLUSTER, None), verdict, |edge| {
            format!("all GPUs together draw {now}{} (budget {budget})", edge.again())
        });
    }

    fn judge_program(&mut self) {
        let (rules, facts) = (self.rules, self.facts);
        let subject = |rule| Subject::new(rule, PROGRAM, None);
        if let Some(older_than) = rules.spool_older_than {
            let (n_batches, age) =
                facts.spool.map_or_else(Default::default, |(n, oldest)| (n, facts.at.since(oldest)));
            let verdict = Verdict::at_once(Severity::Warning)
                .only_if(age > older_than, facts.spool.is_none() || age <= older_than / 2);
            self.judge(&subject(Rule::SpoolOld), verdict, |edge| spool(n_batches, age, edge));
        }
        if let Some(held_for) = rules.store_away_for {
            let since = facts.store_away_since;
            let verdict = Verdict::Holds { severity: Severity::Critical, held_for, since };
            let verdict = verdict.only_if(since.is_some(), true);
            self.judge(&subject(Rule::StoreAway), verdict, |edge| {
                let what = if edge.raised { "has been away" } else { "is there again" };
                format!("the store {what}{}", edge.lasted())
            });
        }
        let verdict = Verdict::at_once(Severity::Warning).only_if(facts.rows_aside > 0, true);
        self.judge(&subject(Rule::RowsRefused), verdict, |edge| rows_refused(facts.rows_aside, edge));
        let verdict = Verdict::at_once(Severity::Warning).only_if(facts.reload_failed.is_some(), true);
        self.judge(&subject(Rule::ReloadFailed), verdict, |edge| match &facts.reload_failed {
            Some(reason) if edge.raised => {
                format!("the edited inventory is not used, the one before it is: {reason}")
            }
            _ => "the inventory is used as it is written again".to_owned(),
        });
    }

    /// Ends the alerts that the facts say nothing about because they are over.
    fn clear_unseen(&mut self) {
        let nodes: BTreeMap<&str, &NodeFacts> =
            self.facts.nodes.iter().map(|node| (node.node.as_str(), node)).collect();
        let unseen = self.state.active.iter().filter(|(key, _)| !self.seen.contains(*key));
        let over: Vec<(String, String)> =
            unseen.filter_map(|(key, active)| Some((key.clone(), self.why_over(active, &nodes)?))).collect();
        for (key, message) in over {
            self.clear(&key, |_| message);
        }
    }

    /// Why an alert is over that nothing was said about; `None` if it is not.
    fn why_over(&self, active: &ActiveAlert, nodes: &BTreeMap<&str, &NodeFacts>) -> Option<String> {
        let source = &active.source;
        let is_whole = self.facts.scope == Scope::Whole;
        if !is_watched(active.rule, self.rules) {
            let why = "is no longer watched for this: the rule was taken out of the inventory";
            return Some(format!("{source} {why}"));
        }
        if is_about_account(active.rule) {
            return self.why_account_is_over(source);
        }
        let Some(name) = &active.node else {
            return (active.rule == Rule::JumpSilent && is_whole).then(|| self.why_jump_is_over(source))?;
        };
        match nodes.get(name.as_str()) {
            None => is_whole.then(|| no_longer_in_inventory(name)),
            Some(node) if node.maintenance => Some(format!("{name} is in maintenance")),
            Some(node) => why_over_at(node, active),
        }
    }

    fn why_jump_is_over(&self, source: &str) -> Option<String> {
        let is_jump = |jump: &String| source.strip_prefix("jump_") == Some(jump);
        let mut behind =
            self.facts.nodes.iter().filter(|node| node.jump.as_ref().is_some_and(is_jump)).peekable();
        if behind.peek().is_none() {
            return Some(no_longer_in_inventory(source));
        }
        behind.all(|node| node.maintenance).then(|| format!("all behind {source} is in maintenance"))
    }
}

/// Why an alert about a node of the facts is over that nothing was said about; `None` if it is not.
fn why_over_at(node: &NodeFacts, active: &ActiveAlert) -> Option<String> {
    let source = &active.source;
    if matches!(active.rule, Rule::GpuMissing | Rule::ImplausibleReading) {
        return node.answer.is_up().then(|| format!("over: {}", active.message));
    }
    let is_of_gpu =
        matches!(active.rule, Rule::GpuTemperature | Rule::GpuTemperatureCritical | Rule::GpuPower);
    let is_there = node.gpus.iter().any(|gpu| gpu.source == *source);
    (is_of_gpu && node.answer == Answer::Complete && !is_there)
        .then(|| format!("{source} is no longer there, and its host has all GPUs that it should have"))
}

fn power_verdict(now: Power, bound: Power, severity: Severity, held_for: Duration) -> Verdict {
    let (now_mw, bound_mw) = (i128::from(now.milliwatts()), i128::from(bound.milliwatts()));
    Verdict::holds(severity, held_for).only_if(bound < now, now_mw * 100 <= bound_mw * POWER_CLEAR_PERCENT)
}

fn spool(n_batches: u64, age: Duration, edge: Edge) -> String {
    if !edge.raised {
        return "the spool is delivered again".to_owned();
    }
    let wait = if n_batches == 1 { "waits" } else { "wait" };
    let batches = counted(n_batches, "batch", "batches");
    format!("{batches} {wait} in the spool, the oldest for {}", rounded(age))
}

fn rows_refused(n_rows: u64, edge: Edge) -> String {
    if !edge.raised {
        return "no row lies aside any more".to_owned();
    }
    let lie = if n_rows == 1 { "1 row lies" } else { &format!("{n_rows} rows lie") };
    format!("{lie} aside, refused by the store (`fleetwatt store dead-letters list`)")
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
        Rule::GpuMissing | Rule::ImplausibleReading | Rule::RowsRefused => true,
        Rule::ReloadFailed | Rule::AccountLogin => true,
        Rule::Test => false,
    }
}
