//! Finds what cannot be taken among many, by halves.

use std::ops::Range;

/// The ranges of rows that are still to be tried. Each range that is refused is halved until it is one
/// row: one bad row of a thousand costs about twenty tries.
#[derive(Debug)]
pub(super) struct Bisect {
    /// The last one is tried next, so that the rows come in their order.
    untried: Vec<Range<usize>>,
}

impl Bisect {
    /// Of rows that were refused together.
    pub(super) fn of(n_rows: usize) -> Self {
        let mut bisect = Self { untried: Vec::new() };
        bisect.split(0..n_rows);
        bisect
    }

    /// The range that is to be tried next.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.untried.pop()
    }

    /// A range was refused. Says whether it was one row, which is then found.
    pub(super) fn refuse(&mut self, range: Range<usize>) -> bool {
        let is_one = range.len() == 1;
        if !is_one {
            self.split(range);
        }
        is_one
    }

    fn split(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        let parts = [middle..range.end, range.start..middle];
        self.untried.extend(parts.into_iter().filter(|part| !part.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_bad_rows_are_found_and_every_other_is_taken_once_in_order(bad in prop::collection::vec(any::<bool>(), 0..200)) {
            let mut bisect = Bisect::of(bad.len());
            let (mut taken, mut found) = (Vec::new(), Vec::new());
            while let Some(range) = bisect.next() {
                if !range.clone().any(|row| bad[row]) {
                    taken.extend(range);
                } else if bisect.refuse(range.clone()) {
                    found.push(range.start);
                }
            }
            let rows = |wanted: bool| (0..bad.len()).filter(|row| bad[*row] == wanted).collect::<Vec<_>>();
            prop_assert_eq!((taken, found), (rows(false), rows(true)));
        }
    }
}
