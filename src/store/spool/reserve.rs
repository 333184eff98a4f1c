//! Room on the disk that is set aside, so that on a full one what waits can still be delivered and removed: to
//! remove a batch, SQLite needs its log and its index of the log, some tens of kilobytes, for a while.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The file that holds the room, beside the spool.
const FILE_NAME: &str = "spool.reserve";

/// The index of the log has 32 KiB, the log itself is kept below 100 KiB meanwhile.
const SIZE: u64 = 192 << 10;

/// Sets the room aside, if it is not and the disk has twice as much.
pub(super) fn keep(spool: &Path) {
    let path = spool.with_file_name(FILE_NAME);
    if !path.exists() && is_roomy(spool) {
        allocate(&path, SIZE);
    }
}

/// Takes the room back that [`release`] gave, as far as it is still there.
pub(super) fn restore(spool: &Path) {
    let path = spool.with_file_name(FILE_NAME);
    if !path.exists() && !allocate(&path, SIZE) && !allocate(&path, SIZE * 3 / 4) {
        allocate(&path, SIZE / 2);
    }
}

/// Gives the room back to the disk; says whether there was some.
pub(super) fn release(spool: &Path) -> bool {
    std::fs::remove_file(spool.with_file_name(FILE_NAME)).is_ok()
}

/// Whether the disk has so much room that none needs to be held back for emergencies.
pub(super) fn is_roomy(spool: &Path) -> bool {
    let Some(folder) = spool.parent() else { return false };
    statvfs(folder).is_ok_and(|disk| 2 * SIZE <= disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn allocate(path: &Path, bytes: u64) -> bool {
    let done = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| fill(&file, bytes));
    if let Err(error) = &done {
        tracing::debug!(%error, "no room is set aside for a full disk");
        // An empty file would look like room.
        std::fs::remove_file(path).unwrap_or_default();
    }
    done.is_ok()
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            file.write_all(&vec![1; usize::try_from(bytes).unwrap_or(0)])?;
            file.sync_all()
        }
        done => done.map_err(io::Error::from),
    }
}
