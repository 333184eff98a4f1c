//! The rules of the house that no compiler holds: which room may use which, how long a file may be, and
//! that every module says what it is for.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod circles;

use std::path::{Path, PathBuf};

/// Rooms by rank. A room may use rooms of a lower rank only.
const RANKS: &[(u8, &str)] = &[
    (0, "reading"),
    (0, "support"),
    (1, "alert"),
    (1, "ledger"),
    (1, "probe"),
    (1, "tariff"),
    (2, "report"),
    (2, "inventory"),
    (3, "batch"),
    (4, "transport"),
    (4, "battery"),
    (4, "store"),
    (5, "cycle"),
    (5, "output"),
    (6, "app"),
    (7, "cli"),
];

/// The ranks of the core, and what no file in it may name: no async, no I/O, no clock. `support` is below
/// it, since rooms of all ranks may need it, and is no part of it.
const CORE: std::ops::RangeInclusive<u8> = 0..=3;
const NOT_CORE: &str = "support";
const NOT_IN_CORE: &[&str] = &[
    "tokio",
    "sqlx",
    "openssh",
    "reqwest",
    "rumqttc",
    "rustix",
    "tempfile",
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "std::env",
    "std::process",
    "SystemTime",
    "time::Instant",
    "crate::support::https",
    "crate::support::jitter",
    "crate::support::state_file",
];

/// The file that writes all files that are kept, and what others would write one with.
const FILE_WRITER: &str = "support/state_file.rs";
const WRITES_FILES: &[&str] = &[
    "fs::write",
    "fs::rename",
    "fs::copy",
    "File::create",
    "File::create_new",
    "NamedTempFile",
    "tempfile_in",
    "create(true)",
    "create_new(true)",
];

/// Files that do so for another reason.
const WRITES_OTHERWISE: &[(&str, &str)] = &[
    ("store/failpoint.rs", "says to a test how far it is"),
    ("store/file.rs", "creates a database"),
    ("store/spool/reserve.rs", "holds room on the disk"),
    ("store/spool/rescue.rs", "renames databases"),
];

/// Arrows that the ranks alone would allow.
const FORBIDDEN: &[(&str, &str)] = &[("output", "transport"), ("output", "store"), ("output", "cycle")];

/// The words of a vendor, in lower case, the folder where it is at home, and the files outside of it that may name
/// it: keys of the inventory, what a person reads, and the one line that a tool or battery is known by.
const VENDORS: &[(&[&str], &str, &[&str])] = &[
    (
        &["nvidia"],
        "probe/nvidia_smi",
        &["cli/args.rs", "inventory/tables.rs", "lib.rs", "output/text/table.rs", "probe/mod.rs"],
    ),
    (
        &["solix", "anker"],
        "battery/anker",
        &[
            "alert/rule.rs",
            "batch/changes.rs",
            "battery/mod.rs",
            "cli/args.rs",
            "cli/battery/mod.rs",
            "inventory/vendor.rs",
            "output/json.rs",
            "output/watch/document.rs",
        ],
    ),
];

const MAX_LINES: usize = 600;

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of the rooms, with their rooms' names and ranks.
fn room_files() -> Vec<(PathBuf, &'static str, u8)> {
    let mut files = Vec::new();
    for (rank, room) in RANKS {
        files.extend(rust_files(&src().join(room)).into_iter().map(|file| (file, *room, *rank)));
    }
    files
}

/// The lines of a file that are code: no comments.
fn code_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

/// `needle` as a whole word.
fn names(line: &str, needle: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(needle).any(|(at, _)| {
        let (before, after) = (line.get(..at), line.get(at + needle.len()..));
        !before.is_some_and(|text| text.ends_with(is_word))
            && !after.is_some_and(|text| text.starts_with(is_word))
    })
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_folder_of_the_source_is_a_room_with_a_rank() {
    let mut rooms: Vec<String> = std::fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut ranked: Vec<String> = RANKS.iter().map(|(_, room)| (*room).to_owned()).collect();
    rooms.sort();
    ranked.sort();
    assert_eq!(rooms, ranked);
}

#[test]
fn a_room_uses_only_rooms_of_a_lower_rank() {
    let mut faults = Vec::new();
    for (file, room, rank) in room_files() {
        for line in code_lines(&file) {
            for (other_rank, other) in RANKS.iter().filter(|(_, other)| *other != room) {
                let uses = names(&line, &format!("crate::{other}"));
                if uses && (rank <= *other_rank || FORBIDDEN.contains(&(room, *other))) {
                    faults.push(format!("{}: {room} may not use {other}", file.display()));
                }
            }
            if line.contains("super::super::") || line.contains("use crate::{") {
                faults.push(format!(
                    "{}: write `use crate::<room>` so that this test can see it",
                    file.display()
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_core_names_nothing_that_does_io_or_waits() {
    let mut faults = Vec::new();
    let is_core = |room: &str, rank: u8| CORE.contains(&rank) && room != NOT_CORE;
    for (file, room, _) in room_files().into_iter().filter(|(_, room, rank)| is_core(room, *rank)) {
        for line in code_lines(&file) {
            for word in NOT_IN_CORE.iter().filter(|word| names(&line, word)) {
                faults.push(format!(
                    "{}: {room} is core and may not name {word}: {}",
                    file.display(),
                    line.trim()
                ));
            }
        }
    }
    report(&faults);
}

/// The code of a file without its tests.
fn lines_without_tests(path: &Path) -> Vec<String> {
    let is_test = path.ends_with("tests.rs") || path.to_str().unwrap().ends_with("_tests.rs");
    let lines = if is_test { Vec::new() } else { code_lines(path) };
    lines.into_iter().take_while(|line| line != "mod tests {").collect()
}

#[test]
fn files_that_are_kept_are_written_in_one_place() {
    let mut faults = Vec::new();
    for (file, ..) in room_files() {
        let is_let = |end: &str| file.ends_with(end);
        if is_let(FILE_WRITER) || WRITES_OTHERWISE.iter().any(|(end, _)| is_let(end)) {
            continue;
        }
        for line in lines_without_tests(&file) {
            for word in WRITES_FILES.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}: {word}: write files with {FILE_WRITER}", file.display()));
            }
        }
    }
    report(&faults);
}

#[test]
fn a_vendor_is_named_at_its_home_and_where_it_has_to_be() {
    let mut faults = Vec::new();
    for (words, home, allowed) in VENDORS {
        let mut unused: Vec<&str> = allowed.to_vec();
        for file in rust_files(&src()) {
            let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
            let path = file.strip_prefix(src()).unwrap();
            if path.starts_with(home) || !words.iter().any(|word| text.contains(word)) {
                continue;
            }
            if allowed.iter().any(|name| path == Path::new(name)) {
                unused.retain(|name| path != Path::new(name));
            } else {
                faults.push(format!(
                    "{}: names {}, which is at home in {home}",
                    file.display(),
                    words.join(" or ")
                ));
            }
        }
        faults.extend(
            unused.iter().map(|name| format!("{name}: need not be allowed to name {}", words.join(" or "))),
        );
    }
    report(&faults);
}

#[test]
fn no_file_is_longer_than_a_person_can_hold() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = rust_files(&src()).into_iter().chain(rust_files(&tests));
    let faults: Vec<String> = files
        .map(|file| (std::fs::read_to_string(&file).unwrap().lines().count(), file))
        .filter(|(n_lines, _)| *n_lines > MAX_LINES)
        .map(|(n_lines, file)| format!("{}: {n_lines} lines, at most {MAX_LINES}", file.display()))
        .collect();
    report(&faults);
}

#[test]
fn every_module_says_what_it_is_for() {
    let faults: Vec<String> = rust_files(&src())
        .into_iter()
        .filter(|file| !std::fs::read_to_string(file).unwrap().starts_with("//! "))
        .map(|file| format!("{}: begins without `//!`", file.display()))
        .collect();
    report(&faults);
}

#[test]
fn only_the_cli_prints_and_only_the_transport_starts_processes() {
    let mut faults = Vec::new();
    for (file, room, _) in room_files() {
        for line in code_lines(&file) {
            let prints = ["println!", "eprintln!", "print!", "eprint!"].iter().any(|word| names(&line, word));
            if prints && room != "cli" {
                faults.push(format!("{}: {room} may not print", file.display()));
            }
            if line.contains("Command::new(") && room != "transport" {
                faults.push(format!("{}: {room} may not start a process", file.display()));
            }
        }
    }
    report(&faults);
}

/// How a doc comment does not open: a clause without a verb of its own.
const BARE_OPENERS: &[&str] = &["What", "Who", "Whoever", "How"];

#[test]
fn doc_comments_open_with_a_subject_or_a_verb() {
    let mut faults = Vec::new();
    for (file, ..) in room_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut before = "";
        for (idx, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
            let opener = line.get(4..).unwrap_or_default().split([' ', ',']).next().unwrap_or_default();
            let is_heading =
                |line: &str| line.get(3..).is_some_and(|text| text.is_empty() || text.starts_with(" # "));
            let begins = !is_doc(before) || is_heading(before);
            if is_doc(line) && begins && BARE_OPENERS.contains(&opener) {
                faults.push(format!("{}:{}: {line}", file.display(), idx + 1));
            }
            before = line;
        }
    }
    report(&faults);
}

/// The most lines of a function, its signature included.
const MAX_FUNCTION_LINES: usize = 60;

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut faults = Vec::new();
    for file in rust_files(&src()) {
        let lines = lines_without_tests(&file);
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            let is_function = code.split('(').next().is_some_and(|head| names(head, "fn"));
            let is_whole = code.ends_with('}') || code.ends_with(';');
            if !is_function || is_whole || code.starts_with(['"', '|']) {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let n_lines = lines[at..].iter().position(|line| *line == end).map_or(0, |n| n + 1);
            if n_lines > MAX_FUNCTION_LINES {
                faults.push(format!("{}: {code} has {n_lines} lines", file.display()));
            }
        }
    }
    report(&faults);
}
