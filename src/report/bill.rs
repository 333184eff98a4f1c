//! Shares of what a meter said, by what was measured.

/// The shares of some watt-hours by weight, which sum to them: what is left over by rounding down goes to the largest
/// remainders, the first of several. Nothing if no weight is above zero.
pub(super) fn shares(watt_hours: i64, weights: &[i64]) -> Option<Vec<i64>> {
    let weights: Vec<i128> = weights.iter().map(|weight| i128::from((*weight).max(0))).collect();
    let total: i128 = weights.iter().sum();
    if total == 0 {
        return None;
    }
    let parts = weights.iter().map(|weight| i128::from(watt_hours) * weight);
    let mut parts: Vec<(usize, i128, i128)> =
        parts.enumerate().map(|(at, part)| (at, part / total, part % total)).collect();
    let whole: i128 = parts.iter().map(|(_, whole, _)| whole).sum();
    let n_left = usize::try_from(i128::from(watt_hours) - whole).unwrap_or(0);
    parts.sort_by_key(|(at, _, rest)| (std::cmp::Reverse(*rest), *at));
    parts.iter_mut().take(n_left).for_each(|(_, whole, _)| *whole += 1);
    parts.sort_by_key(|(at, ..)| *at);
    Some(parts.into_iter().map(|(_, whole, _)| i64::try_from(whole).unwrap_or(i64::MAX)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_over_goes_to_the_largest_remainders() {
        // 10 Wh by 1 : 1 : 1 are 3.33 each, 9 together; the first of three equal remainders has the one that is left.
        assert_eq!(shares(10, &[1, 1, 1]), Some(vec![4, 3, 3]));
        // By 1 : 2 : 4 they are 1.43, 2.86 and 5.71: 8 together, and the last two have the largest remainders.
        assert_eq!(shares(10, &[1, 2, 4]), Some(vec![1, 3, 6]));
        assert_eq!(shares(10, &[0, -5, 2]), Some(vec![0, 0, 10]));
        assert_eq!(shares(10, &[0, -5]), None);
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_bill_and_are_off_by_less_than_a_watt_hour(
            bill in 0..1_000_000_000_000_i64,
            weights in prop::collection::vec(0..10_000_000_000_000_i64, 1..50),
        ) {
            let total: i64 = weights.iter().sum();
            prop_assume!(total > 0);
            let shares = shares(bill, &weights).unwrap();
            prop_assert_eq!(shares.iter().sum::<i64>(), bill);
            for (share, weight) in shares.iter().zip(&weights) {
                let exact = i128::from(bill) * i128::from(*weight);
                let off = (i128::from(*share) * i128::from(total) - exact).abs();
                prop_assert!(off < i128::from(total));
            }
        }
    }
}
