//! The names that a ledger has, as far as they came by one connection, so that a batch brings only those that are new.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::record::EnergyRecord;

/// Names that are in a ledger, if what brought them there is committed.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The model of each series.
    series: HashMap<String, String>,
    nodes: HashSet<String>,
}

/// The names of some rows that a ledger does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NewNames<'a> {
    /// Each series with its model, which is empty where it is not known.
    pub(super) series: BTreeSet<(&'a str, &'a str)>,
    pub(super) nodes: BTreeSet<&'a str>,
}

impl Named {
    /// The names of rows that are new, and the series whose models became known.
    pub(super) fn missing<'a>(&self, rows: &[&'a EnergyRecord]) -> NewNames<'a> {
        let is_named = |series: &str, model: &str| {
            self.series.get(series).is_some_and(|known| model.is_empty() || known == model)
        };
        let series = rows.iter().map(|row| (row.series.as_str(), row.model.as_str()));
        let nodes = rows.iter().map(|row| row.node.as_str());
        NewNames {
            series: series.filter(|(series, model)| !is_named(series, model)).collect(),
            nodes: nodes.filter(|node| !self.nodes.contains(*node)).collect(),
        }
    }

    /// Notes that the ledger has names now.
    pub(super) fn note(&mut self, NewNames { series, nodes }: &NewNames<'_>) {
        for (series, model) in series {
            let known = self.series.entry((*series).to_owned()).or_default();
            if !model.is_empty() {
                (*model).clone_into(known);
            }
        }
        self.nodes.extend(nodes.iter().map(|node| (*node).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{EnergyRow, Entry, Method};
    use crate::reading::{Quarter, Timestamp};
    use crate::store::Record;
    use crate::store::record::energies;

    fn records(rows: &[(&str, &str, &str)]) -> Vec<Record> {
        let entry = Entry {
            energy_mj: 0,
            covered_ms: 0,
            samples: 1,
            min_mw: None,
            max_mw: None,
            variance_mj2: 0.0,
            busy_ms: None,
            method: Method::READINGS,
        };
        let row = |(series, model, node): &(&str, &str, &str)| EnergyRow {
            series: (*series).to_owned(),
            node: (*node).to_owned(),
            model: (*model).to_owned(),
            quarter: Quarter::at(Timestamp::from_micros(0)),
            entry,
        };
        Record::from_energies(&rows.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn a_batch_brings_the_names_that_are_new_and_models_that_became_known() {
        let mut named = Named::default();
        let (first, second) =
            (records(&[("a", "", "n"), ("b", "H100", "n")]), records(&[("a", "H100", "n"), ("b", "", "m")]));
        let missing = named.missing(&energies(&first));
        assert_eq!(missing.series, BTreeSet::from([("a", ""), ("b", "H100")]));
        assert_eq!(missing.nodes, BTreeSet::from(["n"]));
        named.note(&missing);
        assert_eq!(named.missing(&energies(&first)), NewNames::default());
        let missing = named.missing(&energies(&second));
        assert_eq!(
            (missing.series.clone(), missing.nodes.clone()),
            (BTreeSet::from([("a", "H100")]), BTreeSet::from(["m"]))
        );
        named.note(&missing);
        assert_eq!(named.missing(&energies(&second)), NewNames::default());
    }
}
