//! One fleetwatt a state directory: a lock that the kernel frees when its holder dies, however it dies.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Error;
use crate::support::state_file;

/// The file that is locked. Its content is for people: the holder's process number.
const FILE_NAME: &str = "lock";

/// The other user that a state directory belongs to, if it does. Whatever we wrote there would be in that
/// user's way.
pub(super) fn foreign_owner(state_dir: &Path) -> Option<u32> {
    let owner = std::fs::metadata(state_dir).ok()?.uid();
    (owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

/// That a state directory may be written to, as far as its owner is concerned.
///
/// # Errors
/// It belongs to somebody else.
pub(super) fn is_ours(state_dir: &Path) -> Result<(), Error> {
    match foreign_owner(state_dir) {
        Some(owner) => Err(Error::StateOwner(state_dir.to_owned(), owner)),
        None => Ok(()),
    }
}

/// Takes the lock of a state directory, which is created if it is not there. The file holds it until it is dropped.
pub(super) fn lock_state(state_dir: &Path) -> Result<File, Error> {
    is_ours(state_dir)?;
    let fail = |source| Error::Directory("state", state_dir.to_owned(), source);
    let mut file = state_file::open_lock(state_dir, FILE_NAME).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::Error(source)) => return Err(fail(source)),
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse().ok());
            return Err(Error::Locked(state_dir.to_owned(), holder));
        }
    }
    if let Err(error) = note_holder(&mut file) {
        // The lock holds without it, and a database may still take what a full disk does not.
        tracing::debug!(%error, "the lock does not say who holds it");
    }
    Ok(file)
}

fn note_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let _held = lock_state(dir.path()).unwrap();
        let refused = lock_state(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("(process {})", std::process::id())), "{refused}");
    }

    #[test]
    fn the_lock_is_free_again_when_its_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        drop(lock_state(dir.path()).unwrap());
        assert!(lock_state(dir.path()).is_ok());
    }
}
