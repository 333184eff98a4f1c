//! How soon the broker is tried again.

use std::time::Duration;

use tokio::time::Instant;

use crate::battery::anker::chance;

/// The pause after the first loss; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(120);

/// A connection that held this long was a good one: the next loss begins anew.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// The losses in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    n_losses: u32,
    connected_at: Option<Instant>,
}

impl Backoff {
    pub(super) fn connected(&mut self) {
        self.connected_at = Some(Instant::now());
    }

    /// Notes a loss. Gives the pause before the next attempt: between half of it and the whole, so that
    /// clients of a broker that comes back do not come all at once.
    pub(super) fn lost(&mut self) -> Duration {
        let held = self.connected_at.take().map(|since| since.elapsed());
        if held.is_some_and(|held| held >= GOOD_AFTER) {
            self.n_losses = 0;
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.n_losses)).min(LONGEST);
        self.n_losses = self.n_losses.saturating_add(1);
        chance::between(pause / 2, pause)
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
    async fn pauses_double_up_to_two_minutes() {
        let mut backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 120, 120, 120] {
            let pause = backoff.lost();
            assert!(is_half_to_whole_of(pause, seconds), "{pause:?} of {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_held_makes_the_next_pause_short_again() {
        let mut backoff = Backoff::default();
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
