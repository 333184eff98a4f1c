//! Random numbers, for pauses and names that must not be alike on two machines.

use std::time::Duration;

use super::milliseconds;

/// A random number. If the system has no random numbers, it is 0, and nothing is spread.
pub fn number() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// A random duration from `low` to `high`, both included, to the millisecond.
pub fn between(low: Duration, high: Duration) -> Duration {
    let span = milliseconds(high.saturating_sub(low));
    low + Duration::from_millis(number() % span.saturating_add(1).max(1))
}

/// Half of a pause to all of it, so that clients of a server that was away do not come back in one moment.
pub fn half_to_whole(pause: Duration) -> Duration {
    between(pause / 2, pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_duration_lies_between_its_bounds_and_is_not_always_the_same() {
        let (low, high) = (Duration::from_millis(10), Duration::from_millis(20));
        let drawn: std::collections::BTreeSet<Duration> = (0..200).map(|_| half_to_whole(high)).collect();
        assert!(drawn.iter().all(|one| (low..=high).contains(one)));
        assert!(drawn.len() > 5, "{drawn:?}");
    }

    #[test]
    fn an_empty_span_gives_its_bound() {
        assert_eq!(between(Duration::from_secs(1), Duration::from_secs(1)), Duration::from_secs(1));
    }
}
