//! The file that the textfile collector of a node exporter reads.

use std::path::Path;

use super::{Choice, Format, metrics};
use crate::batch::Snapshot;
use crate::support::state_file::{WriteError, write_for_all};

/// Writes the file anew, whole or not at all. Everybody may read it: the collector is another user.
///
/// # Errors
/// It cannot be written, and the old one is as it was.
pub fn write_textfile(path: &Path, snapshot: &Snapshot, choice: &Choice) -> Result<(), WriteError> {
    write_for_all(path, metrics(snapshot, choice, Format::Text).as_bytes())
}
