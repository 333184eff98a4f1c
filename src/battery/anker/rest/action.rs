//! The action that an answer calls for. One pure function; [`call`](super::call) and [`account`](super::account) act.
//!
//! The codes are those that anker-solix-api 3.8.0 and its users know; most come with HTTP status 200.

use std::time::Duration;

/// The action that follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is what was asked for.
    Take,
    /// It failed; nothing is repeated in this cycle.
    Fail,
    /// The token is not accepted: drop it, log in once, repeat once.
    LogInAgain,
    /// Another login took our place: drop the token, and wait before logging in.
    WaitAndLogIn,
    /// Too many calls: from now on keep to the limit, and repeat once.
    Throttle,
    /// A passing trouble: wait a few seconds, repeat once.
    WaitAndRepeat,
    /// It is not to be had: do without it for a day, if that is possible.
    DoWithout(Missing),
    /// Wrong e-mail address or password; with a code, a verification is needed.
    Refuse(Option<i64>),
    /// The server does not accept our key: make a new one, try once more.
    NewKey,
    /// No login for so long.
    Locked(Duration),
}

/// Why something is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The gateway has nobody to ask: an outage, or a service that this region does not have.
    Outage,
    /// This server does not have it at all.
    OnServer,
    /// This site or device does not have it.
    ForSubject,
    /// This account may not read it.
    Forbidden,
}

/// A lock whose message names no time.
const LOCK_UNLESS_TOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest lock that a message may name.
const LONGEST_LOCK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The action that follows from an HTTP status, the code in the body if there is one, and its message.
///
/// A code that is known goes before the status, as it says more.
pub(super) fn action(status: u16, code: Option<i64>, msg: &str) -> Action {
    match code.and_then(|code| from_code(code, msg)) {
        Some(Action::Take) | None => from_status(status, code),
        Some(action) => action,
    }
}

/// The action of a code; `None` where it is not known. The codes below 1000 are statuses that the reference also
/// expects in the body.
fn from_code(code: i64, msg: &str) -> Option<Action> {
    Some(match code {
        0 => Action::Take,
        401 | 403 => Action::LogInAgain,
        429 => Action::Throttle,
        502 | 504 | 21105 => Action::WaitAndRepeat,
        10_000 | 10_004 => Action::DoWithout(Missing::ForSubject),
        26_050..=26_055 | 100_032 | 100_033 => Action::Refuse(Some(code)),
        26_070 => Action::NewKey,
        26_084 => Action::WaitAndLogIn,
        26_108 | 26_156 => Action::Refuse(None),
        100_053 => Action::Locked(lock(msg)),
        160_003 => Action::DoWithout(Missing::Forbidden),
        _ => return None,
    })
}

fn from_status(status: u16, code: Option<i64>) -> Action {
    match status {
        200..=299 if code == Some(0) => Action::Take,
        401 | 403 => Action::LogInAgain,
        404 => Action::DoWithout(Missing::OnServer),
        429 => Action::Throttle,
        502 | 504 => Action::WaitAndRepeat,
        503 => Action::DoWithout(Missing::Outage),
        _ => Action::Fail,
    }
}

/// The duration of a lock, from words such as `Please try again in 1 hours.`
fn lock(msg: &str) -> Duration {
    let mut before = "";
    for word in msg.split_whitespace() {
        let unit = if word.starts_with("hour") {
            3_600
        } else if word.starts_with("minute") {
            60
        } else {
            before = word;
            continue;
        };
        if let Ok(n) = before.parse::<u32>() {
            return Duration::from_secs(u64::from(n) * unit).min(LONGEST_LOCK);
        }
    }
    LOCK_UNLESS_TOLD
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn each_row_of_the_table_of_codes_has_its_action() {
        let rows: &[(u16, Option<i64>, Action)] = &[
            (200, Some(0), Action::Take),
            (200, Some(-1), Action::Fail),
            (200, Some(1), Action::Fail),
            (200, Some(9), Action::Fail),
            (200, Some(9_999), Action::Fail),
            (200, None, Action::Fail),
            (401, None, Action::LogInAgain),
            (403, None, Action::LogInAgain),
            (200, Some(401), Action::LogInAgain),
            (429, None, Action::Throttle),
            (400, None, Action::Fail),
            (404, None, Action::DoWithout(Missing::OnServer)),
            (502, None, Action::WaitAndRepeat),
            (504, None, Action::WaitAndRepeat),
            (503, None, Action::DoWithout(Missing::Outage)),
            (500, None, Action::Fail),
            (302, None, Action::Fail),
            (200, Some(997), Action::Fail),
            (200, Some(998), Action::Fail),
            (200, Some(999), Action::Fail),
            (200, Some(10_000), Action::DoWithout(Missing::ForSubject)),
            (200, Some(10_003), Action::Fail),
            (200, Some(10_004), Action::DoWithout(Missing::ForSubject)),
            (200, Some(10_007), Action::Fail),
            (200, Some(21_105), Action::WaitAndRepeat),
            (200, Some(26_050), Action::Refuse(Some(26_050))),
            (200, Some(26_051), Action::Refuse(Some(26_051))),
            (200, Some(26_052), Action::Refuse(Some(26_052))),
            (200, Some(26_053), Action::Refuse(Some(26_053))),
            (200, Some(26_054), Action::Refuse(Some(26_054))),
            (200, Some(26_055), Action::Refuse(Some(26_055))),
            (200, Some(26_070), Action::NewKey),
            (200, Some(26_084), Action::WaitAndLogIn),
            (401, Some(26_084), Action::WaitAndLogIn),
            (200, Some(26_108), Action::Refuse(None)),
            (200, Some(26_156), Action::Refuse(None)),
            (200, Some(26_161), Action::Fail),
            (200, Some(31_001), Action::Fail),
            (200, Some(31_003), Action::Fail),
            (200, Some(100_032), Action::Refuse(Some(100_032))),
            (200, Some(100_033), Action::Refuse(Some(100_033))),
            (200, Some(100_053), Action::Locked(24 * HOUR)),
            (200, Some(160_003), Action::DoWithout(Missing::Forbidden)),
            (200, Some(200_104), Action::Fail),
            (200, Some(777_777), Action::Fail),
            (500, Some(0), Action::Fail),
        ];
        for (status, code, expected) in rows {
            assert_eq!(action(*status, *code, ""), *expected, "{status} {code:?}");
        }
    }

    #[test]
    fn a_lock_holds_as_long_as_its_message_says() {
        let told = |msg| {
            let action = action(200, Some(100_053), msg);
            let Action::Locked(told) = action else { panic!("{action:?}") };
            told
        };
        assert_eq!(told("Too many attempts. Please try again in 1 hours."), HOUR);
        assert_eq!(told("Please try again in 24 hours"), 24 * HOUR);
        assert_eq!(told("Please try again in 30 minutes."), HOUR / 2);
        assert_eq!(told("Please try again in 99999999 hours."), 7 * 24 * HOUR);
        assert_eq!(told("Please try again in some hours."), 24 * HOUR);
        assert_eq!(told("Bitte versuchen Sie es später"), 24 * HOUR);
    }

    proptest! {
        #[test]
        fn nothing_but_code_0_is_taken_for_a_success(status: u16, code: i64, msg in ".*") {
            let is_taken = action(status, Some(code), &msg) == Action::Take;
            prop_assert_eq!(is_taken, code == 0 && (200..300).contains(&status));
        }
    }
}
