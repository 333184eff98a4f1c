//! Sums over a host and over the fleet. Only what was measured is summed.

use crate::reading::Power;

use super::{Batch, HostReport};

/// The sums of a cycle. A GPU that several hosts show is in it once.
///
/// Reporting means: gave a power reading. A host that answered without any power reading is up, but does
/// not report here, so that the counts say what the sum is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The sum over every GPU that reported; `None` when none did.
    pub power: Option<Power>,
    /// GPUs with a power reading.
    pub gpus_reporting: usize,
    /// GPUs that should have reported, as far as that is known.
    pub gpus_expected: usize,
    /// Hosts with at least one GPU that reported.
    pub nodes_reporting: usize,
    /// Hosts of the inventory.
    pub nodes_expected: usize,
    /// Hosts of which nobody knows how many GPUs they have: not counted in `gpus_expected`.
    pub nodes_without_gpu_count: usize,
}

impl Batch {
    /// The sums of this cycle.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { nodes_expected: self.reports.len(), ..Totals::default() };
        for report in &self.reports {
            let (elsewhere, own): (Vec<_>, Vec<_>) =
                report.gpus.iter().partition(|gpu| report.counted_elsewhere(gpu).is_some());
            match report.gpus_known() {
                Some(n_gpus) => totals.gpus_expected += n_gpus.saturating_sub(elsewhere.len()),
                None => totals.nodes_without_gpu_count += 1,
            }
            if report.gpus_reporting() > 0 {
                totals.nodes_reporting += 1;
            }
            let draws: Vec<Power> = own.iter().filter_map(|gpu| Some(gpu.power().ok()?.power)).collect();
            totals.gpus_reporting += draws.len();
            if !draws.is_empty() {
                totals.power = Some(totals.power.into_iter().chain(draws).sum());
            }
        }
        totals
    }
}

impl HostReport {
    /// The sum over this host's GPUs that reported; `None` when none did.
    pub fn power(&self) -> Option<Power> {
        (self.gpus_reporting() > 0)
            .then(|| self.gpus.iter().filter_map(|gpu| gpu.power().ok()).map(|draw| draw.power).sum())
    }

    /// Number of this host's GPUs gave a power reading.
    pub fn gpus_reporting(&self) -> usize {
        self.gpus.iter().filter(|gpu| gpu.power().is_ok()).count()
    }

    /// Number of GPUs of this host: as many as expected, or as answered where that is more. `None` where
    /// nothing is expected and nothing answered.
    pub fn gpus_known(&self) -> Option<usize> {
        let answered = (!self.gpus.is_empty()).then_some(self.gpus.len());
        self.gpus_expected.max(answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures;

    #[test]
    fn the_mixed_fleet_adds_up_to_what_reported() {
        let totals = fixtures::fleet().totals();
        assert_eq!(totals.power, Some(Power::from_milliwatts(285_500 + 7 * 612_250 + 211_400 + 11_320)));
        assert_eq!((totals.gpus_reporting, totals.gpus_expected), (10, 12));
        assert_eq!((totals.nodes_reporting, totals.nodes_expected), (4, 5));
        assert_eq!(totals.nodes_without_gpu_count, 0);
    }

    #[test]
    fn a_fleet_that_says_nothing_has_no_power_rather_than_zero() {
        let mut batch = fixtures::fleet();
        batch.reports = vec![fixtures::failed("node9")];
        batch.reports[0].gpus_expected = None;
        let totals = batch.totals();
        assert_eq!(totals.power, None);
        assert_eq!((totals.gpus_expected, totals.nodes_without_gpu_count), (0, 1));
    }

    #[test]
    fn more_gpus_than_expected_are_all_counted() {
        let mut report = fixtures::fleet().reports.remove(1);
        report.gpus_expected = Some(4);
        assert_eq!(report.gpus_known(), Some(8));
    }
}
