//! From one reading of a series to the next: the energy between them, cut at the quarters.
//!
//! Constraints:
//! - A segment counts if it is longer than nothing and no longer than three intervals. The interval is learnt from the
//!   readings themselves, so that a timeline that is read again gives the same ledger: it is the median of the last
//!   [`N_GAPS`] distances. Before any distance is known, nothing counts.
//! - Energy is the trapezoid in units of half a nanojoule (a milliwatt for half a microsecond). Whole millijoules are
//!   booked, and the rest is carried to the next segment, so that nothing is lost by rounding.
//! - The parts of a segment are the differences of one cumulative sum, so that they add up to the whole.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EnergyTotal, Entry, Method};
use crate::reading::{Energy, Power, Quarter, Share, Timestamp};

/// Half a nanojoule, the unit of sums, in a millijoule.
const HALF_NANOJOULES: i128 = 2_000_000;

/// Half a microsecond at a thousandth of a percent, the unit of busy time, in a millisecond.
const BUSY_UNITS: i128 = 2 * 1_000 * 100_000;

/// Readings further apart than this many intervals have a gap between them.
const MAX_INTERVALS: i64 = 3;

/// The number of distances between readings that tell the interval.
const N_GAPS: usize = 5;

/// Beyond, no distance counts, whatever is configured: 31 days. With [`MAX_MILLIWATTS`] it bounds all sums.
const MAX_GAP_MICROS: i64 = 31 * 86_400 * 1_000_000;

/// More than any series draws: a gigawatt.
const MAX_MILLIWATTS: i64 = 1_000_000_000_000;

/// A reading of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnergyReading {
    /// The time of measurement.
    pub at: Timestamp,
    /// The power then, or the mean of the samples that end then.
    pub power: Power,
    /// The share of time in which a GPU was busy, as far as it is known.
    pub busy: Option<Share>,
    /// The samples since the reading before, where there were any.
    pub samples: Option<Sampled>,
}

/// The samples between two readings. They end with the reading, and count in place of the line between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    /// Their energy.
    pub energy: Energy,
    /// The time that the energy is of.
    pub covered: Duration,
    /// Their number.
    pub samples: u64,
    /// The least of them.
    pub min: Power,
    /// The largest of them.
    pub max: Power,
    /// The variance of their energy in square millijoules, as in [`Entry::variance_mj2`].
    pub variance_mj2: u64,
}

/// The end of a series: where its next segment begins. It is durable together with the batch of its last reading.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeriesState {
    last: Option<Last>,
    /// The energy that is not a whole millijoule yet, in half nanojoules.
    carry: i64,
    /// The same of the busy time.
    busy_carry: i64,
    /// The last distances between readings in microseconds, the newest last.
    gaps: Vec<i64>,
    /// All that was measured so far; `None` until it is known what that was before this state began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<EnergyTotal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    at_us: i64,
    milliwatts: i64,
    busy_millipercent: Option<i64>,
}

/// The line from one reading to the next.
struct Segment {
    from: Last,
    to: Last,
}

impl SeriesState {
    /// Takes the next reading, and gives what it adds to each quarter, the oldest first. `max_gap` is the longest
    /// distance that counts, in place of three learnt intervals.
    ///
    /// A reading that is not later than the last one adds nothing and changes nothing: of two readings at one time the
    /// first counts, and a clock that was set back is waited for.
    pub fn advance(&mut self, reading: &EnergyReading, max_gap: Option<Duration>) -> Vec<(Quarter, Entry)> {
        let to = Last {
            at_us: reading.at.micros(),
            milliwatts: reading.power.milliwatts().clamp(-MAX_MILLIWATTS, MAX_MILLIWATTS),
            busy_millipercent: reading.busy.map(Share::millipercent),
        };
        let gap = self.last.map(|from| to.at_us.saturating_sub(from.at_us));
        if gap.is_some_and(|gap| gap <= 0) {
            return Vec::new();
        }
        let is_covered = gap.is_some_and(|gap| self.longest(max_gap).is_some_and(|longest| gap <= longest));
        let mut parts = match (&reading.samples, self.last.filter(|_| is_covered)) {
            (Some(samples), _) => sampled(samples, &to),
            (None, Some(from)) => self.segment(&Segment { from, to }),
            (None, None) => Vec::new(),
        };
        let own = reading.samples.as_ref().map_or(Entry::reading(to.milliwatts), own_samples);
        match parts.last_mut() {
            Some((quarter, entry)) if *quarter == Quarter::at(reading.at) => *entry = entry.plus(own),
            _ => parts.push((Quarter::at(reading.at), own)),
        }
        self.learn(gap);
        self.last = Some(to);
        if let Some(total) = &mut self.total {
            parts.iter().for_each(|(_, entry)| total.add(entry));
        }
        parts
    }

    /// All that was measured of the series so far, if that is known.
    pub const fn total(&self) -> Option<EnergyTotal> {
        self.total
    }

    /// Says what was measured before, unless that is known.
    pub(super) fn begin_total(&mut self, before: EnergyTotal) {
        self.total.get_or_insert(before);
    }

    /// The time of its last reading, if it has had one.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last.map(|last| Timestamp::from_micros(last.at_us))
    }

    /// The longest distance that counts, if one is known.
    fn longest(&self, max_gap: Option<Duration>) -> Option<i64> {
        let configured = max_gap.map(|gap| i64::try_from(gap.as_micros()).unwrap_or(i64::MAX));
        let learnt = || {
            let mut gaps = self.gaps.clone();
            gaps.sort_unstable();
            gaps.get(gaps.len() / 2).map(|median| median.saturating_mul(MAX_INTERVALS))
        };
        configured.or_else(learnt).map(|longest| longest.min(MAX_GAP_MICROS))
    }

    fn learn(&mut self, gap: Option<i64>) {
        self.gaps.extend(gap);
        if self.gaps.len() > N_GAPS {
            self.gaps.remove(0);
        }
    }

    /// The energy and busy time of a segment in each quarter that it touches.
    fn segment(&mut self, segment: &Segment) -> Vec<(Quarter, Entry)> {
        let busy = segment.busy();
        let (mut energy, mut busy_time) = (i128::from(self.carry), i128::from(self.busy_carry));
        let (energy_before, busy_before) = (energy, busy_time);
        let parts = cuts(segment.from.at_us, segment.to.at_us).map(|(quarter, start, end)| {
            let sum = energy_before + segment.energy_until(end);
            let energy_mj = whole(sum, HALF_NANOJOULES) - whole(energy, HALF_NANOJOULES);
            energy = sum;
            let busy_ms = busy.map(|busy| {
                let sum = busy_before + busy * i128::from(end - segment.from.at_us);
                let milliseconds = whole(sum, BUSY_UNITS) - whole(busy_time, BUSY_UNITS);
                busy_time = sum;
                milliseconds
            });
            let part = Entry {
                energy_mj,
                covered_ms: end.div_euclid(1_000) - start.div_euclid(1_000),
                variance_mj2: segment.variance() * segment.share(start, end),
                busy_ms,
                method: Method::READINGS,
                ..Entry::passage()
            };
            (quarter, part)
        });
        let parts = parts.collect();
        self.carry = narrow(energy.rem_euclid(HALF_NANOJOULES));
        self.busy_carry = narrow(busy_time.rem_euclid(BUSY_UNITS));
        parts
    }
}

impl Segment {
    /// The energy from its beginning to an instant in it, in half nanojoules, rounded down.
    fn energy_until(&self, end_us: i64) -> i128 {
        let (elapsed, length) = (i128::from(end_us - self.from.at_us), i128::from(self.length()));
        let (first, rise) = (i128::from(self.from.milliwatts), i128::from(self.rise()));
        2 * first * elapsed + (rise * elapsed * elapsed).div_euclid(length)
    }

    /// Twice the mean of its ends' shares of busy time.
    fn busy(&self) -> Option<i128> {
        let (first, last) = (self.from.busy_millipercent?, self.to.busy_millipercent?);
        Some(i128::from(first) + i128::from(last))
    }

    /// (Δw·Δt)²/2 in square millijoules.
    #[allow(clippy::cast_precision_loss, reason = "an uncertainty needs no 53 bits")]
    fn variance(&self) -> f64 {
        let millijoules = self.rise() as f64 * self.length() as f64 / 1e6;
        millijoules * millijoules / 2.0
    }

    #[allow(clippy::cast_precision_loss, reason = "an uncertainty needs no 53 bits")]
    fn share(&self, start_us: i64, end_us: i64) -> f64 {
        (end_us - start_us) as f64 / self.length() as f64
    }

    const fn rise(&self) -> i64 {
        self.to.milliwatts - self.from.milliwatts
    }

    const fn length(&self) -> i64 {
        self.to.at_us - self.from.at_us
    }
}

/// The parts of a stretch of time, cut at the quarters: each with its quarter, its beginning and its end.
fn cuts(from_us: i64, to_us: i64) -> impl Iterator<Item = (Quarter, i64, i64)> {
    let mut start = from_us;
    std::iter::from_fn(move || {
        let quarter = Quarter::at(Timestamp::from_micros(start));
        let end = quarter.next().start().micros().min(to_us);
        let part = (quarter, start, end);
        (start < to_us).then(|| start = end)?;
        Some(part)
    })
}

/// The energy of samples over the time that they cover, which ends with their reading.
#[allow(clippy::cast_precision_loss, reason = "an uncertainty needs no 53 bits")]
fn sampled(samples: &Sampled, to: &Last) -> Vec<(Quarter, Entry)> {
    let covered = i64::try_from(samples.covered.as_micros()).unwrap_or(MAX_GAP_MICROS).min(MAX_GAP_MICROS);
    let from_us = to.at_us.saturating_sub(covered);
    let energy = i128::from(samples.energy.millijoules());
    let until = |end_us: i64| narrow((energy * i128::from(end_us - from_us)).div_euclid(i128::from(covered)));
    cuts(from_us, to.at_us)
        .map(|(quarter, start, end)| {
            let length = i128::from(end - start);
            let busy = to.busy_millipercent.map(|busy| whole(2 * i128::from(busy) * length, BUSY_UNITS));
            let part = Entry {
                energy_mj: until(end) - until(start),
                covered_ms: end.div_euclid(1_000) - start.div_euclid(1_000),
                variance_mj2: samples.variance_mj2 as f64 * (end - start) as f64 / covered as f64,
                busy_ms: busy,
                method: Method::SAMPLES,
                ..Entry::passage()
            };
            (quarter, part)
        })
        .collect()
}

/// The samples themselves, in the quarter of their reading.
fn own_samples(samples: &Sampled) -> Entry {
    Entry {
        samples: i64::try_from(samples.samples).unwrap_or(i64::MAX),
        min_mw: Some(samples.min.milliwatts()),
        max_mw: Some(samples.max.milliwatts()),
        ..Entry::reading(0)
    }
}

fn whole(sum: i128, unit: i128) -> i64 {
    narrow(sum.div_euclid(unit))
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
