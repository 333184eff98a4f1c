//! Queries of hosts of all ages, whole and broken.

use proptest::prelude::*;

use super::*;
use crate::probe::KnownGpu;
use crate::probe::nvidia_smi::FIELDS;
use crate::reading::{Absent, Power, Quantity};

fn out(stdout: &str, exit: i32) -> Output {
    Output { stdout: stdout.into(), exit: Some(exit), ..Output::default() }
}

fn asked(call: &Command) -> Vec<String> {
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
        "gpu_recovery_action" => "None".to_owned(),
        "name" => "NVIDIA L4".to_owned(),
        "clocks_event_reasons.active" | "clocks_throttle_reasons.active" => "0x0000000000000004".to_owned(),
        _ => "50.00".to_owned(),
    }
}

/// The answer of a host: `refused` are the names that its driver does not know, `lost` the GPUs without a handle.
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

    fn run(&self, call: &Command) -> (String, i32) {
        let fields = asked(call);
        if let Some(name) = fields.iter().find(|name| self.refused.contains(&name.as_str())) {
            return (format!("Field \"{name}\" is not a valid field to query.\n\n"), 2);
        }
        let chosen = call.args.iter().position(|arg| arg == "-i").map(|at| call.args[at + 1].clone());
        let is_chosen = |gpu: &usize| {
            let is_it = |one: &str| one.trim_start_matches("GPU-") == gpu.to_string();
            chosen.as_ref().is_none_or(|chosen| chosen.split(',').any(is_it))
        };
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
        let row =
            |gpu: &usize| fields.iter().map(|f| cell(f, *gpu, self.driver)).collect::<Vec<_>>().join(", ");
        (gpus.iter().map(|gpu| row(gpu) + "\n").collect(), 0)
    }
}

fn talk(host: &Host, profile: HostProfile, in_inventory: Option<usize>) -> (Product, usize) {
    let (mut query, mut call) = Query::open(profile, in_inventory);
    for n_calls in 1..200 {
        let (stdout, exit) = host.run(&call);
        match query.answer(&out(&stdout, exit)) {
            Next::Ask(next) => call = next,
            Next::Done(probed) => return (*probed, n_calls),
        }
    }
    panic!("the query does not end");
}

/// Fields that drivers before 590 do not know, and those before 530.
const BEFORE_590: &[&str] = &["gpu_recovery_action", "module.power.draw.instant"];
const OLD: &[&str] = &[
    "power.draw.instant",
    "power.draw.average",
    "clocks_event_reasons.active",
    "gpu_recovery_action",
    "module.power.draw.instant",
];

#[test]
fn a_driver_that_knows_all_is_asked_once() {
    let (probed, n_calls) = talk(&Host::new("590.48.01", &[]), HostProfile::default(), None);
    assert_eq!((probed.outcome, probed.gpus.len(), n_calls), (Outcome::Complete, 8, 1));
    assert_eq!(probed.gpus_expected, Some(8));
    assert_eq!(probed.profile.driver_version.as_deref(), Some("590.48.01"));
}

#[test]
fn refused_fields_are_dropped_and_remembered() {
    let host = Host::new("470.256.02", OLD);
    let (first, n_calls) = talk(&host, HostProfile::default(), None);
    assert_eq!((first.outcome.clone(), n_calls), (Outcome::Complete, 2));
    assert_eq!(first.gpus[0].typed::<Power>(Quantity::PowerAverage), Err(&Absent::not_asked()));
    assert_eq!(
        first.gpus[0].typed(Quantity::ClocksEventReasons),
        Ok(&4_u64),
        "the older name reads into the same place"
    );
    let (second, n_calls) = talk(&host, first.profile.clone(), None);
    assert_eq!((second.gpus, second.profile.refused, n_calls), (first.gpus, first.profile.refused, 1));
}

#[test]
fn a_new_driver_is_asked_the_full_list_in_the_same_cycle() {
    let (old, _) = talk(&Host::new("470.256.02", OLD), HostProfile::default(), None);
    let (new, n_calls) = talk(&Host::new("550.54.15", BEFORE_590), old.profile, None);
    assert_eq!(n_calls, 2);
    assert_eq!(new.gpus[0].typed(Quantity::PowerAverage), Ok(&Power::from_watts(50)));
    assert_eq!(new.profile.refused, BEFORE_590.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(new.profile.driver_version.as_deref(), Some("550.54.15"));
}

#[test]
fn an_older_driver_is_asked_twice_and_no_more() {
    let (new, _) = talk(&Host::new("590.48.01", &[]), HostProfile::default(), None);
    let (old, n_calls) = talk(&Host::new("470.256.02", OLD), new.profile, None);
    assert_eq!((old.outcome, n_calls), (Outcome::Complete, 2));
}

#[test]
fn a_refusal_that_says_too_much_of_the_age_is_put_right_by_the_version() {
    // No real driver refuses it; a wrapper that knows some fields may.
    let host = Host::new("595.71.05", &["power.max_limit"]);
    let (probed, n_calls) = talk(&host, HostProfile::default(), None);
    assert_eq!((probed.outcome, n_calls), (Outcome::Complete, 3));
    assert_eq!(probed.profile.refused, ["power.max_limit".to_owned()].into());
    assert!(probed.gpus[0].get(Quantity::PowerAverage).is_ok());
}

#[test]
fn the_rows_of_the_short_list_stay_if_the_full_list_fails() {
    let (old, _) = talk(&Host::new("470.256.02", OLD), HostProfile::default(), None);
    let new = Host::new("590.48.01", &[]);
    let (mut query, call) = Query::open(old.profile, None);
    let (rows, _) = new.run(&call);
    assert!(matches!(query.answer(&out(&rows, 0)), Next::Ask(_)));
    let Next::Done(probed) = query.answer(&out("", 124)) else { panic!("asked again") };
    assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Complete));
}

#[test]
fn an_identity_cannot_be_refused_nor_a_name_that_was_not_asked() {
    for name in ["uuid", "index", "name", "pci.bus_id", "made.up"] {
        let (mut query, _) = Query::open(HostProfile::default(), None);
        let text = format!("Field \"{name}\" is not a valid field to query.\n\n");
        let Next::Done(probed) = query.answer(&out(&text, 2)) else { panic!("{name} was dropped") };
        assert_eq!(probed.outcome.label(), "refused");
        assert_eq!(probed.profile, HostProfile::default());
    }
}

fn indices(probed: &Product) -> Vec<u32> {
    probed.gpus.iter().map(|gpu| *gpu.index().unwrap()).collect()
}

#[test]
fn one_lost_gpu_does_not_hide_the_seven_others() {
    let mut host = Host::new("550.54.15", &[]);
    let (healthy, _) = talk(&host, HostProfile::default(), None);
    host.lost = vec![3];
    for (profile, n_expected, index) in [(healthy.profile, 2, Some(3)), (HostProfile::default(), 10, None)] {
        let (probed, n_calls) = talk(&host, profile, None);
        assert_eq!((indices(&probed), n_calls), (vec![0, 1, 2, 4, 5, 6, 7], n_expected));
        assert_eq!((probed.outcome, probed.gpus_expected), (Outcome::Partial, Some(8)));
        assert_eq!(probed.faults.len(), 1);
        assert_eq!((probed.faults[0].kind, probed.faults[0].index), (FaultKind::GpuMissing, index));
        assert!(probed.faults[0].gpu.as_ref().unwrap().as_str().ends_with("0000:03:00.0"));
        assert!(probed.faults[0].evidence.as_str().contains("GPU is lost. Reboot"));
    }
}

#[test]
fn gpus_are_listed_by_their_index_whatever_their_uuids_are() {
    // By their UUIDs, GPU-10 stands before GPU-2.
    let mut host = Host { n_gpus: 12, ..Host::new("590.48.01", &[]) };
    let (healthy, _) = talk(&host, HostProfile::default(), None);
    host.lost = vec![5];
    let (probed, _) = talk(&host, healthy.profile, None);
    assert_eq!(indices(&probed), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn each_further_lost_gpu_takes_a_call_more() {
    let mut host = Host::new("550.54.15", &[]);
    let (healthy, _) = talk(&host, HostProfile::default(), None);
    host.lost = vec![1, 4, 6];
    let (probed, n_calls) = talk(&host, healthy.profile, None);
    assert_eq!((indices(&probed), n_calls), (vec![0, 2, 3, 5, 7], 4));
    let lost: Vec<_> = probed.faults.iter().map(|fault| fault.index).collect();
    assert_eq!(lost, [Some(1), Some(4), Some(6)]);
}

#[test]
fn a_host_with_all_gpus_lost_has_lost_its_gpus() {
    let mut host = Host::new("550.54.15", &[]);
    let (healthy, _) = talk(&host, HostProfile::default(), None);
    host.lost = (0..8).collect();
    for profile in [healthy.profile, HostProfile::default()] {
        let (probed, _) = talk(&host, profile.clone(), None);
        assert_eq!(probed.outcome.label(), "gpu_lost");
        assert_eq!(probed.faults.len(), 8);
        assert_eq!(probed.profile.gpus, profile.gpus);
    }
}

#[test]
fn a_host_that_has_more_gpus_than_are_known_is_asked_by_place() {
    let mut host = Host::new("550.54.15", &[]);
    host.lost = vec![3];
    let known = KnownGpu { bus_id: Some("00000000:00:00.0".to_owned()), ..KnownGpu::default() };
    let profile = HostProfile { gpus: [("GPU-0".to_owned(), known)].into(), ..HostProfile::default() };
    let (probed, _) = talk(&host, profile, Some(8));
    assert_eq!((indices(&probed), probed.faults.len()), (vec![0, 1, 2, 4, 5, 6, 7], 1));
}

#[test]
fn what_was_not_asked_is_not_called_missing() {
    let mut host = Host::new("550.54.15", &[]);
    let (healthy, _) = talk(&host, HostProfile::default(), None);
    host.lost = vec![7];
    let (mut query, call) = Query::open(healthy.profile, None);
    let (stdout, exit) = host.run(&call);
    let Next::Ask(_) = query.answer(&out(&stdout, exit)) else { panic!("done") };
    // The call for the others does not get through, so that they are asked one by one.
    let mut step = query.answer(&out("Unable to determine the device handle for GPU: Unknown Error", 255));
    for _ in 0..2 {
        let Next::Ask(call) = step else { panic!("done") };
        let (stdout, exit) = host.run(&call);
        step = query.answer(&out(&stdout, exit));
    }
    let probed = query.give_up(Failure::new(FailureKind::Timeout, "3 s"));
    assert_eq!((probed.outcome.clone(), indices(&probed)), (Outcome::Partial, vec![0, 1]));
    let named = |kind| {
        let of_kind = probed.faults.iter().filter(|fault| fault.kind == kind);
        of_kind.filter_map(|fault| fault.index).collect::<Vec<_>>()
    };
    assert_eq!(named(FaultKind::GpuMissing), [7]);
    assert_eq!(named(FaultKind::NotAsked), [2, 3, 4, 5, 6]);
    assert_eq!(probed.gpus_expected, Some(8));
}

#[test]
fn a_query_by_place_that_was_not_finished_goes_on_in_the_next_cycle() {
    let mut host = Host::new("550.54.15", &[]);
    host.lost = vec![6];
    let (mut query, mut call) = Query::open(HostProfile::default(), None);
    for _ in 0..4 {
        let (stdout, exit) = host.run(&call);
        let Next::Ask(next) = query.answer(&out(&stdout, exit)) else { panic!("done") };
        call = next;
    }
    let first = query.give_up(Failure::new(FailureKind::Timeout, "8 s"));
    assert_eq!((indices(&first), first.profile.unasked_from), (vec![0, 1, 2], Some(3)));
    let kinds: Vec<_> = first.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::GpuMissing, FaultKind::NotAsked]);
    let (second, n_calls) = talk(&host, first.profile, None);
    assert_eq!((indices(&second), n_calls), (vec![0, 1, 2, 3, 4, 5, 7], 8));
    assert_eq!(second.profile.unasked_from, None);
}

#[test]
fn counts_have_each_gpu_that_is_there_whatever_became_of_its_row() {
    let host = Host::new("590.48.01", &[]);
    let (mut query, call) = Query::open(HostProfile::default(), None);
    let (stdout, _) = host.run(&call);
    let cut = stdout.replacen("3, GPU-3, 00000000:03:00.0, 590.48.01, 50.00,", "3, GPU-3,", 1);
    let Next::Done(probed) = query.answer(&out(&cut, 0)) else { panic!("asked again") };
    assert_eq!((probed.gpus.len(), probed.gpus_expected, probed.outcome), (7, Some(8), Outcome::Partial));
}

#[test]
fn a_host_of_which_no_gpu_gives_power_any_more_has_failed_and_keeps_what_it_said() {
    let host = Host::new("590.48.01", &[]);
    let (well, _) = talk(&host, HostProfile::default(), None);
    for (text, label) in [("[GPU requires reset]", "reset_required"), ("[N/A]", "no_power")] {
        let (mut query, call) = Query::open(well.profile.clone(), None);
        let fields = asked(&call);
        let row = |gpu: usize| {
            let value = |f: &String| {
                if f.starts_with("power.draw") { text.to_owned() } else { cell(f, gpu, "590.48.01") }
            };
            fields.iter().map(value).collect::<Vec<_>>().join(", ") + "\n"
        };
        let stdout: String = (0..8).map(row).collect();
        let Next::Done(probed) = query.answer(&out(&stdout, 0)) else { panic!("asked again") };
        assert_eq!((probed.outcome.label(), probed.gpus.len(), probed.faults.len()), (label, 8, 8), "{text}");
    }
}

#[test]
fn a_deadline_before_any_row_is_the_given_failure_and_keeps_what_was_known() {
    let (known, _) = talk(&Host::new("470.256.02", OLD), HostProfile::default(), None);
    let (query, _) = Query::open(known.profile.clone(), None);
    let failure = Failure::new(FailureKind::Timeout, "8 s");
    let probed = query.give_up(failure.clone());
    let failure = Outcome::Failed(failure.worded(FAILURES));
    assert_eq!((probed.outcome, probed.profile), (failure, known.profile));
}

#[test]
fn a_warning_of_the_tool_costs_no_reading() {
    let host = Host::new("550.54.15", &[]);
    for warning in ["", "WARNING: infoROM is corrupted at gpu 0008:00:00.0\n"] {
        let (mut query, call) = Query::open(HostProfile::default(), None);
        let (stdout, _) = host.run(&call);
        let stdout = format!("{stdout}{warning}");
        let Next::Done(probed) = query.answer(&out(&stdout, 14)) else { panic!("asked again") };
        assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Complete));
        assert_eq!(probed.faults[0].kind, FaultKind::Warning);
    }
}

#[test]
fn rows_count_although_the_call_failed_after_them() {
    let host = Host::new("550.54.15", &[]);
    let (mut query, call) = Query::open(HostProfile::default(), None);
    let (stdout, _) = host.run(&call);
    let Next::Done(probed) = query.answer(&out(&stdout, 3)) else { panic!("asked again") };
    assert_eq!((probed.gpus.len(), probed.outcome), (8, Outcome::Partial));
    assert_eq!(probed.faults[0].evidence.as_str(), "exit code 3");
}

#[test]
fn output_without_a_row_that_was_cut_off_is_too_large() {
    let (mut query, _) = Query::open(HostProfile::default(), None);
    let answer = Output { truncated: true, ..out("y\ny\ny", 0) };
    let Next::Done(probed) = query.answer(&answer) else { panic!("asked again") };
    assert_eq!(probed.outcome.label(), "output_too_large");
}

/// Pieces of answers, so that random ones reach every state.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let rows = |driver| Host::new(driver, &[]).run(&Query::open(HostProfile::default(), None).1).0;
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
    fn any_answers_end_the_query_within_its_bounds(
        answers in prop::collection::vec((prop::collection::vec(piece(), 0..4), any::<bool>(), 0..3), 1..40)
    ) {
        let (mut query, _) = Query::open(HostProfile::default(), None);
        let mut n_calls = 0;
        for (pieces, truncated, exit) in answers.iter().cycle() {
            let stdout = pieces.concat();
            let exit = [Some(0), Some(255), None][usize::try_from(*exit).unwrap()];
            n_calls += 1;
            prop_assert!(n_calls < 150);
            match query.answer(&Output { stdout: stdout.clone(), stderr: stdout.clone(), exit, truncated: *truncated, ..Output::default() }) {
                Next::Ask(_) => {}
                Next::Done(probed) => {
                    prop_assert!(probed.gpus.len() <= MAX_GPUS);
                    prop_assert!(probed.profile.refused.len() <= FIELDS.len() + 1);
                    break;
                }
            }
        }
    }
}
