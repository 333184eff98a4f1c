//! Every capture of nvidia-smi, every case, and every fault that a scene can play: a host each, all in one fleet.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Scene, repository};
use crate::corpus::ASKED;
use crate::fleet;
use crate::program::Home;

/// How many GPUs of a capture are played.
const MAX_GPUS: usize = 3;
/// The driver of a capture that does not say which it is of.
const DRIVER: &str = "550.163.01";

/// Faults of a scene that answer.
const FAULTS: &[&str] = &[
    "no-driver",
    "no-library",
    "mismatch",
    "no-devices",
    "init-unknown-error",
    "init-reset-required",
    "init-gpu-lost",
    "no-permission",
    "command-missing",
    "garbage",
    "babble",
    "escapes",
    "comma-in-name",
    "wide",
    "cut",
];

/// A fleet whose hosts are answered from files in a home.
struct Played<'a> {
    home: &'a Home,
    inventory: String,
}

impl Played<'_> {
    fn host(&mut self, name: &str, keys: &str) {
        self.inventory += &format!("[[host]]\nname = \"{name}\"\n{keys}\n");
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn scene(&mut self, name: &str, text: &str) {
        let path = self.file(&format!("{name}.toml"), text);
        self.host(name, &format!("scripted = {path:?}"));
    }

    /// A host of this machine whose nvidia-smi plays a case.
    fn case(&mut self, name: &str, case: &Path) {
        let stub = fleet::stub().unwrap();
        let script =
            format!("#!/bin/sh\nFAKE_NVIDIA_SMI={} exec {} \"$@\"\n", case.display(), stub.display());
        let program = self.file(&format!("{name}.sh"), &script);
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        self.host(name, &format!("local = true\nnvidia_smi = {program:?}"));
    }

    /// The same with an nvidia-smi that always says this.
    fn says(&mut self, name: &str, stdout: &str, exit: i32) {
        let case = json!({"raw": {"stdout": stdout, "exit": exit}});
        let path = self.file(&format!("{name}.json"), &case.to_string());
        self.case(name, &path);
    }
}

/// A capture with a header and a few rows; `None` where it is no table.
fn table(name: &str, text: &str) -> Option<String> {
    let asked = ASKED.iter().find(|(asked, _)| *asked == name).map(|(_, fields)| *fields);
    let header = match asked {
        Some(fields) => fields,
        None => text.lines().next().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))?,
    };
    let n_columns = header.split(',').count();
    let rows = text.lines().filter(|line| *line != header && !line.trim().is_empty());
    let rows: Vec<&str> = rows.take(MAX_GPUS).collect();
    let is_whole = name.starts_with("smi-full") || rows.iter().all(|row| row.split(',').count() == n_columns);
    is_whole.then(|| format!("{header}\n{}\n", rows.join("\n")))
}

/// The driver that the index names for a capture.
fn driver_of(name: &str, index: &str) -> String {
    let line = index.lines().find(|line| line.split('\t').next() == Some(name));
    let said = line.and_then(|line| line.split('\t').nth(5)).unwrap_or_default();
    let is_version =
        |word: &&str| word.matches('.').count() >= 1 && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    said.split_whitespace().find(is_version).unwrap_or(DRIVER).to_owned()
}

fn exit_of(name: &str, index: &str) -> i32 {
    let line = index.lines().find(|line| line.split('\t').next() == Some(name));
    line.and_then(|line| line.split('\t').nth(3)?.parse().ok()).unwrap_or(0)
}

fn add_captures(fleet: &mut Played<'_>) {
    let folder = repository("fixtures/nvidia-smi/corpus");
    let index = std::fs::read_to_string(folder.join("INDEX.tsv")).unwrap();
    for file in super::names_in(&folder).iter().filter(|file| *file != "INDEX.tsv") {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let name = file.rsplit_once('.').unwrap().0;
        match table(file, &text) {
            Some(table) => {
                let dump = fleet.file(&format!("{name}.csv"), &table);
                let says_driver = table.lines().next().unwrap().contains("driver_version");
                let driver = if says_driver {
                    String::new()
                } else {
                    format!("driver = {:?}\n", driver_of(file, &index))
                };
                fleet.scene(name, &format!("dump = {dump:?}\n{driver}"));
            }
            None => fleet.says(name, &text, exit_of(file, &index)),
        }
    }
}

fn add_cases(fleet: &mut Played<'_>) {
    let folder = repository("fixtures/nvidia-smi/cases");
    for file in super::names_in(&folder) {
        fleet.case(&format!("case-{}", file.trim_end_matches(".json")), &folder.join(file));
    }
}

/// A host for each way in which the library does not start.
fn add_init_failures(fleet: &mut Played<'_>) {
    let table = std::fs::read_to_string(repository("fixtures/nvidia-smi/nvml-init-exit-codes.tsv")).unwrap();
    for line in table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (stdout, exits) = columns[2..].split_last().unwrap();
        for exit in exits.iter().collect::<BTreeSet<_>>() {
            let name = format!("init-{}-exit-{exit}", columns[1].to_lowercase().replace('_', "-"));
            fleet.says(&name, &stdout.replace("\\n", "\n"), exit.parse().unwrap());
        }
    }
}

/// A GPU for each text that may stand in the place of a number.
fn add_cells(fleet: &mut Played<'_>) {
    let table = std::fs::read_to_string(repository("fixtures/nvidia-smi/nvml-error-to-cell.tsv")).unwrap();
    let lines = table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let texts: BTreeSet<&str> = lines.flat_map(|line| line.split('\t').skip(2)).collect();
    let mut scene = format!("gpus = {}\n", texts.len());
    for (index, text) in texts.iter().enumerate() {
        scene += &format!(
            "[[gpu]]\nindex = {index}\nset = {{ \"power.draw.average\" = {text:?}, \"temperature.gpu\" = {text:?} }}\n"
        );
    }
    fleet.scene("cells", &scene);
}

fn add_faults(fleet: &mut Played<'_>) {
    for fault in FAULTS {
        fleet.scene(&format!("fault-{fault}"), &format!("gpus = 2\nfault = {fault:?}\n"));
    }
    let hang = fleet.file("hang.toml", "fault = \"hang\"\n");
    fleet.host("fault-hang", &format!("scripted = {hang:?}\ntimeout = \"500ms\""));
    for key in ["handle-lost", "handle-unknown", "row-dropped", "cells-lost"] {
        fleet.scene(key, &format!("gpus = 3\n{key} = 1\n"));
    }
}

#[test]
fn everything_that_nvidia_smi_was_seen_to_say() {
    let home = Home::new();
    let mut fleet = Played { home: &home, inventory: "[defaults]\ntimeout = \"20s\"\n".to_owned() };
    add_captures(&mut fleet);
    add_cases(&mut fleet);
    add_init_failures(&mut fleet);
    add_cells(&mut fleet);
    add_faults(&mut fleet);
    let inventory = home.inventory(&fleet.inventory);
    let mut scene = Scene::new("nvidia-smi");
    for (name, extension, args) in [
        ("first", "json", &["--format", "json"][..]),
        ("second-csv", "csv", &["--dry-run", "--format", "csv"]),
        ("second-text", "txt", &["--dry-run"]),
    ] {
        scene.keep_run(name, extension, &home, &home.poll(&inventory, args));
    }
    scene.keep_rows("rows.txt", &home);
    scene.keep_state("hosts.json", &home);
    scene.finish();
}
