//! The pauses of a host that keeps failing.

use std::time::Duration;

use tokio::time::Instant;

use super::stagger::offset_of;
use crate::reading::{Failure, FailureKind, Outcome};
use crate::support::backoff;

/// The pause after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause for a host that cannot be reached: it is to be back soon after it is back.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest pause after a refused login: a host that bans who knocks too often must not ban us.
const LONGEST_REFUSED: Duration = Duration::from_mins(10);

/// The failures of one host in a row.
#[derive(Debug)]
pub(super) struct Backoff {
    pauses: backoff::Backoff,
    until: Option<(Instant, Failure)>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pauses: backoff::Backoff::new(FIRST, LONGEST_REFUSED), until: None }
    }
}

impl Backoff {
    /// The failure that stands, if it is too soon to try again.
    pub(super) fn not_yet(&self) -> Option<Failure> {
        let (until, failure) = self.until.as_ref()?;
        (Instant::now() < *until).then(|| failure.clone())
    }

    /// When the pause ends, if there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.as_ref().map(|(until, _)| *until)
    }

    /// Notes how an attempt ended. Only what failed before anything could be asked makes it pause: an
    /// answer, however bad, costs little.
    pub(super) fn note(&mut self, node: &str, outcome: &Outcome) {
        self.until = None;
        let Outcome::Failed(failure) = outcome else {
            self.pauses.reset();
            return;
        };
        let pause = self.pauses.fail();
        if let Some(longest) = longest_pause(failure.kind) {
            self.until = Some((Instant::now() + jittered(node, pause.min(longest)), failure.clone()));
        }
    }
}

/// Whether a failure is one of connecting: before any tool could be asked.
pub(super) fn is_of_connecting(kind: FailureKind) -> bool {
    longest_pause(kind).is_some()
}

fn longest_pause(kind: FailureKind) -> Option<Duration> {
    use FailureKind as Kind;
    if matches!(kind, Kind::Auth | Kind::KeyFile | Kind::HostKeyUnknown | Kind::HostKeyChanged) {
        return Some(LONGEST_REFUSED);
    }
    let is_unreached = matches!(kind, Kind::Resolve | Kind::Connect | Kind::ConnectTimeout);
    (is_unreached || matches!(kind, Kind::Jump | Kind::Session | Kind::Spawn)).then_some(LONGEST)
}

/// Between three quarters and the whole of a pause, by the node's name, so that a rack that came back
/// together is not connected to in one moment.
fn jittered(node: &str, pause: Duration) -> Duration {
    pause * 3 / 4 + offset_of(pause / 4, node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed(Failure::new(kind, ""))
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_their_bound_and_differ_by_host() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.note("node001", &failed(FailureKind::Connect));
        }
        let (until, _) = backoff.until.clone().unwrap();
        let pause = until - Instant::now();
        assert!((LONGEST * 3 / 4..=LONGEST).contains(&pause), "{pause:?}");
        assert_ne!(jittered("node001", LONGEST), jittered("node002", LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_tried_again_when_its_pause_is_over_and_counts_anew_after_a_success() {
        let mut backoff = Backoff::default();
        backoff.note("a", &failed(FailureKind::Auth));
        assert_eq!(backoff.not_yet().map(|failure| failure.kind), Some(FailureKind::Auth));
        tokio::time::advance(FIRST).await;
        assert_eq!(backoff.not_yet(), None);
        backoff.note("a", &Outcome::Complete);
        assert_eq!(backoff.pauses, Backoff::default().pauses);
    }

    #[tokio::test]
    async fn a_bad_answer_makes_no_pause() {
        let mut backoff = Backoff::default();
        backoff.note("a", &failed(FailureKind::NoDriver));
        assert_eq!(backoff.not_yet(), None);
    }
}
