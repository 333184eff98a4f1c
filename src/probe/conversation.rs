//! A conversation with one nvidia-smi, as a state machine that only names calls and takes answers.
//!
//! It always ends: each refusal takes a name from a finite list, the full list is asked again for a new
//! driver at most once, and the walk over single GPUs has at most [`MAX_GPUS`] steps.

use std::collections::{BTreeSet, VecDeque};

use super::MAX_GPUS;
use super::account::settle;
use super::cell::is_uuid;
use super::classify::{classify, ended, no_handle, unknown_field};
use super::fields::{Field, Need, wanted};
use super::knowledge::Knowledge;
use super::rows::{Ending, Rows, read_rows};
use crate::reading::{Clean, Failure, FailureKind, Fault, FaultKind, GpuReading, Outcome};

/// How many places are tried when GPUs must be asked one by one and none is known.
const MAX_INDICES: u32 = 32;

/// One call of nvidia-smi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The arguments after the program's name. They hold letters, digits and `-_.,=` only.
    pub args: Vec<String>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its standard output. nvidia-smi prints its errors there too.
    pub stdout: &'a [u8],
    /// Its standard error.
    pub stderr: &'a [u8],
    /// Its exit code; `None` if a signal ended it.
    pub exit: Option<i32>,
    /// More output came than was kept.
    pub truncated: bool,
}

impl Answer<'_> {
    fn ending(&self) -> Ending {
        if self.exit == Some(0) && !self.truncated { Ending::Whole } else { Ending::Doubtful }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make this call and give its answer.
    Ask(Call),
    /// The conversation is over.
    Done(Box<Probed>),
}

/// What a conversation brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// How it ended.
    pub outcome: Outcome,
    /// One reading a GPU that has a row.
    pub gpus: Vec<GpuReading>,
    /// What was wrong or is to be remarked. Bounded.
    pub faults: Vec<Fault>,
    /// How many GPUs there should be: by the inventory, else as many as are known or told of; `None` if none is.
    pub gpus_expected: Option<usize>,
    /// What is to be remembered of the host.
    pub knowledge: Knowledge,
}

/// A conversation with one nvidia-smi.
#[derive(Debug)]
pub struct Conversation {
    knowledge: Knowledge,
    in_inventory: Option<usize>,
    asked: Vec<&'static str>,
    /// The refusals of this conversation, which are certainly those of the driver that runs now.
    refused_now: BTreeSet<String>,
    /// The full list was asked again for a new driver.
    has_renewed: bool,
    phase: Phase,
    /// What was read so far.
    rows: Rows,
    /// Why there is nothing, should nothing come.
    failure: Option<Failure>,
}

/// Whom the current call asks.
#[derive(Debug)]
enum Phase {
    /// All GPUs at once.
    All,
    /// One GPU, by `-i`, since the answer for all was lost to one without a handle.
    Single(String, Walk),
}

/// The GPUs that are still to be asked one by one.
#[derive(Debug)]
enum Walk {
    Uuids(VecDeque<String>),
    Indices(std::ops::Range<u32>),
}

impl Walk {
    fn next(&mut self) -> Option<String> {
        match self {
            Self::Uuids(uuids) => uuids.pop_front(),
            Self::Indices(indices) => indices.next().map(|index| index.to_string()),
        }
    }
}

impl Conversation {
    /// Opens a conversation with what is known of the host and with how many GPUs the inventory says it has.
    pub fn open(knowledge: Knowledge, gpus_expected: Option<usize>) -> (Self, Call) {
        let conversation = Self {
            asked: wanted(&knowledge.refused),
            knowledge,
            in_inventory: gpus_expected,
            refused_now: BTreeSet::new(),
            has_renewed: false,
            phase: Phase::All,
            rows: Rows::default(),
            failure: None,
        };
        let call = conversation.call();
        (conversation, call)
    }

    /// Takes the answer to the last call.
    pub fn answer(&mut self, answer: Answer<'_>) -> Step {
        let stdout = String::from_utf8_lossy(answer.stdout);
        let stderr = String::from_utf8_lossy(answer.stderr);
        let mut rows = read_rows(&self.asked, &stdout, answer.ending());
        if rows.gpus.is_empty() {
            if self.drop_refused(unknown_field(&stdout).or_else(|| unknown_field(&stderr))) {
                return Step::Ask(self.call());
            }
            // Some wrappers move the tool's messages to stderr.
            let lost = Rows {
                faults: stderr.lines().filter_map(no_handle).take(MAX_GPUS).collect(),
                ..Rows::default()
            };
            rows.merge(lost);
        } else {
            note_end(&mut rows, &answer, &stderr);
        }
        let is_answered = !rows.gpus.is_empty();
        let failure = (!is_answered).then(|| classify(&answer, &stdout, &stderr));
        match self.phase {
            Phase::All => self.after_all(rows, failure),
            Phase::Single(..) => self.after_single(rows, failure),
        }
    }

    /// The deadline came, or no more calls can be made: what is known so far, else `failure`.
    pub fn give_up(mut self, failure: Failure) -> Probed {
        // Known GPUs that were not asked any more are missing for this reason.
        let why_absent = failure.to_string();
        self.failure = Some(failure);
        self.probed(&why_absent)
    }

    fn call(&self) -> Call {
        let mut args =
            vec![format!("--query-gpu={}", self.asked.join(",")), "--format=csv,noheader,nounits".to_owned()];
        if let Phase::Single(gpu, _) = &self.phase {
            args.extend(["-i".to_owned(), gpu.clone()]);
        }
        Call { args }
    }

    /// Takes a field that the driver refuses off the list; false if it was not on it or cannot be spared.
    fn drop_refused(&mut self, name: Option<&str>) -> bool {
        let Some(name) = name.filter(|name| self.asked.contains(name)) else { return false };
        if Field::named(name).is_none_or(|field| field.need == Need::Identity) {
            return false;
        }
        self.refused_now.insert(name.to_owned());
        self.knowledge.refused.insert(name.to_owned());
        self.asked = wanted(&self.knowledge.refused);
        true
    }

    fn after_all(&mut self, rows: Rows, failure: Option<Failure>) -> Step {
        let is_answered = failure.is_none();
        // After a renewal the rows of the shorter list are there; nothing may take their place but rows.
        if is_answered || self.rows.gpus.is_empty() {
            self.rows = rows;
            self.failure = failure;
        } else {
            return self.done();
        }
        if is_answered {
            return if self.meets_new_driver() { self.renew() } else { self.done() };
        }
        let is_one_lost = self.rows.faults.iter().any(|fault| fault.kind == FaultKind::GpuMissing);
        if is_one_lost {
            let walk = self.walk();
            return self.next_single(walk);
        }
        self.done()
    }

    fn after_single(&mut self, rows: Rows, failure: Option<Failure>) -> Step {
        self.rows.merge(rows);
        let phase = std::mem::replace(&mut self.phase, Phase::All);
        let Phase::Single(_, walk) = phase else { return self.done() };
        // Walking by index, anything but an unreachable GPU means that there is no GPU at this place or
        // that the whole host has failed.
        let goes_on = match (&walk, failure.map(|failure| failure.kind)) {
            (Walk::Uuids(_), _) | (_, None) => true,
            (Walk::Indices(_), Some(kind)) => {
                matches!(kind, FailureKind::GpuLost | FailureKind::ResetRequired | FailureKind::NoPermission)
            }
        };
        self.meets_new_driver();
        if goes_on { self.next_single(walk) } else { self.done() }
    }

    /// Whom to ask one by one: the known GPUs; all places in turn if some are not known.
    fn walk(&self) -> Walk {
        let uuids: VecDeque<String> =
            self.knowledge.gpus.keys().filter(|uuid| is_uuid(uuid)).take(MAX_GPUS).cloned().collect();
        let are_all_known = self.in_inventory.is_none_or(|n_gpus| n_gpus <= uuids.len());
        if uuids.is_empty() || !are_all_known { Walk::Indices(0..MAX_INDICES) } else { Walk::Uuids(uuids) }
    }

    fn next_single(&mut self, mut walk: Walk) -> Step {
        match walk.next() {
            Some(gpu) => {
                self.phase = Phase::Single(gpu, walk);
                Step::Ask(self.call())
            }
            None => self.done(),
        }
    }

    /// Notes the driver's version; true if it is not the one that remembered refusals were learnt from.
    /// Those are forgotten then.
    fn meets_new_driver(&mut self) -> bool {
        let Some(version) = self.rows.gpus.iter().find_map(|gpu| gpu.driver_version.as_ref().ok()) else {
            return false;
        };
        let version = version.to_string();
        let is_new = self.knowledge.driver_version.as_ref() != Some(&version);
        self.knowledge.driver_version = Some(version);
        let is_outdated = is_new && !self.knowledge.refused.is_subset(&self.refused_now);
        if is_outdated {
            self.knowledge.refused.clone_from(&self.refused_now);
        }
        is_outdated
    }

    /// Asks the full list again, once, so that a new driver's fields come in this cycle already.
    fn renew(&mut self) -> Step {
        if std::mem::replace(&mut self.has_renewed, true) {
            return self.done();
        }
        self.asked = wanted(&self.knowledge.refused);
        Step::Ask(self.call())
    }

    fn done(&mut self) -> Step {
        Step::Done(Box::new(self.probed("no row in the answer")))
    }

    fn probed(&mut self, why_absent: &str) -> Probed {
        let mut rows = std::mem::take(&mut self.rows);
        let mut knowledge = std::mem::take(&mut self.knowledge);
        let outcome = if rows.gpus.is_empty() {
            let silent = || Failure::new(FailureKind::Garbled, "no row");
            Outcome::Failed(self.failure.take().unwrap_or_else(silent))
        } else {
            settle(&mut knowledge, &mut rows, self.in_inventory, why_absent);
            let is_partial = rows.faults.iter().any(|fault| fault.kind.costs_a_reading());
            if is_partial { Outcome::Partial } else { Outcome::Complete }
        };
        let Rows { gpus, faults } = rows;
        // A lost GPU that was never seen has only its fault to count it by.
        let n_missing = faults.iter().filter(|fault| fault.kind == FaultKind::GpuMissing).count();
        let n_known = Some(knowledge.gpus.len().max(gpus.len() + n_missing)).filter(|n_gpus| *n_gpus > 0);
        Probed { outcome, gpus, faults, gpus_expected: self.in_inventory.or(n_known), knowledge }
    }
}

/// A fault if rows came and the call did not end well: the rows count, and there may have been more.
fn note_end(rows: &mut Rows, answer: &Answer<'_>, stderr: &str) {
    if rows.faults.iter().any(|fault| fault.kind == FaultKind::CutRow) {
        return;
    }
    let (kind, evidence) = match answer.exit {
        _ if answer.truncated => (FaultKind::CutRow, "the answer was too large".to_owned()),
        Some(0) => return,
        // Documented for answers that are whole: external power missing, infoROM corrupted (man page 550).
        Some(8 | 14) if rows.faults.iter().any(|fault| fault.kind == FaultKind::Warning) => return,
        Some(8) => (FaultKind::Warning, "exit code 8: an external power cable is missing".to_owned()),
        Some(14) => (FaultKind::Warning, "exit code 14: an infoROM is corrupted".to_owned()),
        exit => {
            (FaultKind::BadRow, format!("{} {}", ended(exit), stderr.lines().next_back().unwrap_or_default()))
        }
    };
    rows.faults.push(Fault { kind, gpu: None, evidence: Clean::new(&evidence) });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::{FIELDS, KnownGpu, OUTSTANDING_PATTERN};
    use crate::reading::{Absent, Power};

    fn out(stdout: &str, exit: i32) -> Answer<'_> {
        Answer { stdout: stdout.as_bytes(), stderr: b"", exit: Some(exit), truncated: false }
    }

    fn asked(call: &Call) -> Vec<String> {
        call.args[0].strip_prefix("--query-gpu=").unwrap().split(',').map(str::to_owned).collect()
    }

    fn cell(field: &str, gpu: usize, driver: &str) -> String {
        match field {
            "index" => gpu.to_string(),
            "uuid" => format!("GPU-{gpu}"),
            "pci.bus_id" => format!("00000000:0{gpu}:00.0"),
            "driver_version" => driver.to_owned(),
            "persistence_mode" => "Enabled".to_owned(),
            "pstate" => "P0".to_owned(),
            "name" => "NVIDIA L4".to_owned(),
            "clocks_event_reasons.active" | "clocks_throttle_reasons.active" => {
                "0x0000000000000004".to_owned()
            }
            _ => "50.00".to_owned(),
        }
    }

    /// What a host answers: `refused` are the names that its driver does not know, `lost` the GPUs without a handle.
    struct Host {
        driver: &'static str,
        refused: &'static [&'static str],
        n_gpus: usize,
        lost: Vec<usize>,
    }

    impl Host {
        fn new(driver: &'static str, refused: &'static [&'static str]) -> Self {
            Self { driver, refused, n_gpus: 8, lost: Vec::new() }
        }

        fn run(&self, call: &Call) -> (String, i32) {
            let fields = asked(call);
            if let Some(name) = fields.iter().find(|name| self.refused.contains(&name.as_str())) {
                return (format!("Field \"{name}\" is not a valid field to query.\n\n"), 2);
            }
            let chosen = call.args.iter().position(|arg| arg == "-i").map(|at| call.args[at + 1].clone());
            let is_chosen =
                |gpu: &usize| chosen.as_ref().is_none_or(|c| c.trim_start_matches("GPU-") == gpu.to_string());
            let gpus: Vec<usize> = (0..self.n_gpus).filter(is_chosen).collect();
            if let Some(gpu) = gpus.iter().find(|gpu| self.lost.contains(gpu)) {
                let text = "Unable to determine the device handle for GPU";
                return (
                    format!("{text}0000:0{gpu}:00.0: GPU is lost.  Reboot the system to recover this GPU\n"),
                    15,
                );
            }
            if gpus.is_empty() {
                return ("No devices were found\n".to_owned(), 6);
            }
            let row = |gpu: &usize| {
                fields.iter().map(|f| cell(f, *gpu, self.driver)).collect::<Vec<_>>().join(", ")
            };
            (gpus.iter().map(|gpu| row(gpu) + "\n").collect(), 0)
        }
    }

    fn talk(host: &Host, knowledge: Knowledge, in_inventory: Option<usize>) -> (Probed, usize) {
        let (mut conversation, mut call) = Conversation::open(knowledge, in_inventory);
        for n_calls in 1..200 {
            let (stdout, exit) = host.run(&call);
            match conversation.answer(out(&stdout, exit)) {
                Step::Ask(next) => call = next,
                Step::Done(probed) => return (*probed, n_calls),
            }
        }
        panic!("the conversation does not end");
    }

    const OLD: &[&str] = &[
        "power.draw.instant",
        "power.draw.average",
        "clocks_event_reasons.active",
        "module.power.draw.instant",
    ];

    #[test]
    fn a_driver_that_knows_all_is_asked_once() {
        let (probed, n_calls) = talk(&Host::new("590.48.01", &[]), Knowledge::default(), None);
        assert_eq!((probed.outcome, probed.gpus.len(), n_calls), (Outcome::Complete, 8, 1));
        assert_eq!(probed.gpus_expected, Some(8));
        assert_eq!(probed.knowledge.driver_version.as_deref(), Some("590.48.01"));
    }

    #[test]
    fn refused_fields_are_dropped_and_remembered() {
        let host = Host::new("470.256.02", OLD);
        let (first, n_calls) = talk(&host, Knowledge::default(), None);
        assert_eq!((first.outcome.clone(), n_calls), (Outcome::Complete, 5));
        assert_eq!(first.gpus[0].power_average, Err(Absent::not_asked()));
        assert_eq!(first.gpus[0].clocks_event_reasons, Ok(4), "the older name reads into the same place");
        let (second, n_calls) = talk(&host, first.knowledge.clone(), None);
        assert_eq!(
            (second.gpus, second.knowledge.refused, n_calls),
            (first.gpus, first.knowledge.refused, 1)
        );
    }

    #[test]
    fn a_new_driver_is_asked_the_full_list_in_the_same_cycle() {
        let (old, _) = talk(&Host::new("470.256.02", OLD), Knowledge::default(), None);
        let (new, n_calls) =
            talk(&Host::new("550.54.15", &["module.power.draw.instant"]), old.knowledge, None);
        assert_eq!(n_calls, 3);
        assert_eq!(new.gpus[0].power_average, Ok(Power::from_watts(50)));
        assert_eq!(new.knowledge.refused, ["module.power.draw.instant".to_owned()].into());
        assert_eq!(new.knowledge.driver_version.as_deref(), Some("550.54.15"));
    }

    #[test]
    fn the_rows_of_the_short_list_stay_if_the_full_list_fails() {
        let (old, _) = talk(&Host::new("470.256.02", OLD), Knowledge::default(), None);
        let new = Host::new("590.48.01", &[]);
        let (mut conversation, call) = Conversation::open(old.knowledge, None);
        let (rows, _) = new.run(&call);
        assert!(matches!(conversation.answer(out(&rows, 0)), Step::Ask(_)));
        let Step::Done(probed) = conversation.answer(out("", 124)) else { panic!("asked again") };
        assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Complete));
    }

    #[test]
    fn an_identity_cannot_be_refused_nor_a_name_that_was_not_asked() {
        for name in ["uuid", "index", "name", "pci.bus_id", "made.up"] {
            let (mut conversation, _) = Conversation::open(Knowledge::default(), None);
            let text = format!("Field \"{name}\" is not a valid field to query.\n\n");
            let Step::Done(probed) = conversation.answer(out(&text, 2)) else { panic!("{name} was dropped") };
            assert_eq!(probed.outcome.label(), "refused");
            assert_eq!(probed.knowledge, Knowledge::default());
        }
    }

    #[test]
    fn one_lost_gpu_does_not_hide_the_seven_others() {
        let mut host = Host::new("550.54.15", &[]);
        let (healthy, _) = talk(&host, Knowledge::default(), None);
        host.lost = vec![3];
        for (knowledge, n_expected) in [(healthy.knowledge, 9), (Knowledge::default(), 10)] {
            let (probed, n_calls) = talk(&host, knowledge, None);
            assert_eq!((probed.outcome, probed.gpus.len(), n_calls), (Outcome::Partial, 7, n_expected));
            assert_eq!(probed.faults.len(), 1);
            assert_eq!(probed.faults[0].kind, FaultKind::GpuMissing);
            assert!(probed.faults[0].gpu.as_ref().unwrap().as_str().ends_with("0000:03:00.0"));
            assert!(probed.faults[0].evidence.as_str().contains("GPU is lost. Reboot"));
        }
    }

    #[test]
    fn a_host_with_all_gpus_lost_has_lost_its_gpus() {
        let mut host = Host::new("550.54.15", &[]);
        let (healthy, _) = talk(&host, Knowledge::default(), None);
        host.lost = (0..8).collect();
        for knowledge in [healthy.knowledge, Knowledge::default()] {
            let (probed, _) = talk(&host, knowledge.clone(), None);
            assert_eq!(probed.outcome.label(), "gpu_lost");
            assert_eq!(probed.faults.len(), 8);
            assert_eq!(probed.knowledge.gpus, knowledge.gpus);
        }
    }

    #[test]
    fn a_host_that_has_more_gpus_than_are_known_is_walked_by_place() {
        let mut host = Host::new("550.54.15", &[]);
        host.lost = vec![3];
        let knowledge =
            Knowledge { gpus: [("GPU-0".to_owned(), KnownGpu::default())].into(), ..Knowledge::default() };
        let (probed, _) = talk(&host, knowledge, Some(8));
        assert_eq!((probed.gpus.len(), probed.faults.len()), (7, 1));
    }

    #[test]
    fn what_was_salvaged_counts_when_the_deadline_comes() {
        let mut host = Host::new("550.54.15", &[]);
        let (healthy, _) = talk(&host, Knowledge::default(), None);
        host.lost = vec![7];
        let (mut conversation, mut call) = Conversation::open(healthy.knowledge, None);
        for _ in 0..3 {
            let (stdout, exit) = host.run(&call);
            let Step::Ask(next) = conversation.answer(out(&stdout, exit)) else { panic!("done") };
            call = next;
        }
        let probed = conversation.give_up(Failure::new(FailureKind::Timeout, ""));
        assert_eq!((probed.outcome, probed.gpus.len(), probed.faults.len()), (Outcome::Partial, 2, 6));
        assert!(probed.faults.iter().any(|fault| fault.evidence.as_str() == "no answer in time"));
    }

    #[test]
    fn a_deadline_before_any_row_is_the_given_failure_and_keeps_what_was_known() {
        let (known, _) = talk(&Host::new("470.256.02", OLD), Knowledge::default(), None);
        let (conversation, _) = Conversation::open(known.knowledge.clone(), None);
        let failure = Failure::new(FailureKind::Timeout, "8 s");
        let probed = conversation.give_up(failure.clone());
        assert_eq!((probed.outcome, probed.knowledge), (Outcome::Failed(failure), known.knowledge));
    }

    #[test]
    fn a_warning_of_the_tool_costs_no_reading() {
        let host = Host::new("550.54.15", &[]);
        for warning in ["", "WARNING: infoROM is corrupted at gpu 0008:00:00.0\n"] {
            let (mut conversation, call) = Conversation::open(Knowledge::default(), None);
            let (stdout, _) = host.run(&call);
            let stdout = format!("{stdout}{warning}");
            let Step::Done(probed) = conversation.answer(out(&stdout, 14)) else { panic!("asked again") };
            assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Complete));
            assert_eq!(probed.faults[0].kind, FaultKind::Warning);
        }
    }

    #[test]
    fn rows_count_although_the_call_failed_after_them() {
        let host = Host::new("550.54.15", &[]);
        let (mut conversation, call) = Conversation::open(Knowledge::default(), None);
        let (stdout, _) = host.run(&call);
        let Step::Done(probed) = conversation.answer(out(&stdout, 3)) else { panic!("asked again") };
        assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Partial));
        assert_eq!(probed.faults[0].evidence.as_str(), "exit code 3");
    }

    #[test]
    fn output_without_a_row_that_was_cut_off_is_too_large() {
        let (mut conversation, _) = Conversation::open(Knowledge::default(), None);
        let answer = Answer { truncated: true, ..out("y\ny\ny", 0) };
        let Step::Done(probed) = conversation.answer(answer) else { panic!("asked again") };
        assert_eq!(probed.outcome.label(), "output_too_large");
    }

    #[test]
    fn every_call_is_found_by_the_pattern_and_the_pattern_does_not_find_itself() {
        let found = OUTSTANDING_PATTERN.replace(['[', ']'], "");
        let refused = FIELDS.iter().flat_map(|field| field.names).map(|name| (*name).to_owned()).collect();
        for knowledge in [Knowledge::default(), Knowledge { refused, ..Knowledge::default() }] {
            assert!(Conversation::open(knowledge, None).1.args[0].contains(&found));
        }
        assert!(!OUTSTANDING_PATTERN.contains(&found));
    }

    /// Pieces of answers, so that random ones reach every state.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let rows = |driver| Host::new(driver, &[]).run(&Conversation::open(Knowledge::default(), None).1).0;
        let refusal = prop::sample::select(FIELDS).prop_map(|field| {
            format!("Field \"{}\" is not a valid field to query.\n", field.names[0]).into_bytes()
        });
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            refusal,
            Just(rows("470.1").into_bytes()),
            Just(rows("590.1").into_bytes()),
            Just(b"Unable to determine the device handle for GPU0000:03:00.0: Unknown Error\n".to_vec()),
            Just(b"0, GPU-x, ".to_vec()),
            Just(b"[GPU is lost], ".repeat(19)),
        ]
    }

    proptest! {
        #[test]
        fn any_answers_end_the_conversation_within_its_bounds(
            answers in prop::collection::vec((prop::collection::vec(piece(), 0..4), any::<bool>(), 0..3), 1..40)
        ) {
            let (mut conversation, _) = Conversation::open(Knowledge::default(), None);
            let mut n_calls = 0;
            for (pieces, truncated, exit) in answers.iter().cycle() {
                let stdout = pieces.concat();
                let exit = [Some(0), Some(255), None][usize::try_from(*exit).unwrap()];
                n_calls += 1;
                prop_assert!(n_calls < 150);
                match conversation.answer(Answer { stdout: &stdout, stderr: &stdout, exit, truncated: *truncated }) {
                    Step::Ask(_) => {}
                    Step::Done(probed) => {
                        prop_assert!(probed.gpus.len() <= MAX_GPUS);
                        prop_assert!(probed.knowledge.refused.len() <= FIELDS.len() + 1);
                        break;
                    }
                }
            }
        }
    }
}
