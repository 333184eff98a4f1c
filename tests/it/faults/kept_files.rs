//! The files that are kept from one run to the next, while they cannot be written: a full disk, a quota, a
//! read-only folder, a disk that fails. The old content stays, whole, and the error names the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use super::disk::{in_namespace, texts};
use super::say;
use crate::cloud::Options;
use crate::program::Home;
use crate::solix_stage::Stage;

/// Every file that is written whole, and the command that writes it again.
const FILES: [(&str, &[&str]); 6] = [
    ("hosts.json", &["poll", "--quiet"]),
    ("solix-session.json", &["poll", "--quiet"]),
    ("solix-attempts.json", &["solix", "login", "--force"]),
    ("solix-login.json", &["solix", "login", "--force"]),
    ("solix-mqtt.json", &["poll", "--quiet"]),
    ("solix-rest.json", &["solix", "devices"]),
];

/// Files of the state directory that are no such: databases, and what only is locked.
const OTHERS: [&str; 4] = [".db", "-wal", "-shm", "lock"];

/// Before libc's: a call on a new file that is to take the place of `$TEST_FAULT_FILE` fails.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static int is_meant(int file, const char *call) {
  char link[64], path[4096] = {0}, beginning[256];
  const char *wanted = getenv("TEST_FAULT_CALL"), *name = getenv("TEST_FAULT_FILE");
  if (!wanted || !name || strcmp(wanted, call)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  if (readlink(link, path, sizeof path - 1) < 0) return 0;
  snprintf(beginning, sizeof beginning, "/.%s.", name);
  return strstr(path, beginning) != 0;
}
ssize_t write(int file, const void *bytes, size_t size) {
  if (is_meant(file, "write")) { errno = EDQUOT; return -1; }
  return syscall(SYS_write, file, bytes, size);
}
int fsync(int file) {
  if (is_meant(file, "fsync")) { errno = EIO; return -1; }
  return syscall(SYS_fsync, file);
}
"#;

/// The library, or `None` if there is no compiler.
#[allow(clippy::disallowed_methods, reason = "a test builds what it needs")]
fn library(home: &Home) -> Option<PathBuf> {
    let (source, library) = (home.path("faults.c"), home.path("faults.so"));
    std::fs::write(&source, LIBRARY).unwrap();
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).stdin(Stdio::null());
    cc.status().is_ok_and(|status| status.success()).then_some(library)
}

/// The kept files of a folder, with their content.
fn kept(folder: &Path) -> BTreeMap<String, String> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    let files = named.filter(|(name, _)| !OTHERS.iter().any(|end| name.ends_with(end)));
    files.map(|(name, path)| (name, std::fs::read_to_string(path).unwrap())).collect()
}

fn names(files: &BTreeMap<String, String>) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

/// Makes the last login an hour old, so that another one is allowed; makes the certificate another server's,
/// and forgets the account's server and the time zones of devices, so that all these are asked for anew.
fn age(state_dir: &Path) {
    let edit = |name: &str, edit: &dyn Fn(&mut Value)| {
        let path = state_dir.join(name);
        let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut file["content"]);
        std::fs::write(path, file.to_string()).unwrap();
    };
    edit("solix-attempts.json", &|content| {
        for account in content["accounts"].as_object_mut().unwrap().values_mut() {
            for made in account["made_us"].as_array_mut().unwrap() {
                *made = Value::from(made.as_i64().unwrap() - 3_600_000_000);
            }
        }
    });
    edit("solix-rest.json", &|content| {
        content["region"] = Value::Null;
        content["zones"] = json!({})
    });
    edit("solix-mqtt.json", &|content| content["server"] = Value::from("https://another.example/"));
}

#[test]
fn a_quota_or_a_failing_disk_leaves_every_kept_file_as_it_was_and_is_said() {
    let stage = Stage::new(Options::default());
    let Some(library) = library(&stage.home) else { return say("passed over: there is no C compiler") };
    assert_eq!(stage.poll(&[]).code, Some(0));
    let inventory = stage.home.path("inventory.toml");
    let mut expected: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    for (name, command) in FILES {
        for (call, message) in [("write", "quota"), ("fsync", "Input/output error")] {
            age(&stage.home.path("s"));
            let before = kept(&stage.home.path("s"));
            assert_eq!(names(&before), expected, "each kept file is in this test's list");
            let args = [command, &["--inventory", inventory.to_str().unwrap()]].concat();
            let mut process = stage.home.command(&args);
            process.env("LD_PRELOAD", &library).env("TEST_FAULT_FILE", name).env("TEST_FAULT_CALL", call);
            let output = process.output().unwrap();
            let (_, stderr) = texts(&output);
            let after = kept(&stage.home.path("s"));
            assert_eq!(after.get(name), before.get(name), "{name} after a failed {call}: {stderr}");
            assert_eq!(names(&after), expected, "nothing is left of {name}");
            let is_said = stderr.contains(&format!("{name}`")) && stderr.contains(message);
            assert!(is_said, "{name}, {call}: {stderr}");
        }
    }
}

#[test]
fn on_a_full_disk_or_in_a_read_only_folder_every_kept_file_stays_as_it_was() {
    let stage = Stage::new(Options::default());
    let inventory = stage.inventory("", "");
    let text =
        std::fs::read_to_string(&inventory).unwrap().replace("interval = \"2s\"", "interval = \"40s\"");
    std::fs::write(&inventory, text).unwrap();
    for name in ["before", "full", "readonly"] {
        std::fs::create_dir(stage.home.path(name)).unwrap();
    }
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 9
        \"$0\" poll --quiet --inventory \"$2\"; cp \"$1\"/*.json \"$3/before\"
        head -c 2m /dev/zero >\"$1/ballast\" 2>/dev/null
        \"$0\" poll --quiet --inventory \"$2\"; cp \"$1\"/*.json \"$3/full\"
        mount -o remount,ro \"$1\"
        \"$0\" poll --quiet --inventory \"$2\"; cp \"$1\"/*.json \"$3/readonly\"";
    let folder = stage.home.path("");
    let Some(output) = in_namespace(&stage.home, script, &[&inventory, &folder]) else { return };
    let (_, stderr) = texts(&output);
    let before = kept(&stage.home.path("before"));
    assert_eq!(before.len(), FILES.len(), "{stderr}");
    assert_eq!(kept(&stage.home.path("full")), before, "{stderr}");
    assert_eq!(kept(&stage.home.path("readonly")), before, "{stderr}");
    for message in ["hosts.json` cannot be written", "No space left", "Read-only file system"] {
        assert!(stderr.contains(message), "{message}: {stderr}");
    }
}
