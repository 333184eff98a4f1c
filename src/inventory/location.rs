//! Locations in the files of an inventory.

use std::ops::Range;

/// A place in one of the files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    /// Index of the file, in the order of reading.
    pub(super) file: usize,
    /// Bytes of that file: start and end. `None` is the file as a whole.
    pub(super) span: Option<(usize, usize)>,
}

impl Location {
    pub(super) const fn new(file: usize, span: &Range<usize>) -> Self {
        Self { file, span: Some((span.start, span.end)) }
    }

    pub(super) const fn whole_file(file: usize) -> Self {
        Self { file, span: None }
    }
}

/// A value and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) location: Location,
}

/// Stores a value that was read; without one, `to` keeps its default.
pub(super) fn put<T, U: From<T>>(value: Option<Spanned<T>>, to: &mut U) {
    if let Some(Spanned { value, .. }) = value {
        *to = value.into();
    }
}
