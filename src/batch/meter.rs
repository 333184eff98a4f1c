//! Samples of a board's draw become one number a cycle: mean, extremes, energy, and how much time that
//! energy is of.
//!
//! Integers only. What is smaller than a millijoule is carried over to the next cycle, so that the cycles'
//! energies add up to that of all their samples.

use std::time::Duration;

use crate::reading::{Energy, Power, PowerKind, PowerSamples, SampleCounts};

/// Energy is added up in half milliwatts for a microsecond.
const HALF_NANOJOULES_PER_MILLIJOULE: i128 = 2_000_000;

/// The meter of one board.
#[derive(Debug, Clone)]
pub struct PowerMeter {
    kind: PowerKind,
    /// Samples further apart than this have uncovered time between them.
    max_gap: Duration,
    last: Option<(Duration, Power)>,
    /// Counts since the samples were last taken. A row without a number, and a number that cannot be true, are
    /// counted here and nothing else; the neighbours are those that have one that can.
    pub counts: SampleCounts,
    total: i128,
    min: Power,
    max: Power,
    /// In [`HALF_NANOJOULES_PER_MILLIJOULE`], what the cycles before left over included.
    energy: i128,
    covered: Duration,
    variance_mj2: u64,
}

impl PowerMeter {
    /// A meter for one kind of number.
    pub fn new(kind: PowerKind, max_gap: Duration) -> Self {
        Self {
            kind,
            max_gap,
            last: None,
            counts: SampleCounts::default(),
            total: 0,
            min: Power::default(),
            max: Power::default(),
            energy: 0,
            covered: Duration::ZERO,
            variance_mj2: 0,
        }
    }

    /// From now on the samples are of this kind. One of another kind is no neighbour of theirs.
    pub fn set_kind(&mut self, kind: PowerKind) {
        if kind != self.kind {
            self.kind = kind;
            self.last = None;
        }
    }

    /// A sample, and when it came since any fixed moment. One that is not after the last covers no time.
    pub fn add(&mut self, at: Duration, power: Power) {
        let is_first = self.counts.n_samples == 0;
        self.min = if is_first { power } else { self.min.min(power) };
        self.max = if is_first { power } else { self.max.max(power) };
        self.counts.n_samples += 1;
        self.total += i128::from(power.milliwatts());
        if let Some((last_at, last)) = self.last {
            let gap = at.saturating_sub(last_at);
            if gap <= self.max_gap {
                let micros = i128::try_from(gap.as_micros()).unwrap_or_default();
                let both = i128::from(last.milliwatts()) + i128::from(power.milliwatts());
                self.energy += both * micros;
                self.variance_mj2 = self.variance_mj2.saturating_add(variance(last, power, micros));
                self.covered += gap;
            }
        }
        self.last = Some((at, power));
    }

    /// The samples since the last time, and begins anew; `None` if none had a number.
    pub fn take(&mut self) -> Option<PowerSamples> {
        let counts = std::mem::take(&mut self.counts);
        if counts.n_samples == 0 {
            return None;
        }
        let total = std::mem::take(&mut self.total);
        let n = i128::from(counts.n_samples);
        let whole = self.energy.div_euclid(HALF_NANOJOULES_PER_MILLIJOULE);
        self.energy = self.energy.rem_euclid(HALF_NANOJOULES_PER_MILLIJOULE);
        Some(PowerSamples {
            kind: self.kind,
            // Half a milliwatt is rounded up.
            mean: Power::from_milliwatts(narrow((2 * total + n).div_euclid(2 * n))),
            min: self.min,
            max: self.max,
            counts,
            energy: Energy::from_millijoules(narrow(whole)),
            covered: std::mem::take(&mut self.covered),
            variance_mj2: std::mem::take(&mut self.variance_mj2),
        })
    }
}

/// (Δw·Δt)²/2 of a segment, in square millijoules.
fn variance(last: Power, power: Power, micros: i128) -> u64 {
    let rise = i128::from(power.milliwatts()) - i128::from(last.milliwatts());
    let millijoules = rise.saturating_mul(micros) / 1_000_000;
    u64::try_from(millijoules.saturating_mul(millijoules) / 2).unwrap_or(u64::MAX)
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GAP: Duration = Duration::from_millis(300);

    fn meter() -> PowerMeter {
        PowerMeter::new(PowerKind::Instant, GAP)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_steady_draw_is_watts_times_seconds() {
        let mut meter = meter();
        (0..=10).for_each(|i| meter.add(ms(i * 100), Power::from_watts(250)));
        let samples = meter.take().unwrap();
        assert_eq!((samples.counts.n_samples, samples.covered), (11, ms(1000)));
        assert_eq!(samples.energy, Energy::from_millijoules(250_000));
        assert_eq!((samples.min, samples.mean, samples.max), (samples.mean, samples.max, samples.min));
    }

    #[test]
    fn a_ramp_is_its_trapezoid() {
        let mut meter = meter();
        meter.add(ms(0), Power::from_watts(100));
        meter.add(ms(100), Power::from_watts(300));
        let samples = meter.take().unwrap();
        assert_eq!(samples.energy, Energy::from_millijoules(20_000));
        assert_eq!(samples.mean, Power::from_watts(200));
    }

    #[test]
    fn a_gap_is_uncovered_and_never_filled() {
        let mut meter = meter();
        for at in [0, 100, 401, 501] {
            meter.add(ms(at), Power::from_watts(100));
        }
        let samples = meter.take().unwrap();
        assert_eq!((samples.energy, samples.covered), (Energy::from_millijoules(20_000), ms(200)));
    }

    #[test]
    fn the_last_sample_of_a_cycle_is_the_neighbour_of_the_next_ones_first() {
        let mut meter = meter();
        meter.add(ms(0), Power::from_watts(100));
        assert_eq!(meter.take().unwrap().energy, Energy::from_millijoules(0));
        assert_eq!(meter.take(), None);
        meter.add(ms(100), Power::from_watts(300));
        let samples = meter.take().unwrap();
        assert_eq!((samples.energy, samples.covered), (Energy::from_millijoules(20_000), ms(100)));
        assert_eq!(samples.mean, Power::from_watts(300));
    }

    #[test]
    fn samples_without_a_number_are_counted_and_are_no_zeros() {
        let mut meter = meter();
        meter.add(ms(0), Power::from_watts(100));
        meter.counts.n_absent += 1;
        meter.counts.n_refused += 1;
        meter.add(ms(200), Power::from_watts(100));
        let counts = SampleCounts { n_samples: 2, n_absent: 1, n_refused: 1, n_unread: 0 };
        assert_eq!(meter.counts, counts);
        let samples = meter.take().unwrap();
        assert_eq!(meter.counts, SampleCounts::default());
        assert_eq!(samples.counts, counts);
        assert_eq!((samples.mean, samples.covered), (Power::from_watts(100), ms(200)));
    }

    proptest! {
        #[test]
        fn cycles_add_up_to_the_whole_wherever_they_are_cut(
            steps in prop::collection::vec((0..500_u64, 0..1_000_000_i64, any::<bool>()), 1..60),
        ) {
            let (mut whole, mut parts) = (meter(), meter());
            let (mut at, mut taken) = (Duration::ZERO, Vec::new());
            for (gap, milliwatts, is_cut) in steps {
                at += ms(gap);
                whole.add(at, Power::from_milliwatts(milliwatts));
                parts.add(at, Power::from_milliwatts(milliwatts));
                if is_cut {
                    taken.extend(parts.take());
                }
            }
            taken.extend(parts.take());
            let whole = whole.take().unwrap();
            let energy: i64 = taken.iter().map(|part| part.energy.millijoules()).sum();
            prop_assert_eq!(energy, whole.energy.millijoules());
            prop_assert_eq!(taken.iter().map(|part| part.covered).sum::<Duration>(), whole.covered);
            prop_assert_eq!(taken.iter().map(|part| part.counts.n_samples).sum::<u64>(), whole.counts.n_samples);
            prop_assert_eq!(taken.iter().map(|part| part.min).min(), Some(whole.min));
            prop_assert_eq!(taken.iter().map(|part| part.max).max(), Some(whole.max));
        }
    }
}
