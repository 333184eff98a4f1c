//! Errors of tariffs and of the files with their prices.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::inventory::Diagnostics;
use crate::support::error::Diagnose;
use crate::tariff::FileFault;
use crate::tariff::import::ImportError;

/// Why prices cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// A file of tariffs has faults.
    #[error("the tariffs have faults")]
    Tables(#[source] Box<Diagnostics>),
    /// A price file, or the pattern of some, cannot be read.
    #[error("cannot read the price file `{}`", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// Rows of price files are wrong; at least one.
    #[error("{}{}", .0.first().map(ToString::to_string).unwrap_or_default(), and_more(.0.len()))]
    Rows(Vec<FileFault>),
    /// There is no tariff whose prices could be shown.
    #[error("there is no tariff")]
    NoTariff,
    /// A file is not to be read for an import.
    #[error("cannot read `{}`", .0.display())]
    ImportFile(PathBuf, #[source] io::Error),
    /// A file cannot be imported, for the reason that goes on from its name.
    #[error("`{}` {}", .0.display(), .1)]
    Import(PathBuf, ImportError),
}

fn and_more(n_faults: usize) -> String {
    if n_faults < 2 { String::new() } else { format!(" (and {} more)", n_faults - 1) }
}

impl Diagnose for PriceError {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Tables(_) => "",
            Self::File(..) => {
                "let `file` find regular files that this user may read, 64 MiB and 400,000 rows of a tariff at most"
            }
            Self::Rows(faults) => return faults.first().map(Diagnose::hint).unwrap_or_default(),
            Self::NoTariff => {
                "write a [[tariff]] in the inventory, or name a file that has one with --tariff"
            }
            Self::ImportFile(..) => "name a regular file of at most 64 MiB that this user may read, or `-`",
            Self::Import(_, error) => return error.hint(),
        })
    }

    fn is_transient(&self) -> bool {
        false
    }
}
