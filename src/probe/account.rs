//! What an answer means beside what is known of the host: who is missing, whose sensor is frozen, whose
//! driver does not stay loaded; and what is remembered from it.

use std::collections::BTreeSet;

use super::MAX_GPUS;
use super::knowledge::{Knowledge, KnownGpu};
use super::rows::{Rows, label};
use crate::reading::{Clean, Fault, FaultKind, GpuReading, Power, Temperature};

/// How many answers in a row with the very same draw make a sensor suspicious. A living sensor moves in
/// its second decimal between any two of them; a board in deep sleep may not, but then its temperature rests too.
const FROZEN_ANSWERS: u32 = 30;

/// How far the temperature must have moved meanwhile: 5 °C, above the wobble of an idle board.
const FROZEN_MILLICELSIUS: i64 = 5000;

/// Settles an answer that has rows: adds what it lacks to its faults, and remembers what it showed.
///
/// `in_inventory` is how many GPUs the inventory says there are; `why_absent` is the evidence for a known
/// GPU that no line of the answer tells of.
pub(super) fn settle(
    knowledge: &mut Knowledge,
    rows: &mut Rows,
    in_inventory: Option<usize>,
    why_absent: &str,
) {
    let seen: BTreeSet<String> = rows.gpus.iter().filter_map(uuid).collect();
    for gpu in &rows.gpus {
        remember(knowledge, &seen, gpu, &mut rows.faults);
    }
    if in_inventory.is_some_and(|n_gpus| seen.len() >= n_gpus) {
        knowledge.gpus.retain(|uuid, _| seen.contains(uuid));
    }
    bound(knowledge, &seen);
    find_missing(knowledge, &seen, &mut rows.faults, why_absent);
    if let Some(n_gpus) = in_inventory {
        find_short(n_gpus, rows);
    }
    find_persistence_off(knowledge, rows);
}

fn uuid(gpu: &GpuReading) -> Option<String> {
    gpu.uuid.as_ref().ok().map(ToString::to_string)
}

/// Updates what is known of one GPU that answered.
fn remember(knowledge: &mut Knowledge, seen: &BTreeSet<String>, gpu: &GpuReading, faults: &mut Vec<Fault>) {
    let Some(uuid) = uuid(gpu) else { return };
    let bus_id = gpu.bus_id.as_ref().ok().map(ToString::to_string);
    if let (Some(bus_id), false) = (&bus_id, knowledge.gpus.contains_key(&uuid)) {
        // Another board sits where a known one sat: that one was replaced.
        let is_replaced = |known: &KnownGpu| known.bus_id.as_ref().is_some_and(|old| same_bus(old, bus_id));
        knowledge.gpus.retain(|old, known| seen.contains(old) || !is_replaced(known));
    }
    let known = knowledge.gpus.entry(uuid).or_default();
    known.bus_id = bus_id.or_else(|| known.bus_id.take());
    follow_sensor(known, gpu.power().ok().map(|draw| draw.power), gpu.temperature.as_ref().ok().copied());
    if let Some(evidence) = frozen(known) {
        faults.push(Fault { kind: FaultKind::FrozenSensor, gpu: label(gpu), evidence });
    }
}

/// Counts how long the draw has not moved, and how far the temperature has.
fn follow_sensor(known: &mut KnownGpu, power: Option<Power>, temperature: Option<Temperature>) {
    if power.is_none() || power != known.power {
        known.power = power;
        known.n_same = 0;
        known.coldest = None;
        known.hottest = None;
    }
    if power.is_some() {
        known.n_same = known.n_same.saturating_add(1);
        known.coldest = known.coldest.into_iter().chain(temperature).min();
        known.hottest = known.hottest.into_iter().chain(temperature).max();
    }
}

/// The evidence that a sensor is frozen, if it is.
fn frozen(known: &KnownGpu) -> Option<Clean> {
    let (power, coldest, hottest) = (known.power?, known.coldest?, known.hottest?);
    let moved = hottest.millicelsius().saturating_sub(coldest.millicelsius());
    (known.n_same >= FROZEN_ANSWERS && moved >= FROZEN_MILLICELSIUS).then(|| {
        let n_same = known.n_same;
        Clean::new(&format!("{power} in {n_same} answers in a row, at {coldest} to {hottest}"))
    })
}

/// Keeps what is remembered bounded, whatever a host says: missing GPUs go first.
fn bound(knowledge: &mut Knowledge, seen: &BTreeSet<String>) {
    let mut n_too_many = knowledge.gpus.len().saturating_sub(MAX_GPUS);
    knowledge.gpus.retain(|uuid, _| {
        let goes = n_too_many > 0 && !seen.contains(uuid);
        n_too_many -= usize::from(goes);
        !goes
    });
}

/// A fault for each known GPU that gave no reading, unless one is there that tells of it.
fn find_missing(knowledge: &Knowledge, seen: &BTreeSet<String>, faults: &mut Vec<Fault>, why_absent: &str) {
    let mut untold = Vec::new();
    for (uuid, known) in knowledge.gpus.iter().filter(|(uuid, _)| !seen.contains(*uuid)) {
        let name = Clean::new(known.bus_id.as_deref().unwrap_or(uuid));
        match faults.iter_mut().find(|fault| tells_of(fault, uuid, known)) {
            Some(fault) => fault.gpu = Some(name),
            None => untold.push(name),
        }
    }
    // By elimination: one line without a name, one GPU without a line.
    let mut nameless = faults.iter_mut().filter(|fault| fault.kind.costs_a_reading() && fault.gpu.is_none());
    if let ([name], Some(fault), None) = (untold.as_slice(), nameless.next(), nameless.next()) {
        fault.gpu = Some(name.clone());
        return;
    }
    let evidence = Clean::new(why_absent);
    let missing = |gpu| Fault { kind: FaultKind::GpuMissing, gpu: Some(gpu), evidence: evidence.clone() };
    faults.extend(untold.into_iter().map(missing));
}

/// Whether a fault is about this GPU: by its bus id, or by a UUID in the line that is its evidence.
fn tells_of(fault: &Fault, uuid: &str, known: &KnownGpu) -> bool {
    let is_its_bus = |gpu: &Clean| known.bus_id.as_ref().is_some_and(|bus_id| same_bus(bus_id, gpu.as_str()));
    fault.kind.costs_a_reading()
        && (fault.gpu.as_ref().is_some_and(|gpu| gpu.as_str() == uuid || is_its_bus(gpu))
            || fault.evidence.as_str().contains(uuid))
}

/// One fault if fewer GPUs are accounted for than the inventory has.
fn find_short(n_gpus: usize, rows: &mut Rows) {
    // A lost board that kept its row is among the readings already.
    let costs_a_row = |fault: &&Fault| fault.kind.costs_a_reading() && fault.kind != FaultKind::GpuLost;
    let n_told = rows.gpus.len() + rows.faults.iter().filter(costs_a_row).count();
    if n_told < n_gpus {
        let evidence = Clean::new(&format!("{} of the inventory's {n_gpus} GPUs answered", rows.gpus.len()));
        rows.faults.push(Fault { kind: FaultKind::GpuMissing, gpu: None, evidence });
    }
}

/// One remark when persistence mode is off, and then none until it has been on again.
fn find_persistence_off(knowledge: &mut Knowledge, rows: &mut Rows) {
    let switches = || rows.gpus.iter().filter_map(|gpu| gpu.persistence.as_ref().ok());
    let (n_gpus, n_off) = (switches().count(), switches().filter(|is_on| !**is_on).count());
    if n_off == 0 {
        // Where no GPU has the switch (Windows, Jetson), nothing has been turned on.
        knowledge.persistence_reported &= n_gpus == 0;
    } else if !knowledge.persistence_reported {
        knowledge.persistence_reported = true;
        let evidence = Clean::new(&format!("{n_off} of {n_gpus} GPUs"));
        rows.faults.push(Fault { kind: FaultKind::PersistenceOff, gpu: None, evidence });
    }
}

/// Whether two texts are the same PCI address: NVML writes the domain with eight digits, its messages with four.
fn same_bus(one: &str, other: &str) -> bool {
    one.trim_start_matches('0').eq_ignore_ascii_case(other.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Ending, read_rows};

    const FIELDS: &[&str] =
        &["index", "uuid", "pci.bus_id", "power.draw", "temperature.gpu", "persistence_mode", "name"];

    fn rows_of(lines: &[&str]) -> Rows {
        read_rows(FIELDS, &format!("{}\n", lines.join("\n")), Ending::Whole)
    }

    fn settled(knowledge: &mut Knowledge, lines: &[&str], in_inventory: Option<usize>) -> Vec<Fault> {
        let mut rows = rows_of(lines);
        settle(knowledge, &mut rows, in_inventory, "no row");
        rows.faults
    }

    const A: &str = "0, GPU-a, 00000000:01:00.0, 50.00, 40, Enabled, L4";
    const B: &str = "1, GPU-b, 00000000:02:00.0, 51.00, 40, Enabled, L4";
    const C: &str = "2, GPU-c, 00000000:03:00.0, 52.00, 40, Enabled, L4";

    #[test]
    fn a_known_gpu_without_a_row_is_missing_in_every_cycle() {
        let mut knowledge = Knowledge::default();
        assert_eq!(settled(&mut knowledge, &[A, B], None), []);
        for _ in 0..3 {
            let faults = settled(&mut knowledge, &[A], None);
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].kind, FaultKind::GpuMissing);
            assert_eq!(faults[0].gpu, Some(Clean::new("00000000:02:00.0")));
        }
    }

    #[test]
    fn a_new_board_in_a_known_place_replaces_the_old_one() {
        let mut knowledge = Knowledge::default();
        settled(&mut knowledge, &[A, B], None);
        assert_eq!(
            settled(&mut knowledge, &[A, "1, GPU-new, 00000000:02:00.0, 1.00, 40, Enabled, L4"], None),
            []
        );
        assert!(!knowledge.gpus.contains_key("GPU-b"));
    }

    #[test]
    fn boards_that_change_places_stay_known() {
        let mut knowledge = Knowledge::default();
        settled(&mut knowledge, &[A, B], None);
        let faults = settled(&mut knowledge, &["0, GPU-b, 00000000:01:00.0, 1, 40, Enabled, L4"], None);
        assert_eq!(faults.len(), 1);
        assert_eq!(knowledge.gpus.len(), 2);
    }

    #[test]
    fn the_inventorys_count_says_when_a_board_is_gone_for_good() {
        let mut knowledge = Knowledge::default();
        settled(&mut knowledge, &[A, B], Some(2));
        assert_eq!(settled(&mut knowledge, &[A], Some(2)).len(), 1);
        assert_eq!(settled(&mut knowledge, &[A], Some(1)), []);
        assert_eq!(knowledge.gpus.len(), 1);
    }

    #[test]
    fn fewer_gpus_than_the_inventory_has_are_one_fault() {
        let faults = settled(&mut Knowledge::default(), &[A], Some(8));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].evidence.as_str(), "1 of the inventory's 8 GPUs answered");
    }

    #[test]
    fn a_bad_row_and_its_missing_gpu_are_one_fault() {
        let mut knowledge = Knowledge::default();
        settled(&mut knowledge, &[A, B, C], None);
        let named = settled(&mut knowledge, &[A, "1, GPU-b, 0000", C], None);
        assert_eq!(named.len(), 1);
        assert_eq!(
            (named[0].kind, &named[0].gpu),
            (FaultKind::BadRow, &Some(Clean::new("00000000:02:00.0")))
        );
        let by_elimination = settled(&mut knowledge, &[A, "rubbish", C], None);
        assert_eq!(by_elimination, [Fault { evidence: Clean::new("rubbish"), ..named[0].clone() }]);
    }

    #[test]
    fn a_lost_row_is_named_by_elimination() {
        let mut knowledge = Knowledge::default();
        settled(&mut knowledge, &[A, B, C], None);
        let lost = ["[GPU is lost]"; 7].join(", ");
        let faults = settled(&mut knowledge, &[A, &lost, C], Some(3));
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].kind, &faults[0].gpu),
            (FaultKind::GpuLost, &Some(Clean::new("00000000:02:00.0")))
        );
    }

    #[test]
    fn a_draw_that_never_moves_while_the_temperature_does_is_reported_while_it_lasts() {
        let mut knowledge = Knowledge::default();
        let mut n_faults = 0;
        for i in 0..40 {
            let row = format!("0, GPU-a, 00000000:01:00.0, 46.19, {}, Enabled, L4", 40 + i / 5);
            n_faults += settled(&mut knowledge, &[&row], None).len();
        }
        assert_eq!(n_faults, 11);
        assert_eq!(settled(&mut knowledge, &[A], None), []);
    }

    #[test]
    fn a_resting_board_is_not_a_frozen_one() {
        let mut knowledge = Knowledge::default();
        for _ in 0..100 {
            assert_eq!(settled(&mut knowledge, &[A], None), []);
        }
    }

    #[test]
    fn persistence_off_is_reported_once_and_again_after_it_was_on() {
        let mut knowledge = Knowledge::default();
        let off = &["0, GPU-a, 00000000:01:00.0, 50.00, 40, Disabled, L4"][..];
        let unknown = &["0, GPU-a, 00000000:01:00.0, 50.00, 40, [N/A], L4"][..];
        let counts =
            [off, off, unknown, off, &[A], off].map(|rows| settled(&mut knowledge, rows, None).len());
        assert_eq!(counts, [1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_host_with_ever_new_gpus_cannot_grow_what_is_remembered() {
        let mut knowledge = Knowledge::default();
        for i in 0..500 {
            let row = format!("0, GPU-{i}, 0000{i:04}:01:00.0, 50.00, 40, Enabled, L4");
            settled(&mut knowledge, &[&row], None);
            assert!(knowledge.gpus.len() <= MAX_GPUS);
        }
    }
}
