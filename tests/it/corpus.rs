//! Every captured answer of a real nvidia-smi goes through the probe: each cell of it becomes a value or an
//! absence with its reason, and each failure the right kind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a capture that is not as expected fails its test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use std::borrow::Cow;

use fleetwatt::probe::nvidia_smi::{Ending, FIELDS, Query, Rows, cell_reason, read_rows};
use fleetwatt::probe::{Command, HostProfile, Next, Output, Product};
use fleetwatt::reading::{Device, FaultKind, Outcome, Power, Quantity, Reason, Value};

/// The fields that were asked where a capture has no header.
pub(crate) const ASKED: &[(&str, &str)] = &[
    ("smi-a10m-module-power-na.csv", "module.power.draw.average"),
    ("smi-b200-noheader.csv", "name,driver_version,memory.total"),
    ("smi-gb10-memory-na-580.159.csv", "name,driver_version,memory.total,memory.used,memory.free"),
    ("smi-gb10-noheader-memory-na-util-zero.csv", "memory.used,memory.total,utilization.memory"),
    ("smi-gb10-noheader.csv", "name,driver_version,pci.bus_id,utilization.gpu,power.draw"),
    ("smi-gtx1050ti-fan.csv", "fan.speed"),
    ("smi-jetson-orin-compute-cap.csv", "name,compute_cap"),
    ("smi-jetson-orin-identity.csv", "name,driver_version"),
    ("smi-laptop-fan-na.csv", "fan.speed"),
    ("smi-modal-fleet-rows.csv", "name,memory.total,driver_version"),
    ("smi-rtx-p8-1mib-noheader.csv", "power.draw,pstate,memory.used,utilization.gpu"),
    (
        "smi-rtx2080-440.64-nounits.csv",
        "power.limit,power.min_limit,power.max_limit,memory.total,vbios_version,driver_version,name,uuid,\
             power.draw,temperature.gpu,temperature.memory,clocks.current.graphics,clocks.sm,clocks.mem,\
             utilization.gpu,utilization.memory,fan.speed,pcie.link.width.current,pstate",
    ),
    (
        "smi-rtx3070-laptop-610-series.csv",
        "power.draw,clocks.gr,clocks.max.gr,utilization.gpu,clocks.mem,pstate",
    ),
    ("smi-rtx3090-fallback-power-nounits.csv", "power.draw"),
    ("smi-rtx5090-idle-noheader.csv", "name,memory.used,memory.free,utilization.gpu"),
    ("loop-power-noheader-nounits.csv", "power.draw"),
    (
        "fixture-5xa6000-unknown-errors.csv",
        "index,name,uuid,temperature.gpu,fan.speed,power.draw,power.limit,memory.used,memory.total",
    ),
    (
        "fixture-beszel-4xa10.csv",
        "index,name,temperature.gpu,memory.used,memory.total,utilization.gpu,power.draw",
    ),
    (
        "fixture-beszel-rtx3050ti-a100-na.csv",
        "index,name,temperature.gpu,memory.used,memory.total,utilization.gpu,power.draw",
    ),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi")
}

fn capture(name: &str) -> String {
    fs::read_to_string(fixtures().join("corpus").join(name)).unwrap()
}

/// The names of all captures that begin so.
fn captures(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(fixtures().join("corpus")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    assert!(!names.is_empty(), "no capture begins with {prefix}");
    names
}

/// A capture of every field: a header and one row.
struct Dump {
    header: Vec<String>,
    cells: Vec<String>,
}

impl Dump {
    fn read(name: &str) -> Self {
        let text = capture(name);
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap().split(", ").map(str::to_owned).collect::<Vec<_>>();
        let (header, cells) = (next(), next());
        assert_eq!(header.len(), cells.len(), "{name}");
        Self { header: header.iter().map(|column| without_unit(column)).collect(), cells }
    }

    fn cell(&self, field: &str) -> Option<&str> {
        self.header.iter().position(|name| name == field).map(|at| self.cells[at].as_str())
    }

    /// What that driver would have answered: the real refusal of an unknown field, or the row.
    fn answer(&self, call: &Command, cell_form: fn(&str) -> String) -> (String, i32) {
        let list = call.args[0].strip_prefix("--query-gpu=").unwrap();
        let mut row = Vec::new();
        for field in list.split(',') {
            match self.cell(field) {
                Some(cell) => row.push(cell_form(cell)),
                None => return (format!("Field \"{field}\" is not a valid field to query.\n\n"), 2),
            }
        }
        (row.join(", ") + "\n", 0)
    }
}

fn without_unit(text: &str) -> String {
    text.split(" [").next().unwrap().trim().to_owned()
}

/// A value as `nounits` prints it.
fn nounits(cell: &str) -> String {
    let units = [" W", " MiB", " %", " MHz"];
    let bare = units.iter().find_map(|unit| cell.strip_suffix(unit));
    bare.filter(|number| number.parse::<f64>().is_ok()).unwrap_or(cell).to_owned()
}

fn talk(dump: &Dump, cell_form: fn(&str) -> String, profile: HostProfile) -> (Product, usize) {
    let (mut query, mut call) = Query::open(profile, None);
    for n_calls in 1..50 {
        let (stdout, exit) = dump.answer(&call, cell_form);
        let answer = Output { stdout: stdout.into(), exit: Some(exit), ..Output::default() };
        match query.answer(&answer) {
            Next::Ask(next) => call = next,
            Next::Done(probed) => return (*probed, n_calls),
        }
    }
    panic!("the conversation does not end");
}

/// What was read for a field: its value, or the reason for its absence.
fn read_value(gpu: &Device, field: &str) -> Option<Result<Value, Reason>> {
    let field = FIELDS.iter().find(|one| one.names.contains(&field))?;
    Some(gpu.get(field.quantity).map(Cow::into_owned).map_err(|absent| absent.reason))
}

/// Each captured cell of a field that we read is a value if it looks like one, else absent for its reason.
fn assert_cells(gpu: &Device, fields: &[&str], cells: &[&str], name: &str) {
    for (at, (field, cell)) in fields.iter().zip(cells).enumerate() {
        // A column that was asked twice is read from its last place.
        let is_last = !fields[at + 1..].contains(field);
        let Some(read) = read_value(gpu, field).filter(|_| is_last) else { continue };
        assert_eq!(
            read.as_ref().err().copied(),
            cell_reason(cell),
            "{name}: {field}: {cell:?} became {read:?}"
        );
    }
}

#[test]
fn every_field_of_every_dump_is_a_value_or_absent_with_its_reason() {
    for name in captures("smi-full-") {
        let dump = Dump::read(&name);
        for cell_form in [str::to_owned as fn(&str) -> String, nounits] {
            let (probed, n_calls) = talk(&dump, cell_form, HostProfile::default());
            assert_eq!(probed.outcome, Outcome::Complete, "{name}: {:?}", probed.faults);
            assert_eq!(probed.gpus.len(), 1, "{name}");
            assert_eq!(n_calls, 1 + usize::from(!probed.profile.refused.is_empty()), "{name}");
            assert!(probed.faults.iter().all(|fault| fault.kind == FaultKind::PersistenceOff), "{name}");
            for field in FIELDS.iter().flat_map(|field| field.names) {
                let read = read_value(&probed.gpus[0], field).unwrap();
                match dump.cell(field) {
                    Some(cell) => assert_eq!(read.err(), cell_reason(cell), "{name}: {field}: {cell:?}"),
                    None => assert!(
                        field.starts_with("clocks_") || read == Err(Reason::NotAsked),
                        "{name}: {field}"
                    ),
                }
            }
            assert!(
                probed.gpus[0].get(Quantity::ClocksEventReasons).is_ok(),
                "{name}: under one of its two names"
            );
        }
    }
}

#[test]
fn units_in_an_answer_change_nothing() {
    for name in captures("smi-full-") {
        let dump = Dump::read(&name);
        let (with, _) = talk(&dump, str::to_owned, HostProfile::default());
        let (without, _) = talk(&dump, nounits, HostProfile::default());
        assert_eq!(with.gpus, without.gpus, "{name}");
    }
}

#[test]
fn the_second_conversation_with_any_driver_is_one_call() {
    for name in captures("smi-full-") {
        let dump = Dump::read(&name);
        let (first, _) = talk(&dump, nounits, HostProfile::default());
        let (second, n_calls) = talk(&dump, nounits, first.profile);
        assert_eq!((second.gpus, n_calls), (first.gpus, 1), "{name}");
        assert!(second.faults.is_empty(), "{name}: persistence is reported once");
    }
}

#[test]
fn a_known_dump_is_read_to_the_digit() {
    let dump = Dump::read("smi-full-linux-rtx-4080-super-595.71.05-idle.csv");
    let (probed, _) = talk(&dump, nounits, HostProfile::default());
    let gpu = &probed.gpus[0];
    assert_eq!(gpu.typed::<Power>(Quantity::PowerDraw).unwrap().milliwatts(), 26_200);
    assert_eq!(gpu.typed::<Power>(Quantity::PowerInstant).unwrap().milliwatts(), 28_770);
    assert_eq!(gpu.temperature().unwrap().millicelsius(), 43_000);
    assert_eq!(gpu.memory_total().unwrap().mebibytes(), 16_376);
    assert_eq!(gpu.typed(Quantity::Persistence), Ok(&false));
    assert_eq!(gpu.typed(Quantity::ClocksEventReasons), Ok(&1_u64));
    assert_eq!(gpu.model().unwrap().as_str(), "NVIDIA GeForce RTX 4080 SUPER");
}

#[test]
fn every_cell_without_a_value_in_every_column_of_the_dumps_has_its_class() {
    for name in captures("smi-full-") {
        for cell in Dump::read(&name).cells {
            let expected = match cell.as_str() {
                "" => Some(Reason::Empty),
                "[N/A]" | "N/A" => Some(Reason::NotSupported),
                "[Requested functionality has been deprecated]" => Some(Reason::Deprecated),
                other if other.starts_with('[') => Some(Reason::OtherError),
                _ => None,
            };
            assert_eq!(cell_reason(&cell), expected, "{name}: {cell:?}");
        }
    }
}

#[test]
fn every_text_of_every_nvml_error_has_its_class() {
    let table = fs::read_to_string(fixtures().join("nvml-error-to-cell.tsv")).unwrap();
    let mut n_texts = 0;
    for line in table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
        let mut columns = line.split('\t');
        let code: u32 = columns.next().unwrap().parse().unwrap();
        for text in columns.skip(1) {
            let expected = match (code, text) {
                (_, "[Unknown Error]") => Reason::UnknownError,
                (3, _) => Reason::NotSupported,
                (4, _) => Reason::NoPermission,
                (10, _) => Reason::Timeout,
                (15, _) => Reason::GpuLost,
                (16, _) => Reason::ResetRequired,
                (26, _) => Reason::Deprecated,
                _ => Reason::OtherError,
            };
            assert_eq!(cell_reason(text), Some(expected), "{code}: {text}");
            n_texts += 1;
        }
    }
    assert!(n_texts > 200);
}

/// The label of the outcome where every call brings this.
fn outcome_of(stdout: &str, exit: i32) -> &'static str {
    let (mut query, _) = Query::open(HostProfile::default(), None);
    for _ in 0..100 {
        let answer = Output { stdout: stdout.into(), exit: Some(exit), ..Output::default() };
        if let Next::Done(probed) = query.answer(&answer) {
            assert!(probed.gpus.is_empty());
            return probed.outcome.label();
        }
    }
    panic!("the conversation does not end");
}

#[test]
fn every_captured_failure_is_of_its_kind() {
    let index = capture("INDEX.tsv");
    for name in captures("fail-") {
        let line = index.lines().find(|line| line.starts_with(&format!("{name}\t"))).unwrap();
        let exit: i32 = line.split('\t').nth(3).unwrap().parse().unwrap();
        let kinds = [
            ("fail-handle", "gpu_lost"),
            ("fail-mismatch", "driver_mismatch"),
            ("fail-no-mig-devices", "no_gpus"),
            ("fail-no-nvml-library", "no_library"),
            ("fail-unknown-field", "refused"),
        ];
        let kind =
            kinds.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("no_driver", |(_, kind)| kind);
        assert_eq!(outcome_of(&capture(&name), exit), kind, "{name}");
    }
}

#[test]
fn every_failure_to_initialise_is_of_its_kind_with_the_code_of_every_driver() {
    let table = fs::read_to_string(fixtures().join("nvml-init-exit-codes.tsv")).unwrap();
    for line in table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
        let columns: Vec<&str> = line.split('\t').collect();
        let kind = match columns[0] {
            "4" => "no_permission",
            "9" => "no_driver",
            "15" => "gpu_lost",
            "16" => "reset_required",
            "18" => "driver_mismatch",
            "3" => "not_supported",
            "10" => "driver_timeout",
            "11" => "interrupt",
            "14" => "inforom",
            "17" => "blocked",
            "20" => "out_of_memory",
            _ => "init_unknown",
        };
        let (stdout, exits) = columns[2..].split_last().unwrap();
        for exit in exits {
            assert_eq!(outcome_of(&stdout.replace("\\n", "\n"), exit.parse().unwrap()), kind, "{line}");
        }
    }
}

/// Reads line by line, since a capture of hours is more than one answer.
fn read_capture(name: &str, fields: &[&str], text: &str) -> usize {
    let mut n_rows = 0;
    for line in text.lines() {
        let Rows { gpus, faults, .. } = read_rows(fields, line, Ending::Whole);
        assert!(faults.is_empty(), "{name}: {line}: {faults:?}");
        for gpu in &gpus {
            let cells: Vec<&str> = line.split(',').collect();
            assert_cells(gpu, fields, &cells, name);
        }
        n_rows += gpus.len();
    }
    n_rows
}

#[test]
fn every_capture_with_a_header_is_read_by_the_fields_it_names() {
    let mut n_captures = 0;
    for name in ["append-", "fixture-", "loop-", "smi-"].into_iter().flat_map(captures) {
        let text = capture(&name);
        let header = text.lines().next().unwrap();
        // The doctored ones and those whose rows lack or add a column are in other tests.
        let is_other =
            ["smi-full-", "smi-8xb300", "smi-a100-pcie"].iter().any(|other| name.starts_with(other));
        if is_other || header.starts_with(|c: char| !c.is_ascii_lowercase()) {
            continue;
        }
        let fields: Vec<String> = header.split(',').map(|column| without_unit(column.trim())).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let n_headers = text.lines().filter(|line| *line == header).count();
        let n_lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(read_capture(&name, &fields, &text), n_lines - n_headers, "{name}");
        n_captures += 1;
    }
    assert!(n_captures >= 30, "{n_captures}");
}

#[test]
fn every_capture_without_a_header_is_read_by_the_fields_that_were_asked() {
    for (name, fields) in ASKED {
        let text = capture(name);
        let fields: Vec<&str> = fields.split(',').collect();
        let n_lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(read_capture(name, &fields, &text), n_lines, "{name}");
    }
}

#[test]
fn a_capture_that_ends_inside_a_row_has_one_row_less() {
    let text = capture("smi-8xb300-610.csv");
    let rows = read_rows(&["driver_version", "name", "compute_cap"], text.trim_end(), Ending::Doubtful);
    assert_eq!((rows.gpus.len(), rows.faults.len()), (6, 1));
    assert_eq!(rows.faults[0].kind, FaultKind::CutRow);
}
