//! The processes of a fleet: the sshd's, and whatever they started. Found by descent, and by the scene
//! in their environment, since a hung stub outlives the session that started it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that names a stub's scene.
const SCENE_VARIABLE: &[u8] = b"FAKE_NVIDIA_SMI=";

/// How long a killed process may take to vanish.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Kills processes with their descendants, and every stub that plays one of the scenes; returns when the
/// stubs are gone.
pub fn end(roots: &[u32], scenes: &[PathBuf]) {
    signal(&with_descendants(roots), Signal::KILL);
    let scenes: BTreeSet<_> = scenes.iter().map(PathBuf::as_path).collect();
    let plays = |pid: &u32| scene_of(*pid).is_some_and(|scene| scenes.contains(&*scene));
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let stubs: Vec<u32> = all().into_iter().filter(plays).collect();
        if stubs.is_empty() || deadline < Instant::now() {
            return;
        }
        signal(&stubs, Signal::KILL);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to each; those that have ended meanwhile do not matter.
pub fn signal(pids: &[u32], signal: Signal) {
    let known = pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    known.for_each(|pid| kill_process(pid, signal).unwrap_or_default());
}

/// The stubs that play this scene.
pub fn playing(scene: &Path) -> Vec<u32> {
    let is_stub = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "nvidia-smi" && scene_of(*pid).is_some_and(|known| known == scene)
    };
    all().into_iter().filter(is_stub).collect()
}

/// These processes and all that descend from them, parents first.
pub fn with_descendants(roots: &[u32]) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in all() {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = roots.to_vec();
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        family.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    family
}

/// The listening sshd's whose configuration lies in `dir`.
pub fn sshds_of(dir: &Path) -> Vec<u32> {
    let config = format!("-f {}/", dir.display());
    let is_ours = |pid: &u32| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title).replace('\0', " ");
        title.contains("sshd") && title.contains(&config)
    };
    all().into_iter().filter(is_ours).collect()
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The second field behind the name, which may itself hold blanks and brackets.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn scene_of(pid: u32) -> Option<PathBuf> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(SCENE_VARIABLE))?;
    Some(PathBuf::from(OsString::from_vec(value.to_vec())))
}
