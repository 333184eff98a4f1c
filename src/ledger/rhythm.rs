//! The rhythm of readings that two collectors make of one series: short, long, short, long.

use crate::reading::Timestamp;

/// The distances that a rhythm is known by: three long ones with a short one behind each.
const N_DISTANCES: usize = 6;

/// The last distances between readings of a series, as they come from all collectors.
#[derive(Debug, Clone, Default)]
pub(super) struct Rhythm {
    last_us: Option<i64>,
    /// In microseconds, the newest last.
    distances: Vec<i64>,
}

impl Rhythm {
    /// Takes the next reading. Whether it is a second collector's: it comes shortly behind another, for the third time, and
    /// from one such pair to the next it is as long each time. Distances that differ by less than the longest that counts
    /// do no harm, and are left as they are.
    pub(super) fn is_second_collector(&mut self, at: Timestamp) -> bool {
        let now_us = at.micros();
        let Some(last_us) = self.last_us.replace(now_us).filter(|last_us| *last_us < now_us) else {
            return false;
        };
        self.distances.push(now_us.saturating_sub(last_us));
        if self.distances.len() > N_DISTANCES {
            self.distances.remove(0);
        }
        let is_pair = |pair: &[i64]| matches!(pair, [long, short] if short.saturating_mul(3) < *long);
        let periods = || self.distances.chunks_exact(2).map(|pair| pair.iter().sum::<i64>());
        let (least, most) = (periods().min().unwrap_or(0), periods().max().unwrap_or(0));
        self.distances.len() == N_DISTANCES
            && self.distances.chunks_exact(2).all(is_pair)
            && (most - least).saturating_mul(10) <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each reading at these seconds is a second collector's.
    fn seconds(at: impl IntoIterator<Item = i64>) -> Vec<bool> {
        let mut rhythm = Rhythm::default();
        at.into_iter()
            .map(|second| rhythm.is_second_collector(Timestamp::from_micros(second * 1_000_000)))
            .collect()
    }

    #[test]
    fn a_second_collector_is_known_from_its_third_reading_on() {
        let first = |minute: i64| minute * 60;
        let both = (0..5).map(first).chain((5..9).flat_map(|minute| [first(minute), first(minute) + 2]));
        let expected = [[false; 9].as_slice(), &[false, true, false, true]].concat();
        assert_eq!(seconds(both), expected);
    }

    #[test]
    fn one_collector_is_one_whatever_it_misses() {
        let is_none = |at: &[i64]| seconds(at.iter().copied()).iter().all(|is| !is);
        assert!(is_none(&[0, 60, 120, 180, 240, 300, 360, 420]));
        assert!(is_none(&[0, 60, 62, 122, 182, 184, 244, 400, 402, 900, 901]), "restarts");
        // Half an interval apart nothing is lost.
        assert!(is_none(&[0, 30, 60, 90, 120, 150, 180]) && is_none(&[0, 20, 60, 80, 120, 140, 180, 200]));
    }
}
