//! How one station is asked: a status request first, which is one small answer; only if that stays
//! unanswered a realtime trigger, which keeps the device awake and streaming for a while. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::reading::Timestamp;

/// After so many status requests in a row that only a trigger answered, the model does not know them.
const GIVEN_UP_AFTER: u32 = 3;

/// How long a station that does not know status requests is not sent any: new firmware may know them.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest that a station is thought to need to speak after a trigger.
const LONGEST_NEED: Duration = Duration::from_secs(60);

/// What is left for a station's way beside what it needs.
const MARGIN: Duration = Duration::from_secs(1);

/// How long a station has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerTimeout {
    /// So long after a request, and then so long after a trigger.
    Each(Duration),
    /// So long for both.
    Both(Duration),
}

/// What is to be sent.
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
    /// It does not, as was found out then, in microseconds since 1970.
    TriggersOnly(i64),
}

impl Default for RequestMode {
    fn default() -> Self {
        Self::Tried(0)
    }
}

/// What was learnt of how a station answers. Kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Learnt {
    #[serde(default, rename = "habit")]
    pub(super) mode: RequestMode,
    /// How long after a trigger it spoke, in milliseconds.
    #[serde(default)]
    pub(super) needs_ms: Option<u64>,
    /// The last question was not answered, neither request nor trigger.
    #[serde(default)]
    pub(super) is_unanswered: bool,
}

/// One station's questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RequestState {
    pub(super) learnt: Learnt,
    /// What was sent last and is not answered, and until when it is waited for.
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
        let send = match self.learnt.mode {
            RequestMode::TriggersOnly(since)
                if wall.since(Timestamp::from_micros(since)) < TRIED_AGAIN_AFTER =>
            {
                RequestKind::Trigger
            }
            RequestMode::TriggersOnly(_) | RequestMode::Tried(_) if for_request.is_zero() => {
                RequestKind::Trigger
            }
            RequestMode::TriggersOnly(_) | RequestMode::Tried(_) => RequestKind::StatusRequest,
        };
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

    /// How much of `both` a status request is waited for, so that there is enough left for a trigger. None, if
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
        let n_unanswered = match self.learnt.mode {
            RequestMode::Tried(n) => n,
            RequestMode::TriggersOnly(_) => 0,
        };
        self.learnt.mode = match (sent, self.fell_back) {
            (RequestKind::StatusRequest, _) => RequestMode::Tried(0),
            (RequestKind::Trigger, false) => self.learnt.mode,
            (RequestKind::Trigger, true) if n_unanswered + 1 < GIVEN_UP_AFTER => {
                RequestMode::Tried(n_unanswered + 1)
            }
            (RequestKind::Trigger, true) => RequestMode::TriggersOnly(wall.micros()),
        };
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
