//! A moment of its own for each host, by its name, for what is not to happen to all of them at once.

use std::time::Duration;

use crate::support::stable_hash;

/// The number of different shares: of a second, as many as a timer tells apart.
const N_OFFSETS: u32 = 1000;

/// A share of `span`, from nothing to just below the whole, which is always the same for a node. Those of many
/// nodes fill the span evenly, however alike their names are.
pub(super) fn offset_of(span: Duration, node: &str) -> Duration {
    let place = u32::try_from(stable_hash(node) % u64::from(N_OFFSETS)).unwrap_or_default();
    span / N_OFFSETS * place
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(1);

    #[test]
    fn a_node_has_the_same_share_in_every_build() {
        let shares = ["node001", "node002", "redfin"].map(|node| offset_of(SPAN, node).as_millis());
        assert_eq!(shares, [415, 320, 460]);
    }

    #[test]
    fn the_shares_of_a_thousand_nodes_fill_the_span_evenly() {
        let mut n_in_tenth = [0; 10];
        for number in 1..=1000 {
            let share = offset_of(SPAN, &format!("node{number:04}"));
            assert!(share < SPAN, "{share:?}");
            n_in_tenth[usize::try_from(share.as_millis() / 100).unwrap()] += 1;
        }
        assert!(n_in_tenth.iter().all(|n_nodes| (50..=150).contains(n_nodes)), "{n_in_tenth:?}");
    }

    #[test]
    fn a_rack_of_eight_is_not_one_lump() {
        let shares: Vec<Duration> = (1..=8).map(|n| offset_of(SPAN, &format!("node{n:03}"))).collect();
        let between = *shares.iter().max().unwrap() - *shares.iter().min().unwrap();
        assert!(SPAN / 2 < between, "{shares:?}");
    }
}
