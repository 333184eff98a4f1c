//! How soon the broker is tried again.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::backoff::Backoff;
use crate::support::jitter;

/// The pause after the first loss; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(120);

/// A connection that held this long was a good one: the pauses start from the first again.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// The pauses between a lost connection and the next.
#[derive(Debug)]
pub(super) struct Reconnect {
    backoff: Backoff,
    connected_at: Option<Instant>,
}

impl Reconnect {
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::new(FIRST, LONGEST), connected_at: None }
    }

    pub(super) fn connected(&mut self) {
        self.connected_at = Some(Instant::now());
    }

    /// Notes a loss. Returns the pause before the next attempt.
    pub(super) fn lost(&mut self) -> Duration {
        let held = self.connected_at.take().map(|since| since.elapsed());
        if held.is_some_and(|held| held >= GOOD_AFTER) {
            self.backoff.reset();
        }
        jitter::half_to_whole(self.backoff.fail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_half_to_whole_of(pause: Duration, seconds: u64) -> bool {
        let whole = Duration::from_secs(seconds);
        whole / 2 <= pause && pause <= whole
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_held_makes_the_next_pause_short_again() {
        let mut backoff = Reconnect::new();
        backoff.lost();
        backoff.lost();
        backoff.connected();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(is_half_to_whole_of(backoff.lost(), 4));
        backoff.connected();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(is_half_to_whole_of(backoff.lost(), 1));
    }
}
