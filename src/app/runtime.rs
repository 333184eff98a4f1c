//! The folder of control sockets, also where somebody else has taken its name.
//!
//! `/tmp/fleetwatt-<uid>` can be created by anybody who knows the uid. Then a folder with a name that nobody
//! could know takes its place, and a file in the state directory names it, so that the next run finds its masters.

use std::io;
use std::path::Path;

use super::{Error, RuntimePlace, Settings};
use crate::support::state_file;
use crate::transport::RuntimeDir;

/// The file that names the other folder.
const FILE_NAME: &str = "runtime-dir";

/// The folder, which is created if it is not there. The state directory is locked.
pub(super) fn create(settings: &Settings) -> Result<RuntimeDir, Error> {
    let RuntimePlace { path, is_shared } = &settings.runtime_dir;
    match RuntimeDir::create(path) {
        Err(_) if *is_shared => {
            let other = match remembered(&settings.state_dir) {
                Some(other) => other,
                None => create_other(path, &settings.state_dir).map_err(|source| fail(path, source))?,
            };
            tracing::warn!(
                "`{}` is not ours alone; the sockets of SSH connections are in `{}`",
                path.display(),
                other.path().display()
            );
            Ok(other)
        }
        made => made.map_err(|source| fail(path, source)),
    }
}

/// The folder, if it is there and ours alone. Nothing is written.
pub(super) fn existing(settings: &Settings) -> Result<Option<RuntimeDir>, Error> {
    let RuntimePlace { path, is_shared } = &settings.runtime_dir;
    match RuntimeDir::existing(path) {
        Err(_) if *is_shared => Ok(remembered(&settings.state_dir)),
        found => found.map_err(|source| fail(path, source)),
    }
}

fn fail(path: &Path, source: io::Error) -> Error {
    Error::Directory("runtime", path.to_owned(), source)
}

/// The other folder of an earlier run, if it is there and still ours.
fn remembered(state_dir: &Path) -> Option<RuntimeDir> {
    let named = std::fs::read_to_string(state_dir.join(FILE_NAME)).ok()?;
    RuntimeDir::existing(Path::new(named.trim_end())).ok().flatten()
}

fn create_other(taken: &Path, state_dir: &Path) -> io::Result<RuntimeDir> {
    let mut prefix = taken.file_name().unwrap_or_default().to_owned();
    prefix.push("-");
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(taken.parent().unwrap_or(taken))?;
    let name = folder.path().to_str().ok_or_else(|| io::Error::other("its name is not UTF-8"))?;
    state_file::write(&state_dir.join(FILE_NAME), format!("{name}\n").as_bytes())
        .map_err(io::Error::other)?;
    RuntimeDir::existing(&folder.keep())?.ok_or_else(|| io::Error::other("it vanished"))
}
