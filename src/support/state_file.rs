//! The one way to write a file that is kept, whole or not at all: a new file beside the old one is synced and
//! takes its name, then the folder is synced. An error leaves the old content, and so does a power cut, or
//! the new one. Every file is for its owner alone (mode 0600), whether it holds a secret or not, but for one that a
//! person asked for.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The end of a new file's name until it takes its place.
const NEW: &str = ".new";

/// The modes of files, before the umask.
const OWNER_ONLY: u32 = 0o600;
const FOR_OTHERS: u32 = 0o666;

/// The mode of a file for another user, whatever the umask.
const FOR_ALL: u32 = 0o644;

/// A new file that is so much older than the last one was left by a process that was killed.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// A file could not be written. Unless only the folder's sync failed, the old one is as it was.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be written", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// Writes a file as this module says. Its folder is there.
///
/// # Errors
/// Any step fails.
pub fn write(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    replace(path, content, OWNER_ONLY).map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Writes a file that a person asked for, to be passed on: others may read it as far as the umask lets them. Its folder
/// is there.
///
/// # Errors
/// Any step fails.
pub fn write_for_others(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    replace(path, content, FOR_OTHERS).map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Writes a file that programs of other users read, whatever the umask is. Its folder is there.
///
/// # Errors
/// Any step fails.
pub fn write_for_all(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    replace(path, content, FOR_ALL).map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Renames a file that cannot be used to `….damaged`, so that a person can look at it.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    std::fs::rename(path, aside)?;
    sync(folder_of(path))
}

/// Creates a folder, and those above it, for this user alone, unless it is there.
///
/// # Errors
/// It cannot be created.
pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file that is there to be locked, and creates it and its folder unless they are there.
///
/// # Errors
/// It cannot be opened.
pub fn open_lock(folder: &Path, name: &str) -> io::Result<File> {
    create_folder(folder)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(name))
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = folder_of(path);
    let prefix = prefix_of(path)?;
    // Removed again when a step fails, so that a full disk does not get fuller.
    let mut new = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(NEW)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    // No buffer in between: what it could not write would be lost when it is dropped.
    new.write_all(content)?;
    if mode == FOR_ALL {
        new.as_file().set_permissions(Permissions::from_mode(FOR_ALL))?;
    }
    new.as_file().sync_all()?;
    let new = new.persist(path)?;
    sync(folder)?;
    sweep(folder, &prefix, &new);
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The beginning of the names that new files have until they take the place of `path`.
fn prefix_of(path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(|name| format!(".{name}.")).ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes what earlier processes left when they were killed halfway. Nothing depends on it.
fn sweep(folder: &Path, prefix: &str, newest: &File) {
    let written_at = newest.metadata().and_then(|metadata| metadata.modified());
    let (Ok(written_at), Ok(entries)) = (written_at, folder.read_dir()) else { return };
    for entry in entries.flatten() {
        let is_new =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(NEW));
        let age = entry.metadata().and_then(|metadata| metadata.modified());
        let age = age.ok().and_then(|at| written_at.duration_since(at).ok()).unwrap_or_default();
        if is_new && age > LEFT_AFTER {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_content_replaces_the_old_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::write(&path, "a longer old content").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["x.json"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_another_one_writes_now_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, age: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_secs(age))
                .unwrap();
        };
        at(".x.json.abc.new", 120);
        at(".x.json.def.new", 1);
        at(".y.json.abc.new", 120);
        write(&folder.path().join("x.json"), b"new").unwrap();
        assert_eq!(names(folder.path()), [".x.json.def.new", ".y.json.abc.new", "x.json"]);
    }

    #[test]
    fn a_file_that_cannot_take_its_place_is_an_error_that_names_it_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        let error = write(&path, b"new").unwrap_err();
        assert!(error.to_string().contains("x.json"), "{error}");
        assert_eq!(names(folder.path()), ["x.json"]);
    }
}
