//! The questions to one station: a status request first, which is one small answer; only if that stays
//! unanswered a realtime trigger, which keeps the device awake and streaming for a while. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::reading::Timestamp;

/// After so many status requests in a row that only a trigger answered, the model does not know them.
const GIVEN_UP_AFTER: u32 = 3;

/// A station that does not know status requests is sent one again after this time: new firmware may know them.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a station is thought to need to speak after a trigger.
const LONGEST_NEED: Duration = Duration::from_secs(60);

/// The margin beside the time that a station needs.
const MARGIN: Duration = Duration::from_secs(1);

/// The time in which a station has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerTimeout {
    /// So long after a request, and then so long after a trigger.
    Each(Duration),
    /// So long for both.
    Both(Duration),
}

/// The kind of a message to a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    StatusRequest,
    Trigger,
}

/// Whether a station answers status requests, as far as is known. Kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequestMode {
    /// It may; so many in a row were only answered after a trigger.
    Tried(u32),
    /// It does not, as was found out then.
    TriggersOnly(Timestamp),
}

impl Default for RequestMode {
    fn default() -> Self {
        Self::Tried(0)
    }
}

/// The way in which a station answers, as was learnt. Kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Learnt {
    #[serde(rename = "habit")]
    pub(super) mode: RequestMode,
    /// The milliseconds from a trigger to its first word.
    pub(super) needs_ms: Option<u64>,
    /// The last question was not answered, neither request nor trigger.
    pub(super) is_unanswered: bool,
}

/// One station's questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RequestState {
    pub(super) learnt: Learnt,
    /// The last message that is not answered, and until when it is waited for.
    open: Option<(RequestKind, Instant)>,
    /// Until when a trigger is waited for, if the question has an end.
    ends_at: Option<Instant>,
    /// When the trigger of this question was sent.
    triggered_at: Option<Timestamp>,
    /// The question was asked with a status request that stayed unanswered.
    fell_back: bool,
}

impl RequestState {
    pub(super) fn new(learnt: Learnt) -> Self {
        Self { learnt, ..Self::default() }
    }

    /// A new interval, or a new connection: what to send now.
    pub(super) fn begin(&mut self, now: Instant, wall: Timestamp, timeout: AnswerTimeout) -> RequestKind {
        let (for_request, ends_at) = match timeout {
            AnswerTimeout::Each(each) => (each, None),
            AnswerTimeout::Both(both) => (self.for_request(both), Some(now + both)),
        };
        let knows_none = match self.learnt.mode {
            RequestMode::TriggersOnly(since) => wall.since(since) < TRIED_AGAIN_AFTER,
            RequestMode::Tried(_) => false,
        };
        let is_trigger = knows_none || for_request.is_zero();
        let send = if is_trigger { RequestKind::Trigger } else { RequestKind::StatusRequest };
        self.ends_at = ends_at;
        self.fell_back = false;
        self.learnt.is_unanswered = true;
        self.sent(send, now + for_request, wall);
        send
    }

    /// A request is waited for until `until`, and so is a trigger unless the question has an end.
    fn sent(&mut self, send: RequestKind, until: Instant, wall: Timestamp) {
        let until = self.ends_at.filter(|_| send == RequestKind::Trigger).unwrap_or(until);
        self.open = Some((send, until));
        self.triggered_at = (send == RequestKind::Trigger).then_some(wall);
    }

    /// The part of `both` for which a status request is waited for, so that enough is left for a trigger. None, if
    /// the station needs all of it, or may.
    fn for_request(&self, both: Duration) -> Duration {
        if self.learnt.is_unanswered {
            return Duration::ZERO;
        }
        let left = self.learnt.needs_ms.map(|needs| Duration::from_millis(needs) + MARGIN);
        left.map_or(both / 8, |needs| both.saturating_sub(needs)).min(both / 3)
    }

    /// When something must be done although nothing was heard.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.map(|(_, until)| until)
    }

    /// Whether an answer is waited for.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The time to answer may be over: what to send instead.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        wall: Timestamp,
        timeout: AnswerTimeout,
    ) -> Option<RequestKind> {
        let (sent, until) = self.open?;
        if now < until {
            return None;
        }
        if sent == RequestKind::Trigger {
            self.open = None;
            return None;
        }
        let (AnswerTimeout::Each(each) | AnswerTimeout::Both(each)) = timeout;
        self.sent(RequestKind::Trigger, now + each, wall);
        self.fell_back = true;
        Some(RequestKind::Trigger)
    }

    /// Figures came. A station that only triggers make speak is remembered as such; one that is silent to
    /// both is just away.
    pub(super) fn answered(&mut self, wall: Timestamp) {
        let Some((sent, _)) = self.open.take() else { return };
        self.learnt.is_unanswered = false;
        if let Some(triggered_at) = self.triggered_at {
            let needs = wall.since(triggered_at).min(LONGEST_NEED);
            self.learnt.needs_ms = u64::try_from(needs.as_millis()).ok();
        }
        let n_before = match self.learnt.mode {
            RequestMode::Tried(n) => n,
            RequestMode::TriggersOnly(_) => 0,
        };
        if sent == RequestKind::StatusRequest {
            self.learnt.mode = RequestMode::Tried(0);
        } else if self.fell_back && n_before + 1 < GIVEN_UP_AFTER {
            self.learnt.mode = RequestMode::Tried(n_before + 1);
        } else if self.fell_back {
            self.learnt.mode = RequestMode::TriggersOnly(wall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
    const WITHIN: Duration = Duration::from_secs(10);
    const EACH: AnswerTimeout = AnswerTimeout::Each(WITHIN);
    const POLL: AnswerTimeout = AnswerTimeout::Both(WITHIN);

    /// One interval of a station that answers only triggers.
    fn answered_by_trigger(requests: &mut RequestState, wall: Timestamp) -> RequestKind {
        let now = Instant::now();
        let first = requests.begin(now, wall, EACH);
        requests.take_overdue(now + WITHIN, WALL, EACH);
        requests.answered(wall);
        first
    }

    #[test]
    fn a_status_request_comes_first_and_a_trigger_when_it_stays_unanswered() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        assert_eq!(requests.begin(now, WALL, EACH), RequestKind::StatusRequest);
        assert_eq!(requests.take_overdue(now + WITHIN / 2, WALL, EACH), None);
        assert_eq!(requests.take_overdue(now + WITHIN, WALL, EACH), Some(RequestKind::Trigger));
        assert!(requests.is_open());
        assert_eq!(requests.take_overdue(now + WITHIN * 2, WALL, EACH), None);
        assert!(!requests.is_open());
    }

    #[test]
    fn an_answer_ends_the_question() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        requests.begin(now, WALL, EACH);
        requests.answered(WALL);
        assert_eq!(requests.due(), None);
        assert_eq!(requests.learnt.mode, RequestMode::Tried(0));
    }

    #[test]
    fn a_station_that_only_triggers_move_is_triggered_at_once_for_a_day() {
        let mut requests = RequestState::default();
        for _ in 0..GIVEN_UP_AFTER {
            assert_eq!(answered_by_trigger(&mut requests, WALL), RequestKind::StatusRequest);
        }
        let later = |hours: u64| WALL.plus(Duration::from_secs(hours * 3_600));
        assert_eq!(answered_by_trigger(&mut requests, later(23)), RequestKind::Trigger);
        assert_eq!(answered_by_trigger(&mut requests, later(25)), RequestKind::StatusRequest);
    }

    #[test]
    fn a_station_that_is_away_is_not_thought_to_refuse_status_requests() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        for _ in 0..10 {
            requests.begin(now, WALL, EACH);
            requests.take_overdue(now + WITHIN, WALL, EACH);
            requests.take_overdue(now + WITHIN * 2, WALL, EACH);
        }
        assert_eq!(requests.begin(now, WALL, EACH), RequestKind::StatusRequest);
    }

    #[test]
    fn one_answer_to_a_status_request_wipes_out_the_doubts() {
        let mut requests = RequestState::default();
        answered_by_trigger(&mut requests, WALL);
        answered_by_trigger(&mut requests, WALL);
        requests.begin(Instant::now(), WALL, EACH);
        requests.answered(WALL);
        assert_eq!(requests.learnt.mode, RequestMode::Tried(0));
    }

    #[test]
    fn a_poll_waits_for_a_trigger_to_its_end() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        assert_eq!(requests.begin(now, WALL, POLL), RequestKind::StatusRequest);
        let due = requests.due().unwrap();
        assert!(due <= now + WITHIN / 5, "a first word may come eight seconds after the trigger");
        assert_eq!(requests.take_overdue(due, WALL, POLL), Some(RequestKind::Trigger));
        assert_eq!(requests.due(), Some(now + WITHIN));
    }

    #[test]
    fn a_station_that_did_not_answer_a_poll_has_all_of_the_next_for_its_trigger() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        requests.begin(now, WALL, POLL);
        let mut next = RequestState::new(requests.learnt);
        assert_eq!(next.begin(now, WALL, POLL), RequestKind::Trigger);
        assert_eq!(next.due(), Some(now + WITHIN));
        next.answered(WALL.plus(Duration::from_millis(9_500)));
        let mut after = RequestState::new(next.learnt);
        assert_eq!(
            after.begin(now, WALL, POLL),
            RequestKind::Trigger,
            "it needs nine and a half of ten seconds"
        );
    }

    #[test]
    fn a_station_that_speaks_soon_after_a_trigger_leaves_more_time_to_the_request() {
        let (mut requests, now) = (RequestState::default(), Instant::now());
        requests.begin(now, WALL, POLL);
        requests.take_overdue(now + WITHIN, WALL, POLL);
        requests.answered(WALL.plus(Duration::from_secs(2)));
        requests.begin(now, WALL, POLL);
        assert_eq!(requests.due(), Some(now + WITHIN / 3));
    }
}
