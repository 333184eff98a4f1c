//! The file system, as the inventory room reads it.

use std::io;
use std::path::{Path, PathBuf};

use crate::inventory::Files;

/// No inventory is larger than this: it bounds the memory that a wrong path can cost.
const MAX_INVENTORY_BYTES: u64 = 16 << 20;

/// The real files.
#[derive(Debug, Clone, Copy)]
pub(super) struct RealFiles;

impl Files for RealFiles {
    fn read(&self, path: &Path) -> io::Result<String> {
        let n_bytes = std::fs::metadata(path)?.len();
        if MAX_INVENTORY_BYTES < n_bytes {
            return Err(io::Error::other(format!(
                "it has {n_bytes} bytes; {MAX_INVENTORY_BYTES} are allowed"
            )));
        }
        std::fs::read_to_string(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern.to_str().ok_or_else(|| io::Error::other("the pattern is not UTF-8"))?;
        let found = glob::glob(pattern).map_err(io::Error::other)?;
        found.map(|path| path.map_err(std::convert::Into::into)).collect()
    }
}
