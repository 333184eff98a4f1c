//! Random numbers, for pauses and names that must not be alike on two machines.

use std::time::Duration;

/// A random number. Without a source of randomness it is not random, which costs only the spreading.
pub(super) fn number() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// A random duration from `low` to `high`, both included, to the millisecond.
pub(super) fn between(low: Duration, high: Duration) -> Duration {
    let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
    low + Duration::from_millis(number() % span.saturating_add(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_duration_lies_between_its_bounds_and_is_not_always_the_same() {
        let (low, high) = (Duration::from_millis(10), Duration::from_millis(20));
        let drawn: std::collections::BTreeSet<Duration> = (0..200).map(|_| between(low, high)).collect();
        assert!(drawn.iter().all(|one| (low..=high).contains(one)));
        assert!(drawn.len() > 5, "{drawn:?}");
    }

    #[test]
    fn an_empty_span_gives_its_bound() {
        assert_eq!(between(Duration::from_secs(1), Duration::from_secs(1)), Duration::from_secs(1));
    }
}
