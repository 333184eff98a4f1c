//! The file system, as the inventory room reads it, and whether what it read has changed since.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::inventory::Files;
use crate::support::regular_file;

/// An inventory is not larger than this, all of its files together: it bounds the memory that a wrong path
/// can cost.
const MAX_INVENTORY_BYTES: u64 = 16 << 20;

/// One pattern does not find more files than this.
const MAX_FOUND: usize = 10_000;

/// The path that means standard input.
pub(super) const STDIN: &str = "-";

/// The real files. Remembers what it was asked for.
#[derive(Debug, Default)]
pub(super) struct RealFiles {
    seen: RefCell<Fingerprint>,
    /// Bytes that were read so far.
    n_read: Cell<u64>,
}

impl Files for RealFiles {
    fn read(&self, path: &Path) -> io::Result<String> {
        let most = MAX_INVENTORY_BYTES.saturating_sub(self.n_read.get());
        let text = if path == Path::new(STDIN) {
            stdin(most)?
        } else {
            // Before it is read: what is written in between is to show as a change.
            self.seen.borrow_mut().files.insert(path.to_owned(), state_of(path));
            regular_file::read_text(path, most)?
        };
        self.n_read.set(self.n_read.get().saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX)));
        Ok(text)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let found = found(pattern)?;
        self.seen.borrow_mut().globs.insert(pattern.to_owned(), found.clone());
        Ok(found)
    }
}

/// The files that a pattern finds, sorted.
pub(super) fn found(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let pattern = pattern.to_str().ok_or_else(|| io::Error::other("the pattern is not UTF-8"))?;
    let found = glob::glob(pattern).map_err(io::Error::other)?;
    let found: io::Result<Vec<PathBuf>> =
        found.take(MAX_FOUND + 1).map(|path| path.map_err(std::convert::Into::into)).collect();
    let found = found?;
    if found.len() > MAX_FOUND {
        return Err(io::Error::other(format!("it finds more than {MAX_FOUND} files")));
    }
    Ok(found)
}

/// All of standard input, which ends.
pub(super) fn stdin(most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|n_bytes| most < n_bytes) {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text in UTF-8"))
}

/// The state of the files that an inventory was read from. Two that are equal mean that nothing was
/// written, renamed or linked elsewhere in between: links are followed, as reading follows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint {
    files: BTreeMap<PathBuf, Option<FileState>>,
    globs: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// Device, inode, size, and the times of writing and of other changes, with nanoseconds: they change when a file is
/// written or another one is put in its place.
type FileState = ([u64; 3], [i64; 4]);

impl RealFiles {
    /// Everything that was read through this, as it was then.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.seen.borrow().clone()
    }
}

impl Fingerprint {
    /// The present state of the same files and patterns.
    pub(super) fn anew(&self) -> Self {
        Self {
            files: self.files.keys().map(|path| (path.clone(), state_of(path))).collect(),
            globs: self.globs.keys().map(|glob| (glob.clone(), found(glob).unwrap_or_default())).collect(),
        }
    }
}

fn state_of(path: &Path) -> Option<FileState> {
    let metadata = std::fs::metadata(path).ok()?;
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    Some(([metadata.dev(), metadata.ino(), metadata.size()], times))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file and a pattern, does something, and says whether that shows.
    fn shows(change: impl FnOnce(&Path)) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let fleet = dir.path().join("fleet.toml");
        std::fs::write(dir.path().join("real.toml"), "one").unwrap();
        std::os::unix::fs::symlink(dir.path().join("real.toml"), &fleet).unwrap();
        let files = RealFiles::default();
        files.read(&fleet).unwrap();
        files.glob(&dir.path().join("racks/*.toml")).unwrap();
        let before = files.fingerprint();
        change(dir.path());
        before != before.anew()
    }

    #[test]
    fn an_editor_that_renames_shows_and_so_does_a_link_to_elsewhere() {
        assert!(shows(|dir| {
            std::fs::write(dir.join("new"), "two").unwrap();
            std::fs::rename(dir.join("new"), dir.join("real.toml")).unwrap();
        }));
        assert!(shows(|dir| {
            std::fs::write(dir.join("other.toml"), "one").unwrap();
            std::fs::remove_file(dir.join("fleet.toml")).unwrap();
            std::os::unix::fs::symlink(dir.join("other.toml"), dir.join("fleet.toml")).unwrap();
        }));
    }

    #[test]
    fn a_file_that_a_pattern_now_finds_shows() {
        assert!(shows(|dir| {
            std::fs::create_dir(dir.join("racks")).unwrap();
            std::fs::write(dir.join("racks/a.toml"), "").unwrap();
        }));
    }

    #[test]
    fn all_files_of_an_inventory_together_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let half = "#".repeat(9 << 20);
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), &half).unwrap();
        }
        let files = RealFiles::default();
        assert!(files.read(&dir.path().join("a")).is_ok());
        assert!(files.read(&dir.path().join("b")).unwrap_err().to_string().contains("larger than"));
    }

    #[test]
    fn a_neighbour_that_nobody_reads_does_not_show() {
        assert!(!shows(|dir| std::fs::write(dir.join("notes.txt"), "x").unwrap()));
    }
}
