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

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Send {
    StatusRequest,
    Trigger,
}

/// Whether a station answers status requests, as far as is known. Kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Habit {
    /// It may; so many in a row were only answered after a trigger.
    Tried(u32),
    /// It does not, as was found out then, in microseconds since 1970.
    TriggersOnly(i64),
}

impl Default for Habit {
    fn default() -> Self {
        Self::Tried(0)
    }
}

/// One station's questions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asking {
    pub(super) habit: Habit,
    /// What was sent last and is not answered, and until when it is waited for.
    open: Option<(Send, Instant)>,
    /// The question was asked with a status request that stayed unanswered.
    fell_back: bool,
}

impl Asking {
    pub(super) fn new(habit: Habit) -> Self {
        Self { habit, ..Self::default() }
    }

    /// A new interval, or a new connection: what to send now.
    pub(super) fn begin(&mut self, now: Instant, wall: Timestamp, answer_within: Duration) -> Send {
        let send = match self.habit {
            Habit::TriggersOnly(since) if wall.since(Timestamp::from_micros(since)) < TRIED_AGAIN_AFTER => {
                Send::Trigger
            }
            Habit::TriggersOnly(_) | Habit::Tried(_) => Send::StatusRequest,
        };
        self.open = Some((send, now + answer_within));
        self.fell_back = false;
        send
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
    pub(super) fn expire(&mut self, now: Instant, answer_within: Duration) -> Option<Send> {
        let (sent, until) = self.open?;
        if now < until {
            return None;
        }
        if sent == Send::Trigger {
            self.open = None;
            return None;
        }
        self.open = Some((Send::Trigger, now + answer_within));
        self.fell_back = true;
        Some(Send::Trigger)
    }

    /// Figures came. A station that only triggers make speak is remembered as such; one that is silent to
    /// both is just away.
    pub(super) fn answered(&mut self, wall: Timestamp) {
        let Some((sent, _)) = self.open.take() else { return };
        let n_in_vain = match self.habit {
            Habit::Tried(n) => n,
            Habit::TriggersOnly(_) => 0,
        };
        self.habit = match (sent, self.fell_back) {
            (Send::StatusRequest, _) => Habit::Tried(0),
            (Send::Trigger, false) => self.habit,
            (Send::Trigger, true) if n_in_vain + 1 < GIVEN_UP_AFTER => Habit::Tried(n_in_vain + 1),
            (Send::Trigger, true) => Habit::TriggersOnly(wall.micros()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
    const WITHIN: Duration = Duration::from_secs(10);

    /// One interval of a station that answers only triggers.
    fn answered_by_trigger(asking: &mut Asking, wall: Timestamp) -> Send {
        let now = Instant::now();
        let first = asking.begin(now, wall, WITHIN);
        asking.expire(now + WITHIN, WITHIN);
        asking.answered(wall);
        first
    }

    #[test]
    fn a_status_request_comes_first_and_a_trigger_when_it_stays_unanswered() {
        let (mut asking, now) = (Asking::default(), Instant::now());
        assert_eq!(asking.begin(now, WALL, WITHIN), Send::StatusRequest);
        assert_eq!(asking.expire(now + WITHIN / 2, WITHIN), None);
        assert_eq!(asking.expire(now + WITHIN, WITHIN), Some(Send::Trigger));
        assert!(asking.is_open());
        assert_eq!(asking.expire(now + WITHIN * 2, WITHIN), None);
        assert!(!asking.is_open());
    }

    #[test]
    fn an_answer_ends_the_question() {
        let (mut asking, now) = (Asking::default(), Instant::now());
        asking.begin(now, WALL, WITHIN);
        asking.answered(WALL);
        assert_eq!(asking.due(), None);
        assert_eq!(asking.habit, Habit::Tried(0));
    }

    #[test]
    fn a_station_that_only_triggers_move_is_triggered_at_once_for_a_day() {
        let mut asking = Asking::default();
        for _ in 0..GIVEN_UP_AFTER {
            assert_eq!(answered_by_trigger(&mut asking, WALL), Send::StatusRequest);
        }
        let later = |hours: u64| WALL.plus(Duration::from_secs(hours * 3_600));
        assert_eq!(answered_by_trigger(&mut asking, later(23)), Send::Trigger);
        assert_eq!(answered_by_trigger(&mut asking, later(25)), Send::StatusRequest);
    }

    #[test]
    fn a_station_that_is_away_is_not_thought_to_refuse_status_requests() {
        let (mut asking, now) = (Asking::default(), Instant::now());
        for _ in 0..10 {
            asking.begin(now, WALL, WITHIN);
            asking.expire(now + WITHIN, WITHIN);
            asking.expire(now + WITHIN * 2, WITHIN);
        }
        assert_eq!(asking.begin(now, WALL, WITHIN), Send::StatusRequest);
    }

    #[test]
    fn one_answer_to_a_status_request_wipes_out_the_doubts() {
        let mut asking = Asking::default();
        answered_by_trigger(&mut asking, WALL);
        answered_by_trigger(&mut asking, WALL);
        asking.begin(Instant::now(), WALL, WITHIN);
        asking.answered(WALL);
        assert_eq!(asking.habit, Habit::Tried(0));
    }
}
