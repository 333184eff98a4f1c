//! An answer beside what is known of the host: missing GPUs, frozen sensors, a driver that does not stay loaded; and
//! what is remembered from it.

use std::collections::BTreeSet;

use super::MAX_GPUS;
use super::bound::{ceiling, rests};
use super::rows::{Rows, label};
use crate::probe::profile::{HostProfile, KnownGpu};
use crate::reading::{Absent, Device, Fault, FaultKind, Power, Quantity, Reason, SafeText, Temperature};

/// The number of answers in a row with the very same draw that make a sensor suspicious. A living sensor moves in its
/// second decimal between any two of them; a board in deep sleep may not, but then its temperature rests too.
const FROZEN_ANSWERS: u32 = 30;

/// The least change of the temperature meanwhile: 5 °C, above the wobble of an idle board.
const FROZEN_MILLICELSIUS: i64 = 5000;

/// Settles an answer that has rows: adds what it lacks to its faults, and remembers what it showed.
///
/// `in_inventory` is how many GPUs the inventory says there are; `why_absent` says of a known GPU, by its UUID, that
/// no line of the answer tells of, what that is and its evidence.
pub(super) fn reconcile(
    profile: &mut HostProfile,
    rows: &mut Rows,
    in_inventory: Option<usize>,
    why_absent: &dyn Fn(&str) -> (FaultKind, String),
) {
    let seen: BTreeSet<String> = rows.gpus.iter().filter_map(uuid).collect();
    for gpu in &rows.gpus {
        let gave_power = remember(profile, &seen, gpu, &mut rows.faults);
        find_powerless(gpu, gave_power, &mut rows.faults);
    }
    if in_inventory.is_some_and(|n_gpus| seen.len() >= n_gpus) {
        profile.gpus.retain(|uuid, _| seen.contains(uuid));
    }
    bound(profile, &seen);
    find_missing(profile, &seen, &mut rows.faults, why_absent);
    if let Some(n_gpus) = in_inventory {
        find_short(n_gpus, rows);
    }
    find_persistence_off(profile, rows);
    name_indices(profile, rows);
}

/// Gives each fault the index of its GPU, by what the GPU says now or said last.
pub(super) fn name_indices(profile: &HostProfile, rows: &mut Rows) {
    for fault in &mut rows.faults {
        let Some(gpu) = &fault.gpu else { continue };
        let is_said = |row: &&Device| label(row).as_ref() == Some(gpu) || row.uuid() == Ok(gpu);
        let said = rows.gpus.iter().find(is_said).and_then(|row| row.index().ok().copied());
        let is_known = |(uuid, known): &(&String, &KnownGpu)| {
            uuid.as_str() == gpu.as_str()
                || known.bus_id.as_ref().is_some_and(|bus_id| same_bus(bus_id, gpu.as_str()))
        };
        let known = || profile.gpus.iter().find(is_known).and_then(|(_, known)| known.index);
        fault.index = fault.index.or(said).or_else(known);
    }
}

/// A fault if a GPU gives no power: always where its row has an error instead, else if it ever gave one. And a
/// remark if the driver asks for something although readings come.
fn find_powerless(gpu: &Device, gave_power: bool, faults: &mut Vec<Fault>) {
    let action =
        gpu.typed::<SafeText>(Quantity::RecoveryAction).ok().filter(|action| action.as_str() != NO_ACTION);
    let Err(absent) = gpu.power() else {
        if let Some(action) = action {
            faults.push(Fault::new(FaultKind::RecoveryAction, label(gpu), action.as_str()));
        }
        return;
    };
    let Some(kind) = absent.reason.fault_of_power(gave_power) else { return };
    // The reader of rows has told already that a board is lost, whichever of its cells says so.
    let is_told = |fault: &Fault| {
        fault.kind == FaultKind::GpuLost
            && (fault.gpu.is_some() || kind == fault.kind)
            && fault.gpu == label(gpu)
    };
    if !faults.iter().any(is_told) {
        let asks = action.map(|action| format!("; the driver asks for: {action}")).unwrap_or_default();
        faults.push(Fault::new(kind, label(gpu), &format!("{}{asks}", why_powerless(gpu, absent))));
    }
}

/// The value of `gpu_recovery_action` for a board that needs none.
const NO_ACTION: &str = "None";

fn why_powerless(gpu: &Device, absent: &Absent) -> String {
    if absent.reason == Reason::Implausible && rests(gpu) {
        let state = gpu.typed(Quantity::PerformanceState).map(SafeText::as_str).unwrap_or_default();
        return format!("{} W in {state} without load", absent.text);
    }
    if absent.reason == Reason::Implausible {
        return format!("{} W, of a board that draws at most {}", absent.text, ceiling(gpu));
    }
    if absent.reason == Reason::NotAsked {
        return "nvidia-smi refuses the field power.draw".to_owned();
    }
    let is_empty = absent.reason == Reason::Empty;
    if is_empty { "nothing stands in its place".to_owned() } else { absent.text.to_string() }
}

fn uuid(gpu: &Device) -> Option<String> {
    gpu.uuid().ok().map(ToString::to_string)
}

/// Updates what is known of one GPU that answered, and says whether it ever gave its power.
fn remember(
    profile: &mut HostProfile,
    seen: &BTreeSet<String>,
    gpu: &Device,
    faults: &mut Vec<Fault>,
) -> bool {
    let Some(uuid) = uuid(gpu) else { return false };
    let bus_id = gpu.bus_id().ok().map(ToString::to_string);
    if let (Some(bus_id), false) = (&bus_id, profile.gpus.contains_key(&uuid)) {
        // Another board sits where a known one sat: that one was replaced.
        let is_replaced = |known: &KnownGpu| known.bus_id.as_ref().is_some_and(|old| same_bus(old, bus_id));
        profile.gpus.retain(|old, known| seen.contains(old) || !is_replaced(known));
    }
    let known = profile.gpus.entry(uuid).or_default();
    known.bus_id = bus_id.or_else(|| known.bus_id.take());
    known.index = gpu.index().ok().copied().or(known.index);
    let draw = gpu.power().ok();
    known.gave_power |= draw.is_some();
    if let Some(draw) = draw
        && let Some(before) = known.kind.replace(draw.kind).filter(|before| *before != draw.kind)
    {
        let evidence = format!("{} now, {} before", draw.kind.label(), before.label());
        faults.push(Fault::new(FaultKind::KindChanged, label(gpu), &evidence));
    }
    follow_sensor(known, draw.map(|draw| draw.power), gpu.temperature().ok().copied());
    if let Some(evidence) = frozen(known) {
        faults.push(Fault::new(FaultKind::FrozenSensor, label(gpu), &evidence));
    }
    known.gave_power
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
fn frozen(known: &KnownGpu) -> Option<String> {
    let (power, coldest, hottest) = (known.power?, known.coldest?, known.hottest?);
    let moved = hottest.millicelsius().saturating_sub(coldest.millicelsius());
    (known.n_same >= FROZEN_ANSWERS && moved >= FROZEN_MILLICELSIUS).then(|| {
        let n_same = known.n_same;
        format!("{power} in {n_same} answers in a row, at {coldest} to {hottest}")
    })
}

/// Keeps what is remembered bounded, whatever a host says: missing GPUs go first.
fn bound(profile: &mut HostProfile, seen: &BTreeSet<String>) {
    let mut n_too_many = profile.gpus.len().saturating_sub(MAX_GPUS);
    profile.gpus.retain(|uuid, _| {
        let goes = n_too_many > 0 && !seen.contains(uuid);
        n_too_many -= usize::from(goes);
        !goes
    });
}

/// A fault for each known GPU that gave no reading, unless one is there that tells of it.
fn find_missing(
    profile: &HostProfile,
    seen: &BTreeSet<String>,
    faults: &mut Vec<Fault>,
    why_absent: &dyn Fn(&str) -> (FaultKind, String),
) {
    let mut untold = Vec::new();
    for (uuid, known) in profile.gpus.iter().filter(|(uuid, _)| !seen.contains(*uuid)) {
        let name = SafeText::new(known.bus_id.as_deref().unwrap_or(uuid));
        match faults.iter_mut().find(|fault| tells_of(fault, uuid, known)) {
            Some(fault) => fault.gpu = Some(name),
            None => untold.push((uuid, name)),
        }
    }
    // By elimination: one line without a name, one GPU without a line.
    let mut nameless = faults.iter_mut().filter(|fault| fault.kind.costs_a_reading() && fault.gpu.is_none());
    if let ([(_, name)], Some(fault), None) = (untold.as_slice(), nameless.next(), nameless.next()) {
        fault.gpu = Some(name.clone());
        return;
    }
    faults.extend(untold.into_iter().map(|(uuid, name)| {
        let (kind, evidence) = why_absent(uuid);
        Fault::new(kind, Some(name), &evidence)
    }));
}

/// Whether a fault is about this GPU: by its bus id, or by a UUID in the line that is its evidence.
pub(super) fn tells_of(fault: &Fault, uuid: &str, known: &KnownGpu) -> bool {
    let is_its_bus =
        |gpu: &SafeText| known.bus_id.as_ref().is_some_and(|bus_id| same_bus(bus_id, gpu.as_str()));
    fault.kind.costs_a_reading()
        && (fault.gpu.as_ref().is_some_and(|gpu| gpu.as_str() == uuid || is_its_bus(gpu))
            || fault.evidence.as_str().contains(uuid))
}

/// One fault if fewer GPUs are accounted for than the inventory has.
fn find_short(n_gpus: usize, rows: &mut Rows) {
    // A board that kept its row is among the readings already.
    let n_told = rows.gpus.len() + rows.faults.iter().filter(|fault| fault.kind.costs_a_row()).count();
    if n_told < n_gpus {
        let evidence = format!("{} of the inventory's {n_gpus} GPUs answered", rows.gpus.len());
        rows.faults.push(Fault::new(FaultKind::GpuMissing, None, &evidence));
    }
}

/// One remark when persistence mode is off, and then none until it has been on again.
fn find_persistence_off(profile: &mut HostProfile, rows: &mut Rows) {
    let switches = || rows.gpus.iter().filter_map(|gpu| gpu.typed::<bool>(Quantity::Persistence).ok());
    let (n_gpus, n_off) = (switches().count(), switches().filter(|is_on| !**is_on).count());
    if n_off == 0 {
        // Where no GPU has the switch (Windows, Jetson), nothing has been turned on.
        profile.persistence_reported &= n_gpus == 0;
    } else if !profile.persistence_reported {
        profile.persistence_reported = true;
        let evidence = format!("{n_off} of {n_gpus} GPUs");
        rows.faults.push(Fault::new(FaultKind::PersistenceOff, None, &evidence));
    }
}

/// Whether two texts are the same PCI address: NVML writes the domain with eight digits, its messages with four.
pub(super) fn same_bus(one: &str, other: &str) -> bool {
    one.trim_start_matches('0').eq_ignore_ascii_case(other.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::nvidia_smi::{Ending, read_rows};

    const FIELDS: &[&str] =
        &["index", "uuid", "pci.bus_id", "power.draw", "temperature.gpu", "persistence_mode", "name"];

    fn rows_of(lines: &[&str]) -> Rows {
        read_rows(FIELDS, &format!("{}\n", lines.join("\n")), Ending::Whole)
    }

    fn settled(profile: &mut HostProfile, lines: &[&str], in_inventory: Option<usize>) -> Vec<Fault> {
        let mut rows = rows_of(lines);
        reconcile(profile, &mut rows, in_inventory, &|_| (FaultKind::GpuMissing, "no row".to_owned()));
        rows.faults
    }

    const A: &str = "0, GPU-a, 00000000:01:00.0, 50.00, 40, Enabled, L4";
    const B: &str = "1, GPU-b, 00000000:02:00.0, 51.00, 40, Enabled, L4";
    const C: &str = "2, GPU-c, 00000000:03:00.0, 52.00, 40, Enabled, L4";

    #[test]
    fn a_known_gpu_without_a_row_is_missing_in_every_cycle() {
        let mut profile = HostProfile::default();
        assert_eq!(settled(&mut profile, &[A, B], None), []);
        for _ in 0..3 {
            let faults = settled(&mut profile, &[A], None);
            assert_eq!(faults.len(), 1);
            assert_eq!(faults[0].kind, FaultKind::GpuMissing);
            assert_eq!(faults[0].gpu, Some(SafeText::new("00000000:02:00.0")));
        }
    }

    #[test]
    fn a_new_board_in_a_known_place_replaces_the_old_one() {
        let mut profile = HostProfile::default();
        settled(&mut profile, &[A, B], None);
        assert_eq!(
            settled(&mut profile, &[A, "1, GPU-new, 00000000:02:00.0, 1.00, 40, Enabled, L4"], None),
            []
        );
        assert!(!profile.gpus.contains_key("GPU-b"));
    }

    #[test]
    fn boards_that_change_places_stay_known() {
        let mut profile = HostProfile::default();
        settled(&mut profile, &[A, B], None);
        let faults = settled(&mut profile, &["0, GPU-b, 00000000:01:00.0, 1, 40, Enabled, L4"], None);
        assert_eq!(faults.len(), 1);
        assert_eq!(profile.gpus.len(), 2);
    }

    #[test]
    fn the_inventorys_count_says_when_a_board_is_gone_for_good() {
        let mut profile = HostProfile::default();
        settled(&mut profile, &[A, B], Some(2));
        assert_eq!(settled(&mut profile, &[A], Some(2)).len(), 1);
        assert_eq!(settled(&mut profile, &[A], Some(1)), []);
        assert_eq!(profile.gpus.len(), 1);
    }

    #[test]
    fn fewer_gpus_than_the_inventory_has_are_one_fault() {
        let faults = settled(&mut HostProfile::default(), &[A], Some(8));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].evidence.as_str(), "1 of the inventory's 8 GPUs answered");
    }

    #[test]
    fn a_bad_row_and_its_missing_gpu_are_one_fault() {
        let mut profile = HostProfile::default();
        settled(&mut profile, &[A, B, C], None);
        let named = settled(&mut profile, &[A, "1, GPU-b, 0000", C], None);
        assert_eq!(named.len(), 1);
        assert_eq!(
            (named[0].kind, &named[0].gpu),
            (FaultKind::BadRow, &Some(SafeText::new("00000000:02:00.0")))
        );
        let by_elimination = settled(&mut profile, &[A, "1, GPU-, 0000", C], None);
        assert_eq!(by_elimination, [Fault { evidence: SafeText::new("1, GPU-, 0000"), ..named[0].clone() }]);
    }

    #[test]
    fn a_lost_row_is_named_by_elimination() {
        let mut profile = HostProfile::default();
        settled(&mut profile, &[A, B, C], None);
        let lost = ["[GPU is lost]"; 7].join(", ");
        let faults = settled(&mut profile, &[A, &lost, C], Some(3));
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (faults[0].kind, &faults[0].gpu),
            (FaultKind::GpuLost, &Some(SafeText::new("00000000:02:00.0")))
        );
    }

    /// Every text that an NVML error may leave in a cell, and what else may stand there.
    fn without_power() -> Vec<String> {
        let table = include_str!("../../../fixtures/nvidia-smi/nvml-error-to-cell.tsv");
        let errors = table.lines().skip(2).flat_map(|line| line.split('\t').skip(2));
        let others =
            ["", "N/A", "[N/A]", "[Not Supported]", "1e5", "99999.00", "-1", "word", "[GPU is lost]"];
        errors.chain(others).map(str::to_owned).collect()
    }

    #[test]
    fn a_gpu_that_gave_power_before_and_gives_none_now_is_never_well() {
        for text in without_power() {
            let mut profile = HostProfile::default();
            assert_eq!(settled(&mut profile, &[A, B], None), []);
            let row = format!("1, GPU-b, 00000000:02:00.0, {text}, 40, Enabled, L4");
            for _ in 0..3 {
                let faults = settled(&mut profile, &[A, &row], None);
                assert_eq!(faults.len(), 1, "{text}: {faults:?}");
                assert!(faults[0].kind.costs_a_reading(), "{text}");
                assert!(!faults[0].wording.hint.is_empty(), "{text}");
                assert_eq!(
                    (&faults[0].gpu, faults[0].index),
                    (&Some(SafeText::new("00000000:02:00.0")), Some(1)),
                    "{text}"
                );
            }
            assert_eq!(settled(&mut profile, &[A, B], None), [], "{text}");
        }
    }

    #[test]
    fn a_board_that_never_had_a_sensor_is_well_and_one_with_an_error_is_not() {
        let faults = |text: &str| {
            let row = format!("1, GPU-b, 00000000:02:00.0, {text}, 40, Enabled, L4");
            settled(&mut HostProfile::default(), &[A, &row], None)
        };
        for text in ["[N/A]", "N/A", "[Not Supported]", ""] {
            assert_eq!(faults(text), [], "{text}");
        }
        let kinds = [
            ("[GPU requires reset]", FaultKind::ResetRequired),
            ("[Unknown Error]", FaultKind::UnknownError),
            ("[Timeout]", FaultKind::GpuTimeout),
            ("[Insufficient Permissions]", FaultKind::NoPermission),
            ("[GPU is lost]", FaultKind::GpuLost),
            ("9999.00", FaultKind::ImplausiblePower),
            ("[Interrupt Request Issue]", FaultKind::NoPower),
        ];
        for (text, kind) in kinds {
            assert_eq!(faults(text).iter().map(|fault| fault.kind).collect::<Vec<_>>(), [kind], "{text}");
        }
    }

    #[test]
    fn what_the_driver_asks_for_is_told_beside_a_reading_and_without_one() {
        let fields = &["index", "uuid", "pci.bus_id", "power.draw", "gpu_recovery_action", "name"];
        let told = |draw: &str, action: &str| {
            let row = format!("0, GPU-a, 00000000:01:00.0, {draw}, {action}, L4\n");
            let mut rows = read_rows(fields, &row, Ending::Whole);
            reconcile(&mut HostProfile::default(), &mut rows, None, &|_| {
                (FaultKind::GpuMissing, String::new())
            });
            rows.faults.iter().map(|fault| (fault.kind, fault.evidence.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(told("50.00", "None"), []);
        assert_eq!(told("50.00", "Drain P2P"), [(FaultKind::RecoveryAction, "Drain P2P".to_owned())]);
        let message = "[GPU requires reset]; the driver asks for: Reset".to_owned();
        assert_eq!(told("[GPU requires reset]", "Reset"), [(FaultKind::ResetRequired, message)]);
    }

    #[test]
    fn a_reading_of_another_kind_is_remarked_once() {
        let fields = &["index", "uuid", "power.draw", "power.draw.average", "name"];
        let mut profile = HostProfile::default();
        let mut kinds = |average: &str| {
            let row = format!("0, GPU-a, 50.00, {average}, L4\n");
            let mut rows = read_rows(fields, &row, Ending::Whole);
            reconcile(&mut profile, &mut rows, None, &|_| (FaultKind::GpuMissing, String::new()));
            rows.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("51.00"), []);
        assert_eq!(kinds("[Unknown Error]"), [FaultKind::KindChanged]);
        assert_eq!(kinds("[Unknown Error]"), []);
        assert_eq!(kinds("51.00"), [FaultKind::KindChanged]);
    }

    #[test]
    fn a_draw_that_never_moves_while_the_temperature_does_is_reported_while_it_lasts() {
        let mut profile = HostProfile::default();
        let mut n_faults = 0;
        for i in 0..40 {
            let row = format!("0, GPU-a, 00000000:01:00.0, 46.19, {}, Enabled, L4", 40 + i / 5);
            n_faults += settled(&mut profile, &[&row], None).len();
        }
        assert_eq!(n_faults, 11);
        assert_eq!(settled(&mut profile, &[A], None), []);
    }

    #[test]
    fn a_resting_board_is_not_a_frozen_one() {
        let mut profile = HostProfile::default();
        for _ in 0..100 {
            assert_eq!(settled(&mut profile, &[A], None), []);
        }
    }

    #[test]
    fn persistence_off_is_reported_once_and_again_after_it_was_on() {
        let mut profile = HostProfile::default();
        let off = &["0, GPU-a, 00000000:01:00.0, 50.00, 40, Disabled, L4"][..];
        let unknown = &["0, GPU-a, 00000000:01:00.0, 50.00, 40, [N/A], L4"][..];
        let counts = [off, off, unknown, off, &[A], off].map(|rows| settled(&mut profile, rows, None).len());
        assert_eq!(counts, [1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_host_with_ever_new_gpus_cannot_grow_what_is_remembered() {
        let mut profile = HostProfile::default();
        for i in 0..500 {
            let row = format!("0, GPU-{i}, 0000{i:04}:01:00.0, 50.00, 40, Enabled, L4");
            settled(&mut profile, &[&row], None);
            assert!(profile.gpus.len() <= MAX_GPUS);
        }
    }
}
