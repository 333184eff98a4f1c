//! The pace at which the cloud is asked. The server counts calls of an endpoint and address, and phones count too.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::Endpoint;
use crate::support::jitter;

/// Once an endpoint has said that it was asked too often: so many calls ...
const MOST_CALLS: usize = 10;

/// ... in so long ...
const WINDOW: Duration = Duration::from_secs(62);

/// ... and then none until this long after the oldest.
const REST: Duration = Duration::from_secs(65);

/// The pauses and the patience. The default is what anker-solix-api has been found to get along with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one call to the next, of whatever endpoint.
    pub between: Duration,
    /// The time that an answer may take.
    pub timeout: Duration,
    /// A repetition waits for at least this long ...
    pub repeat_after_least: Duration,
    /// ... and for at most this long, at random.
    pub repeat_after_most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            between: Duration::from_millis(300),
            timeout: Duration::from_secs(10),
            repeat_after_least: Duration::from_secs(2),
            repeat_after_most: Duration::from_secs(5),
        }
    }
}

impl Pace {
    /// The pause before a repetition.
    pub(super) fn before_repeat(&self) -> Duration {
        jitter::between(self.repeat_after_least, self.repeat_after_most)
    }
}

/// The calls of late.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    last_at: Option<Instant>,
    endpoints: BTreeMap<Endpoint, Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// At most [`MOST_CALLS`], oldest first.
    recent: VecDeque<Instant>,
    is_throttled: bool,
}

impl Pacer {
    /// When the endpoint may be called next; in the past if it may be called at once.
    pub(super) fn due(&self, endpoint: Endpoint, pace: &Pace, now: Instant) -> Instant {
        let paced = self.last_at.map_or(now, |last| last + pace.between);
        let throttled = self.endpoints.get(&endpoint).and_then(|calls| calls.due(now));
        throttled.map_or(paced, |throttled| throttled.max(paced))
    }

    /// The endpoint is called now.
    pub(super) fn note(&mut self, endpoint: Endpoint, now: Instant) {
        self.last_at = Some(now);
        let calls = self.endpoints.entry(endpoint).or_default();
        calls.recent.push_back(now);
        if calls.recent.len() > MOST_CALLS {
            calls.recent.pop_front();
        }
    }

    /// The endpoint says that it was called too often. It is believed for as long as this process lives.
    pub(super) fn throttle(&mut self, endpoint: Endpoint) {
        self.endpoints.entry(endpoint).or_default().is_throttled = true;
    }
}

impl Calls {
    fn due(&self, now: Instant) -> Option<Instant> {
        let oldest = *self.recent.front()?;
        let is_full = self.recent.len() == MOST_CALLS && now.duration_since(oldest) < WINDOW;
        (self.is_throttled && is_full).then(|| oldest + REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        between: Duration::from_millis(300),
        timeout: Duration::from_secs(10),
        repeat_after_least: Duration::from_secs(2),
        repeat_after_most: Duration::from_secs(5),
    };

    /// The time from `now` until the next call is due.
    fn wait(pacer: &Pacer, endpoint: Endpoint, now: Instant) -> Duration {
        pacer.due(endpoint, &PACE, now).saturating_duration_since(now)
    }

    /// A pacer that has been asked ten times, once a second, the last time now.
    fn after_ten() -> (Pacer, Instant) {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        (0..10).for_each(|second| pacer.note(Endpoint::Devices, at(second)));
        (pacer, at(9))
    }

    #[test]
    fn two_calls_of_whatever_endpoints_have_a_pause_between_them() {
        let (mut pacer, now) = (Pacer::default(), Instant::now());
        assert_eq!(wait(&pacer, Endpoint::Devices, now), Duration::ZERO);
        pacer.note(Endpoint::Devices, now);
        assert_eq!(wait(&pacer, Endpoint::Sites, now), Duration::from_millis(300));
    }

    #[test]
    fn an_endpoint_is_throttled_only_after_it_has_complained() {
        let (mut pacer, now) = after_ten();
        assert_eq!(wait(&pacer, Endpoint::Devices, now), Duration::from_millis(300));
        pacer.throttle(Endpoint::Devices);
        assert_eq!(wait(&pacer, Endpoint::Devices, now), Duration::from_secs(65 - 9));
        assert_eq!(wait(&pacer, Endpoint::Sites, now), Duration::from_millis(300));
    }

    #[test]
    fn a_throttled_endpoint_may_be_called_when_the_window_has_room() {
        let (mut pacer, now) = after_ten();
        pacer.throttle(Endpoint::Devices);
        assert_eq!(wait(&pacer, Endpoint::Devices, now + Duration::from_secs(62 - 9)), Duration::ZERO);
    }

    #[test]
    fn a_repetition_waits_two_to_five_seconds_and_not_always_equally_long() {
        let waits: Vec<Duration> = (0..100).map(|_| PACE.before_repeat()).collect();
        assert!(waits.iter().all(|wait| (2_000..=5_000).contains(&wait.as_millis())));
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
