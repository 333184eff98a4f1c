//! Cases of GPUs that are not well, polled one after the other by the program itself, and every way in which a GPU
//! may stop to give its power.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetwatt::alert::{Rules, Scope, State, evaluate};
use fleetwatt::batch::{Batch, BatchId, HostReport};
use fleetwatt::probe::nvidia_smi::Query;
use fleetwatt::probe::{HostProfile, Next, Output, Product};
use fleetwatt::reading::{Failure, FailureKind, FaultKind, Outcome, Span, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::case::Case;
use crate::fleet;
use crate::program::{Home, Ran, Row, of_type};

fn case_file(number: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi/cases");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(number);
    entries.into_iter().find(is_it).unwrap()
}

/// One host of this machine whose nvidia-smi plays a case.
struct Played {
    home: Home,
    inventory: PathBuf,
}

impl Played {
    fn new() -> Self {
        let home = Home::new();
        let (program, case) = (home.path("nvidia-smi"), home.path("case.json"));
        let stub = fleet::stub().unwrap();
        let script =
            format!("#!/bin/sh\nFAKE_NVIDIA_SMI={} exec {} \"$@\"\n", case.display(), stub.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = "[[host]]\nname = \"real\"\nlocal = true\nnvidia_smi =";
        let inventory = home.inventory(&format!("{host} \"{}\"\n", program.display()));
        Self { home, inventory }
    }

    /// Polls a case, and says how often nvidia-smi was called.
    fn poll_with(&self, number: &str, args: &[&str]) -> (Ran, usize) {
        std::fs::copy(case_file(number), self.home.path("case.json")).unwrap();
        std::fs::write(self.home.path("case.calls"), "").unwrap();
        let ran = self.home.poll(&self.inventory, args);
        let calls = std::fs::read_to_string(self.home.path("case.calls")).unwrap();
        (ran, calls.lines().count())
    }

    fn poll(&self, number: &str) -> Ran {
        self.poll_with(number, &[]).0
    }

    /// The alerts of the timeline: raised or cleared, and the key.
    fn alerts(&self) -> Vec<(f64, String)> {
        let alert = |row: &&Row| (row.2.unwrap(), row.3["key"].as_str().unwrap().to_owned());
        of_type(&self.home.rows(), "alert").iter().map(alert).collect()
    }

    /// The metadata of the last `node_up`.
    fn node(&self) -> Value {
        of_type(&self.home.rows(), "node_up").last().unwrap().3.clone()
    }
}

#[test]
fn a_gpu_that_stops_to_give_power_is_a_fault_with_a_hint_and_an_alert_until_it_gives_it_again() {
    for (number, kind, hint) in [("02", "reset_required", "--gpu-reset"), ("03", "unknown_error", "Xid")] {
        let played = Played::new();
        assert_eq!(played.poll("01").code, Some(0));
        let ran = played.poll(number);
        assert_eq!(ran.code, Some(3), "{}", ran.stdout);
        assert!(
            ran.stdout.contains("(GPU 3, 00000000:04:00.0)") && ran.stdout.contains(hint),
            "{}",
            ran.stdout
        );
        let node = played.node();
        assert_eq!((&node["outcome"], &node["faults"][0]["kind"]), (&"partial".into(), &kind.into()));
        assert_eq!((&node["gpus_reporting"], &node["gpus_expected"]), (&7.into(), &8.into()));
        assert_eq!(played.poll("01").code, Some(0));
        let key = "gpu_missing:node_real/00000000:04:00.0".to_owned();
        assert_eq!(played.alerts(), [(1.0, key.clone()), (0.0, key)]);
    }
}

#[test]
fn seven_gpus_beside_one_without_a_handle_are_read_in_two_calls() {
    let played = Played::new();
    assert_eq!(played.poll("01").code, Some(0));
    let (ran, n_calls) = played.poll_with("04", &[]);
    assert_eq!((ran.code, n_calls), (Some(3), 2), "{}", ran.stdout);
    let node = played.node();
    assert_eq!((&node["gpus_reporting"], &node["gpus_expected"]), (&7.into(), &8.into()));
    let faults: Vec<&str> =
        node["faults"].as_array().unwrap().iter().map(|fault| fault["message"].as_str().unwrap()).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("a GPU is missing (GPU 6, 00000000:07:00.0): "), "{faults:?}");
    assert_eq!(played.alerts(), [(1.0, "gpu_missing:node_real/00000000:07:00.0".to_owned())]);
}

/// The power events of a first poll.
fn powers(number: &str) -> Vec<(f64, Value)> {
    let played = Played::new();
    played.poll(number);
    let power = |row: &&Row| (row.2.unwrap(), row.3.clone());
    of_type(&played.home.rows(), "gpu_power_draw").iter().map(power).collect()
}

#[test]
fn a_board_asleep_is_not_believed_to_draw_hundreds_of_watts() {
    assert_eq!(powers("05"), []);
}

#[test]
fn a_limit_in_force_of_zero_says_nothing() {
    let (watts, metadata) = powers("06").remove(0);
    assert_eq!((watts, &metadata["power_limit_w"]), (95.0, &700.0.into()));
}

#[test]
fn a_cap_that_was_lowered_under_load_hides_no_reading() {
    let (watts, metadata) = powers("07").remove(0);
    assert_eq!((watts, &metadata["power_kind"]), (690.0, &"average".into()));
}

#[test]
fn an_old_driver_is_asked_twice_at_first_contact() {
    let (ran, n_calls) = Played::new().poll_with("08", &["--dry-run"]);
    assert_eq!((ran.code, n_calls), (Some(0), 2), "{}", ran.stdout);
    assert!(ran.stdout.contains("8 of 8 GPUs"), "{}", ran.stdout);
}

#[test]
fn a_host_whose_gpu_is_kept_from_us_names_what_keeps_it() {
    for (number, hint) in [("09", "wsl --shutdown"), ("10", "daemon-reload"), ("11", "DevicePolicy")] {
        let ran = Played::new().poll(number);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stdout.contains(hint), "{}", ran.stdout);
    }
}

#[test]
fn a_field_that_was_refused_is_asked_again_when_the_program_is_another_one_and_after_a_day() {
    let kinds = |change: &dyn Fn(&Played)| {
        let played = Played::new();
        let whole = std::fs::read_to_string(case_file("06")).unwrap();
        let case = played.home.path("case.json");
        // The same driver, and a program that does not know all that it has.
        std::fs::write(&case, whole.replace("\"power.draw.average\"", "\"later\"")).unwrap();
        let poll = || assert_eq!(played.home.poll(&played.inventory, &[]).code, Some(0));
        poll();
        std::fs::write(&case, whole).unwrap();
        poll();
        change(&played);
        poll();
        let rows = played.home.rows();
        let kind = |row: &&Row| row.3["power_kind"].as_str().unwrap().to_owned();
        of_type(&rows, "gpu_power_draw").iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&|_| ()), ["draw", "draw", "draw"]);
    let exchange = |played: &Played| {
        let program = played.home.path("nvidia-smi");
        let script = std::fs::read_to_string(&program).unwrap();
        std::fs::write(program, script + "# another one\n").unwrap();
    };
    assert_eq!(kinds(&exchange), ["draw", "draw", "average"]);
    let a_day_passes = |played: &Played| {
        let path = played.home.path("s/hosts.json");
        let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let asked_at = &mut file["hosts"]["real"]["asked_all_us"];
        *asked_at = Value::from(asked_at.as_i64().unwrap() - 25 * 3_600_000_000);
        std::fs::write(&path, file.to_string()).unwrap();
    };
    assert_eq!(kinds(&a_day_passes), ["draw", "draw", "average"]);
}

/// What a host with a case answers, by as many calls as it takes.
fn talk(case: &Case, profile: HostProfile, change: &dyn Fn(String) -> String) -> Product {
    let (mut query, mut call) = Query::open(profile, None);
    for _ in 0..50 {
        let (stdout, exit) = case.answer(&call.args);
        let stdout = change(stdout);
        let answer = Output { stdout: stdout.into(), exit: Some(exit), ..Output::default() };
        match query.answer(&answer) {
            Next::Ask(next) => call = next,
            Next::Done(probed) => return *probed,
        }
    }
    panic!("the conversation does not end");
}

fn batch(probed: Product) -> Batch {
    let at = Timestamp::from_micros(1_795_503_600_000_000);
    let report = HostReport {
        node: "real".to_owned(),
        address: "localhost".to_owned(),
        jump: None,
        labels: BTreeMap::new(),
        span: Span { asked_at: at, answered_at: at },
        probe_time: Duration::ZERO,
        outcome: probed.outcome,
        gpus: probed.gpus,
        gpus_expected: probed.gpus_expected,
        faults: probed.faults,
        samples: None,
        maintenance: false,
    };
    Batch { id: BatchId(Uuid::nil()), started_at: at, reports: vec![report], account: None }
}

/// What may stand in the place of a number: each text of each NVML error, and nonsense.
fn texts() -> Vec<String> {
    let table = include_str!("../../fixtures/nvidia-smi/nvml-error-to-cell.tsv");
    let errors = table.lines().skip(2).flat_map(|line| line.split('\t').skip(2));
    let others = ["", "N/A", "99999.00", "-1.00", "1e3", "None", "[Some Later Error]"];
    let all: BTreeSet<String> = errors.chain(others).map(str::to_owned).collect();
    all.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_gpu_that_gave_power_and_gives_none_is_never_well_and_is_alarmed_until_it_does(
        text in prop::sample::select(texts()),
        which in 1_u8..=255,
        is_absent in any::<bool>(),
    ) {
        let case = Case::read(&case_file("01")).unwrap();
        let is_hit = |place: usize| which & (1 << place) != 0;
        let spoil = |stdout: String| {
            let lines = stdout.lines().filter_map(|line| {
                let place: usize = match line.split(',').next()?.parse() {
                    Ok(place) if is_hit(place) => place,
                    _ => return Some(format!("{line}\n")),
                };
                let watts = format!("60{place}.25");
                (!is_absent).then(|| line.replace(&watts, &text) + "\n")
            });
            lines.collect::<String>()
        };
        let well = talk(&case, HostProfile::default(), &|stdout| stdout);
        let ill = talk(&case, well.profile.clone(), &spoil);
        let healed = talk(&case, ill.profile.clone(), &|stdout| stdout);
        let n_hit = usize::try_from(which.count_ones()).unwrap();
        if n_hit == 8 {
            prop_assert!(!ill.outcome.is_up(), "{:?}", ill.outcome);
        } else {
            prop_assert_eq!(&ill.outcome, &Outcome::Partial);
        }
        let n_reporting = ill.gpus.iter().filter(|gpu| gpu.power().is_ok()).count();
        prop_assert_eq!((n_reporting, ill.gpus_expected), (8 - n_hit, Some(8)));
        prop_assert_eq!(&healed.outcome, &Outcome::Complete);
        let (rules, mut state) = (Rules::default(), State::default());
        let mut told = |probed: Product| {
            let facts = batch(probed).alert_facts(Scope::Whole);
            let transitions = evaluate(&rules, &mut state, &facts);
            transitions.into_iter().map(|one| (one.key, one.raised)).collect::<BTreeSet<_>>()
        };
        prop_assert!(told(well).is_empty());
        let raised = told(ill);
        let n_expected = if is_absent && n_hit == 8 { 1 } else { n_hit };
        prop_assert!(raised.len() == n_expected && raised.iter().all(|(_, raised)| *raised), "{raised:?}");
        let cleared: BTreeSet<_> = raised.into_iter().map(|(key, _)| (key, false)).collect();
        prop_assert_eq!(told(healed), cleared);
    }
}

#[test]
fn a_gpu_that_there_was_no_time_for_keeps_the_alert_that_it_has() {
    let (well, lost) = (Case::read(&case_file("01")).unwrap(), Case::read(&case_file("04")).unwrap());
    let same = |stdout: String| stdout;
    let known = talk(&well, HostProfile::default(), &same).profile;
    let (rules, mut state) = (Rules::default(), State::default());
    let mut told = |probed: Product| {
        let facts = batch(probed).alert_facts(Scope::Whole);
        evaluate(&rules, &mut state, &facts).into_iter().map(|one| (one.key, one.raised)).collect::<Vec<_>>()
    };
    assert_eq!(told(talk(&lost, known.clone(), &same)).len(), 1);
    // In the next cycle the line names nobody, and only the first GPU is asked for before the time is over.
    let (mut query, _) = Query::open(known, None);
    let mut answer = |text: &str, exit| {
        query.answer(&Output { stdout: text.into(), exit: Some(exit), ..Output::default() })
    };
    let Next::Ask(single) = answer("Unable to determine the device handle for GPU: Unknown Error\n", 255)
    else {
        panic!("done")
    };
    let (row, exit) = well.answer(&single.args);
    assert!(matches!(answer(&row, exit), Next::Ask(_)));
    let probed = query.give_up(Failure::new(FailureKind::Timeout, "2 s"));
    assert_eq!(probed.faults.iter().filter(|fault| fault.kind == FaultKind::NotAsked).count(), 7);
    assert_eq!(told(probed), [], "neither raised for those nor cleared for the lost one");
}
