//! Reads a tariff of another format: `tariff import`.

use std::path::Path;

use super::files::{STDIN, stdin};
use super::price_error::PriceError;
use crate::support::regular_file;
use crate::tariff::MAX_FILE_BYTES;
use crate::tariff::import::{ImportFormat, ImportOptions, Imported, import};

/// Imports a file, or standard input by the name `-`.
///
/// # Errors
/// It cannot be read; it is of another format, or says what these tables cannot.
pub fn import_tariff(
    format: ImportFormat,
    path: &Path,
    options: &ImportOptions<'_>,
) -> Result<Imported, PriceError> {
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let text = if path == Path::new(STDIN) { stdin(most) } else { regular_file::read_text(path, most) };
    let text = text.map_err(|error| PriceError::ImportFile(path.to_owned(), error))?;
    import(format, &text, options).map_err(|error| PriceError::Import(path.to_owned(), error))
}
