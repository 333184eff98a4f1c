//! Exponential backoff: the pauses between attempts of something that keeps failing.

use std::time::Duration;

/// Pauses that double from the first to the longest, and start from the first after a success.
///
/// ```
/// use std::time::Duration;
///
/// use fleetwatt::support::backoff::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// assert_eq!((backoff.fail().as_secs(), backoff.fail().as_secs()), (1, 2));
/// backoff.reset();
/// assert_eq!(backoff.fail().as_secs(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// No attempt has failed yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Notes a failure. Returns how long to wait before the next attempt.
    pub fn fail(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }

    /// Notes a success: the pause after the next failure is the first one.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_short_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let pauses: Vec<u64> = (0..8).map(|_| backoff.fail().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.reset();
        assert_eq!(backoff.fail(), Duration::from_secs(1));
    }
}
