//! The ledger beside an external meter: the energy that it gives for recorded loads is within the uncertainty that it
//! states, and that uncertainty says something.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::PathBuf;
use std::time::Duration;

use fleetwatt::ledger::{Calibration, EnergyReading, Entry, SeriesState, Uncertainty};
use fleetwatt::reading::{Power, Timestamp};

/// Phases of the sampling, for each trace, field and pace.
const N_PHASES: i64 = 300;

/// Time and power of one column, in microseconds and watts.
type Column = Vec<(i64, f64)>;

struct Trace {
    name: String,
    probe: Column,
    fields: Vec<(String, Column)>,
}

/// The outcome of one sampling, in joules.
struct Outcome {
    energy: f64,
    truth: f64,
    /// At k=1.
    uncertainty: f64,
}

fn read_csv(path: &PathBuf) -> (Vec<String>, Vec<Vec<Option<f64>>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let head = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |row: csv::StringRecord| row.iter().map(|cell| cell.trim().parse().ok()).collect();
    (head, reader.records().map(|record| row(record.unwrap())).collect())
}

#[allow(clippy::cast_possible_truncation, reason = "milliseconds of some seconds")]
fn column(rows: &[Vec<Option<f64>>], place: usize) -> Column {
    let point = |row: &Vec<Option<f64>>| Some(((row[0]? * 1_000.0).round() as i64, row[place]?));
    rows.iter().filter_map(point).collect()
}

fn traces() -> Vec<Trace> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/traces");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.is_dir());
    names.sort();
    names
        .into_iter()
        .map(|path| {
            let (_, probe) = read_csv(&path.join("probe.csv"));
            let (head, smi) = read_csv(&path.join("nvidia-smi.csv"));
            let fields = (1..head.len()).map(|place| (head[place].clone(), column(&smi, place)));
            Trace {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                probe: column(&probe, 1),
                fields: fields.collect(),
            }
        })
        .collect()
}

/// The meter's energy from one instant to another, by the trapezoid over its milliseconds.
#[allow(clippy::cast_precision_loss, reason = "microseconds of some seconds")]
fn metered(probe: &Column, from: i64, to: i64) -> f64 {
    let inside: Vec<_> = probe.iter().filter(|(at, _)| (from..=to).contains(at)).collect();
    inside.windows(2).map(|pair| (pair[0].1 + pair[1].1) / 2.0 * (pair[1].0 - pair[0].0) as f64 / 1e6).sum()
}

/// The column as a tool would say it that is asked at `pace`, the first time at `from`.
#[allow(clippy::cast_possible_truncation, reason = "milliwatts of a board")]
fn sampled(column: &Column, from: i64, to: i64, pace: Duration) -> Vec<EnergyReading> {
    let step = usize::try_from(pace.as_micros()).unwrap();
    let reading = |at: i64| {
        let latest = column.partition_point(|(time, _)| *time <= at).checked_sub(1)?;
        let power = Power::from_milliwatts((column[latest].1 * 1_000.0).round() as i64);
        Some(EnergyReading { at: Timestamp::from_micros(at), power, busy: None, samples: None })
    };
    (from..=to).step_by(step).filter_map(reading).collect()
}

#[allow(clippy::cast_precision_loss, reason = "joules need no 53 bits")]
fn measure(trace: &Trace, column: &Column, pace: Duration, phase: i64) -> Outcome {
    let first = column[0].0.max(trace.probe[0].0) + phase;
    let end = column.last().unwrap().0.min(trace.probe.last().unwrap().0);
    let readings = sampled(column, first, end, pace);
    let mut state = SeriesState::default();
    let parts = readings.iter().flat_map(|reading| state.advance(reading, Some(2 * pace)));
    let total = parts.map(|(_, entry)| entry).reduce(Entry::plus).unwrap();
    let mut uncertainty = Uncertainty::default();
    uncertainty.add(&trace.name, total.energy_mj, total.variance_mj2, Calibration::of_model(&trace.name));
    Outcome {
        energy: total.energy_mj as f64 / 1e3,
        truth: metered(&trace.probe, first, readings.last().unwrap().at.micros()),
        uncertainty: uncertainty.expanded_mj() / 2e3,
    }
}

fn outcomes(trace: &Trace, column: &Column, pace: Duration) -> Vec<Outcome> {
    let step = i64::try_from(pace.as_micros()).unwrap() / N_PHASES;
    (0..N_PHASES).map(|n| measure(trace, column, pace, n * step)).collect()
}

const PACES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

#[test]
fn the_meter_is_within_twice_the_uncertainty_in_95_of_100_phases() {
    for trace in traces() {
        for (field, column) in &trace.fields {
            for pace in PACES {
                let all = outcomes(&trace, column, pace);
                let is_within = |one: &&Outcome| (one.energy - one.truth).abs() <= 2.0 * one.uncertainty;
                let n_within = all.iter().filter(is_within).count();
                assert!(20 * n_within >= 19 * all.len(), "{} {field} {pace:?}: {n_within}", trace.name);
            }
        }
    }
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "a count of some hundreds")]
fn the_uncertainty_is_not_larger_than_five_times_the_error() {
    // A calibration is that of a population of boards, so that it is compared over all of them.
    for pace in PACES {
        let all: Vec<Outcome> = traces()
            .iter()
            .flat_map(|trace| {
                trace.fields.iter().flat_map(|(_, column)| outcomes(trace, column, pace)).collect::<Vec<_>>()
            })
            .collect();
        let mean = |of: &dyn Fn(&Outcome) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        let error = mean(&|one| ((one.energy - one.truth) / one.truth).powi(2)).sqrt();
        let stated = mean(&|one| (one.uncertainty / one.truth).powi(2)).sqrt();
        assert!(stated < 5.0 * error, "{pace:?}: stated {stated}, true {error}");
    }
}
