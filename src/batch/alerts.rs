//! Between a cycle and its alerts: the facts that follow from it, and the timeline events of what they
//! raised and cleared.

use super::entries::Entries;
use super::timeline::gpu_sources;
use super::{Batch, Event, HostReport};
use crate::alert::{
    AccountFacts, Answer, Facts, GpuFacts, NodeFacts, Scope, StationFacts, Transition, Trouble,
};
use crate::reading::{
    AccountReport, Device, FailureKind, Fault, FaultKind, GridState, Outcome, SafeText, StationReading,
    StationStatus, event_type,
};

impl Batch {
    /// The facts by which the alert rules are judged, as far as this cycle tells: spool, store and inventory are for
    /// the caller to fill in.
    pub fn alert_facts(&self, scope: Scope) -> Facts {
        Facts {
            at: self.closed_at(),
            scope,
            nodes: self.reports.iter().map(node_facts).collect(),
            cluster_power: self.totals().power,
            spool: None,
            store_away_since: None,
            rows_aside: 0,
            reload_failed: None,
            account: self.account.as_ref().map(account_facts),
        }
    }

    /// The `alert` events of transitions: 1 is raised, 0 is cleared.
    pub fn alert_events(&self, transitions: &[Transition]) -> Vec<Event> {
        let event = |transition: &Transition| {
            let mut metadata = Entries::new();
            metadata.text("key", &transition.key);
            metadata.text("rule", transition.rule.label());
            metadata.text("severity", transition.severity.label());
            metadata.text("message", &transition.message);
            metadata.put("raised_at", transition.raised_at.to_string());
            let value = Some(f64::from(transition.raised));
            self.event(event_type::ALERT, transition.source.clone(), value, metadata, transition.at)
        };
        transitions.iter().map(event).collect()
    }
}

fn node_facts(report: &HostReport) -> NodeFacts {
    let sources = gpu_sources(report);
    let answer = match &report.outcome {
        Outcome::Complete => Answer::Complete,
        Outcome::Partial => Answer::Partial,
        Outcome::Failed(failure) if failure.kind == FailureKind::Jump => {
            Answer::BehindJump(failure.to_string())
        }
        // It did answer, only without power.
        Outcome::Failed(_) if !report.gpus.is_empty() => Answer::Partial,
        Outcome::Failed(failure) => Answer::Silent(failure.to_string()),
    };
    let gpus = report.gpus.iter().zip(&sources).map(|(gpu, source)| GpuFacts {
        source: source.clone(),
        name: gpu_name(report, gpu, source),
        temperature: gpu.temperature().ok().copied(),
        power: gpu.power().ok().map(|draw| draw.power),
        limit: gpu.limit().ok(),
    });
    let of_faults = report.faults.iter().filter_map(|fault| trouble(report, fault, &sources));
    NodeFacts {
        node: report.node.clone(),
        jump: report.jump.clone(),
        answer,
        maintenance: report.maintenance,
        gpus: gpus.collect(),
        troubles: of_faults.chain(whole_node_trouble(report)).collect(),
    }
}

/// A GPU's name for a person: the node alone where there is only one.
fn gpu_name(report: &HostReport, gpu: &Device, source: &str) -> String {
    let node = &report.node;
    if *source == format!("gpu_{node}") {
        return node.clone();
    }
    match gpu.index() {
        Ok(index) => format!("{node} GPU {index}"),
        Err(_) => format!("{node} GPU {}", source.trim_start_matches(&format!("gpu_{node}_"))),
    }
}

fn trouble(report: &HostReport, fault: &Fault, sources: &[String]) -> Option<Trouble> {
    use FaultKind as Kind;
    let message = format!("{}: {fault}", report.node);
    let row = fault.gpu.as_ref().and_then(|name| report.gpus.iter().position(|gpu| is_named(gpu, name)));
    let gpu = || gpu_name_of(report, fault, row);
    // Each kind by name: the compiler asks what a new one means.
    match fault.kind {
        Kind::GpuMissing | Kind::GpuLost | Kind::ResetRequired | Kind::UnknownError => {}
        Kind::NoPermission | Kind::GpuTimeout | Kind::NoPower => {}
        // All that this tool shows is missing.
        Kind::ToolFailed => return Some(Trouble::Missing { gpu: report.node.clone(), message }),
        Kind::NotAsked => return Some(Trouble::NotAsked { gpu: gpu() }),
        Kind::Implausible | Kind::ImplausiblePower | Kind::FrozenSensor => {
            let source = row.and_then(|row| sources.get(row)).cloned();
            let source = source.unwrap_or_else(|| format!("node_{}", report.node));
            return Some(Trouble::Implausible { source, message });
        }
        Kind::BadRow | Kind::CutRow | Kind::KindChanged | Kind::RecoveryAction | Kind::Remark => return None,
        Kind::PersistenceOff | Kind::Warning | Kind::SamplesLost | Kind::CountedElsewhere => return None,
    }
    Some(Trouble::Missing { gpu: gpu(), message })
}

/// The name of a missing GPU in its alert: its bus id where that is known, so that lost and then missing is
/// one alert.
fn gpu_name_of(report: &HostReport, fault: &Fault, row: Option<usize>) -> String {
    let bus_id = row.and_then(|row| report.gpus.get(row)?.bus_id().ok());
    bus_id.or(fault.gpu.as_ref()).map(SafeText::to_string).unwrap_or_default()
}

fn is_named(gpu: &Device, name: &SafeText) -> bool {
    gpu.bus_id().is_ok_and(|bus_id| bus_id == name) || gpu.uuid().is_ok_and(|uuid| uuid == name)
}

/// A host that fails because none of its GPUs can be used: that is no matter of waiting for an answer.
fn whole_node_trouble(report: &HostReport) -> Option<Trouble> {
    let Outcome::Failed(failure) = &report.outcome else { return None };
    // A board that is named has an alert of its own.
    let is_named = report.faults.iter().any(|fault| fault.kind.costs_a_reading() && fault.gpu.is_some());
    let is_gone = !is_named
        && matches!(failure.kind, FailureKind::GpuLost | FailureKind::ResetRequired | FailureKind::NoGpus);
    let message = format!("{}: {failure}", report.node);
    is_gone.then(|| Trouble::Missing { gpu: String::new(), message })
}

fn account_facts(report: &AccountReport) -> AccountFacts {
    AccountFacts {
        vendor: report.vendor,
        stations: report.stations.iter().map(|status| station_facts(report, status)).collect(),
        trouble: report.trouble.clone(),
    }
}

/// From the readings of this cycle; `status.last` may be from long ago.
fn station_facts(report: &AccountReport, status: &StationStatus) -> StationFacts {
    let station = &status.station;
    let charge = report.readings_of(station).rev().find(|reading| reading.device.soc().is_ok());
    let grids = || report.readings_of(station).map(|reading| reading.grid);
    StationFacts {
        source: report.source_of(station),
        name: report.name_of(station),
        soc: charge.and_then(|reading| reading.device.soc().ok().copied()),
        runtime: charge.and_then(StationReading::runtime),
        grid: grids().rfind(|grid| *grid != GridState::Unknown).unwrap_or(GridState::Unknown),
        grid_was_there: grids().any(|grid| grid == GridState::Present),
        presence: status.presence,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::{PowerThreshold, Rules, State, Threshold, evaluate};
    use crate::batch::fixtures;
    use crate::reading::{Absent, Failure, Power, Presence, Quantity, Reason, Share, Temperature};

    fn rules() -> Rules {
        let held_for = Duration::ZERO;
        let above = Temperature::from_millicelsius(80_000);
        let share = PowerThreshold::OfLimit(Share::from_millipercent(90_000));
        Rules {
            gpu_temperature: Some(Threshold { above, held_for }),
            gpu_power: Some(Threshold { above: share, held_for }),
            host_silent_for: Some(Duration::from_secs(1)),
            ..Rules::default()
        }
    }

    fn told(batch: &Batch) -> Vec<Transition> {
        evaluate(&rules(), &mut State::default(), &batch.alert_facts(Scope::Whole))
    }

    #[test]
    fn the_mixed_fleet_raises_what_is_wrong_in_it() {
        let message: Vec<String> =
            told(&fixtures::fleet()).into_iter().map(|one| format!("{}: {}", one.key, one.message)).collect();
        assert_eq!(
            message,
            [
                "gpu_temperature:gpu_redfin: redfin is at 86 °C (limit 80 °C)",
                "gpu_power:gpu_redfin: redfin draws 285.5 W (90 % of its limit of 300.0 W is 270.0 W)",
                "gpu_missing:node_node001/00000000:10:00.0: node001: a GPU is lost \
             (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost]",
            ]
        );
    }

    #[test]
    fn one_of_several_gpus_is_named_by_its_index() {
        let mut batch = fixtures::fleet();
        batch.reports[1].gpus[2]
            .set(Quantity::Temperature, Ok(Temperature::from_millicelsius(85_000).into()));
        batch.reports[1].gpus[3]
            .set(Quantity::Temperature, Ok(Temperature::from_millicelsius(85_000).into()));
        batch.reports[1].gpus[3].set(Quantity::Index, Err(Absent::new(Reason::Garbled, "?")));
        let told = told(&batch);
        let of_node: Vec<_> = told.iter().filter(|one| one.source.starts_with("gpu_node001")).collect();
        assert_eq!(of_node[0].message, "node001 GPU 2 is at 85 °C (limit 80 °C)");
        assert_eq!(of_node[1].message, "node001 GPU 00000000:0E:00.0 is at 85 °C (limit 80 °C)");
    }

    #[test]
    fn an_implausible_number_is_about_its_gpu_where_that_is_known() {
        let mut batch = fixtures::fleet();
        let fault = |gpu: &str| Fault::new(FaultKind::Implausible, Some(SafeText::new(gpu)), "9999.00");
        batch.reports[1].faults = vec![fault("00000000:0C:00.0"), fault("?")];
        let keys: Vec<_> = told(&batch).into_iter().map(|one| one.key).collect();
        assert!(keys.contains(&"implausible_reading:gpu_node001_1".to_owned()), "{keys:?}");
        assert!(keys.contains(&"implausible_reading:node_node001".to_owned()), "{keys:?}");
    }

    #[test]
    fn a_node_whose_only_gpu_is_lost_has_lost_it_and_is_not_only_silent() {
        let mut batch = fixtures::fleet();
        batch.reports[0].outcome = Outcome::Failed(Failure::new(FailureKind::GpuLost, "GPU is lost"));
        batch.reports[0].gpus.clear();
        assert_eq!(told(&batch)[0].key, "gpu_missing:node_redfin");
    }

    #[test]
    fn a_host_that_answers_without_any_power_is_not_silent() {
        let mut batch = fixtures::fleet();
        batch.reports[0].outcome = Outcome::Failed(Failure::new(FailureKind::NoPower, "593.00 W in P8"));
        assert_eq!(batch.alert_facts(Scope::Whole).nodes[0].answer, Answer::Partial);
    }

    #[test]
    fn a_failing_jump_host_is_known_as_such() {
        let mut batch = fixtures::fleet();
        batch.reports[2].jump = Some("bastion".to_owned());
        batch.reports[2].outcome = Outcome::Failed(Failure::new(FailureKind::Jump, "refused"));
        let facts = batch.alert_facts(Scope::Whole);
        assert_eq!(facts.nodes[2].answer, Answer::BehindJump("the jump host failed: refused".to_owned()));
        assert_eq!(facts.cluster_power, batch.totals().power);
        assert_eq!(facts.at, batch.reports[0].span.answered_at);
    }

    #[test]
    fn a_transition_is_an_event_of_one_or_zero_with_its_words() {
        let mut batch = fixtures::fleet();
        let mut state = State::default();
        let raised = evaluate(&rules(), &mut state, &batch.alert_facts(Scope::Whole));
        let event = &fixtures::seen(&batch.alert_events(&raised))[0];
        assert_eq!(
            (event.event_type, event.source.as_str(), event.value),
            ("alert", "gpu_redfin", Some(1.0))
        );
        assert_eq!(
            event.metadata.keys().collect::<Vec<_>>(),
            ["batch", "cycle", "key", "message", "raised_at", "rule", "severity"]
        );
        assert_eq!(event.metadata["key"], "gpu_temperature:gpu_redfin");
        assert_eq!(event.metadata["batch"], batch.id.to_string());
        batch.reports[0].gpus[0]
            .set(Quantity::Temperature, Ok(Temperature::from_millicelsius(40_000).into()));
        batch.reports[0].gpus[0].set(Quantity::PowerDraw, Ok(Power::from_watts(20).into()));
        let cleared = evaluate(&rules(), &mut state, &batch.alert_facts(Scope::Whole));
        let values: Vec<_> = batch.alert_events(&cleared).into_iter().map(|event| event.value).collect();
        assert_eq!(values, [Some(0.0), Some(0.0)]);
    }

    fn stations(report: AccountReport) -> Vec<StationFacts> {
        let batch = Batch { account: Some(report), ..fixtures::fleet() };
        batch.alert_facts(Scope::Part).account.expect("it has a session").stations
    }

    #[test]
    fn a_station_is_judged_by_what_came_in_this_cycle_alone() {
        let mut report = fixtures::station_report();
        let fresh = stations(report.clone()).remove(0);
        assert_eq!((fresh.source.as_str(), fresh.name.as_str()), ("acme_9DNBH3D0PLDBLX1Y", "F3800 Plus"));
        assert_eq!(fresh.soc, Some(Share::from_millipercent(87_000)));
        assert!(fresh.runtime.is_some());
        assert_eq!((fresh.grid, fresh.grid_was_there), (GridState::Absent, false));
        // What it said before is in `last` still.
        report.readings.clear();
        let old = stations(report).remove(0);
        assert_eq!((old.soc, old.runtime, old.grid), (None, None, GridState::Unknown));
        assert_eq!(old.presence, Presence::Live);
    }

    #[test]
    fn of_several_readings_the_last_that_tells_counts() {
        let mut report = fixtures::station_report();
        let reading = report.readings.remove(0);
        let with = |percent: Option<i64>, grid| StationReading {
            device: reading.device.clone().measured(
                Quantity::StateOfCharge,
                percent
                    .map(|percent| Share::from_millipercent(percent * 1000))
                    .ok_or_else(Absent::not_reported),
            ),
            grid,
            ..reading.clone()
        };
        report.readings = vec![
            with(Some(50), GridState::Present),
            with(Some(40), GridState::Absent),
            with(None, GridState::Unknown),
        ];
        let facts = stations(report).remove(0);
        assert_eq!(facts.soc, Some(Share::from_millipercent(40_000)));
        assert_eq!((facts.grid, facts.grid_was_there), (GridState::Absent, true));
    }

    #[test]
    fn a_low_battery_is_raised_through_the_batch() {
        let mut report = fixtures::station_report();
        report.readings[0].device.set(Quantity::StateOfCharge, Ok(Share::from_millipercent(28_000).into()));
        report.stations[0].presence =
            Presence::Offline(fixtures::STARTED_AT.minus(Duration::from_secs(1_200)));
        let batch = Batch { account: Some(report), reports: Vec::new(), ..fixtures::fleet() };
        let rules = Rules {
            battery_below: Some(Share::from_millipercent(30_000)),
            station_silent_for: Some(Duration::from_secs(900)),
            ..Rules::default()
        };
        let told = evaluate(&rules, &mut State::default(), &batch.alert_facts(Scope::Whole));
        let message: Vec<&str> = told.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            message,
            [
                "F3800 Plus: battery at 28 % (limit 30 %), about 2.5 h at the present draw",
                "F3800 Plus has given no answer for 20m: check that it is switched on and in its Wi-Fi",
            ]
        );
        let event = &fixtures::seen(&batch.alert_events(&told))[0];
        assert_eq!((event.source.as_str(), event.value), ("acme_9DNBH3D0PLDBLX1Y", Some(1.0)));
        assert_eq!(event.metadata["key"], "battery_low:acme_9DNBH3D0PLDBLX1Y");
    }
}
