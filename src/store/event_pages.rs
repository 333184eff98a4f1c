//! Pages of a timeline in the order of time, bounded in rows: the time of a page follows from how many rows there were in
//! the one before it, so that no page is sorted for long.

use std::ops::Range;

use crate::reading::Timestamp;

/// The most rows of a page.
pub(super) const ROWS_A_PAGE: usize = 50_000;

/// A page with fewer rows than this is followed by one of twice its time.
const FEW_ROWS: usize = ROWS_A_PAGE / 5;

/// The time of the first page, and the least: 15 minutes.
const LEAST_MICROS: i64 = 15 * 60 * 1_000_000;

/// The longest: 32 days.
const MOST_MICROS: i64 = 32 * 86_400 * 1_000_000;

/// The pages of a time, one after the other.
#[derive(Debug)]
pub(super) struct EventPages {
    start: i64,
    end: i64,
    length: i64,
    /// Rows at `start` that were in the page before.
    offset: usize,
    n_rows: usize,
    /// The time of the last row, and how many of this page have it.
    last: Option<(i64, usize)>,
}

/// A page: its time, the end excluded, and the number of rows in the order of time that come before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventPage {
    pub(super) time: Range<i64>,
    pub(super) offset: usize,
}

impl EventPages {
    pub(super) const fn new(time: &Range<Timestamp>) -> Self {
        let (start, end) = (time.start.micros(), time.end.micros());
        Self { start, end, length: LEAST_MICROS, offset: 0, n_rows: 0, last: None }
    }

    /// The page to be read; `None` after the last one.
    pub(super) fn page(&self) -> Option<EventPage> {
        let end = self.start.saturating_add(self.length).min(self.end);
        (self.start < end).then_some(EventPage { time: self.start..end, offset: self.offset })
    }

    /// Notes the next row of the page.
    pub(super) fn note_row(&mut self, at: Timestamp) {
        self.n_rows += 1;
        self.last = Some(match self.last {
            Some((last, n_rows)) if last == at.micros() => (last, n_rows + 1),
            _ => (at.micros(), 1),
        });
    }

    /// Turns to the next page.
    pub(super) fn next_page(&mut self) {
        let Some(page) = self.page() else { return };
        match self.last.filter(|_| self.n_rows >= ROWS_A_PAGE) {
            // It was full: the rest of it follows.
            Some((last, n_rows)) => {
                self.offset = if last == self.start { self.offset + n_rows } else { n_rows };
                self.start = last;
                self.length = (self.length / 4).max(LEAST_MICROS);
            }
            None => {
                (self.start, self.offset) = (page.time.end, 0);
                if self.n_rows < FEW_ROWS {
                    self.length = self.length.saturating_mul(2).min(MOST_MICROS);
                } else if self.n_rows > ROWS_A_PAGE / 2 {
                    self.length = (self.length / 2).max(LEAST_MICROS);
                }
            }
        }
        (self.n_rows, self.last) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(times: &[i64], time: Range<i64>) -> (Vec<i64>, usize) {
        let bounds = Timestamp::from_micros(time.start)..Timestamp::from_micros(time.end);
        let (mut pages, mut found, mut n_pages) = (EventPages::new(&bounds), Vec::new(), 0);
        while let Some(page) = pages.page() {
            let of_page =
                times.iter().filter(|at| page.time.contains(at)).skip(page.offset).take(ROWS_A_PAGE);
            for at in of_page {
                pages.note_row(Timestamp::from_micros(*at));
                found.push(*at);
            }
            pages.next_page();
            n_pages += 1;
        }
        (found, n_pages)
    }

    #[test]
    fn a_dense_time_after_a_sparse_year_is_read_whole() {
        let hour = 4 * LEAST_MICROS;
        let sparse = (0..8_760).map(|n| n * hour);
        // Two and a half pages at one time, and three over a day.
        let at_once = std::iter::repeat_n(8_760 * hour, 125_000);
        let dense = (0..150_000).map(|n| 8_761 * hour + n * 24 * hour / 150_000);
        let times: Vec<i64> = sparse.chain(at_once).chain(dense).collect();
        let (found, n_pages) = read(&times, 0..9_000 * hour);
        assert!(found == times, "{} of {}", found.len(), times.len());
        assert!(n_pages < 40, "{n_pages}");
    }

    #[test]
    fn an_empty_century_takes_few_pages() {
        let century = 36_525 * 86_400 * 1_000_000;
        let (found, n_pages) = read(&[], 0..century);
        assert_eq!(found, [] as [i64; 0]);
        assert!(n_pages < 1_200, "{n_pages}");
    }

    proptest! {
        #[test]
        fn every_row_of_a_time_comes_once_and_in_order(
            mut times in prop::collection::vec(-1_000..MOST_MICROS, 0..200), bounds in (-2_000..MOST_MICROS, 0..MOST_MICROS)
        ) {
            times.sort_unstable();
            let time = bounds.0..bounds.1;
            let expected: Vec<i64> = times.iter().copied().filter(|at| time.contains(at)).collect();
            prop_assert_eq!(read(&times, time).0, expected);
        }
    }
}
