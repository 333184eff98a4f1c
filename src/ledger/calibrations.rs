//! The figures of boards that a site has measured beside a meter of its own.

use std::collections::BTreeMap;

use super::uncertainty::Calibration;

/// Measured figures, by board and by model. They replace the general figures ([`Calibration::of_model`]).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibrations(BTreeMap<MeasuredBoard, Calibration>);

/// The boards that were measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeasuredBoard {
    /// All of a model, as its driver calls it.
    Model(String),
    /// One board, by its UUID.
    Uuid(String),
}

impl Calibrations {
    /// From what was measured.
    pub const fn new(measured: BTreeMap<MeasuredBoard, Calibration>) -> Self {
        Self(measured)
    }

    /// The boards that were measured.
    pub fn boards(&self) -> impl Iterator<Item = &MeasuredBoard> {
        self.0.keys()
    }

    /// The figures of a board: its own, else those of its model, else the general ones. Beside them is the design whose
    /// error it shares, for [`super::Uncertainty::add`]: its model, or itself where it was measured alone.
    pub fn of<'a>(&self, uuid: Option<&'a str>, model: &'a str) -> (&'a str, Calibration) {
        let own = uuid.and_then(|uuid| Some((uuid, *self.0.get(&MeasuredBoard::Uuid(uuid.to_owned()))?)));
        own.unwrap_or_else(|| {
            let of_model = self.0.get(&MeasuredBoard::Model(model.to_owned())).copied();
            (model, of_model.unwrap_or_else(|| Calibration::of_model(model)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_goes_before_its_model_and_both_before_the_general_figures() {
        let measured = |gain| Calibration { gain, relative: Some(0.01) };
        let calibrations = Calibrations::new(BTreeMap::from([
            (MeasuredBoard::Uuid("GPU-1".to_owned()), measured(1.1)),
            (MeasuredBoard::Model("H100".to_owned()), measured(1.2)),
        ]));
        assert_eq!(calibrations.of(Some("GPU-1"), "H100"), ("GPU-1", measured(1.1)));
        assert_eq!(calibrations.of(Some("GPU-2"), "H100"), ("H100", measured(1.2)));
        assert_eq!(calibrations.of(None, "H100"), ("H100", measured(1.2)));
        assert_eq!(calibrations.of(Some("GPU-2"), "A100"), ("A100", Calibration::of_model("A100")));
    }
}
