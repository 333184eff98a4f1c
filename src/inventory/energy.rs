//! `[[calibration]]`, and the tables that `tariff` reads: `[site]`, `[[tariff]]` and `[carbon]`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::alerts::quantity;
use super::check;
use super::diagnostic::{DiagnosticSink, ValueError};
use super::location::{Location, Spanned};
use super::secret_keys::is_secret_key;
use super::section::{Input, Section};
use super::tables::CALIBRATION;
use super::unknown_keys::open;
use crate::ledger::{Calibration, Calibrations, MeasuredBoard};
use crate::support::decimal;
use crate::tariff::{KeyFault, TariffBook};

/// In millionths. No board reads less than a tenth, or ten times as much.
const GAINS: RangeInclusive<i64> = 100_000..=10_000_000;

/// In millionths: nothing is exact, and an error of half the energy is no measurement.
const UNCERTAINTIES: RangeInclusive<i64> = 1..=500_000;

/// Reads `[site]`, `[[tariff]]` and `[carbon]`.
pub(super) fn read_tariff_book(
    input: Input<'_>,
    table: &DeTable<'_>,
    sink: &mut DiagnosticSink,
) -> TariffBook {
    TariffBook::read(table).unwrap_or_else(|mut faults| {
        // The error of a secret's key is noted for the whole document at once.
        faults.retain(|fault| !fault.key.rsplit('.').next().is_some_and(is_secret_key));
        push_faults(input.file, faults, sink);
        TariffBook::default()
    })
}

/// Reports faults of tariffs.
pub(super) fn push_faults(file: usize, faults: Vec<KeyFault>, sink: &mut DiagnosticSink) {
    for fault in faults {
        let error = ValueError::new(fault.to_string(), &fault.error.label, fault.error.hint.as_str());
        sink.push(Location::new(file, &fault.span), error);
    }
}

/// Reads every `[[calibration]]`.
pub(super) fn read_calibrations(
    input: Input<'_>,
    table: &DeTable<'_>,
    sink: &mut DiagnosticSink,
) -> Calibrations {
    let Some((key, value)) = table.get_key_value("calibration") else { return Calibrations::default() };
    let no_list = || {
        let hint = "write [[calibration]], in double brackets, for each model or board";
        ValueError::new("`calibration` must be a list of tables", "not a list of tables", hint)
    };
    let DeValue::Array(items) = value.get_ref() else {
        sink.push(Location::new(input.file, &key.span()), no_list());
        return Calibrations::default();
    };
    let mut measured: BTreeMap<MeasuredBoard, Spanned<Calibration>> = BTreeMap::new();
    for item in items {
        let location = Location::new(input.file, &item.span());
        let Some(raw) = item.get_ref().as_table() else {
            sink.push(location, no_list());
            continue;
        };
        let mut section = open(input, raw, &CALIBRATION, sink);
        let Some((board, calibration)) = read_calibration(&mut section, &location) else { continue };
        match measured.entry(board.value) {
            Entry::Vacant(entry) => {
                entry.insert(Spanned { value: calibration, location: board.location });
            }
            Entry::Occupied(entry) => {
                let hint = "keep one of them";
                let error = ValueError::new("calibrated twice", "calibrated before", hint);
                let earlier = entry.get().location.clone();
                section.report(board.location, error.clashing("first at", earlier));
            }
        }
    }
    Calibrations::new(measured.into_iter().map(|(board, one)| (board, one.value)).collect())
}

fn read_calibration(
    section: &mut Section<'_, '_>,
    location: &Location,
) -> Option<(Spanned<MeasuredBoard>, Calibration)> {
    let board = read_board(section, location);
    let gain = match section.has("gain") {
        true => section.millionths("gain", &GAINS, "0.1 to 10, as 1.03"),
        false => Some(MILLION),
    };
    if !section.has("uncertainty") {
        let hint = "write `uncertainty = 0.01` for one percent (k=1), as your measurement gave it";
        section.report(
            location.clone(),
            ValueError::new("a calibration without its `uncertainty`", "incomplete", hint),
        );
    }
    let relative = section.millionths("uncertainty", &UNCERTAINTIES, "0.000001 to 0.5, as 0.01 or \"1%\"");
    Some((board?, Calibration { gain: share(gain?)?, relative: Some(share(relative?)?) }))
}

fn read_board(section: &mut Section<'_, '_>, location: &Location) -> Option<Spanned<MeasuredBoard>> {
    let model = section.parsed("model", |text| named(text).map(MeasuredBoard::Model));
    let uuid = section.parsed("uuid", |text| named(text).map(MeasuredBoard::Uuid));
    match (section.has("model"), section.has("uuid")) {
        (true, true) => {
            let hint = "keep `uuid` for this board alone, or `model` for all of its boards";
            section.refuse("uuid", ValueError::new("`uuid` beside `model`", "one of them", hint));
            None
        }
        (false, false) => {
            let hint = "write the `model` as its driver names it, or the `uuid` of one board";
            let error =
                ValueError::new("a calibration without a board", "no `model` or `uuid` in here", hint);
            section.report(location.clone(), error);
            None
        }
        (true, false) | (false, true) => model.or(uuid),
    }
}

fn named(text: &str) -> Result<String, ValueError> {
    check::not_empty(text)?;
    check::label(text)
}

const MILLION: i64 = 1_000_000;

fn share(millionths: i64) -> Option<f64> {
    i32::try_from(millionths).ok().map(|millionths| f64::from(millionths) / 1e6)
}

impl Section<'_, '_> {
    /// A number with a point, or percent in quotes, in millionths.
    fn millionths(&mut self, key: &str, bounds: &RangeInclusive<i64>, words: &str) -> Option<i64> {
        let value = self.raw.get(key)?;
        let hint = format!("write a number from {words}");
        let millionths = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => plain(number.as_str()),
            DeValue::Float(number) => plain(number.as_str()),
            DeValue::String(text) => match quantity(text) {
                Some((thousandths, "%")) => Some(thousandths * 10),
                Some(_) | None => None,
            },
            DeValue::Integer(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let error = match millionths {
            Some(millionths) if bounds.contains(&millionths) => return Some(millionths),
            Some(_) => ValueError::new(format!("`{key}` is out of bounds"), "out of bounds", hint),
            None => ValueError::new(format!("`{key}` is not a plain number"), "not a number", hint),
        };
        self.report(self.value_location(key)?, error);
        None
    }
}

fn plain(number: &str) -> Option<i64> {
    decimal::scaled_exactly(&number.replace('_', ""), 6)
}
