//! Which value of which model is which figure of a reading: one table for all models.
//!
//! `MEANING.md` shows it to people, with the reasons. A test holds that it has the same table.

use Term::{Minus, Plus, PositivePart};

/// The meaning of a model's values.
#[derive(Debug)]
pub(super) struct FigureMap {
    /// For which product codes.
    pub(super) models: &'static [&'static str],
    /// The state of charge.
    pub(super) soc: Charge,
    /// All that flows in.
    pub(super) input: Terms,
    /// All that flows out to loads.
    pub(super) output: Terms,
    /// From solar panels.
    pub(super) solar: Terms,
    /// From the grid, negative into the grid.
    pub(super) grid: Terms,
    /// The evidence of whether the grid is there.
    pub(super) presence: GridEvidence,
}

/// Which value is the state of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// None.
    No,
    /// This one.
    Is(&'static str),
    /// `battery_soc`, else the mean of the main battery and the packs.
    OrMean,
    /// The mean of the main battery and the packs.
    Mean,
}

/// Values that are added up; all of them have to be there. None: the model does not say the figure.
pub(super) type Terms = &'static [Term];

/// A value in a sum, in watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// The value.
    Plus(&'static str),
    /// The value with the other sign.
    Minus(&'static str),
    /// The value if it is positive, else 0.
    PositivePart(&'static str),
}

/// The evidence of whether the grid is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GridEvidence {
    /// Nothing.
    Unknown,
    /// The power that comes in: something, and it is there; nothing although there is output, and it is not.
    ByInput,
    /// The power to or from it: something, and it is there. Nothing tells nothing.
    ByFlow,
    /// `grid_status`: these numbers for there and not there.
    ByStatus {
        /// It is there.
        there: i64,
        /// It is not there.
        gone: Option<i64>,
    },
}

impl Term {
    /// The name of the value.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Plus(name) | Minus(name) | PositivePart(name) => name,
        }
    }
}

const NO_FIGURES: FigureMap = FigureMap {
    models: &[],
    soc: Charge::No,
    input: &[],
    output: &[],
    solar: &[],
    grid: &[],
    presence: GridEvidence::Unknown,
};

const SOLARBANK: FigureMap = FigureMap {
    soc: Charge::OrMean,
    input: &[Plus("photovoltaic_power")],
    output: &[Plus("output_power")],
    solar: &[Plus("photovoltaic_power")],
    ..NO_FIGURES
};

const HOME: FigureMap = FigureMap {
    soc: Charge::Is("battery_soc"),
    input: &[Plus("photovoltaic_power"), PositivePart("grid_power_signed")],
    output: &[Plus("ac_output_power")],
    solar: &[Plus("photovoltaic_power")],
    grid: &[Plus("grid_power_signed")],
    ..NO_FIGURES
};

/// The meaning of a model's values, if any.
pub(super) fn for_model(model: &str) -> Option<&'static FigureMap> {
    FIGURE_MAPS.iter().find(|meaning| meaning.models.contains(&model))
}

static FIGURE_MAPS: &[FigureMap] = &[
    FigureMap {
        models: &["A1790", "A1790P"],
        soc: Charge::OrMean,
        input: &[Plus("ac_input_power"), Plus("photovoltaic_power")],
        output: &[Plus("output_power_total")],
        solar: &[Plus("photovoltaic_power")],
        grid: &[Plus("ac_input_power")],
        presence: GridEvidence::ByInput,
    },
    FigureMap {
        models: &["A1753", "A1754", "A1755", "A1761", "A1780", "A1780P", "A1781"],
        soc: Charge::Mean,
        input: &[Plus("ac_input_power"), Plus("dc_input_power")],
        output: &[Plus("output_power_total")],
        solar: &[Plus("dc_input_power")],
        grid: &[Plus("ac_input_power")],
        presence: GridEvidence::ByInput,
    },
    FigureMap {
        models: &["A1763", "A1783"],
        soc: Charge::OrMean,
        input: &[Plus("ac_input_power_total"), Plus("dc_input_power_total")],
        output: &[Plus("output_power_total")],
        solar: &[Plus("dc_input_power_total")],
        grid: &[Plus("ac_input_power_total")],
        presence: GridEvidence::ByInput,
    },
    FigureMap {
        models: &["AS220"],
        soc: Charge::OrMean,
        input: &[Plus("input_power_total")],
        output: &[Plus("output_power_total")],
        solar: &[Plus("dc_input_power_total")],
        grid: &[Plus("ac_input_power")],
        presence: GridEvidence::ByInput,
    },
    FigureMap {
        models: &["A1782"],
        soc: Charge::Is("battery_soc"),
        input: &[Plus("ac_input_power"), Plus("pv_1_power"), Plus("pv_2_power")],
        output: &[Plus("output_power_total")],
        solar: &[Plus("pv_1_power"), Plus("pv_2_power")],
        grid: &[Plus("ac_input_power")],
        presence: GridEvidence::ByInput,
    },
    FigureMap {
        models: &["A1722", "A1723"],
        soc: Charge::Is("battery_soc"),
        input: &[Plus("ac_input_power_total")],
        output: &[Plus("ac_output_power_total")],
        solar: &[Plus("dc_input_power_total")],
        ..NO_FIGURES
    },
    FigureMap {
        models: &["A1725", "A1726", "A1727", "A1728", "A1729"],
        soc: Charge::Is("battery_soc"),
        input: &[Plus("dc_input_power_total")],
        output: &[Plus("dc_output_power_total")],
        solar: &[Plus("photovoltaic_power")],
        ..NO_FIGURES
    },
    FigureMap { models: &["A17C0"], soc: Charge::Is("battery_soc"), ..SOLARBANK },
    FigureMap {
        models: &["A17C1", "A17C3"],
        grid: &[Plus("grid_to_home_power"), Minus("pv_to_grid_power")],
        presence: GridEvidence::ByStatus { there: 1, gone: Some(6) },
        ..SOLARBANK
    },
    FigureMap {
        models: &["A17C2", "A17C5", "AE103"],
        input: &[Plus("photovoltaic_power"), Plus("grid_to_battery_power")],
        grid: &[Plus("grid_power_signed")],
        presence: GridEvidence::ByFlow,
        ..SOLARBANK
    },
    FigureMap { models: &["A17B1"], presence: GridEvidence::ByStatus { there: 0, gone: Some(1) }, ..HOME },
    FigureMap {
        models: &["A5101", "A5102", "A5103"],
        presence: GridEvidence::ByStatus { there: 0, gone: None },
        ..HOME
    },
    FigureMap { models: &["A17E1"], output: &[Plus("home_demand")], presence: GridEvidence::ByFlow, ..HOME },
    FigureMap {
        models: &["AX170", "AE100"],
        soc: Charge::Is("battery_soc_total"),
        input: &[Plus("pv_power_total"), PositivePart("grid_power_signed")],
        output: &[Plus("home_demand_total")],
        solar: &[Plus("pv_power_total")],
        grid: &[Plus("grid_power_signed")],
        presence: GridEvidence::ByFlow,
    },
    FigureMap {
        models: &["A17X7", "SHEMP3"],
        grid: &[Plus("grid_to_home_power"), Minus("pv_to_grid_power")],
        presence: GridEvidence::ByFlow,
        ..NO_FIGURES
    },
    FigureMap {
        models: &["A17X7US"],
        grid: &[Plus("grid_power_signed")],
        presence: GridEvidence::ByFlow,
        ..NO_FIGURES
    },
    FigureMap { models: &["A17X8"], output: &[Plus("power")], ..NO_FIGURES },
    FigureMap { models: &["AS200"], output: &[Plus("output_power")], ..NO_FIGURES },
    FigureMap { models: &["A5191"], output: &[Plus("bat_charge_power")], ..NO_FIGURES },
    FigureMap {
        models: &["A2345", "A91B2"],
        output: &[
            Plus("usbc_1_power"),
            Plus("usbc_2_power"),
            Plus("usbc_3_power"),
            Plus("usbc_4_power"),
            Plus("usba_1_power"),
            Plus("usba_2_power"),
        ],
        ..NO_FIGURES
    },
    FigureMap { models: &["AE1R0"], ..NO_FIGURES },
    FigureMap { models: &["A7320", "A17A4", "A17A5"], ..NO_FIGURES },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;
    use crate::battery::anker::wire::map;
    use crate::battery::anker::wire::models;

    fn sum(sum: Terms) -> String {
        let mut text = String::new();
        for term in sum {
            let (sign, name, mark) = match term {
                Plus(name) => ("+", name, ""),
                Minus(name) => ("−", name, ""),
                PositivePart(name) => ("+", name, "⁺"),
            };
            if !text.is_empty() {
                write!(text, " {sign} ").unwrap();
            }
            write!(text, "`{name}`{mark}").unwrap();
        }
        if text.is_empty() { "–".to_owned() } else { text }
    }

    fn table() -> String {
        let mut text = "| models | charge | input | output | solar | grid power | grid |\n".to_owned();
        text.push_str("|---|---|---|---|---|---|---|\n");
        for meaning in FIGURE_MAPS {
            let soc = match meaning.soc {
                Charge::No => "–".to_owned(),
                Charge::Is(name) => format!("`{name}`"),
                Charge::OrMean => "`battery_soc`, else the mean".to_owned(),
                Charge::Mean => "the mean".to_owned(),
            };
            let presence = match meaning.presence {
                GridEvidence::Unknown => "–".to_owned(),
                GridEvidence::ByInput => "by input".to_owned(),
                GridEvidence::ByFlow => "by flow".to_owned(),
                GridEvidence::ByStatus { there, gone: Some(gone) } => {
                    format!("by status: {there} there, {gone} gone")
                }
                GridEvidence::ByStatus { there, gone: None } => format!("by status: {there} there"),
            };
            let cells = [
                meaning.models.join(" "),
                soc,
                sum(meaning.input),
                sum(meaning.output),
                sum(meaning.solar),
                sum(meaning.grid),
                presence,
            ];
            writeln!(text, "| {} |", cells.join(" | ")).unwrap();
        }
        text
    }

    #[test]
    fn people_are_shown_the_same_table() {
        let table = table();
        assert!(include_str!("MEANING.md").contains(&table), "the table in MEANING.md is to be:\n{table}");
    }

    #[test]
    fn every_product_has_one_meaning() {
        let mut meant: Vec<&str> = FIGURE_MAPS.iter().flat_map(|meaning| meaning.models).copied().collect();
        let mut known: Vec<&str> = models().map(|model| model.code).collect();
        meant.sort_unstable();
        known.sort_unstable();
        assert_eq!(meant, known);
    }

    #[test]
    fn every_value_that_is_used_stands_in_one_message_of_each_of_its_models() {
        for meaning in FIGURE_MAPS {
            for model in meaning.models {
                for sum in [meaning.input, meaning.output, meaning.solar, meaning.grid] {
                    let names: BTreeSet<&str> = sum.iter().map(Term::name).collect();
                    let is_complete = |message: &map::MessageMap| {
                        let mapped: BTreeSet<&str> = message.names().collect();
                        names.is_subset(&mapped)
                    };
                    assert!(map::messages(model).any(is_complete), "{model}: {names:?}");
                }
            }
        }
    }
}
