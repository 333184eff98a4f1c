//! What the program prints and writes, held in the files of `fixtures/golden`: a folder a scene, a file an output.
//!
//! `FLEETWATT_GOLDEN=write cargo test --test it -- golden::` writes them again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too"
)]

mod alerts;
mod before;
mod demo;
mod difference;
mod nvidia_smi;
mod pages;
mod solix;
mod stable;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Home, Ran, Row};
use difference::difference;
use stable::{stable, stable_value};

/// Every folder of `fixtures/golden` that a scene makes.
const SCENES: &[&str] = &[
    "alerts",
    "alerts-alertmanager",
    "alerts-ntfy",
    "alerts-slack",
    "before-hosts",
    "before-spool",
    "demo",
    "demo-quiet",
    "demo-slim",
    "inventories",
    "nvidia-smi",
    "pages",
    "solix",
    "solix-decode",
    "solix-slow",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden")
}

/// The files that one scene makes.
pub(crate) struct Scene {
    name: &'static str,
    files: BTreeMap<String, String>,
}

impl Scene {
    pub(crate) fn new(name: &'static str) -> Self {
        assert!(SCENES.contains(&name), "{name} is not in SCENES");
        Self { name, files: BTreeMap::new() }
    }

    /// Keeps a text as a file of this name.
    pub(crate) fn keep(&mut self, name: &str, home: &Home, text: &str) {
        let text = stable(text, home);
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n<no newline>\n" };
        self.keep_as_it_is(name, text + end);
    }

    /// The same of a text that has nothing in it that changes.
    pub(crate) fn keep_as_it_is(&mut self, name: &str, text: String) {
        let before = self.files.insert(name.to_owned(), text);
        assert_eq!(before, None, "{name} is made twice");
    }

    /// Keeps what a run said: a file with its exit code and its log, and one with its output, if it has any.
    pub(crate) fn keep_run(&mut self, name: &str, extension: &str, home: &Home, ran: &Ran) {
        let code = ran.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.keep(&format!("{name}.log"), home, &format!("exit code {code}\n{}", ran.stderr));
        if !ran.stdout.is_empty() {
            self.keep(&format!("{name}.{extension}"), home, &ran.stdout);
        }
    }

    /// Keeps the SQLite timeline, one row a line.
    pub(crate) fn keep_rows(&mut self, name: &str, home: &Home) {
        self.keep(name, home, &row_lines(home.rows()));
    }

    /// The same where stations stand in the order in which they were heard, which is of no moment: sorted by source.
    pub(crate) fn keep_sorted_rows(&mut self, name: &str, home: &Home) {
        let mut rows = home.rows();
        let batch = |row: &Row| row.3["batch"].as_str().unwrap_or_default().to_owned();
        rows.sort_by_key(|row| (batch(row), row.1.clone()));
        self.keep(name, home, &row_lines(rows));
    }

    /// Keeps a JSON file of the state directory, a value a line.
    pub(crate) fn keep_state(&mut self, name: &str, home: &Home) {
        let text = std::fs::read_to_string(home.path("s").join(name)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let text = serde_json::to_string_pretty(&stable_value(value)).unwrap();
        self.keep(name, home, &(text + "\n"));
    }

    /// Compares all files of the scene with those of before, or writes them.
    pub(crate) fn finish(self) {
        let folder = folder().join(self.name);
        if is_writing() {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).unwrap();
            }
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &self.files {
                std::fs::write(folder.join(name), text).unwrap();
            }
            return;
        }
        let before: BTreeSet<String> = names_in(&folder);
        let mut faults = Vec::new();
        for name in before.iter().filter(|name| !self.files.contains_key(*name)) {
            faults.push(format!("{}/{name}: no test makes this file", self.name));
        }
        for (name, text) in &self.files {
            let of_before = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            if of_before != *text || !before.contains(name) {
                faults.push(format!("{}/{name}:\n{}", self.name, difference(&of_before, text)));
            }
        }
        assert!(
            faults.is_empty(),
            "\n{}\n\nIf this is meant: FLEETWATT_GOLDEN=write cargo test --test it -- golden::",
            faults.join("\n")
        );
    }
}

fn row_lines(rows: Vec<Row>) -> String {
    let mut text = String::new();
    for (event_type, source, value, metadata) in rows {
        let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        writeln!(text, "{event_type} {source} {value} {}", stable_value(metadata)).unwrap();
    }
    text
}

fn is_writing() -> bool {
    std::env::var_os("FLEETWATT_GOLDEN").is_some_and(|value| value == "write")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn every_golden_folder_is_one_of_a_scene() {
    let names = SCENES.iter().chain(std::iter::once(&before::FOLDER));
    let scenes: BTreeSet<String> = names.map(|name| (*name).to_owned()).collect();
    let made = names_in(&folder());
    assert!(is_writing() || made == scenes, "{made:?}");
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
