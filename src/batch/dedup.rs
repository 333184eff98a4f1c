//! One GPU under two names of the inventory: two aliases of one host, or two containers on it.

use std::collections::HashMap;

use super::HostReport;
use crate::reading::{Device, Fault, FaultKind, SafeText};

/// Notes at each GPU that an earlier host of the inventory has shown too that it is counted there: in the
/// cluster's sums each board is once.
pub fn mark_duplicates(reports: &mut [HostReport]) {
    let mut first_seen: HashMap<&SafeText, &str> = HashMap::new();
    for HostReport { node, gpus, faults, .. } in reports {
        for gpu in &*gpus {
            let Ok(uuid) = gpu.uuid() else { continue };
            match first_seen.get(uuid) {
                // Two rows of one host with one UUID are a matter of that answer.
                Some(first) if first != node => {
                    faults.push(Fault::new(FaultKind::CountedElsewhere, Some(uuid.clone()), first));
                }
                // Who gave no power has nothing that could be counted twice.
                Some(_) | None if gpu.power().is_ok() => drop(first_seen.insert(uuid, node)),
                Some(_) | None => {}
            }
        }
    }
}

impl HostReport {
    /// The host as whose this GPU is in the cluster's sums and in the ledger, if it is another one.
    pub(super) fn counted_elsewhere(&self, gpu: &Device) -> Option<&SafeText> {
        let is_it = |fault: &&Fault| {
            fault.kind == FaultKind::CountedElsewhere && fault.gpu.as_ref() == gpu.uuid().ok()
        };
        self.faults.iter().find(is_it).map(|fault| &fault.evidence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{Batch, fixtures};
    use crate::reading::{Absent, DeviceKind, Outcome, Power, Quantity, Reason};

    fn named(node: &str, gpus: Vec<Device>) -> HostReport {
        HostReport { gpus, ..fixtures::host(node, 0) }
    }

    #[test]
    fn a_host_with_two_names_is_summed_once_and_the_second_name_says_why() {
        let gpus = || vec![fixtures::gpu(0, 100_000), fixtures::gpu(1, 200_000)];
        let mut batch =
            Batch { reports: vec![named("a", gpus()), named("alias", gpus())], ..fixtures::fleet() };
        mark_duplicates(&mut batch.reports);
        let totals = batch.totals();
        assert_eq!(totals.power, Some(Power::from_watts(300)));
        assert_eq!((totals.gpus_reporting, totals.gpus_expected), (2, 2));
        assert_eq!((totals.nodes_reporting, totals.nodes_expected), (2, 2));
        assert_eq!(batch.reports[0].faults, []);
        assert_eq!(batch.reports[1].outcome, Outcome::Complete);
        assert_eq!(batch.reports[1].power(), Some(Power::from_watts(300)));
        assert_eq!(
            batch.reports[1].faults[0].to_string(),
            "the same GPU as on another host, where it is counted (GPU-7f9a1c00-0000-0000-0000-000000000000): a"
        );
    }

    #[test]
    fn a_host_that_gave_nothing_takes_no_gpu_from_its_other_name() {
        let mut reports = vec![fixtures::failed("a"), named("alias", vec![fixtures::gpu(0, 100_000)])];
        mark_duplicates(&mut reports);
        assert_eq!(reports[1].faults, []);
    }

    #[test]
    fn a_gpu_whose_power_only_its_second_name_may_read_is_counted_there() {
        let absent = Device::all_absent(
            DeviceKind::Gpu,
            &Absent::new(Reason::NoPermission, "[Insufficient Permissions]"),
        )
        .with(Quantity::Uuid, fixtures::gpu(0, 1).uuid().unwrap().clone());
        let reports = vec![named("a", vec![absent]), named("alias", vec![fixtures::gpu(0, 100_000)])];
        let mut batch = Batch { reports, ..fixtures::fleet() };
        mark_duplicates(&mut batch.reports);
        assert_eq!(batch.totals().power, Some(Power::from_watts(100)));
    }

    #[test]
    fn gpus_without_a_uuid_are_all_counted() {
        let nameless = || fixtures::gpu(0, 1_000).without(Quantity::Uuid, Absent::not_asked());
        let reports = vec![named("a", vec![nameless()]), named("b", vec![nameless()])];
        let mut batch = Batch { reports, ..fixtures::fleet() };
        mark_duplicates(&mut batch.reports);
        assert_eq!(batch.totals().power, Some(Power::from_watts(2)));
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_boards(hosts in proptest::collection::vec(
            proptest::collection::btree_set(0..12_u32, 0..5), 0..8,
        )) {
            let draw = |index: u32| i64::from(index + 1) * 1_000;
            let report = |(number, boards): (usize, &std::collections::BTreeSet<u32>)| {
                named(&format!("n{number}"), boards.iter().map(|board| fixtures::gpu(*board, draw(*board))).collect())
            };
            let reports = hosts.iter().enumerate().map(report).collect();
            let mut batch = Batch { reports, ..fixtures::fleet() };
            mark_duplicates(&mut batch.reports);
            let boards: std::collections::BTreeSet<u32> = hosts.iter().flatten().copied().collect();
            let totals = batch.totals();
            let sum: i64 = boards.iter().map(|board| draw(*board)).sum();
            prop_assert_eq!(totals.power.map_or(0, Power::milliwatts), sum);
            prop_assert_eq!((totals.gpus_reporting, totals.gpus_expected), (boards.len(), boards.len()));
        }
    }
}
