//! The query of one nvidia-smi: a state machine that names commands, takes their answers and does no I/O.
//!
//! 1. All GPUs are asked at once, for every field that this driver is not known to refuse. A refusal takes the
//!    field, and those as young, off the list, and all are asked again. Rows of another driver version than the one
//!    that the refusals are of bring its fields back, once.
//! 2. One GPU without a handle keeps all rows back. Then the known GPUs but that one are asked for by their UUIDs.
//! 3. Where that fails, or no GPU is known, they are asked for one by one, by UUID or by index ([`PerGpu`]).
//!
//! It always ends: each refusal takes a name from a finite list, the full list is asked for again at most once, and
//! the last two steps have at most [`MAX_GPUS`] commands.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::MAX_GPUS;
use super::cell::is_uuid;
use super::classify::{classify, ended, no_handle, unknown_field};
use super::fields::{Field, Need, as_young_as, may_know, query_args, wanted};
use super::reconcile::{name_indices, reconcile, tells_of};
use super::rows::{Ending, Rows, read_rows};
use super::wording::{FAILURES, FAULTS};
use crate::probe::exchange::{Command, Next, Output, Product};
use crate::probe::profile::HostProfile;
use crate::reading::{Failure, FailureKind, Fault, FaultKind, Outcome};

/// The number of places that are tried when GPUs must be asked one by one and none is known.
const MAX_INDICES: u32 = 32;

/// The number of calls that ask for several GPUs; each time one more has turned out to have no handle.
const MAX_TOGETHER: u32 = 4;

/// A query of one nvidia-smi.
#[derive(Debug, Default)]
pub struct Query {
    profile: HostProfile,
    in_inventory: Option<usize>,
    asked: Vec<&'static str>,
    /// The refusals of this query, which are certainly those of the driver that runs now.
    refused_now: BTreeSet<String>,
    /// Names that were not asked for, since what was refused in this query is no younger than they are.
    implied: BTreeSet<String>,
    /// The full list was asked again for a new driver.
    has_renewed: bool,
    phase: Phase,
    /// GPUs were asked for by name, since not all could be asked at once.
    has_salvaged: bool,
    /// Known GPUs that were asked for one by one, and answered that.
    asked_singly: BTreeSet<String>,
    /// The rows so far.
    rows: Rows,
    /// Why there is nothing, should nothing come.
    failure: Option<Failure>,
}

/// Which GPUs the current command asks.
#[derive(Debug, Default)]
enum Phase {
    /// All GPUs at once.
    #[default]
    All,
    /// These GPUs by `-i`, since the answer for all was lost to one without a handle. The number is how often
    /// this was tried.
    Together(Vec<String>, u32),
    /// One GPU, since that did not help either, or nobody knows which there are.
    Single(PerGpu),
}

/// The GPUs that are to be asked one by one, the first of them now.
#[derive(Debug)]
struct PerGpu {
    ids: VecDeque<String>,
    /// The ids are places in the tool's list, else they are UUIDs.
    by_index: bool,
}

impl Query {
    /// Starts a query with what is known of the host and with how many GPUs the inventory says it has.
    pub fn open(profile: HostProfile, gpus_expected: Option<usize>) -> (Self, Command) {
        let asked = wanted(&profile.refused);
        let query = Self { asked, profile, in_inventory: gpus_expected, ..Self::default() };
        let call = query.call();
        (query, call)
    }

    /// Takes the answer to the last call.
    pub fn answer(&mut self, output: &Output) -> Next {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let mut rows = read_rows(&self.asked, &stdout, ending_of(output));
        if rows.gpus.is_empty() {
            if self.drop_refused(unknown_field(&stdout).or_else(|| unknown_field(&stderr))) {
                return Next::Ask(self.call());
            }
            // Some wrappers move the tool's messages to stderr.
            let faults = stderr.lines().filter_map(no_handle).take(MAX_GPUS).collect();
            rows.merge(Rows { faults, ..Rows::default() });
        } else {
            note_end(&mut rows, output, &stderr);
        }
        let failure = rows.gpus.is_empty().then(|| classify(output, &stdout, &stderr));
        match std::mem::take(&mut self.phase) {
            Phase::All => self.after_all(rows, failure),
            Phase::Together(gpus, n_tries) => self.after_together(rows, failure, gpus, n_tries),
            Phase::Single(remaining) => self.after_single(rows, failure, remaining),
        }
    }

    /// The deadline came, or no more calls can be made: what is known so far, else `failure`.
    pub fn give_up(mut self, failure: Failure) -> Product {
        if let Phase::Single(remaining) = std::mem::take(&mut self.phase) {
            self.note_unasked(&remaining);
        }
        self.failure = Some(failure);
        self.probed(FaultKind::NotAsked)
    }

    fn call(&self) -> Command {
        let mut args = query_args(&self.asked);
        let chosen = match &self.phase {
            Phase::All => None,
            Phase::Together(gpus, _) => Some(gpus.join(",")),
            Phase::Single(remaining) => remaining.ids.front().cloned(),
        };
        if let Some(chosen) = chosen {
            args.extend(["-i".to_owned(), chosen]);
        }
        Command { args }
    }

    /// Takes a field that the driver refuses off the list, and what is as young; false if it was not on it or
    /// cannot be spared.
    fn drop_refused(&mut self, name: Option<&str>) -> bool {
        let Some(name) = name.filter(|name| self.asked.contains(name)) else { return false };
        if Field::named(name).is_none_or(|field| field.need == Need::Identity) {
            return false;
        }
        self.refused_now.insert(name.to_owned());
        self.profile.refused.insert(name.to_owned());
        // After a renewal the driver's version has told what it may know.
        if !self.has_renewed {
            let young = as_young_as(name).filter(|young| self.asked.contains(young)).map(str::to_owned);
            self.implied.extend(young);
            self.profile.refused.extend(self.implied.iter().cloned());
        }
        self.asked = wanted(&self.profile.refused);
        true
    }

    fn after_all(&mut self, rows: Rows, failure: Option<Failure>) -> Next {
        // After a renewal the rows of the shorter list are there; nothing may take their place but rows.
        if failure.is_some() && !self.rows.gpus.is_empty() {
            return self.done();
        }
        self.rows = rows;
        self.failure = failure;
        if self.failure.is_none() {
            self.profile.unasked_from = None;
            return if self.meets_new_driver() { self.renew() } else { self.done() };
        }
        if !self.rows.faults.iter().any(|fault| fault.kind == FaultKind::GpuMissing) {
            return self.done();
        }
        self.has_salvaged = true;
        let known = self.known();
        if known.is_empty() {
            return self.ask_each(self.unknown_places());
        }
        let is_nameless = |fault: &Fault| fault.kind == FaultKind::GpuMissing && fault.gpu.is_none();
        if self.rows.faults.iter().any(is_nameless) {
            return self.one_by_one(known);
        }
        let others = self.not_told_of(&known);
        self.together(others, 1)
    }

    /// The GPUs that are known, by their last index.
    fn known(&self) -> Vec<String> {
        let mut known: Vec<_> = self.profile.gpus.iter().filter(|(uuid, _)| is_uuid(uuid)).collect();
        known.sort_by_key(|(_, known)| known.index.unwrap_or(u32::MAX));
        known.into_iter().map(|(uuid, _)| uuid.clone()).take(MAX_GPUS).collect()
    }

    /// Those of these GPUs that no fault tells of.
    fn not_told_of(&self, uuids: &[String]) -> Vec<String> {
        let is_told = |uuid: &String| {
            let known = self.profile.gpus.get(uuid);
            known.is_some_and(|known| self.rows.faults.iter().any(|fault| tells_of(fault, uuid, known)))
        };
        uuids.iter().filter(|uuid| !is_told(uuid)).cloned().collect()
    }

    fn together(&mut self, gpus: Vec<String>, n_tries: u32) -> Next {
        if gpus.is_empty() {
            return self.after_known();
        }
        self.phase = Phase::Together(gpus, n_tries);
        Next::Ask(self.call())
    }

    fn after_together(
        &mut self,
        rows: Rows,
        failure: Option<Failure>,
        gpus: Vec<String>,
        n_tries: u32,
    ) -> Next {
        self.rows.merge(rows);
        self.meets_new_driver();
        let Some(failure) = failure else { return self.after_known() };
        if failure.kind == FailureKind::Timeout {
            // Nothing else would come in time either; that is why there is nothing.
            self.failure = Some(failure);
            return Next::Done(Box::new(self.probed(FaultKind::NotAsked)));
        }
        let others = self.not_told_of(&gpus);
        if others.len() < gpus.len() && n_tries < MAX_TOGETHER {
            self.together(others, n_tries + 1)
        } else {
            self.one_by_one(others)
        }
    }

    /// Asks each of these, which also tells which one a line without a name was about.
    fn one_by_one(&mut self, gpus: Vec<String>) -> Next {
        self.rows.faults.retain(|fault| fault.kind != FaultKind::GpuMissing || fault.gpu.is_some());
        self.ask_each(PerGpu { ids: gpus.into(), by_index: false })
    }

    fn after_single(&mut self, rows: Rows, failure: Option<Failure>, mut remaining: PerGpu) -> Next {
        self.rows.merge(rows);
        self.meets_new_driver();
        let kind = failure.map(|failure| failure.kind);
        if kind == Some(FailureKind::Timeout) {
            self.note_unasked(&remaining);
            return Next::Done(Box::new(self.probed(FaultKind::NotAsked)));
        }
        // Asked by index, anything but an unreachable GPU means that there is no GPU at this place or
        // that the whole host has failed.
        let is_about_a_gpu = |kind| {
            matches!(kind, FailureKind::GpuLost | FailureKind::ResetRequired | FailureKind::NoPermission)
        };
        let asked = remaining.ids.pop_front();
        if !remaining.by_index {
            self.asked_singly.extend(asked);
        } else if kind.is_some_and(|kind| !is_about_a_gpu(kind)) {
            remaining.ids.clear();
        }
        self.ask_each(remaining)
    }

    fn note_unasked(&mut self, remaining: &PerGpu) {
        if remaining.by_index {
            self.profile.unasked_from = remaining.ids.front().and_then(|index| index.parse().ok());
        }
    }

    /// Asks the next of these GPUs.
    fn ask_each(&mut self, remaining: PerGpu) -> Next {
        if !remaining.ids.is_empty() {
            self.phase = Phase::Single(remaining);
            return Next::Ask(self.call());
        }
        if !remaining.by_index {
            return self.after_known();
        }
        self.profile.unasked_from = None;
        self.done()
    }

    /// All known GPUs were asked for: there may be others.
    fn after_known(&mut self) -> Next {
        let are_more = self.in_inventory.is_some_and(|n_gpus| n_gpus > self.profile.gpus.len());
        if are_more || self.profile.unasked_from.is_some() {
            self.ask_each(self.unknown_places())
        } else {
            self.done()
        }
    }

    /// The places in the tool's list of which no known GPU answered yet.
    fn unknown_places(&self) -> PerGpu {
        let is_read = |index: &u32| self.rows.gpus.iter().any(|gpu| gpu.index() == Ok(index));
        let first = self.profile.unasked_from.unwrap_or(0);
        let places = (first..MAX_INDICES).filter(|index| !is_read(index));
        PerGpu { ids: places.map(|index| index.to_string()).collect(), by_index: true }
    }

    /// Notes the driver's version; true if names were left out that this driver may know: those that were
    /// refused by another one, or that a refusal seemed to say too much of. Those are asked for again.
    fn meets_new_driver(&mut self) -> bool {
        let Some(version) = self.rows.gpus.iter().find_map(|gpu| gpu.driver_version().ok()) else {
            return false;
        };
        let version = version.to_string();
        let is_new = self.profile.driver_version.as_ref() != Some(&version);
        let is_outdated = |name: &&String| {
            !self.refused_now.contains(*name)
                && (is_new || self.implied.contains(*name))
                && may_know(&version, name)
        };
        let outdated: Vec<String> = self.profile.refused.iter().filter(is_outdated).cloned().collect();
        self.profile.refused.retain(|name| !outdated.contains(name));
        self.implied.retain(|name| !outdated.contains(name));
        self.profile.driver_version = Some(version);
        !outdated.is_empty()
    }

    /// Asks the full list again, once, so that a new driver's fields come in this cycle already.
    fn renew(&mut self) -> Next {
        if std::mem::replace(&mut self.has_renewed, true) {
            return self.done();
        }
        self.asked = wanted(&self.profile.refused);
        Next::Ask(self.call())
    }

    fn done(&mut self) -> Next {
        Next::Done(Box::new(self.probed(FaultKind::GpuMissing)))
    }

    /// The product. Known GPUs that nothing tells of and that were not asked for by name are `unheard`.
    fn probed(&mut self, unheard: FaultKind) -> Product {
        let mut rows = std::mem::take(&mut self.rows);
        let mut profile = std::mem::take(&mut self.profile);
        if self.has_salvaged {
            // What came in several answers is put in the tool's order.
            rows.gpus.sort_by_key(|gpu| gpu.index().copied().unwrap_or(u32::MAX));
        }
        let outcome = if rows.gpus.is_empty() {
            name_indices(&profile, &mut rows);
            let silent = || Failure::new(FailureKind::Garbled, "no row");
            Outcome::Failed(self.failure.take().unwrap_or_else(silent))
        } else {
            let why_absent = |uuid: &str| match &self.failure {
                Some(failure) if unheard == FaultKind::NotAsked && !self.asked_singly.contains(uuid) => {
                    (unheard, failure.to_string())
                }
                _ => (FaultKind::GpuMissing, "no row in the answer".to_owned()),
            };
            reconcile(&mut profile, &mut rows, self.in_inventory, &why_absent);
            outcome_of(&rows)
        };
        // A GPU without a row that was never seen has only its fault to count it by.
        let is_without_row =
            |fault: &&Fault| matches!(fault.kind, FaultKind::GpuMissing | FaultKind::NotAsked);
        let n_missing = rows.faults.iter().filter(is_without_row).count().max(rows.n_unread);
        let n_known = Some(profile.gpus.len().max(rows.gpus.len() + n_missing)).filter(|n_gpus| *n_gpus > 0);
        // How many these are, nobody knows.
        if let (Some(first), false) = (profile.unasked_from, rows.gpus.is_empty()) {
            let evidence = format!("all from index {first} on, whose number is not known yet");
            rows.faults.push(Fault::new(FaultKind::NotAsked, None, &evidence));
        }
        let outcome = match outcome {
            Outcome::Failed(failure) => Outcome::Failed(failure.worded(FAILURES)),
            up @ (Outcome::Complete | Outcome::Partial) => up,
        };
        let faults = rows.faults.into_iter().map(|fault| fault.worded(FAULTS)).collect();
        let gpus = rows.gpus;
        Product {
            outcome,
            gpus,
            faults,
            labels: BTreeMap::new(),
            gpus_expected: self.in_inventory.or(n_known),
            profile,
        }
    }
}

fn ending_of(output: &Output) -> Ending {
    if output.exit == Some(0) && !output.truncated { Ending::Whole } else { Ending::Doubtful }
}

/// The outcome of an answer with rows and all its faults: a host of which no GPU gives its power has failed, if
/// any of them should.
fn outcome_of(rows: &Rows) -> Outcome {
    let Some(fault) = rows.faults.iter().find(|fault| fault.kind.costs_a_reading()) else {
        return Outcome::Complete;
    };
    if rows.gpus.iter().any(|gpu| gpu.power().is_ok()) {
        return Outcome::Partial;
    }
    let why = rows.gpus.iter().find_map(|gpu| gpu.power().err().filter(|why| !why.reason.is_structural()));
    let kind = why.map_or(FailureKind::NoPower, |why| FailureKind::of_powerless(why.reason));
    Outcome::Failed(Failure::new(kind, fault.evidence.as_str()))
}

/// A fault if rows came and the call did not end well: the rows count, and there may have been more.
fn note_end(rows: &mut Rows, output: &Output, stderr: &str) {
    if rows.faults.iter().any(|fault| fault.kind == FaultKind::CutRow) {
        return;
    }
    let (kind, evidence) = match output.exit {
        _ if output.truncated => (FaultKind::CutRow, "the answer was too large".to_owned()),
        Some(0) => return,
        // Documented for answers that are whole: external power missing, infoROM corrupted (man page 550).
        Some(8 | 14) if rows.faults.iter().any(|fault| fault.kind == FaultKind::Warning) => return,
        Some(8) => (FaultKind::Warning, "exit code 8: an external power cable is missing".to_owned()),
        Some(14) => (FaultKind::Warning, "exit code 14: an infoROM is corrupted".to_owned()),
        _ => {
            let last = stderr.lines().next_back().unwrap_or_default();
            (FaultKind::BadRow, format!("{} {last}", ended(output)))
        }
    };
    rows.faults.push(Fault::new(kind, None, &evidence));
}

#[cfg(test)]
mod tests;
