//! The sums of a cycle by node, by model or by label. Only what was measured is summed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Batch, HostReport};
use crate::reading::{Device, Memory, Power, SafeText, Share, Temperature};

/// A grouping of the GPUs of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// The node.
    Node,
    /// The model of the GPU.
    Model,
    /// The value of a label of the node.
    Label(String),
}

/// An order of groups. Those without a value come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrder {
    /// The largest power first.
    Power,
    /// The hottest first.
    Temperature,
    /// The busiest first.
    Utilization,
    /// By name, numbers in it as numbers.
    Name,
}

/// The sums over a group of GPUs.
///
/// Reporting means: gave a power reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupTotals<'a> {
    /// The node, the model or the label's value; `None` of what has none, and of the whole.
    pub name: Option<&'a str>,
    /// Its hosts, in the order of the inventory.
    pub reports: Vec<&'a HostReport>,
    /// Hosts with a GPU of this group that reported.
    pub nodes_reporting: usize,
    /// GPUs that reported.
    pub gpus_reporting: usize,
    /// GPUs that should have reported, as far as that is known.
    pub gpus_expected: usize,
    /// Hosts of which nobody knows how many GPUs they have: not counted in `gpus_expected`.
    pub nodes_without_gpu_count: usize,
    /// The sum over the GPUs that reported; `None` when none did.
    pub power: Option<Power>,
    /// The power of the GPUs that have a limit, as a share of the sum of their limits.
    pub power_of_limit: Option<Share>,
    /// The highest temperature.
    pub hottest: Option<Temperature>,
    /// The mean of the utilisations.
    pub utilization: Option<Share>,
    /// The memory that is used, and all of it, of the GPUs that gave both.
    pub memory: Option<(Memory, Memory)>,
}

/// The part of one host in one group.
struct Part<'a> {
    name: Option<&'a str>,
    report: &'a HostReport,
    gpus: Vec<&'a Device>,
    /// `None` where nobody knows.
    gpus_expected: Option<usize>,
}

impl Batch {
    /// The groups of the cycle in the order of the inventory, that without a name last. By node, each node has all that
    /// it shows; else a GPU that several hosts show is counted once.
    pub fn groups(&self, by: &GroupBy) -> Vec<GroupTotals<'_>> {
        let mut parts: Vec<Vec<Part<'_>>> = Vec::new();
        let mut places = BTreeMap::new();
        for part in self.reports.iter().flat_map(|report| parts_of(report, by)) {
            let place = *places.entry(part.name).or_insert(parts.len());
            match parts.get_mut(place) {
                Some(group) => group.push(part),
                None => parts.push(vec![part]),
            }
        }
        parts.sort_by_key(|parts| parts.first().is_some_and(|part| part.name.is_none()));
        parts.iter().map(|parts| totals(parts)).collect()
    }

    /// The sums over all of the cycle, in which a GPU that several hosts show is once.
    pub fn whole(&self) -> GroupTotals<'_> {
        let parts: Vec<Part<'_>> =
            self.reports.iter().map(|report| Part::counted_here(report, None)).collect();
        totals(&parts)
    }
}

/// Brings groups into an order; where it makes no difference, they stay as they were.
pub fn sort_groups(groups: &mut [GroupTotals<'_>], order: GroupOrder) {
    match order {
        GroupOrder::Power => groups.sort_by_key(|group| Reverse(group.power)),
        GroupOrder::Temperature => groups.sort_by_key(|group| Reverse(group.hottest)),
        GroupOrder::Utilization => groups.sort_by_key(|group| Reverse(group.utilization)),
        GroupOrder::Name => groups.sort_by_cached_key(|group| (group.name.is_none(), group.name.map(words))),
    }
}

/// A name as texts, each with the number behind it, so that `node2` is before `node10`.
fn words(name: &str) -> Vec<(String, u64)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut words = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (text, from_digits) = rest.split_at(rest.find(is_digit).unwrap_or(rest.len()));
        let n_digits = from_digits.find(|c| !is_digit(c)).unwrap_or(from_digits.len());
        let (digits, next) = from_digits.split_at(n_digits);
        words.push((text.to_owned(), digits.parse().unwrap_or(0)));
        rest = next;
    }
    words
}

fn parts_of<'a>(report: &'a HostReport, by: &GroupBy) -> Vec<Part<'a>> {
    match by {
        GroupBy::Node => vec![Part {
            name: Some(&report.node),
            report,
            gpus: report.gpus.iter().collect(),
            gpus_expected: report.gpus_known(),
        }],
        GroupBy::Label(key) => vec![Part::counted_here(report, report.labels.get(key).map(String::as_str))],
        GroupBy::Model => by_model(report),
    }
}

/// The GPUs of a host by their models; those that gave no row have none.
fn by_model<'a>(report: &'a HostReport) -> Vec<Part<'a>> {
    let Part { gpus, gpus_expected, .. } = Part::counted_here(report, None);
    let n_missing = gpus_expected.map(|expected| expected.saturating_sub(gpus.len()));
    let mut models = BTreeMap::<Option<&str>, Vec<&Device>>::new();
    for gpu in gpus {
        models.entry(gpu.model().ok().map(SafeText::as_str)).or_default().push(gpu);
    }
    if n_missing != Some(0) {
        models.entry(None).or_default();
    }
    let part = |(name, gpus): (Option<&'a str>, Vec<&'a Device>)| {
        let n_missing = if name.is_none() { n_missing } else { Some(0) };
        let gpus_expected = n_missing.map(|n_missing| gpus.len() + n_missing);
        Part { name, report, gpus, gpus_expected }
    };
    models.into_iter().map(part).collect()
}

impl<'a> Part<'a> {
    /// All of a host but what is counted as another's.
    fn counted_here(report: &'a HostReport, name: Option<&'a str>) -> Self {
        let (elsewhere, gpus): (Vec<_>, Vec<_>) =
            report.gpus.iter().partition(|gpu| report.counted_elsewhere(gpu).is_some());
        let gpus_expected = report.gpus_known().map(|known| known.saturating_sub(elsewhere.len()));
        Self { name, report, gpus, gpus_expected }
    }
}

fn totals<'a>(parts: &[Part<'a>]) -> GroupTotals<'a> {
    let gpus = || parts.iter().flat_map(|part| part.gpus.iter().copied());
    let n_reporting = |part: &Part<'_>| part.gpus.iter().filter(|gpu| gpu.power().is_ok()).count();
    let draws: Vec<Power> = gpus().filter_map(draw).collect();
    GroupTotals {
        name: parts.first().and_then(|part| part.name),
        reports: parts.iter().map(|part| part.report).collect(),
        nodes_reporting: parts.iter().filter(|part| n_reporting(part) > 0).count(),
        gpus_reporting: draws.len(),
        gpus_expected: parts.iter().filter_map(|part| part.gpus_expected).sum(),
        nodes_without_gpu_count: parts.iter().filter(|part| part.gpus_expected.is_none()).count(),
        power: (!draws.is_empty()).then(|| draws.iter().copied().sum()),
        power_of_limit: of_limit(gpus()),
        hottest: gpus().filter_map(|gpu| gpu.temperature().ok().copied()).max(),
        utilization: mean(gpus().filter_map(|gpu| gpu.utilization().ok())),
        memory: memory(gpus()),
    }
}

fn draw(gpu: &Device) -> Option<Power> {
    Some(gpu.power().ok()?.power)
}

fn of_limit<'a>(gpus: impl Iterator<Item = &'a Device>) -> Option<Share> {
    let pair = |gpu: &Device| Some((draw(gpu)?.milliwatts(), gpu.limit().ok()?.milliwatts()));
    let (draws, limits) = gpus.filter_map(pair).fold((0_i128, 0_i128), |(draws, limits), (draw, limit)| {
        (draws + i128::from(draw), limits + i128::from(limit))
    });
    let millipercent = (limits > 0).then(|| (draws * 100_000 + limits / 2) / limits)?;
    i64::try_from(millipercent).ok().map(Share::from_millipercent)
}

fn mean<'a>(shares: impl Iterator<Item = &'a Share>) -> Option<Share> {
    let (sum, n) =
        shares.fold((0_i64, 0_i64), |(sum, n), share| (sum.saturating_add(share.millipercent()), n + 1));
    (n > 0).then(|| Share::from_millipercent(sum / n))
}

fn memory<'a>(gpus: impl Iterator<Item = &'a Device>) -> Option<(Memory, Memory)> {
    let pair =
        |gpu: &'a Device| Some((gpu.memory_used().ok()?.mebibytes(), gpu.memory_total().ok()?.mebibytes()));
    let sum = |(used, total): (u64, u64), (more_used, more): (u64, u64)| {
        (used.saturating_add(more_used), total.saturating_add(more))
    };
    let (used, total) = gpus.filter_map(pair).reduce(sum)?;
    Some((Memory::from_mebibytes(used), Memory::from_mebibytes(total)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{fixtures, mark_duplicates};
    use crate::reading::Quantity;

    fn named<'a>(groups: &'a [GroupTotals<'_>]) -> Vec<Option<&'a str>> {
        groups.iter().map(|group| group.name).collect()
    }

    #[test]
    fn a_node_has_the_sums_of_its_gpus_and_knows_which_are_missing() {
        let fleet = fixtures::fleet();
        let groups = fleet.groups(&GroupBy::Node);
        assert_eq!(
            named(&groups),
            ["redfin", "node001", "node003", "mig01", "spark"].map(Some),
            "the order of the inventory"
        );
        let node = &groups[1];
        assert_eq!((node.gpus_reporting, node.gpus_expected, node.nodes_reporting), (7, 8, 1));
        assert_eq!(node.power, Some(Power::from_milliwatts(7 * 612_250)));
        // 612.25 W of 700 W.
        assert_eq!(node.power_of_limit, Some(Share::from_millipercent(87_464)));
        assert_eq!(node.utilization, Some(Share::from_millipercent(98_000)));
        assert_eq!(
            node.memory,
            Some((Memory::from_mebibytes(7 * 71_232), Memory::from_mebibytes(7 * 81_559)))
        );
        assert_eq!(groups[0].hottest, Some(Temperature::from_millicelsius(86_000)));
    }

    #[test]
    fn a_node_that_is_down_has_no_sums() {
        let mut fleet = fixtures::fleet();
        fleet.reports = vec![fixtures::failed("node003")];
        fleet.reports[0].gpus_expected = None;
        let groups = fleet.groups(&GroupBy::Node);
        let expected = GroupTotals {
            name: Some("node003"),
            reports: vec![&fleet.reports[0]],
            nodes_without_gpu_count: 1,
            ..GroupTotals::default()
        };
        assert_eq!(groups, [expected]);
    }

    #[test]
    fn a_share_of_the_limit_is_of_those_that_have_one() {
        let mut fleet = fixtures::fleet();
        fleet.reports.retain(|report| ["redfin", "spark"].contains(&report.node.as_str()));
        // redfin alone: 285.5 W of 300 W.
        assert_eq!(fleet.whole().power_of_limit, Some(Share::from_millipercent(95_167)));
        assert_eq!(fleet.whole().power, Some(Power::from_milliwatts(285_500 + 11_320)));
    }

    #[test]
    fn what_has_no_model_is_the_last_group() {
        let fleet = fixtures::fleet();
        let groups = fleet.groups(&GroupBy::Model);
        assert_eq!(
            named(&groups),
            [Some("GeForce RTX 3090"), Some("H100 80GB HBM3"), Some("A100-SXM4-40GB"), Some("GB10"), None]
        );
        // The lost one of node001, and that of node003, which is down.
        let last = &groups[4];
        assert_eq!((last.gpus_reporting, last.gpus_expected, last.reports.len()), (0, 2, 2));
    }

    #[test]
    fn nodes_of_one_label_are_one_group_and_those_without_it_the_last() {
        let mut fleet = fixtures::fleet();
        for node in [3, 1] {
            fleet.reports[node].labels.insert("rack".to_owned(), "a".to_owned());
        }
        let groups = fleet.groups(&GroupBy::Label("rack".to_owned()));
        assert_eq!(named(&groups), [Some("a"), None]);
        assert_eq!((groups[0].nodes_reporting, groups[0].gpus_reporting), (2, 8));
        assert_eq!((groups[1].nodes_reporting, groups[1].reports.len()), (2, 3));
    }

    #[test]
    fn a_gpu_that_two_nodes_show_is_once_in_a_sum_and_with_each_node() {
        let mut fleet = fixtures::fleet();
        fleet.reports.truncate(1);
        fleet.reports.push(HostReport { node: "twin".to_owned(), ..fleet.reports[0].clone() });
        mark_duplicates(&mut fleet.reports);
        let by_node: Vec<_> = fleet.groups(&GroupBy::Node).iter().map(|group| group.power).collect();
        let once = Some(Power::from_milliwatts(285_500));
        assert_eq!(by_node, [once, once]);
        assert_eq!((fleet.whole().power, fleet.whole().gpus_expected), (once, 1));
    }

    #[test]
    fn orders_begin_with_the_largest_and_end_with_what_has_no_value() {
        let fleet = fixtures::fleet();
        let sorted = |order| {
            let mut groups = fleet.groups(&GroupBy::Node);
            sort_groups(&mut groups, order);
            groups.iter().filter_map(|group| group.name).collect::<Vec<_>>()
        };
        assert_eq!(sorted(GroupOrder::Power), ["node001", "redfin", "mig01", "spark", "node003"]);
        assert_eq!(sorted(GroupOrder::Temperature), ["redfin", "node001", "mig01", "spark", "node003"]);
        assert_eq!(sorted(GroupOrder::Utilization), ["redfin", "node001", "spark", "node003", "mig01"]);
        assert_eq!(sorted(GroupOrder::Name), ["mig01", "node001", "node003", "redfin", "spark"]);
    }

    #[test]
    fn numbers_in_names_are_sorted_as_numbers() {
        let mut names = ["node10", "node2", "node2-gpu", "login", "7", "node002", ""];
        names.sort_by_key(|name| words(name));
        assert_eq!(names, ["", "7", "login", "node2", "node002", "node2-gpu", "node10"]);
    }

    proptest! {
        /// The groups are a partition: their sums are those of the whole, however they are made.
        #[test]
        fn groups_add_up_to_the_whole(gpus in prop::collection::vec(fixtures::any_gpu(), 0..6), n_hosts in 1..4_usize) {
            let mut fleet = fixtures::fleet();
            fleet.reports = (0..n_hosts).map(|host| fixtures::host(&format!("n{host}"), 2)).collect();
            for (place, gpu) in gpus.into_iter().enumerate() {
                let uuid = SafeText::new(&format!("GPU-{place}"));
                fleet.reports[place % n_hosts].gpus.push(gpu.with(Quantity::Uuid, uuid));
            }
            fleet.reports[0].labels.insert("rack".to_owned(), "a".to_owned());
            let whole = fleet.whole();
            for by in [GroupBy::Node, GroupBy::Model, GroupBy::Label("rack".to_owned())] {
                let groups = fleet.groups(&by);
                let powers: Vec<Power> = groups.iter().filter_map(|group| group.power).collect();
                prop_assert_eq!(whole.power, (!powers.is_empty()).then(|| powers.into_iter().sum()));
                let sum = |count: fn(&GroupTotals<'_>) -> usize| groups.iter().map(count).sum::<usize>();
                prop_assert_eq!(whole.gpus_reporting, sum(|group| group.gpus_reporting));
                prop_assert_eq!(whole.gpus_expected, sum(|group| group.gpus_expected));
                prop_assert_eq!(whole.hottest, groups.iter().filter_map(|group| group.hottest).max());
                let totals = fleet.totals();
                prop_assert_eq!((totals.power, totals.gpus_expected), (whole.power, whole.gpus_expected));
            }
        }
    }
}
