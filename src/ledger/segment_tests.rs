//! Energy between readings: by hand, and the laws.

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const QUARTER: i64 = Quarter::MICROS;

fn reading(at_us: i64, milliwatts: i64) -> EnergyReading {
    EnergyReading {
        at: Timestamp::from_micros(at_us),
        power: Power::from_milliwatts(milliwatts),
        busy: Some(Share::from_millipercent(50_000)),
        samples: None,
    }
}

/// A series that was read every minute up to `at_us`, at 100 W.
fn read_each_minute_until(at_us: i64) -> SeriesState {
    let mut state = SeriesState::default();
    for minutes in (0..6).rev() {
        state.advance(&reading(at_us - minutes * MINUTE, 100_000), None);
    }
    state
}

fn total(parts: &[(Quarter, Entry)]) -> Entry {
    parts.iter().map(|(_, entry)| *entry).reduce(Entry::plus).unwrap()
}

fn run(readings: &[EnergyReading], max_gap: Option<Duration>) -> Vec<(Quarter, Entry)> {
    let mut state = SeriesState::default();
    readings.iter().flat_map(|reading| state.advance(reading, max_gap)).collect()
}

#[test]
fn the_energy_of_a_minute_is_the_trapezoid() {
    let parts = read_each_minute_until(5 * MINUTE).advance(&reading(6 * MINUTE, 200_000), None);
    assert_eq!(parts.len(), 1);
    let entry = parts[0].1;
    // 60 s at a mean of 150 W.
    assert_eq!((entry.energy_mj, entry.covered_ms), (9_000_000, 60_000));
    assert_eq!((entry.samples, entry.min_mw, entry.max_mw), (1, Some(200_000), Some(200_000)));
    assert_eq!(entry.busy_ms, Some(30_000));
    // (100 W · 60 s)²/2, in square millijoules.
    assert!((entry.variance_mj2 - 1.8e13).abs() < 1.0);
}

#[test]
fn a_segment_is_cut_at_the_quarter_by_interpolation() {
    // 20 s before the quarter at 100 W, 40 s after it at 400 W: 200 W at the cut.
    let parts =
        read_each_minute_until(QUARTER - 20 * SECOND).advance(&reading(QUARTER + 40 * SECOND, 400_000), None);
    let figures: Vec<_> = parts.iter().map(|(at, entry)| (at.start().micros(), entry.energy_mj)).collect();
    assert_eq!(figures, [(0, 3_000_000), (QUARTER, 12_000_000)]);
    assert_eq!(parts[0].1.covered_ms + parts[1].1.covered_ms, 60_000);
    assert_eq!((parts[0].1.samples, parts[1].1.samples), (0, 1));
}

#[test]
fn the_first_segment_only_tells_the_interval() {
    let mut state = SeriesState::default();
    assert_eq!(state.advance(&reading(0, 100_000), None)[0].1.covered_ms, 0);
    assert_eq!(state.advance(&reading(MINUTE, 100_000), None)[0].1.covered_ms, 0);
    assert_eq!(state.advance(&reading(2 * MINUTE, 100_000), None)[0].1.covered_ms, 60_000);
}

#[test]
fn three_intervals_are_covered_and_a_microsecond_more_is_a_gap() {
    let state = read_each_minute_until(0);
    let covered = |gap| total(&state.clone().advance(&reading(gap, 100_000), None)).covered_ms;
    assert_eq!(covered(3 * MINUTE), 180_000);
    assert_eq!(covered(3 * MINUTE + 1), 0);
}

#[test]
fn a_configured_gap_holds_from_the_first_segment_on() {
    let readings = [reading(0, 100_000), reading(10 * MINUTE, 100_000), reading(21 * MINUTE, 100_000)];
    let parts = run(&readings, Some(Duration::from_secs(600)));
    assert_eq!(total(&parts).covered_ms, 600_000);
}

#[test]
fn a_new_interval_is_learnt_after_three_readings() {
    let mut state = read_each_minute_until(0);
    let covered: Vec<i64> =
        (1..=5).map(|n| total(&state.advance(&reading(n * 5 * MINUTE, 100_000), None)).covered_ms).collect();
    assert_eq!(covered, [0, 0, 0, 300_000, 300_000]);
}

#[test]
fn a_reading_that_is_not_later_changes_nothing() {
    let mut state = read_each_minute_until(0);
    let before = state.clone();
    assert_eq!(state.advance(&reading(0, 900_000), None), []);
    assert_eq!(state.advance(&reading(-MINUTE, 900_000), None), []);
    assert_eq!(state, before);
}

#[test]
fn below_a_millijoule_nothing_is_lost() {
    // A milliwatt for 1,000 times 1.5 ms is 1.5 mJ: none of them has a whole millijoule.
    let readings: Vec<_> = (0..=1_000).map(|n| reading(n * 1_500, 1)).collect();
    assert_eq!(total(&run(&readings, Some(Duration::from_secs(1)))).energy_mj, 1);
}

#[test]
fn samples_count_in_place_of_the_line_between_two_means() {
    let samples = Sampled {
        energy: Energy::from_millijoules(7_000_000),
        covered: Duration::from_secs(45),
        samples: 45,
        min: Power::from_watts(20),
        max: Power::from_watts(400),
        variance_mj2: 12,
    };
    let sampled = EnergyReading { samples: Some(samples), ..reading(QUARTER + 15 * SECOND, 155_000) };
    let parts = read_each_minute_until(QUARTER - 45 * SECOND).advance(&sampled, None);
    let figures: Vec<_> = parts.iter().map(|(_, entry)| (entry.energy_mj, entry.covered_ms)).collect();
    // 30 s of the 45 s are in the first quarter, and so is two thirds of the energy.
    assert_eq!(figures, [(4_666_666, 30_000), (2_333_334, 15_000)]);
    let all = total(&parts);
    assert_eq!(
        (all.samples, all.min_mw, all.max_mw, all.busy_ms),
        (45, Some(20_000), Some(400_000), Some(22_500))
    );
    assert_eq!(all.method, Method::SAMPLES);
}

#[test]
fn busy_time_is_not_known_where_one_end_does_not_say_it() {
    let silent = EnergyReading { busy: None, ..reading(MINUTE, 100_000) };
    assert_eq!(total(&read_each_minute_until(0).advance(&silent, None)).busy_ms, None);
}

/// Readings with growing times: distances of up to ten minutes, any plausible power.
fn readings() -> impl Strategy<Value = Vec<EnergyReading>> {
    let one = (1..10 * MINUTE, 0..2_000_000_i64, prop::option::of(0..=100_000_i64));
    (-QUARTER..QUARTER, prop::collection::vec(one, 1..40)).prop_map(|(start, steps)| {
        let mut at = start;
        let next = |(gap, milliwatts, busy): (i64, i64, Option<i64>)| {
            at += gap;
            EnergyReading { busy: busy.map(Share::from_millipercent), ..reading(at, milliwatts) }
        };
        steps.into_iter().map(next).collect()
    })
}

proptest! {
    #[test]
    fn parts_add_up_to_the_whole_to_the_millijoule(readings in readings()) {
        let exact: i128 = readings
            .windows(2)
            .map(|pair| {
                let mean_twice = i128::from(pair[0].power.milliwatts() + pair[1].power.milliwatts());
                mean_twice * i128::from(pair[1].at.micros() - pair[0].at.micros())
            })
            .sum();
        let all = total(&run(&readings, Some(Duration::from_secs(600))));
        prop_assert_eq!(i128::from(all.energy_mj), exact.div_euclid(2_000_000));
        let (first, last) = (readings.first().unwrap().at.micros(), readings.last().unwrap().at.micros());
        prop_assert_eq!(all.covered_ms, last.div_euclid(1_000) - first.div_euclid(1_000));
        prop_assert_eq!(all.samples, i64::try_from(readings.len()).unwrap());
    }

    #[test]
    fn no_part_is_negative_or_covers_more_than_its_quarter(readings in readings()) {
        let mut by_quarter = std::collections::BTreeMap::new();
        for (quarter, entry) in run(&readings, None) {
            prop_assert!(entry.energy_mj >= 0 && entry.covered_ms >= 0 && entry.variance_mj2 >= 0.0);
            prop_assert!(entry.busy_ms.is_none_or(|busy| busy >= 0));
            *by_quarter.entry(quarter).or_insert(0) += entry.covered_ms;
        }
        prop_assert!(by_quarter.values().all(|covered| *covered <= 900_000));
    }

    #[test]
    fn no_energy_is_over_a_gap(readings in readings(), max_gap_s in 1..600_u64) {
        let max_gap = Duration::from_secs(max_gap_s);
        let covered: i64 = readings
            .windows(2)
            .map(|pair| (pair[0].at.micros(), pair[1].at.micros()))
            .filter(|(from, to)| to - from <= i64::try_from(max_gap.as_micros()).unwrap())
            .map(|(from, to)| to.div_euclid(1_000) - from.div_euclid(1_000))
            .sum();
        prop_assert_eq!(total(&run(&readings, Some(max_gap))).covered_ms, covered);
    }

    #[test]
    fn a_state_that_was_kept_goes_on_as_if_nothing_had_been(readings in readings(), at in any::<prop::sample::Index>()) {
        let (before, after) = readings.split_at(at.index(readings.len()));
        let mut state = SeriesState::default();
        let mut parts: Vec<_> = before.iter().flat_map(|reading| state.advance(reading, None)).collect();
        let kept = serde_json::to_string(&state).unwrap();
        let mut state: SeriesState = serde_json::from_str(&kept).unwrap();
        parts.extend(after.iter().flat_map(|reading| state.advance(reading, None)));
        prop_assert_eq!(parts, run(&readings, None));
    }

    #[test]
    fn no_reading_makes_it_panic(times in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20), seconds in any::<u64>()) {
        let readings: Vec<_> = times.into_iter().map(|(at, milliwatts)| reading(at, milliwatts)).collect();
        run(&readings, Some(Duration::from_secs(seconds)));
        run(&readings, None);
    }
}
